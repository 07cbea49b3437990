//! The product's sandbox without a host around it.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use creel_runtime::cache::Cache;
use creel_runtime::capability::granted::Granted;
use creel_runtime::gate::Prepared;
use creel_runtime::gate::compile::Compiler;
use creel_runtime::limits::{EngineOptions, Limits};
use creel_runtime::registry::Registry;
use creel_runtime::run::{RunInput, RunReport, Runtime};
use creel_webhook::outcome::{GuestEvent, Reply};
use creel_webhook::secret::SecretBytes;

use crate::guest;

/// Settings with which the fixture `echo` replies and calls nobody.
pub(crate) const REPLYING: &[(&str, &str)] = &[("reply", "true"), ("calls", "0")];

/// A component that is ready to run.
pub(crate) struct Sandbox {
    runtime: Runtime,
    prepared: Arc<Prepared>,
    granted: Granted,
}

impl Sandbox {
    /// Compiles the upload in this process.
    pub(crate) async fn prepare(upload: Bytes, config: &[(&str, &str)]) -> anyhow::Result<Sandbox> {
        let runtime = Runtime::new(&EngineOptions::default())?;
        let directory = tempfile::tempdir()?;
        let cache = Cache::open(directory.path(), runtime.sandbox(), SecretBytes::new(vec![7; 32]), u64::MAX)?;
        let registry = Registry::new(runtime.sandbox(), cache, Compiler::in_process(), Limits::default(), u64::MAX);
        let prepared = registry.admit(upload, &Limits::default()).await?;
        let config = config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Ok(Sandbox { runtime, prepared, granted: Granted { config } })
    }

    /// The same with a component's file.
    pub(crate) async fn read(component: &Path, config: &[(&str, &str)]) -> anyhow::Result<Sandbox> {
        let upload = std::fs::read(component).with_context(|| format!("reading {}", component.display()))?;
        Sandbox::prepare(upload.into(), config).await
    }

    /// A run in a fresh instance.
    pub(crate) async fn run(&self, event: GuestEvent) -> RunReport {
        let capabilities = Box::new(self.granted.clone());
        let input = RunInput { event, limits: Limits::default(), capabilities, seed: [3; 32] };
        self.runtime.run(self.prepared.clone(), input).await
    }

    /// What it replies to this body.
    pub(crate) async fn answer(&self, body: Bytes) -> Option<Reply> {
        self.run(GuestEvent { body, ..guest::event() }).await.outcome?.reply
    }
}

//! A sandbox of one's own, for commands that need no host: what `creel check` and `creel test` try a plugin in.
//!
//! It is the sandbox of a host, with the limits that a host of this configuration has, and components pass the same gate
//! in the same kind of child. What is compiled is kept in a temporary directory and goes with the workbench.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use creel_runtime::cache::Cache;
use creel_runtime::gate::Prepared;
use creel_runtime::gate::compile::{Compiler, CompilerOptions};
use creel_runtime::limits::{EngineOptions, Limits};
use creel_runtime::registry::{PrepareError, Registry};
use creel_runtime::run::Runtime;
use creel_webhook::secret::SecretBytes;
use tempfile::TempDir;

use crate::app::{self, Surroundings};
use crate::config::Config;

/// Runs at the same time: cases are run one after the other, so that their times say something.
const RUNS_MAX: u32 = 1;

/// A sandbox without a host around it.
pub struct Workbench {
    /// What runs components.
    pub runtime: Runtime,
    /// What a run may use.
    pub limits: Limits,
    registry: Registry,
    // Removed when the workbench is gone.
    _compiled: TempDir,
}

/// A component that passed the gate.
pub struct Passed {
    /// Ready to run.
    pub prepared: Arc<Prepared>,
    /// How long checking and compiling took.
    pub took: Duration,
}

impl Workbench {
    /// Prepares the sandbox.
    ///
    /// # Errors
    /// When the system has no room for it.
    pub fn open(config: &Config) -> anyhow::Result<Self> {
        let around = Surroundings::live()?;
        let limits = app::limits(config);
        let options = EngineOptions {
            runs_max: RUNS_MAX,
            memory_bytes_ceiling: limits.memory_bytes_max,
            ..EngineOptions::default()
        };
        let runtime = Runtime::new(&options).context("preparing the sandbox")?;
        let compiled = TempDir::new().context("making a temporary directory")?;
        let seal = SecretBytes::new(around.entropy.bytes::<32>().to_vec());
        let cache = Cache::open(compiled.path(), runtime.sandbox(), seal, u64::MAX)?;
        let compiler = Compiler::new(CompilerOptions {
            command: around.compile_command,
            deadline_ms: config.runtime.compile_deadline_ms,
            memory_bytes_max: config.runtime.compile_memory_bytes_max,
            ..CompilerOptions::default()
        });
        let registry = Registry::new(runtime.sandbox(), cache, compiler, limits.clone(), u64::MAX);
        Ok(Workbench { runtime, limits, registry, _compiled: compiled })
    }

    /// Puts an upload through the gate: what a host would say to it.
    ///
    /// # Errors
    /// Why it does not pass, and what to do.
    pub async fn pass(&self, upload: Bytes) -> Result<Passed, Arc<PrepareError>> {
        let began = Instant::now();
        let prepared = self.registry.admit(upload, &self.limits).await?;
        Ok(Passed { prepared, took: began.elapsed() })
    }
}

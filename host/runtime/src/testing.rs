//! What this crate's tests share: guests written in the text format, and a bench to run them on.
//!
//! A guest is a core module with hand-made lifting, given the component type of `wit/plugin.wit` and wrapped by the
//! gate like an upload of a toolchain would be. [`guest`] puts a body between a fixed head and tail:
//!
//! - `$event` is the event's address; the body leaves the address of a `result<outcome, failure>` on the stack.
//! - Address 1024 is 256 zero bytes: left alone it means "an empty outcome". Its layout: 0 is 1 for a failure; an
//!   outcome has its calls at 8 (address, count), and at 16 the reply: 16 is 1 when there is one, 20 status, 24 headers
//!   (address, count), 32 is 1 with a body, 36 text or bytes, 40 body (address, length). A failure has at 8 reject or
//!   retry, at 16 the reason (address, length), at 24 the delay.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use creel_webhook::clock::Timestamp;
use creel_webhook::outcome::GuestEvent;
use creel_webhook::plugin::Digest;
use creel_webhook::secret::SecretBytes;
use tempfile::TempDir;
use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::cache::Cache;
use crate::capability::granted::Granted;
use crate::gate::Prepared;
use crate::gate::compile::Compiler;
use crate::limits::{EngineOptions, Limits};
use crate::registry::Registry;
use crate::run::{RunInput, RunReport, Runtime};

const TAIL: &str = r#"
    (memory (export "memory") 4)
    (global $next (mut i32) (i32.const 65536))
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
        (local $at i32)
        (local.set $at (i32.and (i32.add (global.get $next) (i32.const 15)) (i32.const -16)))
        (global.set $next (i32.add (local.get $at) (local.get 3)))
        (local.get $at))
    (data (i32.const 512) "hello")
    (data (i32.const 528) "no order id")
    (data (i32.const 544) "aha\n"))
"#;

/// An upload whose `handle` has this body; `imports` come before it.
pub(crate) fn guest(imports: &str, body: &str) -> Bytes {
    let module = format!(
        r#"(module {imports}
            (func $handle (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32)
            (local $a i32) (local $b i32) {body}) {TAIL}"#
    );
    let mut module = wat::parse_str(module).unwrap();
    let mut wit = Resolve::default();
    let (package, _) = wit.push_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit")).unwrap();
    let world = wit.select_world(&[package], Some("plugin")).unwrap();
    embed_component_metadata(&mut module, &wit, world, StringEncoding::UTF8).unwrap();
    Bytes::from(module)
}

/// The import of `log.write`.
pub(crate) const LOG: &str = r#"(import "creel:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32)))"#;

/// Answers an empty outcome.
pub(crate) const EMPTY: &str = "(i32.const 1024)";

/// Answers the event with what stands at 2048: `$b` bytes.
pub(crate) const REPLY_2048: &str = "
    (i32.store8 (i32.const 1040) (i32.const 1)) (i32.store16 (i32.const 1044) (i32.const 200))
    (i32.store8 (i32.const 1056) (i32.const 1)) (i32.store8 (i32.const 1060) (i32.const 1))
    (i32.store (i32.const 1064) (i32.const 2048)) (i32.store (i32.const 1068) (local.get $b))
    (i32.const 1024)";

/// A runtime with a registry that compiles in this process.
pub(crate) struct Bench {
    pub(crate) runtime: Runtime,
    pub(crate) registry: Registry,
    pub(crate) directory: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let runtime = Runtime::new(&EngineOptions { runs_max: 4, ..EngineOptions::default() }).unwrap();
        let directory = TempDir::new().unwrap();
        let registry = registry(&runtime, directory.path(), u64::MAX);
        Bench { runtime, registry, directory }
    }

    pub(crate) async fn prepare(&self, upload: Bytes) -> Arc<Prepared> {
        self.registry.admit(upload, &Limits::default()).await.unwrap()
    }

    /// Runs an upload on the usual event with the usual capabilities.
    pub(crate) async fn run(&self, upload: Bytes, limits: Limits) -> RunReport {
        let prepared = self.prepare(upload).await;
        self.runtime.run(prepared, input(limits)).await
    }
}

/// A registry over a cache in this directory.
pub(crate) fn registry(runtime: &Runtime, directory: &Path, bytes_max: u64) -> Registry {
    let cache = Cache::open(directory, runtime.sandbox(), SecretBytes::new(vec![7; 32]), u64::MAX).unwrap();
    registry_over(runtime, cache, bytes_max)
}

/// A registry over this cache.
pub(crate) fn registry_over(runtime: &Runtime, cache: Cache, bytes_max: u64) -> Registry {
    Registry::new(runtime.sandbox(), cache, Compiler::in_process(), Limits::default(), bytes_max)
}

/// The usual event with the usual capabilities.
pub(crate) fn input(limits: Limits) -> RunInput {
    RunInput { event: event(), limits, capabilities: Box::new(Granted::default()), seed: [3; 32] }
}

/// The usual event.
pub(crate) fn event() -> GuestEvent {
    GuestEvent {
        id: "evt_1".into(),
        request_id: "req_1".into(),
        index: 0,
        count: 1,
        source: "shop".into(),
        scheme: "test".into(),
        kind: "order.created".into(),
        provider_id: None,
        subject: Some("42".into()),
        received_at: Timestamp::from_millis(1_767_225_600_250),
        method: "POST".into(),
        query: vec![],
        headers: vec![("content-type".into(), "application/json".into())],
        attributes: vec![],
        body: Bytes::from_static(b"{\"order\":42}"),
    }
}

/// The digest of an upload.
pub(crate) fn digest(upload: &Bytes) -> Digest {
    Digest::of(upload)
}

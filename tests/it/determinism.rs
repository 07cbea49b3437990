//! Same event, same deployment: the same outcome, log, fuel and memory, to the last byte and unit.
//!
//! Every first-party plugin on each of its cases, and guests that ask for what could differ, run in this process, again
//! while everything is busy, and in a process of its own. What is written in the text format is compared with figures
//! that are checked in besides: they hold in every build, on every machine. Plugins are left out there, since their bytes
//! are another toolchain's elsewhere.
//!
//! (One of them does not: the fuel of `deep-recursion`, which ends when the stack is full, is that of a build without
//! optimisations; [`crate::builds`] says why.)
//!
//! The figures change with wasmtime, its configuration, the prices of host calls and the words of reasons: look at the change, then accept it
//! (`INSTA_UPDATE=always`).

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use creel_runtime::cache::Cache;
use creel_runtime::capability::granted::Granted;
use creel_runtime::capability::seam::{Capabilities, FetchError, StateError};
use creel_runtime::gate::Prepared;
use creel_runtime::gate::compile::Compiler;
use creel_runtime::limits::{EngineOptions, Limits};
use creel_runtime::registry::Registry;
use creel_runtime::run::{RunInput, Runtime};
use creel_webhook::clock::Timestamp;
use creel_webhook::outcome::{GuestEvent, Pair};
use creel_webhook::record::{FetchFailure, FetchRequest, FetchResponse};
use creel_webhook::secret::SecretBytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::harness::guests::{checkout, guest, plugin};
use crate::harness::written;

/// Where a process of its own writes what it saw.
const TOLD: &str = "CREEL_TEST_DETERMINISM";

const PLUGINS: [&str; 7] = [
    "appointment",
    "assistant-request",
    "call-ended",
    "caller-context",
    "escalation",
    "github-to-slack",
    "twiml-greeting",
];

/// Attackers whose runs end by limits and traps: these too end the same.
const ATTACKERS: [&str; 6] =
    ["deep-recursion", "log-flood", "memory-growth", "random-flood", "ready-storm", "host-call-storm"];

/// A run by its name, and what it came to.
type Table = BTreeMap<String, String>;

/// Where guests run.
struct Sandbox {
    runtime: Arc<Runtime>,
    registry: Registry,
    _directory: TempDir,
}

impl Sandbox {
    fn new() -> Sandbox {
        let directory = tempfile::tempdir().unwrap();
        let runtime = Runtime::new(&EngineOptions { runs_max: 4, ..EngineOptions::default() }).unwrap();
        let key = SecretBytes::new(vec![7; 32]);
        let cache = Cache::open(directory.path(), runtime.sandbox(), key, u64::MAX).unwrap();
        let registry = Registry::new(runtime.sandbox(), cache, Compiler::in_process(), Limits::default(), u64::MAX);
        Sandbox { runtime: Arc::new(runtime), registry, _directory: directory }
    }

    async fn prepare(&self, upload: Bytes) -> Arc<Prepared> {
        self.registry.admit(upload, &Limits::default()).await.unwrap()
    }

    /// One run, as a line.
    async fn run(&self, prepared: &Arc<Prepared>, event: GuestEvent, config: BTreeMap<String, String>) -> String {
        self.run_reaching(prepared, event, Box::new(Granted { config })).await
    }

    /// One run that reaches this, as a line.
    async fn run_reaching(
        &self,
        prepared: &Arc<Prepared>,
        event: GuestEvent,
        capabilities: Box<dyn Capabilities>,
    ) -> String {
        let limits = Limits { fuel_max: 20_000_000, timeout_ms: 120_000, ..Limits::default() };
        let report = self.runtime.run(prepared.clone(), RunInput { event, limits, capabilities, seed: [3; 32] }).await;
        let decided = format!("{:?} {:?} {:?}", report.outcome, report.reason, report.retry_after_ms);
        let (decided, log) = (digest(&decided), digest(&format!("{:?}", report.log)));
        let (fuel, memory) = (report.usage.fuel, report.usage.memory_bytes);
        format!("{:8} fuel {fuel:>8} memory {memory:>8} outcome {decided} log {log}", report.verdict.as_str())
    }
}

/// What a record says: the same answers in the same order, whoever asks.
struct Told {
    settings: Granted,
    state: BTreeMap<String, Bytes>,
    fetches: VecDeque<Result<FetchResponse, FetchFailure>>,
}

impl Told {
    fn new(config: Value) -> Box<Told> {
        let response = |status, body: &'static str| FetchResponse {
            status,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: Bytes::from_static(body.as_bytes()),
        };
        let fetches = [Ok(response(200, r#"{"name":"Ada"}"#)), Err(FetchFailure::Timeout), Ok(response(404, ""))];
        Box::new(Told {
            settings: Granted { config: serde_json::from_value(config).expect("texts by name") },
            state: BTreeMap::from([("runs".to_owned(), Bytes::from_static(b"41"))]),
            fetches: fetches.into(),
        })
    }
}

#[async_trait::async_trait]
impl Capabilities for Told {
    fn config_get(&mut self, key: &str) -> Option<String> {
        self.settings.config_get(key)
    }

    fn config_all(&mut self) -> Vec<Pair> {
        self.settings.config_all()
    }

    async fn state_get(&mut self, key: &str) -> Result<Option<Bytes>, StateError> {
        Ok(self.state.get(key).cloned())
    }

    async fn state_set(&mut self, _: &str, _: Bytes) -> Result<(), StateError> {
        Ok(())
    }

    async fn state_delete(&mut self, _: &str) -> Result<(), StateError> {
        Ok(())
    }

    async fn fetch(&mut self, _: FetchRequest) -> Result<FetchResponse, FetchError> {
        Ok(self.fetches.pop_front().expect("as many as are asked for")?)
    }
}

fn digest(text: &str) -> String {
    hex::encode(&Sha256::digest(text)[..8])
}

/// The event of a plugin's case.
fn event(case: &Value) -> GuestEvent {
    let text = |name: &str, otherwise: &str| case[name].as_str().unwrap_or(otherwise).to_owned();
    let pairs = |name: &str| serde_json::from_value(case[name].clone()).unwrap_or_default();
    let body = match case {
        Value::Object(fields) if fields.contains_key("json") => case["json"].to_string(),
        Value::Object(fields) if fields.contains_key("form") => {
            let fields: Vec<(String, String)> = pairs("form");
            form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
        }
        _ => text("text", ""),
    };
    GuestEvent {
        id: text("id", "evt_test"),
        request_id: "req_test".to_owned(),
        index: 0,
        count: 1,
        source: text("source", "test"),
        scheme: text("scheme", "test"),
        kind: text("kind", ""),
        provider_id: case["provider_id"].as_str().map(str::to_owned),
        subject: case["subject"].as_str().map(str::to_owned),
        received_at: Timestamp::from_millis(case["received_at_ms"].as_i64().unwrap_or(1_767_225_600_000)),
        method: text("method", "POST"),
        query: pairs("query"),
        headers: pairs("headers"),
        attributes: pairs("attributes"),
        body: body.into(),
    }
}

/// Every case of a plugin, by name.
fn cases(name: &str) -> Vec<(String, Value)> {
    let folder = checkout().join("plugins").join(name).join("cases");
    let files = std::fs::read_dir(folder).expect("a plugin has cases").map(|entry| entry.unwrap().path());
    let read = |path: &Path| serde_json::from_slice(&std::fs::read(path).unwrap()).expect("a case is JSON");
    files.map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), read(&path))).collect()
}

fn probes() -> Bytes {
    let text = std::fs::read_to_string(checkout().join("tests/components/determined/probes.wat")).unwrap();
    written::upload(&text).unwrap()
}

fn attacker(name: &str) -> Bytes {
    let path = checkout().join("tests/components/hostile").join(name).with_extension("wat");
    written::upload(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// What is written in the text format.
async fn written_table(sandbox: &Sandbox) -> Table {
    let mut table = Table::new();
    let order = event(&json!({ "kind": "order.paid", "json": { "id": 42 } }));
    let mut guests = vec![("probes", probes())];
    guests.extend(ATTACKERS.map(|name| (name, attacker(name))));
    for (name, upload) in guests {
        let prepared = sandbox.prepare(upload).await;
        table.insert(name.to_owned(), sandbox.run(&prepared, order.clone(), BTreeMap::new()).await);
    }
    table
}

/// Everything.
async fn table(sandbox: &Sandbox) -> Table {
    let mut table = written_table(sandbox).await;
    let unordered = sandbox.prepare(guest("unordered")).await;
    let order = event(&json!({ "kind": "order.paid", "json": { "id": 42 } }));
    table.insert("unordered".to_owned(), sandbox.run(&unordered, order.clone(), BTreeMap::new()).await);
    for (name, config) in [("looks-up", json!({ "times": "3" })), ("remembers", json!({}))] {
        let prepared = sandbox.prepare(guest(name)).await;
        table.insert(name.to_owned(), sandbox.run_reaching(&prepared, order.clone(), Told::new(config)).await);
    }
    for name in PLUGINS {
        let prepared = sandbox.prepare(plugin(name)).await;
        for (case, told) in cases(name) {
            let config = serde_json::from_value(told["config"].clone()).unwrap_or_default();
            let run = sandbox.run(&prepared, event(&told["event"]), config).await;
            table.insert(format!("{name} {case}"), run);
        }
    }
    table
}

/// Keeps every processor busy until it is dropped.
struct Busy(Arc<AtomicBool>);

impl Busy {
    fn start() -> Busy {
        let over = Arc::new(AtomicBool::new(false));
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            let over = over.clone();
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        Busy(over)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The same in a process of its own: this test once more, which writes what it saw.
fn elsewhere(told: &Path) -> Table {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    let name = "determinism::a_run_is_the_same_wherever_and_whenever_it_runs";
    let output = command.args(["--exact", name]).env(TOLD, told).output().expect("it starts");
    let text = std::fs::read(told).unwrap_or_else(|error| {
        panic!("{error}: {}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    });
    serde_json::from_slice(&text).expect("it wrote a table")
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::disallowed_methods, reason = "a process of its own is told where to write")]
async fn a_run_is_the_same_wherever_and_whenever_it_runs() {
    let sandbox = Sandbox::new();
    let first = table(&sandbox).await;
    if let Some(told) = std::env::var_os(TOLD).map(PathBuf::from) {
        return std::fs::write(told, serde_json::to_vec(&first).unwrap()).unwrap();
    }
    assert!(first.len() > 50 && first.values().filter(|run| run.starts_with("done")).count() > 30, "{first:#?}");
    let directory = tempfile::tempdir().unwrap();
    let told = directory.path().join("told.json");
    let other = tokio::task::spawn_blocking(move || elsewhere(&told));
    let busy = Busy::start();
    assert_eq!(table(&sandbox).await, first, "while everything is busy");
    drop(busy);
    assert_eq!(other.await.unwrap(), first, "in a process of its own");
}

#[tokio::test]
async fn what_is_written_as_text_comes_to_the_same_in_every_build() {
    let table = written_table(&Sandbox::new()).await;
    let lines: Vec<_> = table.iter().map(|(name, run)| format!("{name:16} {run}")).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    deep-recursion   trap     fuel    54685 memory   262144 outcome c3961ac548a7c1d1 log 4f53cda18c2baa0c
    host-call-storm  fuel     fuel 20000000 memory   262144 outcome ad6f7b6270ee3bd6 log 501b1fd56cb1c298
    log-flood        fuel     fuel 20000000 memory  1310720 outcome ad6f7b6270ee3bd6 log 26e22ffec288900a
    memory-growth    memory   fuel     4197 memory 63176704 outcome a0b1e167abfee524 log 4f53cda18c2baa0c
    probes           done     fuel 10704916 memory   327680 outcome 3da181246c3abb2b log 4145dce53e33e52a
    random-flood     trap     fuel    25642 memory   262144 outcome 6c8e357b55803db7 log 4f53cda18c2baa0c
    ready-storm      fuel     fuel 20000000 memory   262144 outcome ad6f7b6270ee3bd6 log 4f53cda18c2baa0c
    ");
}

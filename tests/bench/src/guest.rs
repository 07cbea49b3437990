//! The plugin of `call`, three ways: prepared by the product, on bare wasmtime, and by hand in native Rust.
//!
//! [`Bare`] is the same engine configuration without the product around it: no capabilities (all imports trap; the
//! plugin calls none), no report. Reusing one of its instances is what a host without isolation between events would
//! do; a fresh instance on it is the floor under the product's own fresh instance.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use creel_runtime::gate;
use creel_runtime::limits::{
    EngineOptions, HOST_CALL_BYTES_MAX, INSTANCES_PER_RUN_MAX, Limits, MEMORIES_PER_RUN_MAX, TABLES_PER_RUN_MAX,
};
use creel_server::toolchain;
use creel_webhook::clock::Timestamp;
use creel_webhook::outcome::GuestEvent;
use serde::Deserialize;
use serde_json::json;
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store, UpdateDeadline};

use self::bindings::creel::plugin::types;
use self::bindings::{Plugin, PluginPre};

/// The plugin that is measured: typed parse of a GitHub event, one call to Slack.
const PLUGIN: &str = "github-to-slack";

#[allow(missing_docs, unreachable_pub, clippy::all)]
mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "plugin",
        exports: { default: async },
    });
}

/// Builds the first-party plugins as the product does; gives the one that is measured.
pub(crate) fn build(target: &Path) -> anyhow::Result<Bytes> {
    let wasm = built("plugins", PLUGIN, &PathBuf::from(target).join("guests"))?;
    Ok(std::fs::read(&wasm).with_context(|| format!("reading {}", wasm.display()))?.into())
}

/// Builds the fixtures of the tests; gives the component of this one.
pub(crate) fn fixture(name: &str, target: &Path) -> anyhow::Result<PathBuf> {
    built("tests/components", name, &PathBuf::from(target).join("fixtures"))
}

fn built(workspace: &str, name: &str, target: &Path) -> anyhow::Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().context("finding the checkout")?;
    let job = toolchain::Build {
        workspace: root.join(workspace),
        sources: vec![root.join("guest-sdk"), root.join("wit")],
        root,
        target: target.to_owned(),
    };
    let guests = toolchain::build(&job, &mut |line| eprintln!("  {line}"))?;
    let guest = guests.into_iter().find(|guest| guest.name == name);
    Ok(guest.with_context(|| format!("the guest `{name}` was not built"))?.wasm)
}

/// The event: a push of four commits, about 2 KB with a provider's usual headers.
pub(crate) fn event() -> GuestEvent {
    let headers = [
        ("host", "hooks.example.com"),
        ("user-agent", "GitHub-Hookshot/044aadd"),
        ("accept", "*/*"),
        ("content-type", "application/json"),
        ("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"),
        ("x-github-event", "push"),
        ("x-github-hook-id", "292430182"),
        ("x-hub-signature-256", "[verified]"),
    ];
    GuestEvent {
        id: "evt_0190f3c2a7b47c8e9d0e1f2a3b4c5d6e".into(),
        request_id: "req_0190f3c2a7b47c8e9d0e1f2a3b4c5d6f".into(),
        index: 0,
        count: 1,
        source: "github".into(),
        scheme: "github".into(),
        kind: "push".into(),
        provider_id: Some("72d3162e-cc78-11e3-81ab-4c9367dc0958".into()),
        subject: Some("example/shop".into()),
        received_at: Timestamp::from_millis(1_767_225_600_250),
        method: "POST".into(),
        query: Vec::new(),
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        attributes: Vec::new(),
        body: body(),
    }
}

fn body() -> Bytes {
    push("0d1a26e67d8f").into()
}

/// A push of four commits whose comparison ends with `...` and this, which the plugin carries into its call.
pub(crate) fn push(end: &str) -> String {
    let commits: Vec<_> = (0..4)
        .map(|number| {
            json!({
                "id": format!("0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1{number}"),
                "message": format!("Keep the basket when the session ends, part {number}"),
                "timestamp": "2026-01-05T16:57:46-08:00",
                "url": format!("https://github.com/example/shop/commit/0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1{number}"),
                "author": { "name": "Mona", "email": "mona@example.com", "username": "mona" },
                "added": [], "removed": [], "modified": ["src/basket.rs", "src/session.rs"],
            })
        })
        .collect();
    let body = json!({
        "ref": "refs/heads/main",
        "before": "6113728f27ae82c7b1a177c8d03f9e96e0adf246",
        "after": "0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd13",
        "created": false, "deleted": false, "forced": false,
        "compare": format!("https://github.com/example/shop/compare/6113728f27ae...{end}"),
        "commits": commits,
        "repository": { "id": 1, "full_name": "example/shop", "private": false, "default_branch": "main" },
        "pusher": { "name": "mona", "email": "mona@example.com" },
        "sender": { "login": "mona", "id": 1, "type": "User", "site_admin": false },
    });
    body.to_string()
}

/// The plugin on wasmtime without the product.
pub(crate) struct Bare {
    engine: Engine,
    pre: PluginPre<()>,
    fuel: u64,
}

impl Bare {
    /// Compiles the upload for an engine of its own, configured like the product's.
    pub(crate) fn prepare(upload: &Bytes) -> anyhow::Result<Bare> {
        let inspected =
            gate::inspection::inspect(upload, &Limits::default()).map_err(|refusal| anyhow!("{refusal}"))?;
        let engine = Engine::new(&config(&EngineOptions::default())).map_err(wasm)?;
        let component = Component::new(&engine, &inspected.component).map_err(wasm)?;
        let mut linker = Linker::new(&engine);
        linker.define_unknown_imports_as_traps(&component).map_err(wasm)?;
        let pre = PluginPre::new(linker.instantiate_pre(&component).map_err(wasm)?).map_err(wasm)?;
        Ok(Bare { engine, pre, fuel: Limits::default().fuel_max })
    }

    /// A fresh instance.
    pub(crate) async fn instance(&self) -> anyhow::Result<Instance> {
        let mut store = Store::new(&self.engine, ());
        store.set_fuel(self.fuel).map_err(wasm)?;
        store.set_hostcall_fuel(HOST_CALL_BYTES_MAX);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|_| Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now()))));
        let plugin = self.pre.instantiate_async(&mut store).await.map_err(wasm)?;
        Ok(Instance { store, plugin, fuel: self.fuel })
    }
}

/// An instance that can be called again and again.
pub(crate) struct Instance {
    store: Store<()>,
    plugin: Plugin,
    fuel: u64,
}

impl Instance {
    /// One call; gives the number of calls that the plugin decided.
    pub(crate) async fn call(&mut self, event: GuestEvent) -> anyhow::Result<usize> {
        self.store.set_fuel(self.fuel).map_err(wasm)?;
        let event = translate(event);
        let answer = self.plugin.creel_plugin_handler().call_handle(&mut self.store, &event).await.map_err(wasm)?;
        Ok(answer.map_err(|failure| anyhow!("the plugin refused: {failure:?}"))?.calls.len())
    }
}

/// What the product configures, as far as it is public.
fn config(options: &EngineOptions) -> Config {
    let runs = options.runs_max;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(runs)
        .total_core_instances(runs * INSTANCES_PER_RUN_MAX)
        .total_memories(runs * MEMORIES_PER_RUN_MAX)
        .total_tables(runs * TABLES_PER_RUN_MAX)
        .total_stacks(runs * 2)
        .max_core_instances_per_component(INSTANCES_PER_RUN_MAX)
        .max_memories_per_component(MEMORIES_PER_RUN_MAX)
        .max_tables_per_component(TABLES_PER_RUN_MAX)
        .max_memory_size(options.memory_bytes_ceiling as usize)
        .table_elements(options.table_elements_ceiling as usize)
        .linear_memory_keep_resident(options.memory_keep_resident_bytes)
        .table_keep_resident(options.table_keep_resident_bytes)
        .async_stack_keep_resident(options.stack_keep_resident_bytes);
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .epoch_interruption(true)
        .wasm_component_model(true)
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .shared_memory(false)
        .wasm_memory64(false)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

fn translate(event: GuestEvent) -> types::Event {
    types::Event {
        id: event.id,
        request_id: event.request_id,
        index: event.index,
        count: event.count,
        source: event.source,
        scheme: event.scheme,
        kind: event.kind,
        provider_id: event.provider_id,
        subject: event.subject,
        received_at_ms: event.received_at.as_millis().unsigned_abs(),
        method: event.method,
        query: event.query,
        headers: event.headers,
        attributes: event.attributes,
        body: match String::from_utf8(event.body.into()) {
            Ok(text) => types::Body::Text(text),
            Err(error) => types::Body::Bytes(error.into_bytes()),
        },
    }
}

fn wasm(error: wasmtime::Error) -> anyhow::Error {
    anyhow!("{error:#}")
}

/// The plugin's work without a sandbox; gives the call's body.
pub(crate) fn natively(event: &GuestEvent) -> anyhow::Result<String> {
    let push: Push = serde_json::from_slice(&event.body)?;
    let (who, repository) = (push.pusher.name, push.repository.full_name);
    let text = match push.commits.as_slice() {
        [] => return Ok(String::new()),
        [only] => format!("{who} pushed to {repository}: {}", only.message),
        all => format!("{who} pushed {} commits to {repository}: <{}|compare>", all.len(), push.compare),
    };
    Ok(serde_json::to_string(&json!({ "text": text }))?)
}

#[derive(Deserialize)]
struct Push {
    compare: String,
    pusher: Pusher,
    repository: Repository,
    commits: Vec<Commit>,
}

#[derive(Deserialize)]
struct Pusher {
    name: String,
}

#[derive(Deserialize)]
struct Repository {
    full_name: String,
}

#[derive(Deserialize)]
struct Commit {
    message: String,
}

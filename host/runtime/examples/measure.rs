//! What a run costs: `measure [--runs N] plugin.wasm…`
//!
//! Prepares each upload and runs it on one event with a body of 2 KB: first one run, with what it said, then many in a
//! row on one thread. Also measures how fast fuel burns.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use creel_runtime::cache::Cache;
use creel_runtime::capability::granted::Granted;
use creel_runtime::gate::Prepared;
use creel_runtime::gate::compile::{Compiler, CompilerOptions};
use creel_runtime::limits::{EngineOptions, Limits};
use creel_runtime::registry::Registry;
use creel_runtime::run::{RunInput, Runtime};
use creel_webhook::clock::Timestamp;
use creel_webhook::outcome::GuestEvent;
use creel_webhook::secret::SecretBytes;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if std::env::args().nth(1).as_deref() == Some("compile-component") {
        std::process::exit(creel_runtime::gate::compile::child_main());
    }
    let mut arguments = std::env::args().skip(1).peekable();
    let runs = match arguments.next_if(|argument| argument == "--runs") {
        Some(_) => arguments.next().context("--runs needs a number")?.parse()?,
        None => 2_000,
    };
    let runtime = Runtime::new(&EngineOptions::default())?;
    let directory = tempfile::tempdir()?;
    let cache = Cache::open(directory.path(), runtime.sandbox(), SecretBytes::new(vec![1; 32]), u64::MAX)?;
    let command = Some((std::env::current_exe()?, vec!["compile-component".into()]));
    let compiler = Compiler::new(CompilerOptions { command, ..CompilerOptions::default() });
    let registry = Registry::new(runtime.sandbox(), cache, compiler, Limits::default(), u64::MAX);
    for path in arguments.map(PathBuf::from) {
        let upload = Bytes::from(std::fs::read(&path)?);
        let start = Instant::now();
        match registry.admit(upload.clone(), &Limits::default()).await {
            Ok(prepared) => measure(&runtime, &path, prepared, start.elapsed(), runs).await,
            Err(error) => println!("{}: {error}", path.display()),
        }
    }
    Ok(())
}

async fn measure(runtime: &Runtime, path: &std::path::Path, prepared: Arc<Prepared>, ready: Duration, runs: u32) {
    let report = runtime.run(prepared.clone(), input()).await;
    println!(
        "{}: ready in {ready:.1?}, {} KiB of code; first run {:?} {:?} {} log lines",
        path.display(),
        prepared.artifact_bytes >> 10,
        report.verdict,
        report.reason,
        report.log.len()
    );
    for line in report.log.iter().take(8) {
        println!("    {:?} {}", line.level, line.message);
    }
    let usage = report.usage;
    // What takes long is measured by a few runs.
    let runs = runs.min(u32::try_from(2_000_000 / usage.cpu_us.max(1)).unwrap_or(1)).max(1);
    let start = Instant::now();
    for _ in 0..runs {
        runtime.run(prepared.clone(), input()).await;
    }
    let each = start.elapsed() / runs;
    println!(
        "    {each:.1?} a run ({runs} runs), {} fuel ({:.1} fuel/ns), {} KiB of memory",
        usage.fuel,
        usage.fuel as f64 / each.as_nanos() as f64,
        usage.memory_bytes >> 10
    );
}

fn input() -> RunInput {
    let body = format!("{{\"order\":42,\"note\":\"{}\"}}", "x".repeat(2_000));
    let event = GuestEvent {
        id: "evt_1".into(),
        request_id: "req_1".into(),
        index: 0,
        count: 1,
        source: "shop".into(),
        scheme: "test".into(),
        kind: "order.created".into(),
        provider_id: None,
        subject: None,
        received_at: Timestamp::from_millis(1_767_225_600_250),
        method: "POST".into(),
        query: vec![],
        headers: vec![("content-type".into(), "application/json".into())],
        attributes: vec![],
        body: Bytes::from(body),
    };
    RunInput { event, limits: Limits::default(), capabilities: Box::new(Granted::default()), seed: [0; 32] }
}

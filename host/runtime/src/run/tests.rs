//! Runs, told from outside: a guest, limits, and what the report says.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use creel_webhook::breach::RunLimit;
use creel_webhook::outcome::Pair;
use creel_webhook::record::{FetchRequest, FetchResponse};
use creel_webhook::run::{LogLevel, LogLine};

use super::threads::GuestThreads;
use super::*;
use crate::capability::seam::{FetchError, StateError};
use crate::testing::{Bench, EMPTY, LOG, REPLY_2048, event, guest, input};

fn limits() -> Limits {
    Limits { fuel_max: 20_000_000, ..Limits::default() }
}

fn reason(report: &RunReport) -> &str {
    report.reason.as_deref().unwrap()
}

#[tokio::test]
async fn a_handler_that_returns_is_done() {
    let report = Bench::new().run(guest("", EMPTY), limits()).await;
    assert_eq!((report.verdict, report.reason, report.log), (Verdict::Done, None, vec![]));
    assert_eq!(report.outcome, Some(Outcome::default()));
    assert!(report.usage.fuel > 0 && report.usage.memory_bytes == 4 << 16);
}

#[tokio::test]
async fn a_handler_may_reject_or_ask_for_a_retry() {
    let bench = Bench::new();
    let failure = |kind| {
        format!(
            "(i32.store8 (i32.const 1024) (i32.const 1)) (i32.store8 (i32.const 1032) (i32.const {kind}))
             (i32.store (i32.const 1040) (i32.const 528)) (i32.store (i32.const 1044) (i32.const 11))
             (i64.store (i32.const 1048) (i64.const 1500)) (i32.const 1024)"
        )
    };
    let report = bench.run(guest("", &failure(0)), limits()).await;
    assert_eq!((report.verdict, reason(&report)), (Verdict::Rejected, "no order id"));
    let report = bench.run(guest("", &failure(1)), limits()).await;
    assert_eq!((report.verdict, report.retry_after_ms), (Verdict::Retry, Some(1_500)));
}

#[tokio::test]
async fn a_run_finds_its_data_as_it_was_uploaded_whether_it_is_mapped_or_copied() {
    let bench = Bench::new();
    // It shows the first and the last byte of its data, then overwrites them.
    let shows = format!(
        "(i32.store8 (i32.const 2048) (i32.load8_u (i32.const 4096)))
         (i32.store8 (i32.const 2049) (i32.load8_u (i32.const 64000)))
         (i32.store8 (i32.const 4096) (i32.const 33)) (i32.store8 (i32.const 64000) (i32.const 33))
         (local.set $b (i32.const 2)) {REPLY_2048}"
    );
    let fuel_of = |data: usize| {
        let text = "a".repeat(data);
        let segments = format!(r#"(data (i32.const 4096) "{text}") (data (i32.const 64000) "z")"#);
        let (bench, upload) = (&bench, guest(&segments, &shows));
        async move {
            let mut fuel = 0;
            for _ in 0..3 {
                let report = bench.run(upload.clone(), limits()).await;
                let reply = report.outcome.and_then(|outcome| outcome.reply).expect("it replies");
                assert_eq!(reply.body.as_deref(), Some(&b"az"[..]), "{data} bytes");
                fuel = report.usage.fuel;
            }
            fuel
        }
    };
    let (little, more, much) = (fuel_of(1_000).await, fuel_of(50_000).await, fuel_of(80_000).await);
    assert_eq!(more - little, 49_000, "what is copied is paid for");
    assert!(much < little, "what is mapped is not: {much}");
}

#[tokio::test]
async fn an_endless_loop_ends_by_fuel() {
    let bench = Bench::new();
    let upload = guest("", "(loop $l (br $l)) unreachable");
    let report = bench.run(upload.clone(), limits()).await;
    assert_eq!(report.verdict, Verdict::Fuel);
    assert_eq!(report.usage.fuel, limits().fuel_max);
    assert!(reason(&report).contains("fuel_max is 20000000") && reason(&report).contains("raise fuel_max"));
    let again = bench.run(upload, limits()).await;
    assert_eq!(again.usage.fuel, report.usage.fuel);
}

#[tokio::test]
async fn a_guest_that_only_calls_the_host_ends_by_fuel_too() {
    let body = "(loop $l (call $log (i32.const 2) (i32.const 512) (i32.const 5)) (br $l)) unreachable";
    let report = Bench::new().run(guest(LOG, body), limits()).await;
    assert_eq!(report.verdict, Verdict::Fuel, "{report:?}");
    assert_eq!(report.log.len(), 257);
}

#[tokio::test]
async fn an_endless_loop_with_fuel_ends_by_the_clock_and_yields_meanwhile() {
    let bench = Bench::new();
    let prepared = bench.prepare(guest("", "(loop $l (br $l)) unreachable")).await;
    let limits = Limits { fuel_max: u64::MAX / 4, timeout_ms: 300, ..Limits::default() };
    let ended = std::cell::Cell::new(false);
    // One thread: the other future advances only when the guest yields.
    let run = async {
        let report = bench.runtime.run(prepared, input(limits)).await;
        ended.set(true);
        report
    };
    let (report, turns) = tokio::join!(run, async {
        let mut turns = 0;
        while !ended.get() {
            turns += 1;
            tokio::task::yield_now().await;
        }
        turns
    });
    assert_eq!(report.verdict, Verdict::Timeout);
    assert!(reason(&report).contains("timeout_ms = 300"));
    let breach = report.breach.expect("a limit");
    assert_eq!((breach.limit, breach.allowed), (RunLimit::RunTimeoutMs, 300));
    assert!(breach.used >= Some(300), "{breach:?}");
    assert!(turns > 1, "{turns}");
}

#[tokio::test]
async fn time_in_line_for_a_thread_is_not_the_runs() {
    let bench = Bench::new();
    let prepared = bench.prepare(guest("", "(loop $l (br $l)) unreachable")).await;
    // A tenth of what it may take, and several slices, of which each waits for a hundred milliseconds.
    let limits = Limits { fuel_max: 20_000_000, timeout_ms: 200, ..Limits::default() };
    // One thread, which the other future holds in between.
    let ended = std::cell::Cell::new(false);
    let run = async {
        let report = bench.runtime.run(prepared, input(limits)).await;
        ended.set(true);
        report
    };
    let began = Instant::now();
    let (report, ()) = tokio::join!(run, async {
        while !ended.get() && began.elapsed() < Duration::from_secs(20) {
            let until = Instant::now() + Duration::from_millis(100);
            while Instant::now() < until {}
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(report.verdict, Verdict::Fuel, "{report:?} after {:?}", began.elapsed());
    assert!(began.elapsed() > Duration::from_millis(200), "it stood in line for longer than it may run");
}

#[tokio::test]
async fn refused_memory_is_the_verdict_when_the_guest_traps_over_it() {
    let bench = Bench::new();
    let grow = "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))";
    let limits = Limits { memory_bytes_max: 8 << 20, ..limits() };
    let report = bench.run(guest("", &format!("{grow} unreachable")), limits.clone()).await;
    assert_eq!(report.verdict, Verdict::Memory);
    assert!(reason(&report).contains("memory_bytes_max is 8388608"), "{}", reason(&report));
    assert!(report.usage.memory_bytes > 7 << 20 && report.usage.memory_bytes <= 8 << 20);

    let report = bench.run(guest("", &format!("{grow} {EMPTY}")), limits).await;
    assert_eq!(report.verdict, Verdict::Done);
}

#[tokio::test]
async fn a_guest_that_starts_too_big_has_the_verdict_memory() {
    let limits = Limits { memory_bytes_max: 1 << 16, ..limits() };
    let report = Bench::new().run(guest("", EMPTY), limits).await;
    assert_eq!(report.verdict, Verdict::Memory, "{report:?}");
}

#[tokio::test]
async fn traps_are_told_in_words() {
    let bench = Bench::new();
    let report = bench.run(guest("", "unreachable"), limits()).await;
    assert_eq!(report.verdict, Verdict::Trap);
    assert!(reason(&report).starts_with("the plugin panicked or aborted without saying why"));

    let panic = "(call $log (i32.const 4) (i32.const 528) (i32.const 11)) unreachable";
    let report = bench.run(guest(LOG, panic), limits()).await;
    assert_eq!(reason(&report), "the plugin panicked: no order id");
    assert_eq!(report.log, [LogLine { level: LogLevel::Error, message: "no order id".into() }]);

    let report = bench.run(guest("", "(i32.div_u (i32.const 1) (local.get $a))"), limits()).await;
    assert_eq!(reason(&report), "the plugin divided by zero");
    let report = bench.run(guest("", "(call $handle (local.get $event))"), limits()).await;
    assert!(reason(&report).contains("overflowed its stack"), "{}", reason(&report));
    let report = bench.run(guest("", "(i32.const -8)"), limits()).await;
    assert!(reason(&report).starts_with("the plugin broke the contract"), "{}", reason(&report));
}

#[tokio::test]
async fn an_outcome_over_its_limit_is_refused_as_a_whole() {
    let bench = Bench::new();
    let upload = guest("", &format!("(local.set $b (i32.const 100)) {REPLY_2048}"));
    let report = bench.run(upload.clone(), Limits { reply_bytes_max: 99, ..limits() }).await;
    assert_eq!((report.verdict, report.outcome.clone()), (Verdict::Output, None));
    assert!(reason(&report).contains("100 bytes, reply_bytes_max is 99"));
    let report = bench.run(upload, Limits { reply_bytes_max: 100, ..limits() }).await;
    assert_eq!(report.verdict, Verdict::Done);
}

#[tokio::test]
async fn what_is_handed_over_at_once_is_bounded() {
    let body = format!("(drop (memory.grow (i32.const 600))) (local.set $b (i32.const 36000000)) {REPLY_2048}");
    let report = Bench::new().run(guest("", &body), limits()).await;
    assert_eq!(report.verdict, Verdict::Output, "{report:?}");
    assert!(reason(&report).contains("more than 33554432 bytes at once"));
}

#[tokio::test]
async fn a_long_log_is_cut_and_says_so() {
    let body = format!(
        "(loop $l (call $log (i32.const 2) (i32.const 512) (i32.const 5))
            (br_if $l (i32.lt_u (local.tee $a (i32.add (local.get $a) (i32.const 1))) (i32.const 300)))) {EMPTY}"
    );
    let report = Bench::new().run(guest(LOG, &body), limits()).await;
    assert_eq!(report.verdict, Verdict::Done);
    assert_eq!(report.log.len(), 257);
    assert!(report.log[256].message.contains("220 bytes in 44 lines"), "{}", report.log[256].message);
}

/// A guest of wasm32-wasip1 that asks for all that could differ between two runs: randomness, both clocks around a
/// sleep of an hour, and writes a line. Replies what it saw: 32 random bytes, wall clock, monotonic before and after.
fn curious() -> Bytes {
    let imports = r#"
        (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
        (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))"#;
    let body = format!(
        "(drop (call $random (i32.const 2048) (i32.const 32)))
         (drop (call $clock (i32.const 0) (i64.const 0) (i32.const 2080)))
         (drop (call $clock (i32.const 1) (i64.const 0) (i32.const 2088)))
         (i32.store (i32.const 3016) (i32.const 1)) (i64.store (i32.const 3024) (i64.const 3600000000000))
         (drop (call $poll (i32.const 3000) (i32.const 3100) (i32.const 1) (i32.const 3200)))
         (drop (call $clock (i32.const 1) (i64.const 0) (i32.const 2096)))
         (i32.store (i32.const 3300) (i32.const 544)) (i32.store (i32.const 3304) (i32.const 4))
         (drop (call $write (i32.const 1) (i32.const 3300) (i32.const 1) (i32.const 3400)))
         (local.set $b (i32.const 56)) {REPLY_2048}"
    );
    guest(imports, &body)
}

fn reply_of(report: &RunReport) -> Bytes {
    let reply = report.outcome.as_ref().unwrap_or_else(|| panic!("{report:?}")).reply.as_ref().unwrap();
    reply.body.clone().unwrap()
}

#[tokio::test]
async fn clocks_and_randomness_are_virtual() {
    let bench = Bench::new();
    let start = Instant::now();
    let report = bench.run(curious(), Limits::default()).await;
    assert!(start.elapsed() < Duration::from_secs(60), "an hour's sleep takes no time");
    let seen = reply_of(&report);
    let number = |at: usize| u64::from_le_bytes(seen[at..at + 8].try_into().unwrap());
    assert_eq!(number(32), 1_767_225_600_250 * 1_000_000);
    assert_eq!(number(48) - number(40), 3_600_000_000_000 + 1_000);
    assert_eq!(report.log, [LogLine { level: LogLevel::Info, message: "aha".into() }]);

    let prepared = bench.prepare(curious()).await;
    let other = bench.runtime.run(prepared, RunInput { seed: [4; 32], ..input(Limits::default()) }).await;
    assert_ne!(seen[..32], reply_of(&other)[..32]);
    assert_eq!(seen[32..], reply_of(&other)[32..]);
}

/// A report without what the machine decides.
fn repeatable(report: RunReport) -> RunReport {
    let usage = Usage { cpu_us: 0, wait_us: 0, ..report.usage };
    RunReport { usage, ..report }
}

#[tokio::test]
async fn same_input_same_report_however_busy_the_machine_is() {
    let bench = Arc::new(Bench::new());
    let first = repeatable(bench.run(curious(), Limits::default()).await);
    let curious = bench.prepare(curious()).await;
    let busy = bench.prepare(guest("", "(loop $l (br $l)) unreachable")).await;
    let threads = GuestThreads::start(3).unwrap();
    let mut runs = Vec::new();
    for _ in 0..12 {
        for prepared in [&busy, &curious] {
            let (bench, prepared) = (bench.clone(), prepared.clone());
            runs.push(threads.spawn(creel_webhook::id::TenantId::from_bytes([7; 16]), async move {
                bench.runtime.run(prepared, input(limits())).await
            }));
        }
    }
    for (index, run) in runs.into_iter().enumerate() {
        let report = run.await.unwrap();
        if index % 2 == 0 {
            assert_eq!((report.verdict, report.usage.fuel), (Verdict::Fuel, limits().fuel_max));
        } else {
            assert_eq!(repeatable(report), first);
        }
    }
    assert_eq!(bench.runtime.sandbox().runs_free(), 4);
}

#[tokio::test]
async fn exit_is_an_end_without_an_outcome() {
    let imports = r#"(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))"#;
    let report = Bench::new().run(guest(imports, "(call $exit (i32.const 3)) unreachable"), Limits::default()).await;
    assert_eq!(report.verdict, Verdict::Trap);
    assert!(reason(&report).starts_with("the plugin called exit("), "{}", reason(&report));
}

/// A seam whose look-ups never end and whose state is out of order.
struct OutOfOrder;

#[async_trait]
impl Capabilities for OutOfOrder {
    fn config_get(&mut self, _: &str) -> Option<String> {
        None
    }

    fn config_all(&mut self) -> Vec<Pair> {
        Vec::new()
    }

    async fn state_get(&mut self, _: &str) -> Result<Option<Bytes>, StateError> {
        Err(StateError::Broken("the record has no answer to state.get(\"hello\")".into()))
    }

    async fn state_set(&mut self, _: &str, _: Bytes) -> Result<(), StateError> {
        Ok(())
    }

    async fn state_delete(&mut self, _: &str) -> Result<(), StateError> {
        Ok(())
    }

    async fn fetch(&mut self, _: FetchRequest) -> Result<FetchResponse, FetchError> {
        std::future::pending().await
    }
}

const STATE_GET: &str = r#"(import "creel:plugin/state@0.1.0" "get" (func $get (param i32 i32 i32)))"#;

#[tokio::test]
async fn a_host_that_fails_is_not_the_plugins_fault() {
    let bench = Bench::new();
    let body = format!("(call $get (i32.const 512) (i32.const 5) (i32.const 2048)) {EMPTY}");
    let prepared = bench.prepare(guest(STATE_GET, &body)).await;
    let input = RunInput { capabilities: Box::new(OutOfOrder), ..input(limits()) };
    let report = bench.runtime.run(prepared, input).await;
    assert_eq!(report.verdict, Verdict::Host);
    assert!(reason(&report).contains("the record has no answer"));
}

#[tokio::test]
async fn what_is_not_granted_is_told_to_the_guest() {
    // Layout at 2048: 1 for an error, at 4 its kind, at 8 its text (address, length). Copy the text into the reply.
    let body = format!(
        "(call $get (i32.const 512) (i32.const 5) (i32.const 2048))
         (local.set $b (i32.load (i32.const 2060)))
         (memory.copy (i32.const 2048) (i32.load (i32.const 2056)) (local.get $b)) {REPLY_2048}"
    );
    let report = Bench::new().run(guest(STATE_GET, &body), limits()).await;
    let told = String::from_utf8(reply_of(&report).to_vec()).unwrap();
    assert_eq!(told, creel_webhook::state::denied("get", "hello"));
}

#[tokio::test]
async fn a_guest_parked_in_a_look_up_ends_by_the_clock() {
    let bench = Bench::new();
    let params = "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i64 i32)";
    let import = format!(r#"(import "creel:plugin/fetch@0.1.0" "send" (func $send {params}))"#);
    let zeros = "(i32.const 0)".repeat(13);
    let body = format!("(call $send {zeros} (i64.const 0) (i32.const 2048)) {EMPTY}");
    let prepared = bench.prepare(guest(&import, &body)).await;
    let limits = Limits { timeout_ms: 40, ..limits() };
    let start = Instant::now();
    let input = RunInput { capabilities: Box::new(OutOfOrder), event: event(), limits, seed: [0; 32] };
    let report = bench.runtime.run(prepared, input).await;
    assert_eq!(report.verdict, Verdict::Timeout);
    assert!(start.elapsed() >= Duration::from_millis(40) && start.elapsed() < Duration::from_secs(5));
}

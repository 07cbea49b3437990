//! Scenario `call`: one call of a plugin.
//!
//! **Measures** what a fresh instance per event costs, through the product's own `Runtime::run`, which is what
//! happens in production: store, limits, capabilities, instance, call, report, drop. **Yardsticks**: the same component
//! on an instance that is used again (what isolation costs), a fresh instance on bare wasmtime with the same settings
//! (what the product adds), and the same work in native Rust (what the sandbox costs). One thread, one call at a time,
//! a 2 KB body, a plugin of the repository; the event is handed over by value on every side.

use std::time::Instant;

use anyhow::ensure;
use bytes::Bytes;
use clap::Args;
use creel_webhook::outcome::GuestEvent;
use creel_webhook::run::Verdict;
use serde_json::json;

use crate::guest::{self, Bare};
use crate::sandbox::Sandbox;
use crate::verdict::Goal;
use crate::{disk, machine, stats, verdict};

/// Fresh may cost so many times what reused does.
const GOAL: f64 = 4.0;

/// How it is measured.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Rounds of each side.
    #[arg(long, default_value_t = 15)]
    rounds: u32,
    /// Calls of a round; native ones are ten times as many.
    #[arg(long, default_value_t = 2_000)]
    calls: u32,
    /// Only make fresh calls through the product, for so many seconds (at most 60): something to profile.
    #[arg(long)]
    only_fresh: Option<u64>,
    /// Print one summary object as the last line.
    #[arg(long)]
    json: bool,
}

/// Runs the scenario; says whether its goal was met.
pub(crate) fn run(options: &Options) -> anyhow::Result<bool> {
    ensure!((1..=100).contains(&options.rounds), "--rounds is 1 to 100");
    ensure!((1..=100_000).contains(&options.calls), "--calls is 1 to 100000");
    let upload = guest::build(&disk::target())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let sides = Sides::prepare(upload).await?;
        if let Some(seconds) = options.only_fresh {
            return sides.only_fresh(seconds.min(60)).await.map(|()| true);
        }
        println!("call: one plugin call, a fresh instance against a reused one");
        println!("  machine    {}", machine::facts());
        println!(
            "  plugin     {} KB, {} byte body, {} fuel; {} rounds of {} calls per side in turn",
            sides.upload_bytes / 1_000,
            sides.event.body.len(),
            sides.fuel,
            options.rounds,
            options.calls
        );
        let measured = sides.measure(options).await?;
        Ok(report(options, &measured, sides.fuel))
    })
}

/// Everything that is called.
struct Sides {
    sandbox: Sandbox,
    bare: Bare,
    event: GuestEvent,
    upload_bytes: usize,
    fuel: u64,
}

/// Microseconds per call of each round.
#[derive(Default)]
struct Measured {
    fresh: Vec<f64>,
    bare: Vec<f64>,
    reused: Vec<f64>,
    native: Vec<f64>,
}

impl Sides {
    async fn prepare(upload: Bytes) -> anyhow::Result<Sides> {
        let sandbox = Sandbox::prepare(upload.clone(), &[]).await?;
        let bare = Bare::prepare(&upload)?;
        let mut sides = Sides { sandbox, bare, event: guest::event(), upload_bytes: upload.len(), fuel: 0 };
        let report = sides.sandbox.run(sides.event.clone()).await;
        ensure!(report.verdict == Verdict::Done, "the plugin ended {:?}: {:?}", report.verdict, report.reason);
        ensure!(report.outcome.is_some_and(|outcome| outcome.calls.len() == 1), "the plugin decided nothing");
        sides.fuel = report.usage.fuel;
        Ok(sides)
    }

    async fn measure(&self, options: &Options) -> anyhow::Result<Measured> {
        let mut measured = Measured::default();
        for round in 0..=options.rounds {
            let fresh = self.fresh(options.calls).await?;
            let bare = self.bare_fresh(options.calls).await?;
            let reused = self.reused(options.calls).await?;
            let native = self.native(options.calls * 10)?;
            // The first round warms up.
            if round > 0 {
                measured.fresh.push(fresh);
                measured.bare.push(bare);
                measured.reused.push(reused);
                measured.native.push(native);
            }
        }
        Ok(measured)
    }

    async fn fresh(&self, calls: u32) -> anyhow::Result<f64> {
        let start = Instant::now();
        for _ in 0..calls {
            let report = self.sandbox.run(self.event.clone()).await;
            ensure!(report.verdict == Verdict::Done, "a run ended {:?}: {:?}", report.verdict, report.reason);
        }
        Ok(micros(start, calls))
    }

    async fn bare_fresh(&self, calls: u32) -> anyhow::Result<f64> {
        let start = Instant::now();
        for _ in 0..calls {
            self.bare.instance().await?.call(self.event.clone()).await?;
        }
        Ok(micros(start, calls))
    }

    async fn reused(&self, calls: u32) -> anyhow::Result<f64> {
        let mut instance = self.bare.instance().await?;
        let start = Instant::now();
        for _ in 0..calls {
            instance.call(self.event.clone()).await?;
        }
        Ok(micros(start, calls))
    }

    fn native(&self, calls: u32) -> anyhow::Result<f64> {
        let start = Instant::now();
        for _ in 0..calls {
            let event = std::hint::black_box(self.event.clone());
            std::hint::black_box(guest::natively(&event)?);
        }
        Ok(micros(start, calls))
    }

    async fn only_fresh(&self, seconds: u64) -> anyhow::Result<()> {
        let start = Instant::now();
        while start.elapsed().as_secs() < seconds {
            self.fresh(1_000).await?;
        }
        Ok(())
    }
}

fn micros(start: Instant, calls: u32) -> f64 {
    start.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
}

fn report(options: &Options, measured: &Measured, fuel: u64) -> bool {
    let [fresh, bare, reused, native] =
        [&measured.fresh, &measured.bare, &measured.reused, &measured.native].map(|rounds| stats::median(rounds));
    let ratio = stats::median(&stats::ratios(&measured.fresh, &measured.reused));
    println!("  fresh      {fresh:>7.2} us  a fresh instance through Runtime::run, as in production");
    println!("  bare       {bare:>7.2} us  a fresh instance on bare wasmtime with the same settings");
    println!("  reused     {reused:>7.2} us  the same instance again, on bare wasmtime");
    println!("  native     {native:>7.2} us  the same work in Rust without a sandbox");
    println!("  ratio      {ratio:>7.2}     fresh / reused (median of the rounds' ratios)");
    let goals = [Goal::new(format!("fresh at most {GOAL} times reused: {ratio:.2}"), ratio <= GOAL)];
    let summary = json!({
        "scenario": "call",
        "fresh_us": fresh,
        "bare_fresh_us": bare,
        "reused_us": reused,
        "native_us": native,
        "ratio": ratio,
        "fuel": fuel,
    });
    verdict::end(&goals, options.json, summary)
}

//! Scenario `density`: thousands of distinct components in one process.
//!
//! **Measures** what a host needs that serves 1 000 tenants with ten plugins each, every plugin a component of its own:
//! memory with the defaults of the limits on code, the time of a component's first run from the cache of compiled code,
//! and the rate over a thousand of them in turn. **Yardstick** of the rate: the same component again and again, in
//! alternating rounds.
//!
//! Each component has 20 KB of code that is compiled, kept, checked and loaded for itself; they differ in a number that
//! each answers, so that a mix-up would be seen. Preparing ten thousand takes minutes, so that it is done once per
//! directory and goes on where it was cut off; nothing of it is measured. The configuration of all tenants is in a store
//! beside and held in memory, as a host holds it.

pub(crate) mod crowd;

mod guests;
mod tenants;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use clap::Args;
use creel_runtime::cache::Cache;
use creel_runtime::capability::granted::Granted;
use creel_runtime::descriptors;
use creel_runtime::gate::Prepared;
use creel_runtime::gate::compile::Compiler;
use creel_runtime::limits::{EngineOptions, Limits};
use creel_runtime::registry::Registry;
use creel_runtime::run::{RunInput, Runtime};
use creel_server::config::Config;
use creel_webhook::secret::SecretBytes;
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::crowd::Measured as Whole;
use self::guests::Guests;
use crate::verdict::Goal;
use crate::{child, disk, guest, machine, stats, verdict};

/// Memory of the process at most, MiB.
const MEMORY_GOAL_MIB: u64 = 1_024;

/// Median of a first run from the cache at most, milliseconds.
const COLD_GOAL_MS: f64 = 10.0;

/// Rate over many, as a share of the rate of one, at least.
const RATE_GOAL: f64 = 0.7;

/// How it is measured.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Distinct components; a tenth as many tenants.
    #[arg(long, default_value_t = 10_000)]
    components: u32,
    /// How many of them are run in turn.
    #[arg(long, default_value_t = 1_000)]
    hot: u32,
    /// Rounds of each side, of two runs of each hot component.
    #[arg(long, default_value_t = 7)]
    rounds: u32,
    /// Compile what is missing and measure nothing.
    #[arg(long)]
    prepare: bool,
    /// Run the hot ones in turn only, for so many seconds (at most 60), and compare nothing: something to profile.
    #[arg(long)]
    only_in_turn: Option<f64>,
    /// Where compiled code and store are kept from one time to the next; in cargo's target directory if absent.
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Print one summary object as the last line.
    #[arg(long)]
    json: bool,
}

/// What a process holds now and held at most, MiB.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Memory {
    now: u64,
    most: u64,
}

/// Runs the scenario; says whether its goals were met.
pub(crate) fn run(options: &Options) -> anyhow::Result<bool> {
    ensure!((10..=100_000).contains(&options.components), "--components is 10 to 100000");
    ensure!((1..=options.components).contains(&options.hot), "--hot is 1 to --components");
    ensure!((1..=100).contains(&options.rounds), "--rounds is 1 to 100");
    let directory = options.directory.clone().unwrap_or_else(|| disk::target().join("density"));
    std::fs::create_dir_all(&directory)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let measured = runtime.block_on(async {
        let bench = Bench::open(options, directory.clone()).await?;
        println!(
            "density: {} distinct components of {} tenants",
            options.components,
            options.components.div_ceil(tenants::PLUGINS)
        );
        println!("  machine    {}", machine::facts());
        let compiled = bench.prepare(options.components).await?;
        println!("  prepared   {compiled} compiled now, {} bytes of code each", bench.guests.code_bytes());
        if options.prepare {
            return anyhow::Ok(None);
        }
        let directory = tenants::open(&bench.directory, &bench.guests, options.components).await?;
        let before = memory()?;
        let cold = bench.cold(options.components).await?;
        let after = memory()?;
        if let Some(seconds) = options.only_in_turn {
            bench.in_turn(options.hot, seconds.min(60.0)).await?;
            return Ok(None);
        }
        let (one, many) = bench.rates(options).await?;
        drop(directory);
        Ok(Some((cold, before, after, (one, many))))
    })?;
    let Some((cold, before, after, rates)) = measured else { return Ok(true) };
    let whole: Whole =
        child::run(&crowd::Options::arguments(directory.join(format!("host-{}", options.components)), options))?;
    Ok(report(options, &cold, before, after, (&rates.0, &rates.1), &whole))
}

/// Where components run.
struct Bench {
    guests: Arc<Guests>,
    runtime: Runtime,
    registry: Registry,
    directory: PathBuf,
}

impl Bench {
    /// As a host does it: its defaults for slots, code in memory and code on disk.
    async fn open(options: &Options, directory: PathBuf) -> anyhow::Result<Bench> {
        let defaults = Config::in_directory(&directory).runtime;
        let runs_max = defaults.concurrent_runs + defaults.reply_slots;
        let runtime = Runtime::new(&EngineOptions { runs_max, ..EngineOptions::default() })?;
        let (key, root) = (SecretBytes::new(vec![7; 32]), directory.join("cache"));
        let cache = Cache::open(&root, runtime.sandbox(), key, defaults.cache_bytes_max)?;
        let compiler = Compiler::in_process();
        let registry = Registry::new(runtime.sandbox(), cache, compiler, Limits::default(), defaults.code_bytes_max)
            .holding_at_most(descriptors::components_max(descriptors::raise()));
        let guests = Arc::new(Guests::new(options.components)?);
        Ok(Bench { guests, runtime, registry, directory })
    }

    /// Compiles what the cache does not hold; gives how many that were.
    async fn prepare(&self, components: u32) -> anyhow::Result<u32> {
        let (mut compiled, start) = (0, Instant::now());
        for number in 0..components {
            let load = || std::future::ready(Ok::<_, std::convert::Infallible>(self.guests.upload(number)));
            compiled += u32::from(self.registry.keep(self.guests.digest(number), load).await?);
            if compiled > 0 && compiled % 1_000 == 0 {
                eprintln!("  {number} of {components} after {} s", start.elapsed().as_secs());
            }
        }
        Ok(compiled)
    }

    async fn ready(&self, number: u32) -> anyhow::Result<Arc<Prepared>> {
        let load = || std::future::ready(Err::<bytes::Bytes, _>("it was to be in the cache"));
        self.registry.get(self.guests.digest(number), load).await.context("a component from the cache")
    }

    /// One event for a component; it must answer with its number.
    async fn decide(&self, number: u32) -> anyhow::Result<()> {
        let prepared = self.ready(number).await?;
        let (limits, capabilities) = (Limits::default(), Box::new(Granted::default()));
        let input = RunInput { event: guest::event(), limits, capabilities, seed: [3; 32] };
        let report = self.runtime.run(prepared, input).await;
        let body = report.outcome.and_then(|outcome| outcome.reply?.body);
        ensure!(body.as_deref() == Some(&guests::answer(number)[..]), "component {number}: {:?}", report.reason);
        Ok(())
    }

    /// Milliseconds of each component's first run, in an order that is none.
    async fn cold(&self, components: u32) -> anyhow::Result<Vec<f64>> {
        let mut millis = Vec::with_capacity(components as usize);
        for step in 0..components {
            let start = Instant::now();
            self.decide(guests::shuffled(step, components)).await?;
            millis.push(start.elapsed().as_secs_f64() * 1e3);
        }
        Ok(millis)
    }

    /// Runs per second of one component and of many in turn, round by round.
    async fn rates(&self, options: &Options) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
        let (mut one, mut many) = (Vec::new(), Vec::new());
        for round in 0..=options.rounds {
            let (of_one, of_many) =
                (self.rate(1, 2 * options.hot).await?, self.rate(options.hot, 2 * options.hot).await?);
            // The first round warms up.
            if round > 0 {
                one.push(of_one);
                many.push(of_many);
            }
        }
        Ok((one, many))
    }

    /// Runs them in turn and nothing else.
    async fn in_turn(&self, components: u32, seconds: f64) -> anyhow::Result<()> {
        println!("  process    {}", std::process::id());
        let (start, mut runs) = (Instant::now(), 0_u32);
        while start.elapsed().as_secs_f64() < seconds {
            self.rate(components, components).await?;
            runs += components;
        }
        println!("  rate       {components} in turn {:.0}/s", f64::from(runs) / start.elapsed().as_secs_f64());
        Ok(())
    }

    async fn rate(&self, components: u32, runs: u32) -> anyhow::Result<f64> {
        let start = Instant::now();
        for run in 0..runs {
            self.decide(run % components).await?;
        }
        Ok(f64::from(runs) / start.elapsed().as_secs_f64())
    }
}

fn report(
    options: &Options,
    cold: &[f64],
    before: Memory,
    after: Memory,
    rates: (&[f64], &[f64]),
    whole: &Whole,
) -> bool {
    let (p50, p99) = (stats::median(cold), stats::quantile(cold, 0.99));
    let (one, many) = (stats::median(rates.0), stats::median(rates.1));
    let ratio = stats::median(&stats::ratios(rates.1, rates.0));
    println!(
        "  memory     {} MiB before, {} MiB after the first run of each, {} MiB at most",
        before.now, after.now, after.most
    );
    println!("  first run  p50 {p50:.2} ms, p99 {p99:.2} ms, from the cache");
    println!("  rate       one {one:.0}/s, {} in turn {many:.0}/s, {:.1} %", options.hot, ratio * 100.0);
    let whole_ratio = stats::median(&stats::ratios(&whole.many, &whole.one));
    println!(
        "  host       {} MiB after the first event of each, {} MiB at most; one {:.0}/s, {} in turn {:.0}/s, {:.1} %",
        whole.memory.now,
        whole.memory.most,
        stats::median(&whole.one),
        options.hot,
        stats::median(&whole.many),
        whole_ratio * 100.0
    );
    let goals = [
        Goal::new(format!("memory at most {MEMORY_GOAL_MIB} MiB: {}", after.most), after.most <= MEMORY_GOAL_MIB),
        Goal::new(
            format!("memory of a whole host at most {MEMORY_GOAL_MIB} MiB: {}", whole.memory.most),
            whole.memory.most <= MEMORY_GOAL_MIB,
        ),
        Goal::new(format!("first run p50 at most {COLD_GOAL_MS} ms: {p50:.2}"), p50 <= COLD_GOAL_MS),
        Goal::new(
            format!("rate over {} at least {:.0} % of one: {:.1} %", options.hot, RATE_GOAL * 100.0, ratio * 100.0),
            ratio >= RATE_GOAL,
        ),
    ];
    let summary = json!({
        "scenario": "density", "components": options.components, "hot": options.hot, "memory_mib": after.most,
        "first_run_p50_ms": p50, "first_run_p99_ms": p99, "one_per_s": one, "many_per_s": many, "ratio": ratio,
        "host_memory_mib": whole.memory.most, "host_ratio": whole_ratio,
    });
    verdict::end(&goals, options.json, summary)
}

/// Memory of this process.
fn memory() -> anyhow::Result<Memory> {
    let status = std::fs::read_to_string("/proc/self/status").context("reading the process's memory")?;
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib: Option<u64> = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok());
        kib.map(|kib| kib >> 10).with_context(|| format!("no `{name}` in /proc/self/status"))
    };
    Ok(Memory { now: of("VmRSS:")?, most: of("VmHWM:")? })
}

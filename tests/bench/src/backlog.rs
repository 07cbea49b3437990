//! Scenario `backlog`: what a full store costs.
//!
//! **Measures** the saturated pipeline of a host that remembers a million events, a hundred thousand of whose calls are
//! stuck behind one order key or an open breaker. **Yardstick**: the same host with an empty store, in the same run, in
//! turn. What is stuck must not slow down what is not.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use clap::Args;
use serde_json::json;

use crate::child::Server;
use crate::courier::{Courier, Flow, Pace, Target};
use crate::filling::{Behind, EVENTS_MAX, Past};
use crate::pipeline::{SECRET, component};
use crate::verdict::Goal;
use crate::{disk, machine, stats, verdict, works};

/// The share of an empty store's throughput that is wanted.
const GOAL: f64 = 0.8;

/// Bytes on disk per remembered event, log and file together, and for the rest of the run.
const EVENT_BYTES: u64 = 2_500;
const REST_BYTES: u64 = 2 << 30;

/// How it is measured.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Events that the full store remembers.
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// So many of them have a stuck call.
    #[arg(long, default_value_t = 100_000)]
    blocked: u64,
    /// What they are stuck behind.
    #[arg(long, value_enum, default_value = "key")]
    behind: Behind,
    /// Rounds of each side.
    #[arg(long, default_value_t = 5)]
    rounds: u16,
    /// Seconds of a round, at most 30.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Where the data directories go, on a disk; removed afterwards. By default cargo's target directory.
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Print one summary object as the last line.
    #[arg(long)]
    json: bool,
}

/// Runs the scenario; says whether its goals were met.
pub(crate) fn run(options: &Options) -> anyhow::Result<bool> {
    ensure!((1..=EVENTS_MAX).contains(&options.events), "--events is 1 to {EVENTS_MAX}");
    ensure!(options.blocked <= options.events, "--blocked is at most --events");
    ensure!((1..=20).contains(&options.rounds), "--rounds is 1 to 20");
    ensure!((0.1..=30.0).contains(&options.seconds), "--seconds is 0.1 to 30");
    let directory =
        tempfile::Builder::new().prefix("creel-bench-").tempdir_in(disk::place(options.directory.as_deref())?)?;
    disk::has_room(directory.path(), options.events * EVENT_BYTES + REST_BYTES)?;
    println!("backlog: the pipeline over a full store against the same over an empty one");
    println!("  machine    {}", machine::facts());
    let component = component(directory.path())?;
    let courier = Courier::start()?;
    let start = |name: &str, past: Past| -> anyhow::Result<(Server, works::Ready)> {
        let works = works::Options {
            directory: directory.path().join(name),
            threads: 2,
            secret: SECRET.to_owned(),
            receiver: courier.receiver(),
            component: component.clone(),
            concurrency: 64,
            reply: false,
            again: None,
            past,
        };
        Server::start(&works.arguments()).with_context(|| format!("starting the {name} host"))
    };
    let (empty, empty_at) = start("empty", Past::NONE)?;
    let past = Past { events: options.events, blocked: options.blocked, behind: options.behind, pending: false };
    let (full, full_at) = start("full", past)?;
    println!(
        "  filled     {} events and {} stuck calls in {:.0} s ({:.0} events/s), {} MB",
        options.events,
        full_at.deliveries_pending,
        full_at.filled_s,
        options.events as f64 / full_at.filled_s,
        full_at.bytes / 1_000_000
    );
    println!("  processes  empty {}, full {}", empty.pid(), full.pid());
    let rounds = measure(options, &courier, [empty_at, full_at])?;
    let _: works::Ended = empty.stop().context("stopping the empty host")?;
    let ended: works::Ended = full.stop().context("stopping the full host")?;
    Ok(report(options, &rounds, &ended))
}

/// The flows of each round: empty, full.
fn measure(options: &Options, courier: &Courier, sides: [works::Ready; 2]) -> anyhow::Result<Vec<[Flow; 2]>> {
    let targets = sides.map(|at| Target { address: at.address, path: at.path, secret: SECRET.to_owned() });
    let mut rounds = Vec::new();
    for round in 0..=options.rounds {
        let seconds = if round == 0 { options.seconds.min(1.0) } else { options.seconds };
        let send = |target: &Target| courier.send(target, 64, seconds, Pace::Saturated(256));
        // Whoever goes second has the machine's later mood; take turns.
        let flows = if round % 2 == 0 {
            let empty = send(&targets[0])?;
            [empty, send(&targets[1])?]
        } else {
            let full = send(&targets[1])?;
            [send(&targets[0])?, full]
        };
        println!(
            "  round {round:>2}   empty {:>6.0}/s (p99 {:>6.1} ms)   full {:>6.0}/s (p99 {:>6.1} ms)   {:>5.1} %{}",
            flows[0].per_second,
            flows[0].p99_ms,
            flows[1].per_second,
            flows[1].p99_ms,
            100.0 * flows[1].per_second / flows[0].per_second,
            if round == 0 { "   (warm-up)" } else { "" }
        );
        rounds.push(flows);
    }
    Ok(rounds)
}

fn report(options: &Options, rounds: &[[Flow; 2]], ended: &works::Ended) -> bool {
    let rates = |side: usize| rounds.iter().skip(1).map(|flows| flows[side].per_second).collect::<Vec<_>>();
    let (empty, full) = (rates(0), rates(1));
    let ratio = stats::median(&stats::ratios(&full, &empty));
    let sum = |what: fn(&Flow) -> u64| rounds.iter().flatten().map(what).sum::<u64>();
    let (lost, doubled, refused) = (sum(|flow| flow.lost), sum(|flow| flow.doubled), sum(|flow| flow.refused));
    println!("  median     empty {:.0}/s, full {:.0}/s", stats::median(&empty), stats::median(&full));
    println!("  still stuck {} calls", ended.deliveries_pending);
    let goals = [
        Goal::new(format!("at least {:.0} % of an empty store: {:.1} %", 100.0 * GOAL, 100.0 * ratio), ratio >= GOAL),
        Goal::new(format!("{lost} lost, {doubled} doubled, {refused} refused"), lost + doubled + refused == 0),
        Goal::new(
            format!("the stuck calls still wait: {} of {}", ended.deliveries_pending, options.blocked),
            ended.deliveries_pending == options.blocked && ended.runs_pending == 0,
        ),
    ];
    let summary = json!({
        "scenario": "backlog",
        "events": options.events,
        "blocked": options.blocked,
        "empty_per_second": stats::median(&empty),
        "full_per_second": stats::median(&full),
        "ratio": ratio,
    });
    verdict::end(&goals, options.json, summary)
}

//! Scenario `recovery`: how soon a host that was killed takes requests again.
//!
//! **Measures** the time from the start of the process to its first answer of 2xx, on a data directory whose host was ended
//! with SIGKILL while it took requests and worked on a backlog of pending runs. The log of the database is as the kill left
//! it, and the backlog is being worked on while the first request comes. The program that runs the scenario is warm in the
//! page cache, and so is the database.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use clap::Args;
use serde_json::json;

use crate::child::Server;
use crate::courier::{Courier, Target};
use crate::filling::{Behind, Past};
use crate::pipeline::{SECRET, component};
use crate::verdict::Goal;
use crate::{disk, machine, stats, verdict, works};

/// Milliseconds from the start of the process to the first answer.
const GOAL_MS: f64 = 1_000.0;

/// Runs that are pending beyond the wanted backlog at the first kill, per kill: what is worked off between two kills.
const RESERVE: u64 = 10_000;

/// How it is measured.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Runs that are pending at least, at each kill.
    #[arg(long, default_value_t = 100_000)]
    backlog: u64,
    /// Kills.
    #[arg(long, default_value_t = 5)]
    kills: u16,
    /// Seconds of requests before each kill, at most 5.
    #[arg(long, default_value_t = 0.5)]
    seconds: f64,
    /// Where the data directory goes, on a disk; removed afterwards. By default cargo's target directory.
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Print one summary object as the last line.
    #[arg(long)]
    json: bool,
}

/// Runs the scenario; says whether its goals were met.
pub(crate) fn run(options: &Options) -> anyhow::Result<bool> {
    ensure!((1..=1_000_000).contains(&options.backlog), "--backlog is 1 to 1000000");
    ensure!((1..=20).contains(&options.kills), "--kills is 1 to 20");
    ensure!((0.1..=5.0).contains(&options.seconds), "--seconds is 0.1 to 5");
    let directory =
        tempfile::Builder::new().prefix("creel-bench-").tempdir_in(disk::place(options.directory.as_deref())?)?;
    let events = options.backlog + RESERVE * u64::from(options.kills);
    disk::has_room(directory.path(), events * 5_000 + (1 << 30))?;
    println!("recovery: kill -9 with a backlog, start again, first accepted request");
    println!("  machine    {}", machine::facts());
    let courier = Courier::start()?;
    let mut works = works::Options {
        directory: directory.path().join("data"),
        threads: 2,
        secret: SECRET.to_owned(),
        receiver: courier.receiver(),
        component: component(directory.path())?,
        concurrency: 64,
        reply: false,
        again: None,
        past: Past { events, blocked: 0, behind: Behind::Key, pending: true },
    };
    let (mut server, mut at): (Server, works::Ready) = Server::start(&works.arguments())?;
    println!("  filled     {events} pending runs in {:.0} s, {} MB", at.filled_s, at.bytes / 1_000_000);
    works.again = Some(at.path.clone());
    works.past = Past::NONE;
    let mut times_ms = Vec::new();
    let mut backlog = Vec::new();
    for kill in 1..=options.kills {
        courier.load(&target(&at), 32, options.seconds).context("sending before a kill")?;
        server.kill()?;
        let start = Instant::now();
        (server, at) = Server::start(&works.arguments()).context("starting again")?;
        let ready_ms = start.elapsed().as_secs_f64() * 1e3;
        courier.first_answer(&target(&at)).context("the first request")?;
        let first_ms = start.elapsed().as_secs_f64() * 1e3;
        println!(
            "  kill {kill:>2}    {:>7} runs pending   listening after {ready_ms:>6.0} ms   first 2xx after {first_ms:>6.0} ms",
            at.runs_pending
        );
        times_ms.push(first_ms);
        backlog.push(at.runs_pending);
    }
    drop(server);
    Ok(report(options, &times_ms, &backlog))
}

fn target(at: &works::Ready) -> Target {
    Target { address: at.address.clone(), path: at.path.clone(), secret: SECRET.to_owned() }
}

fn report(options: &Options, times_ms: &[f64], backlog: &[u64]) -> bool {
    let median_ms = stats::median(times_ms);
    let least = backlog.iter().copied().min().unwrap_or(0);
    let goals = [
        Goal::new(
            format!("first accepted request after at most {GOAL_MS:.0} ms: {median_ms:.0} ms"),
            median_ms <= GOAL_MS,
        ),
        Goal::new(format!("at least {} runs pending: {least}", options.backlog), least >= options.backlog),
    ];
    let summary =
        json!({ "scenario": "recovery", "first_accept_ms": median_ms, "times_ms": times_ms, "backlog": backlog });
    verdict::end(&goals, options.json, summary)
}

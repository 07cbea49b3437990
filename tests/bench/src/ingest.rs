//! Scenario `ingest`: durable verified accepts per second.
//!
//! **Measures** how many signed requests a whole host answers 2xx per second, each answered only after request, event
//! and run were committed to disk. **Yardstick**: a bare axum handler that reads the same body and checks the same HMAC
//! and keeps nothing ([`crate::yardstick`]), with as many worker threads. Both are sent the same requests by the same
//! generator on the same machine, in turn.
//!
//! After the last round the host is stopped, its store is opened again, and the ids of all stored events are compared
//! with the ids of all requests that were answered 2xx: none may be missing, none stored twice.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use clap::Args;
use serde_json::json;

use crate::child::{self, Server};
use crate::host::{self, Stored};
use crate::load::{self, Sent};
use crate::verdict::Goal;
use crate::{disk, machine, stats, verdict, yardstick};

/// What both sides verify with.
const SECRET: &str = "9b1deb4d3b7d4bad9bdd2b0d7b3dcb6d";

/// The share of the yardstick that is wanted.
const GOAL: f64 = 0.50;

/// Rounds at most: each stores a gigabyte or less.
const ROUNDS_MAX: u16 = 20;

/// How it is measured.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Rounds of each side.
    #[arg(long, default_value_t = 5)]
    rounds: u16,
    /// Seconds of a round, at most 10.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Connections, each with one request under way: what a host takes from one address. With fewer, the host waits for
    /// its disk in between.
    #[arg(long, default_value_t = 512)]
    connections: u16,
    /// Worker threads of each side.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Send to the host only, for so many seconds (at most 60), and compare nothing: something to profile.
    #[arg(long)]
    only_host: Option<f64>,
    /// Where the data directory goes, on a disk; removed afterwards. By default cargo's target directory.
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Print one summary object as the last line.
    #[arg(long)]
    json: bool,
}

/// Runs the scenario; says whether its goals were met.
pub(crate) fn run(options: &Options) -> anyhow::Result<bool> {
    ensure!((1..=ROUNDS_MAX).contains(&options.rounds), "--rounds is 1 to {ROUNDS_MAX}");
    ensure!((0.1..=10.0).contains(&options.seconds), "--seconds is 0.1 to 10");
    ensure!((1..=512).contains(&options.connections), "--connections is 1 to 512, what a host takes from one address");
    let directory =
        tempfile::Builder::new().prefix("creel-bench-").tempdir_in(disk::place(options.directory.as_deref())?)?;
    let disk = disk::measure(directory.path())?;
    println!(
        "ingest: durable verified accepts (2 KiB body, HMAC-SHA256) against a bare axum handler that only verifies"
    );
    println!("  machine    {}", machine::facts());
    println!(
        "  disk       {} at {}, fdatasync p50 {:.0} us, p99 {:.0} us",
        disk.file_system,
        directory.path().display(),
        disk.sync_p50_us,
        disk.sync_p99_us
    );
    println!(
        "  load       {} connections from one process, {} x {} s per side in turn, {} worker threads per side",
        options.connections, options.rounds, options.seconds, options.threads
    );
    let data = directory.path().join("data");
    if let Some(seconds) = options.only_host {
        return only_host(options, &data, seconds.min(60.0));
    }
    let measured = measure(options, &data)?;
    Ok(report(options, &measured, &disk))
}

/// Loads the host alone.
fn only_host(options: &Options, data: &Path, seconds: f64) -> anyhow::Result<bool> {
    let (host, at) = host(options, data)?;
    println!("  process    {}", host.pid());
    let load = load::Options::to(&at.address, &at.path, SECRET).round(options.connections, seconds, 0);
    let sent: Sent = child::run(&load.arguments())?;
    let cpu_us = host.cpu_seconds() * 1e6 / sent.accepted().max(1) as f64;
    println!("  host       {:.0}/s, {cpu_us:.1} us of processor time per request", sent.per_second);
    Ok(sent.refused == 0)
}

fn common(options: &Options, name: &str) -> Vec<String> {
    [name, "--threads", &options.threads.to_string(), "--secret", SECRET].map(str::to_owned).to_vec()
}

fn host(options: &Options, data: &Path) -> anyhow::Result<(Server, host::Ready)> {
    let mut arguments = common(options, "serve-host");
    arguments.extend(["--directory".to_owned(), data.display().to_string()]);
    Server::start(&arguments)
}

/// What was measured.
struct Measured {
    yardstick: Vec<Sent>,
    host: Vec<Sent>,
    /// Processor time of each server per request, microseconds: it hardly depends on what else the machine does.
    yardstick_cpu_us: f64,
    host_cpu_us: f64,
    stored: Stored,
}

fn measure(options: &Options, data: &Path) -> anyhow::Result<Measured> {
    let (host, at) = host(options, data)?;
    let (bare, bare_at): (Server, yardstick::Ready) = Server::start(&common(options, "serve-yardstick"))?;
    println!("  processes  host {}, yardstick {}", host.pid(), bare.pid());
    let (mut yardstick, mut accepted) = (Vec::new(), Vec::new());
    // Round 0 warms both up; what it stores is compared like the rest.
    for round in 0..=options.rounds {
        let seconds = if round == 0 { options.seconds.min(1.0) } else { options.seconds };
        let send = |address: &str| -> anyhow::Result<Sent> {
            let load = load::Options::to(address, &at.path, SECRET).round(options.connections, seconds, round);
            child::run(&load.arguments())
        };
        yardstick.push(send(&bare_at.address).context("sending to the yardstick")?);
        accepted.push(send(&at.address).context("sending to the host")?);
        let (left, right) = (&yardstick[usize::from(round)], &accepted[usize::from(round)]);
        println!(
            "  round {round:>2}   bare {:>7.0}/s (p50 {:>5} us, p99 {:>5} us)   host {:>7.0}/s (p50 {:>5} us, p99 {:>5} us)   {:>5.1} %{}",
            left.per_second,
            left.p50_us,
            left.p99_us,
            right.per_second,
            right.p50_us,
            right.p99_us,
            100.0 * right.per_second / left.per_second,
            if round == 0 { "   (warm-up)" } else { "" }
        );
    }
    let cpu_us = |server: &Server, sent: &[Sent]| {
        server.cpu_seconds() * 1e6 / sent.iter().map(Sent::accepted).sum::<u64>().max(1) as f64
    };
    let (yardstick_cpu_us, host_cpu_us) = (cpu_us(&bare, &yardstick), cpu_us(&host, &accepted));
    let _: yardstick::Ended = bare.stop()?;
    let stored = host.stop().context("stopping the host")?;
    Ok(Measured { yardstick, host: accepted, yardstick_cpu_us, host_cpu_us, stored })
}

fn report(options: &Options, measured: &Measured, disk: &disk::Disk) -> bool {
    let rates = |rounds: &[Sent]| rounds.iter().skip(1).map(|sent| sent.per_second).collect::<Vec<_>>();
    let (bare, host) = (rates(&measured.yardstick), rates(&measured.host));
    let ratio = stats::median(&stats::ratios(&host, &bare));
    let told: u64 = measured.host.iter().map(Sent::accepted).sum();
    let refused: u64 = measured.host.iter().chain(&measured.yardstick).map(|sent| sent.refused).sum();
    let stored = &measured.stored;
    let lost = lost(&measured.host, stored);
    println!("  median     bare {:.0}/s, host {:.0}/s", stats::median(&bare), stats::median(&host));
    println!(
        "  processor  bare {:.1} us, host {:.1} us per request, the sender's not counted",
        measured.yardstick_cpu_us, measured.host_cpu_us
    );
    println!("  ratio      {:.1} % of the yardstick (median of the rounds' ratios)", 100.0 * ratio);
    println!(
        "  counted    {told} answered 2xx, {} events and {} pending runs stored, {lost} lost, {} doubled, {refused} answered otherwise",
        stored.events, stored.runs_pending, stored.doubled
    );
    println!("  database   {:.0} bytes per event", stored.bytes as f64 / stored.events.max(1) as f64);
    let goals = [
        Goal::new(format!("at least {:.0} % of the yardstick: {:.1} %", 100.0 * GOAL, 100.0 * ratio), ratio >= GOAL),
        Goal::new("every answer 2xx", refused == 0),
        Goal::new(
            format!("none lost, none doubled: {told} answered, {} stored", stored.events),
            lost == 0 && stored.doubled == 0 && stored.events == told && stored.runs_pending == told,
        ),
    ];
    let summary = json!({
        "scenario": "ingest",
        "bare_per_second": stats::median(&bare),
        "host_per_second": stats::median(&host),
        "ratio": ratio,
        "bare_cpu_us": measured.yardstick_cpu_us,
        "host_cpu_us": measured.host_cpu_us,
        "fdatasync_p50_us": disk.sync_p50_us,
        "answered": told,
        "stored": stored.events,
        "lost": lost,
        "doubled": stored.doubled,
    });
    verdict::end(&goals, options.json, summary)
}

/// Requests that were answered 2xx and whose ids are not stored.
fn lost(rounds: &[Sent], stored: &Stored) -> u64 {
    let told: BTreeMap<String, u64> = (0..)
        .zip(rounds)
        .flat_map(|(round, sent)| {
            (0..).zip(&sent.accepted).map(move |(connection, count)| (load::prefix(round, connection), *count))
        })
        .collect();
    told.iter()
        .map(|(prefix, count)| {
            let numbers = stored.lines.get(prefix).copied().unwrap_or_default();
            // Numbers run from 0 without a gap: so many different ones below the count are all of them.
            let found = if numbers.highest < *count { numbers.count } else { 0 };
            count - found
        })
        .sum()
}

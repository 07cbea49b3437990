//! Scenario `serve`: a synchronous reply, with both commits.
//!
//! **Measures** the time from a signed request to the reply that a plugin decided, of a whole host: the request is committed
//! before the plugin runs, and the decision before the sender is answered. **Yardstick**: a bare axum handler that checks the
//! same HMAC and runs the same component in the same sandbox, and keeps nothing ([`crate::yardstick`]). Both are asked the same
//! questions in turn, one at a time over one connection.
//!
//! Two synced commits are what durability costs; so the goal is the yardstick's median, two and a half synced writes of this
//! disk, and a fifth of a millisecond for all the rest.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use clap::Args;
use serde_json::json;

use crate::child::{self, Server};
use crate::filling::Past;
use crate::load::{self, Sent};
use crate::verdict::Goal;
use crate::{disk, guest, machine, stats, verdict, works, yardstick};

/// What both sides verify with.
const SECRET: &str = "9b1deb4d3b7d4bad9bdd2b0d7b3dcb6d";

/// Synced writes that the host may take longer than the yardstick.
const SYNCS: f64 = 2.5;

/// And so much more, microseconds.
const MORE_US: f64 = 200.0;

/// How it is measured.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Rounds of each side.
    #[arg(long, default_value_t = 5)]
    rounds: u16,
    /// Seconds of a round, at most 10.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Ask the host only, for so many seconds (at most 60): something to profile.
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
    ensure!((1..=20).contains(&options.rounds), "--rounds is 1 to 20");
    ensure!((0.1..=10.0).contains(&options.seconds), "--seconds is 0.1 to 10");
    let directory =
        tempfile::Builder::new().prefix("creel-bench-").tempdir_in(disk::place(options.directory.as_deref())?)?;
    println!("serve: a plugin's reply with both commits, against the same component behind bare axum");
    println!("  machine    {}", machine::facts());
    let component = guest::fixture("echo", &disk::target())?;
    let (host, at) = host(&directory.path().join("data"), &component)?;
    if let Some(seconds) = options.only_host {
        println!("  process    {}", host.pid());
        let sent = ask(&at.address, &at.path, seconds.min(60.0), 1)?;
        println!("  host       p50 {} us, p99 {} us", sent.p50_us, sent.p99_us);
        return Ok(true);
    }
    let (bare, bare_at) = yardstick(&component)?;
    let (mut over, mut rounds, mut syncs) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=options.rounds {
        let sync = disk::measure(directory.path())?.sync_p50_us;
        let left = ask(&bare_at.address, &at.path, options.seconds, round)?;
        let right = ask(&at.address, &at.path, options.seconds, round)?;
        println!(
            "  round {round:>2}   bare p50 {:>5} us, p99 {:>5} us   host p50 {:>5} us, p99 {:>5} us   fdatasync p50 {sync:.0} us{}",
            left.p50_us,
            left.p99_us,
            right.p50_us,
            right.p99_us,
            if round == 0 { "   (warm-up)" } else { "" }
        );
        if round > 0 {
            over.push(right.p50_us as f64 - left.p50_us as f64 - SYNCS * sync);
            syncs.push(sync);
            rounds.push((left, right));
        }
    }
    let _: yardstick::Ended = bare.stop()?;
    let ended: works::Ended = host.stop().context("stopping the host")?;
    Ok(report(options, &rounds, &over, &syncs, &ended))
}

fn host(data: &Path, component: &Path) -> anyhow::Result<(Server, works::Ready)> {
    let works = works::Options {
        directory: data.to_owned(),
        threads: 2,
        secret: SECRET.to_owned(),
        receiver: "http://127.0.0.1:9/".to_owned(),
        component: component.to_owned(),
        concurrency: 8,
        reply: true,
        again: None,
        past: Past::NONE,
    };
    Server::start(&works.arguments())
}

fn yardstick(component: &Path) -> anyhow::Result<(Server, yardstick::Ready)> {
    let component = component.display().to_string();
    let arguments = ["serve-yardstick", "--secret", SECRET, "--component", component.as_str()];
    Server::start(&arguments.map(str::to_owned))
}

fn ask(address: &str, path: &str, seconds: f64, round: u16) -> anyhow::Result<Sent> {
    let sent: Sent = child::run(&load::Options::to(address, path, SECRET).round(1, seconds, round).arguments())?;
    ensure!(sent.refused == 0 && sent.accepted() > 0, "{} answers were refusals", sent.refused);
    Ok(sent)
}

fn report(options: &Options, rounds: &[(Sent, Sent)], over: &[f64], syncs: &[f64], ended: &works::Ended) -> bool {
    let median =
        |of: fn(&(Sent, Sent)) -> u64| stats::median(&rounds.iter().map(|one| of(one) as f64).collect::<Vec<_>>());
    let (bare, host) = (median(|(bare, _)| bare.p50_us), median(|(_, host)| host.p50_us));
    let (over, sync) = (stats::median(over), stats::median(syncs));
    println!("  median     bare {bare:.0} us, host {host:.0} us, fdatasync {sync:.0} us");
    println!("  rest       {over:.0} us beyond the yardstick and {SYNCS} synced writes");
    let left = ended.runs_pending + ended.deliveries_pending;
    let goals = [
        Goal::new(
            format!("at most {MORE_US:.0} us beyond the yardstick and {SYNCS} synced writes: {over:.0} us"),
            over <= MORE_US,
        ),
        Goal::new(format!("every run decided: {left} left"), left == 0),
    ];
    let summary = json!({
        "scenario": "serve", "bare_p50_us": bare, "host_p50_us": host, "fdatasync_p50_us": sync, "rest_us": over,
    });
    verdict::end(&goals, options.json, summary)
}

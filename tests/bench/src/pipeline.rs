//! Scenario `pipeline`: the whole way of an event, from the request to the call that a plugin decided.
//!
//! **Measures** a whole host in a process of its own: accept, run, commit, deliver, record, with the plugin
//! `github-to-slack` and a receiver on the loopback interface. Saturated (closed loop, so many events under way) for the
//! throughput; at fixed rates (open loop) for the time from the intended request to the call's arrival. Sender and receiver
//! ([`crate::courier`]) run on the same machine and are part of what is measured. **Yardstick**: a plain Node.js service that
//! does the same work ([`crate::node`]), one commit per write, and all writes of a turn in one commit.
//!
//! Every call is matched with its request: none may be missing, none come twice. At the end the host's store is opened again:
//! no run and no delivery may be left.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use clap::Args;
use serde_json::json;

use crate::child::Server;
use crate::courier::{Courier, Flow, Pace, Target};
use crate::filling::Past;
use crate::node::{self, Node};
use crate::verdict::Goal;
use crate::{disk, guest, machine, stats, verdict, works};

/// What requests are signed with.
pub(crate) const SECRET: &str = "9b1deb4d3b7d4bad9bdd2b0d7b3dcb6d";

/// Events per second that are wanted, saturated.
const PER_SECOND_GOAL: f64 = 2_500.0;

/// Rates that are offered, per second.
const RATES: [u32; 3] = [50, 200, 1_000];

/// At 1 000/s the 95th of a hundred may take so long, at 200/s the median, milliseconds.
const P95_MS_GOAL: f64 = 8.0;
const P50_MS_GOAL: f64 = 2.5;

/// How it is measured.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Saturated rounds of each side.
    #[arg(long, default_value_t = 3)]
    rounds: u16,
    /// Seconds of a phase, at most 30.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Connections of the sender.
    #[arg(long, default_value_t = 64)]
    connections: u16,
    /// Events under way when saturated.
    #[arg(long, default_value_t = 256)]
    under_way: usize,
    /// Calls to the receiver side by side, on every side.
    #[arg(long, default_value_t = 64)]
    concurrency: u32,
    /// Worker threads of the host.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Measure the host alone.
    #[arg(long)]
    no_yardstick: bool,
    /// Only saturate the host, for so many seconds (at most 60): something to profile.
    #[arg(long)]
    only_saturated: Option<f64>,
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
    ensure!((0.1..=30.0).contains(&options.seconds), "--seconds is 0.1 to 30");
    ensure!((1..=512).contains(&options.connections), "--connections is 1 to 512, what a host takes from one address");
    ensure!((1..=10_000).contains(&options.under_way), "--under-way is 1 to 10000");
    let directory =
        tempfile::Builder::new().prefix("creel-bench-").tempdir_in(disk::place(options.directory.as_deref())?)?;
    let disk = disk::measure(directory.path())?;
    println!("pipeline: request -> event -> plugin -> call -> recorded, against a plain Node.js service");
    println!("  machine    {}", machine::facts());
    println!(
        "  disk       {}, fdatasync p50 {:.0} us, p99 {:.0} us",
        disk.file_system, disk.sync_p50_us, disk.sync_p99_us
    );
    let component = component(directory.path())?;
    let courier = Courier::start()?;
    let mut sides = vec![host(options, &courier, directory.path(), component)?];
    if let Some(seconds) = options.only_saturated {
        let flow = sides[0].send(&courier, options, seconds.min(60.0), Pace::Saturated(options.under_way))?;
        println!("  saturated  {:.0}/s, processor {:.0} us per event", flow.per_second, sides[0].cpu_us());
        return Ok(true);
    }
    if !options.no_yardstick {
        match yardsticks(options, &courier, directory.path()) {
            Ok(yardsticks) => sides.extend(yardsticks),
            Err(error) => println!("  yardstick  none: {error:#}"),
        }
    }
    measure(options, &courier, &mut sides)?;
    let left = end(sides, &courier)?;
    Ok(report(options, &left))
}

/// Builds the plugin and puts it where a host can read it.
pub(crate) fn component(directory: &Path) -> anyhow::Result<PathBuf> {
    let path = directory.join("plugin.wasm");
    std::fs::write(&path, guest::build(&disk::target())?).with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}

enum Process {
    Host(Server),
    Node(Server),
}

/// One that does the work.
struct Side {
    name: &'static str,
    process: Process,
    target: Target,
    accepted: u64,
    saturated: Vec<Flow>,
    offered: Vec<Flow>,
}

impl Side {
    fn new(name: &'static str, process: Process, address: String, path: String) -> Side {
        let target = Target { address, path, secret: SECRET.to_owned() };
        Side { name, process, target, accepted: 0, saturated: Vec::new(), offered: Vec::new() }
    }

    fn send(&mut self, courier: &Courier, options: &Options, seconds: f64, pace: Pace) -> anyhow::Result<Flow> {
        let flow = courier.send(&self.target, options.connections, seconds, pace);
        let flow = flow.with_context(|| format!("sending to {}", self.name))?;
        self.accepted += flow.accepted;
        Ok(flow)
    }

    fn cpu_us(&self) -> f64 {
        let (Process::Host(server) | Process::Node(server)) = &self.process;
        server.cpu_seconds() * 1e6 / self.accepted.max(1) as f64
    }

    /// Of the saturated rounds after the warm-up.
    fn median(&self) -> f64 {
        stats::median(&self.saturated.iter().skip(1).map(|flow| flow.per_second).collect::<Vec<_>>())
    }
}

fn host(options: &Options, courier: &Courier, directory: &Path, component: PathBuf) -> anyhow::Result<Side> {
    let works = works::Options {
        directory: directory.join("data"),
        threads: options.threads,
        secret: SECRET.to_owned(),
        receiver: courier.receiver(),
        component,
        concurrency: options.concurrency,
        reply: false,
        again: None,
        past: Past::NONE,
    };
    let (server, at): (Server, works::Ready) = Server::start(&works.arguments())?;
    println!(
        "  host       process {}, {} worker threads, {} calls side by side",
        server.pid(),
        options.threads,
        options.concurrency
    );
    Ok(Side::new("host", Process::Host(server), at.address, at.path))
}

fn yardsticks(options: &Options, courier: &Courier, directory: &Path) -> anyhow::Result<Vec<Side>> {
    let node = Node::find(&disk::target())?;
    println!("  yardstick  Node.js {}, alone and batching", node.version);
    let start = |name: &'static str, batch: bool| -> anyhow::Result<Side> {
        let database = directory.join(format!("{name}.db"));
        let (server, at) = node.serve(&database, SECRET, &courier.receiver(), options.concurrency, batch)?;
        Ok(Side::new(name, Process::Node(server), at.address, "/in/push".to_owned()))
    };
    Ok(vec![start("node", false)?, start("node+batch", true)?])
}

fn measure(options: &Options, courier: &Courier, sides: &mut [Side]) -> anyhow::Result<()> {
    println!(
        "  saturated: {} connections, {} events under way, {} x {} s",
        options.connections, options.under_way, options.rounds, options.seconds
    );
    for round in 0..=options.rounds {
        for side in sides.iter_mut() {
            let seconds = if round == 0 { options.seconds.min(1.0) } else { options.seconds };
            let flow = side.send(courier, options, seconds, Pace::Saturated(options.under_way))?;
            say(&format!("round {round}"), side.name, &flow, if round == 0 { " (warm-up)" } else { "" });
            if round == 0 {
                ensure!(flow.lost == 0 && flow.accepted > 0, "{} delivers nothing", side.name);
            }
            side.saturated.push(flow);
        }
    }
    for rate in RATES {
        for side in sides.iter_mut() {
            let flow = side.send(courier, options, options.seconds, Pace::Offered(rate))?;
            say(&format!("{rate}/s"), side.name, &flow, "");
            side.offered.push(flow);
        }
    }
    for side in sides.iter_mut() {
        println!(
            "  processor  {:<11} {:>7.0} us per event over all phases, idle time between them included",
            side.name,
            side.cpu_us()
        );
    }
    Ok(())
}

fn say(what: &str, name: &str, flow: &Flow, note: &str) {
    println!(
        "  {what:<10} {name:<11} {:>7.0}/s   p50 {:>7.2}  p95 {:>7.2}  p99 {:>7.2} ms   lost {} doubled {} refused {}{note}",
        flow.per_second, flow.p50_ms, flow.p95_ms, flow.p99_ms, flow.lost, flow.doubled, flow.refused
    );
}

/// What was measured, once every process has ended.
struct Left {
    sides: Vec<(&'static str, f64, Vec<Flow>, Vec<Flow>)>,
    host: works::Ended,
    strange: u64,
}

fn end(sides: Vec<Side>, courier: &Courier) -> anyhow::Result<Left> {
    let strange = courier.strange();
    let mut left = Vec::new();
    let mut host = None;
    for side in sides {
        let (name, median, accepted) = (side.name, side.median(), side.accepted);
        match side.process {
            Process::Host(server) => host = Some(server.stop().context("stopping the host")?),
            Process::Node(server) => {
                let ended: node::Ended = server.stop().context("stopping the yardstick")?;
                ensure!(ended.recorded == accepted, "{name} recorded {} of {accepted} events", ended.recorded);
            }
        }
        left.push((name, median, side.saturated, side.offered));
    }
    Ok(Left { sides: left, host: host.context("no host")?, strange })
}

fn report(options: &Options, left: &Left) -> bool {
    let (_, per_second, saturated, offered) = &left.sides[0];
    for (name, median, _, _) in &left.sides {
        println!("  median     {name:<11} {median:>7.0}/s");
    }
    let better = left.sides[1..].iter().map(|(_, median, _, _)| *median).fold(0.0, f64::max);
    if better > 0.0 {
        println!("  ratio      {:.2} of the better yardstick", per_second / better);
    }
    let flows = || saturated.iter().chain(offered);
    let sum = |what: fn(&Flow) -> u64| flows().map(what).sum::<u64>();
    let (lost, doubled, refused) = (sum(|flow| flow.lost), sum(|flow| flow.doubled), sum(|flow| flow.refused));
    let (p50_ms, p95_ms) = (offered[1].p50_ms, offered[2].p95_ms);
    let ended = &left.host;
    let rest = ended.runs_pending + ended.deliveries_pending + ended.deliveries_dead;
    let goals = [
        Goal::new(
            format!("at least {PER_SECOND_GOAL:.0}/s saturated: {per_second:.0}/s"),
            *per_second >= PER_SECOND_GOAL,
        ),
        Goal::new(format!("p95 at 1000/s at most {P95_MS_GOAL} ms: {p95_ms:.2} ms"), p95_ms <= P95_MS_GOAL),
        Goal::new(format!("p50 at 200/s at most {P50_MS_GOAL} ms: {p50_ms:.2} ms"), p50_ms <= P50_MS_GOAL),
        Goal::new(
            format!("{} delivered, {lost} lost, {doubled} doubled, {refused} refused", sum(|flow| flow.accepted)),
            lost + doubled + refused + left.strange == 0,
        ),
        Goal::new(format!("everything recorded: {rest} runs and deliveries left or dead"), rest == 0),
    ];
    let sides: Vec<_> = left
        .sides
        .iter()
        .map(|(name, median, saturated, offered)| {
            json!({ "name": name, "per_second": median, "saturated": saturated, "offered": offered })
        })
        .collect();
    let summary = json!({ "scenario": "pipeline", "per_second": per_second, "ratio": per_second / better, "rates": RATES, "sides": sides });
    verdict::end(&goals, options.json, summary)
}

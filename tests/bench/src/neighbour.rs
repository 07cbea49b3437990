//! Scenario `neighbour`: what four attackers do to a victim on the same host.
//!
//! **Measures** the whole way of a victim's events at a steady rate (open loop), from the intended request to the call's
//! arrival: alone; beside four tenants that attack at ten times what they are allowed (endless loops, memory, log floods, slow
//! receivers and compile storms) under the shipped defaults; and beside the same with the limits taken off, which must be
//! visibly bad or the attack would be none. **Yardstick**: the victim alone. Each measurement has a host of its own; the
//! three take turns.
//!
//! At last four loops share a host on which the victim is idle: each must get what its budget allows, or a quarter of what
//! this machine computes when nothing but such loops runs on it, where that is less.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;
use creel_server::system::SystemClock;
use creel_webhook::bucket::SAVED_MS;
use creel_webhook::clock::Clock as _;
use serde_json::json;

use crate::attack::Attack;
use crate::child::Server;
use crate::courier::{Courier, Flow, Pace, Target};
use crate::quarter::{self, ATTACKERS, Ready};
use crate::sandbox::Sandbox;
use crate::verdict::Goal;
use crate::{disk, guest, machine, pipeline, stats, verdict};

/// Seconds for which attackers are at work before it counts: what they have saved up is used, and what they uploaded is
/// being compiled.
const BEFORE_S: f64 = 2.0;

/// Beside attackers the 99th of a hundred may take so much longer, milliseconds, or twice as long.
const P99_MORE_MS: f64 = 10.0;

/// Seconds for which four loops share a host.
const SHARES_S: f64 = 30.0;

/// What the default budget allows a tenant, fuel per second.
const FUEL_PER_S: f64 = 2e9;

/// How it is measured.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Rounds of each side.
    #[arg(long, default_value_t = 5)]
    rounds: u16,
    /// Seconds of a measurement, at most 30.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// The victim's events per second.
    #[arg(long, default_value_t = 50)]
    rate: u32,
    /// Leave out the side without limits.
    #[arg(long)]
    no_off: bool,
    /// Where the data directories go, on a disk; removed afterwards. By default cargo's target directory.
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Print one summary object as the last line.
    #[arg(long)]
    json: bool,
}

/// Who lives beside the victim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Alone,
    Beside,
    Off,
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Side::Alone => "alone",
            Side::Beside => "attacked",
            Side::Off => "limits off",
        }
    }
}

/// What all measurements need.
struct Scene<'a> {
    options: &'a Options,
    directory: &'a Path,
    courier: Courier,
    attack: Attack,
    component: PathBuf,
    attackers: Vec<PathBuf>,
}

/// Runs the scenario; says whether its goals were met.
pub(crate) fn run(options: &Options) -> anyhow::Result<bool> {
    ensure!((1..=20).contains(&options.rounds), "--rounds is 1 to 20");
    ensure!((0.5..=30.0).contains(&options.seconds), "--seconds is 0.5 to 30");
    ensure!((1..=1_000).contains(&options.rate), "--rate is 1 to 1000");
    let directory =
        tempfile::Builder::new().prefix("creel-bench-").tempdir_in(disk::place(options.directory.as_deref())?)?;
    let disk = disk::measure(directory.path())?;
    println!("neighbour: a victim's events beside four attackers, against the same events alone");
    println!("  machine    {}", machine::facts());
    println!(
        "  disk       {}, fdatasync p50 {:.0} us, p99 {:.0} us",
        disk.file_system, disk.sync_p50_us, disk.sync_p99_us
    );
    let component = pipeline::component(directory.path())?;
    let fixtures = ATTACKERS.iter().map(|(_, fixture, _)| guest::fixture(fixture, &disk::target()));
    let attackers = fixtures.collect::<anyhow::Result<_>>()?;
    let (courier, attack) = (Courier::start()?, Attack::start()?);
    let scene = Scene { options, directory: directory.path(), courier, attack, component, attackers };
    println!("  victim     {} events/s, {} x {} s per side in turn", options.rate, options.rounds, options.seconds);
    let mut sides = vec![(Side::Alone, Vec::new()), (Side::Beside, Vec::new()), (Side::Off, Vec::new())];
    sides.truncate(if options.no_off { 2 } else { 3 });
    for round in 1..=options.rounds {
        for (side, flows) in &mut sides {
            let flow = scene.measure(*side)?;
            println!(
                "  round {round:>2}   {:<10} p50 {:>7.2}  p95 {:>7.2}  p99 {:>7.2} ms   {} answered, {} refused, {} lost, {} doubled",
                side.name(),
                flow.p50_ms,
                flow.p95_ms,
                flow.p99_ms,
                flow.accepted,
                flow.refused,
                flow.lost,
                flow.doubled
            );
            flows.push(flow);
        }
    }
    let shares = scene.shares()?;
    Ok(report(options, &sides, &shares))
}

impl Scene<'_> {
    fn host(&self, directory: &Path, attackers: Vec<PathBuf>, limits_off: bool) -> anyhow::Result<(Server, Ready)> {
        let options = quarter::Options {
            directory: directory.to_owned(),
            secret: pipeline::SECRET.to_owned(),
            receiver: self.courier.receiver(),
            silent: self.attack.silent(),
            component: self.component.clone(),
            attacker: attackers,
            limits_off,
        };
        Server::start(&options.arguments()).context("starting a host")
    }

    fn measure(&self, side: Side) -> anyhow::Result<Flow> {
        let home = tempfile::Builder::new().prefix("host-").tempdir_in(self.directory)?;
        let (server, at) = self.host(&home.path().join("data"), self.attackers.clone(), side == Side::Off)?;
        let target =
            Target { address: at.address.clone(), path: at.victim.clone(), secret: pipeline::SECRET.to_owned() };
        // Its plugin is compiled before anybody attacks.
        self.courier.send(&target, 1, 0.5, Pace::Offered(20))?;
        let uploads = std::fs::read(&self.component).context("reading the component")?;
        let attack = (side != Side::Alone).then(|| self.attack.begin(&at, pipeline::SECRET, Some(uploads.as_slice())));
        if attack.is_some() {
            std::thread::sleep(Duration::from_secs_f64(BEFORE_S));
        }
        let flow = self.courier.send(&target, 64, self.options.seconds, Pace::Offered(self.options.rate));
        drop(attack);
        // What the attackers have queued is of no use to anybody.
        server.kill()?;
        flow
    }

    /// Four loops beside an idle victim, once they have used up what they had saved: the fuel that each got, over what
    /// is its share.
    fn shares(&self) -> anyhow::Result<Vec<f64>> {
        let machine = self.machine()?;
        let share = FUEL_PER_S.min(machine / ATTACKERS.len() as f64);
        println!("  machine    {machine:.2e} units of fuel a second, {share:.2e} for each of four");
        let home = tempfile::Builder::new().prefix("host-").tempdir_in(self.directory)?;
        let data = home.path().join("data");
        let (server, at) = self.host(&data, vec![self.attackers[0].clone(); ATTACKERS.len()], false)?;
        let attack = self.attack.begin(&at, pipeline::SECRET, None);
        std::thread::sleep(Duration::from_millis(SAVED_MS));
        let (since, began) = (SystemClock::default().now(), Instant::now());
        std::thread::sleep(Duration::from_secs_f64(SHARES_S));
        drop(attack);
        let seconds = began.elapsed().as_secs_f64();
        server.kill()?;
        let used = quarter::fuel_used(&data, &at.tenants, since)?;
        Ok(used.into_iter().map(|fuel| fuel as f64 / (share * seconds)).collect())
    }

    /// What loops use here in a second when there is one for each processor and no host, fuel.
    fn machine(&self) -> anyhow::Result<f64> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(processors).enable_all().build()?;
        let attacker = self.attackers[0].clone();
        runtime.block_on(async {
            let sandbox = Arc::new(Sandbox::read(&attacker, &[]).await?);
            let mut loops = tokio::task::JoinSet::new();
            for _ in 0..processors {
                let sandbox = sandbox.clone();
                loops.spawn(async move { sandbox.run(guest::event()).await.usage });
            }
            let used = loops.join_all().await;
            Ok(used.iter().map(|usage| usage.fuel as f64 / (usage.cpu_us as f64 / 1e6)).sum())
        })
    }
}

fn report(options: &Options, sides: &[(Side, Vec<Flow>)], shares: &[f64]) -> bool {
    let median = |flows: &[Flow], of: fn(&Flow) -> f64| stats::median(&flows.iter().map(of).collect::<Vec<_>>());
    let of = |side: Side| {
        let flows = sides.iter().find(|(one, _)| *one == side).map(|(_, flows)| flows.as_slice()).unwrap_or_default();
        (median(flows, |flow| flow.p50_ms), median(flows, |flow| flow.p99_ms))
    };
    let ((alone_p50, alone_p99), (p50, p99), (_, off_p99)) = (of(Side::Alone), of(Side::Beside), of(Side::Off));
    for (side, _) in sides {
        let (p50, p99) = of(*side);
        println!("  median     {:<10} p50 {p50:>7.2}  p99 {p99:>7.2} ms", side.name());
    }
    let words: Vec<_> = shares.iter().map(|share| format!("{:.0} %", 100.0 * share)).collect();
    println!("  shares     four loops beside an idle victim got {} of their shares", words.join(", "));
    let bound = (2.0 * alone_p99).max(alone_p99 + P99_MORE_MS);
    let (least, most) = shares.iter().fold((f64::MAX, 0.0_f64), |(least, most), one| (least.min(*one), most.max(*one)));
    let counted = sides.iter().filter(|(side, _)| *side != Side::Off).flat_map(|(_, flows)| flows);
    let (mut wrong, mut answered) = (0, 0);
    for flow in counted {
        wrong += flow.refused + flow.lost + flow.doubled;
        answered += flow.accepted;
    }
    let mut goals = vec![
        Goal::new(format!("p50 at most twice of alone: {p50:.2} against {alone_p50:.2} ms"), p50 <= 2.0 * alone_p50),
        Goal::new(format!("p99 at most {bound:.2} ms: {p99:.2} against {alone_p99:.2} ms alone"), p99 <= bound),
        Goal::new(format!("{answered} events answered 2xx, {wrong} refused, lost or doubled"), wrong == 0),
        Goal::new(
            format!("attackers get their share: {:.0} to {:.0} % of it", 100.0 * least, 100.0 * most),
            least >= 0.8 && least >= 0.7 * most,
        ),
    ];
    if !options.no_off {
        goals.push(Goal::new(format!("without limits it is visibly bad: p99 {off_p99:.2} ms"), off_p99 > bound));
    }
    let flows: Vec<_> = sides.iter().map(|(side, flows)| json!({ "side": side.name(), "rounds": flows })).collect();
    let summary = json!({
        "scenario": "neighbour", "alone_p50_ms": alone_p50, "alone_p99_ms": alone_p99, "p50_ms": p50, "p99_ms": p99,
        "off_p99_ms": off_p99, "shares": shares, "sides": flows,
    });
    verdict::end(&goals, options.json, summary)
}

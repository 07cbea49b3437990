//! Scenario `devloop`: from a save to the verdict.
//!
//! **Measures** the time from the moment at which an edit of a plugin's source is written until `creel dev` has told what came
//! of the latest event on the new deployment: noticing the save, building, checking, compiling, deploying, running, and the
//! call's delivery. **Yardstick**: the build alone of the same plugin after the same kind of edit (`creel build` without its
//! check), which no host can make shorter. Both build into one warm directory, in turn.
//!
//! The plugin is what `creel new` writes. The goal is an author's patience: two seconds.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use creel_server::cli::{build, new, templates};
use creel_server::dev;
use serde_json::{Value, json};

use crate::verdict::Goal;
use crate::{disk, machine, stats, verdict};

/// The time that an edit may take, milliseconds.
const GOAL_MS: f64 = 2_000.0;

/// What is edited, in what `creel new` writes.
const EDITED: &str = "A new pull request";

/// How long one line may take: the first build compiles the SDK, or even the standard library.
const LINE_MAX: Duration = Duration::from_secs(600);

/// How it is measured.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Edits.
    #[arg(long, default_value_t = 7)]
    rounds: u16,
    /// Where guests are built. By default below cargo's target directory.
    #[arg(long)]
    build_dir: Option<PathBuf>,
    /// Print one summary object as the last line.
    #[arg(long)]
    json: bool,
}

/// The development host in a process of its own.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The plugin's directory.
    plugin: PathBuf,
    /// Where guests are built.
    #[arg(long)]
    build_dir: PathBuf,
    /// Runs after which it ends.
    #[arg(long)]
    runs: u64,
}

/// Serves.
pub(crate) fn serve(options: &Serve) -> anyhow::Result<()> {
    let threads = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    threads.block_on(dev::run(dev::Options {
        directory: options.plugin.clone(),
        build_dir: Some(options.build_dir.clone()),
        port: Some(0),
        send: Some("pull_request".to_owned()),
        exit_after: Some(options.runs),
        json: true,
        ..dev::Options::default()
    }))
}

/// Runs the scenario; says whether its goal was met.
pub(crate) fn run(options: &Options) -> anyhow::Result<bool> {
    ensure!((1..=50).contains(&options.rounds), "--rounds is 1 to 50");
    let build_dir = options.build_dir.clone().unwrap_or_else(|| disk::target().join("guests"));
    let folder = tempfile::tempdir().context("making a directory for the plugin")?;
    let plugin = new::create(folder.path(), "hello", templates::DEFAULT)?.directory;
    println!("devloop: from a save to the verdict in `creel dev`, against the build alone");
    println!("  machine    {}", machine::facts());
    let mut host = Host::start(&plugin, &build_dir, u64::from(options.rounds) + 2)?;
    host.run_of(1)?;
    let mut source = Source::of(&plugin)?;
    let (mut alone, mut whole) = (Vec::new(), Vec::new());
    for round in 0..=options.rounds {
        let began = Instant::now();
        source.edit()?;
        let told = host.run_of(u64::from(round) + 2)?;
        let took = began.elapsed().as_secs_f64() * 1_000.0;
        ensure!(told["run"]["verdict"] == "done", "the run ended badly: {told}");
        let build = host.deployed_ms;
        println!(
            "  round {round:>2}   save to deployed {build:>5} ms, save to verdict {took:>5.0} ms{}",
            if round == 0 { "   (warm-up)" } else { "" }
        );
        if round > 0 {
            whole.push(took);
        }
    }
    host.end()?;
    for _ in 0..options.rounds {
        let began = Instant::now();
        source.edit()?;
        build::build(&plugin, Some(&build_dir), &mut |_| {})?;
        alone.push(began.elapsed().as_secs_f64() * 1_000.0);
    }
    Ok(report(options, &alone, &whole))
}

fn report(options: &Options, alone: &[f64], whole: &[f64]) -> bool {
    let (alone, median) = (stats::median(alone), stats::median(whole));
    let worst = whole.iter().copied().fold(0.0, f64::max);
    println!("  median     build alone {alone:.0} ms, save to verdict {median:.0} ms, worst {worst:.0} ms");
    let goals = [Goal::new(
        format!("from a save to the verdict in at most {GOAL_MS:.0} ms: {median:.0} ms"),
        median <= GOAL_MS,
    )];
    let summary = json!({ "scenario": "devloop", "build_ms": alone, "verdict_ms": median, "verdict_worst_ms": worst });
    verdict::end(&goals, options.json, summary)
}

/// The plugin's source.
struct Source {
    file: PathBuf,
    text: String,
    edits: u32,
}

impl Source {
    fn of(plugin: &Path) -> anyhow::Result<Source> {
        let file = plugin.join("src/lib.rs");
        let text = std::fs::read_to_string(&file).context("reading the plugin")?;
        ensure!(text.contains(EDITED), "the plugin of `creel new` says `{EDITED}` no more");
        Ok(Source { file, text, edits: 0 })
    }

    fn edit(&mut self) -> anyhow::Result<()> {
        self.edits += 1;
        let text = self.text.replace(EDITED, &format!("Edit {}", self.edits));
        std::fs::write(&self.file, text).context("editing the plugin")
    }
}

struct Host {
    child: Child,
    lines: BufReader<ChildStdout>,
    deployed_ms: u64,
}

impl Host {
    fn start(plugin: &Path, build_dir: &Path, runs: u64) -> anyhow::Result<Host> {
        let program = std::env::current_exe().context("finding this program")?;
        let mut command = Command::new(program);
        command.arg("serve-dev").arg(plugin).arg("--build-dir").arg(build_dir).args(["--runs", &runs.to_string()]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("starting `serve-dev`")?;
        let lines = BufReader::new(child.stdout.take().context("a child without output")?);
        Ok(Host { child, lines, deployed_ms: 0 })
    }

    /// What it says of the run on this deployment.
    fn run_of(&mut self, deployment: u64) -> anyhow::Result<Value> {
        let began = Instant::now();
        loop {
            let mut line = String::new();
            let read = self.lines.read_line(&mut line).context("reading what the host says")?;
            ensure!(read > 0 && began.elapsed() < LINE_MAX, "the host said nothing of deployment {deployment}");
            let said: Value = serde_json::from_str(&line).with_context(|| format!("the host said {line:?}"))?;
            match said["what"].as_str() {
                Some("failed") => bail!("the plugin was not deployed: {said}"),
                Some("deployed") => self.deployed_ms = said["took_ms"].as_u64().unwrap_or_default(),
                Some("run") if said["run"]["deployment"] == deployment => return Ok(said),
                _ => {}
            }
        }
    }

    /// Waits until it has ended by itself.
    fn end(mut self) -> anyhow::Result<()> {
        let status = self.child.wait().context("waiting for the host")?;
        ensure!(status.success(), "the host ended with {status}");
        Ok(())
    }
}

impl Drop for Host {
    /// Ends it when the scenario failed before its end.
    fn drop(&mut self) {
        if self.child.try_wait().ok().flatten().is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

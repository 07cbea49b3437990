//! Processes that serve: this program again, with a hidden subcommand.
//!
//! A server says one line of JSON when it listens and stops when its standard input ends, so that none outlives the
//! benchmark, however that ends. Being a process of its own, it can be profiled alone.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context as _, ensure};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The unit of processor times in /proc: USER_HZ, 100 on every architecture that Linux and Creel run on.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process that serves.
pub(crate) struct Server {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Server {
    /// Starts this program with a hidden subcommand and its arguments; gives what it says when it is ready.
    pub(crate) fn start<T: DeserializeOwned>(arguments: &[String]) -> anyhow::Result<(Server, T)> {
        let mut command = this_program()?;
        command.args(arguments);
        Server::spawn(command)
    }

    /// The same with another program that keeps to these manners.
    pub(crate) fn spawn<T: DeserializeOwned>(mut command: Command) -> anyhow::Result<(Server, T)> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        let out = child.stdout.take().context("a child without output")?;
        let mut server = Server { child, lines: BufReader::new(out) };
        let ready = server.line()?;
        Ok((server, ready))
    }

    /// Its process id, for a profiler.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Seconds of processor time that it has used so far, its own and the kernel's on its behalf.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        // proc(5): after the name in parentheses, utime and stime are the twelfth and thirteenth field, in ticks.
        let fields = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default().split_whitespace();
        let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
        ticks / TICKS_PER_SECOND
    }

    /// Tells it to stop; gives what it says at its end.
    pub(crate) fn stop<T: DeserializeOwned>(mut self) -> anyhow::Result<T> {
        drop(self.child.stdin.take());
        let said = self.line()?;
        let status = self.child.wait().context("waiting for a server")?;
        ensure!(status.success(), "a server ended with {status}");
        Ok(said)
    }

    /// Ends it at once, as a crash would: it gets no chance to put anything in order.
    pub(crate) fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().context("killing a server")?;
        self.child.wait().context("waiting for a killed server")?;
        Ok(())
    }

    fn line<T: DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        let mut line = String::new();
        self.lines.read_line(&mut line).context("reading what a server says")?;
        serde_json::from_str(&line).with_context(|| format!("a server said {line:?}"))
    }
}

impl Drop for Server {
    /// Ends it when the scenario failed before it was stopped.
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        if self.child.try_wait().ok().flatten().is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Runs this program with a hidden subcommand to its end; gives its last line.
pub(crate) fn run<T: DeserializeOwned>(arguments: &[String]) -> anyhow::Result<T> {
    let output =
        this_program()?.args(arguments).stderr(Stdio::inherit()).output().with_context(|| format!("{arguments:?}"))?;
    ensure!(output.status.success(), "{arguments:?} ended with {}", output.status);
    serde_json::from_slice(&output.stdout).context("reading what a child says")
}

/// A hidden subcommand with the values of its options.
pub(crate) fn arguments<const N: usize>(subcommand: &str, values: [(&str, String); N]) -> Vec<String> {
    let values = values.into_iter().flat_map(|(name, value)| [name.to_owned(), value]);
    std::iter::once(subcommand.to_owned()).chain(values).collect()
}

fn this_program() -> anyhow::Result<Command> {
    Ok(Command::new(std::env::current_exe().context("finding this program")?))
}

/// Said by a server: one line of JSON.
pub(crate) fn say(what: &impl Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(what)?);
    Ok(())
}

/// Completes when standard input ends.
pub(crate) async fn told_to_stop() {
    let end = tokio::task::spawn_blocking(|| {
        let mut rest = Vec::new();
        std::io::stdin().lock().read_to_end(&mut rest)
    });
    let _ = end.await;
}

//! The yardstick of `pipeline` in a process of its own: a plain Node.js service, `yardstick/service.mjs`.
//!
//! It needs `node:sqlite` without a flag, which Node has from 22.13 on. When the machine's own is older, npm installs one
//! into cargo's target directory, once.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

use crate::child::Server;

/// The package that brings a Node.js.
const PACKAGE: &str = "node@22";

/// The oldest that will do.
const VERSION_MIN: (u32, u32) = (22, 13);

/// What the service says when it listens.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ready {
    /// Where.
    pub(crate) address: String,
}

/// What it says at its end.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ended {
    /// Events that it stored.
    pub(crate) events: u64,
    /// Events whose call's success it recorded.
    pub(crate) recorded: u64,
}

/// A Node.js that will do.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    program: PathBuf,
    /// As it says itself.
    pub(crate) version: String,
}

impl Node {
    /// The machine's own, else one that was or is now installed under `target`.
    pub(crate) fn find(target: &Path) -> anyhow::Result<Node> {
        if let Ok(own) = Node::ask(PathBuf::from("node")) {
            return Ok(own);
        }
        let place = target.join("yardstick");
        let program = place.join("node_modules").join(".bin").join("node");
        if let Ok(installed) = Node::ask(program.clone()) {
            return Ok(installed);
        }
        std::fs::create_dir_all(&place).with_context(|| format!("making {}", place.display()))?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--no-save", "--prefix"]).arg(&place).arg(PACKAGE);
        let status = npm.stdin(Stdio::null()).stdout(Stdio::null()).status().context("starting npm")?;
        ensure!(status.success(), "npm could not install {PACKAGE}: {status}");
        Node::ask(program)
    }

    fn ask(program: PathBuf) -> anyhow::Result<Node> {
        let output = Command::new(&program).arg("--version").output().context("asking node for its version")?;
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let mut numbers = version.trim_start_matches('v').split('.').map_while(|number| number.parse::<u32>().ok());
        let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        ensure!(
            (major, minor) >= VERSION_MIN,
            "{} is {version:?}, 22.13 is the oldest that will do",
            program.display()
        );
        Ok(Node { program, version })
    }

    /// Starts the service.
    pub(crate) fn serve(
        &self,
        database: &Path,
        secret: &str,
        receiver: &str,
        concurrency: u32,
        batch: bool,
    ) -> anyhow::Result<(Server, Ready)> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("yardstick").join("service.mjs");
        let mut command = Command::new(&self.program);
        command.arg("--no-warnings").arg(script).args(["--secret", secret, "--receiver", receiver]);
        command.args(["--concurrency", &concurrency.to_string()]).arg("--database").arg(database);
        command.args(batch.then_some("--batch"));
        Server::spawn(command)
    }
}

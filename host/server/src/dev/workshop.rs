//! From the plugin's directory to a deployment: read the cases, build, upload, deploy.
//!
//! What can go wrong here is an author's daily bread and no error of the program: it is told, and the last good
//! deployment goes on. Only what no edit of the plugin can mend (the host is gone) ends everything.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use bytes::Bytes;
use creel_webhook::plugin::{Digest, Grants};
use creel_webhook::route::Mode;

use crate::api::RouteView;
use crate::cli::build;
use crate::cli::client::{ClientError, NewVersion, TenantClient, problem_text};

use super::facts::Facts;
use super::receiver::Receiver;
use super::stage;
use super::telling::{Said, Teller};

/// How lines of the toolchain begin that tell what takes long; all others are the compiler's.
const STEPS: &[&str] = &["building ", "installing ", "writing ", "rustup "];

/// What was deployed last.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Deployed {
    number: u32,
    digest: Digest,
    config: BTreeMap<String, String>,
    destinations: Vec<String>,
    fetch: BTreeMap<String, Vec<String>>,
}

/// Builds and deploys one plugin.
pub(super) struct Workshop {
    /// The plugin's directory.
    pub(super) directory: PathBuf,
    /// Where its cases are.
    pub(super) cases: PathBuf,
    /// Where results of the compiler are kept.
    pub(super) build_dir: Option<PathBuf>,
    /// The plugin's name.
    pub(super) plugin: String,
    /// Settings that were typed; they go before those of the cases.
    pub(super) config: Vec<(String, String)>,
    /// Destinations that were typed.
    pub(super) destinations: Vec<String>,
    /// The host.
    pub(super) tenant: TenantClient,
    /// Who answers look-ups.
    pub(super) receiver: Receiver,
    /// Where it is.
    pub(super) receiver_url: String,
    /// The source whose events the plugin gets, and whether their senders wait.
    pub(super) source: (String, Mode),
    /// The route from there, once there is something to run.
    pub(super) route: Option<RouteView>,
    last: Option<Deployed>,
    /// The last save did not get as far as a deployment, and the author was told.
    failed: bool,
}

/// What a build came to.
struct Built {
    component: anyhow::Result<PathBuf>,
    said: Vec<String>,
}

impl Workshop {
    /// A workshop that has deployed nothing.
    pub(super) fn new(
        directory: PathBuf,
        source: (String, Mode),
        tenant: TenantClient,
        receiver: (Receiver, String),
    ) -> Self {
        Workshop {
            cases: directory.join("cases"),
            plugin: name_of(&directory),
            directory,
            build_dir: None,
            source,
            route: None,
            config: Vec::new(),
            destinations: Vec::new(),
            tenant,
            receiver: receiver.0,
            receiver_url: receiver.1,
            last: None,
            failed: false,
        }
    }

    /// Makes what runs what the directory says. Says whether there is a new deployment.
    ///
    /// # Errors
    /// When the host does not do its part.
    #[allow(clippy::disallowed_methods, reason = "authors are told how long they waited")]
    pub(super) async fn make(&mut self, teller: &Teller) -> anyhow::Result<bool> {
        let began = Instant::now();
        let had_failed = std::mem::replace(&mut self.failed, true);
        let built = self.build(teller).await?;
        let number = self.last.as_ref().map(|last| last.number);
        let path = match built.component {
            Ok(path) => path,
            Err(error) => {
                let text = failure(&built.said, &error);
                teller.say(&Said::Failed { stage: "build", text: &text, deployment: number });
                return Ok(false);
            }
        };
        let component = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        match self.deploy(component.into(), &warnings(&built.said), began, teller).await {
            Err(ClientError::Refused(problem)) => {
                let text = problem_text(&problem);
                teller.say(&Said::Failed { stage: "gate", text: &text, deployment: number });
                Ok(false)
            }
            other => {
                let is_new = other?;
                self.failed = false;
                if let (true, false, Some(number)) = (had_failed, is_new, number) {
                    teller.say(&Said::Step {
                        text: &format!("it builds again and is what it was; deployment {number} goes on"),
                    });
                }
                Ok(is_new)
            }
        }
    }

    async fn build(&self, teller: &Teller) -> anyhow::Result<Built> {
        let (directory, build_dir) = (self.directory.clone(), self.build_dir.clone());
        let (sender, mut lines) = tokio::sync::mpsc::unbounded_channel::<String>();
        let building = tokio::task::spawn_blocking(move || {
            build::build(&directory, build_dir.as_deref(), &mut |line| drop(sender.send(line.to_owned())))
        });
        let mut said = Vec::new();
        while let Some(line) = lines.recv().await {
            if STEPS.iter().any(|step| line.starts_with(step)) {
                if self.last.is_none() {
                    teller.say(&Said::Step { text: &line });
                }
            } else {
                said.push(line);
            }
        }
        Ok(Built { component: building.await.context("building the plugin")?, said })
    }

    async fn deploy(
        &mut self,
        component: Bytes,
        warned: &str,
        began: Instant,
        teller: &Teller,
    ) -> Result<bool, ClientError> {
        let (facts, bytes) = (Facts::of(&self.cases), component.len() as u64);
        let mut wanted = self.wanted(&facts, Digest::of(&component));
        self.receiver.prepare(facts.answers.clone());
        if self.last.as_ref().is_some_and(|last| Deployed { number: last.number, ..wanted.clone() } == *last) {
            return Ok(false);
        }
        for name in wanted.destinations.iter().chain(wanted.fetch.keys()) {
            stage::destination(&self.tenant, name, &self.receiver_url).await?;
        }
        let version = self.tenant.upload(&self.plugin, component, false).await?.resource;
        let state = version.imports.iter().any(|import| import.starts_with("creel:plugin/state@"));
        let grants = Grants { destinations: wanted.destinations.clone(), fetch: wanted.fetch.clone(), state };
        let new = NewVersion { digest: version.digest, config: wanted.config.clone(), grants, activate: true };
        let deployment = self.tenant.deploy(&self.plugin, &new).await?.resource;
        // Who hears that it runs may send an event at once.
        if self.route.is_none() {
            let (source, mode) = &self.source;
            self.route = Some(stage::route(&self.tenant, source, &self.plugin, *mode).await?);
        }
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        teller.say(&Said::Deployed { deployment: &deployment, bytes, took_ms, warned });
        wanted.number = deployment.number;
        self.last = Some(wanted);
        Ok(true)
    }

    fn wanted(&self, facts: &Facts, digest: Digest) -> Deployed {
        let mut config = facts.config.clone();
        config.extend(self.config.iter().cloned());
        let mut destinations: Vec<String> = facts.calls.iter().chain(&self.destinations).cloned().collect();
        destinations.sort();
        destinations.dedup();
        let mut fetch: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, more) in &facts.fetches {
            let usual = if more.is_empty() { Vec::new() } else { vec!["GET".to_owned(), "HEAD".to_owned()] };
            fetch.insert(name.clone(), usual.into_iter().chain(more.iter().cloned()).collect());
        }
        for name in &self.destinations {
            fetch.entry(name.clone()).or_default();
        }
        Deployed { number: 0, digest, config, destinations, fetch }
    }
}

/// The name that a directory's plugin gets: the directory's, as far as it is one.
fn name_of(directory: &Path) -> String {
    let name = directory.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let name = name.trim_matches('-').to_owned();
    if creel_webhook::tenant::check_name(&name).is_ok() { name } else { "plugin".to_owned() }
}

/// What the compiler said, without the names of what it compiled.
fn warnings(said: &[String]) -> String {
    const PROGRESS: &[&str] =
        &["Compiling ", "Finished ", "Blocking ", "Locking ", "Updating ", "Downloading ", "Downloaded ", "Adding "];
    let is_progress = |line: &str| PROGRESS.iter().any(|word| line.trim_start().starts_with(word));
    let lines: Vec<&str> = said.iter().map(String::as_str).filter(|line| !is_progress(line)).collect();
    lines.join("\n").trim().to_owned()
}

/// Why a build failed: the compiler's words, or else the error's.
fn failure(said: &[String], error: &anyhow::Error) -> String {
    let text = warnings(said);
    if text.contains("error") { text } else { format!("{error:#}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_names_its_plugin() {
        for (directory, name) in
            [("/a/call-ended", "call-ended"), ("/a/My Plugin", "my-plugin"), ("/", "plugin"), ("/a/ü", "plugin")]
        {
            assert_eq!(name_of(Path::new(directory)), name);
        }
    }

    #[test]
    fn of_a_failed_build_the_compilers_words_are_told() {
        let said = ["   Compiling hello v0.1.0 (/tmp)", "error[E0425]: no `x`", " --> src/lib.rs:1:1", ""];
        let said = said.map(str::to_owned).to_vec();
        let error = anyhow::anyhow!("cargo ended with exit status: 101");
        assert_eq!(failure(&said, &error), "error[E0425]: no `x`\n --> src/lib.rs:1:1");
        assert_eq!(failure(&[], &error), "cargo ended with exit status: 101");
    }
}

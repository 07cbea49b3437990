//! How `creel dev` speaks: a timeline for people, a line of JSON for each thing for programs.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use creel_store::contract::DeliveryState;
use creel_webhook::run::Verdict;
use serde::Serialize;

use crate::api::answered::AnswerView;
use crate::api::{DeploymentView, EventView, RefusalView, RunView};
use crate::cli::console::counted;
use crate::cli::plain::{self, plain};
use crate::shutdown::Shutdown;
use crate::timeline::{self, BAD, BOLD, DIM, GOOD};

/// Characters of a body that people are shown.
const BODY_CHARS_SHOWN: usize = 240;

/// How something is granted here that the reason of a run asks for.
const GRANTED_HERE: &str = "here: `--destination NAME`, or a case that expects the call";

/// Something that is told.
#[derive(Debug, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub(super) enum Said<'a> {
    /// The host serves.
    Host {
        /// Where webhooks arrive.
        ingress: &'a str,
        /// Its admin API.
        admin: &'a str,
        /// The operator's key; it is good for this host only.
        key: &'a str,
        /// The variables for other commands.
        #[serde(skip)]
        exports: String,
        /// Where the source's events are to be sent.
        url: &'a str,
        /// The source.
        source: &'a str,
        /// How its events are proved.
        preset: &'a str,
        /// What they are signed with.
        secret_file: Option<&'a Path>,
    },
    /// A build takes longer, and this is what it does.
    Step {
        /// In words.
        text: &'a str,
    },
    /// The plugin could not be built or was not taken; what was deployed before stays.
    Failed {
        /// `build` or `gate`.
        stage: &'a str,
        /// Why.
        text: &'a str,
        /// The deployment that goes on, if there is one.
        deployment: Option<u32>,
    },
    /// The plugin runs.
    Deployed {
        /// The deployment.
        #[serde(flatten)]
        deployment: &'a DeploymentView,
        /// Size of the component.
        bytes: u64,
        /// From the save to here, milliseconds.
        took_ms: u64,
        /// What the compiler warned of.
        warned: &'a str,
    },
    /// A sample was sent.
    Sent {
        /// Which.
        sample: &'a str,
        /// The answer's status.
        status: u16,
    },
    /// A run has ended, or was tried.
    Run(Ran<'a>),
    /// A request was not believed.
    Refused(&'a RefusalView),
    /// Anything else that is worth a line.
    Note {
        /// In words.
        text: &'a str,
    },
    /// It is over.
    Ended {
        /// Runs that were told.
        runs: u64,
    },
}

/// A run with what it is about and what came of it.
#[derive(Debug, Serialize)]
pub(super) struct Ran<'a> {
    /// The event.
    pub(super) event: &'a EventView,
    /// The run.
    pub(super) run: &'a RunView,
    /// What the sender was told.
    pub(super) answer: Option<&'a AnswerView>,
    /// The calls that it decided.
    pub(super) calls: Vec<Called>,
}

/// A call, and what the receiver got.
#[derive(Debug, Serialize)]
pub(super) struct Called {
    /// Its destination.
    pub(super) destination: String,
    /// HTTP method.
    pub(super) method: String,
    /// Path and query.
    pub(super) path: String,
    /// Where it stands.
    pub(super) state: DeliveryState,
    /// Why it is dead.
    pub(super) reason: Option<String>,
    /// Attempts.
    pub(super) attempts: u32,
    /// The body that arrived.
    pub(super) body: Option<String>,
}

/// Prints, counts the runs, and ends everything after as many as were asked for.
pub(super) struct Teller {
    json: bool,
    began: Instant,
    runs: AtomicU64,
    exit_after: Option<u64>,
    shutdown: Shutdown,
}

impl Teller {
    #[allow(clippy::disallowed_methods, reason = "the timeline shows the time that a person waited")]
    pub(super) fn new(json: bool, exit_after: Option<u64>, shutdown: Shutdown) -> Teller {
        Teller { json, began: Instant::now(), runs: AtomicU64::new(0), exit_after, shutdown }
    }

    /// Runs that were told.
    pub(super) fn runs(&self) -> u64 {
        self.runs.load(Ordering::Relaxed)
    }

    /// Tells it.
    pub(super) fn say(&self, said: &Said<'_>) {
        if self.json {
            let json = serde_json::to_string(said).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"));
            anstream::println!("{}", plain::json(&json));
        } else {
            anstream::println!("{}", self.text(said));
        }
        if matches!(said, Said::Run(_)) {
            let told = self.runs.fetch_add(1, Ordering::Relaxed) + 1;
            if self.exit_after.is_some_and(|enough| told >= enough) {
                self.shutdown.begin();
            }
        }
    }

    fn text(&self, said: &Said<'_>) -> String {
        match said {
            Said::Host { ingress, admin, exports, url, source, preset, secret_file, .. } => {
                let signed = match secret_file {
                    Some(file) => format!(" --secret-file {}", file.display()),
                    None => String::new(),
                };
                [
                    timeline::step("host", &format!("webhooks at {ingress}, API at {admin}; Ctrl-C ends it")),
                    timeline::step("source", &format!("{source} ({preset}) at {BOLD}{url}{BOLD:#}")),
                    timeline::step("send", &format!("creel trigger {preset} EVENT --to {url}{signed}")),
                    timeline::step("look", exports),
                    String::new(),
                    timeline::columns("event"),
                ]
                .join("\n")
            }
            Said::Step { text } => timeline::step("plugin", &plain(text)),
            Said::Failed { stage, text, deployment } => self.failed(stage, text, *deployment),
            Said::Deployed { deployment, bytes, took_ms, warned } => {
                let size = format!("{} KiB in {took_ms} ms", bytes.div_ceil(1024));
                let says = format!("{BOLD}deployment {}{BOLD:#} {DIM}{size}{DIM:#}", deployment.number);
                let warnings = deployment.warnings.iter().map(|warning| timeline::below(&plain(warning)));
                let row = timeline::row(self.seconds(), "", "", true, &says);
                let lines = warned.lines().map(|line| format!("    {}", plain(line)));
                std::iter::once(row).chain(warnings).chain(lines).collect::<Vec<_>>().join("\n")
            }
            Said::Sent { sample, status } => {
                let is_well = (200..300).contains(status);
                timeline::row(self.seconds(), &cut(sample, 31), &status.to_string(), is_well, "the sample was sent")
            }
            Said::Run(ran) => self.ran(ran),
            Said::Refused(refusal) => {
                let says = format!("{}: {}", plain(&refusal.reason), plain(&refusal.detail));
                timeline::row(self.seconds(), "not believed", "", false, &says)
            }
            Said::Note { text } => timeline::below(&format!("{DIM}{}{DIM:#}", plain(text))),
            Said::Ended { runs } => format!("\n  {GOOD}ended{GOOD:#}: {} told", counted(*runs, "run")),
        }
    }

    fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    fn failed(&self, stage: &str, text: &str, deployment: Option<u32>) -> String {
        let what = if stage == "build" { "does not build" } else { "is not taken by the host" };
        let stays = match deployment {
            Some(number) => format!("; deployment {number} goes on"),
            None => "; it is built again when you save".to_owned(),
        };
        let row = timeline::row(self.seconds(), "", "", false, &format!("{BAD}the plugin {what}{BAD:#}{stays}"));
        let lines = text.lines().map(|line| match line.trim_start().starts_with("error") {
            true => format!("    {BAD}{}{BAD:#}", plain(line)),
            false => format!("    {}", plain(line)),
        });
        std::iter::once(row).chain(lines).collect::<Vec<_>>().join("\n")
    }

    fn ran(&self, ran: &Ran<'_>) -> String {
        let (event, run) = (ran.event, ran.run);
        let title = match &event.subject {
            Some(subject) => format!("{} {}", plain(&event.kind), plain(subject)),
            None => plain(&event.kind),
        };
        let title = if title.is_empty() { event.source.clone() } else { title };
        let answer = ran.answer.map(|answer| answer.status.to_string()).unwrap_or_default();
        let verdict = run.verdict.unwrap_or(Verdict::Host);
        let is_well = verdict == Verdict::Done && ran.calls.iter().all(|call| call.state != DeliveryState::Dead);
        let says = format!("{DIM}{}, deployment {}{DIM:#}", event.id, run.deployment.unwrap_or_default());
        let mut lines = vec![timeline::row(self.seconds(), &cut(&title, 31), &answer, is_well, &says)];
        lines.push(timeline::run(&run.plugin, verdict, run.usage.fuel, run.usage.cpu_us));
        let reason = run.reason.as_deref().unwrap_or_default();
        let said = reason.lines().map(|line| format!("{BAD}{}{BAD:#}", plain(line)));
        lines.extend(said.map(|line| timeline::below(&line)));
        if reason.contains("grants.destinations") {
            lines.push(timeline::below(GRANTED_HERE));
        }
        // A panic is logged and is the reason too.
        for line in run.log.iter().filter(|line| !reason.ends_with(&line.message)) {
            let level = format!("{:?}", line.level).to_lowercase();
            let said = plain::lines(&line.message).replace('\n', &format!("\n{}  ", timeline::below("")));
            lines.push(timeline::below(&format!("{DIM}{level}{DIM:#} {said}")));
        }
        lines.extend(run.fetches.iter().map(|one| timeline::asked(&one.destination, one.status)));
        if let Some(answer) = ran.answer.filter(|answer| !answer.body.is_empty()) {
            lines.push(timeline::below(&format!("{DIM}⇐{DIM:#} {}", shown(&answer.body))));
        }
        ran.calls.iter().for_each(|call| lines.extend(called(call)));
        lines.join("\n")
    }
}

fn called(call: &Called) -> Vec<String> {
    let state = match call.state {
        DeliveryState::Pending => "pending",
        DeliveryState::Delivered => "delivered",
        DeliveryState::Dead => "dead",
    };
    let place = format!("{} {} {}", call.destination, plain(&call.method), plain(&call.path));
    let mut lines = vec![timeline::call(place.trim_end(), state, call.attempts)];
    lines.extend(call.reason.iter().map(|reason| timeline::below(&format!("  {BAD}{}{BAD:#}", plain(reason)))));
    let body = call.body.iter().filter(|body| !body.is_empty());
    lines.extend(body.map(|body| timeline::below(&format!("  {}", shown(body)))));
    lines
}

fn shown(body: &str) -> String {
    cut(&plain(body), BODY_CHARS_SHOWN)
}

fn cut(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some(_) => text.chars().take(chars - 1).chain(['…']).collect(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_to_what_they_may_have() {
        assert_eq!(cut("höre", 4), "höre");
        assert_eq!(cut("hören", 4), "hör…");
    }
}

//! `creel test`: a plugin's cases in the real sandbox, under the limits of production.
//!
//! ```text
//! directory -> component -> gate -> for each case: played host -> run -> rules of a decision -> compared
//! ```
//!
//! A case file has one definition, the SDK's (`creel_guest::testing::cases`), so that what passes natively is compared
//! with the same words here. What differs is what runs: the component, metered, in the sandbox, and its outcome has to
//! pass the rules that a host applies before it stores one. Destinations that a case names count as granted.

pub mod bless;

mod played;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use creel_guest::testing::Run;
use creel_guest::testing::cases::{Case, case_files};
use creel_guest::{Failure, Outcome};
use creel_runtime::run::{RunInput, RunReport};
use creel_webhook::clock::Timestamp;
use creel_webhook::decision::{Ground, OutcomeLimits, decide};
use creel_webhook::id::{DestinationId, EventId, RouteId};
use creel_webhook::run::{LogLine, Usage, Verdict};
use serde::Serialize;

use self::played::Played;
use super::check::read;
use super::workbench::{Passed, Workbench};
use crate::config::Config;

/// A case and what came of it.
#[derive(Debug, Serialize)]
pub struct Judged {
    /// The file's name without its ending.
    pub name: String,
    /// What the case shows.
    pub about: String,
    /// How the run ended.
    pub verdict: Option<Verdict>,
    /// What is not as expected, a sentence each; empty when all is.
    pub differences: Vec<String>,
    /// What the run used.
    pub usage: Usage,
    /// What it logged.
    pub log: Vec<LogLine>,
    /// The file.
    #[serde(skip)]
    pub file: PathBuf,
    /// What the run left behind, when it came to an outcome or a failure.
    #[serde(skip)]
    pub run: Option<Run<Result<Outcome, Failure>>>,
}

/// A component and its cases.
#[derive(Debug, Serialize)]
pub struct Tested {
    /// SHA-256 of the component.
    pub digest: String,
    /// Its size.
    pub bytes: u64,
    /// All cases, by name.
    pub cases: Vec<Judged>,
}

impl Tested {
    /// How many cases are not as expected.
    pub fn failed(&self) -> usize {
        self.cases.iter().filter(|case| !case.differences.is_empty()).count()
    }
}

/// Runs the cases of a directory, those whose name holds `filter`, on a component.
///
/// # Errors
/// When the component does not pass the gate, the directory holds no such case, or a file can't be read.
pub async fn test(component: &Path, cases: &Path, filter: &str, config: &Config) -> anyhow::Result<Tested> {
    let files = case_files(cases).with_context(|| format!("looking for cases in {}", cases.display()))?;
    let wanted: Vec<_> = files.into_iter().filter(|file| name_of(file).contains(filter)).collect();
    let named = if filter.is_empty() { String::new() } else { format!(" whose name contains `{filter}`") };
    ensure!(!wanted.is_empty(), "{} holds no case (*.json){named}", cases.display());
    let upload = read(component)?;
    let bytes = upload.len() as u64;
    let bench = Workbench::open(config)?;
    let passed = bench.pass(upload).await.with_context(|| component.display().to_string())?;
    let mut judged = Vec::with_capacity(wanted.len());
    for file in wanted {
        judged.push(judge(&bench, &passed, file).await?);
    }
    Ok(Tested { digest: passed.prepared.digest.to_string(), bytes, cases: judged })
}

fn name_of(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Runs one case. A file that is no case is a difference too: the others are run all the same.
async fn judge(bench: &Workbench, passed: &Passed, file: PathBuf) -> anyhow::Result<Judged> {
    let text = std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let name = name_of(&file);
    let case = match Case::parse(&text) {
        Ok(case) => case,
        Err(error) => {
            let differences = vec![error];
            let (about, log, usage) = (String::new(), Vec::new(), Usage::default());
            return Ok(Judged { name, about, verdict: None, differences, usage, log, file, run: None });
        }
    };
    let host = Played::new(case.host());
    let input = RunInput {
        event: played::event(&case.event()),
        limits: bench.limits.clone(),
        capabilities: Box::new(host.clone()),
        seed: [0; 32],
    };
    let report = ruled(bench.runtime.run(passed.prepared.clone(), input).await, bench);
    let (verdict, usage) = (report.verdict, report.usage);
    let log = report.log.clone();
    let reason = report.reason.clone().unwrap_or_default();
    let run = host.ended(report);
    let differences = match &run {
        Some(run) => case.compare(run),
        None => vec![format!("the run ended with the verdict `{}`: {reason}", verdict.as_str())],
    };
    Ok(Judged { name, about: case.about().to_owned(), verdict: Some(verdict), differences, usage, log, file, run })
}

/// What a host would make of the report: an outcome that breaks a rule is none.
fn ruled(mut report: RunReport, bench: &Workbench) -> RunReport {
    let Some(outcome) = &report.outcome else { return report };
    let named: Vec<String> = outcome.calls.iter().map(|call| call.destination.clone()).collect();
    let limits = &bench.limits;
    let ground = Ground {
        event: EventId::from_bytes([0; 16]),
        depth: 0,
        route: RouteId::from_bytes([0; 16]),
        now: Timestamp::default(),
        granted: &named,
        destination: &|_| Some(DestinationId::from_bytes([0; 16])),
        limits: OutcomeLimits {
            calls_max: limits.calls_max as usize,
            call_body_bytes_max: usize::try_from(limits.call_bytes_max).unwrap_or(usize::MAX),
            reply_body_bytes_max: usize::try_from(limits.reply_bytes_max).unwrap_or(usize::MAX),
        },
    };
    if let Err(error) = decide(outcome.clone(), &ground) {
        report.verdict = Verdict::Output;
        report.breach = error.breach();
        report.reason = Some(error.to_string());
        report.outcome = None;
    }
    report
}

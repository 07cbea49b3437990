//! What came of the story: the summary object of `creel demo --json`.

use std::collections::BTreeMap;

use creel_webhook::run::Verdict;
use serde::Serialize;

/// What came of the whole story: the summary object of `--json`.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    /// Whether everything that should have arrived did, and nothing else.
    pub(super) ok: bool,
    /// Each request with what came of it.
    #[serde(rename = "events")]
    pub(super) scenes: Vec<ToldScene>,
    /// Calls that the receiver accepted, by destination.
    pub(super) received: BTreeMap<String, usize>,
    /// Calls that the receiver turned away once, so that they were tried again.
    pub(super) turned_away: usize,
    /// What is wrong with the whole.
    pub(super) problems: Vec<String>,
}

/// What came of one scene.
#[derive(Debug, Serialize)]
pub(super) struct ToldScene {
    pub(super) title: &'static str,
    pub(super) source: &'static str,
    #[serde(skip)]
    pub(super) shows: &'static str,
    pub(super) status: u16,
    pub(super) answered_ms: u64,
    /// The stored event, if one was.
    pub(super) event: Option<String>,
    pub(super) runs: Vec<ToldRun>,
    pub(super) calls: Vec<ToldCall>,
    pub(super) problems: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct ToldRun {
    pub(super) plugin: String,
    pub(super) verdict: Verdict,
    pub(super) reason: Option<String>,
    pub(super) fuel: u64,
    pub(super) cpu_us: u64,
    pub(super) memory_bytes: u64,
    /// Whom it asked, and with what status it was answered.
    pub(super) asked: Vec<(String, Option<u16>)>,
}

#[derive(Debug, Serialize)]
pub(super) struct ToldCall {
    pub(super) destination: String,
    pub(super) state: &'static str,
    pub(super) attempts: u32,
}

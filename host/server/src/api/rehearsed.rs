//! What the admin API says of a replay that was only shown, beside what was decided then.

use creel_webhook::comparison::{CallChange, Difference};
use creel_webhook::id::{EventId, RunId};
use creel_webhook::outcome::{OnResult, Pair};
use creel_webhook::run::{LogLine, Usage, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answered::AnswerView;
use super::breached::BreachView;
use super::remembered::StateWriteView;

/// What a replay would do, with nothing sent or stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rehearsed {
    /// The event.
    pub event: EventId,
    /// Its runs, one for each that a replay would queue.
    pub runs: Vec<RehearsalView>,
}

/// A run that was only shown, beside what was decided then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RehearsalView {
    /// Name of its route.
    pub route: String,
    /// Name of its plugin.
    pub plugin: String,
    /// Number of the deployment that ran; absent when there was none to run.
    pub deployment: Option<u32>,
    /// How it ended.
    pub verdict: Verdict,
    /// Why.
    pub reason: Option<String>,
    /// The limit that it would have gone beyond; absent when that is not why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breach: Option<BreachView>,
    /// When the plugin wants to be run again, in ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// The answer, where a sender waits or waited.
    pub reply: Option<AnswerView>,
    /// The calls that would be made.
    pub calls: Vec<RehearsedCall>,
    /// What it logged.
    pub log: Vec<LogLine>,
    /// What it would write to its plugin's state.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub writes: Vec<StateWriteView>,
    /// What it asked for and the record of the run of then does not have: a look-up fails, state is read as it is now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// What it used.
    pub usage: Usage,
    /// What was decided then; absent when nothing was.
    pub then: Option<DecidedThen>,
    /// Whether the decision is the same; absent when there was none.
    pub same: Option<bool>,
    /// What differs besides the calls; the last ones, of log, fuel and memory, make no other decision.
    pub differences: Vec<Difference>,
    /// Calls of then and now, paired.
    pub changes: Vec<RehearsedChange>,
}

/// A call that would be made, as its destination would see it without what only the sender adds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RehearsedCall {
    /// Name of its destination.
    pub destination: String,
    /// HTTP method.
    pub method: String,
    /// Where it goes.
    pub url: String,
    /// Headers that the call adds.
    pub headers: Vec<Pair>,
    /// The head of its body; what is not UTF-8 is shown by replacement characters.
    pub body: Option<String>,
    /// Size of its body.
    pub body_bytes: u64,
    /// `webhook-id` and idempotency key; absent when the replay makes a new one.
    pub key: Option<String>,
    /// What keeps it in line.
    pub order_key: Option<String>,
    /// Not before, in ms after the decision.
    pub delay_ms: u64,
    /// Not after, in ms after the decision.
    pub expires_ms: Option<u64>,
    /// Which of its ends are reported to the plugin, and under which tag.
    pub on_result: Option<OnResult>,
    /// Why it would wait: its destination is paused or disabled now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
}

/// What a run decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DecidedThen {
    /// The run.
    pub run: RunId,
    /// Number of the deployment that ran.
    pub deployment: Option<u32>,
    /// How it ended.
    pub verdict: Verdict,
    /// What it used.
    pub usage: Usage,
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RehearsedChange {
    /// The call in words: method, path, destination.
    pub what: String,
    /// Where it stands then and now, and what differs.
    #[serde(flatten)]
    pub call: CallChange,
}

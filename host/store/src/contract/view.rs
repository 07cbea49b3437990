//! What people look at: rows as they are listed, and what narrows a list.

use creel_webhook::breach::Breach;
use creel_webhook::clock::Timestamp;
use creel_webhook::delivery::Answer;
use creel_webhook::id::{DeliveryId, DestinationId, EventId, PluginId, RequestId, RouteId, RunId, SourceId};
use creel_webhook::outcome::OnResult;
use creel_webhook::route::Mode;
use creel_webhook::run::{LogLine, Usage, Verdict};
use serde::{Deserialize, Serialize};

use super::letters::About;

/// One try at a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took, milliseconds.
    pub duration_ms: u64,
    /// What came of it.
    pub answer: Answer,
    /// What went wrong in detail, for people.
    pub detail: Option<String>,
    /// The head of the response's body, as text.
    pub response_head: String,
}

/// A request that was not believed, for the operator's eyes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalRow {
    /// When.
    pub at: Timestamp,
    /// Where it came in.
    pub source: SourceId,
    /// Word from the closed list of reasons.
    pub reason: String,
    /// What exactly; never a secret or an expected value.
    pub detail: String,
    /// The peer's address.
    pub peer: String,
}

/// Which events are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EventFilter {
    /// Of this source.
    pub source: Option<SourceId>,
    /// Of exactly this type.
    pub kind: Option<String>,
    /// With exactly this subject.
    pub subject: Option<String>,
    /// In this state.
    pub state: Option<EventState>,
    /// Received not before.
    pub since: Option<Timestamp>,
    /// Received before.
    pub until: Option<Timestamp>,
    /// Older than this event (for the next page).
    pub before: Option<EventId>,
    /// At most so many; 1 to 500.
    pub limit: u32,
}

/// Which events are followed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeedFilter {
    /// Of this source.
    pub source: Option<SourceId>,
    /// Behind this event.
    pub after: Option<EventId>,
    /// Whose ids were made before this moment.
    pub until: Timestamp,
    /// At most so many; 1 to 500.
    pub limit: u32,
    /// No further one once their bodies have so many bytes.
    pub bytes_max: usize,
}

/// What became of an event so far. The first that holds, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventState {
    /// No route took it.
    Unrouted,
    /// A run of it ended without a decision and was not replayed since, or a call of it was given up.
    Dead,
    /// A run of it is not decided yet.
    Pending,
    /// All is decided, and a call of it is not over.
    Sending,
    /// All is over, and a plugin rejected it in a run that was not replayed since.
    Rejected,
    /// All is over.
    Done,
}

impl EventState {
    /// All of them.
    pub const ALL: [EventState; 6] = [
        EventState::Unrouted,
        EventState::Dead,
        EventState::Pending,
        EventState::Sending,
        EventState::Rejected,
        EventState::Done,
    ];

    /// Its word in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            EventState::Unrouted => "unrouted",
            EventState::Dead => "dead",
            EventState::Pending => "pending",
            EventState::Sending => "sending",
            EventState::Rejected => "rejected",
            EventState::Done => "done",
        }
    }
}

/// A page of events, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventPage {
    /// Its events: those that the filter wants of what was looked at.
    pub events: Vec<EventSummary>,
    /// What the next page begins before; `None` when there is nothing behind this one.
    pub next: Option<EventId>,
}

/// A line in a list of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventSummary {
    /// Its id.
    pub id: EventId,
    /// Its request.
    pub request: RequestId,
    /// Where it came in.
    pub source: SourceId,
    /// Type.
    pub kind: String,
    /// The provider's id.
    pub provider_id: Option<String>,
    /// What people search by.
    pub subject: Option<String>,
    /// When the request arrived.
    pub received_at: Timestamp,
    /// Runs that it started.
    pub runs: u32,
    /// Runs that are not decided yet.
    pub pending: u32,
    /// What became of it so far.
    pub state: EventState,
}

/// A run as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRow {
    /// Its id.
    pub id: RunId,
    /// Its event.
    pub event: EventId,
    /// Its route.
    pub route: RouteId,
    /// Its plugin.
    pub plugin: PluginId,
    /// Ack or reply.
    pub mode: Mode,
    /// The verdict of the latest try; `None` before the first.
    pub verdict: Option<Verdict>,
    /// Why, for people.
    pub reason: Option<String>,
    /// The limit behind that, when it is one.
    pub breach: Option<Breach>,
    /// Number of the deployment that ran.
    pub deployment: Option<u32>,
    /// What the latest try used.
    pub usage: Usage,
    /// What it logged.
    pub log: Vec<LogLine>,
    /// Committed tries.
    pub attempts: u32,
    /// Claims.
    pub claims: u32,
    /// When it was queued.
    pub created_at: Timestamp,
    /// When it ended; `None` while it is not over.
    pub ended_at: Option<Timestamp>,
    /// The latest run that was made of it.
    pub replayed: Option<RunId>,
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Waiting for its time, its lane or its answer.
    Pending,
    /// It arrived.
    Delivered,
    /// Given up; a dead letter.
    Dead,
}

/// A delivery as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryRow {
    /// Its id.
    pub id: DeliveryId,
    /// The event that it is about; [`NO_EVENT`](creel_webhook::notice::NO_EVENT) for a notice.
    pub event: EventId,
    /// The run that decided it; [`NO_RUN`](creel_webhook::notice::NO_RUN) for a notice.
    pub run: RunId,
    /// Position in its outcome.
    pub index: u32,
    /// Where it goes.
    pub destination: DestinationId,
    /// `webhook-id` and idempotency key.
    pub key: String,
    /// HTTP method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Where it stands.
    pub state: DeliveryState,
    /// Why it is dead.
    pub reason: Option<String>,
    /// Committed attempts.
    pub attempts: u32,
    /// When the next attempt is due; `None` when blocked or over.
    pub due_at: Option<Timestamp>,
    /// When it was decided.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// When its end is reported, and under which tag.
    pub on_result: Option<OnResult>,
    /// The event that reports its end; left out of lists.
    pub result: Option<EventId>,
    /// Its attempts in order.
    pub history: Vec<Attempt>,
}

/// Which deliveries are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeliveryFilter {
    /// In this state.
    pub state: Option<DeliveryState>,
    /// To this destination.
    pub destination: Option<DestinationId>,
    /// And about this.
    pub about: About,
    /// Older than this one (for the next page).
    pub before: Option<DeliveryId>,
    /// At most so many; 1 to 500.
    pub limit: u32,
}

/// How many calls wait for a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// The destination.
    pub destination: DestinationId,
    /// Calls to it that are not over, those on their way included.
    pub waiting: u64,
    /// How many there may be, by its own limit and the host's.
    pub waiting_max: u64,
    /// Set while its breaker is open or half open: when the next call may try, or might.
    pub failing_until: Option<Timestamp>,
}

/// Which runs are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunFilter {
    /// With this verdict.
    pub verdict: Option<Verdict>,
    /// Of this plugin.
    pub plugin: Option<PluginId>,
    /// Only dead letters: ended without a decision, and not replayed since.
    pub dead: bool,
    /// And about this.
    pub about: About,
    /// Older than this one (for the next page).
    pub before: Option<RunId>,
    /// At most so many; 1 to 500.
    pub limit: u32,
}

/// Counts for metrics and readiness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stats {
    /// Runs not decided.
    pub runs_pending: u64,
    /// Deliveries not ended.
    pub deliveries_pending: u64,
    /// Tenants of which nothing is run because their fuel is used up.
    pub tenants_in_debt: u64,
    /// Bytes on disk.
    pub bytes: u64,
}

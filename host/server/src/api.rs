//! What the admin API says, as Rust: the shapes that the server writes and the client reads.
//!
//! Things are called by their names, as in the API's addresses; a thing that has been removed since is shown by its id.
//! Moments are RFC 3339 texts in UTC. No shape has a field for a secret's value, so none can be shown.

pub mod answered;
pub mod breached;
pub mod probed;
pub mod rehearsed;
pub mod remembered;

use std::collections::BTreeMap;
use std::fmt;

use creel_store::contract::{DeliveryState, EventState};
use creel_webhook::clock::Timestamp;
use creel_webhook::delivery::Answer;
use creel_webhook::destination::DestinationSpec;
use creel_webhook::id::{
    DeliveryId, DestinationId, EventId, KeyId, PluginId, RequestId, RouteId, RunId, SecretId, SourceId, TenantId,
};
use creel_webhook::outcome::{OnResult, Pair};
use creel_webhook::plugin::{Digest, Grants};
use creel_webhook::quota::Quota;
use creel_webhook::route::Mode;
use creel_webhook::run::{LogLine, Usage, Verdict};
use creel_webhook::source::SourceSpec;
use creel_webhook::tenant::{Role, TenantLimits};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use self::answered::AnswerView;
use self::breached::BreachView;
use self::remembered::StateReadView;
use crate::spec::fields::Mistake;
use crate::spec::route::RouteSpec;

/// A moment, written as RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub Timestamp);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let moment: jiff::Timestamp = text.parse().map_err(serde::de::Error::custom)?;
        Ok(Moment(Timestamp::from_millis(moment.as_millisecond())))
    }
}

impl JsonSchema for Moment {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Moment".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

/// A refusal, as RFC 9457 wants it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// `urn:creel:problem:` and a stable word.
    #[serde(rename = "type")]
    pub kind: String,
    /// What kind of refusal it is, in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened here and what to do next.
    pub detail: String,
    /// Every mistake of the document, when it is about one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Mistake>,
}

/// What a PUT did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It was not there before.
    Created,
    /// It was there and is different now.
    Changed,
    /// It was there just so.
    Unchanged,
}

/// The answer to a PUT.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Put{T}")]
pub struct Put<T> {
    /// What it did.
    pub result: Change,
    /// The thing as it is now.
    pub resource: T,
}

/// A list, newest first or by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ListOf{T}")]
pub struct List<T> {
    /// Its items.
    pub items: Vec<T>,
    /// What to give as `before` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Who the key belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WhoAmI {
    /// The key's id.
    pub key: KeyId,
    /// What it may do.
    pub role: Role,
    /// Whether it may read payloads.
    pub payload_read: bool,
    /// Name of its tenant; absent for operators.
    pub tenant: Option<String>,
}

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TenantView {
    /// Its id.
    pub id: TenantId,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created_at: Moment,
    /// Its own limits.
    pub limits: TenantLimits,
    /// Since when it is being removed; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed_at: Option<Moment>,
}

/// A key, without what proves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyView {
    /// Its id.
    pub id: KeyId,
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Whether it may read payloads: bodies and headers of events, calls and answers.
    pub payload_read: bool,
    /// When it was made.
    pub created_at: Moment,
    /// When it stops working.
    pub expires_at: Option<Moment>,
    /// When it was last used, by the hour.
    pub last_used_at: Option<Moment>,
}

/// A key at the one moment when it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewKeyView {
    /// What goes behind `Authorization: Bearer`; never shown again.
    pub key: String,
    /// The rest.
    #[serde(flatten)]
    pub about: KeyView,
}

/// What a tenant used on one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsageView {
    /// The day, UTC.
    pub day: String,
    /// Events that were stored; repetitions are none.
    pub events: u64,
    /// Tries of runs.
    pub runs: u64,
    /// Fuel that they were charged: what they burnt, and for those that ended by their time, their memory or a trap at least 1 000 for each
    /// microsecond on a thread.
    pub fuel: u64,
    /// Bytes of the bodies of stored requests.
    pub bytes_in: u64,
    /// Bytes of the bodies of decided calls, each once.
    pub bytes_out: u64,
    /// Calls that arrived.
    pub deliveries: u64,
}

/// A daily quota of a tenant, and what is used of it today.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuotaView {
    /// Which.
    pub quota: Quota,
    /// How much of it is used since midnight UTC.
    pub used: u64,
    /// How much there is; `null` when there is no quota.
    pub max: Option<u64>,
    /// When it begins anew.
    pub renewed_at: Moment,
    /// What becomes of more.
    pub beyond: String,
}

/// What a rotation of the master key did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rekeyed {
    /// Secrets that were sealed again.
    pub secrets: usize,
}

/// A line of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditView {
    /// Its place; the newest has the highest.
    pub seq: u64,
    /// When.
    pub at: Moment,
    /// Name of the tenant whose things it was about; absent for the host's.
    pub tenant: Option<String>,
    /// The key.
    pub key: KeyId,
    /// What people call it.
    pub key_name: String,
    /// What it may do.
    pub role: Role,
    /// Method and address, with names in braces.
    pub what: String,
    /// The address that was called.
    pub object: String,
    /// Where it came from.
    pub peer: String,
    /// HTTP status of the answer; absent when the request was cut off or the host ended before.
    pub status: Option<u16>,
}

/// A secret, without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretView {
    /// Its id.
    pub id: SecretId,
    /// Its name.
    pub name: String,
    /// Origins that it may be sent to.
    pub origins: Vec<String>,
    /// When it was last changed.
    pub updated_at: Moment,
    /// Until when the value before it still counts.
    pub previous_until: Option<Moment>,
}

/// A source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourceView {
    /// Its id.
    pub id: SourceId,
    /// Its name.
    pub name: String,
    /// Path of its ingress URL.
    pub path: String,
    /// Path of the URL before it, while that still leads here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_path: Option<String>,
    /// Until when it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_until: Option<Moment>,
    /// What its provider is to be given: the first of its public URLs, or the host's own with the path.
    pub url: String,
    /// Whether its runs wait.
    pub paused: bool,
    /// What was configured.
    pub spec: SourceSpec,
}

/// A destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DestinationView {
    /// Its id.
    pub id: DestinationId,
    /// Its name.
    pub name: String,
    /// Why it is paused.
    pub paused: Option<String>,
    /// Why it is disabled.
    pub disabled: Option<String>,
    /// Calls to it that are not over, those on their way included.
    pub waiting: u64,
    /// How many there may be; beyond it the oldest end dead.
    pub waiting_max: u64,
    /// Set while its circuit breaker is not closed, because calls to it failed: when one may try. Once that has passed, few may go
    /// at a time until enough were good.
    #[serde(default)]
    pub failing_until: Option<Moment>,
    /// What was configured.
    pub spec: DestinationSpec,
}

impl DestinationView {
    /// The word for what stops its calls, and why: being disabled goes before being paused.
    pub fn stopped(&self) -> Option<(&'static str, &str)> {
        stopped(self.disabled.as_deref(), self.paused.as_deref())
    }
}

/// The word for what stops a destination's calls, and why, by why it is disabled and why it is paused.
pub fn stopped<'a>(disabled: Option<&'a str>, paused: Option<&'a str>) -> Option<(&'static str, &'a str)> {
    disabled.map(|why| ("disabled", why)).or(paused.map(|why| ("paused", why)))
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RouteView {
    /// Its id.
    pub id: RouteId,
    /// Its name.
    pub name: String,
    /// Whether its runs wait.
    pub paused: bool,
    /// What was configured.
    pub spec: RouteSpec,
}

/// A plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PluginView {
    /// Its id.
    pub id: PluginId,
    /// Its name.
    pub name: String,
    /// Its active deployment.
    pub active: Option<DeploymentView>,
}

/// An uploaded version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VersionView {
    /// SHA-256 of the upload.
    pub digest: Digest,
    /// What it imports.
    pub imports: Vec<String>,
    /// Its size.
    pub bytes: u64,
}

/// A deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeploymentView {
    /// Its number in its plugin.
    pub number: u32,
    /// The component.
    pub digest: Digest,
    /// Plain settings.
    pub config: BTreeMap<String, String>,
    /// What it may ask for.
    pub grants: Grants,
    /// When it was made.
    pub created_at: Moment,
    /// Whether it is the one that runs.
    pub active: bool,
    /// What its component reaches for and is not granted; told to whoever deploys it, unless the one that ran before
    /// lacks it too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A line in a list of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventLine {
    /// Its id.
    pub id: EventId,
    /// Its request.
    pub request: RequestId,
    /// Name of its source.
    pub source: String,
    /// Type.
    pub kind: String,
    /// The provider's id.
    pub provider_id: Option<String>,
    /// What people search by.
    pub subject: Option<String>,
    /// When the request arrived.
    pub received_at: Moment,
    /// Runs that it started.
    pub runs: u32,
    /// Runs that are not decided yet.
    pub pending: u32,
    /// What became of it so far.
    pub state: EventState,
}

/// The whole story of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StoryView {
    /// The event with its request.
    pub event: EventView,
    /// What the sender was told; absent while that is undecided.
    pub answer: Option<AnswerView>,
    /// Repetitions that came later.
    pub duplicates: u64,
    /// Its runs in order.
    pub runs: Vec<RunView>,
    /// The calls that they decided, in order.
    pub deliveries: Vec<DeliveryView>,
    /// What is left out for want of which right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
}

/// An event with its request; the body has an address of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventView {
    /// Its id.
    pub id: EventId,
    /// Its request.
    pub request: RequestId,
    /// Name of its source.
    pub source: String,
    /// Position in its request, from 0.
    pub index: u32,
    /// Events in the request.
    pub count: u32,
    /// Type.
    pub kind: String,
    /// The provider's id.
    pub provider_id: Option<String>,
    /// What people search by.
    pub subject: Option<String>,
    /// When it happened, by the provider's account.
    pub occurred_at: Option<Moment>,
    /// When the request arrived.
    pub received_at: Moment,
    /// The scheme that proved it genuine.
    pub scheme: String,
    /// The method.
    pub method: String,
    /// Query parameters, credentials replaced.
    pub query: Vec<Pair>,
    /// Headers, credentials replaced.
    pub headers: Vec<Pair>,
    /// Facts that the host added.
    pub attributes: Vec<Pair>,
    /// Size of its body.
    pub body_bytes: u64,
    /// Whether the body has been erased.
    pub erased: bool,
    /// For an event that reports how a call ended: which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<OriginView>,
}

/// The call whose end an event reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OriginView {
    /// The event whose run decided it.
    pub event: EventId,
    /// Its delivery.
    pub delivery: DeliveryId,
    /// Results in a row, this one included.
    pub depth: u32,
}

/// One thing that a run or a call waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WaitView {
    /// What kind of thing.
    pub why: Why,
    /// Until when, as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Moment>,
    /// The run or call that goes before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind: Option<String>,
    /// In words, and what can be done about it.
    pub detail: String,
}

/// What holds work back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Nothing but the others that go first.
    Turn,
    /// Nothing: it is being done.
    UnderWay,
    /// Its time has not come.
    NotBefore,
    /// The one before it of the same order key is not over.
    Behind,
    /// Somebody paused it, or a refused credential did.
    Paused,
    /// The destination's breaker is open.
    Breaker,
    /// The destination asked to be left alone.
    Asked,
    /// The destination's rate.
    Rate,
    /// The places of its route or destination are taken.
    Places,
    /// The tenant's places are taken.
    TenantPlaces,
    /// The tenant's fuel per second is used up.
    Fuel,
    /// A daily quota of the tenant is used up.
    Quota,
    /// A run that may have ended the process before goes alone.
    Alone,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunView {
    /// Its id.
    pub id: RunId,
    /// Its event.
    pub event: EventId,
    /// Name of its route.
    pub route: String,
    /// Name of its plugin.
    pub plugin: String,
    /// Ack or reply.
    pub mode: Mode,
    /// The verdict of the latest try.
    pub verdict: Option<Verdict>,
    /// Why.
    pub reason: Option<String>,
    /// The limit that its latest try would have gone beyond; absent when that is not why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breach: Option<BreachView>,
    /// Number of the deployment that ran.
    pub deployment: Option<u32>,
    /// What the latest try used.
    pub usage: Usage,
    /// What it logged.
    pub log: Vec<LogLine>,
    /// What its latest try read of its plugin's state, in the story of its event.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub state: Vec<StateReadView>,
    /// What its latest try looked up, in the story of its event.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fetches: Vec<FetchView>,
    /// Committed tries.
    pub attempts: u32,
    /// Claims.
    pub claims: u32,
    /// When it was queued.
    pub created_at: Moment,
    /// When it ended.
    pub ended_at: Option<Moment>,
    /// Why it is not over, in the story of its event.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<WaitView>,
    /// The latest run that was made of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayed: Option<RunId>,
}

/// A look-up of a run, without what was asked for and answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FetchView {
    /// Name of its destination.
    pub destination: String,
    /// HTTP method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// What it was answered; absent when nothing was.
    pub status: Option<u16>,
    /// Why the plugin got no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Size of the answer's body.
    pub response_bytes: u64,
    /// How long it took, in ms.
    pub duration_ms: u64,
}

/// A delivery that is in the queue again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReplayedCall {
    /// Its id, the same as before.
    pub delivery: DeliveryId,
}

/// An event that is run once more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventReplayed {
    /// The new runs; none for routes on which one still waits.
    pub runs: Vec<RunId>,
}

/// One step through dead letters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReplayStep {
    /// Dead letters that were looked at.
    pub looked_at: u32,
    /// Those of them that are in the queue again.
    pub replayed: u32,
    /// Those that were wanted and could not be replayed.
    pub skipped: u32,
    /// Why the first of these could not.
    pub refused: Option<String>,
    /// What to give as `after` for the next step; absent at the end. A step that was held may begin where it began.
    pub next: Option<String>,
    /// Why it ended early: as much waits as may. The next step is for when there is room again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    /// What to give as `until` for the next step.
    pub until: Moment,
}

/// A run that was just queued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Replayed {
    /// The new run's id.
    pub run: RunId,
}

/// An event whose payload was just erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Erased {
    /// The event.
    pub event: EventId,
    /// How many events lost their payload: it, and those that report its calls' ends.
    pub events: u32,
}

/// A delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeliveryView {
    /// Its id.
    pub id: DeliveryId,
    /// The event that it is about; a notice is about none.
    pub event: Option<EventId>,
    /// The run that decided it; a notice is the host's own.
    pub run: Option<RunId>,
    /// Position in its outcome.
    pub index: u32,
    /// Name of its destination.
    pub destination: String,
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
    /// When the next attempt is due.
    pub due_at: Option<Moment>,
    /// When it was decided.
    pub created_at: Moment,
    /// When it ended.
    pub ended_at: Option<Moment>,
    /// Why it is not over; empty in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<WaitView>,
    /// Which of its ends are reported to the plugin, and under which tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_result: Option<OnResult>,
    /// The event that reports its end; absent in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<EventId>,
    /// Its attempts in order; empty in lists.
    pub history: Vec<AttemptView>,
}

/// A delivery with its history and what it sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LetterView {
    /// The delivery.
    #[serde(flatten)]
    pub delivery: DeliveryView,
    /// Headers that the call adds; the host's own are made at each attempt.
    pub headers: Vec<Pair>,
    /// The body; what is not UTF-8 is shown by replacement characters.
    pub body: Option<String>,
    /// What keeps it in line.
    pub order_key: Option<String>,
    /// Not after.
    pub expires_at: Option<Moment>,
    /// Deaths from which it was brought back, oldest first.
    pub past: Vec<DeathView>,
    /// What is left out for want of which right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
}

/// A death from which a delivery was brought back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeathView {
    /// When it died.
    pub ended_at: Moment,
    /// Of what.
    pub reason: Option<String>,
    /// The key that it carried until then.
    pub key: String,
    /// When it was put into the queue again.
    pub replayed_at: Moment,
}

/// An attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AttemptView {
    /// When it began.
    pub started_at: Moment,
    /// How long it took, milliseconds.
    pub duration_ms: u64,
    /// What came of it.
    pub answer: Answer,
    /// What went wrong in detail.
    pub detail: Option<String>,
    /// The head of the response's body.
    pub response_head: String,
}

/// A request that was not believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefusalView {
    /// When.
    pub at: Moment,
    /// Name of the source.
    pub source: String,
    /// Word from the closed list of reasons.
    pub reason: String,
    /// What exactly.
    pub detail: String,
    /// The peer's address.
    pub peer: String,
}

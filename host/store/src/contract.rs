//! What a store is: verbs, each of them one transaction.
//!
//! Ingress, worker and sender meet only here. The verbs speak of the life of things (accept, claim, commit, release),
//! not of tables, so that a second implementation can choose its own tables; the conformance suite is the trait's
//! definition.
//!
//! # Claims
//!
//! There is no "running" state. A claim sets a lease and a fresh token; a commit succeeds only while that token is
//! the row's; an expired lease is simply due again; a stale commit changes nothing and says so. `claims` counts at
//! claim time and guards against work that kills the process; `attempts` moves only when a commit says so. A store that
//! is opened is told on what work had begun when the process before ended: those claims are lost, all others are given
//! back. Runs that may be what ended it are claimed first and alone.
//!
//! # Lanes
//!
//! Runs of a route and deliveries to a destination stand in lanes. Only heads are due: with an order key the first
//! of its key, without one all. A head that fails holds its key for the lane's `skip_after_ms` from its first failure;
//! then the next may pass it, and holds those behind it in the same way. Pausing, an open breaker, a receiver that asks
//! to wait, a used-up rate and a full concurrency change the lane's one row, never its members. Claims visit tenants in
//! turn, then their due lanes, then heads.
//!
//! A destination's lane holds so many calls that are not over and no more: the oldest make room for the newest.
//!
//! # Time
//!
//! Every verb that needs the time is told it; the store clamps it so that it never goes backwards.

mod answer;
mod claim;
mod component;
mod decision;
mod failing;
mod letters;
mod state;
mod tenancy;
mod view;
mod waiting;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use bytestring::ByteString;
use creel_webhook::clock::Timestamp;
use creel_webhook::delivery::{DestinationChange, Next};
use creel_webhook::destination::Destination;
use creel_webhook::followup::Origin;
use creel_webhook::id::{DeliveryId, DestinationId, EventId, PluginId, RequestId, RouteId, RunId, SourceId, TenantId};
use creel_webhook::notice::{Fact, Notices};
use creel_webhook::outcome::{OnResult, Pair};
use creel_webhook::plugin::{Deployment, Digest, Plugin};
use creel_webhook::quota::Quota;
use creel_webhook::record::{Record, StateValue};
use creel_webhook::route::{Mode, Route};
use creel_webhook::source::Source;
use creel_webhook::tenant::Tenant;
use tokio::sync::Notify;

pub use self::answer::StoredAnswer;
pub use self::claim::{ClaimToken, NewClaim};
pub use self::component::NewComponent;
pub use self::decision::{NewDelivery, RunCommit, RunCommitted};
pub use self::failing::{StoreError, StoreResult, erased};
pub use self::letters::{About, Death, Hasten, Hastened, Keys, Letter, Replay, Terms, Window};
pub use self::state::{StateFilter, StateKey, StateRemoved, StateRoom, StateWrites};
pub use self::tenancy::{AuditRow, Deed, Leaving, SecretRow, Tenancy, Trail, Used, UsedDay};
pub use self::view::{
    Attempt, DeliveryFilter, DeliveryRow, DeliveryState, EventFilter, EventPage, EventState, EventSummary, FeedFilter,
    Queue, RefusalRow, RunFilter, RunRow, Stats,
};
pub use self::waiting::{Hold, Holds};

/// Everything that people configured, as of one version: what ingress, worker and sender keep in memory.
#[derive(Debug, Clone, Default)]
pub struct Control {
    /// [`Store::control_version`] when this was read.
    pub version: u64,
    /// All tenants but those that are being removed.
    pub tenants: Vec<Tenant>,
    /// Tenants that are being removed; nothing of theirs is in any other list.
    pub leaving: Vec<Leaving>,
    /// All sources.
    pub sources: Vec<Source>,
    /// All routes.
    pub routes: Vec<Route>,
    /// All plugins.
    pub plugins: Vec<Plugin>,
    /// The active deployment of each plugin that has one.
    pub deployments: Vec<Deployment>,
    /// All destinations.
    pub destinations: Vec<Destination>,
    /// All secrets, sealed.
    pub secrets: Vec<SecretRow>,
    /// Where tenants' notices go.
    pub notices: Vec<Notices>,
}

/// A deployment to be made; the store numbers it.
#[derive(Debug, Clone)]
pub struct NewDeployment {
    /// Its row without a number (the number is ignored).
    pub deployment: Deployment,
    /// Make it the active one.
    pub activate: bool,
}

/// A verified request with all that follows from it, to be stored in one transaction.
#[derive(Debug, Clone)]
pub struct Accept {
    /// Whose it is.
    pub tenant: TenantId,
    /// Where it came in.
    pub source: SourceId,
    /// The request.
    pub request: NewRequest,
    /// Its events in order, at least one.
    pub events: Vec<NewEvent>,
    /// What the sender is told when no event waits for a reply; kept, so that a duplicate is told the same.
    pub answer: StoredAnswer,
    /// Runs that the tenant may have pending. Beyond it nothing is stored, unless a sender waits for a reply: it would
    /// be told the fallback and never come back. Then its run ends `unanswered`, the fallback is decided, and runs
    /// beside it that find no room end `unanswered` too; all of them can be replayed.
    pub pending_runs_max: u64,
}

/// The HTTP request, credentials already replaced.
#[derive(Debug, Clone)]
pub struct NewRequest {
    /// Its id.
    pub id: RequestId,
    /// When its first byte arrived.
    pub received_at: Timestamp,
    /// The method.
    pub method: String,
    /// Decoded query parameters.
    pub query: Vec<Pair>,
    /// Headers in lower case.
    pub headers: Vec<(ByteString, ByteString)>,
    /// The scheme that proved it genuine.
    pub scheme: String,
    /// Facts for the guest, for example `body-covered`.
    pub attributes: Vec<Pair>,
    /// The whole body.
    pub body: Bytes,
}

/// One event of the request.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Its id.
    pub id: EventId,
    /// Type; may be empty.
    pub kind: String,
    /// The provider's id.
    pub provider_id: Option<String>,
    /// What people search by.
    pub subject: Option<String>,
    /// When it happened, by the provider's account.
    pub occurred_at: Option<Timestamp>,
    /// Byte range of its item in the body; `None` for the whole body.
    pub item: Option<(u64, u64)>,
    /// Hashes by which a repetition is known; the first that is there decides.
    pub dedup_keys: Vec<[u8; 32]>,
    /// Until when they are kept.
    pub dedup_until: Timestamp,
    /// The runs that it starts, one per matching route; empty when no route matched.
    pub runs: Vec<NewRun>,
}

impl NewEvent {
    /// The run that its sender waits for.
    pub fn awaited(&self) -> Option<&NewRun> {
        self.runs.iter().find(|run| run.reply.is_some())
    }
}

/// A run to be queued.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// Its id.
    pub id: RunId,
    /// The route that asked for it.
    pub route: RouteId,
    /// The plugin that handles it.
    pub plugin: PluginId,
    /// Runs of the same route and order key are decided one after the other, as long as none fails for longer than the
    /// source's `skip_after_ms`.
    pub order_key: Option<String>,
    /// Present when the sender waits: the run is claimed inside the accept.
    pub reply: Option<NewReply>,
}

impl NewRun {
    /// The right to decide it by the claim that comes with the accept of its event, until `lease_until`; `None` when none comes.
    pub fn ticket(&self, tenant: TenantId, event: EventId, lease_until: Timestamp) -> Option<RunTicket> {
        let reply = self.reply.as_ref()?;
        Some(RunTicket {
            run: self.id,
            claim: reply.claim?.token,
            tenant,
            event,
            route: self.route,
            plugin: self.plugin,
            mode: Mode::Reply,
            attempts: 0,
            failures: 0,
            claims: 1,
            lease_until,
            deadline: Some(reply.deadline),
            new_keys: false,
        })
    }
}

/// A reply that a sender waits for.
#[derive(Debug, Clone)]
pub struct NewReply {
    /// When the sender is given the fallback at the latest.
    pub deadline: Timestamp,
    /// The claim that comes with the accept; `None` when no slot was free: the run is not claimed, the
    /// fallback is decided at once and the run ends `unanswered`. The same happens while the route or its source is
    /// paused, and while the replies of the tenant have used more fuel than its `fuel_per_second` gives: they have an
    /// account of their own; and while its daily quota of runs or fuel is used up.
    pub claim: Option<NewClaim>,
    /// What the sender is told when no run answers in time; kept from the start, so that a restart can answer too.
    pub fallback: StoredAnswer,
}

/// What became of an accept.
#[derive(Debug)]
pub enum Accepted {
    /// Stored; events that were repetitions are left out.
    Stored {
        /// Ids of the stored events.
        events: Vec<EventId>,
        /// How many were repetitions.
        duplicates: u32,
        /// What the first event's first was told, when the first event was a repetition: it speaks for its request,
        /// so this is what the sender is to be told.
        first: Option<FirstAnswer>,
        /// The claim of the reply run, if the sender waits, a slot was free and nothing held the run back. `None` with
        /// a reply route and no `first`: its fallback was decided.
        reply: Option<RunTicket>,
    },
    /// Every event was a repetition; nothing was stored.
    Duplicate(FirstAnswer),
    /// The tenant has too many pending runs and no sender waits for a reply; nothing was stored.
    OverQuota {
        /// Runs pending now.
        pending: u64,
    },
    /// It does not fit into what is left of a daily quota of the tenant, whoever waits for a reply; nothing was stored.
    OverDailyQuota {
        /// Which.
        quota: Quota,
        /// When it begins anew.
        until: Timestamp,
    },
}

/// What the first of a row of repetitions was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FirstAnswer {
    /// These bytes.
    Told(StoredAnswer),
    /// Nothing yet: its reply is not decided. Wait with [`Store::reply_read`].
    Pending {
        /// The event whose reply it is.
        event: EventId,
        /// When it is decided at the latest.
        deadline: Timestamp,
    },
}

/// The right to decide a run.
#[derive(Debug, Clone)]
pub struct RunTicket {
    /// The run.
    pub run: RunId,
    /// Proof of the claim.
    pub claim: ClaimToken,
    /// Whose it is.
    pub tenant: TenantId,
    /// The event.
    pub event: EventId,
    /// Its route.
    pub route: RouteId,
    /// Its plugin.
    pub plugin: PluginId,
    /// Ack or reply.
    pub mode: Mode,
    /// Committed tries so far.
    pub attempts: u32,
    /// How many of them ended `timeout` or `host`.
    pub failures: u32,
    /// Claims so far, this one included.
    pub claims: u32,
    /// Until when the claim holds.
    pub lease_until: Timestamp,
    /// Until when its reply can count; only for mode `reply`.
    pub deadline: Option<Timestamp>,
    /// In the keys of its calls the run stands for its event.
    pub new_keys: bool,
}

/// A claimed run with what it needs.
#[derive(Debug, Clone)]
pub struct RunClaim {
    /// The right to decide it.
    pub ticket: RunTicket,
    /// The event with its request.
    pub event: StoredEvent,
}

/// An event with its request, as stored.
#[derive(Debug, Clone)]
pub struct StoredEvent {
    /// Its id.
    pub id: EventId,
    /// Its request.
    pub request: RequestId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Where it came in.
    pub source: SourceId,
    /// Position in its request, from 0.
    pub index: u32,
    /// Events in the request.
    pub count: u32,
    /// Type; may be empty.
    pub kind: String,
    /// The provider's id.
    pub provider_id: Option<String>,
    /// What people search by.
    pub subject: Option<String>,
    /// When it happened, by the provider's account.
    pub occurred_at: Option<Timestamp>,
    /// When the request arrived.
    pub received_at: Timestamp,
    /// The scheme that proved it genuine.
    pub scheme: String,
    /// The method.
    pub method: String,
    /// Decoded query parameters.
    pub query: Vec<Pair>,
    /// Headers in lower case.
    pub headers: Vec<Pair>,
    /// Facts for the guest.
    pub attributes: Vec<Pair>,
    /// The event's own bytes; empty once erased.
    pub body: Bytes,
    /// Whether retention or a person has erased the body.
    pub erased: bool,
    /// For an event that reports how a call ended: which, and after how many such events.
    pub origin: Option<Origin>,
}

impl StoredEvent {
    /// What keys outward of its calls are made from: the event itself, or what stands for it.
    pub fn identity(&self) -> EventId {
        self.origin.as_ref().map_or(self.id, |origin| origin.identity)
    }

    /// Results in a row that led here; 0 for an event from outside.
    pub fn depth(&self) -> u32 {
        self.origin.as_ref().map_or(0, |origin| origin.depth)
    }
}

/// A claimed delivery with what it needs.
#[derive(Debug, Clone)]
pub struct DeliveryClaim {
    /// The delivery.
    pub id: DeliveryId,
    /// Proof of the claim.
    pub claim: ClaimToken,
    /// Whose it is.
    pub tenant: TenantId,
    /// Where it goes.
    pub destination: DestinationId,
    /// The run that decided it.
    pub run: RunId,
    /// The event that it is about.
    pub event: EventId,
    /// `webhook-id` and idempotency key.
    pub key: String,
    /// HTTP method.
    pub method: String,
    /// Path and query under the destination's base path.
    pub path: String,
    /// Headers to add.
    pub headers: Vec<Pair>,
    /// What to send.
    pub body: Option<Bytes>,
    /// Committed attempts so far.
    pub attempts: u32,
    /// Claims so far, this one included.
    pub claims: u32,
    /// When it was decided.
    pub created_at: Timestamp,
    /// Not after.
    pub expires_at: Option<Timestamp>,
    /// When somebody else may claim it.
    pub lease_until: Timestamp,
    /// Its end is to be reported; whoever sends it keeps the answer for that.
    pub on_result: Option<OnResult>,
}

/// What a receiver answered, for the event that reports a call's end. No secret of the destination may be in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Its `content-type`.
    pub content_type: Option<String>,
    /// The head of its body.
    pub body: Bytes,
    /// The body was longer.
    pub truncated: bool,
}

/// How an attempt ended, to be stored with what follows in one transaction.
#[derive(Debug, Clone)]
pub struct DeliveryCommit {
    /// Whose it is.
    pub tenant: TenantId,
    /// The delivery.
    pub id: DeliveryId,
    /// Proof of the claim.
    pub claim: ClaimToken,
    /// When the attempt ended.
    pub now: Timestamp,
    /// The attempt.
    pub attempt: Attempt,
    /// What was answered; stored only if the delivery ends and its end is reported.
    pub response: Option<Response>,
    /// What becomes of the delivery.
    pub next: Next,
    /// What becomes of the destination.
    pub destination: Option<DestinationChange>,
    /// [`Control::version`] that the attempt went by. What was missing in it pauses the destination only if nothing has been
    /// configured since; the delivery is due at once otherwise.
    pub seen: u64,
}

/// What became of a delivery's commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryCommitted {
    /// Stored.
    Stored,
    /// The claim is no longer the row's; nothing was stored.
    Stale,
}

/// The whole story of one event.
#[derive(Debug, Clone)]
pub struct Story {
    /// The event with its request.
    pub event: StoredEvent,
    /// What the sender was told; `None` while a reply is undecided.
    pub answer: Option<StoredAnswer>,
    /// Repetitions that came later.
    pub duplicates: u64,
    /// Its runs in order.
    pub runs: Vec<RunRow>,
    /// The calls that they decided, in order.
    pub deliveries: Vec<DeliveryRow>,
}

/// A page of followed events.
#[derive(Debug, Clone, Default)]
pub struct FeedPage {
    /// The events, oldest first.
    pub events: Vec<StoredEvent>,
    /// How far was looked, which is where the next page begins; `None` when there was nothing to look at.
    pub reached: Option<EventId>,
    /// Whether there is or may be more before `until`.
    pub more: bool,
}

/// "Look": raised after a commit that made work, for those who do not wait for a claim; never carries the work itself.
#[derive(Debug, Clone, Default)]
pub struct Wakeups {
    /// Runs may be due.
    pub runs: Arc<Notify>,
    /// Deliveries may be due.
    pub deliveries: Arc<Notify>,
    /// A reply was decided.
    pub replies: Arc<Notify>,
}

/// The durable state and its queue.
#[async_trait]
pub trait Store: Tenancy {
    // ---- what people configure -------------------------------------------------------------------------------

    /// Moves on with every committed change of what people configure.
    fn control_version(&self) -> u64;
    /// Reads everything that people configured.
    async fn control_read(&self) -> StoreResult<Control>;
    /// Makes a tenant, or changes its limits when one of this id is there. Conflict: the name is taken.
    async fn tenant_put(&self, tenant: Tenant) -> StoreResult<()>;
    /// Makes or replaces a secret of this name; destinations that were paused for want of it go on.
    async fn secret_put(&self, secret: SecretRow) -> StoreResult<()>;
    /// Removes a secret.
    async fn secret_delete(&self, tenant: TenantId, name: &str) -> StoreResult<()>;
    /// Makes or replaces a source (by id). Conflict: the name or the token is taken.
    async fn source_put(&self, source: Source) -> StoreResult<()>;
    /// Removes a source. Conflict while routes lead from it.
    async fn source_delete(&self, tenant: TenantId, source: SourceId) -> StoreResult<()>;
    /// Makes or replaces a destination (by id), its lane's limits with it.
    async fn destination_put(&self, destination: Destination) -> StoreResult<()>;
    /// Removes a destination. Conflict while deliveries to it are pending, or notices go to it.
    async fn destination_delete(&self, tenant: TenantId, destination: DestinationId) -> StoreResult<()>;
    /// Pauses (with a reason) or resumes (`None`, also enables) a destination; deliveries that were held are due again. Resuming
    /// also closes its breaker and forgets for how long it asked to be left alone.
    async fn destination_pause(
        &self,
        tenant: TenantId,
        destination: DestinationId,
        reason: Option<String>,
        now: Timestamp,
    ) -> StoreResult<()>;
    /// Names the destination of a tenant's notices. Conflict: it is not there. From then on a run or a call that ends dead, a
    /// destination that is paused or disabled and a breaker that opens or closes bring a call to it in their own transaction,
    /// as [`creel_webhook::notice`] says; a call that is a notice brings none.
    async fn notices_put(&self, notices: Notices) -> StoreResult<()>;
    /// Names none any more.
    async fn notices_delete(&self, tenant: TenantId) -> StoreResult<()>;
    /// Makes a plugin. Conflict: the name is taken.
    async fn plugin_put(&self, plugin: Plugin) -> StoreResult<()>;
    /// Keeps a component's bytes under its digest; true when they were not there. To make room, versions of the tenant
    /// leave that no active deployment uses, the oldest first. Conflict: those in use leave no room. Full: the store has none.
    async fn component_put(&self, new: NewComponent) -> StoreResult<bool>;
    /// A component's bytes.
    async fn component_read(&self, tenant: TenantId, digest: Digest) -> StoreResult<Option<Bytes>>;
    /// Makes a deployment with the next number of its plugin.
    async fn deployment_create(&self, new: NewDeployment) -> StoreResult<Deployment>;
    /// All deployments of a plugin, newest first.
    async fn deployment_list(&self, tenant: TenantId, plugin: PluginId) -> StoreResult<Vec<Deployment>>;
    /// Makes deployment `number` the active one.
    async fn deployment_activate(&self, tenant: TenantId, plugin: PluginId, number: u32) -> StoreResult<()>;
    /// Removes a plugin with its deployments, the components that no other deployment of its tenant is of, and what it remembers.
    /// What it decided stays on record. Conflict: a route leads to it, or a run of it is not over.
    async fn plugin_delete(&self, tenant: TenantId, plugin: PluginId) -> StoreResult<()>;
    /// Makes or replaces a route (by id). Conflict: the name is taken.
    async fn route_put(&self, route: Route) -> StoreResult<()>;
    /// Removes a route; its pending runs end `host` with the reason.
    async fn route_delete(&self, tenant: TenantId, route: RouteId) -> StoreResult<()>;

    // ---- requests become events and runs ---------------------------------------------------------------------

    /// A token for a claim that comes with an accept. No other claim ever has it.
    fn claim_token(&self) -> ClaimToken;
    /// Stores a verified request with all that follows, or recognises it. Durable when it returns.
    async fn accept(&self, accept: Accept) -> StoreResult<Accepted>;
    /// What the sender of this event was told, once decided.
    async fn reply_read(&self, tenant: TenantId, event: EventId) -> StoreResult<Option<StoredAnswer>>;
    /// Decides the reply with its stored fallback unless it is decided; gives what was decided first.
    async fn reply_fallback(&self, tenant: TenantId, event: EventId, now: Timestamp) -> StoreResult<StoredAnswer>;
    /// Records a request that was not believed; sampled by the caller, bounded here.
    async fn refusal_record(&self, tenant: TenantId, refusal: RefusalRow) -> StoreResult<()>;

    // ---- runs become decisions -------------------------------------------------------------------------------

    /// Claims at most `max` due runs, tenants in turn. A run whose event cannot be read is left out; its claim is lost.
    ///
    /// A tenant holds at most as many claims as its `concurrent_runs_max`, and no more than it leaves of the `free` places
    /// ([`creel_webhook::bucket::share_of`]). It gets none while the fuel that its runs have used, told by their commits, is
    /// more than its `fuel_per_second` gives ([`creel_webhook::bucket::Account`]), nor while its daily quota of runs or fuel is
    /// used up ([`creel_webhook::quota`]); runs under way count as used.
    async fn run_claim(&self, now: Timestamp, lease_ms: u64, max: u32, free: u32) -> StoreResult<Vec<RunClaim>>;
    /// The same, waiting while there is nothing: the commit that makes a run due claims it too. Given with nothing when it was
    /// recalled, when another took its place, and when a look again is worth while. Whoever stops waiting recalls it first
    /// and takes what comes, or a claim may be lost with it.
    async fn run_claim_next(&self, now: Timestamp, lease_ms: u64, max: u32, free: u32) -> StoreResult<Vec<RunClaim>>;
    /// Stores how a run ended and what follows, unless a key of state that it read has been written since or its writes would
    /// take the plugin beyond its limits: then nothing is stored ([`RunCommitted::Conflict`]). Verdicts that are tried again
    /// anyway (`timeout`, `host`) and late outcomes that nobody keeps decide nothing and are not looked at. When more calls wait for a destination then than may, the oldest that
    /// are not on their way end dead, a few more than came at most ([`creel_webhook::destination::crowded_out`]).
    async fn run_commit(&self, commit: RunCommit) -> StoreResult<RunCommitted>;
    /// Gives a claim back untouched: the run is due again, neither counter keeps it. Says whether it was held.
    async fn run_release(&self, tenant: TenantId, run: RunId, claim: ClaimToken) -> StoreResult<bool>;
    /// When the next run is due after `after`, the time of the caller's last claim; `None` when nothing waits for time.
    async fn run_due(&self, after: Timestamp) -> StoreResult<Option<Timestamp>>;

    // ---- what plugins remember -------------------------------------------------------------------------------

    /// A value of a plugin's state, as it is committed now.
    async fn state_read(&self, tenant: TenantId, plugin: PluginId, key: &str) -> StoreResult<Option<StateValue>>;
    /// What a plugin holds, what it holds of these keys, and what else the store has room for.
    async fn state_room(&self, tenant: TenantId, plugin: PluginId, keys: Vec<String>) -> StoreResult<StateRoom>;
    /// Keys of a plugin in the order of their bytes.
    async fn state_list(&self, tenant: TenantId, plugin: PluginId, filter: StateFilter) -> StoreResult<Vec<StateKey>>;
    /// Removes a key; with `None` a step of all keys. A run that read one of them is overtaken.
    async fn state_delete(&self, tenant: TenantId, plugin: PluginId, key: Option<String>) -> StoreResult<StateRemoved>;

    // ---- decisions become deliveries -------------------------------------------------------------------------

    /// Claims at most `max` due deliveries, tenants in turn, within rate and concurrency of their lanes and their tenants'
    /// daily quotas of deliveries.
    async fn delivery_claim(&self, now: Timestamp, lease_ms: u64, max: u32) -> StoreResult<Vec<DeliveryClaim>>;
    /// The same, waiting while there is nothing, as [`Store::run_claim_next`] does.
    async fn delivery_claim_next(&self, now: Timestamp, lease_ms: u64, max: u32) -> StoreResult<Vec<DeliveryClaim>>;
    /// Answers those who wait for a claim, with what is due now or with nothing. Time that passes makes work due
    /// ([`Store::run_due`], [`Store::delivery_due`]) and is nobody's commit.
    async fn claims_recall(&self, now: Timestamp) -> StoreResult<()>;
    /// Stores an attempt and what follows; moves the lane's breaker on, and holds the lane after a 429. A delivery whose
    /// end is to be reported brings the report with its end, in one transaction: an event for the same route and plugin
    /// ([`creel_webhook::followup`]), which no quota refuses. The same holds wherever else a delivery ends: expired, given
    /// up, dead from the start.
    async fn delivery_commit(&self, commit: DeliveryCommit) -> StoreResult<DeliveryCommitted>;
    /// Gives a claim back untouched. Says whether it was held.
    async fn delivery_release(&self, tenant: TenantId, delivery: DeliveryId, claim: ClaimToken) -> StoreResult<bool>;
    /// When the next delivery is due after `after`, the time of the caller's last claim.
    async fn delivery_due(&self, after: Timestamp) -> StoreResult<Option<Timestamp>>;

    // ---- what people look at ---------------------------------------------------------------------------------

    /// How many calls wait for each destination of a tenant, in no order.
    async fn queue_list(&self, tenant: TenantId) -> StoreResult<Vec<Queue>>;
    /// Events of a tenant, newest first. Looks at 500 and no more, whatever the filter wants of them: a page may be short, or
    /// empty, and there be more behind it.
    async fn event_list(&self, tenant: TenantId, filter: EventFilter) -> StoreResult<EventPage>;
    /// Events of a tenant behind a place, oldest first, with their bodies; without reports of calls' ends.
    async fn event_feed(&self, tenant: TenantId, filter: FeedFilter) -> StoreResult<FeedPage>;
    /// The whole story of one event.
    async fn event_story(&self, tenant: TenantId, event: EventId) -> StoreResult<Option<Story>>;
    /// Runs of a tenant, newest first.
    async fn run_list(&self, tenant: TenantId, filter: RunFilter) -> StoreResult<Vec<RunRow>>;
    /// Deliveries of a tenant, newest first; histories are left empty.
    async fn delivery_list(&self, tenant: TenantId, filter: DeliveryFilter) -> StoreResult<Vec<DeliveryRow>>;
    /// Refused requests of a tenant, newest first.
    async fn refusal_list(&self, tenant: TenantId, limit: u32) -> StoreResult<Vec<RefusalRow>>;
    /// One run.
    async fn run_read(&self, tenant: TenantId, run: RunId) -> StoreResult<Option<RunRow>>;
    /// What the latest try of a run read; `None` when it read nothing, or when that is erased.
    async fn run_record_read(&self, tenant: TenantId, run: RunId) -> StoreResult<Option<Record>>;
    /// One delivery, history included, and what it sends.
    async fn delivery_read(&self, tenant: TenantId, delivery: DeliveryId)
    -> StoreResult<Option<(DeliveryRow, Letter)>>;

    /// What holds these runs and deliveries of a tenant now, as far as they are not over; of each the first hundred.
    async fn hold_list(
        &self,
        tenant: TenantId,
        runs: Vec<RunId>,
        deliveries: Vec<DeliveryId>,
        now: Timestamp,
    ) -> StoreResult<Holds>;

    /// How many runs of a tenant are pending.
    async fn runs_pending(&self, tenant: TenantId) -> StoreResult<u64>;

    // ---- what tenants are told -------------------------------------------------------------------------------

    /// Tells a tenant a fact, if it named a destination and was not told the like just now.
    async fn notice_make(&self, tenant: TenantId, fact: Fact, now: Timestamp) -> StoreResult<()>;
    /// Notes when a source was last heard, if it was, and tells its tenant once when that is `hours` ago. What was heard is
    /// remembered; whoever was never heard is silent since the first such call.
    async fn silence_watch(
        &self,
        tenant: TenantId,
        source: SourceId,
        heard_at: Option<Timestamp>,
        hours: u32,
        now: Timestamp,
    ) -> StoreResult<()>;

    // ---- what goes once more ---------------------------------------------------------------------------------

    /// Puts a new run of an ended run's event, route and plugin into the queue; the old one is no dead letter then.
    /// Conflict: the run is not over, or the event's payload has been erased. Over quota: there is no room for it.
    async fn run_replay(
        &self,
        tenant: TenantId,
        run: RunId,
        new: RunId,
        terms: Terms,
        now: Timestamp,
    ) -> StoreResult<()>;
    /// The same for dead runs, each with the id of its successor; whoever has one gets no second. In their order, so that
    /// from the first one on for which there is no room there is none for the others.
    async fn run_replay_dead(
        &self,
        tenant: TenantId,
        runs: Vec<(RunId, RunId)>,
        terms: Terms,
        now: Timestamp,
    ) -> StoreResult<Vec<Replay>>;
    /// Looks at `filter.limit` dead runs behind `after`, oldest first.
    async fn run_dead(&self, tenant: TenantId, filter: RunFilter, after: Option<RunId>) -> StoreResult<Window<RunId>>;
    /// Puts runs of a stored event into the queue, except on routes where one of it waits. Gives those that were queued.
    /// Over quota: there is no room for all of them, and none was queued.
    async fn event_replay(
        &self,
        tenant: TenantId,
        event: EventId,
        runs: Vec<NewRun>,
        terms: Terms,
        now: Timestamp,
    ) -> StoreResult<Vec<RunId>>;
    /// Lets deliveries that wait for their next attempt go now: one, or those to a destination in the order of their due times,
    /// beginning at `from`. Looks at 500 and no more. What waits for anything else stays: a time that its plugin wanted, its
    /// turn behind another.
    async fn delivery_hasten(&self, tenant: TenantId, which: Hasten, now: Timestamp) -> StoreResult<Hastened>;
    /// Brings dead deliveries back, each as itself: its history stays, its attempts are counted anew. In their order. Due
    /// at once; after an end that is reported, in the next millisecond at the earliest, so that each end has its own time.
    /// No room while as many wait for the destination as may: they would only push each other out.
    async fn delivery_replay(
        &self,
        tenant: TenantId,
        deliveries: Vec<DeliveryId>,
        keys: Keys,
        now: Timestamp,
    ) -> StoreResult<Vec<Replay>>;
    /// Looks at `filter.limit` dead deliveries behind `after`, oldest first.
    async fn delivery_dead(
        &self,
        tenant: TenantId,
        filter: DeliveryFilter,
        after: Option<DeliveryId>,
    ) -> StoreResult<Window<DeliveryId>>;

    /// Erases an event's payload and what repeats it, the events that report its calls' ends included; says how many
    /// events that were. What says that and when something happened stays: ids, types, times, verdicts, status codes,
    /// keys outward. Nothing more happens when it is erased already. Conflict: something of it is pending.
    async fn event_erase(&self, tenant: TenantId, event: EventId, now: Timestamp) -> StoreResult<u32>;

    // ---- upkeep ----------------------------------------------------------------------------------------------

    /// What is raised when there may be work, and when somebody's reply was decided.
    fn wakeups(&self) -> Wakeups;
    /// One small step of upkeep: expired dedup keys, expired previous secrets, replies past their deadline whose run is not
    /// claimed, bodies and records that are older than their tenant keeps them ([`body_days`](creel_webhook::tenant::TenantLimits::body_days),
    /// `record_days`) and of which nothing is pending. Says whether there is more.
    async fn prune(&self, now: Timestamp) -> StoreResult<bool>;
    /// Counts for metrics and readiness.
    async fn stats(&self) -> StoreResult<Stats>;
    /// Fails when the store cannot commit.
    async fn ping(&self) -> StoreResult<()>;
    /// Completes, with the reason, when the store cannot tell any more what is safe: every verb fails until it is opened
    /// anew, so the host ends.
    async fn broken(&self) -> String;
    /// Commits what is queued, then closes; later verbs answer [`StoreError::Closed`].
    async fn close(&self) -> StoreResult<()>;
}

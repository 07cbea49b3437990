//! The store in one SQLite file.
//!
//! One thread writes (`writer`): verbs queue, a batch is one transaction, and nobody is answered before the log has been
//! synced behind it (`flush`). A few connections read (`readers`). One connection checkpoints, so that the writer seldom waits for
//! the main file. This file only opens and dispatches: each verb's inside is in the child that is named after what it
//! is about.
//!
//! Durability: write-ahead log, synced before a verb returns, so what it did survives a power cut. The caller
//! holds the data directory's lock; opening releases every claim of an earlier boot, and remembers which runs may have
//! been what ended it (`suspects`).

mod accept;
mod arrivals;
mod audit;
mod calls;
mod checkpoint;
mod components;
mod configuration;
mod control;
mod dedup;
mod deliveries;
mod deploy;
mod erasing;
mod events;
mod feed;
mod filter;
mod flush;
mod followups;
mod hastening;
mod holdings;
mod inserts;
mod lanes;
mod letters;
mod listing;
mod notices;
mod passes;
pub mod probing;
mod quotas;
mod rations;
mod readers;
mod reading;
mod records;
mod removing;
mod replaying;
mod reply;
mod request;
mod retention;
mod runs;
mod safety;
mod schema;
mod shares;
mod state;
mod statement;
mod suspects;
mod transaction;
mod upkeep;
mod usage;
mod verb;
mod waiters;
mod waiting;
mod work;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use creel_webhook::clock::Timestamp;
use creel_webhook::destination::Destination;
use creel_webhook::id::{DeliveryId, DestinationId, EventId, KeyId, PluginId, RouteId, RunId, SourceId, TenantId};
use creel_webhook::notice::{Fact, Notices};
use creel_webhook::plugin::{Deployment, Digest, Plugin};
use creel_webhook::quota::Quotas;
use creel_webhook::record::{Record, StateValue};
use creel_webhook::route::Route;
use creel_webhook::source::Source;
use creel_webhook::tenant::{ApiKey, Tenant};

use crate::codec;
use crate::contract::{
    Accept, Accepted, AuditRow, ClaimToken, Control, Deed, DeliveryClaim, DeliveryCommit, DeliveryCommitted,
    DeliveryFilter, DeliveryRow, EventFilter, EventPage, FeedFilter, FeedPage, Hasten, Hastened, Holds, Keys, Leaving,
    Letter, NewComponent, NewDeployment, NewRun, Queue, RefusalRow, Replay, RunClaim, RunCommit, RunCommitted,
    RunFilter, RunRow, RunTicket, SecretRow, StateFilter, StateKey, StateRemoved, StateRoom, Stats, Store, StoreError,
    StoreResult, StoredAnswer, StoredEvent, Story, Tenancy, Terms, Trail, UsedDay, Wakeups, Window,
};
use crate::sqlite::checkpoint::Checkpoints;
use crate::sqlite::flush::Flusher;
pub use crate::sqlite::flush::LogSync;
use crate::sqlite::inserts::Packed;
use crate::sqlite::lanes::{Wanted, Work};
use crate::sqlite::passes::Days;
use crate::sqlite::quotas::Standings;
use crate::sqlite::readers::Readers;
use crate::sqlite::statement::{Fault, Sql};
use crate::sqlite::transaction::{Memory, Shared, Shares, Tx};
use crate::sqlite::writer::Writer;

/// What an operator chooses.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes that the store may hold; beyond it accepts are refused until space is freed.
    pub bytes_max: u64,
    /// Calls that may wait for one destination, unless that says less; beyond it the oldest end dead.
    pub waiting_max: u64,
    /// Dedup keys that are kept in memory before they are merged into the table, a hundred bytes each; for a while
    /// there are twice as many.
    pub young_keys_max: usize,
    /// Days for which bodies are kept, unless a tenant keeps them shorter.
    pub body_days: u64,
    /// Days for which everything else about an event is kept, unless a tenant keeps it shorter.
    pub record_days: u64,
    /// Runs of a tenant in the background at the same time, unless it has a limit of its own.
    pub concurrent_runs_max: u32,
    /// Fuel of a tenant per second, unless it has a limit of its own.
    pub fuel_per_second: u64,
    /// What a tenant may use on a day, unless it has quotas of its own.
    pub quotas: Quotas,
    /// Days for which the audit trail is kept.
    pub audit_days: u64,
    /// What makes the log safe.
    pub log_sync: LogSync,
    /// Ids of runs and calls on which work had begun when the process before ended and had not come to its end: their
    /// claims count as lost. All other claims of that process are given back as if they had never been.
    pub under_way: Vec<[u8; 16]>,
    /// When the store is opened.
    pub opened_at: Timestamp,
}

impl Default for Options {
    /// 64 GiB: more than a busy week, less than a usual disk. 100 000 calls: a day of one a second. 65 536 keys: enough neighbours among them that a page of a
    /// table of a million takes several at a time, few enough to be read back in a moment after a crash. A week,
    /// a month and a year, as the host's settings. Tenants are not limited: what runs cost only the host knows.
    fn default() -> Self {
        Options {
            bytes_max: 64 << 30,
            waiting_max: 100_000,
            young_keys_max: 65_536,
            body_days: 7,
            record_days: 30,
            concurrent_runs_max: u32::MAX,
            fuel_per_second: u64::MAX,
            quotas: Quotas::default(),
            audit_days: 400,
            log_sync: LogSync::File,
            under_way: Vec::new(),
            opened_at: Timestamp::default(),
        }
    }
}

/// The store in one SQLite file.
pub struct SqliteStore {
    path: PathBuf,
    bytes_max: u64,
    waiting_max: u64,
    shared: Arc<Shared>,
    writer: Writer,
    readers: Readers,
}

impl SqliteStore {
    /// Opens or makes the file, releases the claims of an earlier boot and starts the writer.
    ///
    /// # Errors
    /// [`StoreError::Failed`] with a sentence when the file is foreign or newer (it is left untouched), or cannot be
    /// opened.
    pub fn open(path: impl AsRef<Path>, options: Options) -> StoreResult<SqliteStore> {
        let path = path.as_ref();
        let new = schema::inspect(path)?;
        let mut conn = schema::writer(path, new).map_err(StoreError::from)?;
        let boot = suspects::boot(&mut conn, &options.under_way, options.opened_at).map_err(StoreError::from)?;
        schema::leave_syncs(&conn).map_err(StoreError::from)?;
        let days = Days { bodies: options.body_days, records: options.record_days };
        let mut memory =
            Memory::load(&conn, options.bytes_max, options.young_keys_max, days).map_err(StoreError::from)?;
        memory.waiting_max = options.waiting_max;
        memory.shares = Shares {
            concurrent_runs_max: options.concurrent_runs_max.max(1),
            fuel_per_second: options.fuel_per_second,
        };
        memory.audit_days = options.audit_days;
        memory.quotas = Standings::new(options.quotas);
        memory.suspects = boot.suspects;
        let shared = Arc::new(Shared::new(boot.first_claim));
        let checkpoints = schema::checkpointer(path).map_err(StoreError::from)?;
        let main = options.log_sync.of_the_main_file(path)?;
        let checkpoints = Checkpoints::start(checkpoints, main, &mut conn, shared.clone())
            .map_err(|error| StoreError::from(Fault::from(error)))?;
        let readers = Readers::open(path)?;
        let flusher = Flusher::start(&options.log_sync, path, shared.clone())?;
        let writer = Writer::start(conn, memory, shared.clone(), checkpoints, flusher)?;
        let (bytes_max, waiting_max) = (options.bytes_max, options.waiting_max);
        Ok(SqliteStore { path: path.to_owned(), bytes_max, waiting_max, shared, writer, readers })
    }
}

impl SqliteStore {
    /// Moves the log into the file and cuts it to nothing; says whether nobody was in the way.
    async fn cut_log(&self) -> bool {
        let (path, shared) = (self.path.clone(), self.shared.clone());
        let cut = tokio::task::spawn_blocking(move || checkpoint::cut_log(&path, &shared)).await;
        matches!(cut, Ok(Ok(true)))
    }

    async fn with_events(&self, claimed: Claimed) -> StoreResult<Vec<RunClaim>> {
        let Claimed { tickets, near } = claimed;
        let read = match near {
            Some(events) => Ok(events),
            None => {
                let wanted = events_of(&tickets);
                self.readers.call(move |conn| Ok(events::load_all(conn, &wanted))).await
            }
        };
        match read {
            // What could not be read keeps its claim: the lease is lost, and five such leases end the run.
            Ok(events) => Ok(tickets
                .into_iter()
                .filter_map(|ticket| Some(RunClaim { event: events.get(&ticket.event)?.clone(), ticket }))
                .collect()),
            Err(error) => {
                for ticket in tickets {
                    self.run_release(ticket.tenant, ticket.run, ticket.claim).await?;
                }
                Err(error)
            }
        }
    }
}

/// Runs that were claimed.
struct Claimed {
    tickets: Vec<RunTicket>,
    /// Their events, if they were read already.
    near: Option<HashMap<EventId, StoredEvent>>,
}

impl Claimed {
    fn of(tx: &mut Tx<'_>, now: Timestamp, lease_ms: u64, wanted: Wanted) -> Sql<Claimed> {
        let tickets = runs::claim(tx, now, lease_ms, wanted)?;
        let near = events::load_near(tx.conn, &events_of(&tickets));
        Ok(Claimed { tickets, near })
    }
}

/// What these runs are about.
fn events_of(tickets: &[RunTicket]) -> Vec<(TenantId, EventId)> {
    tickets.iter().map(|ticket| (ticket.tenant, ticket.event)).collect()
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}

#[async_trait]
impl Tenancy for SqliteStore {
    async fn key_put(&self, key: ApiKey) -> StoreResult<()> {
        self.writer.call(0, move |tx| control::key_put(tx, &key)).await
    }

    async fn key_find(&self, hash: [u8; 32]) -> StoreResult<Option<ApiKey>> {
        self.readers.call(move |conn| configuration::key_find(conn, &hash)).await
    }

    async fn key_list(&self, tenant: Option<TenantId>) -> StoreResult<Vec<ApiKey>> {
        self.readers.list(move |conn| configuration::key_list(conn, tenant)).await
    }

    async fn key_used(&self, key: KeyId, at: Timestamp) -> StoreResult<()> {
        self.writer.call(0, move |tx| control::key_used(tx, key, at)).await
    }

    async fn audit_begin(&self, deed: Deed) -> StoreResult<u64> {
        self.writer.call(deed.object.len(), move |tx| audit::begin(tx, &deed)).await
    }

    async fn audit_end(&self, seq: u64, status: u16) -> StoreResult<()> {
        self.writer.call(0, move |tx| audit::end(tx, seq, status)).await
    }

    async fn audit_list(&self, trail: Trail, before: Option<u64>, limit: u32) -> StoreResult<Vec<AuditRow>> {
        self.readers.list(move |conn| audit::list(conn, trail, before, limit)).await
    }

    async fn usage_list(&self, tenant: TenantId, since: Timestamp, until: Timestamp) -> StoreResult<Vec<UsedDay>> {
        self.readers.list(move |conn| usage::list(conn, tenant, since, until)).await
    }

    async fn secrets_reseal(&self, secrets: Vec<SecretRow>) -> StoreResult<()> {
        let bytes = secrets.iter().map(|secret| secret.sealed.len()).sum();
        self.writer.call(bytes, move |tx| control::secrets_reseal(tx, &secrets)).await
    }

    async fn tenant_leave(&self, tenant: TenantId, now: Timestamp) -> StoreResult<()> {
        self.writer.call(0, move |tx| removing::begin(tx, tenant, now)).await
    }

    async fn tenants_leaving(&self) -> StoreResult<Vec<Leaving>> {
        self.readers.call(configuration::leaving).await
    }

    async fn component_strays(&self, digests: Vec<Digest>) -> StoreResult<Vec<Digest>> {
        self.readers.call(move |conn| components::strays(conn, &digests)).await
    }

    async fn tenant_components(&self, tenant: TenantId) -> StoreResult<Vec<Digest>> {
        self.readers.call(move |conn| removing::own_components(conn, tenant)).await
    }

    async fn tenant_remove(&self, tenant: TenantId) -> StoreResult<bool> {
        self.writer.call(0, move |tx| removing::step(tx, tenant)).await
    }

    async fn scrub(&self) -> StoreResult<bool> {
        if !self.readers.call(removing::wants_scrub).await? {
            return Ok(false);
        }
        if self.writer.call(0, removing::scrub).await? {
            return Ok(true);
        }
        if self.cut_log().await {
            self.writer.call(0, removing::scrubbed).await?;
        }
        // A reader that is in the way is not waited for: the next tick tries again.
        Ok(false)
    }

    async fn key_delete(&self, tenant: Option<TenantId>, key: KeyId) -> StoreResult<bool> {
        self.writer.call(0, move |tx| control::key_delete(tx, tenant, key)).await
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn control_version(&self) -> u64 {
        self.shared.control_version()
    }

    async fn control_read(&self) -> StoreResult<Control> {
        // The version first: what is read may be newer than it says, never older.
        let version = self.control_version();
        self.readers.call(move |conn| configuration::control_read(conn, version)).await
    }

    async fn tenant_put(&self, tenant: Tenant) -> StoreResult<()> {
        self.writer.call(0, move |tx| control::tenant_put(tx, &tenant)).await
    }

    async fn secret_put(&self, secret: SecretRow) -> StoreResult<()> {
        self.writer.call(secret.sealed.len(), move |tx| control::secret_put(tx, &secret)).await
    }

    async fn secret_delete(&self, tenant: TenantId, name: &str) -> StoreResult<()> {
        let name = name.to_owned();
        self.writer.call(0, move |tx| control::secret_delete(tx, tenant, &name)).await
    }

    async fn source_put(&self, source: Source) -> StoreResult<()> {
        self.writer.call(0, move |tx| control::source_put(tx, &source)).await
    }

    async fn source_delete(&self, tenant: TenantId, source: SourceId) -> StoreResult<()> {
        self.writer.call(0, move |tx| control::source_delete(tx, tenant, source)).await
    }

    async fn destination_put(&self, destination: Destination) -> StoreResult<()> {
        self.writer.call(0, move |tx| control::destination_put(tx, &destination)).await
    }

    async fn destination_delete(&self, tenant: TenantId, destination: DestinationId) -> StoreResult<()> {
        self.writer.call(0, move |tx| control::destination_delete(tx, tenant, destination)).await
    }

    async fn destination_pause(
        &self,
        tenant: TenantId,
        destination: DestinationId,
        reason: Option<String>,
        now: Timestamp,
    ) -> StoreResult<()> {
        let pause = move |tx: &mut Tx<'_>| {
            let now = tx.now(now);
            control::destination_pause(tx, tenant, destination, reason.as_deref(), now)
        };
        self.writer.call(0, pause).await
    }

    async fn notices_put(&self, notices: Notices) -> StoreResult<()> {
        self.writer.call(0, move |tx| notices::put(tx, &notices)).await
    }

    async fn notices_delete(&self, tenant: TenantId) -> StoreResult<()> {
        self.writer.call(0, move |tx| notices::delete(tx, tenant)).await
    }

    async fn plugin_put(&self, plugin: Plugin) -> StoreResult<()> {
        self.writer.call(0, move |tx| deploy::plugin_put(tx, &plugin)).await
    }

    async fn component_put(&self, new: NewComponent) -> StoreResult<bool> {
        self.writer.call(new.bytes.len(), move |tx| components::put(tx, &new)).await
    }

    async fn component_read(&self, tenant: TenantId, digest: Digest) -> StoreResult<Option<Bytes>> {
        self.readers.call(move |conn| components::read(conn, tenant, digest)).await
    }

    async fn deployment_create(&self, new: NewDeployment) -> StoreResult<Deployment> {
        self.writer.call(0, move |tx| deploy::deployment_create(tx, &new)).await
    }

    async fn deployment_list(&self, tenant: TenantId, plugin: PluginId) -> StoreResult<Vec<Deployment>> {
        self.readers.list(move |conn| configuration::deployment_list(conn, tenant, plugin)).await
    }

    async fn deployment_activate(&self, tenant: TenantId, plugin: PluginId, number: u32) -> StoreResult<()> {
        self.writer.call(0, move |tx| deploy::deployment_activate(tx, tenant, plugin, number)).await
    }

    async fn plugin_delete(&self, tenant: TenantId, plugin: PluginId) -> StoreResult<()> {
        self.writer.call(0, move |tx| deploy::plugin_delete(tx, tenant, plugin)).await
    }

    async fn route_put(&self, route: Route) -> StoreResult<()> {
        self.writer.call(0, move |tx| deploy::route_put(tx, &route)).await
    }

    async fn route_delete(&self, tenant: TenantId, route: RouteId) -> StoreResult<()> {
        self.writer.call(0, move |tx| deploy::route_delete(tx, tenant, route)).await
    }

    fn claim_token(&self) -> ClaimToken {
        self.shared.claim_token()
    }

    async fn accept(&self, accept: Accept) -> StoreResult<Accepted> {
        let packed = Arc::new(Packed::new(accept));
        self.writer.arrive(packed.bytes(), move |tx| accept::accept(tx, &packed)).await
    }

    async fn reply_read(&self, tenant: TenantId, event: EventId) -> StoreResult<Option<StoredAnswer>> {
        let told = self.readers.call(move |conn| reply::told(conn, tenant, event)).await?;
        // It leaves the host.
        self.shared.safety.of_what_was_seen().await?;
        Ok(told)
    }

    async fn reply_fallback(&self, tenant: TenantId, event: EventId, now: Timestamp) -> StoreResult<StoredAnswer> {
        self.writer.call(0, move |tx| reply::fallback(tx, tenant, event, now)).await
    }

    async fn refusal_record(&self, tenant: TenantId, refusal: RefusalRow) -> StoreResult<()> {
        self.writer.call(refusal.detail.len(), move |tx| accept::refusal_record(tx, tenant, &refusal)).await
    }

    async fn run_claim(&self, now: Timestamp, lease_ms: u64, max: u32, free: u32) -> StoreResult<Vec<RunClaim>> {
        let wanted = Wanted { max, free };
        let claimed = self.writer.call(0, move |tx| Claimed::of(tx, now, lease_ms, wanted)).await?;
        self.with_events(claimed).await
    }

    async fn run_claim_next(&self, now: Timestamp, lease_ms: u64, max: u32, free: u32) -> StoreResult<Vec<RunClaim>> {
        let wanted = Wanted { max, free };
        let claim = move |tx: &mut Tx<'_>| {
            let claimed = Claimed::of(tx, now, lease_ms, wanted)?;
            Ok(Some(claimed).filter(|claimed| !claimed.tickets.is_empty()))
        };
        match self.writer.wait(Work::Runs, claim).await? {
            Some(claimed) => self.with_events(claimed).await,
            None => Ok(Vec::new()),
        }
    }

    async fn run_commit(&self, commit: RunCommit) -> StoreResult<RunCommitted> {
        let record = codec::record::pack(&commit.record);
        let calls: usize = commit.calls.iter().map(|call| call.call.body.as_ref().map_or(0, Bytes::len) + 512).sum();
        let writes = commit.state.writes.iter().map(|write| write.bytes().unwrap_or(0) as usize).sum::<usize>();
        let bytes = calls + writes + record.as_ref().map_or(0, Vec::len);
        self.writer.call(bytes, move |tx| runs::commit(tx, &commit, record.as_deref())).await
    }

    async fn run_release(&self, tenant: TenantId, run: RunId, claim: ClaimToken) -> StoreResult<bool> {
        self.writer.call(0, move |tx| runs::release(tx, tenant, run, claim)).await
    }

    async fn run_due(&self, after: Timestamp) -> StoreResult<Option<Timestamp>> {
        let held_until = self.shared.runs_held_until().filter(|at| *at > after);
        let due = self.readers.call(move |conn| lanes::next_due(conn, Work::Runs, after)).await?;
        Ok(due.into_iter().chain(held_until).min())
    }

    async fn state_read(&self, tenant: TenantId, plugin: PluginId, key: &str) -> StoreResult<Option<StateValue>> {
        let key = key.to_owned();
        self.readers.call(move |conn| state::read(conn, tenant, plugin, &key)).await
    }

    async fn state_room(&self, tenant: TenantId, plugin: PluginId, keys: Vec<String>) -> StoreResult<StateRoom> {
        let bytes_max = self.bytes_max;
        self.readers.call(move |conn| state::room(conn, tenant, plugin, &keys, bytes_max)).await
    }

    async fn state_list(&self, tenant: TenantId, plugin: PluginId, filter: StateFilter) -> StoreResult<Vec<StateKey>> {
        self.readers.list(move |conn| state::list(conn, tenant, plugin, &filter)).await
    }

    async fn state_delete(&self, tenant: TenantId, plugin: PluginId, key: Option<String>) -> StoreResult<StateRemoved> {
        self.writer.call(0, move |tx| state::remove(tx, tenant, plugin, key.as_deref())).await
    }

    async fn delivery_claim(&self, now: Timestamp, lease_ms: u64, max: u32) -> StoreResult<Vec<DeliveryClaim>> {
        self.writer.call(0, move |tx| deliveries::claim(tx, now, lease_ms, max)).await
    }

    async fn delivery_claim_next(&self, now: Timestamp, lease_ms: u64, max: u32) -> StoreResult<Vec<DeliveryClaim>> {
        let claim = move |tx: &mut Tx<'_>| {
            let claims = deliveries::claim(tx, now, lease_ms, max)?;
            Ok(Some(claims).filter(|claims| !claims.is_empty()))
        };
        Ok(self.writer.wait(Work::Deliveries, claim).await?.unwrap_or_default())
    }

    async fn claims_recall(&self, now: Timestamp) -> StoreResult<()> {
        let recall = move |tx: &mut Tx<'_>| {
            tx.now(now);
            tx.effects.recalled = true;
            Ok(())
        };
        self.writer.call(0, recall).await
    }

    async fn delivery_commit(&self, commit: DeliveryCommit) -> StoreResult<DeliveryCommitted> {
        let bytes = commit.response.as_ref().map_or(0, |response| response.body.len());
        self.writer.call(bytes + commit.attempt.response_head.len(), move |tx| deliveries::commit(tx, &commit)).await
    }

    async fn delivery_release(&self, tenant: TenantId, delivery: DeliveryId, claim: ClaimToken) -> StoreResult<bool> {
        self.writer.call(0, move |tx| deliveries::release(tx, tenant, delivery, claim)).await
    }

    async fn delivery_due(&self, after: Timestamp) -> StoreResult<Option<Timestamp>> {
        self.readers.call(move |conn| lanes::next_due(conn, Work::Deliveries, after)).await
    }

    async fn queue_list(&self, tenant: TenantId) -> StoreResult<Vec<Queue>> {
        let host = self.waiting_max;
        self.readers.call(move |conn| lanes::queues(conn, tenant, host)).await
    }

    async fn event_list(&self, tenant: TenantId, filter: EventFilter) -> StoreResult<EventPage> {
        self.readers.list(move |conn| listing::page(conn, tenant, &filter)).await
    }

    async fn event_feed(&self, tenant: TenantId, filter: FeedFilter) -> StoreResult<FeedPage> {
        self.readers.list(move |conn| feed::page(conn, tenant, &filter)).await
    }

    async fn event_story(&self, tenant: TenantId, event: EventId) -> StoreResult<Option<Story>> {
        self.readers.list(move |conn| reading::story(conn, tenant, event)).await
    }

    async fn run_list(&self, tenant: TenantId, filter: RunFilter) -> StoreResult<Vec<RunRow>> {
        self.readers.list(move |conn| reading::run_list(conn, tenant, &filter)).await
    }

    async fn delivery_list(&self, tenant: TenantId, filter: DeliveryFilter) -> StoreResult<Vec<DeliveryRow>> {
        self.readers.list(move |conn| reading::delivery_list(conn, tenant, &filter)).await
    }

    async fn refusal_list(&self, tenant: TenantId, limit: u32) -> StoreResult<Vec<RefusalRow>> {
        self.readers.list(move |conn| reading::refusal_list(conn, tenant, limit)).await
    }

    async fn run_read(&self, tenant: TenantId, run: RunId) -> StoreResult<Option<RunRow>> {
        self.readers.call(move |conn| reading::run_read(conn, tenant, run)).await
    }

    async fn run_record_read(&self, tenant: TenantId, run: RunId) -> StoreResult<Option<Record>> {
        self.readers.call(move |conn| records::read(conn, tenant, run)).await
    }

    async fn delivery_read(
        &self,
        tenant: TenantId,
        delivery: DeliveryId,
    ) -> StoreResult<Option<(DeliveryRow, Letter)>> {
        self.readers.list(move |conn| reading::delivery_read(conn, tenant, delivery)).await
    }

    async fn hold_list(
        &self,
        tenant: TenantId,
        runs: Vec<RunId>,
        deliveries: Vec<DeliveryId>,
        now: Timestamp,
    ) -> StoreResult<Holds> {
        self.writer.call(0, move |tx| waiting::holds(tx, tenant, &runs, &deliveries, now)).await
    }

    async fn runs_pending(&self, tenant: TenantId) -> StoreResult<u64> {
        self.readers.call(move |conn| lanes::pending_count(conn, tenant, Work::Runs)).await
    }

    async fn notice_make(&self, tenant: TenantId, fact: Fact, now: Timestamp) -> StoreResult<()> {
        let make = move |tx: &mut Tx<'_>| {
            let now = tx.now(now);
            notices::tell(tx, tenant, &fact, now)
        };
        self.writer.call(0, make).await
    }

    async fn silence_watch(
        &self,
        tenant: TenantId,
        source: SourceId,
        heard_at: Option<Timestamp>,
        hours: u32,
        now: Timestamp,
    ) -> StoreResult<()> {
        self.writer.call(0, move |tx| notices::watch_silence(tx, tenant, source, heard_at, hours, now)).await
    }

    async fn run_replay(
        &self,
        tenant: TenantId,
        run: RunId,
        new: RunId,
        terms: Terms,
        now: Timestamp,
    ) -> StoreResult<()> {
        self.writer.call(0, move |tx| replaying::run(tx, tenant, run, new, terms, now)).await
    }

    async fn run_replay_dead(
        &self,
        tenant: TenantId,
        runs: Vec<(RunId, RunId)>,
        terms: Terms,
        now: Timestamp,
    ) -> StoreResult<Vec<Replay>> {
        self.writer.call(0, move |tx| replaying::dead_runs(tx, tenant, &runs, terms, now)).await
    }

    async fn run_dead(&self, tenant: TenantId, filter: RunFilter, after: Option<RunId>) -> StoreResult<Window<RunId>> {
        self.readers.list(move |conn| letters::dead_runs(conn, tenant, &filter, after)).await
    }

    async fn event_replay(
        &self,
        tenant: TenantId,
        event: EventId,
        runs: Vec<NewRun>,
        terms: Terms,
        now: Timestamp,
    ) -> StoreResult<Vec<RunId>> {
        self.writer.call(0, move |tx| replaying::event(tx, tenant, event, &runs, terms, now)).await
    }

    async fn delivery_hasten(&self, tenant: TenantId, which: Hasten, now: Timestamp) -> StoreResult<Hastened> {
        self.writer.call(0, move |tx| hastening::hasten(tx, tenant, which, now)).await
    }

    async fn delivery_replay(
        &self,
        tenant: TenantId,
        deliveries: Vec<DeliveryId>,
        keys: Keys,
        now: Timestamp,
    ) -> StoreResult<Vec<Replay>> {
        self.writer.call(0, move |tx| replaying::deliveries(tx, tenant, &deliveries, keys, now)).await
    }

    async fn delivery_dead(
        &self,
        tenant: TenantId,
        filter: DeliveryFilter,
        after: Option<DeliveryId>,
    ) -> StoreResult<Window<DeliveryId>> {
        self.readers.list(move |conn| letters::dead_deliveries(conn, tenant, &filter, after)).await
    }

    async fn event_erase(&self, tenant: TenantId, event: EventId, now: Timestamp) -> StoreResult<u32> {
        let events = self.writer.call(0, move |tx| erasing::erase(tx, tenant, event, now)).await?;
        // The log still holds what its pages were before.
        if !self.cut_log().await {
            tracing::warn!("a reader kept the log from being cut; what was erased leaves it when it begins anew");
        }
        Ok(events)
    }

    fn wakeups(&self) -> Wakeups {
        self.shared.wakeups.clone()
    }

    async fn prune(&self, now: Timestamp) -> StoreResult<bool> {
        let more = self.writer.call(0, move |tx| upkeep::prune(tx, now)).await?;
        self.writer.call(0, upkeep::shrink).await?;
        Ok(more)
    }

    async fn stats(&self) -> StoreResult<Stats> {
        let now = self.shared.latest();
        self.readers.call(move |conn| reading::stats(conn, now)).await
    }

    async fn ping(&self) -> StoreResult<()> {
        self.writer.call(0, upkeep::ping).await
    }

    async fn broken(&self) -> String {
        self.shared.safety.broken().await
    }

    async fn close(&self) -> StoreResult<()> {
        // The writer's side is the last to let go of the files, so that it can remove the log.
        self.readers.close();
        self.writer.close().await
    }
}

//! The store in one SQLite file.
//!
//! One thread writes (`writer`): verbs queue, a batch is one transaction, and nobody is answered before the log has been
//! synced behind it (`flush`). A few connections read (`readers`). One connection checkpoints, so that the writer seldom waits for
//! the main file. This file only opens and dispatches: each verb's inside is in the child that is named after what it
//! is about.
//!
//! Durability: write-ahead log, synced before a verb returns, so what it did survives a power cut. The caller
//! holds the data directory's lock; opening releases every claim of an earlier boot.

mod accept;
mod arrivals;
mod calls;
mod checkpoint;
mod configuration;
mod control;
mod dedup;
mod deliveries;
mod deploy;
mod erasing;
mod events;
mod filter;
mod flush;
mod followups;
mod holdings;
mod lanes;
mod letters;
mod notices;
mod passes;
mod readers;
mod reading;
mod replaying;
mod reply;
mod request;
mod retention;
mod runs;
mod safety;
mod schema;
mod statement;
mod transaction;
mod upkeep;
mod verb;
mod writer;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use creel_webhook::clock::Timestamp;
use creel_webhook::destination::Destination;
use creel_webhook::id::{DeliveryId, DestinationId, EventId, KeyId, PluginId, RouteId, RunId, SourceId, TenantId};
use creel_webhook::notice::{Fact, Notices};
use creel_webhook::plugin::{Deployment, Digest, Plugin};
use creel_webhook::route::Route;
use creel_webhook::source::Source;
use creel_webhook::tenant::{ApiKey, Tenant};

use crate::contract::{
    Accept, Accepted, ClaimToken, Control, DeliveryClaim, DeliveryCommit, DeliveryCommitted, DeliveryFilter,
    DeliveryRow, EventFilter, EventSummary, Keys, Letter, NewDeployment, NewRun, Queue, RefusalRow, Replay, RunClaim,
    RunCommit, RunCommitted, RunFilter, RunRow, SecretRow, Stats, Store, StoreError, StoreResult, StoredAnswer, Story,
    Terms, Wakeups, Window,
};
use crate::sqlite::accept::Packed;
use crate::sqlite::checkpoint::Checkpoints;
use crate::sqlite::flush::Flusher;
pub use crate::sqlite::flush::LogSync;
use crate::sqlite::lanes::Work;
use crate::sqlite::passes::Days;
use crate::sqlite::readers::Readers;
use crate::sqlite::statement::Fault;
use crate::sqlite::transaction::{Memory, Shared, Tx};
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
    /// What makes the log safe.
    pub log_sync: LogSync,
}

impl Default for Options {
    /// 64 GiB: more than a busy week, less than a usual disk. 100 000 calls: a day of one a second. 65 536 keys: enough neighbours among them that a page of a
    /// table of a million takes several at a time, few enough to be read back in a moment after a crash. A week
    /// and a month, as the host's settings.
    fn default() -> Self {
        Options {
            bytes_max: 64 << 30,
            waiting_max: 100_000,
            young_keys_max: 65_536,
            body_days: 7,
            record_days: 30,
            log_sync: LogSync::File,
        }
    }
}

/// The store in one SQLite file.
pub struct SqliteStore {
    path: PathBuf,
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
        let next_claim = upkeep::boot(&mut conn).map_err(StoreError::from)? + 1;
        schema::leave_syncs(&conn).map_err(StoreError::from)?;
        let days = Days { bodies: options.body_days, records: options.record_days };
        let mut memory = Memory::load(&conn, next_claim, options.bytes_max, options.young_keys_max, days)
            .map_err(StoreError::from)?;
        memory.waiting_max = options.waiting_max;
        let checkpoints = schema::checkpointer(path).map_err(StoreError::from)?;
        let checkpoints =
            Checkpoints::start(checkpoints, &mut conn).map_err(|error| StoreError::from(Fault::from(error)))?;
        let shared = Arc::new(Shared::new());
        let readers = Readers::open(path)?;
        let flusher = Flusher::start(&options.log_sync, path, shared.clone())?;
        let writer = Writer::start(conn, memory, shared.clone(), checkpoints, flusher)?;
        Ok(SqliteStore { path: path.to_owned(), waiting_max: options.waiting_max, shared, writer, readers })
    }
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
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

    async fn key_put(&self, key: ApiKey) -> StoreResult<()> {
        self.writer.call(0, move |tx| control::key_put(tx, &key)).await
    }

    async fn key_find(&self, hash: [u8; 32]) -> StoreResult<Option<ApiKey>> {
        self.readers.call(move |conn| configuration::key_find(conn, &hash)).await
    }

    async fn key_list(&self, tenant: Option<TenantId>) -> StoreResult<Vec<ApiKey>> {
        self.readers.list(move |conn| configuration::key_list(conn, tenant)).await
    }

    async fn key_delete(&self, tenant: Option<TenantId>, key: KeyId) -> StoreResult<bool> {
        self.writer.call(0, move |tx| control::key_delete(tx, tenant, key)).await
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

    async fn component_put(&self, tenant: TenantId, digest: Digest, bytes: Bytes, now: Timestamp) -> StoreResult<()> {
        self.writer.call(bytes.len(), move |tx| deploy::component_put(tx, tenant, digest, &bytes, now)).await
    }

    async fn component_read(&self, tenant: TenantId, digest: Digest) -> StoreResult<Option<Bytes>> {
        self.readers.call(move |conn| configuration::component_read(conn, tenant, digest)).await
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

    async fn route_put(&self, route: Route) -> StoreResult<()> {
        self.writer.call(0, move |tx| deploy::route_put(tx, &route)).await
    }

    async fn route_delete(&self, tenant: TenantId, route: RouteId) -> StoreResult<()> {
        self.writer.call(0, move |tx| deploy::route_delete(tx, tenant, route)).await
    }

    async fn accept(&self, accept: Accept) -> StoreResult<Accepted> {
        let packed = Packed::new(accept);
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

    async fn run_claim(&self, now: Timestamp, lease_ms: u64, max: u32) -> StoreResult<Vec<RunClaim>> {
        let tickets = self.writer.call(0, move |tx| runs::claim(tx, now, lease_ms, max)).await?;
        if tickets.is_empty() {
            return Ok(Vec::new());
        }
        let wanted: Vec<_> = tickets.iter().map(|ticket| (ticket.tenant, ticket.event)).collect();
        let read = self.readers.call(move |conn| Ok(events::load_all(conn, &wanted))).await;
        match read {
            // What could not be read keeps its claim: the lease is lost, and five such leases end the run.
            Ok(events) => Ok(tickets
                .into_iter()
                .filter_map(|ticket| Some(RunClaim { event: events.get(&ticket.event)?.clone(), ticket }))
                .collect()),
            Err(error) => {
                for ticket in tickets {
                    self.run_release(ticket.run, ticket.claim).await?;
                }
                Err(error)
            }
        }
    }

    async fn run_commit(&self, commit: RunCommit) -> StoreResult<RunCommitted> {
        let bytes = commit.calls.iter().map(|call| call.call.body.as_ref().map_or(0, Bytes::len) + 512).sum();
        self.writer.call(bytes, move |tx| runs::commit(tx, &commit)).await
    }

    async fn run_release(&self, run: RunId, claim: ClaimToken) -> StoreResult<bool> {
        self.writer.call(0, move |tx| runs::release(tx, run, claim)).await
    }

    async fn run_due(&self, after: Timestamp) -> StoreResult<Option<Timestamp>> {
        self.readers.call(move |conn| lanes::next_due(conn, Work::Runs, after)).await
    }

    async fn delivery_claim(&self, now: Timestamp, lease_ms: u64, max: u32) -> StoreResult<Vec<DeliveryClaim>> {
        self.writer.call(0, move |tx| deliveries::claim(tx, now, lease_ms, max)).await
    }

    async fn delivery_commit(&self, commit: DeliveryCommit) -> StoreResult<DeliveryCommitted> {
        let bytes = commit.response.as_ref().map_or(0, |response| response.body.len());
        self.writer.call(bytes + commit.attempt.response_head.len(), move |tx| deliveries::commit(tx, &commit)).await
    }

    async fn delivery_release(&self, delivery: DeliveryId, claim: ClaimToken) -> StoreResult<bool> {
        self.writer.call(0, move |tx| deliveries::release(tx, delivery, claim)).await
    }

    async fn delivery_due(&self, after: Timestamp) -> StoreResult<Option<Timestamp>> {
        self.readers.call(move |conn| lanes::next_due(conn, Work::Deliveries, after)).await
    }

    async fn queue_list(&self, tenant: TenantId) -> StoreResult<Vec<Queue>> {
        let host = self.waiting_max;
        self.readers.call(move |conn| lanes::queues(conn, tenant, host)).await
    }

    async fn event_list(&self, tenant: TenantId, filter: EventFilter) -> StoreResult<Vec<EventSummary>> {
        self.readers.list(move |conn| reading::event_list(conn, tenant, &filter)).await
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

    async fn delivery_read(
        &self,
        tenant: TenantId,
        delivery: DeliveryId,
    ) -> StoreResult<Option<(DeliveryRow, Letter)>> {
        self.readers.list(move |conn| reading::delivery_read(conn, tenant, delivery)).await
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
        let path = self.path.clone();
        let cut = tokio::task::spawn_blocking(move || schema::cut_log(&path)).await;
        if !matches!(cut, Ok(Ok(true))) {
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
        self.readers.call(reading::stats).await
    }

    async fn ping(&self) -> StoreResult<()> {
        self.writer.call(0, upkeep::ping).await
    }

    async fn broken(&self) -> String {
        self.shared.safety.broken().await
    }

    async fn close(&self) -> StoreResult<()> {
        self.writer.close().await?;
        self.readers.close();
        Ok(())
    }
}

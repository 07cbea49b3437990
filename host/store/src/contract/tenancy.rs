//! Who may, and who did: keys, secrets, the audit trail, and what tenants used.

use async_trait::async_trait;
use creel_webhook::clock::Timestamp;
use creel_webhook::id::{KeyId, SecretId, TenantId};
use creel_webhook::plugin::Digest;
use creel_webhook::quota::Quota;
use creel_webhook::tenant::{ApiKey, Role, Tenant};

use super::failing::StoreResult;

/// A sealed secret with the origins that it may be sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRow {
    /// Its id.
    pub id: SecretId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its name, unique in the tenant.
    pub name: String,
    /// The current value, sealed.
    pub sealed: Vec<u8>,
    /// The value before it, sealed, while it still counts.
    pub previous: Option<Vec<u8>>,
    /// Until when the previous value counts.
    pub previous_until: Option<Timestamp>,
    /// Origins (`https://host:port`) that it may be sent to; empty: it only verifies.
    pub origins: Vec<String>,
    /// Keyed hash of the current value.
    pub fingerprint: [u8; 32],
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// What somebody is about to do: change something, or read a payload. No value of a secret and no body is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// When.
    pub at: Timestamp,
    /// Whose things it is about; `None` for the host's.
    pub tenant: Option<TenantId>,
    /// The key.
    pub key: KeyId,
    /// What people call it.
    pub key_name: String,
    /// What it may do.
    pub role: Role,
    /// The row of the API's table: method and path with names in braces.
    pub what: String,
    /// The path that was called.
    pub object: String,
    /// Where it came from: an address.
    pub peer: String,
}

/// A deed with its outcome, as the trail keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Its place in the trail; places only grow.
    pub seq: u64,
    /// What was done.
    pub deed: Deed,
    /// HTTP status of the answer; `None` when the request was cut off or the host ended before.
    pub status: Option<u16>,
}

/// Whose part of the trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trail {
    /// Everybody's and the host's.
    Whole,
    /// One tenant's.
    Of(TenantId),
}

/// What was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Used {
    /// Events that were stored; repetitions and what the host made itself are none.
    pub events: u64,
    /// Tries of runs that were committed.
    pub runs: u64,
    /// Fuel that they were charged ([`creel_webhook::run::Usage::charged`]).
    pub fuel: u64,
    /// Bytes of the bodies of stored requests.
    pub bytes_in: u64,
    /// Bytes of the bodies of decided calls, each once.
    pub bytes_out: u64,
    /// Calls that arrived.
    pub deliveries: u64,
}

impl Used {
    /// What counts for a quota.
    pub fn of(&self, quota: Quota) -> u64 {
        match quota {
            Quota::Events => self.events,
            Quota::Bytes => self.bytes_in.saturating_add(self.bytes_out),
            Quota::Runs => self.runs,
            Quota::Fuel => self.fuel,
            Quota::Deliveries => self.deliveries,
        }
    }

    /// Both.
    #[must_use]
    pub fn plus(self, other: Used) -> Used {
        Used {
            events: self.events.saturating_add(other.events),
            runs: self.runs.saturating_add(other.runs),
            fuel: self.fuel.saturating_add(other.fuel),
            bytes_in: self.bytes_in.saturating_add(other.bytes_in),
            bytes_out: self.bytes_out.saturating_add(other.bytes_out),
            deliveries: self.deliveries.saturating_add(other.deliveries),
        }
    }
}

/// What a tenant used on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsedDay {
    /// The day's first moment, UTC.
    pub day: Timestamp,
    /// What.
    pub used: Used,
}

/// A tenant that is being removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaving {
    /// Whom nobody sees any more.
    pub tenant: Tenant,
    /// Since when.
    pub since: Timestamp,
}

/// The part of a store that is about people instead of events.
#[async_trait]
pub trait Tenancy: Send + Sync + 'static {
    /// Makes a key.
    async fn key_put(&self, key: ApiKey) -> StoreResult<()>;
    /// The key with this hash, expired or not.
    async fn key_find(&self, hash: [u8; 32]) -> StoreResult<Option<ApiKey>>;
    /// The keys of a tenant; with `None` the operator's.
    async fn key_list(&self, tenant: Option<TenantId>) -> StoreResult<Vec<ApiKey>>;
    /// A key was used; for a key that has ended meanwhile nothing happens.
    async fn key_used(&self, key: KeyId, at: Timestamp) -> StoreResult<()>;
    /// Writes down what is about to happen, and gives its place. It is on disk when this returns, so nothing happens that the
    /// trail does not know.
    async fn audit_begin(&self, deed: Deed) -> StoreResult<u64>;
    /// Adds how it ended; once, and for good.
    async fn audit_end(&self, seq: u64, status: u16) -> StoreResult<()>;
    /// The trail, newest first: at most `limit` rows before the place `before`. Rows go by age alone
    /// (`Options::audit_days`).
    async fn audit_list(&self, trail: Trail, before: Option<u64>, limit: u32) -> StoreResult<Vec<AuditRow>>;
    /// What a tenant used, day by day (UTC), from the day of `since` to that of `until`, oldest first; days without use are
    /// left out. Counted in the transactions of what happened, so nothing is missing and nothing is there twice.
    async fn usage_list(&self, tenant: TenantId, since: Timestamp, until: Timestamp) -> StoreResult<Vec<UsedDay>>;
    /// Replaces what is sealed in these secrets, and their fingerprints, in one transaction; everything else stays. What is
    /// no longer there is left out, a value before that no longer counts too.
    async fn secrets_reseal(&self, secrets: Vec<SecretRow>) -> StoreResult<()>;
    /// Begins to remove a tenant with everything that was ever stored for it. From then on nobody sees it and nothing is stored
    /// for it: its keys end, its runs and calls stop where they are, and it is no part of [`Control`](super::Control) but in
    /// `leaving`. Its name stays taken until it is gone. Nothing happens when it has begun. Not found: no such tenant.
    async fn tenant_leave(&self, tenant: TenantId, now: Timestamp) -> StoreResult<()>;
    /// Tenants that are being removed, who began first first.
    async fn tenants_leaving(&self) -> StoreResult<Vec<Leaving>>;
    /// The components of a tenant that no other tenant has, those of its deployments included.
    async fn tenant_components(&self, tenant: TenantId) -> StoreResult<Vec<Digest>>;
    /// Those of these components that no tenant has, in versions or deployments.
    async fn component_strays(&self, digests: Vec<Digest>) -> StoreResult<Vec<Digest>>;
    /// Removes a bounded part of a tenant that is being removed; says whether there is more. Called again after a crash it goes
    /// on. Rows in the audit trail about the tenant go too; the operators' own, which are about none, stay.
    async fn tenant_remove(&self, tenant: TenantId) -> StoreResult<bool>;
    /// After tenants were removed: one small step towards files in which no byte of theirs is left, free space and logs
    /// included; says whether it is worth to go on at once. Nothing to do is the usual case. One caller at a time.
    async fn scrub(&self) -> StoreResult<bool>;
    /// Ends a key. Says whether there was one.
    async fn key_delete(&self, tenant: Option<TenantId>, key: KeyId) -> StoreResult<bool>;
}

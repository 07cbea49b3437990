//! The watch: what shows only over time. Sources that fall silent or refuse much, and tenants that run out of room.
//!
//! A look costs nothing for tenants that named no destination for notices. For the others it reads counters in memory,
//! and one row of the store for the tenant's pending runs; the store writes only what is told, and once a minute when a
//! source that is watched was last heard. What is worth a notice, and how often, is decided by [`creel_webhook::notice`].

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use creel_store::contract::{Store, StoreResult};
use creel_webhook::clock::Timestamp;
use creel_webhook::id::{SourceId, TenantId};
use creel_webhook::notice::{Fact, Notices, WINDOW_MS, is_near, is_refusing};

use crate::directory::{Directory, Picture, SourceEntry};
use crate::spec::tenant::Ceilings;

/// Pause between two looks at counters, milliseconds: a queue that fills takes longer.
const LOOK_EVERY_MS: u64 = 5_000;

/// Pause between two looks at who is silent, milliseconds: they are counted in hours.
const SILENCE_EVERY_MS: u64 = 60_000;

/// Looks at what shows only over time.
pub struct Watch {
    store: Arc<dyn Store>,
    directory: Arc<Directory>,
    ceilings: Ceilings,
    seen: Mutex<Seen>,
}

/// What earlier looks saw; what is not durable of it costs at most one notice more after a restart.
#[derive(Default)]
struct Seen {
    looked_at: Option<Timestamp>,
    silence_at: Option<Timestamp>,
    window_at: Option<Timestamp>,
    /// Tenants that were told that they run out of room, and still do.
    near: HashSet<TenantId>,
    /// Sources that were told of in this window.
    refusing: HashSet<SourceId>,
}

/// What this look is to look at.
struct Due {
    silence: bool,
    /// The window of the counters is over.
    window: bool,
}

impl Watch {
    /// A watch over this store. `ceilings` hold the host's quota.
    pub fn new(store: Arc<dyn Store>, directory: Arc<Directory>, ceilings: Ceilings) -> Self {
        Watch { store, directory, ceilings, seen: Mutex::default() }
    }

    /// Looks, if it is time.
    ///
    /// # Errors
    /// When the store fails; a later look does it then.
    pub async fn tick(&self, now: Timestamp) -> StoreResult<()> {
        let Some(due) = self.due(now) else { return Ok(()) };
        let picture = self.directory.picture().await?;
        for notices in picture.notices() {
            self.quota(&picture, notices, now).await?;
        }
        for (entry, notices) in picture.watched() {
            self.refusals(entry, notices, due.window, now).await?;
            if due.silence {
                self.silence(entry, now).await?;
            }
        }
        Ok(())
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn due(&self, now: Timestamp) -> Option<Due> {
        let mut seen = self.seen();
        let is_due = |at: Option<Timestamp>, every: u64| at.is_none_or(|at| now >= at.plus_ms(every));
        if !is_due(seen.looked_at, LOOK_EVERY_MS) {
            return None;
        }
        seen.looked_at = Some(now);
        let silence = is_due(seen.silence_at, SILENCE_EVERY_MS);
        if silence {
            seen.silence_at = Some(now);
        }
        let window = is_due(seen.window_at, WINDOW_MS);
        if window {
            seen.window_at = Some(now);
        }
        Some(Due { silence, window })
    }

    async fn quota(&self, picture: &Picture, notices: &Notices, now: Timestamp) -> StoreResult<()> {
        let tenant = notices.tenant;
        let own = picture.tenant(tenant).map(|entry| entry.tenant.limits).unwrap_or_default();
        let max = self.ceilings.holds(&own).pending_runs_max;
        let pending = self.store.runs_pending(tenant).await?;
        if !is_near(pending, max) {
            self.seen().near.remove(&tenant);
            return Ok(());
        }
        if self.seen().near.insert(tenant) {
            self.store.notice_make(tenant, Fact::QuotaNear { pending, max }, now).await?;
        }
        Ok(())
    }

    async fn refusals(&self, entry: &SourceEntry, notices: &Notices, is_over: bool, now: Timestamp) -> StoreResult<()> {
        let (Some(activity), source) = (&entry.activity, entry.source.id) else { return Ok(()) };
        let counts = activity.counts();
        if is_refusing(counts.refused, counts.genuine, notices) && self.seen().refusing.insert(source) {
            let fact = Fact::SourceRefusals { source, refused: counts.refused, genuine: counts.genuine };
            self.store.notice_make(entry.source.tenant, fact, now).await?;
        }
        if is_over {
            activity.begin();
            self.seen().refusing.remove(&source);
        }
        Ok(())
    }

    async fn silence(&self, entry: &SourceEntry, now: Timestamp) -> StoreResult<()> {
        let (Some(activity), Some(hours)) = (&entry.activity, entry.source.spec.silent_after_hours) else {
            return Ok(());
        };
        self.store.silence_watch(entry.source.tenant, entry.source.id, activity.heard_at(), hours, now).await
    }
}

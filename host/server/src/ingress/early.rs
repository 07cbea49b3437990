//! Runs that begin beside their accept.
//!
//! A sender that waits, waits for two commits, and the plugin needs neither of them to compute: a handler performs
//! nothing, so what it decides can be thrown away. So its run begins while the request is on its way to the disk. The
//! claim's token is known before the row is, and the decision is asked for right behind the accept: a request that was
//! stored has its claim by then, and with any other the decision is stale. What was not stored was never run; nothing of it
//! is kept, and nobody was told anything.
//!
//! These wait for their accept:
//!
//! * Runs that may look things up: what they ask, others see.
//! * Runs of a route or a source that is paused, which nobody wants run.
//! * All beyond [`UNPAID_MAX`] of a tenant at a time, and for [`WAITS_MS`] all of a tenant whose run was thrown away: its sender
//!   repeats itself, or it has used up what it may use. Nobody's account pays for such runs, so there are few.
//! * All, when the process before ended in the midst of work. A run that ends the process is known by its row, so it has to have
//!   one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use creel_store::contract::{Accept, RunTicket};
use creel_webhook::clock::Timestamp;
use creel_webhook::id::TenantId;

use crate::directory::Picture;

/// Runs of a tenant that may be under way before their accept is answered: so many are thrown away at once at most.
pub const UNPAID_MAX: u32 = 4;

/// How long a tenant's runs wait for their accepts after one was thrown away, milliseconds.
pub const WAITS_MS: u64 = 1_000;

/// Says which runs may begin.
#[derive(Debug)]
pub struct Early {
    /// False: none.
    any: bool,
    /// Tenants of whom something is known.
    tenants: Mutex<HashMap<TenantId, Standing>>,
}

/// How it stands with a tenant.
#[derive(Debug, Default)]
struct Standing {
    /// Runs that have begun and whose accept is not answered.
    unpaid: u32,
    /// Until when its runs wait.
    waits_until: Timestamp,
}

/// A run that has begun; until it is dropped its accept is not answered.
#[derive(Debug)]
pub(super) struct Unpaid {
    early: Arc<Early>,
    tenant: TenantId,
}

impl Early {
    /// Whether the process before ended well decides whether there are any.
    pub fn new(process_before_ended_well: bool) -> Self {
        if !process_before_ended_well {
            tracing::info!(
                "the process before ended in the midst of work: until the next start, what senders wait for is run when it is stored"
            );
        }
        Early { any: process_before_ended_well, tenants: Mutex::default() }
    }

    /// The run that a sender waits for, if it may begin now: with this claim, should the accept be stored.
    pub(super) fn begin(
        self: &Arc<Self>,
        accept: &Accept,
        picture: &Picture,
        now: Timestamp,
    ) -> Option<(RunTicket, Unpaid)> {
        let (event, tenant) = (accept.events.first()?, accept.tenant);
        let run = event.awaited()?;
        let claim = run.reply.as_ref()?.claim?;
        let ticket = run.ticket(tenant, event.id, now.plus_ms(claim.lease_ms))?;
        let (_, active) = picture.plugin(run.plugin)?;
        let is_paused = picture.route(run.route)?.paused || picture.source(accept.source)?.source.paused;
        if !self.any || is_paused || !active?.grants.fetch.is_empty() {
            return None;
        }
        Some((ticket, self.of(tenant, now)?))
    }

    /// One more of a tenant, unless there are enough or it has to wait.
    fn of(self: &Arc<Self>, tenant: TenantId, now: Timestamp) -> Option<Unpaid> {
        let mut tenants = self.tenants();
        let standing = tenants.entry(tenant).or_default();
        if standing.unpaid >= UNPAID_MAX || now < standing.waits_until {
            return None;
        }
        standing.unpaid += 1;
        standing.waits_until = Timestamp::default();
        Some(Unpaid { early: self.clone(), tenant })
    }

    fn tenants(&self) -> MutexGuard<'_, HashMap<TenantId, Standing>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Unpaid {
    /// Its accept stored nothing that it could decide.
    pub(super) fn thrown_away(self, now: Timestamp) {
        let mut tenants = self.early.tenants();
        tenants.retain(|_, standing| standing.unpaid > 0 || now < standing.waits_until);
        tenants.entry(self.tenant).or_default().waits_until = now.plus_ms(WAITS_MS);
    }
}

impl Drop for Unpaid {
    fn drop(&mut self) {
        let mut tenants = self.early.tenants();
        if let Some(standing) = tenants.get_mut(&self.tenant) {
            standing.unpaid -= 1;
            if standing.unpaid == 0 && standing.waits_until == Timestamp::default() {
                tenants.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(byte: u8) -> TenantId {
        TenantId::from_bytes([byte; 16])
    }

    #[test]
    fn a_tenant_has_so_many_at_a_time_and_another_does_not_notice() {
        let (early, now) = (Arc::new(Early::new(true)), Timestamp::from_millis(5_000));
        let mut begun: Vec<_> = (0..UNPAID_MAX).map(|_| early.of(tenant(1), now).expect("one more")).collect();
        assert!(early.of(tenant(1), now).is_none());
        assert!(early.of(tenant(2), now).is_some());
        drop(begun.pop());
        assert!(early.of(tenant(1), now).is_some(), "an accept was answered");
        drop(begun);
        assert!(early.tenants().is_empty(), "{early:?}");
    }

    #[test]
    fn a_tenant_whose_run_was_thrown_away_waits_for_a_second_and_alone() {
        let (early, at) = (Arc::new(Early::new(true)), Timestamp::from_millis);
        early.of(tenant(1), at(5_000)).expect("it may").thrown_away(at(5_000));
        assert!(early.of(tenant(1), at(5_999)).is_none());
        assert!(early.of(tenant(2), at(5_001)).is_some());
        assert!(early.of(tenant(1), at(6_000)).is_some());
        assert!(early.tenants().is_empty(), "who waits no longer is forgotten: {early:?}");
    }
}

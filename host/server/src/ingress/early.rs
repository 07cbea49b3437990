//! Runs that begin beside their accept.
//!
//! A sender that waits, waits for two commits, and the plugin needs neither of them to compute: a handler performs
//! nothing, so what it decides can be thrown away. So its run begins while the request is on its way to the disk. The
//! claim's token is known before the row is, and the decision is asked for right behind the accept: a request that was
//! stored has its claim by then, and with any other the decision is stale. What was not stored was never run; nothing of it
//! is kept, and nobody was told anything.
//!
//! Three kinds of run wait for their accept:
//!
//! * Those that may look things up: what they ask, others see.
//! * For [`WAITS_MS`] those of a tenant whose run was thrown away: it repeated itself, is paused, or has used up what it may
//!   use, and nobody's account pays for such runs. So no tenant gets more than one of them a second.
//! * All, when the process before ended in the midst of work. A run that ends the process is known by its row, so it has to have
//!   one.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use creel_store::contract::{Accept, RunTicket};
use creel_webhook::clock::Timestamp;
use creel_webhook::id::TenantId;
use creel_webhook::route::Mode;

use crate::directory::Picture;

/// How long a tenant's runs wait for their accepts after one was thrown away, milliseconds.
const WAITS_MS: u64 = 1_000;

/// Says which runs may begin.
#[derive(Debug)]
pub struct Early {
    /// False: none.
    any: bool,
    /// Tenants whose runs wait, and until when.
    waits: Mutex<HashMap<TenantId, Timestamp>>,
}

impl Early {
    /// Whether the process before ended well decides whether there are any.
    pub fn new(process_before_ended_well: bool) -> Self {
        Early { any: process_before_ended_well, waits: Mutex::default() }
    }

    /// The run that a sender waits for, if it may begin now: with this claim, should the accept be stored.
    pub(super) fn ticket(&self, accept: &Accept, picture: &Picture, now: Timestamp) -> Option<RunTicket> {
        let event = accept.events.first()?;
        let run = event.runs.iter().find(|run| run.reply.is_some())?;
        let (reply, tenant) = (run.reply.as_ref()?, accept.tenant);
        let claim = reply.claim?;
        let (_, active) = picture.plugin(run.plugin)?;
        if !self.any || !active?.grants.fetch.is_empty() || self.waits(tenant, now) {
            return None;
        }
        Some(RunTicket {
            run: run.id,
            claim: claim.token,
            tenant,
            event: event.id,
            route: run.route,
            plugin: run.plugin,
            mode: Mode::Reply,
            attempts: 0,
            failures: 0,
            claims: 1,
            lease_until: now.plus_ms(claim.lease_ms),
            deadline: Some(reply.deadline),
            new_keys: false,
        })
    }

    /// A run of this tenant was thrown away.
    pub(super) fn thrown_away(&self, tenant: TenantId, now: Timestamp) {
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        waits.retain(|_, until| now < *until);
        waits.insert(tenant, now.plus_ms(WAITS_MS));
    }

    fn waits(&self, tenant: TenantId, now: Timestamp) -> bool {
        let waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        waits.get(&tenant).is_some_and(|until| now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_whose_run_was_thrown_away_waits_for_a_second_and_alone() {
        let (early, at) = (Early::new(true), Timestamp::from_millis);
        let [one, other] = [1, 2].map(|byte| TenantId::from_bytes([byte; 16]));
        early.thrown_away(one, at(5_000));
        assert!(early.waits(one, at(5_999)) && !early.waits(one, at(6_000)) && !early.waits(other, at(5_001)));
        early.thrown_away(other, at(6_000));
        assert_eq!(early.waits.lock().unwrap().len(), 1, "who waits no longer is forgotten");
    }
}

//! What the accepts of a batch add to lanes and turns: kept here and written once, not once per accept.
//!
//! Only accepts add, and only when nothing in them can fail any more. Every other verb reads lanes and turns from the
//! tables, so the writer has the arrivals written before one of those runs, and before the batch's end. Where a route's
//! lane is does not change without a change of control, so that is kept from batch to batch.

use std::collections::{BTreeMap, HashMap};

use creel_webhook::clock::Timestamp;
use creel_webhook::id::{RouteId, TenantId};

/// A route's lane.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Its number.
    pub(super) lane: i64,
    /// Whether nothing in it is due.
    pub(super) paused: bool,
}

/// Additions that are not in the tables yet.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    places: HashMap<(TenantId, RouteId), Place>,
    tenants: BTreeMap<TenantId, Pending>,
    due: Due,
    /// Whether somebody may claim some of it.
    claimable: bool,
}

/// A tenant's runs that wait.
#[derive(Debug, Clone, Copy, Default)]
struct Pending {
    /// In the table; unknown until somebody asked.
    stored: Option<u64>,
    /// Not in the table yet.
    added: u64,
}

/// When something in a lane is due, and whose it is.
pub(super) type Due = BTreeMap<i64, (TenantId, Timestamp)>;

impl Arrivals {
    /// Where the runs of a route stand in line, if that is known here.
    pub(super) fn place(&self, tenant: TenantId, route: RouteId) -> Option<Place> {
        self.places.get(&(tenant, route)).copied()
    }

    /// Keeps where the runs of a route stand in line.
    pub(super) fn keep_place(&mut self, tenant: TenantId, route: RouteId, place: Place) {
        self.places.insert((tenant, route), place);
    }

    /// Forgets where lanes are: control has changed.
    pub(super) fn forget_places(&mut self) {
        self.places.clear();
    }

    /// How many of a tenant's runs wait, these included; `read` reads the table.
    pub(super) fn pending<E>(&mut self, tenant: TenantId, read: impl FnOnce() -> Result<u64, E>) -> Result<u64, E> {
        let pending = self.tenants.entry(tenant).or_default();
        let stored = match pending.stored {
            Some(stored) => stored,
            None => *pending.stored.insert(read()?),
        };
        Ok(stored + pending.added)
    }

    /// Notes that so many runs more wait.
    pub(super) fn add(&mut self, tenant: TenantId, runs: u64) {
        self.tenants.entry(tenant).or_default().added += runs;
    }

    /// Notes that something in a lane is due then: now, or when the claim ends that came with it. A paused lane has nothing
    /// due.
    pub(super) fn due(&mut self, tenant: TenantId, place: Place, at: Timestamp, is_claimed: bool) {
        if !place.paused {
            let (_, earliest) = self.due.entry(place.lane).or_insert((tenant, at));
            *earliest = at.min(*earliest);
            self.claimable |= !is_claimed;
        }
    }

    /// Takes what is to be written: runs added per tenant, when something is due per lane, and whether somebody may claim some
    /// of it.
    pub(super) fn take(&mut self) -> (Vec<(TenantId, u64)>, Due, bool) {
        let tenants = std::mem::take(&mut self.tenants).into_iter().map(|(tenant, pending)| (tenant, pending.added));
        let claimable = std::mem::take(&mut self.claimable);
        (tenants.filter(|(_, added)| *added > 0).collect(), std::mem::take(&mut self.due), claimable)
    }
}

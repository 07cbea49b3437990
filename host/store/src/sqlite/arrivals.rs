//! What the accepts of a batch add to lanes and turns: kept here and written once, not once per accept.
//!
//! Only accepts add, and only when nothing in them can fail any more. Every other verb reads lanes and turns from the
//! tables, so the writer has the arrivals [written](write) before one of those runs, and before the batch's end.
//! Where a route's lane is does not change without a change of control, so that is kept from batch to batch.

use std::collections::{BTreeMap, HashMap};

use creel_webhook::clock::Timestamp;
use creel_webhook::id::{RouteId, TenantId};
use rusqlite::Connection;

use crate::sqlite::lanes::{self, Lane, Work};
use crate::sqlite::statement::Sql;
use crate::sqlite::transaction::Tx;

/// A route's lane.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Its number.
    pub(super) lane: i64,
    paused: bool,
}

/// Additions that are not in the tables yet.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    places: HashMap<(TenantId, RouteId), Place>,
    tenants: BTreeMap<TenantId, Pending>,
    due: BTreeMap<i64, (TenantId, Timestamp)>,
}

/// A tenant's runs that wait: in the table, and not in it yet.
#[derive(Debug, Clone, Copy, Default)]
struct Pending {
    stored: Option<u64>,
    added: u64,
}

impl Arrivals {
    /// Where the runs of a route stand in line; `None` once the route was removed.
    pub(super) fn place(&mut self, conn: &Connection, tenant: TenantId, route: RouteId) -> Sql<Option<Place>> {
        if let Some(place) = self.places.get(&(tenant, route)) {
            return Ok(Some(*place));
        }
        let Some(lane) = lanes::find(conn, tenant, Work::Runs, route.as_bytes())? else { return Ok(None) };
        let paused = lanes::load(conn, lane)?.is_some_and(|Lane { paused, .. }| paused);
        let place = Place { lane, paused };
        self.places.insert((tenant, route), place);
        Ok(Some(place))
    }

    /// How many of a tenant's runs wait, these included.
    pub(super) fn pending(&mut self, conn: &Connection, tenant: TenantId) -> Sql<u64> {
        let pending = self.tenants.entry(tenant).or_default();
        let stored = match pending.stored {
            Some(stored) => stored,
            None => *pending.stored.insert(lanes::pending_count(conn, tenant, Work::Runs)?),
        };
        Ok(stored + pending.added)
    }

    /// Notes that so many runs more wait.
    pub(super) fn add(&mut self, tenant: TenantId, runs: u64) {
        self.tenants.entry(tenant).or_default().added += runs;
    }

    /// Notes that something in a lane is due then. A paused lane has nothing due.
    pub(super) fn due(&mut self, tenant: TenantId, place: Place, at: Timestamp) {
        if !place.paused {
            let (_, earliest) = self.due.entry(place.lane).or_insert((tenant, at));
            *earliest = at.min(*earliest);
        }
    }

    /// Forgets where lanes are: control has changed.
    pub(super) fn forget_places(&mut self) {
        self.places.clear();
    }
}

/// Writes what was added.
pub(super) fn write(tx: &mut Tx<'_>) -> Sql<()> {
    let arrivals = &mut tx.memory.arrivals;
    let (tenants, due) = (std::mem::take(&mut arrivals.tenants), std::mem::take(&mut arrivals.due));
    for (tenant, pending) in tenants.into_iter().filter(|(_, pending)| pending.added > 0) {
        lanes::pending(tx, tenant, Work::Runs, pending.added as i64, None)?;
    }
    for (lane, (tenant, at)) in due {
        lanes::touch(tx, lane, tenant, Work::Runs, at)?;
    }
    Ok(())
}

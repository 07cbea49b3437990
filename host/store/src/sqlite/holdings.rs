//! What the store holds for one event: its runs and their deliveries, and whether something of it is pending.
//!
//! Everything is found by keys from the event on; no row of another event is looked at.

use creel_webhook::clock::Timestamp;
use creel_webhook::followup;
use creel_webhook::id::{DeliveryId, EventId, RunId, TenantId};
use rusqlite::{Connection, params};

use crate::contract::Death;
use crate::sqlite::statement::{Sql, all, first, id, json_opt, time_opt};

/// An event and what belongs to it.
pub(super) struct Holdings {
    /// The event.
    pub(super) event: EventId,
    /// Its request's number.
    pub(super) request: i64,
    /// Whether its request may have other events.
    pub(super) batch: bool,
    /// Where its item stands in the request's body.
    pub(super) item: Option<(usize, usize)>,
    /// Its runs.
    pub(super) runs: Vec<RunId>,
    /// The deliveries that they decided.
    pub(super) deliveries: Vec<Held>,
    /// Something of it that is not over.
    pub(super) pending: Option<Pending>,
}

/// A delivery of an event.
pub(super) struct Held {
    /// Its number.
    pub(super) seq: i64,
    /// Events that may report its ends: the last, and those from which it was brought back.
    pub(super) reports: Vec<EventId>,
}

/// What is not over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pending {
    /// A run is not decided.
    Run(RunId),
    /// A call is on its way.
    Delivery(DeliveryId),
    /// A sender waits.
    Reply,
}

impl Holdings {
    /// How many rows there are, roughly.
    pub(super) fn rows(&self) -> usize {
        4 + 2 * self.runs.len() + 4 * self.deliveries.len()
    }
}

/// Reads what there is of an event.
pub(super) fn load(conn: &Connection, tenant: TenantId, event: EventId) -> Sql<Option<Holdings>> {
    let sql = "SELECT request, count > 1, item_from, item_to, runs FROM event WHERE tenant = ?1 AND id = ?2";
    let found = first(conn, sql, params![tenant.as_bytes(), event.as_bytes()], |row| {
        let place = |column| {
            Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.and_then(|at| usize::try_from(at).ok()))
        };
        let item = place(2)?.zip(place(3)?);
        Ok((row.get(0)?, row.get(1)?, item, row.get::<_, Vec<u8>>(4)?))
    })?;
    let Some((request, batch, item, packed)) = found else { return Ok(None) };
    let runs: Vec<RunId> = packed.as_chunks::<16>().0.iter().map(|bytes| RunId::from_bytes(*bytes)).collect();
    let mut holdings =
        Holdings { event, request, batch, item, runs: runs.clone(), deliveries: Vec::new(), pending: None };
    for run in runs {
        add_run(conn, tenant, run, &mut holdings)?;
    }
    let sql = "SELECT 1 FROM reply WHERE tenant = ?1 AND event = ?2 AND answer IS NULL";
    if first(conn, sql, params![tenant.as_bytes(), event.as_bytes()], |_| Ok(()))?.is_some() {
        holdings.pending = holdings.pending.or(Some(Pending::Reply));
    }
    Ok(Some(holdings))
}

fn add_run(conn: &Connection, tenant: TenantId, run: RunId, holdings: &mut Holdings) -> Sql<()> {
    let sql = "SELECT ended_at IS NULL, deliveries FROM run WHERE tenant = ?1 AND id = ?2";
    let found = first(conn, sql, params![tenant.as_bytes(), run.as_bytes()], |row| {
        Ok((row.get::<_, bool>(0)?, row.get::<_, Option<Vec<u8>>>(1)?.unwrap_or_default()))
    })?;
    let Some((pending, numbers)) = found else { return Ok(()) };
    if pending {
        holdings.pending = holdings.pending.or(Some(Pending::Run(run)));
    }
    for number in numbers.as_chunks::<8>().0 {
        let seq = i64::from_be_bytes(*number);
        let sql =
            "SELECT id, state = 0, ended_at, past, on_result IS NOT NULL FROM delivery WHERE seq = ?1 AND tenant = ?2";
        let found = first(conn, sql, params![seq, tenant.as_bytes()], |row| {
            let past: Vec<Death> = json_opt(row, 3)?.unwrap_or_default();
            let ends: Vec<Timestamp> = past.iter().map(|death| death.ended_at).chain(time_opt(row, 2)?).collect();
            Ok((id(row, 0)?, row.get::<_, bool>(1)?, ends, row.get::<_, bool>(4)?))
        })?;
        let Some((delivery, pending, ends, reported)) = found else { continue };
        if pending {
            holdings.pending = holdings.pending.or(Some(Pending::Delivery(delivery)));
        }
        let reports = ends.into_iter().filter(|_| reported).map(|at| followup::ids(delivery, at).event);
        holdings.deliveries.push(Held { seq, reports: reports.collect() });
    }
    Ok(())
}

/// The other events of a request that may have several.
pub(super) fn siblings(conn: &Connection, holdings: &Holdings) -> Sql<Vec<EventId>> {
    if !holdings.batch {
        return Ok(Vec::new());
    }
    let sql = "SELECT id FROM event INDEXED BY event_batch WHERE request = ?1 AND count > 1 AND id <> ?2";
    all(conn, sql, params![holdings.request, holdings.event.as_bytes()], |row| id(row, 0))
}

/// Whether the request has another event.
pub(super) fn has_sibling(conn: &Connection, holdings: &Holdings) -> Sql<bool> {
    let sql = "SELECT 1 FROM event INDEXED BY event_batch WHERE request = ?1 AND count > 1 AND id <> ?2 LIMIT 1";
    let values = params![holdings.request, holdings.event.as_bytes()];
    Ok(holdings.batch && first(conn, sql, values, |_| Ok(()))?.is_some())
}

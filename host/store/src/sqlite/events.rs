//! One event with its request, put together from its rows.
//!
//! An item of a batch is read from its place in the body; the rest of the body stays on the disk.

use std::collections::HashMap;

use bytes::Bytes;
use creel_webhook::followup::{self, Origin};
use creel_webhook::id::{EventId, TenantId};
use rusqlite::{Connection, Row, params};

use crate::codec;
use crate::contract::{StoreError, StoredEvent};
use crate::sqlite::statement::{Sql, first, id, packed, time, time_opt};

/// Whether there is such an event.
pub(super) fn exists(conn: &Connection, tenant: TenantId, event: EventId) -> Sql<bool> {
    let sql = "SELECT 1 FROM event WHERE tenant = ?1 AND id = ?2";
    Ok(first(conn, sql, params![tenant.as_bytes(), event.as_bytes()], |_| Ok(()))?.is_some())
}

/// Reads events; what is not there or is damaged is left out, so that it does not hold the others up.
pub(super) fn load_all(conn: &Connection, wanted: &[(TenantId, EventId)]) -> HashMap<EventId, StoredEvent> {
    let mut events = HashMap::with_capacity(wanted.len());
    for (tenant, event) in wanted {
        if events.contains_key(event) {
            continue;
        }
        match load(conn, *tenant, *event).map_err(StoreError::from) {
            Ok(stored) => events.extend(stored.map(|stored| (*event, stored))),
            Err(error) => tracing::error!(%event, %error, "a claimed run's event could not be read"),
        }
    }
    events
}

/// Events that are read by the thread that writes, when it is asked for them: it has just written most of what is claimed
/// in small numbers, and another thread would take longer to wake up.
const NEAR_MAX: usize = 4;

/// Bytes of a request's body up to which its events are read there.
const NEAR_BYTES_MAX: i64 = 64 * 1_024;

/// Reads events if they are few and small; `None` when somebody else is to read them, or to find out why nobody can.
pub(super) fn load_near(conn: &Connection, wanted: &[(TenantId, EventId)]) -> Option<HashMap<EventId, StoredEvent>> {
    let small = |(tenant, event): &(TenantId, EventId)| is_small(conn, *tenant, *event).unwrap_or(false);
    (wanted.len() <= NEAR_MAX && wanted.iter().all(small)).then(|| load_all(conn, wanted))
}

fn is_small(conn: &Connection, tenant: TenantId, event: EventId) -> Sql<bool> {
    // The length stands in the row's head: no page of a large body is read for it.
    let sql = "SELECT coalesce(length(r.body), 0) FROM event e JOIN request r ON r.seq = e.request
        WHERE e.tenant = ?1 AND e.id = ?2";
    let bytes: Option<i64> = first(conn, sql, params![tenant.as_bytes(), event.as_bytes()], |row| row.get(0))?;
    Ok(bytes.is_none_or(|bytes| bytes <= NEAR_BYTES_MAX))
}

/// An event, without its body if that is an item of a batch, and where that stands.
struct Head {
    event: StoredEvent,
    body: i64,
    item: Option<(usize, usize)>,
}

/// Reads an event of a tenant.
pub(super) fn load(conn: &Connection, tenant: TenantId, event: EventId) -> Sql<Option<StoredEvent>> {
    let sql = "SELECT e.tenant, e.id, r.id, e.source, e.number, e.count, e.kind, e.provider_id, e.subject,
            e.occurred_at, r.received_at, r.head, length(r.body) IS NULL OR e.erased_at IS NOT NULL, e.request, e.item_from,
            e.item_to, CASE WHEN e.item_from IS NULL AND e.erased_at IS NULL THEN r.body END
        FROM event e JOIN request r ON r.seq = e.request
        WHERE e.tenant = ?1 AND e.id = ?2";
    let Some(head) = first(conn, sql, params![tenant.as_bytes(), event.as_bytes()], read)? else { return Ok(None) };
    let mut event = head.event;
    // A whole body came with the row; of a batch only the item is read.
    if let (false, Some(item)) = (event.erased, head.item) {
        event.body = part(conn, head.body, item)?;
    }
    if event.scheme == followup::SCHEME {
        event.origin = origin(conn, tenant, event.id)?;
    }
    Ok(Some(event))
}

/// Which call's end an event reports.
pub(super) fn origin(conn: &Connection, tenant: TenantId, event: EventId) -> Sql<Option<Origin>> {
    let sql = "SELECT parent, delivery, depth, identity FROM followup WHERE tenant = ?1 AND event = ?2";
    first(conn, sql, params![tenant.as_bytes(), event.as_bytes()], |row| {
        Ok(Origin { event: id(row, 0)?, delivery: id(row, 1)?, depth: row.get(2)?, identity: id(row, 3)? })
    })
}

/// The bytes of one item of a body.
fn part(conn: &Connection, seq: i64, (from, to): (usize, usize)) -> Sql<Bytes> {
    let blob = conn.blob_open("main", "request", "body", seq, true)?;
    let mut bytes = vec![0; to.min(blob.len()).saturating_sub(from)];
    if !bytes.is_empty() {
        blob.read_at_exact(&mut bytes, from)?;
    }
    Ok(bytes.into())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Head> {
    let head = packed(row, 11, codec::read_request_head)?;
    let place =
        |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.and_then(|at| usize::try_from(at).ok()));
    let event = StoredEvent {
        tenant: id(row, 0)?,
        id: id(row, 1)?,
        request: id(row, 2)?,
        source: id(row, 3)?,
        index: row.get(4)?,
        count: row.get(5)?,
        kind: row.get(6)?,
        provider_id: row.get(7)?,
        subject: row.get(8)?,
        occurred_at: time_opt(row, 9)?,
        received_at: time(row, 10)?,
        scheme: head.scheme,
        method: head.method,
        query: head.query,
        headers: head.headers,
        attributes: head.attributes,
        erased: row.get(12)?,
        body: row.get_ref(16)?.as_blob_or_null()?.map_or_else(Bytes::new, Bytes::copy_from_slice),
        origin: None,
    };
    Ok(Head { event, body: row.get(13)?, item: place(14)?.zip(place(15)?) })
}

//! One event with its request, put together from its rows.

use bytes::Bytes;
use creel_webhook::id::{EventId, TenantId};
use rusqlite::{Connection, Row, params};

use crate::codec;
use crate::contract::StoredEvent;
use crate::sqlite::statement::{Sql, first, id, packed, time, time_opt};

/// Reads an event of a tenant.
pub(super) fn load(conn: &Connection, tenant: TenantId, event: EventId) -> Sql<Option<StoredEvent>> {
    let sql = "SELECT e.tenant, e.id, r.id, e.source, e.number, e.count, e.kind, e.provider_id, e.subject,
            e.occurred_at, r.received_at, r.head, b.seq IS NULL,
            CASE WHEN e.item_from IS NULL THEN b.bytes ELSE substr(b.bytes, e.item_from + 1, e.item_to - e.item_from) END
        FROM event e JOIN request r ON r.seq = e.request LEFT JOIN body b ON b.seq = e.request
        WHERE e.tenant = ?1 AND e.id = ?2";
    first(conn, sql, params![tenant.as_bytes(), event.as_bytes()], read)
}

fn read(row: &Row<'_>) -> rusqlite::Result<StoredEvent> {
    let head = packed(row, 11, codec::read_request_head)?;
    Ok(StoredEvent {
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
        body: Bytes::from(row.get::<_, Option<Vec<u8>>>(13)?.unwrap_or_default()),
    })
}

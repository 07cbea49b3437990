//! The reply of an event, decided once.
//!
//! Whoever comes first, the run's commit or the deadline's fallback, writes the answer by an update that asks for
//! `answer IS NULL`; everyone else reads what stands there. Only stored bytes are ever sent.

use creel_webhook::clock::Timestamp;
use creel_webhook::id::{EventId, RunId, TenantId};
use rusqlite::{Connection, params};

use crate::codec;
use crate::contract::{NewReply, StoreError, StoredAnswer};
use crate::planted::{self, Bug};
use crate::sqlite::statement::{Sql, exec, first, packed, time};
use crate::sqlite::transaction::Tx;

/// Where a reply stands.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    /// When the fallback counts.
    pub(super) deadline: Timestamp,
    /// What was decided.
    pub(super) answer: Option<StoredAnswer>,
}

/// Stores an undecided reply.
pub(super) fn insert(tx: &Tx<'_>, tenant: TenantId, event: EventId, run: RunId, reply: &NewReply) -> Sql<()> {
    let sql = "INSERT INTO reply (tenant, event, run, deadline, fallback) VALUES (?1, ?2, ?3, ?4, ?5)";
    let fallback = codec::answer(&reply.fallback);
    let values = params![tenant.as_bytes(), event.as_bytes(), run.as_bytes(), reply.deadline.as_millis(), fallback];
    exec(tx.conn, sql, values)?;
    Ok(())
}

/// Reads a reply, if the event has one.
pub(super) fn load(conn: &Connection, tenant: TenantId, event: EventId) -> Sql<Option<Reply>> {
    let sql = "SELECT deadline, answer FROM reply WHERE tenant = ?1 AND event = ?2";
    first(conn, sql, params![tenant.as_bytes(), event.as_bytes()], |row| {
        let decided = row.get_ref(1)?.as_blob_or_null()?.is_some();
        Ok(Reply {
            deadline: time(row, 0)?,
            answer: if decided { Some(packed(row, 1, codec::read_answer)?) } else { None },
        })
    })
}

/// Decides a reply with `answer`, or with its fallback, unless it is decided; gives what stands then.
pub(super) fn decide(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    event: EventId,
    answer: Option<&StoredAnswer>,
    now: Timestamp,
) -> Sql<Option<StoredAnswer>> {
    let sql = "UPDATE reply SET answer = coalesce(?3, fallback), decided_at = ?4
        WHERE tenant = ?1 AND event = ?2 AND answer IS NULL";
    let sql = if planted::is(Bug::ReplyTwice) { sql.trim_end_matches("AND answer IS NULL") } else { sql };
    let bytes = answer.map(codec::answer);
    let changed = exec(tx.conn, sql, params![tenant.as_bytes(), event.as_bytes(), bytes, now.as_millis()])?;
    tx.effects.replies |= changed > 0;
    Ok(load(tx.conn, tenant, event)?.and_then(|reply| reply.answer))
}

/// The verb: decides with the fallback unless it is decided.
pub(super) fn fallback(tx: &mut Tx<'_>, tenant: TenantId, event: EventId, now: Timestamp) -> Sql<StoredAnswer> {
    let now = tx.now(now);
    decide(tx, tenant, event, None, now)?
        .ok_or_else(|| StoreError::NotFound(format!("no sender waits for `{event}`")).into())
}

/// What the sender of an event was told: its decided reply, or its request's answer.
pub(super) fn told(conn: &Connection, tenant: TenantId, event: EventId) -> Sql<Option<StoredAnswer>> {
    if let Some(reply) = load(conn, tenant, event)? {
        return Ok(reply.answer);
    }
    let sql = "SELECT r.answer FROM event e JOIN request r ON r.seq = e.request WHERE e.tenant = ?1 AND e.id = ?2";
    first(conn, sql, params![tenant.as_bytes(), event.as_bytes()], |row| packed(row, 0, codec::read_answer))
}

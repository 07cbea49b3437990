//! A call gets its row and its place in line, whoever decided it: a run, or the host.

use creel_webhook::clock::Timestamp;
use creel_webhook::id::{DestinationId, EventId, RunId, TenantId};
use rusqlite::params;

use crate::codec;
use crate::contract::NewDelivery;
use crate::sqlite::lanes::{self, Room, Work};
use crate::sqlite::statement::{Sql, exec, first, to_json};
use crate::sqlite::transaction::Tx;

/// `delivery.state` of one that was given up.
pub(super) const DEAD: i64 = 2;

/// What decided calls belong to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    /// Whose they are.
    pub(super) tenant: TenantId,
    /// The run that decided them.
    pub(super) run: RunId,
    /// The event that it is about.
    pub(super) event: EventId,
}

/// Where a call goes: its lane, or why it goes nowhere.
pub(super) struct Place {
    lane: i64,
    /// The lane and what waits in it, if the call can go there.
    pub(super) room: Option<Room>,
    /// Why it goes nowhere.
    pub(super) dead: Option<String>,
}

/// Where calls to a destination go.
pub(super) fn place(tx: &Tx<'_>, tenant: TenantId, destination: DestinationId) -> Sql<Place> {
    let sql = "SELECT disabled FROM destination WHERE tenant = ?1 AND id = ?2";
    let disabled: Option<Option<String>> =
        first(tx.conn, sql, params![tenant.as_bytes(), destination.as_bytes()], |row| row.get(0))?;
    let room = lanes::room(tx, tenant, destination)?;
    let lane = room.map_or(0, |room| room.lane);
    Ok(match (room, disabled) {
        (Some(_), Some(None)) => Place { lane, room, dead: None },
        (_, Some(Some(why))) => Place { lane, room: None, dead: Some(format!("the destination is disabled: {why}")) },
        _ => Place { lane, room: None, dead: Some("the destination was removed".to_owned()) },
    })
}

/// Writes a call's rows, dead if it goes nowhere; gives its number. Who waits is counted by the caller.
pub(super) fn insert(tx: &mut Tx<'_>, origin: Origin, new: &NewDelivery, place: &Place, now: Timestamp) -> Sql<i64> {
    let (tenant, call) = (origin.tenant, &new.call);
    let start_at = call.due_at.max(now);
    let dead = place.dead.is_some();
    let due_at = match dead {
        true => None,
        false => lanes::due_behind(tx.conn, Work::Deliveries, place.lane, call.order_key.as_deref(), start_at)?,
    };
    let sql = "INSERT INTO delivery (tenant, id, lane, destination, run, event, number, key, method, path, order_key,
            on_result, state, reason, due_at, start_at, expires_at, created_at, ended_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)";
    let values = params![
        tenant.as_bytes(),
        new.id.as_bytes(),
        place.lane,
        call.destination.as_bytes(),
        origin.run.as_bytes(),
        origin.event.as_bytes(),
        call.index,
        call.key,
        call.method,
        call.path,
        call.order_key,
        call.on_result.as_ref().map(to_json).transpose()?,
        if dead { DEAD } else { 0 },
        place.dead,
        due_at.map(Timestamp::as_millis),
        start_at.as_millis(),
        call.expires_at.map(Timestamp::as_millis),
        now.as_millis(),
        dead.then_some(now.as_millis())
    ];
    exec(tx.conn, sql, values)?;
    let seq = tx.conn.last_insert_rowid();
    let head = codec::call_head(&call.headers, &call.attributes);
    let sql = "INSERT INTO call (seq, tenant, head, body) VALUES (?1, ?2, ?3, ?4)";
    exec(tx.conn, sql, params![seq, tenant.as_bytes(), head, call.body.as_deref()])?;
    if let Some(at) = due_at {
        lanes::touch(tx, place.lane, tenant, Work::Deliveries, at)?;
    }
    Ok(seq)
}

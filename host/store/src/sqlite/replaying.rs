//! What was given up goes once more, and events that no route took find one.
//!
//! A dead delivery is brought back as itself: same row, same history, its attempts counted anew. So it can't be in the
//! queue twice, and it is no dead letter while it waits. A run is decided once; it gets a successor, and who has one is no
//! dead letter any more. Where work stands in line is as for new work: behind the lane's pauses, breakers and keys.

use creel_webhook::clock::Timestamp;
use creel_webhook::decision::renewed_key;
use creel_webhook::id::{DeliveryId, DestinationId, EventId, RouteId, RunId, TenantId};
use rusqlite::{Connection, params};

use crate::contract::{Keys, NewRun, Replay, StoreError, Terms};
use crate::planted::{self, Bug};
use crate::sqlite::erasing;
use crate::sqlite::lanes::{self, Room, Work};
use crate::sqlite::runs::{self, Again};
use crate::sqlite::statement::{Fault, Sql, exec, first, id, time, time_opt};
use crate::sqlite::transaction::Tx;

/// Times that one delivery may be brought back: its row remembers each.
const REPLAYS_MAX: u32 = 100;

const DEAD: &str =
    "SELECT seq, state, destination, order_key, expires_at, key, json_array_length(coalesce(past, '[]')), event,
        CASE WHEN on_result IS NULL THEN 0 ELSE coalesce(ended_at, 0) END FROM delivery WHERE tenant = ?1 AND id = ?2";

/// An older one of an order key that waits.
const OLDER: &str =
    "SELECT 1 FROM delivery WHERE lane = ?1 AND order_key = ?2 AND ended_at IS NULL AND seq < ?3 LIMIT 1";

const BACK: &str = "UPDATE delivery SET state = 0, reason = NULL, ended_at = NULL, lane = ?2, due_at = ?3, start_at = ?4,
            attempts = 0, claims = 0, skip_at = NULL, key = ?5, past = json_insert(coalesce(past, '[]'), '$[#]', json_object(
                'ended_at', ended_at, 'reason', reason, 'key', key, 'replayed_at', ?4))
        WHERE seq = ?1";

const DEAD_RUN: &str = "SELECT ended_at IS NOT NULL AND verdict NOT IN ('done', 'rejected') AND replayed IS NULL
        FROM run WHERE tenant = ?1 AND id = ?2";

/// A run of an event on a route that is not over.
const WAITS: &str = "SELECT 1 FROM run WHERE tenant = ?1 AND id = ?2 AND route = ?3 AND ended_at IS NULL";

const SUCCEED: &str = "UPDATE run SET replayed = ?3 WHERE tenant = ?1 AND id = ?2 AND route = ?4 AND replayed IS NULL";

/// What replays ask for each letter, for the test of their plans.
#[cfg(test)]
pub(super) const PLANS: &[&str] = &[DEAD, OLDER, BACK, DEAD_RUN, WAITS, SUCCEED];

/// A delivery as far as bringing it back goes.
struct Dead {
    seq: i64,
    state: i64,
    event: EventId,
    destination: DestinationId,
    order_key: Option<String>,
    expires_at: Option<Timestamp>,
    key: String,
    replays: u32,
    /// When it ended, if that may have been reported.
    reported_at: Timestamp,
}

/// Brings dead deliveries back, in this order.
pub(super) fn deliveries(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    wanted: &[DeliveryId],
    keys: Keys,
    now: Timestamp,
) -> Sql<Vec<Replay>> {
    let now = tx.now(now);
    wanted.iter().map(|delivery| one_delivery(tx, tenant, *delivery, keys, now)).collect()
}

fn one_delivery(tx: &mut Tx<'_>, tenant: TenantId, delivery: DeliveryId, keys: Keys, now: Timestamp) -> Sql<Replay> {
    let Some(dead) = dead(tx.conn, tenant, delivery)? else { return Ok(Replay::Missing) };
    let refused = |why: &str| Ok(Replay::Refused(why.to_owned()));
    match dead.state {
        _ if planted::is(Bug::ReplayOfAny) => {}
        0 => return refused("it is not over, and waits for something else than its next attempt or is on its way"),
        1 => return refused("it was delivered"),
        _ => {}
    }
    if dead.expires_at.is_some_and(|at| at <= now) {
        return refused("it has expired; replay its run, which decides anew");
    }
    if dead.replays >= REPLAYS_MAX {
        return refused("it was brought back 100 times; replay its run instead");
    }
    // With the event's payload the call's body has gone; an empty one would be sent in its place.
    if let Err(Fault::Store(StoreError::Conflict(why))) = erasing::refuse_erased(tx.conn, tenant, dead.event) {
        return Ok(Replay::Refused(why));
    }
    let room = match place(tx, tenant, dead.destination)? {
        Ok(room) if room.waiting >= room.waiting_max => {
            let max = room.waiting_max;
            return Ok(Replay::NoRoom(format!(
                "its destination's queue is full: {max} calls wait, and no more may (`waiting_max`); try again later"
            )));
        }
        Ok(room) => room,
        Err(why) => return refused(why),
    };
    let lane = room.lane;
    let blocked = is_behind(tx.conn, lane, &dead)?;
    let key = match keys {
        Keys::Same => dead.key,
        Keys::New => renewed_key(&dead.key, now),
    };
    // Each end that is reported has a time of its own: that is what reports are known by.
    let start_at = now.max(dead.reported_at.plus_ms(1));
    let due_at = (!blocked).then_some(start_at.as_millis());
    exec(tx.conn, BACK, params![dead.seq, lane, due_at, start_at.as_millis(), key])?;
    lanes::pending(tx, tenant, Work::Deliveries, 1, None)?;
    lanes::waiting(tx, lane, 1)?;
    if !blocked {
        lanes::touch(tx, lane, tenant, Work::Deliveries, start_at)?;
    }
    Ok(Replay::Queued)
}

fn dead(conn: &Connection, tenant: TenantId, delivery: DeliveryId) -> Sql<Option<Dead>> {
    first(conn, DEAD, params![tenant.as_bytes(), delivery.as_bytes()], |row| {
        Ok(Dead {
            seq: row.get(0)?,
            state: row.get(1)?,
            destination: id(row, 2)?,
            order_key: row.get(3)?,
            expires_at: time_opt(row, 4)?,
            key: row.get(5)?,
            replays: row.get(6)?,
            event: id(row, 7)?,
            reported_at: time(row, 8)?,
        })
    })
}

/// Whether an older one of its order key waits. Younger ones have passed it, so it waits for none of them; and an end lets
/// go only who is behind it.
fn is_behind(conn: &Connection, lane: i64, dead: &Dead) -> Sql<bool> {
    let Some(key) = &dead.order_key else { return Ok(false) };
    Ok(first(conn, OLDER, params![lane, key, dead.seq], |_| Ok(()))?.is_some())
}

/// The lane of a destination that takes calls, or why it takes none.
fn place(tx: &Tx<'_>, tenant: TenantId, destination: DestinationId) -> Sql<Result<Room, &'static str>> {
    let sql = "SELECT disabled IS NOT NULL FROM destination WHERE tenant = ?1 AND id = ?2";
    let disabled =
        first(tx.conn, sql, params![tenant.as_bytes(), destination.as_bytes()], |row| row.get::<_, bool>(0))?;
    let room = lanes::room(tx, tenant, destination)?;
    Ok(match (room, disabled) {
        (Some(room), Some(false)) => Ok(room),
        (_, Some(true)) => Err("its destination is disabled; resume that first"),
        _ => Err("its destination was removed; replay its run, which decides anew"),
    })
}

/// Makes a successor of an ended run.
pub(super) fn run(tx: &mut Tx<'_>, tenant: TenantId, run: RunId, new: RunId, terms: Terms, now: Timestamp) -> Sql<()> {
    runs::replay(tx, tenant, run, new, terms.pending_runs_max, now)?;
    exec(
        tx.conn,
        "UPDATE run SET replayed = ?3 WHERE tenant = ?1 AND id = ?2",
        params![tenant.as_bytes(), run.as_bytes(), new.as_bytes()],
    )?;
    renew(tx, tenant, new, terms.keys)
}

fn renew(tx: &Tx<'_>, tenant: TenantId, run: RunId, keys: Keys) -> Sql<()> {
    if keys == Keys::New {
        let sql = "UPDATE run SET new_keys = 1 WHERE tenant = ?1 AND id = ?2";
        exec(tx.conn, sql, params![tenant.as_bytes(), run.as_bytes()])?;
    }
    Ok(())
}

/// Makes successors of dead runs; who has one already gets no second.
pub(super) fn dead_runs(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    wanted: &[(RunId, RunId)],
    terms: Terms,
    now: Timestamp,
) -> Sql<Vec<Replay>> {
    let mut replays = Vec::with_capacity(wanted.len());
    for (old, new) in wanted {
        let dead: Option<bool> =
            first(tx.conn, DEAD_RUN, params![tenant.as_bytes(), old.as_bytes()], |row| row.get(0))?;
        replays.push(match dead {
            None => Replay::Missing,
            Some(false) if !planted::is(Bug::ReplayTwice) => {
                Replay::Refused("it is no dead letter, or was replayed already".to_owned())
            }
            // Nothing was written when it is refused.
            Some(_) => match run(tx, tenant, *old, *new, terms, now) {
                Ok(()) => Replay::Queued,
                Err(Fault::Store(StoreError::Conflict(why) | StoreError::NotFound(why))) => Replay::Refused(why),
                Err(Fault::Store(full @ StoreError::OverQuota { .. })) => Replay::NoRoom(full.to_string()),
                Err(fault) => return Err(fault),
            },
        });
    }
    Ok(replays)
}

/// Queues runs of a stored event; a route on which a run of it still waits gets no second one. Says which were queued.
pub(super) fn event(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    event: EventId,
    wanted: &[NewRun],
    terms: Terms,
    now: Timestamp,
) -> Sql<Vec<RunId>> {
    let now = tx.now(now);
    let sql = "SELECT runs FROM event WHERE tenant = ?1 AND id = ?2";
    let known = first(tx.conn, sql, params![tenant.as_bytes(), event.as_bytes()], |row| row.get::<_, Vec<u8>>(0))?;
    let Some(known) = known else { return Err(StoreError::NotFound(format!("there is no event `{event}`")).into()) };
    erasing::refuse_erased(tx.conn, tenant, event)?;
    let known: Vec<RunId> = known.as_chunks::<16>().0.iter().map(|bytes| RunId::from_bytes(*bytes)).collect();
    let mut queued = Vec::new();
    for new in wanted {
        let Some(lane) = lanes::find(tx.conn, tenant, Work::Runs, new.route.as_bytes())? else { continue };
        if waits(tx.conn, tenant, &known, new.route)? {
            continue;
        }
        runs::refuse_over_quota(tx.conn, tenant, terms.pending_runs_max)?;
        succeed(tx, tenant, &known, new)?;
        Again { run: new.id, event, route: new.route, plugin: new.plugin }.queue(tx, tenant, lane, now)?;
        renew(tx, tenant, new.id, terms.keys)?;
        queued.push(new.id);
    }
    Ok(queued)
}

/// Whether a run on this route is not over.
fn waits(conn: &Connection, tenant: TenantId, known: &[RunId], route: RouteId) -> Sql<bool> {
    for run in known {
        let values = params![tenant.as_bytes(), run.as_bytes(), route.as_bytes()];
        if first(conn, WAITS, values, |_| Ok(()))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Earlier runs on the route are no dead letters from here on.
fn succeed(tx: &Tx<'_>, tenant: TenantId, known: &[RunId], new: &NewRun) -> Sql<()> {
    for run in known {
        let values = params![tenant.as_bytes(), run.as_bytes(), new.id.as_bytes(), new.route.as_bytes()];
        exec(tx.conn, SUCCEED, values)?;
    }
    Ok(())
}

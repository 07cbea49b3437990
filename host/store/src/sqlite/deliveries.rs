//! Deliveries: queued by a run's commit, claimed within their lane's limits, ended by an attempt's commit.
//!
//! The same claims, heads and promotions as in [`super::runs`]. A commit moves the lane's breaker on, holds the lane
//! when the receiver asks for it, and does to the destination what the answer asks for; all of that is decided by
//! `creel_webhook` and only written here.

use creel_webhook::clock::Timestamp;
use creel_webhook::delivery::Next;
use creel_webhook::destination::crowded_out;
use creel_webhook::id::{DeliveryId, DestinationId, EventId, RunId, TenantId};
use creel_webhook::notice::Fact;
use creel_webhook::outcome::OnResult;
use creel_webhook::run::CLAIMS_MAX;
use rusqlite::{Row, params};

use crate::codec;
use crate::contract::{ClaimToken, DeliveryClaim, DeliveryCommit, DeliveryCommitted, NewDelivery, Response, Used};
use crate::planted::{self, Bug};
use crate::sqlite::calls::{self, DEAD, Origin, Place};
use crate::sqlite::control;
use crate::sqlite::followups::{self, Ended};
use crate::sqlite::lanes::{self, Lane, Room, Shift, Wanted, Work};
use crate::sqlite::notices;
use crate::sqlite::statement::{Sql, all, exec, first, id, int, json_opt, packed, time, time_opt, to_json};
use crate::sqlite::transaction::Tx;
use crate::sqlite::usage;

const DELIVERED: i64 = 1;

/// Calls that make room in one commit beyond as many as it adds: a lane whose limit was lowered comes down bit by bit,
/// and no commit takes long.
const CROWDED_MAX: u64 = 16;

/// Queues decided calls; gives their numbers, eight bytes each.
pub(super) fn insert(tx: &mut Tx<'_>, origin: Origin, decided: &[NewDelivery], now: Timestamp) -> Sql<Vec<u8>> {
    let mut numbers = Vec::with_capacity(decided.len() * 8);
    let mut pending = 0;
    let mut added: Vec<(Room, u64)> = Vec::new();
    for new in decided {
        let place = calls::place(tx, origin.tenant, new.call.destination)?;
        if let Some(room) = place.room {
            pending += 1;
            match added.iter_mut().find(|(other, _)| other.lane == room.lane) {
                Some((_, calls)) => *calls += 1,
                None => added.push((room, 1)),
            }
        }
        numbers.extend_from_slice(&insert_one(tx, origin, new, &place, now)?.to_be_bytes());
    }
    if pending > 0 {
        lanes::pending(tx, origin.tenant, Work::Deliveries, pending, None)?;
    }
    for (room, calls) in added {
        lanes::waiting(tx, room.lane, int(calls))?;
        let over = (room.waiting + calls).saturating_sub(room.waiting_max);
        make_room(tx, &room, over.min(calls + CROWDED_MAX), now)?;
    }
    Ok(numbers)
}

fn insert_one(tx: &mut Tx<'_>, origin: Origin, new: &NewDelivery, place: &Place, now: Timestamp) -> Sql<i64> {
    let (call, seq) = (&new.call, calls::insert(tx, origin, new, place, now)?);
    let Some(dead) = place.dead.as_deref() else { return Ok(seq) };
    let fact = Fact::DeliveryDead {
        delivery: new.id,
        event: origin.event,
        run: origin.run,
        destination: call.destination,
        reason: dead.to_owned(),
    };
    notices::tell(tx, origin.tenant, &fact, now)?;
    if let Some(on_result) = &call.on_result {
        let ended = Ended {
            seq,
            tenant: origin.tenant,
            delivery: new.id,
            run: origin.run,
            event: origin.event,
            index: call.index,
            destination: call.destination,
            on_result,
            dead: Some(dead),
            response: None,
        };
        followups::report(tx, &ended, now)?;
    }
    Ok(seq)
}

/// The columns that moving a delivery on needs.
struct Live {
    seq: i64,
    tenant: TenantId,
    id: DeliveryId,
    lane: i64,
    destination: DestinationId,
    run: RunId,
    event: EventId,
    index: u32,
    order_key: Option<String>,
    on_result: Option<OnResult>,
    claims: u32,
    attempts: u32,
    expires_at: Option<Timestamp>,
    skip_at: Option<Timestamp>,
}

pub(super) const DUE: &str =
    "SELECT seq, tenant, id, lane, destination, run, event, number, order_key, on_result, claims,
    attempts, expires_at, skip_at FROM delivery
    WHERE lane = ?1 AND claimed = ?2 AND due_at <= ?3 ORDER BY due_at LIMIT ?4";

const BY_CLAIM: &str = "SELECT seq, tenant, id, lane, destination, run, event, number, order_key, on_result, claims,
    attempts, expires_at, skip_at FROM delivery WHERE tenant = ?1 AND id = ?2 AND claim = ?3";

/// Lets the one behind go then, or sooner than it was let; one that was tried has a time of its own.
const PROMOTE: &str = "UPDATE delivery SET due_at = max(start_at, ?4)
        WHERE attempts = 0 AND claimed = 0 AND (due_at IS NULL OR due_at > max(start_at, ?4)) AND seq =
            (SELECT seq FROM delivery WHERE lane = ?1 AND order_key = ?2 AND ended_at IS NULL AND seq > ?3
                ORDER BY seq LIMIT 1)
        RETURNING due_at";

/// The oldest of a lane that is not on its way.
const OLDEST: &str = "SELECT seq, tenant, id, lane, destination, run, event, number, order_key, on_result, claims,
    attempts, expires_at, skip_at, due_at IS NOT NULL FROM delivery
    WHERE lane = ?1 AND ended_at IS NULL AND claimed = 0 AND seq > ?2 ORDER BY seq LIMIT 1";

/// When the one before may be passed.
const BEFORE: &str = "SELECT skip_at FROM delivery WHERE lane = ?1 AND order_key = ?2 AND ended_at IS NULL AND seq < ?3
    ORDER BY seq DESC LIMIT 1";

/// What claims and commits ask, for the test of their plans.
#[cfg(test)]
pub(super) const PLANS: &[&str] = &[DUE, BY_CLAIM, PROMOTE, OLDEST, BEFORE];

fn live(row: &Row<'_>) -> rusqlite::Result<Live> {
    Ok(Live {
        seq: row.get(0)?,
        tenant: id(row, 1)?,
        id: id(row, 2)?,
        lane: row.get(3)?,
        destination: id(row, 4)?,
        run: id(row, 5)?,
        event: id(row, 6)?,
        index: row.get(7)?,
        order_key: row.get(8)?,
        on_result: json_opt(row, 9)?,
        claims: row.get(10)?,
        attempts: row.get(11)?,
        expires_at: time_opt(row, 12)?,
        skip_at: time_opt(row, 13)?,
    })
}

/// Claims due deliveries within rate and concurrency.
pub(super) fn claim(tx: &mut Tx<'_>, now: Timestamp, lease_ms: u64, max: u32) -> Sql<Vec<DeliveryClaim>> {
    let now = tx.now(now);
    let (before, mut ended) = (tx.changes(), false);
    let mut claims = Vec::new();
    lanes::visit(tx, Work::Deliveries, now, Wanted { max, free: max }, |tx, lane, may| {
        let before = claims.len();
        for claimed in if planted::is(Bug::LeaseForever) { [0, 0] } else { [1, 0] } {
            let want = may - (claims.len() - before) as u32;
            if want > 0 {
                ended |= claim_lane(tx, lane, claimed, now, lease_ms, want, &mut claims)?;
            }
        }
        Ok((claims.len() - before) as u32)
    })?;
    if !ended {
        tx.is_fleeting(before);
    }
    Ok(claims)
}

/// Claims what is due in a lane; says whether some of it had to end instead.
fn claim_lane(
    tx: &mut Tx<'_>,
    lane: &Lane,
    claimed: i64,
    now: Timestamp,
    lease_ms: u64,
    want: u32,
    claims: &mut Vec<DeliveryClaim>,
) -> Sql<bool> {
    let due = all(tx.conn, DUE, params![lane.id, claimed, now.as_millis(), want], live)?;
    let mut ended = false;
    for delivery in due {
        let dead = if delivery.claims.saturating_sub(delivery.attempts) >= CLAIMS_MAX {
            Some(format!("{CLAIMS_MAX} claims were lost without an answer"))
        } else {
            let expired = delivery.expires_at.is_some_and(|at| at <= now);
            expired.then(|| "it expired before it could be sent".to_owned())
        };
        match dead {
            Some(reason) => {
                ended = true;
                end(tx, &delivery, Some(&reason), None, now)?;
            }
            None => claims.extend(claim_one(tx, delivery.seq, now, lease_ms)?),
        }
    }
    Ok(ended)
}

fn claim_one(tx: &mut Tx<'_>, seq: i64, now: Timestamp, lease_ms: u64) -> Sql<Option<DeliveryClaim>> {
    let claim = tx.shared.claim_token();
    let lease_until = lanes::lease_until(now, lease_ms);
    let sql = "UPDATE delivery SET claimed = 1, claim = ?2, claims = claims + 1, due_at = ?3 WHERE seq = ?1";
    exec(tx.conn, sql, params![seq, int(claim.0), lease_until.as_millis()])?;
    if planted::is(Bug::AttemptsAtClaim) {
        exec(tx.conn, "UPDATE delivery SET attempts = attempts + 1 WHERE seq = ?1", [seq])?;
    }
    let sql = "SELECT d.id, d.tenant, d.destination, d.run, d.event, d.key, d.method, d.path, c.head, c.body,
            d.attempts, d.claims, d.created_at, d.expires_at, d.on_result
        FROM delivery d JOIN call c ON c.seq = d.seq WHERE d.seq = ?1";
    first(tx.conn, sql, [seq], |row| {
        Ok(DeliveryClaim {
            id: id(row, 0)?,
            claim,
            tenant: id(row, 1)?,
            destination: id(row, 2)?,
            run: id(row, 3)?,
            event: id(row, 4)?,
            key: row.get(5)?,
            method: row.get(6)?,
            path: row.get(7)?,
            headers: packed(row, 8, codec::read_call_head)?.0,
            body: row.get::<_, Option<Vec<u8>>>(9)?.map(Into::into),
            attempts: row.get(10)?,
            claims: row.get(11)?,
            created_at: time(row, 12)?,
            expires_at: time_opt(row, 13)?,
            lease_until,
            on_result: json_opt(row, 14)?,
        })
    })
}

/// Ends a delivery, dead with a reason or else delivered; reports that where it is wanted, and promotes the next of its
/// order key.
fn end(tx: &mut Tx<'_>, delivery: &Live, dead: Option<&str>, response: Option<&Response>, now: Timestamp) -> Sql<()> {
    finish(tx, delivery, dead, response, now)?;
    if planted::is(Bug::DeadHeadHolds) && dead.is_some() {
        return Ok(());
    }
    promote(tx, delivery, now)
}

/// The same without a word to those behind it.
fn finish(
    tx: &mut Tx<'_>,
    delivery: &Live,
    dead: Option<&str>,
    response: Option<&Response>,
    now: Timestamp,
) -> Sql<()> {
    // There is room in the lane; and an end while claiming took a claim's place without being one.
    tx.effects.deliveries = true;
    let sql = "UPDATE delivery SET claimed = 0, claim = NULL, due_at = NULL, ended_at = ?2, state = ?3, reason = ?4
        WHERE seq = ?1";
    let state = if dead.is_some() { DEAD } else { DELIVERED };
    exec(tx.conn, sql, params![delivery.seq, now.as_millis(), state, dead])?;
    lanes::pending(tx, delivery.tenant, Work::Deliveries, -1, None)?;
    lanes::waiting(tx, delivery.lane, -1)?;
    if let Some(reason) = dead {
        let fact = Fact::DeliveryDead {
            delivery: delivery.id,
            event: delivery.event,
            run: delivery.run,
            destination: delivery.destination,
            reason: reason.to_owned(),
        };
        notices::tell(tx, delivery.tenant, &fact, now)?;
    }
    let forgotten = planted::is(Bug::ReportForgotten) && dead.is_some() && delivery.attempts == 0;
    if forgotten {
        return Ok(());
    }
    report(tx, delivery, dead, response, now)
}

/// Queues the report of an end, where it is wanted.
fn report(
    tx: &mut Tx<'_>,
    delivery: &Live,
    dead: Option<&str>,
    response: Option<&Response>,
    now: Timestamp,
) -> Sql<()> {
    let Some(on_result) = &delivery.on_result else { return Ok(()) };
    let ended = Ended {
        seq: delivery.seq,
        tenant: delivery.tenant,
        delivery: delivery.id,
        run: delivery.run,
        event: delivery.event,
        index: delivery.index,
        destination: delivery.destination,
        on_result,
        dead,
        response,
    };
    followups::report(tx, &ended, now)
}

/// Ends the `count` oldest of a lane that are not on their way, one after the other: each may let the next go.
fn make_room(tx: &mut Tx<'_>, room: &Room, count: u64, now: Timestamp) -> Sql<()> {
    let mut behind = 0;
    for _ in 0..if planted::is(Bug::QueueUnbounded) { 0 } else { count } {
        let values = params![room.lane, behind];
        let oldest = first(tx.conn, OLDEST, values, |row| Ok((live(row)?, row.get::<_, bool>(14)?)))?;
        let Some((delivery, was_let_go)) = oldest else { break };
        behind = delivery.seq;
        finish(tx, &delivery, Some(&crowded_out(room.waiting_max)), None, now)?;
        hand_on(tx, &delivery, was_let_go, now)?;
    }
    Ok(())
}

/// What one that leaves its line before its turn means for the next: held by the same one, and as long. Who has been
/// tried held the next alone, whoever is before it.
fn hand_on(tx: &mut Tx<'_>, delivery: &Live, was_let_go: bool, now: Timestamp) -> Sql<()> {
    let Some(key) = delivery.order_key.as_ref().filter(|_| was_let_go || planted::is(Bug::CrowdedLetsGo)) else {
        return Ok(());
    };
    let values = params![delivery.lane, key, delivery.seq];
    let before = match delivery.attempts {
        0 => first(tx.conn, BEFORE, values, |row| time_opt(row, 0))?.flatten(),
        _ => None,
    };
    promote(tx, delivery, before.map_or(now, |skip_at| skip_at.max(now)))
}

fn promote(tx: &mut Tx<'_>, delivery: &Live, at: Timestamp) -> Sql<()> {
    let Some(key) = &delivery.order_key else { return Ok(()) };
    let values = params![delivery.lane, key, delivery.seq, at.as_millis()];
    if let Some(at) = first(tx.conn, PROMOTE, values, |row| time(row, 0))? {
        lanes::touch(tx, delivery.lane, delivery.tenant, Work::Deliveries, at)?;
    }
    Ok(())
}

/// The first failure of one with an order key: from now on it holds the next for a limited time.
fn failed(tx: &mut Tx<'_>, delivery: &Live, lane: &Lane, now: Timestamp) -> Sql<()> {
    if delivery.order_key.is_none() || delivery.skip_at.is_some() {
        return Ok(());
    }
    let skip_at = lanes::skip_at(lane, now);
    exec(tx.conn, "UPDATE delivery SET skip_at = ?2 WHERE seq = ?1", params![delivery.seq, skip_at.as_millis()])?;
    promote(tx, delivery, skip_at)
}

/// Stores an attempt and what follows.
pub(super) fn commit(tx: &mut Tx<'_>, commit: &DeliveryCommit) -> Sql<DeliveryCommitted> {
    let now = tx.now(commit.now);
    let values = params![commit.tenant.as_bytes(), commit.id.as_bytes(), int(commit.claim.0)];
    let found = first(tx.conn, BY_CLAIM, values, live)?;
    let Some(delivery) = found else { return Ok(DeliveryCommitted::Stale) };
    let sql = "INSERT INTO attempt (delivery, claim, tenant, attempt) VALUES (?1, ?2, ?3, ?4)";
    let attempt = to_json(&commit.attempt)?;
    exec(tx.conn, sql, params![delivery.seq, int(commit.claim.0), delivery.tenant.as_bytes(), attempt])?;
    if commit.next != Next::Held && !planted::is(Bug::AttemptsAtClaim) {
        exec(tx.conn, "UPDATE delivery SET attempts = attempts + 1 WHERE seq = ?1", [delivery.seq])?;
    }
    match &commit.next {
        Next::Delivered => end(tx, &delivery, None, commit.response.as_ref(), now)?,
        Next::Dead { reason } => end(tx, &delivery, Some(reason), commit.response.as_ref(), now)?,
        Next::Again { .. } if planted::is(Bug::ScheduleIgnored) => back_in_line(tx, &delivery, 0, now)?,
        Next::Again { at } => {
            back_in_line(tx, &delivery, 0, (*at).max(now))?;
            if planted::is(Bug::ReportEarly) {
                report(tx, &delivery, Some("it failed"), None, now)?;
            }
        }
        // A held attempt was neither a try nor a lost claim.
        Next::Held => back_in_line(tx, &delivery, 1, now)?,
    }
    if let Some(lane) = lanes::load(tx.conn, delivery.lane)? {
        let shift = lanes::answered(tx, &lane, &commit.attempt.answer, now)?;
        tell_shift(tx, &delivery, shift, now)?;
        if matches!(commit.next, Next::Again { .. }) {
            failed(tx, &delivery, &lane, now)?;
        }
    }
    if let Some(change) = &commit.destination {
        control::destination_change(tx, delivery.tenant, delivery.destination, change, commit.seen, now)?;
    }
    lanes::settle(tx, delivery.lane, now)?;
    if commit.next == Next::Delivered {
        usage::add(tx, delivery.tenant, now, Used { deliveries: 1, ..Used::default() });
    }
    Ok(DeliveryCommitted::Stored)
}

/// A breaker that opened or closed is worth a notice.
fn tell_shift(tx: &mut Tx<'_>, delivery: &Live, shift: Option<Shift>, now: Timestamp) -> Sql<()> {
    let destination = delivery.destination;
    let fact = match shift {
        None => return Ok(()),
        Some(Shift::Opened(until)) => Fact::BreakerOpened { destination, until },
        Some(Shift::Closed) => Fact::BreakerClosed { destination },
    };
    notices::tell(tx, delivery.tenant, &fact, now)
}

fn back_in_line(tx: &Tx<'_>, delivery: &Live, uncounted: i64, at: Timestamp) -> Sql<()> {
    let sql = "UPDATE delivery SET claimed = 0, claim = NULL, claims = claims - ?2, due_at = ?3 WHERE seq = ?1";
    exec(tx.conn, sql, params![delivery.seq, uncounted, at.as_millis()])?;
    Ok(())
}

/// Gives a claim back as if it had never been; a stale one changes nothing. Says which it was.
pub(super) fn release(tx: &mut Tx<'_>, tenant: TenantId, delivery: DeliveryId, claim: ClaimToken) -> Sql<bool> {
    let now = tx.shared.latest();
    let values = params![tenant.as_bytes(), delivery.as_bytes(), int(claim.0)];
    let found = first(tx.conn, BY_CLAIM, values, live)?;
    let Some(delivery) = found else { return Ok(false) };
    back_in_line(tx, &delivery, 1, now)?;
    lanes::settle(tx, delivery.lane, now)?;
    Ok(true)
}

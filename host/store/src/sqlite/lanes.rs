//! Lanes and turns: how a claim finds what is due without looking at what is not.
//!
//! Three storeys, each with a lower bound of when the one below has something: the tenant's `ring.ready_at`, the
//! lane's `lane.ready_at`, the member's `due_at`. A claim takes tenants in the order of their `ready_at`, then their
//! lanes likewise, then heads. Whoever was served and has more goes to the end of the line, because his bound becomes
//! `now`. Bounds may be too early (a visit then finds nothing and mends them) but never too late.
//!
//! Breaker, rate and pause are columns of the lane, what a tenant may take of the host is in its turn: 100 000 members
//! behind them cost nothing.
//!
//! With an order key, a member is let go by the one before it: when that ends, at once; when it fails for the first
//! time, at its `skip_at`. So the one that comes last needs to look at one row only, and so does whoever ends or fails.

use creel_webhook::breaker::Breaker;
use creel_webhook::clock::Timestamp;
use creel_webhook::delivery::{Answer, lane_hold_ms};
use creel_webhook::id::{DestinationId, RouteId, TenantId};
use rusqlite::{Connection, Row, params};

use crate::contract::{Hold, Queue};
use crate::planted::{self, Bug};
use crate::sqlite::arrivals::Place;
use crate::sqlite::rations;
use crate::sqlite::shares::Share;
use crate::sqlite::statement::{Sql, all, count, exec, first, id, int, time_opt};
use crate::sqlite::transaction::Tx;

pub(super) use crate::sqlite::work::Work;

/// Tenants that one round visits.
const TENANTS_PER_ROUND: u32 = 64;

/// Lanes of a tenant that one round visits.
const LANES_PER_ROUND: u32 = 64;

impl Work {
    fn code(self) -> i64 {
        self as i64
    }

    const fn earliest_sql(self) -> &'static str {
        match self {
            Work::Runs => "SELECT min(due_at) FROM run WHERE lane = ?1 AND claimed = ?2 AND due_at IS NOT NULL",
            Work::Deliveries => {
                "SELECT min(due_at) FROM delivery WHERE lane = ?1 AND claimed = ?2 AND due_at IS NOT NULL"
            }
        }
    }

    const fn in_flight_sql(self) -> &'static str {
        match self {
            Work::Runs => "SELECT count(*) FROM run WHERE lane = ?1 AND claimed = 1 AND due_at > ?2",
            Work::Deliveries => "SELECT count(*) FROM delivery WHERE lane = ?1 AND claimed = 1 AND due_at > ?2",
        }
    }

    const fn last_sql(self) -> &'static str {
        match self {
            Work::Runs => {
                "SELECT skip_at FROM run WHERE lane = ?1 AND order_key = ?2 AND ended_at IS NULL
                    ORDER BY seq DESC LIMIT 1"
            }
            Work::Deliveries => {
                "SELECT skip_at FROM delivery WHERE lane = ?1 AND order_key = ?2 AND ended_at IS NULL
                    ORDER BY seq DESC LIMIT 1"
            }
        }
    }
}

/// A lane's row.
#[derive(Debug, Clone)]
pub(super) struct Lane {
    /// Its number.
    pub(super) id: i64,
    /// Whose it is.
    pub(super) tenant: TenantId,
    /// What stands in it.
    pub(super) work: Work,
    /// Whether a person or a refused credential stopped it.
    pub(super) paused: bool,
    /// Nothing is claimed before: an open breaker, a receiver that asked to wait, or a used-up rate.
    not_before: Timestamp,
    /// The receiver asked to wait until then.
    held_until: Timestamp,
    concurrency_max: Option<i64>,
    rate_per_s: Option<i64>,
    rate_milli: i64,
    rate_at: i64,
    /// How long one that fails holds those behind it, milliseconds.
    pub(super) skip_after_ms: u64,
    /// Its circuit breaker.
    pub(super) breaker: Breaker,
}

/// Tenants that may have something, the one that waits longest first.
const TURN: &str = "SELECT tenant FROM ring WHERE kind = ?1 AND ready_at <= ?2 ORDER BY ready_at LIMIT ?3";

/// When a tenant has its next turn, by its lanes.
const NEXT_TURN: &str =
    "SELECT max(min(ready_at), ?3) FROM lane WHERE tenant = ?2 AND kind = ?1 AND ready_at IS NOT NULL";

const SETTLE_RING: &str = "UPDATE ring SET ready_at = ?3 WHERE kind = ?1 AND tenant = ?2 AND ready_at IS NOT ?3";

/// What a claim asks of lanes and turns, for the test of its plans.
#[cfg(test)]
pub(super) const PLANS: &[&str] = &[
    TURN,
    NEXT_TURN,
    SETTLE_RING,
    DUE,
    BY_ID,
    ROOM,
    WAITING,
    Work::Runs.earliest_sql(),
    Work::Runs.in_flight_sql(),
    Work::Runs.last_sql(),
    Work::Deliveries.earliest_sql(),
    Work::Deliveries.in_flight_sql(),
    Work::Deliveries.last_sql(),
];

const BY_ID: &str = "SELECT id, tenant, kind, paused, not_before, concurrency_max, rate_per_s, rate_milli, rate_at,
    failures, opened, open_until, successes, held_until, skip_after_ms FROM lane WHERE id = ?1";

const DUE: &str = "SELECT id, tenant, kind, paused, not_before, concurrency_max, rate_per_s, rate_milli, rate_at,
    failures, opened, open_until, successes, held_until, skip_after_ms FROM lane
    WHERE tenant = ?1 AND kind = ?2 AND ready_at <= ?3 ORDER BY ready_at LIMIT ?4";

fn read(row: &Row<'_>) -> rusqlite::Result<Lane> {
    Ok(Lane {
        id: row.get(0)?,
        tenant: id(row, 1)?,
        work: if row.get::<_, i64>(2)? == 0 { Work::Runs } else { Work::Deliveries },
        paused: row.get(3)?,
        not_before: Timestamp::from_millis(row.get(4)?),
        concurrency_max: row.get(5)?,
        rate_per_s: row.get(6)?,
        rate_milli: row.get(7)?,
        rate_at: row.get(8)?,
        breaker: Breaker {
            failures: row.get(9)?,
            opened: row.get(10)?,
            open_until: time_opt(row, 11)?,
            successes: row.get(12)?,
        },
        held_until: Timestamp::from_millis(row.get(13)?),
        skip_after_ms: count(row, 14)?,
    })
}

/// Finds a lane by its number.
pub(super) fn load(conn: &Connection, lane: i64) -> Sql<Option<Lane>> {
    first(conn, BY_ID, [lane], read)
}

/// Finds a lane by what it leads to.
pub(super) fn find(conn: &Connection, tenant: TenantId, work: Work, target: &[u8; 16]) -> Sql<Option<i64>> {
    let sql = "SELECT id FROM lane WHERE tenant = ?1 AND kind = ?2 AND target = ?3";
    first(conn, sql, params![tenant.as_bytes(), work.code(), target], |row| row.get(0))
}

/// A lane's limits; `None` is unlimited.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Members claimed at the same time.
    pub(super) concurrency_max: Option<u32>,
    /// Claims per second.
    pub(super) rate_per_s: Option<u32>,
    /// How long one that fails holds those behind it in its order key, milliseconds.
    pub(super) skip_after_ms: u64,
    /// Members that are not over; `None` is the host's limit.
    pub(super) waiting_max: Option<u32>,
}

/// Makes a lane or changes its limits; gives its number. A lane begins with a full second of its rate.
pub(super) fn put(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    work: Work,
    target: &[u8; 16],
    paused: bool,
    limits: Limits,
) -> Sql<i64> {
    let sql = "INSERT INTO lane (tenant, kind, target, paused, concurrency_max, rate_per_s, rate_milli, skip_after_ms,
            waiting_max)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, coalesce(?6, 0) * 1000, ?7, ?8)
        ON CONFLICT (tenant, kind, target) DO UPDATE SET paused = excluded.paused, ready_at = NULL,
            concurrency_max = excluded.concurrency_max, rate_per_s = excluded.rate_per_s,
            skip_after_ms = excluded.skip_after_ms, waiting_max = excluded.waiting_max
        RETURNING id";
    let values = params![
        tenant.as_bytes(),
        work.code(),
        target,
        paused,
        limits.concurrency_max.map(|max| max.max(1)),
        limits.rate_per_s.map(|rate| rate.max(1)),
        int(limits.skip_after_ms),
        limits.waiting_max.map(|max| max.max(1))
    ];
    let lane = first(tx.conn, sql, values, |row| row.get(0))?.unwrap_or_default();
    settle(tx, lane, tx.shared.latest())?;
    Ok(lane)
}

/// Pauses or resumes a lane.
pub(super) fn pause(tx: &mut Tx<'_>, lane: i64, paused: bool) -> Sql<()> {
    exec(tx.conn, "UPDATE lane SET paused = ?2, ready_at = NULL WHERE id = ?1", params![lane, paused])?;
    settle(tx, lane, tx.shared.latest())
}

/// Forgets what holds a lane back because of what was answered: its breaker, and for how long the receiver asked to wait.
pub(super) fn let_go(tx: &mut Tx<'_>, lane: i64) -> Sql<()> {
    let sql =
        "UPDATE lane SET failures = 0, opened = 0, open_until = NULL, successes = 0, held_until = 0, not_before = 0
        WHERE id = ?1 AND (failures > 0 OR open_until IS NOT NULL OR held_until > 0)";
    if exec(tx.conn, sql, [lane])? == 0 { Ok(()) } else { settle(tx, lane, tx.shared.latest()) }
}

/// Changes how long one that fails holds those behind it; what holds already keeps its time.
pub(super) fn skip_after(tx: &Tx<'_>, lane: i64, skip_after_ms: u64) -> Sql<()> {
    exec(tx.conn, "UPDATE lane SET skip_after_ms = ?2 WHERE id = ?1", params![lane, int(skip_after_ms)])?;
    Ok(())
}

/// Notes that something in the lane is due then.
pub(super) fn touch(tx: &mut Tx<'_>, lane: i64, tenant: TenantId, work: Work, at: Timestamp) -> Sql<()> {
    move_bound(tx, lane, tenant, work, at)?;
    raise(tx, work);
    Ok(())
}

fn move_bound(tx: &mut Tx<'_>, lane: i64, tenant: TenantId, work: Work, at: Timestamp) -> Sql<()> {
    let at = if planted::is(Bug::ReadyLate) { at.plus_ms(3_600_000) } else { at };
    let sql = "UPDATE lane SET ready_at = max(?2, not_before)
        WHERE id = ?1 AND paused = 0 AND (ready_at IS NULL OR ready_at > max(?2, not_before))";
    if exec(tx.conn, sql, params![lane, at.as_millis()])? > 0 {
        pending(tx, tenant, work, 0, Some(at))?;
    }
    Ok(())
}

fn raise(tx: &mut Tx<'_>, work: Work) {
    match work {
        Work::Runs => tx.effects.runs = true,
        Work::Deliveries => tx.effects.deliveries = true,
    }
}

/// Changes how much of a tenant's work is pending, and notes when some of it may be due.
pub(super) fn pending(tx: &mut Tx<'_>, tenant: TenantId, work: Work, by: i64, at: Option<Timestamp>) -> Sql<()> {
    // A statement that names a column writes its index anew, whether or not the value is another.
    if by != 0 {
        let sql = "UPDATE ring SET pending = pending + ?3 WHERE kind = ?1 AND tenant = ?2";
        exec(tx.conn, sql, params![work.code(), tenant.as_bytes(), by])?;
    }
    if let Some(at) = at {
        let sql = "UPDATE ring SET ready_at = max(?3, (paid_at_us + 999) / 1000)
            WHERE kind = ?1 AND tenant = ?2 AND (ready_at IS NULL OR ready_at > ?3)";
        exec(tx.conn, sql, params![work.code(), tenant.as_bytes(), at.as_millis()])?;
    }
    Ok(())
}

/// The lane of a destination, and the calls in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// The lane's number.
    pub(super) lane: i64,
    /// Calls that are not over.
    pub(super) waiting: u64,
    /// How many there may be.
    pub(super) waiting_max: u64,
}

impl Room {
    fn read(row: &Row<'_>, host_max: u64) -> rusqlite::Result<Room> {
        let own: Option<u32> = row.get(2)?;
        let waiting_max = own.map_or(host_max, |own| u64::from(own).min(host_max));
        Ok(Room { lane: row.get(0)?, waiting: count(row, 1)?, waiting_max })
    }
}

const ROOM: &str = "SELECT id, waiting, waiting_max FROM lane WHERE tenant = ?1 AND kind = 1 AND target = ?2";

const WAITING: &str = "UPDATE lane SET waiting = waiting + ?2 WHERE id = ?1";

/// The lane of a destination.
pub(super) fn room(tx: &Tx<'_>, tenant: TenantId, destination: DestinationId) -> Sql<Option<Room>> {
    let host_max = tx.memory.waiting_max;
    first(tx.conn, ROOM, params![tenant.as_bytes(), destination.as_bytes()], |row| Room::read(row, host_max))
}

/// So many more calls of a lane are not over, or so many fewer.
pub(super) fn waiting(tx: &Tx<'_>, lane: i64, by: i64) -> Sql<()> {
    exec(tx.conn, WAITING, params![lane, by])?;
    Ok(())
}

/// How many calls wait for each of a tenant's destinations.
pub(super) fn queues(conn: &Connection, tenant: TenantId, host_max: u64) -> Sql<Vec<Queue>> {
    let sql = "SELECT id, waiting, waiting_max, target, open_until FROM lane WHERE tenant = ?1 AND kind = 1";
    all(conn, sql, [tenant.as_bytes()], |row| {
        let Room { waiting, waiting_max, .. } = Room::read(row, host_max)?;
        Ok(Queue { destination: id(row, 3)?, waiting, waiting_max, failing_until: time_opt(row, 4)? })
    })
}

/// How much of a tenant's work is pending.
pub(super) fn pending_count(conn: &Connection, tenant: TenantId, work: Work) -> Sql<u64> {
    let sql = "SELECT pending FROM ring WHERE kind = ?1 AND tenant = ?2";
    let count: Option<i64> = first(conn, sql, params![work.code(), tenant.as_bytes()], |row| row.get(0))?;
    Ok(count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0))
}

/// When something that comes into a lane and is to start then is due: `None` while the last of its order key holds it.
pub(super) fn due_behind(
    conn: &Connection,
    work: Work,
    lane: i64,
    order_key: Option<&str>,
    start_at: Timestamp,
) -> Sql<Option<Timestamp>> {
    let Some(key) = order_key.filter(|_| !planted::is(Bug::OrderIgnored)) else { return Ok(Some(start_at)) };
    Ok(match first(conn, work.last_sql(), params![lane, key], |row| time_opt(row, 0))? {
        None => Some(start_at),
        Some(skip_at) => skip_at.map(|skip_at| skip_at.max(start_at)),
    })
}

/// When the next of its order key may pass one of this lane that fails now for the first time.
pub(super) fn skip_at(lane: &Lane, now: Timestamp) -> Timestamp {
    if planted::is(Bug::SkipAtOnce) { now } else { now.plus_ms(lane.skip_after_ms) }
}

/// The earliest time that is not past when something of this kind may be due.
pub(super) fn next_due(conn: &Connection, work: Work, after: Timestamp) -> Sql<Option<Timestamp>> {
    let sql = "SELECT min(ready_at) FROM ring WHERE kind = ?1 AND ready_at > ?2";
    let at: Option<Option<i64>> = first(conn, sql, params![work.code(), after.as_millis()], |row| row.get(0))?;
    Ok(at.flatten().map(Timestamp::from_millis))
}

/// Where the runs of a route stand in line; `None` once the route was removed.
pub(super) fn place(tx: &mut Tx<'_>, tenant: TenantId, route: RouteId) -> Sql<Option<Place>> {
    if let Some(place) = tx.memory.arrivals.place(tenant, route) {
        return Ok(Some(place));
    }
    let Some(lane) = find(tx.conn, tenant, Work::Runs, route.as_bytes())? else { return Ok(None) };
    let place = Place { lane, paused: load(tx.conn, lane)?.is_some_and(|lane| lane.paused) };
    tx.memory.arrivals.keep_place(tenant, route, place);
    Ok(Some(place))
}

/// Writes what accepts have added.
pub(super) fn write_arrivals(tx: &mut Tx<'_>) -> Sql<()> {
    let (tenants, due, claimable) = tx.memory.arrivals.take();
    for (tenant, added) in tenants {
        pending(tx, tenant, Work::Runs, int(added), None)?;
    }
    for (lane, (tenant, at)) in due {
        move_bound(tx, lane, tenant, Work::Runs, at)?;
    }
    if claimable {
        raise(tx, Work::Runs);
    }
    Ok(())
}

/// Computes a lane's bound anew, and its tenant's.
pub(super) fn settle(tx: &mut Tx<'_>, lane: i64, now: Timestamp) -> Sql<()> {
    let Some(lane) = load(tx.conn, lane)? else { return Ok(()) };
    settle_lane(tx, &lane, now)?;
    settle_turn(tx, lane.tenant, lane.work, now)?;
    raise(tx, lane.work);
    Ok(())
}

/// Computes anew when a tenant has its next turn.
pub(super) fn settle_turn(tx: &Tx<'_>, tenant: TenantId, work: Work, now: Timestamp) -> Sql<()> {
    match work {
        Work::Runs => settle_share(tx, tenant, &Share::load(tx, tenant, now)?, now),
        Work::Deliveries => settle_ring(tx, tenant, work, rations::sends_not_before(tx, tenant, now)?),
    }
}

/// The same for the runs of a tenant that was looked at just now.
pub(super) fn settle_share(tx: &Tx<'_>, tenant: TenantId, share: &Share, now: Timestamp) -> Sql<()> {
    settle_ring(tx, tenant, Work::Runs, share.not_before(tx, tenant, now)?)
}

fn settle_lane(tx: &Tx<'_>, lane: &Lane, now: Timestamp) -> Sql<()> {
    let ready = if lane.paused { None } else { ready_at(tx, lane, now)? };
    let sql = "UPDATE lane SET ready_at = ?2 WHERE id = ?1 AND ready_at IS NOT ?2";
    exec(tx.conn, sql, params![lane.id, ready])?;
    Ok(())
}

fn ready_at(tx: &Tx<'_>, lane: &Lane, now: Timestamp) -> Sql<Option<i64>> {
    let earliest = |claimed: i64| -> Sql<Option<i64>> {
        Ok(first(tx.conn, lane.work.earliest_sql(), params![lane.id, claimed], |row| row.get(0))?.flatten())
    };
    let leased = earliest(1)?;
    let fresh = if free_places(tx, lane, now)? == Some(0) { None } else { earliest(0)? };
    // Whoever was served goes behind those who were not: never earlier than now.
    let bound = now.max(lane.not_before).as_millis();
    Ok([leased, fresh].into_iter().flatten().min().map(|at| at.max(bound)))
}

fn settle_ring(tx: &Tx<'_>, tenant: TenantId, work: Work, not_before: Timestamp) -> Sql<()> {
    let values = params![work.code(), tenant.as_bytes(), not_before.as_millis()];
    let next: Option<i64> = first(tx.conn, NEXT_TURN, values, |row| row.get(0))?.flatten();
    exec(tx.conn, SETTLE_RING, params![work.code(), tenant.as_bytes(), next])?;
    Ok(())
}

/// Members that may be under way at the same time, by concurrency and breaker; `None` is no limit.
fn places_max(lane: &Lane, now: Timestamp) -> Option<i64> {
    // Asked for when something may go at all: while a breaker is open its bound holds the lane, not a lack of places.
    let ramp = lane.breaker.places(now.max(lane.not_before)).map(i64::from);
    ramp.into_iter().chain(lane.concurrency_max).min()
}

/// Places that concurrency and breaker leave; `None` is no limit.
fn free_places(tx: &Tx<'_>, lane: &Lane, now: Timestamp) -> Sql<Option<i64>> {
    let Some(max) = places_max(lane, now).filter(|_| !planted::is(Bug::ConcurrencyIgnored)) else { return Ok(None) };
    let in_flight: i64 =
        first(tx.conn, lane.work.in_flight_sql(), params![lane.id, now.as_millis()], |row| row.get(0))?.unwrap_or(0);
    Ok(Some((max - in_flight).max(0)))
}

/// How many members of a lane may go now, at least one, or what closes it.
pub(super) fn open(tx: &Tx<'_>, lane: &Lane, now: Timestamp) -> Sql<Result<u32, Hold>> {
    if lane.paused {
        return Ok(Err(Hold::Paused));
    }
    if let Some(until) = lane.breaker.open_until.filter(|_| lane.breaker.is_open(now)) {
        return Ok(Err(Hold::BreakerOpen { until }));
    }
    if lane.held_until > now {
        return Ok(Err(Hold::Asked { until: lane.held_until }));
    }
    let rate = rate_milli(lane, now).map_or(i64::MAX, |milli| milli / 1_000);
    if rate < 1 {
        let per_s = lane.rate_per_s.unwrap_or_default().unsigned_abs();
        return Ok(Err(Hold::Rate { per_s, until: lane.not_before.max(now) }));
    }
    let places = free_places(tx, lane, now)?;
    if places == Some(0) {
        return Ok(Err(Hold::LaneFull { places: places_max(lane, now).unwrap_or_default().unsigned_abs() }));
    }
    Ok(Ok(u32::try_from(places.unwrap_or(i64::MAX).min(rate)).unwrap_or(u32::MAX)))
}

/// Thousandths of a call that the rate allows now; the bucket holds one second.
fn rate_milli(lane: &Lane, now: Timestamp) -> Option<i64> {
    let rate = lane.rate_per_s?;
    let passed = (now.as_millis() - lane.rate_at).clamp(0, 1_000);
    Some((lane.rate_milli + passed * rate).min(rate * 1_000))
}

/// Takes `taken` calls from the lane's rate and notes when the next may go.
fn rate_take(tx: &Tx<'_>, lane: &mut Lane, taken: i64, now: Timestamp) -> Sql<()> {
    let (Some(rate), Some(have)) = (lane.rate_per_s, rate_milli(lane, now)) else { return Ok(()) };
    let left = have - taken * 1_000;
    if left < 1_000 {
        let wait_ms = (1_000 - left + rate - 1) / rate;
        lane.not_before = lane.not_before.max(now.plus_ms(u64::try_from(wait_ms).unwrap_or(0)));
    }
    lane.rate_milli = left;
    lane.rate_at = now.as_millis();
    let sql = "UPDATE lane SET rate_milli = ?2, rate_at = ?3, not_before = ?4 WHERE id = ?1";
    exec(tx.conn, sql, params![lane.id, left, lane.rate_at, lane.not_before.as_millis()])?;
    Ok(())
}

/// What an answer did to a breaker that people should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shift {
    /// It was closed, and nothing may go until then.
    Opened(Timestamp),
    /// It was open or half open, and all may go.
    Closed,
}

/// Stores what an answer does to the lane: where its breaker stands, and for how long the receiver asked to wait.
pub(super) fn answered(tx: &Tx<'_>, lane: &Lane, answer: &Answer, now: Timestamp) -> Sql<Option<Shift>> {
    let breaker = lane.breaker.after(answer, now);
    let held_until = lane_hold_ms(answer).map_or(lane.held_until, |ms| lane.held_until.max(now.plus_ms(ms)));
    if breaker == lane.breaker && held_until == lane.held_until {
        return Ok(None);
    }
    // Closing lets go what the breaker held and nothing else; a rate writes its own bound again at the next claim.
    let not_before = breaker.open_until.unwrap_or_default().max(held_until);
    let sql = "UPDATE lane SET failures = ?2, opened = ?3, open_until = ?4, successes = ?5, held_until = ?6,
            not_before = ?7 WHERE id = ?1";
    let until = breaker.open_until.map(Timestamp::as_millis);
    let (held, bound) = (held_until.as_millis(), not_before.as_millis());
    exec(tx.conn, sql, params![lane.id, breaker.failures, breaker.opened, until, breaker.successes, held, bound])?;
    Ok(match (lane.breaker.open_until, breaker.open_until) {
        (None, Some(until)) => Some(Shift::Opened(until)),
        (Some(_), None) => Some(Shift::Closed),
        _ => None,
    })
}

/// How many members a claim may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// At most.
    pub(super) max: u32,
    /// Places that are free, of which a tenant takes a share.
    pub(super) free: u32,
}

/// Visits tenants in turn and their due lanes until `max` members are taken. `take` is given a lane and how many may
/// be taken from it, and says how many it took.
pub(super) fn visit<'a>(
    tx: &mut Tx<'a>,
    work: Work,
    now: Timestamp,
    wanted: Wanted,
    mut take: impl FnMut(&mut Tx<'a>, &Lane, u32) -> Sql<u32>,
) -> Sql<()> {
    let mut left = wanted.max;
    while left > 0 {
        let values = params![work.code(), now.as_millis(), TENANTS_PER_ROUND];
        let mut tenants: Vec<TenantId> = all(tx.conn, TURN, values, |row| id(row, 0))?;
        if planted::is(Bug::TurnsIgnored) {
            tenants.sort();
            tenants.truncate(1);
        }
        let round = left;
        for (visited, tenant) in tenants.iter().enumerate() {
            let share = left.div_ceil((tenants.len() - visited) as u32);
            let free = wanted.free.saturating_sub(wanted.max - left);
            left -= visit_tenant(tx, *tenant, work, now, Wanted { max: share, free }, &mut take)?;
            if left == 0 {
                break;
            }
        }
        if left == round {
            break;
        }
    }
    Ok(())
}

fn visit_tenant<'a>(
    tx: &mut Tx<'a>,
    tenant: TenantId,
    work: Work,
    now: Timestamp,
    wanted: Wanted,
    take: &mut impl FnMut(&mut Tx<'a>, &Lane, u32) -> Sql<u32>,
) -> Sql<u32> {
    let (taken, not_before) = match work {
        Work::Runs => {
            let own = Share::load(tx, tenant, now)?;
            let share = own.room(wanted.free, now).min(wanted.max);
            let taken = if share > 0 { visit_lanes(tx, tenant, work, now, share, take)? } else { 0 };
            // Who could take nothing goes behind those who could.
            (taken, own.with(taken).not_before(tx, tenant, now)?.max(now))
        }
        Work::Deliveries => {
            let own = rations::postage(tx, tenant, now)?;
            let share = own.left.min(wanted.max);
            (if share > 0 { visit_lanes(tx, tenant, work, now, share, take)? } else { 0 }, own.not_before)
        }
    };
    settle_ring(tx, tenant, work, not_before)?;
    Ok(taken)
}

fn visit_lanes<'a>(
    tx: &mut Tx<'a>,
    tenant: TenantId,
    work: Work,
    now: Timestamp,
    share: u32,
    take: &mut impl FnMut(&mut Tx<'a>, &Lane, u32) -> Sql<u32>,
) -> Sql<u32> {
    let values = params![tenant.as_bytes(), work.code(), now.as_millis(), LANES_PER_ROUND];
    let lanes = all(tx.conn, DUE, values, read)?;
    let mut taken = 0;
    for (visited, mut lane) in lanes.iter().cloned().enumerate() {
        let fair = (share - taken).div_ceil((lanes.len() - visited) as u32);
        if fair == 0 {
            break;
        }
        let got = match open(tx, &lane, now)? {
            Ok(may) => take(tx, &lane, may.min(fair))?,
            Err(_) => 0,
        };
        rate_take(tx, &mut lane, i64::from(got), now)?;
        settle_lane(tx, &lane, now)?;
        taken += got;
    }
    Ok(taken)
}

/// Milliseconds of a lease as a bound.
pub(super) fn lease_until(now: Timestamp, lease_ms: u64) -> Timestamp {
    Timestamp::from_millis(now.as_millis().saturating_add(int(lease_ms)))
}

//! Why something is not over yet: its own row, then its lane, then its tenant, each asked as claims ask it.
//!
//! Nothing is decided here. Whether a lane is open is [`lanes::open`]'s to say, what a tenant may take is
//! [`Share::closed`]'s and [`rations::sends_closed`]'s, and claims go by the same. It is asked on the thread that writes,
//! because what a tenant has used today is known there; it writes nothing.

use creel_webhook::clock::Timestamp;
use creel_webhook::id::{DeliveryId, RunId, TenantId};
use rusqlite::{Row, params};

use crate::contract::{Hold, Holds};
use crate::sqlite::lanes;
use crate::sqlite::rations;
use crate::sqlite::shares::Share;
use crate::sqlite::statement::{Sql, first, time_opt};
use crate::sqlite::transaction::Tx;

/// Runs, and calls, that one question may be about: an event that was replayed for ever has as many runs.
const ASKED_MAX: usize = 100;

const RUN: &str = "SELECT lane, due_at, claimed, attempts, order_key, seq FROM run
    WHERE tenant = ?1 AND id = ?2 AND ended_at IS NULL";

const DELIVERY: &str = "SELECT lane, due_at, claimed, attempts, order_key, seq FROM delivery
    WHERE tenant = ?1 AND id = ?2 AND ended_at IS NULL";

const RUN_BEFORE: &str = "SELECT id FROM run WHERE lane = ?1 AND order_key = ?2 AND ended_at IS NULL AND seq < ?3
    ORDER BY seq DESC LIMIT 1";

const DELIVERY_BEFORE: &str =
    "SELECT id FROM delivery WHERE lane = ?1 AND order_key = ?2 AND ended_at IS NULL AND seq < ?3
    ORDER BY seq DESC LIMIT 1";

/// What is asked, for the test of its plans.
#[cfg(test)]
pub(super) const PLANS: &[&str] = &[RUN, DELIVERY, RUN_BEFORE, DELIVERY_BEFORE];

/// What holds these now.
pub(super) fn holds(
    tx: &Tx<'_>,
    tenant: TenantId,
    runs: &[RunId],
    deliveries: &[DeliveryId],
    now: Timestamp,
) -> Sql<Holds> {
    let now = tx.now(now);
    let mut holds = Holds::default();
    for run in runs.iter().take(ASKED_MAX) {
        let Some(member) = first(tx.conn, RUN, params![tenant.as_bytes(), run.as_bytes()], member)? else { continue };
        let behind = |until| {
            let before = before(tx, RUN_BEFORE, &member)?;
            Ok(before.map(|before| Hold::BehindRun { run: RunId::from_bytes(before), until }))
        };
        let mut found = member.holds(behind, now)?;
        if !member.is_under_way(now) {
            found.extend(lane(tx, &member, now)?);
            found.extend(Share::load(tx, tenant, now)?.closed(now));
            let alone = tx.shared.runs_held_until().filter(|until| *until > now);
            found.extend(alone.map(|until| Hold::Alone { until }));
        }
        holds.runs.push((*run, found));
    }
    for delivery in deliveries.iter().take(ASKED_MAX) {
        let values = params![tenant.as_bytes(), delivery.as_bytes()];
        let Some(member) = first(tx.conn, DELIVERY, values, member)? else { continue };
        let behind = |until| {
            let before = before(tx, DELIVERY_BEFORE, &member)?;
            Ok(before.map(|before| Hold::BehindDelivery { delivery: DeliveryId::from_bytes(before), until }))
        };
        let mut found = member.holds(behind, now)?;
        if !member.is_under_way(now) {
            found.extend(lane(tx, &member, now)?);
            found.extend(rations::sends_closed(tx, tenant, now)?);
        }
        holds.deliveries.push((*delivery, found));
    }
    Ok(holds)
}

/// A row that is not over.
struct Member {
    lane: i64,
    due_at: Option<Timestamp>,
    claimed: bool,
    attempts: u32,
    order_key: Option<String>,
    seq: i64,
}

fn member(row: &Row<'_>) -> rusqlite::Result<Member> {
    Ok(Member {
        lane: row.get(0)?,
        due_at: time_opt(row, 1)?,
        claimed: row.get(2)?,
        attempts: row.get(3)?,
        order_key: row.get(4)?,
        seq: row.get(5)?,
    })
}

impl Member {
    fn is_under_way(&self, now: Timestamp) -> bool {
        self.claimed && self.due_at.is_some_and(|until| until > now)
    }

    /// What its own row says; `behind` looks for the one before it.
    fn holds(&self, behind: impl Fn(Option<Timestamp>) -> Sql<Option<Hold>>, now: Timestamp) -> Sql<Vec<Hold>> {
        let hold = match self.due_at {
            None => behind(None)?,
            Some(until) if until <= now => None,
            Some(until) if self.claimed => Some(Hold::UnderWay { until }),
            // One that was tried has a time of its own; one that was not may have been let go by the one before it.
            Some(until) if self.attempts == 0 => Some(behind(Some(until))?.unwrap_or(Hold::NotBefore { until })),
            Some(until) => Some(Hold::NotBefore { until }),
        };
        Ok(hold.into_iter().collect())
    }
}

fn before(tx: &Tx<'_>, sql: &str, member: &Member) -> Sql<Option<[u8; 16]>> {
    let Some(key) = &member.order_key else { return Ok(None) };
    first(tx.conn, sql, params![member.lane, key, member.seq], |row| row.get(0))
}

fn lane(tx: &Tx<'_>, member: &Member, now: Timestamp) -> Sql<Option<Hold>> {
    let Some(lane) = lanes::load(tx.conn, member.lane)? else { return Ok(None) };
    Ok(lanes::open(tx, &lane, now)?.err())
}

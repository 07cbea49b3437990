//! Calls that wait for their next attempt go now, because a person says so.
//!
//! Only the delay after a failed attempt is cut short. What a plugin delayed keeps its time, who is behind another stays
//! there, and pause, breaker, rate and places of the lane hold for these as for all.

use creel_webhook::clock::Timestamp;
use creel_webhook::id::{DeliveryId, DestinationId, TenantId};
use rusqlite::params;

use crate::contract::{Hasten, Hastened};
use crate::sqlite::lanes::{self, Work};
use crate::sqlite::statement::{Sql, all, exec, first, time};
use crate::sqlite::transaction::Tx;

/// Calls that one step looks at: it holds the writer for a few milliseconds.
const STEP_MAX: usize = 500;

/// One that waits after an attempt.
const ONE: &str = "UPDATE delivery SET due_at = ?3 WHERE tenant = ?1 AND id = ?2 AND claimed = 0 AND due_at > ?3
    AND attempts > 0 AND start_at <= ?3 RETURNING lane";

/// Those of a lane that are due later, in the order of their times.
const LATER: &str = "SELECT seq, due_at, attempts > 0 AND start_at <= ?2 FROM delivery
    WHERE lane = ?1 AND claimed = 0 AND due_at > ?2 AND due_at >= ?3 ORDER BY due_at LIMIT ?4";

/// What is asked, for the test of its plans.
#[cfg(test)]
pub(super) const PLANS: &[&str] = &[ONE, LATER];

/// The verb.
pub(super) fn hasten(tx: &mut Tx<'_>, tenant: TenantId, which: Hasten, now: Timestamp) -> Sql<Hastened> {
    let now = tx.now(now);
    match which {
        Hasten::One(delivery) => one(tx, tenant, delivery, now),
        Hasten::All { destination, from } => step(tx, tenant, destination, from, now),
    }
}

fn one(tx: &mut Tx<'_>, tenant: TenantId, delivery: DeliveryId, now: Timestamp) -> Sql<Hastened> {
    let values = params![tenant.as_bytes(), delivery.as_bytes(), now.as_millis()];
    let Some(lane) = first(tx.conn, ONE, values, |row| row.get::<_, i64>(0))? else { return Ok(Hastened::default()) };
    lanes::touch(tx, lane, tenant, Work::Deliveries, now)?;
    Ok(Hastened { hastened: 1, next: None })
}

fn step(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    destination: DestinationId,
    from: Timestamp,
    now: Timestamp,
) -> Sql<Hastened> {
    let Some(lane) = lanes::find(tx.conn, tenant, Work::Deliveries, destination.as_bytes())? else {
        return Ok(Hastened::default());
    };
    let values = params![lane, now.as_millis(), from.as_millis(), STEP_MAX as i64];
    let later = all(tx.conn, LATER, values, |row| Ok((row.get::<_, i64>(0)?, time(row, 1)?, row.get::<_, bool>(2)?)))?;
    let mut hastened = 0;
    for (seq, _, _) in later.iter().filter(|(_, _, waits_after_attempt)| *waits_after_attempt) {
        exec(tx.conn, "UPDATE delivery SET due_at = ?2 WHERE seq = ?1", params![seq, now.as_millis()])?;
        hastened += 1;
    }
    if hastened > 0 {
        lanes::touch(tx, lane, tenant, Work::Deliveries, now)?;
    }
    // Those at the last time may go on behind this step; when none of a whole step moved, its last time is passed.
    let next = later.last().filter(|_| later.len() == STEP_MAX).map(|(_, at, _)| *at);
    let next = next.map(|at| if at == from && hastened == 0 { at.plus_ms(1) } else { at });
    Ok(Hastened { hastened, next })
}

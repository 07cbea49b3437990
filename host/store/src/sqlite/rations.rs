//! What daily quotas forbid: accepts that don't fit, and turns of a tenant that has nothing left.
//!
//! Runs and calls beyond a quota wait: the tenant has its next turn at midnight, whatever waits behind it, exactly as one whose
//! fuel is in debt (`shares`). What is under way counts as used, so that no more begin than may end.

use creel_webhook::clock::Timestamp;
use creel_webhook::id::TenantId;
use creel_webhook::quota::{Quota, renewed_at};
use rusqlite::{Connection, params};

use crate::contract::Hold;
use crate::planted::{self, Bug};
use crate::sqlite::quotas::Standing;
use crate::sqlite::statement::{Sql, first};
use crate::sqlite::transaction::Tx;

/// Milliseconds after which a tenant that could send nothing, because as many calls are on their way as it may still have,
/// is looked at again: the end of one of them is looked at sooner.
const LOOK_AGAIN_MS: u64 = 1_000;

/// A tenant's calls on their way.
const ON_THEIR_WAY: &str =
    "SELECT count(*) FROM lane CROSS JOIN delivery ON delivery.lane = lane.id AND delivery.claimed = 1
        AND delivery.due_at > ?2 WHERE lane.tenant = ?1 AND lane.kind = 1";

/// What claims ask, for the test of their plans.
#[cfg(test)]
pub(super) const PLANS: &[&str] = &[ON_THEIR_WAY];

/// Which quota leaves no room for so much more, if one does, and until when. Not even a first that is larger than a quota
/// fits into it.
pub(super) fn refusal(
    tx: &Tx<'_>,
    tenant: TenantId,
    events: u64,
    bytes: u64,
    now: Timestamp,
) -> Sql<Option<(Quota, Timestamp)>> {
    let standing = tx.standing(tenant, now)?;
    let wanted = [(Quota::Events, events), (Quota::Bytes, bytes)];
    let over = wanted.into_iter().find(|(quota, more)| *more > standing.left(*quota));
    let over = over.filter(|_| !planted::is(Bug::EventsBeyondQuota));
    Ok(over.map(|(quota, _)| (quota, renewed_at(now))))
}

/// How many runs a tenant may still try today, and which quota says so; none once its fuel is used up.
pub(super) fn runs_left(tx: &Tx<'_>, tenant: TenantId, now: Timestamp) -> Sql<(u64, Quota)> {
    let standing = tx.standing(tenant, now)?;
    if planted::is(Bug::RunsBeyondQuota) {
        return Ok((u64::MAX, Quota::Runs));
    }
    let quota = used_up(&standing).unwrap_or(Quota::Runs);
    Ok((if quota == Quota::Fuel { 0 } else { standing.left(Quota::Runs) }, quota))
}

/// The quota because of which nothing more is run today, if there is one.
fn used_up(standing: &Standing) -> Option<Quota> {
    [Quota::Runs, Quota::Fuel].into_iter().find(|quota| standing.left(*quota) == 0)
}

/// Why no run for a sender that waits may begin, if none may.
pub(super) fn reply_refusal(tx: &Tx<'_>, tenant: TenantId, now: Timestamp) -> Sql<Option<String>> {
    let standing = tx.standing(tenant, now)?;
    Ok(used_up(&standing).map(|quota| {
        let (limit, max, until) = (quota.limit(), standing.max(quota), renewed_at(now));
        format!("the tenant has used its {limit} = {max} of today; no run begins before {until}, and then this one can be replayed")
    }))
}

/// What a tenant may send.
#[derive(Debug, Clone, Copy)]
pub(super) struct Postage {
    /// How many calls may go now.
    pub(super) left: u32,
    /// Before when a turn is worth nothing if none may.
    pub(super) not_before: Timestamp,
}

/// How many calls of a tenant may go.
pub(super) fn postage(tx: &Tx<'_>, tenant: TenantId, now: Timestamp) -> Sql<Postage> {
    let standing = tx.standing(tenant, now)?;
    let left = if planted::is(Bug::CallsBeyondQuota) { u64::MAX } else { standing.left(Quota::Deliveries) };
    if left == 0 {
        return Ok(Postage { left: 0, not_before: renewed_at(now) });
    }
    // More than can be on their way at once: no need to count those.
    let Ok(left) = u32::try_from(left) else { return Ok(Postage { left: u32::MAX, not_before: Timestamp::default() }) };
    let left = left.saturating_sub(on_their_way(tx.conn, tenant, now)?);
    let not_before = if left == 0 { now.plus_ms(LOOK_AGAIN_MS) } else { Timestamp::default() };
    Ok(Postage { left, not_before })
}

/// Why no call of a tenant may go, if none may.
pub(super) fn sends_closed(tx: &Tx<'_>, tenant: TenantId, now: Timestamp) -> Sql<Option<Hold>> {
    let none_may = postage(tx, tenant, now)?.left == 0;
    Ok(none_may.then(|| Hold::Quota { quota: Quota::Deliveries, until: renewed_at(now) }))
}

fn on_their_way(conn: &Connection, tenant: TenantId, now: Timestamp) -> Sql<u32> {
    Ok(first(conn, ON_THEIR_WAY, params![tenant.as_bytes(), now.as_millis()], |row| row.get(0))?.unwrap_or(0))
}

/// Before when a tenant whose calls are used up has no turn.
pub(super) fn sends_not_before(tx: &Tx<'_>, tenant: TenantId, now: Timestamp) -> Sql<Timestamp> {
    let standing = tx.standing(tenant, now)?;
    Ok(if standing.left(Quota::Deliveries) == 0 { renewed_at(now) } else { Timestamp::default() })
}

//! What a tenant may take of the host: places for its runs and fuel, both in its one row of `ring`.
//!
//! Places are counted where they are held, in an index over what is claimed, so a lost claim frees its place by itself.
//! Fuel is charged by the commit that ends a run ([`Account`]); while the account is in debt the tenant has no turn. A
//! tenant that has no turn is one row whose `ready_at` lies ahead, whatever waits behind it.
//!
//! Runs that a sender waits for are claimed with their accept, hold none of these places and are charged to an account of
//! their own, as large: what a tenant does in the background takes no answer from its own callers.

use creel_webhook::bucket::{Account, SAVED_MS, share_of};
use creel_webhook::clock::Timestamp;
use creel_webhook::id::TenantId;
use creel_webhook::quota::{Quota, renewed_at};
use creel_webhook::route::Mode;
use creel_webhook::tenant::TenantLimits;
use rusqlite::params;

use crate::contract::Hold;
use crate::planted::{self, Bug};
use crate::sqlite::rations;
use crate::sqlite::statement::{Sql, exec, first, int};
use crate::sqlite::transaction::Tx;

/// Where a tenant stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    held: u32,
    held_max: u32,
    /// A daily quota is used up until then.
    closed_until: Timestamp,
    /// The daily quota that leaves fewer places than there would be.
    rationed: Option<Quota>,
    account: Account,
    replies: Account,
    per_second: u64,
}

const LOAD: &str = "SELECT concurrency_max, fuel_per_s, paid_at_us, reply_paid_at_us,
        (SELECT count(*) FROM run WHERE tenant = ?1 AND claimed = 1 AND mode = 0 AND due_at > ?2)
    FROM ring WHERE kind = 0 AND tenant = ?1";

const REPLIES: &str = "SELECT reply_paid_at_us, fuel_per_s FROM ring WHERE kind = 0 AND tenant = ?1";

const NEXT_LOST: &str = "SELECT min(due_at) FROM run WHERE tenant = ?1 AND claimed = 1 AND mode = 0 AND due_at > ?2";

const CHARGE: &str = "UPDATE ring SET paid_at_us = ?2, reply_paid_at_us = ?3 WHERE kind = 0 AND tenant = ?1";

/// What turns and commits ask, for the test of their plans.
#[cfg(test)]
pub(super) const PLANS: &[&str] = &[LOAD, REPLIES, NEXT_LOST, CHARGE];

/// How many tenants are in debt.
pub(super) const IN_DEBT: &str =
    "SELECT count(*) FROM ring WHERE kind = 0 AND (paid_at_us > ?1 * 1000 OR reply_paid_at_us > ?1 * 1000)";

impl Share {
    /// Looks at a tenant.
    pub(super) fn load(tx: &Tx<'_>, tenant: TenantId, now: Timestamp) -> Sql<Share> {
        let host = tx.memory.shares;
        let (left, quota) = rations::runs_left(tx, tenant, now)?;
        let left = u32::try_from(left).unwrap_or(u32::MAX);
        let share = first(tx.conn, LOAD, params![tenant.as_bytes(), now.as_millis()], |row| {
            let places = own_cap(row.get(0)?).unwrap_or(host.concurrent_runs_max);
            Ok(Share {
                held: row.get(4)?,
                held_max: places.min(left),
                rationed: (left < places).then_some(quota),
                closed_until: if left == 0 { renewed_at(now) } else { Timestamp::default() },
                account: Account { paid_at_us: row.get(2)? },
                replies: Account { paid_at_us: row.get(3)? },
                per_second: row.get::<_, Option<i64>>(1)?.map_or(host.fuel_per_second, i64::unsigned_abs),
            })
        })?;
        Ok(share.unwrap_or(Share {
            held: 0,
            held_max: 0,
            closed_until: Timestamp::default(),
            rationed: None,
            account: Account::default(),
            replies: Account::default(),
            per_second: 1,
        }))
    }

    /// Why no run may begin, however many places are free on the host; `None` when some may.
    pub(super) fn closed(&self, now: Timestamp) -> Option<Hold> {
        if self.account.debt_ms(now) > 0 {
            return Some(Hold::Debt { until: self.account.free_at() });
        }
        if self.held < self.held_max {
            return None;
        }
        Some(match self.rationed {
            Some(quota) => Hold::Quota { quota, until: renewed_at(now) },
            None => Hold::TenantFull { places: u64::from(self.held_max) },
        })
    }

    /// How many more runs may begin, with so many places free on the host.
    pub(super) fn room(&self, free: u32, now: Timestamp) -> u32 {
        match self.closed(now) {
            Some(_) => 0,
            None => share_of(self.held, free).min(self.held_max.saturating_sub(self.held)),
        }
    }

    /// The same after so many have begun.
    pub(super) fn with(self, begun: u32) -> Share {
        Share { held: self.held.saturating_add(begun), ..self }
    }

    /// Before when no turn is worth anything: in debt until it is paid off, full until a claim is lost, without a daily
    /// quota until midnight. A commit looks again.
    pub(super) fn not_before(&self, tx: &Tx<'_>, tenant: TenantId, now: Timestamp) -> Sql<Timestamp> {
        let full = if self.held >= self.held_max {
            first(tx.conn, NEXT_LOST, params![tenant.as_bytes(), now.as_millis()], |row| row.get(0))?.flatten()
        } else {
            None
        };
        Ok(Timestamp::from_millis(full.unwrap_or(0)).max(self.account.free_at()).max(self.closed_until))
    }
}

/// A tenant's own cap, if it has one.
fn own_cap(cap: Option<u32>) -> Option<u32> {
    cap.filter(|_| !planted::is(Bug::CapIgnored))
}

/// A run of a tenant used so much; gives where the tenant stands then.
pub(super) fn charge(tx: &Tx<'_>, tenant: TenantId, mode: Mode, fuel: u64, now: Timestamp) -> Sql<Share> {
    let mut share = Share::load(tx, tenant, now)?;
    let account = match mode {
        Mode::Ack => &mut share.account,
        Mode::Reply => &mut share.replies,
    };
    *account = account.charged(fuel, share.per_second, SAVED_MS, now);
    let values = params![tenant.as_bytes(), share.account.paid_at_us, share.replies.paid_at_us];
    exec(tx.conn, CHARGE, values)?;
    Ok(share)
}

/// Why no run for a sender that waits may begin, if none may.
pub(super) fn reply_debt(tx: &Tx<'_>, tenant: TenantId, now: Timestamp) -> Sql<Option<String>> {
    let row = first(tx.conn, REPLIES, params![tenant.as_bytes()], |row| {
        Ok((Account { paid_at_us: row.get(0)? }, row.get::<_, Option<i64>>(1)?))
    })?;
    let Some((account, own)) = row else { return Ok(None) };
    let (debt_ms, per_second) = (account.debt_ms(now), own.map_or(tx.memory.shares.fuel_per_second, i64::unsigned_abs));
    Ok((debt_ms > 0).then(|| {
        format!(
            "the tenant's replies have used more fuel than fuel_per_second = {per_second} gives, and no more of them are \
             run for {debt_ms} ms; make the plugin cheaper, or ask the operator to raise fuel_per_second for this tenant"
        )
    }))
}

/// Keeps a tenant's own limits where turns find them.
pub(super) fn keep(tx: &Tx<'_>, tenant: TenantId, limits: &TenantLimits) -> Sql<()> {
    // Who is given another budget begins with it: debts were made under the old one.
    let sql = "UPDATE ring SET concurrency_max = ?2, fuel_per_s = ?3,
            paid_at_us = CASE WHEN fuel_per_s IS ?3 THEN paid_at_us ELSE min(paid_at_us, ?4) END,
            reply_paid_at_us = CASE WHEN fuel_per_s IS ?3 THEN reply_paid_at_us ELSE min(reply_paid_at_us, ?4) END
        WHERE kind = 0 AND tenant = ?1";
    let now_us = tx.shared.latest().as_millis().saturating_mul(1_000);
    let places = limits.concurrent_runs_max.map(|max| max.clamp(1, u64::from(u32::MAX)));
    let fuel = limits.fuel_per_second.map(|fuel| int(fuel.max(1)));
    let values = params![tenant.as_bytes(), places.map(int), fuel, now_us];
    exec(tx.conn, sql, values)?;
    Ok(())
}

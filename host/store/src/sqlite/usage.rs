//! What tenants used, by days: counted while a batch runs, written once per tenant with the batch's commit.
//!
//! Whoever counts does so where nothing of its item can fail any more, so what is written is what the batch did. The batch that
//! reaches a daily quota, or most of it, tells the tenant so.

use creel_webhook::clock::Timestamp;
use creel_webhook::id::TenantId;
use creel_webhook::notice::Fact;
use creel_webhook::quota::{Quota, begin_of, day_of, reached, renewed_at};
use rusqlite::{Connection, Row, params};

use crate::contract::{Used, UsedDay};
use crate::sqlite::notices;
use crate::sqlite::quotas;
use crate::sqlite::statement::{Sql, all, exec, int};
use crate::sqlite::transaction::Tx;

/// Counts something that happened.
pub(super) fn add(tx: &mut Tx<'_>, tenant: TenantId, at: Timestamp, used: Used) {
    let day = day_of(at);
    let sum = tx.memory.used_by.entry((tenant, day)).or_default();
    *sum = sum.plus(used);
    tx.memory.quotas.add(tenant, day, used);
}

/// Writes what was counted, and tells tenants of their quotas.
pub(super) fn write(tx: &mut Tx<'_>) -> Sql<()> {
    let sql = "INSERT INTO usage (tenant, day, events, runs, fuel, bytes_in, bytes_out, deliveries)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
        ON CONFLICT (tenant, day) DO UPDATE SET events = events + excluded.events, runs = runs + excluded.runs,
            fuel = fuel + excluded.fuel, bytes_in = bytes_in + excluded.bytes_in,
            bytes_out = bytes_out + excluded.bytes_out, deliveries = deliveries + excluded.deliveries";
    for ((tenant, day), used) in std::mem::take(&mut tx.memory.used_by) {
        if !tx.standing(tenant, begin_of(day))?.is_there() {
            continue;
        }
        let values = params![
            tenant.as_bytes(),
            day,
            int(used.events),
            int(used.runs),
            int(used.fuel),
            int(used.bytes_in),
            int(used.bytes_out),
            int(used.deliveries)
        ];
        exec(tx.conn, sql, values)?;
        tell(tx, tenant, day, used)?;
    }
    Ok(())
}

/// Tells a tenant which of its quotas a batch has come near to or reached, by what it used on that day.
fn tell(tx: &mut Tx<'_>, tenant: TenantId, day: i64, more: Used) -> Sql<()> {
    let at = begin_of(day);
    let standing = tx.standing(tenant, at)?;
    let now = tx.shared.latest();
    for quota in Quota::ALL {
        let (used, max) = (standing.used(quota), standing.max(quota));
        if let Some(percent) = reached(used.saturating_sub(more.of(quota)), used, max) {
            let fact = Fact::DailyQuota { quota, used, max, percent, renewed_at: renewed_at(at) };
            notices::tell(tx, tenant, &fact, now)?;
        }
    }
    Ok(())
}

/// The days of a tenant on which it used something, oldest first.
pub(super) fn list(conn: &Connection, tenant: TenantId, since: Timestamp, until: Timestamp) -> Sql<Vec<UsedDay>> {
    let sql = "SELECT day, events, runs, fuel, bytes_in, bytes_out, deliveries FROM usage
        WHERE tenant = ?1 AND day >= ?2 AND day <= ?3 ORDER BY day";
    all(conn, sql, params![tenant.as_bytes(), day_of(since), day_of(until)], row)
}

fn row(row: &Row<'_>) -> rusqlite::Result<UsedDay> {
    let day: i64 = row.get(0)?;
    Ok(UsedDay { day: begin_of(day), used: quotas::used(row, 1)? })
}

//! Daily quotas: what each tenant has used today, in memory.
//!
//! An accept compares two numbers; nothing is read for it. A tenant's quotas and what stands in `usage` are read once per
//! process and day, when it is first asked for; what batches count is added as they count it (`usage`), so the numbers here
//! are the table's with the batch's own. A batch that is rolled back forgets all of it. What they forbid is said by
//! `rations`.

use std::cell::RefCell;
use std::collections::HashMap;

use creel_webhook::clock::Timestamp;
use creel_webhook::id::TenantId;
use creel_webhook::quota::{Quota, Quotas, day_of};
use creel_webhook::tenant::TenantLimits;
use rusqlite::{Connection, Row, params};

use crate::contract::Used;
use crate::planted::{self, Bug};
use crate::sqlite::statement::{Sql, count, first, json};

/// Where all tenants stand that were asked for.
#[derive(Debug, Default)]
pub(super) struct Standings {
    host: Quotas,
    tenants: RefCell<HashMap<TenantId, Standing>>,
}

/// Where a tenant stands today.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    is_there: bool,
    day: i64,
    max: Quotas,
    used: Used,
}

impl Standings {
    /// For tenants that have no quotas of their own.
    pub(super) fn new(host: Quotas) -> Standings {
        Standings { host, tenants: RefCell::default() }
    }

    /// Where a tenant stands; `counted` is what this batch has counted of its day and not written.
    pub(super) fn of(
        &self,
        conn: &Connection,
        tenant: TenantId,
        counted: impl FnOnce(i64) -> Used,
        now: Timestamp,
    ) -> Sql<Standing> {
        let day = day_of(now);
        let is_of = |standing: &&Standing| standing.day == day || planted::is(Bug::QuotaNotRenewed);
        let known = self.tenants.borrow().get(&tenant).filter(is_of).copied();
        if let Some(standing) = known {
            return Ok(standing);
        }
        let sql = "SELECT limits FROM tenant WHERE id = ?1 AND removed_at IS NULL";
        let own: Option<TenantLimits> = first(conn, sql, [tenant.as_bytes()], |row| json(row, 0))?;
        let sql =
            "SELECT events, runs, fuel, bytes_in, bytes_out, deliveries FROM usage WHERE tenant = ?1 AND day = ?2";
        let written = first(conn, sql, params![tenant.as_bytes(), day], |row| used(row, 0))?.unwrap_or_default();
        let (is_there, max) = (own.is_some(), self.host.with(&own.unwrap_or_default()));
        let standing = Standing { is_there, day, max, used: written.plus(counted(day)) };
        self.tenants.borrow_mut().insert(tenant, standing);
        Ok(standing)
    }

    /// Adds what a batch has counted.
    pub(super) fn add(&self, tenant: TenantId, day: i64, used: Used) {
        if let Some(standing) = self.tenants.borrow_mut().get_mut(&tenant).filter(|standing| standing.day == day) {
            standing.used = standing.used.plus(used);
        }
    }

    /// A tenant's quotas have changed.
    pub(super) fn forget(&self, tenant: TenantId) {
        self.tenants.borrow_mut().remove(&tenant);
    }

    /// What was counted has not happened.
    pub(super) fn forget_all(&self) {
        self.tenants.borrow_mut().clear();
    }
}

impl Standing {
    /// Whether there is such a tenant, and it is not being removed: for others nothing is stored.
    pub(super) fn is_there(&self) -> bool {
        self.is_there || planted::is(Bug::RemovedStores)
    }

    /// How much there is of a quota.
    pub(super) fn max(&self, quota: Quota) -> u64 {
        self.max.of(quota)
    }

    /// How much of it is used.
    pub(super) fn used(&self, quota: Quota) -> u64 {
        self.used.of(quota)
    }

    /// How much of it is left.
    pub(super) fn left(&self, quota: Quota) -> u64 {
        self.max(quota).saturating_sub(self.used(quota))
    }
}

/// Six columns of `usage` from this one on.
pub(super) fn used(row: &Row<'_>, from: usize) -> rusqlite::Result<Used> {
    Ok(Used {
        events: count(row, from)?,
        runs: count(row, from + 1)?,
        fuel: count(row, from + 2)?,
        bytes_in: count(row, from + 3)?,
        bytes_out: count(row, from + 4)?,
        deliveries: count(row, from + 5)?,
    })
}

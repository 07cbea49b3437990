//! A tenant is removed, with everything that was ever stored for it.
//!
//! Requests, calls and attempts have no index by tenant, because every accept would pay for it and only this would use it.
//! They need none: whatever belongs to a tenant is reached from rows that are sorted by it.
//!
//! ```text
//! event (tenant, id)          -> its request, reply, origin, what retention noted
//! run (tenant, id)            -> its log and record
//! delivery_id (tenant, id)    -> its call and attempts; notices too, which have no event
//! dedup                       -> is sorted by hash: passed over once, as the sweep does
//! all others                  by their own keys
//! ```
//!
//! 1. [`begin`] marks the tenant's row. From its commit on nobody sees the tenant: its URLs and keys lead nowhere, it has no
//!    turns, and nothing is stored for it that a request or a run which was under way would still bring
//!    (`Standing::is_there`). Its name stays taken until the end.
//! 2. [`step`] removes a bounded part, and is called while there is more. Each step begins at the front and takes the first
//!    that it finds, so that it needs no memory of where it was: after a crash the same steps go on, and what the commit of
//!    a run that was under way brings is found by the next one. Only the pass over `dedup` is remembered, by the process.
//! 3. The step that finds nothing else takes the tenant's row, and notes in `host.scrub` that the file is to be scrubbed:
//!    [`scrub`] gives free pages back until there are none, and the caller cuts the log. After that no byte of the tenant
//!    is in a file: steps overwrite what they free, and pages that were freed before with all that was on them are gone.
//!
//! What it costs: a write of each page that the tenant had, one more for each page that moves into a free place, and a read of
//! `dedup`. All of it in steps of a few milliseconds to a few dozen, between the batches of others.
//!
//! What stays is the operator's own line in the audit trail, which names the tenant and says who removed it and when.

use creel_webhook::clock::Timestamp;
use creel_webhook::id::{EventId, RunId, TenantId};
use creel_webhook::plugin::Digest;
use creel_webhook::tenant::Tenant;
use rusqlite::{Connection, params};

use crate::contract::StoreError;
use crate::planted::{self, Bug};
use crate::sqlite::erasing::secure_delete;
use crate::sqlite::records;
use crate::sqlite::request;
use crate::sqlite::statement::{Sql, all, exec, first, id, must_exist};
use crate::sqlite::transaction::Tx;

/// Events, runs, calls or other rows that one step takes.
const STEP_ROWS: usize = 200;

/// Bytes of bodies that one step takes; one body may go beyond.
const STEP_BYTES: usize = 4 << 20;

/// Tables that are taken by their tenant, in an order that foreign keys allow; with the rows that one step takes of each.
const TABLES: &[(&str, &str, usize)] = &[
    ("refusal", "seq", STEP_ROWS),
    ("audit", "seq", STEP_ROWS),
    ("usage", "day", STEP_ROWS),
    ("retention", "kind", STEP_ROWS),
    ("retained", "(kind, event)", STEP_ROWS),
    ("noticed", "(kind, thing)", STEP_ROWS),
    ("notices", "destination", STEP_ROWS),
    // Values have up to 64 KiB, components up to 32 MiB.
    ("state", "(plugin, key)", 50),
    ("state_total", "plugin", STEP_ROWS),
    ("deployment", "(plugin, number)", STEP_ROWS),
    ("route", "id", STEP_ROWS),
    ("component", "digest", 1),
    ("plugin", "id", STEP_ROWS),
    ("api_key", "id", STEP_ROWS),
    ("secret", "name", STEP_ROWS),
    ("source", "id", STEP_ROWS),
    ("destination", "id", STEP_ROWS),
    ("lane", "id", STEP_ROWS),
    ("ring", "kind", STEP_ROWS),
];

/// Marks a tenant. From then on nobody sees it; what it had is removed by [`step`].
pub(super) fn begin(tx: &mut Tx<'_>, tenant: TenantId, now: Timestamp) -> Sql<()> {
    let now = tx.now(now);
    let sql = "UPDATE tenant SET removed_at = coalesce(removed_at, ?2) WHERE id = ?1";
    let marked = exec(tx.conn, sql, params![tenant.as_bytes(), now.as_millis()])?;
    must_exist(marked, || format!("there is no tenant `{tenant}`"))?;
    // No turns, and no key that somebody could still ask with.
    if !planted::is(Bug::RemovedHasTurns) {
        exec(tx.conn, "DELETE FROM ring WHERE tenant = ?1 AND kind IN (0, 1)", [tenant.as_bytes()])?;
    }
    exec(tx.conn, "DELETE FROM api_key WHERE tenant = ?1", [tenant.as_bytes()])?;
    tx.memory.quotas.forget(tenant);
    tx.effects.control = true;
    Ok(())
}

/// A tenant of this name that is being removed.
pub(super) fn refuse_leaving(conn: &Connection, tenant: &Tenant) -> Sql<()> {
    let sql = "SELECT 1 FROM tenant WHERE (name = ?1 OR id = ?2) AND removed_at IS NOT NULL";
    match first(conn, sql, params![tenant.name, tenant.id.as_bytes()], |_| Ok(()))? {
        Some(()) => Err(StoreError::Conflict(format!(
            "a tenant `{}` is being removed; its name is free when that is over, `GET /v1/tenants` tells",
            tenant.name
        ))
        .into()),
        None => Ok(()),
    }
}

/// The components of a tenant, in versions and deployments, that no other tenant has.
pub(super) fn own_components(conn: &Connection, tenant: TenantId) -> Sql<Vec<Digest>> {
    let sql = "SELECT digest FROM component WHERE tenant = ?1 UNION SELECT digest FROM deployment WHERE tenant = ?1
        EXCEPT SELECT digest FROM component WHERE tenant <> ?1
        EXCEPT SELECT digest FROM deployment WHERE tenant <> ?1";
    all(conn, sql, [tenant.as_bytes()], |row| Ok(Digest::from_bytes(row.get(0)?)))
}

/// Removes some of what a marked tenant has; says whether there is more of it.
pub(super) fn step(tx: &mut Tx<'_>, tenant: TenantId) -> Sql<bool> {
    let sql = "SELECT 1 FROM tenant WHERE id = ?1 AND removed_at IS NOT NULL";
    if first(tx.conn, sql, [tenant.as_bytes()], |_| Ok(()))?.is_none() {
        return Ok(false);
    }
    secure_delete(tx.conn, "ON")?;
    let more = some(tx, tenant);
    secure_delete(tx.conn, "FAST")?;
    tx.memory.used = None;
    more
}

fn some(tx: &mut Tx<'_>, tenant: TenantId) -> Sql<bool> {
    // The ends of runs bring calls, and the ends of calls bring events: until one step finds none of the three.
    let calls = |conn| if planted::is(Bug::RemovedLeavesCalls) { Ok(false) } else { deliveries(conn, tenant) };
    if events(tx.conn, tenant)? || runs(tx.conn, tenant)? || calls(tx.conn)? {
        return Ok(true);
    }
    // No request is left whose row would bring a key back.
    if tx.memory.dedup.leave(tx.conn, tenant)? {
        return Ok(true);
    }
    for (table, key, rows) in TABLES {
        let sql = format!(
            "DELETE FROM {table} WHERE tenant = ?1 AND {key} IN (SELECT {} FROM {table} WHERE tenant = ?1 LIMIT {rows})",
            key.trim_matches(['(', ')'])
        );
        if exec(tx.conn, &sql, [tenant.as_bytes()])? > 0 {
            return Ok(true);
        }
    }
    exec(tx.conn, "UPDATE host SET scrub = 1", [])?;
    exec(tx.conn, "DELETE FROM tenant WHERE id = ?1", [tenant.as_bytes()])?;
    tx.memory.quotas.forget(tenant);
    tx.memory.dedup.left(tenant);
    tx.effects.control = true;
    Ok(false)
}

/// Some events with their requests; says whether there were any.
fn events(conn: &Connection, tenant: TenantId) -> Sql<bool> {
    let sql = "SELECT id, request FROM event WHERE tenant = ?1 ORDER BY id LIMIT ?2";
    let found: Vec<(EventId, i64)> =
        all(conn, sql, params![tenant.as_bytes(), STEP_ROWS as i64], |row| Ok((id(row, 0)?, row.get(1)?)))?;
    let mut bytes = 0;
    for (event, request) in &found {
        bytes += request::body_len(conn, *request)?.unwrap_or(0);
        exec(conn, "DELETE FROM request WHERE seq = ?1 AND tenant = ?2", params![request, tenant.as_bytes()])?;
        let key = params![tenant.as_bytes(), event.as_bytes()];
        for sql in [
            "DELETE FROM reply WHERE tenant = ?1 AND event = ?2",
            "DELETE FROM followup WHERE tenant = ?1 AND event = ?2",
            "DELETE FROM event WHERE tenant = ?1 AND id = ?2",
        ] {
            exec(conn, sql, key)?;
        }
        if bytes >= STEP_BYTES {
            break;
        }
    }
    Ok(!found.is_empty())
}

/// Some runs; a commit of one that is under way finds nothing any more.
fn runs(conn: &Connection, tenant: TenantId) -> Sql<bool> {
    let sql = "SELECT id FROM run WHERE tenant = ?1 ORDER BY id LIMIT ?2";
    let found: Vec<RunId> = all(conn, sql, params![tenant.as_bytes(), STEP_ROWS as i64], |row| id(row, 0))?;
    let mut bytes = 0;
    for run in &found {
        let key = params![tenant.as_bytes(), run.as_bytes()];
        exec(conn, "DELETE FROM run_log WHERE tenant = ?1 AND run = ?2", key)?;
        bytes += records::remove(conn, tenant, *run)?;
        exec(conn, "DELETE FROM run WHERE tenant = ?1 AND id = ?2", key)?;
        if bytes >= STEP_BYTES {
            break;
        }
    }
    Ok(!found.is_empty())
}

/// Some calls, on their way or not.
fn deliveries(conn: &Connection, tenant: TenantId) -> Sql<bool> {
    let sql = "SELECT seq FROM delivery INDEXED BY delivery_id WHERE tenant = ?1 ORDER BY id LIMIT ?2";
    let found: Vec<i64> = all(conn, sql, params![tenant.as_bytes(), STEP_ROWS as i64], |row| row.get(0))?;
    let mut bytes = 0;
    for seq in &found {
        let sql = "DELETE FROM call WHERE seq = ?1 RETURNING coalesce(length(body), 0)";
        bytes += first(conn, sql, [seq], |row| row.get::<_, u32>(0))?.unwrap_or(0) as usize;
        exec(conn, "DELETE FROM attempt WHERE delivery = ?1", [seq])?;
        exec(conn, "DELETE FROM delivery WHERE seq = ?1", [seq])?;
        if bytes >= STEP_BYTES {
            break;
        }
    }
    Ok(!found.is_empty())
}

/// Whether the file is to be scrubbed: a tenant was removed from it.
pub(super) fn wants_scrub(conn: &Connection) -> Sql<bool> {
    Ok(first(conn, "SELECT scrub FROM host", [], |row| row.get(0))?.unwrap_or(false))
}

/// Gives some free pages back; says whether there are more of them.
pub(super) fn scrub(tx: &mut Tx<'_>) -> Sql<bool> {
    tx.give_back_pages()?;
    tx.memory.used = None;
    let free: i64 = tx.conn.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
    Ok(free > 0)
}

/// The log is cut: nothing is left of whom was removed before. Unless another was removed meanwhile, which is told by the
/// next scrub.
pub(super) fn scrubbed(tx: &mut Tx<'_>) -> Sql<()> {
    exec(tx.conn, "UPDATE host SET scrub = 0", [])?;
    Ok(())
}

#[cfg(test)]
pub(super) mod testing {
    /// The tables that have a tenant, and are removed.
    pub(in crate::sqlite) fn tables() -> Vec<&'static str> {
        let by_events =
            ["event", "request", "reply", "followup", "run", "run_log", "run_record", "delivery", "call", "attempt"];
        let others = super::TABLES.iter().map(|(table, ..)| *table);
        by_events.into_iter().chain(["dedup"]).chain(others).collect()
    }
}

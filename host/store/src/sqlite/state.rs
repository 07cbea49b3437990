//! The state of plugins: read as it is committed, written with a run's decision.
//!
//! A key's version is the number of the commit that wrote it, counted for each plugin and never given twice, so a key
//! that was written, removed and written again is told from what it was. The commit of a run looks at the version of
//! each key that the run read and at how much the plugin would hold, before it writes anything: where one has moved on or
//! there is no room, the run was overtaken. A run that only writes reads nothing that could move on.

use creel_webhook::id::{PluginId, TenantId};
use creel_webhook::record::{Record, StateValue};
use creel_webhook::state::{StateUse, StateWrite};
use rusqlite::{Connection, Row, params};

use crate::contract::{StateFilter, StateKey, StateRemoved, StateRoom, StateWrites, StoreError};
use crate::planted::{self, Bug};
use crate::sqlite::statement::{Sql, all, count, exec, first, int};
use crate::sqlite::transaction::Tx;

/// Keys that one step of a removal removes.
const REMOVED_MAX: u32 = 200;

/// Keys that one page may have.
const KEYS_MAX: u32 = 500;

const READ: &str = "SELECT version, value FROM state WHERE tenant = ?1 AND plugin = ?2 AND key = ?3";

const VERSION: &str = "SELECT version FROM state WHERE tenant = ?1 AND plugin = ?2 AND key = ?3";

const HELD: &str = "SELECT octet_length(key) + octet_length(value) FROM state
    WHERE tenant = ?1 AND plugin = ?2 AND key = ?3";

const LIST: &str = "SELECT key, version, octet_length(value) FROM state
    WHERE tenant = ?1 AND plugin = ?2 AND key >= ?3 AND key > ?4 ORDER BY key LIMIT ?5";

const ANY: &str = "SELECT key FROM state WHERE tenant = ?1 AND plugin = ?2 ORDER BY key LIMIT ?3";

/// What runs and people ask, for the test of their plans.
#[cfg(test)]
pub(super) const PLANS: &[&str] = &[READ, VERSION, HELD, LIST, ANY];

/// A value as it is committed.
pub(super) fn read(conn: &Connection, tenant: TenantId, plugin: PluginId, key: &str) -> Sql<Option<StateValue>> {
    first(conn, READ, params![tenant.as_bytes(), plugin.as_bytes(), key], |row| {
        Ok(StateValue { version: count(row, 0)?, value: row.get::<_, Vec<u8>>(1)?.into() })
    })
}

/// What a plugin holds, and what it holds of these keys.
pub(super) fn room(
    conn: &Connection,
    tenant: TenantId,
    plugin: PluginId,
    keys: &[String],
    bytes_max: u64,
) -> Sql<StateRoom> {
    let held = keys.iter().map(|key| held(conn, tenant, plugin, key)).collect::<Sql<_>>()?;
    let pragma = |sql| conn.prepare_cached(sql)?.query_row([], |row| row.get::<_, i64>(0));
    let pages = pragma("PRAGMA page_count")? - pragma("PRAGMA freelist_count")?;
    let used = u64::try_from(pages * pragma("PRAGMA page_size")?).unwrap_or(0);
    Ok(StateRoom { total: total(conn, tenant, plugin)?.0, held, host_bytes: bytes_max.saturating_sub(used) })
}

/// Keys of a plugin in their order.
pub(super) fn list(conn: &Connection, tenant: TenantId, plugin: PluginId, filter: &StateFilter) -> Sql<Vec<StateKey>> {
    // Nothing is before the empty text, and a key may be it.
    let after = filter.after.as_deref();
    let from = after.map_or(filter.prefix.as_str(), |after| after.max(filter.prefix.as_str()));
    let sql = if after.is_some() { LIST } else { &LIST.replace("key > ?4", "?4 IS NULL") };
    let limit = filter.limit.clamp(1, KEYS_MAX);
    let rows = all(conn, sql, params![tenant.as_bytes(), plugin.as_bytes(), from, after, limit], key_row)?;
    Ok(rows.into_iter().take_while(|row| row.key.starts_with(&filter.prefix)).collect())
}

fn key_row(row: &Row<'_>) -> rusqlite::Result<StateKey> {
    Ok(StateKey { key: row.get(0)?, version: count(row, 1)?, value_bytes: count(row, 2)? })
}

/// Removes a key, or a step of all.
pub(super) fn remove(tx: &mut Tx<'_>, tenant: TenantId, plugin: PluginId, key: Option<&str>) -> Sql<StateRemoved> {
    let sql = "SELECT 1 FROM plugin WHERE tenant = ?1 AND id = ?2";
    if first(tx.conn, sql, params![tenant.as_bytes(), plugin.as_bytes()], |_| Ok(()))?.is_none() {
        return Err(StoreError::NotFound(format!("there is no plugin `{plugin}`")).into());
    }
    let keys: Vec<String> = match key {
        Some(key) => vec![key.to_owned()],
        None => all(tx.conn, ANY, params![tenant.as_bytes(), plugin.as_bytes(), REMOVED_MAX], |row| row.get(0))?,
    };
    let (before, _) = total(tx.conn, tenant, plugin)?;
    if before.keys > 0 {
        let removals: Vec<_> = keys.into_iter().map(|key| StateWrite { key, value: None }).collect();
        apply(tx, tenant, plugin, &removals)?;
    }
    let (after, _) = total(tx.conn, tenant, plugin)?;
    Ok(StateRemoved { removed: before.keys - after.keys, left: after.keys })
}

/// Whether a key that was read has been written since.
pub(super) fn is_overtaken(conn: &Connection, tenant: TenantId, plugin: PluginId, record: &Record) -> Sql<bool> {
    if planted::is(Bug::StateUnchecked) {
        return Ok(false);
    }
    for read in record.state() {
        let now = first(conn, VERSION, params![tenant.as_bytes(), plugin.as_bytes(), read.key], |row| count(row, 0))?;
        if now != read.found.as_ref().map(|found| found.version) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the plugin may hold what it comes to with these writes.
pub(super) fn has_room(conn: &Connection, tenant: TenantId, plugin: PluginId, state: &StateWrites) -> Sql<bool> {
    let (total, _) = total(conn, tenant, plugin)?;
    let after = after(conn, tenant, plugin, total, &state.writes)?;
    Ok(total.refusal(after, state.keys_max, state.bytes_max).is_none())
}

/// Writes what a run decided.
pub(super) fn write(tx: &mut Tx<'_>, tenant: TenantId, plugin: PluginId, writes: &[StateWrite]) -> Sql<()> {
    if writes.is_empty() {
        return Ok(());
    }
    apply(tx, tenant, plugin, writes)?;
    tx.split(Bug::StateApart)
}

fn apply(tx: &Tx<'_>, tenant: TenantId, plugin: PluginId, writes: &[StateWrite]) -> Sql<()> {
    let (before, version) = total(tx.conn, tenant, plugin)?;
    let after = after(tx.conn, tenant, plugin, before, writes)?;
    let version = version + 1;
    let sql = "INSERT INTO state_total (tenant, plugin, keys, bytes, version) VALUES (?1, ?2, ?3, ?4, ?5)
        ON CONFLICT (tenant, plugin) DO UPDATE SET keys = excluded.keys, bytes = excluded.bytes, version = excluded.version";
    let (keys, bytes) = (int(after.keys), int(after.bytes));
    exec(tx.conn, sql, params![tenant.as_bytes(), plugin.as_bytes(), keys, bytes, int(version)])?;
    for write in writes {
        match &write.value {
            Some(value) => {
                let sql = "INSERT INTO state (tenant, plugin, key, version, value) VALUES (?1, ?2, ?3, ?4, ?5)
                    ON CONFLICT (tenant, plugin, key) DO UPDATE SET version = excluded.version, value = excluded.value";
                let values = params![tenant.as_bytes(), plugin.as_bytes(), write.key, int(version), value.as_ref()];
                exec(tx.conn, sql, values)?;
            }
            None => {
                let sql = "DELETE FROM state WHERE tenant = ?1 AND plugin = ?2 AND key = ?3";
                exec(tx.conn, sql, params![tenant.as_bytes(), plugin.as_bytes(), write.key])?;
            }
        }
    }
    Ok(())
}

/// What a plugin holds, and the version of its latest write.
fn total(conn: &Connection, tenant: TenantId, plugin: PluginId) -> Sql<(StateUse, u64)> {
    let sql = "SELECT keys, bytes, version FROM state_total WHERE tenant = ?1 AND plugin = ?2";
    let found = first(conn, sql, params![tenant.as_bytes(), plugin.as_bytes()], |row| {
        Ok((StateUse { keys: count(row, 0)?, bytes: count(row, 1)? }, count(row, 2)?))
    })?;
    Ok(found.unwrap_or_default())
}

fn held(conn: &Connection, tenant: TenantId, plugin: PluginId, key: &str) -> Sql<Option<u64>> {
    first(conn, HELD, params![tenant.as_bytes(), plugin.as_bytes(), key], |row| count(row, 0))
}

fn after(
    conn: &Connection,
    tenant: TenantId,
    plugin: PluginId,
    total: StateUse,
    writes: &[StateWrite],
) -> Sql<StateUse> {
    let held = writes.iter().map(|write| held(conn, tenant, plugin, &write.key)).collect::<Sql<Vec<_>>>()?;
    Ok(total.after(writes.iter().zip(held)))
}

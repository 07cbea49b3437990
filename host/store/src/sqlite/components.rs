//! Components: kept once per tenant and digest, within the tenant's room.
//!
//! When a new one needs place, versions leave that no active deployment uses, those first that were uploaded longest
//! ago. What such a version decided stays on record; to go back to it, it is uploaded again. What is active never leaves.

use std::collections::HashSet;

use bytes::Bytes;
use creel_webhook::id::TenantId;
use creel_webhook::plugin::Digest;
use rusqlite::{Connection, params};

use crate::contract::{NewComponent, StoreError};
use crate::sqlite::statement::{Sql, all, conflict, exec, first};
use crate::sqlite::transaction::Tx;

/// Keeps a component, if there is room for all of it; true when it was not there.
pub(super) fn put(tx: &mut Tx<'_>, new: &NewComponent) -> Sql<bool> {
    let (tenant, digest) = (new.tenant.as_bytes(), new.digest.as_bytes());
    // Whoever uploads it again wants to keep it.
    let known = "UPDATE component SET created_at = max(created_at, ?3) WHERE tenant = ?1 AND digest = ?2";
    if exec(tx.conn, known, params![tenant, digest, new.now.as_millis()])? > 0 {
        return Ok(false);
    }
    make_room(tx, new)?;
    let (used, max) = (tx.used()?, tx.memory.bytes_max);
    if used.saturating_add(new.bytes.len() as u64) > max {
        return Err(StoreError::Full { used, max }.into());
    }
    let sql = "INSERT INTO component (tenant, digest, created_at, bytes) VALUES (?1, ?2, ?3, ?4)";
    let values = params![tenant, digest, new.now.as_millis(), new.bytes.as_ref()];
    conflict(exec(tx.conn, sql, values), || "the tenant of this component is not there".to_owned())?;
    Ok(true)
}

/// A component's bytes.
pub(super) fn read(conn: &Connection, tenant: TenantId, digest: Digest) -> Sql<Option<Bytes>> {
    let sql = "SELECT bytes FROM component WHERE tenant = ?1 AND digest = ?2";
    let bytes = first(conn, sql, params![tenant.as_bytes(), digest.as_bytes()], |row| row.get::<_, Vec<u8>>(0))?;
    Ok(bytes.map(Bytes::from))
}

/// Those of these components that no tenant has.
pub(super) fn strays(conn: &Connection, digests: &[Digest]) -> Sql<Vec<Digest>> {
    let sql = "SELECT digest FROM component UNION SELECT digest FROM deployment";
    let known: HashSet<[u8; 32]> = all(conn, sql, [], |row| row.get(0))?.into_iter().collect();
    Ok(digests.iter().filter(|digest| !known.contains(digest.as_bytes())).copied().collect())
}

fn make_room(tx: &mut Tx<'_>, new: &NewComponent) -> Sql<()> {
    let tenant = new.tenant.as_bytes();
    let sql = "SELECT coalesce(sum(length(bytes)), 0) FROM component WHERE tenant = ?1";
    let mut held = first(tx.conn, sql, [tenant], |row| row.get::<_, i64>(0))?.unwrap_or(0).unsigned_abs();
    let wanted = new.bytes.len() as u64;
    if held.saturating_add(wanted) <= new.room_bytes {
        return Ok(());
    }
    let sql = "SELECT deployment.digest FROM plugin JOIN deployment ON deployment.tenant = plugin.tenant
        AND deployment.plugin = plugin.id AND deployment.number = plugin.active WHERE plugin.tenant = ?1";
    let active: HashSet<Vec<u8>> = all(tx.conn, sql, [tenant], |row| row.get(0))?.into_iter().collect();
    let sql = "SELECT digest, length(bytes) FROM component WHERE tenant = ?1 ORDER BY created_at, rowid";
    let mut oldest: Vec<(Vec<u8>, u64)> =
        all(tx.conn, sql, [tenant], |row| Ok((row.get(0)?, row.get::<_, u32>(1)?.into())))?;
    oldest.retain(|(digest, _)| !active.contains(digest));
    let free: u64 = oldest.iter().map(|(_, bytes)| bytes).sum();
    if held - free + wanted > new.room_bytes {
        let detail = format!(
            "the components of this tenant's active deployments hold {} bytes, this one has {wanted}, and together they \
             may hold {} (`tenant.components_bytes_max`); make them smaller, or ask the operator for more room",
            held - free,
            new.room_bytes
        );
        return Err(StoreError::Conflict(detail).into());
    }
    for (digest, bytes) in oldest {
        if held + wanted <= new.room_bytes {
            break;
        }
        exec(tx.conn, "DELETE FROM component WHERE tenant = ?1 AND digest = ?2", params![tenant, digest])?;
        held -= bytes;
    }
    tx.memory.used = None;
    Ok(())
}

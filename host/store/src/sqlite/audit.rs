//! The audit trail: rows that are written before a deed, get its outcome after, and go by age.

use creel_webhook::clock::Timestamp;
use creel_webhook::id::TenantId;
use creel_webhook::tenant::Role;
use rusqlite::{Connection, Row, params};

use crate::contract::{AuditRow, Deed, Trail};
use crate::sqlite::statement::{Sql, all, count, exec, id, int, time, word};
use crate::sqlite::transaction::Tx;

/// Rows that one step removes.
const STEP_ROWS: i64 = 1_000;

const DAY_MS: u64 = 86_400_000;

/// Writes a deed down.
pub(super) fn begin(tx: &mut Tx<'_>, deed: &Deed) -> Sql<u64> {
    if let Some(tenant) = deed.tenant {
        tx.tenant_is_there(tenant, tx.now(deed.at))?;
    }
    let sql = "INSERT INTO audit (at, tenant, key, key_name, role, what, object, peer)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let values = params![
        tx.now(deed.at).as_millis(),
        deed.tenant.as_ref().map(|tenant| tenant.as_bytes().as_slice()),
        deed.key.as_bytes(),
        deed.key_name,
        deed.role.as_str(),
        deed.what,
        deed.object,
        deed.peer
    ];
    exec(tx.conn, sql, values)?;
    Ok(u64::try_from(tx.conn.last_insert_rowid()).unwrap_or(0))
}

/// Adds its outcome.
pub(super) fn end(tx: &mut Tx<'_>, seq: u64, status: u16) -> Sql<()> {
    exec(tx.conn, "UPDATE audit SET status = ?2 WHERE seq = ?1", params![int(seq), status])?;
    Ok(())
}

/// The trail, newest first.
pub(super) fn list(conn: &Connection, trail: Trail, before: Option<u64>, limit: u32) -> Sql<Vec<AuditRow>> {
    let before = before.map_or(i64::MAX, int);
    let columns = "SELECT seq, at, tenant, key, key_name, role, what, object, peer, status FROM audit";
    match trail {
        Trail::Whole => {
            let sql = format!("{columns} WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2");
            all(conn, &sql, params![before, limit], row)
        }
        Trail::Of(tenant) => {
            let sql = format!("{columns} WHERE tenant = ?3 AND seq < ?1 ORDER BY seq DESC LIMIT ?2");
            all(conn, &sql, params![before, limit, tenant.as_bytes()], row)
        }
    }
}

/// Removes some of what is too old; says whether there may be more.
pub(super) fn prune(tx: &mut Tx<'_>, now: Timestamp) -> Sql<bool> {
    let age_ms = tx.memory.audit_days.saturating_mul(DAY_MS);
    let until = now.as_millis().saturating_sub(int(age_ms));
    let sql = "DELETE FROM audit WHERE seq IN (SELECT seq FROM audit WHERE at < ?1 ORDER BY at LIMIT ?2)";
    Ok(exec(tx.conn, sql, params![until, STEP_ROWS])? as i64 == STEP_ROWS)
}

fn row(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    Ok(AuditRow {
        seq: count(row, 0)?,
        deed: Deed {
            at: time(row, 1)?,
            tenant: row.get::<_, Option<[u8; 16]>>(2)?.map(TenantId::from_bytes),
            key: id(row, 3)?,
            key_name: row.get(4)?,
            role: word(row, 5, Role::from_word)?,
            what: row.get(6)?,
            object: row.get(7)?,
            peer: row.get(8)?,
        },
        status: row.get(9)?,
    })
}

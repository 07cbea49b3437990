//! What runs read from outside of themselves: kept with the latest try, as long as the body of its event.

use creel_webhook::id::{RunId, TenantId};
use creel_webhook::record::Record;
use rusqlite::{Connection, params};

use crate::codec;
use crate::sqlite::statement::{Sql, count, exec, first, packed};

/// Keeps the record of a try, packed, in place of an earlier one's. The first try of a run that read nothing costs nothing.
pub(super) fn put(conn: &Connection, tenant: TenantId, run: RunId, record: Option<&[u8]>, attempts: u32) -> Sql<()> {
    let sql = "INSERT INTO run_record (tenant, run, record) VALUES (?1, ?2, ?3)
        ON CONFLICT (tenant, run) DO UPDATE SET record = excluded.record";
    match record {
        Some(record) => exec(conn, sql, params![tenant.as_bytes(), run.as_bytes(), record]).map(|_| ()),
        None if attempts > 0 => remove(conn, tenant, run).map(|_| ()),
        None => Ok(()),
    }
}

/// The record of a run's latest try.
pub(super) fn read(conn: &Connection, tenant: TenantId, run: RunId) -> Sql<Option<Record>> {
    let sql = "SELECT record FROM run_record WHERE tenant = ?1 AND run = ?2";
    first(conn, sql, params![tenant.as_bytes(), run.as_bytes()], |row| packed(row, 0, codec::record::unpack))
}

/// Removes the record of a run; says how many bytes it had.
pub(super) fn remove(conn: &Connection, tenant: TenantId, run: RunId) -> Sql<usize> {
    let sql = "DELETE FROM run_record WHERE tenant = ?1 AND run = ?2 RETURNING length(record)";
    let removed = first(conn, sql, params![tenant.as_bytes(), run.as_bytes()], |row| count(row, 0))?;
    Ok(removed.map_or(0, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX)))
}

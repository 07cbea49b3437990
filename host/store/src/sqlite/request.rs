//! A request's body, which stands in the request's row and leaves it earlier than the rest.

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use crate::sqlite::statement::{Sql, exec, first};

/// Bytes of a request's body; nothing when it is gone. Reads no byte of it.
pub(super) fn body_len(conn: &Connection, request: i64) -> Sql<Option<usize>> {
    let len = first(conn, "SELECT length(body) FROM request WHERE seq = ?1", [request], |row| row.get(0))?;
    Ok(len.flatten().map(|len: i64| usize::try_from(len).unwrap_or(0)))
}

/// Removes a request's body. An update would leave the row where it is and its page nearly empty; SQLite joins pages
/// that a removal left empty, so the row is taken out and put back.
pub(super) fn remove_body(conn: &Connection, request: i64) -> Sql<()> {
    let sql = "DELETE FROM request WHERE seq = ?1 AND body IS NOT NULL
        RETURNING tenant, id, source, received_at, head, answer, dedup";
    let columns =
        |row: &Row<'_>| (0..7).map(|column| row.get::<_, Value>(column)).collect::<rusqlite::Result<Vec<_>>>();
    if let Some(columns) = first(conn, sql, [request], columns)? {
        let sql = "INSERT INTO request (seq, tenant, id, source, received_at, head, answer, dedup)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        exec(conn, sql, params_from_iter(std::iter::once(Value::Integer(request)).chain(columns)))?;
    }
    Ok(())
}

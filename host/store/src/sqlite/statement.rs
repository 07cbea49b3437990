//! Prepared statements and typed columns: the leaf that every verb of this folder stands on.
//!
//! Statements are kept by the connection's cache, so a verb costs no parsing. Ids are blobs of sixteen bytes, times
//! and counters are `i64`; [`Fault`] carries either what the caller did wrong or what the database said.

use creel_webhook::clock::Timestamp;
use creel_webhook::id::{Id, Kind};
use rusqlite::types::Type;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Params, Row};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::packing::Damaged;
use crate::contract::StoreError;

/// Why a verb's transaction is rolled back.
#[derive(Debug)]
pub(super) enum Fault {
    /// The caller's doing, or a limit.
    Store(StoreError),
    /// The database's.
    Sql(rusqlite::Error),
}

/// What the inside of a verb gives.
pub(super) type Sql<T> = Result<T, Fault>;

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Fault::Sql(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Fault::Store(error)
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Fault::Store(StoreError::Failed(error.to_string()))
    }
}

impl From<Damaged> for Fault {
    fn from(error: Damaged) -> Self {
        Fault::Store(StoreError::Failed(error.to_string()))
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Store(error) => error,
            // Nothing interrupts a statement but a reader's budget of steps.
            Fault::Sql(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
                StoreError::TooWide
            }
            Fault::Sql(error) => StoreError::Failed(error.to_string()),
        }
    }
}

/// Runs a statement that gives no rows; says how many rows it changed.
pub(super) fn exec(conn: &Connection, sql: &str, params: impl Params) -> Sql<usize> {
    Ok(conn.prepare_cached(sql)?.execute(params)?)
}

/// The first row of a query.
pub(super) fn first<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Sql<Option<T>> {
    Ok(conn.prepare_cached(sql)?.query_row(params, read).optional()?)
}

/// All rows of a query.
pub(super) fn all<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Sql<Vec<T>> {
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map(params, read)?;
    Ok(rows.collect::<rusqlite::Result<Vec<T>>>()?)
}

/// Turns a broken UNIQUE, CHECK or FOREIGN KEY into a conflict with this sentence.
pub(super) fn conflict<T>(result: Sql<T>, sentence: impl FnOnce() -> String) -> Sql<T> {
    match result {
        Err(Fault::Sql(error)) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            Err(StoreError::Conflict(sentence()).into())
        }
        other => other,
    }
}

/// A refusal when nothing was changed.
pub(super) fn must_exist(changed: usize, sentence: impl FnOnce() -> String) -> Sql<()> {
    if changed == 0 { Err(StoreError::NotFound(sentence()).into()) } else { Ok(()) }
}

/// An id in a column.
pub(super) fn id<K: Kind>(row: &Row<'_>, column: usize) -> rusqlite::Result<Id<K>> {
    Ok(Id::from_bytes(row.get(column)?))
}

/// A moment in a column.
pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    Ok(Timestamp::from_millis(row.get(column)?))
}

/// A moment that may be absent.
pub(super) fn time_opt(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_millis))
}

/// A counter in a column.
pub(super) fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}

/// A counter for a column.
pub(super) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A JSON column.
pub(super) fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}

/// A JSON column that may be empty.
pub(super) fn json_opt<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>> {
    match row.get_ref(column)?.data_type() {
        Type::Null => Ok(None),
        _ => json(row, column).map(Some),
    }
}

/// A value for a JSON column.
pub(super) fn to_json(value: &impl Serialize) -> Sql<String> {
    Ok(serde_json::to_string(value)?)
}

/// A column that holds a word of a closed list.
pub(super) fn word<T>(row: &Row<'_>, column: usize, read: impl FnOnce(&str) -> Option<T>) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    read(text).ok_or_else(|| damaged(column))
}

/// A column that the codec reads.
pub(super) fn packed<T>(
    row: &Row<'_>,
    column: usize,
    read: impl FnOnce(&[u8]) -> Result<T, Damaged>,
) -> rusqlite::Result<T> {
    read(row.get_ref(column)?.as_blob()?).map_err(|_| damaged(column))
}

fn damaged(column: usize) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, Box::new(Damaged))
}

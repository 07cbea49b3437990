//! A look at a store's file from beside: by a process that does not hold its lock and must change nothing.

use std::path::Path;

use creel_webhook::clock::Timestamp;

use crate::contract::{SecretRow, StoreError, StoreResult};
use crate::sqlite::statement::{Sql, first};
use crate::sqlite::{configuration, schema};

/// What a look found.
#[derive(Debug, Clone)]
pub struct Probe {
    /// Migrations that the file has seen; fewer than [`Probe::newest`] are made up for by the next start.
    pub version: u32,
    /// Migrations that this program knows.
    pub newest: u32,
    /// All secrets, sealed.
    pub secrets: Vec<SecretRow>,
    /// When the newest event came.
    pub last_event_at: Option<Timestamp>,
}

/// Looks at a file; `None` when there is none or it is empty. A host may be at work in it meanwhile.
///
/// # Errors
/// [`StoreError::Failed`] with a sentence when the file is foreign, newer, damaged or cannot be read.
pub fn probe(path: &Path) -> StoreResult<Option<Probe>> {
    if schema::inspect(path)? {
        return Ok(None);
    }
    let looked = look(path).map_err(StoreError::from);
    looked.map(Some).map_err(|error| StoreError::Failed(format!("{} cannot be read: {error}", path.display())))
}

fn look(path: &Path) -> Sql<Probe> {
    let conn = schema::reader(path)?;
    let version: u32 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let newest = schema::MIGRATIONS.len() as u32;
    // An older file may lack columns; what is in it is looked at once it has been migrated.
    if version < newest {
        return Ok(Probe { version, newest, secrets: Vec::new(), last_event_at: None });
    }
    let secrets = configuration::control_read(&conn, 0)?.secrets;
    let sql = "SELECT received_at FROM request ORDER BY seq DESC LIMIT 1";
    let last = first(&conn, sql, [], |row| row.get::<_, i64>(0))?;
    Ok(Probe { version, newest, secrets, last_event_at: last.map(Timestamp::from_millis) })
}

//! The file: whose it is, its version, and how each connection is set up.
//!
//! Whether a file is ours is read from its first hundred bytes ([SQLite's header]) before any connection is opened:
//! a foreign or newer file is refused without a lock, a journal or a changed byte. Migrations only go forward; each is
//! one transaction with its version.
//!
//! [SQLite's header]: https://www.sqlite.org/fileformat2.html#the_database_header

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::contract::StoreError;
use crate::planted::{self, Bug};
use crate::sqlite::statement::Sql;

/// "CREL": the mark of our files.
const APPLICATION_ID: i32 = 0x4352_454c;

/// Migrations in order; the file's version is how many have run.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/0001_first.sql"),
    include_str!("../migrations/0002_followups.sql"),
    include_str!("../migrations/0003_young_keys.sql"),
    include_str!("../migrations/0004_ramps.sql"),
    include_str!("../migrations/0005_passing.sql"),
    include_str!("../migrations/0006_retention.sql"),
    include_str!("../migrations/0007_dead_letters.sql"),
    include_str!("../migrations/0008_waiting.sql"),
    include_str!("../migrations/0009_lacking.sql"),
    include_str!("../migrations/0010_notices.sql"),
    include_str!("../migrations/0011_bodies.sql"),
    include_str!("../migrations/0012_generations.sql"),
    include_str!("../migrations/0013_records.sql"),
    include_str!("../migrations/0014_state.sql"),
    include_str!("../migrations/0015_shares.sql"),
    include_str!("../migrations/0016_roles.sql"),
    include_str!("../migrations/0017_audit.sql"),
    include_str!("../migrations/0018_previous_tokens.sql"),
    include_str!("../migrations/0019_usage.sql"),
    include_str!("../migrations/0020_removal.sql"),
    include_str!("../migrations/0021_breaches.sql"),
    include_str!("../migrations/0022_claims.sql"),
];

/// Statements that each connection keeps prepared.
const STATEMENTS_MAX: usize = 256;

/// Looks at the file's header. `Ok(true)`: it is new.
pub(super) fn inspect(path: &Path) -> Result<bool, StoreError> {
    let refuse = |why: &str| Err(StoreError::Failed(format!("{} {why}", path.display())));
    let mut header = Vec::with_capacity(100);
    match File::open(path) {
        Ok(file) => {
            file.take(100).read_to_end(&mut header).map_err(|error| StoreError::Failed(error.to_string()))?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return refuse(&format!("cannot be read: {error}")),
    }
    if header.is_empty() {
        return Ok(true);
    }
    if header.len() < 100 || !header.starts_with(b"SQLite format 3\0") {
        return refuse("is no SQLite database; nothing was changed");
    }
    check(path, field(&header, 68), field(&header, 60))?;
    Ok(false)
}

fn field(header: &[u8], offset: usize) -> i32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&header[offset..offset + 4]);
    i32::from_be_bytes(bytes)
}

fn check(path: &Path, application: i32, version: i32) -> Result<(), StoreError> {
    let newest = MIGRATIONS.len() as i32;
    let why = if application != APPLICATION_ID {
        format!("belongs to another application (application_id {application:#x}); nothing was changed")
    } else if !(0..=newest).contains(&version) {
        format!(
            "was written by a newer Creel (schema {version}, this one knows {newest}); nothing was changed: \
             run that version, or restore a backup"
        )
    } else {
        return Ok(());
    };
    Err(StoreError::Failed(format!("{} {why}", path.display())))
}

/// A statement is prepared once, and its plan is that of its text, which the tests look at. Without this SQLite prepares many
/// of ours again at each bound value, because another plan might suit the value better: a sixth of the writer's time.
fn keep_plans(conn: &Connection) -> Sql<()> {
    conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// Opens the connection that writes; makes or migrates the file.
pub(super) fn writer(path: &Path, new: bool) -> Sql<Connection> {
    let mut conn = Connection::open(path)?;
    keep_plans(&conn)?;
    if new {
        // Before the first table: neither can be changed later without rewriting the file. Pages of 8 KiB hold three
        // usual bodies of 2 KB; of 4 KiB only one, and half of the page would be written for nothing.
        conn.execute_batch("PRAGMA page_size = 8192; PRAGMA auto_vacuum = INCREMENTAL")?;
    } else {
        // The header may be older than what the write-ahead log holds; until it is checked, leave the log alone.
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        check(path, pragma(&conn, "application_id")?, pragma(&conn, "user_version")?)?;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    }
    let synchronous = if planted::is(Bug::SynchronousOff) { "OFF" } else { "FULL" };
    // What is erased must not be left in the gaps of a page; that costs no write of its own.
    conn.execute_batch(&format!(
        "PRAGMA synchronous = {synchronous}; PRAGMA foreign_keys = ON; PRAGMA secure_delete = FAST"
    ))?;
    migrate(&mut conn)?;
    // The limit is above what the log grows to under load: cutting it there would make every commit after it allocate
    // its blocks again. The writer works at the ends of tables: of 16 MiB of pages the processor's cache keeps the more.
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 134217728;
         PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16384",
    )?;
    // So that the header tells the version even if the log is lost, and nothing rests on a log whose sync may have
    // failed.
    conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
    Ok(conn)
}

/// From here on `flush` syncs behind each commit, and SQLite only where it carries the log over or begins it anew.
pub(super) fn leave_syncs(conn: &Connection) -> Sql<()> {
    if !planted::is(Bug::SynchronousOff) {
        conn.execute_batch("PRAGMA synchronous = NORMAL")?;
    }
    Ok(())
}

fn pragma(conn: &Connection, name: &str) -> rusqlite::Result<i32> {
    conn.pragma_query_value(None, name, |row| row.get(0))
}

fn migrate(conn: &mut Connection) -> Sql<()> {
    let have = usize::try_from(pragma(conn, "user_version")?).unwrap_or(0);
    for (number, sql) in MIGRATIONS.iter().enumerate().skip(have) {
        let transaction = conn.transaction()?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", number as i32 + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Opens a connection that only reads.
pub(super) fn reader(path: &Path) -> Sql<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let conn = Connection::open_with_flags(path, flags)?;
    keep_plans(&conn)?;
    conn.execute_batch("PRAGMA query_only = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8192")?;
    Ok(conn)
}

/// Opens the connection that checkpoints.
pub(super) fn checkpointer(path: &Path) -> Sql<Connection> {
    let conn = Connection::open(path)?;
    conn.execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -1024")?;
    Ok(conn)
}

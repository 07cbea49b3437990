//! Small steps that keep the store in shape: expired dedup keys and secrets, replies past their deadline, what is too
//! old, free pages.
//!
//! A step is bounded, so that it never holds the writer for long; the caller asks again while there is more.

use creel_webhook::clock::Timestamp;
use rusqlite::params;

use crate::sqlite::audit;
use crate::sqlite::reply;
use crate::sqlite::retention;
use crate::sqlite::runs;
use crate::sqlite::statement::{Sql, all, exec, id};
use crate::sqlite::transaction::Tx;

/// Rows that one step removes or ends, per kind.
const STEP_ROWS: i64 = 500;

/// One step. Says whether there is more.
pub(super) fn prune(tx: &mut Tx<'_>, now: Timestamp) -> Sql<bool> {
    let now = tx.now(now);
    let keys = tx.memory.dedup.sweep(tx.conn, now)?;
    let sql = "UPDATE secret SET previous = NULL, previous_until = NULL WHERE previous_until <= ?1";
    let secrets = exec(tx.conn, sql, [now.as_millis()])?;
    let sql = "UPDATE source SET previous_token = NULL, previous_token_until = NULL WHERE previous_token_until <= ?1";
    let tokens = exec(tx.conn, sql, [now.as_millis()])?;
    tx.effects.control |= secrets + tokens > 0;
    let replies = overdue_replies(tx, now)?;
    let aged = retention::step(tx, now)? | audit::prune(tx, now)?;
    Ok(keys || aged || replies as i64 == STEP_ROWS)
}

/// Decides replies that nobody decided in time; what nobody runs ends `unanswered`, what somebody runs will be late.
fn overdue_replies(tx: &mut Tx<'_>, now: Timestamp) -> Sql<usize> {
    let sql = "SELECT tenant, event, run FROM reply WHERE answer IS NULL AND deadline < ?1 ORDER BY deadline LIMIT ?2";
    let overdue =
        all(tx.conn, sql, params![now.as_millis(), STEP_ROWS], |row| Ok((id(row, 0)?, id(row, 1)?, id(row, 2)?)))?;
    for (tenant, event, run) in &overdue {
        reply::decide(tx, *tenant, *event, None, now)?;
        runs::end_unanswered(tx, *tenant, *run, now)?;
    }
    Ok(overdue.len())
}

/// Gives some free pages back.
pub(super) fn shrink(tx: &mut Tx<'_>) -> Sql<()> {
    Ok(tx.give_back_pages()?)
}

/// Writes something, so that the batch's commit has to reach the disk. There and back: SQLite writes no page for a row
/// that is overwritten with itself.
pub(super) fn ping(tx: &mut Tx<'_>) -> Sql<()> {
    exec(tx.conn, "UPDATE host SET boot = boot + 1 WHERE id = 1", [])?;
    exec(tx.conn, "UPDATE host SET boot = boot - 1 WHERE id = 1", [])?;
    Ok(())
}

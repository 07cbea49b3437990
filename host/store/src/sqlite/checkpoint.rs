//! When the write-ahead log is carried over into the main file.
//!
//! A thread with a connection of its own carries over most of it while the writer goes on. Only a log that was carried
//! over to its end begins anew, and under load the writer is always a little ahead; so as soon as the thread has ended its
//! passes, the writer carries over what has come meanwhile, which is little. A log that begins anew is overwritten where
//! it lies: nothing is allocated, and a sync has no new size to store. That is worth more than checkpoints cost.
//!
//! # Syncs of the main file
//!
//! SQLite syncs the main file in the pass that reaches the log's end, and only then. That pass is the writer's, and every
//! sender would wait until the disk has all that the thread has written. So the thread syncs too, through a descriptor of
//! its own. A sync of the log waits for it all the same, since both are one disk's; so the thread does a quarter at a time,
//! and goes over what came during the last once more. The writer's sync has little left. The descriptor is closed
//! behind the connections: a process that closes any descriptor of a file loses its locks on it.
//!
//! A sync of the main file that fails breaks the store like one of the log (`flush`): pages that an earlier pass has written may
//! be missing, and no later pass would write them again. The log must not begin anew; opening it carries all of it over.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::{Connection, ffi};

use crate::sqlite::schema;
use crate::sqlite::statement::Sql;
use crate::sqlite::transaction::Shared;

/// Pages that the log grows before the thread's last pass (8 MiB): with fewer, the writer carries over more often, and a log that
/// is much longer does not stay in the processor's cache until it is overwritten.
const PAGES_SOFT: i32 = 1_024;

/// Pages of the log after which the writer waits for nobody and carries over itself (32 MiB).
const PAGES_HARD: i32 = 4 * PAGES_SOFT;

/// Pages that the log grows before each pass of the thread (2 MiB): with fewer, pages that change often are written more often.
const PAGES_STEP: i32 = PAGES_SOFT / 4;

/// What the thread is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passes {
    /// To carry over what is there.
    One,
    /// To carry over all but what comes meanwhile, which is the writer's.
    Last,
}

const CHECKPOINT: &str = "PRAGMA wal_checkpoint(PASSIVE)";

/// What syncs the main file.
pub(super) type MainSync = Box<dyn Fn() -> io::Result<()> + Send>;

/// The writer's view of log and thread.
pub(super) struct Checkpoints {
    shared: Arc<Shared>,
    thread: Option<(SyncSender<Passes>, JoinHandle<()>)>,
    /// Set when the thread has ended its passes.
    passed: Arc<AtomicBool>,
    /// Pages in the log after the last commit.
    pages: Arc<AtomicI32>,
    /// How long it was when this round began, and when the thread was asked last.
    began_at: i32,
    asked_at: i32,
}

impl Checkpoints {
    /// Starts the thread with its connection and what syncs the main file, and watches how the writer's log grows.
    pub(super) fn start(
        conn: Connection,
        main: Option<MainSync>,
        writer: &mut Connection,
        shared: Arc<Shared>,
    ) -> rusqlite::Result<Checkpoints> {
        let (pages, passed) = (Arc::new(AtomicI32::new(0)), Arc::new(AtomicBool::new(false)));
        let (poke, poked) = sync_channel(1);
        let seen = pages.clone();
        writer.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, now: i32| {
            seen.store(now, Ordering::Relaxed);
            Ok(())
        }))?;
        let carrier = Carrier { conn, main, shared: shared.clone(), passed: passed.clone() };
        let spawned =
            std::thread::Builder::new().name("store-checkpoint".to_owned()).spawn(move || carrier.serve(&poked));
        // Without it the writer does all of it, at the hard bound.
        let thread = spawned.inspect_err(|error| tracing::warn!(%error, "no thread for checkpoints")).ok();
        Ok(Checkpoints { shared, thread: thread.map(|thread| (poke, thread)), passed, pages, began_at: 0, asked_at: 0 })
    }

    /// Looks after the log; called by the writer after each batch.
    pub(super) fn after_batch(&mut self, writer: &Connection) {
        let pages = self.pages.load(Ordering::Relaxed);
        if pages < self.asked_at {
            // The log has begun anew.
            (self.began_at, self.asked_at) = (0, 0);
        }
        if self.passed.swap(false, Ordering::Relaxed) || pages - self.began_at > PAGES_HARD {
            (self.began_at, self.asked_at) = (pages, pages);
            carry(writer, &self.shared);
        } else if pages - self.asked_at > PAGES_STEP
            && let Some((poke, _)) = &self.thread
            // Full means that it has been poked already.
            && poke.try_send(if pages - self.began_at > PAGES_SOFT { Passes::Last } else { Passes::One }).is_ok()
        {
            self.asked_at = pages;
        }
    }

    /// Carries over all that is left, so that the next start has nothing to read back. No reader is waited for: the log
    /// is as durable as the file.
    pub(super) fn at_the_end(&self, writer: &Connection) {
        if self.pages.load(Ordering::Relaxed) > 0 {
            carry(writer, &self.shared);
        }
    }

    /// Ends the thread, behind the writer's connection.
    pub(super) fn end(self) {
        if let Some((poke, thread)) = self.thread {
            drop(poke);
            let _ = thread.join();
        }
    }
}

/// The thread's hands. The connection is closed before the main file is.
struct Carrier {
    conn: Connection,
    main: Option<MainSync>,
    shared: Arc<Shared>,
    passed: Arc<AtomicBool>,
}

impl Carrier {
    fn serve(self, poked: &Receiver<Passes>) {
        while let Ok(passes) = poked.recv() {
            self.pass();
            if passes == Passes::Last {
                // What came during the pass and its sync, a tenth of it.
                self.pass();
                self.passed.store(true, Ordering::Relaxed);
            }
        }
    }

    fn pass(&self) {
        carry(&self.conn, &self.shared);
        self.sync();
    }

    fn sync(&self) {
        if let Some(Err(error)) = self.main.as_ref().map(|sync| sync()) {
            breaks(&self.shared, &error);
        }
    }
}

fn carry(conn: &Connection, shared: &Shared) {
    // What an earlier sync has lost must stay in the log.
    if shared.safety.why_broken().is_some() {
        return;
    }
    match conn.execute_batch(CHECKPOINT) {
        Err(error) if is_of_a_sync(&error) => breaks(shared, &error),
        Err(error) => tracing::warn!(%error, "a checkpoint failed"),
        Ok(()) => {}
    }
}

/// Moves the whole log into the file and cuts it to nothing; says whether nobody was in the way.
pub(super) fn cut_log(path: &Path, shared: &Shared) -> Sql<bool> {
    let conn = schema::checkpointer(path)?;
    // Behind the opening: a descriptor is not told of what failed before it was there.
    if shared.safety.why_broken().is_some() {
        return Ok(false);
    }
    let busy = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    if let Err(error) = &busy
        && is_of_a_sync(error)
    {
        breaks(shared, error);
    }
    Ok(busy? == 0)
}

fn is_of_a_sync(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| error.extended_code == ffi::SQLITE_IOERR_FSYNC)
}

fn breaks(shared: &Shared, error: &dyn std::fmt::Display) {
    let why = format!(
        "the database file could not be synced ({error}); everything that was answered is in the log beside it: look after \
         the disk and start the host again"
    );
    tracing::error!(%error, "the database file could not be synced; the store takes nothing any more");
    shared.safety.breaks(&why);
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;

    /// A database with a table, whose log is watched.
    struct Store {
        _directory: tempfile::TempDir,
        path: PathBuf,
        writer: Connection,
        shared: Arc<Shared>,
        checkpoints: Checkpoints,
    }

    impl Store {
        fn synced_by(main: MainSync) -> Store {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("store.db");
            let mut writer = Connection::open(&path).unwrap();
            let sql = "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (a)";
            writer.execute_batch(sql).unwrap();
            let (shared, own) = (Arc::new(Shared::new(1)), Connection::open(&path).unwrap());
            let checkpoints = Checkpoints::start(own, Some(main), &mut writer, shared.clone()).unwrap();
            Store { _directory: directory, path, writer, shared, checkpoints }
        }
    }

    #[test]
    fn a_sync_of_the_main_file_that_fails_breaks_the_store_and_leaves_the_log() {
        let Store { _directory, path, writer, shared, mut checkpoints } =
            Store::synced_by(Box::new(|| Err(io::Error::other("gone"))));
        checkpoints.thread.as_ref().unwrap().0.send(Passes::Last).unwrap();
        while !checkpoints.passed.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        let why = shared.safety.why_broken().expect("the sync has failed");
        assert!(why.contains("gone") && why.contains("start the host again"), "{why}");
        let before = std::fs::read(&path).unwrap();
        writer.execute_batch("INSERT INTO t VALUES (1)").unwrap();
        checkpoints.after_batch(&writer);
        checkpoints.at_the_end(&writer);
        assert!(!cut_log(&path, &shared).unwrap());
        assert!(std::fs::read(&path).unwrap() == before, "something was carried over");
        drop(writer);
        checkpoints.end();
    }

    #[test]
    fn the_log_is_carried_over_in_steps_and_begins_anew_behind_the_last() {
        let (synced, syncs) = sync_channel(64);
        let Store { _directory, path, writer, mut checkpoints, .. } =
            Store::synced_by(Box::new(move || synced.send(()).map_err(io::Error::other)));
        let grow = |checkpoints: &mut Checkpoints, pages: i32| {
            let page: i32 = writer.pragma_query_value(None, "page_size", |row| row.get(0)).unwrap();
            writer.execute("INSERT INTO t VALUES (zeroblob(?1))", [(pages + 1) * page]).unwrap();
            checkpoints.after_batch(&writer);
            checkpoints.pages.load(Ordering::Relaxed)
        };
        // Whoever reads keeps the log from being carried over to its end, as a writer does that goes on.
        let reader = Connection::open(&path).unwrap();
        let look = "BEGIN; SELECT count(*) FROM t";
        let size = || std::fs::metadata(&path).unwrap().len();
        reader.execute_batch(look).unwrap();
        for step in 1..PAGES_SOFT / PAGES_STEP {
            let before = size();
            grow(&mut checkpoints, PAGES_STEP);
            syncs.recv_timeout(Duration::from_secs(60)).unwrap();
            assert!((size() > before || step == 1) && !checkpoints.passed.load(Ordering::Relaxed), "the round goes on");
            reader.execute_batch(&format!("COMMIT; {look}")).unwrap();
        }
        let longest = grow(&mut checkpoints, PAGES_STEP);
        assert!(longest > PAGES_SOFT);
        while !checkpoints.passed.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        reader.execute_batch("COMMIT").unwrap();
        assert!(grow(&mut checkpoints, 1) > longest, "the writer's own pass is behind its batch");
        assert!(grow(&mut checkpoints, 1) < PAGES_STEP, "it has begun anew");
        drop(writer);
        checkpoints.end();
    }

    #[test]
    fn only_a_failed_sync_is_one() {
        let error = |code| rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        assert!(is_of_a_sync(&error(ffi::SQLITE_IOERR_FSYNC)));
        assert!(!is_of_a_sync(&error(ffi::SQLITE_IOERR_WRITE)) && !is_of_a_sync(&error(ffi::SQLITE_FULL)));
    }
}

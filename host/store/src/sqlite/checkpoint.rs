//! When the write-ahead log is carried over into the main file.
//!
//! A thread with a connection of its own carries over most of it while the writer goes on. Only a log that was carried
//! over to its end begins anew, and under load the writer is always a little ahead; so as soon as the thread has ended a
//! pass, the writer carries over what has come meanwhile, which is little. A log that begins anew is overwritten where
//! it lies: nothing is allocated, and a sync has no new size to store. That is worth more than checkpoints cost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use rusqlite::Connection;

/// Pages that the log grows before the thread is poked (16 MiB): less would write a page that changes often more often.
const PAGES_SOFT: i32 = 2_048;

/// Pages of the log after which the writer waits for nobody and carries over itself (64 MiB).
const PAGES_HARD: i32 = 4 * PAGES_SOFT;

const CHECKPOINT: &str = "PRAGMA wal_checkpoint(PASSIVE)";

/// The writer's view of log and thread; the thread ends with it.
pub(super) struct Checkpoints {
    poke: SyncSender<()>,
    /// Set when the thread has ended a pass.
    passed: Arc<AtomicBool>,
    /// Pages in the log after the last commit.
    pages: Arc<AtomicI32>,
    asked_at: i32,
}

impl Checkpoints {
    /// Starts the thread with its connection, and watches how the writer's log grows.
    pub(super) fn start(conn: Connection, writer: &mut Connection) -> rusqlite::Result<Checkpoints> {
        let (pages, passed) = (Arc::new(AtomicI32::new(0)), Arc::new(AtomicBool::new(false)));
        let (poke, poked) = sync_channel(1);
        let (seen, ended) = (pages.clone(), passed.clone());
        writer.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, now: i32| {
            seen.store(now, Ordering::Relaxed);
            Ok(())
        }))?;
        let spawned =
            std::thread::Builder::new().name("store-checkpoint".to_owned()).spawn(move || run(&conn, &poked, &ended));
        if let Err(error) = spawned {
            // The writer does all of it, at the hard bound.
            tracing::warn!(%error, "no thread for checkpoints");
        }
        Ok(Checkpoints { poke, passed, pages, asked_at: 0 })
    }

    /// Looks after the log; called by the writer after each batch.
    pub(super) fn after_batch(&mut self, writer: &Connection) {
        let pages = self.pages.load(Ordering::Relaxed);
        if pages < self.asked_at {
            // The log has begun anew.
            self.asked_at = 0;
        }
        if self.passed.swap(false, Ordering::Relaxed) || pages - self.asked_at > PAGES_HARD {
            self.asked_at = pages;
            carry(writer);
        } else if pages - self.asked_at > PAGES_SOFT {
            // Full means that it has been poked already.
            if self.poke.try_send(()).is_ok() {
                self.asked_at = pages;
            }
        }
    }

    /// Carries over all that is left, so that the next start has nothing to read back. No reader is waited for: the log
    /// is as durable as the file.
    pub(super) fn at_the_end(&self, writer: &Connection) {
        if self.pages.load(Ordering::Relaxed) > 0 {
            carry(writer);
        }
    }
}

fn run(conn: &Connection, poked: &Receiver<()>, passed: &AtomicBool) {
    while poked.recv().is_ok() {
        carry(conn);
        passed.store(true, Ordering::Relaxed);
    }
}

fn carry(conn: &Connection) {
    if let Err(error) = conn.execute_batch(CHECKPOINT) {
        tracing::warn!(%error, "a checkpoint failed");
    }
}

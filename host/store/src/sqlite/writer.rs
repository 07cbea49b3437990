//! The one thread that writes.
//!
//! Verbs queue boxed items through a channel that is bounded in items and in bytes. The thread takes what has queued
//! (at most [`BATCH_ITEMS_MAX`]), begins one transaction, runs each item inside a savepoint, and commits once: the
//! batch is what arrived while the batch before was being synced, so it grows with the load and one fsync serves all.
//! Only then are the callers answered, and only then are the wake-ups raised.
//!
//! # No answer before the commit
//!
//! [`Item::finish`] is the only way to a caller, and the only success it takes is a [`Committed`], which is made in
//! one place: after `COMMIT` returned.
//!
//! # What can fail
//!
//! An item that fails is rolled back to its savepoint and gets its own error; the others never notice. A commit that
//! fails, or an error after which SQLite has ended the transaction by itself (a full disk), fails every item.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::contract::{StoreError, StoreResult};
use crate::planted::{self, Bug};
use crate::sqlite::statement::{Fault, Sql, exec};
use crate::sqlite::transaction::{Effects, Memory, Shared, Tx};

/// Items in one transaction: beyond it one fsync more costs less than making the first wait.
const BATCH_ITEMS_MAX: usize = 512;

/// Items that may wait for the writer; callers beyond it wait for a place.
const QUEUE_ITEMS_MAX: usize = 4_096;

/// KiB that may wait for the writer in all: a queue of large bodies must not fill the memory.
const QUEUE_KIB_MAX: u32 = 64 * 1_024;

/// Pages that the write-ahead log grows between two pokes of the checkpoint thread (16 MiB): fewer checkpoints write a
/// page that changes often less often, and their syncs contend less with the commits'.
const WAL_PAGES_SOFT: i32 = 4_096;

/// Pages after which the writer itself stops to checkpoint, so that the log can begin anew (132 MiB). A quarter of
/// [`WAL_PAGES_SOFT`] after a poke: the checkpoint thread has done most of it, and the pause is short.
const WAL_PAGES_HARD: i32 = 33 * WAL_PAGES_SOFT / 4;

/// Proof that a batch is on disk.
#[derive(Debug, Clone, Copy)]
struct Committed(());

/// A verb on its way.
trait Item: Send {
    /// Runs it; says whether its savepoint may be released.
    fn run(&mut self, tx: &mut Tx<'_>) -> bool;
    /// Answers the caller.
    fn finish(self: Box<Self>, batch: Result<Committed, &str>);
}

struct Verb<T, F> {
    work: Option<F>,
    result: Option<StoreResult<T>>,
    caller: oneshot::Sender<StoreResult<T>>,
    _bytes: OwnedSemaphorePermit,
}

impl<T: Send, F: FnOnce(&mut Tx<'_>) -> Sql<T> + Send> Item for Verb<T, F> {
    fn run(&mut self, tx: &mut Tx<'_>) -> bool {
        let Some(work) = self.work.take() else { return false };
        let result = catch_unwind(AssertUnwindSafe(|| work(tx)))
            .unwrap_or_else(|_| Err(Fault::Store(StoreError::Failed("a verb panicked".to_owned()))));
        let good = result.is_ok();
        self.result = Some(result.map_err(StoreError::from));
        good
    }

    fn finish(self: Box<Self>, batch: Result<Committed, &str>) {
        let result = match (batch, self.result) {
            // An item's own error stands whatever became of the batch: nothing of it was stored.
            (_, Some(Err(error))) => Err(error),
            (Ok(Committed(())), Some(Ok(value))) => Ok(value),
            (Ok(Committed(())), None) => Err(StoreError::Closed),
            (Err(why), _) => Err(StoreError::Failed(why.to_owned())),
        };
        // A caller that went away has no use for the answer; what it asked for is done all the same.
        let _ = self.caller.send(result);
    }
}

/// The callers' side of the writer.
pub(super) struct Writer {
    queue: mpsc::Sender<Box<dyn Item>>,
    bytes: Arc<Semaphore>,
    thread: std::sync::Mutex<Option<JoinHandle<()>>>,
    closing: std::sync::atomic::AtomicBool,
}

impl Writer {
    /// Starts the thread. `checkpoint` is poked when the write-ahead log has grown.
    pub(super) fn start(
        mut conn: Connection,
        memory: Memory,
        shared: Arc<Shared>,
        checkpoint: SyncSender<()>,
    ) -> StoreResult<Writer> {
        let failed = |error: &dyn std::fmt::Display| StoreError::Failed(error.to_string());
        let pages = Arc::new(AtomicI32::new(0));
        let seen = pages.clone();
        conn.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, now: i32| {
            seen.store(now, Ordering::Relaxed);
            Ok(())
        }))
        .map_err(|error| failed(&error))?;
        let (queue, items) = mpsc::channel(QUEUE_ITEMS_MAX);
        let bug = planted::selected();
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || {
                planted::plant(bug);
                Thread { conn, memory, shared, pages, poked_at: 0, checkpoint }.run(items);
            })
            .map_err(|error| failed(&error))?;
        Ok(Writer {
            queue,
            bytes: Arc::new(Semaphore::new(QUEUE_KIB_MAX as usize)),
            thread: std::sync::Mutex::new(Some(thread)),
            closing: std::sync::atomic::AtomicBool::new(false),
        })
    }

    /// Queues a verb that carries `bytes` of data, and waits until its batch has been committed.
    pub(super) async fn call<T, F>(&self, bytes: usize, work: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Sql<T> + Send + 'static,
    {
        if self.closing.load(Ordering::SeqCst) {
            return Err(StoreError::Closed);
        }
        let kib = u32::try_from(bytes / 1_024 + 1).unwrap_or(QUEUE_KIB_MAX).min(QUEUE_KIB_MAX);
        let permit = self.bytes.clone().acquire_many_owned(kib).await.map_err(|_| StoreError::Closed)?;
        let (caller, answer) = oneshot::channel();
        let verb = Verb { work: Some(work), result: None, caller, _bytes: permit };
        self.queue.send(Box::new(verb)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Commits what is queued, then ends the thread.
    pub(super) async fn close(&self) -> StoreResult<()> {
        if self.closing.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        let (caller, answer) = oneshot::channel();
        self.queue.send(Box::new(Stop { caller })).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?;
        self.bytes.close();
        let thread = self.thread.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
        Ok(())
    }
}

/// The last item: behind it nothing is queued any more.
struct Stop {
    caller: oneshot::Sender<()>,
}

impl Item for Stop {
    fn run(&mut self, tx: &mut Tx<'_>) -> bool {
        tx.memory.stopping = true;
        true
    }

    fn finish(self: Box<Self>, _: Result<Committed, &str>) {
        let _ = self.caller.send(());
    }
}

struct Thread {
    conn: Connection,
    memory: Memory,
    shared: Arc<Shared>,
    pages: Arc<AtomicI32>,
    poked_at: i32,
    checkpoint: SyncSender<()>,
}

impl Thread {
    fn run(mut self, mut items: mpsc::Receiver<Box<dyn Item>>) {
        let mut batch = Vec::with_capacity(BATCH_ITEMS_MAX);
        while items.blocking_recv_many(&mut batch, BATCH_ITEMS_MAX) > 0 {
            if self.memory.stopping {
                // Behind the stop: dropping an item tells its caller that the store is closed.
                batch.clear();
                continue;
            }
            self.write(&mut batch);
            if self.memory.stopping {
                items.close();
            }
            self.checkpoint();
        }
    }

    fn write(&mut self, batch: &mut Vec<Box<dyn Item>>) {
        self.memory.used = None;
        match self.transaction(batch) {
            Ok((committed, effects)) => {
                // Before the callers hear of it, so that whoever was answered reads the new version.
                self.shared.advance(effects);
                batch.drain(..).for_each(|item| item.finish(Ok(committed)));
                self.shared.raise(effects);
            }
            Err(fault) => {
                let why = StoreError::from(fault).to_string();
                tracing::error!(error = %why, items = batch.len(), "a batch was not committed");
                if !self.conn.is_autocommit() {
                    let _ = self.conn.execute_batch("ROLLBACK");
                }
                batch.drain(..).for_each(|item| item.finish(Err(&why)));
            }
        }
    }

    fn transaction(&mut self, batch: &mut Vec<Box<dyn Item>>) -> Sql<(Committed, Effects)> {
        exec(&self.conn, "BEGIN IMMEDIATE", [])?;
        let mut effects = Effects::default();
        for item in batch.iter_mut() {
            exec(&self.conn, "SAVEPOINT item", [])?;
            let mut tx =
                Tx { conn: &self.conn, memory: &mut self.memory, shared: &self.shared, effects: Effects::default() };
            if item.run(&mut tx) {
                effects = effects.and(tx.effects);
            } else if self.conn.is_autocommit() {
                return Err(StoreError::Failed("the database ended the transaction".to_owned()).into());
            } else if !planted::is(Bug::SavepointKept) {
                exec(&self.conn, "ROLLBACK TO item", [])?;
            }
            exec(&self.conn, "RELEASE item", [])?;
        }
        if planted::is(Bug::AnswerBeforeCommit) {
            batch.drain(..).for_each(|item| item.finish(Ok(Committed(()))));
        }
        exec(&self.conn, "COMMIT", [])?;
        Ok((Committed(()), effects))
    }

    fn checkpoint(&mut self) {
        let pages = self.pages.load(Ordering::Relaxed);
        if pages < self.poked_at {
            // The log has begun anew.
            self.poked_at = 0;
        }
        if pages > WAL_PAGES_HARD {
            if let Err(error) = self.conn.execute_batch("PRAGMA wal_checkpoint(PASSIVE)") {
                tracing::warn!(%error, pages, "the writer's checkpoint failed");
            }
            self.pages.store(0, Ordering::Relaxed);
        } else if pages - self.poked_at > WAL_PAGES_SOFT {
            self.poked_at = pages;
            // Full means that it has been poked already.
            let _ = self.checkpoint.try_send(());
        }
    }
}

//! The one thread that writes.
//!
//! Verbs queue boxed items through a channel that is bounded in items and in bytes. The thread takes what has queued
//! (at most [`BATCH_ITEMS_MAX`]), begins one transaction, runs each item, and commits once: the batch is what arrived
//! while the batch before was being written, so it grows with the load. Then `flush` makes the commit safe, beside the
//! next batch if there is one. Only then are the callers answered, and only then are the wake-ups raised.
//!
//! # No answer before the commit
//!
//! [`Item::finish`] is the only way to a caller, and the only success it takes is a `Committed`, which is made in one
//! place: behind a sync that followed the commit.
//!
//! # What can fail
//!
//! An item that fails gets its own error; the others never notice. Nearly every item that fails has written nothing, and
//! then there is nothing to undo. If one has, the whole batch is rolled back and its items run once more, each in a
//! savepoint of its own: a savepoint copies every page that an item changes, so it is for the bad day only. A commit
//! that fails, or an error after which SQLite has ended the transaction by itself (a full disk), fails every item.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::contract::{StoreError, StoreResult};
use crate::planted::{self, Bug};
use crate::sqlite::arrivals::Arrivals;
use crate::sqlite::checkpoint::Checkpoints;
use crate::sqlite::flush::{Batch, Flusher};
use crate::sqlite::lanes::{self, Work};
use crate::sqlite::safety::Committed;
use crate::sqlite::statement::{Fault, Sql, exec};
use crate::sqlite::transaction::{Effects, Memory, Shared, Tx};
use crate::sqlite::usage;
use crate::sqlite::verb::{Claim, Item, Stop, Verb};
use crate::sqlite::waiters::Waiters;

/// Items in one transaction. Whoever is answered sends the next, so a batch of all that wait would leave nothing to do
/// while it is written, and the writer nothing afterwards; of this many the disk has about one a millisecond to sync.
const BATCH_ITEMS_MAX: usize = 128;

/// Items that may wait for the writer; callers beyond it wait for a place.
const QUEUE_ITEMS_MAX: usize = 4_096;

/// KiB that may wait for the writer in all: a queue of large bodies must not fill the memory.
const QUEUE_KIB_MAX: u32 = 64 * 1_024;

/// The callers' side of the writer.
pub(super) struct Writer {
    queue: mpsc::Sender<Box<dyn Item>>,
    bytes: Arc<Semaphore>,
    thread: std::sync::Mutex<Option<JoinHandle<()>>>,
    closing: std::sync::atomic::AtomicBool,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(
        conn: Connection,
        memory: Memory,
        shared: Arc<Shared>,
        checkpoints: Checkpoints,
        flusher: Flusher,
    ) -> StoreResult<Writer> {
        let (queue, items) = mpsc::channel(QUEUE_ITEMS_MAX);
        let bug = planted::selected();
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || {
                planted::plant(bug);
                Thread { conn, memory, shared, checkpoints, flusher, waiters: Waiters::default() }.run(items);
            })
            .map_err(|error| StoreError::Failed(error.to_string()))?;
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
        F: Fn(&mut Tx<'_>) -> Sql<T> + Send + 'static,
    {
        self.queue(bytes, false, work).await
    }

    /// The same for a verb that only adds to what lanes and turns hold, and does so by way of the arrivals.
    pub(super) async fn arrive<T, F>(&self, bytes: usize, work: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: Fn(&mut Tx<'_>) -> Sql<T> + Send + 'static,
    {
        self.queue(bytes, true, work).await
    }

    /// Queues a claim that waits; `None` when it was recalled, or another took its place, before there was anything.
    ///
    /// Whoever stops waiting may lose a claim: recall it first.
    pub(super) async fn wait<T, F>(&self, work: Work, claim: F) -> StoreResult<Option<T>>
    where
        T: Send + 'static,
        F: Fn(&mut Tx<'_>) -> Sql<Option<T>> + Send + 'static,
    {
        if self.closing.load(Ordering::SeqCst) {
            return Err(StoreError::Closed);
        }
        let (caller, answer) = oneshot::channel();
        let runtime = Handle::try_current().ok();
        let claim = Claim { work, claim, result: Ok(None), caller, runtime };
        self.queue.send(Box::new(claim)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    async fn queue<T, F>(&self, bytes: usize, arrives: bool, work: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: Fn(&mut Tx<'_>) -> Sql<T> + Send + 'static,
    {
        if self.closing.load(Ordering::SeqCst) {
            return Err(StoreError::Closed);
        }
        let kib = u32::try_from(bytes / 1_024 + 1).unwrap_or(QUEUE_KIB_MAX).min(QUEUE_KIB_MAX);
        let permit = self.bytes.clone().acquire_many_owned(kib).await.map_err(|_| StoreError::Closed)?;
        let (caller, answer) = oneshot::channel();
        let runtime = Handle::try_current().ok();
        let verb = Verb { work, arrives, result: None, caller, runtime, _bytes: permit };
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

struct Thread {
    conn: Connection,
    memory: Memory,
    shared: Arc<Shared>,
    checkpoints: Checkpoints,
    flusher: Flusher,
    waiters: Waiters,
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
            self.write(&mut batch, &items);
            if self.memory.stopping {
                items.close();
            }
            if self.shared.safety.why_broken().is_none() {
                self.checkpoints.after_batch(&self.conn);
            }
        }
        let Thread { conn, shared, checkpoints, flusher, .. } = self;
        let layered = flusher.is_layered();
        flusher.close();
        if shared.safety.why_broken().is_none() {
            checkpoints.at_the_end(&conn);
        }
        if shared.safety.why_broken().is_none() || layered {
            drop(conn);
        } else {
            // Closing the last connection carries the log over unread; opening it checks every frame.
            std::mem::forget(conn);
        }
        checkpoints.end();
    }

    fn write(&mut self, items: &mut Vec<Box<dyn Item>>, behind: &mpsc::Receiver<Box<dyn Item>>) {
        if let Some(why) = self.shared.safety.why_broken() {
            self.memory.stopping |= items.iter_mut().any(|item| item.stops());
            items.drain(..).chain(self.waiters.dismiss()).for_each(|item| item.finish(Err(&why)));
            return;
        }
        let replaced = self.waiters.park(items);
        self.memory.batch_begins(u64::from(QUEUE_KIB_MAX) * 1_024);
        let before = self.conn.total_changes();
        let number = self.shared.safety.appears();
        let (mut items, effects) = match self.transaction(items) {
            Ok(effects) => {
                self.memory.committed();
                // Before the callers hear of it, so that whoever is answered reads the new version.
                self.shared.advance(effects);
                (std::mem::replace(items, Vec::with_capacity(BATCH_ITEMS_MAX)), effects)
            }
            Err(fault) => {
                let why = StoreError::from(fault).to_string();
                tracing::error!(error = %why, items = items.len(), "a batch was not committed");
                self.roll_back();
                // Whoever waits may have been recalled by it, and is recalled once.
                items.drain(..).chain(self.waiters.dismiss()).for_each(|item| item.finish(Err(&why)));
                (Vec::new(), Effects::default())
            }
        };
        items.extend(replaced);
        let changes = self.conn.total_changes() - before;
        let wrote = self.memory.shrunk || changes != effects.fleeting;
        self.flusher.take(Batch { number, wrote, items, effects }, behind.is_empty());
    }

    fn transaction(&mut self, batch: &mut Vec<Box<dyn Item>>) -> Sql<Effects> {
        exec(&self.conn, "BEGIN IMMEDIATE", [])?;
        let effects = match self.together(batch)? {
            Some(effects) => effects,
            None => {
                self.roll_back();
                exec(&self.conn, "BEGIN IMMEDIATE", [])?;
                self.apart(batch)?
            }
        };
        let effects = effects.and(self.write_arrivals()?).and(self.write_use()?);
        let effects = effects.and(self.claim_for_waiters(effects, batch)?);
        self.memory.dedup.merge(&self.conn, self.shared.latest())?;
        if let Some(lie) = Committed::claimed_falsely() {
            batch.drain(..).for_each(|item| item.finish(Ok(lie)));
        }
        exec(&self.conn, "COMMIT", [])?;
        Ok(effects)
    }

    /// Runs all items; nothing if one of them failed after it had written, or a row could not be written.
    fn together(&mut self, batch: &mut [Box<dyn Item>]) -> Sql<Option<Effects>> {
        let mut effects = Effects::default();
        for item in batch {
            if !item.arrives() {
                if !self.write_inserts()? {
                    return Ok(None);
                }
                effects = effects.and(self.write_arrivals()?);
            }
            let (written, mark) = (self.conn.total_changes(), self.memory.inserts.mark());
            let (good, raised) = self.run_item(item.as_mut())?;
            if good {
                effects = effects.and(raised);
            } else if self.conn.total_changes() != written && !planted::is(Bug::SavepointKept) {
                return Ok(None);
            } else {
                self.memory.inserts.undo_to(mark);
            }
            if self.memory.inserts.have_failed() && !planted::is(Bug::SavepointKept) {
                return Ok(None);
            }
        }
        Ok(self.write_inserts()?.then_some(effects))
    }

    /// Runs each item in a savepoint of its own.
    fn apart(&mut self, batch: &mut [Box<dyn Item>]) -> Sql<Effects> {
        let mut effects = Effects::default();
        for item in batch {
            effects = effects.and(self.alone(item.as_mut())?);
        }
        Ok(effects)
    }

    /// Runs an item in a savepoint of its own: when it fails, nothing of it stays.
    fn alone(&mut self, item: &mut dyn Item) -> Sql<Effects> {
        let mut effects = Effects::default();
        exec(&self.conn, "SAVEPOINT item", [])?;
        let mark = self.memory.dedup.mark();
        self.memory.inserts.set_at_once(true);
        let (good, raised) = self.run_item(item)?;
        self.memory.inserts.set_at_once(false);
        if good {
            effects = raised.and(self.write_arrivals()?).and(self.write_use()?);
        } else {
            self.memory.dedup.undo_to(mark);
            self.memory.arrivals = Arrivals::default();
            self.memory.forget_use();
            exec(&self.conn, "ROLLBACK TO item", [])?;
        }
        exec(&self.conn, "RELEASE item", [])?;
        Ok(effects)
    }

    /// Tries the claims that wait, and adds those that are answered to the batch.
    fn claim_for_waiters(&mut self, raised: Effects, batch: &mut Vec<Box<dyn Item>>) -> Sql<Effects> {
        let mut effects = Effects::default();
        // What ends by a claim may make work of the other kind, and runs were asked for first.
        for work in [Work::Runs, Work::Deliveries, Work::Runs] {
            let seen = raised.and(effects);
            let Some(mut item) = self.waiters.next(work, seen) else { continue };
            let own = match self.alone(item.as_mut()) {
                Ok(own) => own,
                Err(fault) => {
                    batch.push(item);
                    return Err(fault);
                }
            };
            effects = effects.and(own);
            if item.has_found() || seen.recalled || seen.of(work) || own.of(work) {
                batch.push(item);
            } else {
                self.waiters.keep(work, item);
            }
        }
        Ok(effects)
    }

    fn run_item(&mut self, item: &mut dyn Item) -> Sql<(bool, Effects)> {
        let mut tx = self.tx();
        let good = item.run(&mut tx);
        let effects = tx.effects;
        if !good && self.conn.is_autocommit() {
            return Err(ended());
        }
        if effects.control {
            self.memory.arrivals.forget_places();
            self.memory.reconfigured = true;
        }
        Ok((good, effects))
    }

    /// Writes the rows of accepts; says whether all of them could be written.
    fn write_inserts(&mut self) -> Sql<bool> {
        match self.memory.inserts.write(&self.conn) {
            Err(_) if self.conn.is_autocommit() => Err(ended()),
            written => Ok(written.is_ok() || planted::is(Bug::SavepointKept)),
        }
    }

    fn write_arrivals(&mut self) -> Sql<Effects> {
        let mut tx = self.tx();
        lanes::write_arrivals(&mut tx)?;
        Ok(tx.effects)
    }

    fn write_use(&mut self) -> Sql<Effects> {
        let mut tx = self.tx();
        usage::write(&mut tx)?;
        Ok(tx.effects)
    }

    fn tx(&mut self) -> Tx<'_> {
        Tx { conn: &self.conn, memory: &mut self.memory, shared: &self.shared, effects: Effects::default() }
    }

    fn roll_back(&mut self) {
        if !self.conn.is_autocommit() {
            let _ = self.conn.execute_batch("ROLLBACK");
        }
        self.memory.rolled_back();
    }
}

/// As it does by itself when the disk is full.
fn ended() -> Fault {
    StoreError::Failed("the database ended the transaction".to_owned()).into()
}

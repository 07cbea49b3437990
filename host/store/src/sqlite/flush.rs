//! When a commit is safe.
//!
//! A commit appends to the write-ahead log, and is safe once the log has been synced. SQLite can do that within
//! `COMMIT` (`synchronous = FULL`), but then the writer waits for the disk while the next batch waits for the writer.
//! So commits leave it out (`NORMAL`: SQLite itself syncs before it carries the log over and when the log begins anew),
//! and the log is synced here: by the writer when nothing else is queued, else by a thread beside it, while it runs the
//! next batch. Batches that pile up meanwhile share one sync. A batch that has written nothing, or nothing but claims, needs
//! none once everything before it is safe: nobody misses a claim after a power cut, because opening gives all of them back.
//!
//! Nobody is answered before: a `Committed` is made by a sync that succeeded, and else only where there is nothing to
//! sync. What a batch reads
//! may not be safe yet, but its own sync comes later than the log's frames that it read, and makes them safe too: after
//! a cut the log counts up to the first frame whose checksum is wrong. Those who read beside the writer and tell
//! somebody outside what they saw wait for `Safety::of_what_was_seen`.
//!
//! # A sync that fails
//!
//! Nobody knows what is on the disk then, and no later sync tells: systems take a page that could not be written for
//! written ([Rebello et al., "Can Applications Recover from fsync Failures?"]). So the store is broken from there on:
//! every caller is told, `Safety::broken` completes and the host ends. Opening checks the log frame by frame and
//! carries it over before it accepts anything.
//!
//! [Rebello et al., "Can Applications Recover from fsync Failures?"]: https://www.usenix.org/conference/atc20/presentation/rebello

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::contract::{StoreError, StoreResult};
use crate::planted::{self, Bug};
use crate::sqlite::checkpoint::MainSync;
use crate::sqlite::safety::Committed;
use crate::sqlite::transaction::{Effects, Shared};
use crate::sqlite::verb::{Item, answer};

/// Batches that may wait for the thread: when the disk is behind, batches grow instead.
const WAITING_MAX: usize = 1;

/// What makes the log safe.
#[derive(Clone, Default)]
pub enum LogSync {
    /// fdatasync of the file, by a thread when there is more to do.
    #[default]
    File,
    /// What a file layer of one's own does, always on the writer's thread: its operations come in one order. Once it has failed
    /// the layer writes nothing any more.
    Layer(Arc<dyn Fn() -> io::Result<()> + Send + Sync>),
}

impl std::fmt::Debug for LogSync {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            LogSync::File => "File",
            LogSync::Layer(_) => "Layer",
        })
    }
}

impl LogSync {
    /// What syncs the database at `path` itself besides SQLite; nothing when its operations come in one order.
    pub(super) fn of_the_main_file(&self, path: &Path) -> StoreResult<Option<MainSync>> {
        match self {
            LogSync::Layer(_) => Ok(None),
            LogSync::File => match File::open(path) {
                Ok(file) => Ok(Some(Box::new(move || file.sync_data()))),
                Err(error) => Err(StoreError::Failed(format!("{} cannot be synced: {error}", path.display()))),
            },
        }
    }
}

/// A batch behind its commit.
pub(super) struct Batch {
    /// What `Safety::appears` gave.
    pub(super) number: u64,
    /// Whether the log has grown by what must not be lost.
    pub(super) wrote: bool,
    /// Its callers.
    pub(super) items: Vec<Box<dyn Item>>,
    /// What is raised when it is safe.
    pub(super) effects: Effects,
}

/// The writer's hand on the log's syncs; the thread ends with it.
pub(super) struct Flusher {
    desk: Desk,
    hands: Option<(SyncSender<Batch>, JoinHandle<()>)>,
    kept: Vec<Batch>,
}

/// Syncs and answers.
#[derive(Clone)]
struct Desk {
    sync: Arc<dyn Fn() -> io::Result<()> + Send + Sync>,
    shared: Arc<Shared>,
}

impl Flusher {
    /// Begins; the log of the database at `path` is there.
    pub(super) fn start(log: &LogSync, path: &Path, shared: Arc<Shared>) -> StoreResult<Flusher> {
        let failed = |error: io::Error| StoreError::Failed(format!("the write-ahead log cannot be synced: {error}"));
        match log {
            LogSync::Layer(sync) => {
                Ok(Flusher { desk: Desk { sync: sync.clone(), shared }, hands: None, kept: Vec::new() })
            }
            LogSync::File => {
                let mut name = path.as_os_str().to_owned();
                name.push("-wal");
                let file = File::open(Path::new(&name)).map_err(failed)?;
                let desk = Desk { sync: Arc::new(move || file.sync_data()), shared };
                let (hand, handed) = sync_channel(WAITING_MAX);
                let (bug, own) = (planted::selected(), desk.clone());
                let thread = std::thread::Builder::new()
                    .name("store-sync".to_owned())
                    .spawn(move || {
                        planted::plant(bug);
                        own.serve(&handed);
                    })
                    .map_err(failed)?;
                Ok(Flusher { desk, hands: Some((hand, thread)), kept: Vec::new() })
            }
        }
    }

    /// Takes a committed batch; `idle` says that nothing else is to be done.
    pub(super) fn take(&mut self, batch: Batch, idle: bool) {
        if !batch.wrote
            && let Some(committed) = self.desk.shared.safety.covers(batch.number)
        {
            return self.desk.told(batch, committed);
        }
        self.kept.push(batch);
        match &self.hands {
            Some((hand, _)) if !idle => {
                for batch in self.kept.drain(..) {
                    // The thread ends behind this hand only.
                    let _ = hand.send(batch);
                }
            }
            _ if idle => self.desk.finish(&mut self.kept),
            _ => {}
        }
    }

    /// Whether the files are those of a layer of one's own, which takes nothing any more once a sync has failed: who has it may
    /// close a broken database.
    pub(super) fn is_layered(&self) -> bool {
        self.hands.is_none()
    }

    /// Makes everything safe and ends.
    pub(super) fn close(mut self) {
        self.desk.finish(&mut self.kept);
        if let Some((hand, thread)) = self.hands.take() {
            drop(hand);
            let _ = thread.join();
        }
    }
}

impl Desk {
    fn serve(&self, handed: &Receiver<Batch>) {
        let mut batches = Vec::new();
        while let Ok(first) = handed.recv() {
            batches.push(first);
            batches.extend(handed.try_iter());
            self.finish(&mut batches);
        }
    }

    /// One sync, then all answers.
    fn finish(&self, batches: &mut Vec<Batch>) {
        if batches.is_empty() {
            return;
        }
        let safety = &self.shared.safety;
        let synced = match safety.why_broken() {
            Some(why) => Err(why),
            None => self.sync().map_err(|error| {
                let why = format!(
                    "the write-ahead log could not be synced ({error}); what is safe is only known when the store is \
                     opened anew: look after the disk and start the host again"
                );
                tracing::error!(%error, "the log could not be synced; the store takes nothing any more");
                safety.breaks(&why);
                why
            }),
        };
        for batch in batches.drain(..) {
            match &synced {
                Ok(committed) => self.told(batch, *committed),
                Err(why) => batch.items.into_iter().for_each(|item| item.finish(Err(why))),
            }
        }
    }

    fn told(&self, batch: Batch, committed: Committed) {
        self.shared.safety.settles(batch.number);
        answer(batch.items, committed);
        self.shared.raise(batch.effects);
    }

    fn sync(&self) -> io::Result<Committed> {
        Committed::by(|| if planted::is(Bug::SynchronousOff) { Ok(()) } else { (self.sync)() })
    }
}

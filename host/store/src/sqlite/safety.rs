//! What is safe: the proof for those who are answered, the state for those who look.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use crate::contract::{StoreError, StoreResult};
use crate::planted::{self, Bug};

/// Proof that everything that a batch has seen is on disk, and what it has written as far as anybody would miss it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Committed(());

impl Committed {
    /// Syncs what was committed before.
    pub(super) fn by(sync: impl FnOnce() -> io::Result<()>) -> io::Result<Committed> {
        sync().map(Committed)
    }

    /// For a planted bug.
    pub(super) fn claimed_falsely() -> Option<Committed> {
        planted::is(Bug::AnswerBeforeCommit).then_some(Committed(()))
    }
}

/// What is safe, for those who do not write.
#[derive(Debug)]
pub(super) struct Safety {
    /// The last batch that may be seen.
    seen: AtomicU64,
    /// The last batch that is safe.
    safe: watch::Sender<u64>,
    /// Why nothing is safe any more.
    broken: watch::Sender<Option<String>>,
}

impl Safety {
    /// Nothing has been written yet.
    pub(super) fn new() -> Safety {
        Safety { seen: AtomicU64::new(0), safe: watch::Sender::new(0), broken: watch::Sender::new(None) }
    }

    /// A batch is about to be committed: from here on it may be seen.
    pub(super) fn appears(&self) -> u64 {
        self.seen.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// It is safe, or was not committed at all.
    pub(super) fn settles(&self, batch: u64) {
        self.safe.send_if_modified(|safe| {
            let is_news = *safe < batch;
            *safe = batch.max(*safe);
            is_news
        });
    }

    /// Proof for a batch that has written nothing of which the loss would matter, if everything before it is safe: there is
    /// nothing to sync.
    pub(super) fn covers(&self, batch: u64) -> Option<Committed> {
        let before = *self.safe.borrow();
        (before + 1 == batch && self.why_broken().is_none()).then_some(Committed(()))
    }

    /// Waits until everything that was read before is safe.
    pub(super) async fn of_what_was_seen(&self) -> StoreResult<()> {
        let seen = self.seen.load(Ordering::SeqCst);
        let (mut safe, mut broken) = (self.safe.subscribe(), self.broken.subscribe());
        tokio::select! {
            biased;
            reached = safe.wait_for(|safe| *safe >= seen) => reached.map(drop).map_err(|_| StoreError::Closed),
            why = broken.wait_for(Option::is_some) => match why {
                Ok(why) => Err(StoreError::Failed(why.clone().unwrap_or_default())),
                Err(_) => Err(StoreError::Closed),
            },
        }
    }

    /// Completes with the reason once a sync has failed.
    pub(super) async fn broken(&self) -> String {
        let mut broken = self.broken.subscribe();
        let why = broken.wait_for(Option::is_some).await.map(|why| why.clone().unwrap_or_default());
        match why {
            Ok(why) => why,
            Err(_) => std::future::pending().await,
        }
    }

    /// A sync has failed.
    pub(super) fn breaks(&self, why: &str) {
        self.broken.send_replace(Some(why.to_owned()));
    }

    /// Why nothing is safe any more.
    pub(super) fn why_broken(&self) -> Option<String> {
        self.broken.borrow().clone()
    }
}

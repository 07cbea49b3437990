//! What worker and sender have in common: claim no more than can be worked on, and look again when told to.
//!
//! A tick takes the free permits, claims at most so many items, and sets each going with its permit. It has no
//! input, may be called at any time, and finds nothing when there is nothing. Three things call it: a wake-up of the
//! store, a permit that came free, and the time at which the next item is due. A wake-up is registered before the
//! store is asked, so that none is lost between the two; the longest pause is a fallback and not relied on.
//!
//! When the shutdown comes, nothing more is claimed and what is under way is finished; the caller bounds the time.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use creel_store::contract::StoreResult;
use creel_webhook::clock::{Clock, Timestamp};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

/// Longest pause between two looks, milliseconds: what a lost wake-up can cost.
pub const PAUSE_MS_MAX: u64 = 1_000;

/// Shortest pause, milliseconds: work that is due and can't be claimed must not be asked for without end.
const PAUSE_MS_MIN: u64 = 1;

/// Pause after the store failed, milliseconds: it is not hammered while it is down.
const PAUSE_AFTER_FAILURE_MS: u64 = 250;

/// Most items of one claim: a claim is one transaction, and others wait for it.
pub const CLAIM_MAX: usize = 64;

/// Work that is claimed from the store.
#[async_trait]
pub trait Work: Send + Sync + 'static {
    /// Claims at most `max` items of `free` that there is room for; each comes as the future that works it off and
    /// commits it.
    async fn claim(&self, now: Timestamp, max: u32, free: u32) -> StoreResult<Vec<BoxFuture<'static, ()>>>;
    /// When the next item is due after the last look.
    async fn due(&self, after: Timestamp) -> StoreResult<Option<Timestamp>>;
    /// What says that there may be something.
    fn wakeup(&self) -> Arc<Notify>;
}

/// Claims work and keeps it going.
pub struct Pump<W> {
    work: Arc<W>,
    permits: Arc<Semaphore>,
    clock: Arc<dyn Clock>,
    running: JoinSet<()>,
    // What comes due between the look and the question when to look again must not be slept over.
    looked_at: Timestamp,
}

impl<W: Work> Pump<W> {
    /// A pump that works on at most `concurrency` items at the same time.
    pub fn new(work: Arc<W>, concurrency: usize, clock: Arc<dyn Clock>) -> Self {
        Pump {
            work,
            permits: Arc::new(Semaphore::new(concurrency)),
            clock,
            running: JoinSet::new(),
            looked_at: Timestamp::default(),
        }
    }

    /// Claims what can be worked on now and sets it going; says how many items that were.
    ///
    /// # Errors
    /// When the store fails; nothing was claimed then.
    pub async fn tick(&mut self) -> StoreResult<usize> {
        while self.running.try_join_next().is_some() {}
        let mut permits = Vec::new();
        while permits.len() < CLAIM_MAX {
            match self.permits.clone().try_acquire_owned() {
                Ok(permit) => permits.push(permit),
                Err(_) => break,
            }
        }
        if permits.is_empty() {
            return Ok(0);
        }
        let count = |places: usize| u32::try_from(places).unwrap_or(u32::MAX);
        let (max, free) = (count(permits.len()), count(permits.len() + self.permits.available_permits()));
        self.looked_at = self.clock.now();
        let items = self.work.claim(self.looked_at, max, free).await?;
        let claimed = items.len();
        for (item, permit) in items.into_iter().zip(permits) {
            self.running.spawn(async move {
                item.await;
                drop(permit);
            });
        }
        Ok(claimed)
    }

    /// Waits until everything that is under way has ended.
    pub async fn settle(&mut self) {
        while self.running.join_next().await.is_some() {}
    }

    /// Ticks until the shutdown comes, then settles.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let wakeup = self.work.wakeup();
        loop {
            let mut woken = pin!(wakeup.notified());
            woken.as_mut().enable();
            if shutdown.as_mut().now_or_never().is_some() {
                break;
            }
            let pause = match self.tick().await {
                // Without a permit there is nothing to claim with; only an end can bring one.
                Ok(_) if self.permits.available_permits() == 0 => Duration::MAX,
                // A claim may have left more behind.
                Ok(claimed) if claimed > 0 => continue,
                Ok(_) => self.pause().await,
                Err(error) => {
                    tracing::error!(%error, "claiming failed; trying again");
                    Duration::from_millis(PAUSE_AFTER_FAILURE_MS)
                }
            };
            tokio::select! {
                () = &mut shutdown => break,
                () = &mut woken, if pause < Duration::MAX => {}
                Some(_) = self.running.join_next() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.settle().await;
    }

    async fn pause(&self) -> Duration {
        let longest = Duration::from_millis(PAUSE_MS_MAX);
        match self.work.due(self.looked_at).await {
            Ok(Some(due)) => Duration::from_millis(due.since_ms(self.clock.now()).max(PAUSE_MS_MIN)).min(longest),
            _ => longest,
        }
    }
}

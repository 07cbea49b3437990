//! What worker and sender have in common: claim no more than can be worked on, and ask before there is work.
//!
//! The pump takes the free permits, asks for at most so many items, and sets each going with its permit. The store answers
//! when there is something. While it waits, time may make work due that nobody's commit raises: the pump asks when that
//! is, and recalls its claim then. The longest pause is a fallback and not relied on.
//!
//! When the shutdown comes, the claim is recalled, what it brings is worked on like all that is under way, and nothing
//! more is claimed; the caller bounds the time.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use creel_store::contract::StoreResult;
use creel_webhook::clock::{Clock, Timestamp};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

/// Longest pause between two looks, milliseconds: what a lost wake-up can cost.
pub const PAUSE_MS_MAX: u64 = 1_000;

/// Shortest pause, milliseconds: work that is due and can't be claimed must not be asked for without end. Who has waited
/// for so long asks how long it will be.
const PAUSE_MS_MIN: u64 = 1;

/// Pause after the store failed, milliseconds: it is not hammered while it is down.
const PAUSE_AFTER_FAILURE_MS: u64 = 250;

/// Most items of one claim: a claim is one transaction, and others wait for it.
pub const CLAIM_MAX: usize = 64;

/// Work that is claimed from the store.
#[async_trait]
pub trait Work: Send + Sync + 'static {
    /// Claims at most `max` items of `free` that there is room for, and waits while there are none; each comes as the
    /// future that works it off and commits it. None at all when it was recalled.
    async fn claim(&self, now: Timestamp, max: u32, free: u32) -> StoreResult<Vec<BoxFuture<'static, ()>>>;
    /// Has claims that wait answered.
    async fn recall(&self, now: Timestamp) -> StoreResult<()>;
    /// When the next item is due after the last look.
    async fn due(&self, after: Timestamp) -> StoreResult<Option<Timestamp>>;
}

/// Claims work and keeps it going.
pub struct Pump<W> {
    work: Arc<W>,
    permits: Arc<Semaphore>,
    clock: Arc<dyn Clock>,
    running: JoinSet<()>,
}

impl<W: Work> Pump<W> {
    /// A pump that works on at most `concurrency` items at the same time.
    pub fn new(work: Arc<W>, concurrency: usize, clock: Arc<dyn Clock>) -> Self {
        Pump { work, permits: Arc::new(Semaphore::new(concurrency)), clock, running: JoinSet::new() }
    }

    /// Claims and sets going until the shutdown comes, then waits until everything that is under way has ended.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown.fuse());
        let mut goes_on = true;
        while goes_on {
            while self.running.try_join_next().is_some() {}
            let permits = self.free();
            if permits.is_empty() {
                // Only an end can bring one.
                tokio::select! {
                    () = &mut shutdown => break,
                    _ = self.running.join_next() => continue,
                }
            }
            let claimed;
            (claimed, goes_on) = self.claim(&permits, shutdown.as_mut()).await;
            match claimed {
                Ok(items) => self.set_going(items, permits),
                Err(error) if goes_on => {
                    tracing::error!(%error, "claiming failed; trying again");
                    tokio::select! {
                        () = &mut shutdown => break,
                        () = tokio::time::sleep(Duration::from_millis(PAUSE_AFTER_FAILURE_MS)) => {}
                    }
                }
                Err(error) => tracing::error!(%error, "claiming failed while the host stops"),
            }
        }
        while self.running.join_next().await.is_some() {}
    }

    fn free(&self) -> Vec<OwnedSemaphorePermit> {
        std::iter::from_fn(|| self.permits.clone().try_acquire_owned().ok()).take(CLAIM_MAX).collect()
    }

    /// One claim, recalled when something may have come due meanwhile; says whether the shutdown has not come.
    async fn claim(
        &mut self,
        permits: &[OwnedSemaphorePermit],
        mut shutdown: Pin<&mut impl Future<Output = ()>>,
    ) -> (StoreResult<Vec<BoxFuture<'static, ()>>>, bool) {
        let count = |places: usize| u32::try_from(places).unwrap_or(u32::MAX);
        let (max, free) = (count(permits.len()), count(permits.len() + self.permits.available_permits()));
        let now = self.clock.now();
        let (work, clock) = (self.work.clone(), self.clock.clone());
        let mut claimed = work.claim(now, max, free);
        let mut recalled = pin!(recalled_when_due(&*work, &*clock, now).fuse());
        let mut goes_on = true;
        loop {
            tokio::select! {
                // First, so that the claim is asked for before it is recalled.
                biased;
                items = &mut claimed => return (items, goes_on),
                () = &mut shutdown, if goes_on => {
                    goes_on = false;
                    recall(&*work, &*clock).await;
                }
                () = &mut recalled => {}
                Some(_) = self.running.join_next() => {}
            }
        }
    }

    fn set_going(&mut self, items: Vec<BoxFuture<'static, ()>>, permits: Vec<OwnedSemaphorePermit>) {
        for (item, permit) in items.into_iter().zip(permits) {
            self.running.spawn(async move {
                item.await;
                drop(permit);
            });
        }
    }
}

/// Recalls claims when something comes due that was not at `looked_at`, or after the longest pause.
async fn recalled_when_due(work: &impl Work, clock: &dyn Clock, looked_at: Timestamp) {
    tokio::time::sleep(Duration::from_millis(PAUSE_MS_MIN)).await;
    let longest = Duration::from_millis(PAUSE_MS_MAX);
    let pause = match work.due(looked_at).await {
        Ok(Some(due)) => Duration::from_millis(due.since_ms(clock.now())).min(longest),
        _ => longest,
    };
    tokio::time::sleep(pause).await;
    recall(work, clock).await;
}

/// A recall that fails is logged: the store answers a claim that waits with its failure.
async fn recall(work: &impl Work, clock: &dyn Clock) {
    if let Err(error) = work.recall(clock.now()).await {
        tracing::warn!(%error, "a claim could not be recalled");
    }
}

//! What worker and sender have in common: claim no more than can be worked on, and ask before there is work.
//!
//! The pump takes the free permits, asks for at most so many items, and sets each going with its permit. The store answers
//! when there is something. While it waits, two things make work claimable that no commit raises: time, so that the pump asks
//! when something is due and recalls its claim then; and a place that came free, here or among those of a tenant, so that it
//! recalls its claim when an item ends. The longest pause is a fallback and not relied on.
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
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
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
    pause_max: Duration,
}

impl<W: Work> Pump<W> {
    /// A pump that works on at most `concurrency` items at the same time.
    pub fn new(work: Arc<W>, concurrency: usize, clock: Arc<dyn Clock>) -> Self {
        let (permits, pause_max) = (Arc::new(Semaphore::new(concurrency)), Duration::from_millis(PAUSE_MS_MAX));
        Pump { work, permits, clock, running: JoinSet::new(), pause_max }
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
        let (ended, pause_max) = (Notify::new(), self.pause_max);
        let waits = async {
            tokio::select! {
                () = something_due(&*work, &*clock, now, pause_max) => {}
                () = ended.notified() => {}
            }
            recall(&*work, &*clock).await;
        };
        let mut recalled = pin!(waits.fuse());
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
                Some(_) = self.running.join_next() => ended.notify_one(),
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

/// Waits until something comes due that was not at `looked_at`, but not for longer than the longest pause.
async fn something_due(work: &impl Work, clock: &dyn Clock, looked_at: Timestamp, pause_max: Duration) {
    tokio::time::sleep(Duration::from_millis(PAUSE_MS_MIN)).await;
    let pause = match work.due(looked_at).await {
        Ok(Some(due)) => Duration::from_millis(due.since_ms(clock.now())).min(pause_max),
        _ => pause_max,
    };
    tokio::time::sleep(pause).await;
}

/// A recall that fails is logged: a store that fails answers the claims that wait with its failure.
async fn recall(work: &impl Work, clock: &dyn Clock) {
    if let Err(error) = work.recall(clock.now()).await {
        tracing::warn!(%error, "a claim could not be recalled");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::sync::oneshot;

    use super::*;
    use crate::system::SystemClock;

    /// How long a test may take; what is wrong waits for an hour.
    const BOUND: Duration = Duration::from_secs(60);

    /// Work of one item at a time, as for a tenant that may have one run under way: nobody's commit raises the next.
    #[derive(Default)]
    struct OneAtATime {
        items: Mutex<Vec<(oneshot::Sender<()>, oneshot::Receiver<()>)>>,
        under_way: Arc<Mutex<bool>>,
        recalled: Notify,
    }

    impl OneAtATime {
        fn take(&self) -> Option<BoxFuture<'static, ()>> {
            let mut busy = self.under_way.lock().unwrap();
            let (began, may_end) = self.items.lock().unwrap().pop_if(|_| !*busy)?;
            *busy = true;
            let under_way = self.under_way.clone();
            Some(
                async move {
                    let _ = began.send(());
                    let _ = may_end.await;
                    *under_way.lock().unwrap() = false;
                }
                .boxed(),
            )
        }
    }

    #[async_trait]
    impl Work for OneAtATime {
        async fn claim(&self, _: Timestamp, _: u32, _: u32) -> StoreResult<Vec<BoxFuture<'static, ()>>> {
            let found = self.take();
            if found.is_none() {
                self.recalled.notified().await;
            }
            Ok(found.or_else(|| self.take()).into_iter().collect())
        }

        async fn recall(&self, _: Timestamp) -> StoreResult<()> {
            self.recalled.notify_one();
            Ok(())
        }

        async fn due(&self, _: Timestamp) -> StoreResult<Option<Timestamp>> {
            Ok(None)
        }
    }

    #[tokio::test]
    async fn a_place_that_comes_free_is_asked_for_at_once_and_a_shutdown_ends_the_wait() {
        let work = Arc::new(OneAtATime::default());
        let mut ways = Vec::new();
        for _ in 0..3 {
            let ((began, begins), (go_on, may_end)) = (oneshot::channel(), oneshot::channel());
            work.items.lock().unwrap().insert(0, (began, may_end));
            ways.push((begins, go_on));
        }
        let pump = Pump::new(work, 8, Arc::new(SystemClock::default()));
        let pump = Pump { pause_max: Duration::from_secs(3_600), ..pump };
        let (stop, stopped) = oneshot::channel::<()>();
        let story = async {
            for (begins, go_on) in ways {
                begins.await.unwrap();
                go_on.send(()).unwrap();
            }
            stop.send(()).unwrap();
        };
        let both = async { tokio::join!(pump.run(async { drop(stopped.await) }), story) };
        tokio::time::timeout(BOUND, both).await.expect("each begins when the one before has ended");
    }
}

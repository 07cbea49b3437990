//! Threads that run guest code and nothing else.
//!
//! A guest computes up to a millisecond between two yields. On the threads that answer senders that would be felt; so
//! runs go here. Who goes next is decided at each yield, by tenant and the time that each has had (`turns`):
//! behind a hundred loops of others, a run of a microsecond waits for one slice and not for a hundred.
//!
//! ```text
//! spawn -> in line -> polled on a thread -> yielded: in line again | waits: wherever its waker says | ended
//! ```
//!
//! The threads step back behind those that serve ([`NICE`], [`slices`]). What a run waits for is driven by a small tokio runtime
//! of its own; a run is never polled there.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use creel_webhook::id::TenantId;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;

use super::turns::{After, Turns};
use crate::slices;

/// How far guest threads step back behind those that answer senders and write the store, as `nice` counts. Five is a
/// third of the weight: who serves is let in at once, and under full load plugins still get a quarter of a processor.
pub const NICE: i32 = 5;

/// Work ended without a result: it panicked, or the threads are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the work ended without a result")]
pub struct NoResult;

/// A pool of threads named `creel-guest`.
#[derive(Debug)]
pub struct GuestThreads {
    shared: Arc<Shared>,
    // Taken only by drop.
    waits: Option<Runtime>,
}

#[derive(Debug)]
struct Shared {
    turns: Mutex<Turns<Arc<Task>>>,
    ready: Condvar,
    stopped: AtomicBool,
}

impl GuestThreads {
    /// Starts so many threads, at least one.
    ///
    /// # Errors
    /// When the operating system gives none.
    pub fn start(threads: usize) -> std::io::Result<Self> {
        let waits = Builder::new_multi_thread().worker_threads(1).thread_name("creel-waits").enable_all().build()?;
        let shared = Arc::new(Shared {
            turns: Mutex::new(Turns::new()),
            ready: Condvar::new(),
            stopped: AtomicBool::new(false),
        });
        let guests = GuestThreads { shared, waits: Some(waits) };
        for _ in 0..threads.max(1) {
            let (shared, handle) = (guests.shared.clone(), guests.handle());
            std::thread::Builder::new().name("creel-guest".into()).spawn(move || shared.work(&handle))?;
        }
        Ok(guests)
    }

    /// Runs a tenant's work on these threads for as long as its handle is kept.
    pub fn spawn<F>(&self, whose: TenantId, work: F) -> OnThreads<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (tell, told) = oneshot::channel();
        // Nobody listens any more when the handle is gone.
        let work = async move { drop(tell.send(work.await)) };
        let task = Arc::new(Task {
            whose,
            shared: self.shared.clone(),
            state: AtomicU8::new(WAITING),
            given_up: AtomicBool::new(false),
            work: Mutex::new(Some(Box::pin(work))),
        });
        task.clone().wake();
        OnThreads { told, task }
    }

    /// Runs that want to compute and have no thread at this moment.
    pub fn waiting(&self) -> usize {
        self.shared.turns().waiting()
    }

    fn handle(&self) -> Handle {
        self.waits.as_ref().expect("only drop takes the runtime").handle().clone()
    }
}

impl Shared {
    fn turns(&self) -> MutexGuard<'_, Turns<Arc<Task>>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, task: Arc<Task>, after: After) {
        let mut turns = self.turns();
        // Nobody would ever take it.
        if !self.stopped.load(Ordering::SeqCst) {
            turns.push(task.whose, task, after);
            self.ready.notify_one();
        }
    }

    /// What a thread does.
    fn work(&self, waits: &Handle) {
        let _context = waits.enter();
        // It is a wish: a system that refuses it runs guests all the same.
        let _ = rustix::process::setpriority_process(None, NICE);
        slices::make_way();
        while let Some(task) = self.next() {
            let began = Instant::now();
            task.poll();
            self.turns().charge(task.whose, began.elapsed());
        }
    }

    fn next(&self) -> Option<Arc<Task>> {
        let mut turns = self.turns();
        loop {
            if self.stopped.load(Ordering::SeqCst) {
                return None;
            }
            if let Some(task) = turns.pop() {
                return Some(task);
            }
            turns = self.ready.wait(turns).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Until it is woken.
const WAITING: u8 = 0;
/// Until a thread takes it.
const IN_LINE: u8 = 1;
/// A thread has it.
const ON_THREAD: u8 = 2;
/// A thread has it, and it is to go again.
const WOKEN: u8 = 3;
/// Over.
const ENDED: u8 = 4;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Task {
    whose: TenantId,
    shared: Arc<Shared>,
    state: AtomicU8,
    given_up: AtomicBool,
    /// Locked by the thread that has it, and by who gives up when there are no threads any more.
    work: Mutex<Option<Work>>,
}

impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task").field("whose", &self.whose).finish_non_exhaustive()
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        let next = self.state.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |state| match state {
            WAITING => Some(IN_LINE),
            ON_THREAD => Some(WOKEN),
            _ => None,
        });
        if next == Ok(WAITING) {
            self.shared.push(self.clone(), After::Waiting);
        }
    }
}

impl Task {
    /// One slice.
    fn poll(self: &Arc<Self>) {
        self.state.store(ON_THREAD, Ordering::SeqCst);
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let over = match work.as_mut() {
            Some(future) if !self.given_up.load(Ordering::SeqCst) => {
                let waker = Waker::from(self.clone());
                let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut Context::from_waker(&waker))));
                // What panicked has told why, and whoever waits for it is told that it ended.
                !matches!(polled, Ok(Poll::Pending))
            }
            _ => true,
        };
        if over || self.shared.stopped.load(Ordering::SeqCst) {
            self.state.store(ENDED, Ordering::SeqCst);
            *work = None;
            return;
        }
        drop(work);
        let waits = self.state.compare_exchange(ON_THREAD, WAITING, Ordering::SeqCst, Ordering::SeqCst);
        if waits.is_err() {
            self.state.store(IN_LINE, Ordering::SeqCst);
            self.shared.push(self.clone(), After::Slice);
        }
    }

    /// Nobody wants its result.
    fn give_up(self: &Arc<Self>) {
        self.given_up.store(true, Ordering::SeqCst);
        self.clone().wake();
        if self.shared.stopped.load(Ordering::SeqCst) {
            self.let_go();
        }
    }

    /// No thread will come for it. What it waits for may hold its waker, and with it the task, for as long as that takes.
    fn let_go(&self) {
        if let Ok(mut work) = self.work.try_lock() {
            *work = None;
        }
    }
}

/// Work on guest threads: a future of its end. Dropping it ends the work at its next yield.
#[derive(Debug)]
pub struct OnThreads<T> {
    told: oneshot::Receiver<T>,
    task: Arc<Task>,
}

impl<T> Future for OnThreads<T> {
    type Output = Result<T, NoResult>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.told).poll(context).map_err(|_| NoResult)
    }
}

impl<T> Drop for OnThreads<T> {
    fn drop(&mut self) {
        self.task.give_up();
    }
}

impl Drop for GuestThreads {
    /// Ends what runs at its next yield, without waiting: drop may happen inside another runtime.
    fn drop(&mut self) {
        let left = {
            let mut turns = self.shared.turns();
            self.shared.stopped.store(true, Ordering::SeqCst);
            turns.clear()
        };
        self.shared.ready.notify_all();
        left.iter().for_each(|task| task.let_go());
        if let Some(waits) = self.waits.take() {
            waits.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(byte: u8) -> TenantId {
        TenantId::from_bytes([byte; 16])
    }

    #[tokio::test]
    async fn work_ends_waits_yields_panics_and_is_given_up() {
        let threads = GuestThreads::start(2).unwrap();
        let (wake, woken) = oneshot::channel();
        let waits = threads.spawn(tenant(1), async move {
            woken.await.unwrap();
            tokio::task::yield_now().await;
            7
        });
        tokio::task::yield_now().await;
        wake.send(()).unwrap();
        assert_eq!(waits.await, Ok(7));
        assert_eq!(threads.spawn(tenant(1), async { panic!("on purpose") }).await, Err::<(), _>(NoResult));
        let (held, released) = oneshot::channel::<()>();
        let forever = threads.spawn(tenant(2), async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        drop(forever);
        assert!(released.await.is_err(), "what it held is given back");
    }

    #[tokio::test]
    async fn what_was_given_up_and_had_no_turn_ends_with_the_threads() {
        let threads = GuestThreads::start(1).unwrap();
        let (word, told) = oneshot::channel::<()>();
        let (held, released) = oneshot::channel::<()>();
        let (waits, waiting) = oneshot::channel();
        let asking = threads.spawn(tenant(1), async move {
            let _held = held;
            let _ = waits.send(());
            told.await.ok();
        });
        waiting.await.unwrap();
        let (is_busy, busy) = oneshot::channel();
        let (go_on, gate) = std::sync::mpsc::channel::<()>();
        let _computing = threads.spawn(tenant(2), async move {
            let _ = is_busy.send(());
            gate.recv().ok();
        });
        busy.await.unwrap();
        drop(asking);
        drop(threads);
        let bound = std::time::Duration::from_secs(10);
        assert!(tokio::time::timeout(bound, released).await.expect("what it held is given back").is_err());
        drop((word, go_on));
    }

    #[tokio::test]
    async fn a_short_run_waits_for_one_slice_of_others_and_not_for_all() {
        let threads = GuestThreads::start(1).unwrap();
        let slices = Arc::new(AtomicBool::new(false));
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut loops = Vec::new();
        for who in 1..=40 {
            let (stop, order) = (slices.clone(), order.clone());
            loops.push(threads.spawn(tenant(who % 4), async move {
                while !stop.load(Ordering::SeqCst) {
                    order.lock().unwrap().push(who);
                    let until = Instant::now() + std::time::Duration::from_micros(200);
                    while Instant::now() < until {}
                    tokio::task::yield_now().await;
                }
            }));
        }
        while order.lock().unwrap().len() < 80 {
            tokio::task::yield_now().await;
        }
        let own = order.clone();
        let before = order.lock().unwrap().len();
        let at = threads.spawn(tenant(9), async move { own.lock().unwrap().len() }).await.unwrap();
        assert!(at - before <= 8, "{} slices went before it", at - before);
        slices.store(true, Ordering::SeqCst);
        for one in loops {
            one.await.unwrap();
        }
    }

    #[tokio::test]
    async fn threads_that_are_gone_end_what_they_had() {
        let threads = GuestThreads::start(1).unwrap();
        let (held, released) = oneshot::channel::<()>();
        let (begun, began) = oneshot::channel();
        let forever = threads.spawn(tenant(1), async move {
            let _held = held;
            begun.send(()).unwrap();
            std::future::pending::<()>().await;
        });
        began.await.unwrap();
        drop(threads);
        drop(forever);
        assert!(released.await.is_err());
    }
}

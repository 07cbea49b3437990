//! Threads that run guest code and nothing else.
//!
//! A guest computes up to a millisecond between two yields. On the threads that answer senders that would be felt; so
//! runs are spawned here. It is a tokio runtime of its own, with input and output enabled, because a look-up of a
//! run is polled here too.

use std::future::Future;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// A pool of threads named `creel-guest`.
#[derive(Debug)]
pub struct GuestThreads {
    // Taken only by drop.
    runtime: Option<Runtime>,
}

impl GuestThreads {
    /// Starts so many threads, at least one.
    ///
    /// # Errors
    /// When the operating system gives none.
    pub fn start(threads: usize) -> std::io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name("creel-guest")
            .enable_all()
            .build()?;
        Ok(GuestThreads { runtime: Some(runtime) })
    }

    /// Runs a future on these threads. Dropping the handle does not end it; aborting does.
    pub fn spawn<F>(&self, work: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.runtime.as_ref().expect("only drop takes the runtime").spawn(work)
    }
}

impl Drop for GuestThreads {
    /// Ends what runs at its next yield, without waiting: drop may happen inside another runtime.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

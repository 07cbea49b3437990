//! Threads that run guest code and nothing else.
//!
//! A guest computes up to a millisecond between two yields. On the threads that answer senders that would be felt; so
//! runs are spawned here. It is a tokio runtime of its own, with input and output enabled, because a look-up of a
//! run is polled here too.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinError, JoinHandle};

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

    /// Runs a future on these threads for as long as its handle is kept.
    pub fn spawn<F>(&self, work: F) -> OnThreads<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        OnThreads(self.runtime.as_ref().expect("only drop takes the runtime").spawn(work))
    }
}

/// Work on guest threads: a future of its end. Dropping it ends the work at its next yield.
#[derive(Debug)]
pub struct OnThreads<T>(JoinHandle<T>);

impl<T> Future for OnThreads<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}

impl<T> Drop for OnThreads<T> {
    fn drop(&mut self) {
        self.0.abort();
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

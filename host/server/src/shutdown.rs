//! Stopping: one handle says that it has begun, counts what is still in flight, and waits for that with a bound.
//!
//! Parts that run hold a clone and end when [`Shutdown::begun`] completes; work that must not be cut holds an
//! [`InFlight`] guard while it lasts. [`watch_signals`] begins on the first SIGINT or SIGTERM and ends the process
//! at once, with code 130, on the second: whoever presses Ctrl-C twice means it. Nothing is static, so two servers
//! in one process stop apart.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// The handle; clones are the same shutdown.
#[derive(Debug, Clone)]
pub struct Shutdown {
    begun: Arc<watch::Sender<bool>>,
    in_flight: Arc<watch::Sender<usize>>,
}

/// Work that was still in flight when the bound was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{count} pieces of work were still in flight after {timeout_ms} ms and are cut; what was not committed is due again after the next start (`shutdown_timeout_ms` gives them longer)"
)]
pub struct LeftOver {
    /// How many.
    pub count: usize,
    /// The bound that was waited for, milliseconds.
    pub timeout_ms: u64,
}

/// Held while work is in flight.
#[derive(Debug)]
pub struct InFlight {
    count: Arc<watch::Sender<usize>>,
}

impl Shutdown {
    /// A shutdown that has not begun.
    pub fn new() -> Self {
        Shutdown { begun: Arc::new(watch::Sender::new(false)), in_flight: Arc::new(watch::Sender::new(0)) }
    }

    /// Begins; more than once is the same as once.
    pub fn begin(&self) {
        self.begun.send_replace(true);
    }

    /// Whether it has begun.
    pub fn has_begun(&self) -> bool {
        *self.begun.borrow()
    }

    /// Completes when it has begun, at once if it had. The future owns what it needs: it may be spawned.
    pub fn begun(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut begun = self.begun.subscribe();
        let sender = Arc::clone(&self.begun);
        async move {
            let _ = begun.wait_for(|begun| *begun).await;
            drop(sender);
        }
    }

    /// Counts a piece of work until the guard is dropped.
    pub fn guard(&self) -> InFlight {
        self.in_flight.send_modify(|count| *count += 1);
        InFlight { count: Arc::clone(&self.in_flight) }
    }

    /// Pieces of work in flight.
    pub fn in_flight(&self) -> usize {
        *self.in_flight.borrow()
    }

    /// Completes when nothing is in flight any more.
    ///
    /// # Errors
    /// [`LeftOver`] when that is not so after `timeout_ms`.
    pub async fn drained(&self, timeout_ms: u64) -> Result<(), LeftOver> {
        let mut count = self.in_flight.subscribe();
        let empty = count.wait_for(|count| *count == 0);
        match tokio::time::timeout(Duration::from_millis(timeout_ms), empty).await {
            Ok(_) => Ok(()),
            Err(_) => Err(LeftOver { count: self.in_flight(), timeout_ms }),
        }
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Shutdown::new()
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.count.send_modify(|count| *count -= 1);
    }
}

/// SIGINT and SIGTERM, caught from the moment of [`Signals::catch`].
#[derive(Debug)]
pub struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    /// Catches both from now on; needs a runtime.
    ///
    /// # Errors
    /// When the operating system refuses a handler.
    pub fn catch() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Completes at the next of them and gives its name.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

/// Begins `shutdown` at the first signal; at the second ends the process with code 130. The composition root
/// spawns it.
pub async fn watch_signals(mut signals: Signals, shutdown: Shutdown) {
    let first = signals.next().await;
    tracing::info!(signal = first, "shutting down; a second signal ends at once");
    shutdown.begin();
    let second = signals.next().await;
    tracing::warn!(signal = second, in_flight = shutdown.in_flight(), "ending at once");
    std::process::exit(130);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_waits_for_what_is_in_flight_and_no_longer_than_its_bound() {
        let shutdown = Shutdown::new();
        let guard = shutdown.guard();
        assert_eq!(shutdown.drained(0).await, Err(LeftOver { count: 1, timeout_ms: 0 }));
        let (drained, ()) = tokio::join!(shutdown.drained(60_000), async { drop(guard) });
        assert_eq!(drained, Ok(()));
    }

    #[tokio::test]
    async fn everyone_hears_it_whether_they_came_before_or_after() {
        let shutdown = Shutdown::new();
        let before = shutdown.begun();
        assert!(!shutdown.has_begun());
        shutdown.begin();
        shutdown.begin();
        before.await;
        shutdown.clone().begun().await;
    }
}

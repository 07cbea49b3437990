//! Stopping: one handle says that it has begun, another that patience is over.
//!
//! Parts that run hold a clone of [`Shutdown`], take no more work when it begins and finish what they have. What is
//! still under way when `shutdown_timeout_ms` is over hears of it by the [`Cut`]: it ends now and gives its claim back,
//! so that the next start takes it up at once and no counter keeps it against the work. [`watch_signals`] begins on the
//! first SIGINT or SIGTERM and ends the process at once, with code [`ENDED_AT_ONCE`], on the second: whoever presses
//! Ctrl-C twice means it. Nothing is static, so two servers in one process stop apart.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

/// Exit code after a second signal: what a shell says of a program that Ctrl-C ended.
pub const ENDED_AT_ONCE: i32 = 130;

/// The handle; clones are the same shutdown.
#[derive(Debug, Clone)]
pub struct Shutdown {
    begun: Arc<watch::Sender<bool>>,
}

/// The end of patience with work that is under way; clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Cut {
    come: Arc<watch::Sender<bool>>,
    given_back: Arc<AtomicU64>,
}

impl Shutdown {
    /// A shutdown that has not begun.
    pub fn new() -> Self {
        Shutdown { begun: Arc::new(watch::Sender::new(false)) }
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
        heard(&self.begun)
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Shutdown::new()
    }
}

impl Cut {
    /// Ends patience; more than once is the same as once.
    pub fn now(&self) {
        self.come.send_replace(true);
    }

    /// Whether patience is over.
    pub fn has_come(&self) -> bool {
        *self.come.borrow()
    }

    /// Completes when patience is over, at once if it is.
    pub fn come(&self) -> impl Future<Output = ()> + Send + use<> {
        heard(&self.come)
    }

    /// Counts a claim that was given back.
    pub fn gave_back(&self) {
        self.given_back.fetch_add(1, Ordering::Relaxed);
    }

    /// Claims that were given back.
    pub fn given_back(&self) -> u64 {
        self.given_back.load(Ordering::Relaxed)
    }
}

/// Completes when the word is out.
fn heard(word: &Arc<watch::Sender<bool>>) -> impl Future<Output = ()> + Send + use<> {
    let mut hears = word.subscribe();
    let sender = Arc::clone(word);
    async move {
        let _ = hears.wait_for(|is_out| *is_out).await;
        drop(sender);
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

/// Begins `shutdown` at the first signal; at the second ends the process with code [`ENDED_AT_ONCE`]. The composition
/// root spawns it.
pub async fn watch_signals(mut signals: Signals, shutdown: Shutdown) {
    let first = signals.next().await;
    tracing::info!(signal = first, "shutting down; a second signal ends at once");
    shutdown.begin();
    let second = signals.next().await;
    tracing::warn!(signal = second, "ending at once; what was under way is claimed again at the next start");
    std::process::exit(ENDED_AT_ONCE);
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[tokio::test]
    async fn a_cut_is_heard_and_counts_for_all_its_clones() {
        let cut = Cut::default();
        let (before, clone) = (cut.come(), cut.clone());
        assert!(!cut.has_come());
        clone.now();
        before.await;
        clone.come().await;
        clone.gave_back();
        assert_eq!((cut.has_come(), cut.given_back()), (true, 1));
    }
}

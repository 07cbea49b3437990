//! What came to a source lately: a few counters, kept only for sources whose tenant wants to be told.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use creel_webhook::clock::Timestamp;

/// Counts of one source; whoever reads them starts them anew. They are estimates: nothing depends on one request.
#[derive(Debug, Default)]
pub struct Activity {
    genuine: AtomicU64,
    refused: AtomicU64,
    /// Milliseconds; 0 until one came.
    heard_at: AtomicI64,
}

/// Requests of a source since the counts were last taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Those that were believed.
    pub genuine: u64,
    /// Those that were not.
    pub refused: u64,
}

impl Activity {
    /// A request was believed.
    pub fn genuine(&self, at: Timestamp) {
        self.genuine.fetch_add(1, Ordering::Relaxed);
        self.heard_at.fetch_max(at.as_millis(), Ordering::Relaxed);
    }

    /// A request was not believed.
    pub fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        Counts { genuine: self.genuine.load(Ordering::Relaxed), refused: self.refused.load(Ordering::Relaxed) }
    }

    /// Counts from zero.
    pub fn begin(&self) {
        self.genuine.store(0, Ordering::Relaxed);
        self.refused.store(0, Ordering::Relaxed);
    }

    /// When the last genuine request came, if one came to this process.
    pub fn heard_at(&self) -> Option<Timestamp> {
        let at = self.heard_at.load(Ordering::Relaxed);
        (at > 0).then(|| Timestamp::from_millis(at))
    }
}

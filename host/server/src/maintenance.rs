//! Upkeep: what must happen some time, in small steps, beside everything else.
//!
//! A tick prunes what has expired, step by step until nothing is left or the tick has had its share, goes on with tenants
//! that are removed, looks at what tenants want to be told of, and refreshes the gauges. It takes no input, finds nothing to do most of the time, and can be called at any time.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use creel_store::contract::{Store, StoreResult};
use creel_webhook::clock::Clock;

use crate::removal::Removal;
use crate::telemetry::Metrics;
use crate::watch::Watch;

/// Pause between two ticks: how long an unanswered reply may stay undecided beyond its deadline.
const PERIOD: Duration = Duration::from_millis(500);

/// Most steps of one tick: the writer is everybody's.
const STEPS_MAX: usize = 16;

/// How many runs wait for a guest thread, and how many senders for a slot.
pub type Lines = Arc<dyn Fn() -> (usize, usize) + Send + Sync>;

/// Keeps the store small and the gauges true.
pub struct Maintenance {
    store: Arc<dyn Store>,
    watch: Watch,
    removal: Removal,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    lines: Lines,
}

impl Maintenance {
    /// Upkeep of this store, with the watch and the removals beside it.
    pub fn new(
        store: Arc<dyn Store>,
        watch: Watch,
        removal: Removal,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        lines: Lines,
    ) -> Self {
        Maintenance { store, watch, removal, clock, metrics, lines }
    }

    /// Does what is due.
    ///
    /// # Errors
    /// When the store fails; the next tick does it then.
    pub async fn tick(&self) -> StoreResult<()> {
        for _ in 0..STEPS_MAX {
            if !self.store.prune(self.clock.now()).await? {
                break;
            }
        }
        self.removal.tick().await?;
        self.watch.tick(self.clock.now()).await?;
        let stats = self.store.stats().await?;
        self.metrics.pending(stats.runs_pending, stats.deliveries_pending);
        let (for_thread, for_slot) = (self.lines)();
        self.metrics.scheduling(for_thread, for_slot, stats.tenants_in_debt);
        Ok(())
    }

    /// Ticks until the shutdown comes.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        loop {
            if let Err(error) = self.tick().await {
                tracing::error!(%error, "upkeep failed; the next tick tries again");
            }
            tokio::select! {
                () = &mut shutdown => return,
                () = tokio::time::sleep(PERIOD) => {}
            }
        }
    }
}

//! Commits that do not give up at once: what was decided or sent is worth more than the moment in which a store fails.
//!
//! A file that is busy, a disk that is full for a while: without another try the outcome would be thrown away, and the
//! work done again when its lease is over. [`creel_webhook::retry::commit_again_ms`] says when to try and for how
//! long. While a commit insists its permit is held, so nothing more is claimed than can be worked on.

use std::future::Future;
use std::time::Duration;

use creel_store::contract::{StoreError, StoreResult};
use creel_webhook::clock::{Clock, Timestamp};
use creel_webhook::retry::commit_again_ms;

use crate::shutdown::Cut;
use crate::telemetry::Metrics;

/// What a commit is tried with.
pub struct Insist<'a> {
    /// The time.
    pub clock: &'a dyn Clock,
    /// When somebody else may claim the work.
    pub lease_until: Timestamp,
    /// After it there is one more try and no wait.
    pub cut: &'a Cut,
    /// Where tries are counted.
    pub metrics: &'a Metrics,
    /// `run` or `delivery`.
    pub what: &'static str,
}

impl Insist<'_> {
    /// Commits until it succeeds, or the lease is over, or the error is one that time does not mend.
    ///
    /// # Errors
    /// The last one.
    pub async fn commit<T, F, C>(&self, mut commit: C) -> StoreResult<T>
    where
        F: Future<Output = StoreResult<T>>,
        C: FnMut() -> F,
    {
        let mut failures = 0;
        loop {
            let was_cut = self.cut.has_come();
            let error = match commit().await {
                Err(error @ (StoreError::Failed(_) | StoreError::Full { .. })) if !was_cut => error,
                ended => return ended,
            };
            let Some(delay_ms) = commit_again_ms(failures, self.clock.now(), self.lease_until) else {
                return Err(error);
            };
            failures += 1;
            self.metrics.commit_again(self.what);
            tracing::warn!(%error, what = self.what, delay_ms, "a commit failed; trying it again");
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(delay_ms)) => {}
                () = self.cut.come() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use creel_webhook::clock::ManualClock;

    use super::*;

    const LEASE_UNTIL: Timestamp = Timestamp::from_millis(1_000);

    /// Commits that all fail with `error`: how many there were, when the cut comes with the first of them and the clock
    /// stands at `now`.
    async fn tries(now: Timestamp, error: fn() -> StoreError) -> (usize, u64) {
        let (clock, cut, metrics) = (ManualClock::new(now), Cut::default(), Metrics::new());
        let insist = Insist { clock: &clock, lease_until: LEASE_UNTIL, cut: &cut, metrics: &metrics, what: "run" };
        let mut tries = 0;
        let ended: StoreResult<()> = insist
            .commit(|| {
                tries += 1;
                cut.now();
                async { Err(error()) }
            })
            .await;
        assert_eq!(ended.unwrap_err().to_string(), error().to_string());
        let again = metrics.render().lines().any(|line| line == "creel_commit_retries_total{what=\"run\"} 1");
        (tries, u64::from(again))
    }

    #[tokio::test]
    async fn a_failed_store_is_tried_again_while_the_lease_holds() {
        let (failed, full) = (|| StoreError::Failed("busy".to_owned()), || StoreError::Full { used: 2, max: 1 });
        let early = Timestamp::from_millis(0);
        // The last try comes with the cut.
        assert_eq!(tries(early, failed).await, (2, 1));
        assert_eq!(tries(early, full).await, (2, 1));
        assert_eq!(tries(LEASE_UNTIL, failed).await, (1, 0), "somebody else may hold it now");
    }

    #[tokio::test]
    async fn what_time_does_not_mend_is_not_tried_again() {
        let early = Timestamp::from_millis(0);
        assert_eq!(tries(early, || StoreError::Closed).await, (1, 0));
        assert_eq!(tries(early, || StoreError::Conflict("no".to_owned())).await, (1, 0));
    }
}

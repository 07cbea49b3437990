//! The worker: due runs become decisions.

use std::sync::Arc;

use async_trait::async_trait;
use creel_store::contract::StoreResult;
use creel_webhook::clock::Timestamp;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::pump::Work;
use crate::runner::{Runner, log_store_failure};

/// Claims runs and has them run.
pub struct Worker {
    runner: Arc<Runner>,
}

impl Worker {
    /// A worker over this runner.
    pub fn new(runner: Arc<Runner>) -> Self {
        Worker { runner }
    }
}

#[async_trait]
impl Work for Worker {
    async fn claim(&self, now: Timestamp, max: u32, free: u32) -> StoreResult<Vec<BoxFuture<'static, ()>>> {
        let lease_ms = self.runner.lease_ms();
        let claims = self.runner.store.run_claim_next(now, lease_ms, max, free).await?;
        let work = claims.into_iter().map(|claim| {
            let runner = self.runner.clone();
            async move {
                if let Err(error) = runner.execute(claim.ticket, claim.event).await {
                    log_store_failure("storing a run", &error);
                }
            }
            .boxed()
        });
        Ok(work.collect())
    }

    async fn due(&self, after: Timestamp) -> StoreResult<Option<Timestamp>> {
        self.runner.store.run_due(after).await
    }

    async fn recall(&self, now: Timestamp) -> StoreResult<()> {
        self.runner.store.claims_recall(now).await
    }
}

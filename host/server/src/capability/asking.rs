//! What a run's look-ups are allowed by: the same whether they are sent or answered from a record.

use std::sync::Arc;

use creel_webhook::fetch::{FetchLimits, check};
use creel_webhook::plugin::Deployment;
use creel_webhook::record::{FetchFailure, FetchRequest};

/// The look-ups of one run, counted and judged.
#[derive(Debug, Clone)]
pub struct Asking {
    /// What the run may ask for.
    pub deployment: Arc<Deployment>,
    /// Its bounds.
    pub limits: FetchLimits,
    /// Look-ups so far, refused ones included.
    pub asked: u32,
}

impl Asking {
    /// Counts a look-up and says how many there were before it.
    ///
    /// # Errors
    /// What the guest is told when it may not be made ([`creel_webhook::fetch::check`]).
    pub fn admit(&mut self, request: &FetchRequest) -> Result<u32, FetchFailure> {
        let index = self.asked;
        self.asked = index.saturating_add(1);
        check(request, &self.deployment.grants.fetch, index, self.limits).map(|()| index)
    }
}

//! What is claimed: runs and deliveries. Below everything else that speaks of it.

/// What stands in a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// Runs of a route.
    Runs = 0,
    /// Deliveries to a destination.
    Deliveries = 1,
}

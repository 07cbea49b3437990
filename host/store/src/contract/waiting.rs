//! Why a run or a call is not over yet.

use creel_webhook::clock::Timestamp;
use creel_webhook::id::{DeliveryId, RunId};
use creel_webhook::quota::Quota;

/// One thing that holds a run or a call back now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Nothing does: it is under way, and nobody else gets it before then.
    UnderWay {
        /// The end of its claim's lease.
        until: Timestamp,
    },
    /// Its time has not come: it was delayed, or the next try is later.
    NotBefore {
        /// Its time.
        until: Timestamp,
    },
    /// The run before it of the same order key is not over.
    BehindRun {
        /// The run before it.
        run: RunId,
        /// When it may pass that; `None` while that has not failed.
        until: Option<Timestamp>,
    },
    /// The call before it of the same order key is not over.
    BehindDelivery {
        /// The call before it.
        delivery: DeliveryId,
        /// When it may pass that; `None` while that has not failed.
        until: Option<Timestamp>,
    },
    /// Its route, its source or its destination is paused.
    Paused,
    /// Its destination fails.
    BreakerOpen {
        /// When the next call may try.
        until: Timestamp,
    },
    /// Its destination asked to be left alone.
    Asked {
        /// For how long.
        until: Timestamp,
    },
    /// Its destination's rate is used up.
    Rate {
        /// Calls a second.
        per_s: u64,
        /// When the next may go.
        until: Timestamp,
    },
    /// As many of its lane are under way as may be.
    LaneFull {
        /// So many.
        places: u64,
    },
    /// As many runs of its tenant are under way as may be.
    TenantFull {
        /// So many.
        places: u64,
    },
    /// Its tenant has used more fuel than it gets.
    Debt {
        /// When that is paid off.
        until: Timestamp,
    },
    /// A daily quota of its tenant is used up.
    Quota {
        /// Which.
        quota: Quota,
        /// When it begins anew.
        until: Timestamp,
    },
    /// A run that may be what ended the process before runs alone.
    Alone {
        /// For so long at most.
        until: Timestamp,
    },
}

/// What holds each that was asked about and is not over; nothing, where it only waits for its turn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holds {
    /// Runs.
    pub runs: Vec<(RunId, Vec<Hold>)>,
    /// Deliveries.
    pub deliveries: Vec<(DeliveryId, Vec<Hold>)>,
}

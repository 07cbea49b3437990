//! Where the removal of what is too old stands in this process: passes over all tenants, each made of walks.
//!
//! None of it needs to outlive the process; where a walk stands is kept in its table.

use std::collections::VecDeque;

use creel_webhook::clock::Timestamp;
use creel_webhook::id::TenantId;

/// Pause between two passes, milliseconds (ten minutes): who counts in days does not notice.
const PASS_EVERY_MS: u64 = 600_000;

/// How long things are kept, unless a tenant keeps them shorter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Days {
    /// Bodies.
    pub(super) bodies: u64,
    /// Records.
    pub(super) records: u64,
}

/// What goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// Bodies.
    Bodies,
    /// Everything else.
    Records,
}

impl Kind {
    /// The number in columns.
    pub(super) fn number(self) -> i64 {
        self as i64
    }
}

/// One tenant's walk of this pass.
#[derive(Debug, Clone)]
pub(super) struct Walk {
    /// Whose events.
    pub(super) tenant: TenantId,
    /// What of them goes.
    pub(super) kind: Kind,
    /// Events before this id are too old.
    pub(super) bound: [u8; 16],
    /// Where the second look at what was passed by stands; `None` once it is through.
    pub(super) retained: Option<[u8; 16]>,
}

/// Where the passes stand.
#[derive(Debug)]
pub(super) struct Retention {
    /// The host's days.
    pub(super) days: Days,
    /// When the last pass began.
    pub(super) began_at: Option<Timestamp>,
    /// What is left of it.
    pub(super) walks: VecDeque<Walk>,
}

impl Retention {
    /// Nothing has been looked at yet.
    pub(super) fn new(days: Days) -> Retention {
        Retention { days, began_at: None, walks: VecDeque::new() }
    }

    /// Whether it is time for the next pass.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.began_at.is_none_or(|at| now >= at.plus_ms(PASS_EVERY_MS))
    }
}

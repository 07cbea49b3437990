//! Why a verb fails.

use creel_webhook::id::EventId;

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A name is taken or a row is still used; nothing changed.
    #[error("{0}")]
    Conflict(String),
    /// There is no such row in this tenant.
    #[error("{0}")]
    NotFound(String),
    /// The store holds as much as it may.
    #[error("the store holds {used} bytes and may hold {max}; free space or raise `store.bytes_max`")]
    Full {
        /// Bytes in use.
        used: u64,
        /// The limit.
        max: u64,
    },
    /// The tenant has as many runs pending as it may; nothing changed.
    #[error(
        "{pending} runs of the tenant are pending and {max} may be (`pending_runs_max`); try again when some are decided"
    )]
    OverQuota {
        /// Pending now.
        pending: u64,
        /// The limit.
        max: u64,
    },
    /// A list had to look at more rows than one question may.
    #[error("the question looks at too many rows to answer it; narrow the filter")]
    TooWide,
    /// Disk or database failed; the verb did not happen.
    #[error("the store failed: {0}")]
    Failed(String),
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
}

/// Why an event without its payload is not run again: a handler must not take an empty body for what was sent.
pub fn erased(event: EventId) -> StoreError {
    StoreError::Conflict(format!(
        "the payload of `{event}` has been erased, by a person or because its days were over (`body_days`), so it cannot \
         be replayed; ask the provider to send it again"
    ))
}

/// What a verb gives.
pub type StoreResult<T> = Result<T, StoreError>;

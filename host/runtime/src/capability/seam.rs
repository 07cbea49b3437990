//! The seam between a guest and the world: what the server provides for one run.
//!
//! Two implementations are meant: a live one, which reads the store and sends requests through the egress guard, and
//! one that answers from the record of an earlier run, so that a replay sees what the first run saw. `log` is not
//! here: the runtime keeps it itself.
//!
//! Errors are what the guest is told, with one exception: `Broken` says that the host failed. It never reaches the
//! guest; the run ends with the verdict `host`.

use async_trait::async_trait;
use bytes::Bytes;
use creel_webhook::outcome::Pair;
use creel_webhook::record::{FetchFailure, FetchRequest, FetchResponse};

/// What one run may reach. Methods take `&mut self`: an implementation belongs to one run and records as it goes.
#[async_trait]
pub trait Capabilities: Send + 'static {
    /// The run begins and may take so many milliseconds; what it waits for should end before.
    fn begin(&mut self, _run_ms: u64) {}

    /// The value of a setting.
    fn config_get(&mut self, key: &str) -> Option<String>;

    /// All settings, sorted by key.
    fn config_all(&mut self) -> Vec<Pair>;

    /// Reads a value as it was committed before this run.
    async fn state_get(&mut self, key: &str) -> Result<Option<Bytes>, StateError>;

    /// Notes a write, which is committed with the outcome or not at all.
    async fn state_set(&mut self, key: &str, value: Bytes) -> Result<(), StateError>;

    /// Notes a removal, which is committed with the outcome or not at all.
    async fn state_delete(&mut self, key: &str) -> Result<(), StateError>;

    /// Looks something up. The implementation bounds the time; the run's own limit ends it anyway.
    async fn fetch(&mut self, request: FetchRequest) -> Result<FetchResponse, FetchError>;
}

/// Why a state call gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The deployment is not granted it; the text says what to grant.
    #[error("denied: {0}")]
    Denied(String),
    /// Over a limit; the text names it.
    #[error("too large: {0}")]
    TooLarge(String),
    /// The host failed; ends the run.
    #[error("the host failed: {0}")]
    Broken(String),
}

/// Why a look-up gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// What the guest is told.
    #[error("{0}")]
    Failed(#[from] FetchFailure),
    /// The host failed; ends the run.
    #[error("the host failed: {0}")]
    Broken(String),
}

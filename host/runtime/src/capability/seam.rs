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

/// What one run may reach. Methods take `&mut self`: an implementation belongs to one run and records as it goes.
#[async_trait]
pub trait Capabilities: Send + 'static {
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

/// What a guest wants to look up, not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchRequest {
    /// Name of a destination.
    pub destination: String,
    /// HTTP method.
    pub method: String,
    /// Path and query under the destination's base path.
    pub path: String,
    /// Headers to add.
    pub headers: Vec<Pair>,
    /// What to send.
    pub body: Option<Bytes>,
    /// Give up after this many milliseconds.
    pub timeout_ms: Option<u64>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchResponse {
    /// HTTP status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<Pair>,
    /// The body, within the host's limit.
    pub body: Bytes,
}

/// Why a look-up gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The deployment is not granted it; the text says what to grant.
    #[error("denied: {0}")]
    Denied(String),
    /// The request is not valid.
    #[error("invalid: {0}")]
    Invalid(String),
    /// No answer in time.
    #[error("timed out")]
    Timeout,
    /// The destination could not be reached.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// The response is over its limit.
    #[error("too large: {0}")]
    TooLarge(String),
    /// The host failed; ends the run.
    #[error("the host failed: {0}")]
    Broken(String),
}

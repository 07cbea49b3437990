//! The limit that a run would have gone beyond, as the admin API says it.

use creel_webhook::breach::RunLimit;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A limit that a run would have gone beyond.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BreachView {
    /// Which.
    pub limit: RunLimit,
    /// How much it used, or would have used of what it was refused; absent when it is only known to be more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
    /// How much was allowed.
    pub allowed: u64,
    /// How to have more; absent where nobody has more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask: Option<String>,
}

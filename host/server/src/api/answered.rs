//! What a sender was told, as the admin API says it.

use creel_webhook::outcome::Pair;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a sender was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AnswerView {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: Vec<Pair>,
    /// The body; what is not UTF-8 is shown by replacement characters.
    pub body: String,
}

//! What plugins remember, as the API says it.

use serde::{Deserialize, Serialize};

/// A read of a plugin's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StateReadView {
    /// The key.
    pub key: String,
    /// Which write it saw; absent when there was nothing.
    pub version: Option<u64>,
    /// The value's head, as text.
    pub value: Option<String>,
    /// How long the value was.
    pub value_bytes: Option<u64>,
}

/// What a plugin remembers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StateView {
    /// Keys, all together.
    pub keys: u64,
    /// Bytes of keys and values, all together.
    pub bytes: u64,
    /// The keys that were asked for, in order.
    pub items: Vec<StateKeyView>,
    /// What to say as `after` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A key of a plugin's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StateKeyView {
    /// The key.
    pub key: String,
    /// Which of the plugin's writes it is from.
    pub version: u64,
    /// How long its value is.
    pub value_bytes: u64,
}

/// What a rehearsed run would write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StateWriteView {
    /// The key.
    pub key: String,
    /// How long the value is; absent when the key would be removed.
    pub value_bytes: Option<u64>,
}

/// What was removed of a plugin's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StateRemovedView {
    /// Keys that were removed.
    pub removed: u64,
    /// Keys that it still holds.
    pub left: u64,
}

//! The state of plugins: what a run writes, and what people look at.

use creel_webhook::state::{StateUse, StateWrite};

/// What a run wrote to its plugin's state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StateWrites {
    /// One per key.
    pub writes: Vec<StateWrite>,
    /// Keys that the plugin may hold.
    pub keys_max: u64,
    /// Bytes that the plugin may hold, keys and values.
    pub bytes_max: u64,
}

/// What there is room for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateRoom {
    /// What the plugin holds.
    pub total: StateUse,
    /// What it holds of the keys that were asked for, key and value, bytes; `None` where there is nothing.
    pub held: Vec<Option<u64>>,
    /// Bytes that the store may still grow by.
    pub host_bytes: u64,
}

/// Which keys are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StateFilter {
    /// That begin with this.
    pub prefix: String,
    /// Behind this key (for the next page).
    pub after: Option<String>,
    /// At most so many; 1 to 500.
    pub limit: u32,
}

/// A key of a plugin's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateKey {
    /// The key.
    pub key: String,
    /// Which of the plugin's writes it is from.
    pub version: u64,
    /// How long its value is, bytes.
    pub value_bytes: u64,
}

/// What a step of a removal came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateRemoved {
    /// Keys that were removed.
    pub removed: u64,
    /// Keys that the plugin still holds.
    pub left: u64,
}

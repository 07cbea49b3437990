//! The state of plugins: how much of it there may be, and what one run may do with it.
//!
//! A plugin's state is a small key-value store of its own. A run reads what is committed and notes what it writes; the
//! writes are committed with its outcome, or not at all. Committed runs of a plugin are as if they had run one after the
//! other: the commit looks at every key that was read, and if one has been written meanwhile, nothing is stored and the run
//! runs again.
//!
//! This module is what can be said without a store: [`StateLimits`], and the [`Draft`] of one run.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::tenant::TenantLimits;

/// Bytes that one run may write, keys and values: what it may read, too
/// ([`RECORD_BYTES_MAX`](crate::record::RECORD_BYTES_MAX)), and for the same reason.
pub const WRITE_BYTES_MAX: u64 = 4 << 20;

/// How much state there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateLimits {
    /// One key, bytes. Default 512: a URL or two ids fit, a document does not.
    pub key_bytes_max: u64,
    /// One value, bytes. Default 64 KiB: a conversation's notes fit; what is larger belongs into a database.
    pub value_bytes_max: u64,
    /// Keys of one plugin. Default 100 000: one for each call of a busy week.
    pub keys_max: u64,
    /// Keys and values of one plugin, bytes. Default 64 MiB: a hundred plugins are less than half of `store.bytes_max`.
    pub bytes_max: u64,
    /// Keys that one run may read, and as many that it may write. Default 256: each is looked at again in the commit, on the
    /// one thread that writes.
    pub keys_per_run_max: u64,
}

impl Default for StateLimits {
    fn default() -> Self {
        StateLimits {
            key_bytes_max: 512,
            value_bytes_max: 64 << 10,
            keys_max: 100_000,
            bytes_max: 64 << 20,
            keys_per_run_max: 256,
        }
    }
}

impl StateLimits {
    /// A tenant's: its own where it has some, and never beyond the operator's.
    #[must_use]
    pub fn of(&self, own: &TenantLimits) -> StateLimits {
        let least = |own: Option<u64>, most: u64| own.unwrap_or(most).min(most);
        StateLimits {
            key_bytes_max: least(own.state_key_bytes_max, self.key_bytes_max),
            value_bytes_max: least(own.state_value_bytes_max, self.value_bytes_max),
            keys_max: least(own.state_keys_max, self.keys_max),
            bytes_max: least(own.state_bytes_max, self.bytes_max),
            keys_per_run_max: least(own.state_keys_per_run_max, self.keys_per_run_max),
        }
    }
}

/// What a run is told whose deployment is not granted state.
pub fn denied(operation: &str, key: &str) -> String {
    let shown = key.get(..64).unwrap_or(key);
    format!(
        "state.{operation}({shown:?}): this deployment is not granted state; write `grants = {{ state = true }}` in the \
         plugin's table of the tenant's file and `creel apply` it, or `creel deploy --grant-state`; then replay what failed"
    )
}

/// What a plugin holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StateUse {
    /// Keys.
    pub keys: u64,
    /// Keys and values, bytes.
    pub bytes: u64,
}

impl StateUse {
    /// What it comes to when `writes` replace what is held of them.
    #[must_use]
    pub fn after<'a>(self, writes: impl IntoIterator<Item = (&'a StateWrite, Option<u64>)>) -> StateUse {
        let mut after = self;
        for (write, held) in writes {
            if let Some(bytes) = held {
                after.keys = after.keys.saturating_sub(1);
                after.bytes = after.bytes.saturating_sub(bytes);
            }
            if let Some(bytes) = write.bytes() {
                after.keys += 1;
                after.bytes = after.bytes.saturating_add(bytes);
            }
        }
        after
    }

    /// Why a plugin that holds so much may not come to `after`, if it may not. What makes less of it is never refused.
    pub fn refusal(self, after: StateUse, keys_max: u64, bytes_max: u64) -> Option<String> {
        if after.keys > keys_max && after.keys > self.keys {
            return Some(format!(
                "the plugin would hold {} keys; {keys_max} are allowed (`state.keys_max`): delete what is not needed, or ask \
                 the operator for more",
                after.keys
            ));
        }
        (after.bytes > bytes_max && after.bytes > self.bytes).then(|| {
            format!(
                "the plugin would hold {} bytes; {bytes_max} are allowed (`state.bytes_max`): delete what is not needed, or \
                 ask the operator for more",
                after.bytes
            )
        })
    }
}

/// A write of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateWrite {
    /// The key.
    pub key: String,
    /// Its value; `None` removes it.
    pub value: Option<Bytes>,
}

impl StateWrite {
    /// What it comes to, keys and values; `None` for a removal.
    pub fn bytes(&self) -> Option<u64> {
        self.value.as_ref().map(|value| (self.key.len() + value.len()) as u64)
    }
}

/// What one run has written so far: the last write of each key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    limits: StateLimits,
    writes: BTreeMap<String, Option<Bytes>>,
    bytes: u64,
}

impl Draft {
    /// Nothing yet.
    pub fn new(limits: StateLimits) -> Self {
        Draft { limits, writes: BTreeMap::new(), bytes: 0 }
    }

    /// What bounds it.
    pub fn limits(&self) -> &StateLimits {
        &self.limits
    }

    /// Checks a key that is to be read for the first time when `read` keys have been read.
    ///
    /// # Errors
    /// What the guest is told.
    pub fn check_read(&self, key: &str, read: usize) -> Result<(), String> {
        self.check_key(key)?;
        let max = self.limits.keys_per_run_max;
        if read as u64 >= max {
            return Err(format!(
                "one run may read {max} keys (`state.keys_per_run_max`); keep what belongs together under one"
            ));
        }
        Ok(())
    }

    /// Checks a write by itself, without asking how much the plugin holds.
    ///
    /// # Errors
    /// What the guest is told.
    pub fn check_write(&self, write: &StateWrite) -> Result<(), String> {
        self.check_key(&write.key)?;
        let (bytes, max) = (write.value.as_ref().map_or(0, Bytes::len), self.limits.value_bytes_max);
        if bytes as u64 > max {
            return Err(format!(
                "the value of {:?} has {bytes} bytes; {max} are allowed (`state.value_bytes_max`): keep less, or split it",
                write.key
            ));
        }
        let max = self.limits.keys_per_run_max;
        if !self.writes.contains_key(&write.key) && self.writes.len() as u64 >= max {
            return Err(format!(
                "one run may write {max} keys (`state.keys_per_run_max`); keep what belongs together under one"
            ));
        }
        let after = self.bytes_with(write);
        if after > WRITE_BYTES_MAX {
            return Err(format!("one run may write {WRITE_BYTES_MAX} bytes of state; this would make it {after}"));
        }
        Ok(())
    }

    /// Notes a write in place of an earlier one of its key.
    pub fn note(&mut self, write: StateWrite) {
        self.bytes = self.bytes_with(&write);
        self.writes.insert(write.key, write.value);
    }

    /// Keys that it writes with one more write.
    pub fn keys_with(&self, write: &StateWrite) -> u64 {
        self.writes.len() as u64 + u64::from(!self.writes.contains_key(&write.key))
    }

    /// What was noted, with one more, in the order of the keys.
    pub fn with(&self, write: &StateWrite) -> Vec<StateWrite> {
        let mut draft = self.clone();
        draft.note(write.clone());
        draft.into_writes()
    }

    /// What was noted, in the order of the keys.
    pub fn into_writes(self) -> Vec<StateWrite> {
        self.writes.into_iter().map(|(key, value)| StateWrite { key, value }).collect()
    }

    fn check_key(&self, key: &str) -> Result<(), String> {
        let (bytes, max) = (key.len(), self.limits.key_bytes_max);
        if bytes as u64 > max {
            return Err(format!(
                "a key has {bytes} bytes; {max} are allowed (`state.key_bytes_max`): hash what is longer"
            ));
        }
        Ok(())
    }

    /// Keys and values that it writes with one more write, bytes.
    pub fn bytes_with(&self, write: &StateWrite) -> u64 {
        let of = |key: &str, value: &Option<Bytes>| (key.len() + value.as_ref().map_or(0, Bytes::len)) as u64;
        let before = self.writes.get(&write.key).map_or(0, |value| of(&write.key, value));
        self.bytes - before + of(&write.key, &write.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(key: &str, bytes: usize) -> StateWrite {
        StateWrite { key: key.to_owned(), value: Some(Bytes::from(vec![b'x'; bytes])) }
    }

    fn removal(key: &str) -> StateWrite {
        StateWrite { key: key.to_owned(), value: None }
    }

    #[test]
    fn each_limit_is_named_by_what_it_refuses() {
        let limits =
            StateLimits { key_bytes_max: 3, value_bytes_max: 5, keys_per_run_max: 2, ..StateLimits::default() };
        let mut draft = Draft::new(limits);
        assert_eq!(draft.check_read("abc", 1), Ok(()));
        assert!(draft.check_read("abc", 2).unwrap_err().contains("`state.keys_per_run_max`"));
        assert!(draft.check_read("abcd", 0).unwrap_err().contains("`state.key_bytes_max`"));
        assert!(draft.check_write(&removal("abcd")).unwrap_err().contains("`state.key_bytes_max`"));
        assert!(draft.check_write(&write("a", 6)).unwrap_err().contains("`state.value_bytes_max`"));
        draft.note(write("a", 5));
        draft.note(removal("b"));
        assert!(draft.check_write(&write("c", 1)).unwrap_err().contains("`state.keys_per_run_max`"));
        assert_eq!(draft.check_write(&write("b", 5)), Ok(()), "a key that was written may be written again");
    }

    #[test]
    fn the_last_write_of_a_key_counts() {
        let limits = StateLimits { value_bytes_max: WRITE_BYTES_MAX, ..StateLimits::default() };
        let mut draft = Draft::new(limits);
        let most = WRITE_BYTES_MAX as usize - 1;
        draft.note(write("b", most));
        assert!(draft.check_write(&removal("a")).unwrap_err().contains("4194305"));
        assert_eq!(draft.check_write(&write("b", most)), Ok(()));
        draft.note(removal("b"));
        assert_eq!(draft.with(&write("a", 1)), [write("a", 1), removal("b")]);
        assert_eq!(draft.into_writes(), [removal("b")]);
    }

    #[test]
    fn what_a_plugin_comes_to_is_counted_by_what_is_replaced() {
        let held = StateUse { keys: 2, bytes: 20 };
        let after = held.after([(&write("a", 9), Some(4)), (&removal("b"), Some(16)), (&removal("c"), None)]);
        assert_eq!(after, StateUse { keys: 1, bytes: 10 });
        let more = held.after([(&write("c", 4), None)]);
        assert_eq!(more, StateUse { keys: 3, bytes: 25 });
        assert_eq!(held.refusal(more, 3, 25), None);
        assert!(held.refusal(more, 2, 25).unwrap().contains("`state.keys_max`"));
        assert!(held.refusal(more, 3, 24).unwrap().contains("`state.bytes_max`"));
        assert_eq!(held.refusal(after, 0, 0), None, "who is over a lowered limit may always make less of it");
    }

    #[test]
    fn a_tenants_limits_stay_within_the_operators() {
        let most = StateLimits::default();
        let own = TenantLimits { state_keys_max: Some(5), state_bytes_max: Some(u64::MAX), ..TenantLimits::default() };
        assert_eq!(most.of(&own), StateLimits { keys_max: 5, ..most });
    }
}

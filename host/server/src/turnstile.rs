//! Runs of a plugin that remembers pass one turnstile: side by side as long as they do not overtake each other, one alone
//! when it was overtaken too often.
//!
//! Whoever overtakes a run has been committed, so a plugin always gets on; but one slow run could be overtaken by quick ones
//! for ever. So a run tries [`BESIDE_MAX`] times beside the others, and then alone: it waits until those that run have
//! ended, and those that come wait for it. Alone it is overtaken by nobody but a person who removes a key. The line is fair,
//! so nobody waits for ever, and runs of other plugins notice nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use creel_webhook::id::PluginId;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// Times that a run is tried beside others: conflicts are rare where keys differ, and to wait for all others costs more than
/// to run again; where all want one key, a third try in the crowd would be lost like the first two.
pub const BESIDE_MAX: u32 = 2;

/// Times that a run is tried altogether before it is given back, to be claimed again behind others: six times alone means
/// that somebody removes keys in a loop.
pub const TRIES_MAX: u32 = 8;

/// One turnstile per plugin.
#[derive(Debug, Default)]
pub struct Turnstiles {
    turnstiles: Mutex<HashMap<PluginId, Arc<RwLock<()>>>>,
}

/// The right to run, until it is dropped.
#[derive(Debug)]
pub enum Pass {
    /// Beside others.
    Beside(OwnedRwLockReadGuard<()>),
    /// Alone.
    Alone(OwnedRwLockWriteGuard<()>),
}

impl Turnstiles {
    /// Waits for a run's turn; `overtaken` is how often it was.
    pub async fn pass(&self, plugin: PluginId, overtaken: u32) -> Pass {
        let turnstile = {
            let mut turnstiles = self.turnstiles.lock().unwrap_or_else(PoisonError::into_inner);
            turnstiles.entry(plugin).or_default().clone()
        };
        if overtaken < BESIDE_MAX {
            Pass::Beside(turnstile.read_owned().await)
        } else {
            Pass::Alone(turnstile.write_owned().await)
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn plugin(byte: u8) -> PluginId {
        PluginId::from_bytes([byte; 16])
    }

    #[tokio::test]
    async fn who_was_overtaken_too_often_runs_alone_in_its_plugin() {
        let turnstiles = Turnstiles::default();
        let now = |plugin, overtaken| turnstiles.pass(plugin, overtaken).now_or_never();
        let beside = (now(plugin(1), 0).unwrap(), now(plugin(1), BESIDE_MAX - 1).unwrap());
        let mut alone = std::pin::pin!(turnstiles.pass(plugin(1), BESIDE_MAX));
        assert!(alone.as_mut().now_or_never().is_none(), "others run");
        assert!(now(plugin(1), 0).is_none(), "who comes later waits for who waits");
        assert!(now(plugin(2), BESIDE_MAX).is_some(), "another plugin's runs do not matter");
        drop(beside);
        let pass = alone.await;
        assert!(matches!(pass, Pass::Alone(_)) && now(plugin(1), 0).is_none());
        drop(pass);
        assert!(now(plugin(1), 0).is_some());
    }
}

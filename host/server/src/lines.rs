//! A line per tenant, before something that is done one by one: who asks a hundred times stands in the host's line once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use creel_webhook::id::TenantId;
use tokio::sync::OwnedMutexGuard;

type Line = Arc<tokio::sync::Mutex<()>>;

/// The lines; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Lines(Arc<Mutex<HashMap<TenantId, Line>>>);

/// The head of a tenant's line; the next has it when this is dropped.
#[derive(Debug)]
pub struct Head {
    lines: Lines,
    tenant: TenantId,
    // Taken only by drop.
    held: Option<OwnedMutexGuard<()>>,
}

impl Lines {
    /// Waits until the tenant's line has come so far.
    pub async fn stand(&self, tenant: TenantId) -> Head {
        let line = {
            let mut lines = self.lines();
            // Who left while waiting leaves a line that nobody stands in.
            lines.retain(|_, line| Arc::strong_count(line) > 1);
            lines.entry(tenant).or_default().clone()
        };
        let held = Some(line.lock_owned().await);
        Head { lines: self.clone(), tenant, held }
    }

    /// Tenants that have a line.
    pub fn len(&self) -> usize {
        self.lines().len()
    }

    /// Whether nobody stands anywhere.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<TenantId, Line>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Head {
    fn drop(&mut self) {
        drop(self.held.take());
        let mut lines = self.lines.lines();
        if lines.get(&self.tenant).is_some_and(|line| Arc::strong_count(line) == 1) {
            lines.remove(&self.tenant);
        }
    }
}

//! Tenants that were removed go for good: what the store and the cache of compiled components have of them, step by step.
//!
//! The API only marks a tenant, and from then on nobody sees it. Everything else happens here, beside the host's other work:
//! code that only this tenant's components were compiled to is removed first, because its rows are what says that it is the
//! tenant's; then the store's rows; and when the last is gone, the store's files are scrubbed. Nothing has to be remembered
//! between two ticks, so whatever ends the process, the next one goes on.
//!
//! Code of which no row says whose it is belongs to nobody: it was made of an upload that was only looked at, was refused for
//! want of room, or whose sender or tenant was gone before it was kept. It goes with the next tenant that goes, and with the first
//! tick of a process. An upload that is kept in just that moment is in memory, and compiled again by the next start.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use creel_runtime::registry::Registry;
use creel_store::contract::{Leaving, Store, StoreResult};
use creel_webhook::plugin::Digest;

/// Most steps of one tick for all tenants together: the writer is everybody's.
const STEPS_MAX: usize = 16;

/// Most steps of one tick that give free pages back.
const SCRUBS_MAX: usize = 16;

/// Brings removals to their end.
pub struct Removal {
    store: Arc<dyn Store>,
    registry: Arc<Registry>,
    // Whether code may be there that nobody has.
    has_strays: AtomicBool,
}

/// Lets go of those of these components that no tenant has.
///
/// # Errors
/// When the store fails.
pub async fn forget_strays(store: &dyn Store, registry: &Registry, digests: Vec<Digest>) -> StoreResult<()> {
    for digest in store.component_strays(digests).await? {
        registry.forget(digest).await;
    }
    Ok(())
}

impl Removal {
    /// Removals from this store, and of code that this registry holds.
    pub fn new(store: Arc<dyn Store>, registry: Arc<Registry>) -> Self {
        Removal { store, registry, has_strays: AtomicBool::new(true) }
    }

    /// Goes on for a while.
    ///
    /// # Errors
    /// When the store fails; the next tick goes on.
    pub async fn tick(&self) -> StoreResult<()> {
        let mut steps = STEPS_MAX;
        for leaving in self.store.tenants_leaving().await? {
            self.remove(&leaving, &mut steps).await?;
        }
        if self.has_strays.load(Ordering::Relaxed) {
            forget_strays(self.store.as_ref(), &self.registry, self.registry.cache().digests()).await?;
            self.has_strays.store(false, Ordering::Relaxed);
        }
        for _ in 0..SCRUBS_MAX {
            if !self.store.scrub().await? {
                break;
            }
        }
        Ok(())
    }

    async fn remove(&self, leaving: &Leaving, steps: &mut usize) -> StoreResult<()> {
        let tenant = leaving.tenant.id;
        if *steps > 0 {
            for digest in self.store.tenant_components(tenant).await? {
                self.registry.forget(digest).await;
            }
        }
        while *steps > 0 {
            *steps -= 1;
            if !self.store.tenant_remove(tenant).await? {
                tracing::info!(%tenant, name = leaving.tenant.name, "a tenant is gone");
                self.has_strays.store(true, Ordering::Relaxed);
                break;
            }
        }
        Ok(())
    }
}

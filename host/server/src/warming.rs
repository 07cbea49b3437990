//! Code for the engine that runs now: made in the background, before it is asked for.
//!
//! Compiled code belongs to one engine. After an upgrade of the program, or with an empty cache, what is deployed must be
//! compiled again. That happens when it is asked for; but a sender that waits should not wait for a compiler, so this
//! errand goes through the active deployments once, at start:
//!
//! - those first whose senders wait, then those with any route, then the rest;
//! - one at a time, in the compiler's own process, and in the line of uploads: a run that needs code goes before it;
//! - into the cache on disk alone; memory stays for what runs.
//!
//! What the engine of before left stays until everything is made, so that going back to the program of before finds its
//! code. A component that no longer compiles is logged and passed over: it is told to whoever it runs for. When the host
//! itself is at fault (a full disk), the errand gives up, old code stays, and the next start tries again.

use std::collections::HashSet;
use std::sync::Arc;

use creel_runtime::registry::Registry;
use creel_store::contract::{Store, StoreResult};

use crate::directory::Directory;

/// The errand.
pub struct Warming {
    store: Arc<dyn Store>,
    directory: Arc<Directory>,
    registry: Arc<Registry>,
}

impl Warming {
    /// For what this directory deploys.
    pub fn new(store: Arc<dyn Store>, directory: Arc<Directory>, registry: Arc<Registry>) -> Self {
        Warming { store, directory, registry }
    }

    /// Goes through everything once; gives how many components were compiled.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn tick(&self) -> StoreResult<usize> {
        let (mut seen, mut compiled) = (HashSet::new(), 0);
        for deployment in self.directory.picture().await?.deployed() {
            let (tenant, digest) = (deployment.tenant, deployment.digest);
            if self.registry.cache().is_full() {
                tracing::warn!(
                    "`runtime.cache_bytes_max` is less than active deployments need; the rest is compiled when it runs"
                );
                break;
            }
            if !seen.insert(digest) {
                continue;
            }
            let load = || async move {
                let read = self.store.component_read(tenant, digest).await.map_err(|error| error.to_string())?;
                read.ok_or_else(|| "it is not stored".to_owned())
            };
            match self.registry.keep(digest, load).await {
                Ok(made) => compiled += usize::from(made),
                Err(error) if error.is_components() => {
                    tracing::warn!(%digest, deployment = %deployment.id, %error, "a component that is deployed no longer compiles");
                }
                Err(error) => {
                    tracing::error!(%digest, %error, "code for this engine could not be made; it is made when it is needed");
                    return Ok(compiled);
                }
            }
        }
        let cache = self.registry.cache().clone();
        if cache.other_engines() > 0 {
            // What a panic there would tell was told when it happened.
            let _ = tokio::task::spawn_blocking(move || cache.forget_other_engines()).await;
            tracing::info!(compiled, "what is deployed is compiled for this engine; other engines' code is removed");
        }
        Ok(compiled)
    }

    /// The errand, cut short by the shutdown: what was made stays made.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        tokio::select! {
            done = self.tick() => {
                if let Err(error) = done {
                    tracing::error!(%error, "code for this engine could not be made; it is made when it is needed");
                }
            }
            () = shutdown => {}
        }
    }
}

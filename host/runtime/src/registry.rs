//! Components that are ready to run, by digest.
//!
//! ```text
//! get(digest) -> in memory? -> on disk and authentic? -> load the upload, inspect and compile in the child, keep, link
//! ```
//!
//! A component that several callers want at once is prepared once; the others wait for it. When preparing fails, each
//! waiter tries for itself: nothing remembers a failure that may have been the disk's. Memory is bounded by the size of
//! the code; what was used longest ago leaves first. A run keeps its own handle, so leaving never stops a run.
//!
//! An upload is refused when its code can't be kept. A run is not: what was accepted once runs from memory, and the
//! next start compiles it again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use creel_webhook::plugin::Digest;
use tokio::sync::OnceCell;

use crate::cache::{Cache, CacheError};
use crate::engine::Sandbox;
use crate::gate::compile::{CompileError, Compiler};
use crate::gate::compiled::Loaded;
use crate::gate::inspection::glance;
use crate::gate::refusal::Refusal;
use crate::gate::{Linking, Prepared};
use crate::limits::Limits;

/// Why a component is not ready.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The upload can't be had.
    #[error("the component {digest} could not be loaded: {reason}")]
    Missing {
        /// Which.
        digest: Digest,
        /// Why.
        reason: String,
    },
    /// The bytes are not those of the digest.
    #[error("the stored component {wanted} has the digest {found}: the store is damaged")]
    Damaged {
        /// What was asked for.
        wanted: Digest,
        /// What the bytes are.
        found: Digest,
    },
    /// It does not pass the gate.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It does not compile.
    #[error(transparent)]
    Compile(CompileError),
    /// The cache is out of order.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl From<CompileError> for PrepareError {
    fn from(error: CompileError) -> Self {
        match error {
            CompileError::Gate(refusal) => PrepareError::Refused(refusal),
            other => PrepareError::Compile(other),
        }
    }
}

/// Components that are ready to run.
#[derive(Debug)]
pub struct Registry {
    cache: Arc<Cache>,
    linking: Arc<Linking>,
    compiler: Compiler,
    limits: Limits,
    bytes_max: u64,
    slots: Mutex<Slots>,
}

/// What becomes of compiled code that the disk does not take.
#[derive(Debug, Clone, Copy)]
enum Keep {
    /// It is an error: an upload is there to stay.
    Always,
    /// It is used all the same: something wants to run.
    IfPossible,
}

#[derive(Debug, Default)]
struct Slots {
    by_digest: HashMap<Digest, Slot>,
    uses: u64,
}

#[derive(Debug, Default)]
struct Slot {
    cell: Arc<OnceCell<Arc<Prepared>>>,
    last_use: u64,
}

impl Registry {
    /// A registry that keeps at most `bytes_max` bytes of code in memory (the one in use last is always kept).
    ///
    /// `limits` are the operator's ceilings: a component that was accepted once stays runnable when a tenant's own
    /// limit is lowered.
    pub fn new(sandbox: &Sandbox, cache: Cache, compiler: Compiler, limits: Limits, bytes_max: u64) -> Self {
        let linking = Arc::new(Linking::new(sandbox));
        Registry { cache: Arc::new(cache), linking, compiler, limits, bytes_max, slots: Mutex::default() }
    }

    /// The component with this digest, prepared when it is not yet; `load` gives the upload when it is needed.
    ///
    /// # Errors
    /// [`PrepareError`].
    pub async fn get<F, E>(&self, digest: Digest, load: impl FnOnce() -> F) -> Result<Arc<Prepared>, PrepareError>
    where
        F: Future<Output = Result<Bytes, E>>,
        E: std::fmt::Display,
    {
        self.ready(digest, Keep::IfPossible, load).await
    }

    /// Checks, compiles and links an upload, so that the first event does not wait for it.
    ///
    /// # Errors
    /// [`PrepareError`]; a refusal says what to do.
    pub async fn admit(&self, upload: Bytes, limits: &Limits) -> Result<Arc<Prepared>, PrepareError> {
        glance(&upload, &limits.within(&self.limits))?;
        let bytes = upload.clone();
        let digest = blocking(move || Digest::of(&bytes)).await;
        self.ready(digest, Keep::Always, || async { Ok::<_, String>(upload) }).await
    }

    /// The cache behind it.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    async fn ready<F, E>(
        &self,
        digest: Digest,
        keep: Keep,
        load: impl FnOnce() -> F,
    ) -> Result<Arc<Prepared>, PrepareError>
    where
        F: Future<Output = Result<Bytes, E>>,
        E: std::fmt::Display,
    {
        let cell = self.cell(digest);
        if let Some(prepared) = cell.get() {
            return Ok(prepared.clone());
        }
        let prepared = cell.get_or_try_init(|| self.prepare(digest, keep, load)).await?.clone();
        self.evict(digest);
        Ok(prepared)
    }

    async fn prepare<F, E>(
        &self,
        digest: Digest,
        keep: Keep,
        load: impl FnOnce() -> F,
    ) -> Result<Arc<Prepared>, PrepareError>
    where
        F: Future<Output = Result<Bytes, E>>,
        E: std::fmt::Display,
    {
        let cache = self.cache.clone();
        if let Some(loaded) = blocking(move || cache.load(&digest)).await? {
            return self.link(digest, loaded);
        }
        let upload = load().await.map_err(|error| PrepareError::Missing { digest, reason: error.to_string() })?;
        let found = Digest::of(&upload);
        if found != digest {
            return Err(PrepareError::Damaged { wanted: digest, found });
        }
        glance(&upload, &self.limits)?;
        let compiled = self.compiler.compile(upload).await?;
        let cache = self.cache.clone();
        let loaded = blocking(move || {
            let loaded = cache.deserialize(&compiled).map_err(|error| match error {
                CacheError::Load(reason) => PrepareError::Refused(Refusal::NoRoom(reason)),
                error => PrepareError::Cache(error),
            })?;
            match (cache.keep(&digest, &compiled), keep) {
                (Err(error), Keep::Always) => return Err(PrepareError::Cache(error)),
                (Err(error), Keep::IfPossible) => {
                    tracing::warn!(%digest, %error, "compiled code could not be kept; the next start compiles again");
                }
                (Ok(()), _) => {}
            }
            Ok(loaded)
        });
        self.link(digest, loaded.await?)
    }

    fn link(&self, digest: Digest, loaded: Loaded) -> Result<Arc<Prepared>, PrepareError> {
        Ok(Arc::new(self.linking.link(digest, loaded)?))
    }

    fn cell(&self, digest: Digest) -> Arc<OnceCell<Arc<Prepared>>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.uses += 1;
        let now = slots.uses;
        let slot = slots.by_digest.entry(digest).or_default();
        slot.last_use = now;
        slot.cell.clone()
    }

    /// Lets go of what was used longest ago until the rest fits, and of what never became ready.
    fn evict(&self, keep: Digest) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slots = &mut slots.by_digest;
        // A slot whose cell is empty and held by nobody else failed to become ready.
        slots.retain(|_, slot| slot.cell.initialized() || Arc::strong_count(&slot.cell) > 1);
        let size = |slot: &Slot| slot.cell.get().map_or(0, |prepared| prepared.artifact_bytes);
        let mut total: u64 = slots.values().map(size).sum();
        while total > self.bytes_max {
            let ready = slots.iter().filter(|(digest, slot)| **digest != keep && slot.cell.initialized());
            let Some(oldest) = ready.min_by_key(|(_, slot)| slot.last_use).map(|(digest, _)| *digest) else { break };
            total -= slots.remove(&oldest).as_ref().map_or(0, size);
        }
    }
}

/// Runs work that blocks on the disk or the processor where it holds nobody up.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

#[cfg(test)]
mod tests;

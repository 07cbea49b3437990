//! Components that are ready to run, by digest.
//!
//! ```text
//! get(digest) -> in memory? -> on disk and authentic? -> load the upload, inspect and compile in the child, keep, link
//! ```
//!
//! A component that several callers want at once is prepared once; the others wait for it. When that fails by the
//! component's own fault, all who waited are told so; when it failed by the host's (the disk, an upload that can't be
//! read), each waiter tries for itself. Nothing remembers a failure after that.
//!
//! Memory is bounded by the size of the code and by the number of components, since each holds a descriptor
//! ([`crate::descriptors`]); what was used longest ago leaves first. A run keeps its own handle, so
//! leaving never stops a run. What is in memory is never removed from the disk.
//!
//! An upload is refused when its code can't be kept. A run is not: what was accepted once runs from memory, and the
//! next start compiles it again. The compiler takes one component at a time; a run goes before everything that waits in
//! the line of uploads.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

/// When memory is full, one part in this many is made free: who is in memory is looked through once for many that leave.
const SPARE: u64 = 16;

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
    components_max: usize,
    slots: Arc<Mutex<Slots>>,
    // Who is not run yet waits here, so that at most one of them is before a run.
    line: tokio::sync::Mutex<()>,
}

impl PrepareError {
    /// Whether it is the component's own fault: everybody who wants it fares the same.
    pub fn is_components(&self) -> bool {
        match self {
            PrepareError::Refused(_) => true,
            PrepareError::Compile(error) => !error.is_hosts(),
            PrepareError::Missing { .. } | PrepareError::Damaged { .. } | PrepareError::Cache(_) => false,
        }
    }
}

/// What a component is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// It is there to stay: code that the disk does not take is an error. It waits in line.
    Stay,
    /// The same, and memory is left as it is.
    Disk,
    /// Something wants to run: code that the disk does not take is used all the same.
    Run,
}

/// What came of preparing a component; those who wait for it share it.
type Ready = Result<Arc<Prepared>, Arc<PrepareError>>;

#[derive(Debug, Default)]
struct Slots {
    by_digest: HashMap<Digest, Slot>,
    uses: u64,
    // Of the code in memory.
    bytes: u64,
}

#[derive(Debug, Default)]
struct Slot {
    cell: Arc<OnceCell<Ready>>,
    last_use: u64,
    // What it counts with: nothing before it is ready.
    bytes: u64,
}

impl Registry {
    /// A registry that keeps at most `bytes_max` bytes of code in memory (the one in use last is always kept).
    ///
    /// `limits` are the operator's ceilings: a component that was accepted once stays runnable when a tenant's own
    /// limit is lowered.
    pub fn new(sandbox: &Sandbox, cache: Cache, compiler: Compiler, limits: Limits, bytes_max: u64) -> Self {
        let linking = Arc::new(Linking::new(sandbox));
        Registry {
            cache: Arc::new(cache),
            linking,
            compiler,
            limits,
            bytes_max,
            components_max: usize::MAX,
            slots: Arc::default(),
            line: Default::default(),
        }
    }

    /// The same with at most so many components in memory, whatever their size.
    #[must_use]
    pub fn holding_at_most(self, components_max: usize) -> Self {
        Registry { components_max, ..self }
    }

    /// The component with this digest, prepared when it is not yet; `load` gives the upload when it is needed.
    ///
    /// # Errors
    /// [`PrepareError`].
    pub async fn get<F, E>(&self, digest: Digest, load: impl Fn() -> F) -> Ready
    where
        F: Future<Output = Result<Bytes, E>>,
        E: std::fmt::Display,
    {
        self.ready(digest, Wish::Run, load).await
    }

    /// Checks, compiles and links an upload, so that the first event does not wait for it.
    ///
    /// # Errors
    /// [`PrepareError`]; a refusal says what to do.
    pub async fn admit(&self, upload: Bytes, limits: &Limits) -> Ready {
        glance(&upload, limits).map_err(PrepareError::from)?;
        let bytes = upload.clone();
        let digest = blocking(move || Digest::of(&bytes)).await;
        let load = || std::future::ready(Ok::<_, Infallible>(upload.clone()));
        self.ready(digest, Wish::Stay, load).await
    }

    /// Makes sure that the disk holds a component's code and leaves memory as it is; true when it had to be compiled.
    ///
    /// # Errors
    /// [`PrepareError`].
    pub async fn keep<F, E>(&self, digest: Digest, load: impl Fn() -> F) -> Result<bool, Arc<PrepareError>>
    where
        F: Future<Output = Result<Bytes, E>>,
        E: std::fmt::Display,
    {
        if self.cache.holds(&digest) {
            return Ok(false);
        }
        self.ready(digest, Wish::Disk, load).await?;
        Ok(true)
    }

    /// Lets go of a component that nobody has any more, in memory and on disk. Who runs it still holds it.
    pub async fn forget(&self, digest: Digest) {
        self.slots().forget(&digest);
        let cache = self.cache.clone();
        blocking(move || cache.forget(&digest)).await;
    }

    /// The cache behind it.
    pub fn cache(&self) -> &Arc<Cache> {
        &self.cache
    }

    async fn ready<F, E>(&self, digest: Digest, wish: Wish, load: impl Fn() -> F) -> Ready
    where
        F: Future<Output = Result<Bytes, E>>,
        E: std::fmt::Display,
    {
        loop {
            let cell = self.cell(digest);
            if let Some(Ok(prepared)) = cell.get() {
                return Ok(prepared.clone());
            }
            let _leaving = Leaving { slots: &self.slots, digest, cell: &cell };
            let mut own = false;
            let prepare = async {
                own = true;
                self.prepare(digest, wish, &load).await.map_err(Arc::new)
            };
            let ready = cell.get_or_init(|| prepare).await.clone();
            match &ready {
                Ok(_) if own => self.settle(digest, wish, &cell),
                Ok(_) => {}
                Err(error) => {
                    self.slots().remove(digest, &cell);
                    if !own && !error.is_components() {
                        continue;
                    }
                }
            }
            return ready;
        }
    }

    async fn prepare<F, E>(
        &self,
        digest: Digest,
        wish: Wish,
        load: &impl Fn() -> F,
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
        let line = match wish {
            Wish::Stay | Wish::Disk => Some(self.line.lock().await),
            Wish::Run => None,
        };
        let compiled = self.compiler.compile(upload).await?;
        drop(line);
        let (cache, slots) = (self.cache.clone(), self.slots.clone());
        let loaded = blocking(move || {
            let loaded = cache.deserialize(&compiled).map_err(|error| match error {
                CacheError::Load(reason) => PrepareError::Refused(Refusal::NoRoom(reason)),
                error => PrepareError::Cache(error),
            })?;
            match (cache.keep(&digest, &compiled, &|other| lock(&slots).by_digest.contains_key(other)), wish) {
                (Err(error), Wish::Stay | Wish::Disk) => return Err(PrepareError::Cache(error)),
                (Err(error), Wish::Run) => {
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

    fn cell(&self, digest: Digest) -> Arc<OnceCell<Ready>> {
        let mut slots = self.slots();
        slots.uses += 1;
        let now = slots.uses;
        let slot = slots.by_digest.entry(digest).or_default();
        slot.last_use = now;
        slot.cell.clone()
    }

    /// A component became ready: it counts, and what was used longest ago makes room for it.
    fn settle(&self, digest: Digest, wish: Wish, cell: &Arc<OnceCell<Ready>>) {
        let gone = {
            let mut slots = self.slots();
            if wish == Wish::Disk && Arc::strong_count(cell) <= 2 {
                // Nobody else wanted it meanwhile.
                slots.remove(digest, cell);
                return;
            }
            slots.count(digest, cell);
            if slots.bytes <= self.bytes_max && slots.by_digest.len() <= self.components_max {
                return;
            }
            let spare = self.components_max / SPARE as usize;
            slots.evict(digest, self.bytes_max - self.bytes_max / SPARE, self.components_max - spare)
        };
        for digest in gone {
            self.cache.used(&digest);
        }
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        lock(&self.slots)
    }
}

/// Whoever gives up waiting (an uploader who hangs up) leaves no empty slot behind, when nobody else waits.
struct Leaving<'a> {
    slots: &'a Mutex<Slots>,
    digest: Digest,
    cell: &'a Arc<OnceCell<Ready>>,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if !self.cell.initialized() {
            let mut slots = lock(self.slots);
            if Arc::strong_count(self.cell) <= 2 {
                slots.remove(self.digest, self.cell);
            }
        }
    }
}

impl Slots {
    /// Lets go of what was used longest ago until the rest fits.
    fn evict(&mut self, keep: Digest, bytes_max: u64, components_max: usize) -> Vec<Digest> {
        let ready = self.by_digest.iter().filter(|(digest, slot)| **digest != keep && slot.cell.initialized());
        let mut oldest: Vec<_> = ready.map(|(digest, slot)| (slot.last_use, *digest)).collect();
        oldest.sort_unstable();
        let mut gone = Vec::new();
        for (_, digest) in oldest {
            if self.bytes <= bytes_max && self.by_digest.len() <= components_max {
                break;
            }
            self.forget(&digest);
            gone.push(digest);
        }
        gone
    }

    /// Lets go of a component, ready or not.
    fn forget(&mut self, digest: &Digest) {
        if let Some(slot) = self.by_digest.remove(digest) {
            self.bytes -= slot.bytes;
        }
    }

    /// From now on the code of a component counts, if it is still here.
    fn count(&mut self, digest: Digest, cell: &Arc<OnceCell<Ready>>) {
        let Some(Ok(prepared)) = cell.get() else { return };
        if let Some(slot) = self.by_digest.get_mut(&digest).filter(|slot| Arc::ptr_eq(&slot.cell, cell)) {
            self.bytes += prepared.artifact_bytes - slot.bytes;
            slot.bytes = prepared.artifact_bytes;
        }
    }

    /// Lets go of what does not count; who waits for it holds it.
    fn remove(&mut self, digest: Digest, cell: &Arc<OnceCell<Ready>>) {
        if self.by_digest.get(&digest).is_some_and(|slot| Arc::ptr_eq(&slot.cell, cell)) {
            self.by_digest.remove(&digest);
        }
    }
}

fn lock(slots: &Mutex<Slots>) -> MutexGuard<'_, Slots> {
    slots.lock().unwrap_or_else(PoisonError::into_inner)
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

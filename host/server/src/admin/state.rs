//! What the admin API works with: the pieces it is given, and the desk that its handlers share.
//!
//! Reads look at one snapshot of everything configured, kept as long as the store says that nothing changed. Writes
//! take turns, so that "read, check, write" is one step: nobody else writes what people configure, because one process
//! holds the data directory.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use creel_store::contract::{Control, Store};
use creel_webhook::clock::{Clock, Timestamp};
use creel_webhook::id::{Id, Kind, TenantId};
use creel_webhook::plugin::Digest;
use futures_util::future::BoxFuture;

use super::guessing::Guesses;
use super::problem::Refusal;
use super::uploads::Uploads;
use crate::keyring::Keyring;
use crate::probe::Probes;
use crate::rehearsal::Stage;
use crate::settled::Settled;
use crate::spec::tenant::Ceilings;
use crate::system::Entropy;

/// A component that passed the upload gate.
#[derive(Debug, Clone)]
pub struct Uploaded {
    /// SHA-256 of the upload.
    pub digest: Digest,
    /// What it imports.
    pub imports: Vec<String>,
    /// Its size.
    pub bytes: u64,
    /// The upload as it came: a component, or a core module that is wrapped whenever it is compiled.
    pub upload: Bytes,
}

/// Why the upload gate said no.
#[derive(Debug, Clone)]
pub struct UploadRefusal {
    /// HTTP status, usually 422.
    pub status: u16,
    /// What kind of refusal, in words.
    pub title: String,
    /// What exactly and what is offered instead.
    pub detail: String,
}

/// Looks at uploaded bytes: parses, checks imports, compiles.
pub type UploadGate = Arc<dyn Fn(Bytes) -> BoxFuture<'static, Result<Uploaded, UploadRefusal>> + Send + Sync>;

/// What a tenant's uploaded component imports; nothing when that can't be had just now.
pub type ImportsOf = Arc<dyn Fn(TenantId, Digest) -> BoxFuture<'static, Vec<String>> + Send + Sync>;

/// Says why a URL may not be called, if its host is a literal address that the guard denies.
pub type UrlCheck = Arc<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

/// Lets go of what was compiled for an upload that nobody kept.
pub type ForgetStray = Arc<dyn Fn(Digest) -> BoxFuture<'static, ()> + Send + Sync>;

/// Renders the metrics.
pub type MetricsText = Arc<dyn Fn() -> String + Send + Sync>;

/// Counts a request that was refused before anybody was known, under a word.
pub type RefusedCount = Arc<dyn Fn(&'static str) + Send + Sync>;

/// Says why the host is not ready.
pub type ReadyCheck = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// The pieces that the admin API is made of.
#[derive(Clone)]
pub struct Admin {
    /// The durable state.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness for ids, tokens, nonces and keys.
    pub entropy: Arc<Entropy>,
    /// Up to where what came is stored.
    pub settled: Arc<Settled>,
    /// What secrets are sealed under.
    pub master: Keyring,
    /// The file of the master key; `None` when it comes from the environment.
    pub master_key_file: Option<PathBuf>,
    /// What looks at uploads.
    pub upload_gate: UploadGate,
    /// What lets go of those that passed and were not kept.
    pub forget_stray: ForgetStray,
    /// What looks at components that passed.
    pub imports_of: ImportsOf,
    /// Where events are rehearsed.
    pub stage: Stage,
    /// What looks at destinations' URLs.
    pub url_check: UrlCheck,
    /// What `/metrics` shows.
    pub metrics: MetricsText,
    /// What counts refused requests.
    pub refused: RefusedCount,
    /// What `/readyz` asks.
    pub ready: ReadyCheck,
    /// Base of the ingress URLs, without a slash at its end.
    pub public_url: String,
    /// Addresses for `creel doctor`, shared with ingress.
    pub probes: Arc<Probes>,
    /// Largest component taken, bytes.
    pub component_bytes_max: usize,
    /// What all uploads in memory may hold together, bytes.
    pub in_flight_upload_bytes_max: u64,
    /// What all components of a tenant may hold, bytes.
    pub components_bytes_max: u64,
    /// Writers of what people configure take turns; the other one is ingress, where a provider gives a secret.
    pub turns: Arc<tokio::sync::Mutex<()>>,
}

/// What handlers share.
#[derive(Clone)]
pub struct Desk {
    /// The pieces.
    pub admin: Arc<Admin>,
    /// What tenants' limits stay below.
    pub ceilings: Ceilings,
    /// Who may upload.
    pub uploads: Uploads,
    /// Who sends keys that are none.
    pub guesses: Arc<Guesses>,
    /// What describes the API.
    pub described: fn() -> serde_json::Value,
    latest: Arc<Mutex<Arc<Control>>>,
}

/// The right to write; dropped when the write is done.
pub type Turn = tokio::sync::OwnedMutexGuard<()>;

impl Desk {
    /// A desk over these pieces.
    pub fn new(admin: Admin, ceilings: Ceilings, described: fn() -> serde_json::Value) -> Self {
        Desk {
            uploads: Uploads::new(admin.in_flight_upload_bytes_max),
            admin: Arc::new(admin),
            ceilings,
            guesses: Arc::default(),
            described,
            latest: Arc::default(),
        }
    }

    /// Everything configured, as of now.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn control(&self) -> Result<Arc<Control>, Refusal> {
        let version = self.admin.store.control_version();
        let kept = Arc::clone(&self.latest.lock().unwrap_or_else(PoisonError::into_inner));
        // Version 0 is also what an empty snapshot says, so that one is read again: it costs nothing.
        if kept.version == version && version != 0 {
            return Ok(kept);
        }
        let fresh = Arc::new(self.admin.store.control_read().await?);
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&fresh);
        Ok(fresh)
    }

    /// Waits for the right to write.
    pub async fn turn(&self) -> Turn {
        Arc::clone(&self.admin.turns).lock_owned().await
    }

    /// The store.
    pub fn store(&self) -> &dyn Store {
        self.admin.store.as_ref()
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.admin.clock.now()
    }

    /// A new id.
    pub fn id<K: Kind>(&self) -> Id<K> {
        Id::new(self.now(), self.admin.entropy.id_bytes())
    }
}

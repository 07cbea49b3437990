//! Compiled components on disk.
//!
//! One file per component, in a directory per engine fingerprint, so that an upgrade of wasmtime or another processor
//! finds an empty cache instead of wrong code. A file is
//!
//! ```text
//! magic (8 bytes) || HMAC-SHA256 (32 bytes) over (magic, fingerprint, digest, artifact) || artifact
//! ```
//!
//! The key comes from the caller and derives from the master key. Whoever can write the file but does not hold the key
//! can make the host compile again, no more: bytes that do not authenticate are treated as absent and replaced. A file
//! is written beside its place and renamed into it, so a crash leaves the old file or the new one.
//!
//! This is the only place where machine code is loaded.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use creel_webhook::plugin::Digest;
use creel_webhook::secret::SecretBytes;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use wasmtime::component::Component;
use wasmtime::{Engine, Precompiled};

use crate::engine::{Sandbox, fingerprint};
use crate::gate::compiled::{Compiled, Loaded};

const MAGIC: &[u8; 8] = b"creelao2";
const TAG_BYTES: usize = 32;

/// Why the cache can't be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The disk said no.
    #[error("the cache of compiled components at {path} can't be used: {source}")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Code right from the compiler that the engine does not take although it is its own: it needs more room than the
    /// pool has.
    #[error("compiled code does not load: {0}")]
    Load(String),
    /// Code right from the compiler that is none, or another engine's.
    #[error(
        "the compiler made code that this engine does not take ({0}); this is a fault of the host, most likely a program \
         that was replaced while it ran: restart it"
    )]
    Foreign(&'static str),
}

/// Compiled components on disk, for one engine and one key.
#[derive(Debug)]
pub struct Cache {
    directory: PathBuf,
    engine: Engine,
    fingerprint: [u8; 32],
    key: SecretBytes,
    writes: AtomicU64,
}

impl Cache {
    /// Opens the cache under `root`, which belongs to it alone, and removes what earlier engines left there.
    ///
    /// # Errors
    /// [`CacheError::Io`] when the directory can't be made.
    pub fn open(root: &Path, sandbox: &Sandbox, key: SecretBytes) -> Result<Self, CacheError> {
        let engine = sandbox.engine().clone();
        let fingerprint = fingerprint(&engine);
        let directory = root.join(format!("engine-{}", hex::encode(&fingerprint[..16])));
        fs::create_dir_all(&directory).map_err(|source| CacheError::Io { path: directory.clone(), source })?;
        remove_other_engines(root, &directory);
        Ok(Cache { directory, engine, fingerprint, key, writes: AtomicU64::new(0) })
    }

    /// Where a component's file is.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.directory.join(format!("{}.aot", hex::encode(digest.as_bytes())))
    }

    /// Loads a component; none when there is no file that authenticates and loads. Blocks on the disk.
    ///
    /// # Errors
    /// [`CacheError::Io`] when the disk fails.
    pub(crate) fn load(&self, digest: &Digest) -> Result<Option<Loaded>, CacheError> {
        let path = self.path(digest);
        let bytes = match fs::read(&path) {
            Ok(bytes) => Bytes::from(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(CacheError::Io { path, source }),
        };
        let Some(artifact) = self.authentic(digest, &bytes) else {
            tracing::warn!(%digest, "a compiled component does not authenticate and is compiled again");
            return Ok(None);
        };
        let Some(compiled) = Compiled::read(bytes.slice_ref(artifact)) else { return Ok(None) };
        match self.deserialize(&compiled) {
            Ok(loaded) => Ok(Some(loaded)),
            Err(error) => {
                tracing::warn!(%digest, %error, "a compiled component does not load and is compiled again");
                Ok(None)
            }
        }
    }

    /// Keeps what loaded right from the compiler. Blocks on the disk.
    ///
    /// # Errors
    /// [`CacheError::Io`].
    pub(crate) fn keep(&self, digest: &Digest, compiled: &Compiled) -> Result<(), CacheError> {
        let path = self.path(digest);
        self.write(&path, digest, compiled.bytes()).map_err(|source| CacheError::Io { path, source })
    }

    /// Forgets a component that no deployment uses any more. Blocks on the disk.
    ///
    /// # Errors
    /// [`CacheError::Io`].
    pub fn remove(&self, digest: &Digest) -> Result<(), CacheError> {
        let path = self.path(digest);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(CacheError::Io { path, source }),
            _ => Ok(()),
        }
    }

    fn write(&self, path: &Path, digest: &Digest, artifact: &[u8]) -> io::Result<()> {
        let number = self.writes.fetch_add(1, Ordering::Relaxed);
        let beside = path.with_extension(format!("{}-{number}.tmp", std::process::id()));
        let written = fs::File::create(&beside).and_then(|mut file| {
            file.write_all(MAGIC)?;
            file.write_all(&self.mac(digest, artifact).finalize().into_bytes())?;
            file.write_all(artifact)?;
            file.sync_all()
        });
        written.and_then(|()| fs::rename(&beside, path)).inspect_err(|_| {
            // What is left of a failed write is removed at the next start at the latest.
            let _ = fs::remove_file(&beside);
        })
    }

    /// The artifact in these bytes, when they are ours and belong to this component and engine.
    fn authentic<'a>(&self, digest: &Digest, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let (tag, artifact) = bytes.strip_prefix(MAGIC)?.split_at_checked(TAG_BYTES)?;
        self.mac(digest, artifact).verify_slice(tag).ok()?;
        Some(artifact)
    }

    fn mac(&self, digest: &Digest, artifact: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.expose()).expect("HMAC takes keys of any length");
        mac.update(MAGIC);
        mac.update(&self.fingerprint);
        mac.update(digest.as_bytes());
        mac.update(artifact);
        mac
    }

    /// Loads what our own compiler made a moment ago, or what [`Cache::load`] authenticated.
    ///
    /// # Errors
    /// [`CacheError::Load`] and [`CacheError::Foreign`].
    #[allow(unsafe_code)]
    pub(crate) fn deserialize(&self, compiled: &Compiled) -> Result<Loaded, CacheError> {
        let code = compiled.code();
        if !compiled.is_for(&self.fingerprint) {
            return Err(CacheError::Foreign("it was made for another one"));
        }
        if Engine::detect_precompiled(code) != Some(Precompiled::Component) {
            return Err(CacheError::Foreign("it is no machine code"));
        }
        // SAFETY: `Component::deserialize` must only be given what `Engine::precompile_component` made. These bytes
        // come from our own compiler a moment ago, or from a file whose HMAC under a key that only this host holds says
        // that they did (`load`). They are in memory: nobody changes them after the check.
        let component = unsafe { Component::deserialize(&self.engine, code) }
            .map_err(|error| CacheError::Load(format!("{error:#}")))?;
        let (bytes, imports) = (compiled.bytes().len() as u64, compiled.imports().to_vec());
        Ok(Loaded { component, bytes, imports })
    }
}

/// Removes directories of other engines and files of unfinished writes. It is housekeeping: what fails is left.
fn remove_other_engines(root: &Path, own: &Path) {
    let entries = |directory| fs::read_dir(directory).into_iter().flatten().flatten();
    for entry in entries(root) {
        if entry.path() != own && entry.file_name().to_string_lossy().starts_with("engine-") {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    for entry in entries(own) {
        if entry.path().extension().is_some_and(|extension| extension == "tmp") {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests;

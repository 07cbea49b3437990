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
//! **Bounded.** Files take at most `bytes_max`; the child module `room` says which leave first. Nothing is lost with a
//! file: its component is compiled again when it is needed.
//!
//! **Upgrades.** What another engine left is kept until whoever opened the cache has made anew what it needs and says so
//! ([`Cache::forget_other_engines`]), so that going back to the program of before finds its code.
//!
//! This is the only place where machine code is loaded. A file is read as a whole, checked and loaded from memory, not
//! mapped: what lies in a mapped file can be changed after the check.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use bytes::Bytes;
use creel_webhook::plugin::Digest;
use creel_webhook::secret::SecretBytes;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;
use wasmtime::{Engine, Precompiled};

use crate::engine::{Both, Sandbox, fingerprint};
use crate::gate::compiled::{Compiled, Loaded};

use self::room::Room;

mod room;

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

/// Compiled components on disk, for one sandbox and one key.
#[derive(Debug)]
pub struct Cache {
    room: Room,
    engines: Both<(Engine, [u8; 32])>,
    /// Of both engines.
    fingerprint: [u8; 32],
    key: SecretBytes,
    writes: AtomicU64,
}

impl Cache {
    /// Opens the cache under `root`, which belongs to it alone and may take `bytes_max` bytes.
    ///
    /// # Errors
    /// [`CacheError::Io`] when the directory can't be made.
    pub fn open(root: &Path, sandbox: &Sandbox, key: SecretBytes, bytes_max: u64) -> Result<Self, CacheError> {
        let engines = sandbox.engines().map(|engine| (engine.clone(), fingerprint(engine)));
        let mut both = Sha256::new();
        for (_, (_, own)) in engines.each() {
            both.update(own);
        }
        let fingerprint: [u8; 32] = both.finalize().into();
        let directory = root.join(format!("engine-{}", hex::encode(&fingerprint[..16])));
        fs::create_dir_all(&directory).map_err(|source| CacheError::Io { path: directory.clone(), source })?;
        remove_unfinished(&directory);
        let room = Room::of(root, &directory, bytes_max);
        Ok(Cache { room, engines, fingerprint, key, writes: AtomicU64::new(0) })
    }

    /// Where a component's file is.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.room.path(digest)
    }

    /// Whether there is a file of this component; whether it is sound shows when it is loaded.
    pub fn holds(&self, digest: &Digest) -> bool {
        self.room.holds(digest)
    }

    /// Whether what is kept from now on soon drives out the rest.
    pub fn is_full(&self) -> bool {
        self.room.is_full()
    }

    /// How many other engines' code lies here.
    pub fn other_engines(&self) -> usize {
        self.room.others()
    }

    /// Removes other engines' code: everything that is needed was made anew. Blocks on the disk.
    pub fn forget_other_engines(&self) {
        self.room.remove_others();
    }

    /// Removes the code of a component that nobody has any more, other engines' too. Blocks on the disk.
    pub(crate) fn forget(&self, digest: &Digest) {
        self.room.remove_everywhere(digest);
    }

    /// All components whose code is here.
    pub fn digests(&self) -> Vec<Digest> {
        self.room.digests()
    }

    /// Somebody lets go of a component: from now on it is the one that was used last.
    pub(crate) fn used(&self, digest: &Digest) {
        self.room.used(digest);
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
            Ok(loaded) => {
                self.room.used(digest);
                remember_use(&path);
                Ok(Some(loaded))
            }
            Err(error) => {
                tracing::warn!(%digest, %error, "a compiled component does not load and is compiled again");
                Ok(None)
            }
        }
    }

    /// Keeps what loaded right from the compiler, if there is place without what is `held`. Blocks on the disk.
    ///
    /// # Errors
    /// [`CacheError::Io`].
    pub(crate) fn keep(
        &self,
        digest: &Digest,
        compiled: &Compiled,
        held: &dyn Fn(&Digest) -> bool,
    ) -> Result<(), CacheError> {
        let bytes = (MAGIC.len() + TAG_BYTES + compiled.bytes().len()) as u64;
        if !self.room.make(*digest, bytes, held) {
            tracing::warn!(%digest, "the cache has no place for a compiled component beside what is in use; raise `runtime.cache_bytes_max`");
            return Ok(());
        }
        let path = self.path(digest);
        self.write(&path, digest, compiled.bytes()).map_err(|source| {
            self.room.remove(digest);
            CacheError::Io { path, source }
        })
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
        let own = self.engines.each().into_iter().find(|(_, (_, fingerprint))| compiled.is_for(fingerprint));
        let Some((data, (engine, _))) = own else {
            return Err(CacheError::Foreign("it was made for another one"));
        };
        if Engine::detect_precompiled(code) != Some(Precompiled::Component) {
            return Err(CacheError::Foreign("it is no machine code"));
        }
        // SAFETY: `Component::deserialize` must only be given what `Engine::precompile_component` made. These bytes
        // come from our own compiler a moment ago, or from a file whose HMAC under a key that only this host holds says
        // that they did (`load`). They are in memory: nobody changes them after the check.
        let component =
            unsafe { Component::deserialize(engine, code) }.map_err(|error| CacheError::Load(format!("{error:#}")))?;
        let (bytes, imports) = (compiled.bytes().len() as u64, compiled.imports().to_vec());
        Ok(Loaded { component, data, bytes, imports })
    }
}

/// The order of uses survives a restart this far; where it can't be written, a component leaves earlier than it should.
#[allow(clippy::disallowed_methods, reason = "the order of files on a disk, which no decision depends on")]
fn remember_use(path: &Path) {
    let _ = fs::File::options().append(true).open(path).and_then(|file| file.set_modified(SystemTime::now()));
}

/// Removes files of unfinished writes. It is housekeeping: what fails is left.
fn remove_unfinished(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "tmp") {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests;

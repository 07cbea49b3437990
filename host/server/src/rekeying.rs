//! A new master key: all secrets are sealed again, while everything goes on.
//!
//! 1. The new key is written beside the old one (`master.key.next`), synced.
//! 2. The keyring turns to it: it seals with the new key and opens with both.
//! 3. All secrets are sealed again in one transaction.
//! 4. The new file takes the old one's place.
//!
//! Whoever ends between two steps goes on at the next start: a file `….next` that holds a key is a rotation that is not over,
//! whether the third step happened or not. One that holds none was cut off while it was written, so nothing is sealed
//! with it. Compiled components are sealed with a key that derives from the master key; the next start compiles them again.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use creel_store::contract::{SecretRow, Store, StoreError};
use creel_webhook::secret::{MasterKey, SecretError};

use crate::datadir::{DataDirError, make_master_key, read_master_key};
use crate::keyring::Keyring;
use crate::system::Entropy;

/// Why a rotation did not come to its end; the next one, or the next start, goes on with it.
#[derive(Debug, thiserror::Error)]
pub enum RekeyError {
    /// The key's file.
    #[error(transparent)]
    File(#[from] DataDirError),
    /// The new file could not take the old one's place.
    #[error("putting {path} in the place of the old key: {source}")]
    Place {
        /// The new file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The secrets.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where the next key is while it is none yet.
pub fn next_file(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".next");
    name.into()
}

/// The key of a rotation that is not over.
///
/// # Errors
/// When the file can't be read, or others can.
pub fn pending(file: &Path) -> Result<Option<MasterKey>, DataDirError> {
    match read_master_key(&next_file(file)) {
        Ok(key) => Ok(Some(key)),
        Err(DataDirError::KeyMissing(_)) => Ok(None),
        Err(DataDirError::KeyBroken { path, .. }) => {
            tracing::warn!(path = %path.display(), "a new master key was cut off while it was written; it is removed");
            fs::remove_file(&path).map_err(|source| DataDirError::Io { action: "remove", path, source })?;
            Ok(None)
        }
        Err(other) => Err(other),
    }
}

/// Rotates: gives how many secrets were sealed again. The caller keeps others from writing what people configure.
///
/// # Errors
/// [`RekeyError`]; nothing is lost, and a further call goes on.
pub async fn rotate(store: &dyn Store, keyring: &Keyring, file: &Path, entropy: &Entropy) -> Result<usize, RekeyError> {
    let next = match pending(file)? {
        Some(next) => next,
        None => make_master_key(&next_file(file), entropy)?,
    };
    keyring.turn_to(next);
    finish(store, keyring, file, entropy).await
}

/// The last two steps, with a keyring that has turned.
///
/// # Errors
/// [`RekeyError`]; a further call goes on.
pub async fn finish(store: &dyn Store, keyring: &Keyring, file: &Path, entropy: &Entropy) -> Result<usize, RekeyError> {
    let secrets = store.control_read().await?.secrets;
    let (sealed, lost): (Vec<_>, Vec<_>) =
        secrets.into_iter().map(|row| again(row, keyring, entropy)).partition(Result::is_ok);
    if !lost.is_empty() {
        tracing::error!(secrets = lost.len(), "secrets that opened with no master key before stay as they are");
    }
    let sealed: Vec<SecretRow> = sealed.into_iter().filter_map(Result::ok).collect();
    let count = sealed.len();
    store.secrets_reseal(sealed).await?;
    let next = next_file(file);
    let placed = fs::rename(&next, file).and_then(|()| match file.parent().filter(|one| !one.as_os_str().is_empty()) {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    });
    placed.map_err(|source| RekeyError::Place { path: next, source })?;
    tracing::info!(secrets = count, "all secrets are sealed with a new master key");
    Ok(count)
}

/// A secret under the key that seals now; everything else of it stays.
fn again(row: SecretRow, keyring: &Keyring, entropy: &Entropy) -> Result<SecretRow, SecretError> {
    let (tenant, name) = (row.tenant, row.name.clone());
    let value = keyring.open(tenant, &name, &row.sealed)?;
    let previous = match &row.previous {
        Some(sealed) => {
            Some(keyring.seal(tenant, &name, keyring.open(tenant, &name, sealed)?.expose(), entropy.nonce()))
        }
        None => None,
    };
    Ok(SecretRow {
        sealed: keyring.seal(tenant, &name, value.expose(), entropy.nonce()),
        previous,
        fingerprint: keyring.fingerprint(tenant, &name, value.expose()),
        ..row
    })
}

//! A small key-value store that belongs to the plugin.
//!
//! Reads see what was committed before this run; writes are committed together with the outcome, or not at all: a run that
//! rejects, asks for a retry, panics or is too late writes nothing. So a value that was set is not seen by a later read
//! *of the same run*, and a key reads the same as often as it is read.
//!
//! Runs may run side by side, and nobody has to think of that: if a key that was read has been written meanwhile, the host
//! keeps nothing of the run and runs it again. Two hundred events at once that each count one up count two hundred.
//!
//! The deployment must be granted it: `grants = { state = true }` in the plugin's table of the tenant's file. Keys have at
//! most 512 bytes and values 64 KiB, one run reads and writes 256 keys, and a plugin holds 64 MiB, unless the host's
//! operator says otherwise.
//!
//! ```
//! use creel_guest::prelude::*;
//! # fn count() -> Result<(), Failure> {
//! let seen: u32 = state::get_json("seen")?.unwrap_or(0);
//! state::set_json("seen", &(seen + 1))?;
//! # Ok(()) }
//! # count().unwrap();
//! ```

use serde::{Serialize, de::DeserializeOwned};
use std::fmt;

/// Reads a value.
///
/// ```
/// use creel_guest::prelude::*;
/// assert_eq!(state::get("unknown"), Ok(None));
/// ```
pub fn get(key: &str) -> Result<Option<Vec<u8>>, Error> {
    crate::host::state_get(key)
}

/// Reads a value that [`set_json`] wrote. A value of another shape is an error.
///
/// ```
/// use creel_guest::prelude::*;
/// assert_eq!(state::get_json::<u32>("unknown"), Ok(None));
/// ```
pub fn get_json<T: DeserializeOwned>(key: &str) -> Result<Option<T>, Error> {
    let Some(bytes) = get(key)? else { return Ok(None) };
    let unreadable = |error: serde_json::Error| Error::Unreadable(format!("`{key}`: {error}"));
    serde_json::from_slice(&bytes).map(Some).map_err(unreadable)
}

/// Writes a value.
///
/// ```
/// use creel_guest::prelude::*;
/// assert_eq!(state::set("last", "2026"), Ok(()));
/// ```
pub fn set(key: &str, value: impl AsRef<[u8]>) -> Result<(), Error> {
    crate::host::state_set(key, value.as_ref())
}

/// Writes a value as JSON.
///
/// ```
/// use creel_guest::prelude::*;
/// assert_eq!(state::set_json("seen", &3), Ok(()));
/// ```
pub fn set_json<T: Serialize + ?Sized>(key: &str, value: &T) -> Result<(), Error> {
    let bytes = serde_json::to_vec(value).map_err(|error| Error::Unreadable(format!("`{key}`: {error}")))?;
    set(key, bytes)
}

/// Removes a value; removing what is not there is no error.
///
/// ```
/// use creel_guest::prelude::*;
/// assert_eq!(state::delete("last"), Ok(()));
/// ```
pub fn delete(key: &str) -> Result<(), Error> {
    crate::host::state_delete(key)
}

/// Why a state call failed.
///
/// ```
/// use creel_guest::state::Error;
/// let error = Error::Denied("grant `state`".to_owned());
/// assert_eq!(error.to_string(), "state is denied: grant `state`");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The deployment is not granted `state`; the text says what to grant.
    Denied(String),
    /// A key, a value or the whole store is over its limit; the text names the limit.
    TooLarge(String),
    /// The value stored is not of the shape asked for.
    Unreadable(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Denied(text) => write!(f, "state is denied: {text}"),
            Error::TooLarge(text) => write!(f, "state is over its limit: {text}"),
            Error::Unreadable(text) => write!(f, "a stored value is not as expected: {text}"),
        }
    }
}

impl std::error::Error for Error {}

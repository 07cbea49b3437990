//! Plain settings of the deployment. No secret lives here: a plugin never holds one.
//!
//! ```
//! use creel_guest::prelude::*;
//! # creel_guest::testing::with_config([("channel", "#ops")], || {
//! assert_eq!(config::get("channel").as_deref(), Some("#ops"));
//! # });
//! ```

use std::fmt;
use std::str::FromStr;

/// The value of a setting.
///
/// ```
/// use creel_guest::prelude::*;
/// let channel = config::get("channel").unwrap_or_else(|| "#general".to_owned());
/// assert_eq!(channel, "#general");
/// ```
pub fn get(key: &str) -> Option<String> {
    crate::host::config_get(key)
}

/// The value of a setting that must be there; `?` on the error rejects the event and names the setting.
///
/// ```
/// use creel_guest::prelude::*;
/// let error = config::require("account-sid").unwrap_err();
/// assert_eq!(error.to_string(), "the setting `account-sid` is missing from the deployment's config");
/// ```
pub fn require(key: &str) -> Result<String, Error> {
    get(key).ok_or_else(|| Error::Missing { key: key.to_owned() })
}

/// The value of a setting, parsed: absent is no error, nonsense is.
///
/// ```
/// use creel_guest::prelude::*;
/// # creel_guest::testing::with_config([("retries", "3"), ("limit", "many")], || {
/// assert_eq!(config::parse::<u32>("retries"), Ok(Some(3)));
/// assert_eq!(config::parse::<u32>("other"), Ok(None));
/// assert!(config::parse::<u32>("limit").is_err());
/// # });
/// ```
pub fn parse<T: FromStr>(key: &str) -> Result<Option<T>, Error> {
    let Some(value) = get(key) else { return Ok(None) };
    let expected = std::any::type_name::<T>();
    value.parse().map(Some).map_err(|_| Error::Invalid { key: key.to_owned(), value, expected })
}

/// All settings, sorted by key.
///
/// ```
/// use creel_guest::prelude::*;
/// assert!(config::all().is_empty());
/// ```
pub fn all() -> Vec<(String, String)> {
    crate::host::config_all()
}

/// A setting that is not as the plugin needs it.
///
/// ```
/// use creel_guest::prelude::*;
/// assert!(matches!(config::require("k"), Err(config::Error::Missing { .. })));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The deployment does not set it.
    Missing {
        /// Its name.
        key: String,
    },
    /// Its value can't be parsed.
    Invalid {
        /// Its name.
        key: String,
        /// What is there.
        value: String,
        /// What was expected.
        expected: &'static str,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Missing { key } => write!(f, "the setting `{key}` is missing from the deployment's config"),
            Error::Invalid { key, value, expected } => {
                write!(f, "the setting `{key}` of the deployment's config is `{value}`, but {expected} was expected")
            }
        }
    }
}

impl std::error::Error for Error {}

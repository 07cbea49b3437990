//! Whom the doctor looks at.

use std::path::PathBuf;

/// What is to be looked at.
#[derive(Debug, Clone, Default)]
pub struct Patient {
    /// The configuration's file, if one is named.
    pub config: Option<PathBuf>,
    /// Where the API is said to be.
    pub url: String,
    /// The key, if there is one.
    pub key: Option<String>,
    /// Certificates to trust instead of the public ones.
    pub ca_file: Option<PathBuf>,
    /// A web server whose clock is to be compared.
    pub against: Option<String>,
}

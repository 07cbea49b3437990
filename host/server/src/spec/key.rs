//! Keys of the admin API.

use creel_webhook::tenant::Role;
use serde_json::Value;

use super::fields::{Fields, Mistake};

/// Ten years: a key that lives longer is one that nobody will miss.
const EXPIRES_IN_S_MAX: u64 = 10 * 366 * 24 * 60 * 60;

/// What is written about a new key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySpec {
    /// What people call it.
    pub name: String,
    /// What it may do; all that a key of its kind may, when absent.
    pub role: Option<Role>,
    /// Whether it may read payloads.
    pub payload_read: Option<bool>,
    /// After how many seconds it stops working; never, when absent.
    pub expires_in_s: Option<u64>,
}

/// Reads a key to be made.
///
/// # Errors
/// All mistakes with their pointers.
pub fn read(document: Value) -> Result<KeySpec, Vec<Mistake>> {
    let mut fields = Fields::of(document);
    let name = fields.required::<String>("name");
    if let Some(Err(error)) = name.as_deref().map(creel_webhook::tenant::check_name) {
        fields.mistake("name", error.to_string());
    }
    let (role, payload_read) = (fields.optional("role"), fields.optional("payload_read"));
    let expires_in_s = fields.number("expires_in_s", 1..=EXPIRES_IN_S_MAX);
    fields.done(name.map(|name| KeySpec { name, role, payload_read, expires_in_s }))
}

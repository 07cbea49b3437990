//! Tenants and their API keys.

use creel_webhook::tenant::TenantLimits;
use serde_json::Value;

use super::fields::{Fields, Mistake};

/// Ten years: a key that lives longer is one that nobody will miss.
const EXPIRES_IN_S_MAX: u64 = 10 * 366 * 24 * 60 * 60;

/// What is written about a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantSpec {
    /// Its name, unique on the host.
    pub name: String,
    /// Where it differs from the operator's defaults.
    pub limits: TenantLimits,
}

/// What is written about a new key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySpec {
    /// What people call it.
    pub name: String,
    /// After how many seconds it stops working; never, when absent.
    pub expires_in_s: Option<u64>,
}

/// Reads a tenant.
///
/// # Errors
/// All mistakes with their pointers.
pub fn read(name: &str, document: Value) -> Result<TenantSpec, Vec<Mistake>> {
    let mut fields = Fields::of(document);
    let name = fields.name(name);
    if name.starts_with("ten_") {
        fields.mistake("name", "names that begin with `ten_` could be taken for ids");
    }
    let limits = fields.or("limits", TenantLimits::default());
    fields.done(Some(TenantSpec { name, limits }))
}

/// Reads a key to be made.
///
/// # Errors
/// All mistakes with their pointers.
pub fn read_key(document: Value) -> Result<KeySpec, Vec<Mistake>> {
    let mut fields = Fields::of(document);
    let name = fields.required::<String>("name");
    if let Some(Err(error)) = name.as_deref().map(creel_webhook::tenant::check_name) {
        fields.mistake("name", error.to_string());
    }
    let expires_in_s = fields.number("expires_in_s", 1..=EXPIRES_IN_S_MAX);
    fields.done(name.map(|name| KeySpec { name, expires_in_s }))
}

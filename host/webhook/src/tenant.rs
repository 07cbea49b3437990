//! Tenants, their keys and their limits.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::{KeyId, TenantId};

/// An isolated customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its name, unique on the host.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Where it differs from the operator's defaults.
    pub limits: TenantLimits,
}

/// A tenant's own limits; what is `None` follows the operator's default. The operator's ceilings bound all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TenantLimits {
    /// Runs waiting to be decided; beyond it the source answers 429.
    pub pending_runs_max: Option<u64>,
    /// Fuel of one run.
    pub fuel_max: Option<u64>,
    /// Linear memory of one run, bytes.
    pub memory_bytes_max: Option<u64>,
    /// Wall clock of one run, milliseconds.
    pub run_timeout_ms: Option<u64>,
    /// Runs at the same time.
    pub concurrent_runs_max: Option<u32>,
    /// Days for which the bodies of its events and calls are kept.
    pub body_days: Option<u64>,
    /// Days for which everything else about its events is kept; bodies are never kept longer.
    pub record_days: Option<u64>,
}

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything on the host, tenants included.
    Operator,
    /// Everything of one tenant.
    TenantAdmin,
}

impl Role {
    /// The word in columns and API.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Operator => "operator",
            Role::TenantAdmin => "tenant_admin",
        }
    }

    /// Reads the word back.
    pub fn from_word(word: &str) -> Option<Role> {
        [Role::Operator, Role::TenantAdmin].into_iter().find(|role| role.as_str() == word)
    }
}

/// A key of the admin API; the key itself is shown once and kept as a hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Its id; also what it begins with, so that a leaked key can be found.
    pub id: KeyId,
    /// The tenant it belongs to; `None` for an operator.
    pub tenant: Option<TenantId>,
    /// What it may do.
    pub role: Role,
    /// What people call it.
    pub name: String,
    /// SHA-256 of the whole key, which is 32 random bytes and needs no slow hash.
    #[serde(skip)]
    pub hash: [u8; 32],
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
}

/// Longest name of a thing, bytes: fits a column of a table on a screen.
pub const NAME_BYTES_MAX: usize = 64;

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a name: names are 1 to {NAME_BYTES_MAX} of a-z, 0-9, `-`, `_` and `.`, and begin with a letter or digit"
)]
pub struct NameError(String);

/// Checks the name of a tenant, source, plugin, route, destination or secret.
///
/// # Errors
/// [`NameError`] with the rule.
pub fn check_name(name: &str) -> Result<(), NameError> {
    let fits = (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.'));
    if fits { Ok(()) } else { Err(NameError(name.chars().take(80).collect())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        for good in ["crm", "call-ended", "v1.2_x", "9lives"] {
            assert_eq!(check_name(good), Ok(()));
        }
        for bad in ["", "-x", "CRM", "a b", "ä", "a/b", &"x".repeat(65)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}

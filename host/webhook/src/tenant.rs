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

/// Makes one list of limits the fields of two structures and a table.
macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $name:ident $flag:literal,)+) => {
        /// A tenant's own limits; what is `None` follows the operator's default. The operator's ceilings bound all of them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct TenantLimits {
            $($(#[doc = $doc])+ pub $name: Option<u64>,)+
        }

        /// A value for every limit: the operator's defaults, his ceilings, or what holds for a tenant.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct Allowance {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        /// Every limit that a tenant may have otherwise, in documentation order.
        pub static TENANT_LIMITS: &[TenantLimit] = &[$(TenantLimit {
            name: stringify!($name),
            flag: $flag,
            about: concat!($($doc),+),
            own: |limits| limits.$name,
            set_own: |limits, value| limits.$name = value,
            of: |allowance| allowance.$name,
            set: |allowance, value| allowance.$name = value,
        }),+];
    };
}

limits! {
    /// Runs waiting to be decided; beyond it the source answers 429.
    pending_runs_max "pending-runs-max",
    /// Runs in the background at the same time.
    concurrent_runs_max "concurrent-runs-max",
    /// Fuel of all runs per second, on average; runs that a sender waits for have as much again.
    fuel_per_second "fuel-per-second",
    /// Fuel of one run.
    fuel_max "fuel-max",
    /// Linear memory of one run, bytes.
    memory_bytes_max "memory-bytes-max",
    /// Time of one run, look-ups included, milliseconds.
    run_timeout_ms "run-timeout-ms",
    /// Look-ups of one run.
    fetches_max "fetches-max",
    /// Headers and body of a look-up's answer, bytes.
    fetch_response_bytes_max "fetch-response-bytes-max",
    /// Longest time for one look-up, milliseconds.
    fetch_timeout_ms "fetch-timeout-ms",
    /// All log lines of one run together, bytes.
    log_bytes_max "log-bytes-max",
    /// Log lines of one run.
    log_lines_max "log-lines-max",
    /// Calls in one outcome.
    calls_max "calls-max",
    /// One call with method, path, headers and body, bytes.
    call_bytes_max "call-bytes-max",
    /// A whole outcome, bytes.
    outcome_bytes_max "outcome-bytes-max",
    /// A reply with headers and body, bytes.
    reply_bytes_max "reply-bytes-max",
    /// Bytes of one key of a plugin's state.
    state_key_bytes_max "state-key-bytes-max",
    /// Bytes of one value of it.
    state_value_bytes_max "state-value-bytes-max",
    /// Keys of one plugin.
    state_keys_max "state-keys-max",
    /// Bytes of one plugin's keys and values.
    state_bytes_max "state-bytes-max",
    /// Keys of it that one run may read, and as many that it may write.
    state_keys_per_run_max "state-keys-per-run-max",
    /// Events stored on a day, UTC; beyond it the sources answer 429 until midnight.
    events_per_day "events-per-day",
    /// Bytes of bodies on a day, those of requests and of decided calls; beyond it the sources answer 429 until midnight.
    bytes_per_day "bytes-per-day",
    /// Tries of runs on a day; beyond it runs wait until midnight.
    runs_per_day "runs-per-day",
    /// Fuel of all runs on a day; beyond it runs wait until midnight.
    fuel_per_day "fuel-per-day",
    /// Calls that arrive on a day; beyond it calls wait until midnight.
    deliveries_per_day "deliveries-per-day",
    /// Components uploaded per minute.
    uploads_per_minute "uploads-per-minute",
    /// Days for which the bodies of its events and calls are kept.
    body_days "body-days",
    /// Days for which everything else about its events is kept; bodies are never kept longer.
    record_days "record-days",
}

/// A limit of the table.
#[derive(Debug, Clone, Copy)]
pub struct TenantLimit {
    /// Its name: the field's and the document's.
    pub name: &'static str,
    /// Its name on the command line.
    pub flag: &'static str,
    /// What it bounds.
    pub about: &'static str,
    /// Reads a tenant's own.
    pub own: fn(&TenantLimits) -> Option<u64>,
    /// Sets a tenant's own.
    pub set_own: fn(&mut TenantLimits, Option<u64>),
    /// Reads a value.
    pub of: fn(&Allowance) -> u64,
    /// Sets a value.
    pub set: fn(&mut Allowance, u64),
}

impl Allowance {
    /// What holds for a tenant: its own limits before these, the operator's defaults, and none beyond the ceilings.
    #[must_use]
    pub fn with(&self, own: &TenantLimits, ceilings: &Allowance) -> Allowance {
        let mut holds = *self;
        for limit in TENANT_LIMITS {
            let value = (limit.own)(own).map_or((limit.of)(self), |own| own.min((limit.of)(ceilings)));
            (limit.set)(&mut holds, value);
        }
        holds
    }

    /// The larger of each.
    #[must_use]
    pub fn or_more(&self, other: &Allowance) -> Allowance {
        let mut larger = *self;
        for limit in TENANT_LIMITS {
            (limit.set)(&mut larger, (limit.of)(self).max((limit.of)(other)));
        }
        larger
    }
}

/// What a key may do. Each role may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Look at what one tenant has and what happened, without payloads.
    Reader,
    /// Upload, deploy, activate and roll back plugins, pause routes, replay; nothing about secrets, keys and places.
    Deployer,
    /// Everything of one tenant.
    TenantAdmin,
    /// Everything on the host, tenants included.
    Operator,
}

impl Role {
    /// All of them, the least first.
    pub const ALL: [Role; 4] = [Role::Reader, Role::Deployer, Role::TenantAdmin, Role::Operator];

    /// The word in columns and API.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Reader => "reader",
            Role::Deployer => "deployer",
            Role::TenantAdmin => "tenant_admin",
            Role::Operator => "operator",
        }
    }

    /// Reads the word back.
    pub fn from_word(word: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.as_str() == word)
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
    /// Whether it may read payloads: bodies and headers of events, calls and answers. They are personal data, so that is a
    /// right apart from the role.
    pub payload_read: bool,
    /// What people call it.
    pub name: String,
    /// SHA-256 of the whole key, which is 32 random bytes and needs no slow hash.
    #[serde(skip)]
    pub hash: [u8; 32],
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, by the hour: not every request writes.
    pub last_used_at: Option<Timestamp>,
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
    fn a_tenants_own_limit_goes_before_the_default_and_never_beyond_the_ceiling() {
        let defaults = Allowance { fuel_max: 10, calls_max: 5, ..Allowance::default() };
        let ceilings = Allowance { fuel_max: 100, calls_max: 50, ..Allowance::default() };
        let own = |fuel_max| TenantLimits { fuel_max, ..TenantLimits::default() };
        for (own, fuel_max) in [(own(None), 10), (own(Some(3)), 3), (own(Some(70)), 70), (own(Some(700)), 100)] {
            assert_eq!(defaults.with(&own, &ceilings), Allowance { fuel_max, ..defaults });
        }
        assert_eq!(defaults.or_more(&Allowance { calls_max: 9, ..Allowance::default() }).calls_max, 9);
    }

    #[test]
    fn the_table_has_every_field_of_the_document() {
        let fields = serde_json::to_value(TenantLimits::default()).unwrap();
        let fields: Vec<_> = fields.as_object().unwrap().keys().map(String::as_str).collect();
        let names: Vec<_> = TENANT_LIMITS.iter().map(|limit| limit.name).collect();
        assert_eq!(sorted(fields), sorted(names));
    }

    fn sorted(mut words: Vec<&str>) -> Vec<&str> {
        words.sort_unstable();
        words
    }

    #[test]
    fn roles_grow() {
        assert!(Role::ALL.is_sorted());
        assert!(Role::ALL.iter().all(|role| Role::from_word(role.as_str()) == Some(*role)));
    }

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

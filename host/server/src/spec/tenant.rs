//! Tenants and their API keys.

use creel_webhook::tenant::TenantLimits;
use serde_json::Value;

use super::fields::{Fields, Mistake};
use crate::config::Config;
use crate::config::settings::{self, Kind};

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

/// The operator's own limits, which no tenant's go beyond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ceilings {
    /// `tenant.pending_runs_max`.
    pub pending_runs_max: u64,
    /// `runtime.fuel_max`.
    pub fuel_max: u64,
    /// `runtime.memory_bytes_max`.
    pub memory_bytes_max: u64,
    /// `runtime.run_timeout_ms`.
    pub run_timeout_ms: u64,
    /// `destination.waiting_max`.
    pub waiting_max: u64,
    /// `tenant.body_days`.
    pub body_days: u64,
    /// `tenant.record_days`.
    pub record_days: u64,
}

impl From<&Config> for Ceilings {
    fn from(config: &Config) -> Self {
        Ceilings {
            pending_runs_max: config.pending_runs_max,
            fuel_max: config.runtime.fuel_max,
            memory_bytes_max: config.runtime.memory_bytes_max,
            run_timeout_ms: config.runtime.run_timeout_ms,
            waiting_max: config.waiting_max,
            body_days: config.body_days,
            record_days: config.record_days,
        }
    }
}

/// The highest that any operator can set.
impl Default for Ceilings {
    fn default() -> Self {
        Ceilings {
            pending_runs_max: range_of(PENDING_RUNS).1,
            fuel_max: range_of(FUEL).1,
            memory_bytes_max: range_of(MEMORY).1,
            run_timeout_ms: range_of(TIMEOUT).1,
            waiting_max: range_of(WAITING).1,
            body_days: range_of(BODY_DAYS).1,
            record_days: range_of(RECORD_DAYS).1,
        }
    }
}

const PENDING_RUNS: &str = "tenant.pending_runs_max";
const FUEL: &str = "runtime.fuel_max";
const MEMORY: &str = "runtime.memory_bytes_max";
const TIMEOUT: &str = "runtime.run_timeout_ms";
const WAITING: &str = "destination.waiting_max";
const BODY_DAYS: &str = "tenant.body_days";
const RECORD_DAYS: &str = "tenant.record_days";

/// What the setting that a limit goes before may be.
fn range_of(key: &str) -> (u64, u64) {
    match settings::find(key).map(|setting| setting.kind) {
        Some(Kind::Count { min, max } | Kind::Bytes { min, max } | Kind::Millis { min, max }) => (min, max),
        _ => unreachable!("`{key}` is a number in the table"),
    }
}

/// What is written about a new key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySpec {
    /// What people call it.
    pub name: String,
    /// After how many seconds it stops working; never, when absent.
    pub expires_in_s: Option<u64>,
}

/// Reads a tenant, whose limits stay within the operator's.
///
/// # Errors
/// All mistakes with their pointers.
pub fn read(name: &str, document: Value, ceilings: &Ceilings) -> Result<TenantSpec, Vec<Mistake>> {
    let mut fields = Fields::of(document);
    let name = fields.name(name);
    if name.starts_with("ten_") {
        fields.mistake("name", "names that begin with `ten_` could be taken for ids");
    }
    let limits = fields.or("limits", TenantLimits::default());
    check_limits(&mut fields, &limits, ceilings);
    fields.done(Some(TenantSpec { name, limits }))
}

fn check_limits(fields: &mut Fields, limits: &TenantLimits, ceilings: &Ceilings) {
    for (field, limit, ceiling, setting) in [
        ("pending_runs_max", limits.pending_runs_max, ceilings.pending_runs_max, PENDING_RUNS),
        ("fuel_max", limits.fuel_max, ceilings.fuel_max, FUEL),
        ("memory_bytes_max", limits.memory_bytes_max, ceilings.memory_bytes_max, MEMORY),
        ("run_timeout_ms", limits.run_timeout_ms, ceilings.run_timeout_ms, TIMEOUT),
        ("body_days", limits.body_days, ceilings.body_days, BODY_DAYS),
        ("record_days", limits.record_days, ceilings.record_days, RECORD_DAYS),
    ] {
        let floor = range_of(setting).0;
        if let Some(limit) = limit.filter(|limit| !(floor..=ceiling).contains(limit)) {
            let detail = format!(
                "{limit} is outside of {floor} to {ceiling}; the operator's `{setting}` is the ceiling, and raising it needs a restart"
            );
            fields.mistake(&format!("limits/{field}"), detail);
        }
    }
    if limits.concurrent_runs_max.is_some() {
        let detail = "nothing counts a tenant's runs side by side yet, so this would promise too much; leave it out";
        fields.mistake("limits/concurrent_runs_max", detail);
    }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn limits_stay_between_what_works_and_the_operators_own() {
        let ceilings = Ceilings {
            pending_runs_max: 10,
            fuel_max: 200_000,
            memory_bytes_max: 2 << 20,
            run_timeout_ms: 50,
            waiting_max: 10,
            body_days: 7,
            record_days: 30,
        };
        let read = |limits: Value| read("acme", json!({ "limits": limits }), &ceilings);
        let most =
            json!({ "pending_runs_max": 10, "fuel_max": 200_000, "memory_bytes_max": 2 << 20, "run_timeout_ms": 50 });
        assert_eq!(read(most).unwrap().limits.fuel_max, Some(200_000));
        let over = json!({ "pending_runs_max": 11, "fuel_max": 200_001, "memory_bytes_max": 3 << 20, "run_timeout_ms": 51,
            "body_days": 8, "record_days": 31, "concurrent_runs_max": 1 });
        let mistakes = read(over).unwrap_err();
        let pointers: Vec<_> = mistakes.iter().map(|mistake| mistake.pointer.as_str()).collect();
        let fields = [
            "pending_runs_max",
            "fuel_max",
            "memory_bytes_max",
            "run_timeout_ms",
            "body_days",
            "record_days",
            "concurrent_runs_max",
        ];
        assert_eq!(pointers, fields.map(|field| format!("/limits/{field}")));
        assert!(mistakes[1].detail.contains("100000 to 200000") && mistakes[1].detail.contains("`runtime.fuel_max`"));
        assert_eq!(
            read(json!({ "fuel_max": 0, "pending_runs_max": 0 })).unwrap_err().len(),
            2,
            "a tenant that can't run"
        );
        assert!(super::read("acme", json!({ "limits": { "fuel_max": 1_000_000 } }), &Ceilings::default()).is_ok());
    }
}

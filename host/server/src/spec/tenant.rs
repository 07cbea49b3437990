//! Tenants.

use creel_webhook::tenant::{Allowance, TenantLimits};
use serde_json::Value;

use super::fields::{Fields, Mistake};
use crate::config::Config;
use crate::config::limits;
use crate::config::settings::{self, Kind};

/// What is written about a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantSpec {
    /// Its name, unique on the host.
    pub name: String,
    /// Where it differs from the operator's defaults.
    pub limits: TenantLimits,
}

/// The operator's own limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ceilings {
    /// What tenants may use that have no limits of their own.
    pub defaults: Allowance,
    /// What no tenant's own limit goes beyond.
    pub most: Allowance,
    /// `destination.waiting_max`.
    pub waiting_max: u64,
}

impl From<&Config> for Ceilings {
    fn from(config: &Config) -> Self {
        Ceilings { defaults: config.defaults(), most: config.ceilings(), waiting_max: config.waiting_max }
    }
}

/// The highest that any operator can set.
impl Default for Ceilings {
    fn default() -> Self {
        let mut most = Allowance::default();
        for (limit, settings) in limits::all() {
            (limit.set)(&mut most, range_of(settings.ceiling.unwrap_or(settings.default)).1);
        }
        Ceilings { defaults: most, most, waiting_max: range_of("destination.waiting_max").1 }
    }
}

impl Ceilings {
    /// What holds for a tenant with these limits of its own.
    pub fn holds(&self, own: &TenantLimits) -> Allowance {
        self.defaults.with(own, &self.most)
    }
}

/// What the setting that a limit goes before may be.
fn range_of(key: &str) -> (u64, u64) {
    match settings::find(key).map(|setting| setting.kind) {
        Some(Kind::Count { min, max } | Kind::Bytes { min, max } | Kind::Millis { min, max }) => (min, max),
        _ => unreachable!("`{key}` is a number in the table"),
    }
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
    let own = fields.optional::<Value>("limits").map_or(Ok(TenantLimits::default()), |own| read_limits(own, ceilings));
    let limits = own.unwrap_or_else(|mistakes| {
        mistakes.iter().for_each(|one| fields.mistake(&format!("limits{}", one.pointer), one.detail.as_str()));
        TenantLimits::default()
    });
    fields.done(Some(TenantSpec { name, limits }))
}

/// Reads a tenant's own limits: all of them, so what is not named is the operator's default.
///
/// # Errors
/// All mistakes with their pointers.
pub fn read_limits(document: Value, ceilings: &Ceilings) -> Result<TenantLimits, Vec<Mistake>> {
    let (mut fields, mut own) = (Fields::of(document), TenantLimits::default());
    for (limit, settings) in limits::all() {
        let wish = fields.optional::<u64>(limit.name);
        let (floor, ceiling) = (range_of(settings.default).0.max(1), (limit.of)(&ceilings.most));
        if let Some(wish) = wish.filter(|wish| !(floor..=ceiling).contains(wish)) {
            let why = settings.ceiling.map_or_else(String::new, |key| {
                format!("; the operator's `{key}` is the ceiling, and raising it needs a restart")
            });
            fields.mistake(limit.name, format!("{wish} is outside of {floor} to {ceiling}{why}"));
        }
        (limit.set_own)(&mut own, wish);
    }
    fields.done(Some(own))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn limits_stay_between_what_works_and_the_operators_ceilings() {
        let mut ceilings = Ceilings::default();
        ceilings.most.fuel_max = 200_000;
        ceilings.most.concurrent_runs_max = 8;
        let read = |limits: Value| read("acme", json!({ "limits": limits }), &ceilings);
        assert_eq!(read(json!({ "fuel_max": 200_000 })).unwrap().limits.fuel_max, Some(200_000));
        let mistakes = read(json!({ "fuel_max": 200_001, "concurrent_runs_max": 9, "calls_max": 0 })).unwrap_err();
        let told = |pointer: &str| mistakes.iter().find(|one| one.pointer == pointer).unwrap().detail.clone();
        assert_eq!(mistakes.len(), 3);
        assert!(told("/limits/fuel_max").contains("100000 to 200000; the operator's `ceiling.fuel_max`"));
        assert!(told("/limits/concurrent_runs_max").contains("1 to 8; the operator's `runtime.concurrent_runs`"));
        assert!(told("/limits/calls_max").contains("`ceiling.calls_max`"));
        let all: serde_json::Map<_, _> =
            limits::all().map(|(limit, _)| (limit.name.to_owned(), json!(u64::MAX))).collect();
        let pointers: Vec<_> = read(all.into()).unwrap_err().into_iter().map(|mistake| mistake.pointer).collect();
        assert_eq!(pointers, limits::all().map(|(limit, _)| format!("/limits/{}", limit.name)).collect::<Vec<_>>());
    }
}

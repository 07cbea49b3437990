//! The two settings of each limit that a tenant may have otherwise: its default, and what no tenant goes beyond.
//!
//! The table of limits is the rules' ([`TENANT_LIMITS`]); this says where their values stand. What is kept may only be
//! kept shorter, and of state and look-ups there may only be less, so there both are one; and no tenant runs more at the same time than the host does.

use creel_webhook::tenant::{TENANT_LIMITS, TenantLimit};

/// The keys of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Of its default.
    pub default: &'static str,
    /// Of what no tenant's own goes beyond; `None` where it may be as much as the default may be set to.
    pub ceiling: Option<&'static str>,
}

const fn under(default: &'static str, ceiling: &'static str) -> Settings {
    Settings { default, ceiling: Some(ceiling) }
}

/// A quota harms nobody else, however large it is.
const fn quota(default: &'static str) -> Settings {
    Settings { default, ceiling: None }
}

/// The keys of the limit of this name.
pub fn of(name: &str) -> Settings {
    match name {
        "pending_runs_max" => under("tenant.pending_runs_max", "ceiling.pending_runs_max"),
        "concurrent_runs_max" => under("tenant.concurrent_runs_max", "runtime.concurrent_runs"),
        "fuel_per_second" => under("tenant.fuel_per_second", "ceiling.fuel_per_second"),
        "fuel_max" => under("runtime.fuel_max", "ceiling.fuel_max"),
        "memory_bytes_max" => under("runtime.memory_bytes_max", "ceiling.memory_bytes_max"),
        "run_timeout_ms" => under("runtime.run_timeout_ms", "ceiling.run_timeout_ms"),
        "fetches_max" => under("runtime.fetches_max", "runtime.fetches_max"),
        "fetch_response_bytes_max" => under("runtime.fetch_response_bytes_max", "runtime.fetch_response_bytes_max"),
        "fetch_timeout_ms" => under("runtime.fetch_timeout_ms", "runtime.fetch_timeout_ms"),
        "log_bytes_max" => under("runtime.log_bytes_max", "ceiling.log_bytes_max"),
        "log_lines_max" => under("runtime.log_lines_max", "ceiling.log_lines_max"),
        "calls_max" => under("runtime.calls_max", "ceiling.calls_max"),
        "call_bytes_max" => under("runtime.call_bytes_max", "ceiling.call_bytes_max"),
        "outcome_bytes_max" => under("runtime.outcome_bytes_max", "ceiling.outcome_bytes_max"),
        "reply_bytes_max" => under("runtime.reply_bytes_max", "ceiling.reply_bytes_max"),
        "events_per_day" => quota("tenant.events_per_day"),
        "bytes_per_day" => quota("tenant.bytes_per_day"),
        "runs_per_day" => quota("tenant.runs_per_day"),
        "fuel_per_day" => quota("tenant.fuel_per_day"),
        "deliveries_per_day" => quota("tenant.deliveries_per_day"),
        "uploads_per_minute" => under("tenant.uploads_per_minute", "ceiling.uploads_per_minute"),
        "state_key_bytes_max" => under("state.key_bytes_max", "state.key_bytes_max"),
        "state_value_bytes_max" => under("state.value_bytes_max", "state.value_bytes_max"),
        "state_keys_max" => under("state.keys_max", "state.keys_max"),
        "state_bytes_max" => under("state.bytes_max", "state.bytes_max"),
        "state_keys_per_run_max" => under("state.keys_per_run_max", "state.keys_per_run_max"),
        "body_days" => under("tenant.body_days", "tenant.body_days"),
        "record_days" => under("tenant.record_days", "tenant.record_days"),
        _ => unreachable!("`{name}` has no settings"),
    }
}

/// All limits with their keys.
pub fn all() -> impl Iterator<Item = (&'static TenantLimit, Settings)> {
    TENANT_LIMITS.iter().map(|limit| (limit, of(limit.name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::find;

    #[test]
    fn every_limit_has_its_two_settings() {
        for (limit, settings) in all() {
            for key in std::iter::once(settings.default).chain(settings.ceiling) {
                assert!(find(key).is_some(), "{}: {key}", limit.name);
            }
        }
    }
}

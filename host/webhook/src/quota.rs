//! Daily quotas: how much of the host a tenant may use from midnight to midnight, UTC.
//!
//! | quota | counts | beyond it, until midnight |
//! |---|---|---|
//! | `events` | events that are stored | the tenant's sources answer 429 |
//! | `bytes` | bodies of requests and of decided calls | the tenant's sources answer 429 |
//! | `runs` | tries of runs | runs wait; a sender that waits is told the fallback |
//! | `fuel` | fuel of runs | runs wait; a sender that waits is told the fallback |
//! | `deliveries` | calls that arrive | calls wait |
//!
//! What was acknowledged is never lost to a quota, and what is refused was not acknowledged: a refusal says for how long. What
//! is under way when a quota is reached comes to its end, so fuel and bytes may go beyond by that much.
//!
//! A tenant is told when [`QUOTA_PERCENT`] of a quota are used, and once more when all of it is.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::tenant::{Allowance, TenantLimits};

/// Percent of a quota, or of the runs that may wait, at which a tenant is told: there is time to act, and it is no ordinary
/// peak.
pub const QUOTA_PERCENT: u64 = 80;

/// As good as no quota, and what one may be at most: more than any host does on a day.
pub const UNLIMITED: u64 = 1_000_000_000_000_000;

const DAY_MS: i64 = 86_400_000;

/// What a quota is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Quota {
    /// Events that are stored.
    Events,
    /// Bytes of bodies.
    Bytes,
    /// Tries of runs.
    Runs,
    /// Fuel of runs.
    Fuel,
    /// Calls that arrive.
    Deliveries,
}

impl Quota {
    /// All of them.
    pub const ALL: [Quota; 5] = [Quota::Events, Quota::Bytes, Quota::Runs, Quota::Fuel, Quota::Deliveries];

    /// The word in API and notices.
    pub fn as_str(self) -> &'static str {
        match self {
            Quota::Events => "events",
            Quota::Bytes => "bytes",
            Quota::Runs => "runs",
            Quota::Fuel => "fuel",
            Quota::Deliveries => "deliveries",
        }
    }

    /// What becomes of more, for people.
    pub fn beyond(self) -> &'static str {
        match self {
            Quota::Events | Quota::Bytes => "sources answer 429 until midnight UTC",
            Quota::Runs | Quota::Fuel => "runs wait until midnight UTC",
            Quota::Deliveries => "calls wait until midnight UTC",
        }
    }

    /// Its limit, by the name that it has in documents.
    pub fn limit(self) -> &'static str {
        match self {
            Quota::Events => "events_per_day",
            Quota::Bytes => "bytes_per_day",
            Quota::Runs => "runs_per_day",
            Quota::Fuel => "fuel_per_day",
            Quota::Deliveries => "deliveries_per_day",
        }
    }
}

/// A number for each quota: what is used of it, or what may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quotas([u64; Quota::ALL.len()]);

impl Default for Quotas {
    /// No quota at all.
    fn default() -> Self {
        Quotas([UNLIMITED; Quota::ALL.len()])
    }
}

impl Quotas {
    /// The numbers that this gives.
    pub fn from_fn(mut of: impl FnMut(Quota) -> u64) -> Quotas {
        Quotas(Quota::ALL.map(&mut of))
    }

    /// The number of one.
    pub fn of(&self, quota: Quota) -> u64 {
        self.0[quota as usize]
    }

    /// A tenant's own before these.
    #[must_use]
    pub fn with(&self, own: &TenantLimits) -> Quotas {
        let own_of = |quota| match quota {
            Quota::Events => own.events_per_day,
            Quota::Bytes => own.bytes_per_day,
            Quota::Runs => own.runs_per_day,
            Quota::Fuel => own.fuel_per_day,
            Quota::Deliveries => own.deliveries_per_day,
        };
        Quotas::from_fn(|quota| own_of(quota).unwrap_or(self.of(quota)))
    }
}

impl From<&Allowance> for Quotas {
    fn from(allowance: &Allowance) -> Self {
        Quotas::from_fn(|quota| match quota {
            Quota::Events => allowance.events_per_day,
            Quota::Bytes => allowance.bytes_per_day,
            Quota::Runs => allowance.runs_per_day,
            Quota::Fuel => allowance.fuel_per_day,
            Quota::Deliveries => allowance.deliveries_per_day,
        })
    }
}

/// The day of a moment, counted from 1970, UTC.
pub fn day_of(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(DAY_MS)
}

/// The first moment of a day.
pub fn begin_of(day: i64) -> Timestamp {
    Timestamp::from_millis(day.saturating_mul(DAY_MS))
}

/// The midnight behind a moment, when all quotas begin anew.
///
/// ```
/// use creel_webhook::{clock::Timestamp, quota::renewed_at};
/// assert_eq!(renewed_at(Timestamp::from_secs(86_399)), Timestamp::from_secs(86_400));
/// assert_eq!(renewed_at(Timestamp::from_secs(86_400)), Timestamp::from_secs(2 * 86_400));
/// ```
pub fn renewed_at(now: Timestamp) -> Timestamp {
    begin_of(day_of(now).saturating_add(1))
}

/// The percent of a quota that were reached between two counts, if a tenant is to be told of it: [`QUOTA_PERCENT`] or 100.
///
/// ```
/// use creel_webhook::quota::{UNLIMITED, reached};
/// assert_eq!(reached(7, 8, 10), Some(80));
/// assert_eq!(reached(8, 9, 10), None);
/// assert_eq!(reached(9, 12, 10), Some(100));
/// assert_eq!(reached(0, 1, 1), Some(100));
/// assert_eq!(reached(0, UNLIMITED, UNLIMITED), None);
/// ```
pub fn reached(before: u64, after: u64, max: u64) -> Option<u64> {
    let has = |used: u64, percent: u64| u128::from(used) * 100 >= u128::from(max) * u128::from(percent) && used > 0;
    let crosses = |percent: &u64| has(after, *percent) && !has(before, *percent);
    [100, QUOTA_PERCENT].into_iter().filter(|_| max < UNLIMITED).find(crosses)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenant::TENANT_LIMITS;

    #[test]
    fn each_quota_is_a_limit_of_its_name() {
        for (number, quota) in (1..).zip(Quota::ALL) {
            let limit = TENANT_LIMITS.iter().find(|limit| limit.name == quota.limit()).expect("it is in the table");
            let (mut own, mut allowance) = (TenantLimits::default(), Allowance::default());
            (limit.set_own)(&mut own, Some(number));
            (limit.set)(&mut allowance, number);
            let with = Quotas::default().with(&own);
            assert_eq!((with.of(quota), Quotas::from(&allowance).of(quota)), (number, number));
            assert_eq!(Quota::ALL.iter().filter(|quota| with.of(**quota) == UNLIMITED).count(), 4);
            assert_eq!(serde_json::to_value(quota).unwrap(), quota.as_str());
        }
    }

    #[test]
    fn days_begin_at_midnight_also_before_1970() {
        for (at, day) in [(-1, -1), (0, 0), (DAY_MS - 1, 0), (DAY_MS, 1)] {
            assert_eq!(day_of(Timestamp::from_millis(at)), day);
        }
    }
}

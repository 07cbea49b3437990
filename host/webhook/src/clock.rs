//! Time as a value.
//!
//! Rules never ask what time it is: they are told. [`Timestamp`] is what they are told, in milliseconds since
//! 1970-01-01T00:00:00Z; [`Clock`] is what the edge asks, and tests turn by hand.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};

/// A moment: milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `millis` milliseconds after the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Timestamp(millis)
    }

    /// The moment `seconds` seconds after the epoch.
    pub const fn from_secs(seconds: i64) -> Self {
        Timestamp(seconds.saturating_mul(1_000))
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// The moment `millis` later, stopping at the end of time.
    #[must_use]
    pub const fn plus_ms(self, millis: u64) -> Self {
        let millis = if millis > i64::MAX as u64 { i64::MAX } else { millis as i64 };
        Timestamp(self.0.saturating_add(millis))
    }

    /// The moment `millis` earlier.
    #[must_use]
    pub const fn minus_ms(self, millis: u64) -> Self {
        let millis = if millis > i64::MAX as u64 { i64::MAX } else { millis as i64 };
        Timestamp(self.0.saturating_sub(millis))
    }

    /// Milliseconds from `earlier` to here; 0 when `earlier` is later.
    pub const fn since_ms(self, earlier: Timestamp) -> u64 {
        let passed = self.0.saturating_sub(earlier.0);
        if passed < 0 { 0 } else { passed as u64 }
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 with milliseconds, in UTC.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(moment) => write!(f, "{moment:.3}"),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

/// What tells the time at the edge.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// A clock that stands still until it is moved: for tests and the simulation.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `now`.
    pub fn new(now: Timestamp) -> Self {
        ManualClock(AtomicI64::new(now.as_millis()))
    }

    /// Moves it on.
    pub fn advance_ms(&self, millis: u64) {
        self.0.fetch_add(i64::try_from(millis).unwrap_or(i64::MAX), Ordering::SeqCst);
    }

    /// Sets it, backwards too.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.as_millis(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_stops_at_the_ends() {
        assert_eq!(Timestamp::from_millis(i64::MAX).plus_ms(1), Timestamp::from_millis(i64::MAX));
        assert_eq!(Timestamp::from_millis(5).since_ms(Timestamp::from_millis(9)), 0);
        assert_eq!(Timestamp::from_secs(1_767_225_600).to_string(), "2026-01-01T00:00:00.000Z");
    }
}

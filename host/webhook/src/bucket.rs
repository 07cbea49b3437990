//! A token bucket: so many at once, so many a second.
//!
//! Time is an argument, and only the time since the last look counts: a bucket costs nothing while nobody looks.

use crate::clock::Timestamp;

/// How much a bucket holds and how fast it fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Tokens of a full bucket.
    pub burst: u32,
    /// Tokens that come back per second; at least one.
    pub per_second: u32,
}

/// A bucket; it begins full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    milli_tokens: u64,
    at: Timestamp,
}

impl Bucket {
    /// A full bucket.
    pub fn full(rate: Rate, now: Timestamp) -> Self {
        Bucket { milli_tokens: u64::from(rate.burst) * 1_000, at: now }
    }

    /// Whether it is full.
    pub fn is_full(&mut self, rate: Rate, now: Timestamp) -> bool {
        self.fill(rate, now);
        self.milli_tokens == u64::from(rate.burst) * 1_000
    }

    /// Milliseconds until there is a token; 0 when there is one.
    pub fn wait_ms(&mut self, rate: Rate, now: Timestamp) -> u64 {
        self.fill(rate, now);
        1_000_u64.saturating_sub(self.milli_tokens).div_ceil(u64::from(rate.per_second.max(1)))
    }

    /// Takes a token, if there is one.
    pub fn take(&mut self, rate: Rate, now: Timestamp) {
        self.fill(rate, now);
        self.milli_tokens = self.milli_tokens.saturating_sub(1_000);
    }

    /// Gives tokens back, as far as they fit in.
    pub fn give(&mut self, tokens: u32, rate: Rate, now: Timestamp) {
        self.fill(rate, now);
        let more = self.milli_tokens.saturating_add(u64::from(tokens) * 1_000);
        self.milli_tokens = more.min(u64::from(rate.burst) * 1_000);
    }

    fn fill(&mut self, rate: Rate, now: Timestamp) {
        // A token a second is a thousandth of one a millisecond. Time that seems to go back gives nothing.
        let more = now.since_ms(self.at).saturating_mul(u64::from(rate.per_second.max(1)));
        self.milli_tokens = self.milli_tokens.saturating_add(more).min(u64::from(rate.burst) * 1_000);
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 3, per_second: 2 };

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let mut bucket = Bucket::full(RATE, at(0));
        for _ in 0..3 {
            assert_eq!(bucket.wait_ms(RATE, at(0)), 0);
            bucket.take(RATE, at(0));
        }
        assert_eq!(bucket.wait_ms(RATE, at(0)), 500);
        assert_eq!(bucket.wait_ms(RATE, at(499)), 1);
        assert_eq!(bucket.wait_ms(RATE, at(500)), 0);
        bucket.take(RATE, at(500));
        assert_eq!(bucket.wait_ms(RATE, at(500)), 500);
        assert!(!bucket.is_full(RATE, at(1_999)) && bucket.is_full(RATE, at(2_000)));
    }

    #[test]
    fn no_more_than_a_burst_is_ever_held_and_time_that_goes_back_gives_nothing() {
        let mut bucket = Bucket::full(RATE, at(10_000));
        bucket.give(100, RATE, at(100_000));
        (0..3).for_each(|_| bucket.take(RATE, at(100_000)));
        assert_eq!(bucket.wait_ms(RATE, at(0)), 500);
        assert_eq!(bucket.wait_ms(RATE, at(100_400)), 100);
        bucket.give(1, RATE, at(100_400));
        assert_eq!(bucket.wait_ms(RATE, at(100_400)), 0);
    }
}

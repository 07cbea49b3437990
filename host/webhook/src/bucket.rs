//! Token buckets: so many at once, so many a second.
//!
//! A [`Bucket`] is asked before something happens and never goes below nothing. An [`Account`] is for what is known only
//! when it is over, such as the fuel of a run: it is charged afterwards and may be overdrawn, and nothing more is to
//! begin until it is paid off.
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

/// How much fuel a tenant that ran nothing lately has saved up, milliseconds of its rate: a burst of five seconds' work
/// begins at once, and one of a minute's is spread over it.
pub const SAVED_MS: u64 = 5_000;

/// What was used and is not paid for yet. It begins with all that can be saved.
///
/// One moment says everything: when all that was used is paid for. While that lies ahead the account is in debt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Account {
    /// When it is paid off, microseconds since 1970.
    pub paid_at_us: i64,
}

impl Account {
    /// The account after `used` more, at a rate of `per_second`, when as much as `saved_ms` of the rate may be saved up;
    /// rates begin at 1.
    #[must_use]
    pub fn charged(self, used: u64, per_second: u64, saved_ms: u64, now: Timestamp) -> Account {
        let saved_us = i64::try_from(saved_ms.saturating_mul(1_000)).unwrap_or(i64::MAX);
        let began = self.paid_at_us.max(now.as_millis().saturating_mul(1_000).saturating_sub(saved_us));
        let costs_us = u128::from(used) * 1_000_000 / u128::from(per_second.max(1));
        Account { paid_at_us: began.saturating_add(i64::try_from(costs_us).unwrap_or(i64::MAX)) }
    }

    /// From when on something may begin; past, unless it is in debt.
    pub fn free_at(self) -> Timestamp {
        Timestamp::from_millis(self.paid_at_us.div_euclid(1_000) + i64::from(self.paid_at_us.rem_euclid(1_000) > 0))
    }

    /// How long it stays in debt, milliseconds; 0 when it is not.
    pub fn debt_ms(self, now: Timestamp) -> u64 {
        self.free_at().since_ms(now)
    }
}

/// How many more of `free` places somebody may take who holds `held`: nobody holds more than he leaves free, so that
/// whoever comes finds room, and who holds nothing may always take one.
///
/// Alone he gets half of all; four who want everything get a fifth each, and a fifth stays free.
pub fn share_of(held: u32, free: u32) -> u32 {
    let fair = free.saturating_sub(held) / 2;
    if held == 0 { fair.max(free.min(1)) } else { fair }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_overdrawn_and_paid_off() {
        let mut account = Account::default();
        // A thousand a second: five thousand are saved up.
        account = account.charged(5_000, 1_000, SAVED_MS, at(100_000));
        assert_eq!(account.debt_ms(at(100_000)), 0);
        account = account.charged(2_500, 1_000, SAVED_MS, at(100_000));
        assert_eq!((account.debt_ms(at(100_000)), account.free_at()), (2_500, at(102_500)));
        assert_eq!((account.debt_ms(at(102_499)), account.debt_ms(at(102_500))), (1, 0));
        // What is saved has an end, and so have rates and sums.
        assert_eq!(account.charged(6_000, 1_000, SAVED_MS, at(900_000)).debt_ms(at(900_000)), 1_000);
        assert_eq!(account.charged(1, 0, SAVED_MS, at(900_000)).debt_ms(at(900_000)), 0);
        assert!(account.charged(u64::MAX, 0, SAVED_MS, at(900_000)).debt_ms(at(900_000)) > 1 << 50);
    }

    #[test]
    fn a_share_leaves_room_for_others() {
        let fill = |tenants: usize, places: u32| {
            let (mut held, mut free) = (vec![0; tenants], places);
            for turn in 0..1_000 {
                let took = share_of(held[turn % tenants], free).min(1);
                held[turn % tenants] += took;
                free -= took;
            }
            (held, free)
        };
        assert_eq!(fill(1, 64), (vec![32], 32));
        let (held, free) = fill(4, 64);
        assert!(held.iter().all(|one| (12..=13).contains(one)) && free >= 12, "{held:?} {free}");
        assert_eq!(fill(1, 1), (vec![1], 0));
        assert_eq!(fill(3, 2), (vec![1, 1, 0], 0));
        assert_eq!((share_of(0, 0), share_of(5, 0)), (0, 0));
    }

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

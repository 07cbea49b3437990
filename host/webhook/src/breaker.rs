//! The circuit breaker of a destination.
//!
//! Closed, calls pass. After [`FAILURES_MAX`] failures in a row (5xx, timeouts, transport; a 429 is the rate's
//! affair) it opens: nothing passes until a pause is over that doubles from [`OPEN_MS_MIN`] to [`OPEN_MS_MAX`].
//! Then it is half open: one call may try. When that succeeds the breaker closes, else it opens again for longer.
//! It acts on the lane, never on the deliveries in it: opening writes one row, however many wait.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::delivery::Answer;

/// Failures in a row that open it: fewer are the noise of any network.
pub const FAILURES_MAX: u32 = 8;

/// First pause, milliseconds.
pub const OPEN_MS_MIN: u64 = 5_000;

/// Longest pause, milliseconds: a receiver that comes back is noticed within five minutes.
pub const OPEN_MS_MAX: u64 = 300_000;

/// Where a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Breaker {
    /// Failures in a row.
    pub failures: u32,
    /// How often it opened in a row.
    pub opened: u32,
    /// While it is open: when one call may try.
    pub open_until: Option<Timestamp>,
}

impl Breaker {
    /// Whether a call that is sent now would be the one that tries a half-open breaker.
    pub fn is_half_open(&self, now: Timestamp) -> bool {
        self.open_until.is_some_and(|until| until <= now)
    }

    /// Whether nothing may pass now.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.open_until.is_some_and(|until| until > now)
    }

    /// Where it stands after an answer.
    #[must_use]
    pub fn after(self, answer: &Answer, now: Timestamp) -> Breaker {
        let failed = match answer {
            Answer::Status { status, .. } => *status >= 500,
            Answer::Timeout | Answer::Transport => true,
            Answer::Denied { .. } | Answer::Refused { .. } => return self,
        };
        if !failed {
            return Breaker::default();
        }
        let failures = self.failures.saturating_add(1);
        if failures < FAILURES_MAX && self.open_until.is_none() {
            return Breaker { failures, ..self };
        }
        // Answers to calls that left before it opened neither lengthen nor repeat the pause.
        if self.is_open(now) {
            return Breaker { failures, ..self };
        }
        let pause_ms = OPEN_MS_MIN.saturating_mul(1 << self.opened.min(16)).min(OPEN_MS_MAX);
        Breaker { failures, opened: self.opened.saturating_add(1), open_until: Some(now.plus_ms(pause_ms)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn failing(mut breaker: Breaker, times: u32, now: Timestamp) -> Breaker {
        for _ in 0..times {
            breaker = breaker.after(&Answer::Timeout, now);
        }
        breaker
    }

    #[test]
    fn opens_after_failures_in_a_row_and_doubles_its_pause() {
        let almost = failing(Breaker::default(), FAILURES_MAX - 1, NOW);
        assert_eq!(almost.open_until, None);
        let open = failing(almost, 1, NOW);
        assert_eq!(open.open_until, Some(NOW.plus_ms(OPEN_MS_MIN)));
        assert!(open.is_open(NOW));
        let later = NOW.plus_ms(OPEN_MS_MIN);
        assert!(open.is_half_open(later));
        let again = open.after(&Answer::Transport, later);
        assert_eq!(again.open_until, Some(later.plus_ms(2 * OPEN_MS_MIN)));
    }

    #[test]
    fn one_success_closes_it() {
        let open = failing(Breaker::default(), 20, NOW);
        let closed = open.after(&Answer::Status { status: 204, retry_after_ms: None }, NOW.plus_ms(OPEN_MS_MAX));
        assert_eq!(closed, Breaker::default());
    }

    #[test]
    fn stragglers_do_not_lengthen_the_pause() {
        let open = failing(Breaker::default(), FAILURES_MAX, NOW);
        assert_eq!(failing(open, 50, NOW).open_until, open.open_until);
    }

    #[test]
    fn a_full_receiver_is_not_a_broken_one() {
        let busy = Answer::Status { status: 429, retry_after_ms: Some(1_000) };
        assert_eq!(Breaker::default().after(&busy, NOW), Breaker::default());
    }
}

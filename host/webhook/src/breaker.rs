//! The circuit breaker of a destination.
//!
//! Closed, calls pass. After [`FAILURES_MAX`] failures in a row (5xx, timeouts, transport) it opens: nothing passes
//! until a pause is over that doubles from [`OPEN_MS_MIN`] to [`OPEN_MS_MAX`]. Then it is half open: one call may try,
//! and after good ones two, four and eight at a time, so that a receiver that has just come back is not run over by
//! all that waited. [`SUCCESSES_MIN`] good ones close it. As many failures in a row open it again as calls may try at a
//! time: trust grows with the ramp, so that a receiver of few calls is not silenced by one that fails among many good ones.
//! The pause grows longer only while nothing good comes between.
//!
//! Neither for nor against the receiver speak a 408, 425 or 429, which say that it was the wrong moment (a 429 holds the
//! lane, see [`crate::delivery::lane_hold_ms`]), and whatever comes while it is open: those calls left before.
//!
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

/// Good answers that close it again: one at a time, then twice two, four and eight, as the ramp goes.
pub const SUCCESSES_MIN: u32 = 15;

/// Where a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Breaker {
    /// Failures in a row.
    pub failures: u32,
    /// How often it opened with nothing good between.
    pub opened: u32,
    /// Until it is closed again: when the first call may try.
    pub open_until: Option<Timestamp>,
    /// Good answers since it is half open.
    pub successes: u32,
}

/// What an answer says about the receiver.
enum Sign {
    Good,
    Bad,
    Neither,
}

fn sign(answer: &Answer) -> Sign {
    match answer {
        Answer::Status { status: 408 | 425 | 429, .. }
        | Answer::Denied { .. }
        | Answer::Lacks { .. }
        | Answer::Refused { .. }
        | Answer::Cut => Sign::Neither,
        Answer::Status { status, .. } if *status < 500 => Sign::Good,
        Answer::Status { .. } | Answer::Timeout | Answer::Transport => Sign::Bad,
    }
}

impl Breaker {
    /// Calls that may be on their way at the same time now; `None` is no limit.
    ///
    /// Half open it is the largest power of two that the good answers so far, and one, reach.
    pub fn places(&self, now: Timestamp) -> Option<u32> {
        self.open_until.map(|until| if until > now { 0 } else { 1_u32 << self.successes.saturating_add(1).ilog2() })
    }

    /// Whether nothing may pass now.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.open_until.is_some_and(|until| until > now)
    }

    /// Where it stands after an answer.
    #[must_use]
    pub fn after(self, answer: &Answer, now: Timestamp) -> Breaker {
        // Answers to calls that left before it opened neither lengthen the pause nor end it.
        if self.is_open(now) {
            return self;
        }
        match sign(answer) {
            Sign::Good => self.after_good(),
            Sign::Bad => self.after_bad(now),
            Sign::Neither => self,
        }
    }

    fn after_good(self) -> Breaker {
        let successes = self.successes.saturating_add(1);
        if self.open_until.is_none() || successes >= SUCCESSES_MIN {
            return Breaker::default();
        }
        Breaker { failures: 0, opened: 0, successes, ..self }
    }

    fn after_bad(self, now: Timestamp) -> Breaker {
        let failures = self.failures.saturating_add(1);
        if failures < self.places(now).unwrap_or(FAILURES_MAX) {
            return Breaker { failures, ..self };
        }
        let pause_ms = OPEN_MS_MIN.saturating_mul(1 << self.opened.min(16)).min(OPEN_MS_MAX);
        let (opened, open_until) = (self.opened.saturating_add(1), Some(now.plus_ms(pause_ms)));
        Breaker { failures: 0, opened, open_until, successes: 0 }
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

    fn status(status: u16) -> Answer {
        Answer::Status { status, retry_after_ms: None }
    }

    fn half_open() -> (Breaker, Timestamp) {
        let open = failing(Breaker::default(), FAILURES_MAX, NOW);
        (open, open.open_until.unwrap())
    }

    #[test]
    fn opens_after_failures_in_a_row_and_doubles_its_pause() {
        let almost = failing(Breaker::default(), FAILURES_MAX - 1, NOW);
        assert_eq!(almost.open_until, None);
        assert_eq!(almost.after(&status(200), NOW), Breaker::default(), "in a row means in a row");
        let open = failing(almost, 1, NOW);
        assert_eq!(open.open_until, Some(NOW.plus_ms(OPEN_MS_MIN)));
        assert_eq!((open.is_open(NOW), open.places(NOW)), (true, Some(0)));
        let later = NOW.plus_ms(OPEN_MS_MIN);
        assert_eq!((open.is_open(later), open.places(later)), (false, Some(1)));
        let again = open.after(&Answer::Transport, later);
        assert_eq!(again.open_until, Some(later.plus_ms(2 * OPEN_MS_MIN)));
    }

    #[test]
    fn half_open_lets_ever_more_try_and_then_closes() {
        let (mut breaker, now) = half_open();
        let mut places = Vec::new();
        while let Some(may) = breaker.places(now) {
            places.push(may);
            breaker = breaker.after(&status(204), now);
        }
        assert_eq!(places, [1, 2, 2, 4, 4, 4, 4, 8, 8, 8, 8, 8, 8, 8, 8]);
        assert_eq!(breaker, Breaker::default());
    }

    #[test]
    fn half_open_as_many_failures_in_a_row_open_it_as_may_try_and_the_ramp_begins_anew() {
        let (breaker, now) = half_open();
        for good in 0..SUCCESSES_MIN {
            let ramped = (0..good).fold(breaker, |breaker, _| breaker.after(&status(200), now));
            let may = ramped.places(now).unwrap();
            let almost = failing(ramped, may - 1, now);
            assert_eq!((almost.is_open(now), almost.places(now)), (false, Some(may)), "after {good} good ones");
            assert_eq!(almost.after(&status(200), now).failures, 0, "in a row means in a row");
            let open = almost.after(&status(503), now);
            // Whoever answered has recovered: only a try that failed at once doubles the pause.
            let again = now.plus_ms(if good == 0 { 2 * OPEN_MS_MIN } else { OPEN_MS_MIN });
            assert_eq!((open.open_until, open.places(again)), (Some(again), Some(1)), "after {good} good ones");
        }
    }

    #[test]
    fn a_receiver_that_is_good_now_and_then_is_never_silenced_for_long() {
        let (mut breaker, mut now) = half_open();
        for _ in 0..100 {
            breaker = breaker.after(&status(200), now);
            breaker = failing(breaker, FAILURES_MAX, now);
            let until = breaker.open_until.unwrap();
            assert_eq!(until, now.plus_ms(OPEN_MS_MIN));
            now = until;
        }
    }

    #[test]
    fn stragglers_change_nothing() {
        let open = failing(Breaker::default(), FAILURES_MAX, NOW);
        assert_eq!(failing(open, 50, NOW), open);
        assert_eq!(open.after(&status(200), NOW), open, "a call that left before it opened does not close it");
    }

    #[test]
    fn a_full_receiver_is_neither_broken_nor_mended() {
        let (half_open, now) = half_open();
        for busy in [408, 425, 429].map(status) {
            assert_eq!(Breaker::default().after(&busy, NOW), Breaker::default());
            let failing = failing(Breaker::default(), FAILURES_MAX - 1, NOW);
            assert_eq!(failing.after(&busy, NOW), failing);
            assert_eq!(half_open.after(&busy, now), half_open);
        }
    }

    #[test]
    fn a_refusal_shows_that_the_receiver_is_there() {
        let failing = failing(Breaker::default(), FAILURES_MAX - 1, NOW);
        for refusal in [400, 404, 422] {
            assert_eq!(failing.after(&status(refusal), NOW), Breaker::default());
        }
    }
}

//! When a call is tried again.
//!
//! The default schedule is the one of the Standard Webhooks specification (section "Retry schedule"): at once, then 5 s, 5 min,
//! 30 min, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h, ten attempts over three days. Each delay is spread by ±10 % so that
//! calls which failed together do not come back together. A receiver's `Retry-After` lengthens a delay, never
//! shortens it, and only up to a bound: a receiver can't park a call for a year.
//!
//! The other thing that is tried again is a commit that the store failed at ([`commit_again_ms`]).

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// Longest delay that `Retry-After` can ask for: the schedule's own longest step.
pub const RETRY_AFTER_MS_MAX: u64 = 24 * 60 * 60 * 1_000;

/// Most attempts that a schedule may have.
pub const ATTEMPTS_MAX: usize = 32;

/// How long something that fails may hold what stands behind it in its order key, milliseconds, counted from its first
/// failure: long enough for a restart or a deployment to pass in order, short enough that a single bad item does not
/// stop a customer's line for the days of a schedule.
pub const SKIP_AFTER_MS_DEFAULT: u64 = 10 * 60 * 1_000;

/// Longest such time: a schedule's longest delay.
pub const SKIP_AFTER_MS_MAX: u64 = DELAY_MS_MAX;

/// Delays before each attempt, milliseconds. The first is 0: whoever wants the first attempt later delays the call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<u64>", into = "Vec<u64>")]
pub struct Schedule(Vec<u64>);

impl schemars::JsonSchema for Schedule {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Schedule".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let delay = serde_json::json!({ "type": "integer", "minimum": 0, "maximum": DELAY_MS_MAX });
        schemars::json_schema!({ "type": "array", "items": delay, "minItems": 1, "maxItems": ATTEMPTS_MAX })
    }
}

/// Why a schedule is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// None or too many.
    #[error("a retry schedule has 1 to {ATTEMPTS_MAX} delays, this one has {0}")]
    Length(usize),
    /// The first is not 0.
    #[error(
        "the first retry delay is {0} ms and must be 0: the first attempt is made at once; a call is delayed by its own `delay-ms`"
    )]
    First(u64),
    /// One is too long.
    #[error("a retry delay of {0} ms is longer than seven days")]
    TooLong(u64),
}

const DELAY_MS_MAX: u64 = 7 * 24 * 60 * 60 * 1_000;

impl Schedule {
    /// Checks and takes delays in milliseconds.
    ///
    /// # Errors
    /// [`ScheduleError`].
    pub fn new(delays_ms: Vec<u64>) -> Result<Self, ScheduleError> {
        if delays_ms.is_empty() || delays_ms.len() > ATTEMPTS_MAX {
            return Err(ScheduleError::Length(delays_ms.len()));
        }
        if let Some(first) = delays_ms.first().filter(|delay| **delay != 0) {
            return Err(ScheduleError::First(*first));
        }
        match delays_ms.iter().find(|delay| **delay > DELAY_MS_MAX) {
            Some(delay) => Err(ScheduleError::TooLong(*delay)),
            None => Ok(Schedule(delays_ms)),
        }
    }

    /// How many attempts there are in all.
    pub fn attempts(&self) -> usize {
        self.0.len()
    }

    /// When attempt number `index` (from 0) is due, or `None` when there are no more.
    ///
    /// `jitter` is entropy: 0 is 10 % sooner, `u16::MAX` 10 % later. `retry_after_ms` is what the receiver asked for.
    ///
    /// ```
    /// use creel_webhook::{clock::Timestamp, retry::Schedule};
    /// let now = Timestamp::from_millis(0);
    /// let schedule = Schedule::default();
    /// assert_eq!(schedule.due(1, now, u16::MAX / 2 + 1, None).unwrap().as_millis(), 5_000);
    /// assert_eq!(schedule.due(10, now, 0, None), None);
    /// ```
    pub fn due(&self, index: u32, now: Timestamp, jitter: u16, retry_after_ms: Option<u64>) -> Option<Timestamp> {
        let base = *self.0.get(usize::try_from(index).ok()?)?;
        let spread = base * 9 / 10 + base * u64::from(jitter) / (5 * u64::from(u16::MAX));
        let asked = retry_after_ms.unwrap_or(0).min(RETRY_AFTER_MS_MAX);
        Some(now.plus_ms(spread.max(asked)))
    }
}

impl TryFrom<Vec<u64>> for Schedule {
    type Error = ScheduleError;

    fn try_from(delays_ms: Vec<u64>) -> Result<Self, ScheduleError> {
        Schedule::new(delays_ms)
    }
}

impl From<Schedule> for Vec<u64> {
    fn from(schedule: Schedule) -> Vec<u64> {
        schedule.0
    }
}

impl Default for Schedule {
    fn default() -> Self {
        const SECOND: u64 = 1_000;
        const MINUTE: u64 = 60 * SECOND;
        const HOUR: u64 = 60 * MINUTE;
        Schedule(vec![
            0,
            5 * SECOND,
            5 * MINUTE,
            30 * MINUTE,
            2 * HOUR,
            5 * HOUR,
            10 * HOUR,
            14 * HOUR,
            20 * HOUR,
            24 * HOUR,
        ])
    }
}

/// Reads a `Retry-After` header: seconds or an HTTP date ([RFC 9110] section 10.2.3). `None` when it is neither.
///
/// [RFC 9110]: https://www.rfc-editor.org/rfc/rfc9110
pub fn retry_after_ms(value: &str, now: Timestamp) -> Option<u64> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(value.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(1_000));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    let since_epoch = date.duration_since(std::time::SystemTime::UNIX_EPOCH).ok()?;
    Some(Timestamp::from_secs(i64::try_from(since_epoch.as_secs()).ok()?).since_ms(now))
}

/// Pauses before a commit that failed is tried again, milliseconds; the last is repeated. A busy file or a full disk may
/// be over in a moment, and a store that is down is not hammered.
const COMMIT_DELAYS_MS: [u64; 3] = [100, 500, 2_500];

/// How long to wait before a commit that failed `failures` times before is tried again; `None` when the lease would be
/// over then. What was decided or sent is kept for as long as nobody else can have claimed it: to throw it away is to
/// run or send it twice.
pub fn commit_again_ms(failures: usize, now: Timestamp, lease_until: Timestamp) -> Option<u64> {
    let delay_ms = COMMIT_DELAYS_MS[failures.min(COMMIT_DELAYS_MS.len() - 1)];
    (now.plus_ms(delay_ms) < lease_until).then_some(delay_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(784_111_777);

    #[test]
    fn a_commit_is_tried_again_while_the_lease_holds() {
        let (start, lease_until) = (Timestamp::from_millis(0), Timestamp::from_millis(10_000));
        let (mut now, mut delays) = (start, Vec::new());
        while let Some(delay_ms) = commit_again_ms(delays.len(), now, lease_until) {
            delays.push(delay_ms);
            now = now.plus_ms(delay_ms);
        }
        assert_eq!(delays, [100, 500, 2_500, 2_500, 2_500]);
        assert_eq!(commit_again_ms(0, lease_until, lease_until), None);
    }

    #[test]
    fn jitter_stays_within_a_tenth() {
        let schedule = Schedule::default();
        for index in 1..10 {
            let base = schedule.0[index as usize];
            let at = |jitter| schedule.due(index, NOW, jitter, None).unwrap().since_ms(NOW);
            assert_eq!(at(0), base * 9 / 10);
            assert!(at(u16::MAX) <= base * 11 / 10 && at(u16::MAX) >= base * 11 / 10 - 1);
        }
    }

    #[test]
    fn a_receiver_lengthens_a_delay_within_bounds() {
        let schedule = Schedule::default();
        let due = |asked| schedule.due(1, NOW, 0, Some(asked)).unwrap().since_ms(NOW);
        assert_eq!(due(60_000), 60_000);
        assert_eq!(due(1), 4_500);
        assert_eq!(due(u64::MAX), RETRY_AFTER_MS_MAX);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after_ms("120", NOW), Some(120_000));
        assert_eq!(retry_after_ms("Sun, 06 Nov 1994 08:49:38 GMT", NOW), Some(1_000));
        assert_eq!(retry_after_ms("Sun, 06 Nov 1994 08:49:30 GMT", NOW), Some(0));
        assert_eq!(retry_after_ms("soon", NOW), None);
        assert_eq!(retry_after_ms("", NOW), None);
    }

    #[test]
    fn schedules_are_bounded() {
        assert_eq!(Schedule::new(vec![]), Err(ScheduleError::Length(0)));
        assert!(Schedule::new(vec![0; 33]).is_err());
        assert_eq!(Schedule::new(vec![0, u64::MAX]), Err(ScheduleError::TooLong(u64::MAX)));
        assert_eq!(Schedule::new(vec![5_000, 5_000]), Err(ScheduleError::First(5_000)));
        assert!(serde_json::from_str::<Schedule>("[5000]").is_err(), "a stored one is checked too");
        assert_eq!(serde_json::to_string(&Schedule::new(vec![0, 7]).unwrap()).unwrap(), "[0,7]");
    }
}

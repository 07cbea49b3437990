//! When a signature is too old, or not yet due.
//!
//! The signed text holds the timestamp exactly as it came; it is parsed only here, for the window: 1 to 16 digits, in
//! seconds or milliseconds, `now - past <= timestamp <= now + future`, both ends included. `now` is when the request's
//! first byte arrived. In seconds, the clock's fraction is dropped, as every provider's own library does.

use crate::clock::Timestamp;
use crate::pointer::Pointer;
use crate::signature::verdict::{Reason, Refusal};

/// Widest window that a scheme may ask for, in seconds: a day, the longest retry period of a provider that does not
/// sign anew.
pub const WINDOW_SECS_MAX: u64 = 86_400;

/// From this value on a number without a unit is milliseconds: as seconds it would lie in the year 33658.
const MILLISECONDS_FROM: i64 = 1_000_000_000_000;

/// The unit of a timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Seconds.
    S,
    /// Milliseconds.
    Ms,
    /// Whichever fits the number.
    Auto,
}

/// How a scheme reads and bounds its timestamp.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimestampRule {
    /// Where it stands.
    pub from: Pointer,
    /// Its unit.
    pub unit: Unit,
    /// How many seconds it may lie back; with `future` absent too, there is no window.
    #[serde(default)]
    pub past: Option<u64>,
    /// How many seconds it may lie ahead.
    #[serde(default)]
    pub future: Option<u64>,
    /// Whether the JSON value must be a number.
    #[serde(default)]
    pub json_number: bool,
}

impl TimestampRule {
    /// Whether requests grow stale.
    pub fn has_window(&self) -> bool {
        self.past.is_some()
    }

    /// Parses and bounds a timestamp.
    pub fn check(&self, text: &str, now: Timestamp) -> Result<Timestamp, Refusal> {
        let (at, now_ms) = self.parse(text, now)?;
        let age_ms = now_ms.saturating_sub(at.as_millis());
        if self.past.is_some_and(|past| age_ms > as_millis(past)) {
            let detail = format!("signed {} s ago; the window is {} s", age_ms / 1_000, self.past.unwrap_or(0));
            return Err(Refusal::new(Reason::TimestampTooOld, detail));
        }
        if self.future.is_some_and(|future| age_ms < -as_millis(future)) {
            let detail = format!("signed {} s ahead of our clock", -(age_ms / 1_000));
            return Err(Refusal::new(Reason::TimestampInFuture, detail));
        }
        Ok(at)
    }

    fn parse(&self, text: &str, now: Timestamp) -> Result<(Timestamp, i64), Refusal> {
        let digits = (1..=16).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse::<i64>().ok().filter(|_| digits).ok_or_else(|| {
            Refusal::new(Reason::TimestampMalformed, "the timestamp is not a number of 1 to 16 digits")
        })?;
        let seconds = match self.unit {
            Unit::S => true,
            Unit::Ms => false,
            Unit::Auto => number < MILLISECONDS_FROM,
        };
        Ok(if seconds {
            (Timestamp::from_secs(number), Timestamp::from_secs(now.as_secs()).as_millis())
        } else {
            (Timestamp::from_millis(number), now.as_millis())
        })
    }

    /// The text of a moment, for signing.
    pub fn write(&self, now: Timestamp) -> String {
        match self.unit {
            Unit::S | Unit::Auto => now.as_secs().to_string(),
            Unit::Ms => now.as_millis().to_string(),
        }
    }
}

fn as_millis(seconds: u64) -> i64 {
    i64::try_from(seconds.saturating_mul(1_000)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(unit: Unit) -> TimestampRule {
        let from = "header:t".parse().unwrap();
        TimestampRule { from, unit, past: Some(300), future: Some(300), json_number: false }
    }

    #[test]
    fn both_ends_of_the_window_are_inside() {
        let now = Timestamp::from_millis(1_767_225_600_999);
        let reason = |text: &str| rule(Unit::S).check(text, now).err().map(|refusal| refusal.reason);
        assert_eq!(reason("1767225300"), None);
        assert_eq!(reason("1767225900"), None);
        assert_eq!(reason("1767225299"), Some(Reason::TimestampTooOld));
        assert_eq!(reason("1767225901"), Some(Reason::TimestampInFuture));
        for text in ["", "+1767225600", "1767225600 ", "1767225600abc", "17672256000000000", "-1", "1e9"] {
            assert_eq!(reason(text), Some(Reason::TimestampMalformed), "{text}");
        }
        assert!(rule(Unit::Auto).check("1767225600000", now).is_ok());
        assert!(rule(Unit::Auto).check("1767225600", now).is_ok());
    }
}

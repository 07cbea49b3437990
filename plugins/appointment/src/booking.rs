//! A wanted appointment: read from what the assistant heard, and small enough to travel as a call's tag.

use crate::settings::Settings;
use creel_guest::prelude::*;
use jiff::Timestamp;
use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

/// A tag has at most 256 bytes: with phone and time, so many characters of four bytes each fit.
const NAME_CHARACTERS_MAX: usize = 40;

/// What E.164 allows.
const PHONE_DIGITS_MAX: usize = 15;

/// Who wants which time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Booking {
    /// Where the confirmation goes: `+` and digits.
    pub phone: String,
    /// When it begins.
    pub start: Timestamp,
    /// The caller's name as the assistant heard it; may be empty.
    pub name: String,
}

/// The tool's arguments. What a model fills in is checked here and not by the parser, so that it can be told.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Arguments {
    start: String,
    name: String,
    phone: Option<String>,
}

impl Booking {
    /// Reads the tool's arguments; the error is for the assistant, who can ask the caller again.
    pub fn read(arguments: &Value, caller: Option<&str>, now_ms: u64, settings: &Settings) -> Result<Booking, String> {
        let Ok(Arguments { start, name, phone }) = Arguments::deserialize(arguments) else {
            return Err("`start`, `name` and `phone` must be texts.".to_owned());
        };
        let start = time(&start, settings)
            .ok_or("`start` must be a date with a time, such as 2026-01-06T10:00. Ask for day and hour.")?;
        if u64::try_from(start.as_millisecond()).is_ok_and(|start_ms| start_ms <= now_ms) {
            return Err(format!("{} has passed. Ask for another time.", settings.local(start)));
        }
        let phone = phone.as_deref().filter(|phone| !phone.is_empty()).or(caller).and_then(e164);
        let phone = phone.ok_or("There is no number for the confirmation. Ask for one, with its country code.")?;
        let name = name.chars().filter(|c| !c.is_control()).take(NAME_CHARACTERS_MAX).collect();
        Ok(Booking { phone, start, name })
    }

    /// Name and number, for people.
    pub fn who(&self) -> String {
        if self.name.is_empty() { self.phone.clone() } else { format!("{} ({})", self.name, self.phone) }
    }
}

/// A time with an offset, or one in the calendar's zone; whole seconds.
fn time(text: &str, settings: &Settings) -> Option<Timestamp> {
    let text = text.trim();
    let local = || Some(text.parse::<DateTime>().ok()?.to_zoned_datetime(settings.zone().clone()).ok()?.timestamp());
    let has_time = text.contains(['T', 't', ' ']);
    let time = text.parse().ok().or_else(local).filter(|_| has_time)?;
    Timestamp::from_second(time.as_second()).ok()
}

/// `+` and digits; spaces and punctuation, as people write them, are left out.
fn e164(text: &str) -> Option<String> {
    let digits = text.trim().strip_prefix('+')?;
    let digits: String = digits.chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')')).collect();
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit()) && (1..=PHONE_DIGITS_MAX).contains(&digits.len());
    is_number.then(|| format!("+{digits}"))
}

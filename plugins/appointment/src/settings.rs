//! The deployment's settings, read as a whole.

use creel_guest::prelude::*;
use jiff::tz::TimeZone;
use jiff::{Timestamp, fmt::strtime};

/// `Tuesday, 6 January at 10:00`.
const TIME_FORMAT: &str = "%A, %-d %B at %H:%M";

const TEXT_BOOKED: &str = "You are booked for {time}.";
const TEXT_TAKEN: &str = "Sorry, {time} is taken. Still free: {free}. Call us again to book.";

/// What an operator decides.
pub struct Settings {
    zone: TimeZone,
    zone_name: String,
    time_format: String,
    account_sid: String,
    sms_from: String,
    text_booked: String,
    text_taken: String,
}

impl Settings {
    /// Reads and checks them.
    pub fn read() -> Result<Settings, Failure> {
        let or = |key: &str, usual: &str| config::get(key).unwrap_or_else(|| usual.to_owned());
        let zone_name = config::require("time-zone")?;
        let zone = TimeZone::get(&zone_name).map_err(|_| {
            format!("the setting `time-zone` is `{zone_name}`, which is no zone such as `America/Chicago`")
        })?;
        let settings = Settings {
            zone,
            zone_name,
            time_format: or("time-format", TIME_FORMAT),
            account_sid: config::require("twilio-account-sid")?,
            sms_from: config::require("sms-from")?,
            text_booked: or("text-booked", TEXT_BOOKED),
            text_taken: or("text-taken", TEXT_TAKEN),
        };
        strtime::format(&settings.time_format, &Timestamp::UNIX_EPOCH.to_zoned_datetime(settings.zone.clone()))
            .map_err(|error| format!("the setting `time-format` is `{}`: {error}", settings.time_format))?;
        Ok(settings)
    }

    /// The zone of the calendar, and of everything that is written to callers.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// Its name.
    pub fn zone_name(&self) -> &str {
        &self.zone_name
    }

    /// A time as callers read it.
    pub fn local(&self, time: Timestamp) -> String {
        strtime::format(&self.time_format, &time.to_zoned_datetime(self.zone.clone()))
            .unwrap_or_else(|_| time.to_string())
    }

    /// The text for a time that was booked.
    pub fn text_booked(&self, time: Timestamp) -> String {
        self.text_booked.replace("{time}", &self.local(time))
    }

    /// The text for a time that was taken, with others that are free.
    pub fn text_taken(&self, time: Timestamp, free: &[Timestamp]) -> String {
        let free: Vec<String> = free.iter().map(|time| self.local(*time)).collect();
        self.text_taken.replace("{time}", &self.local(time)).replace("{free}", &free.join("; "))
    }

    /// A text message by Twilio's API.
    pub fn text_message(&self, to: &str, text: &str) -> Call {
        let path = format!("/2010-04-01/Accounts/{}/Messages.json", self.account_sid);
        destination("sms", "twilio").path(path).form([("To", to), ("From", &self.sms_from), ("Body", text)])
    }
}

/// A call to the destination that the setting `destination-{what}` names, or to the usual one.
pub fn destination(what: &str, usual: &str) -> Call {
    Call::to(config::get(&format!("destination-{what}")).unwrap_or_else(|| usual.to_owned()))
}

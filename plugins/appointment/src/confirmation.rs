//! The second decision: what the calendar said, and who is told.

use crate::booking::Booking;
use crate::settings::{Settings, destination};
use creel_guest::CallResult;
use creel_guest::prelude::*;
use jiff::Timestamp;
use serde::Deserialize;

/// A confirmation that comes later than this is a riddle.
const SMS_EXPIRES_AFTER: Duration = Duration::from_secs(3600);

/// A text message holds no more choices than a caller keeps in mind.
const ALTERNATIVES_MAX: usize = 3;

/// The calendar's word for a time that is no longer free.
const CONFLICT: u16 = 409;

/// What was booked. It need not be what was asked for.
#[derive(Deserialize)]
struct Booked {
    id: Option<Value>,
    start: Timestamp,
}

/// Why not, and what else there is.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Taken {
    alternatives: Vec<Timestamp>,
}

/// Tells the caller and the CRM what was booked; else offers other times, or hands over to a person.
pub fn decide(event: &Event, result: &CallResult<'_>, settings: &Settings) -> Result<Outcome, Failure> {
    let tag = result.tag();
    let booking: Booking =
        creel_guest::serde_json::from_str(tag).map_err(|_| format!("no call of this plugin has the tag `{tag}`"))?;
    let about = About { call: event.subject(), booking: &booking, settings };
    if result.is_delivered() {
        return match result.json::<Booked>() {
            Ok(booked) => about.booked(&booked),
            Err(error) => about.ticket(&format!("whether it is booked is not known: {error}")),
        };
    }
    let alternatives = match result.status() {
        Some(CONFLICT) => result.json::<Taken>().unwrap_or_default().alternatives,
        _ => Vec::new(),
    };
    if alternatives.is_empty() {
        return about.ticket(result.reason().unwrap_or("the calendar did not take it"));
    }
    about.taken(&alternatives[..alternatives.len().min(ALTERNATIVES_MAX)])
}

struct About<'a> {
    /// The voice provider's id of the call.
    call: Option<&'a str>,
    booking: &'a Booking,
    settings: &'a Settings,
}

impl About<'_> {
    fn booked(&self, booked: &Booked) -> Result<Outcome, Failure> {
        log::info!("booked for {}, asked for {}", booked.start, self.booking.start);
        let note = json!({
            "type": "appointment.booked",
            "contact": self.booking.phone,
            "name": self.booking.name,
            "call": self.call,
            "start": booked.start,
            "booking": booked.id,
        });
        Ok(Outcome::new().call(self.text(&self.settings.text_booked(booked.start))).call(self.note(&note)?))
    }

    fn taken(&self, free: &[Timestamp]) -> Result<Outcome, Failure> {
        log::info!("{} is taken, {} other times are free", self.booking.start, free.len());
        let note = json!({
            "type": "appointment.taken",
            "contact": self.booking.phone,
            "name": self.booking.name,
            "call": self.call,
            "start": self.booking.start,
            "offered": free,
        });
        let text = self.settings.text_taken(self.booking.start, free);
        Ok(Outcome::new().call(self.text(&text)).call(self.note(&note)?))
    }

    fn ticket(&self, why: &str) -> Result<Outcome, Failure> {
        log::warn!("not booked: {why}");
        let ticket = json!({
            "subject": format!("{} wants {}", self.booking.who(), self.settings.local(self.booking.start)),
            "description": format!("Call back: {why}"),
            "priority": "high",
            "requester": { "name": self.booking.name, "phone": self.booking.phone },
            "external_id": self.call,
        });
        Ok(Outcome::new().call(destination("tickets", "tickets").path("/tickets").json(&ticket)?))
    }

    fn text(&self, text: &str) -> Call {
        self.settings.text_message(&self.booking.phone, text).expires(SMS_EXPIRES_AFTER)
    }

    /// Entries of one call are kept in order.
    fn note(&self, note: &Value) -> Result<Call, Failure> {
        let entry = destination("crm", "crm").path("/timeline").json(note)?;
        Ok(match self.call {
            Some(call) => entry.order_key(call),
            None => entry,
        })
    }
}

//! The first decision: what a tool call becomes.

use crate::booking::Booking;
use crate::settings::{Settings, destination};
use creel_guest::prelude::*;

/// The tool that the assistant is given.
pub const TOOL: &str = "book_appointment";

/// Better a ticket than an appointment that is made when the caller has long gone elsewhere.
const BOOKING_EXPIRES_AFTER: Duration = Duration::from_secs(600);

/// What the assistant knows of the call that it is in.
pub struct Caller<'a> {
    /// The provider's id of the call.
    pub call: &'a str,
    /// The caller's number; a call from a web page has none.
    pub number: Option<&'a str>,
    /// When the tool was called, milliseconds since 1970.
    pub now_ms: u64,
}

/// The call to the calendar and what the assistant may say now; an error is for the assistant too.
pub fn book(
    caller: &Caller<'_>,
    arguments: &Value,
    settings: &Settings,
) -> Result<Result<(Call, String), String>, Failure> {
    let booking = match Booking::read(arguments, caller.number, caller.now_ms, settings) {
        Ok(booking) => booking,
        Err(told) => return Ok(Err(told)),
    };
    let wanted = json!({
        "start": booking.start,
        "time_zone": settings.zone_name(),
        "attendee": { "name": booking.name, "phone": booking.phone },
        "external_id": caller.call,
    });
    let call = destination("calendar", "calendar").path("/bookings").json(&wanted)?;
    let call = call.expires(BOOKING_EXPIRES_AFTER).on_result(creel_guest::serde_json::to_string(&booking)?);
    let told = format!(
        "{} is asked for. A text message to {} tells whether it is booked.",
        settings.local(booking.start),
        booking.phone
    );
    Ok(Ok((call, told)))
}

//! Books a slot while the caller is on the phone, then confirms what was booked.
//!
//! Two decisions, each durable. The first answers a tool call of the voice assistant: one call to the calendar, which
//! asks to be told how it ended (`request`). The second follows when the calendar has spoken, or was given up: a text
//! message with the time that was really booked, other times when that one was taken, a ticket for whatever a person
//! has to look at (`confirmation`). What the second must know of the first travels as the call's tag (`booking`).
//!
//! Vapi and Retell differ only in how they ask and how they are answered (`vapi`, `retell`).

mod booking;
mod confirmation;
mod request;
mod retell;
mod settings;
mod vapi;

use creel_guest::prelude::*;

#[creel_guest::plugin]
fn handle(event: Event) -> Result<Outcome, Failure> {
    let settings = settings::Settings::read()?; // all of them at once: a slot is not booked that cannot be confirmed
    match event.result() {
        Some(result) => confirmation::decide(&event, &result, &settings),
        None if event.kind() == "tool-calls" => vapi::decide(&event, &settings),
        None if event.kind() == request::TOOL => retell::decide(&event, &settings),
        None => Err(Failure::reject(format!("`{}` is not a tool call of Vapi or Retell", event.kind()))),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn cases() {
        creel_guest::testing::cases::check("cases", super::handle);
    }
}

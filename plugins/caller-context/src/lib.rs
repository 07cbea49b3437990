//! Looks a caller up in the CRM while the phone rings, and gives whoever takes the call what the CRM says.
//!
//! Three providers ask in three shapes and are answered in three. Each has a file for its shape (`vapi`, `retell`,
//! `twilio`); who is asked, how long that may take and what of the answer leaves the house stands in `customer`, once.
//!
//! A caller whom the CRM does not know, and a CRM that is slow, down or talking nonsense, cost the name and never the call.

mod customer;
mod retell;
mod twilio;
mod vapi;

use creel_guest::prelude::*;

#[creel_guest::plugin]
fn handle(event: Event) -> Result<Outcome, Failure> {
    let reply = match event.kind() {
        "assistant-request" => vapi::answer(&event)?,
        "call_inbound" => retell::answer(&event)?,
        _ if event.scheme().starts_with("twilio") => twilio::answer(&event)?,
        other => {
            return Err(Failure::reject(format!("`{other}` is not the beginning of a call of Vapi, Retell or Twilio")));
        }
    };
    Ok(Outcome::new().reply(reply))
}

#[cfg(test)]
mod tests {
    #[test]
    fn cases() {
        creel_guest::testing::cases::check("cases", super::handle);
    }
}

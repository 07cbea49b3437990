//! Writes the end of every call to the CRM's timeline and, where wanted, sends the caller a text message.
//!
//! Three providers tell the same story in three shapes. Each has a file that reads its shape into `FinishedCall`
//! (`vapi`, `retell`, `twilio`); what is decided from it stands here, once.

mod finished_call;
mod retell;
mod twilio;
mod vapi;

use creel_guest::prelude::*;
use finished_call::FinishedCall;

/// A message about a call is of no use an hour later.
const SMS_EXPIRES_AFTER: Duration = Duration::from_secs(3600);

#[creel_guest::plugin]
fn handle(event: Event) -> Result<Outcome, Failure> {
    let call = read(&event)?;
    log::info!("{} call {} ended: {:?}", call.provider, call.id, call.disposition);
    Ok(Outcome::new().call(timeline_entry(&call)?).calls(text_message(&call)?))
}

fn read(event: &Event) -> Result<FinishedCall, Failure> {
    let is_form =
        event.header("content-type").is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    match event.kind() {
        "end-of-call-report" => vapi::read(event),
        "call_ended" | "call_analyzed" => retell::read(event),
        _ if is_form => twilio::read(event),
        other => Err(Failure::reject(format!("`{other}` is not the end of a call of Vapi, Retell or Twilio"))),
    }
}

/// Entries of one call are kept in order: Retell sends the end first and its analysis later.
fn timeline_entry(call: &FinishedCall) -> Result<Call, Failure> {
    Ok(Call::to("crm").path("/timeline").order_key(&call.id).json(call)?)
}

/// The setting `sms-answered`, `sms-missed`, … holds the text for that disposition; without one nothing is sent.
fn text_message(call: &FinishedCall) -> Result<Option<Call>, Failure> {
    let Some(text) = config::get(&format!("sms-{}", call.disposition.name())) else { return Ok(None) };
    let Some(to) = call.contact.as_deref().filter(|_| call.is_first_report) else { return Ok(None) };
    let path = format!("/2010-04-01/Accounts/{}/Messages.json", config::require("twilio-account-sid")?);
    let from = config::require("sms-from")?;
    let fields = [("To", to), ("From", &from), ("Body", &text)];
    Ok(Some(Call::to("twilio").path(path).form(fields).expires(SMS_EXPIRES_AFTER)))
}

#[cfg(test)]
mod tests {
    #[test]
    fn cases() {
        creel_guest::testing::cases::check("cases", super::handle);
    }
}

//! Chooses the assistant that takes a Vapi call: by the number that was called, greeting known callers by name.
//!
//! Vapi waits 7.5 seconds in all, so the look-up gets one of them, and a CRM that is slow or down costs the caller's
//! name but never the call.
//!
//! Settings: `assistant.<number>` for each number, `assistant` for all others, `lookup` = `true` to ask the CRM.

use creel_guest::prelude::*;
use creel_guest::vapi;

const LOOKUP_MAX: Duration = Duration::from_secs(1);

#[creel_guest::plugin]
fn handle(event: Event) -> Result<Outcome, Failure> {
    let PhoneCall { phone_number, customer } = event.json::<Webhook>()?.message.call;
    let called = phone_number.and_then(|phone| phone.number).unwrap_or_default();
    let caller = customer.and_then(|customer| customer.number);

    let Some(id) = config::get(&format!("assistant.{called}")).or_else(|| config::get("assistant")) else {
        log::error!("no assistant is set for {called}");
        return Ok(Outcome::new().reply(vapi::Error::new("This number is not in service.")));
    };
    let mut assistant = vapi::Assistant::id(id);
    if let Some(name) = caller.and_then(|number| caller_name(&number)) {
        assistant = assistant.first_message(format!("Hello {name}, how can I help?")).variable("customerName", name);
    }
    Ok(Outcome::new().reply(assistant))
}

/// The caller's name, when the CRM is to be asked, knows it and answers in time.
fn caller_name(number: &str) -> Option<String> {
    if config::get("lookup").as_deref() != Some("true") {
        return None;
    }
    let path = format!("/contacts?phone={}", number.replace('+', "%2B"));
    match fetch::Request::get("crm", path).timeout(LOOKUP_MAX).send() {
        Ok(response) if response.is_success() => response.json::<Contact>().ok().map(|contact| contact.first_name),
        Ok(response) => {
            log::info!("the CRM does not know the caller: status {}", response.status);
            None
        }
        Err(error) => {
            log::warn!("going on without the caller's name: {error}");
            None
        }
    }
}

#[derive(serde::Deserialize)]
struct Contact {
    first_name: String,
}

#[derive(serde::Deserialize)]
struct Webhook {
    message: Message,
}

#[derive(serde::Deserialize)]
struct Message {
    call: PhoneCall,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct PhoneCall {
    phone_number: Option<Number>,
    customer: Option<Number>,
}

#[derive(serde::Deserialize)]
struct Number {
    number: Option<String>,
}

#[cfg(test)]
mod tests {
    #[test]
    fn cases() {
        creel_guest::testing::cases::check("cases", super::handle);
    }
}

//! Vapi's `assistant-request`: an assistant with variables, and a first message for whom it knows.

use crate::customer::Customer;
use creel_guest::prelude::*;
use creel_guest::vapi;

pub fn answer(event: &Event) -> Result<Reply, Failure> {
    let call = event.json::<Webhook>()?.message.call;
    let number = call.customer.and_then(|customer| customer.number);
    let customer = Customer::of(number.as_deref())?;
    let mut assistant =
        vapi::Assistant::id(config::require("vapi-assistant")?).variable("known_caller", customer.is_known);
    for (field, fact) in &customer.facts {
        assistant = assistant.variable(field, fact.as_str());
    }
    if let Some(text) = customer.say("greeting").filter(|_| customer.is_known) {
        assistant = assistant.first_message(text);
    }
    Ok(assistant.into())
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
struct PhoneCall {
    customer: Option<Party>,
}

#[derive(serde::Deserialize)]
struct Party {
    number: Option<String>,
}

//! Retell's `call_inbound`: dynamic variables for the agent that the number has, or that a setting names.

use crate::customer::Customer;
use creel_guest::prelude::*;
use creel_guest::retell::Inbound;

pub fn answer(event: &Event) -> Result<Reply, Failure> {
    let call = event.json::<Webhook>()?.call_inbound;
    let customer = Customer::of(call.from_number.as_deref())?;
    let mut inbound = Inbound::new().variable("known_caller", customer.is_known);
    for (field, fact) in &customer.facts {
        inbound = inbound.variable(field, fact);
    }
    if let Some(text) = customer.say("greeting").filter(|_| customer.is_known) {
        inbound = inbound.variable("greeting", text);
    }
    if let Some(agent) = config::get("retell-agent") {
        inbound = inbound.agent(agent);
    }
    Ok(inbound.into())
}

#[derive(serde::Deserialize)]
struct Webhook {
    call_inbound: PhoneCall,
}

#[derive(serde::Deserialize)]
struct PhoneCall {
    from_number: Option<String>,
}

//! Twilio's incoming call: a greeting in TwiML, by name where the CRM knows one, then somebody who takes the call.

use crate::customer::Customer;
use creel_guest::prelude::*;
use creel_guest::twiml::{Response, Say};

/// What is said when no setting says anything.
const WELCOME: &str = "Welcome.";

pub fn answer(event: &Event) -> Result<Reply, Failure> {
    let form = event.form();
    let customer = Customer::of(Some(form.require("From")?))?;
    let greeting = customer.say("greeting").filter(|_| customer.is_known);
    let greeting = greeting.or_else(|| customer.say("greeting-unknown")).unwrap_or_else(|| WELCOME.to_owned());
    let language = config::get("language").unwrap_or_else(|| "en-US".to_owned());
    let answer = Response::new().say(Say::new(greeting).language(language));
    Ok(answer.dial(config::require("forward-to")?).into())
}

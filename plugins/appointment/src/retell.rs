//! Retell's custom function: one call, whose type is the function's name.

use crate::request::{Caller, book};
use crate::settings::Settings;
use creel_guest::prelude::*;
use creel_guest::retell::FunctionResult;
use serde::Deserialize;

/// Books what is asked for and tells the model.
pub fn decide(event: &Event, settings: &Settings) -> Result<Outcome, Failure> {
    let Webhook { args, call } = event.json()?;
    let outbound = call.direction.as_deref() == Some("outbound");
    let number = if outbound { call.to_number } else { call.from_number };
    let caller = Caller { call: &call.call_id, number: number.as_deref(), now_ms: event.received_at_ms() };
    Ok(match book(&caller, &args, settings)? {
        Ok((call, told)) => Outcome::new().call(call).reply(FunctionResult::text(told)),
        Err(told) => Outcome::new().reply(FunctionResult::error(told)),
    })
}

#[derive(Deserialize)]
struct Webhook {
    #[serde(default)]
    args: Value,
    call: PhoneCall,
}

#[derive(Deserialize)]
struct PhoneCall {
    call_id: String,
    direction: Option<String>,
    from_number: Option<String>,
    to_number: Option<String>,
}

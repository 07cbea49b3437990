//! Vapi's `tool-calls`: one or more calls of tools, each of which wants a result.

use crate::request::{Caller, TOOL, book};
use crate::settings::Settings;
use creel_guest::prelude::*;
use creel_guest::vapi::ToolResults;
use serde::Deserialize;

/// Books what is asked for and answers each tool.
pub fn decide(event: &Event, settings: &Settings) -> Result<Outcome, Failure> {
    let Message { call, customer, tool_call_list } = event.json::<Webhook>()?.message;
    let number = customer.and_then(|customer| customer.number);
    let caller = Caller { call: &call.id, number: number.as_deref(), now_ms: event.received_at_ms() };
    let mut outcome = Outcome::new();
    let mut results = ToolResults::new();
    for tool in tool_call_list {
        if tool.name != TOOL {
            results = results.error(tool.id, tool.name, "this tool is not known here");
            continue;
        }
        results = match book(&caller, &tool.arguments, settings)? {
            Ok((call, told)) => {
                outcome = outcome.call(call);
                results.result(tool.id, tool.name, &told)
            }
            Err(told) => results.error(tool.id, tool.name, &told),
        };
    }
    Ok(outcome.reply(results))
}

#[derive(Deserialize)]
struct Webhook {
    message: Message,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    call: CallId,
    customer: Option<Customer>,
    tool_call_list: Vec<ToolCall>,
}

#[derive(Deserialize)]
struct CallId {
    id: String,
}

#[derive(Deserialize)]
struct Customer {
    number: Option<String>,
}

#[derive(Deserialize)]
struct ToolCall {
    id: String,
    name: String,
    #[serde(alias = "parameters", default)]
    arguments: Value,
}

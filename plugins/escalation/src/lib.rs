//! A caller needs a person: a ticket, a Slack message and a page for whoever is on duty, decided in one outcome.
//!
//! The voice assistant (Vapi) calls the tool `escalate`. The three calls are stored together or not at all, so there is
//! never a page without a ticket; each is then delivered on its own, so a Slack that is down delays no page. The
//! assistant gets its answer at once and tells the caller.

use creel_guest::prelude::*;
use creel_guest::slack;
use creel_guest::vapi::ToolResults;

/// A page about a caller is of no use after the caller has gone home.
const PAGE_EXPIRES_AFTER: Duration = Duration::from_secs(2 * 3600);

#[creel_guest::plugin]
fn handle(event: Event) -> Result<Outcome, Failure> {
    let Message { call, customer, tool_call_list } = event.json::<Webhook>()?.message;
    let caller = customer.and_then(|customer| customer.number).unwrap_or_else(|| "an unknown number".to_owned());
    let mut outcome = Outcome::new();
    let mut results = ToolResults::new();
    for tool in tool_call_list {
        if tool.name != "escalate" {
            results = results.error(tool.id, tool.name, "this tool is not known here");
            continue;
        }
        let case = Case { call: &call.id, caller: &caller, tool: &tool };
        outcome = outcome.call(case.ticket()?).call(case.slack()?).calls(case.page()?);
        results = results.result(tool.id.clone(), tool.name.clone(), "A colleague has been told and will call back.");
    }
    Ok(outcome.reply(results))
}

struct Case<'a> {
    call: &'a str,
    caller: &'a str,
    tool: &'a ToolCall,
}

impl Case<'_> {
    fn summary(&self) -> String {
        format!("{} asks for a person: {}", self.caller, self.tool.arguments.reason)
    }

    fn ticket(&self) -> Result<Call, Failure> {
        let ticket = json!({
            "subject": self.summary(),
            "priority": self.tool.arguments.severity.ticket_priority(),
            "requester": { "phone": self.caller },
            "external_id": self.call,
        });
        Ok(Call::to("tickets").path("/tickets").json(&ticket)?)
    }

    fn slack(&self) -> Result<Call, Failure> {
        let text = slack::escape(&self.summary());
        Ok(Call::to("slack").json(&json!({ "text": format!(":telephone_receiver: {text}") }))?)
    }

    /// Only what is urgent wakes somebody. The call's id as key folds repeated escalations of one call into one alert.
    fn page(&self) -> Result<Option<Call>, Failure> {
        let Some(severity) = self.tool.arguments.severity.page_severity() else { return Ok(None) };
        let alert = json!({
            "routing_key": config::require("pagerduty-routing-key")?,
            "event_action": "trigger",
            "dedup_key": self.call,
            "payload": {
                "summary": self.summary(),
                "source": "voice assistant",
                "severity": severity,
                "custom_details": { "call": self.call, "caller": self.caller },
            },
        });
        Ok(Some(Call::to("pagerduty").path("/v2/enqueue").json(&alert)?.expires(PAGE_EXPIRES_AFTER)))
    }
}

#[derive(serde::Deserialize)]
struct Webhook {
    message: Message,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    call: CallId,
    customer: Option<Customer>,
    tool_call_list: Vec<ToolCall>,
}

#[derive(serde::Deserialize)]
struct CallId {
    id: String,
}

#[derive(serde::Deserialize)]
struct Customer {
    number: Option<String>,
}

#[derive(serde::Deserialize)]
struct ToolCall {
    id: String,
    name: String,
    #[serde(alias = "parameters", default)]
    arguments: Arguments,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Arguments {
    reason: String,
    severity: Severity,
}

#[derive(Default, Clone, Copy, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Severity {
    Low,
    #[default]
    Normal,
    Urgent,
}

impl Severity {
    fn ticket_priority(self) -> &'static str {
        match self {
            Severity::Low => "low",
            Severity::Normal => "normal",
            Severity::Urgent => "urgent",
        }
    }

    fn page_severity(self) -> Option<&'static str> {
        match self {
            Severity::Low | Severity::Normal => None,
            Severity::Urgent => Some("critical"),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn cases() {
        creel_guest::testing::cases::check("cases", super::handle);
    }
}

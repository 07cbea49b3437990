//! The JSON that Vapi wants as the answer to the messages it waits for: `assistant-request` and `tool-calls`.
//!
//! Both become a [`Reply`] with status 200; Vapi ignores the body of any other status.

use crate::Reply;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// The answer to `assistant-request`: who takes the call.
///
/// ```
/// use creel_guest::{Reply, vapi::Assistant};
/// let reply = Reply::from(Assistant::id("a-1").variable("name", "Ada"));
/// assert_eq!(
///     reply.body.unwrap().as_bytes(),
///     br#"{"assistantId":"a-1","assistantOverrides":{"variableValues":{"name":"Ada"}}}"#
/// );
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Assistant {
    answer: Map<String, Value>,
}

impl Assistant {
    /// A stored assistant.
    ///
    /// ```
    /// # use creel_guest::vapi::Assistant;
    /// let _ = Assistant::id("a-1");
    /// ```
    pub fn id(id: impl Into<String>) -> Assistant {
        Assistant::one("assistantId", Value::String(id.into()))
    }

    /// A stored squad.
    ///
    /// ```
    /// # use creel_guest::vapi::Assistant;
    /// let _ = Assistant::squad("s-1");
    /// ```
    pub fn squad(id: impl Into<String>) -> Assistant {
        Assistant::one("squadId", Value::String(id.into()))
    }

    /// Hands the call to a phone number without an assistant.
    ///
    /// ```
    /// # use creel_guest::vapi::Assistant;
    /// let _ = Assistant::number("+15550100");
    /// ```
    pub fn number(number: impl Into<String>) -> Assistant {
        Assistant::one("destination", json!({ "type": "number", "number": number.into() }))
    }

    /// Speaks a sentence to the caller and ends the call.
    ///
    /// ```
    /// # use creel_guest::vapi::Assistant;
    /// let _ = Assistant::error("We are closed today.");
    /// ```
    pub fn error(spoken: impl Into<String>) -> Assistant {
        Assistant::one("error", Value::String(spoken.into()))
    }

    fn one(key: &str, value: Value) -> Assistant {
        Assistant { answer: Map::from_iter([(key.to_owned(), value)]) }
    }

    /// Sets a variable that the assistant's prompts may use as `{{name}}`.
    ///
    /// ```
    /// # use creel_guest::vapi::Assistant;
    /// let _ = Assistant::id("a-1").variable("plan", "gold");
    /// ```
    pub fn variable(mut self, name: &str, value: impl Into<Value>) -> Assistant {
        self.overrides()["variableValues"][name] = value.into();
        self
    }

    /// Sets what the assistant says first.
    ///
    /// ```
    /// # use creel_guest::vapi::Assistant;
    /// let _ = Assistant::id("a-1").first_message("Good morning!");
    /// ```
    pub fn first_message(mut self, text: impl Into<String>) -> Assistant {
        self.overrides()["firstMessage"] = Value::String(text.into());
        self
    }

    fn overrides(&mut self) -> &mut Value {
        let key = if self.answer.contains_key("squadId") { "squadOverrides" } else { "assistantOverrides" };
        self.answer.entry(key).or_insert_with(|| json!({}))
    }
}

impl From<Assistant> for Reply {
    fn from(assistant: Assistant) -> Reply {
        Reply::with_body("application/json", Value::Object(assistant.answer).to_string())
    }
}

/// The answer to `tool-calls`: a result or an error for each call.
///
/// ```
/// use creel_guest::{Reply, vapi::ToolResults};
/// let reply = Reply::from(ToolResults::new().result("call_1", "Tuesday at ten\nis free").error("call_2", "no such day"));
/// let body = String::from_utf8(reply.body.unwrap().as_bytes().to_vec()).unwrap();
/// assert!(body.contains("Tuesday at ten is free"), "a result is one line: {body}");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ToolResults {
    results: Vec<ToolResult>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct ToolResult {
    #[serde(rename = "toolCallId")]
    tool_call_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl ToolResults {
    /// No result yet.
    ///
    /// ```
    /// # use creel_guest::vapi::ToolResults;
    /// let _ = ToolResults::new();
    /// ```
    pub fn new() -> ToolResults {
        ToolResults::default()
    }

    /// Adds what a tool found. Line breaks become spaces: Vapi reads single lines only.
    ///
    /// ```
    /// # use creel_guest::vapi::ToolResults;
    /// let _ = ToolResults::new().result("call_1", "booked");
    /// ```
    pub fn result(mut self, tool_call_id: impl Into<String>, text: &str) -> ToolResults {
        self.results.push(ToolResult { tool_call_id: tool_call_id.into(), result: Some(one_line(text)), error: None });
        self
    }

    /// Adds why a tool found nothing.
    ///
    /// ```
    /// # use creel_guest::vapi::ToolResults;
    /// let _ = ToolResults::new().error("call_1", "the calendar is not reachable");
    /// ```
    pub fn error(mut self, tool_call_id: impl Into<String>, text: &str) -> ToolResults {
        self.results.push(ToolResult { tool_call_id: tool_call_id.into(), result: None, error: Some(one_line(text)) });
        self
    }
}

fn one_line(text: &str) -> String {
    text.lines().collect::<Vec<_>>().join(" ")
}

impl From<ToolResults> for Reply {
    fn from(results: ToolResults) -> Reply {
        Reply::json(&results).expect("strings are always valid JSON")
    }
}

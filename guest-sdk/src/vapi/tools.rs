//! The answer to `tool-calls`: a result or an error for each call.

use super::one_line;
use crate::Reply;
use crate::object::Object;
use serde_json::Value;

/// The answer to `tool-calls`: a result or an error for each call.
///
/// ```
/// use creel_guest::{Reply, vapi::ToolResults};
/// let results = ToolResults::new()
///     .result("call_1", "find_slot", "Tuesday at ten\nis free")
///     .error("call_2", "find_slot", "no such day");
/// let body = String::from_utf8(Reply::from(results).body.unwrap().as_bytes().to_vec()).unwrap();
/// assert!(body.contains("Tuesday at ten is free"), "a result is one line: {body}");
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ToolResults {
    results: Vec<Value>,
}

impl ToolResults {
    /// No result yet.
    ///
    /// ```
    /// # use creel_guest::{Reply, vapi::ToolResults};
    /// assert_eq!(Reply::from(ToolResults::new()).body.unwrap().as_bytes(), br#"{"results":[]}"#);
    /// ```
    pub fn new() -> ToolResults {
        ToolResults::default()
    }

    /// Adds what a tool found. Line breaks become spaces: Vapi reads single lines only.
    ///
    /// ```
    /// # use creel_guest::{Reply, vapi::ToolResults};
    /// assert_eq!(
    ///     Reply::from(ToolResults::new().result("call_1", "book_slot", "booked")).body.unwrap().as_bytes(),
    ///     br#"{"results":[{"name":"book_slot","result":"booked","toolCallId":"call_1"}]}"#
    /// );
    /// ```
    pub fn result(self, tool_call_id: impl Into<String>, name: impl Into<String>, text: &str) -> ToolResults {
        self.with(ToolResult::found(tool_call_id, name, text))
    }

    /// Adds why a tool found nothing.
    ///
    /// ```
    /// # use creel_guest::{Reply, vapi::ToolResults};
    /// let body = Reply::from(ToolResults::new().error("call_1", "book_slot", "the calendar is down")).body.unwrap();
    /// assert!(String::from_utf8_lossy(body.as_bytes()).contains(r#""error":"the calendar is down""#));
    /// ```
    pub fn error(self, tool_call_id: impl Into<String>, name: impl Into<String>, text: &str) -> ToolResults {
        self.with(ToolResult::failed(tool_call_id, name, text))
    }

    /// Adds a result that says more.
    ///
    /// ```
    /// # use creel_guest::vapi::{ToolResult, ToolResults};
    /// let one = ToolResult::found("call_1", "book_slot", "booked").spoken("You are booked.");
    /// assert_ne!(ToolResults::new().with(one), ToolResults::new());
    /// ```
    pub fn with(mut self, result: ToolResult) -> ToolResults {
        self.results.push(result.fields.into());
        self
    }
}

impl From<ToolResults> for Reply {
    fn from(results: ToolResults) -> Reply {
        Object::of("results", results.results).into()
    }
}

/// What became of one tool call.
///
/// ```
/// use creel_guest::{prelude::*, vapi::{ToolResult, ToolResults}};
/// let one = ToolResult::found("call_1", "book_slot", "booked").spoken("You are booked.").metadata(json!({ "slot": 7 }));
/// let reply = Reply::from(ToolResults::new().with(one));
/// assert_eq!(
///     serde_json::from_slice::<Value>(reply.body.unwrap().as_bytes()).unwrap()["results"][0],
///     json!({
///         "toolCallId": "call_1",
///         "name": "book_slot",
///         "result": "booked",
///         "message": { "type": "request-complete", "content": "You are booked." },
///         "metadata": { "slot": 7 },
///     })
/// );
/// # use creel_guest::serde_json;
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ToolResult {
    fields: Object,
}

impl ToolResult {
    /// What a tool found. Line breaks become spaces.
    ///
    /// ```
    /// # use creel_guest::vapi::ToolResult;
    /// assert_eq!(ToolResult::found("1", "t", "a\nb"), ToolResult::found("1", "t", "a b"));
    /// ```
    pub fn found(tool_call_id: impl Into<String>, name: impl Into<String>, text: &str) -> ToolResult {
        ToolResult::of(tool_call_id, name).with("result", one_line(text))
    }

    /// Why a tool found nothing. Line breaks become spaces.
    ///
    /// ```
    /// # use creel_guest::vapi::ToolResult;
    /// assert_ne!(ToolResult::failed("1", "t", "down"), ToolResult::found("1", "t", "down"));
    /// ```
    pub fn failed(tool_call_id: impl Into<String>, name: impl Into<String>, text: &str) -> ToolResult {
        ToolResult::of(tool_call_id, name).with("error", one_line(text))
    }

    /// What the assistant says to the caller, word for word.
    ///
    /// ```
    /// # use creel_guest::vapi::ToolResult;
    /// let plain = ToolResult::found("1", "t", "booked");
    /// assert_ne!(plain.clone().spoken("You are booked."), plain);
    /// ```
    pub fn spoken(self, text: impl Into<String>) -> ToolResult {
        let kind = if self.fields.has("error") { "request-failed" } else { "request-complete" };
        self.with("message", Object::of("type", kind).with("content", text.into()))
    }

    /// Further facts for the client.
    ///
    /// ```
    /// # use creel_guest::{prelude::*, vapi::ToolResult};
    /// let plain = ToolResult::found("1", "t", "booked");
    /// assert_ne!(plain.clone().metadata(json!({ "slot": 7 })), plain);
    /// ```
    pub fn metadata(self, metadata: Value) -> ToolResult {
        self.with("metadata", metadata)
    }

    fn of(tool_call_id: impl Into<String>, name: impl Into<String>) -> ToolResult {
        ToolResult { fields: Object::of("toolCallId", tool_call_id.into()).with("name", name.into()) }
    }

    fn with(self, key: &str, value: impl Into<Value>) -> ToolResult {
        ToolResult { fields: self.fields.with(key, value) }
    }
}

//! The answer to `assistant-request`: who takes the call.

use crate::Reply;
use crate::object::Object;
use serde_json::Value;

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
    answer: Object,
    /// The field that changes to a stored one go into.
    overrides: &'static str,
}

impl Assistant {
    /// A stored assistant.
    ///
    /// ```
    /// # use creel_guest::{Reply, vapi::Assistant};
    /// assert_eq!(Reply::from(Assistant::id("a-1")).body.unwrap().as_bytes(), br#"{"assistantId":"a-1"}"#);
    /// ```
    pub fn id(id: impl Into<String>) -> Assistant {
        Assistant::of("assistantId", id.into(), "assistantOverrides")
    }

    /// An assistant that is made for this call, as Vapi's API describes it.
    ///
    /// ```
    /// # use creel_guest::{prelude::*, vapi::Assistant};
    /// let reply = Reply::from(Assistant::transient(json!({ "firstMessage": "Hello" })));
    /// assert_eq!(reply.body.unwrap().as_bytes(), br#"{"assistant":{"firstMessage":"Hello"}}"#);
    /// ```
    pub fn transient(assistant: Value) -> Assistant {
        Assistant::of("assistant", assistant, "assistantOverrides")
    }

    /// A stored squad.
    ///
    /// ```
    /// # use creel_guest::{Reply, vapi::Assistant};
    /// assert_eq!(Reply::from(Assistant::squad("s-1")).body.unwrap().as_bytes(), br#"{"squadId":"s-1"}"#);
    /// ```
    pub fn squad(id: impl Into<String>) -> Assistant {
        Assistant::of("squadId", id.into(), "squadOverrides")
    }

    /// A squad that is made for this call, as Vapi's API describes it.
    ///
    /// ```
    /// # use creel_guest::{prelude::*, vapi::Assistant};
    /// let reply = Reply::from(Assistant::transient_squad(json!({ "members": [] })));
    /// assert_eq!(reply.body.unwrap().as_bytes(), br#"{"squad":{"members":[]}}"#);
    /// ```
    pub fn transient_squad(squad: Value) -> Assistant {
        Assistant::of("squad", squad, "squadOverrides")
    }

    /// A stored workflow.
    ///
    /// ```
    /// # use creel_guest::{Reply, vapi::Assistant};
    /// assert_eq!(Reply::from(Assistant::workflow("w-1")).body.unwrap().as_bytes(), br#"{"workflowId":"w-1"}"#);
    /// ```
    pub fn workflow(id: impl Into<String>) -> Assistant {
        Assistant::of("workflowId", id.into(), "workflowOverrides")
    }

    /// Sets a variable that prompts may use as `{{name}}`.
    ///
    /// ```
    /// # use creel_guest::{Reply, vapi::Assistant};
    /// let reply = Reply::from(Assistant::squad("s-1").variable("plan", "gold"));
    /// assert_eq!(
    ///     reply.body.unwrap().as_bytes(),
    ///     br#"{"squadId":"s-1","squadOverrides":{"variableValues":{"plan":"gold"}}}"#
    /// );
    /// ```
    pub fn variable(mut self, name: &str, value: impl Into<Value>) -> Assistant {
        self.answer.set_in(&[self.overrides, "variableValues"], name, value);
        self
    }

    /// Sets what is said first.
    ///
    /// ```
    /// # use creel_guest::{Reply, vapi::Assistant};
    /// let reply = Reply::from(Assistant::id("a-1").first_message("Good morning!"));
    /// assert!(reply.body.unwrap().as_bytes().ends_with(br#""assistantOverrides":{"firstMessage":"Good morning!"}}"#));
    /// ```
    pub fn first_message(self, text: impl Into<String>) -> Assistant {
        self.changed("firstMessage", text.into())
    }

    /// Sets any other override, by its name in Vapi's API.
    ///
    /// ```
    /// # use creel_guest::{Reply, vapi::Assistant};
    /// let reply = Reply::from(Assistant::id("a-1").changed("maxDurationSeconds", 300));
    /// assert!(reply.body.unwrap().as_bytes().ends_with(br#""assistantOverrides":{"maxDurationSeconds":300}}"#));
    /// ```
    pub fn changed(mut self, name: &str, value: impl Into<Value>) -> Assistant {
        self.answer.set_in(&[self.overrides], name, value);
        self
    }

    fn of(key: &str, value: impl Into<Value>, overrides: &'static str) -> Assistant {
        Assistant { answer: Object::of(key, value), overrides }
    }
}

impl From<Assistant> for Reply {
    fn from(assistant: Assistant) -> Reply {
        assistant.answer.into()
    }
}

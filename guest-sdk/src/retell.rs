//! The answers that Retell waits for: how an inbound call begins, and what a custom function found.
//!
//! ```
//! use creel_guest::{Reply, retell};
//! let reply = Reply::from(retell::Inbound::new().agent("agent_1").variable("name", "Ada"));
//! assert_eq!(
//!     reply.body.unwrap().as_bytes(),
//!     br#"{"call_inbound":{"dynamic_variables":{"name":"Ada"},"override_agent_id":"agent_1"}}"#
//! );
//! ```

use crate::Reply;
use crate::object::{Object, cut};
use serde_json::{Value, json};
use std::fmt::Display;

/// Characters of a function's result that Retell hands to the model; what is beyond is cut off here.
const RESULT_CHARACTERS_MAX: usize = 15_000;

/// The answer to `call_inbound`. With nothing set, the number's own settings hold.
///
/// ```
/// use creel_guest::{Reply, retell::Inbound};
/// assert_eq!(Reply::from(Inbound::new()).body.unwrap().as_bytes(), br#"{"call_inbound":{}}"#);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Inbound(Object);

impl Default for Inbound {
    fn default() -> Inbound {
        Inbound::new()
    }
}

impl Inbound {
    /// Nothing is changed.
    ///
    /// ```
    /// # use creel_guest::retell::Inbound;
    /// assert_eq!(Inbound::new(), Inbound::default());
    /// ```
    pub fn new() -> Inbound {
        Inbound(Object::of("call_inbound", json!({})))
    }

    /// The agent that takes the call.
    ///
    /// ```
    /// # use creel_guest::retell::Inbound;
    /// assert_ne!(Inbound::new().agent("agent_1"), Inbound::new());
    /// ```
    pub fn agent(self, id: impl Into<String>) -> Inbound {
        self.with(&[], "override_agent_id", id.into())
    }

    /// The version of that agent.
    ///
    /// ```
    /// # use creel_guest::{Reply, retell::Inbound};
    /// assert_eq!(
    ///     Reply::from(Inbound::new().agent_version(3)).body.unwrap().as_bytes(),
    ///     br#"{"call_inbound":{"override_agent_version":3}}"#
    /// );
    /// ```
    pub fn agent_version(self, version: u32) -> Inbound {
        self.with(&[], "override_agent_version", version)
    }

    /// Settings of the agent that are others for this call, as Retell's API describes them.
    ///
    /// ```
    /// # use creel_guest::{prelude::*, retell::Inbound};
    /// assert_ne!(Inbound::new().agent_override(json!({ "agent": { "language": "de-DE" } })), Inbound::new());
    /// ```
    pub fn agent_override(self, settings: Value) -> Inbound {
        self.with(&[], "agent_override", settings)
    }

    /// Sets a variable that prompts may use as `{{name}}`. Retell takes texts only, so every value becomes one.
    ///
    /// ```
    /// # use creel_guest::{Reply, retell::Inbound};
    /// assert_eq!(
    ///     Reply::from(Inbound::new().variable("orders", 3)).body.unwrap().as_bytes(),
    ///     br#"{"call_inbound":{"dynamic_variables":{"orders":"3"}}}"#
    /// );
    /// ```
    pub fn variable(self, name: &str, value: impl Display) -> Inbound {
        self.with(&["dynamic_variables"], name, value.to_string())
    }

    /// A fact that comes back with the call's events.
    ///
    /// ```
    /// # use creel_guest::{Reply, retell::Inbound};
    /// assert_eq!(
    ///     Reply::from(Inbound::new().metadata("customer", 7)).body.unwrap().as_bytes(),
    ///     br#"{"call_inbound":{"metadata":{"customer":7}}}"#
    /// );
    /// ```
    pub fn metadata(self, name: &str, value: impl Into<Value>) -> Inbound {
        self.with(&["metadata"], name, value)
    }

    fn with(mut self, within: &[&str], key: &str, value: impl Into<Value>) -> Inbound {
        let path: Vec<&str> = ["call_inbound"].iter().chain(within).copied().collect();
        self.0.set_in(&path, key, value);
        self
    }
}

impl From<Inbound> for Reply {
    fn from(inbound: Inbound) -> Reply {
        inbound.0.into()
    }
}

/// The answer to a custom function: what the model is told.
///
/// ```
/// use creel_guest::{prelude::*, retell::FunctionResult};
/// let reply = Reply::from(FunctionResult::json(json!({ "slot": "ten" })));
/// assert_eq!((reply.headers[0].1.as_str(), reply.body.unwrap().as_bytes()), ("application/json", &br#"{"slot":"ten"}"#[..]));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionResult(Reply);

impl FunctionResult {
    /// A text, of which Retell reads the first 15 000 characters.
    ///
    /// ```
    /// # use creel_guest::{Reply, retell::FunctionResult};
    /// assert_eq!(Reply::from(FunctionResult::text("booked")).body.unwrap().as_bytes(), b"booked");
    /// ```
    pub fn text(text: impl Into<String>) -> FunctionResult {
        FunctionResult(Reply::text(cut(text.into(), RESULT_CHARACTERS_MAX)))
    }

    /// A value. The author keeps it short: what Retell cuts off is no JSON any more.
    ///
    /// ```
    /// # use creel_guest::{prelude::*, retell::FunctionResult};
    /// assert_eq!(Reply::from(FunctionResult::json(json!([1]))).body.unwrap().as_bytes(), b"[1]");
    /// ```
    pub fn json(value: Value) -> FunctionResult {
        FunctionResult(Reply::of_json(&value))
    }

    /// Why there is no result; the model is told.
    ///
    /// ```
    /// # use creel_guest::{Reply, retell::FunctionResult};
    /// let reply = Reply::from(FunctionResult::error("the calendar is down"));
    /// assert_eq!(reply.body.unwrap().as_bytes(), br#"{"error":"the calendar is down"}"#);
    /// ```
    pub fn error(text: impl Into<String>) -> FunctionResult {
        FunctionResult(Object::of("error", text.into()).into())
    }
}

impl From<FunctionResult> for Reply {
    fn from(result: FunctionResult) -> Reply {
        result.0
    }
}

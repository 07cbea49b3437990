//! What a handler decided. It is valid as a whole or not at all: one bad call, and the host stores none.

use crate::{Call, Reply};

/// The calls to perform and, on a route of mode `reply`, the answer to the sender.
///
/// ```
/// use creel_guest::prelude::*;
/// # fn build() -> Result<Outcome, Failure> {
/// let outcome = Outcome::new()
///     .call(Call::to("crm").path("/contacts").json(&json!({ "phone": "+15550100" }))?)
///     .reply(Reply::json(&json!({ "assistantId": "a-1" }))?);
/// # Ok(outcome) }
/// # assert_eq!(build().unwrap().calls.len(), 1);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The calls; without order keys they run side by side.
    pub calls: Vec<Call>,
    /// The answer to the sender.
    pub reply: Option<Reply>,
}

impl Outcome {
    /// Nothing to do: the event is done with.
    ///
    /// ```
    /// use creel_guest::Outcome;
    /// assert!(Outcome::new().calls.is_empty());
    /// ```
    pub fn new() -> Outcome {
        Outcome::default()
    }

    /// Adds a call.
    ///
    /// ```
    /// use creel_guest::{Call, Outcome};
    /// assert_eq!(Outcome::new().call(Call::to("crm")).call(Call::to("slack")).calls.len(), 2);
    /// ```
    pub fn call(mut self, call: Call) -> Outcome {
        self.calls.push(call);
        self
    }

    /// Adds any number of calls; an `Option<Call>` is none or one.
    ///
    /// ```
    /// use creel_guest::{Call, Outcome};
    /// let sms: Option<Call> = None;
    /// assert!(Outcome::new().calls(sms).calls.is_empty());
    /// ```
    pub fn calls(mut self, calls: impl IntoIterator<Item = Call>) -> Outcome {
        self.calls.extend(calls);
        self
    }

    /// Sets the answer to the sender.
    ///
    /// ```
    /// use creel_guest::{Outcome, Reply, twiml};
    /// assert_eq!(Outcome::new().reply(Reply::status(204)).reply.unwrap().status, 204);
    /// assert!(Outcome::new().reply(twiml::Response::new().say("Hello")).reply.is_some());
    /// ```
    pub fn reply(mut self, reply: impl Into<Reply>) -> Outcome {
        self.reply = Some(reply.into());
        self
    }
}

//! The answer to `handoff-destination-request`: which assistant goes on.

use super::one_line;
use crate::Reply;
use crate::object::Object;
use serde_json::{Value, json};

/// The answer to `handoff-destination-request`: which assistant goes on.
///
/// ```
/// use creel_guest::{Reply, vapi::Handoff};
/// let reply = Reply::from(Handoff::to("a-2").result("Billing takes over."));
/// assert_eq!(
///     reply.body.unwrap().as_bytes(),
///     br#"{"destination":{"assistantId":"a-2","type":"assistant"},"result":"Billing takes over."}"#
/// );
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Handoff(Object);

impl Handoff {
    /// A stored assistant, by its id.
    ///
    /// ```
    /// # use creel_guest::vapi::Handoff;
    /// assert_ne!(Handoff::to("a-2"), Handoff::to_named("a-2"));
    /// ```
    pub fn to(assistant_id: impl Into<String>) -> Handoff {
        Handoff::of(Object::of("assistantId", assistant_id.into()).with("type", "assistant"))
    }

    /// An assistant of the squad, by its name.
    ///
    /// ```
    /// # use creel_guest::{Reply, vapi::Handoff};
    /// assert_eq!(
    ///     Reply::from(Handoff::to_named("Billing")).body.unwrap().as_bytes(),
    ///     br#"{"destination":{"assistantName":"Billing","type":"assistant"}}"#
    /// );
    /// ```
    pub fn to_named(name: impl Into<String>) -> Handoff {
        Handoff::of(Object::of("assistantName", name.into()).with("type", "assistant"))
    }

    /// A stored squad, by its id.
    ///
    /// ```
    /// # use creel_guest::{Reply, vapi::Handoff};
    /// assert_eq!(
    ///     Reply::from(Handoff::to_squad("s-1")).body.unwrap().as_bytes(),
    ///     br#"{"destination":{"squadId":"s-1","type":"squad"}}"#
    /// );
    /// ```
    pub fn to_squad(squad_id: impl Into<String>) -> Handoff {
        Handoff::of(Object::of("squadId", squad_id.into()).with("type", "squad"))
    }

    /// No handoff; the assistant hears why.
    ///
    /// ```
    /// # use creel_guest::{Reply, vapi::Handoff};
    /// assert_eq!(
    ///     Reply::from(Handoff::refused("Billing is closed.")).body.unwrap().as_bytes(),
    ///     br#"{"destination":{},"error":"Billing is closed."}"#
    /// );
    /// ```
    pub fn refused(why: &str) -> Handoff {
        Handoff::of(json!({})).with("error", why)
    }

    /// What the handing assistant is told about it.
    ///
    /// ```
    /// # use creel_guest::vapi::Handoff;
    /// assert_ne!(Handoff::to("a-2").result("Billing takes over."), Handoff::to("a-2"));
    /// ```
    pub fn result(self, text: &str) -> Handoff {
        self.with("result", text)
    }

    fn of(destination: impl Into<Value>) -> Handoff {
        Handoff(Object::of("destination", destination))
    }

    fn with(self, key: &str, text: &str) -> Handoff {
        Handoff(self.0.with(key, one_line(text)))
    }
}

impl From<Handoff> for Reply {
    fn from(handoff: Handoff) -> Reply {
        handoff.0.into()
    }
}

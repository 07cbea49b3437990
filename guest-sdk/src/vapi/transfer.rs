//! Where a call goes: the answer to `transfer-destination-request`, and one to `assistant-request`.

use crate::Reply;
use crate::object::Object;
use serde_json::Value;

/// A phone number or SIP address. By itself it answers `assistant-request`: the call goes there without an assistant.
///
/// ```
/// use creel_guest::{Reply, vapi::Destination};
/// let reply = Reply::from(Destination::number("+15550100").extension("42").caller_id("+15550199"));
/// assert_eq!(
///     reply.body.unwrap().as_bytes(),
///     br#"{"destination":{"callerId":"+15550199","extension":"42","number":"+15550100","type":"number"}}"#
/// );
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Destination(Object);

impl Destination {
    /// A phone number, `+` and digits.
    ///
    /// ```
    /// # use creel_guest::{Reply, vapi::Destination};
    /// assert!(Reply::from(Destination::number("+15550100")).body.is_some());
    /// ```
    pub fn number(number: impl Into<String>) -> Destination {
        Destination(Object::of("type", "number").with("number", number.into()))
    }

    /// A SIP address.
    ///
    /// ```
    /// # use creel_guest::{Reply, vapi::Destination};
    /// assert_eq!(
    ///     Reply::from(Destination::sip("sip:desk@e.test")).body.unwrap().as_bytes(),
    ///     br#"{"destination":{"sipUri":"sip:desk@e.test","type":"sip"}}"#
    /// );
    /// ```
    pub fn sip(uri: impl Into<String>) -> Destination {
        Destination(Object::of("type", "sip").with("sipUri", uri.into()))
    }

    /// Dialled after the number has answered.
    ///
    /// ```
    /// # use creel_guest::vapi::Destination;
    /// assert_ne!(Destination::number("+1").extension("42"), Destination::number("+1"));
    /// ```
    pub fn extension(self, extension: impl Into<String>) -> Destination {
        Destination(self.0.with("extension", extension.into()))
    }

    /// The number that the called one sees.
    ///
    /// ```
    /// # use creel_guest::vapi::Destination;
    /// assert_ne!(Destination::number("+1").caller_id("+2"), Destination::number("+1"));
    /// ```
    pub fn caller_id(self, number: impl Into<String>) -> Destination {
        Destination(self.0.with("callerId", number.into()))
    }

    /// What the caller hears first; an empty text for nothing.
    ///
    /// ```
    /// # use creel_guest::vapi::Destination;
    /// assert_ne!(Destination::number("+1").message("One moment."), Destination::number("+1"));
    /// ```
    pub fn message(self, text: impl Into<String>) -> Destination {
        Destination(self.0.with("message", text.into()))
    }
}

impl From<Destination> for Value {
    fn from(destination: Destination) -> Value {
        destination.0.into()
    }
}

impl From<Destination> for Reply {
    fn from(destination: Destination) -> Reply {
        Object::of("destination", destination).into()
    }
}

/// The answer to `transfer-destination-request`.
///
/// ```
/// use creel_guest::{Reply, vapi::{Destination, Transfer}};
/// let reply = Reply::from(Transfer::to(Destination::number("+15550100")).while_waiting("I'll put you through."));
/// assert_eq!(
///     reply.body.unwrap().as_bytes(),
///     br#"{"destination":{"number":"+15550100","type":"number"},"message":{"content":"I'll put you through.","type":"request-start"}}"#
/// );
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Transfer(Object);

impl Transfer {
    /// To a number or a SIP address.
    ///
    /// ```
    /// # use creel_guest::{Reply, vapi::{Destination, Transfer}};
    /// let to = Destination::number("+1");
    /// assert_eq!(Reply::from(Transfer::to(to.clone())), Reply::from(to));
    /// ```
    pub fn to(destination: Destination) -> Transfer {
        Transfer(Object::of("destination", destination))
    }

    /// To another assistant of the squad.
    ///
    /// ```
    /// # use creel_guest::{Reply, vapi::Transfer};
    /// assert_eq!(
    ///     Reply::from(Transfer::to_assistant("Billing")).body.unwrap().as_bytes(),
    ///     br#"{"destination":{"assistantName":"Billing","type":"assistant"}}"#
    /// );
    /// ```
    pub fn to_assistant(name: impl Into<String>) -> Transfer {
        Transfer(Object::of("destination", Object::of("type", "assistant").with("assistantName", name.into())))
    }

    /// What the caller hears while the transfer is made.
    ///
    /// ```
    /// # use creel_guest::vapi::Transfer;
    /// assert_ne!(Transfer::to_assistant("Billing").while_waiting("One moment."), Transfer::to_assistant("Billing"));
    /// ```
    pub fn while_waiting(self, text: impl Into<String>) -> Transfer {
        Transfer(self.0.with("message", Object::of("type", "request-start").with("content", text.into())))
    }
}

impl From<Transfer> for Reply {
    fn from(transfer: Transfer) -> Reply {
        transfer.0.into()
    }
}

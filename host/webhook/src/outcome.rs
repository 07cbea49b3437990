//! What a handler is given and what it says, in the host's own types: the mirror of `wit/plugin.wit`.
//!
//! The runtime translates between these and the generated bindings; the rules and the store know only these. They
//! serialise, because an outcome is stored with its run.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// A header, a query parameter or an attribute.
pub type Pair = (String, String);

/// One event as a guest sees it.
#[derive(Debug, Clone)]
pub struct GuestEvent {
    /// `evt_…`.
    pub id: String,
    /// `req_…`.
    pub request_id: String,
    /// Position in its request, from 0.
    pub index: u32,
    /// Events in the request.
    pub count: u32,
    /// The source's name.
    pub source: String,
    /// The scheme that proved it genuine.
    pub scheme: String,
    /// The provider's type; may be empty.
    pub kind: String,
    /// The provider's id.
    pub provider_id: Option<String>,
    /// What people search by.
    pub subject: Option<String>,
    /// When the request arrived; also every clock of the sandbox.
    pub received_at: Timestamp,
    /// The HTTP method.
    pub method: String,
    /// Decoded query parameters, credentials replaced.
    pub query: Vec<Pair>,
    /// Headers in lower case, credentials replaced.
    pub headers: Vec<Pair>,
    /// Facts that the host adds.
    pub attributes: Vec<Pair>,
    /// The event's own bytes.
    pub body: Bytes,
}

/// An outgoing call as the handler asked for it, not yet checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Name of a destination.
    pub destination: String,
    /// HTTP method.
    pub method: String,
    /// Path and query under the destination's base path.
    pub path: String,
    /// Headers to add.
    pub headers: Vec<Pair>,
    /// What to send.
    #[serde(with = "body_text")]
    pub body: Option<Bytes>,
    /// The handler's own idempotency key.
    pub idempotency_key: Option<String>,
    /// What keeps calls in line.
    pub order_key: Option<String>,
    /// Not before, in ms after the decision.
    pub delay_ms: Option<u64>,
    /// Not after, in ms after the decision.
    pub expires_ms: Option<u64>,
    /// Report the end as an event.
    pub on_result: Option<OnResult>,
    /// Hints for the host and for people.
    pub attributes: Vec<Pair>,
}

/// When a call's end is reported back to the plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct OnResult {
    /// Comes back with the result.
    pub tag: String,
    /// Report a delivered call.
    pub on_delivered: bool,
    /// Report a dead call.
    pub on_dead: bool,
}

/// An answer to the sender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers to add.
    pub headers: Vec<Pair>,
    /// The body.
    #[serde(with = "body_text")]
    pub body: Option<Bytes>,
}

/// What a handler decided, not yet checked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Calls in the handler's order.
    pub calls: Vec<Call>,
    /// The answer, on a reply route.
    pub reply: Option<Reply>,
}

/// Why a handler gave no outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// Final, with the handler's reason.
    Reject(String),
    /// Run again, not before `after_ms`.
    Retry {
        /// For the operator's eyes.
        reason: String,
        /// Milliseconds.
        after_ms: u64,
    },
}

/// Bodies in JSON: a string when they are UTF-8, `{"base64": …}` otherwise.
pub mod body_text {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use bytes::Bytes;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Form {
        Text(String),
        Binary { base64: String },
    }

    /// Writes a body.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(body: &Option<Bytes>, serializer: S) -> Result<S::Ok, S::Error> {
        body.as_ref()
            .map(|bytes| match std::str::from_utf8(bytes) {
                Ok(text) => Form::Text(text.to_owned()),
                Err(_) => Form::Binary { base64: STANDARD.encode(bytes) },
            })
            .serialize(serializer)
    }

    /// Reads a body.
    ///
    /// # Errors
    /// When the text is no base64.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Bytes>, D::Error> {
        match Option::<Form>::deserialize(deserializer)? {
            None => Ok(None),
            Some(Form::Text(text)) => Ok(Some(Bytes::from(text))),
            Some(Form::Binary { base64 }) => {
                STANDARD.decode(base64).map(|bytes| Some(Bytes::from(bytes))).map_err(serde::de::Error::custom)
            }
        }
    }
}

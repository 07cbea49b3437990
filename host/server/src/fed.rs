//! Events as they are followed, and as `creel events --payloads` writes them into a file: a line of JSON for each.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use creel_webhook::id::EventId;
use serde::{Deserialize, Serialize};

use crate::api::EventView;

/// A page of events, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FeedView {
    /// The events.
    pub items: Vec<FedEvent>,
    /// What to give as `after` for the next page; absent where nothing was looked at yet.
    pub cursor: Option<EventId>,
    /// Whether the next page has something already, or may have.
    pub more: bool,
}

/// An event with its body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FedEvent {
    /// The event.
    #[serde(flatten)]
    pub event: EventView,
    /// Its body, if that is UTF-8 and not erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Its body in base64, if it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
}

impl FedEvent {
    /// The body's bytes; `None` when it is erased or not base64.
    pub fn bytes(&self) -> Option<Bytes> {
        match (&self.body, &self.body_base64) {
            (Some(text), _) => Some(Bytes::from(text.clone())),
            (None, Some(base64)) => STANDARD.decode(base64).ok().map(Bytes::from),
            (None, None) => None,
        }
    }
}

//! The answers that Vapi waits for; one type for each of its eight messages.
//!
//! | message | answer |
//! |---|---|
//! | `assistant-request` | [`Assistant`], a [`Destination`], or an [`Error`] |
//! | `tool-calls` | [`ToolResults`], or an [`Error`] |
//! | `transfer-destination-request` | [`Transfer`], or an [`Error`] |
//! | `handoff-destination-request` | [`Handoff`] |
//! | `knowledge-base-request` | [`Documents`] |
//! | `voice-request` | [`Speech`] |
//! | `call.endpointing.request` | [`Endpointing`] |
//! | `campaign.predial` | [`Predial`] |
//!
//! All become a [`Reply`] with status 200; Vapi ignores the body of any other status.
//!
//! ```
//! use creel_guest::{Reply, vapi};
//! fn answer(kind: &str) -> Reply {
//!     match kind {
//!         "assistant-request" => vapi::Assistant::id("a-1").variable("name", "Ada").into(),
//!         "tool-calls" => vapi::ToolResults::new().result("call_1", "book_slot", "booked").into(),
//!         _ => vapi::Error::new("We are closed today.").into(),
//!     }
//! }
//! assert_eq!(answer("other").body.unwrap().as_bytes(), br#"{"error":"We are closed today."}"#);
//! ```

mod assistant;
mod documents;
mod handoff;
mod speech;
mod tools;
mod transfer;

use crate::Reply;
use crate::object::Object;

pub use assistant::Assistant;
pub use documents::Documents;
pub use handoff::Handoff;
pub use speech::{Endpointing, Speech};
pub use tools::{ToolResult, ToolResults};
pub use transfer::{Destination, Transfer};

/// Why there is no better answer. After `assistant-request` it is spoken to the caller and ends the call; after
/// `tool-calls` and `transfer-destination-request` the assistant hears of it.
///
/// ```
/// use creel_guest::{Reply, vapi::Error};
/// let reply = Reply::from(Error::new("We are closed today."));
/// assert_eq!((reply.status, reply.body.unwrap().as_bytes()), (200, &br#"{"error":"We are closed today."}"#[..]));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(String);

impl Error {
    /// Line breaks become spaces.
    ///
    /// ```
    /// # use creel_guest::vapi::Error;
    /// assert_eq!(Error::new("no\nslot"), Error::new("no slot"));
    /// ```
    pub fn new(text: &str) -> Error {
        Error(one_line(text))
    }
}

impl From<Error> for Reply {
    fn from(error: Error) -> Reply {
        Object::of("error", error.0).into()
    }
}

/// The answer to `campaign.predial`: whether this customer is to be called.
///
/// ```
/// use creel_guest::{Reply, vapi::Predial};
/// assert_eq!(Reply::from(Predial::Skip).body.unwrap().as_bytes(), br#"{"eligible":false}"#);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Predial {
    /// The customer is called.
    Call,
    /// The customer is not called.
    Skip,
}

impl From<Predial> for Reply {
    fn from(predial: Predial) -> Reply {
        Object::of("eligible", predial == Predial::Call).into()
    }
}

/// Vapi reads single lines only.
fn one_line(text: &str) -> String {
    text.split(['\n', '\r']).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

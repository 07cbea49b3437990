//! What the author of a Creel plugin depends on.
//!
//! A plugin is one function: an [`Event`] goes in, an [`Outcome`] comes out. The outcome says what the sender is told
//! and lists the outgoing [`Call`]s as data; the host stores both in one transaction and then performs the calls:
//! signed, retried, rate limited, with credentials that the plugin never sees.
//!
//! ```
//! use creel_guest::prelude::*;
//!
//! #[creel_guest::plugin]
//! fn handle(event: Event) -> Result<Outcome, Failure> {
//!     let order: Value = event.json()?; // a body that is not JSON rejects the event and says why
//!     let line = format!("Order {} was paid", order["id"]);
//!     Ok(Outcome::new().call(Call::to("slack").json(&json!({ "text": line }))?))
//! }
//!
//! # use creel_guest::testing::EventBuilder;
//! let event = EventBuilder::new("order.paid").json(&json!({ "id": 17 })).build();
//! assert_eq!(handle(event).unwrap().calls[0].destination, "slack");
//! ```
//!
//! # Finding one's way
//!
//! | to | see |
//! |---|---|
//! | read what happened | [`Event`], [`Form`] |
//! | decide | [`Outcome`], [`Call`], [`Reply`] |
//! | answer as a provider wants it | [`twiml`] (Twilio), [`vapi`], [`retell`], [`elevenlabs`], [`plivo`], [`vonage`], [`slack`], [`discord`] |
//! | go on when a call has ended | [`Call::on_result`], [`Event::result`] |
//! | decline | [`Failure`]; `?` on a parse error rejects the event with a reason |
//! | explain | [`log`] |
//! | read the deployment's settings | [`config`] |
//! | remember | [`state`] |
//! | look something up | [`fetch`] |
//! | test | [`testing`] |
//!
//! # What a plugin may rely on
//!
//! - It sees the same in every run of the same event on the same deployment. There is no attempt number, no real clock
//!   and no entropy; what [`fetch`] and [`state`] answered is recorded and answered from the record in a replay.
//! - A panic ends the run. Its message and place are logged at level `error` first.
//! - The crate builds for `wasm32-wasip2`, `wasm32-wasip1` and `wasm32-unknown-unknown`. On every other target the
//!   function stays an ordinary function and the host is played by [`testing`], so `cargo test` needs no sandbox.

// Code that is generated, here and in plugins, names this crate by its name.
extern crate self as creel_guest;

pub mod config;
pub mod discord;
pub mod elevenlabs;
pub mod fetch;
pub mod log;
pub mod plivo;
pub mod retell;
pub mod slack;
pub mod state;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
pub mod twiml;
pub mod vapi;
pub mod vonage;
pub mod xml;

mod call;
mod event;
mod failure;
mod form;
mod host;
mod object;
mod outcome;
mod reply;
mod result;

#[doc(hidden)]
#[allow(missing_docs, unreachable_pub, clippy::all)]
pub mod bindings;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod export;

pub use call::{Call, Report};
/// # Examples
///
/// ```
/// use creel_guest::prelude::*;
///
/// #[creel_guest::plugin]
/// fn answer(event: Event) -> Result<Outcome, Failure> {
///     Ok(Outcome::new().reply(Reply::json(&json!({ "kind": event.kind() }))?))
/// }
///
/// # use creel_guest::testing::EventBuilder;
/// // Off the sandbox it is an ordinary function.
/// assert!(answer(EventBuilder::new("ping").build()).unwrap().reply.is_some());
/// ```
pub use creel_guest_macros::plugin;
pub use event::Event;
pub use failure::{Failure, Malformed};
pub use form::Form;
pub use outcome::Outcome;
pub use reply::Reply;
pub use result::CallResult;
pub use serde_json;

/// Bytes of an event, a call or a reply: text when they are valid UTF-8.
///
/// ```
/// use creel_guest::Body;
/// assert!(matches!(Body::from("hello"), Body::Text(_)));
/// assert!(matches!(Body::from(vec![0xff]), Body::Bytes(_)));
/// assert_eq!(Body::from("hello").as_bytes(), b"hello");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Valid UTF-8.
    Text(String),
    /// Anything else.
    Bytes(Vec<u8>),
}

impl Body {
    /// The bytes, whichever they are.
    ///
    /// ```
    /// assert_eq!(creel_guest::Body::from(vec![0xff]).as_bytes(), [0xff]);
    /// ```
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Body::Text(text) => text.as_bytes(),
            Body::Bytes(bytes) => bytes,
        }
    }
}

impl From<String> for Body {
    fn from(text: String) -> Body {
        Body::Text(text)
    }
}

impl From<&str> for Body {
    fn from(text: &str) -> Body {
        Body::Text(text.to_owned())
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Body {
        match String::from_utf8(bytes) {
            Ok(text) => Body::Text(text),
            Err(error) => Body::Bytes(error.into_bytes()),
        }
    }
}

/// The type of a plugin's function.
///
/// ```
/// use creel_guest::prelude::*;
/// fn ignore(_: Event) -> Result<Outcome, Failure> {
///     Ok(Outcome::new())
/// }
/// let handler: creel_guest::Handler = ignore;
/// # let _ = handler;
/// ```
pub type Handler = fn(Event) -> Result<Outcome, Failure>;

/// Everything that most plugins use, for `use creel_guest::prelude::*;`.
///
/// ```
/// use creel_guest::prelude::*;
/// let call = Call::to("crm").path("/contacts").expires(Duration::from_secs(600));
/// assert_eq!(call.method, "POST");
/// ```
pub mod prelude {
    pub use crate::{Call, Event, Failure, Form, Outcome, Reply, config, fetch, log, state};
    pub use serde_json::{Value, json};
    pub use std::time::Duration;
}

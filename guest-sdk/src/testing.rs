//! The host, played: what a plugin's unit tests need, on every target but WebAssembly.
//!
//! [`EventBuilder`] makes an event, [`Host`] answers `config`, `state` and `fetch` and keeps the log lines, and
//! [`cases::check`] runs a directory of files that each hold an event and what is expected of it. Every test thread has
//! a host of its own.
//!
//! ```
//! use creel_guest::prelude::*;
//! use creel_guest::testing::{EventBuilder, with_config};
//!
//! fn handle(event: Event) -> Result<Outcome, Failure> {
//!     log::info!("handling {}", event.kind());
//!     Ok(Outcome::new().call(Call::to(config::require("to")?)))
//! }
//!
//! let event = EventBuilder::new("order.paid").json(&json!({ "id": 17 })).build();
//! let run = with_config([("to", "crm")], || handle(event));
//! assert_eq!(run.result.unwrap().calls[0].destination, "crm");
//! assert_eq!(run.log[0].1, "handling order.paid");
//! ```

pub mod cases;
mod event_builder;
pub(crate) mod stage;

pub use event_builder::EventBuilder;
pub use stage::{Host, Run};

/// Runs `work` with these settings. Short for [`Host::config`] and [`Host::run`].
///
/// ```
/// use creel_guest::{config, testing::with_config};
/// let run = with_config([("a", "1")], || config::get("a"));
/// assert_eq!(run.result.as_deref(), Some("1"));
/// ```
pub fn with_config<'a, R>(settings: impl IntoIterator<Item = (&'a str, &'a str)>, work: impl FnOnce() -> R) -> Run<R> {
    settings.into_iter().fold(Host::new(), |host, (key, value)| host.config(key, value)).run(work)
}

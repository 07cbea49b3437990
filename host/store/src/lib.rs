//! The durable state of Creel and its one queue.
//!
//! Everything that must outlive the process is here, and nothing else is: this crate knows no Wasm and no HTTP.
//! [`contract::Store`] names the verbs; each is one transaction. [`sqlite`] implements it; `conformance` (feature
//! `testing`) is its definition, written so that a second implementation goes under it unchanged.

mod codec;
#[cfg(any(test, feature = "testing"))]
pub mod conformance;
pub mod contract;
#[cfg(feature = "planted")]
pub mod planted;
#[cfg(not(feature = "planted"))]
mod planted;
pub mod sqlite;

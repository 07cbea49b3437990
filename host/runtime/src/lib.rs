//! Compiles, checks, links, meters and runs the components that tenants upload.
//!
//! A handler is a function: event in, outcome out. This crate turns an upload into something that can be called, and a
//! call into a [`run::RunReport`]. It knows no SQL and no HTTP server; what a guest may reach beyond itself comes
//! through one trait, [`capability::seam::Capabilities`].
//!
//! # Flow
//!
//! ```text
//! upload --gate::inspect--> component --gate::compile, in a child--> artifact --cache--> disk
//!                                                                        |
//! digest --registry::Registry::get--> Arc<Prepared> <------- load, link -+
//! Prepared + RunInput --run::Runtime::run, on run::threads::GuestThreads--> RunReport
//! ```
//!
//! # Floors, from the ground
//!
//! | module | what it holds |
//! |---|---|
//! | [`limits`] | every limit: name, default, reason |
//! | `bindings` | the generated side of `wit/plugin.wit`, translated to the host's types |
//! | [`capability`] | what a guest may reach, one file each |
//! | [`engine`] | configuration, pool, ticker, admission |
//! | [`descriptors`] | how many components may hold one |
//! | [`gate`] | inspection, refusals, wrapping, the compile child, linking |
//! | [`cache`] | compiled components on disk, authenticated |
//! | [`registry`] | digest to prepared component, in memory |
//! | [`slices`] | how threads that compute make way |
//! | [`run`] | one run and its report |
//!
//! # Invariants
//!
//! - Guest code runs only inside [`run::Runtime::run`], in a store of its own.
//! - Machine code is loaded only in [`cache`], after its HMAC was checked or right from the compiler.
//! - Nothing here reads a real clock for the guest, and no random number comes from anywhere but the run's seed.
//! - A plugin's failure is a verdict, never an `Err`.

pub mod cache;
pub mod capability;
pub mod descriptors;
pub mod engine;
pub mod gate;
pub mod limits;
pub mod registry;
pub mod run;
pub mod slices;

mod bindings;
#[cfg(test)]
mod testing;

//! The gate: what an upload has to pass before its code may run.
//!
//! ```text
//! here:    bytes -> glance: size, precompiled?, magic
//! child:         -> inspect: wrap a core module, validate, imports, exports -> compile
//! here:          -> load (the cache checks whose code it is) -> link: dry run -> Prepared
//! ```
//!
//! The host's process reads the first bytes of an upload and no more. Parsers recurse, validators take time that grows
//! faster than their input, compilers take both, so [`inspection::inspect`] and all that follows it run in a child that may die of
//! it (see [`compile`]). Every refusal is a [`refusal::Refusal`] whose text says what to do next.
//!
//! Foreign machine code never passes: bytes that wasmtime would take for precompiled are refused by name, and only
//! [`crate::cache`] hands bytes to the loader.

pub mod compile;
pub mod compiled;
pub mod inspection;
pub mod refusal;

mod parse;
mod prepared;
mod wrap;

pub(crate) use self::prepared::Answer;
pub use self::prepared::{Linking, Prepared};

#[cfg(test)]
mod tests;

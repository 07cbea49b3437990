//! The gate: what an upload has to pass before its code may run.
//!
//! ```text
//! bytes -> inspect: size, kind, precompiled?  -> wrap: core module to component -> parse: imports, exports -> Inspected
//! Inspected.component -> Compiler: child process, limits, deadline -> artifact -> link: dry run -> Prepared
//! ```
//!
//! [`inspect`] is pure and quick and runs in the host's process; what may take long or much, compiling, runs in
//! another one (see [`compile`]). Every refusal is a [`Refusal`] whose text says what to do next.
//!
//! Foreign machine code never passes: bytes that wasmtime would take for precompiled are refused by name, and only
//! [`crate::cache`] hands bytes to the loader.

pub mod compile;
pub mod refusal;

mod parse;
mod prepared;
mod wrap;

use bytes::Bytes;
use creel_webhook::plugin::Digest;
use wasmparser::{Encoding, Parser, Payload};

use crate::limits::Limits;

use self::refusal::Refusal;

pub use self::prepared::{Linking, Prepared};

/// An upload that may be compiled.
#[derive(Debug, Clone)]
pub struct Inspected {
    /// SHA-256 of the bytes as uploaded.
    pub digest: Digest,
    /// The component: the upload itself, or what a core module was wrapped into.
    pub component: Bytes,
    /// Whether it was a core module.
    pub wrapped: bool,
    /// Interfaces that it imports, in its own order.
    pub imports: Vec<String>,
}

/// Checks an upload.
///
/// # Errors
/// The first [`Refusal`]; all refused imports are in one.
pub fn inspect(bytes: &Bytes, limits: &Limits) -> Result<Inspected, Refusal> {
    let size = bytes.len() as u64;
    if size > limits.component_bytes_max {
        return Err(Refusal::TooBig { bytes: size, bytes_max: limits.component_bytes_max });
    }
    if wasmtime::Engine::detect_precompiled(bytes).is_some() {
        return Err(Refusal::Precompiled);
    }
    let (component, wrapped) = match encoding(bytes)? {
        Encoding::Component => (bytes.clone(), false),
        Encoding::Module => (Bytes::from(wrap::wrap(bytes)?), true),
    };
    let surface = parse::surface(&component)?;
    parse::check(&surface)?;
    Ok(Inspected { digest: Digest::of(bytes), component, wrapped, imports: surface.imports })
}

/// Reads the header only.
fn encoding(bytes: &[u8]) -> Result<Encoding, Refusal> {
    match Parser::new(0).parse_all(bytes).next() {
        Some(Ok(Payload::Version { encoding, .. })) => Ok(encoding),
        _ => Err(Refusal::NotWasm),
    }
}

#[cfg(test)]
mod tests;

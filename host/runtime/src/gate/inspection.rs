//! The two looks at an upload: a glance, which costs nothing, and an inspection, which may cost anything.

use bytes::Bytes;
use creel_webhook::plugin::Digest;
use wasmparser::{Encoding, Parser, Payload};

use super::refusal::Refusal;
use super::{parse, wrap};
use crate::limits::Limits;

/// The first look at an upload, the only one in the host's process: its size and its first bytes.
///
/// # Errors
/// The first [`Refusal`].
pub fn glance(bytes: &[u8], limits: &Limits) -> Result<(), Refusal> {
    let size = bytes.len() as u64;
    if size > limits.component_bytes_max {
        return Err(Refusal::TooBig { bytes: size, bytes_max: limits.component_bytes_max });
    }
    if wasmtime::Engine::detect_precompiled(bytes).is_some() {
        return Err(Refusal::Precompiled);
    }
    encoding(bytes).map(drop)
}

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
    /// What its modules put into their memories before any code runs, bytes.
    pub data_bytes: u64,
}

/// Checks an upload. A hostile one may overflow the stack or take minutes: the host asks [`super::compile::Compiler`], which
/// does this in a child.
///
/// # Errors
/// The first [`Refusal`]; all refused imports are in one.
pub fn inspect(bytes: &Bytes, limits: &Limits) -> Result<Inspected, Refusal> {
    glance(bytes, limits)?;
    let (component, wrapped) = match encoding(bytes)? {
        Encoding::Component => (bytes.clone(), false),
        Encoding::Module => (Bytes::from(wrap::wrap(bytes)?), true),
    };
    let surface = parse::surface(&component)?;
    parse::check(&surface)?;
    let (imports, data_bytes) = (surface.imports, surface.data_bytes);
    Ok(Inspected { digest: Digest::of(bytes), component, wrapped, imports, data_bytes })
}

/// Reads the header only.
fn encoding(bytes: &[u8]) -> Result<Encoding, Refusal> {
    match Parser::new(0).parse_all(bytes).next() {
        Some(Ok(Payload::Version { encoding, .. })) => Ok(encoding),
        _ => Err(Refusal::NotWasm),
    }
}

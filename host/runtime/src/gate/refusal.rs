//! Why an upload was refused, in words that say what to do next.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// An import that is not offered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedImport {
    /// Its name as the component spells it.
    pub name: String,
    /// Why it is not there and what to use instead.
    pub advice: Cow<'static, str>,
}

impl fmt::Display for RefusedImport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.name, self.advice)
    }
}

/// Why an upload was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// Over its limit.
    #[error(
        "the component has {bytes} bytes, component_bytes_max is {bytes_max}; build it in release mode, strip it \
         (`strip = true` in the profile), or ask the operator to raise the limit"
    )]
    TooBig {
        /// Its size.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// No WebAssembly at all.
    #[error("this is no WebAssembly: it does not begin with `\\0asm`; upload the `.wasm` file that the build printed")]
    NotWasm,
    /// Machine code.
    #[error(
        "this is precompiled machine code (`.cwasm`), which is never accepted from outside; upload the component that \
         it was compiled from"
    )]
    Precompiled,
    /// A core module that does not say what it implements.
    #[error(
        "this is a core module without a component type, so it was not built against `creel:plugin`; depend on the \
         creel SDK (or generate bindings with wit-bindgen for the world `creel:plugin/plugin`), or turn it into a \
         component with `wasm-tools component new`"
    )]
    NoComponentType,
    /// A core module that could not be made a component.
    #[error(
        "this core module could not be made a component: {0}; import only `creel:plugin` and, when built for \
         wasm32-wasip1, `wasi_snapshot_preview1`"
    )]
    Wrap(String),
    /// Not valid, or with features that are off.
    #[error(
        "this component is not valid here: {0}; threads, 64-bit memories, garbage collection and exceptions are not \
         available, everything else that current toolchains emit is"
    )]
    Invalid(String),
    /// It wants what is not offered.
    #[error(
        "this component imports what is not offered:\n{}\nOffered are creel:plugin/{{log,config,state,fetch}}@0.1 \
         and of WASI 0.2 cli (without run), clocks, random, io and an empty filesystem",
        list(.0)
    )]
    Imports(Vec<RefusedImport>),
    /// It exports no handler.
    #[error(
        "this component does not export `creel:plugin/handler@0.1.0` ({}); build it for the world \
         `creel:plugin/plugin`: with the SDK, annotate the handler with `#[creel::handler]`",
        exports(.0)
    )]
    NoHandler(Vec<String>),
    /// Names fit, but types do not.
    #[error("this component does not fit the host: {0}; rebuild it against the `wit` directory of this release")]
    Link(String),
    /// More memories, tables or instances, or larger ones, than a run has room for.
    #[error("this component needs more room than a run has: {0}; compose it of fewer or smaller parts")]
    NoRoom(String),
}

impl Refusal {
    /// The part of the gate that said no.
    pub fn part(&self) -> &'static str {
        match self {
            Refusal::TooBig { .. } => "size",
            Refusal::NotWasm | Refusal::Precompiled => "kind",
            Refusal::NoComponentType | Refusal::Wrap(_) => "wrapping",
            Refusal::Invalid(_) => "validation",
            Refusal::Imports(_) => "imports",
            Refusal::NoHandler(_) => "exports",
            Refusal::Link(_) | Refusal::NoRoom(_) => "linking",
        }
    }
}

fn list(imports: &[RefusedImport]) -> String {
    imports.iter().map(|import| format!("  {import}")).collect::<Vec<_>>().join("\n")
}

fn exports(exports: &[String]) -> String {
    if exports.is_empty() { "it exports nothing".into() } else { format!("it exports {}", exports.join(", ")) }
}

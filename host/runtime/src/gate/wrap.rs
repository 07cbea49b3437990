//! Makes a component of a core module.
//!
//! A toolchain without a component target leaves a core module with custom sections that carry the component's type
//! (`component-type…`). wit-component reads them and wraps the module; a module built for wasm32-wasip1 gets the
//! adapter that turns its imports into WASI 0.2.

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wasmparser::{Parser, Payload};
use wit_component::ComponentEncoder;

use super::refusal::Refusal;

/// Wraps a core module.
pub(super) fn wrap(module: &[u8]) -> Result<Vec<u8>, Refusal> {
    if !carries_type(module)? {
        return Err(Refusal::NoComponentType);
    }
    encode(module).map_err(|error| Refusal::Wrap(format!("{error:#}")))
}

fn carries_type(module: &[u8]) -> Result<bool, Refusal> {
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload.map_err(|error| Refusal::Invalid(error.to_string()))?;
        if let Payload::CustomSection(section) = payload
            && section.name().starts_with("component-type")
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn encode(module: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut encoder = ComponentEncoder::default();
    encoder.module(module)?;
    encoder.adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)?;
    encoder.encode()
}

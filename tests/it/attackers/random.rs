//! Random uploads from wasm-smith: from a seed comes the same bytes.
//!
//! Most are core modules with the exports of a handler and random insides, so that they may pass the gate and run; they may
//! import what a guest may ask for. The rest are components of no kind at all, and plugins in which bytes were changed.

use arbitrary::Unstructured;
use bytes::Bytes;
use wasm_smith::{Component, Config, Module};

use crate::harness::guests::guest;
use crate::harness::written::typed;

/// What every handler exports; the memory is as small as a handler's, so that many are quick to set up.
const EXPORTS: &str = r#"(module
    (memory (export "memory") 4 64)
    (func (export "creel:plugin/handler@0.1.0#handle") (param i32) (result i32) unreachable)
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable))"#;

/// What a generated module may import.
const IMPORTS: &str = r#"(module
    (import "creel:plugin/log@0.1.0" "write" (func (param i32 i32 i32)))
    (import "creel:plugin/config@0.1.0" "all" (func (param i32)))
    (import "wasi:random/random@0.2.0" "get-random-u64" (func (result i64)))
    (import "wasi:clocks/wall-clock@0.2.0" "now" (func (param i32))))"#;

/// Bytes that a generator draws from.
const ENTROPY_BYTES: usize = 6_000;

/// The upload of a seed.
pub(super) fn upload(seed: u64) -> Bytes {
    let mut draw = Draw(seed);
    let entropy: Vec<u8> = (0..ENTROPY_BYTES / 8).flat_map(|_| draw.next().to_le_bytes()).collect();
    let mut entropy = Unstructured::new(&entropy);
    match seed % 8 {
        0 => component(&mut entropy),
        1 => changed(&mut draw),
        _ => handler(seed, &mut entropy),
    }
}

/// A module with the exports of a handler.
fn handler(seed: u64, entropy: &mut Unstructured<'_>) -> Bytes {
    let config = Config {
        exports: Some(wat::parse_str(EXPORTS).unwrap()),
        available_imports: seed.is_multiple_of(3).then(|| wat::parse_str(IMPORTS).unwrap()),
        max_imports: if seed.is_multiple_of(3) { 4 } else { 0 },
        // A third of them is kept from trapping, so that it gets further.
        disallow_traps: seed % 3 == 1,
        max_instructions: 400,
        max_funcs: 12,
        ..config()
    };
    let module = Module::new(config, entropy).map(|module| module.to_bytes()).unwrap_or_default();
    typed(&module).unwrap_or_else(|_| module.into())
}

fn component(entropy: &mut Unstructured<'_>) -> Bytes {
    let made = Component::new(Config { max_instructions: 100, ..config() }, entropy);
    made.map(|component| component.to_bytes()).unwrap_or_default().into()
}

/// A good plugin in which a few bytes are others.
fn changed(draw: &mut Draw) -> Bytes {
    let mut bytes = guest("rejects").to_vec();
    for _ in 0..1 + draw.next() % 4 {
        let at = draw.next() as usize % bytes.len();
        bytes[at] = draw.next() as u8;
    }
    bytes.into()
}

/// What the engine has, and no more of anything than a small plugin has.
fn config() -> Config {
    Config {
        gc_enabled: false,
        threads_enabled: false,
        exceptions_enabled: false,
        memory64_enabled: false,
        // References to the host's things need a collector.
        reference_types_enabled: false,
        max_memories: 1,
        max_memory32_bytes: 4 << 20,
        max_table_elements: 1_000,
        max_types: 20,
        max_data_segments: 4,
        max_element_segments: 4,
        max_globals: 10,
        ..Config::default()
    }
}

/// Numbers from a seed (splitmix64).
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

//! Guests that are written in the text format: how they become uploads.

use bytes::Bytes;
use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::guests::checkout;

/// What a core module has that does not bring its own.
const MEMORY: &str = r#"(memory (export "memory") 4)"#;

/// Memory for the event, from the second page on, never given back.
const REALLOC: &str = r#"
    (global $next (mut i32) (i32.const 65536))
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $next) (i32.const 15)) (i32.const -16)))
      (global.set $next (i32.add (local.get $at) (local.get 3)))
      (local.get $at))"#;

/// A component as it is; of anything else a core module with the type of a plugin, which the host wraps.
pub(crate) fn upload(text: &str) -> anyhow::Result<Bytes> {
    if text.lines().any(|line| line.starts_with("(component")) {
        return Ok(wat::parse_str(text)?.into());
    }
    let memory = if text.contains("(export \"memory\")") { "" } else { MEMORY };
    let realloc = if text.contains("cabi_realloc") { "" } else { REALLOC };
    typed(&wat::parse_str(format!("(module {text}\n{memory}{realloc})"))?)
}

/// A core module with the component type of `world.wit` in it.
pub(crate) fn typed(module: &[u8]) -> anyhow::Result<Bytes> {
    let mut wit = Resolve::default();
    wit.push_path(checkout().join("wit"))?;
    let world = checkout().join("tests/components/hostile/world.wit");
    let package = wit.push_str("world.wit", &std::fs::read_to_string(world)?)?;
    let world = wit.select_world(&[package], Some("creel:attackers/attacker@0.1.0"))?;
    let mut module = module.to_vec();
    embed_component_metadata(&mut module, &wit, world, StringEncoding::UTF8)?;
    Ok(module.into())
}

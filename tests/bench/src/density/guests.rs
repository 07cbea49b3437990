//! The components of `density`: one core module with a place for a number in it.

use std::path::Path;

use anyhow::Context as _;
use bytes::Bytes;
use creel_webhook::plugin::Digest;
use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// Functions of a component; each is about 220 bytes of code.
const FUNCTIONS: usize = 100;

/// What stands where the number belongs.
const PLACE: &[u8; 8] = b"@number@";

/// All components.
pub(super) struct Guests {
    module: Vec<u8>,
    place: usize,
    code_bytes: usize,
    digests: Vec<Digest>,
}

impl Guests {
    /// So many.
    pub(super) fn new(components: u32) -> anyhow::Result<Guests> {
        let text = text();
        let bare = wat::parse_str(&text)?;
        let mut module = bare.clone();
        let mut wit = Resolve::default();
        let (package, _) = wit.push_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit"))?;
        let world = wit.select_world(&[package], Some("plugin"))?;
        embed_component_metadata(&mut module, &wit, world, StringEncoding::UTF8)?;
        let place = module.windows(PLACE.len()).position(|bytes| bytes == PLACE).context("a place for the number")?;
        let mut guests = Guests { module, place, code_bytes: bare.len(), digests: Vec::new() };
        // Whole tenants: the last one may have more plugins than are run.
        guests.digests = (0..components.next_multiple_of(super::tenants::PLUGINS))
            .map(|number| Digest::of(&guests.upload(number)))
            .collect();
        Ok(guests)
    }

    /// One of them.
    pub(super) fn upload(&self, number: u32) -> Bytes {
        let mut module = self.module.clone();
        module[self.place..self.place + PLACE.len()].copy_from_slice(&answer(number));
        module.into()
    }

    /// Its digest.
    pub(super) fn digest(&self, number: u32) -> Digest {
        self.digests[number as usize]
    }

    /// Size of one without its type, which is nearly all code.
    pub(super) fn code_bytes(&self) -> usize {
        self.code_bytes
    }
}

/// What a component answers.
pub(super) fn answer(number: u32) -> [u8; 8] {
    let text = format!("{number:08}");
    text.as_bytes().try_into().expect("eight digits")
}

/// The place of a step in an order that is none, but each once: a step of a prime that does not divide the count.
pub(super) fn shuffled(step: u32, count: u32) -> u32 {
    let prime = if count.is_multiple_of(7_919) { 7_907 } else { 7_919 };
    (u64::from(step) * prime % u64::from(count)) as u32
}

/// A module whose handler goes through a tenth of its functions and answers its number. The layout of an outcome is
/// described in `tests/components/hostile/README.md`.
fn text() -> String {
    let function = |index: usize| {
        let steps: String = (0..16)
            .map(|step| {
                let (constant, shift) = (index * 7_919 + step * 104_729, 1 + (index + step) % 30);
                format!(
                    "(local.set $a (i32.xor (i32.mul (local.get $a) (i32.const {constant})) (i32.shr_u (local.get $a) (i32.const {shift}))))"
                )
            })
            .collect();
        format!("(func $f{index} (param $a i32) (result i32) {steps} (local.get $a))")
    };
    let functions: String = (0..FUNCTIONS).map(function).collect();
    let calls: String = (0..FUNCTIONS).step_by(10).map(|index| format!("(call $f{index})")).collect();
    format!(
        r#"(module {functions}
        (memory (export "memory") 4)
        (global $next (mut i32) (i32.const 65536))
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
            (local.set $at (i32.and (i32.add (global.get $next) (i32.const 15)) (i32.const -16)))
            (global.set $next (i32.add (local.get $at) (local.get 3)))
            (local.get $at))
        (func (export "creel:plugin/handler@0.1.0#handle") (param i32) (result i32)
            (local.get 0) {calls} (drop)
            (i32.store8 (i32.const 1040) (i32.const 1)) (i32.store16 (i32.const 1044) (i32.const 200))
            (i32.store8 (i32.const 1056) (i32.const 1)) (i32.store8 (i32.const 1060) (i32.const 0))
            (i32.store (i32.const 1064) (i32.const 2048)) (i32.store (i32.const 1068) (i32.const 8))
            (i32.const 1024))
        (data (i32.const 2048) "{place}"))"#,
        place = String::from_utf8_lossy(PLACE)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_are_large_enough_and_differ() {
        let guests = Guests::new(10).unwrap();
        assert!(guests.code_bytes() > 20_000, "{}", guests.code_bytes());
        assert_ne!(guests.digest(0), guests.digest(9));
        let mut all: Vec<_> = (0..1_000).map(|step| shuffled(step, 1_000)).collect();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..1_000));
    }
}

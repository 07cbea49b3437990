//! Attackers that are too large to be written down.

use bytes::Bytes;

use crate::harness::written::typed;

const HANDLER: &str = r#"
    (memory (export "memory") 4)
    (func (export "creel:plugin/handler@0.1.0#handle") (param i32) (result i32) (i32.const 1024))
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))"#;

/// A core module that is a plugin but for these fields.
fn plugin(fields: &str) -> Bytes {
    typed(&wat::parse_str(format!("(module {fields} {HANDLER})")).unwrap()).unwrap()
}

/// The type of a component in the type of a component, some hundred thousand times: whoever reads it by recursion needs
/// more stack than there is. It is two thirds of a megabyte.
pub(super) fn nested_types() -> Bytes {
    const LEVELS: usize = 200_000;
    // One type in the section; each level is a component type (0x41) of one declaration, which is a type (0x01).
    let mut types = vec![1];
    types.extend([0x41, 1, 1].repeat(LEVELS));
    types.extend([0x41, 0]);
    section(7, &types)
}

/// A component that consists of one section.
fn section(id: u8, content: &[u8]) -> Bytes {
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    bytes.push(id);
    let mut left = content.len();
    while left >= 0x80 {
        bytes.push(left as u8 | 0x80);
        left >>= 7;
    }
    bytes.push(left as u8);
    bytes.extend(content);
    bytes.into()
}

/// Components in components, some hundred thousand levels deep.
pub(super) fn nested_components() -> Bytes {
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    for _ in 0..100_000 {
        // The section of a component, longer than what follows.
        bytes.extend([4, 0xff, 0xff, 0xff, 0x7f]);
        bytes.extend(b"\0asm\x0d\0\x01\0");
    }
    bytes.into()
}

/// Fifty megabytes in a section that nobody reads.
pub(super) fn fifty_megabytes() -> Bytes {
    section(0, &[0; 50 << 20])
}

/// A hundred thousand exports.
pub(super) fn exports() -> Bytes {
    let exports: String = (0..100_000).map(|n| format!("(export \"f{n}\" (func $f))")).collect();
    plugin(&format!("(func $f) {exports}"))
}

/// A hundred thousand functions with a hundred thousand entries in a table.
pub(super) fn functions() -> Bytes {
    plugin(&format!("{} (table 1 funcref)", "(func (param i32) (result i32) (local.get 0))".repeat(100_000)))
}

/// Twelve megabytes of data for a memory that has no room for them.
pub(super) fn data() -> Bytes {
    let data = format!("(data (i32.const 0) \"{}\")", "x".repeat(12 << 20));
    plugin(&data)
}

/// A plugin that ends in the middle.
pub(super) fn half() -> Bytes {
    let whole = plugin("");
    whole.slice(..whole.len() / 2)
}

/// A machine of many states: a loop that jumps to one of many blocks, each of which sets one of many variables. Every
/// variable is alive in every block, so it is small, passes every check, and takes the compiler minutes.
pub(super) fn slow_to_compile() -> Bytes {
    const STATES: usize = 1_500;
    let targets: String = (0..STATES).map(|state| format!("{state} ")).collect();
    let blocks = "(block ".repeat(STATES);
    let state = |n| {
        let (to, from) = (1 + n, 1 + (n * 7 + 3) % STATES);
        format!(") (local.set {to} (i32.add (local.get {from}) (local.get 0))) (br $next)")
    };
    let ends: String = (0..STATES).map(state).collect();
    // The innermost block is state 0; after the end of each block stands what its state does.
    let machine = format!("(loop $next {blocks} (br_table {targets} 0 (local.get 0)) {ends})");
    let locals = "i32 ".repeat(STATES);
    plugin(&format!("(func (param i32) (local {locals}) {machine})").repeat(20))
}

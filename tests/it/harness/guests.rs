//! The fixture guests of `tests/components`, built once per process; other processes wait for the same lock.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use bytes::Bytes;
use creel_server::toolchain::{Build, build};

static GUESTS: OnceLock<BTreeMap<String, Bytes>> = OnceLock::new();

/// The module of a fixture.
///
/// # Panics
/// When the fixtures can't be built, with what the toolchain said, or when there is none of this name.
pub(crate) fn guest(name: &str) -> Bytes {
    let guests = GUESTS.get_or_init(built);
    guests.get(name).cloned().unwrap_or_else(|| panic!("no fixture `{name}` among {:?}", guests.keys()))
}

/// The checkout that this test was built from.
pub(crate) fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the checkout is still there")
}

#[allow(clippy::disallowed_methods, reason = "cargo says only there where its target directory is")]
fn built() -> BTreeMap<String, Bytes> {
    let root = checkout();
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let job = Build {
        workspace: root.join("tests/components"),
        sources: vec![root.join("guest-sdk"), root.join("wit")],
        root,
        target: target.join("guests"),
    };
    let guests = build(&job, &mut |line| println!("guests: {line}"))
        .unwrap_or_else(|error| panic!("the fixture guests could not be built: {error:#}"));
    let read = |path: &Path| Bytes::from(std::fs::read(path).expect("the build left its modules"));
    guests.into_iter().map(|guest| (guest.name, read(&guest.wasm))).collect()
}

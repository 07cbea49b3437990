//! The guests: the fixtures of `tests/components` and the first-party plugins, each workspace built once per process;
//! other processes wait for the same lock.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use bytes::Bytes;
use creel_server::toolchain::{Build, build};

type Guests = BTreeMap<String, Bytes>;

static FIXTURES: OnceLock<Guests> = OnceLock::new();

static PLUGINS: OnceLock<Guests> = OnceLock::new();

/// The module of a fixture.
///
/// # Panics
/// When the fixtures can't be built, with what the toolchain said, or when there is none of this name.
pub(crate) fn guest(name: &str) -> Bytes {
    one_of(FIXTURES.get_or_init(|| built("tests/components")), name)
}

/// The module of a first-party plugin.
///
/// # Panics
/// As [`guest`].
pub(crate) fn plugin(name: &str) -> Bytes {
    one_of(PLUGINS.get_or_init(|| built("plugins")), name)
}

/// The checkout that this test was built from.
pub(crate) fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the checkout is still there")
}

/// Where guests are compiled, this run and the next.
#[allow(clippy::disallowed_methods, reason = "cargo says only there where its target directory is")]
pub(crate) fn build_dir() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| checkout().join("target"), PathBuf::from);
    target.join("guests")
}

fn one_of(guests: &Guests, name: &str) -> Bytes {
    guests.get(name).cloned().unwrap_or_else(|| panic!("no guest `{name}` among {:?}", guests.keys()))
}

fn built(workspace: &str) -> Guests {
    let root = checkout();
    let job = Build {
        workspace: root.join(workspace),
        sources: vec![root.join("guest-sdk"), root.join("wit")],
        root,
        target: build_dir(),
    };
    let guests = build(&job, &mut |line| println!("guests: {line}"))
        .unwrap_or_else(|error| panic!("{workspace} could not be built: {error:#}"));
    let read = |path: &Path| Bytes::from(std::fs::read(path).expect("the build left its modules"));
    guests.into_iter().map(|guest| (guest.name, read(&guest.wasm))).collect()
}

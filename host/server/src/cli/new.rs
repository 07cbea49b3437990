//! `creel new`: a plugin crate that builds with nothing but this program and a Rust toolchain.
//!
//! The sources of the SDK and of the contract travel inside the program and are written beside the plugin, so that no
//! checkout and no registry of ours is needed.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use include_dir::{Dir, include_dir};

static GUEST_SDK: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../guest-sdk");
static WIT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../wit");

const FILES: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("template/Cargo.toml.txt")),
    (".cargo/config.toml", include_str!("template/config.toml.txt")),
    (".gitignore", "/target\n"),
    ("src/lib.rs", include_str!("template/lib.rs.txt")),
    ("cases/opened.json", include_str!("template/opened.json.txt")),
];

/// Makes the crate `name` in `parent` and gives its directory.
///
/// # Errors
/// When the name is none, the directory is there already, or it can't be written.
pub fn create(parent: &Path, name: &str) -> anyhow::Result<PathBuf> {
    creel_webhook::tenant::check_name(name)?;
    let is_crate = name.starts_with(|c: char| c.is_ascii_lowercase()) && !name.contains('.');
    ensure!(is_crate, "`{name}` is no name for a crate: begin with a letter, and leave out `.`");
    let directory = parent.join(name);
    ensure!(!directory.exists(), "{} is there already; choose another name", directory.display());
    for (path, text) in FILES {
        write(&directory.join(path), text.replace("{name}", name).as_bytes())?;
    }
    unpack(&GUEST_SDK, &directory.join(".creel/guest-sdk"))?;
    unpack(&WIT, &directory.join(".creel/wit"))?;
    Ok(directory)
}

fn unpack(from: &Dir<'_>, to: &Path) -> anyhow::Result<()> {
    for file in from.files() {
        write(&to.join(file.path()), file.contents())?;
    }
    from.dirs().try_for_each(|below| unpack(below, to))
}

fn write(path: &Path, contents: &[u8]) -> anyhow::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
    std::fs::write(path, contents).with_context(|| format!("writing {}", path.display()))
}

//! `creel build`: a plugin's directory becomes a component.
//!
//! All plugins of a user are built into one directory, so that the standard library and the crates that they share are
//! compiled once, and not once for each plugin.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use crate::toolchain::{self, Build};

/// Builds the plugin in a directory (a crate or a workspace with one plugin) and gives the component's path. Results of
/// the compiler are kept in `build_dir`, or else in the user's cache.
///
/// # Errors
/// When there is no toolchain or the plugin doesn't build.
pub fn build(directory: &Path, build_dir: Option<&Path>, progress: &mut dyn FnMut(&str)) -> anyhow::Result<PathBuf> {
    let directory = directory.canonicalize().with_context(|| format!("finding {}", directory.display()))?;
    ensure!(
        directory.join("Cargo.toml").is_file(),
        "{} has no Cargo.toml; `creel new NAME` makes a plugin",
        directory.display()
    );
    let beside = directory.join(".creel");
    let job = Build {
        sources: if beside.is_dir() { vec![beside] } else { Vec::new() },
        root: directory.clone(),
        target: build_dir.map(Path::to_owned).or_else(shared).unwrap_or_else(|| directory.join("target")),
        workspace: directory.clone(),
    };
    let mut guests = toolchain::build(&job, progress)?;
    ensure!(
        guests.len() == 1,
        "{} builds {} plugins; deploy one of them by its .wasm file under {}",
        directory.display(),
        guests.len(),
        job.target.display()
    );
    Ok(guests.remove(0).wasm)
}

/// A `.wasm` file as it is, a directory built.
///
/// # Errors
/// Those of [`build`].
pub fn component_of(path: &Path, build_dir: Option<&Path>, progress: &mut dyn FnMut(&str)) -> anyhow::Result<PathBuf> {
    if path.is_dir() { build(path, build_dir, progress) } else { Ok(path.to_owned()) }
}

/// Where plugins are built unless a directory is given; none for a user without a home.
fn shared() -> Option<PathBuf> {
    shared_in(std::env::var_os("XDG_CACHE_HOME"), std::env::home_dir())
}

/// A cache that is no absolute path counts as none, as the rules for it say.
fn shared_in(cache: Option<OsString>, home: Option<PathBuf>) -> Option<PathBuf> {
    let cache = cache.map(PathBuf::from).filter(|path| path.is_absolute());
    let home = home.filter(|path| path.is_absolute()).map(|home| home.join(".cache"));
    cache.or(home).map(|cache| cache.join("creel/plugins"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_are_built_in_the_users_cache() {
        let at = |cache: Option<&str>, home: Option<&str>| shared_in(cache.map(Into::into), home.map(Into::into));
        assert_eq!(at(Some("/cache"), Some("/home/ada")), Some("/cache/creel/plugins".into()));
        assert_eq!(at(None, Some("/home/ada")), Some("/home/ada/.cache/creel/plugins".into()));
        assert_eq!(at(Some("here"), Some("/home/ada")), Some("/home/ada/.cache/creel/plugins".into()));
        assert_eq!(at(None, Some("")), None);
    }
}

//! `creel build`: a plugin's directory becomes a component.
//!
//! All plugins of a user are built into one directory, so that the standard library and the crates that they share are
//! compiled once, and not once for each plugin.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use creel_runtime::gate::inspection::inspect;
use creel_runtime::limits::Limits;
use serde::Serialize;

use super::check::read;
use super::templates;
use crate::scripts::{self, Script};
use crate::toolchain::{self, Build, Failed};

/// A plugin that was built, and what is seen of it without compiling it.
#[derive(Debug, Clone, Serialize)]
pub struct Built {
    /// The component, or a core module that a host makes one of.
    pub component: PathBuf,
    /// SHA-256 of the file, as a host names the version.
    pub digest: String,
    /// Size of the file.
    pub bytes: u64,
    /// Interfaces that it imports, in its own order.
    pub imports: Vec<String>,
}

/// Builds the plugin in a directory (a crate, a workspace with one plugin, or a project in JavaScript or Python) and gives
/// the component's path. Results are kept in `build_dir`, or else in the user's cache.
///
/// # Errors
/// When there is no toolchain or the plugin doesn't build.
pub fn build(directory: &Path, build_dir: Option<&Path>, progress: &mut dyn FnMut(&str)) -> anyhow::Result<PathBuf> {
    let directory = directory.canonicalize().with_context(|| format!("finding {}", directory.display()))?;
    let beside = directory.join(".creel");
    let job = Build {
        sources: if beside.is_dir() { vec![beside] } else { Vec::new() },
        root: directory.clone(),
        target: build_dir.map(Path::to_owned).or_else(shared).unwrap_or_else(|| directory.join("target")),
        workspace: directory.clone(),
    };
    if directory.join("Cargo.toml").is_file() {
        return crate_of(&job, progress);
    }
    script_of(script_in(&directory)?, job, progress)
}

/// Whether a directory is one that could be built after an edit; what is wrong inside is for the build to say.
///
/// # Errors
/// When there is no plugin in it, or its language's tool is not installed, with what to do.
pub fn check_place(directory: &Path) -> anyhow::Result<()> {
    if directory.join("Cargo.toml").is_file() { Ok(()) } else { script_in(directory)?.find(directory).map(drop) }
}

fn script_in(directory: &Path) -> anyhow::Result<Script> {
    Script::of(directory).with_context(|| {
        let place = directory.display();
        format!("{place} has no Cargo.toml, package.json or plugin.py; `creel new NAME` makes a plugin")
    })
}

fn crate_of(job: &Build, progress: &mut dyn FnMut(&str)) -> anyhow::Result<PathBuf> {
    let mut guests = toolchain::build(job, progress)?;
    ensure!(
        guests.len() == 1,
        "{} builds {} plugins; deploy one of them by its .wasm file under {}",
        job.workspace.display(),
        guests.len(),
        job.target.display()
    );
    Ok(guests.remove(0).wasm)
}

/// A project that has no contract of its own is built against this program's.
fn script_of(script: Script, mut job: Build, progress: &mut dyn FnMut(&str)) -> anyhow::Result<PathBuf> {
    let own = job.workspace.join(".creel/wit");
    if own.is_dir() {
        return scripts::build(script, &job, &own, progress);
    }
    std::fs::create_dir_all(&job.target).with_context(|| format!("making {}", job.target.display()))?;
    let wit = job.target.canonicalize().context("finding the build directory")?.join("contract");
    for (path, contents) in templates::contract(&wit) {
        if !std::fs::read(&path).is_ok_and(|there| there == contents) {
            super::new::write(&wit, &[(path, contents)])?;
        }
    }
    job.sources.push(wit.clone());
    scripts::build(script, &job, &wit, progress)
}

/// Looks at what was built as a host's gate does before it compiles. `creel check` and `creel test` compile it too.
///
/// # Errors
/// When the file can't be read, or with the gate's refusal.
pub fn seen(component: PathBuf) -> anyhow::Result<Built> {
    let upload = read(&component)?;
    // The limits of nobody's host: what a particular one takes is for `creel check --config`.
    let inspected = inspect(&upload, &Limits::default()).with_context(|| component.display().to_string())?;
    let digest = inspected.digest.to_string();
    Ok(Built { component, digest, bytes: upload.len() as u64, imports: inspected.imports })
}

/// A `.wasm` file as it is, a directory built.
///
/// # Errors
/// Those of [`build`].
pub fn component_of(path: &Path, build_dir: Option<&Path>, progress: &mut dyn FnMut(&str)) -> anyhow::Result<PathBuf> {
    if path.is_dir() { build(path, build_dir, progress) } else { Ok(path.to_owned()) }
}

/// The error of a build for somebody who has seen all progress: what the compiler said is not said twice.
pub fn brief(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<Failed>() {
        Some(Failed { program, status, .. }) => {
            anyhow::anyhow!("{program} ended with {status}; what it said stands above")
        }
        None => error,
    }
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

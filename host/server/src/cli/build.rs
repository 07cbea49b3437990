//! `creel build`: a plugin's directory becomes a component.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use crate::toolchain::{self, Build};

/// Builds the plugin in a directory (a crate or a workspace with one plugin) and gives the component's path.
///
/// # Errors
/// When there is no toolchain or the plugin doesn't build.
pub fn build(directory: &Path, progress: &mut dyn FnMut(&str)) -> anyhow::Result<PathBuf> {
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
        target: directory.join("target"),
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
pub fn component_of(path: &Path, progress: &mut dyn FnMut(&str)) -> anyhow::Result<PathBuf> {
    if path.is_dir() { build(path, progress) } else { Ok(path.to_owned()) }
}

//! `creel new`: a plugin that builds with nothing but this program and its language's tools.
//!
//! The sources of the SDK and of the contract travel inside the program and are written beside the plugin, so that no
//! checkout and no registry of ours is needed. [`super::templates`] says what can be made.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use serde::Serialize;

use super::console::Usage;
use super::templates::{self, File, Language};
use crate::scripts::Script;

/// What was made.
#[derive(Debug, Serialize)]
pub struct Made {
    /// The new directory.
    pub directory: PathBuf,
    /// The template that it was made from.
    pub template: String,
    /// What its plugin is written in.
    pub language: Language,
    /// What to type in it first, so that it can be built; nothing when it can be.
    pub install: Option<String>,
}

/// Makes the plugin `name` in `parent`, from a template.
///
/// # Errors
/// When the name is none, the directory is there already, there is no such template, or it can't be written.
pub fn create(parent: &Path, name: &str, template: &str) -> anyhow::Result<Made> {
    creel_webhook::tenant::check_name(name).map_err(|error| Usage::new(error.to_string()))?;
    let is_crate = name.starts_with(|c: char| c.is_ascii_lowercase()) && !name.contains('.');
    ensure!(
        is_crate,
        Usage::new(format!("`{name}` is no name for a plugin's directory: begin with a letter, and leave out `.`"))
    );
    let directory = parent.join(name);
    ensure!(!directory.exists(), Usage::new(format!("`{name}` is there already; choose another name, or remove it")));
    let (language, files) = templates::files(template, name)
        .with_context(|| format!("there is no template `{template}`; `creel new --list` shows them"))?;
    write(&directory, &files)?;
    let install = Script::of(&directory).map(|script| script.installation(&directory));
    Ok(Made { directory, template: template.to_owned(), language, install })
}

/// Writes files into a directory.
///
/// # Errors
/// When one can't be written.
pub fn write(directory: &Path, files: &[File]) -> anyhow::Result<()> {
    for (path, contents) in files {
        let path = directory.join(path);
        let parent = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
        std::fs::write(&path, contents).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

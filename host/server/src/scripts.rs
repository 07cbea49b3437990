//! Builds plugins in JavaScript and Python, with the tools that make components in their communities.
//!
//! ```text
//! directory -> its tool: the project's own, or else one on the PATH -> component, kept until a source or the tool changes
//! ```
//!
//! Nothing is installed unasked: these tools belong into the project, beside what else it depends on. Where the tool is not
//! there, the error holds the commands to type ([`Script::installation`]).
//!
//! **Guarantees.** The tool reads the contract that lies beside the plugin, so that another version of this program builds
//! the same plugin. Neither tool writes the same bytes twice (each takes a picture of an interpreter that has begun), so a
//! result is returned as it is for as long as no source has changed: the same sources keep their digest.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tempfile::TempDir;

use crate::toolchain::{Build, Kept, Progress, absolute, clean, fingerprint, locked, run};

/// npm's files that pin the tool of JavaScript.
pub const NPM_MANIFEST: &str = include_str!("../../../tests/components/languages/package.json");
/// The exact packages behind [`NPM_MANIFEST`].
pub const NPM_LOCK: &str = include_str!("../../../tests/components/languages/package-lock.json");
/// pip's file that pins the tool of Python, with hashes.
pub const PIP_PINS: &str = include_str!("../../../tests/components/languages/requirements.txt");

const NPM_PINS: &str = "package.json";
const PIP_FILE: &str = "requirements.txt";
const QJS: &str = "componentize-qjs";
const PY: &str = "componentize-py";

/// A language that an interpreter inside the component runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// Built by componentize-qjs; the plugin is what package.json calls `main`, or plugin.js.
    JavaScript,
    /// Built by componentize-py; the plugin is plugin.py.
    Python,
}

impl Script {
    /// What the plugin in a directory is written in, if it is one of these.
    pub fn of(directory: &Path) -> Option<Script> {
        let there = |file: &str| directory.join(file).is_file();
        if there(NPM_PINS) || there("plugin.js") {
            Some(Script::JavaScript)
        } else {
            there("plugin.py").then_some(Script::Python)
        }
    }

    /// Whether a file of the project may go into the component. Cases, secrets and what was built lie beside the sources, and
    /// must not make it another one.
    fn reads(self, directory: &Path, file: &Path) -> bool {
        let endings: &[&str] = match self {
            Script::JavaScript => &["js", "mjs", "json", "wit"],
            Script::Python => &["py", "json", "txt", "wit"],
        };
        let is_source = file.extension().is_some_and(|own| endings.iter().any(|ending| own == *ending));
        is_source && !file.starts_with(directory.join("cases"))
    }

    fn tool(self) -> &'static str {
        match self {
            Script::JavaScript => QJS,
            Script::Python => PY,
        }
    }

    /// What to type in the plugin's directory, so that its tool is there.
    pub fn installation(self, directory: &Path) -> String {
        let names_tool =
            |file: &str| std::fs::read_to_string(directory.join(file)).is_ok_and(|text| text.contains(self.tool()));
        match self {
            Script::JavaScript if names_tool("package-lock.json") => "npm ci".to_owned(),
            Script::JavaScript if names_tool(NPM_PINS) => "npm install".to_owned(),
            Script::JavaScript => format!("npm install --save-exact {QJS}@{}", npm_version()),
            Script::Python => {
                let wanted = if names_tool(PIP_FILE) { format!("-r {PIP_FILE}") } else { pip_version().to_owned() };
                format!("python3 -m venv .venv && .venv/bin/pip install {wanted}")
            }
        }
    }

    /// Where the tool may lie, the project's own places first.
    fn places(self, directory: &Path) -> Vec<PathBuf> {
        let mut places: Vec<PathBuf> = match self {
            Script::JavaScript => directory.ancestors().map(|above| above.join("node_modules/.bin")).collect(),
            Script::Python => vec![directory.join(".venv/bin")],
        };
        if self == Script::Python {
            places.extend(std::env::var_os("VIRTUAL_ENV").map(|own| PathBuf::from(own).join("bin")));
        }
        places.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
        places
    }

    /// The tool that builds the plugin in a directory.
    ///
    /// # Errors
    /// When it is not installed, with what to type.
    pub fn find(self, directory: &Path) -> Result<PathBuf> {
        let tools = self.places(directory).into_iter().map(|place| place.join(self.tool()));
        match tools.into_iter().find(|tool| tool.is_file()) {
            Some(tool) => Ok(tool),
            None => bail!(
                "{} is not installed here; it makes a component of the plugin. Type:\n  cd {} && {}",
                self.tool(),
                directory.display(),
                self.installation(directory)
            ),
        }
    }
}

/// The version of the tool that Creel's own tests build with.
fn npm_version() -> String {
    let pins: Value = serde_json::from_str(NPM_MANIFEST).unwrap_or_default();
    pins["dependencies"][QJS].as_str().unwrap_or("latest").to_owned()
}

/// `componentize-py==…`, without its hashes.
fn pip_version() -> &'static str {
    let pinned = PIP_PINS.lines().find(|line| line.starts_with(PY));
    pinned.map_or(PY, |line| line.trim_end_matches(['\\', ' ']))
}

/// Builds the plugin of a directory and gives the component's path; `wit` is the contract, which is among the job's sources.
///
/// # Errors
/// When the tool is not there, with what to type, or with what it said.
pub fn build(script: Script, job: &Build, wit: &Path, progress: Progress<'_>) -> Result<PathBuf> {
    let job = &absolute(job)?;
    let _lock = locked(job)?;
    let tool = script.find(&job.workspace)?;
    let fingerprint = fingerprint(job, &identity(&tool), |file| script.reads(&job.workspace, file))?;
    let kept = Kept::of(job);
    if let Some([built]) = kept.guests_if(&fingerprint).as_deref() {
        return Ok(built.wasm.clone());
    }
    progress(&format!("building {} with {}", job.workspace.display(), tool.display()));
    let output = TempDir::new_in(&job.target).context("making a temporary directory")?;
    let name = job.workspace.file_name().unwrap_or("plugin".as_ref());
    let component = output.path().join(name).with_added_extension("wasm");
    run(&mut command(script, job, &tool, wit, &component), progress)?;
    let mut built = kept.replace(output.path(), &fingerprint)?;
    Ok(built.remove(0).wasm)
}

fn command(script: Script, job: &Build, tool: &Path, wit: &Path, output: &Path) -> Command {
    let mut command = clean(tool, &job.workspace);
    match script {
        Script::JavaScript => {
            command.args(["--sync", "-n", "plugin", "--wit"]).arg(wit).arg("--js").arg(main_of(&job.workspace));
            command.arg("-o").arg(output);
        }
        Script::Python => {
            // Packages of the project's own environment come along.
            let environment = job.workspace.join(".venv");
            if environment.is_dir() {
                command.env("VIRTUAL_ENV", environment);
            }
            command.env("RUST_BACKTRACE", "0").arg("-d").arg(wit);
            command.args(["-q", "-w", "plugin", "componentize", "plugin", "--stub-wasi", "-p", ".", "-o"]).arg(output);
        }
    }
    command
}

/// The file that is the plugin in JavaScript.
fn main_of(directory: &Path) -> String {
    let manifest = std::fs::read(directory.join(NPM_PINS)).unwrap_or_default();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap_or_default();
    manifest["main"].as_str().unwrap_or("plugin.js").to_owned()
}

/// What tells one installed tool from another: where it really lies, and what its package says of itself.
fn identity(tool: &Path) -> String {
    let real = tool.canonicalize().unwrap_or_else(|_| tool.to_owned());
    let package = real.ancestors().map(|above| above.join(NPM_PINS)).find(|file| file.is_file());
    let package = package.and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
    let package: Value = serde_json::from_str(&package).unwrap_or_default();
    let changed = std::fs::metadata(&real).and_then(|about| about.modified()).ok();
    format!("{} {} {changed:?}", real.display(), package["version"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(files: &[(&str, &str)]) -> TempDir {
        let directory = TempDir::new().unwrap();
        for (file, text) in files {
            let path = directory.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        directory
    }

    #[test]
    fn a_plugins_language_is_known_by_its_files() {
        assert_eq!(Script::of(directory(&[("package.json", "{}")]).path()), Some(Script::JavaScript));
        assert_eq!(Script::of(directory(&[("plugin.js", "")]).path()), Some(Script::JavaScript));
        assert_eq!(Script::of(directory(&[("plugin.py", ""), ("requirements.txt", "")]).path()), Some(Script::Python));
        assert_eq!(Script::of(directory(&[("Cargo.toml", "")]).path()), None);
    }

    #[test]
    fn an_error_holds_what_to_type_for_this_project() {
        let said = |script: Script, files: &[(&str, &str)]| script.installation(directory(files).path());
        assert_eq!(
            said(Script::JavaScript, &[("package.json", NPM_MANIFEST), ("package-lock.json", NPM_LOCK)]),
            "npm ci"
        );
        assert_eq!(said(Script::JavaScript, &[("package.json", NPM_MANIFEST)]), "npm install");
        let bare = said(Script::JavaScript, &[("plugin.js", "")]);
        assert!(bare.starts_with("npm install --save-exact componentize-qjs@0."), "{bare}");
        let pinned = said(Script::Python, &[("requirements.txt", PIP_PINS)]);
        assert_eq!(pinned, "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt");
        let bare = said(Script::Python, &[("plugin.py", "")]);
        assert!(bare.contains("pip install componentize-py==0.") && !bare.contains('\\'), "{bare}");
    }

    #[test]
    fn the_projects_own_tool_goes_before_every_other() {
        let project = directory(&[(".venv/bin/componentize-py", ""), ("node_modules/.bin/componentize-qjs", "")]);
        let inner = project.path().join("plugins/one");
        assert_eq!(Script::Python.find(project.path()).unwrap(), project.path().join(".venv/bin/componentize-py"));
        let qjs = project.path().join("node_modules/.bin/componentize-qjs");
        assert_eq!(Script::JavaScript.find(project.path()).unwrap(), qjs);
        assert_eq!(Script::JavaScript.find(&inner).unwrap(), qjs, "tools of a workspace serve all of its packages");
    }

    /// A component that was written beside its sources was taken for one of them, and the next build gave another digest.
    #[test]
    fn what_lies_beside_sources_is_none() {
        let project = Path::new("/plugins/one");
        let reads = |script: Script, file: &str| script.reads(project, &project.join(file));
        assert!(reads(Script::JavaScript, "plugin.js") && reads(Script::JavaScript, "inner/words.json"));
        assert!(reads(Script::Python, "plugin.py") && reads(Script::Python, "requirements.txt"));
        for file in ["one.wasm", "cases/opened.json", "tenant.toml", "github.secret", "creel.log"] {
            assert!(!reads(Script::JavaScript, file) && !reads(Script::Python, file), "{file}");
        }
    }

    #[test]
    fn what_package_json_calls_main_is_the_plugin() {
        assert_eq!(main_of(directory(&[("package.json", r#"{"main":"dist/plugin.js"}"#)]).path()), "dist/plugin.js");
        assert_eq!(main_of(directory(&[("package.json", "{}")]).path()), "plugin.js");
    }
}

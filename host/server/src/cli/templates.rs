//! What `creel new` can make: the templates, and the files of each.
//!
//! The first-party plugins are templates as they stand. Their sources, cases and pages travel inside the program, and only
//! what ties a plugin to its workspace is written anew: the manifest, the plugin's name on its page, a link. `hello`, the
//! plugin of the README, stands in Rust, JavaScript and Python with one case for all three; the tools of the latter two are
//! pinned to what Creel's own tests build with.
//!
//! Every template comes with the page's recipe as `tenant.toml`, so that `creel apply tenant.toml` puts it to work, with the
//! contract in `.creel/wit`, and with what a case file may hold in `.creel/cases.md`.

use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};
use serde::Serialize;

use crate::scripts::{NPM_LOCK, NPM_MANIFEST, PIP_PINS};

static GUEST_SDK: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../guest-sdk");
static WIT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../wit");

/// The first-party plugins, simple ones first.
static PLUGINS: [(&str, Dir<'_>); 7] = [
    ("github-to-slack", include_dir!("$CARGO_MANIFEST_DIR/../../plugins/github-to-slack")),
    ("call-ended", include_dir!("$CARGO_MANIFEST_DIR/../../plugins/call-ended")),
    ("caller-context", include_dir!("$CARGO_MANIFEST_DIR/../../plugins/caller-context")),
    ("escalation", include_dir!("$CARGO_MANIFEST_DIR/../../plugins/escalation")),
    ("appointment", include_dir!("$CARGO_MANIFEST_DIR/../../plugins/appointment")),
    ("twiml-greeting", include_dir!("$CARGO_MANIFEST_DIR/../../plugins/twiml-greeting")),
    ("assistant-request", include_dir!("$CARGO_MANIFEST_DIR/../../plugins/assistant-request")),
];

const PLUGINS_MANIFEST: &str = include_str!("../../../../plugins/Cargo.toml");
const PLUGINS_PAGE: &str = include_str!("../../../../plugins/README.md");
const FRONT_PAGE: &str = include_str!("../../../../README.md");

const MANIFEST: &str = include_str!("template/Cargo.toml.txt");
const CARGO_CONFIG: &str = include_str!("template/config.toml.txt");
const PAGE: &str = include_str!("template/README.md.txt");
const CASE: &str = include_str!("template/opened.json.txt");

/// What the three forms of `hello` do.
const HELLO: &str = "Announces new GitHub pull requests in Slack";

/// The template that is used when none is named.
pub const DEFAULT: &str = "hello";

/// What a plugin is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Language {
    /// Built by cargo.
    Rust,
    /// Built by componentize-qjs.
    JavaScript,
    /// Built by componentize-py.
    Python,
}

/// One of the forms of `hello`.
struct Hello {
    name: &'static str,
    language: Language,
    /// The file that is the plugin.
    main: &'static str,
    source: &'static str,
    /// What git leaves out.
    ignored: &'static str,
    /// What is typed before the plugin can be built, for its page.
    install: &'static str,
}

static HELLOS: [Hello; 3] = [
    Hello {
        name: DEFAULT,
        language: Language::Rust,
        main: "src/lib.rs",
        source: include_str!("template/lib.rs.txt"),
        ignored: "/target\n",
        install: "cargo test                    # runs the cases in cases/ natively\n",
    },
    Hello {
        name: "javascript",
        language: Language::JavaScript,
        main: "plugin.js",
        source: include_str!("template/plugin.js.txt"),
        ignored: "/node_modules\n",
        install: "npm ci                        # gets componentize-qjs, which makes a component of plugin.js\n",
    },
    Hello {
        name: "python",
        language: Language::Python,
        main: "plugin.py",
        source: include_str!("template/plugin.py.txt"),
        ignored: "/.venv\n__pycache__\n",
        install: "python3 -m venv .venv         # and then componentize-py, which makes a component of plugin.py\n\
                  .venv/bin/pip install --require-hashes -r requirements.txt\n",
    },
];

/// What can be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Template {
    /// What it is asked for by.
    pub name: &'static str,
    /// What it is written in.
    pub language: Language,
    /// What it does, in a line.
    pub about: String,
}

/// A file of a new plugin: its path in the plugin's directory, and what it holds.
pub type File = (PathBuf, Vec<u8>);

/// The names of all templates, the default first.
pub fn names() -> impl Iterator<Item = &'static str> {
    HELLOS.iter().map(|hello| hello.name).chain(PLUGINS.iter().map(|plugin| plugin.0))
}

/// All templates, the default first.
pub fn all() -> Vec<Template> {
    let hellos =
        HELLOS.iter().map(|hello| Template { name: hello.name, language: hello.language, about: HELLO.to_owned() });
    let plugins = PLUGINS.iter().map(|(name, directory)| {
        let about = value(text(directory, "Cargo.toml"), "description").unwrap_or_default().to_owned();
        Template { name, language: Language::Rust, about }
    });
    hellos.chain(plugins).collect()
}

/// What a template is written in, and the files of a plugin that is made from it under this name; none when there is no such
/// template.
pub fn files(template: &str, name: &str) -> Option<(Language, Vec<File>)> {
    let (language, mut files) = match PLUGINS.iter().find(|plugin| plugin.0 == template) {
        Some((old, directory)) => (Language::Rust, of_plugin(old, directory, name)),
        None => of_hello(template, name)?,
    };
    if language == Language::Rust {
        files.push((".cargo/config.toml".into(), CARGO_CONFIG.into()));
        files.extend(below(&GUEST_SDK, Path::new(".creel/guest-sdk")));
    }
    files.extend(contract(Path::new(".creel/wit")));
    files.push((".creel/cases.md".into(), format!("# Case files\n{}", cases_section()).into()));
    Some((language, files))
}

/// The contract's files, for a place of their own.
pub fn contract(at: &Path) -> Vec<File> {
    below(&WIT, at)
}

/// A first-party plugin under another name.
fn of_plugin(old: &str, directory: &Dir<'_>, name: &str) -> Vec<File> {
    let page = renamed(text(directory, "README.md"), old, name);
    let own = text(directory, "Cargo.toml");
    let about = value(own, "description").unwrap_or_default();
    let mut files: Vec<File> = below(directory, Path::new(""));
    files.retain(|(path, _)| path.starts_with("src") || path.starts_with("cases"));
    files.push(("Cargo.toml".into(), manifest(name, about, section(own, "[dependencies]")).into()));
    files.push((".gitignore".into(), format!("/target\n/{name}.wasm\n").into()));
    files.push(("tenant.toml".into(), recipe(&page).into()));
    files.push(("README.md".into(), page.into()));
    files
}

/// The README's plugin in one of its languages.
fn of_hello(template: &str, name: &str) -> Option<(Language, Vec<File>)> {
    let hello = HELLOS.iter().find(|hello| hello.name == template)?;
    let page = PAGE.replace("{name}", name).replace("{about}", HELLO);
    let page = page.replace("{main}", hello.main).replace("{install}", hello.install);
    let mut files: Vec<File> = vec![
        (hello.main.into(), hello.source.into()),
        ("cases/opened.json".into(), CASE.into()),
        (".gitignore".into(), format!("{}/{name}.wasm\n", hello.ignored).into()),
        ("tenant.toml".into(), renamed(&recipe(FRONT_PAGE), DEFAULT, name).into()),
        ("README.md".into(), page.into()),
    ];
    match hello.language {
        Language::Rust => {
            let dependencies = section(PLUGINS_MANIFEST, "[workspace.dependencies]");
            files.push(("Cargo.toml".into(), manifest(name, HELLO, dependencies).into()));
        }
        Language::JavaScript => {
            files.push(("package.json".into(), npm(NPM_MANIFEST, name).into()));
            files.push(("package-lock.json".into(), npm(NPM_LOCK, name).into()));
        }
        Language::Python => files.push(("requirements.txt".into(), PIP_PINS.into())),
    }
    Some((hello.language, files))
}

/// One of npm's files under another name, and under no licence: that is its author's to say.
fn npm(file: &str, name: &str) -> String {
    let lines = file.lines().filter(|line| line.trim() != r#""license": "MIT OR Apache-2.0","#);
    lines.fold(String::new(), |text, line| text + line + "\n").replace("creel-plugin-in-javascript", name)
}

/// The manifest of a crate that stands alone. What its dependencies take from the workspace is looked up there.
fn manifest(name: &str, about: &str, dependencies: &str) -> String {
    let shared = section(PLUGINS_MANIFEST, "[workspace.dependencies]");
    let resolved = dependencies.lines().map(|line| match line.strip_suffix(".workspace = true") {
        Some(one) => shared.lines().find(|line| line.starts_with(&format!("{one} = "))).unwrap_or(line),
        None => line,
    });
    let dependencies = resolved.fold(String::new(), |text, line| text + line + "\n");
    MANIFEST
        .replace("{name}", name)
        .replace("{about}", about)
        .replace("{dependencies}", &dependencies.replace("\"guest-sdk\"", "\".creel/guest-sdk\""))
}

/// A page or a recipe that speaks of a plugin under another name. Only where it is the plugin that is named: its title, its
/// file, its table, its routes.
fn renamed(page: &str, old: &str, name: &str) -> String {
    let title = page.strip_prefix(&format!("# {old}\n")).map(|rest| format!("# {name}\n{rest}"));
    title
        .unwrap_or_else(|| page.to_owned())
        .replace(&format!("\"{old}.wasm\""), &format!("\"{name}.wasm\""))
        .replace(&format!("[plugins.{old}]"), &format!("[plugins.{name}]"))
        .replace(&format!("[plugins.{old}."), &format!("[plugins.{name}."))
        .replace(&format!("plugin = \"{old}\""), &format!("plugin = \"{name}\""))
        .replace(&format!("cargo test -p {old}"), "cargo test")
        .replace("[`plugins/README.md`](../README.md)", "[`.creel/cases.md`](.creel/cases.md)")
}

/// The first block of TOML of a page.
fn recipe(page: &str) -> String {
    let block = page.split_once("```toml\n").and_then(|(_, rest)| rest.split_once("```"));
    block.map(|(recipe, _)| recipe.to_owned()).unwrap_or_default()
}

/// What a case file may hold.
fn cases_section() -> &'static str {
    PLUGINS_PAGE.split_once("## Case files\n").map(|(_, rest)| rest).unwrap_or_default()
}

/// The lines of a manifest below a header, up to the next one, without empty lines around them.
fn section<'a>(manifest: &'a str, header: &str) -> &'a str {
    let below = manifest.split_once(&format!("{header}\n")).map(|(_, rest)| rest).unwrap_or_default();
    below.split("\n[").next().unwrap_or_default().trim()
}

/// The text of a key of a manifest.
fn value<'a>(manifest: &'a str, key: &str) -> Option<&'a str> {
    manifest.lines().find_map(|line| line.strip_prefix(&format!("{key} = \""))?.strip_suffix('"'))
}

fn text<'a>(directory: &Dir<'a>, file: &str) -> &'a str {
    directory.get_file(file).and_then(|file| file.contents_utf8()).unwrap_or_default()
}

/// All files of a directory, under another path.
fn below(directory: &Dir<'_>, at: &Path) -> Vec<File> {
    let own = directory.files().map(|file| (at.join(file.path()), file.contents().to_vec()));
    own.chain(directory.dirs().flat_map(|inner| below(inner, at))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(files: &[File], path: &str) -> String {
        let file = files.iter().find(|(one, _)| one == Path::new(path)).unwrap_or_else(|| panic!("no {path}"));
        String::from_utf8(file.1.clone()).unwrap()
    }

    #[test]
    fn every_first_party_plugin_is_a_template() {
        let manifest: toml::Table = PLUGINS_MANIFEST.parse().unwrap();
        let mut members: Vec<&str> =
            manifest["workspace"]["members"].as_array().unwrap().iter().filter_map(toml::Value::as_str).collect();
        let mut templates: Vec<&str> = PLUGINS.iter().map(|plugin| plugin.0).collect();
        members.sort_unstable();
        templates.sort_unstable();
        assert_eq!(templates, members);
        assert!(all().iter().all(|template| !template.about.is_empty()), "{:?}", all());
    }

    #[test]
    fn every_manifest_stands_alone_and_builds_small_modules() {
        let workspace: toml::Table = PLUGINS_MANIFEST.parse().unwrap();
        for template in all().into_iter().filter(|template| template.language == Language::Rust) {
            let (_, files) = files(template.name, "mine").unwrap();
            let manifest: toml::Table = text_of(&files, "Cargo.toml").parse().unwrap();
            assert_eq!(manifest["package"]["name"].as_str(), Some("mine"));
            assert_eq!(manifest["package"]["description"].as_str(), Some(template.about.as_str()));
            assert_eq!(manifest["profile"]["release"], workspace["profile"]["release"], "{}", template.name);
            let dependencies = manifest["dependencies"].as_table().unwrap();
            assert_eq!(dependencies["creel-guest"]["path"].as_str(), Some(".creel/guest-sdk"));
            assert!(dependencies.values().all(|one| one.get("workspace").is_none()), "{dependencies:?}");
        }
    }

    #[test]
    fn pages_and_recipes_speak_of_the_new_plugin() {
        for template in all() {
            let (_, files) = files(template.name, "mine").unwrap();
            let (page, recipe) = (text_of(&files, "README.md"), text_of(&files, "tenant.toml"));
            assert!(page.starts_with("# mine\n"), "{}: {page}", template.name);
            assert!(!page.contains("](../"), "{} links to what is not there", template.name);
            let recipe: toml::Table = recipe.parse().unwrap();
            assert_eq!(recipe["plugins"]["mine"]["component"].as_str(), Some("mine.wasm"), "{}", template.name);
            assert_eq!(recipe["plugins"].as_table().map(toml::Table::len), Some(1), "{}", template.name);
            let routes = recipe["routes"].as_table().unwrap();
            assert!(routes.values().all(|route| route["plugin"].as_str() == Some("mine")), "{routes:?}");
            assert!(text_of(&files, ".creel/cases.md").contains("| `expect.calls` |"));
        }
    }

    #[test]
    fn the_tools_of_javascript_are_pinned_under_the_plugins_own_name() {
        let (_, files) = files("javascript", "mine").unwrap();
        for file in ["package.json", "package-lock.json"] {
            let pins: serde_json::Value = serde_json::from_str(&text_of(&files, file)).unwrap();
            assert_eq!((pins["name"].as_str(), pins.get("license")), (Some("mine"), None), "{file}");
        }
        assert_eq!(files.iter().filter(|(path, _)| path.starts_with(".creel/guest-sdk")).count(), 0);
    }
}

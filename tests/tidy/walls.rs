//! Which crate may depend on which, which words a crate may not say, and where features are named.

use super::source::{Breach, SourceFile, has_word};

/// A crate, the crates of ours that it may use, and what may not occur in it.
struct Wall {
    folder: &'static str,
    may_use: &'static [&'static str],
    refused: &'static [(&'static str, &'static str)],
}

const PURE: &str = "the rules are pure; take it as an argument";
const NO_WASM: &str = "the store knows no Wasm; store bytes and digests";
const NO_HTTP: &str = "the store knows no HTTP; that is the server's";
const NO_SQL: &str = "the runtime knows no SQL; take what is needed as an argument";
const NO_SERVER: &str = "the runtime serves nobody; that is the server's";

/// server -> {store, runtime, webhook, guest-sdk (for what a case file is)}; store -> webhook; runtime -> webhook; webhook -> nothing of ours.
const WALLS: &[Wall] = &[
    Wall {
        folder: "host/webhook",
        may_use: &[],
        refused: &[
            ("tokio", PURE),
            ("std::fs", PURE),
            ("std::net", PURE),
            ("std::env", PURE),
            ("SystemTime::now", PURE),
            ("Instant::now", PURE),
            ("rand", PURE),
            ("getrandom", PURE),
            ("OsRng", PURE),
        ],
    },
    Wall {
        folder: "host/store",
        may_use: &["creel-webhook"],
        refused: &[
            ("wasmtime", NO_WASM),
            ("axum", NO_HTTP),
            ("reqwest", NO_HTTP),
            ("hyper", NO_HTTP),
            ("SystemTime::now", "the store is told the time; take a `Timestamp`"),
        ],
    },
    Wall {
        folder: "host/runtime",
        may_use: &["creel-webhook"],
        refused: &[("rusqlite", NO_SQL), ("axum", NO_SERVER), ("hyper", NO_SERVER), ("reqwest", NO_SERVER)],
    },
    Wall {
        folder: "host/server",
        may_use: &["creel-webhook", "creel-store", "creel-runtime", "creel-guest"],
        refused: &[],
    },
];

/// Features that a member may name itself, with the reason.
const FEATURES_ALLOWED: &[(&str, &str)] = &[
    ("host/server/Cargo.toml", "creel-store"), // the conformance suite, for tests only; our own crate, cheap to rebuild
    ("tests/sim/Cargo.toml", "creel-store"),   // bugs on purpose, for the simulation to find; test targets only
];

/// Manifests that stand alone: sources that are copied beside a plugin, and workspaces of guests.
const STANDALONE: &[&str] = &["guest-sdk/", "plugins/", "tests/components/"];

/// Words that a crate may not say.
pub(crate) fn check_words(file: &SourceFile) -> Vec<Breach> {
    let Some(wall) = WALLS.iter().find(|wall| file.path.starts_with(&format!("{}/src/", wall.folder))) else {
        return Vec::new();
    };
    let said = |line: &str, word: &str| if word.contains("::") { line.contains(word) } else { has_word(line, word) };
    let mut breaches = Vec::new();
    for (line, text) in file.product_lines() {
        for (word, mend) in wall.refused.iter().filter(|(word, _)| said(text, word)) {
            breaches.push(file.breach("wall", line, format!("{} says `{word}`; {mend}", wall.folder)));
        }
    }
    breaches
}

/// Dependencies beyond the walls, and features outside the workspace's manifest.
pub(crate) fn check_manifest(path: &str, text: &str) -> Vec<Breach> {
    if STANDALONE.iter().any(|folder| path.starts_with(folder)) {
        return Vec::new();
    }
    let breach = |rule, line, what: String| Breach { rule, path: path.to_owned(), line, what };
    let manifest: toml::Table = match text.parse() {
        Ok(manifest) => manifest,
        Err(error) => return vec![breach("manifest", 0, format!("does not parse: {error}"))],
    };
    let wall = WALLS.iter().find(|wall| path == format!("{}/Cargo.toml", wall.folder));
    let mut breaches = Vec::new();
    for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
        let Some(dependencies) = manifest.get(section).and_then(toml::Value::as_table) else { continue };
        for (name, dependency) in dependencies {
            let line = 1 + text.lines().position(|line| line.trim_start().starts_with(name.as_str())).unwrap_or(0);
            if let Some(wall) = wall
                && let Some(what) = beyond(wall, name)
            {
                breaches.push(breach("wall", line, what));
            }
            let excepted = FEATURES_ALLOWED.contains(&(path, name.as_str())) && section == "dev-dependencies";
            if let Some(what) = own_terms(name, dependency).filter(|_| !excepted) {
                breaches.push(breach("features", line, what));
            }
        }
    }
    breaches
}

/// What is wrong with a dependency on the far side of a wall.
fn beyond(wall: &Wall, name: &str) -> Option<String> {
    let ours = name.starts_with("creel-") && !wall.may_use.contains(&name);
    let refused = wall.refused.iter().find(|(word, _)| *word == name);
    match (ours, refused) {
        (true, _) => Some(format!("{} may not use {name}; move what both need down into creel-webhook", wall.folder)),
        (false, Some((_, mend))) => Some(format!("{} may not use {name}: {mend}", wall.folder)),
        (false, None) => None,
    }
}

/// What is wrong with a dependency that is not taken from the workspace as it is.
fn own_terms(name: &str, dependency: &toml::Value) -> Option<String> {
    let table = dependency.as_table();
    let inherited = table.and_then(|table| table.get("workspace")).and_then(toml::Value::as_bool) == Some(true);
    if !inherited {
        return Some(format!(
            "`{name}` has a version of its own; name it in the root's [workspace.dependencies] and write `{name}.workspace = true`"
        ));
    }
    let added = table.is_some_and(|table| table.contains_key("features") || table.contains_key("default-features"));
    added.then(|| format!("adds features to `{name}`, which rebuilds it for this crate alone; name them in the root's [workspace.dependencies]"))
}

#[cfg(test)]
mod planted {
    use super::*;

    fn manifest(path: &str, text: &str) -> Vec<&'static str> {
        check_manifest(path, text).into_iter().map(|breach| breach.rule).collect()
    }

    #[test]
    fn planted_dependencies_are_found() {
        assert_eq!(manifest("host/webhook/Cargo.toml", "[dependencies]\ntokio.workspace = true"), ["wall"]);
        assert_eq!(manifest("host/store/Cargo.toml", "[dependencies]\ncreel-runtime.workspace = true"), ["wall"]);
        assert_eq!(manifest("host/runtime/Cargo.toml", "[dev-dependencies]\nrusqlite.workspace = true"), ["wall"]);
        assert_eq!(manifest("host/server/Cargo.toml", "[dependencies]\ncreel-store.workspace = true"), [""; 0]);
    }

    #[test]
    fn planted_features_are_found() {
        let added = "[dependencies]\nserde = { workspace = true, features = [\"rc\"] }";
        assert_eq!(manifest("host/store/Cargo.toml", added), ["features"]);
        assert_eq!(manifest("tests/bench/Cargo.toml", "[dependencies]\nserde = \"1\""), ["features"]);
        assert_eq!(manifest("guest-sdk/Cargo.toml", "[dependencies]\nserde = \"1\""), [""; 0]);
        let testing = "creel-store = { workspace = true, features = [\"testing\"] }";
        assert_eq!(manifest("host/server/Cargo.toml", &format!("[dev-dependencies]\n{testing}")), [""; 0]);
        assert_eq!(manifest("host/server/Cargo.toml", &format!("[dependencies]\n{testing}")), ["features"]);
    }

    #[test]
    fn planted_words_are_found_outside_tests_and_comments() {
        let text = "//! No tokio here.\nfn f(operand: u8) -> Instant { g(\"tokio\"); Instant::now() }\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n";
        let file = SourceFile::parse("host/webhook/src/x.rs", text).unwrap_or_else(|breach| panic!("{breach}"));
        let found: Vec<_> = check_words(&file).into_iter().map(|breach| (breach.rule, breach.line)).collect();
        assert_eq!(found, [("wall", 2)]);
    }
}

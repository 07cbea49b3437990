//! The rules of the house, as a test.
//!
//! What a reviewer would have to say again and again is said here once, with the way to mend it. Each rule is a
//! checker: sources in, [`Breach`]es out; it knows no file system, so a small planted breach proves that it can fail.
//! This file walks the tree and applies all of them.
//!
//! | file | rules |
//! |---|---|
//! | `walls.rs` | which crate may depend on which, and which words may not occur in it; features named in one place |
//! | `circles.rs` | no circle among a crate's files, no child that imports its parent |
//! | `examples.rs` | an example that runs on everything that authors of plugins are shown |
//! | `shape.rs` | names, lengths, `//!`, words that mean "unfinished", `unsafe`, `tokio::spawn`, sleeping tests |
//!
//! Exceptions are data at the head of each of those files, each with its reason.

use std::path::{Path, PathBuf};

mod circles;
mod examples;
mod shape;
mod source;
mod walls;

use source::{Breach, SourceFile};

/// Crates of the host, by folder.
const CRATES: &[&str] = &["host/webhook", "host/store", "host/runtime", "host/server"];

/// Where Rust files of ours are.
const ROOTS: &[&str] = &["host", "guest-sdk", "plugins", "tests"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository is two levels up")
}

/// Files below the roots with this ending; build output and snapshots of other tools left out.
fn files(extension: &str) -> Vec<(String, String)> {
    let root = root();
    let mut found = Vec::new();
    for folder in ROOTS.iter().map(|folder| root.join(folder)).filter(|folder| folder.is_dir()) {
        let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().filter_entry(|entry| {
            let name = entry.file_name().to_string_lossy();
            !(entry.file_type().is_dir() && (name == "target" || name.starts_with('.')))
        });
        for entry in entries.map(|entry| entry.expect("the tree can be walked")) {
            let path = entry.path();
            if entry.file_type().is_file() && path.extension().is_some_and(|found| found == extension) {
                let name = path.strip_prefix(&root).expect("below the root").to_string_lossy().into_owned();
                found.push((name, std::fs::read_to_string(path).expect("sources are UTF-8")));
            }
        }
    }
    found
}

fn sources() -> Vec<SourceFile> {
    let parsed = files("rs").into_iter().map(|(path, text)| SourceFile::parse(&path, &text));
    parsed.map(|file| file.unwrap_or_else(|breach| panic!("{breach}"))).collect()
}

/// Fails with all breaches, not only the first.
fn assert_none(breaches: Vec<Breach>) {
    let list: String = breaches.iter().map(|breach| format!("\n  {breach}")).collect();
    assert!(breaches.is_empty(), "{} breach(es) of the house's rules:{list}\n", breaches.len());
}

#[test]
fn files_have_a_shape_that_people_can_read() {
    assert_none(sources().iter().flat_map(shape::check).collect());
}

#[test]
fn a_crate_has_no_circles() {
    let sources = sources();
    let in_crate = |folder: &str| {
        let src = format!("{folder}/src/");
        sources.iter().filter(|file| file.path.starts_with(&src)).collect::<Vec<_>>()
    };
    assert_none(CRATES.iter().flat_map(|folder| circles::check(folder, &in_crate(folder))).collect());
}

#[test]
fn crates_keep_to_their_side_of_the_walls() {
    assert_none(sources().iter().flat_map(walls::check_words).collect());
}

#[test]
fn what_authors_are_shown_has_an_example() {
    let sources = sources();
    assert_none(sources.iter().flat_map(examples::check).collect());
    assert_none(examples::check_modules(&sources.iter().collect::<Vec<_>>()));
}

#[test]
fn manifests_name_only_what_their_crate_may_use() {
    let manifests = files("toml").into_iter().filter(|(path, _)| path.ends_with("Cargo.toml"));
    assert_none(manifests.flat_map(|(path, text)| walls::check_manifest(&path, &text)).collect());
}

#[test]
fn the_tree_is_where_these_rules_look_for_it() {
    let sources = sources();
    for folder in CRATES {
        let library = format!("{folder}/src/lib.rs");
        assert!(
            sources.iter().any(|file| file.path == library),
            "{library} is gone: mend the list in tests/tidy/main.rs"
        );
    }
}

//! Names, lengths, headings, and words that have no place in the tree.

use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

use super::source::{Breach, SourceFile, has_word};

/// Longest file, lines: what one can read at a sitting.
const FILE_LINES_MAX: usize = 800;

/// Longest function, lines, its tests' the same: what fits on a screen.
const FUNCTION_LINES_MAX: usize = 70;

/// Names that say nothing about what is inside, and so collect everything.
const NAMES_REFUSED: &[&str] = &["util", "utils", "common", "helpers", "helper", "types", "core", "misc", "manager"];

/// Words that mean "unfinished"; split so that this file does not find itself.
const UNFINISHED: &[(&str, &str)] = &[
    (concat!("todo", "!("), "write it, or return an error that says what is missing"),
    (concat!("unimplemented", "!("), "write it, or return an error that says what is missing"),
    (concat!("dbg", "!("), "remove it, or make it a `tracing::debug!`"),
];

/// Where `unsafe` may be: Wasmtime's deserialisation needs it, and test fixtures may.
const UNSAFE_ALLOWED: &[&str] = &["host/runtime/", "tests/", "guest-sdk/"];

/// Files that may start tasks: the composition root; the accept loop uses a `JoinSet` of its own.
const SPAWN_ALLOWED: &[&str] = &[
    "host/server/src/app.rs",
    // the demo's receiver and the command line are composition roots of their own
    "host/server/src/cli/",
    "host/server/src/demo/",
    "host/server/src/demo.rs",
    // the conformance suite is a test: it needs verbs that overlap
    "host/store/src/conformance/",
];

/// Ways to sleep.
const SLEEPS: &[&str] = &["thread::sleep", "time::sleep", "sleep_until("];

/// Where the word is not a sleeping test: guests whose behaviour is to sleep.
const SLEEP_ALLOWED: &[&str] = &["tests/components/", "tests/bench/"];

/// All of this file's rules.
pub(crate) fn check(file: &SourceFile) -> Vec<Breach> {
    let mut breaches = Vec::from_iter(heading(file));
    breaches.extend(name(file));
    breaches.extend(lengths(file));
    breaches.extend(words(file));
    breaches.extend(unsafe_code(file));
    breaches.extend(spawns(file));
    breaches.extend(sleeps(file));
    breaches
}

fn heading(file: &SourceFile) -> Option<Breach> {
    let missing = !file.text.starts_with("//!");
    missing.then(|| {
        file.breach("heading", 1, "opens without `//!`; say first what the file is for and what it never does")
    })
}

fn name(file: &SourceFile) -> Option<Breach> {
    let (folder, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
    let stem = name.strip_suffix(".rs").unwrap_or(name);
    let stem = if stem == "mod" { folder.rsplit('/').next().unwrap_or(stem) } else { stem };
    if NAMES_REFUSED.contains(&stem) {
        let what = format!("`{stem}` says nothing; name the file by what its content is about");
        return Some(file.breach("name", 0, what));
    }
    let at_root = folder.ends_with("/src") && stem == "error";
    at_root.then(|| {
        file.breach("name", 0, "a crate-wide error file ties all modules together; give each module its own error enum")
    })
}

fn lengths(file: &SourceFile) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let lines = file.text.lines().count();
    if lines > FILE_LINES_MAX {
        let what = format!(
            "has {lines} lines, and {FILE_LINES_MAX} is the most; find the second subject in it and give that a file"
        );
        breaches.push(file.breach("file length", 0, what));
    }
    let mut functions = Functions(Vec::new());
    functions.visit_file(&file.tree);
    for (name, first, last) in functions.0 {
        let lines = last + 1 - first;
        if lines > FUNCTION_LINES_MAX {
            let what = format!(
                "`{name}` has {lines} lines, and {FUNCTION_LINES_MAX} is the most; name its steps and make them functions"
            );
            breaches.push(file.breach("function length", first, what));
        }
    }
    breaches
}

/// Functions with their first and last line, documentation and attributes left out.
struct Functions(Vec<(String, usize, usize)>);

impl Functions {
    fn add(&mut self, signature: &syn::Signature, end: usize) {
        self.0.push((signature.ident.to_string(), signature.span().start().line, end));
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.add(&item.sig, item.block.span().end().line);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.add(&item.sig, item.block.span().end().line);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.add(&item.sig, block.span().end().line);
        }
        visit::visit_trait_item_fn(self, item);
    }
}

fn words(file: &SourceFile) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (index, line) in file.code.iter().enumerate() {
        for (word, mend) in UNFINISHED {
            if line.contains(word) {
                breaches.push(file.breach("unfinished", index + 1, format!("`{word}…)`: {mend}")));
            }
        }
        if line.contains("#[ignore") {
            let what = "a test that is not run proves nothing; mend it or delete it";
            breaches.push(file.breach("unfinished", index + 1, what));
        }
    }
    breaches
}

fn unsafe_code(file: &SourceFile) -> Vec<Breach> {
    if file.is_test() || UNSAFE_ALLOWED.iter().any(|allowed| file.path.starts_with(allowed)) {
        return Vec::new();
    }
    let found = file.code.iter().enumerate().filter(|(_, line)| has_word(line, "unsafe"));
    let what = "`unsafe` is only for host/runtime; find the safe way, or move it there with its reason";
    found.map(|(index, _)| file.breach("unsafe", index + 1, what)).collect()
}

fn spawns(file: &SourceFile) -> Vec<Breach> {
    let ours = file.path.starts_with("host/");
    if !ours || SPAWN_ALLOWED.iter().any(|allowed| file.path.starts_with(allowed)) {
        return Vec::new();
    }
    let found = file.product_lines().filter(|(_, line)| line.contains("tokio::spawn") || line.contains("task::spawn("));
    let what = "only the composition root starts tasks; offer a future (a tick, a `run(.., shutdown)`) and let app.rs spawn it";
    found.map(|(line, _)| file.breach("spawn", line, what)).collect()
}

/// Sleeping in tests: too short it is a flake, too long it is a waste, and there is no right length.
fn sleeps(file: &SourceFile) -> Vec<Breach> {
    let ours = file.path.starts_with("host/") || file.path.starts_with("tests/");
    if !ours || SLEEP_ALLOWED.iter().any(|allowed| file.path.starts_with(allowed)) {
        return Vec::new();
    }
    let test_lines = file.code.iter().enumerate().filter(|(index, _)| file.is_test_line(index + 1));
    let found = test_lines.filter(|(_, line)| SLEEPS.iter().any(|sleep| line.contains(sleep)));
    let what = "a test does not sleep: hand it the time (`ManualClock`, `tick(now)`), or wait at a socket or a notification with a bound";
    found.map(|(index, _)| file.breach("sleep", index + 1, what)).collect()
}

#[cfg(test)]
mod planted {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<&'static str> {
        let file = SourceFile::parse(path, text).unwrap_or_else(|breach| panic!("{breach}"));
        check(&file).into_iter().map(|breach| breach.rule).collect()
    }

    const FINE: &str = "host/server/src/fine.rs";

    #[test]
    fn a_good_file_passes() {
        assert_eq!(rules(FINE, "//! Says what it is.\n// todo later\nfn f() { let _ = \"unsafe\"; }\n"), [""; 0]);
    }

    #[test]
    fn each_planted_breach_is_found() {
        assert_eq!(rules(FINE, "fn f() {}\n"), ["heading"]);
        assert_eq!(rules("host/store/src/utils.rs", "//! x\n"), ["name"]);
        assert_eq!(rules("host/store/src/common/mod.rs", "//! x\n"), ["name"]);
        assert_eq!(rules("host/store/src/error.rs", "//! x\n"), ["name"]);
        assert_eq!(rules(FINE, &format!("//! x\n{}", "\n".repeat(800))), ["file length"]);
        let long = format!("//! x\nstruct S;\nimpl S {{\n    fn f() {{{}    }}\n}}\n", "\n".repeat(70));
        assert_eq!(rules(FINE, &long), ["function length"]);
        assert_eq!(rules(FINE, "//! x\nfn f() { todo!() }\n"), ["unfinished"]);
        assert_eq!(rules(FINE, "//! x\n#[test]\n#[ignore]\nfn f() { dbg!(1); }\n"), ["unfinished", "unfinished"]);
        assert_eq!(rules(FINE, "//! x\nfn f() { unsafe { g() } }\n"), ["unsafe"]);
        assert_eq!(rules("host/runtime/src/cache.rs", "//! x\nfn f() { unsafe { g() } }\n"), [""; 0]);
        assert_eq!(rules(FINE, "//! x\nfn f() { tokio::spawn(g()); }\n"), ["spawn"]);
        assert_eq!(rules("host/server/src/app.rs", "//! x\nfn f() { tokio::spawn(g()); }\n"), [""; 0]);
        assert_eq!(rules(FINE, "//! x\n#[test]\nfn f() { std::thread::sleep(D); }\n"), ["sleep"]);
        assert_eq!(rules(FINE, "//! x\nfn f() { std::thread::sleep(D); }\n"), [""; 0]);
    }
}

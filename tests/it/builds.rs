//! Every build of the program decides alike: outcome, log, fuel and memory are the same to the last byte and unit when
//! another build of the host runs the very same component.
//!
//! `creel test` runs every first-party plugin on each of its cases, and guests that ask for what could differ. The cases
//! expect what never comes, so that the program tells the whole of what came instead. `CREEL_TEST_RELEASE_BINARY` names a
//! release build to compare with, which `.ci/run` has made by then; without it, two processes of the one build are compared.
//!
//! One figure is no part of that: the fuel of a run that overflows its stack. How deep a guest gets depends on the frames of
//! the host's code below it, which the compiler of the host lays out; by then some more or less instructions were run.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::command::{by, shipped};
use crate::harness::guests::{checkout, guest, plugin};
use crate::harness::written;

/// Attackers whose runs end by limits and traps: these too end the same.
const ATTACKERS: [&str; 4] = ["deep-recursion", "log-flood", "memory-growth", "host-call-storm"];

/// The attacker whose fuel is another one in another build.
const OVERFLOWS: &str = "hostile/deep-recursion";

/// What no plugin rejects an event with.
const NEVER: &str = "nothing is rejected with this reason";

/// A component in a file, and cases beside it.
struct Subject {
    name: String,
    folder: TempDir,
}

impl Subject {
    fn new(name: &str, component: &Bytes, cases: &[(String, Value)]) -> Subject {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("plugin.wasm"), component).unwrap();
        std::fs::create_dir(folder.path().join("cases")).unwrap();
        for (case, told) in cases {
            let mut told = told.clone();
            let state = told["expect"].get("state").cloned().unwrap_or_else(|| json!({}));
            told["expect"] = json!({ "reject": NEVER, "state": state });
            std::fs::write(folder.path().join("cases").join(case), told.to_string()).unwrap();
        }
        Subject { name: name.to_owned(), folder }
    }

    /// What a build of the program makes of it, but for the time that it took.
    async fn told_by(&self, program: &Path) -> Value {
        let directory = self.folder.path().display().to_string();
        let component = self.folder.path().join("plugin.wasm").display().to_string();
        let said = by(program, Path::new("."), &["--json", "test", &directory, "--component", &component], &[]).await;
        let mut tested: Value = serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"));
        for case in tested["cases"].as_array_mut().expect("cases") {
            let usage = case["usage"].as_object_mut().expect("what it used");
            usage.retain(|what, _| !what.ends_with("_us"));
            assert!(usage["fuel"].as_u64() > Some(1_000), "{}: {usage:?}", self.name);
            usage.retain(|what, _| what != "fuel" || self.name != OVERFLOWS);
            assert_ne!(case["differences"], json!([]), "{}: nothing is told: {case}", self.name);
        }
        tested
    }
}

fn first_party() -> Vec<Subject> {
    let all = std::fs::read_dir(checkout().join("plugins")).unwrap().map(|entry| entry.unwrap().path());
    let subject = |folder: PathBuf| {
        let files = std::fs::read_dir(folder.join("cases")).ok()?.map(|entry| entry.unwrap().path());
        let case = |file: PathBuf| {
            let name = file.file_name().expect("a name").to_string_lossy().into_owned();
            (name, serde_json::from_slice(&std::fs::read(&file).unwrap()).expect("a case is JSON"))
        };
        let name = folder.file_name().expect("a name").to_string_lossy();
        Some(Subject::new(&name, &plugin(&name), &files.map(case).collect::<Vec<_>>()))
    };
    all.filter_map(subject).collect()
}

fn fixtures() -> Vec<Subject> {
    let case = |more: Value| {
        let mut case = json!({ "event": { "kind": "order.paid", "json": { "id": 42 } }, "expect": {} });
        case.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        ("order.json".to_owned(), case)
    };
    let looked_up = json!({
        "config": { "times": "2", "path": "/1" },
        "fetch": [{ "destination": "receiver", "path": "/1", "status": 200, "json": { "name": "Ada" } }],
    });
    let remembered = json!({ "state": { "runs": "41" }, "expect": { "state": { "runs": null } } });
    let mut all = vec![
        Subject::new("unordered", &guest("unordered"), &[case(json!({}))]),
        Subject::new("looks-up", &guest("looks-up"), &[case(looked_up)]),
        Subject::new("remembers", &guest("remembers"), &[case(remembered)]),
    ];
    let written = ["determined/probes"].into_iter().map(str::to_owned);
    for name in written.chain(ATTACKERS.map(|name| format!("hostile/{name}"))) {
        let path = checkout().join("tests/components").join(&name).with_extension("wat");
        let upload = written::upload(&std::fs::read_to_string(path).unwrap()).unwrap();
        all.push(Subject::new(&name, &upload, &[case(json!({}))]));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_comes_to_the_same_in_every_build_of_the_host() {
    let (this, other) = (PathBuf::from(env!("CARGO_BIN_EXE_creel")), shipped());
    let (plugins, fixtures) = (first_party(), fixtures());
    assert!(plugins.len() >= 7, "first-party plugins have cases");
    let mut done = 0;
    for subject in plugins.iter().chain(&fixtures) {
        let (here, there) = tokio::join!(subject.told_by(&this), subject.told_by(&other));
        assert_eq!(here, there, "{} in {}", subject.name, other.display());
        done += here["cases"].as_array().unwrap().iter().filter(|case| case["verdict"] == "done").count();
    }
    assert!(done > 30, "most runs come to an outcome: {done}");
}

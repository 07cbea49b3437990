//! An attacker as it is written down in `tests/components/hostile`, and how it becomes an upload.

use std::path::Path;

use bytes::Bytes;
use creel_webhook::run::Verdict;
use serde_json::{Map, Value, json};

use crate::harness::guests::checkout;
use crate::harness::written::upload;

/// Fuel of an attacker's run unless it says otherwise: a host without optimisation takes seconds for the calls that the
/// default pays for.
const FUEL_MAX: u64 = 50_000_000;

/// Time of an attacker's run unless it says otherwise: it is to fall by what it does, not by how busy the machine is.
const RUN_TIMEOUT_MS: u64 = 60_000;

/// Somebody hostile, and where it must fall.
pub(super) struct Attacker {
    /// The file's name.
    pub(super) name: String,
    /// What is uploaded.
    pub(super) upload: Bytes,
    /// The part of the gate that refuses it; `run` and `outcome` when it gets that far.
    pub(super) gate: String,
    /// How its run ends.
    pub(super) verdict: Option<Verdict>,
    /// What the reason says; each line is one text or another (`|`).
    pub(super) says: Vec<String>,
    /// Its tenant's limits.
    pub(super) limits: Map<String, Value>,
}

impl Attacker {
    /// Whether it gets as far as running.
    pub(super) fn runs(&self) -> bool {
        self.verdict.is_some()
    }

    /// Fails unless the reason says what it must.
    pub(super) fn assert_told(&self, reason: &str) {
        for line in &self.says {
            assert!(line.split('|').any(|text| reason.contains(text)), "{}: `{line}` in: {reason}", self.name);
        }
        assert!(
            reason.len() <= 4_096 && !reason.chars().any(|c| c.is_control() && c != '\n'),
            "{}: {reason:?}",
            self.name
        );
    }
}

/// All that are written down, by name.
pub(super) fn attackers() -> Vec<Attacker> {
    let folder = checkout().join("tests/components/hostile");
    let files = std::fs::read_dir(&folder).expect("the folder is there").map(|entry| entry.unwrap().path());
    let mut all: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|end| end == "wat")).map(|path| read(&path)).collect();
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}

fn read(path: &Path) -> Attacker {
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    let text = std::fs::read_to_string(path).unwrap();
    let mut attacker = Attacker {
        upload: Bytes::new(),
        gate: String::new(),
        verdict: None,
        says: Vec::new(),
        limits: json!({ "fuel_max": FUEL_MAX, "run_timeout_ms": RUN_TIMEOUT_MS }).as_object().unwrap().clone(),
        name,
    };
    for line in text.lines().filter_map(|line| line.strip_prefix(";; ")) {
        let Some((key, value)) = line.split_once(": ") else { continue };
        match key {
            "gate" => attacker.gate = value.to_owned(),
            "verdict" => attacker.verdict = Some(verdict(value)),
            "says" => attacker.says.push(value.to_owned()),
            "limit" => {
                let (limit, number) = value.split_once(" = ").expect("`limit: name = number`");
                attacker.limits.insert(limit.to_owned(), json!(number.parse::<u64>().unwrap()));
            }
            _ => {}
        }
    }
    assert_eq!(attacker.runs(), matches!(attacker.gate.as_str(), "run" | "outcome"), "{}", attacker.name);
    attacker.upload = upload(&text).unwrap_or_else(|error| panic!("{}: {error:#}", attacker.name));
    attacker
}

fn verdict(word: &str) -> Verdict {
    serde_json::from_value(json!(word)).unwrap_or_else(|_| panic!("`{word}` is no verdict"))
}

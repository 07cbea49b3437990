//! An attacker as it is written down in `tests/components/hostile`, and how it becomes an upload.

use std::path::Path;

use bytes::Bytes;
use creel_webhook::run::Verdict;
use serde_json::{Map, Value, json};
use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::harness::guests::checkout;

/// Fuel of an attacker's run unless it says otherwise: a host without optimisation takes seconds for the calls that the
/// default pays for.
const FUEL_MAX: u64 = 50_000_000;

/// What a core module has that does not bring its own.
const MEMORY: &str = r#"(memory (export "memory") 4)"#;

/// Memory for the event, from the second page on, never given back.
const REALLOC: &str = r#"
    (global $next (mut i32) (i32.const 65536))
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $next) (i32.const 15)) (i32.const -16)))
      (global.set $next (i32.add (local.get $at) (local.get 3)))
      (local.get $at))"#;

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
        limits: json!({ "fuel_max": FUEL_MAX }).as_object().unwrap().clone(),
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

/// A component as it is; of anything else a core module with the type of a plugin, which the host wraps.
fn upload(text: &str) -> anyhow::Result<Bytes> {
    if text.lines().any(|line| line.starts_with("(component")) {
        return Ok(wat::parse_str(text)?.into());
    }
    let memory = if text.contains("(export \"memory\")") { "" } else { MEMORY };
    let realloc = if text.contains("cabi_realloc") { "" } else { REALLOC };
    typed(&wat::parse_str(format!("(module {text}\n{memory}{realloc})"))?)
}

/// A core module with the component type of `world.wit` in it.
pub(super) fn typed(module: &[u8]) -> anyhow::Result<Bytes> {
    let mut wit = Resolve::default();
    wit.push_path(checkout().join("wit"))?;
    let world = checkout().join("tests/components/hostile/world.wit");
    let package = wit.push_str("world.wit", &std::fs::read_to_string(world)?)?;
    let world = wit.select_world(&[package], Some("creel:attackers/attacker@0.1.0"))?;
    let mut module = module.to_vec();
    embed_component_metadata(&mut module, &wit, world, StringEncoding::UTF8)?;
    Ok(module.into())
}

//! `docs/providers.md` is what the presets say. `CREEL_BLESS=1` writes it anew.

use std::path::PathBuf;

use creel_webhook::catalogue::{facts, markdown};
use creel_webhook::preset::{Replay, presets};

#[test]
fn the_documented_table_is_the_presets_own() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/providers.md");
    let made = markdown();
    if std::env::var_os("CREEL_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == made, "docs/providers.md is not what the presets say; run this test with CREEL_BLESS=1");
}

#[test]
fn a_table_without_holes() {
    for preset in presets() {
        let facts = facts(preset);
        assert!(!facts.auth.is_empty() && !facts.reply.is_empty(), "{facts:?}");
        assert_eq!(facts.covers.contains(&"time"), preset.replay == Replay::Window, "{}", preset.name);
        let both = facts.covers.iter().any(|part| facts.not_covered.iter().any(|open| open == part));
        assert!(!both, "{facts:?}");
    }
}

/// What a sender of a stolen request could change. A preset that covers less than before is a decision, not an accident.
#[test]
fn presets_leave_open_what_is_known_to_be_open() {
    let open = |name: &str| facts(creel_webhook::preset::preset(name).unwrap()).not_covered;
    assert_eq!(open("stripe"), ["URL", "method"]);
    assert_eq!(open("hubspot"), Vec::<String>::new());
    assert_eq!(open("twilio"), ["ends of form names", "method", "header:i-twilio-idempotency-token"]);
    assert_eq!(open("github"), ["URL", "method", "header:x-github-delivery", "header:x-github-event"]);
    assert_eq!(open("standard-webhooks"), ["URL", "method"]);
    assert_eq!(open("bearer"), ["body", "URL", "method"]);
}

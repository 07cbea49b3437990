//! Identity and replies as a route sees them: what is a repetition, and what a caller hears when nobody answers.

use bytes::Bytes;
use creel_webhook::clock::Timestamp;
use creel_webhook::event::EventDraft;
use creel_webhook::identity::{IdentityRules, identify};
use creel_webhook::preset::{preset, presets};
use creel_webhook::provider::Provider;
use creel_webhook::reply::{acknowledgement, fallback, is_sync, reply_deadline_ms};
use creel_webhook::request::RawRequest;
use creel_webhook::signature::verdict::Verified;
use serde_json::{Value, json};

fn provider(name: &str) -> &'static Provider {
    &preset(name).unwrap().provider
}

fn request(headers: &[(&str, &str)], body: &str) -> RawRequest {
    RawRequest {
        method: "POST".to_owned(),
        path: "/".to_owned(),
        query: None,
        headers: headers.iter().map(|(name, value)| ((*name).into(), Bytes::from((*value).to_owned()))).collect(),
        body: Bytes::from(body.to_owned()),
        received_at: Timestamp::default(),
    }
}

fn signed(signature: u8) -> Verified {
    Verified { body_covered: true, signature: Some(vec![signature; 32]), ..Verified::default() }
}

fn event(name: &str, headers: &[(&str, &str)], body: &str, rules: &IdentityRules) -> EventDraft {
    identify(provider(name), &request(headers, body), &signed(1), rules).remove(0)
}

fn keys(name: &str, headers: &[(&str, &str)], body: &str) -> Vec<[u8; 32]> {
    event(name, headers, body, &IdentityRules::default()).dedup_keys
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

#[test]
fn an_unsigned_id_does_not_let_a_replay_through() {
    let first = keys("github", &[("x-github-delivery", "a")], "{}");
    let replayed = keys("github", &[("x-github-delivery", "b")], "{}");
    let other = keys("github", &[("x-github-delivery", "c")], "{ }");
    assert_eq!((first.len(), replayed.len()), (2, 2));
    assert_ne!(first[0], replayed[0]);
    assert_eq!(first[1], replayed[1]);
    assert_ne!(first[1], other[1]);
}

#[test]
fn the_same_id_at_two_providers_is_two_keys() {
    assert_eq!(keys("stripe", &[], r#"{"id":"1"}"#), keys("stripe", &[], r#"{"id":"1","x":2}"#));
    assert_ne!(keys("stripe", &[], r#"{"id":"1"}"#), keys("pagerduty", &[], r#"{"event":{"id":"1"}}"#));
}

#[test]
fn live_calls_may_say_the_same_thing_twice() {
    let gather = "CallSid=CA1&CallStatus=in-progress&Digits=1";
    assert!(keys("twilio", &[FORM], gather).is_empty());
    assert_eq!(keys("twilio", &[FORM, ("i-twilio-idempotency-token", "t")], gather).len(), 1);
    let ask = r#"{"message":{"type":"assistant-request","call":{"id":"c"},"timestamp":1}}"#;
    let drafted = event("vapi-hmac", &[], ask, &IdentityRules::default());
    assert!(drafted.dedup_keys.is_empty() && drafted.provider_id.is_some());
    let tool = r#"{"message":{"type":"tool-calls","call":{"id":"c"},"toolCallList":[{"id":"t"}]}}"#;
    assert_eq!(keys("vapi-hmac", &[], tool).len(), 1);
    assert!(keys("retell", &[], r#"{"name":"lookup","event":"x","call":{"call_id":"c"}}"#).is_empty());
}

#[test]
fn the_operator_has_the_last_word() {
    let rules = |value: Value| serde_json::from_value::<IdentityRules>(value).unwrap();
    let body = r#"{"order":{"id":7,"kind":"paid"}}"#;
    assert!(event("generic-hmac", &[], body, &rules(json!({}))).dedup_keys.is_empty());
    let set = rules(json!({"id": ["json:/order/id"], "kind": "json:/order/kind", "subject": "json:/order/id",
        "order": "json:/order/id"}));
    let drafted = event("generic-hmac", &[], body, &set);
    assert_eq!((drafted.provider_id.as_deref(), drafted.kind.as_str()), (Some("7"), "paid"));
    assert_eq!((drafted.subject.as_deref(), drafted.order_key.as_deref()), (Some("7"), Some("7")));
    assert_eq!(drafted.dedup_keys.len(), 1);
    let off = event("stripe", &[], r#"{"id":"evt_1"}"#, &rules(json!({"dedup": false})));
    assert!(off.dedup_keys.is_empty() && off.provider_id.is_some());
}

#[test]
fn items_of_a_batch_are_events_with_pointers() {
    let body = r#"[{"sg_event_id":"a","event":"open"},{"sg_event_id":"b","event":"click"}]"#;
    let drafts = identify(provider("sendgrid"), &request(&[], body), &signed(1), &IdentityRules::default());
    let pointers: Vec<_> = drafts.iter().map(|draft| draft.pointer.as_deref().unwrap()).collect();
    assert_eq!(pointers, ["/0", "/1"]);
    assert_eq!(drafts[1].kind, "click");
    for odd in ["[]", "{}", "nonsense"] {
        let drafts = identify(provider("sendgrid"), &request(&[], odd), &signed(1), &IdentityRules::default());
        assert_eq!((drafts.len(), drafts[0].pointer.as_deref()), (1, None), "{odd}");
    }
}

#[test]
fn long_ids_are_hashed_and_long_types_cut() {
    let body = json!({"id": "x".repeat(9_000), "type": "é".repeat(400)}).to_string();
    let drafted = event("stripe", &[], &body, &IdentityRules::default());
    assert!(drafted.provider_id.unwrap().starts_with("sha256:"));
    assert_eq!(drafted.kind.len(), 512);
}

#[test]
fn who_waits_hears_something_valid() {
    let cases = [
        ("vapi-secret", "assistant-request", Some(6_000), true),
        ("vapi-secret", "status-update", None, false),
        ("twilio", "ringing", Some(12_000), true),
        ("twilio", "", Some(12_000), true),
        ("twilio", "completed", None, false),
        ("retell", "call_inbound", Some(8_000), true),
        ("retell", "call_ended", None, false),
        ("retell", "book_slot", Some(8_000), true),
        ("slack", "app_mention", Some(2_000), false),
        ("discord", "2", Some(2_000), true),
        ("zoom", "meeting.started", Some(2_000), false),
        ("github", "push", None, false),
    ];
    for (name, kind, budget, sync) in cases {
        assert_eq!(reply_deadline_ms(provider(name), kind), budget, "{name} {kind}");
        assert_eq!(is_sync(provider(name), kind), sync, "{name} {kind}");
    }
    let tools = r#"{"message":{"toolCallList":[{"id":"call_1"},{"id":"call_2"}]}}"#;
    let answer = fallback(provider("vapi-hmac"), "tool-calls", &Bytes::from(tools));
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(body["results"][1]["toolCallId"], "call_2");
    assert!(body["results"][0]["error"].is_string());
    let empty = fallback(provider("vapi-hmac"), "tool-calls", &Bytes::from_static(b"nonsense"));
    assert_eq!(empty.body, r#"{"results":[]}"#);
    let twiml = fallback(provider("twilio"), "ringing", &Bytes::new());
    assert_eq!(twiml.header("content-type"), Some("text/xml"));
    assert!(twiml.body.ends_with(b"<Response/>"));
    assert_eq!(fallback(provider("discord"), "2", &Bytes::new()).body, r#"{"type":5}"#);
}

#[test]
fn acknowledgements_are_two_hundreds_and_budgets_leave_a_margin() {
    for preset in presets() {
        for kind in ["", "push", "tool-calls", "2"] {
            let answer = acknowledgement(&preset.provider, kind);
            assert!((200..300).contains(&answer.status), "{} {kind}", preset.name);
        }
        for rule in &preset.provider.reply.rules {
            let latest = preset.provider.reply.deadline_ms.unwrap_or(30_000);
            assert!(rule.budget_ms.is_none_or(|budget| budget < latest), "{}: {}", preset.name, rule.types);
            assert!(!rule.sync || rule.budget_ms.is_some() && rule.fallback.is_some(), "{}", preset.name);
        }
    }
    assert_eq!(acknowledgement(provider("microsoft-graph"), "created").status, 202);
    assert_eq!(acknowledgement(provider("discord"), "APPLICATION_AUTHORIZED").status, 204);
    assert_eq!(acknowledgement(provider("retell"), "call_ended").status, 204);
}

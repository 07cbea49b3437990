//! Repetitions: told what the first was told, and nothing happens twice.

use creel_webhook::run::Verdict;
use futures_util::future::join_all;
use serde_json::json;

use crate::harness::command::within;
use crate::harness::host::Host;
use crate::harness::sender::Webhook;

const SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS1vcmRlcnMtMDAwMDE=";
/// Turns of the fixture `late` that take some tenths of a second.
const A_WHILE: &str = "100000000";

#[tokio::test(flavor = "multi_thread")]
async fn the_same_id_again_is_told_the_same_and_runs_nothing() {
    let host = Host::open().await;
    let tenant = host.tenant("calls").await;
    let source = tenant.source("retell", "retell", "retell-key").await;
    tenant.receiver(&host).await;
    tenant.deploy("echo", "echo", json!({})).await;
    tenant.route("retell", "echo").await;

    let ended = Webhook::json("retell", "retell-key", "", r#"{"event":"call_ended","call":{"call_id":"c1"}}"#);
    let first = host.send(&source, &ended).await;
    let second = host.send(&source, &ended.clone().aged(1)).await;
    assert_eq!((first.status, &first), (204, &second));
    let story = tenant.settled().await;
    assert_eq!((story.duplicates, story.runs.len()), (1, 1));
    assert_eq!((tenant.events().await.len(), host.receiver.arrived().len()), (1, 1));
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_under_another_unsigned_id_is_known_by_its_signature() {
    let host = Host::open().await;
    let tenant = host.tenant("acme").await;
    let source = tenant.source("github", "github", "push-secret").await;
    let push = Webhook::json("github", "push-secret", "one", r#"{"ref":"main"}"#);
    assert_eq!(host.send(&source, &push).await.status, 200);
    let replayed = Webhook::json("github", "push-secret", "two", r#"{"ref":"main"}"#);
    assert_eq!(host.send(&source, &replayed).await.status, 200);
    assert_eq!((tenant.events().await.len(), tenant.story().await.duplicates), (1, 1));
    host.finish().await;
}

/// Their ids are not signed, so that a second body that was the same would be a repetition under any id.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_sample_is_another_event_and_a_kept_one_a_repetition() {
    let host = Host::open().await;
    let tenant = host.tenant("acme").await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret"), "push-secret").unwrap();
    for (preset, event, expected) in [("github", "pull_request", 3), ("shopify", "orders/create", 6)] {
        let to = host.url(&tenant.source(preset, preset, "push-secret").await);
        for more in ["", "", "--keep-ids", "--keep-ids"] {
            let typed = format!("trigger {preset} {event} --to {to} --secret-file secret {more}");
            let words: Vec<&str> = typed.split_whitespace().collect();
            let said = within(folder.path(), &words, &[]).await;
            assert_eq!(said.code, Some(0), "{said:?}");
        }
        assert_eq!((tenant.events().await.len(), tenant.story().await.duplicates), (expected, 1), "{preset}");
    }
    host.finish().await;
}

/// A notice says whose files changed, and no more: the next change has the same body.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_notice_of_dropbox_is_another_event() {
    let host = Host::open().await;
    let tenant = host.tenant("acme").await;
    let source = tenant.source("dropbox", "dropbox", "app-secret").await;
    let changed = Webhook::json("dropbox", "app-secret", "", r#"{"list_folder":{"accounts":["dbid:A"]}}"#);
    assert_eq!(host.send(&source, &changed).await.status, 200);
    assert_eq!(host.send(&source, &changed).await.status, 200);
    assert_eq!(tenant.events().await.len(), 2);
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_at_once_are_one_event() {
    let host = Host::open().await;
    let tenant = host.tenant("shop").await;
    let source = tenant.source("orders", "standard-webhooks", SECRET).await;
    tenant.receiver(&host).await;
    tenant.deploy("echo", "echo", json!({})).await;
    tenant.route("orders", "echo").await;

    let order = Webhook::json("standard-webhooks", SECRET, "msg_1", r#"{"type":"order.paid"}"#);
    let told = join_all((0..20).map(|_| host.send(&source, &order))).await;
    assert!(told.iter().all(|answer| answer == &told[0] && answer.status == 200), "{told:?}");
    let story = tenant.settled().await;
    assert_eq!((story.duplicates, story.runs.len(), story.deliveries.len()), (19, 1, 1));
    assert_eq!((tenant.events().await.len(), host.receiver.arrived().len()), (1, 1));
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_of_an_undecided_request_waits_for_the_same_bytes() {
    let host =
        Host::with(|config| (config.limits.fuel_max, config.limits.fuel_per_second) = (10_000_000_000, u64::MAX)).await;
    let tenant = host.tenant("shop").await;
    let source = tenant.source("orders", "standard-webhooks", SECRET).await;
    tenant.receiver(&host).await;
    tenant.deploy("late", "late", json!({ "iterations": A_WHILE })).await;
    tenant.reply_route("orders", "late").await;

    let order = Webhook::json("standard-webhooks", SECRET, "msg_1", r#"{"type":"order.paid"}"#);
    let told = join_all((0..8).map(|_| host.send(&source, &order))).await;
    assert!(told[0].body.contains(A_WHILE), "the plugin's answer, not a fallback: {told:?}");
    assert!(told.iter().all(|answer| answer == &told[0]), "{told:?}");
    assert_eq!(host.send(&source, &order).await, told[0], "and later, from the store");
    let story = tenant.settled().await;
    assert_eq!((story.duplicates, story.runs.len()), (8, 1));
    assert_eq!(story.runs[0].verdict, Some(Verdict::Done));
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_live_calls_with_the_same_words_are_two() {
    let host = Host::open().await;
    let tenant = host.tenant("calls").await;
    let source = tenant.source("vapi", "vapi-secret", "vapi-token").await;
    tenant.receiver(&host).await;
    tenant.deploy("echo", "echo", json!({ "reply": "true" })).await;
    tenant.reply_route("vapi", "echo").await;

    let body = r#"{"message":{"type":"assistant-request","call":{"id":"c1"}}}"#;
    let asked = Webhook::json("vapi-secret", "vapi-token", "", body);
    assert_eq!(host.send(&source, &asked).await.status, 200);
    assert_eq!(host.send(&source, &asked).await.status, 200);
    assert_eq!(tenant.events().await.len(), 2);
    tenant.settled().await;
    host.finish().await;
}

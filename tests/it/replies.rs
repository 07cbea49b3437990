//! Senders that wait: the plugin's answer in time, or one that the provider understands; decided once, and kept.

use std::time::{Duration, Instant};

use creel_store::contract::DeliveryState;
use creel_webhook::run::Verdict;
use serde_json::{Value, json};

use crate::harness::host::Host;
use crate::harness::sender::{Answer, Webhook};
use crate::harness::tenant::Tenant;
use crate::harness::wait::until;

/// What Twilio is told when nobody answers: a document that ends the call politely.
const EMPTY_TWIML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response/>";
/// Turns of the fixture `late` that take longer than [`SOON`], whatever the machine.
const TOO_LONG: &str = "400000000";
/// A deadline that `late` misses, milliseconds.
const SOON: u64 = 60;

/// A host with a tenant whose source `voice` waits for the plugin `desk`, at most [`SOON`].
async fn impatient(fixture: &str, config: Value, route: Value) -> (Host, Tenant, String) {
    let host =
        Host::with(|config| (config.limits.fuel_max, config.limits.fuel_per_second) = (100_000_000_000, u64::MAX))
            .await;
    let tenant = host.tenant("voice").await;
    let source = tenant.source_with("voice", "twilio", "auth-token", json!({ "reply_deadline_ms": SOON })).await;
    tenant.receiver(&host).await;
    tenant.deploy("desk", fixture, config).await;
    tenant.route_with("voice", "desk", route).await;
    (host, tenant, source)
}

fn assert_fallback(told: &Answer) {
    assert_eq!((told.status, told.content_type.as_deref(), told.body.as_str()), (200, Some("text/xml"), EMPTY_TWIML));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_in_time_is_the_plugins() {
    let host = Host::open().await;
    let tenant = host.tenant("calls").await;
    let source = tenant.source("vapi", "vapi-hmac", "vapi-key").await;
    tenant.receiver(&host).await;
    tenant.deploy("desk", "echo", json!({ "reply": "true", "greeting": "hello" })).await;
    tenant.reply_route("vapi", "desk").await;

    let body = r#"{"message":{"type":"assistant-request","call":{"id":"c1"}}}"#;
    let told = host.send(&source, &Webhook::json("vapi-hmac", "vapi-key", "", body)).await;
    assert_eq!((told.status, told.content_type.as_deref()), (200, Some("application/json")));
    let seen: Value = serde_json::from_str(&told.body).unwrap();
    assert_eq!((&seen["kind"], &seen["subject"]), (&json!("assistant-request"), &json!("c1")));
    assert_eq!((&seen["text"], &seen["config"][0]), (&json!(body), &json!(["greeting", "hello"])));

    let story = tenant.settled().await;
    assert_eq!(story.answer.expect("what the sender was told").body, told.body);
    assert_eq!(story.runs[0].verdict, Some(Verdict::Done));
    assert_eq!(story.deliveries[0].state, DeliveryState::Delivered, "its calls are made as well");
    host.finish().await;
}

/// A run begins while its request is being stored, and goes with a request that is not.
#[tokio::test(flavor = "multi_thread")]
async fn what_began_beside_a_repetition_is_thrown_away() {
    let host = Host::open().await;
    let tenant = host.tenant("voice").await;
    let source = tenant.source("voice", "twilio", "auth-token").await;
    tenant.receiver(&host).await;
    tenant.deploy("desk", "echo", json!({ "reply": "true" })).await;
    tenant.reply_route("voice", "desk").await;
    let told = host.send(&source, &Webhook::ringing("1")).await;
    let again = host.send(&source, &Webhook::ringing("1")).await;
    assert_eq!((told.status, &told.body), (again.status, &again.body));

    let story = tenant.settled().await;
    assert_eq!((story.runs.len(), story.duplicates, story.deliveries.len()), (1, 1, 1));
    let metrics = host.api.request(reqwest::Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    for line in ["creel_runs_thrown_away_total 1", "creel_runs_total{verdict=\"done\"} 1"] {
        assert!(metrics.lines().any(|found| found == line), "`{line}` in {metrics}");
    }
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_plugin_is_answered_for_in_time_and_its_calls_are_dropped() {
    let (host, tenant, source) = impatient("late", json!({ "iterations": TOO_LONG }), json!({ "mode": "reply" })).await;
    let call = Webhook::ringing("1");
    assert_fallback(&host.send(&source, &call).await);
    assert_fallback(&host.send(&source, &call).await);

    let story = tenant.settled().await;
    assert_eq!((story.runs[0].verdict, story.duplicates), (Some(Verdict::Late), 1));
    assert!(story.runs[0].usage.cpu_us > SOON * 1_000, "it did miss the deadline: {:?}", story.runs[0].usage);
    assert!(story.deliveries.is_empty(), "{:?}", story.deliveries);
    assert_eq!(story.answer.expect("what the sender was told").body, EMPTY_TWIML);
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_may_keep_what_came_late() {
    let route = json!({ "mode": "reply", "late": "keep" });
    let (host, tenant, source) = impatient("late", json!({ "iterations": TOO_LONG }), route).await;
    assert_fallback(&host.send(&source, &Webhook::ringing("1")).await);
    assert_eq!(tenant.delivered().await.state, DeliveryState::Delivered);
    assert_eq!(tenant.decided().await.verdict, Some(Verdict::Late));
    assert_eq!(host.receiver.only().request.path, "/late");
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_fails_is_answered_for_at_once() {
    for (fixture, verdict) in
        [("panics", Verdict::Trap), ("rejects", Verdict::Rejected), ("asks-retry", Verdict::Retry)]
    {
        let host = Host::open().await;
        let tenant = host.tenant("voice").await;
        let patient = json!({ "reply_deadline_ms": 60_000 });
        let source = tenant.source_with("voice", "twilio", "auth-token", patient).await;
        tenant.receiver(&host).await;
        tenant.deploy("desk", fixture, json!({})).await;
        tenant.reply_route("voice", "desk").await;
        let began = Instant::now();
        assert_fallback(&host.send(&source, &Webhook::ringing("1")).await);
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{fixture}: nobody waits for a deadline that is a minute away"
        );
        assert_eq!(tenant.decided().await.verdict, Some(verdict), "{fixture}");
        host.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sources_own_fallback_goes_before_the_providers() {
    let host = Host::open().await;
    let tenant = host.tenant("voice").await;
    let own = json!({ "fallback": { "status": 503, "content_type": "text/plain", "body": "call again" } });
    let source = tenant.source_with("voice", "twilio", "auth-token", own).await;
    tenant.receiver(&host).await;
    tenant.deploy("desk", "panics", json!({})).await;
    tenant.reply_route("voice", "desk").await;
    let told = host.send(&source, &Webhook::ringing("1")).await;
    assert_eq!((told.status, told.body.as_str()), (503, "call again"));
    tenant.settled().await;
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_free_slot_the_fallback_comes_at_the_deadline() {
    let host = Host::with(|config| {
        config.runtime.reply_slots = 1;
        (config.limits.fuel_max, config.limits.fuel_per_second) = (100_000_000_000, u64::MAX);
    })
    .await;
    let tenant = host.tenant("voice").await;
    let source = tenant.source_with("voice", "twilio", "auth-token", json!({ "reply_deadline_ms": SOON })).await;
    tenant.receiver(&host).await;
    tenant.deploy("desk", "late", json!({ "iterations": "1200000000" })).await;
    tenant.reply_route("voice", "desk").await;

    // The first holds the only slot until its run ends, long after its sender was answered.
    assert_fallback(&host.send(&source, &Webhook::ringing("1")).await);
    assert_fallback(&host.send(&source, &Webhook::ringing("2")).await);
    let second = tenant.decided().await;
    assert_eq!((second.verdict, second.deployment), (Some(Verdict::Unanswered), None), "{second:?}");
    assert!(second.reason.as_deref().is_some_and(|reason| reason.contains("reply_slots")), "{second:?}");

    tenant.deploy("desk", "echo", json!({})).await;
    let replayed = tenant.replay(&second).await;
    assert_eq!(replayed.verdict, Some(Verdict::Done), "{replayed:?}");
    until(
        "the first run's end",
        || tenant.api.list("/v1/tenants/voice/runs"),
        |runs| runs.iter().all(|run| !run["ended_at"].is_null()),
    )
    .await;
    tenant.settled().await;
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_between_accept_and_answer_leaves_a_run_to_replay() {
    let (host, tenant, source) =
        impatient("late", json!({ "iterations": "1600000000" }), json!({ "mode": "reply" })).await;
    assert_fallback(&host.send(&source, &Webhook::ringing("1")).await);
    assert_eq!(tenant.story().await.runs[0].ended_at, None, "it is still running");

    let (home, receiver) = host.kill().await;
    let host = home.serve(receiver).await;
    let tenant = tenant.at(&host);
    let run = tenant.decided().await;
    assert_eq!(run.verdict, Some(Verdict::Unanswered), "past its deadline it is not run again: {run:?}");
    assert!(host.receiver.arrived().is_empty());

    tenant.deploy("desk", "echo", json!({})).await;
    assert_eq!(tenant.replay(&run).await.verdict, Some(Verdict::Done));
    host.receiver.arrivals(1).await;
    host.finish().await;
}

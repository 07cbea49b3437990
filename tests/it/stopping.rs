//! The program is asked to stop by a signal: it takes no more, finishes what it can within its bound, gives back what it
//! can't, and ends. Asked twice, it ends at once.

use std::time::{Duration, Instant};

use creel_server::api::{List, RunView, StoryView};
use creel_server::shutdown::ENDED_AT_ONCE;
use creel_store::contract::DeliveryState;
use creel_webhook::delivery::Answer;
use creel_webhook::run::Verdict;
use serde_json::json;

use crate::harness::host::{Host, client};
use crate::harness::process::{Place, Process};
use crate::harness::receiver::Receiver;
use crate::harness::sender::Webhook;
use crate::harness::tenant::Tenant;
use crate::harness::wait::until;

const SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS1vcmRlcnMtMDAwMDE=";

/// So that nothing ends by itself before it is cut off.
const IMPATIENT: [(&str, &str); 2] = [("CREEL_SHUTDOWN_TIMEOUT_MS", "50"), ("CREEL_RUNTIME_FUEL_MAX", "100000000000")];

/// Turns of the fixture `late` that take a while.
const LONG: &str = "600000000";

/// A tenant whose receiver is called once per delivery and no more.
async fn shop(host: &Process, receiver: &Receiver) -> (Tenant, String) {
    let tenant = Tenant::make_over(&host.api, "shop").await;
    let source = tenant.source("orders", "standard-webhooks", SECRET).await;
    tenant.destination("receiver", json!({ "url": receiver.url(""), "retry_ms": [0] })).await;
    (tenant, source)
}

async fn order(host: &Process, path: &str, id: &str) {
    let order = Webhook::json("standard-webhooks", SECRET, id, r#"{"type":"order.paid"}"#);
    let answer = order.request(&client(), &format!("http://{}{path}", host.ingress)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

async fn runs(tenant: &Tenant) -> Vec<RunView> {
    tenant.api.get::<List<RunView>>(&tenant.path("runs?limit=200")).await.items
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stop_cannot_wait_for_is_given_back_and_goes_on_at_once() {
    let receiver = Receiver::start().await;
    let place = Place::new(&receiver).await;
    let host = place.start(&[], &IMPATIENT).await;
    let (tenant, path) = shop(&host, &receiver).await;
    tenant.deploy("echo", "echo", json!({})).await;
    tenant.route("orders", "echo").await;
    receiver.silent(true);
    order(&host, &path, "msg_1").await;
    receiver.arrivals(1).await;
    tenant.deploy("late", "late", json!({ "iterations": LONG })).await;
    tenant.route_with("orders", "late", json!({ "pattern": "order.*" })).await;
    tenant.api.post(&tenant.path("routes/orders-echo/pause"), json!({})).await;
    order(&host, &path, "msg_2").await;
    let late = |runs: &Vec<RunView>| runs.iter().any(|run| run.claims == 1 && run.ended_at.is_none());
    until("a run's claim", || runs(&tenant), late).await;

    let began = Instant::now();
    host.signal("TERM").await;
    let (status, log) = host.ended().await;
    let took = began.elapsed();
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_millis(50 + 3_000 + 10_000), "beyond its bound: {took:?}");
    assert_eq!(log.said("stopped").await["given_back"], 2, "a run and a call");

    // Leases last for minutes.
    receiver.silent(false);
    let host = place.start(&[], &IMPATIENT).await;
    let tenant = tenant.over(&host.api);
    tenant.api.post(&tenant.path("routes/orders-echo/resume"), json!({})).await;
    let stories: Vec<StoryView> = tenant.stories(2).await;
    let call = &stories[0].deliveries[0];
    assert_eq!((call.state, call.attempts), (DeliveryState::Delivered, 1), "{call:#?}");
    let answers: Vec<_> = call.history.iter().map(|attempt| attempt.answer.clone()).collect();
    assert_eq!(answers, [Answer::Cut, Answer::Status { status: 200, retry_after_ms: None }]);
    let arrived = receiver.arrived();
    let same = arrived.iter().filter(|one| one.header("webhook-id") == call.key);
    assert_eq!(same.count(), 2, "it had left: once more, under its key");
    for run in stories.iter().flat_map(|story| &story.runs) {
        assert_eq!((run.verdict, run.attempts, run.claims), (Some(Verdict::Done), 1, 1), "no lost claim: {run:#?}");
    }
    host.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once() {
    let receiver = Receiver::start().await;
    let place = Place::new(&receiver).await;
    // Minutes, so that only the second signal can be what ended it.
    let host = place.start(&[], &[("CREEL_SHUTDOWN_TIMEOUT_MS", "600000")]).await;
    let (tenant, path) = shop(&host, &receiver).await;
    tenant.deploy("echo", "echo", json!({})).await;
    tenant.route("orders", "echo").await;
    receiver.silent(true);
    order(&host, &path, "msg_1").await;
    receiver.arrivals(1).await;
    host.signal("TERM").await;
    host.said("shutting down").await;
    host.signal("INT").await;
    let (status, log) = host.ended().await;
    assert_eq!(status.code(), Some(ENDED_AT_ONCE));
    log.said("ending at once").await;

    receiver.silent(false);
    let host = place.start(&[], &[]).await;
    let call = tenant.over(&host.api).delivered().await;
    assert_eq!(
        (call.state, call.history.len()),
        (DeliveryState::Delivered, 1),
        "of the first nothing is known: {call:#?}"
    );
    host.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_that_has_nothing_to_wait_for_ends_well_and_leaves_no_log_to_read_back() {
    let receiver = Receiver::start().await;
    let place = Place::new(&receiver).await;
    let host = place.start(&[], &[("CREEL_SHUTDOWN_TIMEOUT_MS", "600000")]).await;
    let (tenant, path) = shop(&host, &receiver).await;
    tenant.deploy("echo", "echo", json!({})).await;
    tenant.route("orders", "echo").await;
    order(&host, &path, "msg_1").await;
    tenant.delivered().await;
    host.signal("INT").await;
    let (status, log) = host.ended().await;
    assert_eq!((status.code(), &log.said("stopped").await["given_back"]), (Some(0), &json!(0)));
    // The file alone tells everything.
    let copy = place.path().join("copy.db");
    std::fs::copy(place.database(), &copy).unwrap();
    let alone = rusqlite::Connection::open(&copy).unwrap();
    let delivered = "SELECT count(*) FROM delivery WHERE state = 1";
    assert_eq!(alone.query_row(delivered, [], |row| row.get::<_, i64>(0)).unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_waited_is_told_to_come_again_and_then_hears_the_plugin() {
    let host = Host::with(|config| {
        (config.limits.fuel_max, config.limits.fuel_per_second) = (100_000_000_000, u64::MAX);
        config.shutdown_timeout_ms = 50;
    })
    .await;
    let tenant = host.tenant("voice").await;
    let patient = json!({ "reply_deadline_ms": 60_000 });
    let source = tenant.source_with("voice", "vapi-hmac", "vapi-key", patient).await;
    tenant.receiver(&host).await;
    tenant.deploy("desk", "late", json!({ "iterations": LONG })).await;
    tenant.reply_route("voice", "desk").await;
    let body = r#"{"message":{"type":"assistant-request","call":{"id":"c1"}}}"#;
    let call = Webhook::json("vapi-hmac", "vapi-key", "", body);
    let waiting = tokio::spawn(call.request(host.http(), &host.url(&source)).send());
    until("the claim", || runs(&tenant), |runs| runs.iter().any(|run| run.claims == 1)).await;
    let (home, receiver) = host.stop().await;
    if let Ok(answer) = waiting.await.unwrap() {
        assert_eq!(answer.status(), 503, "nothing was decided, so nothing is said");
    }

    let host = home.serve(receiver).await;
    let run = tenant.at(&host).decided().await;
    assert_eq!((run.verdict, run.claims), (Some(Verdict::Done), 1), "{run:#?}");
    host.finish().await;
}

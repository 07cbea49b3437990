//! Calls on their way out: tried again or given up by what the receiver says, never where they must not go, and never
//! with a secret that is bound elsewhere.

use std::time::{Duration, Instant};

use creel_server::api::{DestinationView, LetterView};
use creel_store::contract::DeliveryState;
use creel_webhook::breaker::FAILURES_MAX;
use creel_webhook::delivery::Answer as Heard;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::harness::command::creel;
use crate::harness::host::Host;
use crate::harness::receiver::Receiver;
use crate::harness::sender::Webhook;
use crate::harness::tenant::Tenant;
use crate::harness::wait::until;

const SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS1vcmRlcnMtMDAwMDE=";

/// A tenant whose orders go to the destination `receiver`, which is configured so.
async fn tenant_calling(host: &Host, destination: Value, config: Value) -> (Tenant, String) {
    let tenant = host.tenant("shop").await;
    let source = tenant.source("orders", "standard-webhooks", SECRET).await;
    tenant.destination("receiver", destination).await;
    tenant.deploy("echo", "echo", config).await;
    tenant.route("orders", "echo").await;
    (tenant, source)
}

async fn order(host: &Host, source: &str, id: &str) {
    let order = Webhook::json("standard-webhooks", SECRET, id, r#"{"type":"order.paid"}"#);
    assert_eq!(host.send(source, &order).await.status, 200);
}

fn statuses(history: &[creel_server::api::AttemptView]) -> Vec<u16> {
    let status = |heard: &Heard| if let Heard::Status { status, .. } = heard { *status } else { 0 };
    history.iter().map(|attempt| status(&attempt.answer)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_down_is_tried_again_with_the_same_key() {
    let host = Host::open().await;
    let destination = json!({ "url": host.receiver.url(""), "retry_ms": [0, 20, 20] });
    let (tenant, source) = tenant_calling(&host, destination, json!({})).await;
    host.receiver.answer("/", 503, &[], "come back later");
    order(&host, &source, "msg_1").await;

    let call = tenant.delivered().await;
    assert_eq!((call.state, call.attempts, statuses(&call.history)), (DeliveryState::Delivered, 2, vec![503, 200]));
    assert_eq!(call.history[0].response_head, "come back later");
    let arrived = host.receiver.arrived();
    assert_eq!(arrived.len(), 2);
    assert_eq!(arrived[0].header("webhook-id"), arrived[1].header("webhook-id"));
    assert_eq!(arrived[0].header("idempotency-key"), call.key);
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_full_is_left_alone_by_all_until_it_said() {
    let host = Host::open().await;
    let destination = json!({ "url": host.receiver.url(""), "retry_ms": [0, 1, 1] });
    let (tenant, source) = tenant_calling(&host, destination, json!({})).await;
    let began = Instant::now();
    host.receiver.answer("/", 429, &[("retry-after", "1")], "too many");
    order(&host, &source, "msg_1").await;
    until("the 429", || tenant.story(), |story| story.deliveries.iter().any(|call| call.attempts == 1)).await;
    order(&host, &source, "msg_2").await;
    let pending = || tenant.api.list("/v1/tenants/shop/deliveries?state=pending");
    until("both calls", pending, |pending| pending.len() == 2).await;
    host.receiver.arrivals(2).await;
    assert!(
        began.elapsed() >= Duration::from_secs(1),
        "also the call that was not refused waits: {:?}",
        began.elapsed()
    );
    until("both calls' end", || tenant.api.list("/v1/tenants/shop/deliveries?state=delivered"), |all| all.len() == 2)
        .await;
    assert_eq!(host.receiver.arrived().len(), 3, "one refused, two taken");
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_comes_to_an_end() {
    let host = Host::open().await;
    let destination = json!({ "url": host.receiver.url(""), "retry_ms": [0, 1, 1] });
    let (tenant, source) = tenant_calling(&host, destination, json!({})).await;
    host.receiver.answers("/", &[500, 502, 504]);
    order(&host, &source, "msg_1").await;
    let call = tenant.delivered().await;
    assert_eq!((call.state, statuses(&call.history)), (DeliveryState::Dead, vec![500, 502, 504]));
    assert!(call.reason.as_deref().is_some_and(|reason| reason.contains("504 after 3 attempts")), "{:?}", call.reason);
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_call_and_a_redirect_end_at_once() {
    let host = Host::open().await;
    let elsewhere = Receiver::start().await;
    let destination = json!({ "url": host.receiver.url("") });
    let (tenant, source) = tenant_calling(&host, destination, json!({})).await;
    host.receiver.answers("/", &[400]);
    order(&host, &source, "msg_1").await;
    let call = tenant.delivered().await;
    assert_eq!((call.state, statuses(&call.history)), (DeliveryState::Dead, vec![400]));

    host.receiver.answer("/", 307, &[("location", &elsewhere.url("/stolen"))], "");
    order(&host, &source, "msg_2").await;
    let call = tenant.delivered().await;
    assert_eq!((call.state, statuses(&call.history)), (DeliveryState::Dead, vec![307]));
    assert!(call.reason.as_deref().is_some_and(|reason| reason.contains("not followed")), "{:?}", call.reason);
    assert!(elsewhere.arrived().is_empty());
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_credential_pauses_an_api_and_keeps_the_call() {
    let host = Host::open().await;
    let tenant = host.tenant("shop").await;
    tenant.secret_for("crm", "old token", &host.receiver.url("")).await;
    let auth = json!({ "type": "header", "header": "X-Api-Key", "secret": "crm" });
    let destination = json!({ "url": host.receiver.url(""), "kind": "api", "auth": auth });
    let (tenant, source) = tenant_calling(&host, destination, json!({})).await;
    host.receiver.answers("/", &[401]);
    order(&host, &source, "msg_1").await;

    let view = || tenant.api.get::<Value>("/v1/tenants/shop/destinations/receiver");
    let paused = until("the pause", view, |view| !view["paused"].is_null()).await;
    assert!(paused["paused"].as_str().is_some_and(|reason| reason.contains("401")), "{paused}");
    order(&host, &source, "msg_2").await;
    until("the second call", || tenant.story(), |story| !story.deliveries.is_empty()).await;
    let pending = tenant.api.list("/v1/tenants/shop/deliveries?state=pending").await;
    assert_eq!(pending.len(), 2, "{pending:#?}");
    assert_eq!(host.receiver.arrived().len(), 1, "nothing is sent while it is paused");

    tenant.secret_for("crm", "new token", &host.receiver.url("")).await;
    tenant.api.post("/v1/tenants/shop/destinations/receiver/resume", json!({})).await;
    let arrived = host.receiver.arrivals(3).await;
    assert_eq!(arrived[0].header("x-api-key"), "old token");
    assert!(arrived[1..].iter().all(|call| call.header("x-api-key") == "new token"));
    until("both calls' end", || tenant.api.list("/v1/tenants/shop/deliveries?state=delivered"), |all| all.len() == 2)
        .await;
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gone_receiver_of_webhooks_is_not_called_again() {
    let host = Host::open().await;
    let destination = json!({ "url": host.receiver.url(""), "kind": "webhook" });
    let (tenant, source) = tenant_calling(&host, destination, json!({})).await;
    host.receiver.answers("/", &[410]);
    order(&host, &source, "msg_1").await;
    assert_eq!(tenant.delivered().await.state, DeliveryState::Dead);
    let view: Value = tenant.api.get("/v1/tenants/shop/destinations/receiver").await;
    assert!(view["disabled"].as_str().is_some_and(|reason| reason.contains("410")), "{view}");
    order(&host, &source, "msg_2").await;
    assert_eq!(tenant.delivered().await.state, DeliveryState::Dead);
    assert_eq!(host.receiver.arrived().len(), 1);
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_reaches_an_address_that_is_not_allowed() {
    let host = Host::with(|config| config.egress_allow.push("localhost".parse().unwrap())).await;
    let private = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = private.local_addr().unwrap().port();
    let named = json!({ "url": format!("http://localhost:{port}"), "retry_ms": [0] });
    let (tenant, source) = tenant_calling(&host, named, json!({})).await;

    // The operator takes the permission back: what is saved is refused when it is called …
    let (home, receiver) = host.stop().await;
    let strict = home.changed(|config| config.egress_https_only = false);
    let host = strict.serve(receiver).await;
    let tenant = tenant.at(&host);
    order(&host, &source, "msg_1").await;
    let view = || tenant.api.get::<Value>("/v1/tenants/shop/destinations/receiver");
    let paused = until("the pause", view, |view| !view["paused"].is_null()).await;
    let reason = paused["paused"].as_str().unwrap_or_default();
    assert!(reason.contains("loopback") && reason.contains("egress.allow"), "{reason}");
    let call = tenant.story().await.deliveries.remove(0);
    assert_eq!((call.state, call.attempts), (DeliveryState::Pending, 0), "kept, for whoever mends it");
    let connection = futures_util::FutureExt::now_or_never(private.accept());
    assert!(connection.is_none(), "somebody called: {connection:?}");

    // … and what is not saved yet is not saved.
    let path = tenant.path("destinations/another");
    for place in ["127.0.0.1", "[::1]", "169.254.169.254", "10.0.0.1", "2130706433"] {
        let document = json!({ "url": format!("http://{place}:{port}") });
        let problem = tenant.api.refused(Method::PUT, &path, &document).await;
        assert_eq!((problem.status, problem.errors[0].pointer.as_str()), (422, "/url"), "{place}");
        assert!(problem.errors[0].detail.contains("egress.allow"), "{problem:?}");
    }

    // Mended and resumed, the call arrives.
    tenant.destination("receiver", json!({ "url": host.receiver.url(""), "retry_ms": [0] })).await;
    tenant.api.post("/v1/tenants/shop/destinations/receiver/resume", json!({})).await;
    assert_eq!(tenant.delivered().await.state, DeliveryState::Delivered);
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_does_not_follow_a_destination_that_is_moved() {
    let host = Host::with(|config| config.egress_allow.push("127.0.0.1".parse().unwrap())).await;
    let thief = Receiver::start().await;
    let tenant = host.tenant("shop").await;
    tenant.secret_for("crm", "crm-token", &host.receiver.url("")).await;
    let auth = json!({ "type": "bearer", "secret": "crm" });
    let honest = json!({ "url": host.receiver.url(""), "auth": auth });
    let (tenant, source) = tenant_calling(&host, honest, json!({})).await;

    let moved = json!({ "url": thief.url(""), "auth": auth });
    let problem = tenant.api.refused(Method::PUT, &tenant.path("destinations/receiver"), &moved).await;
    assert_eq!((problem.status, problem.errors[0].pointer.as_str()), (422, "/auth/secret"));

    // Also when the binding changes under a destination that was saved: it is checked at every send.
    let bound = json!({ "value": "crm-token", "origins": [thief.url("")] });
    tenant.api.put(&tenant.path("secrets/crm"), bound).await;
    order(&host, &source, "msg_1").await;
    let reason = paused(&tenant).await;
    assert!(reason.contains("`crm` is not bound to") && reason.contains("add the origin"), "{reason}");
    order(&host, &source, "msg_2").await;
    until("the second call", || tenant.story(), |story| !story.deliveries.is_empty()).await;
    assert!(host.receiver.arrived().is_empty() && thief.arrived().is_empty());

    // Bound to where it belongs, both go, and each was tried once.
    tenant.secret_for("crm", "crm-token", &host.receiver.url("")).await;
    let stories = tenant.stories(2).await;
    for call in stories.iter().flat_map(|story| &story.deliveries) {
        assert_eq!((call.state, call.attempts), (DeliveryState::Delivered, 1), "{call:#?}");
    }
    assert!(thief.arrived().is_empty());
    let view: Value = tenant.api.get(&tenant.path("destinations/receiver")).await;
    assert!(view["paused"].is_null(), "{view}");
    host.finish().await;
}

/// Why the receiver is paused, once it is.
async fn paused(tenant: &Tenant) -> String {
    let view = || tenant.api.get::<Value>("/v1/tenants/shop/destinations/receiver");
    let view = until("the pause", view, |view| view["paused"].is_string()).await;
    view["paused"].as_str().expect("a reason").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_does_not_do_pauses_until_another_is_saved_and_no_other_pause_ends_with_it() {
    let host = Host::open().await;
    let tenant = host.tenant("shop").await;
    let origin = host.receiver.url("");
    tenant.secret_for("signs", "no key at all", &origin).await;
    let signing = json!({ "type": "standard_webhooks_v1a", "secret": "signs" });
    let destination = json!({ "url": origin, "kind": "webhook", "signing": signing });
    let (tenant, source) = tenant_calling(&host, destination.clone(), json!({})).await;
    order(&host, &source, "msg_1").await;
    let reason = paused(&tenant).await;
    assert!(reason.contains("`signs` cannot sign"), "{reason}");

    // A person's pause is not the secret's: saving that ends nothing.
    tenant.api.post(&tenant.path("destinations/receiver/pause"), json!({ "reason": "the shop moves" })).await;
    tenant.secret_for("signs", SECRET, &origin).await;
    assert_eq!(paused(&tenant).await, "the shop moves");
    tenant.api.post(&tenant.path("destinations/receiver/resume"), json!({})).await;
    let reason = until("another reason", || paused(&tenant), |reason| reason.contains("cannot sign")).await;
    assert!(reason.contains("`signs`"), "{reason}");

    // The destination can be changed instead.
    let simpler = json!({ "type": "standard_webhooks", "secret": "signs" });
    let unchanged = tenant.api.put(&tenant.path("destinations/receiver"), destination.clone()).await;
    assert_eq!(unchanged["result"], "unchanged", "{unchanged}");
    assert!(unchanged["resource"]["paused"].is_string(), "{unchanged}");
    let mut changed = destination;
    changed["signing"] = simpler;
    let changed = tenant.api.put(&tenant.path("destinations/receiver"), changed).await;
    assert!(changed["resource"]["paused"].is_null(), "{changed}");
    assert_eq!(tenant.delivered().await.state, DeliveryState::Delivered);
    assert!(host.receiver.only().verified(SECRET).is_ok());
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_expires_is_not_made_late() {
    let host = Host::open().await;
    let destination = json!({ "url": host.receiver.url(""), "retry_ms": [0, 60_000] });
    let (tenant, source) = tenant_calling(&host, destination, json!({ "expires-ms": "10000" })).await;
    host.receiver.answers("/", &[503]);
    order(&host, &source, "msg_1").await;
    let call = tenant.delivered().await;
    assert_eq!((call.state, call.attempts), (DeliveryState::Dead, 1));
    assert!(call.reason.as_deref().is_some_and(|reason| reason.contains("expires")), "{:?}", call.reason);

    // One that is held up for longer than it lives is never made.
    tenant.deploy("echo", "echo", json!({ "expires-ms": "1" })).await;
    tenant.api.post("/v1/tenants/shop/destinations/receiver/pause", json!({})).await;
    order(&host, &source, "msg_2").await;
    until("the second call", || tenant.story(), |story| !story.deliveries.is_empty()).await;
    tenant.api.post("/v1/tenants/shop/destinations/receiver/resume", json!({})).await;
    let call = tenant.delivered().await;
    assert_eq!(call.state, DeliveryState::Dead);
    assert!(call.reason.as_deref().is_some_and(|reason| reason.contains("expired")), "{:?}", call.reason);
    assert_eq!(host.receiver.arrived().len(), 1);
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_one_key_keep_their_order() {
    let host = Host::open().await;
    let destination = json!({ "url": host.receiver.url(""), "retry_ms": [0, 30, 30] });
    let config = json!({ "calls": "5", "order-key": "contact-7" });
    let (tenant, source) = tenant_calling(&host, destination, config).await;
    host.receiver.answers("/", &[503, 200, 503]);
    order(&host, &source, "msg_1").await;
    let story = tenant.settled().await;
    assert!(story.deliveries.iter().all(|call| call.state == DeliveryState::Delivered), "{:#?}", story.deliveries);
    let arrived = host.receiver.arrived();
    let order: Vec<&str> = arrived.iter().map(|call| call.header("x-call-index")).collect();
    assert_eq!(order, ["0", "0", "1", "1", "2", "3", "4"]);
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_fails_does_not_hold_its_key_for_as_long_as_it_is_tried() {
    let host = Host::open().await;
    let destination = json!({ "url": host.receiver.url(""), "retry_ms": [0, 3_600_000], "skip_after_ms": 50 });
    let config = json!({ "calls": "3", "order-key": "contact-7" });
    let (tenant, source) = tenant_calling(&host, destination, config).await;
    host.receiver.answers("/", &[503]);
    order(&host, &source, "msg_1").await;
    let arrived = host.receiver.arrivals(3).await;
    let order: Vec<&str> = arrived.iter().map(|call| call.header("x-call-index")).collect();
    assert_eq!(order, ["0", "1", "2"], "the others pass the first, in their order");
    let pending = || tenant.api.list("/v1/tenants/shop/deliveries?state=pending");
    until("the others' end", pending, |pending| pending.len() == 1).await;
    let first = tenant.story().await.deliveries.remove(0);
    assert_eq!((first.state, first.attempts), (DeliveryState::Pending, 1), "it keeps its own schedule");

    let document = json!({ "url": host.receiver.url(""), "skip_after_ms": 604_800_001 });
    let problem = tenant.api.refused(Method::PUT, &tenant.path("destinations/receiver"), &document).await;
    assert_eq!((problem.status, problem.errors[0].pointer.as_str()), (422, "/skip_after_ms"));
    drop(host.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_full_makes_room_for_the_newest_and_keeps_the_oldest_as_dead_letters() {
    let host = Host::with(|config| config.waiting_max = 100).await;
    let destination = json!({ "url": host.receiver.url(""), "waiting_max": 2 });
    let (tenant, source) = tenant_calling(&host, destination.clone(), json!({})).await;
    let path = tenant.path("destinations/receiver");
    tenant.api.post(&format!("{path}/pause"), json!({ "reason": "the CRM is down" })).await;
    for number in 0..3 {
        // Live calls know nothing of it: no sender is told 429.
        order(&host, &source, &format!("msg_{number}")).await;
        until("the call", || tenant.story(), |story| !story.deliveries.is_empty()).await;
    }
    let view: Value = tenant.api.get(&path).await;
    assert_eq!((&view["waiting"], &view["waiting_max"]), (&json!(2), &json!(2)), "{view}");
    assert_eq!(tenant.api.list(&tenant.path("destinations")).await, [view]);
    let dead = tenant.api.list(&tenant.path("deliveries?state=dead")).await;
    let reason = dead[0]["reason"].as_str().unwrap_or_default();
    assert!(dead.len() == 1 && reason.contains("queue was full: 2"), "{dead:?}");

    // Nothing is lost: there is a way back, but not into a queue that is full.
    let replay = tenant.path(&format!("deliveries/{}/replay", dead[0]["id"].as_str().unwrap_or_default()));
    let problem = tenant.api.refused(Method::POST, &replay, &json!({})).await;
    assert!(problem.status == 409 && problem.detail.contains("queue is full"), "{problem:?}");
    tenant.destination("receiver", json!({ "url": host.receiver.url("") })).await;
    let view: Value = tenant.api.get(&path).await;
    assert_eq!(view["waiting_max"], 100, "without a limit of its own the host's holds");
    tenant.api.post(&replay, json!({})).await;
    tenant.api.post(&format!("{path}/resume"), json!({})).await;
    until("all three", || tenant.api.list("/v1/tenants/shop/deliveries?state=delivered"), |all| all.len() == 3).await;
    assert_eq!(host.receiver.arrived().len(), 3);
    let view: Value = tenant.api.get(&path).await;
    assert_eq!(view["waiting"], 0);

    for too_many in [0, 101, 10_000_001] {
        let document = json!({ "url": host.receiver.url(""), "waiting_max": too_many });
        let problem = tenant.api.refused(Method::PUT, &path, &document).await;
        assert_eq!((problem.status, problem.errors[0].pointer.as_str()), (422, "/waiting_max"), "{too_many}");
    }
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_waits_for_its_next_attempt_goes_when_a_person_says_so() {
    let host = Host::open().await;
    // An hour between two attempts: nobody waits for it here.
    let destination = json!({ "url": host.receiver.url(""), "retry_ms": [0, 3_600_000, 3_600_000] });
    let (tenant, source) = tenant_calling(&host, destination, json!({})).await;
    host.receiver.answers("/", &[500, 500]);
    order(&host, &source, "msg_1").await;
    let waiting = async |attempts: u32| {
        let list = async || tenant.api.list(&tenant.path("deliveries")).await;
        let waits = |list: &Vec<Value>| {
            list.iter()
                .any(|call| call["attempts"] == attempts && call["state"] == "pending" && !call["due_at"].is_null())
        };
        until("the call waits", list, waits).await.remove(0)
    };
    let call = waiting(1).await;
    let replay = tenant.path(&format!("deliveries/{}/replay", call["id"].as_str().unwrap()));
    let refused = tenant.api.refused(Method::POST, &format!("{replay}?new_keys=true"), &json!({})).await;
    assert_eq!(refused.status, 409, "its keys stay while it is not over: {}", refused.detail);
    assert_eq!(tenant.api.post(&replay, json!({})).await["delivery"], call["id"]);
    waiting(2).await;
    let resumed = tenant.api.post(&tenant.path("destinations/receiver/resume"), json!({})).await;
    assert_eq!(resumed["paused"], Value::Null);
    let call = tenant.delivered().await;
    assert_eq!((call.state, statuses(&call.history)), (DeliveryState::Delivered, vec![500, 500, 200]));
    let refused = tenant.api.refused(Method::POST, &replay, &json!({})).await;
    assert!(refused.status == 409 && refused.detail.contains("it was delivered"), "{}", refused.detail);
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_fails_is_shown_as_such_until_it_is_resumed() {
    let host = Host::open().await;
    let destination = json!({ "url": host.receiver.url(""), "retry_ms": [0], "concurrency_max": 1 });
    let (tenant, source) = tenant_calling(&host, destination, json!({})).await;
    let failing = FAILURES_MAX as usize;
    host.receiver.answers("/", &vec![500; failing]);
    for number in 0..failing {
        order(&host, &source, &format!("msg_{number}")).await;
    }
    tenant.settled().await;
    let seen = async || tenant.api.get::<DestinationView>(&tenant.path("destinations/receiver")).await;
    let view = seen().await;
    assert!(view.failing_until.is_some() && view.paused.is_none(), "{view:?}");
    let listed = creel_server::cli::tell::destinations(&[view]);
    assert!(listed.contains("failing") && listed.contains("none goes before"), "{listed}");
    order(&host, &source, "msg_last").await;
    let pending = async || tenant.api.list(&tenant.path("deliveries?state=pending")).await;
    let call = until("a call waits", pending, |list| !list.is_empty()).await.remove(0);
    let path = tenant.path(&format!("deliveries/{}", call["id"].as_str().unwrap()));
    let letter: LetterView = tenant.api.get(&path).await;
    let held: String = letter.delivery.waiting.iter().map(|wait| wait.detail.as_str()).collect();
    assert!(held.contains("`creel resume destination receiver`"), "{held}");
    let listed = creel(&tenant, &["deliveries", "--state", "pending"]).await;
    assert!(listed.out.contains("its destination is failing: calls failed in a row"), "{listed:?}");
    tenant.api.post(&tenant.path("destinations/receiver/resume"), json!({})).await;
    tenant.settled().await;
    assert_eq!(host.receiver.arrived().len(), failing + 1);
    assert_eq!(seen().await.failing_until, None);
    host.finish().await;
}

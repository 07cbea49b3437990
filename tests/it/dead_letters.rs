//! What was given up: listed, inspected, and sent or run once more, one or all, under the keys of before or new ones;
//! and events that no route took, when one takes them.

use std::time::Duration;

use creel_server::api::{EventReplayed, LetterView, List, ReplayStep, RunView, StoryView};
use creel_server::cli::args::{Dead, DeadKind};
use creel_server::cli::client::Client;
use creel_server::cli::replay::{self, Patience};
use creel_store::contract::DeliveryState;
use creel_webhook::run::Verdict;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::host::Host;
use crate::harness::sender::Webhook;
use crate::harness::tenant::Tenant;
use crate::harness::wait::until;

const SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS1vcmRlcnMtMDAwMDE=";

async fn send(host: &Host, source: &str, id: &str, kind: &str) {
    let order = Webhook::json("standard-webhooks", SECRET, id, json!({ "type": kind }).to_string());
    assert_eq!(host.send(source, &order).await.status, 200);
}

/// A tenant whose orders go to `receiver`, which is called once per delivery and never again.
async fn tenant_calling(host: &Host, config: Value) -> (Tenant, String) {
    let tenant = host.tenant("shop").await;
    let source = tenant.source("orders", "standard-webhooks", SECRET).await;
    tenant.destination("receiver", json!({ "url": host.receiver.url(""), "retry_ms": [0] })).await;
    tenant.deploy("echo", "echo", config).await;
    tenant.route("orders", "echo").await;
    (tenant, source)
}

async fn states(tenant: &Tenant, state: &str) -> usize {
    tenant.api.list(&tenant.path(&format!("deliveries?limit=500&state={state}"))).await.len()
}

async fn step(tenant: &Tenant, what: &str) -> ReplayStep {
    tenant.api.done(Method::POST, &tenant.path(what), None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_call_is_sent_again_under_its_key_and_keeps_its_history() {
    let host = Host::open().await;
    let (tenant, source) = tenant_calling(&host, json!({})).await;
    host.receiver.answers("/", &[500, 422]);
    send(&host, &source, "msg_1", "order.paid").await;
    let dead = tenant.delivered().await;
    let path = tenant.path(&format!("deliveries/{}", dead.id));
    let letter: LetterView = tenant.api.get(&path).await;
    assert_eq!((letter.delivery.state, letter.delivery.history.len()), (DeliveryState::Dead, 1));
    assert_eq!(letter.body.as_deref(), Some(r#"{"type":"order.paid"}"#));
    assert!(letter.headers.iter().any(|(name, _)| name == "x-event-id") && letter.past.is_empty());

    tenant.api.post(&format!("{path}/replay"), json!({})).await;
    let again = tenant.delivered().await;
    assert_eq!((again.id, again.state, again.history.len()), (dead.id, DeliveryState::Dead, 2));
    tenant.api.post(&format!("{path}/replay?new_keys=true"), json!({})).await;
    let arrived = tenant.delivered().await;
    assert_eq!((arrived.state, arrived.history.len()), (DeliveryState::Delivered, 3));
    let keys: Vec<String> = host.receiver.arrived().iter().map(|call| call.header("webhook-id").to_owned()).collect();
    assert_eq!((&keys[0], &keys[1]), (&dead.key, &dead.key));
    assert!(keys[2] != dead.key && keys[2] == arrived.key);
    let letter: LetterView = tenant.api.get(&path).await;
    let reasons: Vec<_> = letter.past.iter().filter_map(|death| death.reason.as_deref()).collect();
    assert!(reasons.len() == 2 && reasons[0].contains("500") && reasons[1].contains("422"), "{reasons:?}");

    // It is no dead letter any more.
    assert_eq!(states(&tenant, "dead").await, 0);
    assert_eq!(tenant.api.refused(Method::POST, &format!("{path}/replay"), &json!({})).await.status, 409);
    let stranger = host.tenant("other").await;
    let theirs = stranger.path(&format!("deliveries/{}/replay", dead.id));
    assert_eq!(stranger.api.refused(Method::POST, &theirs, &json!({})).await.status, 404);
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_erased_is_not_sent_again_as_an_empty_body() {
    let host = Host::open().await;
    let (tenant, source) = tenant_calling(&host, json!({})).await;
    host.receiver.answers("/", &[500]);
    send(&host, &source, "msg_1", "order.paid").await;
    let dead = tenant.delivered().await;
    let event = dead.event.expect("a run decided it");
    let _: serde_json::Value =
        tenant.api.done(Method::DELETE, &tenant.path(&format!("events/{event}/payload")), None).await;
    for what in [format!("deliveries/{}/replay", dead.id), format!("events/{event}/replay")] {
        let problem = tenant.api.refused(Method::POST, &tenant.path(&what), &json!({})).await;
        assert!(problem.status == 409 && problem.detail.contains("erased"), "{what}: {problem:?}");
    }
    assert_eq!(host.receiver.arrived().len(), 1, "nothing but the first call was sent");
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_dead_calls_of_an_outage_are_replayed_in_steps_and_none_twice() {
    let host = Host::open().await;
    let (tenant, source) = tenant_calling(&host, json!({ "calls": "3" })).await;
    host.receiver.answers("/", &[500, 500, 500, 500, 500, 500, 404]);
    for (id, kind) in [("msg_1", "order.paid"), ("msg_2", "order.paid"), ("msg_3", "order.sent")] {
        send(&host, &source, id, kind).await;
        tenant.settled().await;
    }
    assert_eq!(states(&tenant, "dead").await, 7);
    let dead = |filter: &str| tenant.path(&format!("deliveries?state=dead&{filter}"));
    assert_eq!(tenant.api.list(&dead("reason=ANSWERED%20500")).await.len(), 6);
    assert_eq!(tenant.api.list(&dead("kind=order.sent&source=orders")).await.len(), 1);
    assert_eq!(tenant.api.list(&dead("since=2100-01-01T00:00:00Z")).await.len(), 0);

    // Held where they are, so that a second pass would find what it must not.
    tenant.api.post(&tenant.path("destinations/receiver/pause"), json!({})).await;
    let base = "deliveries/replay?reason=answered%20500&destination=receiver&limit=4";
    let first = step(&tenant, base).await;
    assert_eq!((first.looked_at, first.replayed, first.skipped), (4, 4, 0));
    let next = first.next.as_deref().expect("there are more");
    let second = step(&tenant, &format!("{base}&after={next}&until={}", first.until)).await;
    assert_eq!((second.looked_at, second.replayed, second.next), (3, 2, None));
    let third = step(&tenant, base).await;
    assert_eq!((third.looked_at, third.replayed), (1, 0), "who waits is no dead letter");
    assert_eq!((states(&tenant, "pending").await, states(&tenant, "dead").await), (6, 1));
    tenant.api.post(&tenant.path("destinations/receiver/resume"), json!({})).await;
    let arrived = host.receiver.arrivals(9 + 6).await;
    let mut keys: Vec<&str> = arrived[9..].iter().map(|call| call.header("idempotency-key")).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 6);
    until("the end of all calls", || states(&tenant, "delivered"), |count| *count == 8).await;
    let bad = tenant.api.refused(Method::POST, &tenant.path("runs/replay?since=yesterday"), &json!({})).await;
    assert_eq!((bad.status, bad.errors[0].pointer.as_str()), (422, "?since"));
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_replays_dead_runs_to_the_last_and_each_once() {
    let host = Host::open().await;
    let (tenant, source) = tenant_calling(&host, json!({})).await;
    tenant.deploy("echo", "panics", json!({})).await;
    for id in ["msg_1", "msg_2", "msg_3"] {
        send(&host, &source, id, "order.paid").await;
        tenant.settled().await;
    }
    let dead = || tenant.api.get::<List<RunView>>("/v1/tenants/shop/runs?dead=true");
    assert_eq!(dead().await.items.len(), 3);
    let wanted = Dead {
        plugin: Some("echo".to_owned()),
        verdict: Some("trap".to_owned()),
        event_type: Some("order.paid".to_owned()),
        ..dead_runs(1)
    };
    let client = Client::new(&host.admin_url(), tenant.api.key()).unwrap().tenant("shop");

    // They trap again: new dead letters, which this replay leaves alone.
    let mut told = Vec::new();
    let sum = replay::all(&client, &wanted, Patience::default(), &mut |step| told.push(step.replayed)).await.unwrap();
    assert_eq!((sum.replayed, sum.skipped), (3, 0));
    assert_eq!(told[..3], [1, 2, 3]);
    until(
        "the end of the runs",
        || tenant.api.list("/v1/tenants/shop/runs"),
        |runs| runs.len() == 6 && runs.iter().all(|run| !run["ended_at"].is_null()),
    )
    .await;
    let again = dead().await.items;
    assert!(again.len() == 3 && again.iter().all(|run| run.verdict == Some(Verdict::Trap)));

    // Mended, they run through.
    tenant.deploy("echo", "echo", json!({})).await;
    assert_eq!(replay::all(&client, &wanted, Patience::default(), &mut |_| {}).await.unwrap().replayed, 3);
    assert_eq!(host.receiver.arrivals(3).await.len(), 3);
    assert!(dead().await.items.is_empty());
    until("all calls' end", || states(&tenant, "delivered"), |count| *count == 3).await;
    host.finish().await;
}

/// All dead runs, in steps of so many.
fn dead_runs(limit: u32) -> Dead {
    Dead {
        kind: DeadKind::Runs,
        destination: None,
        plugin: None,
        verdict: None,
        source: None,
        event_type: None,
        since: None,
        until: None,
        reason: None,
        limit,
        replay: true,
        new_keys: false,
        yes: false,
        after: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_of_many_runs_keeps_to_the_tenants_quota_and_goes_on_when_there_is_room() {
    let host = Host::open().await;
    let (tenant, source) = tenant_calling(&host, json!({})).await;
    tenant.deploy("echo", "panics", json!({})).await;
    for id in ["msg_1", "msg_2", "msg_3", "msg_4", "msg_5"] {
        send(&host, &source, id, "order.paid").await;
        tenant.settled().await;
    }
    tenant.deploy("echo", "echo", json!({})).await;
    host.api.put("/v1/tenants/shop", json!({ "limits": { "pending_runs_max": 2 } })).await;
    tenant.api.post(&tenant.path("routes/orders-echo/pause"), json!({})).await;
    let pending = || async { tenant.events().await.iter().map(|event| event.pending).sum::<u32>() };

    let first = step(&tenant, "runs/replay").await;
    assert_eq!((first.looked_at, first.replayed, first.skipped, pending().await), (2, 2, 0, 2));
    let why = first.held.as_deref().expect("there was no room for the third");
    assert!(why.contains("2 runs") && why.contains("pending_runs_max"), "{why}");
    let next = first.next.clone().expect("behind the second");
    let full = step(&tenant, &format!("runs/replay?after={next}&until={}", first.until)).await;
    assert_eq!((full.looked_at, full.replayed, full.next.as_ref()), (0, 0, Some(&next)), "it stays where it is");
    assert!(full.held.is_some());
    let dead = tenant.api.list(&tenant.path("runs?dead=true")).await;
    let one = tenant.path(&format!("runs/{}/replay", dead[0]["id"].as_str().unwrap()));
    assert_eq!(tenant.api.refused(Method::POST, &one, &json!({})).await.status, 429);
    let event = tenant.path(&format!("events/{}/replay", dead[0]["event"].as_str().unwrap()));
    assert_eq!(tenant.api.refused(Method::POST, &event, &json!({})).await.status, 429);
    assert_eq!((pending().await, tenant.api.list(&tenant.path("runs?dead=true")).await.len()), (2, 3));

    // The command line waits for room, and not for ever.
    let client = Client::new(&host.admin_url(), tenant.api.key()).unwrap().tenant("shop");
    let mut told = 0;
    let short = Patience { pause: Duration::from_millis(1), looks_max: 3 };
    let sum = replay::all(&client, &dead_runs(50), short, &mut |_| told += 1).await.unwrap();
    assert_eq!((sum.replayed, sum.held.is_some(), told, pending().await), (0, true, 1, 2));
    tenant.api.post(&tenant.path("routes/orders-echo/resume"), json!({})).await;
    let long = Patience { pause: Duration::from_millis(1), looks_max: 30_000 };
    let sum = replay::all(&client, &dead_runs(50), long, &mut |_| {}).await.unwrap();
    assert_eq!((sum.replayed, sum.skipped, sum.held), (3, 0, None));
    until("all calls' end", || states(&tenant, "delivered"), |count| *count == 5).await;
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_of_many_calls_waits_for_room_in_a_full_queue_and_holds_up_no_other() {
    let host = Host::open().await;
    let (tenant, source) = tenant_calling(&host, json!({ "calls": "4" })).await;
    tenant.destination("other", json!({ "url": host.receiver.url("/other"), "retry_ms": [0] })).await;
    host.receiver.answers("/", &[500; 4]);
    host.receiver.answers("/other", &[500]);
    send(&host, &source, "msg_1", "order.paid").await;
    tenant.settled().await;
    tenant.deploy_granting("echo", "echo", json!({ "destination": "other" }), &["other"]).await;
    send(&host, &source, "msg_2", "order.paid").await;
    tenant.settled().await;
    assert_eq!(states(&tenant, "dead").await, 5);
    let full = json!({ "url": host.receiver.url(""), "retry_ms": [0], "waiting_max": 2 });
    tenant.destination("receiver", full).await;
    tenant.api.post(&tenant.path("destinations/receiver/pause"), json!({})).await;

    let first = step(&tenant, "deliveries/replay").await;
    assert_eq!((first.looked_at, first.replayed, first.skipped), (3, 3, 0), "{first:?}");
    let why = first.held.as_deref().expect("there was no room for the third");
    assert!(why.contains("queue is full") && why.contains("waiting_max"), "{why}");
    let next = first.next.clone().expect("behind the second");
    let held = step(&tenant, &format!("deliveries/replay?after={next}&until={}", first.until)).await;
    assert_eq!((held.looked_at, held.replayed, held.next.as_ref()), (0, 0, Some(&next)), "it stays where it is");
    assert!(held.held.is_some() && states(&tenant, "dead").await == 2);

    // The command line waits for room, and not for ever.
    let client = Client::new(&host.admin_url(), tenant.api.key()).unwrap().tenant("shop");
    let all = Dead { kind: DeadKind::Deliveries, ..dead_runs(50) };
    let short = Patience { pause: Duration::from_millis(1), looks_max: 3 };
    let sum = replay::all(&client, &all, short, &mut |_| {}).await.unwrap();
    assert_eq!((sum.replayed, sum.skipped, sum.held.is_some()), (0, 0, true));
    tenant.api.post(&tenant.path("destinations/receiver/resume"), json!({})).await;
    let long = Patience { pause: Duration::from_millis(1), looks_max: 30_000 };
    let sum = replay::all(&client, &all, long, &mut |_| {}).await.unwrap();
    assert_eq!((sum.replayed, sum.skipped, sum.held), (2, 0, None));
    until("all calls' end", || states(&tenant, "delivered"), |count| *count == 5).await;
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_change_only_for_who_asks_and_so_do_those_of_what_follows() {
    let host = Host::open().await;
    let (tenant, source) = tenant_calling(&host, json!({ "on-result": "book", "confirm": "/confirm" })).await;
    send(&host, &source, "msg_1", "order.paid").await;
    host.receiver.arrivals(2).await;
    let first = tenant.events().await.into_iter().last().expect("the order");
    let story: StoryView = tenant.api.get(&tenant.path(&format!("events/{}", first.id))).await;
    let run = tenant.path(&format!("runs/{}/replay", story.runs[0].id));
    tenant.api.post(&run, json!({})).await;
    host.receiver.arrivals(4).await;
    tenant.api.post(&format!("{run}?new_keys=true"), json!({})).await;
    let arrived = host.receiver.arrivals(6).await;
    for path in ["/", "/confirm"] {
        let calls = arrived.iter().filter(|call| call.request.path == path);
        let keys: Vec<&str> = calls.map(|call| call.header("webhook-id")).collect();
        assert!(keys.len() == 3 && keys[0] == keys[1] && keys[1] != keys[2], "{path}: {keys:?}");
    }
    until("all calls' end", || states(&tenant, "delivered"), |count| *count == 6).await;
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_no_route_took_is_seen_and_runs_when_one_takes_it() {
    let host = Host::open().await;
    let (tenant, source) = tenant_calling(&host, json!({})).await;
    tenant.route_with("orders", "echo", json!({ "pattern": "order.paid" })).await;
    send(&host, &source, "msg_1", "order.paid").await;
    tenant.delivered().await;
    send(&host, &source, "msg_2", "order.lost").await;
    let unrouted = tenant.api.list(&tenant.path("events?unrouted=true")).await;
    assert_eq!(unrouted.len(), 1, "{unrouted:#?}");
    assert_eq!(unrouted[0]["kind"], "order.lost");
    let path = tenant.path(&format!("events/{}/replay", unrouted[0]["id"].as_str().unwrap()));
    let problem = tenant.api.refused(Method::POST, &path, &json!({})).await;
    assert!(problem.status == 409 && problem.detail.contains("order.lost"), "{problem:?}");

    tenant.route_with("orders", "echo", json!({ "pattern": "order.*" })).await;
    let replayed: EventReplayed = tenant.api.done(Method::POST, &path, None).await;
    let call = tenant.delivered().await;
    assert_eq!((replayed.runs, call.state), (Vec::from_iter(call.run), DeliveryState::Delivered));
    assert!(tenant.api.list(&tenant.path("events?unrouted=true")).await.is_empty());

    // While a run waits, there is no second one beside it.
    tenant.api.post(&tenant.path("routes/orders-echo/pause"), json!({})).await;
    let one: EventReplayed = tenant.api.done(Method::POST, &path, None).await;
    let none: EventReplayed = tenant.api.done(Method::POST, &path, None).await;
    assert_eq!((one.runs.len(), none.runs.len()), (1, 0));
    tenant.api.post(&tenant.path("routes/orders-echo/resume"), json!({})).await;
    tenant.settled().await;
    let keys = host.receiver.arrivals(3).await;
    assert_eq!(keys[1].header("webhook-id"), keys[2].header("webhook-id"));
    host.finish().await;
}

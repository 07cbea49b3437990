//! What a replay would do: the outcome of now beside the decision of then, with nothing sent, nothing stored.

use creel_server::api::rehearsed::{RehearsalView, Rehearsed};
use creel_webhook::comparison::Change;
use creel_webhook::run::Verdict;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::command::creel;
use crate::harness::host::Host;
use crate::harness::sender::Webhook;
use crate::harness::tenant::Tenant;

const SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS1vcmRlcnMtMDAwMDE=";

async fn send(host: &Host, source: &str, id: &str) {
    let order = Webhook::json("standard-webhooks", SECRET, id, r#"{"type":"order.paid","total":12}"#);
    assert_eq!(host.send(source, &order).await.status, 200);
}

/// A tenant whose orders go to `receiver`, and one of them decided.
async fn shop(host: &Host, config: Value) -> (Tenant, String) {
    let tenant = host.tenant("shop").await;
    let source = tenant.source("orders", "standard-webhooks", SECRET).await;
    tenant.destination("receiver", json!({ "url": host.receiver.url("/base"), "retry_ms": [0] })).await;
    tenant.deploy("echo", "echo", config).await;
    tenant.route("orders", "echo").await;
    send(host, &source, "msg_1").await;
    tenant.settled().await;
    (tenant, source)
}

/// Rehearses what `path` names; it must leave no trace.
async fn rehearse(host: &Host, tenant: &Tenant, path: &str) -> Vec<RehearsalView> {
    let before = traces(host, tenant).await;
    let done: Rehearsed = tenant.api.done(Method::POST, &tenant.path(path), None).await;
    assert_eq!(traces(host, tenant).await, before, "a rehearsal left something behind");
    done.runs
}

/// Everything that a run would leave: rows, counters, calls.
async fn traces(host: &Host, tenant: &Tenant) -> Value {
    let stats = host.store().stats().await.unwrap();
    let mut kept = json!({
        "pending": (stats.runs_pending, stats.deliveries_pending),
        "arrived": host.receiver.arrived().len(),
    });
    for what in ["events", "runs", "deliveries", "refusals"] {
        kept[what] = json!(tenant.api.list(&tenant.path(&format!("{what}?limit=200"))).await);
    }
    let event = tenant.events().await.last().expect("an event").id;
    kept["story"] = tenant.api.get(&tenant.path(&format!("events/{event}"))).await;
    kept
}

fn fields(run: &RehearsalView) -> Vec<&str> {
    run.differences.iter().map(|one| one.field.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_deployment_decides_the_same_to_the_last_unit_of_fuel() {
    let host = Host::open().await;
    let config =
        json!({ "on-result": "book", "delay-ms": "20", "expires-ms": "60000", "order-key": "k", "path": "/in" });
    let (tenant, _) = shop(&host, config).await;
    host.receiver.arrivals(1).await;
    let stories = tenant.stories(2).await;
    let (event, run, call) = (stories[0].event.id, &stories[0].runs[0], &stories[0].deliveries[0]);
    for path in [format!("events/{event}/replay?dry_run=true"), format!("runs/{}/replay?dry_run=true", run.id)] {
        let runs = rehearse(&host, &tenant, &path).await;
        assert_eq!(runs.len(), 1);
        let one = &runs[0];
        assert_eq!((one.verdict, one.same, one.deployment), (Verdict::Done, Some(true), Some(1)), "{one:#?}");
        assert!(one.differences.is_empty() && one.changes[0].call.change == Change::Same, "{one:#?}");
        assert_eq!((one.usage.fuel, one.usage.memory_bytes), (run.usage.fuel, run.usage.memory_bytes));
        assert_eq!(one.then.map(|then| then.run), Some(run.id));
        let shown = &one.calls[0];
        assert_eq!((shown.key.as_deref(), &shown.url), (Some(call.key.as_str()), &host.receiver.url("/base/in")));
        assert_eq!(shown.body.as_deref(), Some(r#"{"type":"order.paid","total":12}"#));
        assert_eq!((shown.delay_ms, shown.expires_ms), (20, Some(60_000)));
        assert!(shown.headers.iter().any(|(name, value)| name == "x-event-id" && *value == event.to_string()));
    }
    // A report is rehearsed by its run, as it is replayed.
    let report = format!("runs/{}/replay?dry_run=true", stories[1].runs[0].id);
    let runs = rehearse(&host, &tenant, &report).await;
    assert_eq!((runs[0].same, fields(&runs[0])), (Some(true), vec![]), "{runs:#?}");
    let path = tenant.path(&format!("events/{}/replay?dry_run=true", stories[1].event.id));
    assert_eq!(tenant.api.refused(Method::POST, &path, &json!({})).await.status, 409);
    // New keys are made when it is replayed; nobody knows them yet.
    let runs = rehearse(&host, &tenant, &format!("events/{event}/replay?dry_run=true&new_keys=true")).await;
    assert_eq!((runs[0].calls[0].key.clone(), runs[0].same), (None, Some(true)));
    // What would be decided is not what would be sent at once.
    assert_eq!(runs[0].calls[0].held, None);
    let pause = tenant.path("destinations/receiver/pause");
    tenant.api.post(&pause, json!({ "reason": "moving" })).await;
    let runs = rehearse(&host, &tenant, &format!("events/{event}/replay?dry_run=true")).await;
    let held = runs[0].calls[0].held.clone().unwrap_or_default();
    assert!(held.contains("`receiver` is paused (moving)"), "{held}");
    assert!(creel_server::cli::preview::rehearsed(&Rehearsed { event: stories[0].event.id, runs }).contains(&held));
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_deployment_shows_which_calls_would_change() {
    let host = Host::open().await;
    let (tenant, _) = shop(&host, json!({})).await;
    tenant.deploy("echo", "echo", json!({ "calls": "2", "path": "/v2", "method": "PUT" })).await;
    let event = tenant.events().await[0].id.to_string();
    let path = format!("events/{event}/replay?dry_run=true");
    let runs = rehearse(&host, &tenant, &path).await;
    let one = &runs[0];
    assert_eq!((one.same, one.deployment, one.then.and_then(|then| then.deployment)), (Some(false), Some(2), Some(1)));
    let changes: Vec<_> = one.changes.iter().map(|change| (change.call.change, change.what.as_str())).collect();
    let what = "PUT /v2 -> receiver";
    assert_eq!(changes, [(Change::Changed, what), (Change::Added, what)], "{one:#?}");
    let differences = &one.changes[0].call.differences;
    let method = differences.iter().find(|one| one.field == "method").expect("another method");
    assert_eq!((method.then.as_deref(), method.now.as_deref()), (Some("POST"), Some("PUT")));
    assert!(differences.iter().any(|one| one.field == "path"), "{differences:?}");
    assert!(fields(one).contains(&"fuel"), "more calls take more: {one:#?}");

    // That of then, though another one is active.
    let runs = rehearse(&host, &tenant, &format!("{path}&deployment=1")).await;
    assert_eq!((runs[0].same, runs[0].deployment), (Some(true), Some(1)));
    let problem = tenant.api.refused(Method::POST, &tenant.path(&format!("{path}&deployment=9")), &json!({})).await;
    assert!(problem.status == 404 && problem.detail.contains("no deployment `9`"), "{problem:?}");
    let for_good = tenant.path(&format!("events/{event}/replay?deployment=1"));
    let problem = tenant.api.refused(Method::POST, &for_good, &json!({})).await;
    assert!(problem.status == 422 && problem.errors[0].detail.contains("dry run only"), "{problem:?}");

    let told = creel(&tenant, &["replay", &event, "--dry-run"]).await;
    for part in ["nothing was sent", "changed", "~ PUT /v2 -> receiver", "+ PUT", "- POST", "/base/v2"] {
        assert!(told.out.contains(part), "{part}: {told:?}");
    }
    let told = creel(&tenant, &["replay", &event, "--dry-run", "--deployment", "1"]).await;
    assert!(told.code == Some(0) && told.out.contains("same ") && !told.out.contains("changed"), "{told:?}");
    let said = creel(&tenant, &["--json", "replay", &event, "--dry-run"]).await.json();
    assert_eq!((&said["event"], &said["runs"][0]["same"]), (&json!(event), &json!(false)));
    assert_eq!(host.receiver.arrived().len(), 1);

    // A second plugin on the route's source: a number alone does not say whose deployment is meant.
    tenant.deploy("second", "echo", json!({})).await;
    tenant.route("orders", "second").await;
    let runs = rehearse(&host, &tenant, &path).await;
    let news: Vec<_> = runs.iter().map(|run| (run.plugin.as_str(), run.same)).collect();
    assert_eq!(news, [("echo", Some(false)), ("second", None)]);
    let refused = creel(&tenant, &["replay", &event, "--dry-run", "--deployment", "1"]).await;
    assert!(refused.code == Some(4) && refused.err.contains("several plugins"), "{refused:?}");
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_loop_is_cut_as_a_run_is_and_what_was_mended_is_seen() {
    let host = Host::with(|config| config.limits.fuel_max = 10_000_000).await;
    let (tenant, _) = shop(&host, json!({})).await;
    tenant.deploy("echo", "loops", json!({})).await;
    let event = tenant.events().await[0].id.to_string();
    let path = format!("events/{event}/replay?dry_run=true");
    let runs = rehearse(&host, &tenant, &path).await;
    assert_eq!((runs[0].verdict, runs[0].same), (Verdict::Fuel, Some(false)));
    assert!(runs[0].usage.fuel >= 10_000_000, "{:?}", runs[0].usage);
    assert_eq!(&fields(&runs[0])[..3], ["verdict", "reason", "log"]);
    assert_eq!(runs[0].changes[0].call.change, Change::Removed);
    let told = creel(&tenant, &["replay", &event, "--dry-run"]).await;
    for part in ["fuel ", "used up its fuel", "going round in circles", "- POST  -> receiver"] {
        assert!(told.out.contains(part), "{part}: {told:?}");
    }
    // Nothing of it reached a neighbour, a counter or a log of runs; and the host runs on.
    let runs = rehearse(&host, &tenant, &format!("{path}&deployment=1")).await;
    assert_eq!(runs[0].same, Some(true));
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rehearsals_take_no_room_from_a_sender_that_waits() {
    let host = Host::with(|config| {
        (config.runtime.concurrent_runs, config.runtime.reply_slots) = (1, 1);
        (config.limits.fuel_max, config.limits.fuel_per_second) = (100_000_000_000, u64::MAX);
    })
    .await;
    let (tenant, _) = shop(&host, json!({})).await;
    let source = tenant.source("vapi", "vapi-hmac", "vapi-key").await;
    tenant.deploy("desk", "echo", json!({ "reply": "true", "calls": "0" })).await;
    tenant.reply_route("vapi", "desk").await;
    // Both places are taken by what does not end by itself, and a third waits in line.
    tenant.deploy("echo", "loops", json!({})).await;
    let other = Tenant::make(&host, "other").await;
    let orders = other.source("orders", "standard-webhooks", SECRET).await;
    send(&host, &orders, "msg_2").await;
    other.deploy_granting("echo", "loops", json!({}), &[]).await;
    other.route("orders", "echo").await;
    let endless: Vec<_> = [&tenant, &tenant, &other]
        .into_iter()
        .map(|tenant| {
            let tenant = tenant.clone();
            tokio::spawn(async move {
                let event = tenant.events().await.last().expect("an event").id;
                let path = tenant.path(&format!("events/{event}/replay?dry_run=true"));
                tenant.api.ask(Method::POST, &path, None).await
            })
        })
        .collect();
    for id in ["c1", "c2", "c3"] {
        let body = json!({ "message": { "type": "assistant-request", "call": { "id": id } } });
        let answer = host.send(&source, &Webhook::json("vapi-hmac", "vapi-key", id, body.to_string())).await;
        assert!(answer.status == 200 && answer.body.contains("assistant-request"), "{answer:?}");
    }
    assert!(endless.iter().all(|rehearsal| !rehearsal.is_finished()), "they were to be under way");
    // Whoever hangs up ends a rehearsal.
    endless.iter().for_each(tokio::task::JoinHandle::abort);
    tenant.deploy("echo", "echo", json!({})).await;
    let event = tenant.events().await.last().expect("an event").id;
    let runs = rehearse(&host, &tenant, &format!("events/{event}/replay?dry_run=true")).await;
    assert_eq!(runs[0].verdict, Verdict::Done);
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_sender_was_told_is_compared_too() {
    let host = Host::open().await;
    let tenant = host.tenant("calls").await;
    let source = tenant.source("vapi", "vapi-hmac", "vapi-key").await;
    tenant.receiver(&host).await;
    tenant.deploy("desk", "echo", json!({ "reply": "true", "calls": "0", "greeting": "hello" })).await;
    tenant.reply_route("vapi", "desk").await;
    let body = r#"{"message":{"type":"assistant-request","call":{"id":"c1"}}}"#;
    host.send(&source, &Webhook::json("vapi-hmac", "vapi-key", "c1", body)).await;
    let story = tenant.settled().await;
    let path = format!("runs/{}/replay?dry_run=true", story.runs[0].id);
    let runs = rehearse(&host, &tenant, &path).await;
    assert_eq!(runs[0].same, Some(true), "{runs:#?}");
    assert_eq!(runs[0].reply, story.answer);

    tenant.deploy("desk", "echo", json!({ "reply": "true", "calls": "0", "greeting": "good evening" })).await;
    let runs = rehearse(&host, &tenant, &path).await;
    assert_eq!((runs[0].same, runs[0].differences[0].field.as_str()), (Some(false), "reply.body/config/1/1"));
    let now = runs[0].differences[0].now.as_deref();
    assert_eq!(now, Some(r#""good evening""#));
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_erased_or_somebody_elses_is_not_rehearsed() {
    let host = Host::open().await;
    let (tenant, _) = shop(&host, json!({})).await;
    let story = tenant.story().await;
    let (event, run) = (story.event.id.to_string(), story.runs[0].id.to_string());
    let stranger = host.tenant("other").await;
    for path in [format!("events/{event}/replay?dry_run=true"), format!("runs/{run}/replay?dry_run=true")] {
        assert_eq!(stranger.api.refused(Method::POST, &stranger.path(&path), &json!({})).await.status, 404);
        assert_eq!(stranger.api.refused(Method::POST, &tenant.path(&path), &json!({})).await.status, 404);
    }
    let missing = creel(&stranger, &["replay", &event, "--dry-run"]).await;
    assert_eq!(missing.code, Some(3), "{missing:?}");
    let said = creel(&tenant, &["erase", &event]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    for path in [format!("events/{event}/replay?dry_run=true"), format!("runs/{run}/replay?dry_run=true")] {
        let problem = tenant.api.refused(Method::POST, &tenant.path(&path), &json!({})).await;
        assert!(problem.status == 409 && problem.detail.contains("has been erased"), "{problem:?}");
    }
    let refused = creel(&tenant, &["replay", &run, "--dry-run"]).await;
    assert!(refused.code == Some(4) && refused.err.contains("erased"), "{refused:?}");
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_of_a_run_shows_first_what_would_be_sent() {
    let host = Host::open().await;
    let (tenant, _) = shop(&host, json!({ "path": "/in" })).await;
    let run = tenant.decided().await.id.to_string();
    // Nobody is there to say yes.
    let asked = creel(&tenant, &["replay", &run]).await;
    assert!(asked.code == Some(2) && asked.err.contains("--yes"), "{asked:?}");
    assert!(asked.out.contains("/base/in") && asked.out.contains("same"), "{asked:?}");
    let unseen = creel(&tenant, &["--json", "replay", &run]).await;
    assert!(unseen.code == Some(2) && unseen.out.is_empty() && unseen.err.contains("--dry-run"), "{unseen:?}");
    assert_eq!(tenant.story().await.runs.len(), 1);
    let done = creel(&tenant, &["replay", &run, "--yes"]).await;
    assert!(done.code == Some(0) && done.out.contains("/base/in"), "{done:?}");
    assert!(done.out.lines().last().is_some_and(|line| line.starts_with("queued run_")), "{done:?}");
    let arrived = host.receiver.arrivals(2).await;
    assert_eq!(arrived[0].header("webhook-id"), arrived[1].header("webhook-id"));
    let again = creel(&tenant, &["--json", "replay", &run, "--yes"]).await.json();
    assert!(again["run"].as_str().is_some_and(|id| id.starts_with("run_")), "{again}");
    host.receiver.arrivals(3).await;
    tenant.settled().await;
    let call = creel(&tenant, &["replay", "dlv_00000000000000000000000000000000", "--dry-run"]).await;
    assert!(call.code == Some(2) && call.err.contains("creel delivery"), "{call:?}");
    host.finish().await;
}

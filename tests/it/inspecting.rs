//! The commands that look at what was given up and send it on its way again: good and bad input, for people and as JSON.

use serde_json::{Value, json};

use crate::harness::command::{creel, follow};
use crate::harness::host::Host;
use crate::harness::sender::Webhook;
use crate::harness::tenant::Tenant;
use crate::harness::wait::until;
use crate::harness::way::Way;

const SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS1vcmRlcnMtMDAwMDE=";

/// A tenant whose orders go to `receiver`, once and never again; other types go nowhere.
pub(crate) async fn shop(host: &Host) -> (Tenant, String) {
    let tenant = host.tenant("shop").await;
    let source = tenant.source("orders", "standard-webhooks", SECRET).await;
    tenant.destination("receiver", json!({ "url": host.receiver.url(""), "retry_ms": [0] })).await;
    tenant.deploy("echo", "echo", json!({})).await;
    tenant.route_with("orders", "echo", json!({ "pattern": "order.paid" })).await;
    (tenant, source)
}

async fn send(host: &Host, source: &str, id: &str, kind: &str) {
    let order = Webhook::json("standard-webhooks", SECRET, id, json!({ "type": kind }).to_string());
    assert_eq!(host.send(source, &order).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_calls_are_listed_told_and_replayed() {
    let host = Host::open().await;
    let (tenant, source) = shop(&host).await;
    host.receiver.answers("/", &[500]);
    send(&host, &source, "msg_1", "order.paid").await;
    let call = tenant.delivered().await;
    let id = call.id.to_string();

    let listed = creel(&tenant, &["dead", "deliveries", "--destination", "receiver", "--reason", "answered 500"]).await;
    assert_eq!(listed.code, Some(0), "{listed:?}");
    assert!(
        listed.out.starts_with("DELIVERY") && listed.out.contains(&id) && listed.out.contains("dead"),
        "{listed:?}"
    );
    let listed = creel(&tenant, &["--json", "dead", "deliveries"]).await.json();
    assert_eq!(listed["items"][0]["id"], json!(id));
    let none = creel(&tenant, &["dead", "deliveries", "--type", "order.lost"]).await;
    assert_eq!((none.code, none.out.trim()), (Some(0), "nothing"));

    let told = creel(&tenant, &["delivery", &id]).await;
    for part in [&id, &call.key, "attempt 1", "the receiver answered 500", r#"{"type":"order.paid"}"#] {
        assert!(told.out.contains(part), "no `{part}` in {told:?}");
    }
    let told = creel(&tenant, &["--json", "delivery", &id]).await.json();
    assert_eq!((&told["key"], &told["body"]), (&json!(call.key), &json!(r#"{"type":"order.paid"}"#)));

    let replayed = creel(&tenant, &["replay", &id]).await;
    assert_eq!((replayed.code, replayed.out.trim()), (Some(0), format!("queued {id}").as_str()));
    tenant.delivered().await;
    let again = creel(&tenant, &["replay", &id]).await;
    assert!(again.code == Some(4) && again.err.contains("it was delivered"), "{again:?}");
    let told = creel(&tenant, &["delivery", &id]).await;
    assert!(told.out.contains("died at") && told.out.contains("attempt 2"), "{told:?}");
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_runs_are_listed_and_all_replayed_with_progress() {
    let host = Host::open().await;
    let (tenant, source) = shop(&host).await;
    tenant.deploy("echo", "panics", json!({})).await;
    for id in ["msg_1", "msg_2", "msg_3"] {
        send(&host, &source, id, "order.paid").await;
        tenant.settled().await;
    }
    let listed = creel(&tenant, &["dead", "runs", "--plugin", "echo", "--verdict", "trap"]).await;
    assert_eq!(listed.out.lines().count(), 1 + 3, "{listed:?}");
    tenant.deploy("echo", "echo", json!({})).await;
    let replayed = creel(&tenant, &["dead", "runs", "--replay", "--limit", "2"]).await;
    assert_eq!(replayed.code, Some(0), "{replayed:?}");
    let steps: Vec<&str> = replayed.err.lines().collect();
    assert_eq!(steps.len(), 2, "{replayed:?}");
    assert!(steps[0].contains("replayed 2; go on with --after run_"), "{steps:?}");
    assert!(steps[1].ends_with("looked at 3, replayed 3; that is all"), "{steps:?}");
    let sum = creel(&tenant, &["--json", "dead", "runs", "--replay"]).await.json();
    assert_eq!((&sum["looked_at"], &sum["replayed"], &sum["next"]), (&json!(0), &json!(0), &Value::Null));
    host.receiver.arrivals(3).await;
    tenant.stories(3).await;
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_route_took_is_listed_and_replayed_when_one_does() {
    let host = Host::open().await;
    let (tenant, source) = shop(&host).await;
    send(&host, &source, "msg_1", "order.paid").await;
    tenant.delivered().await;
    send(&host, &source, "msg_2", "order.lost").await;
    let lost = creel(&tenant, &["--json", "events", "--unrouted"]).await.json();
    assert_eq!(lost["items"].as_array().map(Vec::len), Some(1), "{lost}");
    let id = lost["items"][0]["id"].as_str().expect("an id").to_owned();
    let listed = creel(&tenant, &["events", "--unrouted"]).await;
    assert!(listed.out.lines().count() == 2 && listed.out.contains(&id), "{listed:?}");
    let told = creel(&tenant, &["event", &id]).await;
    assert!(told.out.contains("no route of this source takes its type"), "{told:?}");
    let refused = creel(&tenant, &["--json", "replay", "--yes", &id]).await;
    let error: Value = serde_json::from_str(&refused.err).expect("errors are JSON too");
    assert_eq!((refused.code, &error["problem"]["status"]), (Some(4), &json!(409)), "{refused:?}");

    tenant.route_with("orders", "echo", json!({ "pattern": "order.*" })).await;
    let replayed = creel(&tenant, &["--json", "replay", "--yes", &id]).await.json();
    assert_eq!(replayed["runs"].as_array().map(Vec::len), Some(1), "{replayed}");
    tenant.stories(2).await;
    let none = creel(&tenant, &["events", "--unrouted"]).await;
    assert_eq!(none.out.trim(), "nothing");
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_event_says_so_and_is_not_replayed() {
    let host = Host::open().await;
    let (tenant, source) = shop(&host).await;
    send(&host, &source, "msg_1", "order.paid").await;
    let story = tenant.settled().await;
    let (event, run) = (story.event.id.to_string(), story.runs[0].id.to_string());
    let told = creel(&tenant, &["event", &event]).await;
    assert!(told.out.contains("21 bytes") && !told.out.contains("erased"), "{told:?}");
    let erased = creel(&tenant, &["erase", &event]).await;
    assert_eq!(erased.out.trim(), format!("erased the payload of {event}; its story stays"), "{erased:?}");
    let again = creel(&tenant, &["--json", "erase", &event]).await.json();
    assert_eq!(again["event"], json!(event));
    let told = creel(&tenant, &["event", &event]).await;
    assert!(told.out.contains("payload erased") && !told.out.contains("bytes"), "{told:?}");
    assert_eq!(creel(&tenant, &["--json", "event", &event]).await.json()["event"]["erased"], json!(true));
    let body = creel(&tenant, &["event", &event, "--body"]).await;
    assert!(body.code == Some(4) && body.out.is_empty() && body.err.contains("erased"), "{body:?}");
    let refused = creel(&tenant, &["replay", &run]).await;
    assert!(refused.code == Some(4) && refused.err.contains("erased"), "{refused:?}");
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_says_why_it_waits() {
    let host = Host::open().await;
    let (tenant, source) = shop(&host).await;
    tenant.api.post(&tenant.path("destinations/receiver/pause"), json!({ "reason": "the shop moves" })).await;
    send(&host, &source, "msg_1", "order.paid").await;
    until("the call", || tenant.story(), |story| !story.deliveries.is_empty()).await;
    let listed = creel(&tenant, &["destinations"]).await;
    let line = listed.out.lines().nth(1).unwrap_or_default();
    let cells: Vec<&str> = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
    assert_eq!(cells, ["receiver", &host.receiver.url(""), "1", "paused", "the shop moves"], "{listed:?}");
    let listed = creel(&tenant, &["--json", "destinations"]).await.json();
    assert_eq!(listed[0]["paused"], json!("the shop moves"));
    let resumed = creel(&tenant, &["resume", "destination", "receiver"]).await;
    assert_eq!((resumed.code, resumed.out.trim()), (Some(0), "receiver goes on"));
    tenant.delivered().await;
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_or_not_sayable_is_refused_with_a_code_of_its_own() {
    let host = Host::open().await;
    let (tenant, _) = shop(&host).await;
    let nothing: [&[&str]; 6] = [
        &["event", "evt_00000000000000000000000000000000"],
        &["delivery", "dlv_00000000000000000000000000000000"],
        &["delivery", "no-id"],
        &["replay", "run_00000000000000000000000000000000"],
        &["replay", "dlv_00000000000000000000000000000000"],
        &["erase", "evt_00000000000000000000000000000000"],
    ];
    for arguments in nothing {
        let said = creel(&tenant, arguments).await;
        assert!(said.code == Some(3) && said.err.contains("there is no"), "{arguments:?}: {said:?}");
    }
    let wrong: [&[&str]; 5] = [
        &["dead"],
        &["dead", "letters"],
        &["dead", "runs", "--new-keys"],
        &["dead", "runs", "--after", "run_1"],
        &["replay"],
    ];
    for arguments in wrong {
        let said = creel(&tenant, arguments).await;
        assert!(said.code == Some(2) && said.err.contains("--help"), "{arguments:?}: {said:?}");
    }
    let refused: [(&[&str], &str); 4] = [
        (&["dead", "runs", "--since", "yesterday"], "since"),
        (&["dead", "deliveries", "--until", "tomorrow", "--replay"], "until"),
        (&["dead", "runs", "--verdict", "fine"], "verdict"),
        (&["dead", "runs", "--replay", "--after", "no-id"], "after"),
    ];
    for (arguments, named) in refused {
        let said = creel(&tenant, arguments).await;
        assert!(said.code == Some(2) && said.err.contains(named), "{arguments:?}: {said:?}");
    }
    let unknown = creel(&tenant, &["dead", "deliveries", "--destination", "nowhere"]).await;
    assert!(matches!(unknown.code, Some(2 | 3)) && unknown.err.contains("nowhere"), "{unknown:?}");
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_plugins_logged_is_told_and_followed() {
    let host = Host::open().await;
    let (tenant, source) = shop(&host).await;
    tenant.deploy("chatty", "logs", json!({ "lines": "2", "bytes": "3" })).await;
    tenant.route_with("orders", "chatty", json!({ "pattern": "order.told" })).await;
    send(&host, &source, "msg_1", "order.told").await;
    let first = tenant.settled().await.event.id.to_string();

    let told = creel(&tenant, &["logs", "chatty"]).await;
    assert_eq!(told.out.lines().count(), 1 + 2, "{told:?}");
    for part in ["chatty", "done", &first, "trace 0 xxx", "debug 1 xxx"] {
        assert!(told.out.contains(part), "no `{part}` in {told:?}");
    }
    let other = creel(&tenant, &["logs", "echo"]).await;
    assert_eq!((other.code, other.out.as_str()), (Some(0), ""));

    let way = Way::to(tenant.api.base()).await;
    let mut following = follow(&tenant, &["--url", &way.url(), "--json", "logs", "--follow"]);
    following.line_with(&first).await;
    send(&host, &source, "msg_2", "order.told").await;
    let run: Value = serde_json::from_str(&following.line_with("run_").await).expect("a line is JSON");
    assert_eq!((&run["verdict"], &run["log"][0]["message"]), (&json!("done"), &json!("0 xxx")), "{run}");
    assert_ne!(run["event"], json!(first), "what was told is not told again");

    way.cut();
    following.complaint_with("; trying again").await;
    send(&host, &source, "msg_3", "order.told").await;
    let third = tenant.settled().await.event.id.to_string();
    way.leads_to(tenant.api.base(), u64::MAX);
    following.line_with(&third).await;
    assert_eq!(following.interrupt().await, (Some(0), Vec::new()));
    host.finish().await;
}

#[test]
fn whoever_stops_reading_has_read_enough() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_creel"));
    let ended = command.args(["shell", "--completions", "bash"]).stdout(writer).output().unwrap();
    assert!(ended.status.success() && ended.stderr.is_empty(), "{ended:?}");
}

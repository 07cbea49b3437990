//! What people look for among events, and why something is not over: through the API and from the command line.

use creel_server::api::{EventLine, List, StoryView, Why};
use creel_store::contract::EventState;
use serde_json::json;

use crate::harness::command::creel;
use crate::harness::host::Host;
use crate::harness::sender::Webhook;
use crate::harness::tenant::Tenant;
use crate::harness::wait::until;
use crate::inspecting::shop;

const SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS1vcmRlcnMtMDAwMDE=";

async fn send(host: &Host, source: &str, id: &str, kind: &str) {
    let order = Webhook::json("standard-webhooks", SECRET, id, json!({ "type": kind }).to_string());
    assert_eq!(host.send(source, &order).await.status, 200);
}

/// The provider's ids of the events that a query finds.
async fn found(tenant: &Tenant, query: &str) -> Vec<String> {
    let list: List<EventLine> = tenant.api.get(&tenant.path(&format!("events?{query}"))).await;
    list.items.into_iter().map(|event| event.provider_id.expect("an id")).collect()
}

/// The same by a command.
async fn listed(tenant: &Tenant, filter: &[&str]) -> Vec<String> {
    let list = creel(tenant, &[&["--json", "events"], filter].concat()).await.json();
    let items = list["items"].as_array().expect("items").iter();
    items.map(|event| event["provider_id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_found_by_state_and_time() {
    let host = Host::open().await;
    let (tenant, source) = shop(&host).await;
    host.receiver.answers("/", &[200, 500]);
    for (id, kind) in [("msg_1", "order.paid"), ("msg_2", "order.lost"), ("msg_3", "order.paid")] {
        send(&host, &source, id, kind).await;
        tenant.settled().await;
    }
    for (state, ids) in
        [("done", vec!["msg_1"]), ("unrouted", vec!["msg_2"]), ("dead", vec!["msg_3"]), ("pending", vec![])]
    {
        assert_eq!(found(&tenant, &format!("state={state}")).await, ids, "{state}");
        assert_eq!(listed(&tenant, &["--state", state]).await, ids, "{state}");
    }
    assert_eq!(found(&tenant, "unrouted=true").await, ["msg_2"]);
    assert_eq!(listed(&tenant, &["--unrouted", "--limit", "1"]).await, ["msg_2"]);
    assert_eq!(found(&tenant, "state=done&kind=order.lost").await, [""; 0]);

    let second = tenant.events().await[1].received_at.to_string();
    assert_eq!(found(&tenant, &format!("since={second}")).await, ["msg_3", "msg_2"]);
    assert_eq!(listed(&tenant, &["--until", &second]).await, ["msg_1"]);
    assert_eq!(found(&tenant, "since=1h&until=0s&limit=2").await, ["msg_3", "msg_2"]);
    assert_eq!(listed(&tenant, &["--until", "1h ago"]).await, [""; 0]);
    assert_eq!(listed(&tenant, &["--since", "1h", "--state", "dead", "--type", "order.paid"]).await, ["msg_3"]);

    let said = creel(&tenant, &["events", "--since", "yesterday"]).await;
    assert!(said.code == Some(2) && said.err.contains("?since") && said.err.contains("2h"), "{said:?}");
    let said = creel(&tenant, &["events", "--state", "lost"]).await;
    assert!(said.code == Some(2) && said.err.contains("unrouted"), "{said:?}");
    host.finish().await;
}

/// The story of the newest event once it waits for exactly this, and what `creel event` says of it.
async fn waits(tenant: &Tenant, wanted: &[Why]) -> (StoryView, String) {
    let reasons = |story: &StoryView| {
        let runs = story.runs.iter().flat_map(|run| &run.waiting);
        runs.chain(story.deliveries.iter().flat_map(|call| &call.waiting)).map(|wait| wait.why).collect::<Vec<_>>()
    };
    let story = until("the wait", || tenant.story(), |story| reasons(story) == wanted).await;
    let said = creel(tenant, &["event", &story.event.id.to_string()]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    (story, said.out)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_says_why_it_is_not_over() {
    let host = Host::open().await;
    let (tenant, source) = shop(&host).await;
    creel(&tenant, &["pause", "source", "orders"]).await;
    send(&host, &source, "msg_1", "order.paid").await;
    let (_, said) = waits(&tenant, &[Why::Paused]).await;
    assert!(said.contains("waits its source `orders` is paused; `creel resume source orders` lets it go on"), "{said}");
    assert_eq!(tenant.events().await[0].state, EventState::Pending);

    creel(&tenant, &["pause", "destination", "receiver"]).await;
    creel(&tenant, &["resume", "source", "orders"]).await;
    let (story, said) = waits(&tenant, &[Why::Paused]).await;
    assert!(said.contains("waits its destination `receiver` is paused (paused by hand)"), "{said}");
    assert_eq!(tenant.events().await[0].state, EventState::Sending);
    let call = creel(&tenant, &["--json", "delivery", &story.deliveries[0].id.to_string()]).await.json();
    assert_eq!(call["waiting"][0]["why"], "paused");

    creel(&tenant, &["resume", "destination", "receiver"]).await;
    let story = tenant.settled().await;
    assert!(story.runs[0].waiting.is_empty() && story.deliveries[0].waiting.is_empty());

    // Another call's failure closes nothing; its next try has its time.
    tenant.destination("receiver", json!({ "url": host.receiver.url(""), "retry_ms": [0, 3_600_000] })).await;
    host.receiver.answers("/", &[500]);
    send(&host, &source, "msg_2", "order.paid").await;
    let (story, said) = waits(&tenant, &[Why::NotBefore]).await;
    assert!(said.contains("waits it is not tried before 20"), "{said}");
    let (call, hour_ms) = (&story.deliveries[0], 3_600_000);
    let waits_ms = call.waiting[0].until.expect("it is known").0.since_ms(call.created_at.0);
    assert!((hour_ms / 2..2 * hour_ms).contains(&waits_ms), "an hour, more or less: {call:#?}");
    drop(host.stop().await);
}

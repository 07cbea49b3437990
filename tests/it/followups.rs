//! A call's end comes back to the plugin that decided it: a second decision, as durable as the first.

use creel_store::contract::DeliveryState;
use creel_webhook::run::Verdict;
use serde_json::{Value, json};

use crate::harness::host::Host;
use crate::harness::sender::Webhook;
use crate::harness::tenant::Tenant;

const SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS1vcmRlcnMtMDAwMDE=";

async fn tenant_asking(host: &Host, config: Value) -> (Tenant, String) {
    let tenant = host.tenant("clinic").await;
    let source = tenant.source("voice", "standard-webhooks", SECRET).await;
    tenant.receiver(host).await;
    tenant.deploy("booking", "echo", config).await;
    tenant.route("voice", "booking").await;
    (tenant, source)
}

async fn book(host: &Host, source: &str) {
    let webhook = Webhook::json("standard-webhooks", SECRET, "msg_1", r#"{"type":"book"}"#);
    assert_eq!(host.send(source, &webhook).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_booked_is_confirmed() {
    let host = Host::open().await;
    let (tenant, source) = tenant_asking(&host, json!({ "on-result": "book", "confirm": "/confirm" })).await;
    host.receiver.answer("/", 503, &[], "not yet");
    host.receiver.answer("/", 201, &[("content-type", "application/json")], r#"{"slot":"10:30"}"#);
    book(&host, &source).await;

    let stories = tenant.stories(2).await;
    let (booking, report) = (&stories[0], &stories[1]);
    let calls = host.receiver.arrived();
    assert_eq!(calls.iter().map(|call| call.request.path.as_str()).collect::<Vec<_>>(), ["/", "/", "/confirm"]);
    let told: Value = serde_json::from_slice(&calls[2].request.body).unwrap();
    let expected = json!({ "tag": "book", "delivered": true, "status": 201, "depth": 1, "reason": null,
        "destination": "receiver", "text": r#"{"slot":"10:30"}"# });
    assert_eq!(told, expected);
    assert_eq!(calls[2].header("idempotency-key"), report.deliveries[0].key);

    let asked = &booking.deliveries[0];
    assert_eq!((asked.state, asked.result), (DeliveryState::Delivered, Some(report.event.id)));
    assert_eq!(asked.on_result.as_ref().map(|wanted| wanted.tag.as_str()), Some("book"));
    let origin = report.event.origin.as_ref().expect("the story of a report says where it comes from");
    assert_eq!((origin.event, origin.delivery, origin.depth), (booking.event.id, asked.id, 1));
    assert_eq!((report.event.kind.as_str(), report.event.scheme.as_str()), ("call.delivered", "internal"));
    assert_eq!((&report.event.source, &report.answer), (&booking.event.source, &None));
    let path = tenant.path(&format!("events/{}/body", report.event.id));
    let body = tenant.api.request(reqwest::Method::GET, &path).send().await.unwrap().text().await.unwrap();
    assert_eq!(body, r#"{"slot":"10:30"}"#);

    // Run again, both decide the same under the same keys, and a receiver can drop what it has had.
    tenant.replay(&report.runs[0]).await;
    let again = host.receiver.arrivals(4).await.remove(3);
    assert_eq!(again.header("idempotency-key"), calls[2].header("idempotency-key"));
    host.receiver.answer("/", 201, &[("content-type", "application/json")], r#"{"slot":"10:30"}"#);
    let path = tenant.path(&format!("runs/{}/replay", booking.runs[0].id));
    tenant.api.post(&path, json!({})).await;
    let doubles = host.receiver.arrivals(6).await.split_off(4);
    assert_eq!(doubles[0].header("idempotency-key"), asked.key);
    assert_eq!(doubles[1].header("idempotency-key"), calls[2].header("idempotency-key"), "the follow-up's too");
    tenant.stories(3).await;
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_given_up_is_told_with_its_reason() {
    let host = Host::open().await;
    let (tenant, source) = tenant_asking(&host, json!({ "on-result": "book", "confirm": "/apologise" })).await;
    host.receiver.answer("/", 409, &[], "the slot is taken");
    book(&host, &source).await;
    let stories = tenant.stories(2).await;
    let told: Value = serde_json::from_slice(&host.receiver.arrived()[1].request.body).unwrap();
    assert_eq!(
        (&told["delivered"], &told["status"], &told["text"]),
        (&json!(false), &json!(409), &json!("the slot is taken"))
    );
    assert_eq!(told["reason"].as_str(), stories[0].deliveries[0].reason.as_deref());
    assert_eq!(stories[1].event.kind, "call.dead");
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn results_of_results_come_to_an_end() {
    let host = Host::open().await;
    let config = json!({ "on-result": "book", "confirm": "/next", "chain": "true" });
    let (tenant, source) = tenant_asking(&host, config).await;
    book(&host, &source).await;
    let stories = tenant.stories(5).await;
    let last = &stories[4];
    assert_eq!((last.event.origin.as_ref().unwrap().depth, last.deliveries.len()), (4, 0));
    assert_eq!(last.runs[0].verdict, Some(Verdict::Output));
    let reason = last.runs[0].reason.as_deref().unwrap();
    assert!(reason.contains("on-result") && reason.contains("4 are allowed"), "{reason}");
    let keys: std::collections::BTreeSet<_> =
        host.receiver.arrived().iter().map(|call| call.header("idempotency-key").to_owned()).collect();
    assert_eq!(keys.len(), 4, "a key for each");
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_plugin_is_told_a_credential_that_a_receiver_repeats() {
    let host = Host::open().await;
    let (tenant, source) = tenant_asking(&host, json!({ "on-result": "book" })).await;
    tenant.secret_for("crm", "hunter2-canary", &host.receiver.url("")).await;
    let auth = json!({ "type": "bearer", "secret": "crm" });
    tenant.destination("receiver", json!({ "url": host.receiver.url(""), "auth": auth })).await;
    host.receiver.answer("/", 200, &[], "you said: Bearer hunter2-canary");
    book(&host, &source).await;
    let report = tenant.stories(2).await.remove(1);
    let path = tenant.path(&format!("events/{}/body", report.event.id));
    let body = tenant.api.request(reqwest::Method::GET, &path).send().await.unwrap().text().await.unwrap();
    assert_eq!(body, "you said: Bearer [secret]");
    host.finish().await;
}

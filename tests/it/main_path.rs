//! The main job: a signed webhook goes in, a sandboxed plugin decides, the calls go out, and people can read the story.

use bytes::Bytes;
use creel_store::contract::DeliveryState;
use creel_webhook::run::Verdict;
use serde_json::json;

use crate::harness::host::Host;
use crate::harness::sender::Webhook;

const OUTGOING: &str = "whsec_b3V0Z29pbmctc2lnbmluZy1zZWNyZXQtMDE=";

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_push_becomes_a_signed_call() {
    let host = Host::open().await;
    let tenant = host.tenant("acme").await;
    let source = tenant.source("github", "github", "push-secret").await;
    tenant.secret_for("outgoing", OUTGOING, &host.receiver.url("")).await;
    tenant.secret_for("crm", "crm-token-1", &host.receiver.url("")).await;
    let document = json!({
        "url": host.receiver.url("/hooks/"),
        "signing": { "type": "standard_webhooks", "secret": "outgoing" },
        "auth": { "type": "bearer", "secret": "crm" },
        "headers": { "x-team": "night shift" },
    });
    tenant.destination("receiver", document).await;
    tenant.deploy("echo", "echo", json!({ "path": "/pushes?from=github" })).await;
    tenant.route("github", "echo").await;

    let body = "{\n  \"repository\": {\"full_name\": \"acme/site\"}, \"ref\":\"refs/heads/main\"}\n";
    let push = Webhook::json("github", "push-secret", "72d3162e", body);
    let told = host.send(&source, &push).await;
    assert_eq!((told.status, told.body.as_str()), (200, ""));

    let story = tenant.settled().await;
    let call = host.receiver.only();
    assert_eq!((call.request.method.as_str(), call.request.path.as_str()), ("POST", "/hooks/pushes"));
    assert_eq!(call.request.query.as_deref(), Some("from=github"));
    assert_eq!(call.request.body, body, "byte for byte");
    assert_eq!(call.header("authorization"), "Bearer crm-token-1");
    assert_eq!(call.header("x-team"), "night shift");
    assert_eq!(call.header("content-type"), "application/json");
    assert_eq!(call.header("x-event-id"), story.event.id.to_string());
    assert_eq!(call.header("webhook-id"), story.deliveries[0].key);
    assert_eq!(call.header("idempotency-key"), story.deliveries[0].key);
    assert!(call.verified(OUTGOING).expect("a signature of ours").body_covered);

    assert_eq!((story.event.kind.as_str(), story.event.subject.as_deref()), ("push", Some("acme/site")));
    assert_eq!((story.event.provider_id.as_deref(), story.event.source.as_str()), (Some("72d3162e"), "github"));
    assert_eq!(story.answer.expect("what the sender was told").status, 200);
    assert_eq!((story.runs[0].verdict, story.runs[0].attempts), (Some(Verdict::Done), 1));
    assert!(story.runs[0].usage.fuel > 1_000 && story.runs[0].usage.memory_bytes >= 65_536, "{:?}", story.runs[0]);
    assert_eq!((story.deliveries[0].state, story.deliveries[0].history.len()), (DeliveryState::Delivered, 1));
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standard_webhook_in_is_one_call_out() {
    let host = Host::open().await;
    let tenant = host.tenant("shop").await;
    let source = tenant.source("orders", "standard-webhooks", OUTGOING).await;
    tenant.receiver(&host).await;
    tenant.deploy("echo", "echo", json!({})).await;
    tenant.route_with("orders", "echo", json!({ "pattern": "order.*" })).await;

    let order = Webhook::json("standard-webhooks", OUTGOING, "msg_1", r#"{"type":"order.paid","data":{"id":7}}"#);
    assert_eq!(host.send(&source, &order).await.status, 200);
    assert_eq!(tenant.delivered().await.state, DeliveryState::Delivered);
    assert_eq!(host.receiver.only().request.body, order.body);

    let other = Webhook::json("standard-webhooks", OUTGOING, "msg_2", r#"{"type":"customer.created"}"#);
    assert_eq!(host.send(&source, &other).await.status, 200);
    let story = tenant.settled().await;
    assert_eq!((story.event.kind.as_str(), story.runs.len()), ("customer.created", 0), "stored, and no route's affair");
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_gets_the_bytes_that_were_sent() {
    let host = Host::open().await;
    let tenant = host.tenant("voice").await;
    tenant.receiver(&host).await;
    tenant.deploy("echo", "echo", json!({})).await;
    let json = "{\"message\" : {\"type\":\"status-update\",\r\n\t\"call\":{\"id\":\"c-1\"},\"text\":\"\\u00e9 \u{e9} \u{1f600}\",\
                \"n\":1.0e0}}\n";
    let form = [("CallSid", "CA1"), ("CallStatus", "completed"), ("To", "+1 (555) 0100"), ("Body", "a&b=c \u{e9}")];
    let binary = Bytes::from_static(b"\x00\xff\xfe not UTF-8 \x80\r\n");
    let sent = [
        ("vapi", Webhook::json("vapi-hmac", "vapi-secret", "1", json)),
        ("twilio", Webhook::json("twilio", "twilio-secret", "2", "").form(&form)),
        ("scanner", Webhook::json("generic-hmac", "scanner-secret", "3", binary)),
    ];
    for (index, (name, webhook)) in sent.into_iter().enumerate() {
        let source = tenant.source(name, &webhook.preset, &webhook.secret).await;
        tenant.route(name, "echo").await;
        let told = host.send(&source, &webhook).await;
        assert_eq!(told.status, 200, "{name}: {told:?} {:?}", tenant.refusals().await);
        let arrived = host.receiver.arrivals(index + 1).await.remove(index);
        assert_eq!(arrived.request.body, webhook.body, "{name}");
        assert_eq!(arrived.header("content-type"), webhook.content_type, "{name}");
        let story = tenant.settled().await;
        let path = tenant.path(&format!("events/{}/body", story.event.id));
        let kept = tenant.api.request(reqwest::Method::GET, &path).send().await.unwrap().bytes().await.unwrap();
        assert_eq!(kept, webhook.body, "{name}");
    }
    host.finish().await;
}

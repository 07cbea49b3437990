//! What calls carry: each kind of signature, verified by the rules that verify those of others; credentials; the
//! sender's trace.

use creel_store::contract::DeliveryState;
use creel_webhook::clock::Timestamp;
use creel_webhook::preset::preset;
use creel_webhook::signature::scheme::Scheme;
use creel_webhook::signature::verdict::{Material, Reason};
use creel_webhook::signature::verify;
use serde_json::{Value, json};

use crate::harness::host::Host;
use crate::harness::receiver::Arrived;
use crate::harness::sender::Webhook;
use crate::harness::tenant::Tenant;
use crate::harness::wait::until;

const SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS1vcmRlcnMtMDAwMDE=";

/// A private key of Standard Webhooks, and the public one that belongs to it: RFC 8032, test 1.
const PRIVATE: &str = "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
const PUBLIC: &str = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

/// A tenant whose orders go to `receiver`, which is configured with `more`; `secrets` may be sent there.
async fn tenant_calling(host: &Host, secrets: &[(&str, &str)], mut more: Value, config: Value) -> (Tenant, String) {
    let tenant = host.tenant("shop").await;
    for (name, value) in secrets {
        tenant.secret_for(name, value, &host.receiver.url("")).await;
    }
    let source = tenant.source("orders", "standard-webhooks", SECRET).await;
    more["url"] = json!(host.receiver.url(""));
    tenant.destination("receiver", more).await;
    tenant.deploy("echo", "echo", config).await;
    tenant.route("orders", "echo").await;
    (tenant, source)
}

fn order(id: &str) -> Webhook {
    Webhook::json("standard-webhooks", SECRET, id, r#"{"type":"order.paid"}"#)
}

async fn send(host: &Host, source: &str, order: &Webhook) {
    assert_eq!(host.send(source, order).await.status, 200);
}

/// What a receiver says that knows the preset and these keys.
fn judged(call: &Arrived, scheme: &Scheme, material: &Material<'_>) -> Result<(), Reason> {
    let seconds = call.header("webhook-timestamp").parse().expect("seconds");
    verify(scheme, &call.request, material, Timestamp::from_secs(seconds)).map(drop).map_err(|refusal| refusal.reason)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_attempt_is_signed_anew_under_the_same_id() {
    let host = Host::open().await;
    let signing = json!({ "type": "standard_webhooks", "secret": "key" });
    let destination = json!({ "signing": signing, "retry_ms": [0, 1] });
    let (tenant, source) = tenant_calling(&host, &[("key", "whsec_bmV3LWtleQ==")], destination, json!({})).await;
    host.receiver.answers("/", &[503]);
    send(&host, &source, &order("msg_1")).await;
    let call = tenant.delivered().await;
    let arrived = host.receiver.arrived();
    assert_eq!(arrived.len(), 2);
    for attempt in &arrived {
        assert!(attempt.verified("whsec_bmV3LWtleQ==").is_ok());
        assert_eq!((attempt.header("webhook-id"), attempt.header("idempotency-key")), (&*call.key, &*call.key));
    }
    assert!(arrived[0].verified("whsec_b3RoZXI=").is_err());
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_may_change_its_secret_while_both_count() {
    let host = Host::open().await;
    let signing = json!({ "signing": { "type": "standard_webhooks", "secret": "key" } });
    let (tenant, source) = tenant_calling(&host, &[("key", "whsec_b2xkLWtleQ==")], signing, json!({})).await;
    let both = json!({ "value": "whsec_bmV3LWtleQ==", "overlap_ms": 600_000 });
    tenant.api.put(&tenant.path("secrets/key"), both).await;
    send(&host, &source, &order("msg_1")).await;
    tenant.delivered().await;
    let call = host.receiver.only();
    assert!(call.verified("whsec_bmV3LWtleQ==").is_ok() && call.verified("whsec_b2xkLWtleQ==").is_ok());
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_key_is_enough_to_verify_v1a() {
    let host = Host::open().await;
    let signing = json!({ "signing": { "type": "standard_webhooks_v1a", "secret": "key" } });
    let (tenant, source) = tenant_calling(&host, &[("key", PRIVATE)], signing, json!({})).await;
    send(&host, &source, &order("msg_1")).await;
    tenant.delivered().await;
    let call = host.receiver.only();
    assert!(call.header("webhook-signature").starts_with("v1a,"));
    let scheme = preset("standard-webhooks-v1a").unwrap().scheme(&Default::default()).unwrap();
    let known = Material { public_keys: &[PUBLIC], ..Material::default() };
    assert_eq!(judged(&call, &scheme, &known), Ok(()));
    let other = "whpk_PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=";
    let wrong = Material { public_keys: &[other], ..Material::default() };
    assert_eq!(judged(&call, &scheme, &wrong), Err(Reason::NoMatch));
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_tenant_signs_by_its_own_scheme_another_verifies_by_it() {
    // The receiver is a source of this very host.
    let host = Host::with(|config| config.egress_allow.push("127.0.0.1".parse().unwrap())).await;
    let scheme = json!({
        "kind": "mac", "alg": "hmac-sha512", "content": "{method} {nonce} {ts}\n{body}", "key": { "enc": "hex" },
        "sig": { "from": "header:x-acme-signature", "prefix": "acme ", "enc": "base64" },
        "ts": { "from": "header:x-acme-time", "unit": "ms", "past": 60, "future": 60 },
        "vars": { "nonce": "header:x-acme-nonce" },
    });
    let acme = host.tenant("acme").await;
    let there = acme.source_with("calls", "custom", "00ff00ff", json!({ "scheme": scheme })).await;
    let shop = host.tenant("shop").await;
    let source = shop.source("orders", "standard-webhooks", SECRET).await;
    shop.secret_for("key", "00ff00ff", &host.url("")).await;
    let signing = json!({ "type": "scheme", "secret": "key", "scheme": scheme });
    shop.destination("receiver", json!({ "url": host.url(&there), "signing": signing, "retry_ms": [0] })).await;
    shop.deploy("echo", "echo", json!({})).await;
    shop.route("orders", "echo").await;

    send(&host, &source, &order("msg_1")).await;
    let call = shop.delivered().await;
    assert_eq!((call.state, call.reason), (DeliveryState::Delivered, None));
    let event = acme.story().await.event;
    let nonce = event.headers.iter().find(|(name, _)| name == "x-acme-nonce").map(|(_, value)| value.as_str());
    assert_eq!((event.scheme.as_str(), nonce), ("custom", Some(call.key.as_str())));

    // Another key is not believed there.
    shop.secret_for("key", "0000", &host.url("")).await;
    send(&host, &source, &order("msg_2")).await;
    until("the refusal", || acme.refusals(), |refusals| refusals.iter().any(|one| one.reason == "no_match")).await;
    assert_eq!(acme.events().await.len(), 1);
    shop.api.post(&shop.path("destinations/receiver/resume"), json!({})).await;
    drop(host.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_stand_where_the_receiver_wants_them() {
    let host = Host::open().await;
    let destination = json!({
        "auth": { "type": "basic", "username": "creel", "secret": "password" },
        "secret_headers": { "X-Api-Key": "key", "X-Account": "account" },
        "headers": { "X-Plain": "plain" },
    });
    let secrets = [("password", "hunter2"), ("key", "key-0001"), ("account", "acc-0001")];
    let (tenant, source) = tenant_calling(&host, &secrets, destination, json!({})).await;
    host.receiver.answer("/", 200, &[], "you sent key-0001 and Basic Y3JlZWw6aHVudGVyMg==");
    send(&host, &source, &order("msg_1")).await;
    let call = tenant.delivered().await;
    let arrived = host.receiver.only();
    assert_eq!(arrived.header("authorization"), "Basic Y3JlZWw6aHVudGVyMg==");
    assert_eq!((arrived.header("x-api-key"), arrived.header("x-account")), ("key-0001", "acc-0001"));
    assert_eq!(arrived.header("x-plain"), "plain");
    assert_eq!(call.history[0].response_head, "you sent [secret] and Basic [secret]==");

    // Used, so not removed; bound, so not sent elsewhere.
    let (status, _) = tenant.api.ask(reqwest::Method::DELETE, &tenant.path("secrets/account"), None).await;
    assert_eq!(status, 409);
    let elsewhere = json!({ "url": "https://elsewhere.example", "secret_headers": { "x-account": "account" } });
    let problem = tenant.api.refused(reqwest::Method::PUT, &tenant.path("destinations/other"), &elsewhere).await;
    assert_eq!((problem.status, problem.errors[0].pointer.as_str()), (422, "/secret_headers/x-account"));
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_goes_on_with_the_calls_and_with_what_follows_from_them() {
    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let host = Host::open().await;
    let config = json!({ "on-result": "book", "confirm": "/confirm" });
    let (tenant, source) = tenant_calling(&host, &[], json!({}), config).await;
    let traced = order("msg_1").header("traceparent", PARENT).header("tracestate", "rojo=1,congo=2");
    send(&host, &source, &traced).await;
    for call in host.receiver.arrivals(2).await {
        let told = (call.header("traceparent"), call.header("tracestate"));
        assert_eq!(told, (PARENT, "rojo=1,congo=2"), "{}", call.request.path);
    }

    // What is no trace is not passed on.
    send(&host, &source, &order("msg_2").header("traceparent", "00-0-0-00").header("tracestate", "rojo=1")).await;
    for call in &host.receiver.arrivals(4).await[2..] {
        assert!(call.request.headers.iter().all(|(name, _)| !name.starts_with("trace")), "{:?}", call.request.headers);
    }
    until("the last report's end", || tenant.events(), |all| all.len() == 4 && all.iter().all(|one| one.pending == 0))
        .await;
    tenant.settled().await;
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_says_nothing_is_left_after_the_total_timeout() {
    let host = Host::open().await;
    let destination = json!({ "timeout_ms": 150, "retry_ms": [0] });
    let (tenant, source) = tenant_calling(&host, &[], destination, json!({})).await;
    host.receiver.silent(true);
    send(&host, &source, &order("msg_1")).await;
    let call = until("the call's end", || tenant.settled(), |story| !story.deliveries.is_empty()).await;
    let call = &call.deliveries[0];
    assert_eq!(call.history[0].answer, creel_webhook::delivery::Answer::Timeout);
    assert_eq!(call.history[0].detail.as_deref(), Some("no answer within 150 ms"));
    assert!(call.history[0].duration_ms >= 150);
    host.receiver.silent(false);
    host.finish().await;
}

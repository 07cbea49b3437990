//! A provider that gives its secret with a greeting: taken once, from a source that waits for it.

use creel_webhook::signature::hash::{Algorithm, mac};
use serde_json::{Value, json};

use crate::harness::host::Host;
use crate::harness::tenant::Tenant;

const GIVEN: &str = "b537207f20cbfa02357cf448134da559";
const EVENT: &str = r#"{"events":[{"action":"changed","created_at":"2026-01-01T00:00:00.000Z",
    "resource":{"gid":"12","resource_type":"task"}}]}"#;

async fn greet(host: &Host, source: &str, secret: &str) -> (u16, Option<String>) {
    let told = host.http().post(host.url(source)).header("x-hook-secret", secret).send().await.unwrap();
    let echo = told.headers().get("x-hook-secret").map(|value| value.to_str().unwrap().to_owned());
    (told.status().as_u16(), echo)
}

async fn send(host: &Host, source: &str, secret: &str, body: &'static str) -> u16 {
    let signature = hex::encode(mac(Algorithm::HmacSha256, secret.as_bytes(), body.as_bytes()));
    let request = host.http().post(host.url(source)).header("x-hook-signature", signature).body(body);
    request.send().await.unwrap().status().as_u16()
}

async fn secrets_of(tenant: &Tenant, source: &str) -> Value {
    tenant.api.get::<Value>(&tenant.path(&format!("sources/{source}"))).await["spec"]["secrets"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_secret_is_kept_and_no_second_one() {
    let host = Host::open().await;
    let tenant = host.tenant("desk").await;
    let source = tenant.source("tasks", "asana", "").await;
    assert_eq!(send(&host, &source, GIVEN, EVENT).await, 401, "nothing is believed before");
    assert_eq!(greet(&host, &source, "short").await, (401, None));
    assert_eq!(greet(&host, &source, GIVEN).await, (200, Some(GIVEN.to_owned())));
    assert_eq!(secrets_of(&tenant, "tasks").await, json!(["tasks-given"]));

    assert_eq!(send(&host, &source, GIVEN, EVENT).await, 200);
    assert_eq!(send(&host, &source, "another-secret-of-somebody", EVENT).await, 401);
    assert_eq!(send(&host, &source, GIVEN, r#"{"events":[]}"#).await, 200, "a sign of life");
    let events = tenant.events().await;
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].kind.as_str(), events[0].subject.as_deref()), ("task.changed", Some("12")));

    assert_eq!(greet(&host, &source, "another-secret-of-somebody").await, (401, None));
    assert_eq!(greet(&host, &source, GIVEN).await.0, 200, "who repeats it knows it");
    assert_eq!(send(&host, &source, "another-secret-of-somebody", EVENT).await, 401);
    let reasons: Vec<String> = tenant.refusals().await.into_iter().map(|refusal| refusal.reason).collect();
    assert_eq!(reasons, ["no_match", "not_allowed", "no_match", "malformed_header", "no_secret_configured"]);
    let stored = host.store().control_read().await.unwrap().secrets.remove(0);
    assert!(!stored.sealed.windows(GIVEN.len()).any(|part| part == GIVEN.as_bytes()), "sealed");
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_outlives_the_host_and_an_operator_can_let_another_one_in() {
    let host = Host::open().await;
    let tenant = host.tenant("desk").await;
    let source = tenant.source("tasks", "asana", "").await;
    assert_eq!(greet(&host, &source, GIVEN).await.0, 200);
    let (home, receiver) = host.kill().await;
    let host = home.serve(receiver).await;
    let tenant = tenant.at(&host);
    assert_eq!(send(&host, &source, GIVEN, EVENT).await, 200);

    tenant.api.put(&tenant.path("sources/tasks"), json!({ "preset": "asana" })).await;
    assert_eq!(send(&host, &source, GIVEN, EVENT).await, 401);
    assert_eq!(greet(&host, &source, "the-next-secret-of-asana").await.0, 200);
    assert_eq!(send(&host, &source, "the-next-secret-of-asana", EVENT).await, 200);
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_providers_give_no_secrets() {
    let host = Host::open().await;
    let tenant = host.tenant("desk").await;
    let source = tenant.source("pushes", "github", "of-the-operator").await;
    assert_eq!(greet(&host, &source, GIVEN).await, (401, None));
    assert_eq!(secrets_of(&tenant, "pushes").await, json!(["pushes-secret"]));
    host.finish().await;
}

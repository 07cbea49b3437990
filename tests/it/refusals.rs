//! Requests that are not taken: the sender learns a status, the operator the reason, and nothing is stored.

use std::sync::Arc;

use creel_server::config::MasterKeySource;
use creel_webhook::clock::{Clock as _, ManualClock, Timestamp};
use creel_webhook::secret::MasterKey;
use serde_json::json;

use crate::harness::host::{Home, Host};
use crate::harness::receiver::Receiver;
use crate::harness::sender::{Answer, Webhook};
use crate::harness::wire::Wire;

const SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS1vcmRlcnMtMDAwMDE=";

fn order(id: &str) -> Webhook {
    Webhook::json("standard-webhooks", SECRET, id, r#"{"type":"order.paid"}"#)
}

fn unbelieved() -> Answer {
    Answer { status: 401, content_type: None, retry_after_s: None, body: String::new() }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_genuine_is_an_empty_401() {
    let host = Host::open().await;
    let tenant = host.tenant("shop").await;
    let source = tenant.source("orders", "standard-webhooks", SECRET).await;

    let forged = Webhook { secret: "whsec_YSBndWVzcw==".to_owned(), ..order("msg_1") };
    assert_eq!(host.send(&source, &forged).await, unbelieved());
    assert_eq!(host.send(&source, &order("msg_2").aged(600)).await, unbelieved());
    assert_eq!(host.send(&source, &order("msg_3").aged(-600)).await, unbelieved());
    let unsigned = host.http().post(host.url(&source)).body("{}").send().await.unwrap();
    assert_eq!(Answer::of(unsigned).await, unbelieved());
    let changed = order("msg_4").request(host.http(), &host.url(&source)).body("{\"type\":\"order.free\"}");
    assert_eq!(Answer::of(changed.send().await.unwrap()).await, unbelieved());

    let mut refusals = tenant.refusals().await;
    refusals.reverse();
    let reasons: Vec<&str> = refusals.iter().map(|refusal| refusal.reason.as_str()).collect();
    let expected = ["no_match", "timestamp_too_old", "timestamp_in_future", "missing_header", "no_match"];
    assert_eq!(reasons, expected);
    for refusal in &refusals {
        assert_eq!((refusal.source.as_str(), refusal.peer.as_str()), ("orders", "127.0.0.1"), "{refusal:?}");
        assert!(refusal.detail.len() > 10 && !refusal.detail.contains(&SECRET[6..]), "{refusal:?}");
    }
    assert!(tenant.events().await.is_empty());
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_source_is_a_404_and_a_strange_method_a_405() {
    let host = Host::open().await;
    let tenant = host.tenant("shop").await;
    let source = tenant.source("orders", "standard-webhooks", SECRET).await;

    assert_eq!(host.send("/in/00000000000000000000000000000000", &order("msg_1")).await.status, 404);
    assert_eq!(host.send("/", &order("msg_1")).await.status, 404);
    for method in ["GET", "DELETE", "PATCH"] {
        let request = host.http().request(method.parse().unwrap(), host.url(&source)).send().await.unwrap();
        assert_eq!(request.headers().get("allow").map(|allow| allow.as_bytes()), Some(&b"POST"[..]), "{method}");
        assert_eq!(Answer::of(request).await, Answer { status: 405, ..unbelieved() }, "{method}");
    }
    assert!(tenant.refusals().await.is_empty(), "nobody tried to be genuine");
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_greeting_may_come_by_a_method_that_events_do_not() {
    let host = Host::open().await;
    let tenant = host.tenant("shop").await;
    let params = json!({ "params": { "verify_token": "let me in" } });
    let source = tenant.source_with("whatsapp", "meta", "app-secret", params).await;
    let query = "hub.mode=subscribe&hub.verify_token=let+me+in&hub.challenge=1158201444";
    let greeting = host.http().get(host.url(&format!("{source}?{query}"))).send().await.unwrap();
    assert_eq!(Answer::of(greeting).await.body, "1158201444");
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oversized_body_is_a_413_that_its_sender_can_read() {
    let host = Host::open().await;
    let tenant = host.tenant("shop").await;
    let small = json!({ "body_bytes_max": 1_000 });
    let source = tenant.source_with("orders", "standard-webhooks", SECRET, small).await;
    let megabyte = vec![b'x'; 1 << 20];

    // Senders that write everything before they read: a reset would cost them the answer.
    let mut announced = Wire::connect(host.ingress).await;
    announced.head(&source, &["content-length: 4194304"]).await;
    for _ in 0..4 {
        announced.write(&megabyte).await;
    }
    assert!(announced.answer().await.starts_with("HTTP/1.1 413 "));

    let mut chunked = Wire::connect(host.ingress).await;
    chunked.head(&source, &["transfer-encoding: chunked"]).await;
    for _ in 0..4 {
        chunked.write(b"100000\r\n").await;
        chunked.write(&megabyte).await;
        chunked.write(b"\r\n").await;
    }
    chunked.write(b"0\r\n\r\n").await;
    assert!(chunked.answer().await.starts_with("HTTP/1.1 413 "));

    // One that asks first is told so before it sends anything.
    let mut asking = Wire::connect(host.ingress).await;
    asking.head(&source, &["content-length: 4194304", "expect: 100-continue"]).await;
    assert!(asking.answer().await.starts_with("HTTP/1.1 413 "));

    let unknown = Webhook { body: megabyte.into(), ..order("msg_1") };
    assert_eq!(host.send("/in/nowhere", &unknown).await.status, 404, "also readable when nobody reads the body");
    assert!(tenant.events().await.is_empty());
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_is_a_408() {
    let host = Host::with(|config| config.ingress.body_timeout_ms = 100).await;
    let tenant = host.tenant("shop").await;
    let source = tenant.source("orders", "standard-webhooks", SECRET).await;
    let mut slow = Wire::connect(host.ingress).await;
    slow.head(&source, &["content-length: 100"]).await;
    slow.write(b"{\"type\":").await;
    assert!(slow.answer().await.starts_with("HTTP/1.1 408 "));
    assert!(tenant.events().await.is_empty());
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_turned_away_before_it_costs_anything_and_ends_by_itself() {
    let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_767_225_600)));
    let few = |config: &mut creel_server::config::Config| {
        (config.ingress.refusals_burst, config.ingress.refusals_per_second) = (5, 1);
    };
    let host = Home::new(few).with_clock(clock.clone()).serve(Arc::new(Receiver::start().await)).await;
    let tenant = host.tenant("shop").await;
    let source = tenant.source("orders", "standard-webhooks", SECRET).await;
    let other = tenant.source("others", "standard-webhooks", SECRET).await;
    let now = |webhook: Webhook| Webhook { at: Some(clock.now()), ..webhook };
    let forged = || now(Webhook { secret: "whsec_YSBndWVzcw==".to_owned(), ..order("msg_1") });

    let mut told = Vec::new();
    for _ in 0..8 {
        told.push(host.send(&source, &forged()).await.status);
    }
    assert_eq!(told, [401, 401, 401, 401, 401, 429, 429, 429]);
    // The answer comes before the body does.
    let mut announced = Wire::connect(host.ingress).await;
    announced.head(&source, &["content-length: 4194304", "expect: 100-continue"]).await;
    let answer = announced.answer().await.to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 429 ") && answer.contains("retry-after: 1"), "{answer}");
    assert_eq!(host.send(&other, &now(order("msg_2"))).await.status, 200, "another source is not concerned");

    clock.set(clock.now().plus_ms(1_000));
    assert_eq!(host.send(&source, &now(order("msg_3"))).await.status, 200);
    // Who was genuine may be wrong again.
    assert_eq!(host.send(&source, &forged()).await.status, 401);
    assert_eq!(host.send(&source, &now(order("msg_4"))).await.status, 200);

    assert_eq!(tenant.refusals().await.iter().filter(|refusal| refusal.reason == "rate_limited").count(), 4);
    let metrics = host.api.request(reqwest::Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("creel_refusals_total{reason=\"rate_limited\"} 4"), "{metrics}");
    assert!(metrics.contains("creel_requests_total{outcome=\"rate_limited\"} 4"), "{metrics}");
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_whose_secret_does_not_open_refuses_everything() {
    let host = Host::open().await;
    let tenant = host.tenant("shop").await;
    let source = tenant.source("orders", "standard-webhooks", SECRET).await;
    assert_eq!(host.send(&source, &order("msg_1")).await.status, 200);

    let mut secret = host.store().control_read().await.unwrap().secrets.remove(0);
    secret.sealed = MasterKey::from_bytes([7; 32]).seal(secret.tenant, &secret.name, SECRET.as_bytes(), [1; 12]);
    host.store().secret_put(secret).await.unwrap();
    assert_eq!(host.send(&source, &order("msg_2")).await, unbelieved());
    let refusals = tenant.refusals().await;
    assert_eq!(refusals[0].reason, "no_secret_configured");
    assert!(refusals[0].detail.contains("`orders-secret`"), "{}", refusals[0].detail);
    assert_eq!(tenant.events().await.len(), 1);
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_does_not_start_with_another_master_key() {
    let host = Host::open().await;
    host.tenant("shop").await.source("orders", "standard-webhooks", SECRET).await;
    let (home, receiver) = host.stop().await;
    let another_key = home.changed(|config| {
        config.master_key = MasterKeySource::Environment(MasterKey::from_bytes([7; 32]));
    });
    let refusal = another_key.app(&receiver).await.err().expect("it does not open").to_string();
    assert!(refusal.contains("not the master key"), "{refusal}");
}

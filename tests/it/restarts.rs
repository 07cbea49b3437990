//! The host ends in the middle of things and is opened again: what was acknowledged is decided and delivered, once.

use creel_store::contract::DeliveryState;
use creel_webhook::run::Verdict;
use serde_json::json;

use crate::harness::host::Host;
use crate::harness::sender::Webhook;
use crate::harness::tenant::Tenant;
use crate::harness::wait::until;

const SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS1vcmRlcnMtMDAwMDE=";

async fn tenant_with(host: &Host, fixture: &str, config: serde_json::Value) -> (Tenant, String) {
    let tenant = host.tenant("shop").await;
    let source = tenant.source("orders", "standard-webhooks", SECRET).await;
    tenant.receiver(host).await;
    tenant.deploy("handler", fixture, config).await;
    tenant.route("orders", "handler").await;
    (tenant, source)
}

fn order(id: &str) -> Webhook {
    Webhook::json("standard-webhooks", SECRET, id, r#"{"type":"order.paid"}"#)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_is_decided_after_a_restart() {
    let host = Host::open().await;
    let (tenant, source) = tenant_with(&host, "echo", json!({})).await;
    tenant.api.post("/v1/tenants/shop/routes/orders-handler/pause", json!({})).await;
    for id in ["msg_1", "msg_2", "msg_3"] {
        assert_eq!(host.send(&source, &order(id)).await.status, 200);
    }
    let (home, receiver) = host.stop().await;
    assert!(receiver.arrived().is_empty());

    let host = home.serve(receiver).await;
    let tenant = tenant.at(&host);
    assert_eq!(host.send(&source, &order("msg_1")).await.status, 200, "still known after the restart");
    tenant.api.post("/v1/tenants/shop/routes/orders-handler/resume", json!({})).await;
    let delivered = || tenant.api.list("/v1/tenants/shop/deliveries?state=delivered");
    until("three calls", delivered, |calls| calls.len() == 3).await;
    assert_eq!((host.receiver.arrived().len(), tenant.events().await.len()), (3, 3));
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_cut_off_is_done_once_more_and_delivered_once() {
    let host =
        Host::with(|config| (config.limits.fuel_max, config.limits.fuel_per_second) = (100_000_000_000, u64::MAX))
            .await;
    let (tenant, source) = tenant_with(&host, "late", json!({ "iterations": "600000000" })).await;
    assert_eq!(host.send(&source, &order("msg_1")).await.status, 200);
    until("the claim", || tenant.story(), |story| story.runs[0].claims == 1).await;
    let (home, receiver) = host.kill().await;
    assert!(receiver.arrived().is_empty());

    let host = home.serve(receiver).await;
    let tenant = tenant.at(&host);
    let story = tenant.settled().await;
    let run = &story.runs[0];
    // Whether its first claim counts as lost depends on how far the host was when it ended.
    assert_eq!((run.verdict, run.attempts), (Some(Verdict::Done), 1), "{run:?}");
    assert_eq!(story.deliveries[0].state, DeliveryState::Delivered);
    assert_eq!(host.receiver.arrived().len(), 1);
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_cut_off_is_made_again_under_the_same_key() {
    let host = Host::open().await;
    let (tenant, source) = tenant_with(&host, "echo", json!({})).await;
    tenant.destination("receiver", json!({ "url": host.receiver.url(""), "retry_ms": [0, 1_000, 1_000] })).await;
    host.receiver.answers("/", &[503]);
    assert_eq!(host.send(&source, &order("msg_1")).await.status, 200);
    host.receiver.arrivals(1).await;
    let (home, receiver) = host.kill().await;

    let host = home.serve(receiver).await;
    let call = tenant.at(&host).delivered().await;
    assert_eq!(call.state, DeliveryState::Delivered);
    let arrived = host.receiver.arrived();
    assert!(arrived.iter().all(|one| one.header("idempotency-key") == call.key), "{arrived:#?}");
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_a_run_finish() {
    let host =
        Host::with(|config| (config.limits.fuel_max, config.limits.fuel_per_second) = (100_000_000_000, u64::MAX))
            .await;
    let (tenant, source) = tenant_with(&host, "late", json!({ "iterations": "400000000" })).await;
    assert_eq!(host.send(&source, &order("msg_1")).await.status, 200);
    until("the claim", || tenant.story(), |story| story.runs[0].claims == 1).await;
    let (home, receiver) = host.stop().await;

    let host = home.serve(receiver).await;
    let story = tenant.at(&host).settled().await;
    let run = &story.runs[0];
    assert_eq!((run.verdict, run.attempts, run.claims), (Some(Verdict::Done), 1, 1), "{run:?}");
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_belongs_to_one_host() {
    let host = Host::open().await;
    let (home, receiver) = host.stop().await;
    let first = home.app(&receiver).await.expect("nobody else is there");
    let refusal = match home.app(&receiver).await {
        Ok(_) => panic!("two hosts on one directory"),
        Err(error) => format!("{error:#}"),
    };
    let path = home.path().display().to_string();
    assert!(refusal.contains(&path) && refusal.contains(&format!("process {}", std::process::id())), "{refusal}");
    drop(first);
    drop(home.app(&receiver).await.expect("it was given back"));
}

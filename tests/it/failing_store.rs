//! The store fails for a while, and only at commits. What was decided or sent is kept and stored when it works again: no
//! run is run twice for it, and no call is made twice.

use creel_store::contract::DeliveryState;
use creel_webhook::run::Verdict;
use rusqlite::Connection;
use serde_json::json;

use crate::harness::host::Host;
use crate::harness::sender::Webhook;
use crate::harness::tenant::Tenant;
use crate::harness::wait::until;

const SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS1vcmRlcnMtMDAwMDE=";

/// Refuses what stores how a run ended.
const NO_RUNS: &str = "CREATE TRIGGER fails BEFORE UPDATE OF verdict ON run
    BEGIN SELECT raise(ABORT, 'the disk is full'); END";

/// Refuses what stores how an attempt ended.
const NO_ATTEMPTS: &str = "CREATE TRIGGER fails BEFORE INSERT ON attempt
    BEGIN SELECT raise(ABORT, 'the disk is full'); END";

async fn shop(host: &Host) -> (Tenant, String) {
    let tenant = host.tenant("shop").await;
    let source = tenant.source("orders", "standard-webhooks", SECRET).await;
    tenant.receiver(host).await;
    tenant.deploy("echo", "echo", json!({})).await;
    tenant.route("orders", "echo").await;
    (tenant, source)
}

/// One order while the store refuses by `trigger`, which lasts until a commit of `what` is tried again.
async fn order_while(host: &Host, path: &str, trigger: &str, what: &str) {
    let other = Connection::open(host.path().join("creel.db")).unwrap();
    other.execute_batch(trigger).unwrap();
    let order = Webhook::json("standard-webhooks", SECRET, "msg_1", r#"{"type":"order.paid"}"#);
    assert_eq!(host.send(path, &order).await.status, 200);
    let counted = format!("creel_commit_retries_total{{what=\"{what}\"}}");
    let metrics = || async { host.api.ask(reqwest::Method::GET, "/metrics", None).await.1 };
    until("another try", metrics, |text| text.lines().any(|line| line.starts_with(&counted))).await;
    other.execute_batch("DROP TRIGGER fails").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decided_run_is_stored_as_soon_as_the_store_takes_it() {
    let host = Host::open().await;
    let (tenant, source) = shop(&host).await;
    order_while(&host, &source, NO_RUNS, "run").await;
    let story = tenant.settled().await;
    let run = &story.runs[0];
    assert_eq!((run.verdict, run.claims, run.attempts), (Some(Verdict::Done), 1, 1), "run once: {run:#?}");
    assert_eq!(story.deliveries.len(), 1);
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_made_is_stored_as_made_and_not_made_again() {
    let host = Host::open().await;
    let (tenant, source) = shop(&host).await;
    order_while(&host, &source, NO_ATTEMPTS, "delivery").await;
    let call = tenant.delivered().await;
    assert_eq!((call.state, call.history.len()), (DeliveryState::Delivered, 1), "{call:#?}");
    assert_eq!(host.receiver.arrived().len(), 1);
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_a_store_that_stays_broken() {
    let host = Host::with(|config| config.shutdown_timeout_ms = 0).await;
    let (tenant, source) = shop(&host).await;
    let other = Connection::open(host.path().join("creel.db")).unwrap();
    other.execute_batch(NO_ATTEMPTS).unwrap();
    let order = Webhook::json("standard-webhooks", SECRET, "msg_1", r#"{"type":"order.paid"}"#);
    assert_eq!(host.send(&source, &order).await.status, 200);
    host.receiver.arrivals(1).await;
    let (home, receiver) = host.stop().await;
    other.execute_batch("DROP TRIGGER fails").unwrap();
    let host = home.serve(receiver).await;
    let call = tenant.at(&host).delivered().await;
    assert_eq!(call.state, DeliveryState::Delivered);
    let arrived = host.receiver.arrived();
    assert!(arrived.iter().all(|one| one.header("webhook-id") == call.key), "{arrived:#?}");
    host.finish().await;
}

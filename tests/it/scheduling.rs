//! Who goes when all want everything: a tenant's places, its fuel, and the slots for those who wait.

use std::sync::Arc;

use creel_server::api::StoryView;
use creel_server::system::SystemClock;
use creel_webhook::clock::{Clock as _, ManualClock};
use creel_webhook::run::Verdict;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::host::{Home, Host};
use crate::harness::receiver::Receiver;
use crate::harness::sender::Webhook;
use crate::harness::tenant::Tenant;
use crate::harness::wait::until;

const SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS1vcmRlcnMtMDAwMDE=";

fn order(id: &str) -> Webhook {
    Webhook::json("standard-webhooks", SECRET, id, r#"{"type":"order.paid"}"#)
}

/// A tenant whose plugin is this fixture; gives its source too.
async fn shop(host: &Host, name: &str, fixture: &str, config: Value, limits: Value) -> (Tenant, String) {
    let tenant = Tenant::make_within(&host.api, name, limits).await;
    let source = tenant.source("orders", "standard-webhooks", SECRET).await;
    tenant.receiver(host).await;
    tenant.deploy("handler", fixture, config).await;
    tenant.route("orders", "handler").await;
    (tenant, source)
}

async fn undecided(tenant: &Tenant) -> usize {
    let runs = tenant.api.list(&tenant.path("runs")).await;
    runs.iter().filter(|run| run["ended_at"].is_null()).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_has_all_its_places_taken_leaves_others_theirs() {
    let host = Host::with(|config| config.runtime.concurrent_runs = 2).await;
    let lasting =
        json!({ "concurrent_runs_max": 1, "fuel_max": 3_000_000_000_u64, "fuel_per_second": 100_000_000_000_u64 });
    let (busy, orders) = shop(&host, "busy", "loops", json!({}), lasting).await;
    let (other, others) = shop(&host, "other", "echo", json!({}), json!({})).await;
    for id in ["1", "2", "3", "4"] {
        assert_eq!(host.send(&orders, &order(id)).await.status, 200);
    }
    assert_eq!(host.send(&others, &order("5")).await.status, 200);
    assert_eq!(other.decided().await.verdict, Some(Verdict::Done));
    assert!(undecided(&busy).await >= 1, "the other did not wait for all of them");
    let stories = busy.stories(4).await;
    assert!(stories.iter().all(|story| story.runs[0].verdict == Some(Verdict::Fuel)));
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn used_up_fuel_holds_a_tenants_runs_until_it_has_come_back() {
    let clock = Arc::new(ManualClock::new(SystemClock::new().now()));
    let home = Home::new(|_| {}).with_clock(clock.clone());
    let host = home.serve(Arc::new(Receiver::start().await)).await;
    // Five seconds are saved up; one run takes thirty seconds' worth.
    let poor = json!({ "fuel_per_second": 100_000, "fuel_max": 3_000_000 });
    let (poor, orders) = shop(&host, "poor", "loops", json!({}), poor).await;
    let (other, others) = shop(&host, "other", "echo", json!({}), json!({})).await;
    assert_eq!(host.send(&orders, &order("1")).await.status, 200);
    assert_eq!(poor.decided().await.verdict, Some(Verdict::Fuel));
    // Of two events of one moment neither is the newer one.
    clock.advance_ms(1);
    assert_eq!(host.send(&orders, &order("2")).await.status, 200);
    for id in ["3", "4"] {
        clock.advance_ms(12_000);
        assert_eq!(host.send(&others, &order(id)).await.status, 200);
        assert_eq!(other.decided().await.verdict, Some(Verdict::Done), "another tenant has fuel");
        assert_eq!(undecided(&poor).await, 1, "it has to wait");
    }
    let metrics = || host.api.ask(Method::GET, "/metrics", None);
    until("the gauge", metrics, |(_, text)| text.contains("creel_tenants_in_debt 1")).await;
    clock.advance_ms(1_500);
    assert_eq!(poor.decided().await.verdict, Some(Verdict::Fuel), "and then it goes");
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_of_one_tenant_leave_slots_for_those_of_another() {
    let host = Host::with(|config| {
        config.runtime.reply_slots = 4;
        (config.limits.fuel_max, config.limits.fuel_per_second) = (100_000_000_000, u64::MAX);
    })
    .await;
    let desk = |name: &'static str, fixture: &'static str, config: Value| {
        let host = &host;
        async move {
            let tenant = host.tenant(name).await;
            let patient = json!({ "reply_deadline_ms": 60_000 });
            let source = tenant.source_with("voice", "vapi-hmac", "vapi-key", patient).await;
            tenant.receiver(host).await;
            tenant.deploy("desk", fixture, config).await;
            tenant.reply_route("voice", "desk").await;
            (tenant, source)
        }
    };
    let (slow, slow_source) = desk("slow", "late", json!({ "iterations": "300000000" })).await;
    let (quick, quick_source) = desk("quick", "echo", json!({ "reply": "true" })).await;
    let call = |id: u32| {
        let body = format!(r#"{{"message":{{"type":"assistant-request","call":{{"id":"c{id}"}}}}}}"#);
        Webhook::json("vapi-hmac", "vapi-key", "", body)
    };
    let calls: Vec<_> = (0..8).map(call).collect();
    let slow_calls = futures_util::future::join_all(calls.iter().map(|call| host.send(&slow_source, call)));
    let quick_call = async {
        let look = || slow.events();
        until("all slow calls", look, |events| events.len() == 8).await;
        let told = host.send(&quick_source, &call(9)).await;
        assert_eq!(told.status, 200);
        undecided(&slow).await
    };
    let (told, left) = tokio::join!(slow_calls, quick_call);
    assert!(left >= 1, "it was answered before all of the others'");
    assert!(told.iter().all(|answer| answer.status == 200 && answer.body.contains("iterations")), "{told:?}");
    let story: StoryView = quick.settled().await;
    assert_eq!(story.runs[0].verdict, Some(Verdict::Done));
    slow.stories(8).await;
    host.finish().await;
}

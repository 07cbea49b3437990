//! Plugins that misbehave, on purpose or not: a verdict that says why, nobody else disturbed, and a fix that can be
//! tried on the very event that failed.

use creel_webhook::run::Verdict;
use serde_json::{Value, json};

use crate::harness::host::Host;
use crate::harness::sender::Webhook;
use crate::harness::tenant::Tenant;

const SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS1vcmRlcnMtMDAwMDE=";

fn order(id: &str) -> Webhook {
    Webhook::json("standard-webhooks", SECRET, id, r#"{"type":"order.paid"}"#)
}

/// A tenant whose source `orders` goes to the plugin `handler`.
async fn tenant_with(host: &Host, name: &str, fixture: &str, config: Value) -> (Tenant, String) {
    let tenant = host.tenant(name).await;
    let source = tenant.source("orders", "standard-webhooks", SECRET).await;
    tenant.receiver(host).await;
    tenant.deploy("handler", fixture, config).await;
    tenant.route("orders", "handler").await;
    (tenant, source)
}

/// What is expected of a run.
struct Expected {
    fixture: &'static str,
    config: Value,
    verdict: Verdict,
    /// What its reason must say.
    reason: &'static str,
}

#[tokio::test(flavor = "multi_thread")]
async fn each_has_its_verdict_and_can_be_replayed_on_a_fixed_version() {
    let cases = [
        Expected { fixture: "loops", config: json!({}), verdict: Verdict::Fuel, reason: "used up its fuel" },
        Expected { fixture: "grows", config: json!({}), verdict: Verdict::Memory, reason: "67108864" },
        Expected {
            fixture: "panics",
            config: json!({ "message": "no such customer" }),
            verdict: Verdict::Trap,
            reason: "no such customer",
        },
        Expected {
            fixture: "rejects",
            config: json!({ "reason": "not a test order" }),
            verdict: Verdict::Rejected,
            reason: "not a test order",
        },
        Expected {
            fixture: "bad-call",
            config: json!({ "destination": "crm" }),
            verdict: Verdict::Output,
            reason: "`crm`",
        },
        Expected {
            fixture: "bad-call",
            config: json!({ "path": "/../admin" }),
            verdict: Verdict::Output,
            reason: "call 1",
        },
        Expected {
            fixture: "bad-call",
            config: json!({ "header": "authorization: Bearer mine" }),
            verdict: Verdict::Output,
            reason: "authorization",
        },
        Expected {
            fixture: "bad-call",
            config: json!({ "body-bytes": "2000000" }),
            verdict: Verdict::Output,
            reason: "call 1",
        },
    ];
    let host = Host::open().await;
    for (index, case) in cases.into_iter().enumerate() {
        let (tenant, source) = tenant_with(&host, &format!("tenant-{index}"), case.fixture, case.config).await;
        assert_eq!(host.send(&source, &order("msg_1")).await.status, 200, "the sender has nothing to do with it");
        let run = tenant.decided().await;
        let reason = run.reason.clone().unwrap_or_default();
        assert_eq!(run.verdict, Some(case.verdict), "{}: {reason}", case.fixture);
        assert!(reason.contains(case.reason), "{}: {reason}", case.fixture);
        assert_eq!(run.attempts, 1, "{}: the same event would end the same", case.fixture);
        assert!(host.receiver.arrived().len() == index, "{}: nothing of it is sent", case.fixture);

        tenant.deploy("handler", "echo", json!({})).await;
        let replayed = tenant.replay(&run).await;
        assert_eq!((replayed.verdict, replayed.deployment), (Some(Verdict::Done), Some(2)), "{}", case.fixture);
        assert_eq!(host.receiver.arrivals(index + 1).await.len(), index + 1);
        tenant.settled().await;
    }
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panics_message_and_place_are_in_the_log() {
    let host = Host::open().await;
    let (tenant, source) = tenant_with(&host, "acme", "panics", json!({ "message": "no such customer" })).await;
    host.send(&source, &order("msg_1")).await;
    let log = tenant.decided().await.log;
    let lines: Vec<&str> = log.iter().map(|line| line.message.as_str()).collect();
    assert_eq!(lines[0], "about to panic");
    assert!(lines[1].contains("no such customer") && lines[1].contains("panics/src/lib.rs:"), "{lines:?}");
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_log_lines_is_cut_and_says_so() {
    let host = Host::open().await;
    let (tenant, source) = tenant_with(&host, "acme", "logs", json!({ "lines": "5000", "bytes": "500" })).await;
    host.send(&source, &order("msg_1")).await;
    let run = tenant.decided().await;
    assert_eq!(run.verdict, Some(Verdict::Done));
    let bytes: usize = run.log.iter().map(|line| line.message.len()).sum();
    assert!(bytes <= 70_000 && run.log.len() <= 257, "{} lines, {bytes} bytes", run.log.len());
    let last = &run.log.last().expect("lines").message;
    assert!(!last.ends_with("xxx"), "the last line says that more is missing: {last}");
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_tenant_does_not_wait_for_the_first_ones_loops() {
    let host =
        Host::with(|config| (config.limits.fuel_max, config.limits.fuel_per_second) = (1_000_000_000_000, u64::MAX))
            .await;
    let (hostile, loops) = tenant_with(&host, "hostile", "loops", json!({})).await;
    let (innocent, source) = tenant_with(&host, "innocent", "echo", json!({})).await;
    // The first event pays for preparing the component.
    host.send(&source, &order("msg_0")).await;
    innocent.settled().await;
    for index in 0..8 {
        host.send(&loops, &order(&format!("msg_{index}"))).await;
    }
    host.send(&source, &order("msg_1")).await;
    let run = innocent.decided().await;
    let waited_ms = run.ended_at.expect("decided").0.since_ms(run.created_at.0);
    // In release builds 100 ms are asked for; here the host itself is not optimised and shares two processors with
    // the other tests, so that the bound only tells waiting for a loop from not waiting.
    assert!(waited_ms < 500, "{waited_ms} ms");
    let still = hostile.api.list("/v1/tenants/hostile/runs").await;
    assert!(still.len() == 8 && still.iter().all(|run| run["ended_at"].is_null()), "all of them still go round");
    host.kill().await;
}

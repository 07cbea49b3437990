//! What a tenant may use: defaults, limits of its own below the operator's ceilings, and what a breach tells.

use creel_webhook::breach::RunLimit;
use creel_webhook::run::Verdict;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::command::{creel, said};
use crate::harness::host::Host;
use crate::harness::sender::Webhook;
use crate::harness::tenant::Tenant;
use crate::harness::wait::until;

const SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS1vcmRlcnMtMDAwMDE=";

fn order(id: &str) -> Webhook {
    Webhook::json("standard-webhooks", SECRET, id, r#"{"type":"order.paid"}"#)
}

async fn errors(host: &Host, limits: Value) -> Vec<(String, String)> {
    let problem = host.api.refused(Method::PUT, "/v1/tenants/shop", &json!({ "limits": limits })).await;
    assert_eq!(problem.status, 422);
    problem.errors.into_iter().map(|one| (one.pointer, one.detail)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_may_have_more_than_the_default_and_no_more_than_the_ceiling() {
    let host = Host::with(|config| {
        (config.limits.log_lines_max, config.ceilings.log_lines_max) = (3, 5);
        config.runtime.concurrent_runs = 4;
    })
    .await;
    let refused = errors(&host, json!({ "log_lines_max": 6, "concurrent_runs_max": 5 })).await;
    assert_eq!(refused[0].0, "/limits/concurrent_runs_max");
    assert!(refused[0].1.contains("1 to 4; the operator's `runtime.concurrent_runs`"), "{refused:?}");
    assert_eq!(refused[1].0, "/limits/log_lines_max");
    assert!(refused[1].1.contains("`ceiling.log_lines_max`"), "{refused:?}");

    for (name, own, lines) in [("modest", json!({}), 3), ("chatty", json!({ "log_lines_max": 5 }), 5)] {
        let tenant = Tenant::make_within(&host.api, name, own).await;
        let source = tenant.source("orders", "standard-webhooks", SECRET).await;
        tenant.receiver(&host).await;
        tenant.deploy("handler", "logs", json!({ "lines": "20" })).await;
        tenant.route("orders", "handler").await;
        assert_eq!(host.send(&source, &order("1")).await.status, 200);
        let run = tenant.decided().await;
        assert_eq!(run.verdict, Some(Verdict::Done));
        assert_eq!(run.log.len(), lines + 1, "{name}: the last one says what is missing");
    }
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_goes_beyond_a_ceiling_changes_nothing() {
    let host = Host::with(|config| config.ceilings.fuel_max = 2_000_000_000).await;
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("tenant.toml");
    let apply = async |fuel_max: u64, more: &[&str]| {
        let text = format!(
            "tenant = \"shop\"\n[destinations.crm]\nurl = \"https://crm.example\"\n[limits]\nfuel_max = {fuel_max}\n"
        );
        std::fs::write(&file, text).unwrap();
        let operator = [("CREEL_URL", host.api.base()), ("CREEL_KEY", host.api.key())];
        said(&[&["apply", file.to_str().unwrap()], more].concat(), &operator).await
    };
    for more in ["--dry-run", "--yes"] {
        let refused = apply(2_000_000_001, &[more]).await;
        assert_eq!(refused.code, Some(4), "{refused:?}");
        for part in ["limits/fuel_max", "2000000001 is outside", "the operator's `ceiling.fuel_max` is the ceiling"] {
            assert!(refused.err.contains(part), "`{part}` in {refused:?}");
        }
        assert_eq!(host.api.list("/v1/tenants").await, [json!(null); 0], "not even the tenant was made");
    }
    assert_eq!(apply(2_000_000_000, &["--yes"]).await.code, Some(0));
    assert_eq!(host.api.list("/v1/tenants").await[0]["limits"]["fuel_max"], 2_000_000_000);
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breach_names_the_limit_what_was_used_and_how_to_ask_for_more() {
    let host = Host::open().await;
    let tenant = Tenant::make_within(&host.api, "loops", json!({ "fuel_max": 1_000_000 })).await;
    let source = tenant.source("orders", "standard-webhooks", SECRET).await;
    tenant.receiver(&host).await;
    tenant.deploy("handler", "loops", json!({})).await;
    tenant.route("orders", "handler").await;
    assert_eq!(host.send(&source, &order("1")).await.status, 200);
    let run = tenant.decided().await;
    assert_eq!((run.verdict, run.usage.fuel), (Some(Verdict::Fuel), 1_000_000));
    let reason = run.reason.unwrap();
    assert!(reason.contains("fuel_max is 1000000"), "{reason}");
    assert!(reason.contains("ask the operator to raise fuel_max for this tenant (`creel tenant NAME --fuel-max N`)"));
    assert!(run.usage.cpu_us > 0 && run.usage.memory_bytes > 0);
    let event = run.event.to_string();
    let shown = creel(&tenant, &["--json", "event", &event]).await.json();
    let ask = "ask the operator to raise fuel_max for this tenant (`creel tenant NAME --fuel-max N`)";
    let breach = json!({ "limit": "fuel_max", "used": 1_000_000, "allowed": 1_000_000, "ask": ask });
    assert_eq!(shown["runs"][0]["breach"], breach);
    let rehearsed = creel(&tenant, &["--json", "replay", &event, "--dry-run"]).await.json();
    assert_eq!(rehearsed["runs"][0]["breach"], breach);
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_its_clock_ends_is_charged_for_its_time() {
    let host = Host::open().await;
    let own = json!({ "run_timeout_ms": 200, "fuel_max": 20_000_000_000_u64 });
    let tenant = Tenant::make_within(&host.api, "loops", own).await;
    let source = tenant.source("orders", "standard-webhooks", SECRET).await;
    tenant.receiver(&host).await;
    tenant.deploy("handler", "loops", json!({})).await;
    tenant.route("orders", "handler").await;
    assert_eq!(host.send(&source, &order("1")).await.status, 200);
    // Whether it is tried again makes no difference: each time is charged.
    let used = async || creel(&tenant, &["--json", "usage"]).await.json()["items"][0].take();
    let day = until("a run that was charged", used, |day| day["runs"].as_u64() > Some(0)).await;
    let (runs, fuel) = (day["runs"].as_u64().unwrap(), day["fuel"].as_u64().unwrap());
    assert!(fuel >= runs * 100_000_000, "{day}");
    // The next try is seconds away.
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_limit_that_a_run_is_held_to_is_told_by_name_and_figures() {
    let host = Host::open().await;
    let own = json!({ "memory_bytes_max": 8 << 20, "calls_max": 2, "call_bytes_max": 4_096, "reply_bytes_max": 1_024 });
    let tenant = Tenant::make_within(&host.api, "shop", own).await;
    let source = tenant.source("orders", "standard-webhooks", SECRET).await;
    tenant.receiver(&host).await;
    let cases = [
        ("grows", json!({}), RunLimit::MemoryBytesMax, 8 << 20),
        ("echo", json!({ "calls": "3" }), RunLimit::CallsMax, 2),
        ("bad-call", json!({ "body-bytes": "5000" }), RunLimit::CallBytesMax, 4_096),
    ];
    for (index, (fixture, config, limit, allowed)) in cases.into_iter().enumerate() {
        tenant.deploy("handler", fixture, config).await;
        tenant.route("orders", "handler").await;
        assert_eq!(host.send(&source, &order(&index.to_string())).await.status, 200);
        let run = tenant.decided().await;
        let breach = run.breach.expect("the verdict is because of a limit");
        assert_eq!((breach.limit, breach.allowed), (limit, allowed), "{fixture}");
        assert!(breach.used > Some(allowed), "{fixture}: {breach:?}");
        let reason = run.reason.expect("people are told too");
        assert!(reason.contains(&format!("{} is {allowed}", limit.as_str())), "{reason}");
        assert!(reason.contains(&breach.ask.expect("the operator can give more")), "{reason}");
    }
    tenant.deploy("handler", "panics", json!({})).await;
    assert_eq!(host.send(&source, &order("panics")).await.status, 200);
    let run = tenant.decided().await;
    assert_eq!((run.verdict, run.breach), (Some(Verdict::Trap), None), "a panic is beyond no limit");
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_uploads_without_end_is_told_to_wait_and_nobody_else() {
    let host = Host::with(|config| config.limits.uploads_per_minute = 1).await;
    let (storm, other) = (host.tenant("storm").await, host.tenant("other").await);
    let nothing = || bytes::Bytes::from_static(b"no component");
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(storm.upload("handler", nothing()).await);
    }
    let told: Vec<_> = answers.iter().map(|(status, _)| *status).collect();
    assert_eq!(told, [422, 422, 429], "one at once, one a minute");
    let detail = answers[2].1["detail"].as_str().unwrap();
    assert!(detail.contains("uploads_per_minute is 1") && detail.contains("--uploads-per-minute"), "{detail}");
    assert_eq!(other.upload("handler", nothing()).await.0, 422);
    host.finish().await;
}

//! Uploads that are refused, with what is wrong and what is offered; what runs stays.

use bytes::Bytes;
use creel_webhook::plugin::Digest;
use creel_webhook::run::Verdict;
use serde_json::{Value, json};

use crate::harness::guests::{checkout, guest};
use crate::harness::host::Host;
use crate::harness::sender::Webhook;
use crate::harness::wait::until;
use crate::harness::wire::Wire;
use crate::harness::written;

fn wat(name: &str) -> Bytes {
    wat::parse_file(checkout().join("tests/cases/uploads").join(name)).expect("the case is WebAssembly text").into()
}

fn assert_problem(answer: &(u16, Value), status: u16, words: &[&str]) {
    let (got, problem) = answer;
    assert_eq!((*got, problem["status"].as_u64()), (status, Some(status.into())), "{problem}");
    assert!(problem["type"].as_str().is_some_and(|kind| kind.starts_with("urn:creel:problem:")), "{problem}");
    let detail = problem["detail"].as_str().expect("a detail");
    assert!(words.iter().all(|word| detail.contains(word)), "{words:?} in: {detail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_plugin_is_told_why() {
    let host = Host::open().await;
    let tenant = host.tenant("acme").await;
    let cases: [(Bytes, &[&str]); 6] = [
        (wat("unknown-import.wat"), &["`wasi:sockets/tcp@0.2.0`", "Offered are", "creel:plugin/"]),
        (wat("not-a-component.wat"), &["core module without a component type"]),
        (wat("wrong-world.wat"), &["does not export", "creel:plugin/handler@0.1.0", "greet"]),
        (wat("wrong-signature.wat"), &["does not fit the host"]),
        (Bytes::from_static(b"#!/bin/sh\necho hello"), &["no WebAssembly"]),
        (Bytes::from_static(b"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00"), &[]),
    ];
    for (bytes, words) in cases {
        assert_problem(&tenant.upload("handler", bytes).await, 422, words);
    }
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_big_is_told_how_big_it_may_be() {
    let host = Host::with(|config| config.runtime.component_bytes_max = 100_000).await;
    let tenant = host.tenant("acme").await;
    let big = Bytes::from(vec![0; 3_000_000]);
    assert_problem(&tenant.upload("handler", big).await, 413, &["100000"]);
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_upload_and_the_same_deployment_change_nothing() {
    let host = Host::open().await;
    let tenant = host.tenant("acme").await;
    tenant.receiver(&host).await;
    let (status, first) = tenant.upload("handler", guest("echo")).await;
    assert_eq!((status, &first["result"]), (201, &json!("created")));
    let (status, second) = tenant.upload("handler", guest("echo")).await;
    assert_eq!((status, &second["result"]), (200, &json!("unchanged")));
    assert_eq!(first["resource"]["digest"], second["resource"]["digest"]);

    tenant.deploy("handler", "echo", json!({ "path": "/v1" })).await;
    tenant.deploy("handler", "echo", json!({ "path": "/v1" })).await;
    let deployments = tenant.api.list("/v1/tenants/acme/plugins/handler/deployments").await;
    assert_eq!(deployments.len(), 1, "{deployments:#?}");
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_upload_leaves_what_runs_and_a_rollback_brings_back_what_ran() {
    let host = Host::open().await;
    let tenant = host.tenant("acme").await;
    let source = tenant.source("github", "github", "push-secret").await;
    tenant.receiver(&host).await;
    tenant.deploy("handler", "echo", json!({ "path": "/v1" })).await;
    tenant.route("github", "handler").await;
    let push = |id: &str| Webhook::json("github", "push-secret", id, format!("{{\"id\":\"{id}\"}}"));

    let (status, _) = tenant.upload("handler", wat("unknown-import.wat")).await;
    assert_eq!(status, 422);
    host.send(&source, &push("1")).await;
    assert_eq!(tenant.decided().await.verdict, Some(Verdict::Done));

    tenant.deploy("handler", "panics", json!({})).await;
    host.send(&source, &push("2")).await;
    assert_eq!(tenant.decided().await.verdict, Some(Verdict::Trap));

    tenant.api.post("/v1/tenants/acme/plugins/handler/deployments/1/activate", json!({})).await;
    host.send(&source, &push("3")).await;
    let run = tenant.decided().await;
    assert_eq!((run.verdict, run.deployment), (Some(Verdict::Done), Some(1)));
    tenant.settled().await;
    let paths: Vec<String> = host.receiver.arrived().into_iter().map(|call| call.request.path).collect();
    assert_eq!(paths, ["/v1", "/v1"], "with its configuration");
    host.finish().await;
}

/// A plugin of forty thousand bytes, and of as many more as are asked for.
fn sized(number: u32, more: usize) -> Bytes {
    let text = format!(
        "(func (export \"creel:plugin/handler@0.1.0#handle\") (param i32) (result i32)
            (drop (i32.const {number})) (i32.const 1024))
        (data (i32.const 4096) \"{}\")",
        "x".repeat(40_000 + more)
    );
    written::upload(&text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_that_nothing_uses_make_room_for_new_ones() {
    let host = Host::with(|config| config.components_bytes_max = 100_000).await;
    let tenant = host.tenant("acme").await;
    tenant.receiver(&host).await;
    tenant.deploy_component("handler", sized(1, 0), json!({}), &["receiver"]).await;
    assert_eq!(tenant.upload("handler", sized(2, 0)).await.0, 201);
    tenant.deploy_component("handler", sized(3, 0), json!({}), &["receiver"]).await;
    assert_eq!(tenant.upload("handler", sized(2, 0)).await.0, 201, "it made room");
    assert_eq!(tenant.upload("handler", sized(3, 0)).await.0, 200, "what is active did not");

    let first = "/v1/tenants/acme/plugins/handler/deployments/1/activate";
    let problem = tenant.api.refused(reqwest::Method::POST, first, &json!({})).await;
    assert_eq!(problem.status, 409);
    assert!(
        problem.detail.contains("upload it again") && problem.detail.contains("components_bytes_max"),
        "{problem:?}"
    );
    tenant.upload("handler", sized(1, 0)).await;
    tenant.api.post(first, json!({})).await;

    let big = tenant.upload("handler", sized(4, 30_000)).await;
    assert_problem(&big, 409, &["active deployments hold 4", "may hold 100000", "ask the operator"]);
    let code = format!("{}.aot", hex::encode(Digest::of(&sized(4, 30_000)).as_bytes()));
    let is_kept =
        walkdir::WalkDir::new(host.path()).into_iter().any(|entry| entry.unwrap().file_name() == code.as_str());
    assert!(!is_kept, "what was refused leaves no code");
    assert_eq!(tenant.upload("handler", sized(1, 0)).await.0, 200);
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_in_memory_have_one_bound_together() {
    let host = Host::with(|config| config.runtime.in_flight_upload_bytes_max = 100_000).await;
    let (slow, other) = (host.tenant("slow").await, host.tenant("other").await);
    slow.api.put(&slow.path("plugins/handler"), json!({})).await;
    // The most of an upload, and then silence.
    let admin = host.admin_url().strip_prefix("http://").unwrap().parse().unwrap();
    let mut wire = Wire::connect(admin).await;
    let head = format!(
        "PUT {} HTTP/1.1\r\nhost: creel\r\nauthorization: Bearer {}\r\ncontent-type: application/wasm\r\n\
         content-length: 90000\r\n\r\n",
        slow.path("plugins/handler/versions"),
        slow.api.key()
    );
    wire.write(&[head.as_bytes(), &[0; 80_000][..]].concat()).await;
    let refused = until("the slow one", || other.upload("handler", sized(1, 0)), |(status, _)| *status == 503).await;
    assert_problem(&refused, 503, &["`runtime.in_flight_upload_bytes_max`"]);
    drop(wire);
    until("room again", || other.upload("handler", sized(1, 0)), |(status, _)| matches!(status, 200 | 201)).await;
    host.finish().await;
}

//! Uploads that are refused, with what is wrong and what is offered; what runs stays.

use bytes::Bytes;
use creel_webhook::run::Verdict;
use serde_json::{Value, json};

use crate::harness::guests::{checkout, guest};
use crate::harness::host::Host;
use crate::harness::sender::Webhook;

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

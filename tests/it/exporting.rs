//! What a tenant has is exported by the command line: as much as the key may see, and no more.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use creel_webhook::plugin::Digest;
use serde_json::{Value, json};

use crate::harness::command::creel;
use crate::harness::guests::guest;
use crate::harness::host::Host;
use crate::harness::sender::Webhook;
use crate::harness::tenant::{Api, Tenant};

const SECRET: &str = "s3cr3t-of-the-calls";

const BODY: &str = r#"{"message":{"type":"hang","said":"own words of a patient"}}"#;

fn json_of(directory: &Path, file: &str) -> Value {
    serde_json::from_slice(&std::fs::read(directory.join(file)).unwrap()).unwrap_or_else(|_| panic!("{file}"))
}

fn lines_of(directory: &Path, file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(directory.join(file)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn whole(directory: &Path) -> String {
    let entries = walkdir::WalkDir::new(directory).into_iter().map(|entry| entry.unwrap().into_path());
    let texts = entries.filter(|path| path.is_file() && path.extension().is_none_or(|end| end != "wasm"));
    texts.map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

async fn shop(host: &Host) -> Tenant {
    let tenant = host.tenant("shop").await;
    let path = tenant.source("calls", "vapi-secret", SECRET).await;
    tenant.receiver(host).await;
    tenant.deploy_with("counts", guest("remembers"), json!({}), json!({ "state": true })).await;
    tenant.deploy("echo", "echo", json!({ "path": "/shop" })).await;
    tenant.route("calls", "counts").await;
    tenant.route("calls", "echo").await;
    assert_eq!(host.send(&path, &Webhook::json("vapi-secret", SECRET, "1", BODY)).await.status, 200);
    tenant.settled().await;
    tenant
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_exported_as_far_as_the_key_may_see_it() {
    let (host, place) = (Host::open().await, tempfile::tempdir().unwrap());
    let tenant = shop(&host).await;
    let directory = place.path().join("shop");
    let told = creel(&tenant, &["tenant", "shop", "--export", directory.to_str().unwrap()]).await;
    assert!(told.code == Some(0) && told.out.contains("1 events, 2 runs, 1 calls"), "{told:?}");
    assert!(!told.out.contains("left out"), "{told:?}");

    let event = lines_of(&directory, "events.jsonl").remove(0);
    let body = std::fs::read(directory.join("bodies").join(event["event"]["id"].as_str().unwrap())).unwrap();
    assert_eq!(body, BODY.as_bytes());
    assert_eq!((event["runs"].as_array().unwrap().len(), event["deliveries"].as_array().unwrap().len()), (2, 1));
    assert_eq!(lines_of(&directory, "runs.jsonl").len(), 2);
    let call = lines_of(&directory, "deliveries.jsonl").remove(0).to_string();
    assert!(call.contains("own words of a patient") && call.contains("/shop"), "{call}");
    let count = lines_of(&directory, "state/counts.jsonl").remove(0);
    assert_eq!((&count["key"], &count["value_base64"]), (&json!("runs"), &json!(STANDARD.encode("1"))));
    assert_eq!(json_of(&directory, "deployments/echo.json")[0]["config"], json!({ "path": "/shop" }));
    let digest = hex::encode(Digest::of(&guest("echo")).as_bytes());
    assert_eq!(std::fs::read(directory.join(format!("components/{digest}.wasm"))).unwrap(), guest("echo"));
    for (file, name) in
        [("sources", "calls"), ("routes", "calls-echo"), ("destinations", "receiver"), ("keys", "first")]
    {
        let all = json_of(&directory, &format!("{file}.json"));
        assert!(all.as_array().unwrap().iter().any(|one| one["name"] == name), "{file}: {all}");
    }
    assert_eq!(json_of(&directory, "usage.json")[0]["events"], 1);
    assert!(!lines_of(&directory, "audit.jsonl").is_empty() && json_of(&directory, "export.json")["events"] == 1);
    assert!(!whole(&directory).contains(SECRET), "what is secret stays with the host");

    let again = creel(&tenant, &["tenant", "shop", "--export", directory.to_str().unwrap()]).await;
    assert!(again.code == Some(1) && again.err.contains("not there yet"), "{again:?}");

    let reader = creel(&tenant, &["--json", "keys", "create", "looks", "--role", "reader"]).await.json();
    let api = Api::new(host.http().clone(), host.admin_url(), reader["key"].as_str().unwrap().to_owned());
    let reader = Tenant { api, name: tenant.name.clone() };
    let directory = place.path().join("less");
    let told = creel(&reader, &["tenant", "shop", "--export", directory.to_str().unwrap()]).await;
    assert!(told.code == Some(0) && told.out.contains("left out: payloads"), "{told:?}");
    assert!(!whole(&directory).contains("own words of a patient"));
    let left_out = json_of(&directory, "export.json")["left_out"].to_string();
    for what in ["audit", "keys", "components", "payloads", "bodies", "values of state"] {
        assert!(left_out.contains(what), "{what} in {left_out}");
    }
    assert_eq!(std::fs::read_dir(directory.join("bodies")).unwrap().count(), 0);
    host.finish().await;
}

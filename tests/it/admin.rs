//! The admin API through its router, over a real store.

use axum::body::Body;
use axum::http::{Method, Request, header};
use creel_server::admin::access::Access;
use creel_server::admin::routes::TABLE;
use serde_json::{Value, json};

use crate::desk::{BAD_COMPONENT, Desk};

/// A path of the table with names that stand for something.
fn example(path: &str) -> String {
    path.replace("{tenant}", "acme").replace("{number}", "1").replace(['{', '}'], "")
}

#[tokio::test]
async fn every_row_wants_a_key_but_health_and_metrics() {
    let (desk, _) = Desk::with_tenants().await;
    let open: Vec<&str> = TABLE.iter().filter(|row| row.access == Access::Open).map(|row| row.path).collect();
    assert_eq!(open, ["/healthz", "/readyz", "/metrics"]);
    let wrong = desk.operator.replace("creel_key_0", "creel_key_1");
    for row in TABLE {
        for key in [None, Some("nonsense"), Some(wrong.as_str())] {
            let answer = desk.call_as(key, row.method.clone(), &example(row.path), Value::Null).await;
            if row.access == Access::Open {
                assert_eq!(answer.status, 200, "{}", row.path);
                continue;
            }
            answer.problem(401);
            assert!(answer.authenticate.is_some(), "{}", row.path);
        }
    }
}

#[tokio::test]
async fn a_tenants_key_sees_its_own_tenant_and_nothing_else() {
    let (desk, key) = Desk::with_tenants().await;
    for row in TABLE.iter().filter(|row| row.access == Access::Tenant) {
        let path = example(row.path).replace("/acme", "/other");
        desk.call_as(Some(&key), row.method.clone(), &path, Value::Null).await.problem(404);
    }
    for row in TABLE.iter().filter(|row| row.access == Access::Operator) {
        desk.call_as(Some(&key), row.method.clone(), &example(row.path), Value::Null).await.problem(403);
    }
    assert_eq!(desk.call_as(Some(&key), Method::GET, "/v1/tenants/acme", Value::Null).await.status, 200);
    let id = desk.call_as(Some(&key), Method::GET, "/v1/tenants/acme", Value::Null).await.json()["id"].clone();
    let by_id = format!("/v1/tenants/{}/sources", id.as_str().unwrap());
    assert_eq!(desk.call_as(Some(&key), Method::GET, &by_id, Value::Null).await.status, 200);
    let me = desk.call_as(Some(&key), Method::GET, "/v1/whoami", Value::Null).await.json();
    assert_eq!((&me["tenant"], &me["role"]), (&json!("acme"), &json!("tenant_admin")));
}

#[tokio::test]
async fn keys_expire_and_end() {
    let (desk, _) = Desk::with_tenants().await;
    let made = desk.call(Method::POST, "/v1/tenants/acme/keys", json!({ "name": "short", "expires_in_s": 60 })).await;
    let (key, id) = (made.json()["key"].clone(), made.json()["id"].clone());
    let key = key.as_str().unwrap();
    assert_eq!(desk.call_as(Some(key), Method::GET, "/v1/whoami", Value::Null).await.status, 200);
    desk.clock.advance_ms(60_000);
    desk.call_as(Some(key), Method::GET, "/v1/whoami", Value::Null).await.problem(401);
    let path = format!("/v1/tenants/acme/keys/{}", id.as_str().unwrap());
    desk.call(Method::DELETE, &path.replace("acme", "other"), Value::Null).await.problem(404);
    assert_eq!(desk.call(Method::DELETE, &path, Value::Null).await.status, 204);
    desk.call(Method::DELETE, &path, Value::Null).await.problem(404);
}

#[tokio::test]
async fn a_put_says_what_it_did() {
    let (desk, key) = Desk::with_tenants().await;
    let put = async |path: &str, body: Value| {
        let answer = desk.call_as(Some(&key), Method::PUT, &format!("/v1/tenants/acme/{path}"), body).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text());
        answer.json()["result"].as_str().unwrap().to_owned()
    };
    let secret = json!({ "value": "s3cr3t-canary", "origins": ["https://crm.example"] });
    assert_eq!(put("secrets/crm?dry_run=true", secret.clone()).await, "created");
    assert_eq!(put("secrets/crm", secret.clone()).await, "created");
    assert_eq!(put("secrets/crm", secret).await, "unchanged");
    assert_eq!(put("secrets/crm", json!({ "value": "another" })).await, "changed");
    let source = json!({ "preset": "vapi-hmac", "secrets": ["crm"] });
    assert_eq!(put("sources/calls", source.clone()).await, "created");
    assert_eq!(put("sources/calls", source).await, "unchanged");
    assert_eq!(
        put("sources/calls", json!({ "preset": "vapi-hmac", "secrets": ["crm"], "dedup": false })).await,
        "changed"
    );
    let url = json!({ "url": "https://crm.example/v1", "auth": { "type": "bearer", "secret": "crm" } });
    assert_eq!(put("destinations/crm", url.clone()).await, "created");
    assert_eq!(put("destinations/crm", url).await, "unchanged");
    assert_eq!(put("plugins/p", Value::Null).await, "created");
    assert_eq!(put("plugins/p", Value::Null).await, "unchanged");
    let route = json!({ "source": "calls", "plugin": "p" });
    assert_eq!(put("routes/r", route.clone()).await, "created");
    assert_eq!(put("routes/r", route).await, "unchanged");
    assert_eq!(put("routes/r", json!({ "source": "calls", "plugin": "p", "pattern": "call.*" })).await, "changed");
}

#[tokio::test]
async fn a_sources_url_stays_when_it_changes() {
    let (desk, _) = Desk::with_tenants().await;
    let path = "/v1/tenants/acme/sources/hook";
    desk.call(Method::PUT, "/v1/tenants/acme/secrets/s", json!({ "value": "x" })).await;
    let first = desk.call(Method::PUT, path, json!({ "preset": "vapi-hmac", "secrets": ["s"] })).await.json();
    desk.call(Method::POST, &format!("{path}/pause"), Value::Null).await;
    let second = desk.call(Method::PUT, path, json!({ "preset": "vapi-secret", "secrets": ["s"] })).await.json();
    assert_eq!(first["resource"]["path"], second["resource"]["path"]);
    assert!(first["resource"]["path"].as_str().unwrap().strip_prefix("/in/").unwrap().len() >= 22);
    assert_eq!(second["resource"]["paused"], true);
    let resumed = desk.call(Method::POST, &format!("{path}/resume"), Value::Null).await.json();
    assert_eq!(resumed["paused"], false);
}

#[tokio::test]
async fn secrets_are_never_shown() {
    let (desk, _) = Desk::with_tenants().await;
    let path = "/v1/tenants/acme/secrets/crm";
    for value in ["canary-one", "canary-two"] {
        let answer = desk.call(Method::PUT, path, json!({ "value": value, "overlap_ms": 60_000 })).await;
        assert!(!answer.text().contains("canary"));
    }
    let shown = desk.call(Method::GET, path, Value::Null).await;
    assert!(!shown.text().contains("canary") && shown.json()["previous_until"].is_string());
    assert!(!desk.call(Method::GET, "/v1/tenants/acme/secrets", Value::Null).await.text().contains("canary"));
    let both = json!({ "value": "canary-three", "value_base64": "canary-four!" });
    assert!(!desk.call(Method::PUT, path, both).await.text().contains("canary"));
    for entry in std::fs::read_dir(desk.directory.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"canary"));
    }
}

#[tokio::test]
async fn every_mistake_of_a_document_is_told_at_once() {
    let (desk, _) = Desk::with_tenants().await;
    let put = async |path: &str, body: Value| desk.call(Method::PUT, &format!("/v1/tenants/acme/{path}"), body).await;
    let bad = json!({ "url": "ftp://x", "timeout_ms": 0, "colour": "red", "name": "other" });
    let pointers = put("destinations/crm", bad).await.problem(422);
    assert_eq!(pointers, ["/name", "/url", "/timeout_ms", "/colour"]);
    assert_eq!(put("destinations/crm", json!({ "url": "http://169.254.169.254/" })).await.problem(422), ["/url"]);
    put("secrets/crm", json!({ "value": "x", "origins": ["https://crm.example"] })).await;
    let stolen = json!({ "url": "https://evil.example", "auth": { "type": "bearer", "secret": "crm" },
        "signing": { "type": "standard_webhooks", "secret": "none" } });
    assert_eq!(put("destinations/crm", stolen).await.problem(422), ["/auth/secret", "/signing/secret"]);
    let source = json!({ "preset": "vapi-hmacc", "secrets": ["none"], "identity": { "kind": "nonsense" } });
    assert_eq!(put("sources/calls", source).await.problem(422), ["/identity/kind", "/preset", "/secrets/0"]);
    assert_eq!(put("routes/r", json!({ "source": "a", "plugin": "b" })).await.problem(422), ["/source", "/plugin"]);
    assert_eq!(put("secrets/UPPER", json!({ "value": "x" })).await.problem(422), ["/name"]);
    let query = desk.call(Method::GET, "/v1/tenants/acme/runs?verdict=fine&limit=0&colour=red", Value::Null).await;
    assert_eq!(query.problem(422), ["?verdict", "?limit", "?colour"]);
}

#[tokio::test]
async fn what_is_used_is_not_removed() {
    let (desk, _) = Desk::with_tenants().await;
    desk.call(Method::PUT, "/v1/tenants/acme/secrets/s", json!({ "value": "x" })).await;
    let source = json!({ "preset": "vapi-hmac", "secrets": ["s"] });
    desk.call(Method::PUT, "/v1/tenants/acme/sources/calls", source).await;
    desk.call(Method::DELETE, "/v1/tenants/acme/secrets/s", Value::Null).await.problem(409);
    assert_eq!(desk.call(Method::DELETE, "/v1/tenants/acme/sources/calls", Value::Null).await.status, 204);
    assert_eq!(desk.call(Method::DELETE, "/v1/tenants/acme/secrets/s", Value::Null).await.status, 204);
}

#[tokio::test]
async fn only_one_route_may_answer() {
    let (desk, _) = Desk::with_tenants().await;
    desk.call(Method::PUT, "/v1/tenants/acme/secrets/s", json!({ "value": "x" })).await;
    let source = json!({ "preset": "vapi-hmac", "secrets": ["s"] });
    desk.call(Method::PUT, "/v1/tenants/acme/sources/calls", source).await;
    desk.call(Method::PUT, "/v1/tenants/acme/plugins/p", Value::Null).await;
    let route = json!({ "source": "calls", "plugin": "p", "mode": "reply" });
    assert_eq!(desk.call(Method::PUT, "/v1/tenants/acme/routes/one", route.clone()).await.status, 201);
    assert_eq!(desk.call(Method::PUT, "/v1/tenants/acme/routes/one", route.clone()).await.status, 200);
    let second = desk.call(Method::PUT, "/v1/tenants/acme/routes/two", route).await;
    assert_eq!(second.problem(422), ["/pattern"]);
}

#[tokio::test]
async fn versions_pass_the_gate_and_deployments_are_numbered() {
    let (desk, _) = Desk::with_tenants().await;
    let versions = "/v1/tenants/acme/plugins/p/versions";
    desk.upload(versions, "application/wasm", b"one").await.problem(404);
    assert_eq!(desk.upload(&format!("{versions}?dry_run=true"), "application/wasm", b"one").await.status, 201);
    desk.call(Method::PUT, "/v1/tenants/acme/plugins/p", Value::Null).await;
    desk.upload(versions, "text/plain", b"one").await.problem(415);
    desk.upload(versions, "application/wasm", &[0; 2_000]).await.problem(413);
    let refused = desk.upload(versions, "application/wasm", BAD_COMPONENT).await;
    refused.problem(422);
    assert!(refused.text().contains("wasi:sockets/tcp"));
    let digest = desk.upload(versions, "application/wasm", b"one").await.json()["resource"]["digest"].clone();
    let deployments = "/v1/tenants/acme/plugins/p/deployments";
    let deploy = async |body: Value| desk.call(Method::POST, deployments, body).await;
    let first = deploy(json!({ "digest": digest })).await.json();
    assert_eq!((&first["resource"]["number"], &first["resource"]["active"]), (&json!(1), &json!(true)));
    assert_eq!(deploy(json!({ "digest": digest })).await.json()["result"], "unchanged");
    let second = deploy(json!({ "digest": digest, "config": { "a": "b" } })).await.json();
    assert_eq!((&second["resource"]["number"], &second["resource"]["active"]), (&json!(2), &json!(true)));
    let unknown = json!({ "digest": format!("sha256:{}", "0".repeat(64)), "grants": { "destinations": ["none"] } });
    assert_eq!(deploy(unknown).await.problem(422), ["/digest", "/grants/destinations/0"]);
    let back = desk.call(Method::POST, &format!("{deployments}/1/activate"), Value::Null).await;
    assert_eq!(back.json()["active"], true);
    desk.call(Method::POST, &format!("{deployments}/9/activate"), Value::Null).await.problem(404);
    let plugin = desk.call(Method::GET, "/v1/tenants/acme/plugins/p", Value::Null).await.json();
    assert_eq!(plugin["active"]["number"], 1);
}

#[tokio::test]
async fn every_refusal_is_a_problem_document() {
    let (desk, _) = Desk::with_tenants().await;
    desk.call(Method::GET, "/nowhere", Value::Null).await.problem(404);
    desk.call(Method::PATCH, "/v1/tenants", Value::Null).await.problem(405);
    desk.call(Method::GET, "/v1/tenants/%ff/sources", Value::Null).await.problem(404);
    desk.call(Method::GET, "/v1/tenants/acme/events/evt_1", Value::Null).await.problem(404);
    desk.call(Method::POST, "/v1/tenants/acme/runs/run_1/replay", Value::Null).await.problem(404);
    desk.call(Method::PUT, "/v1/tenants/acme/secrets/s", json!([1])).await.problem(422);
    let request = |media_type: &str, body: Vec<u8>| {
        Request::builder()
            .method(Method::PUT)
            .uri("/v1/tenants/acme/secrets/s")
            .header(header::AUTHORIZATION, format!("Bearer {}", desk.operator))
            .header(header::CONTENT_TYPE, media_type)
            .body(Body::from(body))
            .unwrap()
    };
    desk.send(request("text/plain", b"{}".to_vec())).await.problem(415);
    desk.send(request("application/json", b"{".to_vec())).await.problem(400);
    desk.send(request("application/json", vec![b' '; 2 * 1_024 * 1_024])).await.problem(413);
}

#[tokio::test]
async fn lists_of_a_fresh_tenant_are_empty() {
    let (desk, key) = Desk::with_tenants().await;
    for what in ["events", "runs", "deliveries", "refusals", "sources", "plugins"] {
        let answer = desk.call_as(Some(&key), Method::GET, &format!("/v1/tenants/acme/{what}"), Value::Null).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["items"]), (200, &json!([])), "{what}");
    }
    assert!(desk.store.ping().await.is_ok());
}

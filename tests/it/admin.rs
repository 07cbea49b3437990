//! The admin API through its router, over a real store.

use axum::body::Body;
use axum::http::{Method, Request, header};
use creel_webhook::clock::Clock as _;
use creel_webhook::plugin::Digest;
use serde_json::{Value, json};

use crate::desk::{BAD_COMPONENT, Desk};

#[tokio::test]
async fn a_tenants_key_sees_its_own_tenant() {
    let (desk, key) = Desk::with_tenants().await;
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
async fn nobody_gives_a_key_more_than_the_own_has() {
    let (desk, _) = Desk::with_tenants().await;
    let make = async |key: Option<&str>, path: &str, document: Value| {
        desk.call_as(Some(key.unwrap_or(&desk.operator)), Method::POST, path, document).await
    };
    let acme = "/v1/tenants/acme/keys";
    let blind = make(None, acme, json!({ "name": "blind", "payload_read": false })).await.json();
    let blind = blind["key"].as_str().unwrap();
    assert_eq!(
        make(Some(blind), acme, json!({ "name": "x", "payload_read": true })).await.problem(422),
        ["/payload_read"]
    );
    assert_eq!(make(Some(blind), acme, json!({ "name": "x", "role": "operator" })).await.problem(422), ["/role"]);
    let made = make(Some(blind), acme, json!({ "name": "x" })).await.json();
    assert_eq!((&made["role"], &made["payload_read"]), (&json!("tenant_admin"), &json!(false)));
    let made = make(None, acme, json!({ "name": "x", "role": "reader" })).await.json();
    assert_eq!((&made["role"], &made["payload_read"]), (&json!("reader"), &json!(false)));
    make(Some(made["key"].as_str().unwrap()), acme, json!({ "name": "y" })).await.problem(403);
    assert_eq!(make(None, "/v1/keys", json!({ "name": "x", "role": "reader" })).await.problem(422), ["/role"]);
    assert_eq!(make(None, acme, json!({ "name": "x", "role": "king" })).await.problem(422), ["/role"]);
}

#[tokio::test]
async fn the_last_operator_key_stays_and_uses_are_known_by_the_hour() {
    let (desk, _) = Desk::with_tenants().await;
    let keys = async || desk.call(Method::GET, "/v1/keys", Value::Null).await.json()["items"].clone();
    let first = keys().await[0].clone();
    assert_eq!(first["last_used_at"], "2026-01-01T00:00:00.000Z");
    desk.clock.advance_ms(59 * 60_000);
    assert_eq!(keys().await[0]["last_used_at"], "2026-01-01T00:00:00.000Z");
    desk.clock.advance_ms(60_000);
    assert_eq!(keys().await[0]["last_used_at"], "2026-01-01T01:00:00.000Z");
    let path = format!("/v1/keys/{}", first["id"].as_str().unwrap());
    desk.call(Method::DELETE, &path, Value::Null).await.problem(409);
    let short = desk.call(Method::POST, "/v1/keys", json!({ "name": "short", "expires_in_s": 60 })).await.json();
    desk.clock.advance_ms(60_000);
    desk.call(Method::DELETE, &path, Value::Null).await.problem(409);
    let second = desk.call(Method::POST, "/v1/keys", json!({ "name": "second" })).await.json();
    assert_eq!(desk.call(Method::DELETE, &path, Value::Null).await.status, 204);
    desk.call(Method::GET, "/v1/keys", Value::Null).await.problem(401);
    let second = second["key"].as_str();
    let path = format!("/v1/keys/{}", short["id"].as_str().unwrap());
    assert_eq!(desk.call_as(second, Method::DELETE, &path, Value::Null).await.status, 204);
}

#[tokio::test]
async fn a_master_key_of_the_environment_is_not_rotated() {
    let (desk, _) = Desk::with_tenants().await;
    let answer = desk.call(Method::POST, "/v1/master-key/rotate", Value::Null).await;
    answer.problem(409);
    assert!(answer.text().contains("CREEL_MASTER_KEY") && answer.text().contains("`master_key.file`"));
}

#[tokio::test]
async fn who_sends_bad_keys_waits_and_a_good_key_does_not() {
    let (desk, key) = Desk::with_tenants().await;
    desk.call_as(Some(&key), Method::GET, "/v1/whoami", Value::Null).await;
    let bad = key.replace("creel_key_0", "creel_key_1");
    for _ in 0..30 {
        desk.call_as(Some(&bad), Method::GET, "/v1/whoami", Value::Null).await.problem(401);
    }
    desk.call_as(Some(&bad), Method::GET, "/v1/whoami", Value::Null).await.problem(429);
    desk.call_as(None, Method::GET, "/v1/whoami", Value::Null).await.problem(429);
    assert_eq!(desk.call_as(Some(&key), Method::GET, "/v1/whoami", Value::Null).await.status, 200);
    desk.clock.advance_ms(1_000);
    desk.call_as(Some(&bad), Method::GET, "/v1/whoami", Value::Null).await.problem(401);
}

#[tokio::test]
async fn changes_and_readings_of_payloads_are_written_down() {
    let (desk, key) = Desk::with_tenants().await;
    let secret = json!({ "value": "canary-value" });
    desk.call_as(Some(&key), Method::PUT, "/v1/tenants/acme/secrets/s?dry_run=true", secret.clone()).await;
    desk.call_as(Some(&key), Method::PUT, "/v1/tenants/acme/secrets/s", secret).await;
    desk.call_as(Some(&key), Method::PUT, "/v1/tenants/acme/secrets/s", json!({ "colour": 1 })).await;
    desk.call_as(Some(&key), Method::GET, "/v1/tenants/acme/events/evt_1", Value::Null).await;
    desk.call_as(Some(&key), Method::PUT, "/v1/tenants/new", json!({})).await.problem(403);
    desk.call(Method::POST, "/v1/tenants/other/keys", json!({ "name": "x" })).await;
    let answer = desk.call_as(Some(&key), Method::GET, "/v1/tenants/acme/audit", Value::Null).await;
    assert!(!answer.text().contains("canary"));
    let line = |one: &Value| {
        let field = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
        format!("{} {} {} {} {}", field("key_name"), field("role"), field("what"), field("object"), one["status"])
    };
    let lines: Vec<String> = answer.json()["items"].as_array().unwrap().iter().map(line).collect();
    let secrets = "PUT /v1/tenants/{tenant}/secrets/{secret} /v1/tenants/acme/secrets/s";
    assert_eq!(
        lines,
        [
            "ci tenant_admin GET /v1/tenants/{tenant}/events/{event} /v1/tenants/acme/events/evt_1 404".to_owned(),
            format!("ci tenant_admin {secrets} 422"),
            format!("ci tenant_admin {secrets} 201"),
            "test operator POST /v1/tenants/{tenant}/keys /v1/tenants/acme/keys 201".to_owned(),
        ]
    );
    let whole = desk.call(Method::GET, "/v1/audit?limit=3", Value::Null).await.json();
    let lines: Vec<String> = whole["items"].as_array().unwrap().iter().map(line).collect();
    assert!(lines[0].starts_with("test operator POST /v1/tenants/{tenant}/keys /v1/tenants/other/keys 201"));
    assert_eq!(lines[1], "ci tenant_admin PUT /v1/tenants/{tenant} /v1/tenants/new 403");
    assert_eq!((&whole["items"][0]["tenant"], &whole["items"][1]["tenant"]), (&json!("other"), &Value::Null));
    let next = format!("/v1/audit?limit=500&before={}", whole["next"].as_str().unwrap());
    assert!(!desk.call(Method::GET, &next, Value::Null).await.json()["items"].as_array().unwrap().is_empty());
    desk.call_as(Some(&key), Method::GET, "/v1/audit", Value::Null).await.problem(403);
    desk.clock.advance_ms(401 * 86_400_000);
    while desk.store.prune(desk.clock.now()).await.unwrap() {}
    let left = desk.call(Method::GET, "/v1/audit", Value::Null).await.json();
    assert_eq!(left["items"], json!([]));
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
async fn origins_are_added_only_with_the_value() {
    let (desk, _) = Desk::with_tenants().await;
    let put = async |body: Value| desk.call(Method::PUT, "/v1/tenants/acme/secrets/crm", body).await;
    let (ours, evil) = (json!(["https://crm.example"]), json!(["https://crm.example", "https://evil.example"]));
    put(json!({ "value": "x", "origins": ours })).await;
    assert_eq!(put(json!({ "origins": evil })).await.problem(422), ["/origins"]);
    assert_eq!(put(json!({ "origins": evil, "value": "x" })).await.json()["result"], "changed");
    assert_eq!(put(json!({ "origins": ours })).await.json()["result"], "changed");
    assert_eq!(put(json!({ "origins": evil, "value": "another" })).await.json()["result"], "changed");
    assert_eq!(put(json!({ "origins": [] })).await.json()["resource"]["origins"], json!([]));
    assert_eq!(put(json!({ "origins": evil })).await.problem(422), ["/origins"]);
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

#[tokio::test]
async fn a_plugin_that_no_route_leads_to_is_removed() {
    let (desk, _) = Desk::with_tenants().await;
    let tenant = "/v1/tenants/acme";
    let done =
        async |method: Method, path: &str, body: Value| desk.call(method, &format!("{tenant}/{path}"), body).await;
    done(Method::PUT, "plugins/helo", Value::Null).await;
    done(Method::PUT, "plugins/hello", Value::Null).await;
    let mut digests = Vec::new();
    for (plugin, component) in [("helo", &b"one"[..]), ("helo", b"two"), ("hello", b"two")] {
        let versions = format!("{tenant}/plugins/{plugin}/versions");
        let digest = desk.upload(&versions, "application/wasm", component).await.json()["resource"]["digest"].clone();
        done(Method::POST, &format!("plugins/{plugin}/deployments"), json!({ "digest": digest })).await;
        digests.push(digest.as_str().unwrap().parse().unwrap());
    }
    done(Method::PUT, "sources/s", json!({ "preset": "bearer", "secrets": ["s"] })).await.problem(422);
    done(Method::PUT, "secrets/s", json!({ "value": "0123456789abcdef" })).await;
    done(Method::PUT, "sources/s", json!({ "preset": "bearer", "secrets": ["s"] })).await;
    let route = |plugin: &str| json!({ "source": "s", "plugin": plugin });
    assert_eq!(done(Method::PUT, "routes/r", route("helo")).await.status, 201);
    let refused = done(Method::DELETE, "plugins/helo", Value::Null).await;
    refused.problem(409);
    assert!(refused.text().contains("the route `r` leads to the plugin `helo`"), "{}", refused.text());
    assert_eq!(done(Method::PUT, "routes/r", route("hello")).await.status, 200);
    assert_eq!(done(Method::DELETE, "plugins/helo", Value::Null).await.status, 204);
    done(Method::DELETE, "plugins/helo", Value::Null).await.problem(404);
    let left = done(Method::GET, "plugins", Value::Null).await.json();
    assert_eq!(left["items"].as_array().unwrap().iter().map(|one| &one["name"]).collect::<Vec<_>>(), ["hello"]);
    let acme = desk.store.control_read().await.unwrap().tenants.iter().find(|one| one.name == "acme").unwrap().id;
    let kept = async |digest: Digest| desk.store.component_read(acme, digest).await.unwrap().is_some();
    assert!(!kept(digests[0]).await && kept(digests[1]).await, "what another deployment is of stays");
}

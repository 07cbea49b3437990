//! Keys and the audit trail from the command line.

use reqwest::Method;
use serde_json::json;

use crate::harness::command::creel;
use crate::harness::host::Host;
use crate::harness::sender::Webhook;
use crate::harness::tenant::{Api, Tenant};

fn over(host: &Host, tenant: &Tenant, key: &str) -> Tenant {
    Tenant { api: Api::new(host.http().clone(), host.admin_url(), key.to_owned()), name: tenant.name.clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_made_listed_and_ended() {
    let host = Host::open().await;
    let tenant = host.tenant("shop").await;
    let made = creel(&tenant, &["keys", "create", "ci", "--role", "deployer", "--expires-in-days", "90"]).await;
    assert!(made.code == Some(0) && made.out.contains("shown only now") && made.out.contains("creel_key_"), "{made:?}");
    let made = creel(&tenant, &["--json", "keys", "create", "looks", "--role", "reader"]).await.json();
    assert_eq!((&made["role"], &made["payload_read"]), (&json!("reader"), &json!(false)));
    let reader = over(&host, &tenant, made["key"].as_str().unwrap());
    let refused = creel(&reader, &["keys"]).await;
    assert!(refused.code == Some(4) && refused.err.contains("this one is a `reader`"), "{refused:?}");
    let listed = creel(&tenant, &["keys"]).await;
    for word in ["first", "ci", "looks", "deployer", "tenant_admin", "never"] {
        assert!(listed.out.contains(word), "no `{word}` in {listed:?}");
    }
    let id = made["id"].as_str().unwrap();
    assert_eq!(creel(&tenant, &["keys", "revoke", id]).await.out.trim(), format!("{id} is ended"));
    assert_eq!(creel(&tenant, &["keys", "revoke", id]).await.code, Some(3));
    assert_eq!(creel(&reader, &["sources"]).await.code, Some(4));
    let bad = creel(&tenant, &["keys", "create", "x", "--role", "king"]).await;
    assert!(bad.code == Some(2) && bad.err.contains("possible values: reader"), "{bad:?}");
    let both = creel(&tenant, &["keys", "create", "x", "--payload-read", "--no-payload-read"]).await;
    assert_eq!(both.code, Some(2));

    let unnamed = creel(&tenant, &["keys", "create", "not a name!", "--expires-in-days", "0"]).await;
    assert_eq!(unnamed.code, Some(4), "{unnamed:?}");
    let trail = creel(&tenant, &["audit"]).await;
    assert!(trail.code == Some(0) && trail.out.contains(&format!("DELETE /v1/tenants/shop/keys/{id}")), "{trail:?}");
    let trail = creel(&tenant, &["--json", "audit", "--limit", "1"]).await.json();
    assert_eq!((&trail["items"][0]["status"], &trail["items"][0]["peer"]), (&json!(422), &json!("127.0.0.1")));
    let before = trail["next"].as_str().unwrap();
    let older = creel(&tenant, &["--json", "audit", "--before", before]).await.json();
    assert_eq!(older["items"][0]["status"], 404);

    let operator = Tenant { api: host.api.clone(), name: String::new() };
    let keys = creel(&operator, &["--json", "keys"]).await.json();
    assert_eq!((keys.as_array().unwrap().len(), &keys[0]["role"]), (1, &json!("operator")));
    let whole = creel(&operator, &["audit"]).await;
    assert!(whole.out.contains("shop") && whole.out.contains("PUT /v1/tenants/shop"), "{whole:?}");
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_known_is_counted_and_fills_no_trail() {
    let host = Host::open().await;
    let tenant = host.tenant("shop").await;
    host.tenant("other").await;
    let trail = creel(&tenant, &["--json", "audit"]).await.json();
    let unknown = over(&host, &tenant, &tenant.api.key().replace("creel_key_0", "creel_key_1"));
    assert_eq!(creel(&unknown, &["sources"]).await.code, Some(4));
    assert_eq!(tenant.api.ask(Method::DELETE, "/v1/tenants/other/sources/x", None).await.0, 404);
    let counted = tenant.api.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    for reason in ["unknown_key", "no_tenant"] {
        assert!(counted.contains(&format!("creel_admin_refusals_total{{reason=\"{reason}\"}}")), "{reason}: {counted}");
    }
    assert_eq!(creel(&tenant, &["--json", "audit"]).await.json(), trail);
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_host_no_key_is_rotated() {
    let host = Host::open().await;
    let operator = Tenant { api: host.api.clone(), name: String::new() };
    let key = std::fs::read(host.path().join("master.key")).unwrap();
    let (home, _) = host.stop().await;
    let told = creel(&operator, &["rekey"]).await;
    assert!(told.code == Some(5) && told.err.contains("no host answers"), "{told:?}");
    assert_eq!(std::fs::read(home.path().join("master.key")).unwrap(), key);
    assert!(!home.path().join("master.key.next").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sources_url_is_rotated() {
    let host = Host::open().await;
    let tenant = host.tenant("shop").await;
    let path = tenant.source("calls", "vapi-secret", "s3cr3t").await;
    let rotated = creel(&tenant, &["rotate-url", "calls"]).await;
    assert!(rotated.code == Some(0) && rotated.out.contains(&format!("{path} leads to it until")), "{rotated:?}");
    let rotated = creel(&tenant, &["rotate-url", "calls", "--overlap-hours", "0"]).await;
    assert!(rotated.out.contains("the URL before leads nowhere any more"), "{rotated:?}");
    assert_eq!(creel(&tenant, &["rotate-url", "none"]).await.code, Some(3));
    assert_eq!(creel(&tenant, &["rotate-url", "calls", "--overlap-hours", "9000"]).await.code, Some(4));
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_used_is_told_by_days() {
    let host = Host::open().await;
    let tenant = host.tenant("shop").await;
    let path = tenant.source("calls", "vapi-secret", "s3cr3t").await;
    let none = creel(&tenant, &["usage"]).await;
    assert_eq!((none.code, none.out.trim()), (Some(0), "nothing"));
    let call = Webhook::json("vapi-secret", "s3cr3t", "1", r#"{"message":{"type":"hang"}}"#);
    assert_eq!(host.send(&path, &call).await.status, 200);
    let told = creel(&tenant, &["--json", "usage"]).await.json();
    let day = &told["items"][0];
    assert_eq!((&day["events"], &day["bytes_in"], &day["runs"]), (&json!(1), &json!(27), &json!(0)), "{told}");
    let told = creel(&tenant, &["usage", "--since", day["day"].as_str().unwrap()]).await;
    assert!(told.out.starts_with("DAY") && told.out.contains("27"), "{told:?}");
    let before = creel(&tenant, &["usage", "--since", "2020-01-01", "--until", "2020-02-01"]).await;
    assert_eq!(before.out.trim(), "nothing");
    for bad in [&["usage", "--since", "yesterday"][..], &["usage", "--since", "2020-01-01"]] {
        assert_eq!(creel(&tenant, bad).await.code, Some(2));
    }
    host.finish().await;
}

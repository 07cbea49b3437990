//! The confused deputy: who may change what runs, but not where secrets go, tries to lead a secret to a receiver of its own.
//! Each attempt is refused or leads nowhere.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::host::Host;
use crate::harness::receiver::Receiver;
use crate::harness::sender::Webhook;
use crate::harness::tenant::{Api, Tenant};

const SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS1vcmRlcnMtMDAwMDE=";
const TOKEN: &str = "canary-of-the-crm-7f3a9c";

/// A tenant whose plugin calls `crm` with its token, and somebody's receiver that the host would let it call.
struct Story {
    host: Host,
    evil: Receiver,
    tenant: Tenant,
    source: String,
    sent: usize,
}

impl Story {
    async fn begin() -> Story {
        let host = Host::with(|config| config.egress_allow.push("127.0.0.1".parse().unwrap())).await;
        let tenant = host.tenant("shop").await;
        tenant.secret_for("crm", TOKEN, &host.receiver.url("")).await;
        let auth = json!({ "type": "bearer", "secret": "crm" });
        tenant.destination("crm", json!({ "url": host.receiver.url("/v1"), "auth": auth, "retry_ms": [0] })).await;
        let source = tenant.source("orders", "standard-webhooks", SECRET).await;
        tenant.deploy_granting("echo", "echo", json!({ "destination": "crm" }), &["crm"]).await;
        tenant.route("orders", "echo").await;
        Story { host, evil: Receiver::start().await, tenant, source, sent: 0 }
    }

    /// The API with a key of this role.
    async fn as_a(&self, role: &str) -> Tenant {
        let made = self.tenant.api.post(&self.tenant.path("keys"), json!({ "name": role, "role": role })).await;
        let http = self.host.http().clone();
        let api = Api::new(http, self.host.admin_url(), made["key"].as_str().unwrap().to_owned());
        Tenant { api, name: self.tenant.name.clone() }
    }

    /// One more event, to its end.
    async fn event(&mut self) {
        self.sent += 1;
        let order = Webhook::json("standard-webhooks", SECRET, &format!("msg_{}", self.sent), r#"{"type":"order"}"#);
        assert_eq!(self.host.send(&self.source, &order).await.status, 200);
        self.tenant.stories(self.sent).await;
    }

    /// Nothing went anywhere but to the CRM, under its base path.
    fn nothing_leaked(&self) {
        assert!(self.evil.arrived().is_empty(), "{:#?}", self.evil.arrived());
        for call in self.host.receiver.arrived() {
            assert!(call.request.path.starts_with("/v1"), "{call:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployer_changes_no_place_and_no_secret() {
    let mut story = Story::begin().await;
    let deployer = story.as_a("deployer").await;
    let (evil, auth) = (story.evil.url("/"), json!({ "type": "bearer", "secret": "crm" }));
    for (method, rest, document) in [
        (Method::PUT, "destinations/crm", json!({ "url": evil, "auth": auth })),
        (Method::PUT, "destinations/mine", json!({ "url": evil, "auth": auth })),
        (Method::PUT, "secrets/crm", json!({ "value": "mine", "origins": [evil] })),
        (Method::PUT, "secrets/crm", json!({ "origins": [evil] })),
        (Method::DELETE, "secrets/crm", Value::Null),
        (Method::PUT, "sources/orders", json!({ "preset": "standard-webhooks", "secrets": ["crm"] })),
        (Method::POST, "sources/orders/rotate-token", json!({})),
        (Method::PUT, "routes/orders-echo", json!({ "source": "orders", "plugin": "echo" })),
        (Method::PUT, "notices", json!({ "destination": "crm" })),
        (Method::POST, "destinations/crm/resume", json!({})),
        (Method::POST, "keys", json!({ "name": "mine" })),
    ] {
        let problem = deployer.api.refused(method, &deployer.path(rest), &document).await;
        assert_eq!(problem.status, 403, "{rest}: {problem:?}");
    }
    story.event().await;
    assert_eq!(story.host.receiver.only().header("authorization"), format!("Bearer {TOKEN}"));
    story.nothing_leaked();
    story.host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_deployer_deploys_reaches_only_what_an_admin_configured() {
    let mut story = Story::begin().await;
    let deployer = story.as_a("deployer").await;
    let evil = story.evil.address().to_string();
    let paths = [
        format!("//{evil}/x"),
        format!("/\\{evil}/x"),
        format!("@{evil}/x"),
        format!(".{evil}/x"),
        format!("http://{evil}/x"),
        format!(":80@{evil}/x"),
        "/../x".to_owned(),
        "/%2e%2e/x".to_owned(),
        "/a/..%2f../x".to_owned(),
        format!("/x\r\nhost: {evil}"),
        "/x#fragment".to_owned(),
    ];
    for path in &paths {
        deployer.deploy_granting("echo", "echo", json!({ "destination": "crm", "path": path }), &["crm"]).await;
        story.event().await;
        story.nothing_leaked();
    }
    // A name that is no destination, a URL in its place, and one that is not granted.
    for name in ["mine", evil.as_str()] {
        deployer.deploy_granting("echo", "echo", json!({ "destination": name }), &[]).await;
        story.event().await;
    }
    let digest = json!({ "digest": format!("sha256:{}", "0".repeat(64)), "grants": { "destinations": ["mine"] } });
    let problem = deployer.api.refused(Method::POST, &deployer.path("plugins/echo/deployments"), &digest).await;
    assert_eq!(problem.status, 422);
    story.nothing_leaked();
    story.host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_lead_nowhere() {
    let mut story = Story::begin().await;
    for status in [301, 302, 303, 307, 308] {
        let location = story.evil.url("/stolen");
        story.host.receiver.answer("/v1", status, &[("location", &location), ("refresh", &location)], "");
        story.event().await;
    }
    assert_eq!(story.host.receiver.arrived().len(), 5);
    story.nothing_leaked();
    story.host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_who_does_not_know_a_secret_binds_it_nowhere_else() {
    let mut story = Story::begin().await;
    let (api, evil) = (&story.tenant.api, story.evil.url(""));
    let auth = json!({ "type": "bearer", "secret": "crm" });
    for (rest, document, pointer) in [
        ("destinations/crm", json!({ "url": evil, "auth": auth }), "/auth/secret"),
        ("destinations/mine", json!({ "url": evil, "auth": auth }), "/auth/secret"),
        ("secrets/crm", json!({ "origins": [evil] }), "/origins"),
    ] {
        let problem = api.refused(Method::PUT, &story.tenant.path(rest), &document).await;
        assert_eq!((problem.status, problem.errors[0].pointer.as_str()), (422, pointer), "{problem:?}");
    }
    // Even a destination that got past these checks sends nothing: the origin is looked at again at every send.
    let control = story.host.store().control_read().await.unwrap();
    let mut crm = control.destinations.into_iter().find(|one| one.spec.name == "crm").unwrap();
    crm.spec.url = evil;
    story.host.store().destination_put(crm).await.unwrap();
    let order = Webhook::json("standard-webhooks", SECRET, "msg_1", r#"{"type":"order"}"#);
    assert_eq!(story.host.send(&story.source, &order).await.status, 200);
    let paused = || async { story.tenant.api.get::<Value>(&story.tenant.path("destinations/crm")).await };
    let paused = crate::harness::wait::until("the pause", paused, |place| place["paused"].is_string()).await;
    assert!(paused["paused"].as_str().unwrap().contains("`crm`"), "{paused}");
    story.nothing_leaked();
    // Back where it belongs, what waited goes there.
    story.sent = 1;
    story.tenant.destination("crm", json!({ "url": story.host.receiver.url("/v1"), "auth": auth })).await;
    story.tenant.stories(1).await;
    assert_eq!(story.host.receiver.only().header("authorization"), format!("Bearer {TOKEN}"));
    story.nothing_leaked();
    story.host.finish().await;
}

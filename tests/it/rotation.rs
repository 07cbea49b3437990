//! What proves somebody is rotated while it is used, and nobody who is genuine is refused.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::host::Host;
use crate::harness::sender::Webhook;
use crate::harness::tenant::{Api, Tenant};
use crate::harness::wait::until;

/// Requests that pass between two steps of a rotation.
const BETWEEN: usize = 25;

/// Senders at the same time.
const SENDERS: usize = 3;

/// A provider and a colleague that never pause: what they use, and how often it was good.
struct Load<'a> {
    host: &'a Host,
    used: Mutex<Used>,
    served: AtomicUsize,
}

/// What they use at the moment.
#[derive(Clone)]
struct Used {
    preset: &'static str,
    path: String,
    secret: String,
    key: String,
}

impl Load<'_> {
    fn used(&self) -> Used {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// They go over to something new.
    fn change(&self, change: impl FnOnce(&mut Used)) {
        change(&mut self.used.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Sends for ever.
    async fn send(&self, sender: usize) {
        for number in 0.. {
            let used = self.used();
            let id = format!("msg_{sender}_{number}");
            let event = Webhook::json(used.preset, &used.secret, &id, r#"{"type":"order.paid"}"#);
            let event = if used.preset == "twilio" { event.form(&[("CallSid", &id)]) } else { event };
            let told = self.host.send(&used.path, &event).await;
            assert!(told.status < 300, "{told:?} at {}", used.path);
            let api = Api::new(self.host.http().clone(), self.host.admin_url(), used.key);
            let (status, text) = api.ask(Method::GET, "/v1/whoami", None).await;
            assert_eq!(status, 200, "{text}");
            self.served.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Waits until some more were served.
    async fn goes_on(&self) {
        let enough = self.served.load(Ordering::SeqCst) + BETWEEN;
        until("more requests", || async { self.served.load(Ordering::SeqCst) }, |served| *served >= enough).await;
    }

    /// Plays a story while they send.
    async fn during(&self, story: impl Future<Output = ()>) {
        let load = futures_util::future::join_all((0..SENDERS).map(|sender| self.send(sender)));
        tokio::select! {
            _ = load => unreachable!("they never stop"),
            () = story => {}
        }
    }
}

async fn new_key(tenant: &Tenant) -> Value {
    tenant.api.post(&tenant.path("keys"), json!({ "name": "colleague", "role": "reader" })).await
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_urls_and_keys_are_rotated_under_load() {
    for (preset, old, new) in [
        ("standard-webhooks", "whsec_b2xkLXNlY3JldC1vZi10aGUtb3JkZXJz", "whsec_bmV3LXNlY3JldC1vZi10aGUtb3JkZXJz"),
        ("twilio", "old-token-of-twilio", "new-token-of-twilio"),
    ] {
        let host = Host::open().await;
        let tenant = host.tenant("shop").await;
        let path = tenant.source("orders", preset, old).await;
        let first = new_key(&tenant).await;
        let used = Used { preset, path: path.clone(), secret: old.to_owned(), key: text(&first["key"]) };
        let load = Load { host: &host, used: Mutex::new(used), served: AtomicUsize::new(0) };
        load.during(async {
            load.goes_on().await;
            // The secret: known here first, then used by the provider.
            tenant.secret("orders-secret", new).await;
            load.goes_on().await;
            load.change(|used| used.secret = new.to_owned());
            load.goes_on().await;
            // The URL, which some providers sign.
            let rotated = tenant.api.post(&tenant.path("sources/orders/rotate-token"), json!({})).await;
            assert_eq!(rotated["previous_path"], json!(path));
            load.goes_on().await;
            load.change(|used| used.path = text(&rotated["path"]));
            load.goes_on().await;
            // A key.
            let second = new_key(&tenant).await;
            load.change(|used| used.key = text(&second["key"]));
            // Who was asked meanwhile has been answered.
            load.goes_on().await;
            let ended = tenant.path(&format!("keys/{}", text(&first["id"])));
            assert_eq!(tenant.api.ask(Method::DELETE, &ended, None).await.0, 204);
            load.goes_on().await;
        })
        .await;
        assert!(tenant.refusals().await.is_empty(), "{:#?}", tenant.refusals().await);
        host.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_without_an_overlap_ends_the_url_before_at_once() {
    let host = Host::open().await;
    let tenant = host.tenant("shop").await;
    let path = tenant.source("calls", "vapi-secret", "s3cr3t").await;
    let call = Webhook::json("vapi-secret", "s3cr3t", "1", r#"{"message":{"type":"hang"}}"#);
    let rotate = async |document: Value| tenant.api.post(&tenant.path("sources/calls/rotate-token"), document).await;
    let second = text(&rotate(json!({})).await["path"]);
    assert_eq!((host.send(&path, &call).await.status, host.send(&second, &call).await.status), (200, 200));
    // A further rotation leaves one URL before it, not two.
    let third = rotate(json!({ "overlap_ms": 60_000 })).await;
    assert_eq!(third["previous_path"], json!(second));
    assert_eq!((host.send(&path, &call).await.status, host.send(&second, &call).await.status), (404, 200));
    let fourth = rotate(json!({ "overlap_ms": 0 })).await;
    assert_eq!(fourth.get("previous_path"), None);
    let (third, fourth) = (text(&third["path"]), text(&fourth["path"]));
    assert_eq!((host.send(&third, &call).await.status, host.send(&fourth, &call).await.status), (404, 200));
    let spec = json!({ "preset": "vapi-secret", "secrets": ["calls-secret"] });
    let kept = tenant.api.put(&tenant.path("sources/calls"), spec).await;
    assert_eq!(kept["resource"]["path"], json!(fourth));
    let rotation = tenant.path("sources/calls/rotate-token");
    assert_eq!(tenant.api.refused(Method::POST, &rotation, &json!({ "overlap_ms": -1 })).await.status, 422);
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_master_key_is_rotated_under_load_and_across_restarts() {
    const SECRET: &str = "whsec_b2xkLXNlY3JldC1vZi10aGUtb3JkZXJz";
    const NEWER: &str = "whsec_bmV3LXNlY3JldC1vZi10aGUtb3JkZXJz";
    let host = Host::open().await;
    let tenant = host.tenant("shop").await;
    let path = tenant.source("orders", "standard-webhooks", SECRET).await;
    let key = new_key(&tenant).await;
    let used = Used { preset: "standard-webhooks", path, secret: SECRET.to_owned(), key: text(&key["key"]) };
    let load = Load { host: &host, used: Mutex::new(used.clone()), served: AtomicUsize::new(0) };
    let file = host.path().join("master.key");
    let before = std::fs::read(&file).unwrap();
    load.during(async {
        load.goes_on().await;
        assert_eq!(host.api.post("/v1/master-key/rotate", json!({})).await, json!({ "secrets": 1 }));
        load.goes_on().await;
        // The value before is sealed again too.
        tenant.secret("orders-secret", NEWER).await;
        host.api.post("/v1/master-key/rotate", json!({})).await;
        load.goes_on().await;
        load.change(|used| used.secret = NEWER.to_owned());
        load.goes_on().await;
        // The same value is still known again.
        let put = tenant.api.put(&tenant.path("secrets/orders-secret"), json!({ "value": NEWER })).await;
        assert_eq!(put["result"], "unchanged");
    })
    .await;
    assert!(tenant.refusals().await.is_empty());
    tenant.api.refused(Method::POST, "/v1/master-key/rotate", &json!({})).await;
    let second = std::fs::read(&file).unwrap();
    assert!(second != before && !file.with_extension("key.next").exists());

    // The process ends right after the new key was written: the next start goes on with it.
    let (home, receiver) = host.stop().await;
    let next = file.with_extension("key.next");
    let entropy = creel_server::system::Entropy::system().unwrap();
    creel_server::datadir::make_master_key(&next, &entropy).unwrap();
    let third = std::fs::read(&next).unwrap();
    let host = home.serve(receiver).await;
    assert!(std::fs::read(&file).unwrap() == third && !next.exists());
    let event = |id: &str| Webhook::json("standard-webhooks", NEWER, id, r#"{"type":"order.paid"}"#);
    assert_eq!(host.send(&used.path, &event("again")).await.status, 200);

    // It ends while the new key is written: that is no key, and the old one stays.
    let (home, receiver) = host.stop().await;
    creel_server::datadir::write_private(&next, "12").unwrap();
    let host = home.serve(receiver).await;
    assert!(std::fs::read(&file).unwrap() == third && !next.exists());
    assert_eq!(host.send(&used.path, &event("once more")).await.status, 200);
    host.finish().await;
}

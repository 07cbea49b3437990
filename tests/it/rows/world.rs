//! Two tenants with one thing of each kind: `own`, whose keys are used, and `theirs`, which nothing may be seen of.

use axum::http::Method;
use bytes::Bytes;
use creel_server::admin::routes::Row;
use creel_store::contract::{
    Accept, Accepted, NewDelivery, NewEvent, NewRequest, NewRun, RunCommit, StateWrites, StoredAnswer,
};
use creel_webhook::clock::{Clock as _, Timestamp};
use creel_webhook::decision::DecidedCall;
use creel_webhook::id::{DestinationId, EventId, Id, Kind, PluginId, RouteId, SourceId, TenantId};
use creel_webhook::record::Record;
use creel_webhook::run::{RunNext, Usage, Verdict};
use creel_webhook::tenant::Role;
use serde_json::{Value, json};

use crate::desk::{Answer, Desk};

/// Stands in every payload of both tenants.
pub(super) const CANARY: &str = "canary-payload";

/// The things of a tenant; each is called like the tenant.
pub(super) struct Theirs {
    pub(super) name: String,
    pub(super) event: String,
    pub(super) run: String,
    pub(super) delivery: String,
    pub(super) key: String,
    pub(super) digest: String,
}

impl Theirs {
    /// A path of the table that names these things.
    pub(super) fn path(&self, path: &str) -> String {
        let mut path = path
            .replace("{event}", &self.event)
            .replace("{run}", &self.run)
            .replace("{delivery}", &self.delivery)
            .replace("{key}", &self.key)
            .replace("{digest}", &self.digest)
            .replace("{number}", "1");
        for kind in ["tenant", "secret", "source", "destination", "plugin", "route"] {
            path = path.replace(&format!("{{{kind}}}"), &self.name);
        }
        assert!(!path.contains('{'), "`{path}` names a kind of thing that this world has none of");
        path
    }
}

/// Both tenants.
pub(super) struct World {
    pub(super) desk: Desk,
    pub(super) own: Theirs,
    pub(super) theirs: Theirs,
}

impl World {
    pub(super) async fn new() -> World {
        let desk = Desk::new().await;
        let (own, theirs) = (things(&desk, "own").await, things(&desk, "theirs").await);
        World { desk, own, theirs }
    }

    /// A key of the own tenant.
    pub(super) async fn key(&self, role: Role, payload_read: bool) -> String {
        let wanted = json!({ "name": "test", "role": role, "payload_read": payload_read });
        let made = self.desk.call(Method::POST, "/v1/tenants/own/keys", wanted).await;
        made.json()["key"].as_str().unwrap().to_owned()
    }

    pub(super) async fn call(&self, key: Option<&str>, row: &Row, path: &str, document: Value) -> Answer {
        self.desk.call_as(key, row.method.clone(), path, document).await
    }

    /// Everything that there is of `theirs`, and all that the host has besides.
    pub(super) async fn snapshot(&self) -> Vec<Value> {
        let mut all = Vec::new();
        for list in ["secrets", "sources", "destinations", "plugins", "routes", "events", "runs", "deliveries"] {
            all.push(self.desk.call(Method::GET, &format!("/v1/tenants/theirs/{list}"), Value::Null).await.json());
        }
        let plugin = "/v1/tenants/theirs/plugins/theirs/deployments";
        all.push(self.desk.call(Method::GET, plugin, Value::Null).await.json());
        for one in ["/v1/tenants/theirs/keys", "/v1/tenants", "/v1/keys"] {
            let mut keys = self.desk.call(Method::GET, one, Value::Null).await.json();
            for key in keys["items"].as_array_mut().unwrap() {
                key["last_used_at"] = Value::Null;
            }
            all.push(keys);
        }
        let event = format!("/v1/tenants/theirs/events/{}", self.theirs.event);
        all.push(self.desk.call(Method::GET, &event, Value::Null).await.json());
        all
    }
}

/// A tenant with one thing of each kind, an event that was decided, and a call that waits.
async fn things(desk: &Desk, name: &str) -> Theirs {
    let put = async |path: &str, document: Value| {
        let path = format!("/v1/tenants/{name}{path}");
        let answer = desk.call(Method::PUT, &path, document).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text());
        answer.json()["resource"].clone()
    };
    let tenant = put("", json!({})).await;
    put(&format!("/secrets/{name}"), json!({ "value": "x", "origins": ["https://crm.example"] })).await;
    let source = put(&format!("/sources/{name}"), json!({ "preset": "vapi-hmac", "secrets": [name] })).await;
    let place = put(
        &format!("/destinations/{name}"),
        json!({ "url": "https://crm.example/v1", "auth": { "type": "bearer", "secret": name } }),
    )
    .await;
    let plugin = put(&format!("/plugins/{name}"), Value::Null).await;
    let route = put(&format!("/routes/{name}"), json!({ "source": name, "plugin": name })).await;
    let component: &'static [u8] = if name == "own" { b"component of own" } else { b"component of theirs" };
    let plugins = format!("/v1/tenants/{name}/plugins/{name}");
    let version = desk.upload(&format!("{plugins}/versions"), "application/wasm", component).await.json();
    let digest = version["resource"]["digest"].as_str().unwrap().to_owned();
    let deployed = desk.call(Method::POST, &format!("{plugins}/deployments"), json!({ "digest": digest })).await;
    assert_eq!(deployed.status, 201, "{}", deployed.text());
    let made = desk.call(Method::POST, &format!("/v1/tenants/{name}/keys"), json!({ "name": "first" })).await.json();
    let ids = Ids {
        tenant: id(&tenant),
        source: id(&source),
        destination: id(&place),
        plugin: id(&plugin),
        route: id(&route),
    };
    let (event, run, delivery) = history(desk, &ids).await;
    Theirs { name: name.to_owned(), event, run, delivery, key: made["id"].as_str().unwrap().to_owned(), digest }
}

struct Ids {
    tenant: TenantId,
    source: SourceId,
    destination: DestinationId,
    plugin: PluginId,
    route: RouteId,
}

fn id<K: Kind>(view: &Value) -> Id<K> {
    view["id"].as_str().unwrap().parse().unwrap_or_else(|_| panic!("no id in {view}"))
}

fn fresh<K: Kind>(desk: &Desk) -> Id<K> {
    desk.clock.advance_ms(1);
    let now = desk.clock.now();
    let mut entropy = [0; 10];
    entropy[2..].copy_from_slice(&now.as_millis().to_be_bytes());
    Id::new(now, entropy)
}

/// An event whose run decided one call.
async fn history(desk: &Desk, ids: &Ids) -> (String, String, String) {
    let now = desk.clock.now();
    let event: EventId = fresh(desk);
    let accepted = desk.store.accept(accept(desk, ids, event, now)).await.unwrap();
    assert!(matches!(accepted, Accepted::Stored { .. }), "{accepted:?}");
    let now = desk.clock.now();
    let claim = desk.store.run_claim(now, 60_000, 1, u32::MAX).await.unwrap().pop().expect("its run is due");
    let delivery = NewDelivery { id: fresh(desk), call: call(ids, now) };
    let (run, told) = (claim.ticket.run, delivery.id.to_string());
    let commit = RunCommit {
        tenant: claim.ticket.tenant,
        run,
        claim: claim.ticket.claim,
        now,
        verdict: Verdict::Done,
        reason: None,
        breach: None,
        deployment: Some(1),
        usage: Usage::default(),
        log: Vec::new(),
        next: RunNext::End,
        calls: vec![delivery],
        reply: None,
        state: StateWrites::default(),
        keep_late: false,
        record: Record::default(),
    };
    desk.store.run_commit(commit).await.unwrap();
    (event.to_string(), run.to_string(), told)
}

fn accept(desk: &Desk, ids: &Ids, event: EventId, now: Timestamp) -> Accept {
    let run = NewRun { id: fresh(desk), route: ids.route, plugin: ids.plugin, order_key: None, reply: None };
    let body = Bytes::from_static(CANARY.as_bytes());
    Accept {
        tenant: ids.tenant,
        source: ids.source,
        request: NewRequest {
            id: fresh(desk),
            received_at: now,
            method: "POST".into(),
            query: vec![("q".into(), CANARY.into())],
            headers: vec![("x-test".into(), CANARY.into())],
            scheme: "hmac".into(),
            attributes: Vec::new(),
            body: body.clone(),
        },
        events: vec![NewEvent {
            id: event,
            kind: "call_ended".into(),
            provider_id: None,
            subject: None,
            occurred_at: None,
            item: None,
            dedup_keys: Vec::new(),
            dedup_until: now,
            runs: vec![run],
        }],
        answer: StoredAnswer { status: 200, headers: vec![("x-test".into(), CANARY.into())], body },
        pending_runs_max: 1_000,
    }
}

fn call(ids: &Ids, now: Timestamp) -> DecidedCall {
    DecidedCall {
        index: 0,
        destination: ids.destination,
        key: format!("key of {}", ids.tenant),
        method: "POST".into(),
        path: "/calls".into(),
        headers: vec![("x-test".into(), CANARY.into())],
        body: Some(Bytes::from_static(CANARY.as_bytes())),
        order_key: None,
        due_at: now,
        expires_at: None,
        on_result: None,
        attributes: Vec::new(),
    }
}

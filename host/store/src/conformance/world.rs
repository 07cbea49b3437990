//! A small world to tell stories in: two tenants with a source, a plugin, two routes and a destination each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use creel_webhook::clock::Timestamp;
use creel_webhook::decision::DecidedCall;
use creel_webhook::delivery::{Answer, Next};
use creel_webhook::destination::Destination;
use creel_webhook::id::{DestinationId, Id, Kind, PluginId, RouteId, SourceId, TenantId};
use creel_webhook::plugin::Plugin;
use creel_webhook::record::{FetchRequest, FetchResponse, Fetched, Record};
use creel_webhook::route::{Late, Mode, Route};
use creel_webhook::run::{RunNext, Usage, Verdict};
use creel_webhook::source::Source;
use creel_webhook::tenant::{Tenant, TenantLimits};

use crate::contract::{
    Accept, Accepted, Attempt, ClaimToken, DeliveryClaim, DeliveryCommit, NewClaim, NewDelivery, NewEvent, NewReply,
    NewRequest, NewRun, RunClaim, RunCommit, RunCommitted, SecretRow, StateWrites, Store, StoredAnswer,
};
use creel_webhook::id::RunId;

/// When stories begin.
pub const START: Timestamp = Timestamp::from_secs(1_800_000_000);

/// A lease that no story outlives by accident.
pub(super) const LEASE_MS: u64 = 60_000;

/// What a tenant has.
#[derive(Debug, Clone, Copy)]
pub struct Home {
    /// The tenant.
    pub tenant: TenantId,
    /// Its source.
    pub source: SourceId,
    /// Its plugin.
    pub plugin: PluginId,
    /// The route in mode `ack`.
    pub route: RouteId,
    /// Its destination: eight at a time, no rate.
    pub destination: DestinationId,
}

/// The store with what is configured in it.
pub struct World {
    /// The store.
    pub store: Arc<dyn Store>,
    /// One tenant.
    pub home: Home,
    /// Another.
    pub other: Home,
    next: AtomicU64,
}

impl World {
    /// Configures an empty store.
    pub async fn new(store: Arc<dyn Store>) -> World {
        let next = AtomicU64::new(1);
        let home = make_home(store.as_ref(), &next, "one").await;
        let other = make_home(store.as_ref(), &next, "two").await;
        World { store, home, other, next }
    }

    /// A fresh id; later ones sort later.
    pub fn id<K: Kind>(&self) -> Id<K> {
        fresh(&self.next)
    }

    /// An accept of one event with one background run.
    pub fn accept(&self, home: Home, body: &'static str) -> Accept {
        let run = NewRun { id: self.id(), route: home.route, plugin: home.plugin, order_key: None, reply: None };
        Accept {
            tenant: home.tenant,
            source: home.source,
            request: self.request(START, body),
            events: vec![self.event(vec![run])],
            answer: told(200, "ok"),
            pending_runs_max: 1_000_000,
        }
    }

    /// A request.
    pub fn request(&self, at: Timestamp, body: &'static str) -> NewRequest {
        NewRequest {
            id: self.id(),
            received_at: at,
            method: "POST".into(),
            query: vec![("q".into(), "1".into())],
            headers: vec![("content-type".into(), "text/plain".into())],
            scheme: "hmac".into(),
            attributes: vec![("body-covered".into(), "true".into())],
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    /// An event without a dedup key.
    pub fn event(&self, runs: Vec<NewRun>) -> NewEvent {
        NewEvent {
            id: self.id(),
            kind: "call_ended".into(),
            provider_id: Some("p1".into()),
            subject: Some("CA1".into()),
            occurred_at: None,
            item: None,
            dedup_keys: vec![],
            dedup_until: START.plus_ms(1_000),
            runs,
        }
    }

    /// Accepts one event with a run of this order key.
    pub async fn accept_keyed(&self, key: Option<&str>) -> RunId {
        let mut accept = self.accept(self.home, "x");
        accept.events[0].runs[0].order_key = key.map(str::to_owned);
        let run = accept.events[0].runs[0].id;
        self.stored(accept).await;
        run
    }

    /// An accept whose sender waits until `deadline_ms` after the start.
    pub fn accept_reply(&self, deadline_ms: u64, lease_ms: Option<u64>) -> Accept {
        let mut accept = self.accept(self.home, "x");
        let claim = lease_ms.map(|lease_ms| NewClaim { token: self.store.claim_token(), lease_ms });
        accept.events[0].runs[0].reply =
            Some(NewReply { deadline: START.plus_ms(deadline_ms), claim, fallback: told(503, "fallback") });
        accept
    }

    /// Accepts and expects that it was stored.
    pub async fn stored(&self, accept: Accept) -> Accepted {
        let accepted = self.store.accept(accept).await.expect("an accept succeeds");
        assert!(matches!(accepted, Accepted::Stored { .. }), "{accepted:?}");
        accepted
    }

    /// Claims runs.
    pub async fn claim(&self, now: Timestamp, max: u32) -> Vec<RunClaim> {
        self.claim_of(now, max, u32::MAX).await
    }

    /// Claims runs when so many places are free.
    pub async fn claim_of(&self, now: Timestamp, max: u32, free: u32) -> Vec<RunClaim> {
        self.store.run_claim(now, LEASE_MS, max, free).await.expect("a claim succeeds")
    }

    /// Gives the home tenant limits of its own.
    pub async fn limit(&self, limits: TenantLimits) {
        let row = Tenant { id: self.home.tenant, name: "one".to_owned(), created_at: START, limits };
        self.store.tenant_put(row).await.expect("a tenant is put");
    }

    /// Claims runs and gives their ids.
    pub async fn claim_ids(&self, now: Timestamp, max: u32) -> Vec<RunId> {
        self.claim(now, max).await.iter().map(|claim| claim.ticket.run).collect()
    }

    /// Commits a run as done with these calls.
    pub async fn done(&self, run: RunId, claim: ClaimToken, now: Timestamp, calls: Vec<NewDelivery>) -> RunCommitted {
        let commit = RunCommit { calls, ..self.commit(run, claim, now, Verdict::Done, RunNext::End) };
        self.store.run_commit(commit).await.expect("a commit succeeds")
    }

    /// A commit without calls.
    pub fn commit(&self, run: RunId, claim: ClaimToken, now: Timestamp, verdict: Verdict, next: RunNext) -> RunCommit {
        RunCommit {
            tenant: self.home.tenant,
            run,
            claim,
            now,
            verdict,
            reason: None,
            breach: None,
            deployment: Some(1),
            usage: Usage { fuel: 7, ..Usage::default() },
            log: vec![],
            record: Record::default(),
            next,
            calls: vec![],
            reply: None,
            state: StateWrites::default(),
            keep_late: false,
        }
    }

    /// The record of a run that was answered this.
    pub fn record(&self, body: &'static str) -> Record {
        let request = FetchRequest {
            destination: "crm".into(),
            method: "GET".into(),
            path: "/contacts/7".into(),
            headers: vec![],
            body: None,
            timeout_ms: None,
        };
        let response = FetchResponse { status: 200, headers: vec![], body: Bytes::from_static(body.as_bytes()) };
        let mut record = Record::default();
        record.add_fetch(Fetched { request, answer: Ok(response), duration_ms: 5 }).expect("there is room");
        record
    }

    /// A call to the home destination.
    pub fn call(&self, order_key: Option<&str>) -> NewDelivery {
        let call = DecidedCall {
            index: 0,
            destination: self.home.destination,
            key: "key".into(),
            method: "POST".into(),
            path: "/x".into(),
            headers: vec![("a".into(), "b".into())],
            body: Some(Bytes::from_static(b"{}")),
            order_key: order_key.map(str::to_owned),
            due_at: START,
            expires_at: None,
            on_result: None,
            attributes: vec![],
        };
        NewDelivery { id: self.id(), call }
    }

    /// Runs one event whose decision is these calls.
    pub async fn decide(&self, calls: Vec<NewDelivery>) {
        self.stored(self.accept(self.home, "x")).await;
        let claim = self.claim(START, 1).await.remove(0).ticket;
        let committed = self.done(claim.run, claim.claim, START, calls).await;
        assert!(matches!(committed, RunCommitted::Stored { verdict: Verdict::Done, .. }), "{committed:?}");
    }

    /// Claims deliveries.
    pub async fn send(&self, now: Timestamp, max: u32) -> Vec<DeliveryClaim> {
        self.store.delivery_claim(now, LEASE_MS, max).await.expect("a claim succeeds")
    }

    /// The commit of an attempt that got this status.
    pub fn sent(&self, claim: &DeliveryClaim, now: Timestamp, status: u16, next: Next) -> DeliveryCommit {
        let attempt = Attempt {
            started_at: now,
            duration_ms: 5,
            answer: Answer::Status { status, retry_after_ms: None },
            detail: None,
            response_head: "head".into(),
        };
        DeliveryCommit {
            tenant: claim.tenant,
            id: claim.id,
            claim: claim.claim,
            now,
            attempt,
            response: None,
            next,
            destination: None,
            seen: 0,
        }
    }

    /// Saves a secret of the home tenant.
    pub async fn secret(&self, name: &str) {
        let secret = SecretRow {
            id: self.id(),
            tenant: self.home.tenant,
            name: name.to_owned(),
            sealed: vec![1],
            previous: None,
            previous_until: None,
            origins: Vec::new(),
            fingerprint: [0; 32],
            updated_at: START,
        };
        self.store.secret_put(secret).await.expect("a secret is put");
    }

    /// Changes the home destination.
    pub async fn destination(&self, change: impl FnOnce(&mut Destination)) {
        let mut destination = make_destination(self.home.tenant, self.home.destination, "crm");
        change(&mut destination);
        self.store.destination_put(destination).await.expect("a destination is put");
    }

    /// The home route.
    pub fn route(&self) -> Route {
        make_route(&self.home)
    }

    /// The home source.
    pub fn source(&self) -> Source {
        make_source(&self.home)
    }
}

/// An answer.
pub(super) fn told(status: u16, body: &'static str) -> StoredAnswer {
    StoredAnswer { status, headers: vec![("x".into(), "y".into())], body: Bytes::from_static(body.as_bytes()) }
}

fn fresh<K: Kind>(next: &AtomicU64) -> Id<K> {
    let number = next.fetch_add(1, Ordering::SeqCst);
    let mut entropy = [0; 10];
    entropy[2..].copy_from_slice(&number.to_be_bytes());
    Id::new(Timestamp::from_millis(START.as_millis() + number as i64), entropy)
}

async fn make_home(store: &dyn Store, next: &AtomicU64, name: &str) -> Home {
    let tenant = fresh(next);
    let home = Home { tenant, source: fresh(next), plugin: fresh(next), route: fresh(next), destination: fresh(next) };
    let row = Tenant { id: tenant, name: name.to_owned(), created_at: START, limits: Default::default() };
    store.tenant_put(row).await.expect("a tenant is put");
    store.source_put(make_source(&home)).await.expect("a source is put");
    let plugin = Plugin { id: home.plugin, tenant, name: "p".into(), active: None };
    store.plugin_put(plugin).await.expect("a plugin is put");
    store.route_put(make_route(&home)).await.expect("a route is put");
    let destination = make_destination(tenant, home.destination, "crm");
    store.destination_put(destination).await.expect("a destination is put");
    home
}

fn make_source(home: &Home) -> Source {
    let spec = serde_json::from_str(r#"{"name": "s", "preset": "custom"}"#).expect("a spec");
    Source { id: home.source, tenant: home.tenant, token: home.source.to_string(), previous: None, paused: false, spec }
}

fn make_route(home: &Home) -> Route {
    Route {
        id: home.route,
        tenant: home.tenant,
        name: "r".into(),
        source: home.source,
        pattern: "*".parse().expect("a pattern"),
        plugin: home.plugin,
        mode: Mode::Ack,
        late: Late::Drop,
        paused: false,
    }
}

fn make_destination(tenant: TenantId, id: DestinationId, name: &str) -> Destination {
    let spec = serde_json::json!({"name": name, "url": "https://crm.example/"});
    let spec = serde_json::from_value(spec).expect("a spec");
    Destination { id, tenant, paused: None, lacks: None, disabled: None, spec }
}

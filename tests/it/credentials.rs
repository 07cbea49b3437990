//! How the host shows who it is where a header is not enough: client certificates, and access tokens that it gets and
//! renews by itself.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use creel_store::contract::DeliveryState;
use reqwest::Method;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::harness::authority::Authority;
use crate::harness::host::Host;
use crate::harness::receiver::Receiver;
use crate::harness::sender::Webhook;
use crate::harness::tenant::Tenant;
use crate::harness::wait::until;

/// A receiver in TLS that takes only who shows a certificate of its authority; keeps the certificates it was shown.
struct Strict {
    address: SocketAddr,
    shown: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Strict {
    async fn start(authority: &Authority) -> Strict {
        let (host, pem) = (authority.issue("crm", &["127.0.0.1"]), authority.pem().to_owned());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(host.certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(host.key.as_bytes()).unwrap(),
            )
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, shown) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<_>>>::default());
        let (acceptor, book) = (tokio_rustls::TlsAcceptor::from(Arc::new(config)), shown.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let certificate = stream.get_ref().1.peer_certificates().expect("one is wanted")[0].to_vec();
                book.lock().unwrap().push(certificate);
                let mut read = [0; 8_192];
                let _ = stream.read(&mut read).await;
                let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
                let _ = stream.shutdown().await;
            }
        });
        Strict { address, shown }
    }

    fn url(&self) -> String {
        format!("https://{}", self.address)
    }
}

/// A host that may call all of this machine, with a route that calls `receiver` for every event.
async fn shop() -> (Host, Tenant, String) {
    let host = Host::with(|config| config.egress_allow = vec!["127.0.0.1".parse().unwrap()]).await;
    let tenant = host.tenant("shop").await;
    let source = tenant.source("orders", "retell", "retell-key").await;
    (host, tenant, source)
}

async fn route(tenant: &Tenant) {
    tenant.deploy("echo", "echo", json!({})).await;
    tenant.route("orders", "echo").await;
}

fn event(id: &str) -> Webhook {
    let body = json!({ "event": "call_ended", "call": { "call_id": id } });
    Webhook::json("retell", "retell-key", "", body.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_wants_a_certificate_is_shown_one() {
    let (host, tenant, source) = shop().await;
    let (theirs, ours) = (Authority::new("the crm's own"), Authority::new("somebody else"));
    let strict = Strict::start(&theirs).await;
    let (first, second) = (theirs.issue("creel", &[]), theirs.issue("creel again", &[]));
    tenant.secret_for("identity", &format!("{}{}", first.certificate, first.key), &strict.url()).await;
    let document = |tls: Value| json!({ "url": strict.url(), "kind": "webhook", "retry_ms": [0], "tls": tls });
    tenant.destination("receiver", document(json!({ "ca": theirs.pem(), "identity": "identity" }))).await;
    route(&tenant).await;
    host.send(&source, &event("1")).await;
    assert_eq!(tenant.delivered().await.state, DeliveryState::Delivered);
    let der = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec();
    assert_eq!(*strict.shown.lock().unwrap(), [der(&first.certificate)]);

    // Another certificate is shown on the next connection, with nothing else changed.
    tenant.secret_for("identity", &format!("{}{}", second.key, second.certificate), &strict.url()).await;
    host.send(&source, &event("2")).await;
    assert_eq!(tenant.delivered().await.state, DeliveryState::Delivered);
    assert_eq!(strict.shown.lock().unwrap()[1], der(&second.certificate));

    // Who shows none is not taken, and who trusts another authority sends nothing.
    for (id, tls) in [("3", json!({ "ca": theirs.pem() })), ("4", json!({ "ca": ours.pem(), "identity": "identity" }))]
    {
        tenant.destination("receiver", document(tls)).await;
        host.send(&source, &event(id)).await;
        let call = tenant.delivered().await;
        assert_eq!(call.state, DeliveryState::Dead, "{id}: {call:#?}");
    }
    assert_eq!(strict.shown.lock().unwrap().len(), 2);
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_goes_where_it_is_bound_and_must_be_one() {
    let (host, tenant, source) = shop().await;
    let authority = Authority::new("the crm's own");
    let strict = Strict::start(&authority).await;
    let issued = authority.issue("creel", &[]);
    tenant.secret_for("identity", &format!("{}{}", issued.certificate, issued.key), "https://other.example").await;
    let path = tenant.path("destinations/receiver");
    let document = |tls: Value| json!({ "url": strict.url(), "kind": "api", "retry_ms": [0], "tls": tls });
    let refused = async |tls: Value| {
        let problem = tenant.api.refused(Method::PUT, &path, &document(tls)).await;
        let errors = problem.errors.into_iter().map(|one| format!("{}: {}", one.pointer, one.detail));
        (problem.status, errors.collect::<Vec<_>>().join("; "))
    };
    let (status, errors) = refused(json!({ "identity": "identity" })).await;
    assert!(status == 422 && errors.starts_with("/tls/identity: the secret `identity` may not be sent to"), "{errors}");
    let (status, errors) = refused(json!({ "ca": "no certificate" })).await;
    assert!(status == 422 && errors.starts_with("/tls/ca: no certificate in PEM"), "{errors}");

    // A secret that is no certificate pauses the destination until it is one.
    tenant.secret_for("identity", "hunter2", &strict.url()).await;
    let tls = json!({ "ca": authority.pem(), "identity": "identity" });
    tenant.destination("receiver", document(tls)).await;
    route(&tenant).await;
    host.send(&source, &event("1")).await;
    let paused = async || tenant.api.get::<Value>(&path).await["paused"].as_str().map(str::to_owned);
    let why = until("the pause", &paused, Option::is_some).await.unwrap();
    assert!(why.contains("`identity`") && why.contains("no certificate") && !why.contains("hunter2"), "{why}");
    tenant.secret_for("identity", &format!("{}{}", issued.certificate, issued.key), &strict.url()).await;
    assert_eq!(tenant.delivered().await.state, DeliveryState::Delivered);
    host.finish().await;
}

/// The answer of a token endpoint.
fn token(receiver: &Receiver, token: &str) {
    let answer = json!({ "access_token": token, "token_type": "Bearer", "expires_in": 3600 });
    receiver.answer("/token", 200, &[("content-type", "application/json")], &answer.to_string());
}

fn with_oauth(receiver: &Receiver) -> Value {
    let auth = json!({ "type": "oauth2", "token_url": receiver.url("/token"), "client_id": "creel", "secret": "crm" });
    json!({ "url": receiver.url("/api"), "kind": "api", "retry_ms": [0, 1, 1], "auth": auth })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_is_had_used_renewed_and_never_shown() {
    let (host, tenant, source) = shop().await;
    let receiver = &host.receiver;
    tenant.secret_for("crm", "client-secret", &receiver.url("")).await;
    tenant.destination("receiver", with_oauth(receiver)).await;
    route(&tenant).await;
    token(receiver, "tok-canary-one");
    for id in ["1", "2"] {
        host.send(&source, &event(id)).await;
        assert_eq!(tenant.delivered().await.state, DeliveryState::Delivered);
    }
    let paths = |from: usize| {
        let arrived = receiver.arrived().split_off(from);
        let short =
            |one: &crate::harness::receiver::Arrived| format!("{} {}", one.request.path, one.header("authorization"));
        arrived.iter().map(short).collect::<Vec<_>>()
    };
    let basic = "/token Basic Y3JlZWw6Y2xpZW50LXNlY3JldA==";
    assert_eq!(paths(0), [basic, "/api Bearer tok-canary-one", "/api Bearer tok-canary-one"]);

    // A receiver that does not take it any more gets a new one, within the same attempt, and says it back.
    receiver.answers("/api", &[401]);
    receiver.answer("/api", 404, &[], "no such thing for Bearer tok-canary-two");
    token(receiver, "tok-canary-two");
    host.send(&source, &event("3")).await;
    let call = tenant.delivered().await;
    assert_eq!(call.attempts, 1, "{call:#?}");
    assert_eq!(paths(3), ["/api Bearer tok-canary-one", basic, "/api Bearer tok-canary-two"]);
    let mut shown = String::new();
    for path in ["destinations", "deliveries?limit=10", &format!("deliveries/{}", call.id), "secrets"] {
        shown += &tenant.api.ask(Method::GET, &tenant.path(path), None).await.1;
    }
    shown += &serde_json::to_string(&tenant.story().await).unwrap();
    assert!(shown.contains("no such thing for Bearer [secret]") && !shown.contains("tok-canary"), "{shown}");
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_calls_wait_until_the_secret_is_mended() {
    let (host, tenant, source) = shop().await;
    let receiver = &host.receiver;
    tenant.secret_for("crm", "wrong", &receiver.url("")).await;
    tenant.destination("receiver", with_oauth(receiver)).await;
    route(&tenant).await;
    receiver.answer("/token", 401, &[], r#"{"error":"invalid_client"}"#);
    host.send(&source, &event("1")).await;
    let path = tenant.path("destinations/receiver");
    let paused = async || tenant.api.get::<Value>(&path).await["paused"].as_str().map(str::to_owned);
    let why = until("the pause", &paused, Option::is_some).await.unwrap();
    assert!(why.contains("answered 401 `invalid_client`") && why.contains("save the secret `crm` anew"), "{why}");
    assert!(receiver.arrived().iter().all(|one| one.request.path == "/token"), "nothing was sent without");
    token(receiver, "tok");
    tenant.secret_for("crm", "right", &receiver.url("")).await;
    assert_eq!(tenant.delivered().await.state, DeliveryState::Delivered);
    // An endpoint that is down is like a receiver that is down: it is tried again.
    tenant.secret_for("crm", "newer", &receiver.url("")).await;
    receiver.answers("/token", &[503]);
    token(receiver, "tok");
    host.send(&source, &event("2")).await;
    assert_eq!(tenant.delivered().await.attempts, 2);
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_the_secret_nor_its_token_goes_where_the_secret_is_not_bound() {
    let (host, tenant, source) = shop().await;
    let (receiver, collector) = (&host.receiver, Receiver::start().await);
    tenant.secret_for("crm", "client-secret", &receiver.url("")).await;
    let path = tenant.path("destinations/receiver");
    let pointers = async |document: &Value| {
        let problem = tenant.api.refused(Method::PUT, &path, document).await;
        problem.errors.into_iter().map(|one| one.pointer).collect::<Vec<_>>()
    };
    let mut document = with_oauth(receiver);
    document["auth"]["token_url"] = json!(collector.url("/token"));
    assert_eq!(pointers(&document).await, ["/auth/secret"], "the secret would go to the collector");
    let mut document = with_oauth(receiver);
    document["url"] = json!(collector.url("/api"));
    assert_eq!(pointers(&document).await, ["/auth/secret"], "its tokens would go to the collector");
    document["auth"]["token_url"] = json!("https://169.254.169.254/token");
    assert_eq!(pointers(&document).await.last().unwrap(), "/auth/token_url");

    // The same at every send: as if it had been saved by somebody who may.
    tenant.destination("receiver", with_oauth(receiver)).await;
    route(&tenant).await;
    let mut one = host.store().control_read().await.unwrap().destinations.remove(0);
    one.spec.url = collector.url("/api");
    host.store().destination_put(one).await.unwrap();
    host.send(&source, &event("1")).await;
    let paused = async || tenant.api.get::<Value>(&path).await["paused"].as_str().map(str::to_owned);
    let why = until("the pause", &paused, Option::is_some).await.unwrap();
    assert!(why.contains("the secret `crm` is not bound to"), "{why}");
    assert!(collector.arrived().is_empty() && receiver.arrived().is_empty());
    // An endpoint that gives no token pauses the destination again, so it answers before the call is sent.
    token(receiver, "tok");
    tenant.destination("receiver", with_oauth(receiver)).await;
    assert_eq!(tenant.delivered().await.state, DeliveryState::Delivered);
    host.finish().await;
}

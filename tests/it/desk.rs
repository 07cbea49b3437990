//! The admin API over a real store in a temporary directory, called without a socket.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use bytes::Bytes;
use creel_server::admin;
use creel_server::admin::key::{self, KeyFor};
use creel_server::admin::state::{Admin, UploadRefusal, Uploaded};
use creel_server::keyring::Keyring;
use creel_server::rehearsal::Stage;
use creel_server::settled::Settled;
use creel_server::system::Entropy;
use creel_store::contract::Store;
use creel_store::sqlite::{Options, SqliteStore};
use creel_webhook::clock::{Clock, ManualClock, Timestamp};
use creel_webhook::plugin::Digest;
use creel_webhook::secret::MasterKey;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

/// An upload of these bytes is refused, all others pass.
pub(crate) const BAD_COMPONENT: &[u8] = b"imports what is not offered";

/// The API, an operator's key, and what keeps them alive.
pub(crate) struct Desk {
    pub(crate) router: Router,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) operator: String,
    pub(crate) directory: TempDir,
}

impl Desk {
    /// A host without tenants.
    pub(crate) async fn new() -> Desk {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("creel.db");
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(path, Options::default()).unwrap());
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_767_225_600)));
        let entropy = Arc::new(Entropy::seeded(7));
        let minted = key::mint(KeyFor::operator("test"), clock.now(), entropy.bytes());
        store.key_put(minted.key).await.unwrap();
        let router = admin::router(Admin {
            store: store.clone(),
            clock: clock.clone(),
            settled: Settled::new(clock.clone()),
            entropy,
            master: Keyring::of(MasterKey::from_bytes([3; 32])),
            master_key_file: None,
            upload_gate: Arc::new(|bytes| Box::pin(async move { gate(bytes) })),
            forget_stray: Arc::new(|_| Box::pin(async {})),
            imports_of: Arc::new(|_, _| Box::pin(async { Vec::new() })),
            stage: Stage::new(Arc::new(|_| Box::pin(async { Ok(None) }))),
            url_check: Arc::new(|url| {
                if url.contains("169.254.") { Err("the guard denies link-local addresses".to_owned()) } else { Ok(()) }
            }),
            refused: Arc::new(|_| {}),
            metrics: Arc::new(|| "# EOF\n".to_owned()),
            ready: Arc::new(|| Box::pin(async { Ok(()) })),
            public_url: "http://127.0.0.1:8080".to_owned(),
            probes: Arc::default(),
            component_bytes_max: 1_024,
            in_flight_upload_bytes_max: 4_096,
            components_bytes_max: 8_192,
            turns: Arc::default(),
        });
        Desk { router, clock, store, operator: minted.text.to_string(), directory }
    }

    /// The same with the tenants `acme` and `other`, and a key of `acme`.
    pub(crate) async fn with_tenants() -> (Desk, String) {
        let desk = Desk::new().await;
        for tenant in ["acme", "other"] {
            let answer = desk.call(Method::PUT, &format!("/v1/tenants/{tenant}"), json!({})).await;
            assert_eq!(answer.status, StatusCode::CREATED);
        }
        let made = desk.call(Method::POST, "/v1/tenants/acme/keys", json!({ "name": "ci" })).await;
        let key = made.json()["key"].as_str().unwrap().to_owned();
        (desk, key)
    }

    /// Calls as the operator.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Value) -> Answer {
        self.call_as(Some(&self.operator), method, path, body).await
    }

    /// Calls with a key of one's own, or none; a null body is no body.
    pub(crate) async fn call_as(&self, key: Option<&str>, method: Method, path: &str, body: Value) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(key) = key {
            request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
        }
        let body = match body {
            Value::Null => Body::empty(),
            body => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(body.to_string())
            }
        };
        self.send(request.body(body).unwrap()).await
    }

    /// Uploads a component as the operator.
    pub(crate) async fn upload(&self, path: &str, media_type: &str, bytes: &'static [u8]) -> Answer {
        let request = Request::builder()
            .method(Method::PUT)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.operator))
            .header(header::CONTENT_TYPE, media_type)
            .body(Body::from(bytes));
        self.send(request.unwrap()).await
    }

    /// Sends any request.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let header = |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        Answer {
            status: parts.status,
            media_type: header("content-type").unwrap_or_default(),
            authenticate: header("www-authenticate"),
            bytes,
        }
    }
}

/// What the API answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) media_type: String,
    pub(crate) authenticate: Option<String>,
    pub(crate) bytes: Bytes,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// Asserts a problem document of this status and gives the pointers of its mistakes.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16) -> Vec<String> {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.media_type, "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert!(!problem["detail"].as_str().unwrap().is_empty());
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|one| one["pointer"].as_str().unwrap().to_owned()).collect()
    }
}

fn gate(bytes: Bytes) -> Result<Uploaded, UploadRefusal> {
    if bytes == BAD_COMPONENT {
        let detail = "it imports `wasi:sockets/tcp`, which Creel does not offer".to_owned();
        return Err(UploadRefusal { status: 422, title: "the upload was refused".to_owned(), detail });
    }
    Ok(Uploaded { digest: Digest::of(&bytes), imports: Vec::new(), bytes: bytes.len() as u64, upload: bytes })
}

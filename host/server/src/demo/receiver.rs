//! The other side of the demo: one local server that plays CRM, Twilio, Slack, ticket system, pager and a receiver of
//! webhooks, each under a path of its own.
//!
//! It checks what it gets (a bearer token, basic credentials, our own Standard Webhooks signature) and counts. The CRM
//! is down for its very first call, so that a retry can be seen; who asks it for a caller is told.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use creel_webhook::clock::Clock;
use creel_webhook::preset::preset;
use creel_webhook::request::RawRequest;
use creel_webhook::signature::verdict::Material;
use creel_webhook::signature::verify;

/// One call that arrived.
#[derive(Debug, Clone)]
pub(super) struct Received {
    /// The destination: the first part of the path.
    pub(super) destination: String,
    /// Whether it was asked something, by a run that waits.
    pub(super) is_look_up: bool,
    /// The whole path.
    pub(super) path: String,
    /// `webhook-id`, by which a receiver tells doubles.
    pub(super) key: String,
    /// What it was answered.
    pub(super) status: u16,
    /// What was wrong with it, if anything.
    pub(super) problem: Option<String>,
}

/// What the receiver must find.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    /// The CRM's bearer token.
    pub(super) crm_token: String,
    /// Twilio's basic credentials, encoded.
    pub(super) twilio_basic: String,
    /// The secret of outgoing webhooks.
    pub(super) signing_secret: String,
}

/// Plays everybody that calls go to.
#[derive(Clone)]
pub(super) struct Receiver {
    expected: Arc<Expected>,
    clock: Arc<dyn Clock>,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Receiver {
    /// A receiver that expects these credentials.
    pub(super) fn new(expected: Expected, clock: Arc<dyn Clock>) -> Self {
        Receiver { expected: Arc::new(expected), clock, received: Arc::default() }
    }

    /// Its router; every path is somebody.
    pub(super) fn router(&self) -> Router {
        Router::new().fallback(receive).with_state(self.clone())
    }

    /// Everything that arrived so far, in order.
    pub(super) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn take(&self, request: &RawRequest) -> StatusCode {
        let destination = request.path.trim_start_matches('/').split('/').next().unwrap_or_default().to_owned();
        let problem = self.problem(&destination, request);
        let mut received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        let is_look_up = request.method == "GET";
        let is_call = |call: &Received| call.destination == "crm" && !call.is_look_up;
        let is_first_of_crm = destination == "crm" && !is_look_up && !received.iter().any(is_call);
        let status = match &problem {
            Some(_) => StatusCode::UNAUTHORIZED,
            None if is_first_of_crm => StatusCode::SERVICE_UNAVAILABLE,
            None => StatusCode::OK,
        };
        received.push(Received {
            destination,
            is_look_up,
            path: request.path.clone(),
            key: request.header("webhook-id").unwrap_or_default().to_owned(),
            status: status.as_u16(),
            problem,
        });
        status
    }

    fn problem(&self, destination: &str, request: &RawRequest) -> Option<String> {
        let authorization = request.header("authorization").unwrap_or_default();
        match destination {
            "crm" => (authorization != format!("Bearer {}", self.expected.crm_token)).then(|| "no token".to_owned()),
            "twilio" => {
                (authorization != format!("Basic {}", self.expected.twilio_basic)).then(|| "no credentials".to_owned())
            }
            "receiver" => self.signature_problem(request),
            _ => None,
        }
    }

    fn signature_problem(&self, request: &RawRequest) -> Option<String> {
        let secrets: [&[u8]; 1] = [self.expected.signing_secret.as_bytes()];
        let material = Material { secrets: &secrets, ..Material::default() };
        let scheme = preset("standard-webhooks")?.scheme(&Default::default()).ok()?;
        verify(&scheme, request, &material, self.clock.now()).err().map(|refusal| refusal.to_string())
    }
}

/// What the CRM knows of the demo's one caller.
const CALLER: &str = r#"{"id":7,"first_name":"Ada","plan":"gold","notes":"pays late"}"#;

async fn receive(State(receiver): State<Receiver>, request: Request) -> (StatusCode, &'static str) {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, 1 << 20).await else { return (StatusCode::PAYLOAD_TOO_LARGE, "") };
    let headers =
        parts.headers.iter().map(|(name, value)| (name.as_str().into(), Bytes::copy_from_slice(value.as_bytes())));
    let request = RawRequest {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        headers: headers.collect(),
        body,
        received_at: receiver.clock.now(),
    };
    let is_caller = request.path == "/crm/contacts" && request.query.as_deref() == Some("phone=%2B15125550143");
    let status = receiver.take(&request);
    (status, if is_caller && status.is_success() { CALLER } else { "" })
}

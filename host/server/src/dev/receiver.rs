//! Everybody whom the plugin calls or asks: one server on the loopback interface, each destination under a path of its
//! own. Calls are taken and remembered for the timeline; look-ups are answered as the cases say, or with 404.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;

use super::facts::Prepared;

/// Calls that are remembered: more than any timeline tells at once.
const CALLS_MAX: usize = 2_000;

/// Bytes of a body that are taken; the host sends no more.
const BODY_BYTES_MAX: usize = 32 << 20;

#[derive(Default)]
struct Book {
    order: VecDeque<String>,
    bodies: BTreeMap<String, String>,
    answers: Vec<Prepared>,
}

/// The server.
#[derive(Clone, Default)]
pub(super) struct Receiver(Arc<Mutex<Book>>);

impl Receiver {
    /// Every path is somebody.
    pub(super) fn router(&self) -> Router {
        Router::new().fallback(receive).with_state(self.clone())
    }

    /// Answers look-ups so from now on.
    pub(super) fn prepare(&self, answers: Vec<Prepared>) {
        self.book().answers = answers;
    }

    /// What arrived under an idempotency key last.
    pub(super) fn body(&self, key: &str) -> Option<String> {
        self.book().bodies.get(key).cloned()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, key: String, body: &Bytes) {
        let mut book = self.book();
        if book.bodies.insert(key.clone(), String::from_utf8_lossy(body).into_owned()).is_none() {
            book.order.push_back(key);
        }
        if book.order.len() > CALLS_MAX
            && let Some(oldest) = book.order.pop_front()
        {
            book.bodies.remove(&oldest);
        }
    }

    fn answer(&self, path: &str) -> Option<Prepared> {
        let (destination, rest) = path.strip_prefix('/')?.split_once('/')?;
        let is_it = |one: &&Prepared| one.destination == destination && one.path.trim_start_matches('/') == rest;
        self.book().answers.iter().find(is_it).cloned()
    }
}

async fn receive(State(receiver): State<Receiver>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, BODY_BYTES_MAX).await.unwrap_or_default();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let key = ["idempotency-key", "webhook-id"].iter().find_map(|name| parts.headers.get(*name)?.to_str().ok());
    if let Some(key) = key {
        receiver.take(key.to_owned(), &body);
    }
    let prepared = receiver.answer(path);
    let missing = if parts.method == "GET" || parts.method == "HEAD" { 404 } else { 200 };
    let mut response = Response::builder().status(prepared.as_ref().map_or(missing, |one| one.status));
    for (name, value) in prepared.iter().flat_map(|one| &one.headers) {
        response = response.header(name, value);
    }
    // A case may hold what is no header.
    response.body(Body::from(prepared.map(|one| one.body).unwrap_or_default())).unwrap_or_default()
}

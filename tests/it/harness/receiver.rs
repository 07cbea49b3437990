//! The other side: a local server that keeps what arrives and answers as it was told.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use creel_webhook::clock::Timestamp;
use creel_webhook::preset::preset;
use creel_webhook::request::RawRequest;
use creel_webhook::signature::verdict::{Material, Refusal, Verified};
use creel_webhook::signature::verify;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::wait::until;

/// A call that arrived.
#[derive(Debug, Clone)]
pub(crate) struct Arrived {
    /// The request, byte for byte.
    pub(crate) request: RawRequest,
}

impl Arrived {
    /// A header that is there once.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.request.header(name).unwrap_or_else(|| panic!("the call has no single `{name}`: {:?}", self.request))
    }

    /// Whether its Standard Webhooks signature is ours.
    pub(crate) fn verified(&self, secret: &str) -> Result<Verified, Refusal> {
        let scheme = preset("standard-webhooks").unwrap().scheme(&Default::default()).unwrap();
        let secrets: [&[u8]; 1] = [secret.as_bytes()];
        let material = Material { secrets: &secrets, ..Material::default() };
        let seconds = self.header("webhook-timestamp").parse().expect("seconds");
        verify(&scheme, &self.request, &material, Timestamp::from_secs(seconds))
    }
}

/// An answer with headers and a body.
#[derive(Debug, Clone)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

#[derive(Default)]
struct Book {
    arrived: Vec<Arrived>,
    answers: BTreeMap<String, VecDeque<Answer>>,
}

#[derive(Clone)]
struct Desk {
    book: Arc<Mutex<Book>>,
    silent: watch::Receiver<bool>,
}

/// The server; gone when dropped.
pub(crate) struct Receiver {
    address: SocketAddr,
    book: Arc<Mutex<Book>>,
    silent: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl Receiver {
    /// Listens on a port of its own and answers 200 to everything but paths that begin with `/never`.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let book = Arc::<Mutex<Book>>::default();
        let (silent, heard) = watch::channel(false);
        let router = Router::new().fallback(receive).with_state(Desk { book: book.clone(), silent: heard });
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Receiver { address, book, silent, serving }
    }

    /// Its address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A URL on it.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Answers the next calls to `path` with these statuses, then 200.
    pub(crate) fn answers(&self, path: &str, statuses: &[u16]) {
        for status in statuses {
            self.answer(path, *status, &[], "");
        }
    }

    /// Answers one further call to `path` so.
    pub(crate) fn answer(&self, path: &str, status: u16, headers: &[(&str, &str)], body: &str) {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let answer = Answer { status, headers, body: body.to_owned() };
        lock(&self.book).answers.entry(path.to_owned()).or_default().push_back(answer);
    }

    /// Takes calls and says nothing while this is so.
    pub(crate) fn silent(&self, silent: bool) {
        self.silent.send_replace(silent);
    }

    /// Everything that arrived so far, in order.
    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        lock(&self.book).arrived.clone()
    }

    /// The one call that arrived.
    pub(crate) fn only(&self) -> Arrived {
        let mut arrived = self.arrived();
        assert_eq!(arrived.len(), 1, "{arrived:#?}");
        arrived.remove(0)
    }

    /// Waits until so many calls have arrived.
    pub(crate) async fn arrivals(&self, count: usize) -> Vec<Arrived> {
        until("calls at the receiver", || async { self.arrived() }, |arrived| arrived.len() >= count).await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn receive(State(mut desk): State<Desk>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 32 << 20).await.unwrap_or_default();
    let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.as_str().into(), Bytes::copy_from_slice(value.as_bytes()))
    };
    let request = RawRequest {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        headers: parts.headers.iter().map(header).collect(),
        body,
        received_at: Timestamp::default(),
    };
    let path = request.path.clone();
    let told = {
        let mut book = lock(&desk.book);
        let told = book.answers.get_mut(&request.path).and_then(VecDeque::pop_front);
        book.arrived.push(Arrived { request });
        told.unwrap_or(Answer { status: 200, headers: Vec::new(), body: String::new() })
    };
    if path.starts_with("/never") {
        std::future::pending::<()>().await;
    }
    let _gone = desk.silent.wait_for(|silent| !silent).await.is_err();
    let mut response = Response::builder().status(told.status);
    for (name, value) in &told.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(told.body)).unwrap()
}

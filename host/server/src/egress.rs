//! Outgoing HTTP: one request, one answer, under the guard.
//!
//! [`HttpClient`] is the seam: [`Egress`] sends for real, the simulation answers from a script. What [`Egress`] holds:
//!
//! * Every new connection goes to an address that the guard checked when it was resolved: the resolver gives the
//!   connector only addresses that passed, so there is no second look-up that could answer differently. An address in
//!   the URL is checked before, because it is never resolved.
//! * No redirects, no proxies from the environment, no cookies, no retries, no `Referer`.
//! * A pool of connections per destination and origin, so that tenants never share one; idle connections live at most
//!   60 s, so that a changed DNS answer is believed soon.
//! * The answer's body is read up to a limit, then the connection is dropped. Once the status is in, the call has
//!   arrived: a body that breaks off or is late is cut ([`IncomingResponse::truncated`]), not an error that would be
//!   retried.
//! * Errors never contain the URL: paths carry account numbers and tokens.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use creel_webhook::id::DestinationId;
use http::{HeaderMap, Method, StatusCode};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Url;

use crate::guard::{Denied, Guard};

/// Idle connections live this long at most: long enough for a burst, short enough to follow a moved name.
pub const IDLE_CONNECTION_MS_MAX: u64 = 60_000;

/// Pools kept at a time; the least recently used goes first, and with it only its idle connections.
pub const POOLS_MAX: usize = 1_024;

/// Idle connections kept per pool: a destination's default concurrency.
const IDLE_CONNECTIONS_MAX: usize = 8;

/// What we call ourselves.
const USER_AGENT: &str = concat!("creel/", env!("CARGO_PKG_VERSION"));

/// One request.
#[derive(Debug, Clone)]
pub struct OutgoingRequest {
    /// Whose connections may be used.
    pub pool: DestinationId,
    /// The method.
    pub method: Method,
    /// Where to; https, or http where the guard allows.
    pub url: Url,
    /// All headers, credentials and signature included.
    pub headers: HeaderMap,
    /// What to send.
    pub body: Option<Bytes>,
    /// Connecting may take this long, name and TLS included, milliseconds.
    pub connect_timeout_ms: u64,
    /// The whole call may take this long, milliseconds.
    pub timeout_ms: u64,
    /// Bytes of the answer's body that are kept.
    pub response_bytes_max: u64,
}

/// What the receiver answered.
#[derive(Debug, Clone)]
pub struct IncomingResponse {
    /// The status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// The beginning of its body.
    pub body: Bytes,
    /// The body was longer, broke off or was late: `body` is not all of it.
    pub truncated: bool,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EgressError {
    /// The guard does not let it go there; says what would.
    #[error("{0}")]
    Denied(String),
    /// No status within the time.
    #[error("no answer within {timeout_ms} ms")]
    Timeout {
        /// The limit, milliseconds.
        timeout_ms: u64,
    },
    /// No connection: name, TCP or TLS.
    #[error("no connection: {0}")]
    Connect(String),
    /// The connection broke, or what came was no HTTP.
    #[error("the connection failed: {0}")]
    Transport(String),
    /// The request itself cannot be sent: a header or URL that HTTP does not carry.
    #[error("the request cannot be sent: {0}")]
    Unsendable(String),
}

/// What sends requests.
#[async_trait]
pub trait HttpClient: Send + Sync {
    /// Sends one request and gives its answer, whatever its status.
    ///
    /// # Errors
    /// [`EgressError`]; an answer of any status is no error.
    async fn send(&self, request: OutgoingRequest) -> Result<IncomingResponse, EgressError>;
}

/// A name and a port to addresses. In production the operating system's; in tests a script.
pub type Lookup = Arc<dyn Fn(String, u16) -> LookupFuture + Send + Sync>;

/// What a [`Lookup`] gives.
pub type LookupFuture = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// The live [`HttpClient`].
pub struct Egress {
    guard: Arc<Guard>,
    lookup: Lookup,
    tls: rustls::ClientConfig,
    pools: Mutex<Pools>,
}

#[derive(Default)]
struct Pools {
    clients: HashMap<PoolKey, (reqwest::Client, u64)>,
    uses: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct PoolKey {
    destination: DestinationId,
    plain: bool,
    host: String,
    port: u16,
    connect_timeout_ms: u64,
}

impl Egress {
    /// A client under `guard` that resolves names as the operating system does and trusts Mozilla's roots.
    ///
    /// # Errors
    /// [`EgressError::Unsendable`] when TLS cannot be set up.
    pub fn new(guard: Arc<Guard>) -> Result<Self, EgressError> {
        Self::with_lookup(guard, Arc::new(|host, port| Box::pin(system_lookup(host, port))))
    }

    /// The same with names resolved by `lookup`; its answers pass the guard like any other.
    ///
    /// # Errors
    /// [`EgressError::Unsendable`] when TLS cannot be set up.
    pub fn with_lookup(guard: Arc<Guard>, lookup: Lookup) -> Result<Self, EgressError> {
        let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| EgressError::Unsendable(format!("TLS cannot be set up: {error}")))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Egress { guard, lookup, tls, pools: Mutex::default() })
    }

    /// The client of a pool, made when there is none.
    fn client(&self, key: PoolKey) -> Result<reqwest::Client, EgressError> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.uses += 1;
        let now = pools.uses;
        if let Some((client, used)) = pools.clients.get_mut(&key) {
            *used = now;
            return Ok(client.clone());
        }
        let client = self.build(&key)?;
        if pools.clients.len() >= POOLS_MAX {
            let oldest = pools.clients.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| key.clone());
            oldest.map(|key| pools.clients.remove(&key));
        }
        pools.clients.insert(key, (client.clone(), now));
        Ok(client)
    }

    fn build(&self, key: &PoolKey) -> Result<reqwest::Client, EgressError> {
        let resolver = GuardedResolver {
            guard: Arc::clone(&self.guard),
            lookup: Arc::clone(&self.lookup),
            port: key.port,
            plain: key.plain,
        };
        let mut tls = self.tls.clone();
        tls.resumption = rustls::client::Resumption::in_memory_sessions(IDLE_CONNECTIONS_MAX);
        reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .dns_resolver(resolver)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .user_agent(USER_AGENT)
            .connect_timeout(Duration::from_millis(key.connect_timeout_ms))
            .pool_idle_timeout(Duration::from_millis(IDLE_CONNECTION_MS_MAX))
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .build()
            .map_err(|error| EgressError::Unsendable(reason_of(&error.without_url())))
    }
}

impl std::fmt::Debug for Egress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Egress").field("guard", &self.guard).finish_non_exhaustive()
    }
}

#[async_trait]
impl HttpClient for Egress {
    async fn send(&self, request: OutgoingRequest) -> Result<IncomingResponse, EgressError> {
        self.guard.check_url(&request.url).map_err(|denied| EgressError::Denied(denied.to_string()))?;
        let client = self.client(PoolKey {
            destination: request.pool,
            plain: request.url.scheme() == "http",
            host: request.url.host_str().unwrap_or_default().to_owned(),
            port: request.url.port_or_known_default().unwrap_or(443),
            connect_timeout_ms: request.connect_timeout_ms,
        })?;
        let timeout_ms = request.timeout_ms;
        let deadline = tokio::time::Instant::now() + Duration::from_millis(timeout_ms);
        let mut outgoing = client.request(request.method, request.url).headers(request.headers);
        if let Some(body) = request.body {
            outgoing = outgoing.body(body);
        }
        let response = tokio::time::timeout_at(deadline, outgoing.send())
            .await
            .map_err(|_| EgressError::Timeout { timeout_ms })?
            .map_err(|error| sending_error(error, timeout_ms))?;
        Ok(read_answer(response, deadline, request.response_bytes_max).await)
    }
}

/// Reads the body up to `bytes_max`, then lets the connection go.
async fn read_answer(
    mut response: reqwest::Response,
    deadline: tokio::time::Instant,
    bytes_max: u64,
) -> IncomingResponse {
    let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
    let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
    let mut body = BytesMut::new();
    let truncated = loop {
        match tokio::time::timeout_at(deadline, response.chunk()).await {
            Ok(Ok(Some(chunk))) if body.len() + chunk.len() > bytes_max => {
                body.extend_from_slice(&chunk[..bytes_max - body.len()]);
                break true;
            }
            Ok(Ok(Some(chunk))) => body.extend_from_slice(&chunk),
            Ok(Ok(None)) => break false,
            Ok(Err(_)) | Err(_) => break true,
        }
    };
    IncomingResponse { status, headers, body: body.freeze(), truncated }
}

fn sending_error(error: reqwest::Error, timeout_ms: u64) -> EgressError {
    let error = error.without_url();
    if let Some(denied) = denial_in(&error) {
        return EgressError::Denied(denied.to_string());
    }
    if error.is_connect() {
        return EgressError::Connect(reason_of(&error));
    }
    if error.is_timeout() {
        return EgressError::Timeout { timeout_ms };
    }
    if error.is_builder() {
        return EgressError::Unsendable(reason_of(&error));
    }
    EgressError::Transport(reason_of(&error))
}

/// The guard's word, where the resolver passed it on.
fn denial_in<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Denied> {
    chain(error).find_map(|error| error.downcast_ref::<Denied>())
}

/// The innermost reasons, which say what happened; the outer ones only say that something did.
fn reason_of(error: &(dyn std::error::Error + 'static)) -> String {
    let mut reasons: Vec<String> = Vec::new();
    for text in chain(error).map(ToString::to_string) {
        if !reasons.iter().any(|reason| reason.contains(&text)) {
            reasons.push(text);
        }
    }
    reasons.join(": ")
}

fn chain<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}

async fn system_lookup(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host((host, port)).await?.collect())
}

/// Resolves names to the addresses that passed the guard.
struct GuardedResolver {
    guard: Arc<Guard>,
    lookup: Lookup,
    port: u16,
    plain: bool,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (guard, port, plain) = (Arc::clone(&self.guard), self.port, self.plain);
        let found = (self.lookup)(name.as_str().to_owned(), port);
        Box::pin(async move {
            let mut passed = Vec::new();
            let mut denied = None;
            for address in found.await? {
                let address = SocketAddr::new(address.ip(), port);
                match guard.check_addr(address, name.as_str(), plain) {
                    Ok(()) => passed.push(address),
                    Err(reason) => {
                        // Only here: what a name leads to is not the tenant's to know.
                        tracing::debug!(name = name.as_str(), %address, "the guard denied an address");
                        denied = Some(reason);
                    }
                }
            }
            match (passed.is_empty(), denied) {
                (false, _) => Ok(Box::new(passed.into_iter()) as Addrs),
                (true, Some(reason)) => Err(reason.into()),
                (true, None) => Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address").into()),
            }
        })
    }
}

#[cfg(test)]
mod tests;

//! Outgoing HTTP: one request, one answer, under the guard.
//!
//! [`HttpClient`] is the seam: [`Egress`] sends for real, the simulation answers from a script. What [`Egress`] holds:
//!
//! * Every new connection goes to an address that the guard checked when it was resolved: the resolver gives the
//!   connector only addresses that passed, so there is no second look-up that could answer differently. An address in
//!   the URL is checked before, because it is never resolved.
//! * No redirects, no proxies from the environment, no cookies, no retries, no `Referer`.
//! * A pool of connections per destination, origin and client certificate, so that tenants never share one; a connection is used for at
//!   most 60 s, so that a changed DNS answer is believed soon.
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
use creel_webhook::secret::SecretBytes;
use http::{HeaderMap, Method, StatusCode};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::time::Instant;
use url::Url;

use crate::guard::{Denied, Guard};
use crate::tls::{self, ClientTls};

/// Requests begin on a connection for this long at most, idle or not: long enough for a burst, short enough to follow a
/// name that has moved.
pub const CONNECTION_MS_MAX: u64 = 60_000;

/// Pools kept at a time; the least recently used goes first, and with it only its idle connections.
pub const POOLS_MAX: usize = 1_024;

/// Idle connections kept per pool: the default of `sender.concurrency`. A pool has hardly more connections than its
/// destination may be called side by side, and each that is thrown away is made anew for the next call.
const IDLE_CONNECTIONS_MAX: usize = 128;

/// TLS sessions that a pool's new connections may resume.
const SESSIONS_MAX: usize = 8;

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
    /// What the connection trusts and shows, if not the usual.
    pub tls: Option<Arc<ClientTls>>,
    /// What an access token is to be had for first; only what stands before this client
    /// and gets one (`tokens`) sends such a request.
    pub grant: Option<Grant>,
}

/// What a token is asked for with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The token endpoint.
    pub token_url: Url,
    /// Who we are to it.
    pub client_id: String,
    /// The name of the client's secret, for messages.
    pub secret: String,
    /// The client's secret.
    pub client_secret: SecretBytes,
    /// What the token should be good for.
    pub scope: Option<String>,
    /// Whom it should be good for.
    pub audience: Option<String>,
    /// The credentials stand in the form, not in a header.
    pub in_body: bool,
    /// What the endpoint's connection trusts, if not the public authorities.
    pub tls: Option<Arc<ClientTls>>,
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
    /// Why `body` is not all of it, when it is not.
    pub truncated: Option<Truncation>,
}

/// Why a body ends before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truncation {
    /// It is longer than is read.
    Long,
    /// The connection broke.
    Broken,
    /// The time was over.
    Late,
}

impl Truncation {
    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Truncation::Long => "the response was longer than is read",
            Truncation::Broken => "the connection broke before the response's end",
            Truncation::Late => "the response did not end in time",
        }
    }
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
    /// No access token is to be had; nothing was sent.
    #[error("{reason}")]
    NoToken {
        /// The secret that was not enough.
        secret: String,
        /// What went wrong, and what to do.
        reason: String,
    },
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
    clients: HashMap<PoolKey, Pool>,
    uses: u64,
}

/// Connections that requests may begin on until it is old; those under way end on theirs.
struct Pool {
    client: reqwest::Client,
    made_at: Instant,
    used: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct PoolKey {
    destination: DestinationId,
    plain: bool,
    host: String,
    port: u16,
    connect_timeout_ms: u64,
    tls: Option<[u8; 32]>,
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
        let tls = tls::client(tls::public_roots()).map_err(|error| EgressError::Unsendable(error.to_string()))?;
        let tls = tls.with_no_client_auth();
        Ok(Egress { guard, lookup, tls, pools: Mutex::default() })
    }

    /// The client of a pool, made when there is none.
    fn client(&self, key: PoolKey, own: Option<&ClientTls>) -> Result<reqwest::Client, EgressError> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.uses += 1;
        let now = pools.uses;
        let old = Duration::from_millis(CONNECTION_MS_MAX);
        if let Some(pool) = pools.clients.get_mut(&key).filter(|pool| pool.made_at.elapsed() < old) {
            pool.used = now;
            return Ok(pool.client.clone());
        }
        let client = self.build(&key, own)?;
        if pools.clients.len() >= POOLS_MAX && !pools.clients.contains_key(&key) {
            let oldest = pools.clients.iter().min_by_key(|(_, pool)| pool.used).map(|(key, _)| key.clone());
            oldest.map(|key| pools.clients.remove(&key));
        }
        pools.clients.insert(key, Pool { client: client.clone(), made_at: Instant::now(), used: now });
        Ok(client)
    }

    fn build(&self, key: &PoolKey, own: Option<&ClientTls>) -> Result<reqwest::Client, EgressError> {
        let resolver = GuardedResolver {
            guard: Arc::clone(&self.guard),
            lookup: Arc::clone(&self.lookup),
            port: key.port,
            plain: key.plain,
        };
        let mut tls = own.map_or(&self.tls, ClientTls::config).clone();
        tls.resumption = rustls::client::Resumption::in_memory_sessions(SESSIONS_MAX);
        reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .dns_resolver(resolver)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .user_agent(USER_AGENT)
            .connect_timeout(Duration::from_millis(key.connect_timeout_ms))
            .pool_idle_timeout(Duration::from_millis(CONNECTION_MS_MAX))
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
        if request.grant.is_some() {
            return Err(EgressError::Unsendable("it wants an access token, and nobody fetched one".to_owned()));
        }
        self.guard.check_url(&request.url).map_err(|denied| EgressError::Denied(denied.to_string()))?;
        let key = PoolKey {
            destination: request.pool,
            plain: request.url.scheme() == "http",
            host: request.url.host_str().unwrap_or_default().to_owned(),
            port: request.url.port_or_known_default().unwrap_or(443),
            connect_timeout_ms: request.connect_timeout_ms,
            tls: request.tls.as_deref().map(ClientTls::fingerprint),
        };
        let client = self.client(key, request.tls.as_deref())?;
        let timeout_ms = request.timeout_ms;
        let deadline = Instant::now() + Duration::from_millis(timeout_ms);
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
async fn read_answer(mut response: reqwest::Response, deadline: Instant, bytes_max: u64) -> IncomingResponse {
    let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
    let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
    let mut body = BytesMut::new();
    let truncated = loop {
        match tokio::time::timeout_at(deadline, response.chunk()).await {
            Ok(Ok(Some(chunk))) if body.len() + chunk.len() > bytes_max => {
                body.extend_from_slice(&chunk[..bytes_max - body.len()]);
                break Some(Truncation::Long);
            }
            Ok(Ok(Some(chunk))) => body.extend_from_slice(&chunk),
            Ok(Ok(None)) => break None,
            Ok(Err(_)) => break Some(Truncation::Broken),
            Err(_) => break Some(Truncation::Late),
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

//! The accept loop that both listeners share: HTTP/1.1, plain or in TLS, on a socket that the caller owns, stopped by the
//! caller.
//!
//! Senders are strangers, so everything before the first byte of a body is bounded here: connections in all and per
//! address, the time a request's head may take (which is also how long an idle connection is kept), its size and the
//! number of its headers. The body's bounds are those of [`crate::body`], read by whoever handles the request.
//!
//! * A connection over a cap is answered `503` without being read, and closed.
//! * Hands are shaken beside the accept loop, within the caps and within the time of the first head.
//! * IPv6 senders are counted by /64: that is what one customer of a provider usually holds.
//! * A peer that does not read its answer is given up after 30 s without progress.
//! * Every request comes with its [`Origin`]; a trusted proxy's word counts for it.
//! * A head that a proxy could read differently is refused (the child `heads`).
//! * When `shutdown` completes: no new connection, connections without a request are closed, requests in flight are
//!   finished within `shutdown_timeout_ms`, then cut.
//!
//! A handler that panics loses its own connection and nothing else.
//!
//! What answers is a router, or something that knows its one address by itself ([`Answers`]).

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tower_service::Service as _;

use crate::forwarded::TrustedProxies;
use crate::patience::HeadTimer;
use crate::tls::Tls;

use stall::Stalling;

mod heads;
mod stall;

/// The bounds of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenerLimits {
    /// Longest time for a request's head, and for the pause before the next on the same connection, milliseconds.
    pub header_timeout_ms: u64,
    /// Longest head of a request, bytes; beyond it 431.
    pub headers_bytes_max: usize,
    /// Most headers of a request; beyond it 431.
    pub headers_max: usize,
    /// Most connections at a time; beyond it 503.
    pub connections_max: usize,
    /// Most connections at a time from one IPv4 address or IPv6 /64; beyond it 503.
    pub connections_per_address_max: usize,
    /// Longest time that requests in flight are given when the listener stops, milliseconds.
    pub shutdown_timeout_ms: u64,
}

/// What a listener is besides its bounds: plain HTTP with no proxies before it, unless said otherwise.
#[derive(Debug, Clone, Default)]
pub struct Door {
    /// What shakes hands, if it speaks TLS.
    pub tls: Option<Arc<Tls>>,
    /// Whose word about a request's origin counts.
    pub proxies: TrustedProxies,
}

/// Where a request comes from. A router's handlers find it among the request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The other end of its connection, or whom a trusted proxy there names.
    pub sender: IpAddr,
    /// The other end of its connection, whatever proxies say.
    pub hop: IpAddr,
}

/// How a listener ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// Connections that were cut because they were still busy after `shutdown_timeout_ms`.
    pub cut: usize,
}

/// What a connection over a cap is told.
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Read buffer of a connection at most: a large body comes in pieces of this size. The head has its own limit.
const READ_BUFFER_BYTES_MAX: usize = 128 * 1_024;

/// How long an answer may make no progress: retransmissions of a bad mobile line get through in this time.
const WRITE_STALL_MAX: Duration = Duration::from_secs(30);

/// How long to pause when the operating system has no more descriptors; asking at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What answers the requests of a listener.
pub trait Answers: Clone + Send + Sync + 'static {
    /// Whether answers are short: to copy one behind its head costs less than a vector of two.
    const ARE_SHORT: bool;

    /// The answer to one request.
    fn answer(&self, request: Request<Incoming>, origin: Origin) -> impl Future<Output = Response> + Send;
}

impl Answers for Router {
    const ARE_SHORT: bool = false;

    async fn answer(&self, mut request: Request<Incoming>, origin: Origin) -> Response {
        request.extensions_mut().insert(origin);
        let Ok(response) = self.clone().call(request).await;
        response
    }
}

/// Serves what `answers` says on `listener` until `shutdown` completes.
pub async fn serve<A: Answers>(
    listener: TcpListener,
    answers: A,
    limits: ListenerLimits,
    door: Door,
    shutdown: impl Future<Output = ()>,
) -> Stopped {
    let stopping = watch::Sender::new(false);
    let open = Arc::new(OpenConnections::default());
    let server = connection_builder(&limits, A::ARE_SHORT);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(ended) = connections.join_next() => { report_panic(ended); continue }
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                accept_failed(&error).await;
                continue;
            }
        };
        match open.enter(peer.ip(), &limits, &door.proxies) {
            Some(place) => {
                let first_head = Instant::now() + Duration::from_millis(limits.header_timeout_ms);
                let (answers, door, stopping) = (answers.clone(), door.clone(), stopping.subscribe());
                let connection = Connection { peer, answers, door, stopping, first_head, place };
                connections.spawn(connection.run(server.clone(), stream));
            }
            None => refuse(&stream, peer, &door),
        }
    }
    drop(listener);
    stopping.send_replace(true);
    drain(connections, limits.shutdown_timeout_ms).await
}

fn connection_builder(limits: &ListenerLimits, are_short: bool) -> http1::Builder {
    let mut builder = http1::Builder::new();
    if are_short {
        // Who says that nothing more comes is answered all the same. A connection that looks for that while its sender waits takes
        // another buffer for it, once per request.
        builder.writev(false).half_close(true);
    }
    builder
        .header_read_timeout(Duration::from_millis(limits.header_timeout_ms))
        .max_buf_size(limits.headers_bytes_max.max(READ_BUFFER_BYTES_MAX))
        .max_header_size(limits.headers_bytes_max)
        .max_headers(limits.headers_max)
        .keep_alive(true);
    builder
}

/// One connection's part of the loop.
struct Connection<A> {
    peer: SocketAddr,
    answers: A,
    door: Door,
    stopping: watch::Receiver<bool>,
    /// When its first request's head must be there, the handshake included.
    first_head: Instant,
    place: Place,
}

impl<A: Answers> Connection<A> {
    async fn run(mut self, server: http1::Builder, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let Some(tls) = self.door.tls.take() else { return self.converse(server, stream).await };
        let shaken = tokio::select! {
            shaken = tokio::time::timeout_at(self.first_head, tls.acceptor().accept(stream)) => shaken,
            _ = self.stopping.wait_for(|stopping| *stopping) => return,
        };
        match shaken {
            Ok(Ok(stream)) => self.converse(server, stream).await,
            Ok(Err(error)) => tracing::debug!(peer = %self.peer, %error, "no TLS came about"),
            Err(_) => tracing::debug!(peer = %self.peer, "the TLS handshake took too long"),
        }
    }

    async fn converse<S: AsyncRead + AsyncWrite + Unpin>(self, mut server: http1::Builder, stream: S) {
        let asked = AtomicBool::new(false);
        let service = hyper::service::service_fn(|request| {
            asked.store(true, Ordering::Relaxed);
            handle(&self.answers, self.peer.ip(), &self.door.proxies, request)
        });
        server.timer(HeadTimer::default());
        let mut connection =
            pin!(server.serve_connection(TokioIo::new(Stalling::new(stream, WRITE_STALL_MAX)), service));
        tokio::select! {
            biased;
            ended = connection.as_mut() => return log_end(self.peer, ended),
            () = silence(self.first_head, &asked) => return,
            () = stop(self.stopping) => {}
        }
        if asked.load(Ordering::Relaxed) {
            connection.as_mut().graceful_shutdown();
            log_end(self.peer, connection.await);
        }
        drop(self.place);
    }
}

/// Completes if nothing has been asked by then. Once something has, the time is not looked at again.
async fn silence(until: Instant, asked: &AtomicBool) {
    let mut sleep = pin!(tokio::time::sleep_until(until));
    poll_fn(|context| if asked.load(Ordering::Relaxed) { Poll::Pending } else { sleep.as_mut().poll(context) }).await;
}

/// Completes when the listener stops. Each step of a connection looks at it, so it only looks at a number once it has entered
/// itself among those who are woken, which is behind a lock that connections share.
async fn stop(mut stopping: watch::Receiver<bool>) {
    let seen = stopping.clone();
    // Without the task's budget: a poll that is refused for that enters nothing.
    let mut wait = pin!(tokio::task::unconstrained(stopping.wait_for(|stopping| *stopping)));
    let mut entered: Option<Waker> = None;
    poll_fn(|context| {
        let is_entered = entered.as_ref().is_some_and(|waker| waker.will_wake(context.waker()));
        if is_entered && !seen.has_changed().unwrap_or(true) {
            return Poll::Pending;
        }
        entered = Some(context.waker().clone());
        wait.as_mut().poll(context).map(drop)
    })
    .await;
}

async fn handle(
    answers: &impl Answers,
    hop: IpAddr,
    proxies: &TrustedProxies,
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    if let Some((status, words)) = heads::objection(request.method(), request.version(), request.headers()) {
        return Ok((status, [("connection", "close")], words).into_response());
    }
    let origin = Origin { sender: proxies.sender(hop, request.headers()), hop };
    Ok(answers.answer(request, origin).await)
}

fn log_end(peer: SocketAddr, ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "connection ended early");
    }
}

/// Waits for the connections and cuts those that are still there after `timeout_ms`.
async fn drain(mut connections: JoinSet<()>, timeout_ms: u64) -> Stopped {
    let all = async {
        while let Some(ended) = connections.join_next().await {
            report_panic(ended);
        }
    };
    let cut = match tokio::time::timeout(Duration::from_millis(timeout_ms), all).await {
        Ok(()) => 0,
        Err(_) => connections.len(),
    };
    connections.shutdown().await;
    Stopped { cut }
}

fn report_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!("a request's handler panicked and its connection was closed; the panic's message is above");
    }
}

async fn accept_failed(error: &std::io::Error) {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        return;
    }
    tracing::error!(%error, "no connection can be accepted; if descriptors ran out, raise `ulimit -n` or lower `ingress.connections_max`");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

/// Says 503 if the socket takes it at once, as a fresh one does; never waits for a client that is over a cap. Who waits
/// for TLS could not read it.
fn refuse(stream: &TcpStream, peer: SocketAddr, door: &Door) {
    if door.tls.is_none() {
        let _ = stream.try_write(FULL);
    }
    tracing::debug!(%peer, "connection refused: too many");
}

/// Who is connected.
#[derive(Debug, Default)]
struct OpenConnections {
    by_address: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    each: HashMap<IpAddr, usize>,
}

/// A counted connection, until dropped.
#[derive(Debug)]
struct Place {
    open: Arc<OpenConnections>,
    address: IpAddr,
}

impl OpenConnections {
    /// A trusted proxy stands for many senders: only the cap on all connections is its own.
    fn enter(self: &Arc<Self>, address: IpAddr, limits: &ListenerLimits, proxies: &TrustedProxies) -> Option<Place> {
        let own_max =
            if proxies.contains(address) { limits.connections_max } else { limits.connections_per_address_max };
        let address = counted_address(address);
        let mut counts = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let here = counts.each.get(&address).copied().unwrap_or(0);
        if counts.total >= limits.connections_max || here >= own_max {
            return None;
        }
        counts.total += 1;
        counts.each.insert(address, here + 1);
        Some(Place { open: Arc::clone(self), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.open.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        counts.total -= 1;
        if let Some(here) = counts.each.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                counts.each.remove(&self.address);
            }
        }
    }
}

/// What connections are counted by: the IPv4 address or the IPv6 /64.
pub fn counted_address(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests;

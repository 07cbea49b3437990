//! The accept loop against real sockets on loopback; every wait has a bound.

use axum::Extension;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use super::*;

/// Longer than any of these tests takes, shorter than anybody's patience.
const BOUND: Duration = Duration::from_secs(20);

const LIMITS: ListenerLimits = ListenerLimits {
    header_timeout_ms: 20_000,
    headers_bytes_max: 4_096,
    headers_max: 16,
    connections_max: 100,
    connections_per_address_max: 100,
    shutdown_timeout_ms: 20_000,
};

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Stopped>,
}

async fn start(router: Router, limits: ListenerLimits) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let shutdown = async { drop(stopped.await) };
    Server { address, stop, ended: tokio::spawn(serve(listener, router, limits, Door::default(), shutdown)) }
}

impl Server {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn stop(self) -> Stopped {
        self.stop.send(()).unwrap();
        tokio::time::timeout(BOUND, self.ended).await.expect("it stops within its bound").unwrap()
    }
}

fn hello() -> Router {
    Router::new()
        .route("/", get(|Extension(origin): Extension<Origin>| async move { origin.sender.to_string() }))
        .route("/length", post(|body: axum::body::Bytes| async move { body.len().to_string() }))
}

async fn write(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

/// Everything until the other side closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = tokio::time::timeout(BOUND, stream.read_to_end(&mut bytes)).await.expect("the connection is closed");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// One answer of a connection that stays open: until `end` was read.
async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        bytes.push(tokio::time::timeout(BOUND, stream.read_u8()).await.expect("an answer comes").unwrap());
    }
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn a_connection_is_kept_and_a_request_knows_where_it_comes_from() {
    let server = start(hello(), LIMITS).await;
    let mut stream = server.connect().await;
    let me = stream.local_addr().unwrap().ip().to_string();
    for _ in 0..2 {
        write(&mut stream, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(until(&mut stream, &me).await.starts_with("HTTP/1.1 200"));
    }
    assert_eq!(server.stop().await, Stopped { cut: 0 });
    assert_eq!(rest(&mut stream).await, "");
}

#[tokio::test]
async fn a_slow_head_is_given_up() {
    let server = start(hello(), ListenerLimits { header_timeout_ms: 50, ..LIMITS }).await;
    let mut stream = server.connect().await;
    write(&mut stream, "GET / HTTP/1.1\r\nhost:").await;
    let answer = rest(&mut stream).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    let mut idle = server.connect().await;
    assert_eq!(rest(&mut idle).await, "", "an idle connection is closed in the same time");
    server.stop().await;
}

#[tokio::test]
async fn a_giant_head_is_refused() {
    let server = start(hello(), LIMITS).await;
    let many: String = (0..20).map(|n| format!("x-{n}: 1\r\n")).collect();
    for headers in [many, format!("x: {}\r\n", "y".repeat(8_000))] {
        let mut stream = server.connect().await;
        write(&mut stream, &format!("GET / HTTP/1.1\r\nhost: x\r\n{headers}\r\n")).await;
        assert!(until(&mut stream, "\r\n").await.starts_with("HTTP/1.1 431"));
    }
    server.stop().await;
}

#[tokio::test]
async fn conflicting_framing_is_refused() {
    let server = start(hello(), LIMITS).await;
    for framing in [
        "content-length: 4\r\ncontent-length: 5\r\n",
        "content-length: +4\r\n",
        "content-length: 4, 5\r\n",
        "transfer-encoding: chunked, identity\r\n",
    ] {
        let mut stream = server.connect().await;
        write(&mut stream, &format!("POST /length HTTP/1.1\r\nhost: x\r\n{framing}\r\nabcd")).await;
        let answer = until(&mut stream, "\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{framing}: {answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn one_connection_too_many_is_told_and_room_is_found_again() {
    for limits in
        [ListenerLimits { connections_max: 1, ..LIMITS }, ListenerLimits { connections_per_address_max: 1, ..LIMITS }]
    {
        let server = start(hello(), limits).await;
        let mut first = server.connect().await;
        let me = first.local_addr().unwrap().ip().to_string();
        write(&mut first, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
        until(&mut first, &me).await;
        let refused = rest(&mut server.connect().await).await;
        assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("retry-after"), "{refused}");

        write(&mut first, "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        rest(&mut first).await;
        let again = async {
            loop {
                let mut next = server.connect().await;
                let _ = next.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
                if rest(&mut next).await.starts_with("HTTP/1.1 200") {
                    break;
                }
            }
        };
        tokio::time::timeout(BOUND, again).await.expect("the place is given back");
        server.stop().await;
    }
}

/// A server with one request in its handler, which goes on when told.
async fn busy(limits: ListenerLimits) -> (Server, TcpStream, Arc<Notify>) {
    let (arrived, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let handler = {
        let (arrived, go_on) = (Arc::clone(&arrived), Arc::clone(&go_on));
        move || async move {
            arrived.notify_one();
            go_on.notified().await;
            "done"
        }
    };
    let server = start(Router::new().route("/", get(handler)), limits).await;
    let mut stream = server.connect().await;
    write(&mut stream, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    tokio::time::timeout(BOUND, arrived.notified()).await.expect("the request arrives");
    (server, stream, go_on)
}

#[tokio::test]
async fn stopping_finishes_what_is_in_flight_and_drops_who_asked_nothing() {
    let (server, mut stream, go_on) = busy(LIMITS).await;
    let mut silent = server.connect().await;
    let address = server.address;
    let told = async {
        assert_eq!(rest(&mut silent).await, "", "closed while the other request is still in flight");
        assert!(TcpStream::connect(address).await.is_err(), "no new connection");
        go_on.notify_one();
        rest(&mut stream).await
    };
    let (stopped, answer) = tokio::join!(server.stop(), told);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"), "{answer}");
    assert_eq!(stopped, Stopped { cut: 0 });
}

#[tokio::test]
async fn stopping_cuts_what_does_not_end() {
    let (server, mut stream, _go_on) = busy(ListenerLimits { shutdown_timeout_ms: 20, ..LIMITS }).await;
    assert_eq!(server.stop().await, Stopped { cut: 1 });
    assert_eq!(rest(&mut stream).await, "");
}

#[test]
fn ipv6_is_counted_by_its_network() {
    let count = |text: &str| counted_address(text.parse().unwrap());
    assert_eq!(count("2001:db8:1:2:3::4"), count("2001:db8:1:2:ffff::1"));
    assert_ne!(count("2001:db8:1:2::1"), count("2001:db8:1:3::1"));
    assert_eq!(count("::ffff:10.0.0.1"), count("10.0.0.1"));
}

//! The live client against listeners on loopback.

use std::sync::atomic::{AtomicUsize, Ordering};

use creel_webhook::clock::Timestamp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// Longer than any of these tests takes, shorter than anybody's patience.
const BOUND: Duration = Duration::from_secs(20);

fn egress(allow: &[&str]) -> Egress {
    let allow = allow.iter().map(|entry| entry.parse().unwrap()).collect();
    Egress::new(Arc::new(Guard::new(allow, true))).unwrap()
}

fn get(url: &str) -> OutgoingRequest {
    OutgoingRequest {
        pool: DestinationId::new(Timestamp::from_millis(0), [1; 10]),
        method: Method::GET,
        url: url.parse().unwrap(),
        headers: HeaderMap::new(),
        body: None,
        connect_timeout_ms: 5_000,
        timeout_ms: 10_000,
        response_bytes_max: 1_000,
        tls: None,
        grant: None,
    }
}

/// A receiver on loopback and its base URL.
async fn receiver() -> (TcpListener, String, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, format!("http://{address}"), address)
}

/// Takes one connection, reads the head of one request and answers.
async fn answer(listener: &TcpListener, response: &str) -> (TcpStream, String) {
    let (mut stream, _) = tokio::time::timeout(BOUND, listener.accept()).await.expect("a connection comes").unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    stream.write_all(response.as_bytes()).await.unwrap();
    (stream, String::from_utf8(head).unwrap())
}

/// Whether nobody has tried to connect: a connection of our own is the first in the queue.
async fn untouched(listener: &TcpListener) -> bool {
    let mine = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (_, peer) = tokio::time::timeout(BOUND, listener.accept()).await.unwrap().unwrap();
    peer == mine.local_addr().unwrap()
}

#[tokio::test]
async fn loopback_is_denied_by_default_and_not_connected_to() {
    let (listener, url, _) = receiver().await;
    let refusal = egress(&[]).send(get(&url)).await.unwrap_err();
    assert!(matches!(&refusal, EgressError::Denied(reason) if reason.contains("egress.allow")), "{refusal}");
    assert!(untouched(&listener).await);
}

#[tokio::test]
async fn what_the_operator_names_is_reached() {
    let (listener, url, address) = receiver().await;
    let egress = egress(&[&address.to_string()]);
    let response = "HTTP/1.1 201 Created\r\nx-a: b\r\ncontent-length: 2\r\n\r\nok";
    let mut request = get(&format!("{url}/path?q=1"));
    request.method = Method::POST;
    request.body = Some(Bytes::from_static(b"{}"));
    request.headers.insert("x-signature", "s".parse().unwrap());
    let (sent, (_stream, head)) = tokio::join!(egress.send(request), answer(&listener, response));
    let sent = sent.unwrap();
    assert_eq!((sent.status.as_u16(), &sent.body[..], sent.truncated), (201, &b"ok"[..], None));
    assert_eq!(sent.headers["x-a"], "b");
    assert!(head.starts_with("POST /path?q=1 HTTP/1.1\r\n") && head.contains("x-signature: s"), "{head}");
    assert!(!head.contains("cookie") && !head.contains("referer"), "{head}");
}

#[tokio::test]
async fn a_redirect_is_an_answer_like_any_other() {
    let (listener, url, address) = receiver().await;
    let (other, other_url, other_address) = receiver().await;
    let egress = egress(&[&address.to_string(), &other_address.to_string()]);
    let response = format!("HTTP/1.1 302 Found\r\nlocation: {other_url}/\r\ncontent-length: 0\r\n\r\n");
    let (sent, _) = tokio::join!(egress.send(get(&url)), answer(&listener, &response));
    assert_eq!(sent.unwrap().status.as_u16(), 302);
    assert!(untouched(&other).await);
}

#[tokio::test]
async fn silence_ends_at_the_timeout() {
    let (listener, url, address) = receiver().await;
    let request = OutgoingRequest { timeout_ms: 50, ..get(&url) };
    let sent = egress(&[&address.to_string()]).send(request).await;
    assert_eq!(sent.unwrap_err(), EgressError::Timeout { timeout_ms: 50 });
    drop(listener);
}

#[tokio::test]
async fn a_long_answer_is_cut_and_a_broken_one_still_has_its_status() {
    let (listener, url, address) = receiver().await;
    let egress = egress(&[&address.to_string()]);
    let long = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5000\r\n\r\n{}", "x".repeat(5_000));
    let (sent, _) = tokio::join!(egress.send(get(&url)), answer(&listener, &long));
    let sent = sent.unwrap();
    assert_eq!((sent.body.len(), sent.truncated), (1_000, Some(Truncation::Long)));

    let broken = async { drop(answer(&listener, "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc").await) };
    let (sent, ()) = tokio::join!(egress.send(get(&url)), broken);
    let sent = sent.unwrap();
    assert_eq!((sent.status.as_u16(), &sent.body[..], sent.truncated), (200, &b"abc"[..], Some(Truncation::Broken)));
}

#[tokio::test]
async fn a_name_that_changes_its_answer_is_checked_at_every_connection() {
    let (listener, _, address) = receiver().await;
    let answers = Arc::new(Mutex::new(vec!["127.0.0.1:0", "10.255.255.1:0"]));
    let lookup: Lookup = Arc::new(move |_, _| {
        let next = answers.lock().unwrap().pop().unwrap().parse().unwrap();
        Box::pin(async move { Ok(vec![next]) })
    });
    let guard = Guard::new(vec![address.to_string().parse().unwrap()], true);
    let egress = Egress::with_lookup(Arc::new(guard), lookup).unwrap();
    let url = format!("http://rebind.example:{}/secret-path", address.port());
    let refusal = egress.send(get(&url)).await.unwrap_err().to_string();
    assert!(refusal.contains("`rebind.example` leads to a private address"), "{refusal}");
    assert!(!refusal.contains("10.255"), "what a name leads to is not the tenant's to know: {refusal}");
    let response = "HTTP/1.1 204 No Content\r\n\r\n";
    let (sent, (_stream, head)) = tokio::join!(egress.send(get(&url)), answer(&listener, response));
    assert_eq!(sent.unwrap().status.as_u16(), 204);
    assert!(head.to_lowercase().contains("host: rebind.example"), "{head}");
}

#[tokio::test]
async fn a_connection_is_used_for_a_minute_and_then_the_name_is_asked_again() {
    let (listener, _, address) = receiver().await;
    let asked = Arc::new(Mutex::new(0));
    let book = asked.clone();
    let lookup: Lookup = Arc::new(move |_, port| {
        *book.lock().unwrap() += 1;
        Box::pin(async move { Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))]) })
    });
    let guard = Guard::new(vec![address.to_string().parse().unwrap()], true);
    let egress = Egress::with_lookup(Arc::new(guard), lookup).unwrap();
    let url = format!("http://busy.example:{}/", address.port());
    let response = "HTTP/1.1 204 No Content\r\n\r\n";
    let (sent, (mut kept, _)) = tokio::join!(egress.send(get(&url)), answer(&listener, response));
    assert_eq!(sent.unwrap().status.as_u16(), 204);
    let again = async {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(kept.read_u8().await.unwrap());
        }
        kept.write_all(response.as_bytes()).await.unwrap();
    };
    let (sent, ()) = tokio::join!(egress.send(get(&url)), again);
    assert_eq!((sent.unwrap().status.as_u16(), *asked.lock().unwrap()), (204, 1), "the same connection");
    for pool in egress.pools.lock().unwrap().clients.values_mut() {
        pool.made_at -= Duration::from_millis(CONNECTION_MS_MAX);
    }
    let (sent, _) = tokio::join!(egress.send(get(&url)), answer(&listener, response));
    assert_eq!((sent.unwrap().status.as_u16(), *asked.lock().unwrap()), (204, 2), "another one");
}

#[tokio::test]
async fn errors_do_not_show_the_url() {
    let (listener, url, address) = receiver().await;
    drop(listener);
    let refusal = egress(&[&address.to_string()]).send(get(&format!("{url}/AC123/token"))).await.unwrap_err();
    assert!(matches!(refusal, EgressError::Connect(_)), "{refusal:?}");
    assert!(!refusal.to_string().contains("AC123"), "{refusal}");
}

#[tokio::test]
async fn pools_are_bounded() {
    let egress = egress(&[]);
    let key = |port| PoolKey {
        destination: DestinationId::new(Timestamp::from_millis(0), [1; 10]),
        plain: false,
        host: "x.example".to_owned(),
        port,
        connect_timeout_ms: 1,
        tls: None,
    };
    let client = egress.build(&key(0), None).unwrap();
    for port in 0..POOLS_MAX {
        let (port, used) = (u16::try_from(port).unwrap(), port as u64);
        let pool = Pool { client: client.clone(), made_at: Instant::now(), used };
        egress.pools.lock().unwrap().clients.insert(key(port), pool);
    }
    egress.pools.lock().unwrap().uses = POOLS_MAX as u64;
    egress.client(key(60_000), None).unwrap();
    let pools = egress.pools.lock().unwrap();
    assert_eq!(pools.clients.len(), POOLS_MAX);
    assert!(!pools.clients.contains_key(&key(0)) && pools.clients.contains_key(&key(60_000)));
}

/// Takes connections, and answers requests as soon as `together` of them wait; counts the connections.
async fn answer_together(listener: TcpListener, together: usize, connections: Arc<AtomicUsize>) {
    let all = Arc::new(tokio::sync::Barrier::new(together));
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        connections.fetch_add(1, Ordering::SeqCst);
        let all = Arc::clone(&all);
        tokio::spawn(async move {
            let mut head = Vec::new();
            while let Ok(byte) = stream.read_u8().await {
                head.push(byte);
                if head.ends_with(b"\r\n\r\n") {
                    all.wait().await;
                    stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
                    head.clear();
                }
            }
        });
    }
}

#[tokio::test]
async fn calls_side_by_side_find_the_connections_of_those_before_them() {
    const TOGETHER: usize = 32;
    let (listener, url, address) = receiver().await;
    let connections = Arc::new(AtomicUsize::new(0));
    tokio::spawn(answer_together(listener, TOGETHER, Arc::clone(&connections)));
    let egress = Arc::new(egress(&[&address.to_string()]));
    // A connection is back in its pool a moment after its answer has been read, so the first calls may miss some.
    for _ in 0..50 {
        let before = connections.load(Ordering::SeqCst);
        let calls: Vec<_> = (0..TOGETHER)
            .map(|_| {
                let (egress, request) = (Arc::clone(&egress), get(&url));
                tokio::spawn(async move { egress.send(request).await.unwrap().status })
            })
            .collect();
        for call in calls {
            let status = tokio::time::timeout(BOUND, call).await.expect("all are answered together").unwrap();
            assert_eq!(status, StatusCode::NO_CONTENT);
        }
        if connections.load(Ordering::SeqCst) == before {
            return;
        }
    }
    panic!("{} connections, and each round of calls needs new ones", connections.load(Ordering::SeqCst));
}

//! The live client against listeners on loopback.

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
    assert_eq!((sent.status.as_u16(), &sent.body[..], sent.truncated), (201, &b"ok"[..], false));
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
    assert_eq!((sent.body.len(), sent.truncated), (1_000, true));

    let broken = async { drop(answer(&listener, "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc").await) };
    let (sent, ()) = tokio::join!(egress.send(get(&url)), broken);
    let sent = sent.unwrap();
    assert_eq!((sent.status.as_u16(), &sent.body[..], sent.truncated), (200, &b"abc"[..], true));
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
    };
    let client = egress.build(&key(0)).unwrap();
    for port in 0..POOLS_MAX {
        let (port, used) = (u16::try_from(port).unwrap(), port as u64);
        egress.pools.lock().unwrap().clients.insert(key(port), (client.clone(), used));
    }
    egress.pools.lock().unwrap().uses = POOLS_MAX as u64;
    egress.client(key(60_000)).unwrap();
    let pools = egress.pools.lock().unwrap();
    assert_eq!(pools.clients.len(), POOLS_MAX);
    assert!(!pools.clients.contains_key(&key(0)) && pools.clients.contains_key(&key(60_000)));
}

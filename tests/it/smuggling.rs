//! Requests that a proxy before the host could read differently than the host does: one that ends elsewhere, one that
//! is for somebody else, one that hides another. Each case is written to the real socket with a genuine request right
//! behind it, which nobody may get past a proxy: it is stored only where the first request ended without doubt.

use std::fmt::Write as _;

use creel_server::config::Config;

use crate::harness::host::Host;
use crate::harness::sender::Webhook;
use crate::harness::tenant::Tenant;
use crate::harness::wire::Wire;

const SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS1vcmRlcnMtMDAwMDE=";

const BODY: &str = r#"{"type":"order.paid"}"#;

/// What becomes of the two requests of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The first is refused with this status, and the connection is closed: the second is not looked at.
    Refused(u16),
    /// The connection is closed without a word.
    Closed,
    /// The first is taken, and the connection is closed: what comes behind it is nobody's.
    FirstOnly,
    /// Both are taken.
    Both,
}

use End::{Both, Closed, FirstOnly, Refused};

/// The lines that say what is odd, in place of those about the body's length; `BODY` and its chunks are put in for
/// `{body}` and `{chunks}`.
const FRAMES: &[(&str, &str, End)] = &[
    // lengths that agree
    ("one length", "content-length: 21\r\n\r\n{body}", Both),
    ("chunks", "transfer-encoding: chunked\r\n\r\n{chunks}", Both),
    ("chunks, in capitals and with space", "Transfer-Encoding:  Chunked \r\n\r\n{chunks}", Both),
    ("the same length twice", "content-length: 21\r\ncontent-length: 21\r\n\r\n{body}", Both),
    ("trailers", "transfer-encoding: chunked\r\n\r\n15\r\n{body}\r\n0\r\nx-late: 1\r\n\r\n", Both),
    ("an extension of a chunk", "transfer-encoding: chunked\r\n\r\n15;a=b\r\n{body}\r\n0\r\n\r\n", Both),
    // lengths that do not
    ("two lengths", "content-length: 21\r\ncontent-length: 0\r\n\r\n{body}", Refused(400)),
    ("two lengths in one line", "content-length: 21, 0\r\n\r\n{body}", Refused(400)),
    ("the same length in one line", "content-length: 21, 21\r\n\r\n{body}", Refused(400)),
    ("a signed length", "content-length: +21\r\n\r\n{body}", Refused(400)),
    ("a negative length", "content-length: -1\r\n\r\n{body}", Refused(400)),
    ("a hexadecimal length", "content-length: 0x15\r\n\r\n{body}", Refused(400)),
    ("a length with a space inside", "content-length: 2 1\r\n\r\n{body}", Refused(400)),
    ("an empty length", "content-length: \r\n\r\n{body}", Refused(400)),
    ("a length beyond 64 bits", "content-length: 18446744073709551637\r\n\r\n{body}", Refused(400)),
    // a length and chunks: RFC 9112 takes the chunks and closes
    ("length, then chunks", "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n{chunks}", FirstOnly),
    ("chunks, then length", "transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n{chunks}", FirstOnly),
    // codings that are none
    ("identity", "transfer-encoding: identity\r\ncontent-length: 21\r\n\r\n{body}", Refused(400)),
    ("chunks inside of something", "transfer-encoding: chunked, identity\r\n\r\n{chunks}", Refused(400)),
    ("a misspelt coding", "transfer-encoding: xchunked\r\ncontent-length: 21\r\n\r\n{body}", Refused(400)),
    ("a coding in quotes", "transfer-encoding: \"chunked\"\r\n\r\n{chunks}", Refused(400)),
    ("a coding behind a control character", "transfer-encoding: \x0bchunked\r\n\r\n{chunks}", Refused(400)),
    ("two codings, the last none", "transfer-encoding: chunked\r\ntransfer-encoding: x\r\n\r\n{chunks}", Refused(400)),
    // chunks that are none
    ("a chunk's size with a sign", "transfer-encoding: chunked\r\n\r\n+15\r\n{body}\r\n0\r\n\r\n", Refused(400)),
    ("a chunk's size with 0x", "transfer-encoding: chunked\r\n\r\n0x15\r\n{body}\r\n0\r\n\r\n", Refused(400)),
    ("a chunk without a size", "transfer-encoding: chunked\r\n\r\n\r\n{body}\r\n0\r\n\r\n", Refused(400)),
    (
        "a size that overflows",
        "transfer-encoding: chunked\r\n\r\n10000000000000015\r\n{body}\r\n0\r\n\r\n",
        Refused(400),
    ),
    ("a bare line feed behind a size", "transfer-encoding: chunked\r\n\r\n15\n{body}\r\n0\r\n\r\n", Refused(400)),
    ("a bare line feed behind a chunk", "transfer-encoding: chunked\r\n\r\n15\r\n{body}\n0\r\n\r\n", Refused(400)),
    (
        "a bare line feed in an extension",
        "transfer-encoding: chunked\r\n\r\n15;a\n\r\n{body}\r\n0\r\n\r\n",
        Refused(400),
    ),
    ("a chunk longer than its size", "transfer-encoding: chunked\r\n\r\n14\r\n{body}\r\n0\r\n\r\n", Refused(400)),
    // lines that are none
    ("a space before the colon", "content-length : 21\r\n\r\n{body}", Refused(400)),
    ("a tab before the colon", "transfer-encoding\t: chunked\r\ncontent-length: 21\r\n\r\n{body}", Refused(400)),
    ("a folded line", "x-a: 1\r\n content-length: 21\r\n\r\n{body}", Refused(400)),
    ("a folded coding", "transfer-encoding:\r\n chunked\r\n\r\n{chunks}", Refused(400)),
    ("a line without a colon", "content-length\r\n\r\n{body}", Refused(400)),
    ("a line without a name", ": 21\r\ncontent-length: 21\r\n\r\n{body}", Refused(400)),
    ("a bare carriage return in a value", "x-a: 1\rcontent-length: 21\r\n\r\n{body}", Refused(400)),
    ("a zero byte in a value", "x-a: 1\0\r\ncontent-length: 21\r\n\r\n{body}", Refused(400)),
    // whom it is for
    ("a second host", "host: other.test\r\ncontent-length: 21\r\n\r\n{body}", Refused(400)),
    ("the same host again", "host: creel.test\r\ncontent-length: 21\r\n\r\n{body}", Refused(400)),
    // what it would become
    (
        "an upgrade to HTTP/2",
        "upgrade: h2c\r\nhttp2-settings: AAMAAABk\r\nconnection: upgrade, http2-settings\r\ncontent-length: 21\r\n\r\n{body}",
        Both,
    ),
    ("an upgrade to a socket", "upgrade: websocket\r\nconnection: upgrade\r\ncontent-length: 21\r\n\r\n{body}", Both),
];

/// The lines of a genuine request that prove it, and those about its length.
fn genuine(url: &str, path: &str, id: &str, rest: &str) -> String {
    let mut head = format!("POST {path} HTTP/1.1\r\nhost: creel.test\r\n");
    proof(&mut head, url, id);
    head + rest
}

fn proof(head: &mut String, url: &str, id: &str) {
    for (name, value) in Webhook::json("standard-webhooks", SECRET, id, BODY).credentials(url).headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
}

/// Writes it all at once and gives the statuses that come back until the host closes.
async fn told(host: &Host, text: &str) -> Vec<u16> {
    let mut wire = Wire::connect(host.ingress).await;
    wire.write(text.as_bytes()).await;
    wire.statuses().await
}

/// The ids that the sender gave to the events that were stored, oldest first.
async fn stored(tenant: &Tenant) -> Vec<String> {
    let events = tenant.events().await;
    events.into_iter().rev().map(|event| event.provider_id.expect("its id")).collect()
}

fn short(config: &mut Config) {
    (config.ingress.header_timeout_ms, config.ingress.body_timeout_ms) = (5_000, 5_000);
}

/// Plays every case on a source of its own: the first request as `first` makes it of the case's text, for a URL, a path
/// and an id, with a genuine one behind it.
async fn play(cases: &[(&str, &str, End)], first: impl Fn(&str, &str, &str, &str) -> String) {
    let host = Host::with(short).await;
    let tenant = host.tenant("shop").await;
    let mut wrong = Vec::new();
    for (number, (what, odd, end)) in cases.iter().enumerate() {
        let path = tenant.source(&format!("orders-{number}"), "standard-webhooks", SECRET).await;
        let url = host.url(&path);
        let (one, two) = (format!("first-{number}"), format!("second-{number}"));
        let before = stored(&tenant).await.len();
        let behind = genuine(&url, &path, &two, &format!("connection: close\r\ncontent-length: 21\r\n\r\n{BODY}"));
        let seen =
            (told(&host, &(first(odd, &url, &path, &one) + &behind)).await, stored(&tenant).await.split_off(before));
        let expected = match end {
            Refused(status) => (vec![*status], Vec::new()),
            Closed => (Vec::new(), Vec::new()),
            FirstOnly => (vec![200], vec![one]),
            Both => (vec![200, 200], vec![one, two]),
        };
        if seen != expected {
            wrong.push(format!("{what}: {seen:?} instead of {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_hides_another() {
    play(FRAMES, |frame, url, path, id| {
        let frame = frame.replace("{chunks}", "15\r\n{body}\r\n0\r\n\r\n").replace("{body}", BODY);
        genuine(url, path, id, &frame)
    })
    .await;
}

/// First lines, with a genuine rest behind them.
const FIRST_LINES: &[(&str, &str, End)] = &[
    ("as it should be", "POST {path} HTTP/1.1\r\nhost: creel.test", Both),
    ("an absolute target", "POST http://creel.test{path} HTTP/1.1\r\nhost: creel.test", Both),
    ("an absolute target of another host", "POST http://other.test{path} HTTP/1.1\r\nhost: creel.test", Both),
    ("empty lines before", "\r\n\r\nPOST {path} HTTP/1.1\r\nhost: creel.test", Both),
    ("lines that end with a line feed", "POST {path} HTTP/1.1\nhost: creel.test", Both),
    ("no host", "POST {path} HTTP/1.1", Refused(400)),
    ("no host, HTTP/1.0", "POST {path} HTTP/1.0", FirstOnly),
    ("chunks in HTTP/1.0", "POST {path} HTTP/1.0\r\ntransfer-encoding: chunked", Refused(400)),
    ("two spaces", "POST  {path} HTTP/1.1\r\nhost: creel.test", Refused(400)),
    ("a tab", "POST\t{path} HTTP/1.1\r\nhost: creel.test", Refused(400)),
    ("a space in the target", "POST {path} x HTTP/1.1\r\nhost: creel.test", Refused(400)),
    ("a line feed in the target", "POST {path}\nx HTTP/1.1\r\nhost: creel.test", Refused(400)),
    ("no version", "POST {path}\r\nhost: creel.test", Refused(400)),
    ("HTTP/0.9", "POST {path} HTTP/0.9\r\nhost: creel.test", Refused(400)),
    ("HTTP/1.2", "POST {path} HTTP/1.2\r\nhost: creel.test", Refused(400)),
    ("HTTP/3", "POST {path} HTTP/3.0\r\nhost: creel.test", Refused(400)),
    ("the beginning of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nPOST {path} HTTP/1.1\r\nhost: creel.test", Closed),
    ("no target", "POST HTTP/1.1\r\nhost: creel.test", Refused(400)),
    ("a relative target", "POST in/x HTTP/1.1\r\nhost: creel.test", Refused(400)),
    ("a tunnel", "CONNECT creel.test:80 HTTP/1.1\r\nhost: creel.test", Refused(405)),
    ("a method that is no word", "PO(ST {path} HTTP/1.1\r\nhost: creel.test", Refused(400)),
];

#[tokio::test(flavor = "multi_thread")]
async fn no_first_line_is_read_in_two_ways() {
    play(FIRST_LINES, |lines, url, path, id| {
        let mut text = lines.replace("{path}", path) + "\r\n";
        proof(&mut text, url, id);
        text + &format!("content-length: {}\r\n\r\n{BODY}", BODY.len())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_body_is_asked_for_only_when_it_is_wanted() {
    let host = Host::open().await;
    let tenant = host.tenant("shop").await;
    let path = tenant.source("orders", "standard-webhooks", SECRET).await;
    let url = host.url(&path);

    let mut wire = Wire::connect(host.ingress).await;
    let head = "expect: 100-continue\r\nconnection: close\r\ncontent-length: 21\r\n\r\n";
    wire.write(genuine(&url, &path, "asked", head).as_bytes()).await;
    assert!(wire.line().await.starts_with("HTTP/1.1 100 "));
    wire.write(BODY.as_bytes()).await;
    assert_eq!(wire.statuses().await, [200]);

    let mut wire = Wire::connect(host.ingress).await;
    wire.head("/in/nowhere", &["expect: 100-continue", "connection: close", "content-length: 21"]).await;
    assert_eq!(wire.statuses().await, [404], "no body is asked for");
    assert_eq!(stored(&tenant).await, ["asked"]);
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_that_nothing_more_comes_is_answered() {
    let host = Host::open().await;
    let tenant = host.tenant("shop").await;
    let path = tenant.source("orders", "standard-webhooks", SECRET).await;
    let mut wire = Wire::connect(host.ingress).await;
    let rest = format!("content-length: {}\r\n\r\n{BODY}", BODY.len());
    wire.write(genuine(&host.url(&path), &path, "last", &rest).as_bytes()).await;
    wire.says_nothing_more().await;
    assert_eq!(wire.statuses().await, [200]);
    assert_eq!(stored(&tenant).await, ["last"]);
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_unpacked() {
    let host = Host::open().await;
    let tenant = host.tenant("shop").await;
    let path = tenant.source("orders", "standard-webhooks", SECRET).await;
    for (number, encoding) in ["gzip", "GZIP", "deflate", "br", "zstd", "identity, gzip", "x"].iter().enumerate() {
        let packed = Webhook::json("standard-webhooks", SECRET, &format!("packed-{number}"), BODY);
        let answer = host.send(&path, &packed.header("content-encoding", encoding)).await;
        assert_eq!(answer.status, 415, "{encoding}");
        assert!(answer.body.contains("`content-encoding`"), "{}", answer.body);
    }
    let plain = Webhook::json("standard-webhooks", SECRET, "plain", BODY).header("content-encoding", "identity");
    assert_eq!(host.send(&path, &plain).await.status, 200);
    let refusals = tenant.refusals().await;
    assert!(refusals.iter().all(|refusal| refusal.reason == "compressed"), "{refusals:#?}");
    assert!(refusals[6].detail.contains("`gzip`"), "{}", refusals[6].detail);
    assert_eq!(stored(&tenant).await, ["plain"]);
    host.finish().await;
}

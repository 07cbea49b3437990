//! Whoever connects: how many, for how long, with how much; and ten thousand bad requests against the program itself.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::harness::host::{Host, client};
use crate::harness::process::{Place, Process};
use crate::harness::receiver::Receiver;
use crate::harness::sender::Webhook;
use crate::harness::tenant::Tenant;
use crate::harness::wait::until;
use crate::harness::wire::Wire;

/// What the genuine are signed with.
pub(crate) const SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS1vcmRlcnMtMDAwMDE=";

/// Another address of this machine.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

fn order(id: &str) -> Webhook {
    Webhook::json("standard-webhooks", SECRET, id, r#"{"type":"order.paid"}"#)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_ask_is_not_waited_for() {
    let host = Host::with(|config| config.ingress.header_timeout_ms = 100).await;
    let silent = Wire::connect(host.ingress).await;
    assert_eq!(silent.statuses().await, [0; 0]);
    let mut slow = Wire::connect(host.ingress).await;
    slow.write(b"POST /in/x HTTP/1.1\r\nhost: creel.test\r\nx-slow: ").await;
    let told = slow.statuses().await;
    assert!(told.is_empty() || told == [408], "{told:?}");
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_answered_and_sends_no_more_holds_no_place() {
    let host = Host::open().await;
    let began = std::time::Instant::now();
    let mut silent = Wire::connect(host.ingress).await;
    silent.head("/in/nobody", &["content-length: 1000000"]).await;
    silent.write(b"the beginning").await;
    assert_eq!(silent.statuses().await, [404]);
    // Two seconds of silence are enough; it was the whole of the time that a slow sender is given.
    assert!(began.elapsed().as_secs() < 9, "{:?}", began.elapsed());
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_does_not_take_every_connection() {
    let host = Host::with(|config| {
        (config.ingress.connections_max, config.ingress.connections_per_address_max) = (3, 2);
    })
    .await;
    let mut held = Vec::new();
    for from in [Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST, ELSEWHERE] {
        if held.len() == 2 {
            let third = Wire::connect_from(Ipv4Addr::LOCALHOST, host.ingress).await;
            assert_eq!(third.statuses().await, [503], "one address has had its places");
        }
        let mut wire = Wire::connect_from(from, host.ingress).await;
        wire.write(b"GET /nowhere HTTP/1.1\r\nhost: creel.test\r\n\r\n").await;
        assert!(wire.line().await.starts_with("HTTP/1.1 404 "), "{from} has its place");
        held.push(wire);
    }
    let full = Wire::connect_from(Ipv4Addr::new(127, 0, 0, 3), host.ingress).await;
    assert_eq!(full.statuses().await, [503], "all places are taken");
    held.clear();
    let again = || async {
        let mut wire = Wire::connect(host.ingress).await;
        wire.write(b"GET /nowhere HTTP/1.1\r\nhost: creel.test\r\nconnection: close\r\n\r\n").await;
        wire.statuses().await
    };
    until("a place", again, |statuses| *statuses == [404]).await;
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_under_way_share_what_memory_there_is() {
    let host = Host::with(|config| {
        (config.ingress.body_bytes_max, config.ingress.in_flight_body_bytes_max) = (1 << 20, 1 << 20);
    })
    .await;
    let tenant = host.tenant("shop").await;
    let path = tenant.source("orders", "standard-webhooks", SECRET).await;
    let mut slow = Wire::connect(host.ingress).await;
    slow.head(&path, &["connection: close", "content-length: 900000"]).await;
    slow.write(&[b'x'; 899_999]).await;
    // Who asks first holds nothing, and is told whether there is room.
    let asked = || async {
        let mut asking = Wire::connect(host.ingress).await;
        asking.head(&path, &["expect: 100-continue", "content-length: 300000"]).await;
        asking.line().await
    };
    until("too many bytes under way", asked, |line| line.starts_with("HTTP/1.1 503 ")).await;
    assert_eq!(host.send(&path, &order("small")).await.status, 200, "what fits is served");
    slow.write(b"x").await;
    assert_eq!(slow.statuses().await, [401]);
    let large = format!(r#"{{"type":"order.paid","more":"{}"}}"#, "x".repeat(300_000));
    let large = Webhook::json("standard-webhooks", SECRET, "large", large);
    assert_eq!(host.send(&path, &large).await.status, 200, "there is room again");
    host.finish().await;
}

/// How many bad requests.
const BAD_MAX: usize = 10_000;

/// So many of them before memory is looked at: by then every buffer and table has been used.
const WARM: usize = 3_000;

/// So many at a time, and so many addresses.
const CROWD: u8 = 64;

/// For so many bad requests there is a genuine one.
const BAD_PER_GOOD: usize = 25;

/// How much the process may grow by the others: a leak of 4 KiB each would be 27 MiB.
const GROWTH_KIB_MAX: u64 = 12 * 1_024;

/// Pseudo-random, the same in every run.
fn noise(seed: usize, length: usize) -> Vec<u8> {
    let mut state = (seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

/// The beginning of a TLS handshake: a record that announces more than comes.
fn hello(number: usize) -> Vec<u8> {
    let mut bytes = vec![0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03];
    bytes.extend(noise(number, number % 200));
    bytes
}

/// What a sender does when it has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// It goes away at once.
    Goes,
    /// It reads the first answer and goes.
    Reads,
    /// It waits until the host closes.
    Waits,
}

/// One bad request of many kinds, and what its sender does then.
fn bad(number: usize, path: &str) -> (Vec<u8>, Then) {
    let kind = number % 17;
    let post = |rest: &str| format!("POST {path} HTTP/1.1\r\nhost: creel.test\r\n{rest}").into_bytes();
    let bytes = match kind {
        0 => noise(number, 1 + number % 900),
        1 => hello(number),
        2 => post("x-slow: "),
        3 => post("content-length: 1000\r\n\r\n{\"type\":"),
        4 => post(&format!("x-giant: {}\r\n\r\n", "y".repeat(60_000))),
        5 => post(&(0..200).map(|n| format!("x-{n}: 1\r\n")).chain(["\r\n".to_owned()]).collect::<String>()),
        6 => format!("BREW {path} HTTP/1.1\r\nhost: creel.test\r\nconnection: close\r\n\r\n").into_bytes(),
        7 => format!("DELETE {path} HTTP/1.1\r\nhost: creel.test\r\nconnection: close\r\n\r\n").into_bytes(),
        8 => post("transfer-encoding: chunked\r\n\r\nzz\r\n\r\n"),
        9 => post("content-length: 5\r\ncontent-length: 6\r\n\r\nhello"),
        10 => post("connection: close\r\ncontent-length: 2\r\n\r\n{}"),
        11 => post("connection: close\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\n\x1f\u{b}\x08\x00"),
        12 => post("connection: close\r\ncontent-length: 99999999999\r\n\r\n"),
        13 => {
            format!("GET /{}/%ff%00 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "a".repeat(3_000)).into_bytes()
        }
        14 => [post("x: ").as_slice(), &noise(number, 300), b"\r\n\r\n"].concat(),
        15 => b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        _ => post("transfer-encoding: chunked\r\nconnection: close\r\n\r\nffffffff\r\n"),
    };
    let then = match kind {
        _ if number.is_multiple_of(5) => Then::Goes,
        // One of these in four waits until the host has lost its patience.
        2 | 3 | 16 if !number.is_multiple_of(4) => Then::Goes,
        // The host would read for a while what it has refused.
        12 => Then::Reads,
        _ => Then::Waits,
    };
    (bytes, then)
}

/// What the crowd goes for.
struct Target {
    doors: [SocketAddr; 2],
    path: String,
    good: reqwest::Client,
}

impl Target {
    /// Sends one bad request and gives the answers, if its sender waits for any; and a genuine one after so many of them.
    async fn visit(self: Arc<Self>, from: Ipv4Addr, number: usize) -> Vec<u16> {
        let (bytes, then) = bad(number, &self.path);
        let mut wire = Wire::connect_from(from, self.doors[usize::from(number % 4 == 3)]).await;
        wire.write_what_is_taken(&bytes).await;
        let told = match then {
            Then::Goes => Vec::new(),
            Then::Reads => vec![wire.line().await[9..12].parse().expect("a status")],
            Then::Waits => wire.statuses().await,
        };
        if number.is_multiple_of(BAD_PER_GOOD) {
            serve(&self.good, &format!("http://{}{}", self.doors[0], self.path), number).await;
        }
        told
    }
}

/// Sends one genuine request, which has to be taken.
///
/// On a connection of its own: one that has been idle for as long as the host allows may end under a request.
pub(crate) async fn serve(client: &reqwest::Client, url: &str, number: usize) {
    let request = order(&format!("good-{number}")).request(client, url).header("connection", "close");
    let answer = request.send().await.expect("a good client is served");
    assert_eq!(answer.status().as_u16(), 200, "beside bad request {number}");
}

/// Makes all these visits, many at a time, each from an address of this machine; gives what they were told.
pub(crate) async fn crowd<F>(numbers: std::ops::Range<usize>, visit: impl Fn(Ipv4Addr, usize) -> F) -> Vec<u16>
where
    F: Future<Output = Vec<u16>> + Send + 'static,
{
    let mut crowd = JoinSet::new();
    let mut told = Vec::new();
    for number in numbers {
        if crowd.len() == usize::from(CROWD) {
            told.push(crowd.join_next().await);
        }
        let one = u8::try_from(number % usize::from(CROWD)).expect("a small number") + 1;
        crowd.spawn(visit(Ipv4Addr::new(127, 0, 1, one), number));
    }
    let told = told.into_iter().flatten().map(|visit| visit.expect("a visit does not panic"));
    told.chain(crowd.join_all().await).flatten().collect()
}

/// What a process has in memory, KiB.
pub(crate) fn resident_kib(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).expect("this is Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_bad_requests_cost_nobody_anything() {
    let receiver = Receiver::start().await;
    let place = Place::new(&receiver).await;
    // Short, and still long enough for a good client beside the crowd on a busy machine.
    let short = [("CREEL_INGRESS_HEADER_TIMEOUT_MS", "2000"), ("CREEL_INGRESS_BODY_TIMEOUT_MS", "2000")];
    let process = place.start(&[], &short).await;
    let tenant = Tenant::make_over(&process.api, "shop").await;
    let path = tenant.source("orders", "standard-webhooks", SECRET).await;
    let target = Arc::new(Target { doors: [process.ingress, process.admin()], path, good: client() });
    let visit = |from, number| target.clone().visit(from, number);
    let mut told = crowd(0..WARM, visit).await;
    let before = resident_kib(&process);
    told.extend(crowd(WARM..BAD_MAX, visit).await);
    let after = resident_kib(&process);

    let answers = told.len();
    told.sort_unstable();
    told.dedup();
    println!("{answers} answers of {told:?}; {before} KiB, then {after} KiB");
    assert!(told.iter().all(|status| (400..500).contains(status)), "{told:?}");
    assert!(after < before + GROWTH_KIB_MAX, "{before} KiB have become {after} KiB");
    assert_eq!(tenant.events().await.len(), 200, "a whole page of genuine ones");
    ends_well(process).await;
}

/// Nothing has panicked, and it stops when it is told to.
pub(crate) async fn ends_well(process: Process) {
    let panics: Vec<_> = process.everything_said().into_iter().filter(|said| said.contains("panic")).collect();
    assert!(panics.is_empty(), "{panics:#?}");
    process.signal("TERM").await;
    let (ended, _log) = process.ended().await;
    assert!(ended.success(), "{ended}");
}

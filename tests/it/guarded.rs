//! Where no call goes, through the public doors: every way to write an address that is not for tenants is tried as a saved
//! destination, through the real client and as the target of a look-up, while somebody listens at the addresses that it would lead to. Nobody ever
//! connects there, whatever a name leads to when it is asked again.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use creel_server::api::Problem;
use creel_server::egress::{Egress, EgressError, HttpClient as _, Lookup, OutgoingRequest};
use creel_server::guard::{Guard, range_of};
use creel_webhook::clock::Timestamp;
use creel_webhook::id::DestinationId;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use url::Url;

use crate::harness::guests::guest;
use crate::harness::host::Host;
use crate::harness::sender::Webhook;

/// Every host of the table with the word of its reason.
fn hosts() -> Vec<(&'static str, &'static str)> {
    let lines = include_str!("../cases/guard/hosts.txt").lines().filter(|line| !line.is_empty());
    let read = |line: &'static str| line.split_once(char::is_whitespace).map(|(host, why)| (host, why.trim()));
    lines.filter(|line| !line.starts_with('#')).map(|line| read(line).expect("a host and a word")).collect()
}

/// An address of this machine that is no loopback address and not for calls.
async fn private_address() -> Option<IpAddr> {
    for (here, there) in [("0.0.0.0:0", "192.0.2.1:9"), ("[::]:0", "[2001:db8::1]:9")] {
        let Ok(socket) = UdpSocket::bind(here).await else { continue };
        // Of a datagram socket this sends nothing: it only chooses the way.
        if socket.connect(there).await.is_ok() {
            let address = socket.local_addr().expect("it is bound").ip();
            if range_of(address).is_some() && !address.is_loopback() {
                return Some(address);
            }
        }
    }
    None
}

/// Somebody at each address that a call must not reach.
async fn traps() -> Vec<TcpListener> {
    let mut traps = Vec::new();
    let addresses = [Some(Ipv4Addr::LOCALHOST.into()), Some(Ipv6Addr::LOCALHOST.into()), private_address().await];
    for address in addresses.into_iter().flatten() {
        traps.push(TcpListener::bind((address, 0)).await.unwrap_or_else(|error| panic!("{address}: {error}")));
    }
    traps
}

/// Nobody has connected: a connection of our own is the first.
async fn untouched(trap: &TcpListener) -> bool {
    let mine = TcpStream::connect(trap.local_addr().unwrap()).await.unwrap();
    trap.accept().await.unwrap().1 == mine.local_addr().unwrap()
}

fn request(url: Url) -> OutgoingRequest {
    OutgoingRequest {
        pool: DestinationId::new(Timestamp::from_millis(0), [1; 10]),
        method: Method::POST,
        url,
        headers: Default::default(),
        body: Some("{}".into()),
        connect_timeout_ms: 5_000,
        timeout_ms: 10_000,
        response_bytes_max: 1_000,
        tls: None,
        grant: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_way_to_write_an_address_gets_through() {
    let (hosts, traps) = (hosts(), traps().await);
    assert!(hosts.len() > 100 && traps.len() >= 2, "{} hosts, {} traps", hosts.len(), traps.len());
    let host = Host::with(|config| (config.egress_allow, config.egress_https_only) = (Vec::new(), false)).await;
    let tenant = host.tenant("shop").await;
    let egress = Egress::new(Arc::new(Guard::new(Vec::new(), false))).unwrap();
    let mut wrong = Vec::new();
    for (written, why) in &hosts {
        for trap in &traps {
            let url = format!("http://{written}:{}/hook", trap.local_addr().unwrap().port());
            let path = tenant.path("destinations/crm");
            let (status, text) = tenant.api.ask(Method::PUT, &path, Some(&json!({ "url": url }))).await;
            let problem: Option<Problem> = serde_json::from_str(&text).ok();
            let said = problem.map(|problem| problem.errors.into_iter().map(|one| one.detail).collect::<String>());
            if status != 422 || !said.is_some_and(|said| *why == "-" || said.contains(why)) {
                wrong.push(format!("saving {url}: {status} {text}"));
            }
            let Ok(url) = Url::parse(&url) else { continue };
            match egress.send(request(url.clone())).await {
                Err(EgressError::Denied(reason)) if reason.contains(why) => {}
                other => wrong.push(format!("sending to {written} as {url}: {other:?}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for trap in &traps {
        assert!(untouched(trap).await, "somebody reached {trap:?}");
    }
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_look_up_gets_through_either() {
    let traps = traps().await;
    let host = Host::with(|config| (config.egress_allow, config.egress_https_only) = (Vec::new(), false)).await;
    let tenant = host.tenant("shop").await;
    let source = tenant.source("vapi", "vapi-hmac", "vapi-key").await;
    tenant.destination("crm", json!({ "url": "https://crm.example" })).await;
    let settings = json!({ "destination": "crm", "path": "/x" });
    tenant.deploy_with("desk", guest("looks-up"), settings, json!({ "fetch": { "crm": [] } })).await;
    tenant.reply_route("vapi", "desk").await;
    let mut crm = host.store().control_read().await.unwrap().destinations.remove(0);
    let mut wrong = Vec::new();
    for (number, (written, why)) in hosts().iter().enumerate() {
        let trap = &traps[number % traps.len()];
        let url = format!("http://{written}:{}", trap.local_addr().unwrap().port());
        if Url::parse(&url).is_err() {
            continue;
        }
        // As if it had been saved by a host that knew less.
        crm.spec.url = url;
        host.store().destination_put(crm.clone()).await.unwrap();
        let body = json!({ "message": { "type": "assistant-request", "call": { "id": format!("c{number}") } } });
        let told = host.send(&source, &Webhook::json("vapi-hmac", "vapi-key", "", body.to_string())).await;
        let answers: Value = serde_json::from_str(&told.body).unwrap_or_default();
        if !answers[0]["error"].as_str().is_some_and(|error| error.contains(why)) {
            wrong.push(format!("looking up at {written}: {told:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for trap in &traps {
        assert!(untouched(trap).await, "somebody reached {trap:?}");
    }
    host.finish().await;
}

/// A resolver that answers so, one answer for each time that it is asked.
fn answering(answers: Vec<Vec<IpAddr>>) -> (Lookup, Arc<Mutex<VecDeque<Vec<IpAddr>>>>) {
    let left = Arc::new(Mutex::new(VecDeque::from(answers)));
    let answers = left.clone();
    let lookup: Lookup = Arc::new(move |_, port| {
        let next = answers.lock().unwrap().pop_front();
        Box::pin(async move {
            let next = next.ok_or_else(|| std::io::Error::other("nobody should ask again"))?;
            Ok(next.into_iter().map(|address| SocketAddr::new(address, port)).collect())
        })
    });
    (lookup, left)
}

/// Takes one connection and answers one request on it, then closes it.
async fn answer_once(listener: &TcpListener) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut read = [0; 4_096];
    let _ = stream.read(&mut read).await.unwrap();
    stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_leads_elsewhere_when_asked_again_leads_nowhere() {
    let traps = traps().await;
    let good_address: IpAddr = Ipv4Addr::new(127, 0, 0, 77).into();
    for trap in &traps {
        let trapped = trap.local_addr().unwrap();
        let good = TcpListener::bind((good_address, trapped.port())).await.unwrap();
        let allow = vec![good_address.to_string().parse().unwrap()];
        let guard = Arc::new(Guard::new(allow, true));
        // The first connection goes where it may; every further one asks again, and is told of the trap.
        let mixed = vec![trapped.ip(), good_address];
        let (lookup, left) = answering(vec![vec![good_address], vec![trapped.ip()], mixed]);
        let egress = Egress::with_lookup(guard, lookup).unwrap();
        let url: Url = format!("http://flips.example:{}/hook", trapped.port()).parse().unwrap();
        let send = || egress.send(request(url.clone()));
        let (first, ()) = tokio::join!(send(), answer_once(&good));
        assert_eq!(first.unwrap().status.as_u16(), 204);
        assert_eq!(left.lock().unwrap().len(), 2, "one look-up for one connection: none between check and use");
        let denied = send().await.unwrap_err();
        assert!(matches!(&denied, EgressError::Denied(reason) if reason.contains("flips.example")), "{denied}");
        // Of several addresses only those are used that may be.
        let (mixed, ()) = tokio::join!(send(), answer_once(&good));
        assert_eq!(mixed.unwrap().status.as_u16(), 204);
        assert!(untouched(trap).await, "somebody reached {trapped}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_may_lead_to_no_address_of_the_table() {
    let traps = traps().await;
    let addresses: Vec<IpAddr> = hosts()
        .iter()
        .filter_map(|(host, _)| host.trim_matches(['[', ']']).parse().ok())
        .chain(traps.iter().map(|trap| trap.local_addr().unwrap().ip()))
        .collect();
    assert!(addresses.len() > 60, "{}", addresses.len());
    for trap in &traps {
        for address in &addresses {
            let (lookup, _) = answering(vec![vec![*address]]);
            let egress = Egress::with_lookup(Arc::new(Guard::new(Vec::new(), false)), lookup).unwrap();
            let url = format!("http://public.example:{}/hook", trap.local_addr().unwrap().port());
            let denied = egress.send(request(url.parse().unwrap())).await.unwrap_err();
            assert!(matches!(&denied, EgressError::Denied(_)), "{address}: {denied}");
            assert!(!denied.to_string().contains(&address.to_string()), "what a name leads to is not told: {denied}");
        }
        assert!(untouched(trap).await, "somebody reached {trap:?}");
    }
}

//! Thousands of handshakes that break off or are none, against the program itself.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use creel_server::tls;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;

use crate::encrypted::sender;
use crate::harness::authority::Authority;
use crate::harness::process::Place;
use crate::harness::receiver::Receiver;
use crate::harness::tenant::Tenant;
use crate::harness::wire::Wire;
use crate::strangers::{SECRET, crowd, ends_well, resident_kib, serve};

/// How many of them.
const BROKEN_MAX: usize = 2_000;

/// So many of them before memory is looked at.
const WARM: usize = 1_000;

/// For so many there is a genuine request.
const BROKEN_PER_GOOD: usize = 20;

/// How much the process may grow by the others: a leak of 8 KiB each would be 8 MiB, and a table may grow once.
const GROWTH_KIB_MAX: u64 = 6 * 1_024;

struct Target {
    door: SocketAddr,
    url: String,
    tls: Arc<rustls::ClientConfig>,
    good: reqwest::Client,
}

fn name() -> ServerName<'static> {
    ServerName::try_from("127.0.0.1").expect("an address")
}

impl Target {
    /// The first flight of a genuine handshake.
    fn hello(&self) -> Vec<u8> {
        let mut hello = Vec::new();
        let mut genuine = rustls::ClientConnection::new(self.tls.clone(), name()).expect("a client");
        genuine.write_tls(&mut hello).expect("memory takes it");
        hello
    }

    /// What somebody sends who will not have a whole handshake.
    fn broken(&self, number: usize) -> Vec<u8> {
        let (mut bytes, place) = (self.hello(), number / 5);
        let length = bytes.len();
        match number % 5 {
            0 => bytes.truncate(place % length),
            1 => bytes[place % length] ^= 0x55,
            2 => bytes.extend([0x16, 0x03, 0x03, 0x40, 0x00, 0x42]),
            3 => bytes = b"POST / HTTP/1.1\r\nhost: creel.test\r\n\r\n".to_vec(),
            _ => bytes.extend_from_within(..place % length),
        }
        bytes
    }

    /// Shakes hands, and breaks off within the first record that would carry a request.
    async fn cut_off(&self) {
        let stream = TcpStream::connect(self.door).await.expect("the host takes connections");
        let shaken = tokio_rustls::TlsConnector::from(self.tls.clone()).connect(name(), stream).await;
        let (stream, _) = shaken.expect("it is trusted").into_inner();
        Wire::over(stream).write_what_is_taken(&[0x17, 0x03, 0x03, 0x01, 0x00, 0x99, 0x98]).await;
    }

    async fn visit(self: Arc<Self>, from: Ipv4Addr, number: usize) -> Vec<u16> {
        if number.is_multiple_of(9) {
            self.cut_off().await;
        } else {
            let mut wire = Wire::connect_from(from, self.door).await;
            wire.write_what_is_taken(&self.broken(number)).await;
            if number.is_multiple_of(7) {
                // Until the host has lost its patience.
                wire.rest().await;
            }
        }
        if number.is_multiple_of(BROKEN_PER_GOOD) {
            serve(&self.good, &self.url, number).await;
        }
        Vec::new()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_broken_handshakes_cost_nobody_anything() {
    let receiver = Receiver::start().await;
    let place = Place::new(&receiver).await;
    let (directory, authority) = (tempfile::tempdir().unwrap(), Authority::new("the shop's own"));
    let files = authority.issue("creel", &["127.0.0.1"]).files(directory.path());
    let environment = [
        ("CREEL_INGRESS_TLS_CERTIFICATE_FILE", files.certificate.to_str().unwrap()),
        ("CREEL_INGRESS_TLS_KEY_FILE", files.key.to_str().unwrap()),
        ("CREEL_INGRESS_HEADER_TIMEOUT_MS", "2000"),
    ];
    let process = place.start(&[], &environment).await;
    let tenant = Tenant::make_over(&process.api, "shop").await;
    let path = tenant.source("orders", "standard-webhooks", SECRET).await;
    let good = sender(&authority, directory.path());
    let roots = tls::roots_of(&authority.file(directory.path())).unwrap();
    let shaking = Arc::new(tls::client(roots).unwrap().with_no_client_auth());
    let (door, url) = (process.ingress, format!("https://{}{path}", process.ingress));
    let target = Arc::new(Target { door, url, tls: shaking, good });
    let visit = |from, number| target.clone().visit(from, number);

    crowd(0..WARM, visit).await;
    let before = resident_kib(&process);
    crowd(WARM..BROKEN_MAX, visit).await;
    let after = resident_kib(&process);
    println!("{before} KiB, then {after} KiB");
    assert!(after < before + GROWTH_KIB_MAX, "{before} KiB have become {after} KiB");
    assert_eq!(tenant.events().await.len(), BROKEN_MAX / BROKEN_PER_GOOD, "every genuine one");
    ends_well(process).await;
}

//! Both listeners in TLS: who trusts the certificate is served, a renewed one is taken while the host runs, and whoever
//! does not shake hands keeps nobody waiting.

use std::path::Path;
use std::sync::Arc;

use creel_server::api::{SecretView, SourceView};
use creel_server::app::{App, Surroundings};
use creel_server::cli::client::{Client, ClientError};
use creel_server::cli::init;
use creel_server::config::Config;
use creel_server::shutdown::Shutdown;
use creel_server::system::{Entropy, SystemClock};
use creel_server::tls::{self, Tls};
use rustls::pki_types::ServerName;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::harness::authority::{Authority, put};
use crate::harness::process::Place;
use crate::harness::receiver::Receiver;
use crate::harness::sender::Webhook;
use crate::harness::wait::until;
use crate::harness::wire::Wire;

const SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS1vcmRlcnMtMDAwMDE=";

/// A host whose listeners both speak TLS.
struct Encrypted {
    directory: tempfile::TempDir,
    authority: Authority,
    operator: String,
    ingress: std::net::SocketAddr,
    admin: String,
    shutdown: Shutdown,
    serving: JoinHandle<anyhow::Result<()>>,
}

impl Encrypted {
    async fn open(change: impl FnOnce(&mut Config)) -> Encrypted {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::new("the shop's own");
        let files = authority.issue("creel", &["127.0.0.1"]).files(directory.path());
        let mut config = Config::in_directory(&directory.path().join("data"));
        config.ingress.listen.set_port(0);
        config.admin.listen.set_port(0);
        (config.runtime.concurrent_runs, config.runtime.reply_slots) = (1, 1);
        (config.ingress.tls, config.admin.tls) = (Some(files.clone()), Some(files));
        change(&mut config);
        let (clock, entropy) = (Arc::new(SystemClock::new()), Arc::new(Entropy::seeded(7)));
        let operator = init::initialise(&config, &entropy, clock.as_ref()).await.unwrap();
        let around = Surroundings { clock, entropy, client: None, compile_command: None };
        let app = App::open(config, around).await.unwrap();
        let (ingress, admin) = (app.ingress_addr().unwrap(), format!("https://{}", app.admin_addr().unwrap()));
        let shutdown = Shutdown::new();
        let serving = tokio::spawn(app.serve(shutdown.clone()));
        let operator = operator.to_string();
        Encrypted { directory, authority, operator, ingress, admin, shutdown, serving }
    }

    fn client(&self) -> Client {
        let trusted = self.authority.file(self.directory.path());
        Client::trusting(&self.admin, &self.operator, Some(&trusted)).unwrap()
    }

    async fn finish(self) {
        self.shutdown.begin();
        self.serving.await.unwrap().unwrap();
    }
}

/// A client for senders that trust an authority.
pub(crate) fn sender(authority: &Authority, directory: &Path) -> reqwest::Client {
    let roots = tls::roots_of(&authority.file(directory)).unwrap();
    let tls = tls::client(roots).unwrap().with_no_client_auth();
    reqwest::Client::builder().no_proxy().tls_backend_preconfigured(tls).build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_trusts_the_certificate_is_served() {
    let host = Encrypted::open(|_| {}).await;
    let client = host.client();
    client.tenant_put("shop", &json!({})).await.unwrap();
    let shop = client.tenant("shop");
    shop.put::<SecretView>("orders", &json!({ "value": SECRET })).await.unwrap();
    let source = json!({ "preset": "standard-webhooks", "secrets": ["orders"] });
    let source = shop.put::<SourceView>("orders", &source).await.unwrap().resource;
    assert_eq!(source.url, format!("https://{}{}", host.ingress, source.path));

    let order = Webhook::json("standard-webhooks", SECRET, "msg_1", r#"{"type":"order.paid"}"#);
    let http = sender(&host.authority, host.directory.path());
    assert_eq!(order.request(&http, &source.url).send().await.unwrap().status().as_u16(), 200);

    let strangers = Client::new(&host.admin, &host.operator).unwrap().whoami().await.unwrap_err();
    assert!(
        matches!(&strangers, ClientError::Unreachable { reason, .. } if reason.contains("certificate")),
        "{strangers}"
    );
    let listed = async |trusted: &[&str]| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_creel"));
        command.env_clear().env("CREEL_URL", &host.admin).env("CREEL_KEY", &host.operator).env("CREEL_TENANT", "shop");
        command.args(trusted).args(["--json", "sources"]).output().await.expect("the program runs").status.code()
    };
    let trusted = host.authority.file(host.directory.path());
    assert_eq!(listed(&["--ca-file", trusted.to_str().unwrap()]).await, Some(0));
    assert_eq!(listed(&[]).await, Some(5), "nobody answers whom it trusts");
    let mut plain = Wire::connect(host.ingress).await;
    plain.write(b"GET / HTTP/1.1\r\nhost: creel.test\r\n\r\n").await;
    assert_eq!(plain.statuses().await, [0; 0], "nothing is said in plain");
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_shake_hands_has_a_place_for_a_while_and_no_more() {
    let host = Encrypted::open(|config| {
        config.ingress.header_timeout_ms = 300;
        config.ingress.connections_per_address_max = 2;
    })
    .await;
    let (silent, mut half) = (Wire::connect(host.ingress).await, Wire::connect(host.ingress).await);
    half.write(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).await;
    assert_eq!(Wire::connect(host.ingress).await.statuses().await, [0; 0], "two places are taken");
    assert_eq!(silent.statuses().await, [0; 0]);
    half.rest().await;
    // A handshake and then silence is no more than a handshake.
    let trusted = tls::roots_of(&host.authority.file(host.directory.path())).unwrap();
    let config = tls::client(trusted).unwrap().with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let shake = || async {
        let stream = TcpStream::connect(host.ingress).await.unwrap();
        connector.connect(ServerName::try_from("127.0.0.1").unwrap(), stream).await.ok()
    };
    let shaken = until("a place", shake, Option::is_some).await.expect("it was there");
    let mut shaken = Wire::over(shaken);
    assert_eq!(shaken.rest().await, b"", "closed without a word");
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_that_are_none_cost_nobody_anything() {
    let host = Encrypted::open(|config| config.ingress.header_timeout_ms = 1_000).await;
    let trusted = tls::roots_of(&host.authority.file(host.directory.path())).unwrap();
    let config = Arc::new(tls::client(trusted).unwrap().with_no_client_auth());
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut hello = Vec::new();
    rustls::ClientConnection::new(config, name).unwrap().write_tls(&mut hello).unwrap();
    assert!(hello.len() > 150, "{}", hello.len());
    for at in 0..hello.len() {
        let mut bytes = hello.clone();
        // Cut off here, or with one byte changed.
        if at.is_multiple_of(2) {
            bytes.truncate(at)
        } else {
            bytes[at] ^= 0x55
        }
        let mut wire = Wire::connect(host.ingress).await;
        wire.write_what_is_taken(&bytes).await;
        if at.is_multiple_of(50) {
            wire.rest().await;
        }
    }
    let client = host.client();
    assert_eq!(client.whoami().await.unwrap().role.as_str(), "operator");
    let http = sender(&host.authority, host.directory.path());
    let answer = http.get(format!("https://{}/nowhere", host.ingress)).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 404);
    host.finish().await;
}

/// The certificate that a host shows.
async fn shown(address: std::net::SocketAddr, trusted: &Path) -> Option<Vec<u8>> {
    let config = tls::client(tls::roots_of(trusted).unwrap()).unwrap().with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let shaken = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.ok()?;
    Some(shaken.get_ref().1.peer_certificates()?[0].to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_taken_and_a_broken_one_is_not() {
    let receiver = Receiver::start().await;
    let place = Place::new(&receiver).await;
    let (directory, authority) = (tempfile::tempdir().unwrap(), Authority::new("the shop's own"));
    let trusted = authority.file(directory.path());
    let files = authority.issue("first", &["127.0.0.1"]).files(directory.path());
    let environment = [
        ("CREEL_INGRESS_TLS_CERTIFICATE_FILE", files.certificate.to_str().unwrap()),
        ("CREEL_INGRESS_TLS_KEY_FILE", files.key.to_str().unwrap()),
    ];
    let process = place.start(&[], &environment).await;
    let first = shown(process.ingress, &trusted).await.expect("a certificate");

    authority.issue("second", &["127.0.0.1"]).files(directory.path());
    process.signal("HUP").await;
    process.said("TLS has a new certificate").await;
    let second = shown(process.ingress, &trusted).await.expect("a certificate");
    assert_ne!(first, second);

    // A key that is another's: as when only one of two files is there yet.
    put(&files.key, &authority.issue("third", &["127.0.0.1"]).key);
    process.signal("HUP").await;
    let told = process.said("the files of TLS have changed and don't hold").await;
    let error = told["error"].as_str().unwrap();
    assert!(error.contains("host.key is not that of the certificate") && !error.contains("BEGIN"), "{error}");
    assert_eq!(shown(process.ingress, &trusted).await, Some(second));
    process.signal("TERM").await;
    assert!(process.ended().await.0.success());
}

/// The certificate that a handshake with this acceptor brings.
async fn brought(tls: &Tls, trusted: &Path) -> Vec<u8> {
    let config = tls::client(tls::roots_of(trusted).unwrap()).unwrap().with_no_client_auth();
    let (here, there) = tokio::io::duplex(64 * 1_024);
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let (client, server) = tokio::join!(connector.connect(name, here), tls.acceptor().accept(there));
    server.unwrap();
    client.unwrap().get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_without_anybody_saying_so() {
    let (directory, authority) = (tempfile::tempdir().unwrap(), Authority::new("the shop's own"));
    let trusted = authority.file(directory.path());
    let files = authority.issue("first", &["127.0.0.1"]).files(directory.path());
    let tls = Arc::new(Tls::open(files).unwrap());
    let first = brought(&tls, &trusted).await;
    let shutdown = Shutdown::new();
    let period = std::time::Duration::from_millis(1);
    let looking = tokio::spawn(tls.clone().keep_fresh(period, shutdown.clone().begun()));
    authority.issue("second", &["127.0.0.1"]).files(directory.path());
    until("the second certificate", || brought(&tls, &trusted), |shown| *shown != first).await;
    shutdown.begin();
    looking.await.unwrap();
}

#[tokio::test]
async fn a_host_does_not_open_with_files_that_do_not_hold() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = Config::in_directory(directory.path());
    config.ingress.listen.set_port(0);
    config.admin.listen.set_port(0);
    let (clock, entropy) = (Arc::new(SystemClock::new()), Arc::new(Entropy::seeded(5)));
    init::initialise(&config, &entropy, clock.as_ref()).await.unwrap();
    let files = Authority::new("a").issue("creel", &["127.0.0.1"]).files(directory.path());
    let refusal = async |change: &dyn Fn()| {
        change();
        let mut config = config.clone();
        config.admin.tls = Some(files.clone());
        let around =
            Surroundings { clock: clock.clone(), entropy: entropy.clone(), client: None, compile_command: None };
        format!("{:#}", App::open(config, around).await.err().expect("it does not open"))
    };
    let text = refusal(&|| std::fs::write(&files.key, "secret words").unwrap()).await;
    assert!(text.starts_with("opening `admin.tls`: ") && text.contains("host.key holds no private key"), "{text}");
    assert!(!text.contains("secret words"), "{text}");
    let text = refusal(&|| std::fs::write(&files.certificate, "").unwrap()).await;
    assert!(text.contains("host.pem holds no certificate"), "{text}");
    let text = refusal(&|| std::fs::remove_file(&files.certificate).unwrap()).await;
    assert!(text.contains("could not read") && text.contains("host.pem"), "{text}");
}

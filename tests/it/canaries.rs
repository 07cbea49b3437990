//! Secrets that must not be found: each scheme and each kind of credential once with a canary, then a search through
//! everything that the host keeps, says and logs, in every form in which a secret could stand there.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde_json::json;
use tracing_subscriber::EnvFilter;

use crate::harness::host::Host;
use crate::harness::sender::Webhook;
use crate::harness::tenant::Tenant;
use crate::harness::wait::until;

/// The demo's schemes, each with a secret that looks like its provider's and has characters that encodings change.
const SOURCES: &[(&str, &str)] = &[
    ("vapi-hmac", "canary/vapi+hmac=4f1c9d7be2a86035"),
    ("vapi-secret", "canary/vapi+secret=8a2de07c15b94f63"),
    ("vapi-bearer", "canary/vapi+bearer=1be5f20d97c38a46"),
    ("retell", "canary/retell+key=c07d6e81f52a93b4"),
    ("twilio", "canary/twilio+token=92b8e04fd61c7a35"),
    ("github", "canary/github+secret=e61f3a80b7d2c594"),
    ("standard-webhooks", "whsec_Y2FuYXJ5L3N0YW5kYXJkK3dlYmhvb2tzPTVlMDFjYTdm"),
    ("bearer", "canary/bearer+token=7d40c8e59a1fb263"),
    ("header-token", "canary/header+token=3e9a5c17f0b8d246"),
    ("query-token", "canary/query+token=b5c20f8e6d97a143"),
    ("http-basic", "canary-user:canary/basic+password=60fa2d9c8be71543"),
];

/// Credentials of destinations.
const BEARER: &str = "canary/outgoing+bearer=d4e7029cb1f5a863";
const HEADER: &str = "canary/outgoing+header=0cb86f3e5a91d724";
const PASSWORD: &str = "canary/outgoing+password=a93d5b7e20f8c614";
const SIGNING: &str = "whsec_Y2FuYXJ5L291dGdvaW5nK3NpZ25pbmc9ZjA4YjRkMWU=";

/// Where every log line of this process goes while this test is part of it.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Everything that Creel could log, and what its libraries say to people who debug.
    fn install() -> Log {
        let log = Log::default();
        let writer = log.clone();
        let filter =
            EnvFilter::new("debug,creel_server=trace,creel_store=trace,creel_runtime=trace,creel_webhook=trace");
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(move || writer.clone()).init();
        log
    }
}

/// A secret in the forms in which it could stand somewhere.
fn forms(secret: &str) -> Vec<(String, Vec<u8>)> {
    let bytes = secret.as_bytes();
    let mut forms = vec![
        ("raw".to_owned(), bytes.to_vec()),
        ("hex".to_owned(), hex::encode(bytes).into_bytes()),
        ("HEX".to_owned(), hex::encode_upper(bytes).into_bytes()),
        ("URL-encoded".to_owned(), utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string().into_bytes()),
        ("form-encoded".to_owned(), form_urlencoded::byte_serialize(bytes).collect::<String>().into_bytes()),
        ("JSON".to_owned(), serde_json::to_vec(secret).unwrap()[1..=bytes.len()].to_vec()),
    ];
    // In base64 a text looks different at each of three positions, also when other text stands around it: the middle
    // characters are what all three forms of one position share.
    for (skip, cut) in [(0, 0), (1, 2), (2, 3)] {
        let shifted = [&b"xxx"[..skip], bytes].concat();
        for (name, engine) in [("base64", &STANDARD), ("base64url", &URL_SAFE)] {
            let text = engine.encode(&shifted).trim_end_matches('=').to_owned();
            forms.push((format!("{name} at {skip}"), text.as_bytes()[cut..text.len() - 2].to_vec()));
        }
    }
    forms.push(("base64 unpadded".to_owned(), STANDARD_NO_PAD.encode(bytes).into_bytes()));
    forms.push(("base64url unpadded".to_owned(), URL_SAFE_NO_PAD.encode(bytes).into_bytes()));
    if let Some(key) = secret.strip_prefix("whsec_").and_then(|text| STANDARD.decode(text).ok()) {
        forms.push(("key bytes".to_owned(), key.clone()));
        forms.push(("key in hex".to_owned(), hex::encode(key).into_bytes()));
    }
    forms
}

/// One character a byte: searching texts is fast also in a build that is not optimised.
fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// Every file below a directory but the master key, which is no secret of a tenant.
fn files(directory: &Path) -> Vec<(String, String)> {
    let kept = |path: &Path| path.is_file() && !path.starts_with(directory.join("cache"));
    let entries = walkdir::WalkDir::new(directory).into_iter().map(|entry| entry.unwrap().into_path());
    entries
        .filter(|path| kept(path))
        .map(|path| (path.display().to_string(), text(&std::fs::read(&path).unwrap())))
        .collect()
}

/// Every answer of the admin API that shows something.
async fn answers(tenant: &Tenant) -> Vec<(String, String)> {
    let mut paths: Vec<String> =
        ["secrets", "sources", "destinations", "plugins", "routes", "events", "runs", "deliveries", "refusals", "keys"]
            .iter()
            .map(|rest| tenant.path(rest))
            .collect();
    for event in tenant.events().await {
        paths.push(tenant.path(&format!("events/{}", event.id)));
        paths.push(tenant.path(&format!("events/{}/body", event.id)));
    }
    paths.push("/metrics".to_owned());
    let mut answers = Vec::new();
    for path in paths {
        let response = tenant.api.request(Method::GET, &path).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        answers.push((path, text(&response.bytes().await.unwrap())));
    }
    answers
}

async fn destinations(host: &Host, tenant: &Tenant) {
    let origin = host.receiver.url("");
    for (name, value) in [("bearer", BEARER), ("header", HEADER), ("password", PASSWORD), ("signing", SIGNING)] {
        tenant.secret_for(name, value, &origin).await;
    }
    let signing = json!({ "type": "standard_webhooks", "secret": "signing" });
    let auths = [
        ("receiver", json!({ "type": "bearer", "secret": "bearer" })),
        ("by-header", json!({ "type": "header", "header": "x-api-key", "secret": "header" })),
        ("by-basic", json!({ "type": "basic", "username": "creel", "secret": "password" })),
    ];
    for (name, auth) in auths {
        let url = host.receiver.url(&format!("/{name}"));
        let document = json!({ "url": url, "auth": auth, "signing": signing, "retry_ms": [0, 1] });
        tenant.destination(name, document).await;
        tenant
            .deploy_granting(&format!("to-{name}"), "echo", json!({ "destination": name, "reply": "true" }), &[name])
            .await;
    }
}

/// Sends one genuine and one forged request by each scheme, to three destinations each.
async fn traffic(host: &Host, tenant: &Tenant) {
    for (preset, secret) in SOURCES {
        let source = tenant.source(preset, preset, secret).await;
        for plugin in ["to-receiver", "to-by-header", "to-by-basic"] {
            tenant.route(preset, plugin).await;
        }
        let event = Webhook::json(preset, secret, &format!("id-{preset}"), format!("{{\"type\":\"{preset}\"}}"));
        let event =
            if *preset == "twilio" { event.form(&[("CallSid", "CA1"), ("CallStatus", "completed")]) } else { event };
        let told = host.send(&source, &event).await;
        assert_eq!(told.status / 100, 2, "{preset}: {told:?} {:?}", tenant.refusals().await);
        // Credentials that stand where no scheme looks for them are still credentials.
        let forged = Webhook { id: "forged".to_owned(), body: "{\"type\":\"forged\"}".into(), ..event };
        let forged = forged.request(host.http(), &host.url(&source)).body("{\"type\":\"changed\"}");
        forged.send().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_found_anywhere() {
    let log = Log::install();
    let host = Host::open().await;
    let tenant = host.tenant("acme").await;
    destinations(&host, &tenant).await;
    // Receivers that fail once and show what they were sent, credentials included, as some do.
    host.receiver.answer("/by-basic", 500, &[], &format!("unexpected call with password {PASSWORD}"));
    let pair = STANDARD.encode(format!("creel:{PASSWORD}"));
    host.receiver.answer("/by-basic", 500, &[], &format!("{{\"authorization\":\"Basic {pair}\"}}"));
    host.receiver.answer("/by-header", 500, &[], &format!("x-api-key: {HEADER}"));
    host.receiver.answer("/receiver", 500, &[], &format!("unexpected header authorization: Bearer {BEARER}"));
    traffic(&host, &tenant).await;
    let pending = || tenant.api.list("/v1/tenants/acme/deliveries?state=pending");
    let count = 3 * SOURCES.len();
    let made = || tenant.api.list("/v1/tenants/acme/deliveries?limit=200");
    until("all calls", made, |calls| calls.len() >= count).await;
    until("their ends", pending, Vec::is_empty).await;

    let arrived = host.receiver.arrived();
    let bearer = format!("Bearer {BEARER}");
    let leaves = arrived.iter().any(|call| call.request.header("authorization") == Some(&bearer));
    assert!(leaves, "a secret goes where it belongs");
    let mut places = answers(&tenant).await;
    places.extend(files(host.path()));
    let keys = [host.api.key().to_owned(), tenant.api.key().to_owned()];
    host.finish().await;
    places.push(("the log".to_owned(), text(&log.0.lock().unwrap_or_else(PoisonError::into_inner))));

    let secrets: Vec<&str> =
        SOURCES.iter().map(|(_, secret)| *secret).chain([BEARER, HEADER, PASSWORD, SIGNING]).collect();
    let secrets = secrets.into_iter().chain(keys.iter().map(String::as_str));
    let mut found = Vec::new();
    for secret in secrets {
        for (form, needle) in forms(secret) {
            let needle = text(&needle);
            let places = places.iter().filter(|(_, searched)| searched.contains(&needle));
            found.extend(places.map(|(place, _)| format!("{secret} ({form}) in {place}")));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
    let searched =
        |name: &str, what: &str| places.iter().any(|(place, text)| place.contains(name) && text.contains(what));
    assert!(searched("creel.db", "{\"type\":\"retell\"}"), "what was stored was searched");
    assert!(searched("/events/", "[verified]"), "and what people are shown");
    assert!(searched("the log", "creel_server"), "and what was logged");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_that_is_a_credential_is_not_part_of_the_story() {
    let host = Host::open().await;
    let tenant = host.tenant("acme").await;
    let source = tenant.source("anyone", "url-token", "").await;
    tenant.receiver(&host).await;
    tenant.deploy("echo", "echo", json!({ "reply": "true" })).await;
    tenant.reply_route("anyone", "echo").await;
    let told = host.send(&source, &Webhook::json("url-token", "", "1", r#"{"a":1}"#)).await;
    let token = source.strip_prefix("/in/").expect("the last part is the token");
    let story = tenant.settled().await;
    assert!(!told.body.contains(token), "the guest saw it: {}", told.body);
    assert!(!serde_json::to_string(&story).unwrap().contains(token), "{story:#?}");
    assert!(!format!("{:?}", host.receiver.only()).contains(token));
    host.finish().await;
}

//! Secrets that must not be found: each kind of scheme, and every preset whose credential travels with its requests, once
//! with a canary; then a search through everything that the host keeps, says and logs, in every form in which a secret
//! could stand there.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use creel_server::system::SystemClock;
use creel_webhook::clock::Clock as _;
use creel_webhook::preset::{Preset, preset, presets};
use creel_webhook::signature::hash::{Algorithm, mac};
use creel_webhook::signature::model::Method as Kind;
use creel_webhook::signature::redact::Credential;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde_json::json;
use tracing_subscriber::EnvFilter;

use crate::harness::guests::guest;
use crate::harness::host::Host;
use crate::harness::sender::Webhook;
use crate::harness::tenant::Tenant;
use crate::harness::wait::until;

/// Schemes whose secret stays at home, and the demo's, each with a secret that looks like its provider's and has characters that encodings change.
const SOURCES: &[(&str, &str)] = &[
    ("vapi-hmac", "canary/vapi+hmac=4f1c9d7be2a86035"),
    ("vapi-secret", "canary/vapi+secret=8a2de07c15b94f63"),
    ("vapi-bearer", "canary/vapi+bearer=1be5f20d97c38a46"),
    ("retell", "canary/retell+key=c07d6e81f52a93b4"),
    ("twilio", "canary/twilio+token=92b8e04fd61c7a35"),
    ("github", "canary/github+secret=e61f3a80b7d2c594"),
    ("standard-webhooks", "whsec_Y2FuYXJ5L3N0YW5kYXJkK3dlYmhvb2tzPTVlMDFjYTdm"),
];

/// A request of a preset, with what is secret in it.
struct Canary {
    webhook: Webhook,
    secret: String,
    /// Tokens made of the secret, which speak for the provider as well as it does.
    tokens: Vec<String>,
}

impl Canary {
    fn new(name: &str, secret: &str) -> Canary {
        let required = preset(name).unwrap().params.iter().filter(|spec| spec.default.is_none() && !spec.optional);
        let params = required.map(|spec| (spec.name.clone(), format!("x-{}", spec.name))).collect();
        let body = match name {
            "microsoft-graph" => json!({ "value": [{ "clientState": secret, "changeType": "updated" }] }).to_string(),
            _ => format!("{{\"type\":\"{name}\"}}"),
        };
        let event = Webhook::json(name, secret, &format!("id-{name}"), body);
        let event =
            if name == "twilio" { event.form(&[("CallSid", "CA1"), ("CallStatus", "completed")]) } else { event };
        let webhook = Webhook { params, at: Some(SystemClock::new().now()), ..event };
        let is_jwt = |method: &Kind| matches!(method, Kind::Jwt(_));
        let scheme = preset(name).unwrap().scheme(&webhook.params).unwrap();
        let sent = webhook.credentials("http://127.0.0.1/in/x").headers.into_iter().map(|(_, value)| value);
        let parts = |token: String| {
            token.split(['.', ' ']).filter(|part| part.len() > 40).map(str::to_owned).collect::<Vec<_>>()
        };
        let tokens = if scheme.methods().iter().any(is_jwt) { sent.flat_map(parts).collect() } else { Vec::new() };
        Canary { webhook, secret: secret.to_owned(), tokens }
    }

    /// One for each of the list above, and for each preset whose credential is part of its requests.
    fn all() -> Vec<Canary> {
        let travels = |method: &Kind| matches!(method, Kind::Token(_) | Kind::Basic(_) | Kind::Jwt(_));
        let listed = |name: &str| SOURCES.iter().any(|(known, _)| *known == name);
        let mut all: Vec<Canary> = SOURCES.iter().map(|(name, secret)| Canary::new(name, secret)).collect();
        for preset in presets().filter(|preset| !listed(&preset.name)) {
            let required = preset.params.iter().filter(|spec| spec.default.is_none() && !spec.optional);
            let params = required.map(|spec| (spec.name.clone(), "x-given".to_owned())).collect();
            if preset.scheme(&params).unwrap().methods().iter().any(travels) {
                let number = hex::encode(mac(Algorithm::HmacSha256, b"canary", preset.name.as_bytes()));
                // A name before a colon, for HTTP Basic; the others take it as it is.
                all.push(Canary::new(&preset.name, &format!("canary:{}/secret+part={}", preset.name, &number[..16])));
            }
        }
        all
    }
}

/// Credentials of destinations.
const BEARER: &str = "canary/outgoing+bearer=d4e7029cb1f5a863";
const HEADER: &str = "canary/outgoing+header=0cb86f3e5a91d724";
const PASSWORD: &str = "canary/outgoing+password=a93d5b7e20f8c614";
const SIGNING: &str = "whsec_Y2FuYXJ5L291dGdvaW5nK3NpZ25pbmc9ZjA4YjRkMWU=";

/// Credentials of destinations that runs look things up at.
const ASKING_BEARER: &str = "canary/look-up+bearer=6ec9a1f07d35b284";
const ASKING_PASSWORD: &str = "canary/look-up+password=f51b0c84e7a3d962";

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

/// Plugins that look something up, log what they were answered and send it on; gives their names. Those who are asked show what
/// they were sent, once with success and once without.
async fn look_ups(host: &Host, tenant: &Tenant) -> [&'static str; 2] {
    let (bearer, basic) = ("asks-by-bearer", "asks-by-basic");
    let pair = STANDARD.encode(format!("creel:{ASKING_PASSWORD}"));
    let told = format!("you asked with Bearer {ASKING_BEARER}");
    host.receiver.answer("/asks-by-bearer/7", 200, &[("x-echo", ASKING_BEARER)], &told);
    host.receiver.answer("/asks-by-bearer/7", 403, &[], &told);
    let told = format!("you asked with Basic {pair}, which is {ASKING_PASSWORD}");
    host.receiver.answer("/asks-by-basic/7", 200, &[("x-echo", &pair)], &told);
    host.receiver.answer("/asks-by-basic/7", 500, &[], &told);
    let auths = [
        (bearer, ASKING_BEARER, json!({ "type": "bearer", "secret": bearer })),
        (basic, ASKING_PASSWORD, json!({ "type": "basic", "username": "creel", "secret": basic })),
    ];
    for (name, value, auth) in auths {
        tenant.secret_for(name, value, &host.receiver.url("")).await;
        tenant.destination(name, json!({ "url": host.receiver.url(&format!("/{name}")), "auth": auth })).await;
        let config = json!({ "destination": name, "path": "/7", "times": "2", "calls": "true" });
        let grants = json!({ "fetch": { name: [] }, "destinations": ["receiver"] });
        tenant.deploy_with(name, guest("looks-up"), config, grants).await;
    }
    [bearer, basic]
}

/// Sends one genuine and one forged request by each, to three destinations each, and lets one source's events be looked up;
/// gives how many calls follow.
async fn traffic(host: &Host, tenant: &Tenant, canaries: &[Canary]) -> usize {
    let asking = look_ups(host, tenant).await;
    let mut calls = 0;
    for Canary { webhook, secret, .. } in canaries {
        let name = webhook.preset.as_str();
        let source = tenant.source_with(name, name, secret, json!({ "params": webhook.params })).await;
        for plugin in ["to-receiver", "to-by-header", "to-by-basic"] {
            tenant.route(name, plugin).await;
        }
        for plugin in asking.into_iter().filter(|_| name == "github") {
            tenant.route(name, plugin).await;
            calls += 1;
        }
        let told = host.send(&source, webhook).await;
        assert_eq!(told.status / 100, 2, "{name}: {told:?} {:?}", tenant.refusals().await);
        calls += 3;
        // Credentials that stand where no scheme looks for them are still credentials.
        let forged = Webhook { id: "forged".to_owned(), body: "{\"type\":\"forged\"}".into(), ..webhook.clone() };
        let forged = forged.request(host.http(), &host.url(&source)).body("{\"type\":\"changed\"}");
        forged.send().await.unwrap();
        if name == "cloudevents" {
            // Its other alternative: the token in the query.
            let mut url = url::Url::parse(&host.url(&source)).unwrap();
            url.query_pairs_mut().append_pair("access_token", secret);
            assert_eq!(host.http().post(url).body("{}").send().await.unwrap().status(), 204);
            calls += 3;
        }
    }
    calls
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
    let canaries = Canary::all();
    assert!(canaries.len() > 20, "{}", canaries.len());
    let count = traffic(&host, &tenant, &canaries).await;
    let pending = || tenant.api.list("/v1/tenants/acme/deliveries?state=pending");
    let made = || tenant.api.list("/v1/tenants/acme/deliveries?limit=200");
    until("all calls", made, |calls| calls.len() >= count).await;
    until("their ends", pending, Vec::is_empty).await;

    let arrived = host.receiver.arrived();
    let bearer = format!("Bearer {BEARER}");
    let asking = format!("Bearer {ASKING_BEARER}");
    for credential in [bearer, asking] {
        let leaves = arrived.iter().any(|call| call.request.header("authorization") == Some(&credential));
        assert!(leaves, "a secret goes where it belongs");
    }
    let mut places = answers(&tenant).await;
    places.extend(files(host.path()));
    let keys = [host.api.key().to_owned(), tenant.api.key().to_owned()];
    host.finish().await;
    places.push(("the log".to_owned(), text(&log.0.lock().unwrap_or_else(PoisonError::into_inner))));

    let of_senders =
        canaries.iter().flat_map(|canary| canary.tokens.iter().chain([&canary.secret]).map(String::as_str));
    let of_destinations = [BEARER, HEADER, PASSWORD, SIGNING, ASKING_BEARER, ASKING_PASSWORD];
    let secrets = of_senders.chain(of_destinations).chain(keys.iter().map(String::as_str));
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
    for told in ["you asked with Bearer [secret]", ", which is [secret]"] {
        assert!(searched("/events/", told), "and what look-ups were answered: {told}");
        assert!(searched("creel.db", told), "as it is stored: {told}");
    }
    assert!(searched("the log", "creel_server"), "and what was logged");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_that_is_a_credential_is_not_part_of_the_story() {
    let by_path = |preset: &&Preset| {
        preset.scheme(&Default::default()).is_ok_and(|scheme| scheme.credentials() == [Credential::Path])
    };
    let names: Vec<&str> = presets().filter(by_path).map(|preset| preset.name.as_str()).collect();
    assert_eq!(names, ["voiceflow", "zapier", "url-token"]);
    let host = Host::open().await;
    let tenant = host.tenant("acme").await;
    tenant.receiver(&host).await;
    tenant.deploy("echo", "echo", json!({ "reply": "true" })).await;
    for name in names {
        let source = tenant.source(name, name, "").await;
        tenant.reply_route(name, "echo").await;
        let told = host.send(&source, &Webhook::json(name, "", "1", r#"{"a":1}"#)).await;
        let token = source.strip_prefix("/in/").expect("the last part is the token");
        let story = tenant.settled().await;
        assert!(!told.body.contains(token), "the guest saw it: {}", told.body);
        assert!(!serde_json::to_string(&story).unwrap().contains(token), "{story:#?}");
        assert!(!format!("{:?}", host.receiver.arrived()).contains(token));
    }
    host.finish().await;
}

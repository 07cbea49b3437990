//! Runs the vectors of `tests/cases/vectors`: 265 requests with the verdict that we owe them, the events that the
//! accepted ones carry, and the greetings.

use std::path::PathBuf;

use bytes::Bytes;
use creel_webhook::answer::Answer;
use creel_webhook::clock::Timestamp;
use creel_webhook::handshake::{after_auth, before_auth};
use creel_webhook::identity::{IdentityRules, identify, parse_time};
use creel_webhook::pointer::Params;
use creel_webhook::preset::{Preset, preset};
use creel_webhook::provider::TimeUnit;
use creel_webhook::request::RawRequest;
use creel_webhook::signature;
use creel_webhook::signature::scheme::Scheme;
use creel_webhook::signature::verdict::{Material, Reason, Refusal, Verified};
use serde_json::{Value, json};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases/vectors")
}

fn load(name: &str) -> Value {
    let path = folder().join(format!("{name}.json"));
    serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap()
}

fn files() -> Vec<String> {
    let names = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter_map(|name| name.strip_suffix(".json").map(str::to_owned)).collect();
    names.retain(|name| !name.starts_with('_'));
    names.sort();
    names
}

struct Case {
    preset: &'static Preset,
    scheme: Scheme,
    params: Params,
    request: RawRequest,
    url: String,
    secret: Option<String>,
    public_key: Option<String>,
    now: Timestamp,
}

fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn request(value: &Value, now: Timestamp) -> RawRequest {
    let url = value["url"].as_str().unwrap();
    let after_scheme = url.split_once("://").unwrap().1;
    let target = after_scheme.find('/').map_or("/", |at| &after_scheme[at..]);
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
        None => (target.to_owned(), None),
    };
    let body = match text(value, "body_b64") {
        Some(encoded) => base64::Engine::decode(&base64::engine::general_purpose::STANDARD, encoded).unwrap(),
        None => text(value, "body").unwrap_or_default().into_bytes(),
    };
    let header = |(name, value): (&String, &Value)| (name.clone(), Bytes::from(value.as_str().unwrap().to_owned()));
    RawRequest {
        method: text(value, "method").unwrap(),
        path,
        query,
        headers: value["headers"].as_object().unwrap().iter().map(header).collect(),
        body: body.into(),
        received_at: now,
    }
}

fn params(vector: &Value, preset: &Preset) -> Params {
    let given: Params =
        vector.get("params").and_then(|value| serde_json::from_value(value.clone()).ok()).unwrap_or_default();
    given.into_iter().filter(|(name, _)| preset.params.iter().any(|spec| spec.name == *name)).collect()
}

impl Case {
    fn new(name: &str, vector: &Value, request_value: &Value) -> Case {
        let preset = preset(name).unwrap_or_else(|| panic!("no preset {name}"));
        let now = Timestamp::from_secs(vector["now"].as_i64().unwrap());
        let params = params(vector, preset);
        Case {
            preset,
            scheme: preset.scheme(&params).unwrap(),
            params,
            request: request(request_value, now),
            url: text(request_value, "url").unwrap(),
            secret: text(vector, "secret"),
            public_key: text(vector, "public_key").or_else(|| text(vector.get("params")?, "cert_pem")),
            now,
        }
    }

    fn with_material<T>(&self, run: impl FnOnce(&Material<'_>) -> T) -> T {
        let secrets: Vec<&[u8]> = self.secret.iter().map(|secret| secret.as_bytes()).collect();
        let public_keys: Vec<&str> = self.public_key.iter().map(String::as_str).collect();
        let urls = [self.url.as_str()];
        run(&Material { secrets: &secrets, public_keys: &public_keys, urls: &urls, params: &self.params })
    }

    fn verify(&self) -> Result<Verified, Refusal> {
        self.with_material(|material| signature::verify(&self.scheme, &self.request, material, self.now))
    }
}

fn each_vector(mut run: impl FnMut(&str, &str, &Value)) {
    for file in files() {
        for vector in load(&file)["vectors"].as_array().unwrap() {
            let preset = vector["preset"].as_str().unwrap();
            run(&format!("{file}/{}", vector["id"].as_str().unwrap()), preset, vector);
        }
    }
}

#[test]
fn vectors_get_the_verdict_that_we_owe_them() {
    let (mut judged, mut wrong) = (0, Vec::new());
    each_vector(|name, preset, vector| {
        judged += 1;
        let verdict = Case::new(preset, vector, vector).verify();
        if verdict.is_ok() != (vector["expected"] == "accept") {
            wrong.push(format!("{name}: {verdict:?}"));
        }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(judged, 265);
}

#[test]
fn no_accepted_vector_survives_a_changed_signature_or_covered_body() {
    each_vector(|name, preset, vector| {
        if vector["expected"] != "accept" {
            return;
        }
        let case = Case::new(preset, vector, vector);
        let verified = case.verify().unwrap();
        if verified.body_covered && !case.request.body.is_empty() {
            let length = case.request.body.len();
            for at in [0, length / 2, length - 1] {
                let mut body = case.request.body.to_vec();
                body[at] ^= 1;
                let request = RawRequest { body: body.into(), ..case.request.clone() };
                let changed = Case { request, ..Case::new(preset, vector, vector) };
                assert!(changed.verify().is_err(), "{name}: body byte {at}");
            }
        }
        for credential in 0..case.request.headers.len() {
            let redacted = case.scheme.redact(&case.request);
            if redacted.headers[credential].1 != "[verified]" {
                continue;
            }
            let mut request = case.request.clone();
            let mut value = request.headers[credential].1.to_vec();
            let last = value.len().saturating_sub(3);
            value[last] = if value[last] == b'A' { b'B' } else { b'A' };
            request.headers[credential].1 = value.into();
            let changed = Case { request, ..Case::new(preset, vector, vector) };
            let several = ["multi", "rotation", "among", "then-valid"].iter().any(|word| name.contains(word));
            assert!(changed.verify().is_err() || several, "{name}: header {credential}");
        }
    });
}

#[test]
fn another_source_refuses_what_was_signed_for_one() {
    each_vector(|name, preset, vector| {
        let mut case = Case::new(preset, vector, vector);
        if case.verify().is_err() || case.scheme.credentials().is_empty() {
            return;
        }
        case.secret = case.secret.map(|_| "whsec_b3RoZXItdGVuYW50LXNlY3JldA==".to_owned());
        case.public_key = None;
        assert!(case.verify().is_err(), "{name}");
    });
}

fn unit(name: Option<&str>) -> TimeUnit {
    match name {
        Some("ms") => TimeUnit::Ms,
        Some("iso") => TimeUnit::Iso,
        Some("rfc2822") => TimeUnit::Rfc2822,
        _ => TimeUnit::S,
    }
}

#[test]
fn accepted_vectors_carry_the_expected_events() {
    let expected = load("_events");
    let list = expected.as_object().unwrap().values().find_map(Value::as_array).unwrap();
    let mut wrong = Vec::new();
    for entry in list {
        let preset = entry["preset"].as_str().unwrap();
        let file = load(entry["provider"].as_str().unwrap());
        let vector = file["vectors"].as_array().unwrap().iter().find(|vector| vector["id"] == entry["vector"]).unwrap();
        let case = Case::new(preset, vector, vector);
        let verified = case.verify().unwrap();
        let drafts = identify(&case.preset.provider, &case.request, &verified, &IdentityRules::default());
        let got: Vec<Value> = drafts
            .iter()
            .map(|draft| json!([draft.provider_id, draft.kind, draft.occurred_at.map(Timestamp::as_millis)]))
            .collect();
        let wanted = entry["events"].as_array().unwrap().iter().map(|event| {
            let at = event["time"].as_str().and_then(|time| parse_time(unit(event["time_unit"].as_str()), time));
            // The vectors join types of several parts like ids; ours are for people and patterns.
            let kind = event["type"].as_str().unwrap_or_default().replace('\u{1f}', ".");
            json!([event["id"], kind, at.map(Timestamp::as_millis)])
        });
        let wanted: Vec<Value> = wanted.collect();
        if got != wanted {
            wrong.push(format!("{preset}/{}: {got:?}, wanted {wanted:?}", entry["vector"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn greet(case: &Case) -> Option<Answer> {
    case.with_material(|material| {
        before_auth(&case.preset.provider, &case.request, material).or_else(|| {
            let verified = signature::verify(&case.scheme, &case.request, material, case.now).ok()?;
            after_auth(&case.preset.provider, &case.request, material, &verified)
        })
    })
}

#[test]
fn greetings_get_the_expected_answer() {
    for entry in load("_handshakes")["cases"].as_array().unwrap() {
        let id = entry["id"].as_str().unwrap();
        let name = match id {
            "extra-twitter-crc" => "twitter",
            "extra-okta-verification" => "okta",
            _ => entry["preset"].as_str().unwrap(),
        };
        let answer = greet(&Case::new(name, entry, &entry["request"])).unwrap_or_else(|| panic!("{id}: no answer"));
        let wanted = &entry["response"];
        assert_eq!(u64::from(answer.status), wanted["status"].as_u64().unwrap(), "{id}");
        if let Some(media_type) = wanted["content_type"].as_str() {
            assert_eq!(answer.header("content-type"), Some(media_type), "{id}");
        }
        if let Some(body) = wanted["body"].as_str() {
            assert_eq!(answer.body, body, "{id}");
        }
        if wanted["json"].is_object() {
            assert_eq!(serde_json::from_slice::<Value>(&answer.body).unwrap(), wanted["json"], "{id}");
        }
    }
}

/// X signs challenges with the secret and in the form of its event signatures: whoever could have a body signed as a
/// challenge could forge events.
#[test]
fn no_body_is_ever_signed_as_a_challenge() {
    let cases = load("_handshakes");
    let find = |id: &str| cases["cases"].as_array().unwrap().iter().find(|case| case["id"] == id).unwrap();
    let entry = find("extra-twitter-crc");
    let mut case = Case::new("twitter", entry, &entry["request"]);
    assert_eq!(greet(&case).unwrap().status, 200);
    for token in ["%7B%22a%22%3A1%7D", "", "v0:1:x", &"a".repeat(257)] {
        case.request.query = Some(format!("crc_token={token}"));
        assert_eq!(greet(&case).unwrap().status, 400, "{token}");
    }
    case.secret = None;
    assert_eq!(greet(&case).unwrap().status, 405);
}

#[test]
fn signed_greetings_are_not_answered_without_proof() {
    for entry in load("_handshakes")["cases"].as_array().unwrap() {
        let Some(name @ ("slack" | "zoom" | "discord")) = entry["preset"].as_str() else { continue };
        let mut case = Case::new(name, entry, &entry["request"]);
        case.secret = case.secret.map(|_| "other".to_owned());
        case.public_key = None;
        assert_eq!(greet(&case), None, "{name}");
    }
}

#[test]
fn every_byte_of_what_is_signed_counts() {
    let sample = [
        "stripe/gen-basic",
        "retell/gen-custom-function",
        "standard-webhooks/gen-basic",
        "telnyx/gen-call-initiated",
        "twilio/gen-voice-incoming",
        "plivo/gen-post-with-query",
        "hubspot/gen-v3-unicode",
        "livekit/gen-room-started",
        "slack/gen-event-callback",
        "discord/gen-ping",
    ];
    each_vector(|name, preset, vector| {
        if !sample.contains(&name) {
            return;
        }
        let mut case = Case::new(preset, vector, vector);
        let original = case.request.clone();
        for at in 0..original.body.len() {
            let mut body = original.body.to_vec();
            body[at] ^= 1;
            case.request.body = body.into();
            assert!(case.verify().is_err(), "{name}: body byte {at}");
        }
        case.request = original.clone();
        let proof = |name: &str| name.contains("signature") || name.contains("timestamp") || name.ends_with("-id");
        for (index, (header, value)) in original.headers.iter().enumerate() {
            if !proof(&header.to_ascii_lowercase()) && header != "Authorization" || header.contains("-Ma-") {
                continue;
            }
            for at in 0..value.len() {
                let mut changed = value.to_vec();
                changed[at] ^= 1;
                case.request.headers[index].1 = changed.into();
                assert!(case.verify().is_err(), "{name}: {header} byte {at}");
            }
            case.request = original.clone();
        }
    });
}

#[test]
fn a_missing_certificate_is_asked_for_only_at_amazon() {
    let file = load("aws-sns");
    let find = |id: &str| file["vectors"].as_array().unwrap().iter().find(|vector| vector["id"] == id).unwrap();
    let refusal = |id: &str| {
        let mut case = Case::new("aws-sns", find(id), find(id));
        case.public_key = None;
        case.verify().unwrap_err()
    };
    let asked = refusal("gen-notification-v2");
    assert_eq!(asked.reason, Reason::KeyNeeded);
    assert!(asked.key_url.unwrap().starts_with("https://sns."));
    let foreign = refusal("gen-cert-http");
    assert_eq!((foreign.reason, foreign.key_url), (Reason::UnknownKey, None));
}

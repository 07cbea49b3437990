//! Runs the vectors of `tests/cases/vectors`: 265 requests with the verdict that we owe them, the events that the
//! accepted ones carry, and the greetings; `mutation` changes the accepted ones byte by byte.

mod case;
mod mutation;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use creel_webhook::answer::Answer;
use creel_webhook::clock::Timestamp;
use creel_webhook::handshake::{after_auth, before_auth};
use creel_webhook::identity::{IdentityRules, identify, parse_time};
use creel_webhook::provider::TimeUnit;
use creel_webhook::signature;
use creel_webhook::signature::verdict::Reason;
use p256::ecdsa::Signature;
use serde_json::{Value, json};

use self::case::{Case, each_vector, load};

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

/// `serde_json` reads an object whose first name is one of its own as the JSON in the text behind that name. Whoever puts
/// one into a body of which only some fields are signed must not be believed in place of them.
#[test]
fn what_is_read_of_a_body_is_what_was_proven() {
    let file = load("aws-sns");
    let vectors = file["vectors"].as_array().unwrap();
    let vector = vectors.iter().find(|vector| vector["id"] == "gen-notification-v2").unwrap();
    let mut case = Case::new("aws-sns", vector, vector);
    let read = |case: &Case| {
        let verified = case.verify().unwrap();
        identify(&case.preset.provider, &case.request, &verified, &IdentityRules::default())
    };
    let genuine = read(&case);
    let forged = json!({"MessageId": "forged", "Type": "Notification", "TopicArn": "forged"}).to_string();
    let rest = String::from_utf8(case.request.body.to_vec()).unwrap();
    let body = format!("{{\"$serde_json::private::RawValue\":{},{}", json!(forged), rest.strip_prefix('{').unwrap());
    case.request.body = body.into();
    assert_eq!(read(&case), genuine);
    // And a body that somebody else may add names to stays readable.
    case.request.body = rest.replacen('{', "{\"$serde_json::private::RawValue\":1,", 1).into();
    assert_eq!(read(&case), genuine);
}

/// From an ECDSA signature anybody can make a second one, with the other S. It must not look like another request.
#[test]
fn a_signature_has_one_text() {
    let file = load("sendgrid");
    let vector = file["vectors"].as_array().unwrap().iter().find(|vector| vector["id"] == "pub-single-event").unwrap();
    let mut case = Case::new("sendgrid", vector, vector);
    let genuine = case.verify().unwrap().signature;
    let header = case.request.headers.iter_mut().find(|(name, _)| name.to_ascii_lowercase().ends_with("-signature"));
    let (_, value) = header.unwrap();
    let signature = Signature::from_der(&STANDARD.decode(&value[..]).unwrap()).unwrap();
    let (r, s) = signature.split_scalars();
    let other = Signature::from_scalars(r, -s).unwrap();
    assert_ne!(other, signature);
    *value = STANDARD.encode(other.to_der()).into();
    assert_eq!(case.verify().unwrap().signature, genuine);
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

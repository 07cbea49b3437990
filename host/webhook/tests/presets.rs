//! What a preset says of itself is true: replay, ids, credentials; and what it signs, it verifies.

use bytes::Bytes;
use creel_webhook::clock::Timestamp;
use creel_webhook::pointer::{Params, Place};
use creel_webhook::preset::{Preset, Replay, preset, presets};
use creel_webhook::provider::Parts;
use creel_webhook::request::RawRequest;
use creel_webhook::signature;
use creel_webhook::signature::model::Method;
use creel_webhook::signature::redact::Credential;
use creel_webhook::signature::scheme::Scheme;
use creel_webhook::signature::sign::Outgoing;
use creel_webhook::signature::verdict::{Material, Reason, Refusal, Verified};

const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);
const URL: &str = "https://hooks.example.test/in/ep_1?a=1";
/// Fit for every key encoding: text, hexadecimal and base64.
const SECRET: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn scheme(preset: &Preset) -> Scheme {
    let required = preset.params.iter().filter(|spec| spec.default.is_none());
    let params: Params = required.map(|spec| (spec.name.clone(), "x-given".to_owned())).collect();
    preset.scheme(&params).unwrap()
}

#[test]
fn replay_claims_are_true() {
    for preset in presets() {
        let coverage = scheme(preset).coverage();
        let name = &preset.name;
        assert_eq!(preset.replay == Replay::Window, coverage.window, "{name}");
        match preset.replay {
            // SNS signs fields, the id among them, not bytes.
            Replay::Id if name == "aws-sns" => assert!(preset.provider.event.id_signed),
            Replay::Id => assert!(coverage.body && preset.provider.event.id_signed, "{name}"),
            Replay::Body => assert!(coverage.body && !preset.provider.event.id_signed, "{name}"),
            Replay::Window | Replay::None => {}
        }
    }
}

#[test]
fn an_id_that_counts_as_signed_is_signed() {
    for preset in presets().filter(|preset| preset.provider.event.id_signed) {
        let scheme = scheme(preset);
        let ids = preset.provider.event.id.iter().flat_map(Parts::pointers);
        for pointer in ids {
            if let Place::Header(name) = &pointer.place {
                assert!(scheme.signs_header(name), "{}: {pointer}", preset.name);
            }
        }
    }
}

#[test]
fn schemes_without_a_credential_are_known_by_name() {
    let without: Vec<&str> =
        presets().filter(|preset| scheme(preset).credentials().is_empty()).map(|preset| preset.name.as_str()).collect();
    assert_eq!(without, ["aws-sns"]);
    let by_path: Vec<&str> = presets()
        .filter(|preset| scheme(preset).credentials() == [Credential::Path])
        .map(|preset| preset.name.as_str())
        .collect();
    assert_eq!(by_path, ["voiceflow", "zapier", "url-token"]);
}

/// A request with what [`signature::sign`] says it must carry.
fn signed_request(scheme: &Scheme, content_type: &str, body: &'static str) -> RawRequest {
    let body = Bytes::from_static(body.as_bytes());
    let out = Outgoing { method: "POST", url: URL, content_type, body: &body, id: "msg_1" };
    let signed = signature::sign(scheme, &out, SECRET.as_bytes(), NOW).unwrap();
    let extra: String = signed.query.iter().map(|(name, value)| format!("&{name}={value}")).collect();
    let content_type = ("content-type".to_owned(), content_type.to_owned());
    let headers = signed.headers.into_iter().chain([content_type]);
    RawRequest {
        method: "POST".to_owned(),
        path: "/in/ep_1".to_owned(),
        query: Some(format!("a=1{extra}")),
        headers: headers.map(|(name, value)| (name.into(), Bytes::from(value))).collect(),
        body,
        received_at: NOW,
    }
}

fn verify(scheme: &Scheme, request: &RawRequest, secrets: &[&str], now: Timestamp) -> Result<Verified, Refusal> {
    let secrets: Vec<&[u8]> = secrets.iter().map(|secret| secret.as_bytes()).collect();
    let material = Material { secrets: &secrets, urls: &[URL], ..Material::default() };
    signature::verify(scheme, request, &material, now)
}

#[test]
fn what_is_signed_here_verifies_here_and_names_the_secret() {
    let bodies = [
        ("application/json", r#"{"webhookTimestamp":1767225600000}"#),
        ("application/x-www-form-urlencoded", "b=2&a=%C3%A9+x&a=1"),
    ];
    for preset in presets() {
        let scheme = scheme(preset);
        let in_body = scheme.credentials().iter().any(|part| matches!(part, Credential::Body(_)));
        let by_key = scheme.methods().iter().any(|method| matches!(method, Method::Sig(_) | Method::Code(_)));
        if in_body || by_key {
            continue;
        }
        for (content_type, body) in bodies {
            if (preset.name == "plivo") != content_type.contains("form") && preset.name == "plivo"
                || preset.name == "linear" && content_type.contains("form")
            {
                continue;
            }
            let request = signed_request(&scheme, content_type, body);
            let verified = verify(&scheme, &request, &["b3RoZXI=", SECRET], NOW);
            let index = verified.unwrap_or_else(|refusal| panic!("{}: {refusal}", preset.name)).secret_index;
            assert_eq!(index, usize::from(scheme.needs_secret()), "{}", preset.name);
            if preset.replay == Replay::Window {
                assert!(verify(&scheme, &request, &[SECRET], NOW.plus_ms(7_200_000)).is_err(), "{}", preset.name);
            }
        }
    }
}

#[test]
fn a_private_key_signs_for_its_public_key() {
    let body = Bytes::from_static(b"{}");
    let seed = hex_seed();
    let public = ed25519_dalek::SigningKey::from_bytes(&[7; 32]).verifying_key();
    let scheme = preset("discord").unwrap().scheme(&Params::new()).unwrap();
    let out = Outgoing { method: "POST", url: URL, content_type: "application/json", body: &body, id: "1" };
    let signed = signature::sign(&scheme, &out, seed.as_bytes(), NOW).unwrap();
    let headers = signed.headers.into_iter().map(|(name, value)| (name.into(), Bytes::from(value))).collect();
    let (method, path) = ("POST".to_owned(), "/".to_owned());
    let request = RawRequest { method, path, query: None, headers, body, received_at: NOW };
    let key = hex::encode(public.as_bytes());
    let material = Material { public_keys: &[&key], ..Material::default() };
    assert!(signature::verify(&scheme, &request, &material, NOW).is_ok());
}

fn hex_seed() -> String {
    hex::encode([7; 32])
}

fn reason(name: &str, request: &RawRequest, secrets: &[&str]) -> Reason {
    let scheme = scheme(preset(name).unwrap());
    verify(&scheme, request, secrets, NOW).unwrap_err().reason
}

#[test]
fn refusals_have_their_reasons() {
    let scheme = scheme(preset("stripe").unwrap());
    let good = signed_request(&scheme, "application/json", "{}");
    let with = |change: &dyn Fn(&mut RawRequest)| {
        let mut request = good.clone();
        change(&mut request);
        reason("stripe", &request, &[SECRET])
    };
    assert_eq!(reason("stripe", &good, &[]), Reason::NoSecretConfigured);
    assert_eq!(reason("stripe", &good, &[""]), Reason::NoSecretConfigured);
    assert_eq!(reason("stripe", &good, &["other"]), Reason::NoMatch);
    assert_eq!(reason("bearer", &good, &[""]), Reason::MissingHeader);
    assert_eq!(with(&|request| request.headers.clear()), Reason::MissingHeader);
    assert_eq!(with(&|request| request.headers.push(request.headers[0].clone())), Reason::DuplicateHeader);
    assert_eq!(with(&|request| request.headers[0].1 = Bytes::from_static(b"t=1\xff")), Reason::MalformedHeader);
    assert_eq!(with(&|request| request.headers[0].1 = Bytes::from_static(b"t=1,v1=")), Reason::MalformedSignature);
    assert_eq!(with(&|request| request.body = Bytes::from_static(b"{ }")), Reason::NoMatch);
    assert_eq!(with(&|request| request.headers[0].1 = Bytes::from_static(b"v1=00")), Reason::TimestampMissing);
    let twice = Bytes::from_static(b"t=1767225600,t=1767225600,v1=00");
    assert_eq!(with(&|request| request.headers[0].1 = twice.clone()), Reason::TimestampMalformed);
    let many = Bytes::from(format!("t=1767225600{}", ",v1=00".repeat(17)));
    assert_eq!(with(&|request| request.headers[0].1 = many.clone()), Reason::MalformedSignature);
}

#[test]
fn twilio_proves_its_body_one_way_or_the_other() {
    let scheme = scheme(preset("twilio").unwrap());
    let form = signed_request(&scheme, "application/x-www-form-urlencoded", "CallSid=CA1");
    let mut relabelled = form.clone();
    relabelled.headers.last_mut().unwrap().1 = Bytes::from_static(b"application/json");
    assert_eq!(reason("twilio", &relabelled, &[SECRET]), Reason::BodyNotCovered);
    let json = signed_request(&scheme, "application/json", "{}");
    assert!(json.query.as_ref().unwrap().contains("bodySHA256="));
    let mut emptied = json.clone();
    emptied.body = Bytes::new();
    assert_eq!(reason("twilio", &emptied, &[SECRET]), Reason::BodyHashMismatch);
    let mut as_form = json.clone();
    as_form.headers.last_mut().unwrap().1 = Bytes::from_static(b"application/x-www-form-urlencoded");
    as_form.body = Bytes::from_static(b"&&");
    assert_eq!(reason("twilio", &as_form, &[SECRET]), Reason::BodyHashMismatch);
}

#[test]
fn nothing_secret_survives_redaction() {
    for preset in presets() {
        let scheme = scheme(preset);
        if scheme.methods().iter().any(|method| matches!(method, Method::Sig(_) | Method::Code(_))) {
            continue;
        }
        let graph = r#"{"value":[{"clientState":"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"}]}"#;
        let request = match preset.name.as_str() {
            "microsoft-graph" => {
                RawRequest { body: Bytes::from_static(graph.as_bytes()), ..signed_request(&bearer(), "a/b", "") }
            }
            _ => signed_request(&scheme, "application/json", "{}"),
        };
        let redacted = scheme.redact(request.clone());
        let text = format!("{redacted:?}{:?}", scheme.redact_body(&request.body));
        assert!(!text.contains(SECRET), "{}: {text}", preset.name);
        assert!(text.contains("[verified]"), "{}", preset.name);
    }
}

fn bearer() -> Scheme {
    scheme(preset("bearer").unwrap())
}

#[test]
fn parameters_shape_a_scheme() {
    let given = [("header", "X-Hub-Signature-256"), ("prefix", "sha256="), ("algorithm", "hmac-sha256")];
    let params = given.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let shaped = preset("generic-hmac").unwrap().scheme(&params).unwrap();
    let request = signed_request(&scheme(preset("github").unwrap()), "application/json", "{}");
    assert!(verify(&shaped, &request, &[SECRET], NOW).is_ok());
    let bare = scheme(preset("generic-hmac").unwrap());
    assert!(verify(&bare, &request, &[SECRET], NOW).is_err());
    let unsound = [("content".to_owned(), "{ts}.".to_owned())].into_iter().collect();
    let refusal = preset("vapi-hmac").unwrap().scheme(&unsound).unwrap_err();
    assert!(refusal.to_string().contains("nothing covers the body"), "{refusal}");
}

#[test]
fn secrets_are_checked_when_they_are_set() {
    let reads = |name: &str, secret: &[u8]| scheme(preset(name).unwrap()).reads_secret(secret);
    assert!(reads("standard-webhooks", b"whsec_c2VjcmV0"));
    assert!(!reads("standard-webhooks", b"whsec_not base64"));
    assert!(!reads("stripe", b"") && !reads("bearer", b"") && !reads("bearer", b"two words"));
}

//! Believing a request does not copy its body: every byte that is allocated meanwhile is counted.
//!
//! One test in a process of its own, because the count is the process's. Bodies are one long text, a long text with an
//! escape in it, and many small parts. No scheme copies a text, with or without escapes. Schemes that need memory which
//! grows with the body are listed with the reason, and the list is exact:
//!
//! - The fields of a form are signed in another order than they are sent in, so there is a list of where they lie: 48
//!   bytes for each. They are decoded while they are compared and hashed.

use std::alloc::System;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use creel_webhook::clock::Timestamp;
use creel_webhook::pointer::Params;
use creel_webhook::preset::{Preset, presets};
use creel_webhook::request::RawRequest;
use creel_webhook::signature;
use creel_webhook::signature::sign::{Credentials, Outgoing};
use creel_webhook::signature::verdict::{Material, Reason};
use p256::pkcs8::{EncodePrivateKey, EncodePublicKey};
use serde_json::Value;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static COUNTING: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);
const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

const BODY_BYTES: usize = 1 << 20;

/// What a proof may need besides: headers, keys, hashes, URLs. Far below the body.
const BESIDES_BYTES: usize = 64 * 1_024;

/// Schemes that need memory that grows with the body, by the shape of the body.
const GROWING: &[(Shape, &[&str])] = &[
    (Shape::Text, &[]),
    (Shape::Escapes, &[]),
    // Where the fields of a form lie.
    (Shape::Parts, &["plivo", "twilio", "twilio-shared-key"]),
];

#[derive(Debug, Clone, Copy, PartialEq)]
enum Shape {
    /// One long text.
    Text,
    /// The same with an escape.
    Escapes,
    /// Many texts.
    Parts,
}

/// A body of each kind, and the token that it holds for Graph.
struct Bodies {
    json: Bytes,
    form: Bytes,
    token: String,
}

impl Shape {
    fn bodies(self) -> Bodies {
        let long = "x".repeat(BODY_BYTES);
        let escaped = "\\\"".repeat(BODY_BYTES / 2);
        let (items, text, form, token) = match self {
            Shape::Text => (item(&long), long.clone(), format!("a={long}"), long),
            Shape::Escapes => (item("\\u0078"), escaped, format!("a=%78+{long}"), "x".to_owned()),
            Shape::Parts => {
                let items = vec![item("x"); BODY_BYTES / 20].join(",");
                (items, String::new(), "a=1&".repeat(BODY_BYTES / 4), "x".to_owned())
            }
        };
        let sns = "\"Type\":\"Notification\",\"SignatureVersion\":\"2\",\"TopicArn\":\"t\",\"MessageId\":\"1\",\
            \"Timestamp\":\"t\",\"SigningCertURL\":\"https://sns.us-west-2.amazonaws.com/a.pem\",\"Signature\":\"AP8=\"";
        let json = format!(
            "{{\"webhookTimestamp\":1767225600000,\"value\":[{items}],\"text\":\"{text}\",\"Message\":\"{text}\",{sns}}}"
        );
        Bodies { json: json.into(), form: form.into(), token }
    }
}

fn item(token: &str) -> String {
    format!("{{\"clientState\":\"{token}\"}}")
}

fn params(preset: &Preset) -> Params {
    let required = preset.params.iter().filter(|spec| spec.default.is_none() && !spec.optional);
    required.map(|spec| (spec.name.clone(), "x-given".to_owned())).collect()
}

/// Secrets or private keys in every encoding, with the public key where there is one.
fn keys() -> Vec<(String, Option<String>)> {
    let seed = [7; 32];
    let public = ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key().to_bytes();
    let private = p256::SecretKey::from_slice(&seed).unwrap();
    let pkcs8 = STANDARD.encode(private.to_pkcs8_der().unwrap().as_bytes());
    let spki = STANDARD.encode(private.public_key().to_public_key_der().unwrap());
    vec![
        (hex::encode(seed), Some(hex::encode(public))),
        (STANDARD.encode(seed), Some(STANDARD.encode(public))),
        (pkcs8, Some(spki)),
    ]
}

/// A certificate of nobody's, for messages of SNS.
fn certificate() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases/vectors/aws-sns.json");
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut pems =
        file["vectors"].as_array().unwrap().iter().filter_map(|vector| vector["params"]["cert_pem"].as_str());
    pems.next().unwrap().to_owned()
}

/// Bytes that are allocated to believe a request with this body.
fn allocated(preset: &Preset, body: &Bytes, content_type: &str, token: &str) -> usize {
    let scheme = preset.scheme(&params(preset)).unwrap();
    let url = "https://h.test/in/x";
    let out = Outgoing { method: "POST", url, content_type, body, id: "1" };
    let signed = keys().into_iter().find_map(|(secret, public)| {
        let signed = signature::sign(&scheme, &out, secret.as_bytes(), NOW).ok()?;
        Some((signed, secret, public))
    });
    let (signed, secret, public) = signed.unwrap_or_else(|| {
        let certificate = (preset.name == "aws-sns").then(certificate);
        (Credentials::default(), token.to_owned(), certificate)
    });
    let query: Vec<String> = signed.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let headers = signed.headers.into_iter().chain([("content-type".to_owned(), content_type.to_owned())]);
    let request = RawRequest {
        method: "POST".to_owned(),
        path: "/in/x".to_owned(),
        query: (!query.is_empty()).then(|| query.join("&")),
        headers: headers.map(|(name, value)| (name.into(), Bytes::from(value))).collect(),
        body: body.clone(),
        received_at: NOW,
    };
    let (secrets, keys): ([&[u8]; 1], Vec<&str>) = ([secret.as_bytes()], public.as_deref().into_iter().collect());
    let material = Material { secrets: &secrets, public_keys: &keys, urls: &[url], ..Material::default() };
    let region = Region::new(COUNTING);
    let verdict = signature::verify(&scheme, &request, &material, NOW);
    let allocated = region.change().bytes_allocated;
    // Nobody but Amazon signs for SNS, but all of it is looked at; forms are not signed by Linear, and only JSON by Graph; Plivo signs forms alone.
    let is_genuine = match preset.name.as_str() {
        "aws-sns" => false,
        "linear" | "microsoft-graph" => content_type == JSON,
        "plivo" => content_type == FORM,
        _ => true,
    };
    assert_eq!(verdict.is_ok(), is_genuine, "{}: {verdict:?}", preset.name);
    if preset.name == "aws-sns" && content_type == JSON {
        assert_eq!(verdict.unwrap_err().reason, Reason::NoMatch);
    }
    allocated
}

#[test]
fn believing_a_request_does_not_copy_its_body() {
    for (shape, known) in GROWING {
        let Bodies { json, form, token } = shape.bodies();
        let mut growing = Vec::new();
        for preset in presets() {
            let of_json = allocated(preset, &json, JSON, &token);
            let of_form = allocated(preset, &form, FORM, &token);
            if of_json.max(of_form) > BESIDES_BYTES {
                println!("{shape:?} {}: {of_json} for JSON, {of_form} for a form", preset.name);
                growing.push(preset.name.as_str());
            }
        }
        growing.sort_unstable();
        assert_eq!(growing, *known, "{shape:?}");
    }
}

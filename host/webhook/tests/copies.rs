//! Believing a request does not copy its body: every byte that is allocated meanwhile is counted.
//!
//! One test in a process of its own, because the count is the process's. Schemes that have to are listed with the reason,
//! and the list is exact.

use std::alloc::System;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use creel_webhook::clock::Timestamp;
use creel_webhook::pointer::Params;
use creel_webhook::preset::{Preset, presets};
use creel_webhook::request::RawRequest;
use creel_webhook::signature;
use creel_webhook::signature::sign::{Credentials, Outgoing};
use creel_webhook::signature::verdict::Material;
use p256::pkcs8::{EncodePrivateKey, EncodePublicKey};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static COUNTING: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);
const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

const BODY_BYTES: usize = 1 << 20;

/// What a proof may need besides: headers, keys, hashes, URLs. Far below the body.
const BESIDES_BYTES: usize = 64 * 1_024;

/// Schemes that look into the body, or at it twice.
const COPIES: &[(&str, &str)] = &[
    ("telnyx", "Ed25519 reads its message twice, in one piece"),
    ("discord", "Ed25519 reads its message twice, in one piece"),
    ("standard-webhooks-v1a", "Ed25519 reads its message twice, in one piece"),
    ("twilio", "fields are decoded and sorted"),
    ("twilio-shared-key", "fields are decoded and sorted"),
    ("plivo", "fields are decoded and sorted"),
    ("linear", "the time stands in the body"),
    ("microsoft-graph", "the token stands in each item of the body"),
    ("aws-sns", "fields of the message are signed"),
];

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

/// Bytes that are allocated to believe a request with this body.
fn allocated(preset: &Preset, body: &Bytes, content_type: &str) -> usize {
    let scheme = preset.scheme(&params(preset)).unwrap();
    let url = "https://h.test/in/x";
    let out = Outgoing { method: "POST", url, content_type, body, id: "1" };
    let signed = keys().into_iter().find_map(|(secret, public)| {
        let signed = signature::sign(&scheme, &out, secret.as_bytes(), NOW).ok()?;
        Some((signed, secret, public))
    });
    let (signed, secret, public) = signed.unwrap_or_else(|| (Credentials::default(), "x".repeat(BODY_BYTES), None));
    let query: Vec<String> = signed.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let headers = signed.headers.into_iter().chain([("content-type".to_owned(), content_type.to_owned())]);
    let request = RawRequest {
        method: "POST".to_owned(),
        path: "/in/x".to_owned(),
        query: (!query.is_empty()).then(|| query.join("&")),
        headers: headers.map(|(name, value)| (name, Bytes::from(value))).collect(),
        body: body.clone(),
        received_at: NOW,
    };
    let (secrets, keys): ([&[u8]; 1], Vec<&str>) = ([secret.as_bytes()], public.as_deref().into_iter().collect());
    let material = Material { secrets: &secrets, public_keys: &keys, urls: &[url], ..Material::default() };
    let region = Region::new(COUNTING);
    let verdict = signature::verify(&scheme, &request, &material, NOW);
    let allocated = region.change().bytes_allocated;
    // Nobody but Amazon signs for SNS; forms are not signed by Linear, and only JSON by Graph; Plivo signs forms alone.
    let is_genuine = match preset.name.as_str() {
        "aws-sns" => false,
        "linear" | "microsoft-graph" => content_type == JSON,
        "plivo" => content_type == FORM,
        _ => true,
    };
    assert_eq!(verdict.is_ok(), is_genuine, "{}: {verdict:?}", preset.name);
    allocated
}

#[test]
fn believing_a_request_does_not_copy_its_body() {
    let text = "x".repeat(BODY_BYTES);
    let json =
        Bytes::from(format!("{{\"webhookTimestamp\":1767225600000,\"value\":[{{\"clientState\":\"{text}\"}}]}}"));
    let form = Bytes::from(format!("a={text}"));
    let mut copying = Vec::new();
    for preset in presets() {
        let of_json = allocated(preset, &json, JSON);
        let of_form = allocated(preset, &form, FORM);
        if of_json.max(of_form) > BESIDES_BYTES {
            copying.push((preset.name.as_str(), of_json, of_form));
        }
    }
    for (name, of_json, of_form) in &copying {
        println!("{name}: {of_json} {of_form}");
    }
    let mut names: Vec<&str> = copying.iter().map(|(name, ..)| *name).collect();
    let mut known: Vec<&str> = COPIES.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    known.sort_unstable();
    assert_eq!(names, known);
}

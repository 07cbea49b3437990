//! Twice the bytes cost twice the time: no reader of a stranger's bytes has a shape of input that it is slow at.
//!
//! Time is measured, so it is measured with care: time of the processor and not of the clock, the least of several runs of
//! each size, taken in turns, and more of them as long as the answer is no. Noise only adds to a time; what is truly
//! quadratic stays at four.

use std::hint::black_box;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use cpu_time::ThreadTime;
use creel_webhook::clock::Timestamp;
use creel_webhook::identity::{IdentityRules, identify};
use creel_webhook::pointer::{Params, View};
use creel_webhook::preset::preset;
use creel_webhook::reply::fallback;
use creel_webhook::request::RawRequest;
use creel_webhook::signature;
use creel_webhook::signature::field::SignatureField;
use creel_webhook::signature::scheme::Scheme;
use creel_webhook::signature::template::Template;
use creel_webhook::signature::verdict::{Material, Verified};
use serde_json::{Value, json};

/// The smaller of two sizes, bytes.
const BYTES: usize = 1 << 20;

/// Twice the bytes may cost so much more.
const RATIO_MAX: f64 = 2.5;

/// Measurements of each size before it is believed that the time is not linear.
const ROUNDS_MAX: usize = 40;

const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);

/// What runs beside it takes its share of caches and memory, and not the same share of both sizes.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Fails when `work` on twice the bytes that `input` gives takes more than [`RATIO_MAX`] times as long.
fn is_linear<I>(what: &str, input: impl Fn(usize) -> I, work: impl Fn(&I)) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let (small, large) = (input(BYTES), input(2 * BYTES));
    let time = |input: &I| {
        let began = ThreadTime::now();
        work(input);
        began.elapsed()
    };
    let mut least = (Duration::MAX, Duration::MAX);
    for round in 0..ROUNDS_MAX {
        least = (least.0.min(time(&small)), least.1.min(time(&large)));
        // What takes microseconds looks at no more than a beginning.
        let is_nothing = least.1 < Duration::from_micros(50);
        // A long time is less of an accident than a short one.
        let is_enough = round >= 2 || least.1 > Duration::from_millis(50);
        if is_enough && (is_nothing || least.1.as_secs_f64() <= RATIO_MAX * least.0.as_secs_f64()) {
            return;
        }
    }
    panic!("{what}: {:?} for 1 MiB, {:?} for 2 MiB", least.0, least.1);
}

#[test]
#[should_panic(expected = "squares")]
fn what_is_not_linear_is_found() {
    let square = |bytes: &usize| (0..bytes * bytes).for_each(|step| _ = black_box(step));
    is_linear("squares", |bytes| bytes / 1_024, square);
}

fn repeated(before: &str, part: &str, after: &str, bytes: usize) -> String {
    format!("{before}{}{after}", part.repeat(bytes / part.len()))
}

fn request(headers: &[(&str, &str)], body: String) -> RawRequest {
    RawRequest {
        method: "POST".to_owned(),
        path: "/in/x".to_owned(),
        query: Some("a=1".to_owned()),
        headers: headers.iter().map(|(name, value)| ((*name).into(), Bytes::from((*value).to_owned()))).collect(),
        body: Bytes::from(body),
        received_at: NOW,
    }
}

fn judge(name: &str, request: &RawRequest) {
    let scheme = preset(name).unwrap().scheme(&Params::new()).unwrap();
    let secrets: [&[u8]; 1] = [b"c2VjcmV0LXNlY3JldC1zZWNyZXQ="];
    let material = Material { secrets: &secrets, urls: &["https://h.test/in/x"], ..Material::default() };
    let _ = black_box(signature::verify(&scheme, request, &material, NOW));
}

#[test]
fn signature_headers() {
    let list: SignatureField = serde_json::from_value(
        json!({"from": "header:x", "split": ",", "kv": "=", "field": "v1", "trim": true, "enc": "hex"}),
    )
    .unwrap();
    let plain: SignatureField = serde_json::from_value(json!({"from": "header:x", "enc": "base64"})).unwrap();
    for part in ["v1=00,", "t=1,", ",", "=", " ,", "v1=0", "\u{e9}"] {
        is_linear(part, |bytes| repeated("t=1,", part, "", bytes), |text| drop(black_box(list.parse(text))));
        is_linear(part, |bytes| repeated("", part, "", bytes), |text| drop(black_box(plain.parse(text))));
    }
}

#[test]
fn forms() {
    let (twilio, plivo) = ("x-twilio-signature", "x-plivo-signature-v3");
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        (twilio, "AAAA"),
        (plivo, "AAAA"),
        ("x-plivo-signature-v3-nonce", "1"),
    ];
    for part in ["a=1&", "&", "%", "%41", "abcdefgh"] {
        let body = |bytes| request(&headers, repeated("", part, "", bytes));
        is_linear(part, body, |request| judge("twilio", request));
        is_linear(part, body, |request| judge("plivo", request));
    }
    let distinct = |bytes: usize| {
        request(&headers, (0..bytes / 9).map(|n| format!("{:07}=&", n.wrapping_mul(7_919) % 9_999_991)).collect())
    };
    is_linear("distinct names", distinct, |request| judge("twilio", request));
}

#[test]
fn tokens() {
    for part in [".", "e30.", "A", "Bearer "] {
        let token = |bytes| request(&[("authorization", &repeated("Bearer ", part, "", bytes))], String::new());
        is_linear(part, token, |request| judge("vonage", request));
        is_linear(part, token, |request| judge("http-basic", request));
        is_linear(part, token, |request| judge("bearer", request));
    }
}

#[test]
fn bodies_that_are_signed() {
    for (name, header) in
        [("github", "x-hub-signature-256"), ("hubspot-v1", "x-hubspot-signature"), ("bland", "x-webhook-signature")]
    {
        let zero = format!("{}{}", if name == "github" { "sha256=" } else { "" }, "00".repeat(32));
        is_linear(
            name,
            |bytes| request(&[(header, &zero)], repeated("", "x", "", bytes)),
            |request| judge(name, request),
        );
    }
    let discord = preset("discord").unwrap().scheme(&Params::new()).unwrap();
    let (signature, key) = ("00".repeat(64), "11".repeat(32));
    let body = |bytes| {
        request(&[("x-signature-ed25519", &signature), ("x-signature-timestamp", "1")], repeated("", "x", "", bytes))
    };
    is_linear("discord", body, |request| {
        let material = Material { public_keys: &[&key], ..Material::default() };
        let _ = black_box(signature::verify(&discord, request, &material, NOW));
    });
}

/// Bodies of JSON, well formed and not.
fn json_bodies(bytes: usize) -> Vec<(&'static str, String)> {
    vec![
        ("items", repeated("{\"value\":[", "{\"clientState\":\"x\",\"a\":[1]},", "{\"clientState\":\"x\"}]}", bytes)),
        ("root items", repeated("[", "{\"eventId\":1,\"id\":\"x\"},", "{}]", bytes)),
        (
            "tool calls",
            repeated("{\"message\":{\"type\":\"tool-calls\",\"toolCallList\":[", "{\"id\":\"1\"},", "{}]}}", bytes),
        ),
        ("same names", repeated("{", "\"value\":[{\"clientState\":\"x\"}],", "\"a\":1}", bytes)),
        ("names", format!("{{{}\"z\":1}}", (0..bytes / 12).map(|n| format!("\"n{n:07}\":1,")).collect::<String>())),
        ("opened", "[".repeat(bytes)),
        ("escapes", repeated("{\"value\":\"", "\\u0041\\n", "\"}", bytes)),
        ("text", repeated("\"", "x", "\"", bytes)),
    ]
}

#[test]
fn pointers_identity_and_redaction() {
    let shapes: Vec<&str> = json_bodies(100).into_iter().map(|(name, _)| name).collect();
    let graph = preset("microsoft-graph").unwrap();
    let scheme = graph.scheme(&Params::new()).unwrap();
    for (index, shape) in shapes.into_iter().enumerate() {
        let body = |bytes| request(&[], json_bodies(bytes).swap_remove(index).1);
        is_linear(shape, body, |request| {
            let view = View::new(request);
            for text in ["json:/value/0/clientState", "json:/message/type", "json:/n0000001", "body:sha256"] {
                black_box(view.text(&text.parse().unwrap(), None));
            }
        });
        is_linear(shape, body, |request| judge("microsoft-graph", request));
        is_linear(shape, body, |request| drop(black_box(scheme.redact_body(&request.body))));
        for name in ["microsoft-graph", "hubspot"] {
            let provider = &preset(name).unwrap().provider;
            let verified = Verified::default();
            is_linear(shape, body, |request| {
                drop(black_box(identify(provider, request, &verified, &IdentityRules::default())))
            });
        }
    }
}

#[test]
fn fallbacks_are_filled() {
    let provider = &preset("vapi-hmac").unwrap().provider;
    let body = |bytes| Bytes::from(json_bodies(bytes).swap_remove(2).1);
    is_linear("tool calls", body, |body| drop(black_box(fallback(provider, "tool-calls", body))));
}

#[test]
fn templates_and_schemes() {
    for part in ["{", "}", "{body}", "x"] {
        is_linear(
            part,
            |bytes| repeated("", part, "", bytes),
            |text| drop(black_box(Template::try_from(text.clone()))),
        );
    }
    let scheme = |bytes: usize| {
        let alternatives: Vec<Value> = (0..bytes / 64).map(|n| json!({"kind": "mac", "alg": "md5", "n": n})).collect();
        json!({ "any_of": alternatives })
    };
    is_linear("alternatives", scheme, |value| drop(black_box(Scheme::parse_telling_all(value))));
}

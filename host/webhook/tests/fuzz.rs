//! Strangers choose every byte: each reader of theirs, with much of what they could write. No reader panics, and what is
//! read is what was written.
//!
//! Quick by itself. With `CREEL_LONG=1` each target runs for [`LONG`]: `CREEL_LONG=1 cargo test -p creel-webhook --test fuzz`.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use bytes::Bytes;
use creel_webhook::clock::Timestamp;
use creel_webhook::excerpt::{self, every_value, value_at};
use creel_webhook::pointer::{Params, Place, Pointer, View};
use creel_webhook::preset::presets;
use creel_webhook::request::RawRequest;
use creel_webhook::signature::decode::{Encoding, base64url, pem_bytes, to_base64url};
use creel_webhook::signature::field::SignatureField;
use creel_webhook::signature::forms::{self, Form, UrlForm};
use creel_webhook::signature::hash::{Algorithm, Sink, mac};
use creel_webhook::signature::model::{Jwt, Method};
use creel_webhook::signature::rsa::certificate_key;
use creel_webhook::signature::scheme::Scheme;
use creel_webhook::signature::template::Template;
use creel_webhook::signature::verdict::Material;
use creel_webhook::signature::{explain, jwt, sns};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};
use serde_json::{Value, json};

/// How long a target runs with `CREEL_LONG=1`.
const LONG: Duration = Duration::from_secs(60);

const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);

/// Cases of a target, or a minute of them.
fn run<S: Strategy>(strategy: S, check: impl Fn(S::Value) -> TestCaseResult)
where
    S::Value: Debug,
{
    let mut runner = TestRunner::new(Config { cases: 512, failure_persistence: None, ..Config::default() });
    let began = Instant::now();
    loop {
        if let Err(failure) = runner.run(&strategy, &check) {
            panic!("{failure}");
        }
        if std::env::var_os("CREEL_LONG").is_none() || began.elapsed() >= LONG {
            return;
        }
    }
}

/// Text of pieces that readers look for, with noise between.
fn noisy(pieces: &'static [&'static str]) -> impl Strategy<Value = String> {
    let piece =
        prop_oneof![4 => prop::sample::select(pieces).prop_map(str::to_owned), 1 => "\\PC{0,6}", 1 => "[ -~]{0,6}"];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn request(headers: Vec<(&str, String)>, query: Option<String>, body: impl Into<Bytes>) -> RawRequest {
    RawRequest {
        method: "POST".to_owned(),
        path: "/in/x".to_owned(),
        query,
        headers: headers.into_iter().map(|(name, value)| (name.into(), Bytes::from(value))).collect(),
        body: body.into(),
        received_at: NOW,
    }
}

fn fields() -> Vec<SignatureField> {
    presets()
        .filter_map(|preset| preset.scheme(&Params::new()).ok())
        .flat_map(|scheme| scheme.methods().to_vec())
        .filter_map(|method| match method {
            Method::Mac(signed) | Method::Sig(signed) | Method::Digest(signed) => Some(signed.sig),
            _ => None,
        })
        .collect()
}

#[test]
fn signature_headers() {
    let fields = fields();
    assert!(fields.len() > 30);
    let text = noisy(&[
        "t=",
        "v1=",
        "v0=",
        "h1=",
        "v=",
        "d=",
        ",",
        ";",
        " ",
        "=",
        "00ff",
        "AP8=",
        "sha256=",
        "1767225600",
        "v1,",
    ]);
    run(text, |text| {
        for field in &fields {
            let Ok(found) = field.parse(&text) else { continue };
            prop_assert!(!found.candidates.is_empty() && found.candidates.len() <= field.max);
            prop_assert!(
                found.candidates.iter().all(|bytes| !bytes.is_empty() && text.contains(&field.enc.encode(bytes)))
            );
        }
        Ok(())
    });
}

#[test]
fn what_is_written_into_a_signature_header_is_read_from_it() {
    let fields = fields();
    run((prop::collection::vec(any::<u8>(), 1..80), 0_u64..u64::MAX), |(signature, number)| {
        for field in &fields {
            let labels = field.exact.clone().unwrap_or_default();
            let own = |label: &&String| Some(*label) != field.field.as_ref();
            let others: Vec<_> = labels.iter().filter(own).map(|label| (label.clone(), number.to_string())).collect();
            let found = field
                .parse(&field.write(&others, &signature))
                .map_err(|refusal| TestCaseError::fail(refusal.to_string()))?;
            prop_assert_eq!(found.candidates.as_slice(), std::slice::from_ref(&signature));
            prop_assert_eq!(found.fields, others);
        }
        Ok(())
    });
}

#[test]
fn encodings() {
    run(prop_oneof![noisy(&["00", "fF", "AP8=", "=", "-_", "+/", "\n"]), "[A-Za-z0-9+/=_-]{0,40}"], |text| {
        for encoding in [Encoding::Hex, Encoding::Base64] {
            if let Some(bytes) = encoding.decode(&text) {
                prop_assert_eq!(encoding.encode(&bytes), text.clone());
            }
        }
        if let Some(bytes) = base64url(&text) {
            prop_assert_eq!(to_base64url(&bytes), text);
        }
        Ok(())
    });
}

fn canonical(form: Form, body: &[u8], query: Option<String>) -> Vec<u8> {
    let content_type = "application/x-www-form-urlencoded; charset=utf-8".to_owned();
    let request = request(vec![("content-type", content_type)], query, Bytes::copy_from_slice(body));
    let mut sink: Vec<u8> = Vec::new();
    let url = forms::public_url("https://h.test/a?ignored#x", &request);
    forms::write(form, &request, &url, &mut sink as &mut dyn Sink);
    sink
}

/// The fields of a form decoded one by one and sorted, written as Twilio does and as Plivo does.
fn by_copies(body: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let decoded = |text: &[u8]| -> Vec<u8> {
        let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
        percent_encoding::percent_decode(&spaced).collect()
    };
    let field = |field: &[u8]| {
        let cut = field.iter().position(|byte| *byte == b'=');
        let (name, value) = cut.map_or((field, &[][..]), |at| (&field[..at], &field[at + 1..]));
        (decoded(name), decoded(value))
    };
    let mut fields: Vec<_> = body.split(|byte| *byte == b'&').filter(|text| !text.is_empty()).map(field).collect();
    fields.sort();
    let concat = |fields: &[(Vec<u8>, Vec<u8>)]| -> Vec<u8> {
        fields.iter().flat_map(|(name, value)| [&name[..], value].concat()).collect()
    };
    let plivo = [if fields.is_empty() { &b""[..] } else { b"?" }, &concat(&fields)].concat();
    fields.dedup();
    (concat(&fields), plivo)
}

#[test]
fn forms_are_written_as_if_they_were_copied() {
    let part = prop::sample::select(vec![
        "a", "b", "=", "&", "+", "%", "%41", "%61", "%2B", "%2b", "%26", "%zz", "%4", "%C3%A9", "%00", "\u{e9}", "%+1",
    ]);
    let long = "[ab+%]{250,270}(%4[0-9]){0,300}";
    let body = prop_oneof![
        9 => prop::collection::vec(part, 0..24).prop_map(|parts| parts.concat()),
        1 => (long, long).prop_map(|(name, value)| format!("{name}={value}&{name}=b&a={value}")),
    ];
    run(body, |body| {
        let (twilio, plivo) = by_copies(body.as_bytes());
        prop_assert_eq!(canonical(Form::Twilio, body.as_bytes(), None), twilio);
        prop_assert_eq!(canonical(Form::Plivo, body.as_bytes(), None), [b"https://h.test/a", &plivo[..]].concat());
        Ok(())
    });
}

#[test]
fn forms_of_any_bytes() {
    let body = prop_oneof![
        noisy(&["a=1", "&", "=", "%", "%zz", "%C3%A9", "+", "%2", "a", "b=", "%00"]).prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..64)
    ];
    run((body, prop::option::of("[ -~]{0,30}")), |(body, query)| {
        for form in [Form::Twilio, Form::Plivo] {
            let text = canonical(form, &body, query.clone());
            // Neither the order of fields nor their spelling is signed.
            let mut fields: Vec<&[u8]> = body.split(|byte| *byte == b'&').collect();
            fields.reverse();
            prop_assert_eq!(&canonical(form, &fields.join(&b'&'), query.clone()), &text);
            let spelt: Vec<u8> =
                body.iter().flat_map(|byte| if *byte == b'+' { b"%20".to_vec() } else { vec![*byte] }).collect();
            prop_assert_eq!(&canonical(form, &spelt, query.clone()), &text);
        }
        Ok(())
    });
}

#[test]
fn urls_to_try() {
    let url = noisy(&["https://", "http://", "h.test", ":443", ":", "@", "[::1]", "/", "?", "#", "a=b", "%27", "'"]);
    let all = [UrlForm::NoPort, UrlForm::DefaultPort, UrlForm::NoPortEscaped, UrlForm::DefaultPortEscaped];
    run(url, |url| {
        let found = forms::candidates(&url, &all);
        prop_assert!((1..=4).contains(&found.len()));
        prop_assert_eq!(forms::candidates(&url, &[]), [url]);
        Ok(())
    });
}

fn jwt_scheme() -> Jwt {
    let jwt = json!({"kind": "jwt", "from": "header:authorization", "strip": "Bearer ", "strip_optional": true,
        "algs": ["HS256"], "require": ["exp"], "iat_max_age": 300,
        "body_hash": {"claim": "sha256", "alg": "sha256", "enc": "hex", "required": true}});
    match Scheme::parse(&jwt).unwrap().methods() {
        [Method::Jwt(jwt)] => jwt.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn tokens() {
    let (scheme, params) = (jwt_scheme(), Params::new());
    let secrets: [&[u8]; 1] = [b"secret"];
    let material = Material { secrets: &secrets, ..Material { params: &params, ..Material::default() } };
    let part = noisy(&[
        "{",
        "}",
        "\"alg\"",
        ":",
        "\"HS256\"",
        "\"none\"",
        ",",
        "\"exp\"",
        "9999999999",
        "1e400",
        "-1",
        "\"crit\"",
    ]);
    let header = prop_oneof![Just(r#"{"alg":"HS256"}"#.to_owned()), part];
    let claims = noisy(&[
        r#"{"exp":1767225700,"#,
        r#""iat":1767225600,"#,
        r#""sha256":"00","#,
        r#""x":1}"#,
        "}",
        r#""exp":1e30}"#,
    ]);
    run(
        (header, claims, any::<bool>(), noisy(&["Bearer ", ".", "e30", "eyJhbGciOiJIUzI1NiJ9"])),
        |(header, claims, signs, noise)| {
            let text = format!("{}.{}", to_base64url(header.as_bytes()), to_base64url(claims.as_bytes()));
            let signature =
                to_base64url(&mac(Algorithm::HmacSha256, if signs { b"secret" } else { b"another" }, text.as_bytes()));
            for token in [format!("{text}.{signature}"), noise.clone(), format!("{noise}{text}")] {
                let request = request(vec![("authorization", token)], None, "{}");
                // Nothing here has the hash of the body.
                prop_assert!(jwt::verify(&scheme, &request, &material, NOW).is_err());
                let _ = explain::explain(&Method::Jwt(scheme.clone()), &request, &material, NOW);
            }
            Ok(())
        },
    );
}

#[test]
fn pointers_into_anything() {
    let text = noisy(&[
        "header:",
        "json:",
        "json_all:",
        "/a",
        "/*",
        "/0",
        "~1",
        "~",
        "/",
        "query:",
        "form:",
        "sig:t",
        "const:",
        "body:sha256",
        "?",
        "x",
    ]);
    let body = noisy(&[
        "{",
        "}",
        "[",
        "]",
        "\"a\"",
        ":",
        ",",
        "1",
        "null",
        "\"\\u0000\"",
        "1e999",
        "{\"a\":[{\"b\":1},{\"b\":2}]}",
    ]);
    run((text, body), |(text, body)| {
        let Ok(pointer) = text.parse::<Pointer>() else { return Ok(()) };
        prop_assert_eq!(&pointer.to_string().parse::<Pointer>().unwrap(), &pointer);
        let request = request(vec![("x", "1".to_owned())], Some("x=%zz".to_owned()), body.clone());
        let params = Params::new();
        let _ = View::new(&request).with_params(&params).text(&pointer, None);
        let whole = serde_json::from_str::<Value>(&body);
        prop_assert_eq!(excerpt::fields(body.as_bytes(), &["a"]).is_some(), whole.as_ref().is_ok_and(Value::is_object));
        if let Place::Json(path) = &pointer.place {
            let found = whole.as_ref().is_ok_and(|whole| whole.pointer(path).is_some());
            prop_assert_eq!(value_at(body.as_bytes(), path).is_some(), found);
        }
        if let (Place::JsonAll(path), Ok(_)) = (&pointer.place, &whole) {
            let _ = every_value(body.as_bytes(), path);
            let scheme = Scheme::parse(&json!({"kind": "token", "from": pointer.to_string()}));
            if let Ok(scheme) = scheme {
                let redacted = scheme.redact_body(&Bytes::from(body.clone()));
                prop_assert!(serde_json::from_slice::<Value>(&redacted).is_ok(), "{:?}", redacted);
            }
        }
        Ok(())
    });
}

#[test]
fn templates_and_schemes() {
    let template = noisy(&["{", "}", "{body}", "{ts}", "{id}", "{form:twilio}", "{url}", ".", "v0:"]);
    run((template, "[a-z0-9:/_-]{0,16}", any::<u8>()), |(content, text, kind)| {
        if let Ok(template) = Template::try_from(content.clone()) {
            prop_assert_eq!(Template::try_from(template.to_string()).unwrap(), template);
        }
        let kind = ["mac", "sig", "digest", "token", "jwt", "code", "url", ""][usize::from(kind % 8)];
        let value = json!({"kind": kind, "alg": "hmac-sha256", "content": content, "from": text, "name": text,
            "sig": {"from": text, "enc": "hex"}, "vars": {"id": text}});
        let told = Scheme::parse_telling_all(&value);
        let first = Scheme::parse(&value);
        prop_assert_eq!(told.map_err(|mistakes| mistakes[0].clone()), first);
        Ok(())
    });
}

#[test]
fn messages_and_certificates() {
    let params = Params::new();
    let message = noisy(&[
        "{",
        "}",
        "\"Type\":\"Notification\"",
        ",",
        "\"SignatureVersion\":\"2\"",
        "\"Signature\":\"AP8=\"",
        "\"SigningCertURL\":\"https://sns.us-west-2.amazonaws.com/a.pem\"",
        "\"TopicArn\":\"a\"",
        "\"Message\":\"m\"",
        "\"MessageId\":\"1\"",
        "\"Timestamp\":\"t\"",
    ]);
    run(
        (
            message,
            prop::collection::vec(any::<u8>(), 0..64),
            noisy(&["-----BEGIN ", "-----", "X", "-----END ", "MBAw", "\n"]),
        ),
        |(message, der, pem)| {
            let keys = [pem.as_str()];
            let material = Material { public_keys: &keys, params: &params, ..Material::default() };
            prop_assert!(sns::verify(&request(Vec::new(), None, message), &material).is_err());
            let _ = (certificate_key(&der), pem_bytes(&pem), sns::is_amazons(&pem), sns::is_confirmation(&pem));
            let wrapped = [&[0x30, der.len() as u8][..], &der].concat();
            let _ = certificate_key(&wrapped);
            Ok(())
        },
    );
}

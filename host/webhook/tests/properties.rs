//! Strangers choose every byte of a request: no reader may panic, and none may believe noise.

use bytes::Bytes;
use creel_webhook::clock::Timestamp;
use creel_webhook::event::TypePattern;
use creel_webhook::handshake::{after_auth, before_auth};
use creel_webhook::identity::{IdentityRules, identify, parse_time};
use creel_webhook::pointer::{Params, Pointer};
use creel_webhook::preset::{Preset, presets};
use creel_webhook::provider::TimeUnit;
use creel_webhook::reply::{acknowledgement, fallback, reply_deadline_ms};
use creel_webhook::request::RawRequest;
use creel_webhook::signature;
use creel_webhook::signature::scheme::Scheme;
use creel_webhook::signature::template::Template;
use creel_webhook::signature::verdict::{Material, Verified};
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);

fn text() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "t=1767225600,v1=00",
        "v=1,d=00",
        "v1,AAAA v1,",
        "sha256=",
        "Bearer a.b.c",
        "Basic ====",
        "1767225600",
        "eyJhbGciOiJIUzI1NiJ9.e30.AAAA",
        "algorithm=HMAC_SHA256",
        "application/json",
        "",
    ]);
    prop_oneof![known.prop_map(str::to_owned), "[ -~]{0,40}", "\\PC{0,20}"]
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        r#"{"message":{"type":"tool-calls","toolCallList":[{"id":1},null,"x"]}}"#,
        r#"[{"sg_event_id":"a"},null,3,[]]"#,
        r#"{"value":[{"clientState":null}]}"#,
        r#"{"value":[]}"#,
        "a=%zz&b=%&&=&+=+%C3",
        "{\"a\":",
    ]);
    prop_oneof![known.prop_map(|text| text.as_bytes().to_vec()), prop::collection::vec(any::<u8>(), 0..64)]
}

/// A request that has every header and parameter the preset reads, with values from a stranger.
fn request(scheme_headers: &[String], values: &[String], method: &str, query: &str, body: &[u8]) -> RawRequest {
    let header = |(name, value): (&String, &String)| (name.as_str().into(), Bytes::from(value.clone()));
    RawRequest {
        method: method.to_owned(),
        path: "/in/x".to_owned(),
        query: Some(query.to_owned()),
        headers: scheme_headers.iter().zip(values.iter().cycle()).map(header).collect(),
        body: Bytes::copy_from_slice(body),
        received_at: NOW,
    }
}

fn configured(preset: &Preset) -> Scheme {
    let required = preset.params.iter().filter(|spec| spec.default.is_none());
    let params: Params = required.map(|spec| (spec.name.clone(), "x-given".to_owned())).collect();
    preset.scheme(&params).unwrap()
}

/// Names of all headers that the scheme's debug text mentions: cheap, and it follows the model by itself.
fn headers_of(scheme: &Scheme) -> Vec<String> {
    let text = format!("{scheme:?}");
    let mut names: Vec<String> =
        text.split("Header(\"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect();
    names.extend(["content-type".to_owned(), "x-twilio-webhooks-signature-settings".to_owned()]);
    names.sort();
    names.dedup();
    names
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn noise_is_refused_and_nothing_panics(
        values in prop::collection::vec(text(), 1..6),
        method in prop::sample::select(vec!["POST", "GET", "HEAD", "OPTIONS", "x"]),
        query in "[ -~]{0,40}",
        body in body(),
    ) {
        for preset in presets() {
            let scheme = configured(preset);
            let request = request(&headers_of(&scheme), &values, method, &query, &body);
            let params = Params::new();
            let urls = ["https://h.test:8443/x?y#z", "nonsense", ""];
            let material = Material {
                secrets: &[b"whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ="],
                public_keys: &["11".repeat(32).leak(), "AAAA"],
                urls: &urls,
                params: &params,
            };
            let verified = signature::verify(&scheme, &request, &material, NOW);
            prop_assert!(verified.is_err() || !scheme.needs_secret() && !scheme.needs_public_key());
            let _ = before_auth(&preset.provider, &request, &material);
            let anybody = Verified::default();
            let _ = after_auth(&preset.provider, &request, &material, &anybody);
            let drafts = identify(&preset.provider, &request, &anybody, &IdentityRules::default());
            prop_assert!(!drafts.is_empty());
            for draft in drafts {
                let _ = reply_deadline_ms(&preset.provider, &draft.kind);
                let _ = acknowledgement(&preset.provider, &draft.kind);
                let _ = fallback(&preset.provider, &draft.kind, &request.body);
            }
            let _ = (scheme.redact(request.clone()), scheme.redact_body(&request.body));
        }
    }

    #[test]
    fn texts_parse_or_do_not(text in "\\PC{0,60}", json in "[ -~]{0,60}") {
        if let Ok(pointer) = text.parse::<Pointer>() {
            prop_assert_eq!(pointer.to_string().parse::<Pointer>().unwrap(), pointer);
        }
        let _ = Template::try_from(text.clone());
        for unit in [TimeUnit::S, TimeUnit::Ms, TimeUnit::Iso, TimeUnit::Rfc2822] {
            let _ = parse_time(unit, &text);
        }
        if let Ok(value) = serde_json::from_str(&json) {
            prop_assert!(Scheme::parse(&value).is_err());
        }
    }

    #[test]
    fn redaction_touches_nothing_but_the_credentials(
        items in prop::collection::vec((number(), "[ \n\t]{0,3}", "[a-z\u{e9}\"\\\\]{0,8}", any::<bool>()), 0..6),
        cut in 0_usize..400,
    ) {
        let text = "json_all:/value/*/client~1State";
        let scheme = Scheme::parse(&serde_json::json!({"kind": "token", "from": text})).unwrap();
        let (mut sent, mut kept) = ("{ \"n\":1.10,\"value\" : [".to_owned(), "{ \"n\":1.10,\"value\" : [".to_owned());
        for (index, (number, space, secret, twice)) in items.iter().enumerate() {
            let secret = serde_json::to_string(secret).unwrap();
            for (body, value) in [(&mut sent, secret.as_str()), (&mut kept, "\"[verified]\"")] {
                let comma = if index > 0 { "," } else { "" };
                body.push_str(&format!("{comma}{space}{{\"x\":{number}{space},\"client/State\":{space}{value}"));
                body.push_str(&if *twice { format!(",\"client\\/State\":{value}}}") } else { "}".to_owned() });
            }
        }
        for body in [&mut sent, &mut kept] {
            body.push_str("]\r\n}\n");
        }
        let redacted = scheme.redact_body(&Bytes::from(sent.clone()));
        prop_assert_eq!(std::str::from_utf8(&redacted).unwrap(), kept.as_str());
        // What is no JSON was never proven by it and stays as it is.
        let broken = Bytes::copy_from_slice(&sent.as_bytes()[..cut.min(sent.len() - 3)]);
        prop_assert_eq!(scheme.redact_body(&broken), broken);
    }

    #[test]
    fn a_credential_within_another_goes_with_it(inner in number()) {
        let token = |from: &str| serde_json::json!({"kind": "token", "from": from});
        let scheme = serde_json::json!({"any_of": [token("json_all:/a/0"), token("json_all:/a"), token("json_all:/b")]});
        let body = format!("{{\"a\": [{inner}, 2],\"b\":{inner}}}");
        let redacted = Scheme::parse(&scheme).unwrap().redact_body(&body.into());
        prop_assert_eq!(redacted.as_ref(), &br#"{"a": "[verified]","b":"[verified]"}"#[..]);
    }

    #[test]
    fn patterns_overlap_when_some_type_is_taken_by_both(a in "[ab*]{1,4}(,[ab*]{1,3})?", b in "[ab*]{1,4}") {
        let (first, second): (TypePattern, TypePattern) = (a.parse().unwrap(), b.parse().unwrap());
        // The shortest common type has no more characters than both patterns together.
        let common = words(8).into_iter().find(|word| first.matches(word) && second.matches(word));
        prop_assert_eq!(first.overlaps(&second), common.is_some(), "{:?} and {:?}: {:?}", a, b, common);
        prop_assert_eq!(second.overlaps(&first), common.is_some());
    }
}

/// Numbers that a reader's arithmetic would write differently.
fn number() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["1.0e2", "0.10", "123456789012345678901234567890", "-0", "1E400", "3"])
}

/// All words of `a` and `b` up to this length.
fn words(length_max: u32) -> Vec<String> {
    let of_length = |length: u32| {
        (0..1_u32 << length).map(move |bits| {
            (0..length).map(|place| if bits >> place & 1 == 0 { 'a' } else { 'b' }).collect::<String>()
        })
    };
    (0..=length_max).flat_map(of_length).collect()
}

//! What a stranger on the way could change: every byte of every part of every accepted request, one at a time.
//!
//! A part that its preset covers holds: no request with another meaning is taken. A part that it does not cover gives
//! way somewhere, and the parts that give way are exactly those that the generated table calls not covered. Requests
//! are the accepted vectors, and one that is signed here for each preset that has none.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use creel_webhook::catalogue::facts;
use creel_webhook::clock::Timestamp;
use creel_webhook::excerpt::every_value;
use creel_webhook::identity::{IdentityRules, identify};
use creel_webhook::pointer::{Params, Place};
use creel_webhook::preset::{Preset, presets};
use creel_webhook::provider::Parts;
use creel_webhook::request::RawRequest;
use creel_webhook::signature;
use creel_webhook::signature::decode::{KeyEncoding, pem_bytes};
use creel_webhook::signature::hash::Algorithm;
use creel_webhook::signature::jwt;
use creel_webhook::signature::model::{Jwt, Method, Signed};
use creel_webhook::signature::redact::Credential;
use creel_webhook::signature::rsa::certificate_key;
use creel_webhook::signature::sign::Outgoing;
use creel_webhook::signature::verdict::Reason;
use p256::pkcs8::EncodePublicKey;

use crate::case::{Case, each_vector};

/// Fit for every key encoding: text, hexadecimal and base64; for HTTP Basic a name stands before it.
const SECRET: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const URL: &str = "https://hooks.example.test/in/ep_1?a=1";

/// The signed fields of an SNS message. Its certificate's URL is not signed: whatever is fetched from there must fit.
const SNS: &[&str] = &["Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"];

/// Every accepted vector, and one request of each preset without any; named.
fn accepted() -> Vec<(String, Case)> {
    let mut cases = Vec::new();
    each_vector(|name, preset, vector| {
        if vector["expected"] == "accept" {
            cases.push((name.to_owned(), Case::new(preset, vector, vector)));
        }
    });
    let known: BTreeSet<&str> = cases.iter().map(|(_, case)| case.preset.name.as_str()).collect();
    let unknown = presets().filter(|preset| !known.contains(preset.name.as_str()));
    let made: Vec<_> = unknown.map(|preset| (format!("made/{}", preset.name), made(preset))).collect();
    cases.extend(made);
    cases.extend(presets().filter_map(without_hash));
    cases
}

/// A request whose token does not hold its body's hash, where that is allowed.
fn without_hash(preset: &'static Preset) -> Option<(String, Case)> {
    let scheme = preset.scheme(&params(preset)).unwrap();
    let optional = scheme.methods().iter().find_map(|method| match method {
        Method::Jwt(jwt) if !jwt.body_hash.as_ref().is_some_and(|hash| hash.required) => Some(jwt),
        _ => None,
    })?;
    let case = made(preset);
    let bare = Jwt { body_hash: None, ..optional.clone() };
    let token = jwt::issue(&bare, &bare.key.read(SECRET.as_bytes()).unwrap(), &case.request.body, "msg_1", case.now);
    let request = with_header(&case.request, "authorization", token.into_bytes());
    Some((format!("without-hash/{}", preset.name), Case { request, ..case }))
}

fn params(preset: &Preset) -> Params {
    let required = preset.params.iter().filter(|spec| spec.default.is_none() && !spec.optional);
    required.map(|spec| (spec.name.clone(), "x-given".to_owned())).collect()
}

fn made(preset: &'static Preset) -> Case {
    let params = params(preset);
    let scheme = preset.scheme(&params).unwrap();
    let now = Timestamp::from_secs(1_767_225_600);
    let body = Bytes::from_static(br#"{"id":"evt_1","type":"made"}"#);
    let out = Outgoing { method: "POST", url: URL, content_type: "application/json", body: &body, id: "msg_1" };
    let is_basic = scheme.methods().iter().any(|method| matches!(method, Method::Basic(_)));
    let secret = if is_basic { format!("user:{SECRET}") } else { SECRET.to_owned() };
    let signed = signature::sign(&scheme, &out, secret.as_bytes(), now).unwrap();
    let query: String = signed.query.iter().map(|(name, value)| format!("&{name}={value}")).collect();
    let content_type = ("content-type".to_owned(), "application/json".to_owned());
    let headers = signed.headers.into_iter().chain([content_type]);
    let mut request = RawRequest {
        method: "POST".to_owned(),
        path: "/in/ep_1".to_owned(),
        query: Some(format!("a=1{query}")),
        headers: headers.map(|(name, value)| (name.into(), Bytes::from(value))).collect(),
        body,
        received_at: now,
    };
    for name in read(preset) {
        if request.headers_named(&name).next().is_none() {
            request.headers.push((name.into(), Bytes::from_static(b"2026-01-01T00:00:00Z")));
        }
    }
    let (url, secret) = (URL.to_owned(), Some(secret));
    Case { preset, scheme, params, request, url, secret, public_key: None, now }
}

/// Each byte changed in its lowest bit and in its case, and left out; and one byte more.
fn changes(bytes: &[u8]) -> Vec<Vec<u8>> {
    let flipped = |at: usize, bit: u8| {
        let mut changed = bytes.to_vec();
        changed[at] ^= bit;
        changed
    };
    let without = |at: usize| [&bytes[..at], &bytes[at + 1..]].concat();
    let of_byte = |at| [flipped(at, 1), flipped(at, 0x20), without(at)];
    (0..bytes.len()).flat_map(of_byte).chain([[bytes, b"x"].concat()]).collect()
}

/// What a form says: its fields, decoded. Neither provider signs their order.
fn fields(form: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let decoded = |text: &[u8]| {
        let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
        percent_encoding::percent_decode(&spaced).collect::<Vec<u8>>()
    };
    let field = |text: &[u8]| {
        let cut = text.iter().position(|byte| *byte == b'=').unwrap_or(text.len());
        (decoded(&text[..cut]), decoded(text.get(cut + 1..).unwrap_or_default()))
    };
    let mut fields: Vec<_> = form.split(|byte| *byte == b'&').filter(|text| !text.is_empty()).map(field).collect();
    fields.sort();
    fields.dedup();
    fields
}

/// A form as Twilio and Plivo sign it.
fn run_together(request: &RawRequest) -> Vec<u8> {
    fields(&request.body).into_iter().flat_map(|(name, value)| [name, value].concat()).collect()
}

/// What a request says in the parts that a proof may cover: two requests that say the same differ in spelling only.
#[derive(Debug, PartialEq)]
struct Meaning {
    body: Vec<(Vec<u8>, Vec<u8>)>,
    query: Option<Vec<(Vec<u8>, Vec<u8>)>>,
    method: String,
}

fn meaning(request: &RawRequest, signs_forms: bool) -> Meaning {
    let is_form = signs_forms && request.is_media_type("application/x-www-form-urlencoded");
    Meaning {
        body: if is_form { fields(&request.body) } else { vec![(Vec::new(), request.body.to_vec())] },
        query: request.query.as_ref().map(|query| fields(query.as_bytes())),
        method: request.method.clone(),
    }
}

fn signed(case: &Case) -> impl Iterator<Item = &Signed> {
    case.scheme.methods().iter().filter_map(|method| match method {
        Method::Mac(signed) | Method::Sig(signed) | Method::Digest(signed) => Some(signed),
        _ => None,
    })
}

/// Headers from which an id, type, subject or time is read.
fn read(preset: &Preset) -> Vec<String> {
    let rules = &preset.provider.event;
    let pointers = rules.id.iter().chain(&rules.kind).flat_map(Parts::pointers).chain(&rules.subject);
    let header = |place: &Place| match place {
        Place::Header(name) => Some(name.clone()),
        _ => None,
    };
    pointers.chain(rules.time.iter().map(|rule| &rule.from)).filter_map(|pointer| header(&pointer.place)).collect()
}

/// The same request with another value of a header, which it may not have had.
fn with_header(request: &RawRequest, name: &str, value: Vec<u8>) -> RawRequest {
    let mut changed = request.clone();
    changed.headers.retain(|(have, _)| !have.eq_ignore_ascii_case(name));
    changed.headers.push((name.into(), value.into()));
    changed
}

/// Every request that differs in one part, with the part's name in the table.
fn mutants(case: &Case) -> Vec<(String, RawRequest)> {
    let request = &case.request;
    let mut all = Vec::new();
    for body in changes(&request.body) {
        all.push(("body".to_owned(), RawRequest { body: body.into(), ..request.clone() }));
    }
    let query = request.query.clone().unwrap_or_default();
    let longer = if query.is_empty() { "x=1".to_owned() } else { format!("{query}&x=1") };
    let queries = changes(query.as_bytes()).into_iter().filter_map(|query| String::from_utf8(query).ok());
    for query in queries.chain([longer]) {
        all.push(("URL".to_owned(), RawRequest { query: Some(query), ..request.clone() }));
    }
    for method in ["POST", "PUT", "PATCH", "GET", "DELETE"].map(str::to_owned) {
        all.push(("method".to_owned(), RawRequest { method, ..request.clone() }));
    }
    all
}

/// Headers from which something is read and which can be made to say something else. Of several that are tried in turn
/// a later one counts when those before it are gone.
fn open_headers(case: &Case) -> Vec<String> {
    let read = read(case.preset);
    let alone = |name: &String| {
        let mut request = case.request.clone();
        request
            .headers
            .retain(|(have, _)| have.eq_ignore_ascii_case(name) || !read.contains(&have.to_ascii_lowercase()));
        Case { request, ..case.clone() }
    };
    let is_open = |base: &Case, name: &str| {
        let Some(proves) = base.story() else { return false };
        let value = base.request.headers_named(name).next().cloned().unwrap_or_default();
        let other = changes(&value).into_iter().map(|value| with_header(&base.request, name, value));
        other
            .map(|request| Case { request, ..base.clone() })
            .any(|other| other.story().is_some_and(|says| says != proves))
    };
    let open = read.iter().filter(|name| is_open(case, name) || is_open(&alone(name), name));
    open.map(|name| format!("header:{name}")).collect()
}

impl Case {
    /// What is proven and what follows from it, as one text; `None` when nothing is proven.
    fn story(&self) -> Option<String> {
        let verified = self.verify().ok()?;
        let drafts = identify(&self.preset.provider, &self.request, &verified, &IdentityRules::default());
        Some(format!("{:?} {:?} {:?} {drafts:?}", verified.signature, verified.signed_at, verified.claims))
    }
}

#[test]
fn what_gives_way_is_exactly_what_the_table_calls_not_covered() {
    let mut open: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (name, case) in accepted() {
        let open = open.entry(&case.preset.name).or_default();
        open.extend(open_headers(&case));
        let signs_forms = signed(&case).any(|signed| signed.content.form().is_some());
        let said = meaning(&case.request, signs_forms);
        for (part, request) in mutants(&case) {
            let changed = Case { request, ..case.clone() };
            if changed.verify().is_err() || meaning(&changed.request, signs_forms) == said {
                continue;
            }
            assert_eq!(credentials(&changed), credentials(&case), "{name}: another credential in its {part}");
            let same_text = signs_forms && run_together(&changed.request) == run_together(&case.request);
            open.insert(if part == "body" && same_text { "ends of form names".to_owned() } else { part });
        }
    }
    for preset in presets() {
        let table: BTreeSet<String> = facts(preset).not_covered.into_iter().collect();
        assert_eq!(open.get(preset.name.as_str()), Some(&table), "{}", preset.name);
    }
    assert_eq!(open.len(), presets().count());
}

/// What a body or a query proves by itself: tokens in it, and the fields that SNS signs.
fn credentials(case: &Case) -> Vec<Option<String>> {
    let values = |path: &str| every_value(&case.request.body, path).map(|found| format!("{found:?}"));
    let of_method = |method: &Method| match method {
        Method::Code(_) => SNS.iter().map(|name| values(&format!("/{name}"))).collect(),
        Method::Token(token) => match &token.from.place {
            Place::JsonAll(path) => vec![values(path)],
            Place::Query(name) => {
                let query = case.request.query.as_deref().unwrap_or_default();
                let found = form_urlencoded::parse(query.as_bytes()).find(|(have, _)| have == name);
                vec![found.map(|(_, value)| value.into_owned())]
            }
            _ => Vec::new(),
        },
        _ => Vec::new(),
    };
    case.scheme.methods().iter().flat_map(of_method).collect()
}

/// Headers that prove: those whose bytes are a signature, a token or a time, and those that are signed by name.
fn proving(case: &Case) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = signed(case)
        .flat_map(|signed| {
            let pointers =
                signed.vars.values().chain(signed.ts.iter().map(|rule| &rule.from)).chain([&signed.sig.from]);
            let names = pointers.filter_map(|pointer| match &pointer.place {
                Place::Header(name) => Some(name.clone()),
                _ => None,
            });
            names.chain(signed.require_header.keys().cloned()).collect::<Vec<_>>()
        })
        .collect();
    for method in case.scheme.methods() {
        match method {
            Method::Jwt(jwt) => names.extend(jwt.from.to_string().strip_prefix("header:").map(str::to_owned)),
            Method::Token(token) => names.extend(token.from.to_string().strip_prefix("header:").map(str::to_owned)),
            Method::Basic(_) => drop(names.insert("authorization".to_owned())),
            _ => {}
        }
    }
    names.retain(|name| case.request.headers_named(name).next().is_some());
    names
}

#[test]
fn a_changed_proof_is_refused_or_proves_the_same() {
    let mut proven_by = BTreeSet::new();
    for (name, case) in accepted() {
        let proves = case.story();
        assert!(proves.is_some(), "{name}");
        for header in proving(&case) {
            let value = case.request.headers_named(&header).next().cloned().unwrap();
            let (mut refused, mut taken) = (0, 0);
            for other in changes(&value) {
                let changed = Case { request: with_header(&case.request, &header, other), ..case.clone() };
                if changed.verify().is_err() {
                    refused += 1;
                } else {
                    // A signature of another key in the list, the case of `Bearer`: nothing that proves anything.
                    taken += 1;
                    assert_eq!(changed.story(), proves, "{name}: {header}");
                }
            }
            let is_list = value.iter().any(|byte| b" ,;".contains(byte)) && !value.starts_with(b"Bearer ");
            assert!(refused > 0 && (is_list || taken <= "Bearer".len()), "{name}: {header}: {taken} taken");
            let mut twice = case.clone();
            twice.request.headers.push((header.as_str().into(), value));
            assert!(twice.verify().is_err(), "{name}: {header} twice");
            proven_by.insert(case.preset.name.as_str());
        }
    }
    let by_other_means: Vec<&str> =
        presets().map(|preset| preset.name.as_str()).filter(|name| !proven_by.contains(name)).collect();
    assert_eq!(
        by_other_means,
        ["voiceflow", "aws-sns", "azure-event-grid", "microsoft-graph", "zapier", "query-token", "url-token"]
    );
}

/// Another tenant's secret: as well formed, and not the same.
fn other_secret(case: &Case) -> Option<String> {
    let secret = case.secret.as_ref().filter(|secret| !secret.is_empty())?;
    let other = |at: usize| {
        let mut text = secret.clone().into_bytes();
        text[at] = if text[at] == b'1' { b'2' } else { b'1' };
        String::from_utf8(text).ok().filter(|text| case.scheme.reads_secret(text.as_bytes()))
    };
    (secret.len() / 2..secret.len()).find_map(other)
}

/// Another tenant's public key or certificate, of the same kind.
fn other_key(case: &Case) -> Option<String> {
    let key = case.public_key.as_ref()?;
    let Some(signed) = signed(case).next() else { return Some(other_certificate(key)) };
    Some(match (signed.alg, signed.key.enc) {
        (Algorithm::Ed25519, KeyEncoding::Hex) => hex::encode(ed25519()),
        (Algorithm::Ed25519, _) => {
            format!("{}{}", signed.key.strip_prefix.as_deref().unwrap_or_default(), STANDARD.encode(ed25519()))
        }
        _ => {
            let key = p256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap();
            STANDARD.encode(p256::PublicKey::from(key.verifying_key()).to_public_key_der().unwrap())
        }
    })
}

fn ed25519() -> [u8; 32] {
    ed25519_dalek::SigningKey::from_bytes(&[7; 32]).verifying_key().to_bytes()
}

fn other_certificate(pem: &str) -> String {
    let mut der = pem_bytes(pem).unwrap();
    let key = certificate_key(&der).unwrap();
    let middle = key.as_ptr() as usize - der.as_ptr() as usize + key.len() / 2;
    der[middle] ^= 1;
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(der))
}

#[test]
fn what_was_signed_for_one_source_is_refused_by_another() {
    let mut judged = 0;
    for (name, case) in accepted() {
        let (secret, public_key) = (other_secret(&case), other_key(&case));
        if secret.is_none() && public_key.is_none() {
            // The path leads to one source only.
            assert_eq!(case.scheme.credentials(), [Credential::Path], "{name}");
            continue;
        }
        judged += 1;
        let elsewhere = Case { secret, public_key, ..case.clone() };
        assert_eq!(elsewhere.verify().unwrap_err().reason, Reason::NoMatch, "{name}");
        let unconfigured = Case { secret: None, public_key: None, ..case.clone() };
        let reason = unconfigured.verify().unwrap_err().reason;
        assert!(matches!(reason, Reason::NoSecretConfigured | Reason::KeyNeeded), "{name}: {reason}");
        // The same secret at another URL, where the URL is signed.
        if case.scheme.needs_url() {
            let moved = Case { url: case.url.replacen("://", "://another.", 1), ..case.clone() };
            assert_eq!(moved.verify().is_err(), case.scheme.coverage().url, "{name}");
        }
    }
    assert!(judged > 130, "{judged}");
}

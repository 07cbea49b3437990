//! Runs signatures over templates: `mac`, `sig` and `digest`.
//!
//! In this order: required headers, the signature header, timestamp and window, variables, the body's coverage, and
//! only then hashing: for each key, each URL to try, one pass over the template, the result compared in constant time
//! with every signature of the header (Ed25519: a pass for each signature, which is part of what is hashed). The
//! template is fed to the hash piece by piece. A timestamp in the body is believed after the signature is.

use p256::ecdsa::signature::hazmat::PrehashVerifier;
use p256::ecdsa::{Signature as EcSignature, VerifyingKey as EcKey};
use p256::pkcs8::DecodePublicKey;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::excerpt::{Found as Value, value_at};
use crate::pointer::{Place, Pointer, View, query_value};
use crate::request::RawRequest;
use crate::signature::ed25519;
use crate::signature::field::{Found, single};
use crate::signature::forms;
use crate::signature::hash::{Algorithm, Sink, same};
use crate::signature::model::{QueryHash, RequiredHeader, Signed};
use crate::signature::rsa;
use crate::signature::template::Segment;
use crate::signature::verdict::{Material, Reason, Refusal, Verified};
use crate::signature::window::TimestampRule;

/// Most public URLs that are tried for one source.
pub const URLS_MAX: usize = 8;

/// The values of a template besides the request's own parts.
#[derive(Debug, Clone, Default)]
pub struct Values {
    /// The timestamp's exact text.
    pub timestamp: String,
    /// The variables' exact texts.
    pub vars: Vec<(String, String)>,
}

/// Verifies a request.
pub fn verify(
    signed: &Signed,
    request: &RawRequest,
    material: &Material<'_>,
    now: Timestamp,
) -> Result<Verified, Refusal> {
    for (name, required) in &signed.require_header {
        check_header(request, name, required)?;
    }
    let keys = keys(signed, material)?;
    let found = signed.sig.read(request)?;
    let early = signed.ts.as_ref().filter(|rule| !in_body(rule));
    let timestamp = early.map(|rule| timestamp_text(rule, request, &found)).transpose()?;
    let mut signed_at = check_window(early, timestamp.as_deref(), now)?;
    let values = Values { timestamp: timestamp.unwrap_or_default(), vars: vars(signed, request, material)? };
    let body_covered = check_body(signed, request)?;
    let urls = urls(signed, request, material)?;
    let (secret_index, signature) = find_match(signed, request, &values, &keys, &urls, &found)?;
    if let Some(rule) = signed.ts.as_ref().filter(|rule| in_body(rule)) {
        let text = body_timestamp(rule, request)?;
        signed_at = check_window(Some(rule), Some(&text), now)?;
    }
    Ok(Verified {
        secret_index,
        body_covered,
        signed_at,
        signature: Some(signature),
        sig_fields: found.fields,
        ..Verified::default()
    })
}

pub(super) fn check_header(request: &RawRequest, name: &str, required: &RequiredHeader) -> Result<(), Refusal> {
    let text = single(request, name)?;
    let holds = match &required.kv_field {
        None => text == required.equals,
        Some(field) => {
            let mut values = text.split(',').filter_map(|item| item.trim().split_once('='));
            let first = values.find(|(key, _)| key == field).map(|(_, value)| value);
            first == Some(required.equals.as_str()) && !values.any(|(key, _)| key == field)
        }
    };
    if holds {
        return Ok(());
    }
    Err(Refusal::new(Reason::WrongAlgorithm, format!("the header `{name}` asks for another mode than the source's")))
}

pub(super) type Key = Zeroizing<Vec<u8>>;

/// The usable keys with their index in the material.
pub(super) fn keys(signed: &Signed, material: &Material<'_>) -> Result<Vec<(usize, Key)>, Refusal> {
    let key = |(index, raw)| Some((index, signed.key.read(raw)?));
    let (keys, are_none): (Vec<_>, _) = if signed.alg.is_asymmetric() {
        let raw = material.public_keys;
        (raw.iter().map(|raw| raw.as_bytes()).enumerate().filter_map(key).collect(), raw.is_empty())
    } else {
        let raw = material.secrets;
        (raw.iter().copied().enumerate().filter_map(key).collect(), raw.is_empty())
    };
    if keys.is_empty() {
        let what = if are_none { "the source has no key" } else { "no key of the source can be decoded" };
        return Err(Refusal::new(Reason::NoSecretConfigured, what));
    }
    Ok(keys)
}

pub(super) fn in_body(rule: &TimestampRule) -> bool {
    matches!(rule.from.place, Place::Json(_))
}

pub(super) fn timestamp_text(rule: &TimestampRule, request: &RawRequest, found: &Found) -> Result<String, Refusal> {
    let missing = || Refusal::new(Reason::TimestampMissing, format!("`{}` is absent", rule.from));
    match &rule.from.place {
        Place::Header(name) => single(request, name).map(str::to_owned).map_err(|refusal| match refusal.reason {
            Reason::MissingHeader => missing(),
            _ => refusal,
        }),
        Place::Sig(name) => {
            let mut texts = found.fields.iter().filter(|(label, _)| label == name);
            let text = texts.next().ok_or_else(missing)?.1.clone();
            match texts.next() {
                None => Ok(text),
                Some(_) => Err(Refusal::new(Reason::TimestampMalformed, "the signature header has two timestamps")),
            }
        }
        _ => Err(missing()),
    }
}

pub(super) fn body_timestamp(rule: &TimestampRule, request: &RawRequest) -> Result<String, Refusal> {
    let Place::Json(path) = &rule.from.place else { return Ok(String::new()) };
    match value_at(&request.body, path) {
        None => Err(Refusal::new(Reason::TimestampMissing, format!("`{}` is absent", rule.from))),
        Some(Value::Text(text)) if !rule.json_number => Ok(text.into_owned()),
        Some(Value::Number(number)) => Ok(number.to_string()),
        Some(_) => Err(Refusal::new(Reason::TimestampMalformed, format!("`{}` is not a number", rule.from))),
    }
}

pub(super) fn check_window(
    rule: Option<&TimestampRule>,
    text: Option<&str>,
    now: Timestamp,
) -> Result<Option<Timestamp>, Refusal> {
    match (rule, text) {
        (Some(rule), Some(text)) => rule.check(text, now).map(Some),
        _ => Ok(None),
    }
}

pub(super) fn vars(
    signed: &Signed,
    request: &RawRequest,
    material: &Material<'_>,
) -> Result<Vec<(String, String)>, Refusal> {
    let value = |pointer: &Pointer| match &pointer.place {
        Place::Header(name) => single(request, name).map(str::to_owned),
        _ => View::new(request)
            .with_params(material.params)
            .text(pointer, None)
            .ok_or_else(|| Refusal::new(Reason::MissingHeader, format!("`{pointer}` is absent"))),
    };
    signed.vars.iter().map(|(name, pointer)| Ok((name.clone(), value(pointer)?))).collect()
}

/// Whether the body is covered, or why the request must be refused.
pub(super) fn check_body(signed: &Signed, request: &RawRequest) -> Result<bool, Refusal> {
    if signed.content.has(&Segment::Body) {
        return Ok(true);
    }
    if let Some(covered) = signed.body_hash.as_ref().and_then(|hash| query_hash_matches(hash, request)) {
        let refusal = || Refusal::new(Reason::BodyHashMismatch, "the body is not the one whose hash was signed");
        return if covered { Ok(true) } else { Err(refusal()) };
    }
    let as_form = signed.content.form().is_some_and(|form| forms::covers_body(form, request));
    if as_form || request.body.is_empty() {
        return Ok(true);
    }
    if signed.allow_uncovered_body {
        return Ok(false);
    }
    Err(Refusal::new(Reason::BodyNotCovered, "the signature does not cover this kind of body and no hash was signed"))
}

/// The hash that stands in the query.
fn query_hash(hash: &QueryHash, request: &RawRequest) -> Option<String> {
    let Place::Query(name) = &hash.from.place else { return None };
    query_value(request.query.as_deref()?, name)
}

/// `None` when the query holds no hash.
fn query_hash_matches(hash: &QueryHash, request: &RawRequest) -> Option<bool> {
    let text = query_hash(hash, request)?;
    Some(hash.enc.decode(&text).is_some_and(|wanted| same(&wanted, &Sha256::digest(&request.body))))
}

pub(super) fn urls(signed: &Signed, request: &RawRequest, material: &Material<'_>) -> Result<Vec<String>, Refusal> {
    if !signed.content.needs_url() {
        return Ok(vec![String::new()]);
    }
    let urls: Vec<String> = material
        .urls
        .iter()
        .take(URLS_MAX)
        .flat_map(|url| forms::candidates(&forms::public_url(url, request), &signed.url_forms))
        .collect();
    if urls.is_empty() {
        return Err(Refusal::new(Reason::NoUrlConfigured, "the provider signs the URL; set the source's public URL"));
    }
    Ok(urls)
}

pub(super) fn find_match(
    signed: &Signed,
    request: &RawRequest,
    values: &Values,
    keys: &[(usize, Key)],
    urls: &[String],
    found: &Found,
) -> Result<(usize, Vec<u8>), Refusal> {
    for (index, key) in keys {
        for url in urls {
            let mut candidates = found.candidates.iter();
            let signature = match signed.alg {
                Algorithm::Ed25519 => candidates.find(|signature| {
                    let check = ed25519::check(key, signature).map(|mut check| {
                        write(signed, request, values, url, key, &mut check);
                        check.holds()
                    });
                    check == Some(true)
                }),
                _ => {
                    let hash = digest(signed, request, values, url, key);
                    candidates.find(|signature| accepts(signed.alg, key, &hash, signature))
                }
            };
            if let Some(signature) = signature {
                return Ok((*index, one_text(signed.alg, signature)));
            }
        }
    }
    Err(Refusal::new(Reason::NoMatch, "no signature of the request is by a key of the source"))
}

/// The hash of the template for one key and URL; for Ed25519 the text itself.
pub fn digest(signed: &Signed, request: &RawRequest, values: &Values, url: &str, key: &[u8]) -> Vec<u8> {
    let mut hasher = signed.alg.hasher(key);
    write(signed, request, values, url, key, hasher.as_mut());
    hasher.finish()
}

/// Writes the template for one key and URL.
fn write(signed: &Signed, request: &RawRequest, values: &Values, url: &str, key: &[u8], sink: &mut dyn Sink) {
    let is_hashed_in_query = signed.body_hash.as_ref().is_some_and(|hash| query_hash(hash, request).is_some());
    for segment in signed.content.segments() {
        match segment {
            Segment::Form(_) if is_hashed_in_query => {}
            Segment::Form(form) => forms::write(*form, request, url, sink),
            _ => feed(segment, request, values, url, key, sink),
        }
    }
}

fn feed(segment: &Segment, request: &RawRequest, values: &Values, url: &str, key: &[u8], sink: &mut dyn Sink) {
    match segment {
        Segment::Literal(text) => sink.feed(text.as_bytes()),
        Segment::Body => sink.feed(&request.body),
        Segment::Timestamp => sink.feed(values.timestamp.as_bytes()),
        Segment::Method => sink.feed(request.method.as_bytes()),
        Segment::Url => sink.feed(url.as_bytes()),
        Segment::Secret => sink.feed(key),
        Segment::Form(_) => {}
        Segment::Var(name) => {
            let value = values.vars.iter().find(|(have, _)| have == name);
            sink.feed(value.map_or(&b""[..], |(_, value)| value.as_bytes()));
        }
    }
}

fn accepts(algorithm: Algorithm, key: &[u8], hash: &[u8], signature: &[u8]) -> bool {
    match algorithm {
        Algorithm::EcdsaP256Sha256 => p256_accepts(key, hash, signature),
        Algorithm::RsaPkcs1Sha1 | Algorithm::RsaPkcs1Sha256 => rsa::accepts(algorithm, key, hash, signature),
        // `hash` would be the text itself, which anybody can send.
        Algorithm::Ed25519 => false,
        Algorithm::HmacSha1 | Algorithm::HmacSha256 | Algorithm::HmacSha512 | Algorithm::Sha256 => {
            same(hash, signature)
        }
    }
}

/// The one text of a signature that was accepted. From one of ECDSA anybody can make another, with the other S; who keeps
/// signatures to know a request again must not be shown two.
fn one_text(algorithm: Algorithm, signature: &[u8]) -> Vec<u8> {
    if algorithm == Algorithm::EcdsaP256Sha256
        && let Ok(pair) = EcSignature::from_der(signature)
    {
        return pair.normalize_s().to_der().as_bytes().to_vec();
    }
    signature.to_vec()
}

fn p256_accepts(key: &[u8], hash: &[u8], signature: &[u8]) -> bool {
    let Ok(key) = EcKey::from_public_key_der(key) else { return false };
    EcSignature::from_der(signature).is_ok_and(|signature| key.verify_prehash(hash, &signature).is_ok())
}

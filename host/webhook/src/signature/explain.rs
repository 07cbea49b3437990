//! What a verification looks at, step by step, for a person who is stuck.
//!
//! The steps are the engines' own, in their order, each with what was found. They are told on after a failure as far as
//! that makes sense, so that one look shows every mistake. No step holds a secret, a received credential or a signature
//! that would have been right; the verdict itself is `signature::verify`'s, never this module's.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::clock::Timestamp;
use crate::pointer::{Place, View};
use crate::request::RawRequest;
use crate::signature::describe;
use crate::signature::engine::{self, Values};
use crate::signature::field::{Found, single, strip_word};
use crate::signature::jwt;
use crate::signature::model::{Basic, Jwt, Method, Signed, Token};
use crate::signature::verdict::{Material, Refusal};
use crate::signature::window::TimestampRule;

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// As it should be.
    Good,
    /// Not as it should be: the request is refused.
    Bad,
    /// A fact.
    Fact,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Step {
    /// How it went.
    pub mark: Mark,
    /// What was found.
    pub text: String,
}

fn good(text: impl Into<String>) -> Step {
    Step { mark: Mark::Good, text: text.into() }
}

fn bad(refusal: &Refusal) -> Step {
    Step { mark: Mark::Bad, text: refusal.detail.clone() }
}

fn fact(text: impl Into<String>) -> Step {
    Step { mark: Mark::Fact, text: text.into() }
}

/// The steps of one way to prove a request.
pub fn explain(method: &Method, request: &RawRequest, material: &Material<'_>, now: Timestamp) -> Vec<Step> {
    let mut steps = vec![fact(format!("scheme: {}", describe::method(method)))];
    match method {
        Method::Mac(signed) | Method::Sig(signed) | Method::Digest(signed) => {
            explain_signed(signed, request, material, now, &mut steps);
        }
        Method::Token(token) => explain_token(token, request, &mut steps),
        Method::Basic(Basic {}) => steps.push(presence(request, "authorization", Some("Basic "))),
        Method::Jwt(jwt) => explain_jwt(jwt, request, now, &mut steps),
        Method::Url(_) => steps.push(fact("nothing in the request is looked at: whoever knows the URL is believed")),
        Method::Code(_) => explain_sns(request, material, &mut steps),
    }
    steps
}

fn explain_signed(
    signed: &Signed,
    request: &RawRequest,
    material: &Material<'_>,
    now: Timestamp,
    steps: &mut Vec<Step>,
) {
    for (name, required) in &signed.require_header {
        steps.push(match engine::check_header(request, name, required) {
            Ok(()) => good(format!("the header `{name}` says what the scheme requires")),
            Err(refusal) => bad(&refusal),
        });
    }
    let keys = engine::keys(signed, material);
    steps.push(match &keys {
        Ok(keys) => {
            good(format!("{} that can be read as {}", counted(keys.len(), "key"), describe::key(signed.key.enc)))
        }
        Err(refusal) => bad(&Refusal {
            detail: format!("{} as {}", refusal.detail, describe::key(signed.key.enc)),
            ..refusal.clone()
        }),
    });
    let found = signed.sig.read(request);
    steps.push(match &found {
        Ok(found) => good(signature_found(signed, found)),
        Err(refusal) => bad(refusal),
    });
    if found.is_err() {
        steps.extend(look_alikes(signed.sig.header(), request));
    }
    let found = found.unwrap_or_default();
    let timestamp = explain_timestamp(signed, request, &found, now, steps);
    let vars = engine::vars(signed, request, material);
    match &vars {
        Ok(vars) => steps.extend(vars.iter().map(|(name, text)| good(format!("{{{name}}} is `{text}`")))),
        Err(refusal) => steps.push(bad(refusal)),
    }
    steps.push(body_step(signed, request));
    let urls = engine::urls(signed, request, material);
    match &urls {
        Ok(urls) if signed.content.needs_url() => {
            steps.extend(urls.iter().map(|url| fact(format!("the URL that is signed, as we know it: {url}"))));
        }
        Ok(_) => {}
        Err(refusal) => steps.push(bad(refusal)),
    }
    if let (Ok(keys), Ok(vars), Ok(urls), false) = (keys, vars, urls, found.candidates.is_empty()) {
        let values = Values { timestamp: timestamp.unwrap_or_default(), vars };
        steps.push(match engine::find_match(signed, request, &values, &keys, &urls, &found) {
            Ok(_) => good("the signature is right"),
            Err(refusal) => bad(&refusal),
        });
    }
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("one {what}") } else { format!("{count} {what}s") }
}

fn signature_found(signed: &Signed, found: &Found) -> String {
    let sizes: Vec<String> = found.candidates.iter().map(|signature| signature.len().to_string()).collect();
    let what = counted(found.candidates.len(), "signature");
    format!("the header `{}` holds {what} (decoded, in bytes: {})", signed.sig.header(), sizes.join(", "))
}

/// Headers that a person may have meant.
fn look_alikes(wanted: &str, request: &RawRequest) -> Option<Step> {
    let looks =
        |name: &str| ["sign", "hmac", "token", "secret", "authorization"].iter().any(|word| name.contains(word));
    let names: Vec<String> = request
        .headers
        .iter()
        .map(|(name, _)| name.to_ascii_lowercase())
        .filter(|name| name != wanted && looks(name))
        .map(|name| format!("`{name}`"))
        .collect();
    (!names.is_empty()).then(|| fact(format!("the request has {}, which this scheme does not read", names.join(", "))))
}

/// Tells of the timestamp and gives the text that is signed.
fn explain_timestamp(
    signed: &Signed,
    request: &RawRequest,
    found: &Found,
    now: Timestamp,
    steps: &mut Vec<Step>,
) -> Option<String> {
    let rule = signed.ts.as_ref()?;
    let in_body = engine::in_body(rule);
    let text =
        if in_body { engine::body_timestamp(rule, request) } else { engine::timestamp_text(rule, request, found) };
    match &text {
        Ok(text) => steps.extend(window_steps(rule, text, now)),
        Err(refusal) => steps.push(bad(refusal)),
    }
    text.ok().filter(|_| !in_body)
}

fn window_steps(rule: &TimestampRule, text: &str, now: Timestamp) -> Vec<Step> {
    let open = TimestampRule { past: None, future: None, ..rule.clone() };
    let mut steps = Vec::new();
    if let Ok(at) = open.check(text, now) {
        let (age, side) = match now.as_secs() - at.as_secs() {
            age if age < 0 => (-age, "ahead of"),
            age => (age, "before"),
        };
        steps.push(fact(format!("timestamp `{}`: {at}, {age} s {side} {now}", rule.from)));
    }
    let window = describe::bounds(rule).unwrap_or_else(|| "no bounds".to_owned());
    steps.push(match rule.check(text, now) {
        Ok(_) => good(format!("inside the window ({window})")),
        Err(refusal) => Step { text: format!("{} (window: {window})", refusal.detail), ..bad(&refusal) },
    });
    steps
}

fn body_step(signed: &Signed, request: &RawRequest) -> Step {
    let size = request.body.len();
    let hash = hex::encode(Sha256::digest(&request.body));
    match engine::check_body(signed, request) {
        Ok(true) => good(format!("the signature covers the body: {size} bytes, SHA-256 {hash}")),
        Ok(false) => fact(format!("nothing covers the body ({size} bytes); the scheme allows that")),
        Err(refusal) => {
            Step { text: format!("{} (body: {size} bytes, SHA-256 {hash})", refusal.detail), ..bad(&refusal) }
        }
    }
}

fn explain_token(token: &Token, request: &RawRequest, steps: &mut Vec<Step>) {
    match &token.from.place {
        Place::Header(name) => steps.push(presence(request, name, token.prefix.as_deref())),
        place => steps.push(fact(format!("the token is read from {place:?}"))),
    }
    steps.push(fact("a token proves who sends, not what is sent: nothing covers the body"));
    if let Place::Header(name) = &token.from.place
        && single(request, name).is_err()
    {
        steps.extend(look_alikes(name, request));
    }
}

fn presence(request: &RawRequest, name: &str, prefix: Option<&str>) -> Step {
    match (single(request, name), prefix) {
        (Err(refusal), _) => bad(&refusal),
        (Ok(text), Some(prefix)) if strip_word(text, prefix).is_none() => {
            Step { mark: Mark::Bad, text: format!("the header `{name}` does not begin with `{prefix}`") }
        }
        (Ok(_), _) => good(format!("the header `{name}` is there")),
    }
}

fn explain_jwt(scheme: &Jwt, request: &RawRequest, now: Timestamp, steps: &mut Vec<Step>) {
    let Place::Header(name) = &scheme.from.place else { return };
    let text = match single(request, name).and_then(|text| jwt::token(scheme, text)) {
        Ok(text) => text,
        Err(refusal) => return steps.push(bad(&refusal)),
    };
    steps.push(good(format!("the header `{name}` holds a token of {} parts", text.split('.').count())));
    let parts: Vec<Result<Value, Refusal>> = text.split('.').take(2).map(jwt::object).collect();
    let [Ok(header), Ok(claims)] = parts.as_slice() else {
        return steps.extend(parts.iter().filter_map(|part| part.as_ref().err()).map(bad));
    };
    steps.push(fact(format!("it names the algorithm {}; the scheme takes HS256 only", header["alg"])));
    for claim in ["iat", "nbf", "exp"] {
        if let Some(at) = claims[claim].as_i64() {
            let at = Timestamp::from_secs(at);
            steps.push(fact(format!("`{claim}` is {at}, {} s from {now}", at.as_secs() - now.as_secs())));
        }
    }
    let wanted = scheme.require.iter().chain(scheme.body_hash.iter().map(|hash| &hash.claim));
    steps.extend(wanted.map(|claim| match claims.get(claim) {
        Some(_) => good(format!("the claim `{claim}` is there")),
        None => fact(format!("the claim `{claim}` is absent")),
    }));
}

fn explain_sns(request: &RawRequest, material: &Material<'_>, steps: &mut Vec<Step>) {
    let view = View::new(request);
    for name in ["Type", "SignatureVersion", "SigningCertURL"] {
        let text = view.json().and_then(|body| body.get(name)).and_then(Value::as_str);
        steps.push(match text {
            Some(text) => good(format!("`{name}` is `{text}`")),
            None => Step { mark: Mark::Bad, text: format!("the body has no text `{name}`") },
        });
    }
    steps.push(match material.public_keys.len() {
        0 => Step { mark: Mark::Bad, text: "no certificate is at hand".to_owned() },
        count => good(counted(count, "certificate")),
    });
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::preset::preset;

    fn steps(headers: &[(&str, &str)], secret: &str) -> Vec<Step> {
        let scheme = preset("stripe").unwrap().scheme(&Default::default()).unwrap();
        let header = |(name, value): &(&str, &str)| ((*name).into(), Bytes::from((*value).to_owned()));
        let request = RawRequest {
            method: "POST".to_owned(),
            path: "/".to_owned(),
            query: None,
            headers: headers.iter().map(header).collect(),
            body: Bytes::from_static(b"{}"),
            received_at: Timestamp::default(),
        };
        let secrets = [secret.as_bytes()];
        let material = Material { secrets: &secrets, ..Material::default() };
        explain(&scheme.methods()[0], &request, &material, Timestamp::from_secs(1_767_225_600))
    }

    #[test]
    fn every_mistake_is_told_at_once_and_no_secret() {
        let signature = format!("t=1767220000,v1={}", "0".repeat(64));
        let told = steps(&[("Stripe-Signature", &signature)], "whsec_canary");
        let bad: Vec<&str> = told.iter().filter(|step| step.mark == Mark::Bad).map(|step| step.text.as_str()).collect();
        assert_eq!(bad.len(), 2, "{told:#?}");
        assert!(bad[0].starts_with("signed 5600 s ago") && bad[1].starts_with("no signature of the request"));
        assert!(!format!("{told:?}").contains("canary"));
    }

    #[test]
    fn a_header_that_was_meant_is_named() {
        let told = steps(&[("x-hub-signature-256", "sha256=00")], "s");
        assert!(told.iter().any(|step| step.text.contains("`x-hub-signature-256`, which this scheme does not read")));
    }
}

//! JSON Web Tokens in compact form (RFC 7515, RFC 7519), HS256 only.
//!
//! The algorithm is the scheme's: a token that names another is refused before anything is computed. Parts are strict
//! base64url; a `crit` header is refused, since nothing critical is understood. A token proves who sent it, not what:
//! the body is covered only by a claim that holds its hash.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::clock::Timestamp;
use crate::pointer::Place;
use crate::request::RawRequest;
use crate::signature::decode::{base64url, to_base64url};
use crate::signature::field::{single, strip_word};
use crate::signature::hash::{Algorithm, mac, same};
use crate::signature::model::{ClaimHash, Jwt};
use crate::signature::verdict::{Material, Reason, Refusal, Verified};

/// Longest token in bytes; header limits of servers are not much higher.
pub const TOKEN_BYTES_MAX: usize = 8_192;

/// Verifies a request.
pub fn verify(jwt: &Jwt, request: &RawRequest, material: &Material<'_>, now: Timestamp) -> Result<Verified, Refusal> {
    let Place::Header(name) = &jwt.from.place else {
        return Err(Refusal::new(Reason::Unsupported, "a JWT comes in a header"));
    };
    let text = token(jwt, single(request, name)?)?;
    let (signing_input, signature) = cut(text)?;
    let signature = base64url(signature).ok_or_else(|| malformed("the signature is not base64url"))?;
    let (header, payload) = signing_input.split_once('.').ok_or_else(|| malformed("a JWT has three parts"))?;
    check_header(&object(header)?)?;
    let secret_index = find_key(jwt, material, signing_input, &signature)?;
    let claims = object(payload)?;
    check_claims(jwt, &claims, now)?;
    let hashed = jwt.body_hash.as_ref().map_or(Ok(false), |hash| check_body(hash, &claims, request))?;
    let signed_at = claims.get("iat").and_then(Value::as_i64).map(Timestamp::from_secs);
    Ok(Verified {
        secret_index,
        body_covered: hashed || request.body.is_empty(),
        signed_at,
        claims: Some(claims),
        signature: Some(signature),
        ..Verified::default()
    })
}

fn malformed(why: &str) -> Refusal {
    Refusal::new(Reason::MalformedToken, why)
}

pub(super) fn token<'t>(jwt: &Jwt, text: &'t str) -> Result<&'t str, Refusal> {
    if text.len() > TOKEN_BYTES_MAX {
        return Err(malformed("the token is longer than 8192 bytes"));
    }
    match jwt.strip.as_deref() {
        None => Ok(text),
        Some(prefix) => match strip_word(text, prefix) {
            Some(rest) => Ok(rest),
            None if jwt.strip_optional => Ok(text),
            None => Err(malformed("the header does not begin as the scheme says")),
        },
    }
}

fn cut(text: &str) -> Result<(&str, &str), Refusal> {
    if text.bytes().filter(|byte| *byte == b'.').count() != 2 {
        return Err(malformed("a JWT has three parts"));
    }
    text.rsplit_once('.').ok_or_else(|| malformed("a JWT has three parts"))
}

pub(super) fn object(part: &str) -> Result<Value, Refusal> {
    base64url(part)
        .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok())
        .filter(Value::is_object)
        .ok_or_else(|| malformed("a part of the token is not base64url of a JSON object"))
}

fn check_header(header: &Value) -> Result<(), Refusal> {
    if header.get("alg").and_then(Value::as_str) != Some("HS256") {
        return Err(Refusal::new(Reason::WrongAlgorithm, "the token is not signed with HS256"));
    }
    if header.get("crit").is_some() {
        return Err(malformed("the token has critical headers"));
    }
    Ok(())
}

fn find_key(jwt: &Jwt, material: &Material<'_>, text: &str, signature: &[u8]) -> Result<usize, Refusal> {
    let keys: Vec<_> =
        material.secrets.iter().enumerate().filter_map(|(index, key)| Some((index, jwt.key.read(key)?))).collect();
    if keys.is_empty() {
        return Err(Refusal::new(Reason::NoSecretConfigured, "the source has no usable secret"));
    }
    keys.iter()
        .find(|(_, key)| same(&mac(Algorithm::HmacSha256, key, text.as_bytes()), signature))
        .map(|(index, _)| *index)
        .ok_or_else(|| Refusal::new(Reason::NoMatch, "the token is not signed by a secret of the source"))
}

fn check_claims(jwt: &Jwt, claims: &Value, now: Timestamp) -> Result<(), Refusal> {
    for name in &jwt.require {
        if claims.get(name).is_none_or(Value::is_null) {
            return Err(Refusal::new(Reason::ClaimMismatch, format!("the claim `{name}` is absent")));
        }
    }
    if let Some(iss) = &jwt.iss
        && claims.get("iss").and_then(Value::as_str) != Some(iss)
    {
        return Err(Refusal::new(Reason::ClaimMismatch, "the claim `iss` is not the source's issuer"));
    }
    check_times(jwt, claims, now.as_secs())
}

fn check_times(jwt: &Jwt, claims: &Value, now: i64) -> Result<(), Refusal> {
    let leeway = i64::try_from(jwt.leeway).unwrap_or(0);
    let expired = |why| Err(Refusal::new(Reason::TokenExpired, why));
    if seconds(claims, "exp")?.is_some_and(|exp| now >= exp.saturating_add(leeway)) {
        return expired("the token has expired");
    }
    if seconds(claims, "nbf")?.is_some_and(|nbf| now < nbf.saturating_sub(leeway)) {
        return Err(Refusal::new(Reason::TokenNotYetValid, "the token is not valid yet"));
    }
    let Some(max_age) = jwt.iat_max_age else { return Ok(()) };
    let max_age = i64::try_from(max_age).unwrap_or(i64::MAX);
    match seconds(claims, "iat")? {
        None => Err(Refusal::new(Reason::ClaimMismatch, "the claim `iat` is absent")),
        Some(iat) if now.saturating_sub(iat) > max_age => expired("the token was issued too long ago"),
        Some(iat) if iat.saturating_sub(now) > max_age => {
            Err(Refusal::new(Reason::TokenNotYetValid, "the token was issued in the future"))
        }
        Some(_) => Ok(()),
    }
}

fn seconds(claims: &Value, name: &str) -> Result<Option<i64>, Refusal> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let number = value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds as i64));
    match number {
        Some(number) => Ok(Some(number)),
        None => Err(malformed("a time in the token is not a number")),
    }
}

fn check_body(hash: &ClaimHash, claims: &Value, request: &RawRequest) -> Result<bool, Refusal> {
    match claims.get(&hash.claim) {
        None if hash.required => {
            Err(Refusal::new(Reason::BodyNotCovered, format!("the claim `{}` is absent", hash.claim)))
        }
        None => Ok(false),
        Some(value) => {
            let wanted = value.as_str().and_then(|text| hash.enc.decode(text));
            if wanted.is_some_and(|wanted| same(&wanted, &Sha256::digest(&request.body))) {
                return Ok(true);
            }
            Err(Refusal::new(Reason::BodyHashMismatch, "the body is not the one whose hash was signed"))
        }
    }
}

/// Issues a token for a request of our own: five minutes, `id` as `jti`.
pub fn issue(jwt: &Jwt, key: &[u8], body: &[u8], id: &str, now: Timestamp) -> String {
    let now = now.as_secs();
    let mut claims = json!({"iat": now, "exp": now.saturating_add(300), "jti": id});
    if let Some(iss) = &jwt.iss {
        claims["iss"] = json!(iss);
    }
    if let Some(hash) = &jwt.body_hash {
        claims[&hash.claim] = json!(hash.enc.encode(&Sha256::digest(body)));
    }
    let header = to_base64url(br#"{"alg":"HS256","typ":"JWT"}"#);
    let text = format!("{header}.{}", to_base64url(claims.to_string().as_bytes()));
    let signature = to_base64url(&mac(Algorithm::HmacSha256, key, text.as_bytes()));
    // A word that a receiver only tolerates before the token is not what the provider sends.
    let word = jwt.strip.as_deref().filter(|_| !jwt.strip_optional).unwrap_or_default();
    format!("{word}{text}.{signature}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_may_be_missing_is_not_sent() {
        let issued = |optional: bool| {
            let scheme = json!({ "from": "header:authorization", "strip": "Bearer ", "strip_optional": optional,
                "algs": ["HS256"] });
            let jwt: Jwt = serde_json::from_value(scheme).unwrap();
            issue(&jwt, b"key", b"{}", "msg_1", Timestamp::from_secs(1))
        };
        let (bare, required) = (issued(true), issued(false));
        assert_eq!(required, format!("Bearer {bare}"));
        assert_eq!(cut(&bare).unwrap().0.matches('.').count(), 1);
    }
}

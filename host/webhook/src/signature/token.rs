//! Static tokens and HTTP Basic: whoever knows the secret may speak, and nothing proves what was said.
//!
//! The whole value is compared in constant time. A token in every item of the body (Microsoft Graph's `clientState`)
//! must be right in each; an empty list proves nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::excerpt::{Found, every_value};
use crate::pointer::{Place, query_value};
use crate::request::RawRequest;
use crate::signature::decode::Encoding;
use crate::signature::field::{single, strip_word};
use crate::signature::hash::same;
use crate::signature::model::Token;
use crate::signature::verdict::{Material, Reason, Refusal, Verified};

/// Verifies a token.
pub fn verify(token: &Token, request: &RawRequest, material: &Material<'_>) -> Result<Verified, Refusal> {
    match &token.from.place {
        Place::Header(name) => {
            let text = single(request, name)?;
            let value = match token.prefix.as_deref() {
                None => text,
                Some(prefix) => strip_word(text, prefix)
                    .ok_or_else(|| missing(&format!("the header `{name}` does not begin as the scheme says")))?,
            };
            matching(Some(value.as_bytes()), material)
        }
        Place::Query(name) => {
            let value = request.query.as_deref().and_then(|query| query_value(query, name));
            let value = value.ok_or_else(|| missing(&format!("the query has no `{name}`")))?;
            matching(Some(value.as_bytes()), material)
        }
        Place::JsonAll(path) => in_every_item(path, request, material),
        _ => Err(Refusal::new(Reason::Unsupported, "a token comes from a header, the query or the body")),
    }
}

fn in_every_item(path: &str, request: &RawRequest, material: &Material<'_>) -> Result<Verified, Refusal> {
    match every_value(&request.body, path) {
        Some(Found::Text(text)) => matching(Some(text.as_bytes()), material),
        // What differs among itself can't all be the secret.
        Some(Found::Mixed) => matching(None, material),
        _ => Err(missing(&format!("not every item of the body has the text `{path}`"))),
    }
}

/// Verifies HTTP Basic credentials.
pub fn verify_basic(request: &RawRequest, material: &Material<'_>) -> Result<Verified, Refusal> {
    let text = single(request, "authorization")?;
    let encoded = strip_word(text, "Basic ").ok_or_else(|| missing("the credentials are not HTTP Basic"))?;
    let decoded = Encoding::Base64
        .decode(encoded)
        .ok_or_else(|| Refusal::new(Reason::MalformedToken, "the credentials are not base64"))?;
    matching(Some(&decoded), material)
}

/// What HTTP Basic sends for a secret.
pub fn basic_value(secret: &[u8]) -> String {
    format!("Basic {}", STANDARD.encode(secret))
}

fn missing(detail: &str) -> Refusal {
    Refusal::new(Reason::MissingToken, detail)
}

/// The first secret that the value equals.
fn matching(value: Option<&[u8]>, material: &Material<'_>) -> Result<Verified, Refusal> {
    if material.secrets.iter().all(|secret| secret.is_empty()) {
        return Err(Refusal::new(Reason::NoSecretConfigured, "the source has no secret"));
    }
    let is_same = |secret: &&[u8]| value.is_some_and(|value| same(value, secret));
    match material.secrets.iter().position(is_same) {
        Some(secret_index) => Ok(Verified { secret_index, ..Verified::default() }),
        None => Err(Refusal::new(Reason::NoMatch, "the token is not one of the source's")),
    }
}

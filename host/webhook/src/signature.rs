//! Is a request genuine? And: how to make one that is.
//!
//! Providers differ in headers, encodings and what exactly they sign, hardly in ideas. So a provider is data, a
//! [`Scheme`], and here are the few engines that run such data:
//!
//! | kind | proves by | file |
//! |---|---|---|
//! | `mac`, `sig`, `digest` | a signature over a template such as `{id}.{ts}.{body}` | `engine`, `ed25519`, `rsa` |
//! | `jwt` | a signed token, with the body's hash in a claim | `jwt` |
//! | `token`, `basic` | a secret that is sent along | `token` |
//! | `url` | the unguessable path by which the source was found | here |
//! | `code` | code of its own, for `aws-sns` | `sns`, `rsa` |
//!
//! # What holds for every scheme
//!
//! - A scheme that leaves the body unproven is refused when it is loaded, unless it says so; [`Verified`] tells.
//! - What was signed is hashed as it came: id and timestamp are never parsed and printed again.
//! - Signature, timestamp and id headers occur exactly once and are visible ASCII; one text per signature value.
//! - Algorithms are the scheme's, never the request's. Comparisons take constant time. No secret, no entry.
//! - URLs are the source's own; `Host` and forwarding headers are never looked at.
//! - The body is not copied: it is hashed where it lies, and of JSON and forms only what is wanted is decoded.
//! - Time is an argument: when the request's first byte arrived.
//!
//! A request that fails is an answer ([`Refusal`]), not an error.

pub mod coverage;
pub mod decode;
pub mod describe;
pub mod draft;
pub mod ed25519;
pub mod engine;
pub mod explain;
pub mod field;
pub mod forms;
pub mod hash;
pub mod jwt;
pub mod model;
pub mod redact;
pub mod rsa;
pub mod scheme;
pub mod sign;
pub mod sns;
pub mod template;
pub mod token;
pub mod verdict;
pub mod window;

use crate::clock::Timestamp;
use crate::request::RawRequest;

use self::model::Method;
use self::scheme::Scheme;
use self::sign::{Credentials, Outgoing, SignError};
use self::verdict::{Material, Reason, Refusal, Verified};

/// Whether a request is genuine, by any alternative of a scheme.
///
/// Of several refusals the one is given whose alternative came furthest: a header that is absent says least.
pub fn verify(
    scheme: &Scheme,
    request: &RawRequest,
    material: &Material<'_>,
    now: Timestamp,
) -> Result<Verified, Refusal> {
    let mut refused: Option<Refusal> = None;
    for (method_index, method) in scheme.methods().iter().enumerate() {
        match verify_by(method, request, material, now) {
            Ok(verified) => {
                return Ok(Verified { method_index, unproven: scheme.unproven_by(method), ..verified });
            }
            Err(refusal) => {
                let says_more = refused.as_ref().is_none_or(|before| before.reason == Reason::MissingHeader);
                refused = if says_more { Some(refusal) } else { refused };
            }
        }
    }
    Err(refused.unwrap_or_else(|| Refusal::new(Reason::Unsupported, "the scheme has no alternative")))
}

fn verify_by(
    method: &Method,
    request: &RawRequest,
    material: &Material<'_>,
    now: Timestamp,
) -> Result<Verified, Refusal> {
    match method {
        Method::Mac(signed) | Method::Sig(signed) | Method::Digest(signed) => {
            engine::verify(signed, request, material, now)
        }
        Method::Token(token) => token::verify(token, request, material),
        Method::Basic(_) => token::verify_basic(request, material),
        Method::Jwt(scheme) => jwt::verify(scheme, request, material, now),
        Method::Url(_) => Ok(Verified::default()),
        Method::Code(code) if code.name == "aws-sns" => sns::verify(request, material),
        Method::Code(code) => Err(Refusal::new(Reason::Unsupported, format!("there is no code `{}`", code.name))),
    }
}

/// What a request of our own must carry to be genuine under a scheme's first alternative.
///
/// ```
/// use bytes::Bytes;
/// use creel_webhook::{clock::Timestamp, preset, signature, signature::sign::Outgoing};
///
/// let scheme = preset::preset("standard-webhooks").unwrap().scheme(&Default::default()).unwrap();
/// let body = Bytes::from_static(b"{}");
/// let url = "https://example.test/hook";
/// let out = Outgoing { method: "POST", url, content_type: "application/json", body: &body, id: "msg_1" };
/// let signed = signature::sign(&scheme, &out, b"whsec_c2VjcmV0", Timestamp::from_secs(1_767_225_600)).unwrap();
/// assert_eq!(signed.headers[0], ("webhook-timestamp".to_owned(), "1767225600".to_owned()));
/// ```
pub fn sign(scheme: &Scheme, out: &Outgoing<'_>, secret: &[u8], now: Timestamp) -> Result<Credentials, SignError> {
    scheme.methods().first().map_or(Err(SignError::Unsupported), |method| sign::sign(method, out, secret, now))
}

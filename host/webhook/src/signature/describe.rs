//! Schemes in words, for people who choose one or look for their mistake. Nothing here decides anything.

use crate::signature::decode::{Encoding, KeyEncoding};
use crate::signature::hash::Algorithm;
use crate::signature::model::{Jwt, Method, Signed};
use crate::signature::window::TimestampRule;

/// One way to prove a request, in one sentence.
pub fn method(method: &Method) -> String {
    match method {
        Method::Mac(signed) | Method::Sig(signed) | Method::Digest(signed) => signature(signed),
        Method::Token(token) => format!("token in `{}`", token.from),
        Method::Basic(_) => "HTTP Basic".to_owned(),
        Method::Jwt(jwt) => token(jwt),
        Method::Url(_) => "the URL alone".to_owned(),
        Method::Code(code) => format!("code of its own (`{}`)", code.name),
    }
}

fn signature(signed: &Signed) -> String {
    let (algorithm, encoding) = (algorithm(signed.alg), encoding(signed.sig.enc));
    format!("{algorithm} over `{}`, {encoding} in `{}`", signed.content, signed.sig.header())
}

fn token(jwt: &Jwt) -> String {
    let body = match &jwt.body_hash {
        Some(hash) if hash.required => format!(", body's hash in `{}`", hash.claim),
        Some(hash) => format!(", body's hash in `{}` if present", hash.claim),
        None => String::new(),
    };
    format!("JWT HS256 in `{}`{body}", jwt.from)
}

/// The window of a method, such as `300 s back, 300 s ahead`.
pub fn window(method: &Method) -> Option<String> {
    match method {
        Method::Mac(signed) | Method::Sig(signed) | Method::Digest(signed) => bounds(signed.ts.as_ref()?),
        Method::Jwt(jwt) => Some(match jwt.iat_max_age {
            Some(age) => format!("{age} s after `iat`"),
            None => "until `exp`".to_owned(),
        }),
        _ => None,
    }
}

/// A window's bounds; `None` without a window.
pub fn bounds(rule: &TimestampRule) -> Option<String> {
    Some(format!("{} s back, {} s ahead", rule.past?, rule.future?))
}

/// An algorithm's usual name.
pub fn algorithm(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::HmacSha1 => "HMAC-SHA1",
        Algorithm::HmacSha256 => "HMAC-SHA256",
        Algorithm::HmacSha512 => "HMAC-SHA512",
        Algorithm::Sha256 => "SHA-256",
        Algorithm::Ed25519 => "Ed25519",
        Algorithm::EcdsaP256Sha256 => "ECDSA P-256",
        Algorithm::RsaPkcs1Sha1 => "RSA-SHA1",
        Algorithm::RsaPkcs1Sha256 => "RSA-SHA256",
    }
}

/// An encoding's usual name.
pub fn encoding(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Hex => "hex",
        Encoding::Base64 => "base64",
    }
}

/// How a key must be written.
pub fn key(encoding: KeyEncoding) -> &'static str {
    match encoding {
        KeyEncoding::Utf8 => "the text itself",
        KeyEncoding::Base64 => "base64",
        KeyEncoding::Hex => "hex",
        KeyEncoding::SpkiDerBase64 => "base64 of a SubjectPublicKeyInfo",
        KeyEncoding::Pem => "PEM",
    }
}

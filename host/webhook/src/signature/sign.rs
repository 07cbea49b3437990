//! Signs requests of our own by the schemes that verify those of others: outgoing deliveries, `creel trigger`, demos.
//!
//! The same template, canonicalisers and encodings run in both directions, so what is signed here verifies there; a
//! test does that for every preset. Schemes with a public key sign with the private one: Ed25519 with its 32-byte seed
//! in the scheme's key encoding, ECDSA with a PKCS#8 key in base64 or PEM.

use bytes::Bytes;
use ed25519_dalek::{Signer, SigningKey as EdSigningKey};
use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::ecdsa::{Signature as EcSignature, SigningKey as EcSigningKey};
use p256::pkcs8::DecodePrivateKey;
use sha2::{Digest, Sha256};

use crate::clock::Timestamp;
use crate::pointer::Place;
use crate::request::RawRequest;
use crate::signature::engine::{Values, digest};
use crate::signature::forms;
use crate::signature::hash::Algorithm;
use crate::signature::jwt;
use crate::signature::model::{Jwt, Method, Signed, Token};
use crate::signature::token::basic_value;

/// A request to sign.
#[derive(Debug, Clone)]
pub struct Outgoing<'a> {
    /// The method.
    pub method: &'a str,
    /// The absolute URL, as the receiver knows it.
    pub url: &'a str,
    /// The media type; forms are signed field by field.
    pub content_type: &'a str,
    /// The body.
    pub body: &'a Bytes,
    /// What stands for the message id, nonce or `jti`.
    pub id: &'a str,
}

/// What a signed request carries besides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Credentials {
    /// Headers to set.
    pub headers: Vec<(String, String)>,
    /// Parameters to append to the URL's query, in order.
    pub query: Vec<(String, String)>,
}

/// Why a request cannot be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The secret is not in the scheme's encoding.
    #[error("the secret is not written as the scheme says")]
    Key,
    /// The scheme has no way to sign.
    #[error("requests cannot be signed with this scheme")]
    Unsupported,
}

/// Signs by one method.
pub fn sign(method: &Method, out: &Outgoing<'_>, secret: &[u8], now: Timestamp) -> Result<Credentials, SignError> {
    match method {
        Method::Mac(signed) | Method::Sig(signed) | Method::Digest(signed) => sign_template(signed, out, secret, now),
        Method::Token(token) => sign_token(token, secret),
        Method::Basic(_) => Ok(header("authorization", basic_value(secret))),
        Method::Jwt(jwt) => sign_jwt(jwt, out, secret, now),
        Method::Url(_) => Ok(Credentials::default()),
        Method::Code(_) => Err(SignError::Unsupported),
    }
}

fn header(name: &str, value: String) -> Credentials {
    Credentials { headers: vec![(name.to_owned(), value)], query: Vec::new() }
}

fn sign_token(token: &Token, secret: &[u8]) -> Result<Credentials, SignError> {
    let secret = std::str::from_utf8(secret).map_err(|_| SignError::Key)?;
    match &token.from.place {
        Place::Header(name) => Ok(header(name, format!("{}{secret}", token.prefix.as_deref().unwrap_or_default()))),
        Place::Query(name) => Ok(Credentials { headers: Vec::new(), query: vec![(name.clone(), secret.to_owned())] }),
        _ => Err(SignError::Unsupported),
    }
}

fn sign_jwt(scheme: &Jwt, out: &Outgoing<'_>, secret: &[u8], now: Timestamp) -> Result<Credentials, SignError> {
    let key = scheme.key.read(secret).ok_or(SignError::Key)?;
    let Place::Header(name) = &scheme.from.place else { return Err(SignError::Unsupported) };
    Ok(header(name, jwt::issue(scheme, &key, out.body, out.id, now)))
}

fn sign_template(signed: &Signed, out: &Outgoing<'_>, secret: &[u8], now: Timestamp) -> Result<Credentials, SignError> {
    let key = signed.key.read(secret).ok_or(SignError::Key)?;
    let mut credentials = Credentials::default();
    let request = request(signed, out, &mut credentials);
    let timestamp = signed.ts.as_ref().map(|rule| rule.write(now)).unwrap_or_default();
    let mut fields = Vec::new();
    match signed.ts.as_ref().map(|rule| &rule.from.place) {
        Some(Place::Header(name)) => credentials.headers.push((name.clone(), timestamp.clone())),
        Some(Place::Sig(label)) => fields.push((label.clone(), timestamp.clone())),
        _ => {}
    }
    let mut vars = Vec::new();
    for (name, pointer) in &signed.vars {
        let Place::Header(header) = &pointer.place else { return Err(SignError::Unsupported) };
        credentials.headers.push((header.clone(), out.id.to_owned()));
        vars.push((name.clone(), out.id.to_owned()));
    }
    for (name, required) in &signed.require_header {
        let field = required.kv_field.as_ref().map(|field| format!("{field}=")).unwrap_or_default();
        credentials.headers.push((name.clone(), format!("{field}{}", required.equals)));
    }
    let url = first_url(signed, out, &request);
    let text = digest(signed, &request, &Values { timestamp, vars }, &url, &key);
    let signature = seal(signed.alg, &key, text)?;
    credentials.headers.push((signed.sig.header().to_owned(), signed.sig.write(&fields, &signature)));
    Ok(credentials)
}

/// The request as its receiver will see it, with the body's hash in the query when the scheme wants it there.
fn request(signed: &Signed, out: &Outgoing<'_>, credentials: &mut Credentials) -> RawRequest {
    let (path, query) = match out.url.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (out.url, None),
    };
    let mut request = RawRequest {
        method: out.method.to_owned(),
        path: path.to_owned(),
        query,
        headers: vec![("content-type".into(), Bytes::copy_from_slice(out.content_type.as_bytes()))],
        body: out.body.clone(),
        received_at: Timestamp::default(),
    };
    if let Some(hash) = &signed.body_hash
        && let Place::Query(name) = &hash.from.place
        && !out.body.is_empty()
        && !forms::is_form(&request)
    {
        let value = hash.enc.encode(&Sha256::digest(out.body));
        let before = request.query.map(|query| format!("{query}&")).unwrap_or_default();
        request.query = Some(format!("{before}{name}={value}"));
        credentials.query.push((name.clone(), value));
    }
    request
}

fn first_url(signed: &Signed, out: &Outgoing<'_>, request: &RawRequest) -> String {
    let url = forms::public_url(out.url, request);
    forms::candidates(&url, &signed.url_forms).swap_remove(0)
}

fn seal(algorithm: Algorithm, key: &[u8], text: Vec<u8>) -> Result<Vec<u8>, SignError> {
    match algorithm {
        Algorithm::Ed25519 => {
            let seed = <[u8; 32]>::try_from(key).map_err(|_| SignError::Key)?;
            Ok(EdSigningKey::from_bytes(&seed).sign(&text).to_bytes().to_vec())
        }
        Algorithm::EcdsaP256Sha256 => {
            let key = EcSigningKey::from_pkcs8_der(key).map_err(|_| SignError::Key)?;
            let signature: EcSignature = key.sign_prehash(&text).map_err(|_| SignError::Key)?;
            Ok(signature.to_der().as_bytes().to_vec())
        }
        Algorithm::RsaPkcs1Sha1 | Algorithm::RsaPkcs1Sha256 => Err(SignError::Unsupported),
        _ => Ok(text),
    }
}

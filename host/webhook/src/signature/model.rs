//! The words of a scheme: what its JSON may say. Meaning is checked in `scheme`, never here.

use std::collections::BTreeMap;

use crate::pointer::Pointer;
use crate::signature::decode::{Encoding, KeyCoding};
use crate::signature::field::SignatureField;
use crate::signature::forms::UrlForm;
use crate::signature::hash::Algorithm;
use crate::signature::template::Template;
use crate::signature::window::TimestampRule;

/// One way to prove a request.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Method {
    /// A keyed hash over a template.
    Mac(Signed),
    /// A public-key signature over a template.
    Sig(Signed),
    /// A plain hash over a template that holds the secret (legacy).
    Digest(Signed),
    /// A static token.
    Token(Token),
    /// HTTP Basic credentials; the secret is `user:password`.
    Basic(Basic),
    /// A JSON Web Token.
    Jwt(Jwt),
    /// The unguessable path of the source is the only credential.
    Url(Url),
    /// A scheme that needs code of its own.
    Code(Code),
}

/// A signature over a template: `mac`, `sig` and `digest`.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// The algorithm: of the source, never of the request.
    pub alg: Algorithm,
    /// How the key is written.
    #[serde(default)]
    pub key: KeyCoding,
    /// The signature header.
    pub sig: SignatureField,
    /// The timestamp, when the scheme has one.
    #[serde(default)]
    pub ts: Option<TimestampRule>,
    /// Names of the template and where their values stand.
    #[serde(default)]
    pub vars: BTreeMap<String, Pointer>,
    /// What is signed.
    pub content: Template,
    /// The forms of the public URL to try.
    #[serde(default)]
    pub url_forms: Vec<UrlForm>,
    /// A signed hash of the body.
    #[serde(default)]
    pub body_hash: Option<QueryHash>,
    /// Headers that must be present with a value.
    #[serde(default)]
    pub require_header: BTreeMap<String, RequiredHeader>,
    /// Whether a body that nothing proves is taken, and marked.
    #[serde(default)]
    pub allow_uncovered_body: bool,
}

/// A hash of the body in the signed query.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueryHash {
    /// The parameter.
    pub from: Pointer,
    /// The hash.
    pub alg: Algorithm,
    /// How it is written.
    pub enc: Encoding,
}

/// What a header must say.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequiredHeader {
    /// The field of a `k=v,k=v` header; the whole header when absent.
    #[serde(default)]
    pub kv_field: Option<String>,
    /// Its value.
    pub equals: String,
}

/// A static token.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Where it stands: a header, the query, or every item of the body.
    pub from: Pointer,
    /// What stands before it, such as `Bearer `; the word is compared without case.
    #[serde(default)]
    pub prefix: Option<String>,
}

/// HTTP Basic (RFC 7617).
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Basic {}

/// The path alone.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Url {}

/// A scheme with code of its own.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Code {
    /// Which.
    pub name: String,
}

/// A JSON Web Token (RFC 7519) in compact form.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jwt {
    /// The header.
    pub from: Pointer,
    /// What stands before it.
    #[serde(default)]
    pub strip: Option<String>,
    /// Whether that may be missing.
    #[serde(default)]
    pub strip_optional: bool,
    /// The algorithms to take; HS256 is the only one.
    pub algs: Vec<String>,
    /// How the key is written.
    #[serde(default)]
    pub key: KeyCoding,
    /// The issuer that the token must name.
    #[serde(default)]
    pub iss: Option<String>,
    /// Claims that must be present.
    #[serde(default)]
    pub require: Vec<String>,
    /// How many seconds clocks may differ.
    #[serde(default)]
    pub leeway: u64,
    /// How many seconds ago it may have been issued; makes `iat` required.
    #[serde(default)]
    pub iat_max_age: Option<u64>,
    /// The claim that holds the body's hash.
    #[serde(default)]
    pub body_hash: Option<ClaimHash>,
    /// Whether a body that nothing proves is taken, and marked.
    #[serde(default)]
    pub allow_uncovered_body: bool,
}

/// A hash of the body in a claim.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimHash {
    /// The claim.
    pub claim: String,
    /// The hash.
    pub alg: Algorithm,
    /// How it is written.
    pub enc: Encoding,
    /// Whether it must be present.
    #[serde(default)]
    pub required: bool,
}

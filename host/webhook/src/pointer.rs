//! Where a value stands in a request, written as one short text.
//!
//! Schemes, event rules and handshakes are data, and data needs a way to say "the header `x-id`" or "the field `id` of
//! the JSON body". That is a [`Pointer`]:
//!
//! | text | what it reads |
//! |---|---|
//! | `header:x-id` | a header that occurs exactly once and is visible ASCII |
//! | `query:token` | the first parameter of that name in the query, decoded |
//! | `form:CallSid` | the first field of that name of a form body, or of the query of a GET, decoded |
//! | `json:/data/id` | a JSON pointer ([RFC 6901]) into the body, or into the item of a batch |
//! | `json_all:/value/*/clientState` | all values that the pattern finds; only tokens use it, by [`crate::excerpt`] |
//! | `sig:t` | a field of the signature header |
//! | `claim:jti` | a claim of the verified JWT |
//! | `param:verify_token` | a parameter that the operator set on the source |
//! | `body:sha256`, `item:sha256` | `sha256:` and the hash of the body, or of the batch item's compact JSON with sorted keys, in hex |
//! | `const:transcript` | the text itself |
//!
//! A `?` at the end marks a part of a composite that may be missing. [`View`] reads pointers and parses JSON and forms
//! at most once, only when somebody asks. Reading never fails: what is absent or of the wrong kind is `None`.
//!
//! [RFC 6901]: https://www.rfc-editor.org/rfc/rfc6901

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::request::RawRequest;
use crate::tree;

/// What an operator set on a source besides secrets, by name.
pub type Params = BTreeMap<String, String>;

/// Longest pointer in bytes: JSON paths of real providers stay far below.
pub const POINTER_BYTES_MAX: usize = 512;

/// Where a value stands.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pointer {
    /// The place.
    pub place: Place,
    /// Whether a composite may go without it.
    pub optional: bool,
}

/// The kinds of places; the text forms are in the module's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A header, by lower-case name.
    Header(String),
    /// A query parameter.
    Query(String),
    /// A form field.
    Form(String),
    /// A JSON pointer into the body or the item.
    Json(String),
    /// A JSON pointer with `*` segments.
    JsonAll(String),
    /// A field of the signature header.
    Sig(String),
    /// A claim of the JWT.
    Claim(String),
    /// A parameter of the source.
    Param(String),
    /// Hash of the body.
    BodySha256,
    /// Hash of the item.
    ItemSha256,
    /// The text itself.
    Const(String),
}

/// Why a text is no pointer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PointerError {
    /// No known kind before the colon.
    #[error(
        "`{0}` is no pointer; write one of header:, query:, form:, json:, json_all:, sig:, claim:, param:, const:, \
         body:sha256, item:sha256"
    )]
    Kind(String),
    /// Nothing, or something impossible, after the colon.
    #[error("the pointer `{0}` names nothing; a JSON pointer begins with `/`, the others need a name")]
    Name(String),
    /// Too long.
    #[error("a pointer has {0} bytes; {POINTER_BYTES_MAX} are allowed")]
    TooLong(usize),
}

impl FromStr for Pointer {
    type Err = PointerError;

    fn from_str(text: &str) -> Result<Self, PointerError> {
        if text.len() > POINTER_BYTES_MAX {
            return Err(PointerError::TooLong(text.len()));
        }
        let (body, optional) = match text.strip_suffix('?') {
            Some(body) => (body, true),
            None => (text, false),
        };
        let (kind, name) = body.split_once(':').ok_or_else(|| PointerError::Kind(text.to_owned()))?;
        let place = place(kind, name).ok_or_else(|| PointerError::Kind(text.to_owned()))?;
        if !is_named(&place) {
            return Err(PointerError::Name(text.to_owned()));
        }
        Ok(Pointer { place, optional })
    }
}

fn place(kind: &str, name: &str) -> Option<Place> {
    let owned = name.to_owned();
    Some(match (kind, name) {
        ("header", _) => Place::Header(name.to_ascii_lowercase()),
        ("query", _) => Place::Query(owned),
        ("form", _) => Place::Form(owned),
        ("json", _) => Place::Json(owned),
        ("json_all", _) => Place::JsonAll(owned),
        ("sig", _) => Place::Sig(owned),
        ("claim", _) => Place::Claim(owned),
        ("param", _) => Place::Param(owned),
        ("const", _) => Place::Const(owned),
        ("body", "sha256") => Place::BodySha256,
        ("item", "sha256") => Place::ItemSha256,
        _ => return None,
    })
}

fn is_named(place: &Place) -> bool {
    match place {
        Place::Header(name) => !name.is_empty() && name.bytes().all(is_token_byte),
        Place::Json(path) => path.is_empty() || path.starts_with('/'),
        Place::JsonAll(path) => path.starts_with('/'),
        Place::Query(name) | Place::Form(name) | Place::Sig(name) | Place::Claim(name) | Place::Param(name) => {
            !name.is_empty()
        }
        Place::BodySha256 | Place::ItemSha256 | Place::Const(_) => true,
    }
}

/// Whether a byte may stand in a header's name (RFC 9110 section 5.6.2).
pub fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Header(name) => write!(f, "header:{name}"),
            Place::Query(name) => write!(f, "query:{name}"),
            Place::Form(name) => write!(f, "form:{name}"),
            Place::Json(path) => write!(f, "json:{path}"),
            Place::JsonAll(path) => write!(f, "json_all:{path}"),
            Place::Sig(name) => write!(f, "sig:{name}"),
            Place::Claim(name) => write!(f, "claim:{name}"),
            Place::Param(name) => write!(f, "param:{name}"),
            Place::BodySha256 => f.write_str("body:sha256"),
            Place::ItemSha256 => f.write_str("item:sha256"),
            Place::Const(text) => write!(f, "const:{text}"),
        }?;
        if self.optional { f.write_str("?") } else { Ok(()) }
    }
}

impl TryFrom<String> for Pointer {
    type Error = PointerError;

    fn try_from(text: String) -> Result<Self, PointerError> {
        text.parse()
    }
}

impl From<Pointer> for String {
    fn from(pointer: Pointer) -> String {
        pointer.to_string()
    }
}

/// A request being read through pointers.
#[derive(Debug)]
pub struct View<'a> {
    request: &'a RawRequest,
    claims: Option<&'a Value>,
    sig_fields: &'a [(String, String)],
    hidden: &'a [String],
    params: Option<&'a Params>,
    json: OnceCell<Option<Value>>,
    form: OnceCell<Vec<(String, String)>>,
    body_hash: OnceCell<String>,
}

impl<'a> View<'a> {
    /// A view of a request that nobody has verified.
    pub fn new(request: &'a RawRequest) -> Self {
        View {
            request,
            claims: None,
            sig_fields: &[],
            hidden: &[],
            params: None,
            json: OnceCell::new(),
            form: OnceCell::new(),
            body_hash: OnceCell::new(),
        }
    }

    /// The same view that also knows the source's parameters.
    #[must_use]
    pub fn with_params(mut self, params: &'a Params) -> Self {
        self.params = Some(params);
        self
    }

    /// The same view that also knows what verification found; headers in `hidden` read as absent.
    #[must_use]
    pub fn with_proof(
        mut self,
        claims: Option<&'a Value>,
        sig_fields: &'a [(String, String)],
        hidden: &'a [String],
    ) -> Self {
        self.claims = claims;
        self.sig_fields = sig_fields;
        self.hidden = hidden;
        self
    }

    /// The request itself.
    pub fn request(&self) -> &'a RawRequest {
        self.request
    }

    /// The body as JSON; `None` when it is not JSON.
    pub fn json(&self) -> Option<&Value> {
        self.json.get_or_init(|| tree::read(&self.request.body)).as_ref()
    }

    fn form(&self) -> &[(String, String)] {
        self.form.get_or_init(|| {
            let fields = if self.request.is_media_type("application/x-www-form-urlencoded") {
                &self.request.body[..]
            } else {
                &[]
            };
            let fields = match (self.request.method.as_str(), &self.request.query) {
                ("GET", Some(query)) => query.as_bytes(),
                _ => fields,
            };
            form_urlencoded::parse(fields).into_owned().collect()
        })
    }

    fn body_hash(&self) -> String {
        self.body_hash.get_or_init(|| hash_text(&self.request.body)).clone()
    }

    /// The value a pointer finds, as text; JSON pointers look into `item` when there is one.
    pub fn text(&self, pointer: &Pointer, item: Option<&Value>) -> Option<String> {
        match &pointer.place {
            Place::Header(name) if self.hidden.contains(name) => None,
            Place::Header(name) => self.request.header(name).map(str::to_owned),
            Place::Query(name) => query_value(self.request.query.as_deref()?, name),
            Place::Form(name) => first(self.form(), name).map(str::to_owned),
            Place::Json(path) => scalar(self.value(path, item)?),
            Place::JsonAll(_) => None,
            Place::Sig(name) => first(self.sig_fields, name).map(str::to_owned),
            Place::Claim(name) => scalar(self.claims?.get(name)?),
            Place::Param(name) => self.params?.get(name).cloned(),
            Place::BodySha256 => Some(self.body_hash()),
            Place::ItemSha256 => Some(self.item_hash(item)),
            Place::Const(text) => Some(text.clone()),
        }
    }

    /// The JSON value at a path of the item, or of the body when there is no item.
    pub fn value<'v>(&'v self, path: &str, item: Option<&'v Value>) -> Option<&'v Value> {
        match item {
            Some(item) => item.pointer(path),
            None => self.json()?.pointer(path),
        }
    }

    /// Keys are sorted, so that the order in which a sender writes them does not matter.
    fn item_hash(&self, item: Option<&Value>) -> String {
        let canonical = item.cloned().map(|mut item| {
            item.sort_all_objects();
            item.to_string()
        });
        canonical.map_or_else(|| self.body_hash(), |text| hash_text(text.as_bytes()))
    }
}

/// The first value of a parameter in a query, decoded.
pub fn query_value(query: &str, name: &str) -> Option<String> {
    form_urlencoded::parse(query.as_bytes()).find(|(have, _)| have == name).map(|(_, value)| value.into_owned())
}

fn first<'v>(pairs: &'v [(String, String)], name: &str) -> Option<&'v str> {
    pairs.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
}

/// A JSON scalar as text; `None` for null, lists and objects.
pub fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn hash_text(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_round_trip() {
        for text in ["header:x-id", "json:/a/0/b?", "json:", "json_all:/value/*/s", "body:sha256", "const:", "sig:t"] {
            assert_eq!(text.parse::<Pointer>().unwrap().to_string(), text);
        }
        for text in ["", "x", "header:", "header:a b", "json:a", "body:md5", "json_all:x"] {
            assert!(text.parse::<Pointer>().is_err(), "{text}");
        }
    }
}

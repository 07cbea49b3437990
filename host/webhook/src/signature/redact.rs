//! What of a verified request may be kept.
//!
//! Before a request is stored, shown or handed to a plugin, the parts that prove it are replaced by `[verified]`.
//! Tokens and passwords must go, since whoever reads them can speak for the provider. Signatures go too: most are
//! harmless once used, and nobody has to ask which.

use bytes::Bytes;
use serde_json::Value;

use crate::pointer::Place;
use crate::request::RawRequest;
use crate::signature::model::Method;
use crate::signature::scheme::Scheme;

/// What stands where a credential stood.
pub const VERIFIED: &str = "[verified]";

/// Headers that are credentials by their name, whatever the scheme: a proxy or a provider may send them besides.
const ALWAYS: &[&str] = &["authorization", "proxy-authorization", "cookie"];

/// A request's parts without its credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redacted {
    /// The path; `/[verified]` when the path is the credential.
    pub path: String,
    /// The query, still escaped, credentials replaced.
    pub query: Option<String>,
    /// Lower-case names and values, lossily decoded, in order of arrival.
    pub headers: Vec<(String, String)>,
    /// Places in a JSON body that hold credentials, with `*` for every item; see [`Scheme::redact_body`].
    pub body_pointers: Vec<String>,
}

/// One part of a request that is a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A header, by lower-case name.
    Header(String),
    /// A query parameter.
    Query(String),
    /// A place in the JSON body, with `*` for every item.
    Body(String),
    /// The path.
    Path,
}

impl Scheme {
    /// The parts of a request that prove it under this scheme, in any of its alternatives.
    pub fn credentials(&self) -> Vec<Credential> {
        let mut found = Vec::new();
        for method in self.methods() {
            let credential = credential(method);
            if let Some(credential) = credential.filter(|credential| !found.contains(credential)) {
                found.push(credential);
            }
        }
        found
    }

    /// The parts of a request that may be kept.
    pub fn redact(&self, request: &RawRequest) -> Redacted {
        let credentials = self.credentials();
        let has_header = |name: &str| {
            ALWAYS.contains(&name) || credentials.iter().any(|part| matches!(part, Credential::Header(h) if h == name))
        };
        let header = |(name, value): &(String, Bytes)| {
            let name = name.to_ascii_lowercase();
            let text = if has_header(&name) { VERIFIED.into() } else { String::from_utf8_lossy(value).into_owned() };
            (name, text)
        };
        let body_pointers = credentials.iter().filter_map(|part| match part {
            Credential::Body(path) => Some(path.clone()),
            _ => None,
        });
        let is_path = credentials.contains(&Credential::Path);
        Redacted {
            path: if is_path { format!("/{VERIFIED}") } else { request.path.clone() },
            query: request.query.as_deref().map(|query| redact_query(query, &credentials)),
            headers: request.headers.iter().map(header).collect(),
            body_pointers: body_pointers.collect(),
        }
    }

    /// The body without its credentials; the same bytes when it holds none.
    pub fn redact_body(&self, body: &Bytes) -> Bytes {
        let credentials = self.credentials();
        let paths = credentials.iter().filter_map(|part| match part {
            Credential::Body(path) => Some(path.as_str()),
            _ => None,
        });
        let paths: Vec<&str> = paths.collect();
        if paths.is_empty() {
            return body.clone();
        }
        let Ok(mut value) = serde_json::from_slice::<Value>(body) else { return body.clone() };
        for path in paths {
            let segments: Vec<&str> = path.split('/').skip(1).collect();
            mask(&mut value, &segments);
        }
        serde_json::to_vec(&value).map_or_else(|_| body.clone(), Bytes::from)
    }
}

fn credential(method: &Method) -> Option<Credential> {
    let place = match method {
        Method::Mac(signed) | Method::Sig(signed) | Method::Digest(signed) => &signed.sig.from.place,
        Method::Jwt(jwt) => &jwt.from.place,
        Method::Token(token) => &token.from.place,
        Method::Basic(_) => return Some(Credential::Header("authorization".to_owned())),
        Method::Url(_) => return Some(Credential::Path),
        Method::Code(_) => return None,
    };
    match place {
        Place::Header(name) => Some(Credential::Header(name.clone())),
        Place::Query(name) => Some(Credential::Query(name.clone())),
        Place::JsonAll(path) => Some(Credential::Body(path.clone())),
        _ => None,
    }
}

fn redact_query(query: &str, credentials: &[Credential]) -> String {
    let is_secret = |name: &str| credentials.iter().any(|part| matches!(part, Credential::Query(q) if q == name));
    let redact = |field: &str| {
        let name = form_urlencoded::parse(field.as_bytes()).next().map(|(name, _)| name.into_owned());
        match name {
            Some(name) if is_secret(&name) => {
                format!("{}={VERIFIED}", field.split('=').next().unwrap_or_default())
            }
            _ => field.to_owned(),
        }
    };
    query.split('&').map(redact).collect::<Vec<_>>().join("&")
}

fn mask(value: &mut Value, path: &[&str]) {
    let Some((first, rest)) = path.split_first() else {
        *value = Value::String(VERIFIED.to_owned());
        return;
    };
    match value {
        Value::Array(items) if *first == "*" => items.iter_mut().for_each(|item| mask(item, rest)),
        _ => {
            if let Some(inner) = value.pointer_mut(&format!("/{first}")) {
                mask(inner, rest);
            }
        }
    }
}

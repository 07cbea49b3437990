//! What of a verified request may be kept.
//!
//! Before a request is stored, shown or handed to a plugin, the parts that prove it are replaced by `[verified]`.
//! Tokens and passwords must go, since whoever reads them can speak for the provider. Signatures go too: most are
//! harmless once used, and nobody has to ask which.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use bytestring::ByteString;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

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
    pub headers: Vec<(ByteString, ByteString)>,
    /// Places in a JSON body that hold credentials, with `*` for every item; see [`Scheme::redact_body`].
    pub body_pointers: Vec<String>,
}

/// One part of a request that is a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential<'s> {
    /// A header, by lower-case name.
    Header(&'s str),
    /// A query parameter.
    Query(&'s str),
    /// A place in the JSON body, with `*` for every item.
    Body(&'s str),
    /// The path.
    Path,
}

impl Scheme {
    /// The parts of a request that prove it under this scheme, in any of its alternatives.
    pub fn credentials(&self) -> Vec<Credential<'_>> {
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
    pub fn redact(&self, request: RawRequest) -> Redacted {
        let credentials = self.credentials();
        let has_header = |name: &str| {
            ALWAYS.contains(&name) || credentials.iter().any(|part| matches!(part, Credential::Header(h) if *h == name))
        };
        let header = |(name, value): (ByteString, Bytes)| {
            let name = if is_lower(&name) { name } else { name.to_ascii_lowercase().into() };
            let value = if has_header(&name) { ByteString::from_static(VERIFIED) } else { text(value) };
            (name, value)
        };
        let body_pointers = credentials.iter().filter_map(|part| match part {
            Credential::Body(path) => Some((*path).to_owned()),
            _ => None,
        });
        let is_path = credentials.contains(&Credential::Path);
        Redacted {
            path: if is_path { format!("/{VERIFIED}") } else { request.path },
            query: request.query.map(|query| redact_query(&query, &credentials)),
            headers: request.headers.into_iter().map(header).collect(),
            body_pointers: body_pointers.collect(),
        }
    }

    /// The body without its credentials, every other byte as it was sent; the same bytes when it holds none.
    ///
    /// The structure stays: whoever needs byte ranges within what is kept takes them of this body.
    pub fn redact_body(&self, body: &Bytes) -> Bytes {
        let credentials = self.credentials();
        let paths = credentials.iter().filter_map(|part| match part {
            Credential::Body(path) => Some(*path),
            _ => None,
        });
        let paths: Vec<&str> = paths.collect();
        if paths.is_empty() {
            return body.clone();
        }
        let Ok(root) = serde_json::from_slice::<&RawValue>(body) else { return body.clone() };
        let found: Vec<&str> = paths.into_iter().flat_map(|path| values_at(root, path)).collect();
        splice(body, &found)
    }
}

fn is_lower(name: &str) -> bool {
    !name.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// A header's value as text; what is none is replaced.
fn text(value: Bytes) -> ByteString {
    ByteString::try_from(value.clone()).unwrap_or_else(|_| String::from_utf8_lossy(&value).into_owned().into())
}

fn credential(method: &Method) -> Option<Credential<'_>> {
    let place = match method {
        Method::Mac(signed) | Method::Sig(signed) | Method::Digest(signed) => &signed.sig.from.place,
        Method::Jwt(jwt) => &jwt.from.place,
        Method::Token(token) => &token.from.place,
        Method::Basic(_) => return Some(Credential::Header("authorization")),
        Method::Url(_) => return Some(Credential::Path),
        Method::Code(_) => return None,
    };
    match place {
        Place::Header(name) => Some(Credential::Header(name)),
        Place::Query(name) => Some(Credential::Query(name)),
        Place::JsonAll(path) => Some(Credential::Body(path)),
        _ => None,
    }
}

fn redact_query(query: &str, credentials: &[Credential<'_>]) -> String {
    let is_secret = |name: &str| credentials.iter().any(|part| matches!(part, Credential::Query(q) if *q == name));
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

/// The values at a path with `*` for every item, as they are written. A name that an object holds twice leads to
/// both: readers differ in which of the two they believe.
fn values_at<'b>(root: &'b RawValue, path: &str) -> Vec<&'b str> {
    let mut here = vec![root];
    for segment in path.split('/').skip(1) {
        here = here.into_iter().flat_map(|value| children(value, segment)).collect();
    }
    here.into_iter().map(RawValue::get).collect()
}

fn children<'b>(value: &'b RawValue, segment: &str) -> Vec<&'b RawValue> {
    let text = value.get();
    match text.as_bytes().first() {
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).unwrap_or_default();
            match segment {
                "*" => items,
                index => index.parse::<usize>().ok().and_then(|index| items.get(index).copied()).into_iter().collect(),
            }
        }
        Some(b'{') => {
            let name = segment.replace("~1", "/").replace("~0", "~");
            let members = serde_json::from_str::<Members<'b>>(text).map_or_else(|_| Vec::new(), |members| members.0);
            members.into_iter().filter(|(key, _)| *key == name).map(|(_, value)| value).collect()
        }
        _ => Vec::new(),
    }
}

/// The members of an object in order, repetitions included.
struct Members<'b>(Vec<(String, &'b RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}

/// The body with `"[verified]"` in place of these parts of it; every other byte stays.
fn splice(body: &Bytes, parts: &[&str]) -> Bytes {
    let start_of = |part: &str| (part.as_ptr() as usize).checked_sub(body.as_ptr() as usize);
    let mut ranges: Vec<Range<usize>> =
        parts.iter().filter_map(|part| start_of(part).map(|start| start..start + part.len())).collect();
    // A part within another goes with it: the outer one begins first and ends last.
    ranges.sort_by_key(|range| (range.start, std::cmp::Reverse(range.end)));
    let mut spliced = Vec::with_capacity(body.len() + ranges.len() * (VERIFIED.len() + 2));
    let mut kept = 0;
    for range in ranges {
        if let Some(before) = body.get(kept..range.start) {
            spliced.extend_from_slice(before);
            spliced.extend_from_slice(format!("\"{VERIFIED}\"").as_bytes());
            kept = range.end;
        }
    }
    spliced.extend_from_slice(body.get(kept..).unwrap_or_default());
    spliced.into()
}

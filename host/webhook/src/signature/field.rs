//! The signature header: where it is, how it lists signatures, which of them count.
//!
//! Three shapes cover all providers: one value (`x-sig: abc`), one labelled value (`v0=abc`) and a list of labelled
//! values in which fields such as `t` travel beside several signatures of a rotation (`t=1,v1=abc,v1=def`). A signature
//! that cannot be decoded is passed over, because lists may hold versions that we do not know; when none is left the
//! header is malformed. At most [`CANDIDATES_MAX`] signatures are looked at, so that a header is no work multiplier.

use crate::pointer::{Place, Pointer};
use crate::request::RawRequest;
use crate::signature::decode::Encoding;
use crate::signature::verdict::{Reason, Refusal};

/// Most signatures in one header: a rotation needs two or three.
pub const CANDIDATES_MAX: usize = 16;

/// How to read the signature header.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignatureField {
    /// The header.
    pub from: Pointer,
    /// What stands before the value, such as `sha256=`.
    #[serde(default)]
    pub prefix: Option<String>,
    /// What separates the items of a list.
    #[serde(default)]
    pub split: Option<String>,
    /// What stands between an item's label and value.
    #[serde(default)]
    pub kv: Option<String>,
    /// The label of the items that are signatures.
    #[serde(default)]
    pub field: Option<String>,
    /// The exact labels of the whole list, in order.
    #[serde(default)]
    pub exact: Option<Vec<String>>,
    /// Whether blanks around items are dropped.
    #[serde(default)]
    pub trim: bool,
    /// How a signature is written.
    pub enc: Encoding,
    /// Most signatures to look at.
    #[serde(default = "candidates_max")]
    pub max: usize,
}

fn candidates_max() -> usize {
    CANDIDATES_MAX
}

/// What the header held.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// The signatures, decoded.
    pub candidates: Vec<Vec<u8>>,
    /// The labelled items that are not signatures.
    pub fields: Vec<(String, String)>,
}

/// A header's text, when it occurs exactly once and is visible ASCII.
pub fn single<'r>(request: &'r RawRequest, name: &str) -> Result<&'r str, Refusal> {
    match request.headers_named(name).count() {
        0 => Err(Refusal::new(Reason::MissingHeader, format!("the header `{name}` is absent"))),
        1 => request.header(name).ok_or_else(|| {
            Refusal::new(Reason::MalformedHeader, format!("the header `{name}` has bytes outside visible ASCII"))
        }),
        n => Err(Refusal::new(Reason::DuplicateHeader, format!("the header `{name}` occurs {n} times"))),
    }
}

/// Cuts a prefix such as `Bearer `, compared without case (RFC 9110 section 11.1).
pub fn strip_word<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

impl SignatureField {
    /// The header's lower-case name; empty only before validation.
    pub fn header(&self) -> &str {
        match &self.from.place {
            Place::Header(name) => name,
            _ => "",
        }
    }

    /// Reads the header of a request.
    pub fn read(&self, request: &RawRequest) -> Result<Found, Refusal> {
        self.parse(single(request, self.header())?)
    }

    /// Reads a header's text.
    pub fn parse(&self, text: &str) -> Result<Found, Refusal> {
        let text = match self.prefix.as_deref() {
            None => text,
            Some(prefix) => text.strip_prefix(prefix).ok_or_else(|| {
                let why = format!("the header `{}` does not begin as the scheme says", self.header());
                Refusal::new(Reason::MalformedSignature, why)
            })?,
        };
        let mut found = Found::default();
        let mut signatures = 0;
        for (label, value) in self.items(text) {
            if label == self.field.as_deref() {
                signatures += 1;
                found.candidates.extend(self.enc.decode(value));
            } else if let Some(label) = label {
                found.fields.push((label.to_owned(), value.to_owned()));
            }
        }
        self.check(text, signatures, &found)?;
        Ok(found)
    }

    /// What the header lists, each with its label.
    fn items<'t>(&'t self, text: &'t str) -> impl Iterator<Item = (Option<&'t str>, &'t str)> {
        let separator = self.split.as_deref();
        let listed = separator.into_iter().flat_map(|separator| text.split(separator));
        let items = separator.is_none().then_some(text).into_iter().chain(listed);
        items.map(|item| self.label(if self.trim { item.trim_matches([' ', '\t']) } else { item }))
    }

    fn label<'t>(&self, item: &'t str) -> (Option<&'t str>, &'t str) {
        match self.kv.as_deref().and_then(|separator| item.split_once(separator)) {
            Some((label, value)) => (Some(label), value),
            None if self.kv.is_some() => (Some(""), item),
            None => (None, item),
        }
    }

    fn check(&self, text: &str, signatures: usize, found: &Found) -> Result<(), Refusal> {
        let malformed = |why: String| Err(Refusal::new(Reason::MalformedSignature, why));
        let name = self.header();
        if let Some(exact) = &self.exact
            && !exact.iter().map(|label| Some(label.as_str())).eq(self.items(text).map(|(label, _)| label))
        {
            return malformed(format!("the header `{name}` must hold exactly the fields {}", exact.join(", ")));
        }
        if signatures > self.max.min(CANDIDATES_MAX) {
            return malformed(format!("the header `{name}` holds {signatures} signatures"));
        }
        match (&self.field, signatures) {
            (Some(field), 0) => malformed(format!("the header `{name}` holds no `{field}`")),
            _ if found.candidates.is_empty() => malformed(format!("no signature in `{name}` can be decoded")),
            _ => Ok(()),
        }
    }

    /// Writes a header: `fields` before the signature.
    pub fn write(&self, fields: &[(String, String)], signature: &[u8]) -> String {
        let value = self.enc.encode(signature);
        let kv = self.kv.as_deref().unwrap_or_default();
        let mut items: Vec<String> = fields.iter().map(|(label, text)| format!("{label}{kv}{text}")).collect();
        items.push(match &self.field {
            Some(field) => format!("{field}{kv}{value}"),
            None => value,
        });
        let list = items.join(self.split.as_deref().unwrap_or_default());
        format!("{}{list}", self.prefix.as_deref().unwrap_or_default())
    }
}

//! What a sender is told: status, headers, body; and templates of it, as data.
//!
//! Handshakes echo challenges and fallbacks repeat ids of the event, so a template may take values from the request.
//! In JSON a text that is one placeholder, such as `"{json:/id}"`, becomes the value found there; an object
//! `{"$each": "json:/list", "$item": …}` becomes a list with one filled item for each element. Nothing else is expanded:
//! a template is data, not a language.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;

use crate::pointer::{Place, Pointer, View};

/// An HTTP answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Lower-case names and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// An answer without a body.
    pub fn empty(status: u16) -> Self {
        Answer { status, headers: Vec::new(), body: Bytes::new() }
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }
}

/// An answer with places to fill.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerTemplate {
    /// The status.
    #[serde(default = "ok")]
    pub status: u16,
    /// The media type; JSON bodies have theirs by themselves.
    #[serde(default)]
    pub content_type: Option<String>,
    /// Other headers; values may be one placeholder.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body as text.
    #[serde(default)]
    pub body: Option<String>,
    /// The body taken from the request.
    #[serde(default)]
    pub body_from: Option<Pointer>,
    /// The body as JSON with placeholders.
    #[serde(default)]
    pub json: Option<Value>,
}

fn ok() -> u16 {
    200
}

impl Default for AnswerTemplate {
    fn default() -> Self {
        AnswerTemplate {
            status: 200,
            content_type: None,
            headers: BTreeMap::new(),
            body: None,
            body_from: None,
            json: None,
        }
    }
}

/// Values that a template may name besides pointers.
pub type Named<'a> = [(&'a str, &'a str)];

impl AnswerTemplate {
    /// Fills the template; `None` when a value that it takes from the request is absent or unfit for a header.
    pub fn fill(&self, view: &View<'_>, named: &Named<'_>) -> Option<Answer> {
        let mut headers = Vec::new();
        let json = self.json.as_ref().map(|json| fill_json(json, view, named, None));
        let content_type = self.content_type.as_deref().or(json.as_ref().map(|_| "application/json"));
        headers.extend(content_type.map(|value| ("content-type".to_owned(), value.to_owned())));
        for (name, value) in &self.headers {
            headers.push((name.to_ascii_lowercase(), fill_header(value, view, named)?));
        }
        let body = match (&self.body_from, json, &self.body) {
            (Some(pointer), _, _) => {
                headers.push(("x-content-type-options".to_owned(), "nosniff".to_owned()));
                Bytes::from(view.text(pointer, None)?)
            }
            (None, Some(json), _) => Bytes::from(json.to_string()),
            (None, None, Some(text)) => Bytes::from(text.clone()),
            (None, None, None) => Bytes::new(),
        };
        Some(Answer { status: self.status, headers, body })
    }
}

fn fill_header(value: &str, view: &View<'_>, named: &Named<'_>) -> Option<String> {
    let text = match placeholder(value) {
        None => value.to_owned(),
        Some(name) => lookup(name, view, named, None).and_then(|value| value.as_str().map(str::to_owned))?,
    };
    text.bytes().all(|byte| matches!(byte, b' '..=b'~')).then_some(text)
}

fn fill_json(template: &Value, view: &View<'_>, named: &Named<'_>, item: Option<&Value>) -> Value {
    match template {
        Value::String(text) => match placeholder(text) {
            Some(name) => lookup(name, view, named, item).unwrap_or(Value::Null),
            None => template.clone(),
        },
        Value::Array(items) => items.iter().map(|part| fill_json(part, view, named, item)).collect(),
        Value::Object(map) => match (map.get("$each").and_then(Value::as_str), map.get("$item")) {
            (Some(list), Some(part)) => each(list, part, view, named),
            _ => map.iter().map(|(key, part)| (key.clone(), fill_json(part, view, named, item))).collect(),
        },
        _ => template.clone(),
    }
}

fn each(list: &str, part: &Value, view: &View<'_>, named: &Named<'_>) -> Value {
    let found = match list.parse::<Pointer>() {
        Ok(Pointer { place: Place::Json(path), .. }) => view.value(&path, None).and_then(Value::as_array),
        _ => None,
    };
    let items = found.map(Vec::as_slice).unwrap_or_default();
    items.iter().map(|item| fill_json(part, view, named, Some(item))).collect()
}

fn placeholder(text: &str) -> Option<&str> {
    text.strip_prefix('{')?.strip_suffix('}').filter(|name| !name.contains(['{', '}', ' ']))
}

fn lookup(name: &str, view: &View<'_>, named: &Named<'_>, item: Option<&Value>) -> Option<Value> {
    if let Some((_, value)) = named.iter().find(|(have, _)| *have == name) {
        return Some(Value::String((*value).to_owned()));
    }
    let pointer: Pointer = name.parse().ok()?;
    match &pointer.place {
        Place::Json(path) => view.value(path, item).cloned(),
        _ => view.text(&pointer, item).map(Value::String),
    }
}

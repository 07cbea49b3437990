//! How providers write down a URL and a form before they sign them.
//!
//! Twilio signs the URL and then every form field, sorted by name, name and value run together; of a repeated name the
//! distinct values, sorted (npm `twilio` 6.2.0 `lib/webhooks/webhooks.js`). Plivo's V3 signs the URL with its query
//! sorted and decoded, then the sorted form (npm `plivo` 4.79.0 `dist/utils/security.js`). Values are decoded to bytes,
//! never trimmed, never replaced: a form that is not UTF-8 keeps its bytes. Fields stay where they lie: what is sorted is
//! a list of them, and they are decoded while they are compared and hashed.
//!
//! Twilio's back end is not consistent about ports, so a scheme lists the [`UrlForm`]s to try, each built from the
//! configured public URL by cutting text: a URL library would normalise what must stay exact.

use std::cmp::Ordering;

use percent_encoding::percent_decode;

use crate::request::RawRequest;
use crate::signature::hash::Sink;

/// A provider's way with forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `{form:twilio}`: the form alone; the URL stands before it in the template.
    Twilio,
    /// `{form:plivo}`: URL and form.
    Plivo,
}

/// A form of the public URL to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
pub enum UrlForm {
    /// Without a port.
    #[serde(rename = "no_port")]
    NoPort,
    /// With its port, or the scheme's default written out.
    #[serde(rename = "default_port")]
    DefaultPort,
    /// Without a port, the query escaped as the WHATWG URL standard does.
    #[serde(rename = "no_port+whatwg_query")]
    NoPortEscaped,
    /// With a port, the query escaped likewise.
    #[serde(rename = "default_port+whatwg_query")]
    DefaultPortEscaped,
}

/// Bytes that are decoded before they are handed to a hash together.
const CHUNK_BYTES: usize = 256;

/// A name or a value as it lies in a form, compared by what it says.
#[derive(Clone, Copy)]
struct Coded<'b> {
    text: &'b [u8],
    /// Whether it says something else than it is.
    has_escapes: bool,
}

impl<'b> Coded<'b> {
    fn new(text: &'b [u8]) -> Self {
        Coded { text, has_escapes: text.iter().any(|byte| matches!(byte, b'+' | b'%')) }
    }

    /// What it says: `+` is a blank, and `%` with two hexadecimal digits a byte.
    fn decoded(self) -> impl Iterator<Item = u8> {
        // No escape reaches over a `+`.
        let words = self.text.split(|byte| *byte == b'+').enumerate();
        words.flat_map(|(index, word)| (index > 0).then_some(b' ').into_iter().chain(percent_decode(word)))
    }

    fn feed(self, sink: &mut dyn Sink) {
        if !self.has_escapes {
            return sink.feed(self.text);
        }
        let (mut chunk, mut filled) = ([0; CHUNK_BYTES], 0);
        self.decoded().for_each(|byte| {
            chunk[filled] = byte;
            filled += 1;
            if filled == CHUNK_BYTES {
                sink.feed(&chunk);
                filled = 0;
            }
        });
        sink.feed(&chunk[..filled]);
    }
}

impl Ord for Coded<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match self.has_escapes || other.has_escapes {
            false => self.text.cmp(other.text),
            true => self.decoded().cmp(other.decoded()),
        }
    }
}

impl PartialOrd for Coded<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Coded<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Coded<'_> {}

type Pair<'b> = (Coded<'b>, Coded<'b>);

/// Writes a form as its provider does. A body that is not a form adds nothing; whether it is covered otherwise is the
/// engine's question.
pub fn write(form: Form, request: &RawRequest, url: &str, sink: &mut dyn Sink) {
    let is_signed = covers_body(form, request);
    let mut fields = if is_signed { sorted_pairs(&request.body) } else { Vec::new() };
    match form {
        Form::Twilio => {
            fields.dedup();
            fields.iter().for_each(|pair| feed_pair(sink, pair, b""));
        }
        Form::Plivo => write_plivo(url, &fields, sink),
    }
}

/// Whether what is written holds every field of the body: of a GET, Plivo signs the query only.
pub fn covers_body(form: Form, request: &RawRequest) -> bool {
    is_form(request) && !(form == Form::Plivo && is_get(request))
}

fn is_get(request: &RawRequest) -> bool {
    request.method.eq_ignore_ascii_case("GET")
}

/// Whether the body is declared to be a form.
pub fn is_form(request: &RawRequest) -> bool {
    request.is_media_type("application/x-www-form-urlencoded")
}

fn write_plivo(url: &str, fields: &[Pair<'_>], sink: &mut dyn Sink) {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let query = sorted_pairs(query.as_bytes());
    sink.feed(base.as_bytes());
    if !query.is_empty() || !fields.is_empty() {
        sink.feed(b"?");
    }
    for (index, pair) in query.iter().enumerate() {
        if index > 0 {
            sink.feed(b"&");
        }
        feed_pair(sink, pair, b"=");
    }
    if !query.is_empty() && !fields.is_empty() {
        sink.feed(b".");
    }
    fields.iter().for_each(|pair| feed_pair(sink, pair, b""));
}

fn feed_pair(sink: &mut dyn Sink, (name, value): &Pair<'_>, between: &[u8]) {
    name.feed(sink);
    sink.feed(between);
    value.feed(sink);
}

/// The fields of a form by what they say, names first.
fn sorted_pairs(text: &[u8]) -> Vec<Pair<'_>> {
    let fields = text.split(|byte| *byte == b'&').filter(|field| !field.is_empty());
    let mut pairs: Vec<Pair<'_>> = fields.map(pair).collect();
    pairs.sort_unstable();
    pairs
}

fn pair(field: &[u8]) -> Pair<'_> {
    let (name, value) = match field.iter().position(|byte| *byte == b'=') {
        Some(at) => (&field[..at], &field[at + 1..]),
        None => (field, &[][..]),
    };
    (Coded::new(name), Coded::new(value))
}

/// The URL that the provider signed: the configured one up to its query, and the request's own raw query.
pub fn public_url(configured: &str, request: &RawRequest) -> String {
    let base = configured.split(['?', '#']).next().unwrap_or_default();
    match &request.query {
        Some(query) => format!("{base}?{query}"),
        None => base.to_owned(),
    }
}

/// The URLs to try: the given one, or its forms without doubles.
pub fn candidates(url: &str, forms: &[UrlForm]) -> Vec<String> {
    let mut found = Vec::new();
    for candidate in forms.iter().map(|form| url_in_form(url, *form)) {
        if !found.contains(&candidate) {
            found.push(candidate);
        }
    }
    if found.is_empty() {
        found.push(url.to_owned());
    }
    found
}

fn url_in_form(url: &str, form: UrlForm) -> String {
    match form {
        UrlForm::NoPort => with_port(url, false),
        UrlForm::DefaultPort => with_port(url, true),
        UrlForm::NoPortEscaped => escape_query(&with_port(url, false)),
        UrlForm::DefaultPortEscaped => escape_query(&with_port(url, true)),
    }
}

fn with_port(url: &str, wanted: bool) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let (user, host_port) = match authority.rsplit_once('@') {
        Some((user, host)) => (format!("{user}@"), host),
        None => (String::new(), authority),
    };
    let (host, port) = split_port(host_port);
    let default = if scheme.eq_ignore_ascii_case("https") { "443" } else { "80" };
    let port = if wanted { format!(":{}", port.unwrap_or(default)) } else { String::new() };
    format!("{scheme}://{user}{host}{port}{tail}")
}

fn split_port(host_port: &str) -> (&str, Option<&str>) {
    match host_port.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => (host, Some(port)),
        _ => (host_port, None),
    }
}

/// The query with the WHATWG special-query percent-encode set applied (URL standard, section 1.3).
fn escape_query(url: &str) -> String {
    let Some((base, query)) = url.split_once('?') else { return url.to_owned() };
    let mut escaped = format!("{base}?");
    for byte in query.bytes() {
        match byte {
            b'"' | b'#' | b'<' | b'>' | b'\'' | b' ' | 0..=0x1f | 0x7f..=0xff => {
                escaped.push_str(&format!("%{byte:02X}"));
            }
            _ => escaped.push(byte as char),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_cut_and_added_in_the_text() {
        let cases = [
            ("https://u:p@h.test:1234/a?b=c:d", "https://u:p@h.test/a?b=c:d", "https://u:p@h.test:1234/a?b=c:d"),
            ("http://h.test?x", "http://h.test?x", "http://h.test:80?x"),
            ("https://[::1]/", "https://[::1]/", "https://[::1]:443/"),
            ("nonsense", "nonsense", "nonsense"),
        ];
        for (url, bare, ported) in cases {
            assert_eq!(url_in_form(url, UrlForm::NoPort), bare);
            assert_eq!(url_in_form(url, UrlForm::DefaultPort), ported);
        }
        assert_eq!(escape_query("https://h/'?It's"), "https://h/'?It%27s");
    }
}

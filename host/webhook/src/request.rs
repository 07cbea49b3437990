//! A request as it came off the wire, before anybody believed it.
//!
//! Signatures cover exact bytes, so nothing is decoded, normalised or trimmed here: names keep their case, the
//! query its escapes, the body its last newline. Readers that want meaning ask for it ([`RawRequest::header`]).

use bytes::Bytes;
use bytestring::ByteString;

use crate::clock::Timestamp;

/// One HTTP request, byte for byte.
#[derive(Debug, Clone)]
pub struct RawRequest {
    /// The method, upper case as sent.
    pub method: String,
    /// The path, still escaped, beginning with `/`.
    pub path: String,
    /// What stood behind the `?`, still escaped; `None` without a `?`.
    pub query: Option<String>,
    /// Header names and values in order of arrival. Values are bytes: the wire promises no more.
    pub headers: Vec<(ByteString, Bytes)>,
    /// The whole body, not decompressed.
    pub body: Bytes,
    /// When its first byte arrived.
    pub received_at: Timestamp,
}

impl RawRequest {
    /// The value of a header that occurs exactly once and is visible ASCII (or space and tab inside); `None` otherwise.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers_named(name);
        let value = found.next()?;
        if found.next().is_some() {
            return None;
        }
        let text = std::str::from_utf8(value).ok()?;
        text.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~')).then_some(text)
    }

    /// All values of a header, in order.
    pub fn headers_named<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a Bytes> + use<'a, 'n> {
        self.headers.iter().filter(move |(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Whether the body is declared to be of this media type; parameters such as `charset` do not matter.
    pub fn is_media_type(&self, wanted: &str) -> bool {
        self.header("content-type")
            .and_then(|value| value.split(';').next())
            .is_some_and(|value| value.trim().eq_ignore_ascii_case(wanted))
    }
}

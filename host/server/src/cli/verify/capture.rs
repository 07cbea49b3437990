//! A request as people keep it: the text of an HTTP/1.1 request in a file.
//!
//! Heads are often pasted, so lines may end in LF or CRLF; the body is taken byte for byte. When the head says how long
//! the body was, that counts: an editor's newline behind it is cut off, and that is told.

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use bytestring::ByteString;
use creel_webhook::clock::Timestamp;
use creel_webhook::request::RawRequest;

/// What a file held.
#[derive(Debug)]
pub struct Captured {
    /// The request.
    pub request: RawRequest,
    /// The URL that it was sent to, as far as the head tells; proxies are assumed to speak HTTPS in front.
    pub url: Option<String>,
    /// What a reader should know about how it was read.
    pub notes: Vec<String>,
    /// The same request with all bytes of the file's body, when some were cut off.
    pub spare: Option<RawRequest>,
}

/// Reads the text of a request.
///
/// # Errors
/// When it has no request line or a line of its head is no header.
pub fn parse(text: &[u8], received_at: Timestamp) -> anyhow::Result<Captured> {
    let (head, body) = split(text);
    let head = std::str::from_utf8(head).context("the head is not text")?;
    let mut lines = head.lines();
    let (method, target) = request_line(lines.next().unwrap_or_default())?;
    let headers = lines.map(header).collect::<anyhow::Result<Vec<_>>>()?;
    let (origin, path_and_query) = origin(target);
    let (path, query) = match path_and_query.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (path_and_query, None),
    };
    let mut request = RawRequest {
        method: method.to_owned(),
        path: path.to_owned(),
        query,
        headers,
        body: Bytes::copy_from_slice(body),
        received_at,
    };
    let host = request.header("host").map(|host| format!("https://{host}"));
    let url = origin.map(str::to_owned).or(host).map(|origin| format!("{origin}{path_and_query}"));
    let mut notes = Vec::new();
    if request.header("transfer-encoding").is_some_and(|value| value.contains("chunked")) {
        notes.push(
            "the head says `transfer-encoding: chunked`; the body must stand in the file without chunk sizes".into(),
        );
    }
    let spare = cut_to_length(&mut request, &mut notes);
    Ok(Captured { request, url, notes, spare })
}

/// Head and body: at the first empty line.
fn split(text: &[u8]) -> (&[u8], &[u8]) {
    let mut start = 0;
    while let Some(length) = text[start..].iter().position(|byte| *byte == b'\n') {
        let line = &text[start..start + length];
        if (line.is_empty() || line == b"\r") && start > 0 {
            return (&text[..start], &text[start + length + 1..]);
        }
        start += length + 1;
    }
    (text, &[])
}

fn request_line(line: &str) -> anyhow::Result<(&str, &str)> {
    let mut words = line.split(' ');
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some(method), Some(target), None | Some("HTTP/1.1" | "HTTP/1.0"), None)
            if !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase()) =>
        {
            Ok((method, target))
        }
        _ => bail!(
            "the first line must be like `POST /in/abc HTTP/1.1`; then the headers, an empty line, and the body as it came"
        ),
    }
}

fn header(line: &str) -> anyhow::Result<(ByteString, Bytes)> {
    let (name, value) = line
        .split_once(':')
        .with_context(|| "a line of the head has no `:`; is the empty line before the body missing?")?;
    ensure!(!name.is_empty() && !name.contains([' ', '\t']), "`{name}` is no header's name");
    Ok((name.into(), Bytes::copy_from_slice(value.trim_matches([' ', '\t']).as_bytes())))
}

/// The scheme and authority of a target in absolute form, and the rest.
fn origin(target: &str) -> (Option<&str>, &str) {
    let Some(after) = target.find("://").map(|at| at + 3) else { return (None, target) };
    match target[after..].find('/') {
        Some(at) => (Some(&target[..after + at]), &target[after + at..]),
        None => (Some(target), "/"),
    }
}

fn cut_to_length(request: &mut RawRequest, notes: &mut Vec<String>) -> Option<RawRequest> {
    let declared: usize = request.header("content-length")?.parse().ok()?;
    let have = request.body.len();
    if declared > have {
        notes.push(format!(
            "the head says `content-length: {declared}` but the file holds {have} bytes of body: it is not complete, or \
             something changed line ends"
        ));
    }
    if declared >= have {
        return None;
    }
    notes.push(format!("the file holds {have} bytes of body; cut to the {declared} that `content-length` says"));
    let spare = request.clone();
    request.body.truncate(declared);
    Some(spare)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(text: &str) -> Captured {
        parse(text.as_bytes(), Timestamp::default()).unwrap()
    }

    #[test]
    fn heads_are_read_with_either_line_end_and_bodies_as_they_are() {
        for end in ["\n", "\r\n"] {
            let text = ["POST /in/a?b=%20c HTTP/1.1", "Host: h.test", "X-Sig:  v1 ", "", "{\r\n}\n"].join(end);
            let captured = captured(&text);
            assert_eq!(captured.request.header("x-sig"), Some("v1"));
            assert_eq!(&captured.request.body[..], b"{\r\n}\n");
            assert_eq!(captured.url.as_deref(), Some("https://h.test/in/a?b=%20c"));
            assert_eq!((captured.request.path.as_str(), captured.request.query.as_deref()), ("/in/a", Some("b=%20c")));
        }
        assert_eq!(captured("GET http://h.test:81 HTTP/1.1\n\n").url.as_deref(), Some("http://h.test:81/"));
    }

    #[test]
    fn a_declared_length_counts() {
        let captured = captured("POST / HTTP/1.1\ncontent-length: 2\n\n{}\n");
        assert_eq!(&captured.request.body[..], b"{}");
        assert_eq!(captured.spare.unwrap().body.len(), 3);
        assert!(captured.notes[0].contains("cut to the 2"));
    }

    #[test]
    fn what_is_no_request_is_refused_with_what_to_do() {
        for (text, said) in [
            ("", "first line"),
            ("{\"a\":1}", "first line"),
            ("POST / HTTP/1.1\n{}", "empty line"),
            ("a b c d\n", "first"),
        ] {
            let error = parse(text.as_bytes(), Timestamp::default()).unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}

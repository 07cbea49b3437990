//! What is written into the audit trail, and what is not.
//!
//! Every request that may change something is a deed, and every one whose answer may show payloads: the row of the table and
//! the path that was called. Queries and documents are not kept, so no secret and no body is. What only asks what a change
//! would do (`dry_run`) is no change.

use axum::extract::Request;
use axum::http::{Method, StatusCode};

use super::key;
use super::payloads::Payloads;
use super::state::Desk;

/// Longest path that is kept, bytes: names and ids are shorter.
const OBJECT_BYTES_MAX: usize = 512;

/// What a request is about to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// The row of the table.
    pub what: String,
    /// The path that was called.
    pub object: String,
}

/// Whether a request only asks what a change would do.
pub fn is_dry(request: &Request) -> bool {
    form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes())
        .any(|(name, value)| name == "dry_run" && value == "true")
}

/// What a request to `row` is about to do, if it is worth a line.
pub fn act(row: &str, request: &Request, payloads: Payloads) -> Option<Act> {
    let is_dry = is_dry(request);
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD) && !is_dry;
    let dry = if is_dry { "?dry_run=true" } else { "" };
    let what = format!("{} {row}{dry}", request.method());
    (changes || payloads.shown()).then(|| Act { what, object: object(request.uri().path()) })
}

/// The path, without a key that somebody put there by mistake.
fn object(path: &str) -> String {
    let whole =
        path.split('/').map(|part| if key::is_key(part) { "[key]" } else { part }).collect::<Vec<_>>().join("/");
    match whole.char_indices().find(|(at, c)| at + c.len_utf8() > OBJECT_BYTES_MAX) {
        Some((at, _)) => whole[..at].to_owned(),
        None => whole,
    }
}

/// Adds how a deed ended. It has happened, so not being able to is only logged.
pub async fn ended(desk: &Desk, seq: u64, status: StatusCode) {
    if let Err(error) = desk.store().audit_end(seq, status.as_u16()).await {
        tracing::error!(seq, %status, %error, "the outcome of a deed was not written into the audit trail");
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn asked(method: &str, uri: &str, payloads: Payloads) -> Option<Act> {
        act("/row", &Request::builder().method(method).uri(uri).body(Body::empty()).unwrap(), payloads)
    }

    #[test]
    fn changes_and_payloads_are_deeds_and_questions_are_none() {
        let shown = Payloads::granted(true);
        assert_eq!(asked("GET", "/x", Payloads::NONE), None);
        assert_eq!(asked("PUT", "/x?dry_run=true", Payloads::NONE), None);
        assert_eq!(asked("POST", "/x?dry_run=true", shown).unwrap().what, "POST /row?dry_run=true");
        assert_eq!(asked("GET", "/x?secret=1", shown).unwrap().object, "/x");
        assert_eq!(asked("PUT", "/x?dry_run=false", Payloads::NONE).unwrap().what, "PUT /row");
    }

    #[test]
    fn a_key_in_a_path_is_not_kept() {
        let key = format!("creel_{}_{}", creel_webhook::id::KeyId::from_bytes([1; 16]), "ab".repeat(32));
        assert_eq!(asked("DELETE", &format!("/v1/keys/{key}"), Payloads::NONE).unwrap().object, "/v1/keys/[key]");
        assert_eq!(asked("DELETE", &format!("/{}", "x".repeat(900)), Payloads::NONE).unwrap().object.len(), 512);
    }
}

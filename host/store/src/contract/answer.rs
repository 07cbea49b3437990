//! What senders are told, as it is kept.

use bytes::Bytes;
use creel_webhook::outcome::Pair;

/// An HTTP answer, kept byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: Vec<Pair>,
    /// The body.
    pub body: Bytes,
}

impl From<creel_webhook::answer::Answer> for StoredAnswer {
    fn from(answer: creel_webhook::answer::Answer) -> Self {
        StoredAnswer { status: answer.status, headers: answer.headers, body: answer.body }
    }
}

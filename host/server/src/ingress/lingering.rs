//! Answering a sender that is still sending.
//!
//! A server that answers and closes while bytes are under way makes the sender's system throw the answer away (a TCP
//! reset), and the sender sees a broken connection where it should read 413, and tries again. So the answer goes out
//! at once, and what is left of the body is read and thrown away behind it, within bounds of bytes, of time, and of silence:
//! whoever sends beyond them, or stops sending, is cut off. A sender that asked first (`Expect: 100-continue`) is sending nothing, and is not invited to.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use http_body::{Body as _, Frame};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

/// Bytes that are thrown away for one answer: more than any provider of the presets sends.
const LINGER_BYTES_MAX: u64 = 32 * 1_024 * 1_024;

/// How long they are read: 10 MiB at 8 Mbit/s. A place among the connections is worth more than the answer to a slower one.
const LINGER_MAX: Duration = Duration::from_secs(10);

/// How long nothing may come: who still sends has packets under way, and a lost one is sent again within a second.
const SILENCE_MAX: Duration = Duration::from_secs(2);

/// The same answer, with the rest of the request read behind it.
pub(super) fn behind(answer: Response, headers: &HeaderMap, rest: Incoming) -> Response {
    if rest.is_end_stream() || headers.contains_key(header::EXPECT) {
        return answer;
    }
    let ends_at = Instant::now() + LINGER_MAX;
    let until = Box::pin(tokio::time::sleep(SILENCE_MAX));
    answer.map(|words| Body::new(Lingering { words, rest, left_bytes: LINGER_BYTES_MAX, ends_at, until }))
}

/// A body that ends when another one has been read.
struct Lingering {
    words: Body,
    rest: Incoming,
    left_bytes: u64,
    ends_at: Instant,
    until: Pin<Box<Sleep>>,
}

impl http_body::Body for Lingering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(words) = ready!(Pin::new(&mut self.words).poll_frame(context)) {
            return Poll::Ready(Some(words));
        }
        loop {
            let Poll::Ready(read) = Pin::new(&mut self.rest).poll_frame(context) else {
                return self.until.as_mut().poll(context).map(|()| None);
            };
            let (Some(Ok(frame)), now) = (read, Instant::now()) else { return Poll::Ready(None) };
            let until = self.ends_at.min(now + SILENCE_MAX);
            if until <= now {
                return Poll::Ready(None);
            }
            self.until.as_mut().reset(until);
            let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
            match self.left_bytes.checked_sub(bytes) {
                Some(left) => self.left_bytes = left,
                None => return Poll::Ready(None),
            }
        }
    }
}

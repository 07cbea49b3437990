//! Answering a sender that is still sending.
//!
//! A server that answers and closes while bytes are under way makes the sender's system throw the answer away (a TCP
//! reset), and the sender sees a broken connection where it should read 413, and tries again. So the answer goes out
//! at once, and what is left of the body is read and thrown away behind it, within bounds: whoever sends beyond them
//! is cut off. A sender that asked first (`Expect: 100-continue`) is sending nothing, and is not invited to.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use http_body::{Body as _, Frame};
use tokio::time::Sleep;

/// Bytes that are thrown away for one answer: more than any provider of the presets sends.
const LINGER_BYTES_MAX: u64 = 32 * 1_024 * 1_024;

/// How long they are read: enough for 10 MiB on the line that `ingress.body_timeout_ms` is made for.
const LINGER_MAX: Duration = Duration::from_secs(20);

/// The same empty answer, with the rest of the request read behind it.
pub(super) fn behind(answer: Response, headers: &HeaderMap, rest: Body) -> Response {
    if rest.is_end_stream() || headers.contains_key(header::EXPECT) {
        return answer;
    }
    let until = Box::pin(tokio::time::sleep(LINGER_MAX));
    answer.map(|_| Body::new(Lingering { rest, left_bytes: LINGER_BYTES_MAX, until }))
}

/// A body without bytes that ends when another one has been read.
struct Lingering {
    rest: Body,
    left_bytes: u64,
    until: Pin<Box<Sleep>>,
}

impl http_body::Body for Lingering {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.until.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        loop {
            let Poll::Ready(read) = Pin::new(&mut self.rest).poll_frame(context) else { return Poll::Pending };
            let Some(Ok(frame)) = read else { return Poll::Ready(None) };
            let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
            match self.left_bytes.checked_sub(bytes) {
                Some(left) => self.left_bytes = left,
                None => return Poll::Ready(None),
            }
        }
    }
}

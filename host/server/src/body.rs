//! Reading a request's body: whole, as it came, within a size, a time and a share of memory.
//!
//! The bytes are what signatures are computed over, so they are passed on untouched: a `content-encoding` is never
//! undone. Three bounds hold at once:
//!
//! * **size**: a `Content-Length` beyond the limit is refused before a byte is read, and a body that grows beyond it
//!   as soon as it does;
//! * **time**: the whole body has `timeout_ms` from the call of [`read_body`], however it trickles;
//! * **memory**: all requests share a [`BodyBudget`]. Bytes are reserved as they arrive, not as they are announced,
//!   so that a sender who promises 10 MiB and sends nothing takes nothing from others. The reservation lives in the
//!   [`HeldBody`] and ends with it.
//!
//! A large body that comes in one frame is not copied. A small one is, as most webhooks are: it would keep the whole buffer
//! that its connection reads into, which is counted nowhere, and the connection would take a new one for each request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt as _;

use crate::patience::within;

/// Why there is no body. The words after the colon are the HTTP status that the ingress answers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// 413: longer than allowed.
    #[error(
        "the body is longer than {bytes_max} bytes; `ingress.body_bytes_max` or the source's own limit allows more"
    )]
    TooLarge {
        /// The limit, bytes.
        bytes_max: u64,
    },
    /// 408: not complete in time.
    #[error("the body was not complete after {timeout_ms} ms (`ingress.body_timeout_ms`)")]
    Timeout {
        /// The limit, milliseconds.
        timeout_ms: u64,
    },
    /// 503: all requests together hold as much as they may.
    #[error(
        "the bodies in flight fill their {bytes_max} bytes (`ingress.in_flight_body_bytes_max`); try again shortly"
    )]
    Busy {
        /// The limit, bytes.
        bytes_max: u64,
    },
    /// 400, if anybody is left to read it: the connection broke or the framing is wrong.
    #[error("the body broke off: {0}")]
    Broken(String),
}

/// Bodies up to this many bytes are copied: a connection's buffer begins with half as many, and to copy them takes a
/// microsecond at most.
const COPIED_BYTES_MAX: usize = 16 * 1_024;

/// The bounds of one body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyLimits {
    /// Longest body, bytes.
    pub bytes_max: u64,
    /// Longest time until it is complete, milliseconds.
    pub timeout_ms: u64,
}

/// The bytes that all bodies in flight may hold together; clones share it.
#[derive(Debug, Clone)]
pub struct BodyBudget {
    used: Arc<AtomicU64>,
    bytes_max: u64,
}

/// A complete body and its share of the budget, which is given back when this is dropped: keep it until the request
/// is stored.
#[derive(Debug)]
pub struct HeldBody {
    /// The bytes as they came; clones are cheap, but are not counted once this value is gone.
    pub bytes: Bytes,
    _share: Share,
}

#[derive(Debug)]
struct Share {
    budget: BodyBudget,
    bytes: u64,
}

impl BodyBudget {
    /// A budget of `bytes_max` bytes.
    pub fn new(bytes_max: u64) -> Self {
        BodyBudget { used: Arc::new(AtomicU64::new(0)), bytes_max }
    }

    /// Bytes held now.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    fn busy(&self) -> BodyError {
        BodyError::Busy { bytes_max: self.bytes_max }
    }
}

impl Share {
    fn grow(&mut self, bytes: u64) -> Result<(), BodyError> {
        let max = self.budget.bytes_max;
        self.budget
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|sum| *sum <= max)
            })
            .map_err(|_| self.budget.busy())?;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Reads a body to its end.
///
/// # Errors
/// Each [`BodyError`]; what was reserved is given back.
pub async fn read_body<B>(body: B, limits: BodyLimits, budget: &BodyBudget) -> Result<HeldBody, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let announced = body.size_hint().lower();
    if announced > limits.bytes_max {
        return Err(BodyError::TooLarge { bytes_max: limits.bytes_max });
    }
    if budget.used().saturating_add(announced) > budget.bytes_max {
        return Err(budget.busy());
    }
    let timeout = Duration::from_millis(limits.timeout_ms);
    within(timeout, read_frames(body, limits.bytes_max, budget))
        .await
        .ok_or(BodyError::Timeout { timeout_ms: limits.timeout_ms })?
}

async fn read_frames<B>(mut body: B, bytes_max: u64, budget: &BodyBudget) -> Result<HeldBody, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let mut share = Share { budget: budget.clone(), bytes: 0 };
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| BodyError::Broken(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        if share.bytes + data.len() as u64 > bytes_max {
            return Err(BodyError::TooLarge { bytes_max });
        }
        share.grow(data.len() as u64)?;
        if first.is_empty() {
            first = data;
            continue;
        }
        if rest.is_empty() {
            rest.extend_from_slice(&first);
        }
        rest.extend_from_slice(&data);
    }
    let bytes = match (rest.is_empty(), first.len()) {
        (true, ..=COPIED_BYTES_MAX) => Bytes::copy_from_slice(&first),
        (true, _) => first,
        (false, _) => rest.freeze(),
    };
    Ok(HeldBody { bytes, _share: share })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;
    use http_body::Frame;
    use http_body_util::{Full, StreamBody};

    use super::*;

    const LIMITS: BodyLimits = BodyLimits { bytes_max: 10, timeout_ms: 60_000 };

    const LARGE: usize = COPIED_BYTES_MAX + 1;

    fn chunks(parts: &'static [&'static str]) -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
        StreamBody::new(stream::iter(parts.iter().map(|part| Ok(Frame::data(Bytes::from_static(part.as_bytes()))))))
    }

    #[tokio::test]
    async fn one_frame_is_copied_when_it_is_small() {
        for (length, is_copied) in [(COPIED_BYTES_MAX, true), (LARGE, false)] {
            let (sent, limits) = (Bytes::from(vec![b'x'; length]), BodyLimits { bytes_max: LARGE as u64, ..LIMITS });
            let held = read_body(Full::new(sent.clone()), limits, &BodyBudget::new(LARGE as u64)).await.unwrap();
            assert_eq!(held.bytes, sent);
            assert_eq!(held.bytes.as_ptr() != sent.as_ptr(), is_copied, "{length} bytes");
        }
    }

    #[tokio::test]
    async fn frames_are_joined_and_their_share_is_given_back() {
        let budget = BodyBudget::new(100);
        let held = read_body(chunks(&["ab", "", "cd", "e"]), LIMITS, &budget).await.unwrap();
        assert_eq!(held.bytes, "abcde");
        assert_eq!(budget.used(), 5);
        drop(held);
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test]
    async fn size_is_refused_when_announced_and_when_reached() {
        let budget = BodyBudget::new(100);
        let too_large = BodyError::TooLarge { bytes_max: 10 };
        let announced = read_body(Full::new(Bytes::from(vec![0; 11])), LIMITS, &budget).await;
        assert_eq!(announced.unwrap_err(), too_large);
        assert_eq!(read_body(chunks(&["0123456789", "0"]), LIMITS, &budget).await.unwrap_err(), too_large);
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test]
    async fn a_full_budget_says_busy_and_recovers() {
        let budget = BodyBudget::new(12);
        let first = read_body(chunks(&["01234", "56789"]), LIMITS, &budget).await.unwrap();
        let busy = BodyError::Busy { bytes_max: 12 };
        assert_eq!(read_body(chunks(&["ab", "c"]), LIMITS, &budget).await.unwrap_err(), busy);
        assert_eq!(read_body(Full::new(Bytes::from_static(b"abc")), LIMITS, &budget).await.unwrap_err(), busy);
        drop(first);
        assert_eq!(read_body(chunks(&["ab", "c"]), LIMITS, &budget).await.unwrap().bytes, "abc");
    }

    #[tokio::test]
    async fn a_body_that_never_comes_is_given_up() {
        let silent = StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>());
        let limits = BodyLimits { timeout_ms: 1, ..LIMITS };
        let gone = read_body(silent, limits, &BodyBudget::new(100)).await;
        assert_eq!(gone.unwrap_err(), BodyError::Timeout { timeout_ms: 1 });
    }

    #[tokio::test]
    async fn a_broken_body_says_so() {
        let parts = [Ok(Frame::data(Bytes::from_static(b"ab"))), Err("reset")];
        let budget = BodyBudget::new(100);
        let gone = read_body(StreamBody::new(stream::iter(parts)), LIMITS, &budget).await;
        assert_eq!(gone.unwrap_err(), BodyError::Broken("reset".to_owned()));
        assert_eq!(budget.used(), 0);
    }
}

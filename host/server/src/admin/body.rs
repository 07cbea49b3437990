//! Bodies in and out: documents are JSON, read within a limit; answers say what a PUT did.
//!
//! A document may hold a secret, so the buffer that it is read into is wiped, and so is what is left of it when it was taken
//! apart (`spec::fields`). What the connection itself and the JSON parser hold for a moment is not ours to wipe.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::http::header::{self, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::BodyExt;
use serde::Serialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::problem::Refusal;
use crate::api::{Change, List, Put};
use crate::body::{BodyBudget, BodyError, BodyLimits, HeldBody, read_body};

/// Documents are settings: a megabyte is a lot of them.
pub const DOCUMENT_BYTES_MAX: usize = 1_024 * 1_024;

/// Bytes beyond a limit that are still read, so that whoever sends them can read the answer: a few times the largest
/// component.
const DISCARDED_BYTES_MAX: usize = 128 * 1_024 * 1_024;

/// How long they are read.
const DISCARDING_MAX: Duration = Duration::from_secs(20);

/// Longest time for a whole body: the largest component on a line of 1 Mbit/s. Whoever sends it has a place among the connections
/// and its bytes in memory.
const READING_MAX: Duration = Duration::from_secs(300);

/// A JSON document of a request; an empty body is an empty object.
#[derive(Debug)]
pub struct Document(pub Value);

impl<S: Send + Sync> FromRequest<S> for Document {
    type Rejection = Refusal;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Refusal> {
        let media_type = media_type(&request);
        let body = read_document(request.into_body(), READING_MAX).await?;
        if body.is_empty() {
            return Ok(Document(Value::Object(serde_json::Map::new())));
        }
        if media_type.as_deref() != Some("application/json") {
            return Err(Refusal::MediaType("application/json"));
        }
        serde_json::from_slice(&body)
            .map(Document)
            .map_err(|error| Refusal::Syntax(format!("this is not JSON: {error}")))
    }
}

/// The media type of a request without its parameters, in lower case.
pub fn media_type(request: &Request) -> Option<String> {
    let value = request.headers().get(CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// Reads an upload of at most `max` bytes, which count towards `budget` until it is dropped.
///
/// # Errors
/// 413 beyond the limit, 503 beyond the budget, 408 when it takes too long, 400 when it breaks off.
pub async fn read_upload(mut body: Body, max: usize, budget: &BodyBudget) -> Result<HeldBody, Refusal> {
    let timeout_ms = u64::try_from(READING_MAX.as_millis()).unwrap_or(u64::MAX);
    let read = read_body(&mut body, BodyLimits { bytes_max: max as u64, timeout_ms }, budget).await;
    let refusal = match read {
        Ok(held) => return Ok(held),
        Err(BodyError::TooLarge { .. }) => Refusal::TooLarge(max),
        Err(BodyError::Busy { bytes_max }) => Refusal::Busy(bytes_max, "runtime.in_flight_upload_bytes_max"),
        Err(BodyError::Timeout { timeout_ms }) => return Err(Refusal::Slow(timeout_ms / 1_000)),
        Err(BodyError::Broken(why)) => return Err(broke_off(&why)),
    };
    discard(&mut body).await;
    Err(refusal)
}

fn broke_off(why: &dyn std::fmt::Display) -> Refusal {
    Refusal::Syntax(format!("the body broke off: {why}"))
}

/// Reads a whole document; its bytes are wiped when they are dropped.
async fn read_document(mut body: Body, time: Duration) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    match tokio::time::timeout(time, read_within(&mut body, DOCUMENT_BYTES_MAX)).await {
        Ok(Err(refusal @ Refusal::TooLarge(_))) => {
            discard(&mut body).await;
            Err(refusal)
        }
        Ok(read) => read,
        Err(_) => Err(Refusal::Slow(time.as_secs())),
    }
}

async fn read_within(body: &mut Body, max: usize) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let mut document = Zeroizing::new(Vec::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| broke_off(&error))?;
        let Some(data) = frame.data_ref() else { continue };
        if document.len() + data.len() > max {
            return Err(Refusal::TooLarge(max));
        }
        append(&mut document, data);
    }
    Ok(document)
}

/// A vector that grows by itself leaves its bytes where they were.
fn append(document: &mut Zeroizing<Vec<u8>>, data: &[u8]) {
    let length = document.len() + data.len();
    if length > document.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity(2 * length));
        larger.extend_from_slice(document);
        *document = larger;
    }
    document.extend_from_slice(data);
}

/// Reads what is left of a body and throws it away, within bounds: who is answered while still sending sees a broken
/// connection where the answer says how much may be sent.
pub async fn discard(body: &mut Body) {
    let mut left_bytes = DISCARDED_BYTES_MAX;
    let all = async {
        while let Some(Ok(frame)) = body.frame().await {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            let Some(left) = left_bytes.checked_sub(bytes) else { return };
            left_bytes = left;
        }
    };
    // Whoever takes longer is cut off.
    let _ = tokio::time::timeout(DISCARDING_MAX, all).await;
}

/// The answer to a PUT.
pub fn put<T: Serialize>(result: Change, resource: T) -> Response {
    let status = if result == Change::Created { StatusCode::CREATED } else { StatusCode::OK };
    (status, Json(Put { result, resource })).into_response()
}

/// A whole list.
pub fn list<T: Serialize>(items: Vec<T>) -> Json<List<T>> {
    Json(List { items, next: None })
}

/// What a PUT does to something that was `before` and is `after`.
pub fn change<T: PartialEq>(before: Option<&T>, after: &T) -> Change {
    match before {
        None => Change::Created,
        Some(before) if before == after => Change::Unchanged,
        Some(_) => Change::Changed,
    }
}

/// Bytes that a stranger or a plugin wrote, as they are.
pub fn raw(bytes: Bytes) -> Response {
    // No browser may guess what it is and show it.
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_DISPOSITION, "attachment"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, bytes).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_that_never_ends_is_not_waited_for() {
        let endless = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        let refused = read_document(endless, Duration::from_millis(1)).await;
        assert!(matches!(refused, Err(Refusal::Slow(_))), "{refused:?}");
    }

    #[tokio::test]
    async fn a_document_in_many_parts_is_whole_and_not_longer_than_it_may_be() {
        let parts = |count: usize| {
            let part = || Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; 1_000]));
            Body::from_stream(futures_util::stream::iter((0..count).map(move |_| part())))
        };
        let whole = read_document(parts(100), READING_MAX).await.unwrap();
        assert!(whole.len() == 100_000 && whole.iter().all(|byte| *byte == b'x'));
        let refused = read_document(parts(2_000), READING_MAX).await;
        assert!(matches!(refused, Err(Refusal::TooLarge(DOCUMENT_BYTES_MAX))), "{refused:?}");
    }
}

//! Bodies in and out: documents are JSON, read within a limit; answers say what a PUT did.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Serialize;
use serde_json::Value;

use super::problem::Refusal;
use crate::api::{Change, List, Put};

/// Documents are settings: a megabyte is a lot of them.
pub const DOCUMENT_BYTES_MAX: usize = 1_024 * 1_024;

/// Bytes beyond a limit that are still read, so that whoever sends them can read the answer: a few times the largest
/// component.
const DISCARDED_BYTES_MAX: usize = 128 * 1_024 * 1_024;

/// How long they are read.
const DISCARDING_MAX: Duration = Duration::from_secs(20);

/// A JSON document of a request; an empty body is an empty object.
#[derive(Debug)]
pub struct Document(pub Value);

impl<S: Send + Sync> FromRequest<S> for Document {
    type Rejection = Refusal;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Refusal> {
        let media_type = media_type(&request);
        let body = read(request.into_body(), DOCUMENT_BYTES_MAX).await?;
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

/// Reads a whole body of at most `max` bytes.
///
/// # Errors
/// 413 beyond the limit, 400 when it breaks off.
pub async fn read(mut body: Body, max: usize) -> Result<Bytes, Refusal> {
    match Limited::new(&mut body, max).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            discard(&mut body).await;
            Err(Refusal::TooLarge(max))
        }
        Err(error) => Err(Refusal::Syntax(format!("the body broke off: {error}"))),
    }
}

/// Reads what is left of a body and throws it away, within bounds: who is answered while still sending sees a broken
/// connection where the answer says how much may be sent.
async fn discard(body: &mut Body) {
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

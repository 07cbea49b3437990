//! Why the admin API refuses, and the one place where a refusal becomes HTTP (RFC 9457).
//!
//! Handlers say what happened ([`Refusal`]); the status, the stable word and the title stand in `Refusal::shape` and
//! nowhere else. Details tell what to do next and never hold a secret. What the store's disk said goes to the log, not
//! to a tenant.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use creel_store::contract::StoreError;

use crate::api::Problem;
use crate::spec::fields::Mistake;

/// Why a request to the admin API is refused.
#[derive(Debug)]
pub enum Refusal {
    /// No key, an unknown one or an expired one.
    Unauthorized(&'static str),
    /// The key is good but may not do this.
    Forbidden(String),
    /// Too many bad keys came from this address; the milliseconds until one is looked at again.
    Guessing(u64),
    /// There is no such thing, or it is another tenant's.
    NotFound(String),
    /// It was there, and is no more.
    Gone(String),
    /// The address is known, the method is not.
    Method,
    /// The state of other things forbids it.
    Conflict(String),
    /// As much waits as may; later there is room.
    OverQuota(String),
    /// The document was read and is wrong.
    Invalid(Vec<Mistake>),
    /// The query is wrong.
    Query(Vec<Mistake>),
    /// The document could not be read.
    Syntax(String),
    /// The body is of a media type that is not read here; the wanted one.
    MediaType(&'static str),
    /// The body was not complete after this many seconds.
    Slow(u64),
    /// All bodies of this kind in memory fill this many bytes; the setting that says so.
    Busy(u64, &'static str),
    /// The body is larger than this many bytes.
    TooLarge(usize),
    /// The upload gate said no.
    Upload {
        /// Its status.
        status: u16,
        /// Its title.
        title: String,
        /// Its detail.
        detail: String,
    },
    /// The store failed.
    Store(StoreError),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(detail) => Refusal::Conflict(detail),
            StoreError::NotFound(detail) => Refusal::NotFound(detail),
            StoreError::OverQuota { .. } => Refusal::OverQuota(error.to_string()),
            StoreError::TooWide => Refusal::Query(vec![Mistake::new("", error.to_string())]),
            other => Refusal::Store(other),
        }
    }
}

impl From<Vec<Mistake>> for Refusal {
    fn from(mistakes: Vec<Mistake>) -> Self {
        Refusal::Invalid(mistakes)
    }
}

struct Shape {
    status: StatusCode,
    word: &'static str,
    title: String,
    detail: String,
    errors: Vec<Mistake>,
    /// For 429 and 503.
    retry_after_s: u64,
}

/// When to try again, where nothing says better.
const RETRY_AFTER_S: u64 = 5;

impl Refusal {
    fn shape(self) -> Shape {
        let made = |status, word, title: &str, detail: String| Shape {
            status,
            word,
            title: title.to_owned(),
            detail,
            errors: Vec::new(),
            retry_after_s: RETRY_AFTER_S,
        };
        match self {
            Refusal::Unauthorized(detail) => {
                made(StatusCode::UNAUTHORIZED, "unauthorized", "A key is needed", detail.to_owned())
            }
            Refusal::Forbidden(detail) => made(StatusCode::FORBIDDEN, "forbidden", "This key may not do that", detail),
            Refusal::Guessing(wait_ms) => Shape {
                retry_after_s: wait_ms.div_ceil(1_000),
                ..made(
                    StatusCode::TOO_MANY_REQUESTS,
                    "guessing",
                    "Too many bad keys came from this address",
                    "send a good key; one that was good within the last hour is not held up".to_owned(),
                )
            },
            Refusal::NotFound(detail) => made(StatusCode::NOT_FOUND, "not-found", "There is no such thing", detail),
            Refusal::Gone(detail) => made(StatusCode::GONE, "gone", "It is no longer there", detail),
            Refusal::Method => made(
                StatusCode::METHOD_NOT_ALLOWED,
                "method",
                "This address does not know the method",
                "the header `allow` lists the methods of this address".to_owned(),
            ),
            Refusal::Conflict(detail) => made(StatusCode::CONFLICT, "conflict", "Something else forbids it", detail),
            Refusal::OverQuota(detail) => {
                made(StatusCode::TOO_MANY_REQUESTS, "over-quota", "As much waits as may", detail)
            }
            Refusal::Invalid(errors) => wrong("invalid", "The document is wrong", errors),
            Refusal::Query(errors) => wrong("query", "The query is wrong", errors),
            Refusal::Syntax(detail) => made(StatusCode::BAD_REQUEST, "syntax", "The request could not be read", detail),
            Refusal::MediaType(wanted) => made(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "media-type",
                "The body is of another kind",
                format!("send `content-type: {wanted}`"),
            ),
            Refusal::Slow(seconds) => made(
                StatusCode::REQUEST_TIMEOUT,
                "slow",
                "The body came too slowly",
                format!("it was not complete after {seconds} s"),
            ),
            Refusal::Busy(max, setting) => made(
                StatusCode::SERVICE_UNAVAILABLE,
                "busy",
                "Others are sending as much as may be",
                format!("what is being taken fills its {max} bytes (`{setting}`); try again in a moment"),
            ),
            Refusal::TooLarge(max) => made(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                "The body is too large",
                format!("at most {max} bytes are taken here"),
            ),
            Refusal::Upload { status, title, detail } => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY);
                made(status, "upload", &title, detail)
            }
            Refusal::Store(error) => store(error),
        }
    }
}

fn wrong(word: &'static str, title: &str, errors: Vec<Mistake>) -> Shape {
    let detail = match errors.as_slice() {
        [one] if one.pointer.is_empty() => one.detail.clone(),
        [one] => format!("{}: {}", one.pointer, one.detail),
        many => format!("{} mistakes; `errors` lists them", many.len()),
    };
    Shape {
        status: StatusCode::UNPROCESSABLE_ENTITY,
        word,
        title: title.to_owned(),
        detail,
        errors,
        retry_after_s: RETRY_AFTER_S,
    }
}

fn store(error: StoreError) -> Shape {
    let (status, word, detail) = match &error {
        StoreError::Full { .. } => (StatusCode::SERVICE_UNAVAILABLE, "full", error.to_string()),
        StoreError::Closed => {
            (StatusCode::SERVICE_UNAVAILABLE, "closing", "the host is shutting down; try again in a moment".to_owned())
        }
        _ => {
            tracing::error!(%error, "the store failed under the admin API");
            let detail = "the store failed; the host's log says how, and nothing was changed".to_owned();
            (StatusCode::INTERNAL_SERVER_ERROR, "store", detail)
        }
    };
    let title = "The store cannot do it now".to_owned();
    Shape { status, word, title, detail, errors: Vec::new(), retry_after_s: RETRY_AFTER_S }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Shape { status, word, title, detail, errors, retry_after_s } = self.shape();
        let problem =
            Problem { kind: format!("urn:creel:problem:{word}"), title, status: status.as_u16(), detail, errors };
        let mut response = (status, axum::Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"creel\""));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE || status == StatusCode::TOO_MANY_REQUESTS {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after_s));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_looks_at_too_much_is_the_filters_mistake() {
        let shape = Refusal::from(StoreError::TooWide).shape();
        assert_eq!((shape.status.as_u16(), shape.word), (422, "query"));
        assert_eq!(shape.detail, StoreError::TooWide.to_string());
    }
}

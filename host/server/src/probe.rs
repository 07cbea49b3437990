//! What of a request arrives that an operator sends through the public URL.
//!
//! Proxies rewrite paths, drop headers and change bodies, and each of that shows only as signatures that never match. So
//! `creel doctor` asks the host for an address that nobody else knows, sends a request there the way that providers do,
//! and is told what arrived. An address is good once and for a minute, because the answer shows what a proxy adds.

use std::sync::{Mutex, PoisonError};

use axum::body::{Body, to_bytes};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use creel_webhook::clock::Timestamp;
use hyper::body::Incoming;
use sha2::{Digest as _, Sha256};

use crate::api::probed::ArrivalView;
use crate::listener::Origin;

/// For how long an address is good, milliseconds: a request takes a fraction of it.
pub const PROBE_MS: u64 = 60_000;

/// Addresses at a time; the oldest goes first.
const PROBES_MAX: usize = 16;

/// Longest body of a probe, bytes.
const BODY_BYTES_MAX: usize = 64 * 1_024;

/// The addresses that are good now.
#[derive(Debug, Default)]
pub struct Probes {
    open: Mutex<Vec<(String, Timestamp)>>,
}

impl Probes {
    /// Makes an address good; gives until when.
    pub fn open(&self, token: String, now: Timestamp) -> Timestamp {
        let until = now.plus_ms(PROBE_MS);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= PROBES_MAX {
            open.remove(0);
        }
        open.push((token, until));
        until
    }

    /// Whether the address is good; it is not any more afterwards.
    pub fn take(&self, token: &str, now: Timestamp) -> bool {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(_, until)| *until > now);
        let found = open.iter().position(|(known, _)| known == token);
        found.map(|at| open.remove(at)).is_some()
    }
}

/// Tells what arrived.
pub async fn answer(parts: &Parts, origin: Origin, body: Incoming) -> Response {
    let Ok(body) = to_bytes(Body::new(body), BODY_BYTES_MAX).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let headers = parts.headers.iter();
    let headers = headers.map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.to_string(), value)
    });
    axum::Json(ArrivalView {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: headers.collect(),
        body_sha256: hex::encode(Sha256::digest(&body)),
        hop: origin.hop,
        sender: origin.sender,
    })
    .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_good_once_and_for_a_minute() {
        let (probes, now) = (Probes::default(), Timestamp::from_secs(100));
        assert!(!probes.take("a", now));
        let until = probes.open("a".to_owned(), now);
        assert_eq!(until, Timestamp::from_secs(160));
        assert!(probes.take("a", now) && !probes.take("a", now));
        probes.open("b".to_owned(), now);
        assert!(!probes.take("b", until));
        for number in 0..=PROBES_MAX {
            probes.open(number.to_string(), now);
        }
        assert!(!probes.take("0", now) && probes.take("1", now));
    }
}

//! What came back, as the guest sees it: whole or not at all, and without our own secrets.
//!
//! Headers that only concern the connection, and cookies, which no plugin can send back, are left out.

use bytes::Bytes;
use creel_webhook::outcome::Pair;
use creel_webhook::record::{FetchFailure, FetchResponse};
use http::HeaderMap;

use crate::directory::DestinationEntry;
use crate::echo::Mask;
use crate::egress::{IncomingResponse, Truncation};

/// Headers of a response that are not the guest's affair.
const LEFT_OUT: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The guest's view of a response.
///
/// # Errors
/// When it is too large, broke off or was late.
pub(super) fn of(
    response: IncomingResponse,
    entry: &DestinationEntry,
    bytes_max: u64,
) -> Result<FetchResponse, FetchFailure> {
    let mask = Mask::of(entry);
    let headers = headers(&response.headers, &mask);
    let bytes = headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() + response.body.len();
    match response.truncated {
        Some(Truncation::Long) => return Err(too_large(bytes_max)),
        Some(Truncation::Late) => return Err(FetchFailure::Timeout),
        Some(Truncation::Broken) => return Err(FetchFailure::Unreachable(Truncation::Broken.as_str().to_owned())),
        None if bytes as u64 > bytes_max => return Err(too_large(bytes_max)),
        None => {}
    }
    Ok(FetchResponse { status: response.status.as_u16(), headers, body: mask.apply(&response.body) })
}

fn too_large(bytes_max: u64) -> FetchFailure {
    FetchFailure::TooLarge(format!(
        "headers and body of the response have more than {bytes_max} bytes (`fetch_response_bytes_max`); ask for less, or \
         ask the operator for more"
    ))
}

fn headers(headers: &HeaderMap, mask: &Mask) -> Vec<Pair> {
    let kept = headers.iter().filter(|(name, _)| !LEFT_OUT.contains(&name.as_str()));
    kept.map(|(name, value)| {
        let value = String::from_utf8_lossy(&mask.apply(&Bytes::copy_from_slice(value.as_bytes()))).into_owned();
        (name.as_str().to_owned(), value)
    })
    .collect()
}

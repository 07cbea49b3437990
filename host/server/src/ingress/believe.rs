//! From bytes on a socket to a request that is believed, or not.
//!
//! The order is the point: size before reading, greetings that need no proof, proof, greetings that need it. A source whose
//! configuration does not hold refuses everything.

use axum::http::HeaderMap;
use axum::http::request::Parts;
use bytes::Bytes;
use bytestring::ByteString;
use creel_webhook::answer::Answer;
use creel_webhook::clock::Timestamp;
use creel_webhook::handshake;
use creel_webhook::handshake::Given;
use creel_webhook::request::RawRequest;
use creel_webhook::signature::verdict::{Material, Reason, Refusal, Verified};
use creel_webhook::signature::verify;
use hyper::body::Incoming;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

use crate::body::{BodyBudget, BodyError, BodyLimits, HeldBody, read_body};
use crate::directory::{Proof, SourceEntry};

use super::turning_away::TurnedAway;

/// Bodies up to this many bytes are hashed and read where they arrive, which takes less than a millisecond.
const BODY_BYTES_AT_ONCE: usize = 256 * 1_024;

/// A request that need not be turned away.
pub(super) enum Believed {
    /// A provider's greeting with its answer.
    Greeting(Answer),
    /// A genuine greeting whose answer is due once this URL was fetched.
    Subscription {
        /// Where the subscription is confirmed.
        url: String,
        /// What to answer then.
        answer: Answer,
    },
    /// A greeting, not proven, whose answer is due once its secret is kept.
    Given(Given),
    /// It carries events.
    Genuine(Verified),
}

/// Reads the whole request, within its source's limits; what is held is to be kept until the request is stored.
pub(super) async fn read(
    parts: &Parts,
    body: &mut Incoming,
    entry: &SourceEntry,
    limits: BodyLimits,
    budget: &BodyBudget,
    received_at: Timestamp,
) -> Result<(RawRequest, HeldBody), TurnedAway> {
    let bytes_max = entry.source.spec.body_bytes_max.unwrap_or(limits.bytes_max);
    let held = read_body(body, BodyLimits { bytes_max, ..limits }, budget).await.map_err(|error| match error {
        BodyError::TooLarge { .. } => TurnedAway::TooLarge,
        BodyError::Timeout { .. } => TurnedAway::Slow,
        BodyError::Busy { .. } => TurnedAway::Busy,
        BodyError::Broken(_) => TurnedAway::Broken,
    })?;
    let request = RawRequest {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        headers: headers(&parts.headers),
        body: held.bytes.clone(),
        received_at,
    };
    Ok((request, held))
}

/// All headers in order; their texts share one buffer.
fn headers(sent: &HeaderMap) -> Vec<(ByteString, Bytes)> {
    let mut texts = Vec::with_capacity(sent.iter().map(|(name, value)| name.as_str().len() + value.len()).sum());
    for (name, value) in sent {
        texts.extend_from_slice(name.as_str().as_bytes());
        texts.extend_from_slice(value.as_bytes());
    }
    let mut rest = Bytes::from(texts);
    let name = |text: Bytes| ByteString::try_from(text).expect("a header's name is ASCII");
    sent.iter().map(|(own, value)| (name(rest.split_to(own.as_str().len())), rest.split_to(value.len()))).collect()
}

/// Runs what takes long with a large body without keeping others waiting: this thread's other requests go on elsewhere.
pub(super) fn beside<T>(body_bytes: usize, work: impl FnOnce() -> T) -> T {
    let has_other_threads = || Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread;
    if body_bytes > BODY_BYTES_AT_ONCE && has_other_threads() { block_in_place(work) } else { work() }
}

/// How a source believes.
///
/// # Errors
/// When its configuration does not hold: then it believes nothing.
pub(super) fn proof(entry: &SourceEntry) -> Result<&Proof, Refusal> {
    let unusable = |problem| Refusal::new(Reason::NoSecretConfigured, format!("the source is not usable: {problem}"));
    entry.proof.as_ref().map_err(unusable)
}

/// Whether the request is a greeting, genuine, or neither. A `certificate` that was fetched stands in for public keys.
pub(super) fn prove(proof: &Proof, request: &RawRequest, certificate: Option<&str>) -> Result<Believed, Refusal> {
    let secrets: Vec<&[u8]> = proof.secrets.iter().map(|secret| secret.expose()).collect();
    let own_keys = proof.public_keys.iter().map(String::as_str);
    let public_keys: Vec<&str> = own_keys.chain(certificate).collect();
    let urls: Vec<&str> = proof.urls.iter().map(String::as_str).collect();
    let material = Material { secrets: &secrets, public_keys: &public_keys, urls: &urls, params: &proof.params };
    if let Some(given) = handshake::given_secret(&proof.provider, request) {
        return given.map(Believed::Given);
    }
    if let Some(answer) = handshake::before_auth(&proof.provider, request, &material) {
        return Ok(Believed::Greeting(answer));
    }
    let verified = verify(&proof.scheme, request, &material, request.received_at)?;
    let confirmation = handshake::confirmation(&proof.provider, request, &material, &verified).transpose()?;
    Ok(match (handshake::after_auth(&proof.provider, request, &material, &verified), confirmation) {
        (Some(answer), Some(url)) => Believed::Subscription { url, answer },
        (Some(answer), None) => Believed::Greeting(answer),
        (None, _) => Believed::Genuine(verified),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn a_large_body_does_not_keep_others_waiting() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let (send, receive) = sync_channel::<usize>(1);
        // On the only thread that serves: what waits for it to be free would wait for ever.
        let large = runtime.spawn(async move { beside(BODY_BYTES_AT_ONCE + 1, || receive.recv()) });
        let other = runtime.spawn(async move { send.send(7) });
        assert_eq!(runtime.block_on(other).unwrap(), Ok(()));
        assert_eq!(runtime.block_on(large).unwrap(), Ok(7));
        let alone = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(alone.block_on(async { beside(BODY_BYTES_AT_ONCE + 1, || 8) }), 8);
    }
}

//! From bytes on a socket to a request that is believed, or not.
//!
//! The order is the point: size before reading, greetings that need no proof, proof, greetings that need it. A source whose
//! configuration does not hold refuses everything.

use axum::body::Body;
use axum::http::request::Parts;
use bytes::Bytes;
use creel_webhook::answer::Answer;
use creel_webhook::clock::Timestamp;
use creel_webhook::handshake;
use creel_webhook::request::RawRequest;
use creel_webhook::signature::verdict::{Material, Reason, Refusal, Verified};
use creel_webhook::signature::verify;

use crate::body::{BodyBudget, BodyError, BodyLimits, HeldBody, read_body};
use crate::directory::{Proof, SourceEntry};

use super::turning_away::TurnedAway;

/// A request that need not be turned away.
pub(super) enum Believed<'a> {
    /// A provider's greeting with its answer.
    Greeting(Answer),
    /// It carries events.
    Genuine {
        /// How its source believes.
        proof: &'a Proof,
        /// What was proven.
        verified: Verified,
    },
}

/// Reads the whole request, within its source's limits; what is held is to be kept until the request is stored.
pub(super) async fn read(
    parts: &Parts,
    body: &mut Body,
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
    let headers = parts
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), Bytes::copy_from_slice(value.as_bytes())))
        .collect();
    let request = RawRequest {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        headers,
        body: held.bytes.clone(),
        received_at,
    };
    Ok((request, held))
}

/// Whether the request is a greeting, genuine, or neither.
pub(super) fn prove<'a>(entry: &'a SourceEntry, request: &RawRequest) -> Result<Believed<'a>, Refusal> {
    let proof = entry
        .proof
        .as_ref()
        .map_err(|problem| Refusal::new(Reason::NoSecretConfigured, format!("the source is not usable: {problem}")))?;
    let secrets: Vec<&[u8]> = proof.secrets.iter().map(|secret| secret.expose()).collect();
    let public_keys: Vec<&str> = proof.public_keys.iter().map(String::as_str).collect();
    let urls: Vec<&str> = proof.urls.iter().map(String::as_str).collect();
    let material = Material { secrets: &secrets, public_keys: &public_keys, urls: &urls, params: &proof.params };
    if let Some(answer) = handshake::before_auth(&proof.provider, request, &material) {
        return Ok(Believed::Greeting(answer));
    }
    let verified = verify(&proof.scheme, request, &material, request.received_at)?;
    Ok(match handshake::after_auth(&proof.provider, request, &material, &verified) {
        Some(answer) => Believed::Greeting(answer),
        None => Believed::Genuine { proof, verified },
    })
}

//! Greetings: requests that set a webhook up and carry no event.
//!
//! Some come before anything can be proved (a GET with a challenge) and are answered by [`before_auth`], but only where
//! the provider's data declares one. They give away nothing: an echo is plain text that browsers must not sniff, a
//! signed challenge must look like a challenge and never like a body, since it is signed with the secret that also
//! signs bodies. Others are signed like events; [`after_auth`] answers those once they have proved genuine.
//!
//! A few bring something to be done before they are answered: a URL to fetch ([`confirmation`]), a secret to keep
//! ([`given_secret`]). Both are the host's work.
//!
//! A request that is answered here is not stored and no plugin sees it.

use subtle::ConstantTimeEq;

use crate::answer::Answer;
use crate::pointer::View;
use crate::provider::{Challenge, Check, Handshake, Provider};
use crate::request::RawRequest;
use crate::secret::SecretBytes;
use crate::signature::hash::{Algorithm, mac};
use crate::signature::sns;
use crate::signature::verdict::{Material, Reason, Refusal, Verified};

/// Shortest secret that is taken from a greeting, in bytes: 64 bits in hexadecimal. Asana gives 32 characters.
pub const SECRET_BYTES_MIN: usize = 16;

/// Longest secret that is taken from a greeting, in bytes.
pub const SECRET_BYTES_MAX: usize = 256;

/// Longest challenge that is signed before authentication; real ones have 22 to 64 characters.
pub const CHALLENGE_BYTES_MAX: usize = 256;

/// The answer to a request that needs no proof: a greeting, or 405 for a method by which no events come.
///
/// `None` means: verify it.
pub fn before_auth(provider: &Provider, request: &RawRequest, material: &Material<'_>) -> Option<Answer> {
    let view = View::new(request).with_params(material.params);
    let greeting = find(provider, &view, false);
    if let Some(answer) = greeting.and_then(|greeting| answer(greeting, &view, material, 0)) {
        return Some(answer);
    }
    if provider.methods.contains(&request.method) {
        return None;
    }
    let allow = ("allow".to_owned(), provider.methods.join(", "));
    Some(Answer { headers: vec![allow], ..Answer::empty(405) })
}

/// The answer to a genuine request that is a greeting; `None` means: it carries events.
pub fn after_auth(
    provider: &Provider,
    request: &RawRequest,
    material: &Material<'_>,
    verified: &Verified,
) -> Option<Answer> {
    let view = view(request, material, verified);
    answer(find(provider, &view, true)?, &view, material, verified.secret_index)
}

/// The URL that must be fetched to confirm a genuine subscription greeting, before it is answered; `None` when there is
/// nothing to confirm. The caller fetches through its egress guard.
///
/// # Errors
/// When the greeting names no URL of the provider's.
pub fn confirmation(
    provider: &Provider,
    request: &RawRequest,
    material: &Material<'_>,
    verified: &Verified,
) -> Option<Result<String, Refusal>> {
    let view = view(request, material, verified);
    let pointer = find(provider, &view, true)?.fetch.as_ref()?;
    let url = view.text(pointer, None).filter(|url| sns::is_confirmation(url));
    let refusal = || Refusal::new(Reason::NotAllowed, "the confirmation's URL is not one of Amazon SNS");
    Some(url.ok_or_else(refusal))
}

/// A secret that a provider gives with its greeting, to sign with it from then on.
pub struct Given {
    /// The secret.
    pub secret: SecretBytes,
    /// What tells the provider that it is kept. To be sent only then.
    pub answer: Answer,
}

/// The secret that an unproven greeting brings. Whoever knows the URL can bring one, so the caller takes it only while the
/// source waits for its first, and never a second.
///
/// # Errors
/// When the greeting is one that brings a secret, and there is none that could be used.
pub fn given_secret(provider: &Provider, request: &RawRequest) -> Option<Result<Given, Refusal>> {
    let view = View::new(request);
    let greeting = provider.handshakes.iter().find(|greeting| is_of(greeting, &view) && greeting.secret.is_some())?;
    let secret = view.text(greeting.secret.as_ref()?, None).filter(|text| is_secret(text));
    let given = secret.and_then(|secret| {
        Some(Given { secret: SecretBytes::new(secret.into_bytes()), answer: greeting.respond.fill(&view, &[])? })
    });
    let refusal =
        || Refusal::new(Reason::MalformedHeader, "the greeting's secret has not 16 to 256 visible characters");
    Some(given.ok_or_else(refusal))
}

fn is_secret(text: &str) -> bool {
    (SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn view<'a>(request: &'a RawRequest, material: &Material<'a>, verified: &'a Verified) -> View<'a> {
    View::new(request).with_params(material.params).with_proof(
        verified.claims.as_ref(),
        &verified.sig_fields,
        &verified.unproven,
    )
}

fn find<'p>(provider: &'p Provider, view: &View<'_>, after_auth: bool) -> Option<&'p Handshake> {
    let fits =
        |greeting: &&Handshake| greeting.after_auth == after_auth && greeting.secret.is_none() && is_of(greeting, view);
    provider.handshakes.iter().find(fits)
}

fn is_of(greeting: &Handshake, view: &View<'_>) -> bool {
    greeting.method == view.request().method && greeting.when.holds(view, None)
}

fn answer(greeting: &Handshake, view: &View<'_>, material: &Material<'_>, secret_index: usize) -> Option<Answer> {
    if greeting.check.as_ref().is_some_and(|check| !is_same(check, view)) {
        return Some(Answer::empty(403));
    }
    let Some(challenge) = &greeting.challenge else { return greeting.respond.fill(view, &[]) };
    let secret = material.secrets.get(secret_index).filter(|secret| !secret.is_empty())?;
    let Some((text, signature)) = solve(challenge, view, secret) else { return Some(Answer::empty(400)) };
    greeting.respond.fill(view, &[("challenge", &text), ("mac", &signature)])
}

fn is_same(check: &Check, view: &View<'_>) -> bool {
    match (view.text(&check.given, None), view.text(&check.expected, None)) {
        (Some(given), Some(expected)) if !expected.is_empty() => given.as_bytes().ct_eq(expected.as_bytes()).into(),
        _ => false,
    }
}

fn solve(challenge: &Challenge, view: &View<'_>, secret: &[u8]) -> Option<(String, String)> {
    let text = view.text(&challenge.from, None).filter(|text| is_challenge(text))?;
    let signature = challenge.enc.encode(&mac(Algorithm::HmacSha256, secret, text.as_bytes()));
    Some((text, format!("{}{signature}", challenge.prefix)))
}

/// Whether a text can only be a challenge: no body, no `v0:…` and no other signed text has this shape.
fn is_challenge(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_+/=".contains(&byte);
    (1..=CHALLENGE_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain)
}

//! Verdicts and answers as one line of JSON each: what other programs compare.

use std::collections::BTreeMap;

use anyhow::Context as _;
use creel_webhook::answer::Answer;
use creel_webhook::clock::Timestamp;
use creel_webhook::handshake::{after_auth, before_auth, given_secret};
use creel_webhook::identity::{ID_SEPARATOR, IdentityRules, identify};
use creel_webhook::pointer::{Place, View};
use creel_webhook::preset::{Preset, preset, presets};
use creel_webhook::provider::Provider;
use creel_webhook::reply::acknowledgement;
use creel_webhook::request::RawRequest;
use creel_webhook::signature;
use creel_webhook::signature::verdict::Verified;

use super::vector::{Case, HandshakeCase, Vector, known_params};

/// A request's verdict.
#[derive(Debug, serde::Serialize)]
pub struct Judged {
    /// The request's name in its list.
    pub id: String,
    /// `accept` or `reject`.
    pub verdict: &'static str,
    /// Why it is refused, of the closed list of reasons.
    pub reason: Option<String>,
    /// What it carries.
    pub events: Vec<Seen>,
}

/// An event as the provider wrote it: parts of one value joined by U+001F, times in the provider's notation.
#[derive(Debug, PartialEq, Eq, serde::Serialize)]
pub struct Seen {
    /// The id.
    pub id: Option<String>,
    /// The type.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The time.
    pub time: Option<String>,
}

/// What a sender is told.
#[derive(Debug, serde::Serialize)]
pub struct Greeted {
    /// The request's name in its list.
    pub id: String,
    /// HTTP status.
    pub status: u16,
    /// The media type.
    pub content_type: Option<String>,
    /// The body.
    pub body: String,
    /// All headers, by lower-case name.
    pub headers: BTreeMap<String, String>,
    /// Whether a handler would see the request.
    pub delivered_to_handler: bool,
}

/// Judges a request of a list. What can't be judged is refused, with a reason of its own.
pub fn request(vector: &Vector) -> Judged {
    let reject = |reason: &str| Judged {
        id: vector.id.clone(),
        verdict: "reject",
        reason: Some(reason.to_owned()),
        events: Vec::new(),
    };
    let Some(preset) = preset(&vector.preset) else { return reject("unknown_preset") };
    let now = Timestamp::from_secs(vector.now);
    let Ok(request) = vector.request.raw(now) else { return reject("malformed_vector") };
    let case = Case {
        preset,
        own: None,
        params: known_params(preset, vector.params.as_ref()),
        secret: vector.secret.clone(),
        public_key: vector.key(),
        url: vector.request.url.clone(),
        request,
        now,
    };
    let Ok(scheme) = case.scheme() else { return reject("malformed_params") };
    match case.with_material(|material| signature::verify(&scheme, &case.request, material, now)) {
        Ok(verified) => Judged {
            id: vector.id.clone(),
            verdict: "accept",
            reason: None,
            events: events(&preset.provider, &case.request, &verified),
        },
        Err(refusal) => reject(refusal.reason.as_str()),
    }
}

/// The events of a genuine request.
pub fn events(provider: &Provider, request: &RawRequest, verified: &Verified) -> Vec<Seen> {
    let view = View::new(request).with_proof(verified.claims.as_ref(), &verified.sig_fields, &verified.unproven);
    let rules = &provider.event;
    let items = match &rules.batch.as_ref().map(|batch| &batch.place) {
        Some(Place::Json(path)) => view.value(path, None).and_then(|list| list.as_array()),
        _ => None,
    };
    let drafts = identify(provider, request, verified, &IdentityRules::default());
    let seen = |(index, draft): (usize, creel_webhook::event::EventDraft)| {
        let item = draft.pointer.as_ref().and_then(|_| items?.get(index));
        Seen {
            id: draft.provider_id,
            kind: rules.kind.iter().find_map(|parts| parts.read(&view, item, ID_SEPARATOR)),
            time: rules.time.as_ref().and_then(|rule| view.text(&rule.from, item)),
        }
    };
    drafts.into_iter().enumerate().map(seen).collect()
}

/// Answers a greeting as ingress does.
///
/// # Errors
/// When the case can't be understood, or no preset knows the greeting.
pub fn handshake(case: &HandshakeCase) -> anyhow::Result<Greeted> {
    let preset = match &case.preset {
        Some(name) => preset(name).with_context(|| format!("there is no preset `{name}`"))?,
        None => recognised(case)?.context("no preset is named, and none knows this greeting")?,
    };
    let (answer, delivered) = answered(&case_at(preset, case)?)?;
    Ok(Greeted {
        id: case.id.clone(),
        status: answer.status,
        content_type: answer.header("content-type").map(str::to_owned),
        body: String::from_utf8_lossy(&answer.body).into_owned(),
        headers: answer.headers.into_iter().collect(),
        delivered_to_handler: delivered,
    })
}

fn case_at(preset: &'static Preset, case: &HandshakeCase) -> anyhow::Result<Case> {
    let now = Timestamp::from_secs(case.now);
    Ok(Case {
        preset,
        own: None,
        params: known_params(preset, case.params.as_ref()),
        secret: case.secret.clone(),
        public_key: case.public_key.clone(),
        url: case.request.url.clone(),
        request: case.request.raw(now)?,
        now,
    })
}

/// The first preset that has a greeting like this one and answers it well.
fn recognised(case: &HandshakeCase) -> anyhow::Result<Option<&'static Preset>> {
    for preset in presets().filter(|preset| !preset.provider.handshakes.is_empty()) {
        let case = case_at(preset, case)?;
        let answer = case.with_material(|material| before_auth(&preset.provider, &case.request, material));
        if answer.is_some_and(|answer| answer.status < 300 && !answer.body.is_empty()) {
            return Ok(Some(preset));
        }
    }
    Ok(None)
}

/// What the sender is told, and whether a handler sees the request.
fn answered(case: &Case) -> anyhow::Result<(Answer, bool)> {
    let (provider, scheme) = (&case.preset.provider, case.scheme()?);
    Ok(case.with_material(|material| {
        if let Some(given) = given_secret(provider, &case.request) {
            // A source that waits for its secret keeps it.
            let is_new = case.secret.is_none();
            return (given.ok().filter(|_| is_new).map_or(Answer::empty(401), |given| given.answer), false);
        }
        if let Some(answer) = before_auth(provider, &case.request, material) {
            return (answer, false);
        }
        let Ok(verified) = signature::verify(&scheme, &case.request, material, case.now) else {
            return (Answer::empty(401), false);
        };
        if let Some(answer) = after_auth(provider, &case.request, material, &verified) {
            return (answer, false);
        }
        let drafts = identify(provider, &case.request, &verified, &IdentityRules::default());
        let kind = drafts.first().map(|draft| draft.kind.as_str()).unwrap_or_default();
        (acknowledgement(provider, kind), true)
    }))
}

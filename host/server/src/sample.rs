//! Samples of providers' events, made into requests that are genuine.
//!
//! A sample is a file `samples/<provider>/<event>.json`: the body as JSON, or a list of pairs for a form. Its name is the
//! type that the event has, `%`-escaped where a file can't be called so; what follows a `+` tells variants of one type
//! apart, and is all of the name where events have no type. Everything else is known from the provider's data and the
//! preset: where a type or an id stands in a header it is put there, ids and times are made new, and the whole is signed
//! with the scheme that verifies it.
//!
//! `fresh` changes bodies. Nothing here sends anything; samples of a provider whose key nobody else has (Amazon SNS)
//! don't exist.

mod fresh;
pub mod payload;
pub mod trial;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use creel_webhook::clock::Timestamp;
use creel_webhook::identity::{IdentityRules, identify};
use creel_webhook::pointer::{Params, Place};
use creel_webhook::preset::{Preset, Replay, preset, presets};
use creel_webhook::provider::{Parts, Provider};
use creel_webhook::request::RawRequest;
use creel_webhook::signature::model::Method;
use creel_webhook::signature::scheme::Scheme;
use creel_webhook::signature::sign;
use creel_webhook::signature::sign::{Credentials, Outgoing};
use creel_webhook::signature::verdict::Verified;
use include_dir::{Dir, include_dir};
use percent_encoding::percent_decode_str;
use url::Url;

use crate::system::Entropy;

use self::payload::Payload;

static SAMPLES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/samples");

/// Media types of JSON that are not just `application/json`.
const MEDIA_TYPES: &[(&str, &str)] =
    &[("livekit", "application/webhook+json"), ("cloudevents", "application/cloudevents+json; charset=utf-8")];

/// Headers that a provider always sends and that its data does not name; `{id}` stands for the request's id.
const HEADERS: &[(&str, &str, &str)] = &[
    ("azure-event-grid", "aeg-event-type", "Notification"),
    ("shopify", "x-shopify-shop-domain", "sample.myshopify.test"),
    ("shopify", "x-shopify-api-version", "2026-01"),
    ("shopify", "x-shopify-event-id", "{id}"),
    ("shopify-events", "shopify-shop-domain", "sample.myshopify.test"),
    ("shopify-events", "shopify-api-version", "2026-01"),
    ("shopify-events", "shopify-event-id", "{id}"),
];

/// What tells events apart in bodies whose id stands elsewhere, or is a hash of them: a second body that was the same would
/// be signed the same, and be a repetition.
const TELLING: &[(&str, &str)] = &[
    ("github", "/pull_request/id"),
    ("github", "/issue/id"),
    ("github", "/after"),
    ("github", "/hook_id"),
    ("jira", "/issue/id"),
    ("linear", "/data/id"),
    ("shopify", "/id"),
    ("shopify-events", "/id"),
    ("twitter", "/tweet_create_events/0/id_str"),
    ("twitter", "/direct_message_events/0/id"),
];

/// A sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The provider, as its data is called.
    pub provider: String,
    /// The event.
    pub event: String,
    text: &'static str,
}

/// What a sender wants.
pub struct Wanted<'a> {
    /// How it is signed.
    pub preset: &'static Preset,
    /// The preset's parameters.
    pub params: Params,
    /// What it is signed with; for public keys, the private one.
    pub secret: &'a str,
    /// Where it goes.
    pub url: &'a str,
    /// The URL that is signed, when that is another.
    pub signed_url: Option<&'a str>,
    /// Values to change, by JSON pointer or `/field`.
    pub set: &'a [(String, String)],
    /// Whether ids and times stay the sample's own.
    pub keep_ids: bool,
}

/// A request to send with POST.
#[derive(Debug, Clone)]
pub struct Ready {
    /// The URL, with what the scheme adds to the query.
    pub url: Url,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

/// All samples, by provider and event.
pub fn samples() -> Vec<Sample> {
    let mut found = Vec::new();
    for folder in SAMPLES.dirs() {
        let provider = folder.path().to_string_lossy().into_owned();
        collect(folder, &provider, &mut found);
    }
    found.sort_by(|left, right| (&left.provider, &left.event).cmp(&(&right.provider, &right.event)));
    found
}

fn collect(folder: &'static Dir<'_>, provider: &str, found: &mut Vec<Sample>) {
    for file in folder.files() {
        let path = file.path().to_string_lossy();
        let name = path.strip_prefix(provider).and_then(|rest| rest.strip_prefix('/'));
        let name = name.and_then(|rest| rest.strip_suffix(".json"));
        if let (Some(name), Some(text)) = (name, file.contents_utf8()) {
            let event = percent_decode_str(name).decode_utf8_lossy().into_owned();
            found.push(Sample { provider: provider.to_owned(), event, text });
        }
    }
    folder.dirs().for_each(|folder| collect(folder, provider, found));
}

/// The preset that a person means: of that name, or the strongest of the provider.
///
/// # Errors
/// When there is neither.
pub fn preset_meant(name: &str) -> anyhow::Result<&'static Preset> {
    let of_provider = || presets().filter(|preset| preset.provider.name == name);
    let windowed = || of_provider().find(|preset| preset.replay == Replay::Window);
    let meant = preset(name).or_else(windowed).or_else(|| of_provider().next());
    meant.with_context(|| format!("there is no provider or preset `{name}`; `creel presets` lists them"))
}

/// The sample of an event.
///
/// # Errors
/// When there is none; with the ones that there are.
pub fn sample(provider: &str, event: &str) -> anyhow::Result<Sample> {
    let of_provider: Vec<Sample> = samples().into_iter().filter(|sample| sample.provider == provider).collect();
    if let Some(sample) = of_provider.iter().find(|sample| sample.event == event) {
        return Ok(sample.clone());
    }
    let known: Vec<String> = of_provider.into_iter().map(|sample| sample.event).collect();
    ensure!(
        !known.is_empty(),
        "there are no samples of `{provider}`: its events are signed with a key that nobody else has"
    );
    bail!("there is no sample `{event}` of {provider}; there are: {}", known.join(", "))
}

impl Sample {
    /// The type that the event has.
    pub fn kind(&self) -> &str {
        self.event.split('+').next().unwrap_or_default()
    }

    /// The body as it stands in the file.
    ///
    /// # Errors
    /// When the file is not JSON.
    pub fn payload(&self) -> anyhow::Result<Payload> {
        Payload::parse(self.text).with_context(|| format!("the sample {}/{} can't be read", self.provider, self.event))
    }

    /// A request with this event that is genuine for whoever knows the secret.
    ///
    /// # Errors
    /// When a parameter, the secret, the URL or a change does not fit.
    pub fn request(&self, wanted: &Wanted<'_>, now: Timestamp, entropy: &Entropy) -> anyhow::Result<Ready> {
        let preset = wanted.preset;
        let provider = &preset.provider;
        let scheme = preset.scheme(&wanted.params)?;
        let mut payload = self.payload()?;
        if !wanted.keep_ids {
            fresh::renew(&mut payload, &provider.event, &self.telling(), now, entropy);
        }
        fresh::stamp(&mut payload, &scheme, now);
        for (pointer, value) in wanted.set {
            fresh::set(&mut payload, pointer, value)?;
        }
        let mut url = Url::parse(wanted.url).with_context(|| format!("`{}` is no absolute URL", wanted.url))?;
        let id = if wanted.keep_ids { self.fixed_id() } else { fresh::id(entropy) };
        if let [Method::Token(token)] = scheme.methods()
            && let Place::JsonAll(path) = &token.from.place
        {
            fresh::fill(&mut payload, path, wanted.secret);
            let ready = Ready { url, headers: Vec::new(), body: payload.bytes() };
            return Ok(self.dressed(ready, provider, &payload, &id, now));
        }
        let (content_type, body) = (self.content_type(&payload), payload.bytes());
        let signed_url = wanted.signed_url.unwrap_or(url.as_str());
        let out = Outgoing { method: "POST", url: signed_url, content_type, body: &body, id: &id };
        let Credentials { headers, query } = signed(&scheme, &out, wanted.secret, now)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(self.dressed(Ready { url, headers, body }, provider, &payload, &id, now))
    }

    /// Where the body says which event it is, beside the id that the provider's rules read.
    fn telling(&self) -> Vec<&'static str> {
        let own = TELLING.iter().filter(|(provider, _)| *provider == self.provider);
        own.map(|(_, path)| *path).collect()
    }

    fn fixed_id(&self) -> String {
        format!("sample-{}", self.event.replace(|c: char| !c.is_ascii_alphanumeric(), "-"))
    }

    fn content_type(&self, payload: &Payload) -> &'static str {
        let own = MEDIA_TYPES.iter().find(|(provider, _)| *provider == self.provider);
        match payload {
            Payload::Form(_) => "application/x-www-form-urlencoded",
            Payload::Json(_) => own.map_or("application/json", |(_, media_type)| media_type),
        }
    }

    /// The request with what else the provider's data reads from headers.
    fn dressed(&self, mut ready: Ready, provider: &Provider, payload: &Payload, id: &str, now: Timestamp) -> Ready {
        ready.headers.push(("content-type".to_owned(), self.content_type(payload).to_owned()));
        let own = HEADERS.iter().filter(|(provider, ..)| *provider == self.provider);
        ready.headers.extend(own.map(|(_, name, value)| ((*name).to_owned(), value.replace("{id}", id))));
        let rules = &provider.event;
        if identified(provider, &ready, now).as_deref() != Some(self.kind()) {
            add(&mut ready.headers, rules.kind.iter().find_map(header_of), self.kind());
        }
        add(&mut ready.headers, rules.id.first().and_then(header_of), id);
        if let Some(rule) = &rules.time
            && let Place::Header(name) = &rule.from.place
        {
            add(&mut ready.headers, Some(name), &fresh::time(rule.unit, now));
        }
        ready
    }
}

impl Ready {
    /// The request as its receiver sees it.
    pub fn raw(&self, now: Timestamp) -> RawRequest {
        let header = |(name, value): &(String, String)| (name.as_str().into(), Bytes::from(value.clone()));
        RawRequest {
            method: "POST".to_owned(),
            path: self.url.path().to_owned(),
            query: self.url.query().map(str::to_owned),
            headers: self.headers.iter().map(header).collect(),
            body: self.body.clone(),
            received_at: now,
        }
    }
}

fn signed(scheme: &Scheme, out: &Outgoing<'_>, secret: &str, now: Timestamp) -> anyhow::Result<Credentials> {
    let method = scheme.methods().first().context("the scheme has no way to sign")?;
    let needs_key = scheme.needs_secret() || scheme.needs_public_key();
    ensure!(!needs_key || !secret.is_empty(), "this preset signs: give what it signs with as --secret-file");
    sign::sign(method, out, secret.as_bytes(), now).with_context(|| match scheme.needs_public_key() {
        true => "the secret must be the private key: the seed for Ed25519, PKCS#8 for ECDSA",
        false => "see the preset's parameters in `creel presets NAME`",
    })
}

fn identified(provider: &Provider, ready: &Ready, now: Timestamp) -> Option<String> {
    let drafts = identify(provider, &ready.raw(now), &Verified::default(), &IdentityRules::default());
    drafts.into_iter().next().map(|draft| draft.kind)
}

fn header_of(parts: &Parts) -> Option<&String> {
    match parts.pointers() {
        [one] => match &one.place {
            Place::Header(name) => Some(name),
            _ => None,
        },
        _ => None,
    }
}

fn add(headers: &mut Vec<(String, String)>, name: Option<&String>, value: &str) {
    if let Some(name) = name.filter(|name| headers.iter().all(|(have, _)| have != *name)) {
        headers.push((name.clone(), value.to_owned()));
    }
}

#[cfg(test)]
mod tests;

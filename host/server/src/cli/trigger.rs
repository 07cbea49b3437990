//! `creel trigger`: a sample of a provider's event, signed as the provider signs, sent to one URL.
//!
//! Sent is what is asked for and nothing else: one POST, no redirect followed, no second try.

use std::path::Path;

use anyhow::Context as _;
use creel_webhook::clock::Timestamp;
use creel_webhook::preset::presets;

use super::args::Trigger;
use super::client::{http_client, innermost};
use super::console::Usage;
use super::verify::secret;
use crate::sample::{self, Wanted, preset_meant, samples};
use crate::system::Entropy;

/// An event that can be sent.
#[derive(Debug, serde::Serialize)]
pub struct Listed {
    /// The provider.
    pub provider: String,
    /// The event.
    pub event: String,
    /// How it can be signed.
    pub presets: Vec<&'static str>,
}

/// What the receiver said.
#[derive(Debug, serde::Serialize)]
pub struct Answered {
    /// The event.
    pub event: String,
    /// How it was signed.
    pub preset: &'static str,
    /// HTTP status.
    pub status: u16,
    /// The media type.
    pub content_type: Option<String>,
    /// The body.
    pub body: String,
}

/// Nobody was there.
#[derive(Debug, thiserror::Error)]
#[error("nobody answers at {url}: {reason}")]
pub struct Unanswered {
    url: String,
    reason: String,
}

/// What can be sent; of one provider, or of all.
///
/// # Errors
/// When there is no such provider.
pub fn list(provider: Option<&str>) -> anyhow::Result<Vec<Listed>> {
    let meant = provider.map(preset_meant).transpose().map_err(|error| Usage::of(&error))?;
    let wanted = samples().into_iter().filter(|sample| meant.is_none_or(|one| one.provider.name == sample.provider));
    let listed = |sample: sample::Sample| {
        let own = presets().filter(|preset| preset.provider.name == sample.provider);
        Listed {
            presets: own.map(|preset| preset.name.as_str()).collect(),
            provider: sample.provider,
            event: sample.event,
        }
    };
    Ok(wanted.map(listed).collect())
}

/// Sends what is wanted and gives the answer.
///
/// # Errors
/// When there is no such sample, it can't be signed, or nobody answers.
pub async fn send(
    wanted: &Trigger,
    ca_file: Option<&Path>,
    now: Timestamp,
    entropy: &Entropy,
) -> anyhow::Result<Answered> {
    let provider = wanted.provider.as_deref().context("name the provider")?;
    let event = wanted.event.as_deref().context("name the event")?;
    let url = wanted.to.as_deref().context("say where to with --to")?;
    let preset = preset_meant(provider).map_err(|error| Usage::of(&error))?;
    let sample = sample::sample(&preset.provider.name, event).map_err(|error| Usage::of(&error))?;
    let secret = wanted.secret_file.as_deref().map(secret).transpose()?.unwrap_or_default();
    let wish = Wanted {
        preset,
        params: wanted.param.iter().cloned().collect(),
        secret: &secret,
        url,
        signed_url: wanted.signed_url.as_deref(),
        set: &wanted.set,
        keep_ids: wanted.keep_ids,
    };
    let ready = sample.request(&wish, now, entropy)?;
    let mut request = http_client(&ready.url, ca_file)?.post(ready.url).body(ready.body);
    for (name, value) in ready.headers {
        request = request.header(name, value);
    }
    let response = request
        .send()
        .await
        .map_err(|error| Unanswered { url: url.to_owned(), reason: innermost(&error.without_url()) })?;
    let status = response.status().as_u16();
    let content_type =
        response.headers().get("content-type").map(|value| String::from_utf8_lossy(value.as_bytes()).into());
    let body = response.text().await.context("reading the answer")?;
    Ok(Answered { event: event.to_owned(), preset: &preset.name, status, content_type, body })
}

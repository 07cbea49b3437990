//! Sources: what can be told without knowing the presets and the secrets that exist.

use std::collections::{BTreeMap, BTreeSet};

use creel_webhook::notice::SILENT_HOURS_MAX;
use creel_webhook::retry::{SKIP_AFTER_MS_DEFAULT, SKIP_AFTER_MS_MAX};
use creel_webhook::source::{AnswerSpec, DEDUP_TTL_MS_DEFAULT, IdentitySpec, SourceSpec};
use serde_json::Value;

use super::fields::{Fields, Mistake};
use super::secret::read_overlap;

/// Two are needed while rotating; a few more for accounts that share one URL.
const SECRETS_MAX: usize = 8;

/// A minute at least, ninety days at most: no provider repeats itself for longer.
const DEDUP_TTL_MS: std::ops::RangeInclusive<u64> = 60_000..=90 * 24 * 60 * 60 * 1_000;

/// A minute at most: no provider waits longer.
const REPLY_DEADLINE_MS: std::ops::RangeInclusive<u64> = 50..=60_000;

/// The largest body that the host is tested with, end to end.
const BODY_BYTES: std::ops::RangeInclusive<u64> = 1..=25 * 1_024 * 1_024;

/// Reads a source.
///
/// # Errors
/// All mistakes with their pointers.
pub fn read(name: &str, document: Value) -> Result<SourceSpec, Vec<Mistake>> {
    let mut fields = Fields::of(document);
    let name = fields.name(name);
    let preset = fields.required::<String>("preset");
    let scheme = fields.optional::<Value>("scheme");
    check_scheme(&mut fields, preset.as_deref(), scheme.is_some());
    let secrets: Vec<String> = fields.or("secrets", Vec::new());
    check_secrets(&mut fields, &secrets);
    let public_keys: Vec<String> = fields.or("public_keys", Vec::new());
    if public_keys.len() > SECRETS_MAX {
        fields.mistake("public_keys", format!("{} keys are named; {SECRETS_MAX} are allowed", public_keys.len()));
    }
    let params: BTreeMap<String, String> = fields.or("params", BTreeMap::new());
    let public_urls: Vec<String> = fields.or("public_urls", Vec::new());
    for (index, url) in public_urls.iter().enumerate() {
        if let Err(detail) = public_url(url) {
            fields.mistake(&format!("public_urls/{index}"), detail);
        }
    }
    let identity = fields.or("identity", IdentitySpec::default());
    let dedup = fields.or("dedup", true);
    let dedup_ttl_ms = fields.number("dedup_ttl_ms", DEDUP_TTL_MS).unwrap_or(DEDUP_TTL_MS_DEFAULT);
    let skip_after_ms = fields.number("skip_after_ms", 0..=SKIP_AFTER_MS_MAX).unwrap_or(SKIP_AFTER_MS_DEFAULT);
    let fallback = fields.optional::<AnswerSpec>("fallback");
    if let Some(answer) = &fallback {
        check_answer(&mut fields, answer);
    }
    let reply_deadline_ms = fields.number("reply_deadline_ms", REPLY_DEADLINE_MS);
    let body_bytes_max = fields.number("body_bytes_max", BODY_BYTES);
    let silent_after_hours = fields.number("silent_after_hours", 1..=u64::from(SILENT_HOURS_MAX));
    let spec = preset.map(|preset| SourceSpec {
        name,
        preset,
        scheme,
        secrets,
        public_keys,
        params,
        public_urls,
        identity,
        dedup,
        dedup_ttl_ms,
        skip_after_ms,
        fallback,
        reply_deadline_ms,
        silent_after_hours: silent_after_hours.and_then(|hours| u32::try_from(hours).ok()),
        body_bytes_max,
    });
    fields.done(spec)
}

fn check_scheme(fields: &mut Fields, preset: Option<&str>, has_scheme: bool) {
    match (preset, has_scheme) {
        (Some("custom"), false) => fields.mistake("scheme", "the preset `custom` wants a scheme of your own here"),
        (Some(preset), true) if preset != "custom" => {
            fields.mistake("scheme", format!("the preset `{preset}` brings its scheme; one's own goes with `custom`"));
        }
        _ => {}
    }
}

fn check_secrets(fields: &mut Fields, secrets: &[String]) {
    if secrets.len() > SECRETS_MAX {
        fields.mistake("secrets", format!("{} secrets are named; {SECRETS_MAX} are allowed", secrets.len()));
    }
    let mut seen = BTreeSet::new();
    for (index, secret) in secrets.iter().enumerate() {
        if !seen.insert(secret) {
            fields.mistake(&format!("secrets/{index}"), format!("`{secret}` is named twice"));
        }
    }
}

fn public_url(text: &str) -> Result<(), String> {
    let url = url::Url::parse(text).map_err(|error| format!("`{text}` is no absolute URL: {error}"))?;
    match url.scheme() {
        "http" | "https" => Ok(()),
        other => Err(format!("a provider posts to http:// or https://, not to {other}:")),
    }
}

fn check_answer(fields: &mut Fields, answer: &AnswerSpec) {
    if !(200..=599).contains(&answer.status) {
        fields.mistake("fallback/status", format!("{} is not a final HTTP status (200 to 599)", answer.status));
    }
    if answer.content_type.as_deref().is_some_and(|value| http::HeaderValue::from_str(value).is_err()) {
        fields.mistake("fallback/content_type", "holds characters that a header can't");
    }
}

/// Reads a rotation of a source's URL: for how long the one before still leads to it, milliseconds.
///
/// # Errors
/// All mistakes with their pointers.
pub fn read_rotation(document: Value) -> Result<u64, Vec<Mistake>> {
    let mut fields = Fields::of(document);
    let overlap_ms = read_overlap(&mut fields);
    fields.done(Some(overlap_ms))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_preset_alone_is_enough() {
        let spec = read("calls", json!({ "preset": "vapi-hmac" })).unwrap();
        assert!(spec.dedup && spec.scheme.is_none());
    }

    #[test]
    fn every_mistake_has_its_pointer() {
        let document = json!({
            "preset": "custom", "secrets": ["a", "a"], "public_urls": ["here"], "identity": { "idd": [] },
            "dedup_ttl_ms": 5, "fallback": { "status": 100, "content_type": "a\nb" }, "body_bytes_max": 0,
        });
        let pointers: Vec<_> =
            read("calls", document).unwrap_err().into_iter().map(|mistake| mistake.pointer).collect();
        let expected = [
            "/scheme",
            "/secrets/1",
            "/public_urls/0",
            "/identity",
            "/dedup_ttl_ms",
            "/fallback/status",
            "/fallback/content_type",
            "/body_bytes_max",
        ];
        assert_eq!(pointers, expected);
    }
}

//! Sources: one ingress URL each.
//!
//! The URL's last part is a token of 128 random bits, so that a source can't be found by guessing, and providers
//! without any signature still have something that only they know. The token is a credential where the scheme says so.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::{SourceId, TenantId};
use crate::retry::SKIP_AFTER_MS_DEFAULT;

/// How long a repetition is recognised: longer than any provider of the presets keeps trying.
pub const DEDUP_TTL_MS_DEFAULT: u64 = 7 * 24 * 60 * 60 * 1_000;

/// A source as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its id.
    pub id: SourceId,
    /// Whose it is.
    pub tenant: TenantId,
    /// The last part of its URL.
    pub token: String,
    /// The token before it, while that still leads here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<PreviousToken>,
    /// While true, events are still accepted and stored, but their runs wait.
    pub paused: bool,
    /// What people configure.
    pub spec: SourceSpec,
}

/// The token of a URL that was rotated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviousToken {
    /// The last part of that URL.
    pub token: String,
    /// Until when it leads to the source.
    pub until: Timestamp,
}

impl Source {
    /// The tokens that lead here at that time, the current one first.
    pub fn tokens(&self, now: Timestamp) -> impl Iterator<Item = &str> {
        let previous = self.previous.iter().filter(move |previous| previous.until > now);
        std::iter::once(self.token.as_str()).chain(previous.map(|previous| previous.token.as_str()))
    }
}

/// What people configure of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceSpec {
    /// Its name, unique in the tenant.
    pub name: String,
    /// Name of the preset, for example `vapi-hmac`; `custom` goes with `scheme`.
    pub preset: String,
    /// A scheme of one's own in the presets' model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<serde_json::Value>,
    /// Names of the secrets that may have signed; more than one while rotating.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// Public keys that may have signed, for schemes with a key pair.
    #[serde(default)]
    pub public_keys: Vec<String>,
    /// Plain values that the preset asks for, for example `verify_token`.
    #[serde(default)]
    pub params: BTreeMap<String, String>,
    /// The URLs by which providers know this source, when they sign the URL and differ from the host's own.
    #[serde(default)]
    pub public_urls: Vec<String>,
    /// Pointers that replace the preset's.
    #[serde(default)]
    pub identity: IdentitySpec,
    /// Whether repetitions are recognised.
    #[serde(default = "yes")]
    pub dedup: bool,
    /// For how long, milliseconds.
    #[serde(default = "dedup_ttl_default")]
    pub dedup_ttl_ms: u64,
    /// How long a run that fails may hold those behind it in its order key, milliseconds from its first failure; then the
    /// next may pass.
    #[serde(default = "skip_after_default")]
    pub skip_after_ms: u64,
    /// The fallback when a reply run doesn't answer in time, instead of the preset's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<AnswerSpec>,
    /// How long a reply run may take, milliseconds, instead of the preset's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_deadline_ms: Option<u64>,
    /// Hours without a genuine request after which the tenant is told; never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_after_hours: Option<u32>,
    /// Largest body, bytes, instead of the host's default; bounded by the host's ceiling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_bytes_max: Option<u64>,
}

/// Where things stand in this source's requests, in the presets' notation (`json:/call/id`, `header:x-id`,
/// `form:CallSid`, `query:id`); what is absent is read as the preset says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct IdentitySpec {
    /// The event's id; several pointers make one id together, and all must be there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub id: Vec<String>,
    /// The event's type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What people search by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What keeps events in line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
}

/// A fixed answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswerSpec {
    /// HTTP status.
    pub status: u16,
    /// Its media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Its body.
    #[serde(default)]
    pub body: String,
}

fn yes() -> bool {
    true
}

fn skip_after_default() -> u64 {
    SKIP_AFTER_MS_DEFAULT
}

fn dedup_ttl_default() -> u64 {
    DEDUP_TTL_MS_DEFAULT
}

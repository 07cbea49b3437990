//! Destinations: the named places that calls may go to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{DestinationId, TenantId};
use crate::retry::{SKIP_AFTER_MS_DEFAULT, Schedule};

/// How answers are read; the table is in [`crate::delivery`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "DestinationKind")]
pub enum Kind {
    /// A receiver of webhooks: 410 means "stop sending", other refusals end the call.
    Webhook,
    /// Somebody's API: a refused credential pauses the destination instead of losing its calls.
    #[default]
    Api,
}

/// A destination as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// Its id.
    pub id: DestinationId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Why it is paused; its deliveries wait.
    pub paused: Option<String>,
    /// The secret for want of which it is paused: it goes on when that is saved.
    #[serde(default)]
    pub lacks: Option<String>,
    /// Why it is disabled; new calls to it end dead.
    pub disabled: Option<String>,
    /// What people configure.
    pub spec: DestinationSpec,
}

/// What people configure of a destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DestinationSpec {
    /// Its name, unique in the tenant.
    pub name: String,
    /// How answers are read.
    #[serde(default)]
    pub kind: Kind,
    /// Base URL, `https://…` or `http://…`; calls stay under its path.
    pub url: String,
    /// What proves us to the receiver.
    #[serde(default)]
    pub auth: Auth,
    /// What its TLS trusts and shows, if not the usual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSpec>,
    /// How calls are signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing: Option<Signing>,
    /// Plain headers to add to every call; no secrets.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Headers whose values are secrets: names of headers, and names of secrets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_headers: BTreeMap<String, String>,
    /// Delays before each attempt, milliseconds; the first is 0.
    #[serde(default)]
    pub retry_ms: Schedule,
    /// How long a call that fails may hold those behind it in its order key, milliseconds from its first failure; then
    /// the next may pass.
    #[serde(default = "skip_after_default")]
    pub skip_after_ms: u64,
    /// Calls on their way at the same time.
    #[serde(default = "concurrency_default")]
    pub concurrency_max: u32,
    /// Calls per second; unlimited when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_per_s: Option<u32>,
    /// Calls to it that may wait, those on their way included; beyond it the oldest end dead. The host's limit when
    /// absent, and never more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_max: Option<u32>,
    /// Connecting may take this long, milliseconds.
    #[serde(default = "connect_timeout_default")]
    pub connect_timeout_ms: u64,
    /// A call may take this long in all, milliseconds.
    #[serde(default = "timeout_default")]
    pub timeout_ms: u64,
}

/// What proves us to a receiver. Secrets are named, never written here.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Auth {
    /// Nothing.
    #[default]
    None,
    /// `Authorization: Bearer <secret>`.
    Bearer {
        /// Name of the secret.
        secret: String,
    },
    /// `Authorization: Basic …`.
    Basic {
        /// User name; plain.
        username: String,
        /// Name of the secret that is the password.
        secret: String,
    },
    /// A header whose value is the secret.
    Header {
        /// Name of the header.
        header: String,
        /// Name of the secret.
        secret: String,
    },
    /// `Authorization: Bearer <access token>`, which the host gets by OAuth 2.0 client credentials, keeps and renews.
    #[serde(rename = "oauth2")]
    OAuth2(OAuth2),
}

/// How an access token is had (RFC 6749 section 4.4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OAuth2 {
    /// The token endpoint, `https://…`.
    pub token_url: String,
    /// Who the host is to it; plain.
    pub client_id: String,
    /// Name of the secret that is the client's. It must be bound to the endpoint's origin, and to the destination's too:
    /// that is where its tokens go.
    pub secret: String,
    /// What the token should be good for, words with spaces between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Whom it should be good for; some endpoints want it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// Where the client's credentials stand.
    #[serde(default)]
    pub credentials_in: CredentialsIn,
}

/// Where a token endpoint looks for the client's credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CredentialsIn {
    /// In a header, as basic authentication: every endpoint takes that.
    #[default]
    Header,
    /// In the form.
    Body,
}

/// TLS of a destination.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsSpec {
    /// Certificates in PEM that are trusted instead of the public authorities; of the token endpoint too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// Name of the secret by which the host shows who it is: a certificate with its chain and its private key, in PEM, in
    /// one text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
}

/// How calls are signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Signing {
    /// [Standard Webhooks](https://www.standardwebhooks.com) `v1`.
    StandardWebhooks {
        /// Name of the secret, `whsec_…`.
        secret: String,
    },
    /// Standard Webhooks `v1a`: Ed25519.
    #[serde(rename = "standard_webhooks_v1a")]
    StandardWebhooksV1a {
        /// Name of the secret that is the private key, `whsk_…`.
        secret: String,
    },
    /// A scheme in the words of a source's `scheme`, so that what signs here verifies there.
    Scheme {
        /// Name of the secret.
        secret: String,
        /// Content, header, encoding.
        scheme: serde_json::Value,
    },
}

impl Signing {
    /// Name of its secret.
    pub fn secret(&self) -> &str {
        match self {
            Signing::StandardWebhooks { secret }
            | Signing::StandardWebhooksV1a { secret }
            | Signing::Scheme { secret, .. } => secret,
        }
    }
}

impl DestinationSpec {
    /// Names of the secrets that this destination uses.
    pub fn secret_names(&self) -> impl Iterator<Item = &str> {
        let auth = match &self.auth {
            Auth::None => None,
            Auth::Bearer { secret } | Auth::Basic { secret, .. } | Auth::Header { secret, .. } => Some(secret.as_str()),
            Auth::OAuth2(own) => Some(own.secret.as_str()),
        };
        let identity = self.tls.as_ref().and_then(|tls| tls.identity.as_deref());
        let headers = self.secret_headers.values().map(String::as_str);
        auth.into_iter().chain(identity).chain(self.signing.as_ref().map(Signing::secret)).chain(headers)
    }
}

/// Why a call ended that had to make room for newer ones, for people.
pub fn crowded_out(waiting_max: u64) -> String {
    format!(
        "the destination's queue was full: {waiting_max} calls may wait (`waiting_max`), and the oldest make room; replay \
         it once the destination keeps up"
    )
}

fn skip_after_default() -> u64 {
    SKIP_AFTER_MS_DEFAULT
}

/// Side by side by default: enough for an API, few enough not to flood a small receiver.
fn concurrency_default() -> u32 {
    8
}

/// A receiver that is up accepts a connection in far less.
fn connect_timeout_default() -> u64 {
    5_000
}

/// The Standard Webhooks specification recommends 15 to 30 s.
fn timeout_default() -> u64 {
    15_000
}

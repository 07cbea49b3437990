//! What documents may say, where they are read field by field into something else than they look like. Only their shapes are
//! used; a test holds their fields against those that the readers know.
#![expect(dead_code, reason = "only the shapes of these are told")]

use std::collections::BTreeMap;

use creel_webhook::event::TypePattern;
use creel_webhook::plugin::{Digest, Grants};
use creel_webhook::route::{Late, Mode};
use creel_webhook::tenant::{Role, TenantLimits};
use schemars::JsonSchema;

/// A tenant.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Tenant {
    /// Its name, as in the address.
    name: Option<String>,
    /// Where it differs from the operator's defaults.
    limits: Option<TenantLimits>,
}

/// A key that is to be made.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Key {
    /// What people call it.
    name: String,
    /// What it may do; all that a key of its kind may, unless said.
    role: Option<Role>,
    /// Whether it may read payloads.
    payload_read: Option<bool>,
    /// After how many seconds it stops working; never, unless said.
    #[schemars(range(min = 1))]
    expires_in_s: Option<u64>,
}

/// A secret.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Secret {
    /// Its name, as in the address.
    name: Option<String>,
    /// Its value as text; never shown again. A new secret needs this or `value_base64`.
    value: Option<String>,
    /// Its value in base64.
    value_base64: Option<String>,
    /// Origins that it may be sent to, such as `https://crm.example`.
    origins: Option<Vec<String>>,
    /// How long the value before still counts, milliseconds; a day unless said.
    overlap_ms: Option<u64>,
}

/// A rotation of a source's URL.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Rotation {
    /// How long the URL before still leads to the source, milliseconds; a day unless said.
    overlap_ms: Option<u64>,
}

/// A pause.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Pause {
    /// Why, for whoever looks.
    reason: Option<String>,
}

/// Where notices go.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Notices {
    /// Name of the destination; it signs by Standard Webhooks.
    destination: String,
    /// Percent of a source's requests in five minutes that may be refused.
    #[schemars(range(min = 1, max = 100))]
    refusals_percent: Option<u64>,
    /// Refusals in five minutes below which nothing is told.
    #[schemars(range(min = 1))]
    refusals_min: Option<u64>,
}

/// A plugin: nothing but its name as yet.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Plugin {
    /// Its name, as in the address.
    name: Option<String>,
}

/// A deployment that is to be made.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Deployment {
    /// The uploaded version.
    digest: Digest,
    /// Plain settings.
    config: Option<BTreeMap<String, String>>,
    /// What it may ask for.
    grants: Option<Grants>,
    /// Whether to make it the active one; it is, unless said otherwise.
    activate: Option<bool>,
}

/// A route.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Route {
    /// Its name, as in the address.
    name: Option<String>,
    /// Name of the source.
    source: String,
    /// Which types it takes; all, unless said.
    pattern: Option<TypePattern>,
    /// Name of the plugin.
    plugin: String,
    /// Whether the sender waits; it does not, unless said.
    mode: Option<Mode>,
    /// What becomes of a late run's calls.
    late: Option<Late>,
}

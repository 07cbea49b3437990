//! Plugins and their deployments.

use std::collections::BTreeMap;

use creel_webhook::plugin::{Digest, Grants};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fields::{Fields, Mistake, escape};

/// A setting is a setting, not a database.
const CONFIG_BYTES_MAX: usize = 64 * 1_024;

/// Methods that a fetch can be granted.
const FETCH_METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "QUERY"];

/// What people say when they deploy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentSpec {
    /// The uploaded version.
    pub digest: Digest,
    /// Plain settings.
    pub config: BTreeMap<String, String>,
    /// What it may ask for.
    pub grants: Grants,
    /// Make it the active one; it is by default.
    pub activate: bool,
}

/// Reads what makes a plugin: nothing but its name as yet.
///
/// # Errors
/// All mistakes with their pointers.
pub fn read(name: &str, document: Value) -> Result<String, Vec<Mistake>> {
    let mut fields = Fields::of(document);
    let name = fields.name(name);
    fields.done(Some(name))
}

/// Reads a deployment.
///
/// # Errors
/// All mistakes with their pointers.
pub fn read_deployment(document: Value) -> Result<DeploymentSpec, Vec<Mistake>> {
    let mut fields = Fields::of(document);
    let digest = fields.required::<Digest>("digest");
    let config = config(&mut fields);
    let grants = grants(&mut fields);
    let activate = fields.or("activate", true);
    fields.done(digest.map(|digest| DeploymentSpec { digest, config, grants, activate }))
}

/// Takes and checks the field `config`.
pub fn config(fields: &mut Fields) -> BTreeMap<String, String> {
    let config: BTreeMap<String, String> = fields.or("config", BTreeMap::new());
    let bytes: usize = config.iter().map(|(key, value)| key.len() + value.len()).sum();
    if bytes > CONFIG_BYTES_MAX {
        fields.mistake("config", format!("the settings have {bytes} bytes; {CONFIG_BYTES_MAX} are allowed"));
    }
    config
}

/// Takes and checks the field `grants`.
pub fn grants(fields: &mut Fields) -> Grants {
    let mut grants: Grants = fields.table("grants").unwrap_or_default();
    grants.destinations.sort();
    grants.destinations.dedup();
    for (name, methods) in &grants.fetch {
        for (index, method) in methods.iter().enumerate() {
            if !FETCH_METHODS.contains(&method.as_str()) {
                let path = format!("grants/fetch/{}/{index}", escape(name));
                fields.mistake(&path, format!("`{method}` is none of {}", FETCH_METHODS.join(", ")));
            }
        }
    }
    grants
}

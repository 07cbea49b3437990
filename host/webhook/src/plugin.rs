//! Plugins, their versions and deployments.
//!
//! A version is a component, addressed by its SHA-256 digest. A deployment is a version with a configuration and
//! grants; it never changes. One is active per plugin, and making an older one active again restores all three.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::{DeploymentId, PluginId, TenantId};

/// SHA-256 of a component's bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Digest(sha2::Sha256::digest(bytes).into())
    }

    /// Takes a digest as stored.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Digest(bytes)
    }

    /// Its 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a digest is `sha256:` followed by 64 hexadecimal digits")]
pub struct DigestError;

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let mut bytes = [0; 32];
        let digits = text.strip_prefix("sha256:").ok_or(DigestError)?;
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| DigestError)?;
        Ok(Digest(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

impl schemars::JsonSchema for Digest {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Digest".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^sha256:[0-9a-f]{64}$" })
    }
}

/// A named handler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plugin {
    /// Its id.
    pub id: PluginId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its name, unique in the tenant.
    pub name: String,
    /// Number of the active deployment.
    pub active: Option<u32>,
}

/// A version with configuration and grants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// Its id.
    pub id: DeploymentId,
    /// Whose it is.
    pub tenant: TenantId,
    /// The plugin it deploys.
    pub plugin: PluginId,
    /// 1 for the first, then one more each time.
    pub number: u32,
    /// The component.
    pub digest: Digest,
    /// Plain settings, visible to the guest.
    pub config: BTreeMap<String, String>,
    /// What the guest may ask for.
    pub grants: Grants,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What a deployment may ask for; nothing unless it is named.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Grants {
    /// Destinations that its calls may go to.
    pub destinations: Vec<String>,
    /// Destinations that it may look things up at, with the methods allowed there (GET and HEAD when empty).
    pub fetch: BTreeMap<String, Vec<String>>,
    /// Whether it has a store of its own.
    pub state: bool,
}

impl Grants {
    /// What a component that imports these interfaces may reach for and is not granted at all; a sentence each, with what
    /// to grant.
    pub fn lacking(&self, imports: &[String]) -> Vec<String> {
        let imports = |name: &str| imports.iter().any(|import| import.starts_with(&format!("creel:plugin/{name}@")));
        let mut lacking = Vec::new();
        if imports("fetch") && self.fetch.is_empty() {
            lacking.push(
                "the component imports `creel:plugin/fetch` and may look nothing up: each look-up will be denied; grant \
                 `fetch = { destination = [] }`, or ignore this if it makes none"
                    .to_owned(),
            );
        }
        if imports("state") && !self.state {
            lacking.push(
                "the component imports `creel:plugin/state` and is not granted it: each read and write will be denied; \
                 grant `state = true`, or ignore this if it makes none"
                    .to_owned(),
            );
        }
        lacking
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_imported_and_not_granted_is_told() {
        let imports = ["wasi:io/poll@0.2.6".to_owned(), "creel:plugin/fetch@0.1.0".to_owned()];
        assert_eq!(Grants::default().lacking(&imports).len(), 1);
        assert_eq!(Grants::default().lacking(&imports[..1]), Vec::<String>::new());
        let granted = Grants { fetch: [("crm".to_owned(), vec![])].into(), ..Grants::default() };
        assert_eq!(granted.lacking(&imports), Vec::<String>::new());
    }
}

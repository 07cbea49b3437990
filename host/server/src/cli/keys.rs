//! `creel keys` and `creel audit`: who may, and who did.

use serde_json::{Value, json};

use super::args::NewKey;
use super::client::{Client, ClientResult};
use crate::api::{AuditView, KeyView, List, NewKeyView};

/// Keys and trail of one tenant, or with `None` those of the operators and the whole trail.
pub struct People<'a> {
    client: &'a Client,
    prefix: String,
}

impl<'a> People<'a> {
    /// Those of this tenant.
    pub fn of(client: &'a Client, tenant: Option<&str>) -> Self {
        let prefix = tenant.map_or_else(|| "/v1".to_owned(), |name| client.tenant(name).prefix().to_owned());
        People { client, prefix }
    }

    /// All keys.
    ///
    /// # Errors
    /// [`super::client::ClientError`].
    pub async fn keys(&self) -> ClientResult<Vec<KeyView>> {
        let list: List<KeyView> = self.client.get(&format!("{}/keys", self.prefix)).await?;
        Ok(list.items)
    }

    /// Makes a key.
    ///
    /// # Errors
    /// [`super::client::ClientError`].
    pub async fn create(&self, wanted: &NewKey) -> ClientResult<NewKeyView> {
        self.client.post(&format!("{}/keys", self.prefix), &document(wanted)).await
    }

    /// Ends a key.
    ///
    /// # Errors
    /// [`super::client::ClientError`].
    pub async fn revoke(&self, key: &str) -> ClientResult<()> {
        self.client.delete(&format!("{}/keys/{}", self.prefix, super::client::part(key))).await
    }

    /// The audit trail, newest first.
    ///
    /// # Errors
    /// [`super::client::ClientError`].
    pub async fn audit(&self, limit: u32, before: Option<u64>) -> ClientResult<List<AuditView>> {
        let before = before.map(|seq| format!("&before={seq}")).unwrap_or_default();
        self.client.get(&format!("{}/audit?limit={limit}{before}", self.prefix)).await
    }
}

fn document(wanted: &NewKey) -> Value {
    let mut document = json!({ "name": wanted.name });
    if let Some(role) = &wanted.role {
        document["role"] = json!(role);
    }
    if wanted.payload_read || wanted.no_payload_read {
        document["payload_read"] = json!(wanted.payload_read);
    }
    if let Some(days) = wanted.expires_in_days {
        document["expires_in_s"] = json!(days.saturating_mul(86_400));
    }
    document
}

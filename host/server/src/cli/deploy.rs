//! `creel deploy`: uploads a component and deploys it.

use std::path::Path;

use anyhow::Context as _;
use bytes::Bytes;
use creel_webhook::plugin::Grants;
use serde_json::json;

use super::args::Deploy;
use super::client::{ClientError, NewVersion, TenantClient};
use crate::api::{DeploymentView, PluginView, Put};

/// Deploys what `component` holds. Settings and grants that are not given stay those of the active deployment.
///
/// # Errors
/// When the file can't be read or the host says no.
pub async fn deploy(tenant: &TenantClient, component: &Path, wanted: &Deploy) -> anyhow::Result<Put<DeploymentView>> {
    let bytes = std::fs::read(component).with_context(|| format!("reading {}", component.display()))?;
    let bytes = Bytes::from(bytes);
    let active = match tenant.get::<PluginView>(&wanted.name).await {
        Ok(plugin) => plugin.active,
        Err(ClientError::Refused(problem)) if problem.status == 404 => {
            // A refused upload must not leave a plugin behind that has no version.
            tenant.upload(&wanted.name, bytes.clone(), true).await?;
            tenant.put::<PluginView>(&wanted.name, &json!({})).await?;
            None
        }
        Err(error) => return Err(error.into()),
    };
    let digest = tenant.upload(&wanted.name, bytes, false).await?.resource.digest;
    let (mut config, mut grants) = active.map_or_else(Default::default, |active| (active.config, active.grants));
    if !wanted.config.is_empty() {
        config = wanted.config.iter().cloned().collect();
    }
    if !wanted.grant_destination.is_empty() {
        grants = Grants { destinations: wanted.grant_destination.clone(), ..grants };
    }
    if !wanted.grant_fetch.is_empty() {
        grants.fetch = wanted.grant_fetch.iter().cloned().collect();
    }
    grants.state |= wanted.grant_state;
    let version = NewVersion { digest, config, grants, activate: !wanted.no_activate };
    Ok(tenant.deploy(&wanted.name, &version).await?)
}

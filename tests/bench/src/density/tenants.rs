//! The configuration of `density`: a store in which every component is deployed, and the picture that a host has of it.

use std::path::Path;
use std::sync::Arc;

use creel_server::directory::Directory;
use creel_server::keyring::Keyring;
use creel_server::system::{Entropy, SystemClock};
use creel_store::contract::{NewDeployment, Store};
use creel_store::sqlite::{Options as StoreOptions, SqliteStore};
use creel_webhook::clock::Clock as _;
use creel_webhook::event::TypePattern;
use creel_webhook::id::{DeploymentId, PluginId, RouteId, SourceId, TenantId};
use creel_webhook::plugin::{Deployment, Digest, Grants, Plugin};
use creel_webhook::route::{Late, Mode, Route};
use creel_webhook::secret::MasterKey;
use creel_webhook::source::Source;
use creel_webhook::tenant::{Tenant, TenantLimits};
use tokio::task::JoinSet;

use crate::host;

/// Plugins of a tenant.
const PLUGINS: u32 = 10;

/// Tenants that are made side by side, so that they share commits.
const SIDE_BY_SIDE: u32 = 64;

/// Opens the picture of so many plugins; the store is made when it is not there.
pub(super) async fn open(directory: &Path, plugins: u32) -> anyhow::Result<Directory> {
    let path = directory.join(format!("tenants-{plugins}.db"));
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&path, StoreOptions::default())?);
    let tenants = plugins.div_ceil(PLUGINS);
    // One that was cut off while it was made is made further.
    let made = u32::try_from(store.control_read().await?.tenants.len())?;
    for first in (made..tenants).step_by(SIDE_BY_SIDE as usize) {
        let mut all = JoinSet::new();
        for number in first..tenants.min(first + SIDE_BY_SIDE) {
            all.spawn(make(store.clone(), number));
        }
        while let Some(ended) = all.join_next().await {
            ended??;
        }
    }
    let clock = Arc::new(SystemClock::default());
    let urls = vec!["https://hooks.example.com".to_owned()];
    Ok(Directory::open(store, clock, Keyring::of(MasterKey::from_bytes([7; 32])), urls).await?)
}

/// A tenant with a source, its plugins, and a route to each.
async fn make(store: Arc<dyn Store>, number: u32) -> anyhow::Result<()> {
    let (entropy, now) = (Entropy::system()?, SystemClock::default().now());
    let tenant = TenantId::new(now, entropy.id_bytes());
    let name = format!("tenant-{number}");
    store.tenant_put(Tenant { id: tenant, name, created_at: now, limits: TenantLimits::default() }).await?;
    let source = SourceId::new(now, entropy.id_bytes());
    let (token, spec) = (entropy.token(), host::source_spec());
    store.source_put(Source { id: source, tenant, token, previous: None, paused: false, spec }).await?;
    for index in 0..PLUGINS {
        let plugin = PluginId::new(now, entropy.id_bytes());
        let name = format!("plugin-{index}");
        store.plugin_put(Plugin { id: plugin, tenant, name: name.clone(), active: None }).await?;
        let deployment = Deployment {
            id: DeploymentId::new(now, entropy.id_bytes()),
            tenant,
            plugin,
            number: 0,
            digest: Digest::from_bytes([7; 32]),
            config: Default::default(),
            grants: Grants::default(),
            created_at: now,
        };
        store.deployment_create(NewDeployment { deployment, activate: true }).await?;
        let (id, pattern) = (RouteId::new(now, entropy.id_bytes()), TypePattern::any());
        let (mode, late, paused) = (Mode::Ack, Late::Drop, false);
        store.route_put(Route { id, tenant, name, source, pattern, plugin, mode, late, paused }).await?;
    }
    Ok(())
}

//! The configuration of `density`: a store in which every component is deployed, and the picture that a host has of it.
//!
//! The number of a plugin among all is its component's; it stands in the name of its route.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use creel_server::directory::Directory;
use creel_server::keyring::Keyring;
use creel_server::system::{Entropy, SystemClock};
use creel_store::contract::{NewComponent, NewDeployment, Store};
use creel_store::sqlite::{Options as StoreOptions, SqliteStore};
use creel_webhook::clock::Clock as _;
use creel_webhook::event::TypePattern;
use creel_webhook::id::{DeploymentId, PluginId, RouteId, SourceId, TenantId};
use creel_webhook::plugin::{Deployment, Grants, Plugin};
use creel_webhook::route::{Late, Mode, Route};
use creel_webhook::secret::MasterKey;
use creel_webhook::source::Source;
use creel_webhook::tenant::{Tenant, TenantLimits};
use tokio::task::JoinSet;

use super::guests::Guests;
use crate::host;

/// Plugins of a tenant.
pub(super) const PLUGINS: u32 = 10;

/// What the names of plugins and their routes begin with; then comes the component's number.
const PREFIX: &str = "plugin-";

/// Tenants that are made side by side, so that they share commits.
const SIDE_BY_SIDE: u32 = 64;

/// Opens the picture of so many plugins; the store is made when it is not there. The uploads themselves are not in it.
pub(super) async fn open(directory: &Path, guests: &Arc<Guests>, plugins: u32) -> anyhow::Result<Directory> {
    let path = directory.join(format!("tenants-{plugins}.db"));
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&path, StoreOptions::default())?);
    fill(&store, guests, plugins, Uploads::Left).await?;
    let clock = Arc::new(SystemClock::default());
    let urls = vec!["https://hooks.example.com".to_owned()];
    Ok(Directory::open(store, clock, Keyring::of(MasterKey::from_bytes([7; 32])), urls).await?)
}

/// Whether uploads are stored too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Uploads {
    /// They are.
    Stored,
    /// They are not.
    Left,
}

/// The number of the component that a route leads to.
pub(super) fn component(route: &Route) -> anyhow::Result<u32> {
    route.name.trim_start_matches(PREFIX).parse().context("a component's number in the name of its route")
}

/// Makes the tenants of so many plugins when there are none.
///
/// # Errors
/// When they were cut off while they were made: tenants are made side by side, and what is missing is not known.
pub(super) async fn fill(
    store: &Arc<dyn Store>,
    guests: &Arc<Guests>,
    plugins: u32,
    uploads: Uploads,
) -> anyhow::Result<()> {
    let tenants = plugins.div_ceil(PLUGINS);
    let there = store.control_read().await?.routes.len();
    if there > 0 {
        ensure!(there == (tenants * PLUGINS) as usize, "the tenants were made in part; remove the directory");
        return Ok(());
    }
    for first in (0..tenants).step_by(SIDE_BY_SIDE as usize) {
        let mut all = JoinSet::new();
        for number in first..tenants.min(first + SIDE_BY_SIDE) {
            all.spawn(make(store.clone(), guests.clone(), number, uploads));
        }
        while let Some(ended) = all.join_next().await {
            ended??;
        }
    }
    Ok(())
}

/// A tenant with a source, its plugins, and a route to each.
async fn make(store: Arc<dyn Store>, guests: Arc<Guests>, number: u32, uploads: Uploads) -> anyhow::Result<()> {
    let (entropy, now) = (Entropy::system()?, SystemClock::default().now());
    let tenant = TenantId::new(now, entropy.id_bytes());
    let name = format!("tenant-{number}");
    store.tenant_put(Tenant { id: tenant, name, created_at: now, limits: TenantLimits::default() }).await?;
    let source = SourceId::new(now, entropy.id_bytes());
    let (token, spec) = (entropy.token(), host::source_spec());
    store.source_put(Source { id: source, tenant, token, previous: None, paused: false, spec }).await?;
    for component in number * PLUGINS..(number + 1) * PLUGINS {
        let plugin = PluginId::new(now, entropy.id_bytes());
        let name = format!("{PREFIX}{component}");
        store.plugin_put(Plugin { id: plugin, tenant, name: name.clone(), active: None }).await?;
        let digest = guests.digest(component);
        if uploads == Uploads::Stored {
            let bytes = guests.upload(component);
            store.component_put(NewComponent { tenant, digest, bytes, room_bytes: u64::MAX, now }).await?;
        }
        let deployment = Deployment {
            id: DeploymentId::new(now, entropy.id_bytes()),
            tenant,
            plugin,
            number: 0,
            digest,
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

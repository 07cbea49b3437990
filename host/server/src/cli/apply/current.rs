//! What the host has of a tenant.

use std::collections::BTreeSet;

use super::steps::{Action, Planned, Step};
use crate::api::{DestinationView, PluginView, RouteView, SecretView, SourceView};
use crate::cli::client::{ClientResult, TenantClient};
use crate::cli::manifest::Manifest;
use crate::spec::notices::NoticesSpec;

/// What the host has.
#[derive(Default)]
pub(super) struct Current {
    pub(super) secrets: Vec<SecretView>,
    pub(super) sources: Vec<SourceView>,
    pub(super) destinations: Vec<DestinationView>,
    pub(super) plugins: Vec<PluginView>,
    pub(super) routes: Vec<RouteView>,
    pub(super) notices: Option<NoticesSpec>,
}

impl Current {
    /// Asks for all of it.
    pub(super) async fn read(tenant: &TenantClient) -> ClientResult<Self> {
        Ok(Current {
            secrets: tenant.list().await?,
            sources: tenant.list().await?,
            destinations: tenant.list().await?,
            plugins: tenant.list().await?,
            routes: tenant.list().await?,
            notices: tenant.notices().await?,
        })
    }

    /// What the file does not mention, users before what they use.
    pub(super) fn removals(&self, wanted: &Manifest) -> Vec<Step> {
        let routes =
            surplus("route", self.routes.iter().map(|one| &one.name), wanted.routes.iter().map(|one| &one.name));
        let sources =
            surplus("source", self.sources.iter().map(|one| &one.name), wanted.sources.iter().map(|one| &one.name));
        let destinations = surplus(
            "destination",
            self.destinations.iter().map(|one| &one.name),
            wanted.destinations.iter().map(|one| &one.name),
        );
        let secrets =
            surplus("secret", self.secrets.iter().map(|one| &one.name), wanted.secrets.iter().map(|one| &one.name));
        let notices = self.notices.iter().filter(|_| wanted.notices.is_none()).map(|one| &one.destination);
        let notices = surplus("notices", notices, std::iter::empty());
        [notices, routes, sources, destinations, secrets].into_iter().flatten().collect()
    }
}

fn surplus<'a>(
    kind: &'static str,
    have: impl Iterator<Item = &'a String>,
    wanted: impl Iterator<Item = &'a String>,
) -> Vec<Step> {
    let wanted: BTreeSet<&String> = wanted.collect();
    have.filter(|name| !wanted.contains(name))
        .map(|name| Step::new(Planned::Remove, kind, name, Vec::new(), Action::Remove))
        .collect()
}

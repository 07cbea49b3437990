//! What people configured, ready for use: one immutable picture per version.
//!
//! Ingress, worker and sender never look configuration up in the store event by event. They ask the [`Directory`] for
//! its current [`Picture`], which is read anew when the store's control version has moved on: an atomic load in the
//! usual case. A picture is built once and shared; whoever works on an event keeps the picture that it began with.
//!
//! Secrets are opened here, in memory, and wiped when the last user of a picture lets go. A source whose configuration
//! does not hold (an unknown preset, a missing secret) stays in the picture as broken: it refuses its own
//! requests with a reason for the operator and disturbs nobody else.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, RwLock};

use creel_store::contract::{Control, SecretRow, Store, StoreError, StoreResult};
use creel_webhook::clock::{Clock, Timestamp};
use creel_webhook::destination::{Destination, TlsSpec};
use creel_webhook::id::{DestinationId, PluginId, RouteId, SourceId, TenantId};
use creel_webhook::identity::IdentityRules;
use creel_webhook::notice::Notices;
use creel_webhook::plugin::{Deployment, Plugin};
use creel_webhook::pointer::{Params, Pointer};
use creel_webhook::preset::{Preset, preset};
use creel_webhook::provider::Provider;
use creel_webhook::route::{Mode, Route};
use creel_webhook::secret::SecretBytes;
use creel_webhook::signature::scheme::{Scheme, SchemeError};
use creel_webhook::signing::Signer;
use creel_webhook::source::Source;
use creel_webhook::tenant::{Allowance, Tenant};

use crate::activity::Activity;
use crate::keyring::Keyring;
use crate::spec::tenant::Ceilings;
use crate::tls::ClientTls;

/// A secret's values, open, current first.
#[derive(Debug, Clone)]
pub struct OpenSecret {
    /// The values that count now.
    pub values: Vec<SecretBytes>,
    /// Origins that it may be sent to.
    pub origins: Vec<String>,
}

/// How a source believes and reads its requests.
pub struct Proof {
    /// What proves a request genuine.
    pub scheme: Scheme,
    /// What the provider's requests carry and expect.
    pub provider: Arc<Provider>,
    /// Where the operator says that things stand.
    pub rules: IdentityRules,
    /// Values of the source's secrets, current first.
    pub secrets: Vec<SecretBytes>,
    /// The source's public keys.
    pub public_keys: Vec<String>,
    /// The URLs that providers know this source by.
    pub urls: Vec<String>,
    /// The source's parameters over the preset's.
    pub params: Params,
}

/// A source with what follows from it.
pub struct SourceEntry {
    /// As stored.
    pub source: Source,
    /// Its tenant.
    pub tenant: Arc<TenantEntry>,
    /// How it believes, or why it can't.
    pub proof: Result<Proof, String>,
    /// Its routes.
    pub routes: Vec<Route>,
    /// What came to it lately, if its tenant wants to be told of it.
    pub activity: Option<Arc<Activity>>,
}

/// A tenant with what it owns.
pub struct TenantEntry {
    /// As stored.
    pub tenant: Tenant,
    holds: OnceLock<Allowance>,
    destination_ids: HashMap<String, DestinationId>,
}

impl TenantEntry {
    /// What holds for it; a host has one set of ceilings.
    pub fn holds(&self, ceilings: &Ceilings) -> &Allowance {
        self.holds.get_or_init(|| ceilings.holds(&self.tenant.limits))
    }

    /// The destination of this name.
    pub fn destination_named(&self, name: &str) -> Option<DestinationId> {
        self.destination_ids.get(name).copied()
    }
}

/// A destination with its open secrets.
pub struct DestinationEntry {
    /// As stored.
    pub destination: Destination,
    /// The secrets that it names, as far as they exist.
    pub secrets: HashMap<String, OpenSecret>,
    /// What signs its calls, if they are signed, or why it can't.
    pub signer: Option<Result<Signer, String>>,
    /// What its TLS trusts and shows, if not the usual, or why it can't.
    pub tls: Option<Result<Arc<ClientTls>, String>>,
}

/// Everything configured, as of one version.
#[derive(Default)]
pub struct Picture {
    version: u64,
    tenants: HashMap<TenantId, Arc<TenantEntry>>,
    sources_by_token: HashMap<String, Arc<SourceEntry>>,
    sources: HashMap<SourceId, Arc<SourceEntry>>,
    routes: HashMap<RouteId, Route>,
    plugins: HashMap<PluginId, (Plugin, Option<Arc<Deployment>>)>,
    destinations: HashMap<DestinationId, Arc<DestinationEntry>>,
    notices: HashMap<TenantId, Notices>,
}

impl Picture {
    /// Which version it shows.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The source with this token in its URL.
    pub fn source_by_token(&self, token: &str) -> Option<&Arc<SourceEntry>> {
        self.sources_by_token.get(token)
    }

    /// A source.
    pub fn source(&self, source: SourceId) -> Option<&Arc<SourceEntry>> {
        self.sources.get(&source)
    }

    /// A tenant.
    pub fn tenant(&self, tenant: TenantId) -> Option<&Arc<TenantEntry>> {
        self.tenants.get(&tenant)
    }

    /// A route.
    pub fn route(&self, route: RouteId) -> Option<&Route> {
        self.routes.get(&route)
    }

    /// A plugin with its active deployment.
    pub fn plugin(&self, plugin: PluginId) -> Option<(&Plugin, Option<&Arc<Deployment>>)> {
        self.plugins.get(&plugin).map(|(plugin, active)| (plugin, active.as_ref()))
    }

    /// All active deployments: those first whose senders wait, then those with any route, then the rest.
    pub fn deployed(&self) -> Vec<Arc<Deployment>> {
        let mut ranks: HashMap<PluginId, u8> = HashMap::new();
        for route in self.routes.values() {
            let rank = ranks.entry(route.plugin).or_insert(1);
            *rank = (*rank).min(if route.mode == Mode::Reply { 0 } else { 1 });
        }
        let mut all: Vec<_> = self.plugins.values().filter_map(|(_, active)| active.clone()).collect();
        all.sort_by_key(|deployment| (ranks.get(&deployment.plugin).copied().unwrap_or(2), deployment.id));
        all
    }

    /// Where tenants' notices go, of those that named a destination.
    pub fn notices(&self) -> impl Iterator<Item = &Notices> {
        self.notices.values()
    }

    /// The sources of those tenants.
    pub fn watched(&self) -> impl Iterator<Item = (&Arc<SourceEntry>, &Notices)> {
        let sources = self.sources.values().filter(|_| !self.notices.is_empty());
        sources.filter_map(|entry| Some((entry, self.notices.get(&entry.source.tenant)?)))
    }

    /// A destination.
    pub fn destination(&self, destination: DestinationId) -> Option<&Arc<DestinationEntry>> {
        self.destinations.get(&destination)
    }
}

/// Keeps the current picture.
pub struct Directory {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    master: Keyring,
    bases: Vec<String>,
    current: RwLock<Arc<Picture>>,
    reading: tokio::sync::Mutex<()>,
}

impl Directory {
    /// Reads the first picture. `bases` are the URLs that the host is known by, its own first, none with a slash at its
    /// end.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn open(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        master: Keyring,
        bases: Vec<String>,
    ) -> StoreResult<Self> {
        let current = RwLock::new(Arc::new(Picture::default()));
        let directory = Directory { store, clock, master, bases, current, reading: tokio::sync::Mutex::new(()) };
        directory.read().await?;
        Ok(directory)
    }

    /// The current picture; reads it anew when something was configured since.
    ///
    /// # Errors
    /// When it must be read anew and the store fails.
    pub async fn picture(&self) -> StoreResult<Arc<Picture>> {
        let wanted = self.store.control_version();
        let current = self.current();
        if current.version >= wanted {
            return Ok(current);
        }
        let _one_reader = self.reading.lock().await;
        let current = self.current();
        if current.version >= wanted {
            return Ok(current);
        }
        self.read().await
    }

    /// Builds the picture beside the threads that serve: opening secrets and parsing schemes takes its time.
    async fn read(&self) -> StoreResult<Arc<Picture>> {
        let control = self.store.control_read().await?;
        let (master, bases, now) = (self.master.clone(), self.bases.clone(), self.clock.now());
        let before = self.current();
        let build = move || Builder { master: &master, bases: &bases, now, before: &before }.build(control);
        let built = tokio::task::spawn_blocking(build).await;
        let picture = Arc::new(built.map_err(|panic| StoreError::Failed(format!("building the directory: {panic}")))?);
        *self.current.write().unwrap_or_else(std::sync::PoisonError::into_inner) = picture.clone();
        Ok(picture)
    }

    fn current(&self) -> Arc<Picture> {
        self.current.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

struct Builder<'a> {
    master: &'a Keyring,
    bases: &'a [String],
    now: Timestamp,
    before: &'a Picture,
}

impl Builder<'_> {
    fn build(&self, control: Control) -> Picture {
        let secrets = self.open_secrets(&control.secrets);
        let tenants = tenant_entries(control.tenants, &control.destinations);
        let mut routes_of: HashMap<SourceId, Vec<Route>> = HashMap::new();
        for route in &control.routes {
            routes_of.entry(route.source).or_default().push(route.clone());
        }
        let notices: HashMap<_, _> = control.notices.into_iter().map(|notices| (notices.tenant, notices)).collect();
        let mut sources_by_token = HashMap::new();
        let mut sources = HashMap::new();
        for source in control.sources {
            let Some(tenant) = tenants.get(&source.tenant) else { continue };
            let routes = routes_of.remove(&source.id).unwrap_or_default();
            let proof = self.proof(&source, &secrets);
            let activity = notices.contains_key(&source.tenant).then(|| self.activity(source.id));
            let entry = Arc::new(SourceEntry { tenant: tenant.clone(), proof, routes, activity, source });
            let tokens = entry.source.tokens(self.now).map(|token| (token.to_owned(), entry.clone()));
            sources_by_token.extend(tokens);
            sources.insert(entry.source.id, entry);
        }
        let mut active: HashMap<PluginId, Arc<Deployment>> =
            control.deployments.into_iter().map(|deployment| (deployment.plugin, Arc::new(deployment))).collect();
        let plugins = control
            .plugins
            .into_iter()
            .map(|plugin| {
                (plugin.id, {
                    let deployment = active.remove(&plugin.id);
                    (plugin, deployment)
                })
            })
            .collect();
        Picture {
            version: control.version,
            tenants,
            sources_by_token,
            sources,
            routes: control.routes.into_iter().map(|route| (route.id, route)).collect(),
            plugins,
            destinations: destination_entries(control.destinations, &secrets),
            notices,
        }
    }

    /// What was counted goes on being counted.
    fn activity(&self, source: SourceId) -> Arc<Activity> {
        let before = self.before.source(source).and_then(|entry| entry.activity.clone());
        before.unwrap_or_default()
    }

    fn open_secrets(&self, rows: &[SecretRow]) -> Secrets {
        let mut open = HashMap::new();
        for row in rows {
            let previous = row.previous.as_ref().filter(|_| row.previous_until.is_none_or(|until| until > self.now));
            let values = std::iter::once(&row.sealed)
                .chain(previous)
                .filter_map(|sealed| self.master.open(row.tenant, &row.name, sealed).ok())
                .collect();
            open.insert((row.tenant, row.name.clone()), OpenSecret { values, origins: row.origins.clone() });
        }
        open
    }

    fn proof(&self, source: &Source, secrets: &Secrets) -> Result<Proof, String> {
        let (scheme, preset) = scheme_of(source)?;
        let params = preset.params_with_defaults(&source.spec.params.clone().into_iter().collect());
        let mut values = Vec::new();
        for name in &source.spec.secrets {
            let secret = secrets
                .get(&(source.tenant, name.clone()))
                .filter(|secret| !secret.values.is_empty())
                .ok_or_else(|| format!("its secret `{name}` is missing or does not open with this master key"))?;
            values.extend(secret.values.iter().cloned());
        }
        let urls = if source.spec.public_urls.is_empty() {
            let tokens: Vec<&str> = source.tokens(self.now).collect();
            let at = |base: &String| tokens.iter().map(|token| format!("{base}/in/{token}")).collect::<Vec<_>>();
            self.bases.iter().flat_map(at).collect()
        } else {
            source.spec.public_urls.clone()
        };
        let public_keys = source.spec.public_keys.clone();
        let rules = identity_rules(source).map_err(|error| format!("its identity rules do not hold: {error}"))?;
        Ok(Proof { scheme, provider: preset.provider.clone(), rules, secrets: values, public_keys, urls, params })
    }
}

type Secrets = HashMap<(TenantId, String), OpenSecret>;

/// The scheme of a source and the preset that it comes from; a scheme of one's own comes with the generic provider.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn scheme_of(source: &Source) -> Result<(Scheme, &'static Preset), String> {
    let name = source.spec.preset.as_str();
    if let Some(custom) = &source.spec.scheme {
        let generic = preset("generic-hmac").ok_or("the generic preset is missing")?;
        let scheme = Scheme::parse(custom).map_err(|error| format!("its scheme does not hold: {error}"))?;
        return Ok((scheme, generic));
    }
    let preset = preset(name).ok_or_else(|| format!("there is no preset `{name}`; `creel presets` lists them"))?;
    let params = source.spec.params.clone().into_iter().collect();
    let scheme = preset.check_source(&params).and_then(|()| preset.scheme(&params));
    let scheme = scheme.map_err(|error| format!("the preset `{name}` refuses: {error}"))?;
    Ok((scheme, preset))
}

/// The operator's pointers of a source, parsed.
///
/// # Errors
/// A sentence that says which pointer is wrong.
pub fn identity_rules(source: &Source) -> Result<IdentityRules, String> {
    let spec = &source.spec.identity;
    let pointer = |text: &String| text.parse::<Pointer>().map_err(|error| error.to_string());
    Ok(IdentityRules {
        id: spec.id.iter().map(pointer).collect::<Result<_, _>>()?,
        kind: spec.kind.as_ref().map(pointer).transpose()?,
        subject: spec.subject.as_ref().map(pointer).transpose()?,
        order: spec.order.as_ref().map(pointer).transpose()?,
        dedup: Some(source.spec.dedup),
    })
}

fn tenant_entries(tenants: Vec<Tenant>, destinations: &[Destination]) -> HashMap<TenantId, Arc<TenantEntry>> {
    let mut names: HashMap<TenantId, HashMap<String, DestinationId>> = HashMap::new();
    for destination in destinations {
        names.entry(destination.tenant).or_default().insert(destination.spec.name.clone(), destination.id);
    }
    tenants
        .into_iter()
        .map(|tenant| {
            let destination_ids = names.remove(&tenant.id).unwrap_or_default();
            (tenant.id, Arc::new(TenantEntry { tenant, holds: OnceLock::new(), destination_ids }))
        })
        .collect()
}

fn destination_entries(
    destinations: Vec<Destination>,
    secrets: &Secrets,
) -> HashMap<DestinationId, Arc<DestinationEntry>> {
    destinations
        .into_iter()
        .map(|destination| {
            let own: HashMap<String, OpenSecret> = destination
                .spec
                .secret_names()
                .filter_map(|name| {
                    let secret = secrets.get(&(destination.tenant, name.to_owned()))?;
                    Some((name.to_owned(), secret.clone()))
                })
                .collect();
            let signer = destination.spec.signing.as_ref().map(|signing| {
                let first = |mistakes: Vec<SchemeError>| mistakes.first().map(ToString::to_string).unwrap_or_default();
                Signer::of(signing).map_err(first)
            });
            let tls = destination.spec.tls.as_ref().map(|tls| client_tls(tls, &own));
            (destination.id, Arc::new(DestinationEntry { destination, secrets: own, signer, tls }))
        })
        .collect()
}

/// Whether the identity's secret is there and may go there is seen at every send.
fn client_tls(tls: &TlsSpec, secrets: &HashMap<String, OpenSecret>) -> Result<Arc<ClientTls>, String> {
    let secret = tls.identity.as_ref().and_then(|name| secrets.get(name));
    let identity = secret.and_then(|secret| secret.values.first()).map(SecretBytes::expose);
    ClientTls::new(tls.ca.as_deref(), identity).map(Arc::new)
}

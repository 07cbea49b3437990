//! `creel apply`: makes a tenant look like a file says.
//!
//! Read ([`super::manifest`]), plan (compare with what the host has), carry out (in an order in which every name exists
//! before it is used). Nothing is printed and nothing is asked here. Applying twice changes nothing the second time; what
//! the file doesn't mention stays, unless pruning is asked for. A tenant's limits are an operator's and never pruned.

mod check;

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context as _;
use creel_webhook::plugin::Digest;
use creel_webhook::tenant::{TENANT_LIMITS, TenantLimits};
use serde::Serialize;
use serde_json::{Value, json};

pub use self::check::Unknown;

use self::check::Known;
use super::client::{Client, ClientError, ClientResult, NewVersion, Resource, TenantClient};
use super::manifest::{self, Manifest, PluginWanted, SecretWanted};
use crate::api::{Change, DeploymentView, DestinationView, PluginView, RouteView, SecretView, SourceView, TenantView};
use crate::spec::notices::NoticesSpec;

/// How a file is applied.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The tenant, when the file names none.
    pub tenant: String,
    /// Only plan.
    pub dry_run: bool,
    /// Also remove what the file does not mention (plugins stay: their versions are history).
    pub prune: bool,
}

/// What is to happen to a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Planned {
    /// It is made.
    Create,
    /// It is changed.
    Change,
    /// It stays.
    Same,
    /// It is removed.
    Remove,
}

impl Planned {
    /// The sign in front of a line of the plan.
    pub fn sign(self) -> char {
        match self {
            Planned::Create => '+',
            Planned::Change => '~',
            Planned::Same => '=',
            Planned::Remove => '-',
        }
    }
}

impl From<Change> for Planned {
    fn from(change: Change) -> Self {
        match change {
            Change::Created => Planned::Create,
            Change::Changed => Planned::Change,
            Change::Unchanged => Planned::Same,
        }
    }
}

/// A line of the plan.
#[derive(Serialize)]
pub struct Step {
    /// What happens.
    pub change: Planned,
    /// What kind of thing it is.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Which fields change.
    pub fields: Vec<String>,
    /// What to mind: before it is done, that a plugin goes back to what it was; once it is done, what it reaches for and is not
    /// granted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    #[serde(skip)]
    action: Action,
}

impl Step {
    fn new(change: Planned, kind: &'static str, name: &str, fields: Vec<String>, action: Action) -> Step {
        Step { change, kind, name: name.to_owned(), fields, warnings: Vec::new(), action }
    }
}

enum Action {
    Tenant(Value),
    Secret(Value),
    Source(Value),
    Destination(Value),
    Plugin(PluginWanted),
    Route(Value),
    Notices(Value),
    Remove,
}

/// What applying a file means.
#[derive(Serialize)]
pub struct Plan {
    /// The tenant.
    pub tenant: String,
    /// Its steps, in order.
    pub steps: Vec<Step>,
}

impl Plan {
    /// How many things are not as the file says.
    pub fn changes(&self) -> usize {
        self.to_do().len()
    }

    /// The places of the steps that change something, in order.
    pub fn to_do(&self) -> Vec<usize> {
        self.steps.iter().enumerate().filter(|(_, step)| step.change != Planned::Same).map(|(at, _)| at).collect()
    }
}

/// Reads a file, plans, and unless it is a dry run carries the plan out.
///
/// # Errors
/// When the file is wrong or the host says no; what was done before a refusal stays done, and applying goes on from there.
#[allow(clippy::disallowed_methods, reason = "a file may name variables of the environment for its secrets")]
pub async fn apply_file(client: &Client, file: &Path, options: &Options) -> anyhow::Result<Plan> {
    let wanted = manifest::load(file, &|name| std::env::var(name).ok())?;
    let mut plan = plan(client, wanted, options).await?;
    if !options.dry_run {
        for at in plan.to_do() {
            carry_out(client, &mut plan, at).await?;
        }
    }
    Ok(plan)
}

/// Compares what is wanted with what the host has.
///
/// # Errors
/// [`ClientError`], and [`Unknown`] with every name that nothing bears.
pub async fn plan(client: &Client, wanted: Manifest, options: &Options) -> anyhow::Result<Plan> {
    let name = wanted.tenant.clone().unwrap_or_else(|| options.tenant.clone());
    if name.is_empty() {
        let detail = "no tenant is named: write `tenant = \"…\"` into the file, or give --tenant or CREEL_TENANT";
        return Err(ClientError::Setup(detail.to_owned()).into());
    }
    let tenant = client.tenant(&name);
    let before = about(&tenant).await?;
    let is_there = before.is_some();
    let now = if is_there { Current::read(&tenant).await? } else { Current::default() };
    check::names(&wanted, &now.known())?;
    let mut steps = vec![tenant_step(client, &name, before.as_ref(), wanted.limits).await?];
    let removals = if options.prune { now.removals(&wanted) } else { Vec::new() };
    for secret in wanted.secrets {
        steps.push(secret_step(&tenant, is_there, secret).await?);
    }
    for spec in &wanted.sources {
        let before = now.sources.iter().find(|one| one.name == spec.name).map(|one| &one.spec);
        steps.push(step("source", &spec.name, before, spec, Action::Source));
    }
    for spec in &wanted.destinations {
        let before = now.destinations.iter().find(|one| one.name == spec.name).map(|one| &one.spec);
        steps.push(step("destination", &spec.name, before, spec, Action::Destination));
    }
    for plugin in wanted.plugins {
        let before = now.plugins.iter().find(|one| one.name == plugin.name);
        steps.push(plugin_step(&tenant, is_there, before, plugin).await?);
    }
    for spec in &wanted.routes {
        let before = now.routes.iter().find(|one| one.name == spec.name).map(|one| &one.spec);
        steps.push(step("route", &spec.name, before, spec, Action::Route));
    }
    if let Some(spec) = &wanted.notices {
        steps.push(step("notices", &spec.destination, now.notices.as_ref(), spec, Action::Notices));
    }
    steps.extend(removals);
    Ok(Plan { tenant: name, steps })
}

/// Does the step of a plan at this place.
///
/// # Errors
/// [`ClientError`] when it was refused, with its name and how much was done before it.
pub async fn carry_out(client: &Client, plan: &mut Plan, at: usize) -> anyhow::Result<()> {
    let to_do = plan.to_do();
    let (tenant, all, before) =
        (client.tenant(&plan.tenant), to_do.len(), to_do.iter().filter(|one| **one < at).count());
    let Some(step) = plan.steps.get_mut(at) else { return Ok(()) };
    step.warnings = change(client, &tenant, step).await.with_context(|| {
        let (kind, name) = (step.kind, &step.name);
        format!("{kind} `{name}` ({before} of {all} changes are made; mend the file and apply it again)")
    })?;
    Ok(())
}

/// Does one step; gives what the host warns of.
async fn change(client: &Client, tenant: &TenantClient, step: &Step) -> ClientResult<Vec<String>> {
    match &step.action {
        Action::Tenant(document) => drop(client.tenant_put(&step.name, document).await?),
        Action::Secret(document) => drop(tenant.put::<SecretView>(&step.name, document).await?),
        Action::Source(spec) => drop(tenant.put::<SourceView>(&step.name, spec).await?),
        Action::Destination(spec) => drop(tenant.put::<DestinationView>(&step.name, spec).await?),
        Action::Route(spec) => drop(tenant.put::<RouteView>(&step.name, spec).await?),
        Action::Notices(spec) => drop(tenant.notices_put(spec).await?),
        Action::Plugin(plugin) => return deploy(tenant, plugin).await,
        Action::Remove => remove(tenant, step).await?,
    }
    Ok(Vec::new())
}

/// What the host has.
#[derive(Default)]
struct Current {
    secrets: Vec<SecretView>,
    sources: Vec<SourceView>,
    destinations: Vec<DestinationView>,
    plugins: Vec<PluginView>,
    routes: Vec<RouteView>,
    notices: Option<NoticesSpec>,
}

impl Current {
    fn known(&self) -> Known {
        Known {
            secrets: self.secrets.iter().map(|one| one.name.clone()).collect(),
            sources: self.sources.iter().map(|one| one.name.clone()).collect(),
            destinations: self.destinations.iter().map(|one| one.name.clone()).collect(),
            plugins: self.plugins.iter().map(|one| one.name.clone()).collect(),
        }
    }

    async fn read(tenant: &TenantClient) -> ClientResult<Self> {
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
    fn removals(&self, wanted: &Manifest) -> Vec<Step> {
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

async fn about(tenant: &TenantClient) -> ClientResult<Option<TenantView>> {
    match tenant.about().await {
        Ok(tenant) => Ok(Some(tenant)),
        Err(ClientError::Refused(problem)) if problem.status == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

/// The tenant with its limits. The host is asked first whether they are within the operator's ceilings, which it alone knows,
/// so that a file that goes beyond them changes nothing.
async fn tenant_step(
    client: &Client,
    name: &str,
    before: Option<&TenantView>,
    wanted: Option<TenantLimits>,
) -> ClientResult<Step> {
    let had = before.map(|tenant| tenant.limits).unwrap_or_default();
    let wanted_or_had = wanted.unwrap_or(had);
    let differing = TENANT_LIMITS.iter().filter(|limit| (limit.own)(&had) != (limit.own)(&wanted_or_had));
    let differing: Vec<_> = differing.map(|limit| format!("limits.{}", limit.name)).collect();
    let document = wanted.map_or_else(|| json!({}), |limits| json!({ "limits": limits }));
    let (change, fields) = match before {
        Some(_) if differing.is_empty() => (Planned::Same, Vec::new()),
        Some(_) => (Planned::Change, differing),
        None => (Planned::Create, Vec::new()),
    };
    if wanted.is_some() && change != Planned::Same {
        client.tenant_would_put(name, &document).await?;
    }
    Ok(Step::new(change, "tenant", name, fields, Action::Tenant(document)))
}

async fn secret_step(tenant: &TenantClient, is_there: bool, secret: SecretWanted) -> ClientResult<Step> {
    let SecretWanted { name, document } = secret;
    let change =
        if is_there { tenant.would_put::<SecretView>(&name, &document).await?.result.into() } else { Planned::Create };
    Ok(Step::new(change, "secret", &name, Vec::new(), Action::Secret(document)))
}

async fn plugin_step(
    tenant: &TenantClient,
    is_there: bool,
    before: Option<&PluginView>,
    plugin: PluginWanted,
) -> ClientResult<Step> {
    let active = before.and_then(|before| before.active.as_ref());
    let (mut fields, mut warnings) = (Vec::new(), Vec::new());
    if is_there {
        // The digest is of the component as the host keeps it, so only the host can say it.
        let version = tenant.upload(&plugin.name, plugin.component.clone(), true).await?.resource;
        if let Some(active) = active {
            let differences = [
                ("component", active.digest != version.digest),
                ("config", active.config != plugin.config),
                ("grants", active.grants != plugin.grants),
            ];
            fields.extend(differences.iter().filter(|(_, differs)| *differs).map(|(name, _)| (*name).to_owned()));
            if active.digest != version.digest {
                warnings.extend(goes_back(tenant, &plugin.name, active, version.digest).await?);
            }
        }
    }
    let change = match (active, fields.is_empty()) {
        (None, _) if before.is_none() => Planned::Create,
        (Some(_), true) => Planned::Same,
        _ => Planned::Change,
    };
    let name = plugin.name.clone();
    Ok(Step { warnings, ..Step::new(change, "plugin", &name, fields, Action::Plugin(plugin)) })
}

/// What to say when a file's component is one that ran before: somebody deployed another since, perhaps from the same sources.
async fn goes_back(
    tenant: &TenantClient,
    plugin: &str,
    active: &DeploymentView,
    digest: Digest,
) -> ClientResult<Option<String>> {
    let all = tenant.deployments(plugin).await?;
    let before =
        all.iter().filter(|one| one.digest == digest && one.number < active.number).max_by_key(|one| one.number);
    Ok(before.map(|before| {
        let (old, new) = (before.number, active.number);
        format!(
            "its component is that of deployment {old}, and {new} runs: this goes back, unless the file is built anew"
        )
    }))
}

fn step<T: Serialize + PartialEq>(
    kind: &'static str,
    name: &str,
    before: Option<&T>,
    after: &T,
    action: fn(Value) -> Action,
) -> Step {
    let document = |spec: &T| serde_json::to_value(spec).unwrap_or_default();
    let (change, fields) = match before {
        None => (Planned::Create, Vec::new()),
        Some(before) if before == after => (Planned::Same, Vec::new()),
        Some(before) => (Planned::Change, differing(&document(before), &document(after))),
    };
    Step::new(change, kind, name, fields, action(document(after)))
}

fn differing(before: &Value, after: &Value) -> Vec<String> {
    let keys = |value: &Value| value.as_object().map(|map| map.keys().cloned().collect::<BTreeSet<_>>());
    let all = keys(before).unwrap_or_default().into_iter().chain(keys(after).unwrap_or_default());
    let all: BTreeSet<String> = all.collect();
    all.into_iter().filter(|key| before.get(key) != after.get(key)).collect()
}

async fn deploy(tenant: &TenantClient, plugin: &PluginWanted) -> ClientResult<Vec<String>> {
    tenant.put::<PluginView>(&plugin.name, &json!({})).await?;
    let digest = tenant.upload(&plugin.name, plugin.component.clone(), false).await?.resource.digest;
    let (config, grants) = (plugin.config.clone(), plugin.grants.clone());
    let put = tenant.deploy(&plugin.name, &NewVersion { digest, config, grants, activate: true }).await?;
    Ok(put.resource.warnings)
}

async fn remove(tenant: &TenantClient, step: &Step) -> ClientResult<()> {
    async fn of<R: Resource>(tenant: &TenantClient, name: &str) -> ClientResult<()> {
        tenant.delete::<R>(name).await
    }
    match step.kind {
        "notices" => tenant.notices_delete().await.map(drop),
        "route" => of::<RouteView>(tenant, &step.name).await,
        "source" => of::<SourceView>(tenant, &step.name).await,
        "destination" => of::<DestinationView>(tenant, &step.name).await,
        _ => of::<SecretView>(tenant, &step.name).await,
    }
}

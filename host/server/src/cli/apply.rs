//! `creel apply`: makes a tenant look like a file says.
//!
//! Read ([`super::manifest`]), plan (compare with what the host has, and ask it what it would say), carry out (in an order in
//! which every name exists before it is used). Nothing is printed and nobody is asked here. Whatever can be known to be wrong is
//! told before the first step. Applying twice changes nothing the second time; what the file doesn't mention stays, unless
//! pruning is asked for. A tenant's limits are an operator's and never pruned.

mod asking;
mod check;
mod current;
mod steps;

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context as _;
use creel_webhook::tenant::{TENANT_LIMITS, TenantLimits, check_name};
use serde::Serialize;
use serde_json::{Value, json};

pub use self::steps::{Plan, Planned, Step};

use self::asking::Asking;
use self::current::Current;
use self::steps::{Action, placeholders};
use super::client::{Client, ClientError, ClientResult, NewVersion, Resource, TenantClient};
use super::manifest::{self, Manifest, PluginWanted};
use crate::api::{DestinationView, PluginView, RouteView, SecretView, SourceView, TenantView};

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

/// Compares what is wanted with what the host has, and asks the host what it would say.
///
/// # Errors
/// [`ClientError`], and [`manifest::ManifestError`] with everything that the host would refuse, by its line.
pub async fn plan(client: &Client, wanted: Manifest, options: &Options) -> anyhow::Result<Plan> {
    let name = wanted.tenant.clone().unwrap_or_else(|| options.tenant.clone());
    if name.is_empty() {
        let detail = "no tenant is named: write `tenant = \"…\"` into the file, or give --tenant or CREEL_TENANT";
        return Err(ClientError::Setup(detail.to_owned()).into());
    }
    check_name(&name).map_err(|error| ClientError::Setup(format!("the tenant's name {error}")))?;
    let tenant = client.tenant(&name);
    let before = about(&tenant).await?;
    let now = if before.is_some() { Current::read(&tenant).await? } else { Current::default() };
    let mistakes = check::mistakes(&wanted, &now);
    let mut steps = vec![tenant_step(client, &name, before.as_ref(), wanted.limits).await?];
    let removals = if options.prune { now.removals(&wanted) } else { Vec::new() };
    let secrets = wanted.secrets.iter().map(|one| one.name.clone()).collect();
    let mut host = Asking { tenant: &tenant, dry_run: options.dry_run, secrets, refused: mistakes };
    for secret in wanted.secrets {
        let is_known = now.secrets.iter().any(|one| one.name == secret.name);
        steps.push(host.secret(is_known, secret).await?);
    }
    for spec in &wanted.sources {
        let before = now.sources.iter().find(|one| one.name == spec.name).map(|one| &one.spec);
        let step = step("source", &spec.name, before, spec, Action::Source);
        host.source(&step, spec).await?;
        steps.push(step);
    }
    for spec in &wanted.destinations {
        let before = now.destinations.iter().find(|one| one.name == spec.name);
        let mut step = step("destination", &spec.name, before.map(|one| &one.spec), spec, Action::Destination);
        host.destination(&mut step, before, spec).await?;
        steps.push(step);
    }
    for plugin in wanted.plugins {
        let before = now.plugins.iter().find(|one| one.name == plugin.name);
        steps.push(host.plugin(before, plugin).await?);
    }
    for spec in &wanted.routes {
        let before = now.routes.iter().find(|one| one.name == spec.name).map(|one| &one.spec);
        steps.push(step("route", &spec.name, before, spec, Action::Route));
    }
    if let Some(spec) = &wanted.notices {
        steps.push(step("notices", &spec.destination, now.notices.as_ref(), spec, Action::Notices));
    }
    steps.extend(removals);
    if !host.refused.is_empty() {
        return Err(wanted.written.wrong(host.refused).into());
    }
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
    let (document, mut warnings) = (document(after), Vec::new());
    placeholders("", &document, &mut warnings);
    Step { warnings, ..Step::new(change, kind, name, fields, action(document)) }
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

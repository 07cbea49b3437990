//! Plugins: uploads pass the gate, deployments are numbered, one is active.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use creel_store::contract::{Control, NewComponent, NewDeployment};
use creel_webhook::id::TenantId;
use creel_webhook::plugin::{Deployment, Digest, Plugin};

use super::access::{PlanScope, Scope};
use super::body::{self, Document};
use super::problem::Refusal;
use super::query::Query;
use super::state::{Desk, UploadRefusal};
use super::views;
use crate::api::{Change, DeploymentView, List, PluginView, VersionView};
use crate::spec;
use crate::spec::fields::{Mistake, escape};
use crate::spec::plugin::DeploymentSpec;

/// Media types that an upload may have.
const COMPONENT_TYPES: [&str; 2] = ["application/wasm", "application/octet-stream"];

/// `GET …/plugins`.
pub async fn list(State(desk): State<Desk>, scope: Scope) -> Result<Json<List<PluginView>>, Refusal> {
    let control = desk.control().await?;
    let own = control.plugins.iter().filter(|plugin| plugin.tenant == scope.tenant.id);
    Ok(body::list(own.map(|plugin| views::plugin(plugin, &control)).collect()))
}

/// `GET …/plugins/{plugin}`.
pub async fn get(
    State(desk): State<Desk>,
    scope: Scope,
    Path((_, name)): Path<(String, String)>,
) -> Result<Json<PluginView>, Refusal> {
    let control = desk.control().await?;
    Ok(Json(views::plugin(named(&control, scope.tenant.id, &name)?, &control)))
}

/// `PUT …/plugins/{plugin}`: makes it; there is nothing to change about it.
pub async fn put(
    State(desk): State<Desk>,
    scope: Scope,
    Path((_, name)): Path<(String, String)>,
    Document(document): Document,
) -> Result<Response, Refusal> {
    let name = spec::plugin::read(&name, document)?;
    let _turn = desk.turn().await;
    let control = desk.control().await?;
    if let Ok(plugin) = named(&control, scope.tenant.id, &name) {
        return Ok(body::put(Change::Unchanged, views::plugin(plugin, &control)));
    }
    let plugin = Plugin { id: desk.id(), tenant: scope.tenant.id, name, active: None };
    desk.store().plugin_put(plugin.clone()).await?;
    Ok(body::put(Change::Created, views::plugin(&plugin, &control)))
}

/// `DELETE …/plugins/{plugin}`: with its deployments and what it remembers; refused while something can still run it.
pub async fn delete(
    State(desk): State<Desk>,
    scope: Scope,
    Path((_, name)): Path<(String, String)>,
) -> Result<StatusCode, Refusal> {
    let turn = desk.turn().await;
    let tenant = scope.tenant.id;
    let control = desk.control().await?;
    let plugin = named(&control, tenant, &name)?.id;
    let routes: Vec<_> =
        control.routes.iter().filter(|one| one.plugin == plugin).map(|one| one.name.as_str()).collect();
    if !routes.is_empty() {
        let routes = routes.join("`, `");
        return Err(Refusal::Conflict(format!("the route `{routes}` leads to the plugin `{name}`; remove that first")));
    }
    let deployments = desk.store().deployment_list(tenant, plugin).await?;
    desk.store().plugin_delete(tenant, plugin).await?;
    drop(turn);
    // What was compiled of it goes too, unless another has the same.
    let digests: BTreeSet<Digest> = deployments.into_iter().map(|one| one.digest).collect();
    for digest in digests {
        (desk.admin.forget_stray)(digest).await;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// `PUT …/plugins/{plugin}/versions`: takes a component, or a core module that it wraps; answers its digest.
///
/// With `?dry_run=true` the gate looks at it and nothing is kept; the plugin need not exist.
pub async fn upload(
    State(desk): State<Desk>,
    PlanScope(scope): PlanScope,
    Path((_, name)): Path<(String, String)>,
    mut query: Query,
    request: Request,
) -> Result<Response, Refusal> {
    let dry_run = query.flag("dry_run");
    query.done()?;
    if !dry_run {
        named(&*desk.control().await?, scope.tenant.id, &name)?;
    }
    if !body::media_type(&request).is_some_and(|given| COMPONENT_TYPES.contains(&given.as_str())) {
        return Err(Refusal::MediaType(COMPONENT_TYPES[0]));
    }
    let mut body = request.into_body();
    let per_minute = desk.ceilings.holds(&scope.tenant.limits).uploads_per_minute;
    let _turn = match desk.uploads.turn(scope.tenant.id, per_minute, desk.now()).await {
        Ok(turn) => turn,
        Err(refusal) => {
            body::discard(&mut body).await;
            return Err(refusal);
        }
    };
    let held = body::read_upload(body, desk.admin.component_bytes_max, desk.uploads.budget()).await?;
    let uploaded = (desk.admin.upload_gate)(held.bytes.clone())
        .await
        .map_err(|UploadRefusal { status, title, detail }| Refusal::Upload { status, title, detail })?;
    let (tenant, digest) = (scope.tenant.id, uploaded.digest);
    let is_new = if dry_run {
        desk.store().component_read(tenant, digest).await?.is_none()
    } else {
        keep(&desk, tenant, digest, uploaded.upload).await?
    };
    let view = VersionView { digest, imports: uploaded.imports, bytes: uploaded.bytes };
    Ok(body::put(if is_new { Change::Created } else { Change::Unchanged }, view))
}

/// Keeps a component that passed; true when it was not there. Where it can't be kept (no room, a tenant that was removed
/// meanwhile), what it was compiled to goes too.
async fn keep(desk: &Desk, tenant: TenantId, digest: Digest, bytes: Bytes) -> Result<bool, Refusal> {
    let (room_bytes, now) = (desk.admin.components_bytes_max, desk.now());
    // Nobody deploys meanwhile what is to make room.
    let turn = desk.turn().await;
    let kept = desk.store().component_put(NewComponent { tenant, digest, bytes, room_bytes, now }).await;
    drop(turn);
    if kept.is_err() {
        (desk.admin.forget_stray)(digest).await;
    }
    Ok(kept?)
}

/// `GET …/plugins/{plugin}/versions/{digest}`: an upload as it came; 410 once it has made room for others.
pub async fn download(
    State(desk): State<Desk>,
    scope: Scope,
    Path((_, name, digest)): Path<(String, String, String)>,
) -> Result<Response, Refusal> {
    let plugin = named(&*desk.control().await?, scope.tenant.id, &name)?.id;
    let deployments = desk.store().deployment_list(scope.tenant.id, plugin).await?;
    let digest = digest.parse().ok().filter(|digest| deployments.iter().any(|one| one.digest == *digest));
    let digest = digest.ok_or_else(|| {
        Refusal::NotFound(format!("`{name}` has no deployment of that version; GET …/deployments lists them"))
    })?;
    let upload = desk.store().component_read(scope.tenant.id, digest).await?;
    let upload = upload.ok_or_else(|| Refusal::Gone("this version has made room for others".to_owned()))?;
    Ok(body::raw(upload))
}

/// `GET …/plugins/{plugin}/deployments`, newest first.
pub async fn deployments(
    State(desk): State<Desk>,
    scope: Scope,
    Path((_, name)): Path<(String, String)>,
) -> Result<Json<List<DeploymentView>>, Refusal> {
    let control = desk.control().await?;
    let plugin = named(&control, scope.tenant.id, &name)?;
    let all = desk.store().deployment_list(scope.tenant.id, plugin.id).await?;
    Ok(body::list(all.iter().map(|one| views::deployment(one, plugin.active)).collect()))
}

/// `POST …/plugins/{plugin}/deployments`: the same as what is active (or newest, without `activate`) is `unchanged`. What
/// the one that runs lacks too is not told again: components of some languages import everything that there is.
pub async fn deploy(
    State(desk): State<Desk>,
    scope: Scope,
    Path((_, name)): Path<(String, String)>,
    Document(document): Document,
) -> Result<Response, Refusal> {
    let spec = spec::plugin::read_deployment(document)?;
    let _turn = desk.turn().await;
    let control = desk.control().await?;
    let plugin = named(&control, scope.tenant.id, &name)?;
    check(&desk, &control, scope.tenant.id, &spec).await?;
    let all = desk.store().deployment_list(scope.tenant.id, plugin.id).await?;
    let running = all.iter().find(|one| Some(one.number) == plugin.active);
    let rival = if spec.activate { running } else { all.first() };
    if let Some(same) = rival.filter(|one| is_same(one, &spec)) {
        return Ok(body::put(Change::Unchanged, views::deployment(same, plugin.active)));
    }
    let DeploymentSpec { digest, config, grants, activate } = spec;
    let deployment = Deployment {
        id: desk.id(),
        tenant: scope.tenant.id,
        plugin: plugin.id,
        number: 0,
        digest,
        config,
        grants,
        created_at: desk.now(),
    };
    let made = desk.store().deployment_create(NewDeployment { deployment, activate }).await?;
    let active = if activate { Some(made.number) } else { plugin.active };
    let warnings = news(&desk, running.or(all.first()), &made).await;
    Ok(body::put(Change::Created, DeploymentView { warnings, ..views::deployment(&made, active) }))
}

/// `POST …/plugins/{plugin}/deployments/{number}/activate`: rollback, or forward.
pub async fn activate(
    State(desk): State<Desk>,
    scope: Scope,
    Path((_, name, number)): Path<(String, String, String)>,
) -> Result<Json<DeploymentView>, Refusal> {
    let _turn = desk.turn().await;
    let control = desk.control().await?;
    let plugin = named(&control, scope.tenant.id, &name)?;
    let all = desk.store().deployment_list(scope.tenant.id, plugin.id).await?;
    let found = number.parse().ok().and_then(|number: u32| all.iter().find(|one| one.number == number));
    let found = found.ok_or_else(|| {
        Refusal::NotFound(format!("the plugin `{name}` has no deployment `{number}`; GET …/deployments lists them"))
    })?;
    if desk.store().component_read(scope.tenant.id, found.digest).await?.is_none() {
        return Err(Refusal::Conflict(format!(
            "the component {} of deployment {number} made room for others (`tenant.components_bytes_max`); upload it again, \
             then activate",
            found.digest
        )));
    }
    desk.store().deployment_activate(scope.tenant.id, plugin.id, found.number).await?;
    Ok(Json(views::deployment(found, Some(found.number))))
}

/// The plugin of this name.
///
/// # Errors
/// 404.
pub fn named<'a>(control: &'a Control, tenant: TenantId, name: &str) -> Result<&'a Plugin, Refusal> {
    control
        .plugins
        .iter()
        .find(|plugin| plugin.tenant == tenant && plugin.name == name)
        .ok_or_else(|| Refusal::NotFound(format!("there is no plugin `{name}`; PUT …/plugins/{name} makes it")))
}

/// What a deployment's component reaches for and is not granted.
async fn warnings(desk: &Desk, deployment: &Deployment) -> Vec<String> {
    deployment.grants.lacking(&(desk.admin.imports_of)(deployment.tenant, deployment.digest).await)
}

/// What of it is new since the deployment before.
async fn news(desk: &Desk, before: Option<&Deployment>, made: &Deployment) -> Vec<String> {
    let mut warnings = warnings(desk, made).await;
    if let Some(before) = before.filter(|_| !warnings.is_empty()) {
        let known = self::warnings(desk, before).await;
        warnings.retain(|warning| !known.contains(warning));
    }
    warnings
}

fn is_same(one: &Deployment, spec: &DeploymentSpec) -> bool {
    one.digest == spec.digest && one.config == spec.config && one.grants == spec.grants
}

async fn check(desk: &Desk, control: &Control, tenant: TenantId, spec: &DeploymentSpec) -> Result<(), Refusal> {
    let mut mistakes = Vec::new();
    if desk.store().component_read(tenant, spec.digest).await?.is_none() {
        let detail = format!("no version {} has been uploaded; PUT …/versions first", spec.digest);
        mistakes.push(Mistake::new("/digest", detail));
    }
    let unknown = |name: &str| !control.destinations.iter().any(|one| one.tenant == tenant && one.spec.name == name);
    let detail = |name: &str| format!("there is no destination `{name}`; PUT …/destinations/{name} first");
    for (index, name) in spec.grants.destinations.iter().enumerate().filter(|(_, name)| unknown(name)) {
        mistakes.push(Mistake::new(format!("/grants/destinations/{index}"), detail(name)));
    }
    for name in spec.grants.fetch.keys().filter(|name| unknown(name)) {
        mistakes.push(Mistake::new(format!("/grants/fetch/{}", escape(name)), detail(name)));
    }
    if mistakes.is_empty() { Ok(()) } else { Err(Refusal::Invalid(mistakes)) }
}

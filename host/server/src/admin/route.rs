//! Routes: a source's event types bound to a plugin; at most one may answer the sender.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use creel_store::contract::Control;
use creel_webhook::id::TenantId;
use creel_webhook::route::{Mode, Route, check_reply_routes};

use super::access::Scope;
use super::body::{self, Document};
use super::problem::Refusal;
use super::query::Query;
use super::state::Desk;
use super::views::{self, Names};
use super::{plugin, source};
use crate::api::{List, RouteView};
use crate::spec;
use crate::spec::fields::Mistake;

/// `GET …/routes`.
pub async fn list(State(desk): State<Desk>, scope: Scope) -> Result<Json<List<RouteView>>, Refusal> {
    let control = desk.control().await?;
    let names = Names::new(&control, scope.tenant.id);
    let own = control.routes.iter().filter(|route| route.tenant == scope.tenant.id);
    Ok(body::list(own.map(|route| views::route(route, names)).collect()))
}

/// `GET …/routes/{route}`.
pub async fn get(
    State(desk): State<Desk>,
    scope: Scope,
    Path((_, name)): Path<(String, String)>,
) -> Result<Json<RouteView>, Refusal> {
    let control = desk.control().await?;
    let route = named(&control, scope.tenant.id, &name)?;
    Ok(Json(views::route(route, Names::new(&control, scope.tenant.id))))
}

/// `PUT …/routes/{route}`: makes or replaces it.
pub async fn put(
    State(desk): State<Desk>,
    scope: Scope,
    Path((_, name)): Path<(String, String)>,
    mut query: Query,
    Document(document): Document,
) -> Result<Response, Refusal> {
    let dry_run = query.flag("dry_run");
    query.done()?;
    let spec = spec::route::read(&name, document)?;
    let _turn = desk.turn().await;
    let control = desk.control().await?;
    let tenant = scope.tenant.id;
    let source = source::named(&control, tenant, &spec.source).ok();
    let plugin = plugin::named(&control, tenant, &spec.plugin).ok();
    let (Some(source), Some(plugin)) = (source, plugin) else {
        return Err(Refusal::Invalid(missing(&spec, source.is_none(), plugin.is_none())));
    };
    let before = named(&control, tenant, &name).ok();
    let after = Route {
        id: before.map_or_else(|| desk.id(), |before| before.id),
        tenant,
        name: spec.name,
        source: source.id,
        pattern: spec.pattern,
        plugin: plugin.id,
        mode: spec.mode,
        late: spec.late,
        paused: before.is_some_and(|before| before.paused),
    };
    check_replies(&control, &after)?;
    if before != Some(&after) && !dry_run {
        desk.store().route_put(after.clone()).await?;
    }
    Ok(body::put(body::change(before, &after), views::route(&after, Names::new(&control, tenant))))
}

/// `DELETE …/routes/{route}`: its pending runs end.
pub async fn delete(
    State(desk): State<Desk>,
    scope: Scope,
    Path((_, name)): Path<(String, String)>,
) -> Result<StatusCode, Refusal> {
    let _turn = desk.turn().await;
    let id = named(&*desk.control().await?, scope.tenant.id, &name)?.id;
    desk.store().route_delete(scope.tenant.id, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST …/routes/{route}/pause`: its runs wait.
pub async fn pause(
    State(desk): State<Desk>,
    scope: Scope,
    Path((_, name)): Path<(String, String)>,
) -> Result<Json<RouteView>, Refusal> {
    set_paused(&desk, &scope, &name, true).await
}

/// `POST …/routes/{route}/resume`.
pub async fn resume(
    State(desk): State<Desk>,
    scope: Scope,
    Path((_, name)): Path<(String, String)>,
) -> Result<Json<RouteView>, Refusal> {
    set_paused(&desk, &scope, &name, false).await
}

async fn set_paused(desk: &Desk, scope: &Scope, name: &str, paused: bool) -> Result<Json<RouteView>, Refusal> {
    let _turn = desk.turn().await;
    let control = desk.control().await?;
    let before = named(&control, scope.tenant.id, name)?;
    let after = Route { paused, ..before.clone() };
    if *before != after {
        desk.store().route_put(after.clone()).await?;
    }
    Ok(Json(views::route(&after, Names::new(&control, scope.tenant.id))))
}

fn named<'a>(control: &'a Control, tenant: TenantId, name: &str) -> Result<&'a Route, Refusal> {
    control
        .routes
        .iter()
        .find(|route| route.tenant == tenant && route.name == name)
        .ok_or_else(|| Refusal::NotFound(format!("there is no route `{name}`; GET …/routes lists them")))
}

fn missing(spec: &spec::route::RouteSpec, source: bool, plugin: bool) -> Vec<Mistake> {
    let source = source.then(|| {
        let name = &spec.source;
        Mistake::new("/source", format!("there is no source `{name}`; PUT …/sources/{name} first"))
    });
    let plugin = plugin.then(|| {
        let name = &spec.plugin;
        Mistake::new("/plugin", format!("there is no plugin `{name}`; PUT …/plugins/{name} first"))
    });
    source.into_iter().chain(plugin).collect()
}

fn check_replies(control: &Control, after: &Route) -> Result<(), Refusal> {
    if after.mode != Mode::Reply {
        return Ok(());
    }
    let others = control.routes.iter().filter(|route| route.source == after.source && route.id != after.id);
    let replying = others.chain([after]).filter(|route| route.mode == Mode::Reply);
    check_reply_routes(replying.map(|route| (route.name.as_str(), &route.pattern)))
        .map_err(|error| Refusal::Invalid(vec![Mistake::new("/pattern", error.to_string())]))
}

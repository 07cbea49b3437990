//! Tenants.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use creel_webhook::tenant::Tenant;

use super::access::Scope;
use super::body::{self, Document};
use super::problem::Refusal;
use super::query::Query;
use super::state::Desk;
use super::views;
use crate::api::{List, TenantView};
use crate::spec;
use crate::spec::fields::Mistake;

/// `GET /v1/tenants`: all, those that are being removed last.
pub async fn list(State(desk): State<Desk>) -> Result<Json<List<TenantView>>, Refusal> {
    let control = desk.control().await?;
    let leaving = control.leaving.iter().map(views::leaving);
    Ok(body::list(control.tenants.iter().map(views::tenant).chain(leaving).collect()))
}

/// `PUT /v1/tenants/{tenant}`: makes it or changes its limits.
pub async fn put(
    State(desk): State<Desk>,
    Path(name): Path<String>,
    mut query: Query,
    Document(document): Document,
) -> Result<Response, Refusal> {
    let dry_run = query.flag("dry_run");
    query.done()?;
    let spec = spec::tenant::read(&name, document, &desk.ceilings)?;
    let _turn = desk.turn().await;
    let control = desk.control().await?;
    let before = control.tenants.iter().find(|tenant| tenant.name == spec.name);
    let after = Tenant {
        id: before.map_or_else(|| desk.id(), |before| before.id),
        name: spec.name,
        created_at: before.map_or_else(|| desk.now(), |before| before.created_at),
        limits: spec.limits,
    };
    let change = body::change(before, &after);
    if before != Some(&after) && !dry_run {
        desk.store().tenant_put(after.clone()).await?;
    }
    Ok(body::put(change, views::tenant(&after)))
}

/// `GET /v1/tenants/{tenant}`.
pub async fn get(scope: Scope) -> Json<TenantView> {
    Json(views::tenant(&scope.tenant))
}

/// `DELETE /v1/tenants/{tenant}?confirm=`: removes it with everything that was ever stored for it. The name is said twice, because
/// a path that was cut short must not remove a tenant. 202: nobody sees it any more, and the list of tenants has it until the
/// last of it is gone.
pub async fn delete(
    State(desk): State<Desk>,
    Path(name): Path<String>,
    mut query: Query,
) -> Result<(StatusCode, Json<TenantView>), Refusal> {
    let confirmed = query.read("confirm", |text| Ok(text.to_owned()));
    query.done()?;
    if confirmed.as_deref() != Some(&name) {
        let what = format!("everything of `{name}` goes for good; say its name once more: `?confirm={name}`");
        return Err(Refusal::Query(vec![Mistake::new("?confirm", what)]));
    }
    let _turn = desk.turn().await;
    let control = desk.control().await?;
    if let Some(tenant) = control.tenants.iter().find(|tenant| tenant.name == name) {
        desk.store().tenant_leave(tenant.id, desk.now()).await?;
    }
    let control = desk.control().await?;
    let leaving = control.leaving.iter().find(|leaving| leaving.tenant.name == name);
    let missing = || Refusal::NotFound(format!("there is no tenant `{name}`; GET /v1/tenants lists them"));
    let leaving = leaving.ok_or_else(missing)?;
    Ok((StatusCode::ACCEPTED, Json(views::leaving(leaving))))
}

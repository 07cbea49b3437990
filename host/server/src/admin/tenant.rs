//! Tenants and the keys of tenants and operators.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use creel_webhook::id::{KeyId, TenantId};
use creel_webhook::tenant::Tenant;

use super::access::Scope;
use super::body::{self, Document};
use super::key::{self, KeyFor, Minted};
use super::problem::Refusal;
use super::state::Desk;
use super::views;
use crate::api::{KeyView, List, NewKeyView, TenantView};
use crate::spec;

/// `GET /v1/tenants`.
pub async fn list(State(desk): State<Desk>) -> Result<Json<List<TenantView>>, Refusal> {
    Ok(body::list(desk.control().await?.tenants.iter().map(views::tenant).collect()))
}

/// `PUT /v1/tenants/{tenant}`: makes it or changes its limits.
pub async fn put(
    State(desk): State<Desk>,
    Path(name): Path<String>,
    Document(document): Document,
) -> Result<Response, Refusal> {
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
    if before != Some(&after) {
        desk.store().tenant_put(after.clone()).await?;
    }
    Ok(body::put(change, views::tenant(&after)))
}

/// `GET /v1/tenants/{tenant}`.
pub async fn get(scope: Scope) -> Json<TenantView> {
    Json(views::tenant(&scope.tenant))
}

/// `GET /v1/tenants/{tenant}/keys`.
pub async fn keys(State(desk): State<Desk>, scope: Scope) -> Result<Json<List<KeyView>>, Refusal> {
    key_list(&desk, Some(scope.tenant.id)).await
}

/// `POST /v1/tenants/{tenant}/keys`.
pub async fn key_create(
    State(desk): State<Desk>,
    scope: Scope,
    Document(document): Document,
) -> Result<Response, Refusal> {
    key_make(&desk, Some(scope.tenant.id), document).await
}

/// `DELETE /v1/tenants/{tenant}/keys/{key}`.
pub async fn key_delete(
    State(desk): State<Desk>,
    scope: Scope,
    Path((_, key)): Path<(String, String)>,
) -> Result<StatusCode, Refusal> {
    key_end(&desk, Some(scope.tenant.id), &key).await
}

/// `GET /v1/keys`: the operators' keys.
pub async fn operator_keys(State(desk): State<Desk>) -> Result<Json<List<KeyView>>, Refusal> {
    key_list(&desk, None).await
}

/// `POST /v1/keys`: another operator.
pub async fn operator_key_create(State(desk): State<Desk>, Document(document): Document) -> Result<Response, Refusal> {
    key_make(&desk, None, document).await
}

/// `DELETE /v1/keys/{key}`.
pub async fn operator_key_delete(State(desk): State<Desk>, Path(key): Path<String>) -> Result<StatusCode, Refusal> {
    key_end(&desk, None, &key).await
}

async fn key_list(desk: &Desk, tenant: Option<TenantId>) -> Result<Json<List<KeyView>>, Refusal> {
    Ok(body::list(desk.store().key_list(tenant).await?.iter().map(views::key).collect()))
}

async fn key_make(desk: &Desk, tenant: Option<TenantId>, document: serde_json::Value) -> Result<Response, Refusal> {
    let spec = spec::tenant::read_key(document)?;
    let now = desk.now();
    let expires_at = spec.expires_in_s.map(|seconds| now.plus_ms(seconds.saturating_mul(1_000)));
    let wanted = KeyFor { tenant, name: spec.name, expires_at };
    let Minted { text, key } = key::mint(wanted, now, desk.admin.entropy.bytes());
    desk.store().key_put(key.clone()).await?;
    let view = NewKeyView { key: text.to_string(), about: views::key(&key) };
    Ok((StatusCode::CREATED, Json(view)).into_response())
}

async fn key_end(desk: &Desk, tenant: Option<TenantId>, key: &str) -> Result<StatusCode, Refusal> {
    let missing = || Refusal::NotFound(format!("there is no key `{key}` here"));
    let id: KeyId = key.parse().map_err(|_| missing())?;
    if desk.store().key_delete(tenant, id).await? { Ok(StatusCode::NO_CONTENT) } else { Err(missing()) }
}

//! Keys of tenants and operators: made, listed, ended.
//!
//! Nobody gives a key more than the own one has: not a higher role, and no right to payloads without it.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use creel_webhook::clock::Timestamp;
use creel_webhook::id::{KeyId, TenantId};
use creel_webhook::tenant::Role;
use zeroize::Zeroize as _;

use super::access::{Caller, Scope};
use super::body::{self, Document};
use super::key::{self, KeyFor, Minted};
use super::problem::Refusal;
use super::state::Desk;
use super::views;
use crate::api::{KeyView, List, NewKeyView};
use crate::spec::fields::Mistake;
use crate::spec::key::{self as spec, KeySpec};

/// `GET /v1/tenants/{tenant}/keys`.
pub async fn list(State(desk): State<Desk>, scope: Scope) -> Result<Json<List<KeyView>>, Refusal> {
    listed(&desk, Some(scope.tenant.id)).await
}

/// `POST /v1/tenants/{tenant}/keys`.
pub async fn create(
    State(desk): State<Desk>,
    scope: Scope,
    caller: Caller,
    Document(document): Document,
) -> Result<Response, Refusal> {
    make(&desk, &caller, Some(scope.tenant.id), document).await
}

/// `DELETE /v1/tenants/{tenant}/keys/{key}`.
pub async fn delete(
    State(desk): State<Desk>,
    scope: Scope,
    Path((_, key)): Path<(String, String)>,
) -> Result<StatusCode, Refusal> {
    end(&desk, Some(scope.tenant.id), &key).await
}

/// `GET /v1/keys`: the operators' keys.
pub async fn operator_list(State(desk): State<Desk>) -> Result<Json<List<KeyView>>, Refusal> {
    listed(&desk, None).await
}

/// `POST /v1/keys`: another operator.
pub async fn operator_create(
    State(desk): State<Desk>,
    caller: Caller,
    Document(document): Document,
) -> Result<Response, Refusal> {
    make(&desk, &caller, None, document).await
}

/// `DELETE /v1/keys/{key}`; refused for the last one that works.
pub async fn operator_delete(State(desk): State<Desk>, Path(key): Path<String>) -> Result<StatusCode, Refusal> {
    let _turn = desk.turn().await;
    let now = desk.now();
    let works = |expires_at: Option<Timestamp>| expires_at.is_none_or(|expires_at| expires_at > now);
    let all = desk.store().key_list(None).await?;
    if all.iter().filter(|one| works(one.expires_at)).all(|one| one.id.to_string() == key) {
        return Err(Refusal::Conflict("this is the last operator key that works; make another first".to_owned()));
    }
    end(&desk, None, &key).await
}

async fn listed(desk: &Desk, tenant: Option<TenantId>) -> Result<Json<List<KeyView>>, Refusal> {
    Ok(body::list(desk.store().key_list(tenant).await?.iter().map(views::key).collect()))
}

async fn make(
    desk: &Desk,
    caller: &Caller,
    tenant: Option<TenantId>,
    document: serde_json::Value,
) -> Result<Response, Refusal> {
    let spec = spec::read(document)?;
    let now = desk.now();
    let wanted = wanted(spec, caller, tenant, now)?;
    let Minted { text, key } = key::mint(wanted, now, desk.admin.entropy.bytes());
    desk.store().key_put(key.clone()).await?;
    let mut view = NewKeyView { key: text.to_string(), about: views::key(&key) };
    let response = (StatusCode::CREATED, Json(&view)).into_response();
    view.key.zeroize();
    Ok(response)
}

/// What the key is to be. Who says nothing gets an admin's, with the right to payloads if the own key has it; lesser roles
/// have that right only if it is said.
fn wanted(spec: KeySpec, caller: &Caller, tenant: Option<TenantId>, now: Timestamp) -> Result<KeyFor, Vec<Mistake>> {
    let whole = if tenant.is_some() { Role::TenantAdmin } else { Role::Operator };
    let role = spec.role.unwrap_or(whole);
    let payload_read = spec.payload_read.unwrap_or(role == whole && caller.payload_read);
    let mut mistakes = Vec::new();
    if tenant.is_some() && role == Role::Operator {
        mistakes.push(Mistake::new("/role", "an operator's key belongs to no tenant; POST /v1/keys makes one"));
    } else if tenant.is_none() && role != Role::Operator {
        let detail = "this role is of a tenant; POST /v1/tenants/{tenant}/keys makes a key with it";
        mistakes.push(Mistake::new("/role", detail));
    }
    if payload_read && !caller.payload_read {
        let detail = "this key has no right to payloads itself, so it can't give it; ask whoever has it";
        mistakes.push(Mistake::new("/payload_read", detail));
    }
    let expires_at = spec.expires_in_s.map(|seconds| now.plus_ms(seconds.saturating_mul(1_000)));
    let wanted = KeyFor { tenant, role, payload_read, name: spec.name, expires_at };
    if mistakes.is_empty() { Ok(wanted) } else { Err(mistakes) }
}

async fn end(desk: &Desk, tenant: Option<TenantId>, key: &str) -> Result<StatusCode, Refusal> {
    let missing = || Refusal::NotFound(format!("there is no key `{key}` here; GET …/keys lists them"));
    let id: KeyId = key.parse().map_err(|_| missing())?;
    if desk.store().key_delete(tenant, id).await? { Ok(StatusCode::NO_CONTENT) } else { Err(missing()) }
}

//! Who may: every row of the route table passes here before its handler.
//!
//! The key's hash is looked up, never compared, so there is nothing to time. A thing of another tenant and a thing that
//! does not exist are the same 404: names of others are not to be found out by asking.

use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use creel_store::contract::Control;
use creel_webhook::id::{KeyId, TenantId};
use creel_webhook::tenant::{Role, Tenant};

use super::problem::Refusal;
use super::{key, state::Desk};

/// Who may call a row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody: health and metrics, on the admin listener only.
    Open,
    /// Every good key.
    AnyKey,
    /// Operators.
    Operator,
    /// Operators, and the tenant of the path's `{tenant}`.
    Tenant,
}

/// Whose key it was.
#[derive(Debug, Clone, Copy)]
pub struct Caller {
    /// The key.
    pub key: KeyId,
    /// What it may do.
    pub role: Role,
    /// Its tenant; `None` for operators.
    pub tenant: Option<TenantId>,
}

/// The tenant whose things a request is about; given to handlers of rows with [`Access::Tenant`].
#[derive(Debug, Clone)]
pub struct Scope {
    /// The tenant.
    pub tenant: Tenant,
}

const NO_KEY: &str =
    "send `authorization: Bearer creel_…`; an operator makes keys with POST …/keys, `creel init` the first";
const BAD_KEY: &str = "this key is not known here; it may have been revoked, or belong to another host";
const EXPIRED: &str = "this key has expired; make a new one";

/// The middleware in front of every row: lets the request pass with its [`Caller`] and [`Scope`], or refuses it.
///
/// # Errors
/// [`Refusal`] 401, 403 or 404.
pub async fn admit(
    State((desk, access)): State<(Desk, Access)>,
    path: Result<RawPathParams, axum::extract::rejection::RawPathParamsRejection>,
    mut request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    if access == Access::Open {
        return Ok(next.run(request).await);
    }
    let caller = authenticate(&desk, request.headers()).await?;
    if access == Access::Operator && caller.role != Role::Operator {
        return Err(Refusal::Forbidden("an operator's key is needed here; this one belongs to a tenant"));
    }
    let path = path.map_err(|_| Refusal::NotFound("the address is not UTF-8".to_owned()))?;
    if access == Access::Tenant {
        let named = path.iter().find(|(name, _)| *name == "tenant").map_or("", |(_, value)| value);
        let tenant = tenant_of(&*desk.control().await?, &caller, named)?;
        request.extensions_mut().insert(Scope { tenant });
    }
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

async fn authenticate(desk: &Desk, headers: &axum::http::HeaderMap) -> Result<Caller, Refusal> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (given.next(), given.next()) else {
        return Err(Refusal::Unauthorized(NO_KEY));
    };
    let text = value.to_str().ok().and_then(|text| text.split_once(' '));
    let Some((_, text)) = text.filter(|(word, _)| word.eq_ignore_ascii_case("bearer")) else {
        return Err(Refusal::Unauthorized(NO_KEY));
    };
    let text = text.trim();
    if !key::is_key(text) {
        return Err(Refusal::Unauthorized(BAD_KEY));
    }
    let found = desk.store().key_find(key::hash(text)).await?.ok_or(Refusal::Unauthorized(BAD_KEY))?;
    if found.expires_at.is_some_and(|expires_at| expires_at <= desk.now()) {
        return Err(Refusal::Unauthorized(EXPIRED));
    }
    Ok(Caller { key: found.id, role: found.role, tenant: found.tenant })
}

fn tenant_of(control: &Control, caller: &Caller, named: &str) -> Result<Tenant, Refusal> {
    let id = named.parse::<TenantId>().ok();
    control
        .tenants
        .iter()
        .find(|tenant| id.map_or(tenant.name == named, |id| tenant.id == id))
        .filter(|tenant| caller.role == Role::Operator || caller.tenant == Some(tenant.id))
        .cloned()
        .ok_or_else(|| Refusal::NotFound(format!("there is no tenant `{named}` for this key")))
}

impl<S: Send + Sync> FromRequestParts<S> for Scope {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        // Only rows without `Access::Tenant` have none; such a row fails closed.
        parts.extensions.get::<Scope>().cloned().ok_or(Refusal::Unauthorized(NO_KEY))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        parts.extensions.get::<Caller>().copied().ok_or(Refusal::Unauthorized(NO_KEY))
    }
}

//! Who may: every row of the route table passes here before its handler.
//!
//! The key's hash is looked up, never compared, so there is nothing to time. A thing of another tenant and a thing that
//! does not exist are the same 404: names of others are not to be found out by asking. That comes before the question of roles.
//!
//! Whatever changes something or shows payloads is written into the audit trail before it happens ([`super::deeds`]), with
//! its outcome after; where that can't be written, it does not happen. An attempt that a role forbids is written down too. One
//! without a good key, or about a tenant that is not the key's, is counted only (`creel_admin_refusals_total`): a line for each
//! would let strangers fill the trail, and name nobody.

use std::net::{IpAddr, Ipv4Addr};

use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use creel_store::contract::{Control, Deed};
use creel_webhook::clock::Timestamp;
use creel_webhook::id::{KeyId, TenantId};
use creel_webhook::tenant::{ApiKey, Role, Tenant, TenantLimits, check_name};

use super::deeds::{self, Act};
use super::key;
use super::payloads::Payloads;
use super::problem::Refusal;
use super::state::Desk;
use crate::listener::Origin;

/// How exactly the last use of a key is known, milliseconds: a write an hour tells whether somebody still has it.
const LAST_USED_MS: u64 = 60 * 60 * 1_000;

/// Who may call a row of the table: the least role. Rows for readers, deployers and admins are about the tenant of the path's
/// `{tenant}`, and their callers are its own or operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody: health and metrics, on the admin listener only.
    Open,
    /// Every good key.
    AnyKey,
    /// Readers of the tenant and all above.
    Reader,
    /// Deployers of the tenant and all above.
    Deployer,
    /// Admins of the tenant and operators.
    Admin,
    /// Operators.
    Operator,
}

impl Access {
    /// The least role that a key needs; `None` where there need be no key, or any will do.
    pub fn role(self) -> Option<Role> {
        match self {
            Access::Open | Access::AnyKey => None,
            Access::Reader => Some(Role::Reader),
            Access::Deployer => Some(Role::Deployer),
            Access::Admin => Some(Role::TenantAdmin),
            Access::Operator => Some(Role::Operator),
        }
    }

    /// Whether its rows are about the things of one tenant.
    pub fn is_tenants(self) -> bool {
        matches!(self, Access::Reader | Access::Deployer | Access::Admin)
    }
}

/// Whether a row's answer has payloads: bodies and headers of events, calls and answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    /// It has none, and its handler can't show any.
    Never,
    /// It shows them to keys with the right, and leaves them out for others.
    Partly,
    /// It is nothing without them.
    Only,
}

/// What the gate goes by: a row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// The path; names in braces stand for any one part.
    pub path: &'static str,
    /// Who may.
    pub access: Access,
    /// Whether its answer has payloads.
    pub payload: Payload,
}

/// Whose key it was.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The key.
    pub key: KeyId,
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Whether it may read payloads.
    pub payload_read: bool,
    /// Its tenant; `None` for operators.
    pub tenant: Option<TenantId>,
}

/// The tenant whose things a request is about; given to handlers of rows that are about one.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The tenant.
    pub tenant: Tenant,
}

/// The same for handlers that can say what a PUT would do and change nothing. To an operator who asks that (`dry_run`), a tenant
/// that does not exist yet is as if it had just been made, so that a plan is judged before its first step. All such tenants have
/// one id, which is nobody's; a handler that wants a [`Scope`] never meets them.
#[derive(Debug, Clone)]
pub struct PlanScope(pub Scope);

/// The id of tenants that do not exist yet.
const PLANNED: TenantId = TenantId::from_bytes([0; 16]);

const NO_KEY: &str =
    "send `authorization: Bearer creel_…`; `creel keys create NAME` (POST …/keys) makes keys, `creel init` the first";
const BAD_KEY: &str = "this key is not known here; it may have been revoked, or belong to another host";
const EXPIRED: &str = "this key has expired; make a new one";

/// The middleware in front of every row: lets the request pass with its [`Caller`], [`Scope`] and [`Payloads`], or refuses it.
///
/// # Errors
/// [`Refusal`] 401, 403, 404 or 429.
pub async fn admit(
    State((desk, rule)): State<(Desk, Rule)>,
    path: Result<RawPathParams, axum::extract::rejection::RawPathParamsRejection>,
    mut request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let Rule { access, payload, .. } = rule;
    if access == Access::Open {
        return Ok(next.run(request).await);
    }
    let peer = request.extensions().get::<Origin>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |origin| origin.sender);
    let caller = authenticate(&desk, request.headers(), peer).await.inspect_err(|refusal| count(&desk, refusal))?;
    let path = path.map_err(|_| Refusal::NotFound("the address is not UTF-8".to_owned()))?;
    let scope = if access.is_tenants() {
        let named = path.iter().find(|(name, _)| *name == "tenant").map_or("", |(_, value)| value);
        let found = tenant_of(&*desk.control().await?, &caller, named);
        let found = found.or_else(|refusal| planned(&request, &caller, named, desk.now()).ok_or(refusal));
        Some(Scope { tenant: found.inspect_err(|refusal| count(&desk, refusal))? })
    } else {
        None
    };
    let payloads = Payloads::granted(payload != Payload::Never && caller.payload_read);
    let note = match deeds::act(rule.path, &request, payloads) {
        Some(act) => {
            let deed = deed(act, &caller, scope.as_ref(), peer, desk.now());
            Some(desk.store().audit_begin(deed).await?)
        }
        None => None,
    };
    let may =
        check_role(access, &caller).and_then(|()| if payload == Payload::Only { payloads.need() } else { Ok(()) });
    let response = match may {
        Ok(()) => {
            let extensions = request.extensions_mut();
            extensions.insert(payloads);
            extensions.insert(caller);
            scope.map(|scope| extensions.insert(PlanScope(scope)));
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(),
    };
    if let Some(seq) = note {
        deeds::ended(&desk, seq, response.status()).await;
    }
    Ok(response)
}

/// Counts what the trail has no line for: nobody is known who could be named in it.
fn count(desk: &Desk, refusal: &Refusal) {
    let reason = match refusal {
        Refusal::Unauthorized(NO_KEY) => "no_key",
        Refusal::Unauthorized(EXPIRED) => "expired_key",
        Refusal::Unauthorized(_) => "unknown_key",
        Refusal::Guessing(_) => "guessing",
        Refusal::NotFound(_) => "no_tenant",
        _ => return,
    };
    (desk.admin.refused)(reason);
}

fn deed(act: Act, caller: &Caller, scope: Option<&Scope>, peer: IpAddr, at: Timestamp) -> Deed {
    Deed {
        at,
        tenant: scope.map(|scope| scope.tenant.id),
        key: caller.key,
        key_name: caller.name.clone(),
        role: caller.role,
        what: act.what,
        object: act.object,
        peer: peer.to_string(),
    }
}

fn check_role(access: Access, caller: &Caller) -> Result<(), Refusal> {
    match access.role() {
        Some(needed) if caller.role < needed => {
            let (needed, has) = (needed.as_str(), caller.role.as_str());
            Err(Refusal::Forbidden(format!("this needs a key with the role `{needed}`, and this one is a `{has}`")))
        }
        _ => Ok(()),
    }
}

/// Finds whose key it is. Whoever has failed too often is not looked for.
async fn authenticate(desk: &Desk, headers: &HeaderMap, peer: IpAddr) -> Result<Caller, Refusal> {
    let (now, given) = (desk.now(), bearer(headers));
    let hash = given.filter(|text| key::is_key(text)).map(key::hash);
    desk.guesses.admit(peer, hash.as_ref(), now).map_err(Refusal::Guessing)?;
    let found = match hash {
        Some(hash) => desk.store().key_find(hash).await?,
        None => None,
    };
    let why = match found {
        Some(found) if found.expires_at.is_none_or(|expires_at| expires_at > now) => {
            desk.guesses.good(found.hash, now);
            note_use(desk, &found).await;
            let ApiKey { id: key, name, role, payload_read, tenant, .. } = found;
            return Ok(Caller { key, name, role, payload_read, tenant });
        }
        Some(_) => EXPIRED,
        None if given.is_some() => BAD_KEY,
        None => NO_KEY,
    };
    desk.guesses.failed(peer, now);
    Err(Refusal::Unauthorized(why))
}

/// The one thing behind `Bearer`.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let (value, None) = (given.next()?, given.next()) else { return None };
    let (word, text) = value.to_str().ok()?.split_once(' ')?;
    word.eq_ignore_ascii_case("bearer").then(|| text.trim())
}

/// Remembers that a key is still used. Not being able to is no reason to refuse it.
async fn note_use(desk: &Desk, key: &ApiKey) {
    let now = desk.now();
    if key.last_used_at.is_some_and(|at| now.since_ms(at) < LAST_USED_MS) {
        return;
    }
    if let Err(error) = desk.store().key_used(key.id, now).await {
        tracing::warn!(key = %key.id, %error, "the last use of a key was not stored");
    }
}

fn tenant_of(control: &Control, caller: &Caller, named: &str) -> Result<Tenant, Refusal> {
    let id = named.parse::<TenantId>().ok();
    control
        .tenants
        .iter()
        .find(|tenant| id.map_or(tenant.name == named, |id| tenant.id == id))
        .filter(|tenant| caller.role == Role::Operator || caller.tenant == Some(tenant.id))
        .cloned()
        .ok_or_else(|| Refusal::NotFound(no_tenant(named, caller.role)))
}

/// A tenant as it would be if it were made now, for an operator who asks what a PUT would do.
fn planned(request: &Request, caller: &Caller, named: &str, now: Timestamp) -> Option<Tenant> {
    let asks = caller.role == Role::Operator && *request.method() == Method::PUT && deeds::is_dry(request);
    (asks && check_name(named).is_ok()).then(|| Tenant {
        id: PLANNED,
        name: named.to_owned(),
        created_at: now,
        limits: TenantLimits::default(),
    })
}

/// Says the same of a tenant that does not exist and of one that the key may not see.
fn no_tenant(named: &str, asks: Role) -> String {
    match asks {
        Role::Operator => format!("there is no tenant `{named}`; GET /v1/tenants lists them"),
        _ => format!("there is no tenant `{named}` for this key; GET /v1/whoami names its own"),
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Scope {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        let PlanScope(scope) = PlanScope::of(parts)?;
        if scope.tenant.id == PLANNED {
            return Err(Refusal::NotFound(no_tenant(&scope.tenant.name, Role::Operator)));
        }
        Ok(scope)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PlanScope {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        PlanScope::of(parts)
    }
}

impl PlanScope {
    /// Only rows that are about no tenant have none; such a row fails closed.
    fn of(parts: &Parts) -> Result<PlanScope, Refusal> {
        parts.extensions.get::<PlanScope>().cloned().ok_or(Refusal::Unauthorized(NO_KEY))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        parts.extensions.get::<Caller>().cloned().ok_or(Refusal::Unauthorized(NO_KEY))
    }
}

//! Secrets: written, never read back. The same value again is known by its keyed fingerprint and changes nothing.
//!
//! Origins are where a secret may be sent. Whoever adds one sends the value along, so that a key to the API alone does not
//! lead a secret to a receiver of its own; taking origins away needs no value.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use creel_store::contract::{Control, SecretRow};
use creel_webhook::clock::Timestamp;
use creel_webhook::id::TenantId;

use super::access::{PlanScope, Scope};
use super::body::{self, Document};
use super::problem::Refusal;
use super::query::Query;
use super::state::Desk;
use super::views;
use crate::api::{Change, List, SecretView};
use crate::spec;
use crate::spec::fields::Mistake;
use crate::spec::secret::SecretSpec;

/// `GET …/secrets`: names, origins and times.
pub async fn list(State(desk): State<Desk>, scope: Scope) -> Result<Json<List<SecretView>>, Refusal> {
    let control = desk.control().await?;
    let own = control.secrets.iter().filter(|secret| secret.tenant == scope.tenant.id);
    Ok(body::list(own.map(views::secret).collect()))
}

/// `GET …/secrets/{secret}`: the same of one.
pub async fn get(
    State(desk): State<Desk>,
    scope: Scope,
    Path((_, name)): Path<(String, String)>,
) -> Result<Json<SecretView>, Refusal> {
    Ok(Json(views::secret(named(&*desk.control().await?, scope.tenant.id, &name)?)))
}

/// `PUT …/secrets/{secret}`: makes it, or rotates it: the value before counts on for `overlap_ms`.
pub async fn put(
    State(desk): State<Desk>,
    PlanScope(scope): PlanScope,
    Path((_, name)): Path<(String, String)>,
    mut query: Query,
    Document(document): Document,
) -> Result<Response, Refusal> {
    let dry_run = query.flag("dry_run");
    query.done()?;
    let spec = spec::secret::read(&name, document)?;
    let _turn = desk.turn().await;
    let control = desk.control().await?;
    let before = named(&control, scope.tenant.id, &name).ok();
    let after = match before {
        None => create(&desk, scope.tenant.id, spec)?,
        Some(before) => {
            check_origins(before, &spec)?;
            rotate(&desk, before.clone(), spec)
        }
    };
    let change = body::change(before, &after);
    if change != Change::Unchanged && !dry_run {
        desk.store().secret_put(after.clone()).await?;
    }
    Ok(body::put(change, views::secret(&after)))
}

/// `DELETE …/secrets/{secret}`: refused while a source or destination names it.
pub async fn delete(
    State(desk): State<Desk>,
    scope: Scope,
    Path((_, name)): Path<(String, String)>,
) -> Result<StatusCode, Refusal> {
    let _turn = desk.turn().await;
    let control = desk.control().await?;
    named(&control, scope.tenant.id, &name)?;
    let users = users(&control, scope.tenant.id, &name);
    if !users.is_empty() {
        let detail = format!("the secret `{name}` is named by {}; change those first", users.join(", "));
        return Err(Refusal::Conflict(detail));
    }
    desk.store().secret_delete(scope.tenant.id, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn named<'a>(control: &'a Control, tenant: TenantId, name: &str) -> Result<&'a SecretRow, Refusal> {
    control
        .secrets
        .iter()
        .find(|secret| secret.tenant == tenant && secret.name == name)
        .ok_or_else(|| Refusal::NotFound(format!("there is no secret `{name}`; GET …/secrets lists them")))
}

fn create(desk: &Desk, tenant: TenantId, spec: SecretSpec) -> Result<SecretRow, Refusal> {
    let value =
        spec.value.ok_or_else(|| vec![Mistake::new("/value", "a new secret needs `value` or `value_base64`")])?;
    let master = &desk.admin.master;
    Ok(SecretRow {
        id: desk.id(),
        tenant,
        sealed: master.seal(tenant, &spec.name, value.expose(), desk.admin.entropy.nonce()),
        previous: None,
        previous_until: None,
        origins: spec.origins.unwrap_or_default(),
        fingerprint: master.fingerprint(tenant, &spec.name, value.expose()),
        updated_at: desk.now(),
        name: spec.name,
    })
}

/// Refuses an origin that is added without the value: that which is there, or a new one in its place.
fn check_origins(before: &SecretRow, spec: &SecretSpec) -> Result<(), Refusal> {
    let added = spec.origins.iter().flatten().find(|origin| !before.origins.contains(origin));
    match (added, &spec.value) {
        (Some(added), None) => {
            let detail = format!(
                "`{added}` is added; send `value` or `value_base64` too, so that only who knows a secret says where it goes"
            );
            Err(vec![Mistake::new("/origins", detail)].into())
        }
        _ => Ok(()),
    }
}

fn rotate(desk: &Desk, before: SecretRow, spec: SecretSpec) -> SecretRow {
    let (master, now) = (&desk.admin.master, desk.now());
    let mut after = before.clone();
    after.origins = spec.origins.unwrap_or(after.origins);
    if let Some(value) = spec.value {
        let fingerprint = master.fingerprint(before.tenant, &before.name, value.expose());
        if fingerprint != before.fingerprint {
            after.sealed = master.seal(before.tenant, &before.name, value.expose(), desk.admin.entropy.nonce());
            after.fingerprint = fingerprint;
            (after.previous, after.previous_until) = overlap(before.sealed.clone(), now, spec.overlap_ms);
        }
    }
    if after != before {
        after.updated_at = now;
    }
    after
}

fn overlap(sealed: Vec<u8>, now: Timestamp, overlap_ms: u64) -> (Option<Vec<u8>>, Option<Timestamp>) {
    if overlap_ms == 0 { (None, None) } else { (Some(sealed), Some(now.plus_ms(overlap_ms))) }
}

fn users(control: &Control, tenant: TenantId, name: &str) -> Vec<String> {
    let sources = control
        .sources
        .iter()
        .filter(|source| source.tenant == tenant && source.spec.secrets.iter().any(|secret| secret == name))
        .map(|source| format!("source `{}`", source.spec.name));
    let destinations = control
        .destinations
        .iter()
        .filter(|one| one.tenant == tenant && one.spec.secret_names().any(|secret| secret == name))
        .map(|one| format!("destination `{}`", one.spec.name));
    sources.chain(destinations).collect()
}

//! The audit trail, as people read it.

use axum::Json;
use axum::extract::State;
use creel_store::contract::{AuditRow, Control, Trail};

use super::access::Scope;
use super::problem::Refusal;
use super::query::Query;
use super::state::Desk;
use crate::api::{AuditView, List, Moment};

/// `GET /v1/audit?before=&limit=`: everybody's and the host's, newest first.
pub async fn whole(State(desk): State<Desk>, query: Query) -> Result<Json<List<AuditView>>, Refusal> {
    listed(&desk, Trail::Whole, query).await
}

/// `GET …/audit?before=&limit=`: what was done to one tenant's things, operators' deeds included.
pub async fn of(State(desk): State<Desk>, scope: Scope, query: Query) -> Result<Json<List<AuditView>>, Refusal> {
    listed(&desk, Trail::Of(scope.tenant.id), query).await
}

async fn listed(desk: &Desk, trail: Trail, mut query: Query) -> Result<Json<List<AuditView>>, Refusal> {
    let (before, limit) = (query.parsed("before"), query.limit());
    query.done()?;
    let rows = desk.store().audit_list(trail, before, limit).await?;
    let is_full = u32::try_from(rows.len()).is_ok_and(|count| count >= limit);
    let next = rows.last().filter(|_| is_full).map(|row| row.seq.to_string());
    let control = desk.control().await?;
    Ok(Json(List { items: rows.into_iter().map(|row| view(row, &control)).collect(), next }))
}

fn view(row: AuditRow, control: &Control) -> AuditView {
    let AuditRow { seq, deed, status } = row;
    let name =
        |id| control.tenants.iter().find(|one| one.id == id).map_or_else(|| id.to_string(), |one| one.name.clone());
    AuditView {
        seq,
        at: Moment(deed.at),
        tenant: deed.tenant.map(name),
        key: deed.key,
        key_name: deed.key_name,
        role: deed.role,
        what: deed.what,
        object: deed.object,
        peer: deed.peer,
        status,
    }
}

//! Where a tenant's notices go.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use creel_store::contract::Control;
use creel_webhook::id::TenantId;
use creel_webhook::notice::Notices;

use super::access::Scope;
use super::body::{self, Document};
use super::destination;
use super::problem::Refusal;
use super::query::Query;
use super::state::Desk;
use super::views::Names;
use crate::spec::fields::Mistake;
use crate::spec::notices::{NoticesSpec, objection, read};

/// `GET …/notices`.
pub async fn get(State(desk): State<Desk>, scope: Scope) -> Result<Json<NoticesSpec>, Refusal> {
    let control = desk.control().await?;
    let notices = of(&control, scope.tenant.id)
        .ok_or_else(|| Refusal::NotFound("no destination is named for notices; PUT …/notices names one".to_owned()))?;
    Ok(Json(view(&control, notices)))
}

/// `PUT …/notices`: names their destination.
pub async fn put(
    State(desk): State<Desk>,
    scope: Scope,
    mut query: Query,
    Document(document): Document,
) -> Result<Response, Refusal> {
    let dry_run = query.flag("dry_run");
    query.done()?;
    let spec = read(document)?;
    let _turn = desk.turn().await;
    let control = desk.control().await?;
    let tenant = scope.tenant.id;
    let invalid = |detail: String| Refusal::Invalid(vec![Mistake::new("/destination", detail)]);
    let found = destination::named(&control, tenant, &spec.destination);
    let Ok(found) = found else {
        return Err(invalid(format!("there is no destination `{}`; PUT …/destinations/{0} first", spec.destination)));
    };
    if let Some(detail) = objection(&found.spec) {
        return Err(invalid(detail));
    }
    let before = of(&control, tenant);
    let NoticesSpec { refusals_percent, refusals_min, .. } = spec;
    let after = Notices { tenant, destination: found.id, refusals_percent, refusals_min };
    let change = body::change(before, &after);
    if before != Some(&after) && !dry_run {
        desk.store().notices_put(after).await?;
    }
    Ok(body::put(change, spec))
}

/// `DELETE …/notices`: nothing is told any more.
pub async fn delete(State(desk): State<Desk>, scope: Scope) -> Result<StatusCode, Refusal> {
    let _turn = desk.turn().await;
    desk.store().notices_delete(scope.tenant.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Where a tenant's notices go.
fn of(control: &Control, tenant: TenantId) -> Option<&Notices> {
    control.notices.iter().find(|notices| notices.tenant == tenant)
}

fn view(control: &Control, notices: &Notices) -> NoticesSpec {
    NoticesSpec {
        destination: Names::new(control, notices.tenant).destination(notices.destination),
        refusals_percent: notices.refusals_percent,
        refusals_min: notices.refusals_min,
    }
}

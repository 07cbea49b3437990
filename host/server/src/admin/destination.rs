//! Destinations: checked by the egress guard when they are saved, and allowed only secrets that may go there.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use creel_store::contract::{Control, Hasten, Queue};
use creel_webhook::destination::{Auth, Destination, DestinationSpec};
use creel_webhook::id::TenantId;

use super::access::{PlanScope, Scope};
use super::body::{self, Document};
use super::problem::Refusal;
use super::query::{Planned, Query};
use super::state::Desk;
use super::views;
use crate::api::{DestinationView, List};
use crate::spec::destination::{Use, read, secret_uses};
use crate::spec::fields::{Fields, Mistake};
use crate::spec::notices;
use crate::spec::secret::origin_of;

/// Steps of 500 calls that go at once when a destination is resumed: more than wait for one by default. The rest keeps its
/// times.
const HASTENING_STEPS_MAX: u32 = 400;

/// `GET …/destinations`.
pub async fn list(State(desk): State<Desk>, scope: Scope) -> Result<Json<List<DestinationView>>, Refusal> {
    let control = desk.control().await?;
    let queues = desk.store().queue_list(scope.tenant.id).await?;
    let own = control.destinations.iter().filter(|destination| destination.tenant == scope.tenant.id);
    Ok(body::list(own.map(|one| views::destination(one, queue_of(&desk, &queues, one))).collect()))
}

/// What waits for a destination; nothing before it is saved.
fn queue_of(desk: &Desk, queues: &[Queue], one: &Destination) -> Queue {
    let host = desk.ceilings.waiting_max;
    let waiting_max = one.spec.waiting_max.map_or(host, |own| u64::from(own).min(host));
    let found = queues.iter().find(|queue| queue.destination == one.id);
    let waiting = found.map_or(0, |queue| queue.waiting);
    Queue { destination: one.id, waiting, waiting_max, failing_until: found.and_then(|queue| queue.failing_until) }
}

async fn view(desk: &Desk, one: &Destination) -> Result<DestinationView, Refusal> {
    let queues = desk.store().queue_list(one.tenant).await?;
    Ok(views::destination(one, queue_of(desk, &queues, one)))
}

/// `GET …/destinations/{destination}`.
pub async fn get(
    State(desk): State<Desk>,
    scope: Scope,
    Path((_, name)): Path<(String, String)>,
) -> Result<Json<DestinationView>, Refusal> {
    Ok(Json(view(&desk, named(&*desk.control().await?, scope.tenant.id, &name)?).await?))
}

/// `PUT …/destinations/{destination}`: makes or replaces it.
pub async fn put(
    State(desk): State<Desk>,
    PlanScope(scope): PlanScope,
    Path((_, name)): Path<(String, String)>,
    mut query: Query,
    Document(document): Document,
) -> Result<Response, Refusal> {
    let planned = query.plan();
    query.done()?;
    let spec = read(&name, document)?;
    let _turn = desk.turn().await;
    let control = desk.control().await?;
    let mut mistakes = secret_mistakes(&control, scope.tenant.id, &spec, &planned);
    if let Err(detail) = (desk.admin.url_check)(&spec.url) {
        mistakes.push(Mistake::new("/url", detail));
    }
    if let Auth::OAuth2(own) = &spec.auth
        && let Err(detail) = (desk.admin.url_check)(&own.token_url)
    {
        mistakes.push(Mistake::new("/auth/token_url", detail));
    }
    let most = desk.ceilings.waiting_max;
    if let Some(waiting_max) = spec.waiting_max.filter(|own| u64::from(*own) > most) {
        let detail =
            format!("{waiting_max} is more than {most}, which the operator's `destination.waiting_max` lets wait");
        mistakes.push(Mistake::new("/waiting_max", detail));
    }
    let id = named(&control, scope.tenant.id, &name).ok().map(|before| before.id);
    if control.notices.iter().any(|notices| Some(notices.destination) == id)
        && let Some(detail) = notices::objection(&spec)
    {
        mistakes.push(Mistake::new("/signing", format!("the tenant's notices go to it, and {detail}")));
    }
    if !mistakes.is_empty() {
        return Err(Refusal::Invalid(mistakes));
    }
    let before = named(&control, scope.tenant.id, &name).ok();
    // What it lacked was checked above: if it is configured anew, it goes on.
    let still = before.filter(|before| before.lacks.is_none() || before.spec == spec);
    let after = Destination {
        id: before.map_or_else(|| desk.id(), |before| before.id),
        tenant: scope.tenant.id,
        paused: still.and_then(|before| before.paused.clone()),
        lacks: still.and_then(|before| before.lacks.clone()),
        disabled: before.and_then(|before| before.disabled.clone()),
        spec,
    };
    if before != Some(&after) && !planned.is_dry {
        desk.store().destination_put(after.clone()).await?;
    }
    Ok(body::put(body::change(before, &after), view(&desk, &after).await?))
}

/// `DELETE …/destinations/{destination}`.
pub async fn delete(
    State(desk): State<Desk>,
    scope: Scope,
    Path((_, name)): Path<(String, String)>,
) -> Result<StatusCode, Refusal> {
    let _turn = desk.turn().await;
    let id = named(&*desk.control().await?, scope.tenant.id, &name)?.id;
    desk.store().destination_delete(scope.tenant.id, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST …/destinations/{destination}/pause`: its deliveries wait; `{"reason": …}` is shown to who asks.
pub async fn pause(
    State(desk): State<Desk>,
    scope: Scope,
    Path((_, name)): Path<(String, String)>,
    Document(document): Document,
) -> Result<Json<DestinationView>, Refusal> {
    let mut fields = Fields::of(document);
    let reason = fields.or("reason", "paused by hand".to_owned());
    let reason = fields.done(Some(reason))?;
    set_paused(&desk, &scope, &name, Some(reason)).await
}

/// `POST …/destinations/{destination}/resume`: also enables it again, closes its breaker, and lets calls go now that wait for
/// their next attempt.
pub async fn resume(
    State(desk): State<Desk>,
    scope: Scope,
    Path((_, name)): Path<(String, String)>,
) -> Result<Json<DestinationView>, Refusal> {
    let resumed = set_paused(&desk, &scope, &name, None).await?;
    let now = desk.now();
    let mut from = Some(now);
    for _ in 0..HASTENING_STEPS_MAX {
        let Some(begin) = from else { break };
        let all = Hasten::All { destination: resumed.id, from: begin };
        from = desk.store().delivery_hasten(scope.tenant.id, all, now).await?.next;
    }
    Ok(resumed)
}

async fn set_paused(
    desk: &Desk,
    scope: &Scope,
    name: &str,
    reason: Option<String>,
) -> Result<Json<DestinationView>, Refusal> {
    let _turn = desk.turn().await;
    let id = named(&*desk.control().await?, scope.tenant.id, name)?.id;
    desk.store().destination_pause(scope.tenant.id, id, reason, desk.now()).await?;
    Ok(Json(view(desk, named(&*desk.control().await?, scope.tenant.id, name)?).await?))
}

/// The destination of this name.
///
/// # Errors
/// 404.
pub fn named<'a>(control: &'a Control, tenant: TenantId, name: &str) -> Result<&'a Destination, Refusal> {
    control
        .destinations
        .iter()
        .find(|destination| destination.tenant == tenant && destination.spec.name == name)
        .ok_or_else(|| Refusal::NotFound(format!("there is no destination `{name}`; GET …/destinations lists them")))
}

fn secret_mistakes(control: &Control, tenant: TenantId, spec: &DestinationSpec, planned: &Planned) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    for Use { pointer, secret: name, url } in secret_uses(spec).into_iter().filter(|one| !planned.assumes(one.secret)) {
        let origin = origin_of(url).unwrap_or_default();
        let row = control.secrets.iter().find(|row| row.tenant == tenant && row.name == name);
        let detail = match row {
            None => format!("there is no secret `{name}`; PUT …/secrets/{name} first"),
            Some(row) if !row.origins.contains(&origin) => {
                format!("the secret `{name}` may not be sent to {origin}; add that to the secret's `origins` first")
            }
            Some(_) => continue,
        };
        mistakes.push(Mistake::new(pointer, detail));
    }
    mistakes
}

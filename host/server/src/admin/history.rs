//! What happened: events with their stories, runs, deliveries, refusals; and a run once more.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use creel_store::contract::{DeliveryFilter, DeliveryState, EventFilter, RunFilter, Story};
use creel_webhook::id::{EventId, RunId};
use creel_webhook::run::Verdict;

use super::access::Scope;
use super::body;
use super::problem::Refusal;
use super::query::Query;
use super::state::Desk;
use super::views::{self, Names};
use super::{destination, plugin, source};
use crate::api::{DeliveryView, Erased, EventLine, List, RefusalView, Replayed, RunView, StoryView};

/// `GET …/events?source=&kind=&subject=&before=&limit=`, newest first.
pub async fn events(
    State(desk): State<Desk>,
    scope: Scope,
    mut query: Query,
) -> Result<Json<List<EventLine>>, Refusal> {
    let source = query.text("source");
    let (kind, subject) = (query.text("kind"), query.text("subject"));
    let (before, limit) = (query.parsed("before"), query.limit());
    query.done()?;
    let control = desk.control().await?;
    let source = source.map(|name| source::named(&control, scope.tenant.id, &name).map(|source| source.id));
    let filter = EventFilter { source: source.transpose()?, kind, subject, before, limit };
    let rows = desk.store().event_list(scope.tenant.id, filter).await?;
    let next = next(&rows, limit, |row| row.id.to_string());
    let names = Names::new(&control, scope.tenant.id);
    Ok(Json(List { items: rows.into_iter().map(|row| views::event_line(row, names)).collect(), next }))
}

/// `GET …/events/{event}`: the whole story, without the body.
pub async fn event(
    State(desk): State<Desk>,
    scope: Scope,
    Path((_, event)): Path<(String, String)>,
) -> Result<Json<StoryView>, Refusal> {
    let story = story(&desk, &scope, &event).await?;
    let control = desk.control().await?;
    Ok(Json(views::story(story, Names::new(&control, scope.tenant.id))))
}

/// `GET …/events/{event}/body`: the event's own bytes; 410 once they are erased.
pub async fn event_body(
    State(desk): State<Desk>,
    scope: Scope,
    Path((_, event)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    let story = story(&desk, &scope, &event).await?;
    if story.event.erased {
        return Err(Refusal::Gone(format!("the body of {event} has been erased; its story is still there")));
    }
    // Strangers wrote it: no browser may guess what it is and show it.
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_DISPOSITION, "attachment"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, story.event.body).into_response())
}

/// `DELETE …/events/{event}/payload`: erases what was in the event, in its calls and in what was answered; its story
/// stays. 409 while something of it is pending.
pub async fn event_erase(
    State(desk): State<Desk>,
    scope: Scope,
    Path((_, event)): Path<(String, String)>,
) -> Result<Json<Erased>, Refusal> {
    let missing = || Refusal::NotFound(format!("there is no event `{event}`; GET …/events lists them"));
    let id: EventId = event.parse().map_err(|_| missing())?;
    let events = desk.store().event_erase(scope.tenant.id, id, desk.now()).await?;
    Ok(Json(Erased { event: id, events }))
}

/// `GET …/runs?verdict=&plugin=&before=&limit=`, newest first.
pub async fn runs(State(desk): State<Desk>, scope: Scope, mut query: Query) -> Result<Json<List<RunView>>, Refusal> {
    let verdict = query.read("verdict", |word| {
        let words = || Verdict::ALL.map(Verdict::as_str).join(", ");
        Verdict::from_word(word).ok_or_else(|| format!("`{word}` is none of {}", words()))
    });
    let plugin = query.text("plugin");
    let (before, limit) = (query.parsed("before"), query.limit());
    query.done()?;
    let control = desk.control().await?;
    let plugin = plugin.map(|name| plugin::named(&control, scope.tenant.id, &name).map(|plugin| plugin.id));
    let filter = RunFilter { verdict, plugin: plugin.transpose()?, before, limit };
    let rows = desk.store().run_list(scope.tenant.id, filter).await?;
    let next = next(&rows, limit, |row| row.id.to_string());
    let names = Names::new(&control, scope.tenant.id);
    Ok(Json(List { items: rows.into_iter().map(|row| views::run(row, names)).collect(), next }))
}

/// `POST …/runs/{run}/replay`: a new run of the same event, route and plugin on what is active now.
pub async fn replay(
    State(desk): State<Desk>,
    scope: Scope,
    Path((_, run)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    let missing = || Refusal::NotFound(format!("there is no run `{run}`; GET …/runs lists them"));
    let run: RunId = run.parse().map_err(|_| missing())?;
    let new = desk.id();
    desk.store().run_replay(scope.tenant.id, run, new, desk.now()).await?;
    Ok((StatusCode::ACCEPTED, Json(Replayed { run: new })).into_response())
}

/// `GET …/deliveries?state=&destination=&before=&limit=`, newest first.
pub async fn deliveries(
    State(desk): State<Desk>,
    scope: Scope,
    mut query: Query,
) -> Result<Json<List<DeliveryView>>, Refusal> {
    let state = query.read("state", |word| match word {
        "pending" => Ok(DeliveryState::Pending),
        "delivered" => Ok(DeliveryState::Delivered),
        "dead" => Ok(DeliveryState::Dead),
        other => Err(format!("`{other}` is none of pending, delivered, dead")),
    });
    let place = query.text("destination");
    let (before, limit) = (query.parsed("before"), query.limit());
    query.done()?;
    let control = desk.control().await?;
    let place = place.map(|name| destination::named(&control, scope.tenant.id, &name).map(|place| place.id));
    let filter = DeliveryFilter { state, destination: place.transpose()?, before, limit };
    let rows = desk.store().delivery_list(scope.tenant.id, filter).await?;
    let next = next(&rows, limit, |row| row.id.to_string());
    let names = Names::new(&control, scope.tenant.id);
    Ok(Json(List { items: rows.into_iter().map(|row| views::delivery(row, names)).collect(), next }))
}

/// `GET …/refusals?limit=`: requests that were not believed, newest first.
pub async fn refusals(
    State(desk): State<Desk>,
    scope: Scope,
    mut query: Query,
) -> Result<Json<List<RefusalView>>, Refusal> {
    let limit = query.limit();
    query.done()?;
    let control = desk.control().await?;
    let names = Names::new(&control, scope.tenant.id);
    let rows = desk.store().refusal_list(scope.tenant.id, limit).await?;
    Ok(body::list(rows.into_iter().map(|row| views::refusal(row, names)).collect()))
}

async fn story(desk: &Desk, scope: &Scope, event: &str) -> Result<Story, Refusal> {
    let missing = || Refusal::NotFound(format!("there is no event `{event}`; GET …/events lists them"));
    let id: EventId = event.parse().map_err(|_| missing())?;
    desk.store().event_story(scope.tenant.id, id).await?.ok_or_else(missing)
}

/// What the next page begins before: only a full page has one.
fn next<T>(rows: &[T], limit: u32, id: impl Fn(&T) -> String) -> Option<String> {
    let is_full = u32::try_from(rows.len()).is_ok_and(|count| count >= limit);
    rows.last().filter(|_| is_full).map(id)
}

//! What happened: events with their stories, runs, deliveries, refusals.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use creel_store::contract::{About, Control, DeliveryFilter, DeliveryState, EventFilter, RunFilter, Story};
use creel_webhook::clock::Timestamp;
use creel_webhook::id::{DeliveryId, EventId, TenantId};
use creel_webhook::run::Verdict;

use super::access::Scope;
use super::body;
use super::problem::Refusal;
use super::query::Query;
use super::state::Desk;
use super::views::{self, Names};
use super::{destination, plugin, source};
use crate::api::{DeliveryView, Erased, EventLine, LetterView, List, RefusalView, RunView, StoryView};

/// `GET …/events?source=&kind=&subject=&unrouted=&before=&limit=`, newest first.
pub async fn events(
    State(desk): State<Desk>,
    scope: Scope,
    mut query: Query,
) -> Result<Json<List<EventLine>>, Refusal> {
    let source = query.text("source");
    let (kind, subject, unrouted) = (query.text("kind"), query.text("subject"), query.flag("unrouted"));
    let (before, limit) = (query.parsed("before"), query.limit());
    query.done()?;
    let control = desk.control().await?;
    let source = source.map(|name| source::named(&control, scope.tenant.id, &name).map(|source| source.id));
    let filter = EventFilter { source: source.transpose()?, kind, subject, unrouted, before, limit };
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

/// `GET …/runs?verdict=&plugin=&dead=&source=&kind=&since=&until=&reason=&before=&limit=`, newest first.
pub async fn runs(State(desk): State<Desk>, scope: Scope, mut query: Query) -> Result<Json<List<RunView>>, Refusal> {
    let (verdict, dead, asked) = (verdict(&mut query), query.flag("dead"), about(&mut query));
    let plugin = query.text("plugin");
    let (before, limit) = (query.parsed("before"), query.limit());
    query.done()?;
    let control = desk.control().await?;
    let plugin = plugin.map(|name| plugin::named(&control, scope.tenant.id, &name).map(|plugin| plugin.id));
    let about = asked.within(&control, scope.tenant.id)?;
    let filter = RunFilter { verdict, plugin: plugin.transpose()?, dead, about, before, limit };
    let rows = desk.store().run_list(scope.tenant.id, filter).await?;
    let next = next(&rows, limit, |row| row.id.to_string());
    let names = Names::new(&control, scope.tenant.id);
    Ok(Json(List { items: rows.into_iter().map(|row| views::run(row, names)).collect(), next }))
}

/// `GET …/deliveries?state=&destination=&source=&kind=&since=&until=&reason=&before=&limit=`, newest first.
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
    let (place, asked) = (query.text("destination"), about(&mut query));
    let (before, limit) = (query.parsed("before"), query.limit());
    query.done()?;
    let control = desk.control().await?;
    let place = place.map(|name| destination::named(&control, scope.tenant.id, &name).map(|place| place.id));
    let about = asked.within(&control, scope.tenant.id)?;
    let filter = DeliveryFilter { state, destination: place.transpose()?, about, before, limit };
    let rows = desk.store().delivery_list(scope.tenant.id, filter).await?;
    let next = next(&rows, limit, |row| row.id.to_string());
    let names = Names::new(&control, scope.tenant.id);
    Ok(Json(List { items: rows.into_iter().map(|row| views::delivery(row, names)).collect(), next }))
}

/// `GET …/deliveries/{delivery}`: with its history, and what it sends except the host's own headers.
pub async fn delivery(
    State(desk): State<Desk>,
    scope: Scope,
    Path((_, delivery)): Path<(String, String)>,
) -> Result<Json<LetterView>, Refusal> {
    let missing = || Refusal::NotFound(format!("there is no delivery `{delivery}`; GET …/deliveries lists them"));
    let id: DeliveryId = delivery.parse().map_err(|_| missing())?;
    let (row, letter) = desk.store().delivery_read(scope.tenant.id, id).await?.ok_or_else(missing)?;
    let control = desk.control().await?;
    Ok(Json(views::letter(row, letter, Names::new(&control, scope.tenant.id))))
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

/// What a query narrows runs and deliveries by; the source is still a name.
pub struct Asked {
    source: Option<String>,
    about: About,
}

impl Asked {
    /// With the source that the name means.
    ///
    /// # Errors
    /// 404 when there is none.
    pub fn within(self, control: &Control, tenant: TenantId) -> Result<About, Refusal> {
        let source = self.source.map(|name| source::named(control, tenant, &name).map(|source| source.id));
        Ok(About { source: source.transpose()?, ..self.about })
    }
}

/// Reads `source`, `kind`, `since`, `until` and `reason`.
pub fn about(query: &mut Query) -> Asked {
    let source = query.text("source");
    let (since, until) = (moment(query, "since"), moment(query, "until"));
    let (kind, reason) = (query.text("kind"), query.text("reason"));
    Asked { source, about: About { source: None, kind, since, until, reason } }
}

fn moment(query: &mut Query, name: &'static str) -> Option<Timestamp> {
    query.read(name, |text| match text.parse::<jiff::Timestamp>() {
        Ok(moment) => Ok(Timestamp::from_millis(moment.as_millisecond())),
        Err(error) => Err(format!("`{text}` is no moment such as 2026-01-31T08:00:00Z: {error}")),
    })
}

/// Reads `verdict`.
pub fn verdict(query: &mut Query) -> Option<Verdict> {
    query.read("verdict", |word| {
        let words = || Verdict::ALL.map(Verdict::as_str).join(", ");
        Verdict::from_word(word).ok_or_else(|| format!("`{word}` is none of {}", words()))
    })
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

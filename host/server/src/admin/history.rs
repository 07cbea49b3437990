//! What happened: events with their stories, runs, deliveries, refusals.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use creel_store::contract::{About, Control, DeliveryFilter, DeliveryState, EventFilter, EventState, RunFilter, Story};
use creel_webhook::clock::Timestamp;
use creel_webhook::id::{DeliveryId, EventId, TenantId};
use creel_webhook::run::Verdict;

use super::access::Scope;
use super::body;
use super::payloads::Payloads;
use super::problem::Refusal;
use super::query::Query;
use super::state::Desk;
use super::views::{self, Names};
use super::{destination, plugin, source, waiting};
use crate::api::{DeliveryView, Erased, EventLine, LetterView, List, RefusalView, RunView, StoryView};

/// Windows of the store that one page of events looks through: 10 000 events, some milliseconds each 500.
const WINDOWS_PER_PAGE: usize = 20;

/// `GET …/events?source=&kind=&subject=&state=&since=&until=&before=&limit=`, newest first. A page that is not full may have
/// more behind it, for which it then says `next`: so many events are looked at and no more.
pub async fn events(
    State(desk): State<Desk>,
    scope: Scope,
    mut query: Query,
) -> Result<Json<List<EventLine>>, Refusal> {
    let source = query.text("source");
    let (kind, subject, state) = (query.text("kind"), query.text("subject"), state(&mut query));
    let (since, until) = (query.moment("since", desk.now()), query.moment("until", desk.now()));
    let (before, limit) = (query.parsed("before"), query.limit());
    query.done()?;
    let control = desk.control().await?;
    let source = source.map(|name| source::named(&control, scope.tenant.id, &name).map(|source| source.id));
    let mut filter = EventFilter { source: source.transpose()?, kind, subject, state, since, until, before, limit };
    let mut found = Vec::new();
    for _ in 0..WINDOWS_PER_PAGE {
        let page = desk.store().event_list(scope.tenant.id, filter.clone()).await?;
        found.extend(page.events);
        filter.before = page.next;
        filter.limit = limit.saturating_sub(u32::try_from(found.len()).unwrap_or(limit));
        if filter.before.is_none() || filter.limit == 0 {
            break;
        }
    }
    let names = Names::new(&control, scope.tenant.id);
    let items = found.into_iter().map(|row| views::event_line(row, names)).collect();
    Ok(Json(List { items, next: filter.before.map(|id| id.to_string()) }))
}

/// Reads `state`, and `unrouted`, which is older and one of them.
fn state(query: &mut Query) -> Option<EventState> {
    let state = query.read("state", |word| {
        let words = || EventState::ALL.map(EventState::as_str).join(", ");
        EventState::ALL
            .into_iter()
            .find(|one| one.as_str() == word)
            .ok_or_else(|| format!("`{word}` is none of {}", words()))
    });
    if query.flag("unrouted") { state.or(Some(EventState::Unrouted)) } else { state }
}

/// `GET …/events/{event}`: the whole story, without the body.
pub async fn event(
    State(desk): State<Desk>,
    scope: Scope,
    payloads: Payloads,
    Path((_, event)): Path<(String, String)>,
) -> Result<Json<StoryView>, Refusal> {
    let story = story(&desk, &scope, &event).await?;
    let control = desk.control().await?;
    let names = Names::new(&control, scope.tenant.id);
    let holds = waiting::holds(&desk, scope.tenant.id, &story.runs, &story.deliveries).await?;
    let runs: Vec<_> = story.runs.iter().map(|row| waiting::run(&holds, row, &control, names)).collect();
    let calls: Vec<_> = story.deliveries.iter().map(|row| waiting::delivery(&holds, row, &control, names)).collect();
    let mut view = views::story(story, names, payloads);
    view.deliveries.iter_mut().zip(calls).for_each(|(call, waiting)| call.waiting = waiting);
    for (run, waiting) in view.runs.iter_mut().zip(runs) {
        run.waiting = waiting;
        let record = desk.store().run_record_read(scope.tenant.id, run.id).await?;
        run.fetches = record.as_ref().map(views::fetches).unwrap_or_default();
        run.state = record.as_ref().map(|record| views::state_reads(record, payloads)).unwrap_or_default();
    }
    Ok(Json(view))
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
    Ok(body::raw(story.event.body))
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
    let (verdict, dead, asked) = (verdict(&mut query), query.flag("dead"), about(&mut query, desk.now()));
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
    let (place, asked) = (query.text("destination"), about(&mut query, desk.now()));
    let (before, limit) = (query.parsed("before"), query.limit());
    query.done()?;
    let control = desk.control().await?;
    let place = place.map(|name| destination::named(&control, scope.tenant.id, &name).map(|place| place.id));
    let about = asked.within(&control, scope.tenant.id)?;
    let filter = DeliveryFilter { state, destination: place.transpose()?, about, before, limit };
    let rows = desk.store().delivery_list(scope.tenant.id, filter).await?;
    let next = next(&rows, limit, |row| row.id.to_string());
    let names = Names::new(&control, scope.tenant.id);
    Ok(Json(List { items: rows.into_iter().map(|row| views::delivery(row, names, Payloads::NONE)).collect(), next }))
}

/// `GET …/deliveries/{delivery}`: with its history, and what it sends except the host's own headers.
pub async fn delivery(
    State(desk): State<Desk>,
    scope: Scope,
    payloads: Payloads,
    Path((_, delivery)): Path<(String, String)>,
) -> Result<Json<LetterView>, Refusal> {
    let missing = || Refusal::NotFound(format!("there is no delivery `{delivery}`; GET …/deliveries lists them"));
    let id: DeliveryId = delivery.parse().map_err(|_| missing())?;
    let (row, letter) = desk.store().delivery_read(scope.tenant.id, id).await?.ok_or_else(missing)?;
    let control = desk.control().await?;
    let names = Names::new(&control, scope.tenant.id);
    let holds = waiting::holds(&desk, scope.tenant.id, &[], std::slice::from_ref(&row)).await?;
    let waiting = waiting::delivery(&holds, &row, &control, names);
    let mut view = views::letter(row, letter, names, payloads);
    view.delivery.waiting = waiting;
    Ok(Json(view))
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
pub fn about(query: &mut Query, now: Timestamp) -> Asked {
    let source = query.text("source");
    let (since, until) = (query.moment("since", now), query.moment("until", now));
    let (kind, reason) = (query.text("kind"), query.text("reason"));
    Asked { source, about: About { source: None, kind, since, until, reason } }
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

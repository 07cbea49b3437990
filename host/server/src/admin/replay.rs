//! What goes once more: a run, an event, a dead letter, or all dead letters of a kind.
//!
//! Many are replayed in small steps, oldest first. A step looks at no more than `limit` letters and says where the next
//! begins, so whoever asks sees how far it is, may stop, and goes on later. What died after `until` is left alone: the
//! first step says which moment that is, and what dies again while it is replayed is not replayed for ever. Runs stop at
//! the tenant's quota of pending ones, and calls at `waiting_max` of their destination: the step says so and where to go on
//! when there is room again.
//!
//! With `dry_run` a run or an event is only rehearsed ([`super::rehearsing`]). What that shows are payloads, so it needs the
//! right to them; replaying does not.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use creel_store::contract::{About, DeliveryFilter, Hasten, Keys, NewRun, Replay, RunFilter, Story, Terms, Window};
use creel_webhook::clock::Timestamp;
use creel_webhook::id::{DeliveryId, EventId, RunId};
use creel_webhook::route::{Route, matching};

use super::access::Scope;
use super::history::{Asked, about, verdict};
use super::payloads::Payloads;
use super::problem::Refusal;
use super::query::Query;
use super::rehearsing::{self, Part};
use super::state::Desk;
use super::{destination, plugin};
use crate::api::{EventReplayed, Moment, ReplayStep, Replayed, ReplayedCall};

/// `POST …/runs/{run}/replay?new_keys=&dry_run=&deployment=`: a new run of the same event, route and plugin on what is active
/// now; a dry run may name another deployment.
pub async fn run(
    State(desk): State<Desk>,
    scope: Scope,
    payloads: Payloads,
    Path((_, run)): Path<(String, String)>,
    mut query: Query,
) -> Result<Response, Refusal> {
    let keys = keys(&mut query);
    let dry = rehearsing::asked(&mut query, keys == Keys::New);
    query.done()?;
    let missing = || Refusal::NotFound(format!("there is no run `{run}`; GET …/runs lists them"));
    let run: RunId = run.parse().map_err(|_| missing())?;
    if let Some(asked) = dry {
        payloads.need()?;
        let turn = desk.admin.stage.turn(scope.tenant.id).await;
        let row = desk.store().run_read(scope.tenant.id, run).await?.ok_or_else(missing)?;
        let story = desk.store().event_story(scope.tenant.id, row.event).await?.ok_or_else(missing)?;
        let rehearsed = rehearsing::rehearse(&desk, &turn, &story, &[Part::of(&row)], &asked).await?;
        return Ok(Json(rehearsed).into_response());
    }
    let new = desk.id();
    desk.store().run_replay(scope.tenant.id, run, new, terms(&desk, &scope, keys), desk.now()).await?;
    Ok((StatusCode::ACCEPTED, Json(Replayed { run: new })).into_response())
}

/// `POST …/events/{event}/replay?new_keys=&dry_run=&deployment=`: new runs for all routes that take its type now.
pub async fn event(
    State(desk): State<Desk>,
    scope: Scope,
    payloads: Payloads,
    Path((_, event)): Path<(String, String)>,
    mut query: Query,
) -> Result<Response, Refusal> {
    let keys = keys(&mut query);
    let dry = rehearsing::asked(&mut query, keys == Keys::New);
    query.done()?;
    if dry.is_some() {
        payloads.need()?;
    }
    let missing = || Refusal::NotFound(format!("there is no event `{event}`; GET …/events lists them"));
    let id: EventId = event.parse().map_err(|_| missing())?;
    let turn = match &dry {
        Some(_) => Some(desk.admin.stage.turn(scope.tenant.id).await),
        None => None,
    };
    let story = desk.store().event_story(scope.tenant.id, id).await?.ok_or_else(missing)?;
    let stored = &story.event;
    if stored.origin.is_some() {
        return Err(Refusal::Conflict(format!("`{event}` reports how a call ended; replay its run instead")));
    }
    let control = desk.control().await?;
    let is_of = |tenant, source| tenant == scope.tenant.id && source == stored.source;
    let routes: Vec<Route> = control.routes.iter().filter(|route| is_of(route.tenant, route.source)).cloned().collect();
    let taking = matching(&routes, &stored.kind);
    if taking.is_empty() {
        let kind = &stored.kind;
        return Err(Refusal::Conflict(format!("no route of its source takes the type `{kind}`; add one, then replay")));
    }
    if let (Some(asked), Some(turn)) = (dry, turn) {
        let parts: Vec<Part<'_>> = taking.into_iter().map(|route| part(&story, route)).collect();
        return Ok(Json(rehearsing::rehearse(&desk, &turn, &story, &parts, &asked).await?).into_response());
    }
    let new =
        |route: &Route| NewRun { id: desk.id(), route: route.id, plugin: route.plugin, order_key: None, reply: None };
    let runs: Vec<NewRun> = taking.into_iter().map(new).collect();
    let runs = desk.store().event_replay(scope.tenant.id, id, runs, terms(&desk, &scope, keys), desk.now()).await?;
    Ok((StatusCode::ACCEPTED, Json(EventReplayed { runs })).into_response())
}

/// `POST …/deliveries/{delivery}/replay?new_keys=`: a dead letter into the queue again, as itself; one that waits for its next
/// attempt goes now.
pub async fn delivery(
    State(desk): State<Desk>,
    scope: Scope,
    Path((_, delivery)): Path<(String, String)>,
    mut query: Query,
) -> Result<Response, Refusal> {
    let keys = keys(&mut query);
    query.done()?;
    let missing = || Refusal::NotFound(format!("there is no delivery `{delivery}`; GET …/deliveries lists them"));
    let id: DeliveryId = delivery.parse().map_err(|_| missing())?;
    if keys == Keys::Same
        && desk.store().delivery_hasten(scope.tenant.id, Hasten::One(id), desk.now()).await?.hastened > 0
    {
        return Ok((StatusCode::ACCEPTED, Json(ReplayedCall { delivery: id })).into_response());
    }
    let replay = desk.store().delivery_replay(scope.tenant.id, vec![id], keys, desk.now()).await?.pop();
    match replay {
        Some(Replay::Queued) => Ok((StatusCode::ACCEPTED, Json(ReplayedCall { delivery: id })).into_response()),
        Some(Replay::Refused(why) | Replay::NoRoom(why)) => {
            Err(Refusal::Conflict(format!("`{delivery}` is not replayed: {why}")))
        }
        Some(Replay::Missing) | None => Err(missing()),
    }
}

/// `POST …/deliveries/replay?destination=&source=&kind=&since=&until=&reason=&after=&limit=&new_keys=`: one step.
pub async fn deliveries(State(desk): State<Desk>, scope: Scope, mut query: Query) -> Result<Json<ReplayStep>, Refusal> {
    let place = query.text("destination");
    let (asked, after, limit, keys) =
        (about(&mut query, desk.now()), query.parsed("after"), query.limit(), keys(&mut query));
    query.done()?;
    let control = desk.control().await?;
    let place = place.map(|name| destination::named(&control, scope.tenant.id, &name).map(|place| place.id));
    let (about, until) = bounded(asked, &desk, &control, &scope)?;
    let filter = DeliveryFilter { destination: place.transpose()?, about, limit, ..DeliveryFilter::default() };
    let window = desk.store().delivery_dead(scope.tenant.id, filter, after).await?;
    let replays = desk.store().delivery_replay(scope.tenant.id, window.ids.clone(), keys, desk.now()).await?;
    Ok(Json(held_or_done(&replays, &window, after, until)))
}

/// `POST …/runs/replay?verdict=&plugin=&source=&kind=&since=&until=&reason=&after=&limit=&new_keys=`: one step.
pub async fn runs(State(desk): State<Desk>, scope: Scope, mut query: Query) -> Result<Json<ReplayStep>, Refusal> {
    let (verdict, plugin) = (verdict(&mut query), query.text("plugin"));
    let (asked, after, limit, keys) =
        (about(&mut query, desk.now()), query.parsed("after"), query.limit(), keys(&mut query));
    query.done()?;
    let control = desk.control().await?;
    let plugin = plugin.map(|name| plugin::named(&control, scope.tenant.id, &name).map(|plugin| plugin.id));
    let (about, until) = bounded(asked, &desk, &control, &scope)?;
    let filter = RunFilter { verdict, plugin: plugin.transpose()?, about, limit, ..RunFilter::default() };
    let window = desk.store().run_dead(scope.tenant.id, filter, after).await?;
    let runs = window.ids.iter().map(|run| (*run, desk.id())).collect();
    let replays = desk.store().run_replay_dead(scope.tenant.id, runs, terms(&desk, &scope, keys), desk.now()).await?;
    Ok(Json(held_or_done(&replays, &window, after, until)))
}

/// What a replay would run on this route, beside the latest run there of which something has come.
fn part<'a>(story: &'a Story, route: &Route) -> Part<'a> {
    let then = story.runs.iter().rev().find(|run| run.route == route.id && run.verdict.is_some());
    // A replay of a reply run waits for nobody; what the sender would be told is shown all the same.
    Part { route: route.id, plugin: route.plugin, mode: route.mode, then }
}

/// What replays of the tenant's runs keep to: its own limit, or the host's.
fn terms(desk: &Desk, scope: &Scope, keys: Keys) -> Terms {
    Terms { keys, pending_runs_max: desk.ceilings.holds(&scope.tenant.limits).pending_runs_max }
}

/// What is asked for, with an end: without one, what a replay makes would be replayed by its next step.
fn bounded(
    asked: Asked,
    desk: &Desk,
    control: &creel_store::contract::Control,
    scope: &Scope,
) -> Result<(About, Timestamp), Refusal> {
    let about = asked.within(control, scope.tenant.id)?;
    let until = about.until.unwrap_or_else(|| desk.now());
    Ok((About { until: Some(until), ..about }, until))
}

/// A step that went to its end, or up to the first letter for which there was no room: the next step begins with that.
/// Letters behind it for which there was room are no dead letters any more, so the next step does not see them again.
fn held_or_done<I: Copy + ToString>(
    replays: &[Replay],
    window: &Window<I>,
    after: Option<I>,
    until: Timestamp,
) -> ReplayStep {
    let full = replays.iter().enumerate().find_map(|(index, replay)| match replay {
        Replay::NoRoom(why) => Some((index, why.clone())),
        _ => None,
    });
    let Some((fit, why)) = full else {
        return step(replays, window.looked_at, window.next.map(|id| id.to_string()), until);
    };
    let next = fit.checked_sub(1).map_or(after, |last| window.ids.get(last).copied());
    let behind = replays[fit..].iter().filter(|replay| **replay == Replay::Queued).count();
    let (fit_count, behind) = (u32::try_from(fit).unwrap_or(u32::MAX), u32::try_from(behind).unwrap_or(u32::MAX));
    let done = step(&replays[..fit], fit_count.saturating_add(behind), next.map(|id| id.to_string()), until);
    ReplayStep { held: Some(why), replayed: done.replayed.saturating_add(behind), ..done }
}

fn step(replays: &[Replay], looked_at: u32, next: Option<String>, until: Timestamp) -> ReplayStep {
    let queued = replays.iter().filter(|replay| **replay == Replay::Queued).count();
    let refused = replays.iter().find_map(|replay| match replay {
        Replay::Refused(why) => Some(why.clone()),
        _ => None,
    });
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let (replayed, skipped) = (count(queued), count(replays.len() - queued));
    ReplayStep { looked_at, replayed, skipped, refused, next, held: None, until: Moment(until) }
}

fn keys(query: &mut Query) -> Keys {
    if query.flag("new_keys") { Keys::New } else { Keys::Same }
}

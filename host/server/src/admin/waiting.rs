//! What the store says of why something waits, in words: with names, and with what to do about it.

use creel_store::contract::{Control, DeliveryRow, DeliveryState, Hold, Holds, RunRow};
use creel_webhook::clock::Timestamp;
use creel_webhook::id::{DeliveryId, RunId, TenantId};

use super::problem::Refusal;
use super::state::Desk;
use super::views::Names;
use crate::api::{Moment, WaitView, Why};

/// What holds those of these that are not over; nobody is asked when all are.
///
/// # Errors
/// When the store fails.
pub async fn holds(
    desk: &Desk,
    tenant: TenantId,
    runs: &[RunRow],
    deliveries: &[DeliveryRow],
) -> Result<Holds, Refusal> {
    let runs: Vec<RunId> = runs.iter().filter(|run| run.ended_at.is_none()).map(|run| run.id).collect();
    let pending = deliveries.iter().filter(|call| call.state == DeliveryState::Pending);
    let deliveries: Vec<DeliveryId> = pending.map(|call| call.id).collect();
    if runs.is_empty() && deliveries.is_empty() {
        return Ok(Holds::default());
    }
    Ok(desk.store().hold_list(tenant, runs, deliveries, desk.now()).await?)
}

/// Why a run is not over.
pub fn run(holds: &Holds, row: &RunRow, control: &Control, names: Names<'_>) -> Vec<WaitView> {
    let Some((_, found)) = holds.runs.iter().find(|(id, _)| *id == row.id) else { return Vec::new() };
    let route = names.route(row.route);
    let at = control.routes.iter().find(|one| one.id == row.route);
    let paused = match at {
        Some(at) if !at.paused => {
            let source = names.source(at.source);
            format!("its source `{source}` is paused; `creel resume source {source}` lets it go on")
        }
        _ => format!("its route `{route}` is paused; `creel resume route {route}` lets it go on"),
    };
    told(found, |hold| match hold {
        Hold::Paused => paused.clone(),
        Hold::LaneFull { places } => format!("as many runs of the route `{route}` are under way as may be ({places})"),
        other => common(other),
    })
}

/// Why a call is not over.
pub fn delivery(holds: &Holds, row: &DeliveryRow, control: &Control, names: Names<'_>) -> Vec<WaitView> {
    let Some((_, found)) = holds.deliveries.iter().find(|(id, _)| *id == row.id) else { return Vec::new() };
    let place = names.destination(row.destination);
    let reason = control.destinations.iter().find(|one| one.id == row.destination);
    let reason = reason.and_then(|one| one.paused.clone()).unwrap_or_else(|| "paused".to_owned());
    told(found, |hold| match hold {
        Hold::Paused => {
            format!("its destination `{place}` is paused ({reason}); `creel resume destination {place}` lets it go on")
        }
        Hold::BreakerOpen { until } => {
            format!(
                "calls to its destination `{place}` failed in a row; none goes before {until}, or `creel resume destination \
                 {place}` lets them go now"
            )
        }
        Hold::Asked { until } => format!("its destination `{place}` asked to be left alone until {until}"),
        Hold::Rate { per_s, until } => {
            format!("its destination `{place}` gets at most {per_s} calls a second; the next may go at {until}")
        }
        Hold::LaneFull { places } => {
            format!("as many calls to its destination `{place}` are on their way as may be now ({places})")
        }
        other => common(other),
    })
}

fn told(found: &[Hold], words: impl Fn(Hold) -> String) -> Vec<WaitView> {
    if found.is_empty() {
        let detail = "nothing holds it: it goes as soon as those before it have had their turn".to_owned();
        return vec![WaitView { why: Why::Turn, until: None, behind: None, detail }];
    }
    let view = |hold: &Hold| {
        let (why, until, behind) = facts(*hold);
        WaitView { why, until: until.map(Moment), behind, detail: words(*hold) }
    };
    found.iter().map(view).collect()
}

fn facts(hold: Hold) -> (Why, Option<Timestamp>, Option<String>) {
    match hold {
        Hold::UnderWay { until } => (Why::UnderWay, Some(until), None),
        Hold::NotBefore { until } => (Why::NotBefore, Some(until), None),
        Hold::BehindRun { run, until } => (Why::Behind, until, Some(run.to_string())),
        Hold::BehindDelivery { delivery, until } => (Why::Behind, until, Some(delivery.to_string())),
        Hold::Paused => (Why::Paused, None, None),
        Hold::BreakerOpen { until } => (Why::Breaker, Some(until), None),
        Hold::Asked { until } => (Why::Asked, Some(until), None),
        Hold::Rate { until, .. } => (Why::Rate, Some(until), None),
        Hold::LaneFull { .. } => (Why::Places, None, None),
        Hold::TenantFull { .. } => (Why::TenantPlaces, None, None),
        Hold::Debt { until } => (Why::Fuel, Some(until), None),
        Hold::Quota { until, .. } => (Why::Quota, Some(until), None),
        Hold::Alone { until } => (Why::Alone, Some(until), None),
    }
}

/// What is said of runs and calls alike.
fn common(hold: Hold) -> String {
    match hold {
        Hold::UnderWay { until } => format!("it is under way; if nothing comes of it, it is tried again at {until}"),
        Hold::NotBefore { until } => format!("it is not tried before {until}"),
        Hold::BehindRun { run, until } => behind(&run, until),
        Hold::BehindDelivery { delivery, until } => behind(&delivery, until),
        Hold::TenantFull { places } => {
            format!("as many runs of the tenant are under way as may be (concurrent_runs_max = {places})")
        }
        Hold::Debt { until } => {
            format!("the tenant has used more fuel than its fuel_per_second gives; nothing of it is run before {until}")
        }
        Hold::Quota { quota, .. } => {
            format!("the tenant's {} are used up: {}; `creel usage` tells more", quota.limit(), quota.beyond())
        }
        Hold::Alone { until } => {
            format!("a run that may have ended the host before is run alone, until {until} at most")
        }
        Hold::Paused => "it is paused".to_owned(),
        Hold::BreakerOpen { until } | Hold::Asked { until } | Hold::Rate { until, .. } => {
            format!("nothing goes there before {until}")
        }
        Hold::LaneFull { places } => format!("as many are under way as may be ({places})"),
    }
}

fn behind(before: &impl std::fmt::Display, until: Option<Timestamp>) -> String {
    let passes =
        until.map_or_else(String::new, |until| format!("; should that go on failing, it may be passed at {until}"));
    format!("{before}, which came before it with the same order key, is not over{passes}")
}

//! Replays: one thing by its id, or all dead letters that a filter wants, step by step.

use super::args::{Dead, DeadKind};
use super::client::{ClientResult, TenantClient};
use crate::api::ReplayStep;

/// What the API calls the kind of thing that an id names; runs when it says nothing.
pub fn kind_of(id: &str) -> &'static str {
    match id.split_once('_').map(|(prefix, _)| prefix) {
        Some("evt") => "events",
        Some("dlv") => "deliveries",
        _ => "runs",
    }
}

/// What the API calls a kind of dead letters.
pub fn plural(kind: DeadKind) -> &'static str {
    match kind {
        DeadKind::Deliveries => "deliveries",
        DeadKind::Runs => "runs",
    }
}

/// What was asked for, as the API's parameters.
pub fn filter(wanted: &Dead) -> Vec<(&'static str, String)> {
    let given = [
        ("destination", &wanted.destination),
        ("plugin", &wanted.plugin),
        ("verdict", &wanted.verdict),
        ("source", &wanted.source),
        ("kind", &wanted.event_type),
        ("since", &wanted.since),
        ("until", &wanted.until),
        ("reason", &wanted.reason),
    ];
    let mut filter: Vec<_> = given.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect();
    filter.push(("limit", wanted.limit.to_string()));
    filter
}

/// Replays all; `told` hears of each step. Gives the sum.
///
/// # Errors
/// Those of the client; what was replayed until then stays so.
pub async fn all(tenant: &TenantClient, wanted: &Dead, told: &mut dyn FnMut(&ReplayStep)) -> ClientResult<ReplayStep> {
    let mut after = wanted.after.clone();
    let mut until = wanted.until.clone();
    let mut sum: Option<ReplayStep> = None;
    loop {
        let mut asked: Vec<_> = filter(wanted).into_iter().filter(|(name, _)| *name != "until").collect();
        asked.push(("new_keys", wanted.new_keys.to_string()));
        asked.extend(after.iter().map(|after| ("after", after.clone())));
        asked.extend(until.iter().map(|until| ("until", until.clone())));
        let step = tenant.replay_step(plural(wanted.kind), &asked).await?;
        let total = match sum.take() {
            None => step,
            Some(before) => ReplayStep {
                looked_at: before.looked_at.saturating_add(step.looked_at),
                replayed: before.replayed.saturating_add(step.replayed),
                skipped: before.skipped.saturating_add(step.skipped),
                refused: before.refused.or(step.refused),
                next: step.next,
                until: step.until,
            },
        };
        told(&total);
        if total.next.is_none() {
            return Ok(total);
        }
        after.clone_from(&total.next);
        until = Some(total.until.to_string());
        sum = Some(total);
    }
}

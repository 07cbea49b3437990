//! Replays: one thing by its id, or all dead letters that a filter wants, step by step.

use std::time::Duration;

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

/// How long a replay waits for room when as much waits as may.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Between two looks.
    pub pause: Duration,
    /// Looks in a row that find no room.
    pub looks_max: u32,
}

impl Default for Patience {
    /// A minute, a look each second: what waits is being decided, or somebody has paused it.
    fn default() -> Self {
        Patience { pause: Duration::from_secs(1), looks_max: 60 }
    }
}

/// Replays all, as fast as there is room; `told` hears of each step that did something. Gives the sum; when there was no
/// room for too long, it says why and where to go on.
///
/// # Errors
/// Those of the client; what was replayed until then stays so.
pub async fn all(
    tenant: &TenantClient,
    wanted: &Dead,
    patience: Patience,
    told: &mut dyn FnMut(&ReplayStep),
) -> ClientResult<ReplayStep> {
    let mut after = wanted.after.clone();
    let mut until = wanted.until.clone();
    let mut sum: Option<ReplayStep> = None;
    let mut looks = 0;
    loop {
        let mut asked: Vec<_> = filter(wanted).into_iter().filter(|(name, _)| *name != "until").collect();
        asked.push(("new_keys", wanted.new_keys.to_string()));
        asked.extend(after.iter().map(|after| ("after", after.clone())));
        asked.extend(until.iter().map(|until| ("until", until.clone())));
        let step = tenant.replay_step(plural(wanted.kind), &asked).await?;
        let moved = step.looked_at > 0 || step.held.is_none();
        looks = if moved { 0 } else { looks + 1 };
        let total = match sum.take() {
            None => step,
            Some(before) => ReplayStep {
                looked_at: before.looked_at.saturating_add(step.looked_at),
                replayed: before.replayed.saturating_add(step.replayed),
                skipped: before.skipped.saturating_add(step.skipped),
                refused: before.refused.or(step.refused),
                next: step.next,
                held: step.held,
                until: step.until,
            },
        };
        if moved || looks == 1 {
            told(&total);
        }
        if (total.next.is_none() && total.held.is_none()) || looks > patience.looks_max {
            return Ok(total);
        }
        if total.held.is_some() {
            tokio::time::sleep(patience.pause).await;
        }
        after.clone_from(&total.next);
        until = Some(total.until.to_string());
        sum = Some(total);
    }
}

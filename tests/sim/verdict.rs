//! What the database says at the end, held against what senders were told and what receivers took.

use std::collections::{BTreeMap, BTreeSet};

use creel_store::contract::{DeliveryRow, DeliveryState, EventFilter, RunRow, Store, Story};
use creel_webhook::decision::outward_key;
use creel_webhook::id::EventId;
use creel_webhook::run::Verdict;

use crate::model::{Check, hold};
use crate::notices::Deaths;
use crate::script::Item;
use crate::sim::Sim;

/// Judges a life that is over.
pub(crate) async fn judge(sim: &mut Sim) -> Check {
    let mut stored: BTreeMap<u32, Vec<EventId>> = BTreeMap::new();
    let mut keys = BTreeSet::new();
    for (place, shop) in sim.model.shops.clone().into_iter().enumerate() {
        let mut deaths = Deaths::default();
        let filter = EventFilter { limit: 500, ..EventFilter::default() };
        let events = sim.store.event_list(shop.tenant, filter).await.map_err(|error| error.to_string())?;
        for event in events {
            let item = sim.model.item(&event.subject);
            stored.entry(item.number).or_default().push(event.id);
            let story = sim.store.event_story(shop.tenant, event.id).await.map_err(|error| error.to_string())?;
            let story = story.ok_or_else(|| format!("{} is listed and has no story", event.id))?;
            judge_event(sim, item, &story, &mut keys)?;
            deaths.note(&story);
        }
        sim.judge_notices(place, &deaths).await?;
    }
    for number in sim.model.acknowledged.keys() {
        let events = stored.get(number).map_or(0, Vec::len);
        hold!(events == 1, "item-{number} was acknowledged and is there {events} times");
    }
    for (key, place) in &sim.model.taken {
        hold!(keys.contains(key), "the receiver {place:?} took a call {key} that nobody decided");
    }
    Ok(())
}

fn judge_event(sim: &Sim, item: Item, story: &Story, keys: &mut BTreeSet<String>) -> Check {
    let (name, shop) = (item.name(), sim.model.shops[item.shop]);
    let mut expected: Vec<_> = item.routes().map(|route| shop.routes[route]).into();
    let first = |run: &&RunRow| !sim.model.replays.contains(&run.id);
    let mut decided: Vec<_> = story.runs.iter().filter(first).map(|run| run.route).collect();
    expected.sort();
    decided.sort();
    hold!(decided == expected, "{name} has runs on {decided:?} and takes {expected:?}");
    if item.waits {
        let told = sim.model.replies.get(&story.event.id);
        hold!(story.answer.is_some(), "the reply to {name} is not decided");
        hold!(told.is_none() || told == story.answer.as_ref(), "{name} was told {told:?} and has {:?}", story.answer);
    }
    for run in &story.runs {
        let route = shop.routes.iter().position(|route| *route == run.route).unwrap_or_default();
        let calls: Vec<&DeliveryRow> = story.deliveries.iter().filter(|call| call.run == run.id).collect();
        judge_run(item, route, run, &calls, first(&run))?;
        for call in calls {
            hold!(
                call.key == outward_key(story.event.id, run.route, call.index),
                "{name}: {} has another key",
                call.id
            );
            let is_new = keys.insert(call.key.clone());
            hold!(is_new || !first(&run), "{name}: two calls have the key {}", call.key);
            judge_call(sim, call)?;
        }
    }
    Ok(())
}

fn judge_run(item: Item, route: usize, run: &RunRow, calls: &[&DeliveryRow], is_first: bool) -> Check {
    let what = format!("run {} of {} on route {route}", run.id, item.name());
    let verdict = run.verdict.filter(|_| run.ended_at.is_some()).ok_or_else(|| format!("{what} is not decided"))?;
    let given_up = run.reason.as_deref().is_some_and(|reason| reason.contains("claims were lost"));
    let right = match verdict {
        Verdict::Host => given_up,
        Verdict::Late => route == 2 && is_first,
        Verdict::Unanswered => item.waits && is_first,
        // A sender that waits is answered once: nothing is tried again for it.
        verdict if route == 2 && is_first => verdict == item.verdict(route, 0),
        verdict => verdict == item.last_verdict(route),
    };
    hold!(right, "{what} ended {verdict:?}: {:?}", run.reason);
    let made = verdict == Verdict::Done || verdict == Verdict::Late && item.keeps_late();
    let decided = if made && item.verdict(route, run.attempts.saturating_sub(1)) == Verdict::Done {
        item.outcome(route).calls.len() as u32
    } else {
        0
    };
    let mut indices: Vec<u32> = calls.iter().map(|call| call.index).collect();
    indices.sort_unstable();
    hold!(indices == (0..decided).collect::<Vec<_>>(), "{what} decided {decided} calls and has {indices:?}");
    Ok(())
}

fn judge_call(sim: &Sim, call: &DeliveryRow) -> Check {
    match call.state {
        DeliveryState::Pending => return Err(format!("call {} is pending", call.id)),
        DeliveryState::Delivered => {
            hold!(sim.model.taken.contains_key(&call.key), "call {} is delivered and nobody took it", call.id);
        }
        DeliveryState::Dead => hold!(call.reason.is_some(), "call {} is dead without a reason", call.id),
    }
    // What was held for a person is in the history and is no attempt.
    hold!(call.history.len() >= call.attempts as usize, "call {} lost its history", call.id);
    Ok(())
}

//! What the database says at the end, held against what senders were told and what receivers took.

use std::collections::{BTreeMap, BTreeSet};

use creel_store::contract::{DeliveryRow, DeliveryState, RunRow, Story};
use creel_webhook::decision::outward_key;
use creel_webhook::id::EventId;
use creel_webhook::run::Verdict;

use crate::model::{Check, hold};
use crate::notices::Deaths;
use crate::results::{judge_reports, matter_in};
use crate::script::Matter;
use crate::sim::Sim;

/// Judges a life that is over.
pub(crate) async fn judge(sim: &mut Sim) -> Check {
    sim.judge_removal().await?;
    let mut stories = sim.stories().await?;
    stories.append(&mut sim.gone.clone());
    let mut stored: BTreeMap<u32, Vec<EventId>> = BTreeMap::new();
    let mut keys = Keys::default();
    let mut deaths: Vec<Deaths> = sim.model.shops.iter().map(|_| Deaths::default()).collect();
    for (id, story) in &stories {
        let matter = matter_in(&sim.model, &stories, story)?;
        if matter.heard.is_none() {
            stored.entry(matter.item.number).or_default().push(*id);
        }
        judge_event(sim, matter, story, &mut keys)?;
        if !sim.gone.contains_key(id) {
            deaths[matter.item.shop].note(story);
        }
    }
    judge_reports(&sim.model, &stories)?;
    let removed = sim.model.removed;
    for (place, deaths) in deaths.iter().enumerate().filter(|(place, _)| removed != Some(*place)) {
        sim.judge_notices(place, deaths).await?;
        sim.judge_memory(place).await?;
    }
    for number in sim.model.acknowledged.keys() {
        let events = stored.get(number).map_or(0, Vec::len);
        hold!(events == 1, "item-{number} was acknowledged and is there {events} times");
    }
    for (key, place) in sim.model.taken.iter().filter(|(_, place)| !sim.model.is_removed(place.0)) {
        hold!(keys.all.contains(key), "the receiver {place:?} took a call {key} that nobody decided");
    }
    Ok(())
}

/// Keys outward that were seen, and what they were made from: two reports of one end, or of the same end of two runs of
/// one event, lead to the same keys.
#[derive(Default)]
struct Keys {
    all: BTreeSet<String>,
    identities: BTreeSet<EventId>,
}

fn judge_event(sim: &Sim, matter: Matter, story: &Story, keys: &mut Keys) -> Check {
    let (item, shop) = (matter.item, sim.model.shops[matter.item.shop]);
    let name = format!("{} ({})", item.name(), story.event.id);
    let first = |run: &&RunRow| !sim.model.replays.contains(&run.id);
    let mut decided: Vec<_> = story.runs.iter().filter(first).map(|run| run.route).collect();
    decided.sort();
    if matter.heard.is_some() {
        hold!(decided.len() == 1, "{name} has runs on {decided:?} and reports to one handler");
    } else {
        let mut expected: Vec<_> = item.routes().map(|route| shop.routes[route]).into();
        expected.sort();
        hold!(decided == expected, "{name} has runs on {decided:?} and takes {expected:?}");
    }
    if item.waits && matter.heard.is_none() {
        let told = sim.model.replies.get(&story.event.id);
        hold!(story.answer.is_some(), "the reply to {name} is not decided");
        hold!(told.is_none() || told == story.answer.as_ref(), "{name} was told {told:?} and has {:?}", story.answer);
    }
    let is_known = !keys.identities.insert(story.event.identity());
    for run in &story.runs {
        let route = shop.routes.iter().position(|route| *route == run.route).unwrap_or_default();
        let calls: Vec<&DeliveryRow> = story.deliveries.iter().filter(|call| call.run == run.id).collect();
        judge_run(sim, matter, (run, route), &calls)?;
        for call in calls {
            let key = outward_key(story.event.identity(), run.route, call.index);
            hold!(call.key == key, "{name}: {} has another key", call.id);
            let is_new = keys.all.insert(call.key.clone());
            hold!(is_new || is_known || !first(&run), "{name}: two calls have the key {}", call.key);
            judge_call(sim, call)?;
        }
    }
    Ok(())
}

fn judge_run(sim: &Sim, matter: Matter, (run, route): (&RunRow, usize), calls: &[&DeliveryRow]) -> Check {
    let item = matter.item;
    let what = format!("run {} of {} on route {route}", run.id, item.name());
    let verdict = run.verdict.filter(|_| run.ended_at.is_some()).ok_or_else(|| format!("{what} is not decided"))?;
    let given_up = sim.model.runs.get(&run.id).is_some_and(|known| known.state.is_given_up());
    let is_waited_for = matter.heard.is_none() && !sim.model.replays.contains(&run.id) && route == 2;
    let right = match verdict {
        Verdict::Host => given_up,
        Verdict::Late => is_waited_for,
        // In a full tenant its neighbour ends with it.
        Verdict::Unanswered => matter.heard.is_none() && item.waits && !sim.model.replays.contains(&run.id),
        // A sender that waits is answered once: nothing is tried again for it.
        verdict if is_waited_for => verdict == matter.verdict(route, 0),
        verdict => verdict == matter.last_verdict(route),
    };
    hold!(right, "{what} ended {verdict:?}: {:?}", run.reason);
    let made = verdict == Verdict::Done || verdict == Verdict::Late && item.keeps_late();
    let decided = if made && matter.verdict(route, run.attempts.saturating_sub(1)) == Verdict::Done {
        matter.outcome(route).calls.len() as u32
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

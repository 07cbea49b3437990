//! Results: the end of a call comes back to the plugin that asked for it, once, whatever stopped meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use creel_store::contract::{DeliveryRow, DeliveryState, RunClaim, Story};
use creel_webhook::followup::{DELIVERED, DEPTH_MAX, Origin, SCHEME, identity, is_wanted};
use creel_webhook::id::{DeliveryId, EventId};

use crate::model::{Check, Model, Moment, Over, hold};
use crate::script::{Heard, Item, Matter};

impl Model {
    /// A report was claimed: its call has ended, asked for it, and is reported so often as it ended.
    pub(crate) fn heard(&mut self, claim: &RunClaim, origin: &Origin, at: Moment) -> Check<Item> {
        let (event, what) = (&claim.event, format!("the report {} of {}", claim.event.id, origin.delivery));
        hold!(event.scheme == SCHEME, "{what} is said to come from outside");
        let delivered = event.kind == DELIVERED;
        let call =
            self.calls.get(&origin.delivery).ok_or_else(|| format!("{what} is of a call that nobody decided"))?;
        let (run, index) = (self.runs[&call.run].clone(), call.index);
        let wanted = call.on_result.as_ref().is_some_and(|asks| is_wanted(asks, delivered));
        hold!(wanted, "{what} says {}, and nobody asked for that", event.kind);
        hold!(origin.event == run.about.event && claim.ticket.route == run.route, "{what} goes to another handler");
        let depth = run.about.depth + 1;
        hold!(
            origin.depth == depth && depth <= DEPTH_MAX,
            "{what} is at depth {}, its call at {}",
            origin.depth,
            depth - 1
        );
        let stands_for = identity(run.about.identity, run.route, index, delivered);
        hold!(origin.identity == stands_for, "{what} leads to calls with other keys");
        hold!(!delivered || self.taken.contains_key(call.key()), "{what} says that it arrived, and nobody took it");
        self.ended(&what, origin.delivery, at)?;
        let item = self.matter_of(run.about.event).ok_or_else(|| format!("{what} is about an unknown event"))?.item;
        let heard = Heard { depth, index, delivered };
        self.reports.insert(event.id, (origin.delivery, Matter { item, heard: Some(heard) }));
        let reports = self.reports.values().filter(|(call, _)| *call == origin.delivery).count();
        let ends = self.calls[&origin.delivery].back as usize + 1;
        hold!(reports <= ends, "{what} is one of {reports}, and it ended {ends} times");
        Ok(item)
    }

    /// Whoever is reported is over, as is whoever decided it; unless a person wanted it back since.
    fn ended(&mut self, what: &str, id: DeliveryId, at: Moment) -> Check {
        let call = self.calls.get_mut(&id).expect("it is known");
        // What has expired or was given up ends as soon as somebody looks, and nobody is told.
        let silently = call.has_expired(at) || call.state.is_given_up() || call.back > 0;
        hold!(call.state.over != Over::No || silently, "{what} is there, and its call is not over");
        if call.back == 0 {
            call.state.over = Over::Yes;
        }
        let run = self.runs.get_mut(&call.run).expect("it was decided by one");
        hold!(run.state.over != Over::No, "{what} is there, and the run that decided its call is not over");
        run.state.over = Over::Yes;
        Ok(())
    }
}

/// All stories of a life, by their event: what the database holds, and what it held before it went by age.
pub(crate) type Stories = BTreeMap<EventId, Story>;

/// What an event is about, by the provider's name at the beginning of it all.
pub(crate) fn matter_in(model: &Model, stories: &Stories, story: &Story) -> Check<Matter> {
    let Some(origin) = &story.event.origin else {
        return Ok(Matter { item: model.item(&story.event.provider_id), heard: None });
    };
    let parent = stories.get(&origin.event).ok_or_else(|| format!("{} reports of a lost event", story.event.id))?;
    let call = parent.deliveries.iter().find(|call| call.id == origin.delivery);
    let call = call.ok_or_else(|| format!("{} reports of a lost call", story.event.id))?;
    let heard = Heard { depth: origin.depth, index: call.index, delivered: story.event.kind == DELIVERED };
    Ok(Matter { item: matter_in(model, stories, parent)?.item, heard: Some(heard) })
}

/// At the end: every end that was asked for is reported, and nothing else is.
pub(crate) fn judge_reports(model: &Model, stories: &Stories) -> Check {
    let mut reports: BTreeMap<DeliveryId, BTreeSet<EventId>> = BTreeMap::new();
    for story in stories.values() {
        let Some(origin) = &story.event.origin else { continue };
        hold!(origin.depth <= DEPTH_MAX, "{} is at depth {}", story.event.id, origin.depth);
        reports.entry(origin.delivery).or_default().insert(story.event.id);
    }
    for call in stories.values().flat_map(|story| &story.deliveries) {
        let reports = reports.remove(&call.id).unwrap_or_default();
        judge_call(model, call, &reports)?;
    }
    match reports.first_key_value() {
        Some((call, reports)) => Err(format!("{reports:?} report of {call}, which is not there")),
        None => Ok(()),
    }
}

fn judge_call(model: &Model, call: &DeliveryRow, reports: &BTreeSet<EventId>) -> Check {
    let wants = |delivered| call.on_result.as_ref().is_some_and(|asks| is_wanted(asks, delivered));
    let wanted = wants(call.state == DeliveryState::Delivered);
    let is_there = call.result.is_some_and(|result| reports.contains(&result));
    hold!(!wanted || is_there, "the end of {} was asked for and is not reported: {call:?}", call.id);
    // Who was brought back had died before: at most so often, for some asked for that are no dead letters.
    let back = model.calls.get(&call.id).map_or(0, |known| known.back as usize);
    let most = usize::from(wanted) + if wants(false) { back } else { 0 };
    hold!(reports.len() <= most, "{} is reported {} times, which is {most} at most", call.id, reports.len());
    Ok(())
}

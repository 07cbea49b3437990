//! What goes: by age, and because a person wants it. Only what is over goes, and repetitions are known afterwards.

use creel_store::contract::{DeliveryState, EventFilter, Store, StoreError, Story};
use creel_webhook::id::EventId;

use crate::model::{Check, Model, Moment, Over, hold};
use crate::results::Stories;
use crate::sim::Sim;
use crate::world::{BODY_DAYS, RECORD_DAYS};

/// Longer than any sender waits, milliseconds.
const HOUR_MS: u64 = 3_600_000;

/// What providers send again after all that time.
const REPETITIONS: usize = 6;

/// Whether something of it is not over.
fn is_pending(story: &Story) -> bool {
    story.answer.is_none()
        || story.runs.iter().any(|run| run.ended_at.is_none())
        || story.deliveries.iter().any(|call| call.state == DeliveryState::Pending)
}

impl Model {
    /// Something of an event, or of what follows from it, that is certainly not over.
    fn pending_of(&self, event: EventId, at: Moment) -> Option<String> {
        let family = self.family(event);
        let is_of = |of: &EventId| family.contains(of);
        let run = self.runs.iter().find(|(_, run)| is_of(&run.about.event) && run.is_certain_to_wait());
        let waits = |call: &crate::model::Call| {
            call.state.over == Over::No && !call.has_expired(at) && !call.state.is_given_up() && call.back == 0
        };
        let call = self.calls.iter().find(|(_, call)| is_of(&self.runs[&call.run].about.event) && waits(call));
        run.map(|(id, _)| format!("run {id}")).or_else(|| call.map(|(id, _)| format!("call {id}")))
    }

    /// An event and the known reports of its calls' ends, and so on.
    fn family(&self, event: EventId) -> Vec<EventId> {
        let mut family = vec![event];
        let mut next = 0;
        while let Some(event) = family.get(next).copied() {
            let of = |(call, _): &(creel_webhook::id::DeliveryId, _)| self.runs[&self.calls[call].run].about.event;
            family.extend(self.reports.iter().filter(|(_, report)| of(report) == event).map(|(id, _)| *id));
            next += 1;
        }
        family
    }
}

impl Sim {
    /// A person wants an event's payload gone.
    pub(crate) async fn erase(&mut self) -> Check {
        let known: Vec<EventId> = self
            .model
            .events
            .iter()
            .filter(|(item, _)| !self.model.items[**item as usize].waits)
            .map(|(_, id)| *id)
            .collect();
        let Some(event) = self.one_of(&known) else { return Ok(()) };
        let item = self.model.item_of(event).expect("it is an item's");
        let (tenant, at) = (self.model.shops[item.shop].tenant, self.at());
        let erased = self.store.event_erase(tenant, event, self.now).await;
        if let Err(StoreError::Conflict(why)) = &erased {
            self.note(format_args!("not erased {event}: {why}"));
            return Ok(());
        }
        if self.known("erasure", erased)?.is_some() {
            let pending = self.model.pending_of(event, at);
            hold!(pending.is_none(), "{event} was erased, and its {pending:?} is not over");
            self.note(format_args!("erased {event}"));
            let family = self.model.family(event);
            self.model.erased.extend(family);
        }
        Ok(())
    }

    /// Days pass in which nobody did anything, and what is too old goes; what is pending never is.
    pub(crate) async fn age(&mut self) -> Check {
        // Senders who waited are told, and what waited for them is over.
        self.now = self.now.plus_ms(HOUR_MS);
        self.tell_waiting().await?;
        self.prune_all().await?;
        let before = self.stories().await?;
        let days = if self.of(&[0, 1]) == 0 { BODY_DAYS } else { RECORD_DAYS };
        if days == RECORD_DAYS {
            self.forgotten_until = self.now;
            self.give_up_waiting();
        }
        self.now = self.now.plus_ms((days + 1) * 24 * HOUR_MS);
        self.note(format_args!("{days} days pass"));
        self.prune_all().await?;
        let after = self.stories().await?;
        for (id, story) in before {
            let pending = is_pending(&story);
            match after.get(&id) {
                Some(kept) => {
                    let whole = kept.event.body == story.event.body && kept.event.erased == story.event.erased;
                    hold!(whole || !pending, "{id} lost its body, and something of it is not over: {kept:?}");
                }
                None => {
                    hold!(days == RECORD_DAYS, "{id} is gone before its time");
                    hold!(!pending, "{id} is gone, and something of it was not over: {story:?}");
                    self.note(format_args!("{id} is gone"));
                    self.gone.insert(id, story);
                }
            }
        }
        if self.one_of(&[true, false]) == Some(true) {
            // What a process remembers is not what the disk holds.
            self.power_cut().await?;
        }
        self.repeat().await
    }

    async fn prune_all(&mut self) -> Check {
        while self.store.prune(self.now).await.map_err(|error| error.to_string())? {}
        Ok(())
    }

    /// Providers repeat what they were told is stored, the latest first.
    async fn repeat(&mut self) -> Check {
        for message in self.acknowledged_messages().into_iter().rev().take(REPETITIONS) {
            self.send(message).await?;
        }
        Ok(())
    }

    /// The stories of all events that are stored.
    pub(crate) async fn stories(&mut self) -> Check<Stories> {
        let mut stories = Stories::new();
        let shops = self.model.shops.clone().into_iter().enumerate();
        for (_, shop) in shops.filter(|(place, _)| !self.model.is_removed(*place)).collect::<Vec<_>>() {
            let filter = EventFilter { limit: 500, ..EventFilter::default() };
            let events = self.store.event_list(shop.tenant, filter).await.map_err(|error| error.to_string())?;
            for event in events.events {
                let story = self.store.event_story(shop.tenant, event.id).await.map_err(|error| error.to_string())?;
                let story = story.ok_or_else(|| format!("{} is listed and has no story", event.id))?;
                stories.insert(event.id, story);
            }
        }
        Ok(stories)
    }
}

//! Dead letters: people want them once more, some of them twice in one breath, and some that are no dead letters.

use creel_store::contract::{DeliveryFilter, DeliveryState, EventFilter, Keys, Replay, RunFilter, Store, Terms};
use creel_webhook::id::{DeliveryId, RunId};

use crate::model::{Check, Model, Moment, Over, hold};
use crate::sim::Sim;

/// Pending runs that a tenant may have when a replay is meant to reach the limit.
const QUOTA: u64 = 3;

/// Letters that are wanted at once.
const LETTERS: u32 = 3;

/// Dead calls that are looked at for them: some are notices, which nobody here wants again.
const LOOKED_AT: u32 = 20;

impl Model {
    /// Runs are asked for once more, each twice: exactly one successor may come of each.
    fn replayed_dead(&mut self, asked: &[(RunId, RunId)], replays: &[Replay], at: Moment) -> Check {
        for ((run, new), replay) in asked.iter().zip(replays) {
            if *replay == Replay::Queued {
                hold!(!self.succeeded.contains(run), "the dead run {run} got a second successor, {new}");
                self.replayed(*run, *new, at);
            }
        }
        Ok(())
    }

    /// A dead call that nothing keeps in line, and that is known to be over.
    fn is_alone(&self, id: DeliveryId) -> bool {
        self.calls.get(&id).is_some_and(|call| call.is_alone() && call.state.over == Over::Yes)
    }

    /// Whether a tenant has a call that is known to be over, nobody took and nothing keeps in line: it is dead.
    fn has_dead_call(&self, shop: usize) -> bool {
        let mut own = self.calls.values().filter(|call| call.place().0 == shop && call.is_alone());
        own.any(|call| call.state.over == Over::Yes && !self.taken.contains_key(call.key()))
    }

    /// Dead calls are asked for once more: from here on they may be in the queue.
    fn replaying_calls(&mut self, asked: &[DeliveryId], at: Moment) {
        for id in asked {
            let call = self.calls.get_mut(id).expect("it is known");
            call.state = call.state.perhaps_back(at.now);
            call.back += 1;
        }
    }

    fn replayed_call(&mut self, id: DeliveryId, is_queued: bool) {
        let call = self.calls.get_mut(&id).expect("it is known");
        call.state.over = if is_queued { Over::No } else { Over::Yes };
    }
}

impl Sim {
    /// A person wants dead runs of a tenant once more, within what it may have pending.
    pub(crate) async fn replay_dead_runs(&mut self, shop: usize) -> Check {
        if self.model.is_removed(shop) {
            return Ok(());
        }
        let (tenant, at) = (self.model.shops[shop].tenant, self.at());
        let filter = RunFilter { limit: LETTERS, ..RunFilter::default() };
        let window = self.store.run_dead(tenant, filter, None).await;
        let Some(window) = self.known("dead runs", window)? else { return Ok(()) };
        let known = window.ids.into_iter().filter(|run| self.model.runs.contains_key(run));
        let runs: Vec<RunId> = known.flat_map(|run| [run, run]).collect();
        let asked: Vec<(RunId, RunId)> = runs.into_iter().map(|run| (run, self.id())).collect();
        asked.iter().for_each(|(_, new)| self.model.replaying(*new));
        let pending_runs_max = self.of(&[QUOTA as u32, 1_000]).into();
        let terms = Terms { keys: Keys::Same, pending_runs_max };
        let replays = self.store.run_replay_dead(tenant, asked.clone(), terms, self.now).await;
        let Some(replays) = self.known("replay of dead runs", replays)? else { return Ok(()) };
        self.note(format_args!("dead runs {asked:?}: {replays:?}"));
        self.model.replayed_dead(&asked, &replays, at)?;
        if replays.contains(&Replay::Queued) {
            let filter = EventFilter { limit: 500, ..EventFilter::default() };
            let events = self.store.event_list(tenant, filter).await;
            let Some(events) = self.known("events", events)? else { return Ok(()) };
            let pending: u32 = events.events.iter().map(|event| event.pending).sum();
            hold!(
                u64::from(pending) <= pending_runs_max,
                "a replay went beyond the quota: {pending} runs of tenant {shop} are pending"
            );
        }
        Ok(())
    }

    /// A person wants calls once more: dead ones, each twice, and some that were delivered.
    pub(crate) async fn replay_calls(&mut self, shop: usize) -> Check {
        let all = self.model.shops.len();
        // A person goes where there is something to do.
        let has_dead = |shop: &usize| self.model.has_dead_call(*shop) && !self.model.is_removed(*shop);
        let shop = (0..all).map(|next| (shop + next) % all).find(has_dead).unwrap_or(0);
        let (tenant, at) = (self.model.shops[shop].tenant, self.at());
        let filter = DeliveryFilter { limit: LETTERS, ..DeliveryFilter::default() };
        let looked_at = DeliveryFilter { limit: LOOKED_AT, ..filter.clone() };
        let window = self.store.delivery_dead(tenant, looked_at, None).await;
        let Some(window) = self.known("dead calls", window)? else { return Ok(()) };
        let delivered = DeliveryFilter { state: Some(DeliveryState::Delivered), ..filter };
        let rows = self.store.delivery_list(tenant, delivered).await;
        let Some(rows) = self.known("delivered calls", rows)? else { return Ok(()) };
        let alone = window.ids.into_iter().filter(|id| self.model.is_alone(*id));
        let dead: Vec<DeliveryId> = alone.take(LETTERS as usize).collect();
        let over: Vec<DeliveryId> = rows.iter().map(|row| row.id).collect();
        let asked: Vec<DeliveryId> = dead.iter().chain(&dead).chain(&over).copied().collect();
        self.model.replaying_calls(&dead, at);
        let replays = self.store.delivery_replay(tenant, asked, Keys::Same, self.now).await;
        let Some(replays) = self.known("replay of dead calls", replays)? else { return Ok(()) };
        self.note(format_args!("dead calls {dead:?} and {over:?}: {replays:?}"));
        let (first, rest) = replays.split_at(dead.len());
        for (id, replay) in dead.iter().zip(first) {
            self.model.replayed_call(*id, *replay == Replay::Queued);
        }
        hold!(!rest.contains(&Replay::Queued), "a call that is no dead letter is in the queue again: {rest:?}");
        Ok(())
    }
}

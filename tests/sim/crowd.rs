//! Queues that are full: which calls made room for newer ones, as the store says, and whether it was their turn.

use creel_store::contract::{DeliveryFilter, DeliveryState, RunCommit, Store};
use creel_webhook::id::DeliveryId;

use crate::model::{Call, Check, Model, Moment, Over, hold};
use crate::sim::Sim;
use crate::world::WAITING_MAX;

/// The one destination of each tenant whose queue is short.
const SHORT: usize = 0;

/// Calls of a queue, as the store lists them.
struct Listed {
    pending: Vec<DeliveryId>,
    crowded: Vec<DeliveryId>,
}

impl Model {
    /// A decision is about to be committed: whoever is not on its way may have to make room for its calls.
    pub(crate) fn crowding(&mut self, commit: &RunCommit, at: Moment) {
        let Some(shop) = self.runs.get(&commit.run).map(|run| run.shop) else { return };
        let place = (shop, SHORT);
        let waiting = self.calls.values().filter(|call| call.place() == place && call.state.over != Over::Yes).count();
        let is_full = waiting > WAITING_MAX[SHORT] as usize;
        let short = self.calls.values_mut().filter(|call| is_full && call.place() == place);
        short
            .filter(|call| call.is_here(at) && call.state.over == Over::No)
            .for_each(|call| call.state.over = Over::Perhaps);
    }

    /// What the store says of the queue after a commit.
    fn crowded(&mut self, shop: usize, listed: &Listed, at: Moment) -> Check<Vec<DeliveryId>> {
        let place = (shop, SHORT);
        let max = WAITING_MAX[SHORT] as usize;
        let away = self.calls.values().filter(|call| call.place() == place && !call.is_here(at)).count();
        hold!(
            listed.pending.len() <= max.max(away),
            "{} calls wait for {place:?}, and {max} may",
            listed.pending.len()
        );
        for id in &listed.pending {
            if let Some(call) = self.calls.get_mut(id).filter(|call| call.state.over == Over::Perhaps) {
                call.state.over = Over::No;
            }
        }
        let mut new = Vec::new();
        for id in &listed.crowded {
            let Some(call) = self.calls.get_mut(id).filter(|call| call.state.over != Over::Yes) else { continue };
            hold!(!call.state.is_held(at.boot, at.now), "call {id} made room while it was on its way");
            call.state.over = Over::Yes;
            new.push(*id);
        }
        let youngest = new.iter().max();
        for id in listed.pending.iter().filter(|id| youngest.is_some_and(|youngest| *id < youngest)) {
            let is_here = self.calls.get(id).is_some_and(|call| call.is_here(at));
            hold!(!is_here, "call {id} is the oldest that waits for {place:?}, and younger ones made room");
        }
        Ok(new)
    }
}

impl Call {
    /// Whether certainly nobody has it in hand.
    fn is_here(&self, at: Moment) -> bool {
        self.state.is_free(at.boot)
    }
}

impl Sim {
    /// Looks who made room after a decision of this run.
    pub(crate) async fn look_who_made_room(&mut self, commit: &RunCommit) -> Check {
        let Some(shop) = self.model.runs.get(&commit.run).map(|run| run.shop) else { return Ok(()) };
        let Some(pending) = self.listed(shop, DeliveryState::Pending).await? else { return Ok(()) };
        let Some(dead) = self.listed(shop, DeliveryState::Dead).await? else { return Ok(()) };
        let is_crowded =
            |reason: &Option<String>| reason.as_deref().is_some_and(|reason| reason.contains("queue was full"));
        let ids = |(id, _): (DeliveryId, _)| id;
        let listed = Listed {
            pending: pending.into_iter().map(ids).collect(),
            crowded: dead.into_iter().filter(|(_, reason)| is_crowded(reason)).map(ids).collect(),
        };
        let at = self.at();
        for id in self.model.crowded(shop, &listed, at)? {
            self.note(format_args!("{id} made room"));
        }
        Ok(())
    }

    async fn listed(&mut self, shop: usize, state: DeliveryState) -> Check<Option<Vec<(DeliveryId, Option<String>)>>> {
        let own = self.model.shops[shop];
        let destination = Some(own.destinations[SHORT]);
        let filter = DeliveryFilter { state: Some(state), destination, limit: 500, ..DeliveryFilter::default() };
        let rows = self.store.delivery_list(own.tenant, filter).await;
        let rows = self.known("list of calls", rows)?;
        Ok(rows.map(|rows| rows.into_iter().map(|row| (row.id, row.reason)).collect()))
    }
}

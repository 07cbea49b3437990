//! Removal: in some lives an operator removes a tenant with everything, in the middle of it all.
//!
//! Once that is acknowledged nobody finds it: nothing is stored for it, and none of its runs and calls begins, however often the
//! power goes while it is taken away bit by bit. What was under way may end. In the end nothing of it is left.

use creel_store::contract::{DeliveryFilter, EventFilter, RunFilter, Store, StoreError, StoreResult, Tenancy};
use creel_webhook::id::TenantId;

use super::Sim;
use super::verbs::{Asked, Told};
use crate::model::{Check, Model, Over, hold};

/// Steps after which a tenant of a life has gone.
const STEPS_MAX: usize = 1_000;

/// How far a removal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removal {
    /// Nobody asked for one.
    Never,
    /// Nobody heard whether it began.
    Perhaps(usize),
    /// The tenant in this place is being removed.
    Begun(usize),
    /// Nothing more is to be removed.
    Over(usize),
}

impl Model {
    /// Whether the tenant in a place has certainly been removed.
    pub(crate) fn is_removed(&self, shop: usize) -> bool {
        self.removed == Some(shop)
    }

    /// Nobody works for a tenant that was removed.
    pub(crate) fn serves(&self, what: &str, tenant: TenantId) -> Check {
        let removed = self.removed.is_some_and(|shop| self.shops[shop].tenant == tenant);
        hold!(!removed, "{what} begins, and its tenant was removed");
        Ok(())
    }

    /// A tenant was removed: its runs and calls are over.
    fn remove(&mut self, shop: usize) {
        self.removed = Some(shop);
        self.runs.values_mut().filter(|run| run.shop == shop).for_each(|run| run.state.over = Over::Yes);
        self.calls.values_mut().filter(|call| call.place().0 == shop).for_each(|call| call.state.over = Over::Yes);
        let (items, runs) = (&self.items, &self.runs);
        self.events.retain(|item, _| items[*item as usize].shop != shop);
        self.acknowledged.retain(|item, ()| items[*item as usize].shop != shop);
        self.suspects.retain(|run| runs[run].shop != shop);
    }
}

impl Sim {
    /// An operator removes a tenant; or some of what it had goes.
    pub(super) async fn leave(&mut self) -> Check {
        if self.removal != Removal::Never {
            return self.remove_some().await;
        }
        if !self.dice.one_in(4) {
            return Ok(());
        }
        let shop = self.dice.of(&[1, 2]);
        self.removal = Removal::Perhaps(shop);
        let begun = self.store.tenant_leave(self.world.shops[shop].tenant, self.now).await;
        if self.known("removal", begun)?.is_some() {
            self.removed(shop);
        }
        Ok(())
    }

    /// Looks up whether a removal began of which nobody heard.
    pub(super) async fn look_who_left(&mut self) -> Check {
        let Removal::Perhaps(shop) = self.removal else { return Ok(()) };
        let leaving = self.store.tenants_leaving().await;
        let Some(leaving) = self.known("removals", leaving)? else { return Ok(()) };
        if leaving.iter().any(|one| one.tenant.id == self.world.shops[shop].tenant) {
            self.removed(shop);
        } else {
            self.removal = Removal::Never;
        }
        Ok(())
    }

    fn removed(&mut self, shop: usize) {
        let tenant = self.world.shops[shop].tenant;
        self.removal = Removal::Begun(shop);
        self.waiting.retain(|sender| sender.tenant != tenant);
        for message in self.messages.iter_mut().filter(|message| message.items[0].shop == shop) {
            message.acknowledged = true;
        }
        self.model.remove(shop);
        self.note(format_args!("tenant {shop} is removed"));
    }

    async fn remove_some(&mut self) -> Check {
        let Removal::Begun(shop) = self.removal else { return Ok(()) };
        let more = self.store.tenant_remove(self.world.shops[shop].tenant).await;
        let more = self.known("a step of a removal", more)?;
        self.note(format_args!("some of tenant {shop} goes, and more is there: {more:?}"));
        if more == Some(false) {
            self.removal = Removal::Over(shop);
        }
        Ok(())
    }

    /// Whether a verb was asked for a tenant that was removed.
    pub(super) fn is_for_removed(&self, asked: &Asked) -> bool {
        let shop = match asked {
            Asked::Accept(_, accept) | Asked::Bad(accept) => self.model.item(&accept.events[0].provider_id).shop,
            Asked::Run(_, before, _) => before.shop,
            Asked::Early(_, event) => {
                return self.model.item_of(*event).is_some_and(|item| self.model.is_removed(item.shop));
            }
            Asked::Call(_, before) => before.place().0,
        };
        self.model.is_removed(shop)
    }

    /// What such a verb was told: senders find nobody; what was under way ends, and nobody cares how.
    pub(super) fn heard_for_removed(&mut self, asked: Asked, told: StoreResult<Told>) -> Check {
        match asked {
            Asked::Accept(message, accept) => {
                self.messages[message].acknowledged = true;
                hold!(told.is_err(), "something was stored for {}, and it was removed", accept.tenant);
                match told {
                    Err(StoreError::NotFound(why)) => self.note(format_args!("message {message}: {why}")),
                    other => drop(self.known("accept for nobody", other)?),
                }
            }
            Asked::Run(commit, ..) | Asked::Early(commit, _) => {
                self.jobs.retain(|ticket| ticket.claim != commit.claim);
                self.known("commit for nobody", told)?;
            }
            Asked::Call(..) | Asked::Bad(_) => drop(self.known("commit for nobody", told)?),
        }
        Ok(())
    }

    /// At the end: a tenant that was removed goes to its last row, and nothing of it is left.
    pub(crate) async fn judge_removal(&mut self) -> Check {
        for _ in 0..STEPS_MAX {
            self.remove_some().await?;
        }
        let Some(shop) = self.model.removed else { return Ok(()) };
        hold!(self.removal == Removal::Over(shop), "tenant {shop} does not go");
        let tenant = self.world.shops[shop].tenant;
        let text = |error: StoreError| error.to_string();
        let events = EventFilter { limit: 500, ..EventFilter::default() };
        let events = self.store.event_list(tenant, events).await.map_err(text)?.events;
        hold!(events.is_empty(), "tenant {shop} was removed, and its {events:?} are there");
        let runs = RunFilter { limit: 500, ..RunFilter::default() };
        let runs = self.store.run_list(tenant, runs).await.map_err(text)?;
        hold!(runs.is_empty(), "tenant {shop} was removed, and its {runs:?} are there");
        let calls = DeliveryFilter { limit: 500, ..DeliveryFilter::default() };
        let calls = self.store.delivery_list(tenant, calls).await.map_err(text)?;
        hold!(calls.is_empty(), "tenant {shop} was removed, and its {calls:?} are there");
        let days = self.store.usage_list(tenant, crate::world::START, self.now).await.map_err(text)?;
        hold!(days.is_empty(), "tenant {shop} was removed, and what it used is there: {days:?}");
        let leaving = self.store.tenants_leaving().await.map_err(text)?;
        hold!(leaving.is_empty(), "tenant {shop} is gone, and {leaving:?} are said to go");
        Ok(())
    }
}

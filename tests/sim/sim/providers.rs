//! What providers do: they send what happened until they are told that it is stored, and sometimes again.

use creel_store::contract::{Accept, NewClaim, NewEvent, NewReply, NewRequest, NewRun, Store};

use super::verbs::Asked;
use super::{Message, RUN_LEASE_MS, Sim};
use crate::model::Check;
use crate::script::{Item, answer};
use crate::world::TENANTS;

/// How long a sender waits for a reply, milliseconds.
const DEADLINE_MS: u64 = 3_000;

/// Pending runs that a tenant may have when it is meant to reach the limit.
const QUOTA: u64 = 6;

impl Sim {
    pub(super) fn item(&mut self, shop: usize, waits: bool) -> Item {
        let order = self.dice.one_in(2).then(|| self.dice.below(2) as u8);
        let item = Item { number: self.model.items.len() as u32, shop, waits, order };
        self.model.items.push(item);
        item
    }

    pub(super) fn message(&mut self) -> usize {
        // One tenant has much more to say than the others.
        let shop = if self.dice.one_in(2) { 0 } else { self.dice.below(TENANTS as u64) as usize };
        let waits = self.dice.one_in(5);
        let mut items = vec![self.item(shop, waits)];
        if !waits && self.dice.one_in(3) {
            items.push(self.item(shop, false));
            // What another message has told already, or this one.
            let told: Vec<Item> =
                self.model.items.iter().copied().filter(|item| item.shop == shop && !item.waits).collect();
            items.push(self.dice.of(&told));
        }
        let number = self.messages.len() as u32;
        self.messages.push(Message { number, items, acknowledged: false });
        self.messages.len() - 1
    }

    pub(super) fn accept_of(&mut self, message: usize) -> Accept {
        let Message { number, items, .. } = self.messages[message].clone();
        let shop = self.world.shops[items[0].shop];
        let request = NewRequest {
            id: self.id(),
            received_at: self.told_time(),
            method: "POST".to_owned(),
            query: vec![],
            headers: vec![],
            scheme: "hmac".to_owned(),
            attributes: vec![],
            body: format!("message {number}").into(),
        };
        let events = items.iter().map(|item| self.event_of(*item)).collect();
        let pending_runs_max = if self.dice.one_in(10) { QUOTA } else { 1_000 };
        let answer = answer(200, format!("stored {number}"));
        Accept { tenant: shop.tenant, source: shop.source, request, events, answer, pending_runs_max }
    }

    pub(super) fn event_of(&mut self, item: Item) -> NewEvent {
        let shop = self.world.shops[item.shop];
        let deadline = self.now.plus_ms(DEADLINE_MS);
        let has_slot = !self.dice.one_in(6);
        let runs = item.routes().map(|route| NewRun {
            id: self.id(),
            route: shop.routes[route],
            plugin: shop.plugin,
            order_key: item.order.map(|key| format!("key-{key}")),
            reply: (route == 2).then(|| {
                let fallback = answer(503, format!("fallback for {}", item.name()));
                let claim = has_slot.then(|| NewClaim { token: self.store.claim_token(), lease_ms: RUN_LEASE_MS });
                NewReply { deadline, claim, fallback }
            }),
        });
        NewEvent {
            id: self.id(),
            kind: "order.paid".to_owned(),
            provider_id: Some(item.name()),
            subject: Some(item.name()),
            occurred_at: None,
            item: None,
            dedup_keys: vec![item.hash()],
            dedup_until: self.now.plus_ms(60 * 24 * 3_600_000),
            runs: runs.into(),
        }
    }

    pub(super) async fn send_new(&mut self) -> Check {
        let message = self.message();
        self.send(message).await
    }

    pub(super) async fn send_again(&mut self) -> Check {
        let waiting: Vec<usize> =
            (0..self.messages.len()).filter(|number| !self.messages[*number].acknowledged).collect();
        let all: Vec<usize> = (0..self.messages.len()).collect();
        let choices = if waiting.is_empty() || self.dice.one_in(3) { all } else { waiting };
        if choices.is_empty() {
            return Ok(());
        }
        let message = self.dice.of(&choices);
        self.send(message).await
    }

    pub(crate) async fn send(&mut self, message: usize) -> Check {
        let accept = self.accept_of(message);
        self.ask(Asked::Accept(message, Box::new(accept))).await
    }

    /// Sends what was never acknowledged until it is, as providers do.
    pub(crate) async fn send_rest(&mut self) -> Check<bool> {
        let rest: Vec<usize> = (0..self.messages.len()).filter(|number| !self.messages[*number].acknowledged).collect();
        self.comes_back = None;
        for message in &rest {
            let mut accept = self.accept_of(*message);
            accept.pending_runs_max = 100_000;
            self.ask(Asked::Accept(*message, Box::new(accept))).await?;
        }
        if rest.iter().any(|message| self.messages[*message].acknowledged) {
            // Others may find room now, and what was stored may be due.
            self.comes_back = None;
        }
        Ok(rest.is_empty())
    }
}

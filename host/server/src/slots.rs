//! Slots for runs that a sender waits for, shared so that no tenant holds more than it leaves free.
//!
//! Who finds no slot stands in the line of its tenant, and tenants with a line take turns; so a tenant whose replies take
//! long makes its own callers wait and nobody else's. Whoever leaves the line before its turn costs nothing.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use creel_webhook::bucket::share_of;
use creel_webhook::id::TenantId;
use tokio::sync::oneshot;

/// Slots and the lines before them; clones share them.
#[derive(Debug, Clone)]
pub struct Slots(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    free: u32,
    held: HashMap<TenantId, u32>,
    lines: HashMap<TenantId, VecDeque<oneshot::Sender<Slot>>>,
    /// Tenants with a line, the one whose turn it is first.
    turns: VecDeque<TenantId>,
}

/// A slot; given back when dropped.
#[derive(Debug)]
pub struct Slot {
    slots: Option<Slots>,
    tenant: TenantId,
}

impl Slots {
    /// So many slots, all free.
    pub fn new(slots: u32) -> Self {
        let (held, lines) = (HashMap::new(), HashMap::new());
        Slots(Arc::new(Mutex::new(State { free: slots, held, lines, turns: VecDeque::new() })))
    }

    /// Waits for a slot.
    pub async fn take(&self, tenant: TenantId) -> Slot {
        let told = {
            let mut state = self.state();
            let (tell, told) = oneshot::channel();
            state.stand(tenant, tell);
            state.hand_out(self);
            told
        };
        // A line is only given up with the slot of who stood in it.
        told.await.expect("whoever stands in a line is told")
    }

    /// Senders that wait for a slot.
    pub fn waiting(&self) -> usize {
        self.state().lines.values().map(VecDeque::len).sum()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn stand(&mut self, tenant: TenantId, tell: oneshot::Sender<Slot>) {
        let line = self.lines.entry(tenant).or_default();
        if line.is_empty() {
            self.turns.push_back(tenant);
        }
        line.push_back(tell);
    }

    /// Gives what is free to those whose turn it is and who may have it.
    fn hand_out(&mut self, slots: &Slots) {
        let mut passed = 0;
        while self.free > 0 && passed < self.turns.len() {
            let Some(tenant) = self.turns.pop_front() else { return };
            let held = self.held.get(&tenant).copied().unwrap_or(0);
            if share_of(held, self.free) == 0 {
                self.turns.push_back(tenant);
                passed += 1;
                continue;
            }
            passed = 0;
            let Some(line) = self.lines.get_mut(&tenant) else { continue };
            let next = line.pop_front();
            if line.is_empty() {
                self.lines.remove(&tenant);
            } else {
                self.turns.push_back(tenant);
            }
            let slot = Slot { slots: Some(slots.clone()), tenant };
            match next.map(|tell| tell.send(slot)) {
                Some(Ok(())) => {
                    self.free -= 1;
                    *self.held.entry(tenant).or_default() += 1;
                }
                // It has left the line, and nothing was taken.
                Some(Err(mut slot)) => slot.slots = None,
                None => {}
            }
        }
    }

    fn give_back(&mut self, tenant: TenantId) {
        self.free += 1;
        if let Some(held) = self.held.get_mut(&tenant) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(&tenant);
            }
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Some(slots) = self.slots.take() else { return };
        let mut state = slots.state();
        state.give_back(self.tenant);
        state.hand_out(&slots);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn tenant(byte: u8) -> TenantId {
        TenantId::from_bytes([byte; 16])
    }

    #[tokio::test]
    async fn nobody_holds_more_than_is_left_and_lines_are_served_in_turn() {
        let slots = Slots::new(8);
        let mut held: Vec<_> = (0..4).map(|_| slots.take(tenant(1)).now_or_never().expect("half of them")).collect();
        let mut greedy: Vec<_> = (0..3).map(|_| Box::pin(slots.take(tenant(1)))).collect();
        assert!(greedy.iter_mut().all(|one| one.now_or_never().is_none()), "and no more");
        let other = slots.take(tenant(2)).now_or_never().expect("another finds room");
        assert_eq!(slots.waiting(), 3);
        held.truncate(2);
        let served = greedy.iter_mut().filter_map(|one| one.now_or_never()).count();
        assert!(served >= 1, "whoever stood in line goes on");
        drop((held, greedy, other));
        let state = slots.state();
        assert!(state.free == 8 && state.held.is_empty() && state.lines.is_empty(), "{state:?}");
    }

    #[tokio::test]
    async fn who_leaves_the_line_takes_nothing() {
        let slots = Slots::new(1);
        let only = slots.take(tenant(1)).await;
        let mut gone = Box::pin(slots.take(tenant(2)));
        let mut next = Box::pin(slots.take(tenant(3)));
        assert!(gone.as_mut().now_or_never().is_none() && next.as_mut().now_or_never().is_none());
        drop(gone);
        drop(only);
        let slot = next.now_or_never().expect("it is free");
        drop(slot);
        assert_eq!(slots.state().free, 1);
    }
}

//! Whose work is next: tenants by the time that they have had, within a tenant what is short before what is long.
//!
//! Each tenant has an account of the processor time that its work took. Of those who want to go, the one who has had
//! least goes; so a tenant with runs of half a second gets as much as one with runs of a millisecond and no more, and
//! who is alone gets everything. Nobody saves up: who comes back begins where the least of the others stands, which
//! is before all of them.
//!
//! Within a tenant, work that begins or that waited for something goes before work that used up a slice.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use creel_webhook::id::TenantId;

/// Tenants with an account below which nobody looks for those that can be forgotten.
const ACCOUNTS_MIN: usize = 64;

/// Work in line.
#[derive(Debug)]
pub(super) struct Turns<T> {
    accounts: HashMap<TenantId, Account<T>>,
    /// Tenants with work in line, by the time that they have had.
    order: BTreeSet<(u64, TenantId)>,
    /// What the last who went had had, nanoseconds: who comes back begins here.
    floor: u64,
    /// How many accounts make it worth to look for those that can be forgotten.
    sweep_at: usize,
    waiting: usize,
}

#[derive(Debug)]
struct Account<T> {
    had: u64,
    short: VecDeque<T>,
    long: VecDeque<T>,
}

impl<T> Account<T> {
    fn is_empty(&self) -> bool {
        self.short.is_empty() && self.long.is_empty()
    }
}

/// Why work stands in line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// It begins, or what it waited for has come.
    Waiting,
    /// It used up its slice.
    Slice,
}

impl<T> Turns<T> {
    /// Nobody is in line.
    pub(super) fn new() -> Self {
        Turns { accounts: HashMap::new(), order: BTreeSet::new(), floor: 0, sweep_at: ACCOUNTS_MIN, waiting: 0 }
    }

    /// Work in line.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Somebody's work wants to go.
    pub(super) fn push(&mut self, whose: TenantId, work: T, after: After) {
        self.sweep();
        let floor = self.floor;
        let account = self.accounts.entry(whose).or_insert_with(|| Account {
            had: floor,
            short: VecDeque::new(),
            long: VecDeque::new(),
        });
        if account.is_empty() {
            account.had = account.had.max(floor);
            self.order.insert((account.had, whose));
        }
        match after {
            After::Waiting => account.short.push_back(work),
            After::Slice => account.long.push_back(work),
        }
        self.waiting += 1;
    }

    /// Who goes now.
    pub(super) fn pop(&mut self) -> Option<T> {
        let (had, whose) = self.order.first().copied()?;
        let account = self.accounts.get_mut(&whose)?;
        let work = account.short.pop_front().or_else(|| account.long.pop_front())?;
        if account.is_empty() {
            self.order.remove(&(had, whose));
        }
        self.floor = self.floor.max(had);
        self.waiting -= 1;
        Some(work)
    }

    /// Somebody's work took so long.
    pub(super) fn charge(&mut self, whose: TenantId, took: Duration) {
        let Some(account) = self.accounts.get_mut(&whose) else { return };
        let after = account.had.saturating_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        if !account.is_empty() {
            self.order.remove(&(account.had, whose));
            self.order.insert((after, whose));
        }
        account.had = after;
    }

    /// Takes all that is in line.
    pub(super) fn clear(&mut self) -> Vec<T> {
        self.order.clear();
        self.waiting = 0;
        self.accounts.drain().flat_map(|(_, account)| account.short.into_iter().chain(account.long)).collect()
    }

    /// Forgets who has nothing in line and would begin at the floor anyway.
    fn sweep(&mut self) {
        if self.accounts.len() >= self.sweep_at {
            let floor = self.floor;
            self.accounts.retain(|_, account| !account.is_empty() || account.had > floor);
            self.sweep_at = (2 * self.accounts.len()).max(ACCOUNTS_MIN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn tenant(number: u32) -> TenantId {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        TenantId::from_bytes(id)
    }

    /// Lets so many slices go; who went.
    fn go(turns: &mut Turns<u32>, slices: usize, took: impl Fn(u32) -> Duration) -> Vec<u32> {
        let mut went = Vec::new();
        for _ in 0..slices {
            let Some(who) = turns.pop() else { break };
            turns.charge(tenant(who), took(who));
            turns.push(tenant(who), who, After::Slice);
            went.push(who);
        }
        went
    }

    #[test]
    fn time_is_shared_and_not_turns() {
        let mut turns = Turns::new();
        // One tenant with eight loops, one with two whose slices are a tenth as long.
        for (who, loops) in [(1, 8), (2, 2)] {
            (0..loops).for_each(|_| turns.push(tenant(who), who, After::Waiting));
        }
        let went = go(&mut turns, 1_100, |who| if who == 1 { MS } else { MS / 10 });
        let of = |who| went.iter().filter(|one| **one == who).count();
        assert!((95..=105).contains(&of(1)) && (990..=1_010).contains(&of(2)), "{} and {}", of(1), of(2));
    }

    #[test]
    fn who_comes_goes_before_all_who_have_had_their_share_and_saves_nothing_up() {
        let mut turns = Turns::new();
        for who in 1..=4 {
            (0..16).for_each(|_| turns.push(tenant(who), who, After::Waiting));
        }
        go(&mut turns, 1_000, |_| MS);
        turns.push(tenant(9), 9, After::Waiting);
        assert_eq!(turns.pop(), Some(9), "64 loops don't stand before it");
        turns.charge(tenant(9), MS / 20);
        go(&mut turns, 1_000, |_| MS);
        turns.push(tenant(9), 9, After::Waiting);
        turns.push(tenant(9), 9, After::Waiting);
        let went = go(&mut turns, 50, |_| MS);
        let of = went.iter().filter(|one| **one == 9).count();
        assert!((9..=12).contains(&of), "its absence was no credit: {of} of 50");
    }

    #[test]
    fn who_is_alone_gets_everything_and_short_work_goes_first() {
        let mut turns = Turns::new();
        turns.push(tenant(1), "long", After::Slice);
        turns.push(tenant(1), "short", After::Waiting);
        assert_eq!(turns.waiting(), 2);
        assert_eq!((turns.pop(), turns.pop(), turns.pop()), (Some("short"), Some("long"), None));
    }

    #[test]
    fn accounts_of_those_who_left_are_forgotten() {
        let mut turns = Turns::new();
        for who in 0..10_000 {
            turns.push(tenant(who), who, After::Waiting);
            let who = turns.pop().unwrap();
            turns.charge(tenant(who), MS);
            turns.push(tenant(u32::MAX), u32::MAX, After::Waiting);
            turns.pop();
            turns.charge(tenant(u32::MAX), MS);
        }
        assert!(turns.accounts.len() <= 2 * ACCOUNTS_MIN, "{}", turns.accounts.len());
    }
}

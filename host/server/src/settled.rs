//! Up to which moment everything that came is stored: what whoever follows events may read without missing one.
//!
//! An event's id begins with the moment at which its request came, and is stored some time after. Somebody who has read up
//! to an id would never see one that is smaller and comes later. So requests are noted here from before their moment is
//! taken until they are stored or refused, and nobody reads beyond the oldest of them. A request is everybody's until it is
//! known whose it is; after that only its own tenant waits for it.
//!
//! A request whose sender is gone may still be stored, since the store has it in its queue; it counts for a while longer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use creel_webhook::clock::{Clock, Timestamp};
use creel_webhook::id::TenantId;

/// How long a request counts after its sender is gone, milliseconds: no commit takes so long on a disk that works.
const GONE_MS: u64 = 10_000;

/// A request that is under way.
#[derive(Debug, Clone, Copy)]
struct Entry {
    came_at: Timestamp,
    tenant: Option<TenantId>,
    gone_at: Option<Timestamp>,
}

/// All requests under way, oldest first.
pub struct Settled {
    clock: Arc<dyn Clock>,
    entries: Mutex<(u64, BTreeMap<u64, Entry>)>,
}

impl Settled {
    /// Nothing is under way.
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Settled> {
        Arc::new(Settled { clock, entries: Mutex::default() })
    }

    /// A request comes now.
    pub fn comes(&self) -> Coming<'_> {
        let mut entries = self.entries();
        // Within the lock, so that nobody reads up to a later moment before this one is noted.
        let came_at = self.clock.now();
        let (next, all) = &mut *entries;
        *next += 1;
        all.insert(*next, Entry { came_at, tenant: None, gone_at: None });
        Coming { settled: self, number: *next, came_at, is_over: false }
    }

    /// The moment up to which, itself excluded, all of a tenant's events are stored.
    pub fn until(&self, tenant: TenantId) -> Timestamp {
        let mut entries = self.entries();
        let now = self.clock.now();
        entries.1.retain(|_, entry| entry.gone_at.is_none_or(|gone_at| now.since_ms(gone_at) < GONE_MS));
        let mut waiting = entries.1.values().filter(|entry| entry.tenant.is_none_or(|own| own == tenant));
        waiting.next().map_or(now, |oldest| oldest.came_at)
    }

    fn entries(&self) -> MutexGuard<'_, (u64, BTreeMap<u64, Entry>)> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request under way; dropped before its end, its sender is gone.
pub struct Coming<'s> {
    settled: &'s Settled,
    number: u64,
    /// When it came.
    pub came_at: Timestamp,
    is_over: bool,
}

impl Coming<'_> {
    /// It is known whose it is.
    pub fn is_of(&self, tenant: TenantId) {
        if let Some(entry) = self.settled.entries().1.get_mut(&self.number) {
            entry.tenant = Some(tenant);
        }
    }

    /// It is stored, or will never be.
    pub fn over(mut self) {
        self.is_over = true;
    }
}

impl Drop for Coming<'_> {
    fn drop(&mut self) {
        let mut entries = self.settled.entries();
        if self.is_over {
            entries.1.remove(&self.number);
        } else if let Some(entry) = entries.1.get_mut(&self.number) {
            entry.gone_at = Some(self.settled.clock.now());
        }
    }
}

#[cfg(test)]
mod tests {
    use creel_webhook::clock::ManualClock;

    use super::*;

    #[test]
    fn nobody_reads_beyond_what_is_under_way() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_000)));
        let settled = Settled::new(clock.clone());
        let (own, other) = (TenantId::from_bytes([1; 16]), TenantId::from_bytes([2; 16]));
        let first = settled.comes();
        clock.advance_ms(5);
        let second = settled.comes();
        clock.advance_ms(5);
        assert_eq!((settled.until(own), settled.until(other)), (first.came_at, first.came_at));
        first.is_of(own);
        second.is_of(other);
        assert_eq!((settled.until(own), settled.until(other)), (first.came_at, second.came_at));
        second.over();
        assert_eq!(settled.until(other), clock.now());
        // Its sender goes away; what it sent may still be stored.
        let came_at = first.came_at;
        drop(first);
        assert_eq!(settled.until(own), came_at);
        clock.advance_ms(GONE_MS);
        assert_eq!(settled.until(own), clock.now());
    }
}

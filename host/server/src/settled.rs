//! Up to which moment everything that came is stored: what whoever follows events may read without missing one.
//!
//! An event's id begins with the moment at which its request came, and is stored some time after. Somebody who has read up
//! to an id would never see one that is smaller and comes later. So requests are noted here from before their moment is
//! taken until they are stored or refused, and nobody reads beyond the oldest of the tenant's.
//!
//! A request whose sender is gone may still be stored, since the store has it in its queue; it counts for a while longer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use creel_webhook::clock::{Clock, Timestamp};
use creel_webhook::id::TenantId;

/// How long a request counts after its sender is gone, milliseconds: no commit takes so long on a disk that works.
const GONE_MS: u64 = 10_000;

/// Requests under way are noted in so many lists, each behind a lock of its own that every request takes twice.
const LISTS: usize = 16;

thread_local! {
    /// The list of this thread: what it locks was last written by itself, as a rule.
    static LIST: usize = {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        THREADS.fetch_add(1, Ordering::Relaxed) % LISTS
    };
}

/// A request that is under way.
#[derive(Debug, Clone, Copy)]
struct Entry {
    came_at: Timestamp,
    tenant: TenantId,
    gone_at: Option<Timestamp>,
}

impl Entry {
    /// Whether its sender is gone for so long that it counts no more.
    fn is_past(&self, now: Timestamp) -> bool {
        self.gone_at.is_some_and(|gone_at| now.since_ms(gone_at) >= GONE_MS)
    }
}

/// Some of the requests under way, in places that are taken again.
#[derive(Debug, Default)]
struct List {
    places: Vec<Option<Entry>>,
    free: Vec<usize>,
}

impl List {
    fn put(&mut self, entry: Entry) -> usize {
        if self.free.is_empty() {
            // Before it grows: nobody else may ever look at those whose senders are gone.
            self.forget_past(entry.came_at);
        }
        match self.free.pop() {
            Some(place) => {
                self.places[place] = Some(entry);
                place
            }
            None => {
                self.places.push(Some(entry));
                self.places.len() - 1
            }
        }
    }

    fn remove(&mut self, place: usize) {
        self.places[place] = None;
        self.free.push(place);
    }

    fn forget_past(&mut self, now: Timestamp) {
        let is_past = |place: &usize| self.places[*place].is_some_and(|entry| entry.is_past(now));
        let past: Vec<usize> = (0..self.places.len()).filter(is_past).collect();
        past.into_iter().for_each(|place| self.remove(place));
    }
}

/// A list in cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Apart(Mutex<List>);

/// All requests under way.
pub struct Settled {
    clock: Arc<dyn Clock>,
    lists: [Apart; LISTS],
}

impl Settled {
    /// Nothing is under way.
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Settled> {
        Arc::new(Settled { clock, lists: Default::default() })
    }

    /// A request of this tenant comes now.
    pub fn comes(&self, tenant: TenantId) -> Coming<'_> {
        let number = LIST.with(|number| *number);
        let mut list = self.list(number);
        // Within the lock: whoever looks at the list before has taken an earlier moment, and whoever looks later sees this.
        let came_at = self.clock.now();
        let place = list.put(Entry { came_at, tenant, gone_at: None });
        Coming { settled: self, number, place, came_at, is_over: false }
    }

    /// The moment up to which, itself excluded, all of a tenant's events are stored.
    pub fn until(&self, tenant: TenantId) -> Timestamp {
        // Before the first list is looked at: what comes to it afterwards is not earlier.
        let now = self.clock.now();
        let oldest = (0..LISTS).filter_map(|number| {
            let mut list = self.list(number);
            list.forget_past(now);
            let waiting = list.places.iter().flatten().filter(|entry| entry.tenant == tenant);
            waiting.map(|entry| entry.came_at).min()
        });
        oldest.fold(now, Timestamp::min)
    }

    fn list(&self, number: usize) -> MutexGuard<'_, List> {
        self.lists[number].0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request under way; dropped before its end, its sender is gone.
pub struct Coming<'s> {
    settled: &'s Settled,
    number: usize,
    place: usize,
    /// When it came.
    pub came_at: Timestamp,
    is_over: bool,
}

impl Coming<'_> {
    /// It is stored, or will never be.
    pub fn over(mut self) {
        self.is_over = true;
    }
}

impl Drop for Coming<'_> {
    fn drop(&mut self) {
        let mut list = self.settled.list(self.number);
        if self.is_over {
            list.remove(self.place);
        } else if let Some(entry) = &mut list.places[self.place] {
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
        let first = settled.comes(own);
        clock.advance_ms(5);
        let second = settled.comes(other);
        clock.advance_ms(5);
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

    #[test]
    fn what_comes_by_other_threads_counts_and_may_end_anywhere() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_000)));
        let settled = Settled::new(clock.clone());
        let own = TenantId::from_bytes([1; 16]);
        let came: Vec<_> = (0..2 * LISTS)
            .map(|_| {
                clock.advance_ms(1);
                std::thread::scope(|threads| threads.spawn(|| settled.comes(own)).join().unwrap())
            })
            .collect();
        for coming in came {
            assert_eq!(settled.until(own), coming.came_at);
            coming.over();
        }
        assert_eq!(settled.until(own), clock.now());
    }

    #[test]
    fn senders_that_are_gone_leave_nothing_behind_though_nobody_looks() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_000)));
        let settled = Settled::new(clock.clone());
        let noted = || settled.lists.iter().map(|list| list.0.lock().unwrap().places.len()).sum::<usize>();
        let own = TenantId::from_bytes([1; 16]);
        for _ in 0..10 {
            (0..3).for_each(|_| drop(settled.comes(own)));
            clock.advance_ms(GONE_MS);
        }
        assert_eq!(noted(), 3);
        let waits = settled.comes(own);
        (0..30).for_each(|_| settled.comes(own).over());
        assert_eq!((noted(), settled.until(own)), (3, waits.came_at));
    }
}

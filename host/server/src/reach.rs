//! Whether destinations answer, as far as this process has seen, and how many look-ups are under way to each.
//!
//! Deliveries have a lane in the store, with a breaker and a rate that outlive the process. A look-up can't stand in a
//! lane: somebody waits for it. What holds it back is here, in memory:
//!
//! * **Places**: as many look-ups at a time as the destination's `concurrency_max`, so that a thousand runs do not open a
//!   thousand connections. Who finds none waits, within its own time.
//! * **A breaker** of the same rules ([`creel_webhook::breaker`]), which learns from deliveries and look-ups alike. While
//!   it is open a look-up is told so at once: a caller does not wait three seconds for what is known to be down. It
//!   starts anew with the process, and never holds a delivery: look-ups do not count for the lane's own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use creel_webhook::breaker::Breaker;
use creel_webhook::clock::Timestamp;
use creel_webhook::delivery::Answer;
use creel_webhook::id::DestinationId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Destinations that are remembered; beyond it those go that nothing speaks against. Those that fail are kept, and nobody
/// has so many.
const DESTINATIONS_MAX: usize = 4_096;

/// What is known of destinations.
#[derive(Debug, Default)]
pub struct Reach {
    known: Mutex<HashMap<DestinationId, Known>>,
}

#[derive(Debug, Default)]
struct Known {
    breaker: Breaker,
    places: Option<(u32, Arc<Semaphore>)>,
}

impl Known {
    fn under_way(&self) -> u32 {
        let free = |(max, places): &(u32, Arc<Semaphore>)| {
            max.saturating_sub(u32::try_from(places.available_permits()).unwrap_or(*max))
        };
        self.places.as_ref().map_or(0, free)
    }

    /// Nothing speaks against it and nothing is under way.
    fn is_forgettable(&self) -> bool {
        let is_idle = |places: &(u32, Arc<Semaphore>)| Arc::strong_count(&places.1) == 1;
        self.breaker == Breaker::default() && self.places.as_ref().is_none_or(is_idle)
    }
}

/// A place for one look-up; given back when dropped.
#[derive(Debug)]
pub struct Place(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

impl Reach {
    /// Notes what came of a delivery or a look-up.
    pub fn note(&self, destination: DestinationId, answer: &Answer, now: Timestamp) {
        self.with(destination, |known| known.breaker = known.breaker.after(answer, now));
    }

    /// Whether a look-up may be tried now.
    ///
    /// # Errors
    /// A sentence for whoever wanted to: the breaker is open, or half open with as many trying as it lets.
    pub fn may_ask(&self, destination: DestinationId, now: Timestamp) -> Result<(), &'static str> {
        self.with(destination, |known| match known.breaker.places(now) {
            Some(0) => {
                Err("it failed several times in a row and is left alone for a while (its circuit breaker is open)")
            }
            Some(places) if known.under_way() >= places => {
                Err("it failed several times in a row, and others are trying it")
            }
            _ => Ok(()),
        })
    }

    /// Waits for a place among `places_max` of this destination.
    pub async fn place(&self, destination: DestinationId, places_max: u32) -> Place {
        let places = self.with(destination, |known| match &known.places {
            Some((max, places)) if *max == places_max => places.clone(),
            // Another bound: those under way keep their places among the old ones.
            _ => {
                let places = Arc::new(Semaphore::new(places_max.max(1) as usize));
                known.places = Some((places_max, places.clone()));
                places
            }
        });
        Place(places.acquire_owned().await.expect("places are never closed"))
    }

    fn with<T>(&self, destination: DestinationId, look: impl FnOnce(&mut Known) -> T) -> T {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= DESTINATIONS_MAX && !known.contains_key(&destination) {
            known.retain(|_, known| !known.is_forgettable());
        }
        look(known.entry(destination).or_default())
    }
}

#[cfg(test)]
mod tests {
    use creel_webhook::breaker::{FAILURES_MAX, OPEN_MS_MIN};
    use futures_util::FutureExt as _;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn destination(byte: u8) -> DestinationId {
        DestinationId::from_bytes([byte; 16])
    }

    #[tokio::test]
    async fn so_many_are_under_way_to_one_and_others_do_not_notice() {
        let reach = Reach::default();
        let held = [reach.place(destination(1), 2).await, reach.place(destination(1), 2).await];
        assert!(reach.place(destination(1), 2).now_or_never().is_none());
        assert!(reach.place(destination(2), 2).now_or_never().is_some());
        drop(held);
        assert!(reach.place(destination(1), 2).now_or_never().is_some());
    }

    #[test]
    fn what_fails_in_a_row_is_not_asked_until_its_pause_is_over() {
        let reach = Reach::default();
        (0..FAILURES_MAX).for_each(|_| reach.note(destination(1), &Answer::Timeout, NOW));
        let until = NOW.plus_ms(OPEN_MS_MIN);
        assert!(reach.may_ask(destination(1), NOW).unwrap_err().contains("breaker is open"));
        assert_eq!(reach.may_ask(destination(1), until), Ok(()));
        assert_eq!(reach.may_ask(destination(2), NOW), Ok(()));
    }

    #[tokio::test]
    async fn what_may_be_back_is_tried_by_one() {
        let reach = Reach::default();
        (0..FAILURES_MAX).for_each(|_| reach.note(destination(1), &Answer::Transport, NOW));
        let later = NOW.plus_ms(OPEN_MS_MIN);
        let trying = reach.place(destination(1), 8).await;
        assert!(reach.may_ask(destination(1), later).unwrap_err().contains("others are trying"));
        drop(trying);
        reach.note(destination(1), &Answer::Status { status: 200, retry_after_ms: None }, later);
        let _one = reach.place(destination(1), 8).await;
        assert_eq!(reach.may_ask(destination(1), later), Ok(()), "two at a time after a good answer");
    }

    #[test]
    fn what_answers_is_forgotten_when_there_are_too_many_and_what_fails_is_not() {
        let reach = Reach::default();
        (0..FAILURES_MAX).for_each(|_| reach.note(destination(1), &Answer::Timeout, NOW));
        let ok = Answer::Status { status: 200, retry_after_ms: None };
        for number in 0..2 * DESTINATIONS_MAX as u128 {
            reach.note(DestinationId::from_bytes(number.to_be_bytes()), &ok, NOW);
        }
        assert!(reach.known.lock().unwrap().len() <= DESTINATIONS_MAX);
        assert!(reach.may_ask(destination(1), NOW).is_err());
    }
}

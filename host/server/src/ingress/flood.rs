//! Floods of forged requests: who may still try to be genuine.
//!
//! A refused request costs a hash of its body. So each refusal takes a token from two buckets: that of its sender at its
//! source, and that of the source. While a bucket is empty, requests are answered 429 before their body is read:
//!
//! * **A sender** whose own bucket is empty waits for its next token. Genuine requests give tokens back, so a sender
//!   that is mostly genuine is never limited.
//! * **A source** whose bucket is empty (many senders at once) still takes the requests of senders that were genuine
//!   within the last hour (`STANDING_MS`), and one of the others for each token that comes back.
//!
//! A sender is an IPv4 address or an IPv6 /64; through a trusted proxy, the one that it names ([`crate::forwarded`]). Behind a
//! proxy that is not trusted all senders are one: then genuine requests share its tokens with the flood, and are told to try
//! again as soon as there is one. What is remembered is bounded, and forgotten at a restart. Time is an argument.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use creel_webhook::bucket::{Bucket, Rate};
use creel_webhook::clock::Timestamp;
use creel_webhook::id::SourceId;

/// Tokens that a genuine request gives back: one in eleven is enough not to be limited.
const GIVEN_BACK: u32 = 10;

/// A source has this many times the tokens of one sender: a few confused senders don't cost the others anything.
const SENDERS_PER_SOURCE: u32 = 8;

/// For how long a genuine request makes its sender known, milliseconds: providers that send rarely send hourly.
pub(super) const STANDING_MS: u64 = 60 * 60 * 1_000;

/// For how long a sender that was genuine, and whose bucket is full, need not be written down again, milliseconds: of whoever
/// sends a thousand requests a second one is.
const WRITTEN_DOWN_MS: u64 = 1_000;

/// Senders that are remembered, about 100 bytes each; of more, only their source's tokens are counted.
const SENDERS_MAX: usize = 16_384;

/// Counts refusals.
#[derive(Debug)]
pub struct Flood {
    rate: Rate,
    /// Requests that were refused, whoever sent them.
    refusals: AtomicU64,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    senders: HashMap<(SourceId, IpAddr), Sender>,
    sources: HashMap<SourceId, Bucket>,
}

#[derive(Debug)]
struct Sender {
    bucket: Bucket,
    genuine_at: Option<Timestamp>,
}

/// What is known of the sender of a request that may be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Its bucket is full and it was genuine a moment ago: one more genuine request changes nothing, unless something was
    /// refused since there were so many refusals.
    Full(u64),
    /// Anything else.
    Other,
}

impl Flood {
    /// Lets one sender be refused so often.
    pub fn new(rate: Rate) -> Self {
        Flood { rate, refusals: AtomicU64::new(0), book: Mutex::default() }
    }

    fn source_rate(&self) -> Rate {
        let times = |number: u32| number.saturating_mul(SENDERS_PER_SOURCE);
        Rate { burst: times(self.rate.burst), per_second: times(self.rate.per_second) }
    }

    /// Whether a request may be looked at.
    ///
    /// # Errors
    /// The milliseconds after which the next one may.
    pub(super) fn admit(&self, source: SourceId, peer: IpAddr, now: Timestamp) -> Result<Standing, u64> {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut known, mut standing) = (false, Standing::Other);
        if let Some(sender) = book.senders.get_mut(&(source, network(peer))) {
            let wait_ms = sender.bucket.wait_ms(self.rate, now);
            if wait_ms > 0 {
                return Err(wait_ms);
            }
            let was_genuine_within = |ms| sender.genuine_at.is_some_and(|at| now.since_ms(at) <= ms);
            known = was_genuine_within(STANDING_MS);
            if was_genuine_within(WRITTEN_DOWN_MS) && sender.bucket.is_full(self.rate, now) {
                standing = Standing::Full(self.refusals.load(Ordering::Relaxed));
            }
        }
        match book.sources.get_mut(&source).map(|bucket| bucket.wait_ms(self.source_rate(), now)) {
            Some(wait_ms) if wait_ms > 0 && !known => Err(wait_ms),
            _ => Ok(standing),
        }
    }

    /// A request was refused.
    pub(super) fn refused(&self, source: SourceId, peer: IpAddr, now: Timestamp) {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        self.refusals.fetch_add(1, Ordering::Relaxed);
        if let Some(sender) = book.sender(source, peer, self.rate, now) {
            sender.bucket.take(self.rate, now);
        }
        let rate = self.source_rate();
        book.sources.entry(source).or_insert_with(|| Bucket::full(rate, now)).take(rate, now);
    }

    /// A request was genuine, whose sender had this standing.
    pub(super) fn genuine(&self, source: SourceId, peer: IpAddr, standing: Standing, now: Timestamp) {
        if standing == Standing::Full(self.refusals.load(Ordering::Relaxed)) {
            return;
        }
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = book.sender(source, peer, self.rate, now) {
            sender.bucket.give(GIVEN_BACK, self.rate, now);
            sender.genuine_at = Some(now);
        }
    }
}

impl Book {
    /// `None` when there are too many.
    fn sender(&mut self, source: SourceId, peer: IpAddr, rate: Rate, now: Timestamp) -> Option<&mut Sender> {
        let key = (source, network(peer));
        if self.senders.len() >= SENDERS_MAX && !self.senders.contains_key(&key) {
            let is_recent = |at: Timestamp| now.since_ms(at) <= STANDING_MS;
            self.senders.retain(|_, one| one.genuine_at.is_some_and(is_recent) || !one.bucket.is_full(rate, now));
            if self.senders.len() >= SENDERS_MAX {
                return None;
            }
        }
        let new = || Sender { bucket: Bucket::full(rate, now), genuine_at: None };
        Some(self.senders.entry(key).or_insert_with(new))
    }
}

/// Whoever has an IPv6 address has 2^64 of them.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 10, per_second: 1 };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    fn source(byte: u8) -> SourceId {
        SourceId::new(at(0), [byte; 10])
    }

    fn peer(number: u32) -> IpAddr {
        IpAddr::from(std::net::Ipv4Addr::from(0xc000_0200 + number))
    }

    /// How many of so many forged requests were looked at.
    fn forge(flood: &Flood, peer: IpAddr, requests: usize, now: Timestamp) -> usize {
        let try_once = || {
            let admitted = flood.admit(source(1), peer, now).is_ok();
            if admitted {
                flood.refused(source(1), peer, now);
            }
            admitted
        };
        (0..requests).filter(|_| try_once()).count()
    }

    #[test]
    fn a_flood_of_one_sender_costs_a_burst_and_then_the_rate() {
        let flood = Flood::new(RATE);
        assert_eq!(forge(&flood, peer(1), 10_000, at(100)), 10);
        assert_eq!(flood.admit(source(1), peer(1), at(100)), Err(1_000));
        assert_eq!(forge(&flood, peer(1), 10_000, at(103)), 3);
        assert!(flood.admit(source(1), peer(2), at(103)).is_ok(), "another sender");
        assert!(flood.admit(source(2), peer(1), at(103)).is_ok(), "another source");
        let v6 = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(forge(&flood, v6("2001:db8::1"), 100, at(200)), 10);
        assert_eq!(forge(&flood, v6("2001:db8::2"), 100, at(200)), 0);
    }

    #[test]
    fn who_is_mostly_genuine_is_not_limited() {
        let flood = Flood::new(RATE);
        for _ in 0..1_000 {
            assert_eq!(forge(&flood, peer(1), 9, at(100)), 9);
            assert!(flood.admit(source(1), peer(1), at(100)).is_ok());
            flood.genuine(source(1), peer(1), Standing::Other, at(100));
            flood.book.lock().unwrap().sources.clear();
        }
    }

    #[test]
    fn who_is_genuine_all_the_time_is_written_down_now_and_then() {
        let flood = Flood::new(RATE);
        let admit = |now: Timestamp| flood.admit(source(1), peer(1), now).unwrap();
        assert_eq!(admit(at(100)), Standing::Other, "nobody knows it yet");
        flood.genuine(source(1), peer(1), Standing::Other, at(100));
        assert_eq!(admit(at(101)), Standing::Full(0));
        assert_eq!(admit(at(102)), Standing::Other, "a while ago");
        flood.genuine(source(1), peer(1), Standing::Other, at(102));
        flood.refused(source(1), peer(1), at(102));
        assert_eq!(admit(at(102)), Standing::Other, "its bucket wants a token");
        flood.genuine(source(1), peer(1), Standing::Other, at(102));
        let standing = admit(at(102));
        assert_eq!(standing, Standing::Full(1));
        // While it is looked at others of the sender are refused, which it makes good all the same.
        assert_eq!(forge(&flood, peer(1), 10, at(102)), 10);
        flood.genuine(source(1), peer(1), standing, at(102));
        assert_eq!(forge(&flood, peer(1), 10, at(102)), 10);
    }

    #[test]
    fn known_senders_are_served_while_many_others_flood() {
        let flood = Flood::new(RATE);
        flood.genuine(source(1), peer(0), Standing::Other, at(100));
        let looked_at: usize = (1..=1_000).map(|number| forge(&flood, peer(number), 100, at(100))).sum();
        assert_eq!(looked_at, 80);
        assert!(flood.admit(source(1), peer(0), at(100)).is_ok());
        assert_eq!(flood.admit(source(1), peer(2_000), at(100)), Err(125));
        assert!(flood.admit(source(1), peer(2_000), at(101)).is_ok());
    }

    #[test]
    fn memory_is_bounded_and_idle_senders_make_room() {
        let flood = Flood::new(RATE);
        let all = |now| (0..SENDERS_MAX as u32 + 100).for_each(|number| flood.refused(source(1), peer(number), now));
        all(at(100));
        assert_eq!(flood.book.lock().unwrap().senders.len(), SENDERS_MAX);
        flood.refused(source(1), peer(1_000_000), at(200));
        assert_eq!(flood.book.lock().unwrap().senders.len(), 1, "their buckets were full again");
    }
}

//! Who sends keys that are none: after some of them an address waits, before the store is asked again.
//!
//! A key is 32 random bytes, so nobody finds one by trying; this keeps them from making the store look for nothing. A key
//! that was good within the last hour is looked up whoever else is behind its address. Addresses are counted as the
//! listener counts them, IPv6 by /64. What is remembered is bounded, and forgotten at a restart. Time is an argument.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use creel_webhook::bucket::{Bucket, Rate};
use creel_webhook::clock::Timestamp;

use crate::listener::counted_address;

/// A script with an old key is told 401 some times and then 429; a person mends a key long before.
const RATE: Rate = Rate { burst: 30, per_second: 1 };

/// For how long a good key is known, milliseconds.
const KNOWN_MS: u64 = 60 * 60 * 1_000;

/// Addresses and keys that are remembered, about 100 bytes each; of more, none is limited.
const REMEMBERED_MAX: usize = 4_096;

/// Counts failed keys.
#[derive(Debug, Default)]
pub struct Guesses {
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    addresses: HashMap<IpAddr, Bucket>,
    good: HashMap<[u8; 32], Timestamp>,
}

impl Guesses {
    /// Whether a key of this hash may be looked up; none is a request without a key.
    ///
    /// # Errors
    /// The milliseconds after which the next one may.
    pub fn admit(&self, peer: IpAddr, hash: Option<&[u8; 32]>, now: Timestamp) -> Result<(), u64> {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let known = hash.and_then(|hash| book.good.get(hash));
        if known.is_some_and(|at| now.since_ms(*at) <= KNOWN_MS) {
            return Ok(());
        }
        match book.addresses.get_mut(&counted_address(peer)).map(|bucket| bucket.wait_ms(RATE, now)) {
            Some(wait_ms) if wait_ms > 0 => Err(wait_ms),
            _ => Ok(()),
        }
    }

    /// There was no key, or it was not good.
    pub fn failed(&self, peer: IpAddr, now: Timestamp) {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let address = counted_address(peer);
        if book.addresses.len() >= REMEMBERED_MAX && !book.addresses.contains_key(&address) {
            book.addresses.retain(|_, bucket| !bucket.is_full(RATE, now));
            if book.addresses.len() >= REMEMBERED_MAX {
                return;
            }
        }
        book.addresses.entry(address).or_insert_with(|| Bucket::full(RATE, now)).take(RATE, now);
    }

    /// A key was good.
    pub fn good(&self, hash: [u8; 32], now: Timestamp) {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        if book.good.len() >= REMEMBERED_MAX && !book.good.contains_key(&hash) {
            book.good.retain(|_, at| now.since_ms(*at) <= KNOWN_MS);
            if book.good.len() >= REMEMBERED_MAX {
                return;
            }
        }
        book.good.insert(hash, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    #[test]
    fn whoever_fails_waits_and_good_keys_behind_the_same_address_do_not() {
        let guesses = Guesses::default();
        let (peer, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        guesses.good([1; 32], at(0));
        for _ in 0..RATE.burst {
            assert_eq!(guesses.admit(peer, Some(&[2; 32]), at(0)), Ok(()));
            guesses.failed(peer, at(0));
        }
        assert_eq!(guesses.admit(peer, Some(&[2; 32]), at(0)), Err(1_000));
        assert_eq!(guesses.admit(peer, None, at(0)), Err(1_000));
        assert_eq!(guesses.admit(peer, Some(&[1; 32]), at(0)), Ok(()));
        assert_eq!(guesses.admit(other, Some(&[2; 32]), at(0)), Ok(()));
        assert_eq!(guesses.admit(peer, Some(&[2; 32]), at(1)), Ok(()));
    }

    #[test]
    fn a_good_key_is_known_for_an_hour() {
        let guesses = Guesses::default();
        let peer = "2001:db8::1".parse().unwrap();
        guesses.good([1; 32], at(0));
        for _ in 0..RATE.burst + 100 {
            guesses.failed("2001:db8::2".parse().unwrap(), at(3_601));
        }
        assert!(guesses.admit(peer, Some(&[1; 32]), at(3_601)).is_err());
    }
}

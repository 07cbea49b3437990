//! What the operating system gives and the rules may not take: the time and randomness.
//!
//! Everything below the edge is told the time and handed its entropy, so that it can be tested by table and by seed.
//! This module is where both come from in a running process, and the only one that asks for them.
//!
//! * [`SystemClock`] never goes backwards: a step of the wall clock (NTP, a suspended virtual machine) shows as
//!   standing still until the wall clock has caught up. Leases and schedules in the store depend on it.
//! * [`Entropy`] reads the operating system's generator in blocks of 4 KiB, so that an id costs no system call;
//!   bytes are wiped as they are handed out and never handed out twice. [`Entropy::seeded`] gives the same bytes for
//!   the same seed: for tests and the simulation, never for keys.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use creel_webhook::clock::{Clock, Timestamp};
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

/// The wall clock, held so that it never goes backwards within the process.
#[derive(Debug)]
pub struct SystemClock {
    latest_ms: AtomicI64,
}

impl SystemClock {
    /// A clock; processes need one, and share it.
    pub const fn new() -> Self {
        SystemClock { latest_ms: AtomicI64::new(i64::MIN) }
    }

    /// What is shown when the wall clock says `wall_ms`.
    fn show(&self, wall_ms: i64) -> Timestamp {
        let before = self.latest_ms.fetch_max(wall_ms, Ordering::SeqCst);
        Timestamp::from_millis(before.max(wall_ms))
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        SystemClock::new()
    }
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the one place that asks the wall clock")]
    fn now(&self) -> Timestamp {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        self.show(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }
}

/// Bytes taken from the operating system at a time: 409 ids, one system call.
const BLOCK_BYTES: usize = 4_096;

/// Random bytes, buffered; share one per process.
pub struct Entropy {
    pool: Mutex<Pool>,
}

/// Why there is no randomness.
#[derive(Debug, thiserror::Error)]
#[error(
    "the operating system gave no randomness ({0}); Creel makes no ids or keys without it, so start it where getrandom works"
)]
pub struct EntropyError(getrandom::Error);

struct Pool {
    block: [u8; BLOCK_BYTES],
    used: usize,
    origin: Origin,
}

enum Origin {
    System,
    Seeded { seed: u64, counter: u64 },
}

impl Entropy {
    /// Randomness of the operating system.
    ///
    /// # Errors
    /// [`EntropyError`] when there is none; later refills of a generator that once worked do not fail on any
    /// supported system.
    pub fn system() -> Result<Self, EntropyError> {
        let mut block = [0; BLOCK_BYTES];
        getrandom::fill(&mut block).map_err(EntropyError)?;
        Ok(Entropy { pool: Mutex::new(Pool { block, used: 0, origin: Origin::System }) })
    }

    /// The same bytes for the same seed: SHA-256 over seed and counter. For tests and the simulation only.
    pub fn seeded(seed: u64) -> Self {
        let origin = Origin::Seeded { seed, counter: 0 };
        Entropy { pool: Mutex::new(Pool { block: [0; BLOCK_BYTES], used: BLOCK_BYTES, origin }) }
    }

    /// `N` random bytes.
    ///
    /// # Panics
    /// When the operating system's generator stops working after it has worked: there is no safe way on.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        let mut pool = self.pool.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        pool.take(&mut bytes);
        bytes
    }

    /// What `Id::new` wants.
    pub fn id_bytes(&self) -> [u8; 10] {
        self.bytes()
    }

    /// A nonce for sealing a secret.
    pub fn nonce(&self) -> [u8; 12] {
        self.bytes()
    }

    /// A number between 0 and 65535 that spreads retries.
    pub fn jitter(&self) -> u16 {
        u16::from_le_bytes(self.bytes())
    }

    /// A token that nobody guesses: 128 bits as 32 lower-case hexadecimal digits. For ingress paths and API keys.
    pub fn token(&self) -> String {
        hex::encode(self.bytes::<16>())
    }
}

impl std::fmt::Debug for Entropy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entropy")
    }
}

impl Pool {
    fn take(&mut self, wanted: &mut [u8]) {
        let mut filled = 0;
        while filled < wanted.len() {
            if self.used == BLOCK_BYTES {
                self.refill();
            }
            let count = (wanted.len() - filled).min(BLOCK_BYTES - self.used);
            let given = &mut self.block[self.used..self.used + count];
            wanted[filled..filled + count].copy_from_slice(given);
            given.zeroize();
            self.used += count;
            filled += count;
        }
    }

    fn refill(&mut self) {
        match &mut self.origin {
            Origin::System => {
                getrandom::fill(&mut self.block).expect("the generator that worked when the process started works on");
            }
            Origin::Seeded { seed, counter } => {
                for chunk in self.block.chunks_exact_mut(32) {
                    let digest = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(counter.to_le_bytes());
                    chunk.copy_from_slice(&digest.finalize());
                    *counter += 1;
                }
            }
        }
        self.used = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_clock_stands_still_while_the_wall_clock_is_behind() {
        let clock = SystemClock::new();
        assert_eq!(clock.show(1_000).as_millis(), 1_000);
        assert_eq!(clock.show(400).as_millis(), 1_000);
        assert_eq!(clock.show(1_001).as_millis(), 1_001);
        assert!(SystemClock::new().now() > Timestamp::from_secs(1_700_000_000));
    }

    #[test]
    fn a_seed_repeats_and_another_does_not() {
        let draw = |seed| {
            let entropy = Entropy::seeded(seed);
            (0..1_000).map(|_| entropy.id_bytes()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert_eq!(draw(7).into_iter().collect::<BTreeSet<_>>().len(), 1_000, "across blocks, no draw repeats");
    }

    #[test]
    fn the_system_gives_different_tokens() {
        let entropy = Entropy::system().unwrap();
        let tokens: BTreeSet<String> = (0..1_000).map(|_| entropy.token()).collect();
        assert_eq!(tokens.len(), 1_000);
        assert!(tokens.iter().all(|token| token.len() == 32 && *token == token.to_lowercase()));
    }

    #[test]
    fn bytes_larger_than_a_block_are_filled_to_the_end() {
        let bytes = Entropy::system().unwrap().bytes::<{ 2 * BLOCK_BYTES + 5 }>();
        assert!(bytes.rchunks(16).next().unwrap().iter().any(|&byte| byte != 0));
    }
}

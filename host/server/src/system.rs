//! What the operating system gives and the rules may not take: the time and randomness.
//!
//! Everything below the edge is told the time and handed its entropy, so that it can be tested by table and by seed.
//! This module is where both come from in a running process, and the only one that asks for them.
//!
//! * [`SystemClock`] never goes backwards by a little: where NTP sets the wall clock back by up to two seconds, time goes
//!   on at half speed until the wall clock has caught up. Leases and schedules in the store depend on it. A wall clock
//!   that jumped far ahead and was corrected must not stop the time, though: meanwhile time goes on with the monotonic
//!   clock, and when the wall clock stays behind for five seconds it steps back once, with a line in the log.
//! * [`Entropy`] reads the operating system's generator in blocks of 4 KiB, so that an id costs no system call;
//!   bytes are wiped as they are handed out and never handed out twice. [`Entropy::seeded`] gives the same bytes for
//!   the same seed: for tests and the simulation, never for keys.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use creel_webhook::clock::{Clock, Timestamp};
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

/// As far as the wall clock may lie behind what is shown without being thought wrong, milliseconds: what NTP slews.
const BEHIND_MS_MAX: i64 = 2_000;

/// How long it must lie further behind than that before the shown time steps back, milliseconds: a wall clock that is
/// set twice in a row is read when it has settled.
const PATIENCE_MS: i64 = 5_000;

/// The wall clock, held so that small steps back of it do not show and large ones do not stop the time.
#[derive(Debug, Default)]
pub struct SystemClock {
    shown: Mutex<Option<Shown>>,
    /// Readings of both clocks that changed nothing: whoever has them too need not look at what others write.
    unchanged: AtomicU64,
}

/// What was shown last, and when.
#[derive(Debug, Clone, Copy)]
struct Shown {
    at_ms: i64,
    /// The monotonic clock's reading then.
    steady_ms: i64,
    /// Since when, monotonic, the wall clock has been far behind.
    behind_since_ms: Option<i64>,
}

impl SystemClock {
    /// A clock; processes need one, and share it.
    pub const fn new() -> Self {
        SystemClock { shown: Mutex::new(None), unchanged: AtomicU64::new(0) }
    }

    /// What is shown when the wall clock says `wall_ms` and the monotonic clock `steady_ms`.
    fn show(&self, wall_ms: i64, steady_ms: i64) -> Timestamp {
        let mut shown = self.shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let next = match *shown {
            None => Shown { at_ms: wall_ms, steady_ms, behind_since_ms: None },
            Some(before) => before.follow(wall_ms, steady_ms),
        };
        *shown = Some(next);
        Timestamp::from_millis(next.at_ms)
    }

    /// The same, without a lock when somebody had these readings and was shown the wall clock's: what is shown is that again.
    fn at(&self, wall_ms: i64, steady_ms: i64) -> Timestamp {
        // The lower 32 bits are 49 days. With the same steady millisecond only a step back of the wall clock within it could show,
        // and what was shown before it has replaced these readings.
        let readings = ((wall_ms & 0xffff_ffff) << 32 | (steady_ms & 0xffff_ffff)).cast_unsigned();
        if self.unchanged.load(Ordering::Relaxed) == readings {
            return Timestamp::from_millis(wall_ms);
        }
        let shown = self.show(wall_ms, steady_ms);
        self.unchanged.store(if shown.as_millis() == wall_ms { readings } else { 0 }, Ordering::Relaxed);
        shown
    }
}

impl Shown {
    fn follow(self, wall_ms: i64, steady_ms: i64) -> Shown {
        // Threads may come here in another order than they read the clocks.
        let steady_ms = steady_ms.max(self.steady_ms);
        let elapsed_ms = steady_ms - self.steady_ms;
        let carried_ms = self.at_ms.saturating_add(elapsed_ms);
        let behind_ms = carried_ms.saturating_sub(wall_ms);
        if behind_ms <= BEHIND_MS_MAX {
            // Half speed until the wall clock has caught up, which it then has soon.
            let at_ms = wall_ms.max(self.at_ms.saturating_add(elapsed_ms / 2));
            return Shown { at_ms, steady_ms, behind_since_ms: None };
        }
        let since_ms = self.behind_since_ms.unwrap_or(steady_ms);
        if steady_ms - since_ms < PATIENCE_MS {
            return Shown { at_ms: carried_ms, steady_ms, behind_since_ms: Some(since_ms) };
        }
        tracing::warn!(behind_ms, "the wall clock was set back and stays there; Creel's time steps back to it");
        Shown { at_ms: wall_ms, steady_ms, behind_since_ms: None }
    }
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the one place that asks the wall clock")]
    fn now(&self) -> Timestamp {
        static BEGAN: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
        let millis = |duration: std::time::Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let steady_ms = millis(BEGAN.elapsed());
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        self.at(millis(since_epoch), steady_ms)
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
    /// Ids that were made.
    ids: u32,
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
        Ok(Entropy { pool: Mutex::new(Pool { block, used: 0, ids: 0, origin: Origin::System }) })
    }

    /// The same bytes for the same seed: SHA-256 over seed and counter. For tests and the simulation only.
    pub fn seeded(seed: u64) -> Self {
        let origin = Origin::Seeded { seed, counter: 0 };
        Entropy { pool: Mutex::new(Pool { block: [0; BLOCK_BYTES], used: BLOCK_BYTES, ids: 0, origin }) }
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

    /// What [`Ids::next_bytes`] gives, once.
    pub fn id_bytes(&self) -> [u8; 10] {
        self.ids().next_bytes()
    }

    /// For who makes several ids: others wait meanwhile.
    pub fn ids(&self) -> Ids<'_> {
        Ids(self.pool.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
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

/// What ids are made of besides their time, one after the other.
pub struct Ids<'e>(std::sync::MutexGuard<'e, Pool>);

impl Ids<'_> {
    /// What `Id::new` wants: a counter of 26 bits, then 48 random ones ([RFC 9562] section 6.2, method 1), so that ids of
    /// one millisecond sort as they were made. Between two ids of one millisecond on both sides of the counter's end,
    /// which 67 million ids lie apart, it does not hold.
    ///
    /// [RFC 9562]: https://www.rfc-editor.org/rfc/rfc9562
    pub fn next_bytes(&mut self) -> [u8; 10] {
        let mut bytes = [0; 10];
        self.0.take(&mut bytes[4..]);
        self.0.ids = self.0.ids.wrapping_add(1);
        let part = |shift: u32| (self.0.ids >> shift).to_le_bytes()[0];
        // Four bits of the first byte make way for the version, two of the third for the variant.
        bytes[..4].copy_from_slice(&[part(22), part(14), part(8), part(0)]);
        bytes
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

    use creel_webhook::id::EventId;

    use super::*;

    #[test]
    fn a_small_step_back_of_the_wall_clock_does_not_show() {
        let clock = SystemClock::new();
        let shown = |wall_ms, steady_ms| clock.at(wall_ms, steady_ms).as_millis();
        assert_eq!((shown(100_000, 0), shown(100_000, 0)), (100_000, 100_000));
        assert_eq!(shown(99_000, 0), 100_000);
        assert_eq!(shown(99_500, 500), 100_250, "half speed while the wall clock is behind");
        assert_eq!(shown(100_000, 500), 100_250, "which has said so before");
        assert_eq!(shown(101_000, 2_000), 101_000, "and its own when it has caught up");
        assert_eq!(shown(500_000, 2_001), 500_000, "a step ahead shows at once");
        assert!(SystemClock::new().now() > Timestamp::from_secs(1_700_000_000));
    }

    #[test]
    fn a_jump_ahead_that_is_corrected_does_not_stop_the_time() {
        let clock = SystemClock::new();
        let shown = |wall_ms, steady_ms| clock.at(wall_ms, steady_ms).as_millis();
        let year_ms = 365 * 86_400_000;
        assert_eq!(shown(1_000, 0), 1_000);
        assert_eq!(shown(year_ms, 10), year_ms);
        assert_eq!(shown(1_020, 20), year_ms + 10, "time goes on with the monotonic clock");
        assert_eq!(shown(4_020, 3_020), year_ms + 3_010);
        assert_eq!(shown(6_020, 5_020), 6_020, "it stayed behind: back to it");
        assert_eq!(shown(6_030, 5_030), 6_030);
    }

    #[test]
    fn a_wall_clock_that_comes_back_in_time_steps_nothing_back() {
        let clock = SystemClock::new();
        let shown = |wall_ms, steady_ms| clock.at(wall_ms, steady_ms).as_millis();
        assert_eq!(shown(100_000, 0), 100_000);
        assert_eq!(shown(50_000, 4_000), 104_000);
        assert_eq!(shown(108_000, 8_000), 108_000);
        assert_eq!(shown(50_000, 12_000), 112_000, "patience begins anew");
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
    fn ids_of_one_moment_sort_as_they_were_made() {
        let entropy = Entropy::seeded(7);
        for skipped in [0, 200, 1 << 14, (1 << 22) - 2, 1 << 25] {
            entropy.pool.lock().unwrap().ids = skipped;
            let ids: Vec<_> = (0..700).map(|_| EventId::new(Timestamp::default(), entropy.id_bytes())).collect();
            assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
        }
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

//! Which keys are not known: a Bloom filter.
//!
//! It has to hold every key of the table, and opening has no time to read them all. So the sweep, which passes over the
//! table once an hour anyway, fills a filter on its way, with the keys that are not in the table yet and those that come
//! meanwhile; when the pass is through, that filter counts. Until the first pass is through, every key may be known. Keys
//! that have expired leave with the next pass.

use fastbloom::BloomFilter;

/// Bits of a filter (16 MiB; two while a pass is under way). With ten million keys in the table, a fiftieth of the
/// look-ups goes there for nothing; with fifty million, a third.
const BITS: usize = 128 << 20;

/// Positions per key: three misses of the processor's cache at most, mostly one.
const HASHES: u32 = 3;

/// What may be known.
#[derive(Debug, Default)]
pub(super) struct Filter {
    whole: Option<BloomFilter>,
    growing: Option<BloomFilter>,
}

impl Filter {
    /// A pass over the table begins.
    pub(super) fn begin(&mut self) {
        self.growing = Some(BloomFilter::with_num_bits(BITS).hashes(HASHES));
    }

    /// A key is known.
    pub(super) fn add(&mut self, hash: &[u8; 16]) {
        let hash = short(hash);
        for filter in self.whole.iter_mut().chain(&mut self.growing) {
            filter.insert_hash(hash);
        }
    }

    /// The pass has seen the whole table.
    pub(super) fn end(&mut self) {
        self.whole = self.growing.take().or(self.whole.take());
    }

    /// Whether a key may be known.
    pub(super) fn may_hold(&self, hash: &[u8; 16]) -> bool {
        self.whole.as_ref().is_none_or(|filter| filter.contains_hash(short(hash)))
    }
}

/// A key is half of a SHA-256; half of that is as evenly spread.
pub(super) fn short(hash: &[u8; 16]) -> u64 {
    let mut short = [0; 8];
    short.copy_from_slice(&hash[..8]);
    u64::from_le_bytes(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> [u8; 16] {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
        key
    }

    #[test]
    fn it_never_denies_a_key_of_the_table_and_knows_most_that_are_not() {
        let mut filter = Filter::default();
        assert!(filter.may_hold(&key(1)), "nothing has been looked through");
        filter.begin();
        (0..1_000).for_each(|number| filter.add(&key(number)));
        assert!(filter.may_hold(&key(5_000)), "not yet");
        filter.end();
        (1_000..2_000).for_each(|number| filter.add(&key(number)));
        assert!((0..2_000).all(|number| filter.may_hold(&key(number))));
        let taken = (2_000..12_000).filter(|number| filter.may_hold(&key(*number))).count();
        assert!(taken < 10, "{taken} of 10000");

        // What the next pass does not meet is forgotten, what comes meanwhile is not.
        filter.begin();
        filter.add(&key(7));
        filter.end();
        assert!(filter.may_hold(&key(7)) && !filter.may_hold(&key(8)));
    }
}

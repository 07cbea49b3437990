//! `wasi:random`: a stream that the run's seed determines.
//!
//! Block *n* is SHA-256 of seed, domain and *n*. To whoever does not know the seed it is random; to a replay it is the
//! same again. The insecure interfaces draw from domains of their own, so that what one library reads does not shift
//! what another one gets.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};

use super::meter::Meter;
use crate::limits::RANDOM_BYTES_MAX;

/// The randomness of one run.
pub(crate) struct Random {
    secure: Stream,
    insecure: Stream,
    seed: [u8; 32],
    meter: Arc<Meter>,
}

impl Random {
    /// Streams of this seed.
    pub(crate) fn new(seed: [u8; 32], meter: Arc<Meter>) -> Self {
        Random { secure: Stream::new(seed, b"secure"), insecure: Stream::new(seed, b"insecure"), seed, meter }
    }
}

struct Stream {
    seed: [u8; 32],
    domain: &'static [u8],
    next: u64,
    block: [u8; 32],
    used: usize,
}

impl Stream {
    fn new(seed: [u8; 32], domain: &'static [u8]) -> Self {
        Stream { seed, domain, next: 0, block: [0; 32], used: 32 }
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            if self.used == self.block.len() {
                let hash = Sha256::new().chain_update(self.seed).chain_update(self.domain);
                self.block = hash.chain_update(self.next.to_be_bytes()).finalize().into();
                self.next += 1;
                self.used = 0;
            }
            *byte = self.block[self.used];
            self.used += 1;
        }
    }

    fn bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        if len > RANDOM_BYTES_MAX {
            return Err(wasmtime::format_err!(
                "{len} random bytes were asked for at once; {RANDOM_BYTES_MAX} is the most"
            ));
        }
        let mut bytes = vec![0; len as usize];
        self.fill(&mut bytes);
        Ok(bytes)
    }

    fn number(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_be_bytes(bytes)
    }
}

impl random::Host for Random {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.meter.charge(len as usize)?;
        self.secure.bytes(len)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.meter.charge(8)?;
        Ok(self.secure.number())
    }
}

impl insecure::Host for Random {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.meter.charge(len as usize)?;
        self.insecure.bytes(len)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.meter.charge(8)?;
        Ok(self.insecure.number())
    }
}

impl insecure_seed::Host for Random {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        self.meter.charge(16)?;
        let mut stream = Stream::new(self.seed, b"insecure seed");
        Ok((stream.number(), stream.number()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_determines_the_stream_however_it_is_read() {
        let draw = |seed| {
            let mut random = Random::new([seed; 32], Arc::new(Meter::new(u64::MAX)));
            let mut bytes = random::Host::get_random_bytes(&mut random, 40).unwrap();
            insecure::Host::get_insecure_random_u64(&mut random).unwrap();
            bytes.extend(random::Host::get_random_bytes(&mut random, 24).unwrap());
            bytes
        };
        let mut whole = Random::new([1; 32], Arc::new(Meter::new(u64::MAX)));
        assert_eq!(draw(1), random::Host::get_random_bytes(&mut whole, 64).unwrap());
        assert_ne!(draw(1), draw(2));
        assert!(random::Host::get_random_bytes(&mut whole, RANDOM_BYTES_MAX + 1).is_err());
    }
}

//! What host calls cost.
//!
//! Wasm fuel counts instructions of the guest; a host call is one of them, however much work it causes. So each call
//! is charged on a meter beside the store's fuel: a fixed price and one for the bytes it moves. The meter alone may
//! not exceed the run's fuel, which bounds a guest that does nothing but call the host; a run's fuel is the sum of
//! both. The price is a constant of the contract, not a measurement: fuel must not depend on the machine.

use std::sync::atomic::{AtomicU64, Ordering};

/// Price of a host call, fuel.
pub(crate) const CALL_FUEL: u64 = 500;

/// Bytes moved for one unit of fuel.
pub(crate) const BYTES_PER_FUEL: u64 = 4;

/// Host calls of a run have cost more than its fuel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the fuel of this run was used up by host calls")]
pub(crate) struct FuelUsedUp;

/// Fuel charged for host calls of one run. Shared by its capabilities; a run is on one thread at a time.
#[derive(Debug)]
pub(crate) struct Meter {
    used: AtomicU64,
    max: u64,
}

impl Meter {
    /// A meter for a run with this much fuel.
    pub(crate) fn new(max: u64) -> Self {
        Meter { used: AtomicU64::new(0), max }
    }

    /// Charges one call that moves `bytes` bytes.
    pub(crate) fn charge(&self, bytes: usize) -> Result<(), FuelUsedUp> {
        let price = CALL_FUEL.saturating_add(bytes as u64 / BYTES_PER_FUEL);
        let used = self.used.load(Ordering::Relaxed).saturating_add(price);
        self.used.store(used, Ordering::Relaxed);
        if used > self.max { Err(FuelUsedUp) } else { Ok(()) }
    }

    /// Fuel charged so far.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

//! `wasi:clocks`: time that only the guest moves.
//!
//! The wall clock shows the event's time, plus what the guest has slept. The monotonic clock starts at zero; each read
//! moves it on by a microsecond, so that a loop that waits for it ends, and a sleep moves it to its end and returns at
//! once. wasmtime-wasi's own sleep waits in real time whatever clock it is given; that is why none of it is used.

use std::sync::Arc;

use async_trait::async_trait;
use creel_webhook::clock::Timestamp;
use wasmtime::component::{HasData, Resource, ResourceTable};
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
use wasmtime_wasi::p2::bindings::clocks::wall_clock::{self, Datetime};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

use super::meter::Meter;

/// How far a read moves the monotonic clock, nanoseconds.
const READ_STEP_NS: u64 = 1_000;

/// The time of one run.
pub(crate) struct Clock {
    /// Nanoseconds from 1970 to the event.
    start_ns: u128,
    /// What the monotonic clock shows, nanoseconds.
    elapsed_ns: u64,
    /// What the guest has slept, nanoseconds.
    slept_ns: u64,
    meter: Arc<Meter>,
}

impl Clock {
    /// A clock that starts at the event's time.
    pub(crate) fn new(now: Timestamp, meter: Arc<Meter>) -> Self {
        let start_ms = u128::try_from(now.as_millis()).unwrap_or(0);
        Clock { start_ns: start_ms * 1_000_000, elapsed_ns: 0, slept_ns: 0, meter }
    }

    fn sleep_until(&mut self, when_ns: u64) {
        let pause = when_ns.saturating_sub(self.elapsed_ns);
        self.elapsed_ns += pause;
        self.slept_ns = self.slept_ns.saturating_add(pause);
    }
}

/// A clock and the table that its pollables live in.
pub(crate) struct Clocks<'a> {
    /// The time of this run.
    pub(crate) clock: &'a mut Clock,
    /// The run's resources.
    pub(crate) table: &'a mut ResourceTable,
}

/// Tells the linker about [`Clocks`].
pub(crate) struct HasClocks;

impl HasData for HasClocks {
    type Data<'a> = Clocks<'a>;
}

impl wall_clock::Host for Clocks<'_> {
    fn now(&mut self) -> wasmtime::Result<Datetime> {
        self.clock.meter.charge(0)?;
        let now = self.clock.start_ns + u128::from(self.clock.slept_ns);
        let seconds = u64::try_from(now / 1_000_000_000).unwrap_or(u64::MAX);
        Ok(Datetime { seconds, nanoseconds: (now % 1_000_000_000) as u32 })
    }

    fn resolution(&mut self) -> wasmtime::Result<Datetime> {
        self.clock.meter.charge(0)?;
        Ok(Datetime { seconds: 0, nanoseconds: 1_000_000 })
    }
}

impl monotonic_clock::Host for Clocks<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        self.clock.meter.charge(0)?;
        self.clock.elapsed_ns = self.clock.elapsed_ns.saturating_add(READ_STEP_NS);
        Ok(self.clock.elapsed_ns)
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        self.clock.meter.charge(0)?;
        Ok(READ_STEP_NS)
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.clock.meter.charge(0)?;
        self.clock.sleep_until(when);
        let over = self.table.push(Over)?;
        subscribe(self.table, over)
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let when = self.clock.elapsed_ns.saturating_add(duration);
        monotonic_clock::Host::subscribe_instant(self, when)
    }
}

/// A sleep that is over.
struct Over;

#[async_trait]
impl Pollable for Over {
    async fn ready(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_sleeps_move_it_and_nothing_else_does() {
        let mut clock = Clock::new(Timestamp::from_millis(1_500), Arc::new(Meter::new(u64::MAX)));
        let mut table = ResourceTable::new();
        let mut clocks = Clocks { clock: &mut clock, table: &mut table };
        assert_eq!(monotonic_clock::Host::now(&mut clocks).unwrap(), 1_000);
        assert_eq!(monotonic_clock::Host::now(&mut clocks).unwrap(), 2_000);
        monotonic_clock::Host::subscribe_duration(&mut clocks, 3_000_000_000).unwrap();
        assert_eq!(monotonic_clock::Host::now(&mut clocks).unwrap(), 3_000_003_000);
        let wall = wall_clock::Host::now(&mut clocks).unwrap();
        assert_eq!((wall.seconds, wall.nanoseconds), (4, 500_000_000));
        monotonic_clock::Host::subscribe_instant(&mut clocks, 5).unwrap();
        assert_eq!(monotonic_clock::Host::now(&mut clocks).unwrap(), 3_000_004_000);
    }
}

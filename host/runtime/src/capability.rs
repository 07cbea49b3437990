//! What a guest may reach: one file per capability, linked once, prepared per run.
//!
//! | file | interfaces |
//! |---|---|
//! | [`seam`] | the trait [`seam::Capabilities`]: what the server provides, live or answered from a record |
//! | [`granted`] | the simple implementation: plain settings, everything else denied with advice |
//! | `log` | `creel:plugin/log`, and the log book that standard output also goes to |
//! | `lookup` | `creel:plugin/{config,state,fetch}`: the guest's side of the seam |
//! | `clock` | `wasi:clocks`: a wall clock that stands at the event's time, a monotonic clock that only reads move |
//! | `random` | `wasi:random`: a stream that a seed determines |
//! | `io` | `wasi:io`: streams and pollables, each call charged |
//! | `stdio` | `wasi:cli`: no input, output into the log, no environment, no arguments, exit is an end |
//! | `files` | `wasi:filesystem`: no directories |
//! | `meter` | what host calls cost |
//!
//! There are no sockets and there is no `wasi:http`: the gate refuses a component that imports them. Nothing that a
//! guest can observe here differs between two runs of one event on one deployment, and no call here blocks on
//! anything but the seam.

pub mod granted;
pub mod seam;

mod clock;
mod files;
mod io;
pub(crate) mod log;
pub(crate) mod lookup;
pub(crate) mod meter;
mod random;
pub(crate) mod stdio;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use creel_webhook::clock::Timestamp;
use wasmtime::component::{HasSelf, Linker, ResourceTable};
use wasmtime::{Engine, ResourceLimiter};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemCtx, WasiFilesystemCtxView};
use wasmtime_wasi::p2::bindings as wasi;
use wasmtime_wasi_io::bindings::wasi::io as wasi_io;

use crate::bindings::creel::plugin;
use crate::limits::{INSTANCES_PER_RUN_MAX, Limits, MEMORIES_PER_RUN_MAX, TABLES_PER_RUN_MAX};

use self::clock::{Clocks, HasClocks};
use self::files::{HasNoDirectories, NoDirectories};
use self::io::{HasIo, Io};
use self::log::LogBook;
use self::lookup::Lookup;
use self::meter::Meter;
use self::random::Random;
use self::seam::Capabilities;
use self::stdio::{HasStdio, Stdio};

/// What a store holds for one run.
pub(crate) struct Guest {
    log: log::Log,
    lookup: Lookup,
    clock: clock::Clock,
    random: Random,
    stdio: stdio::Streams,
    files: WasiFilesystemCtx,
    table: ResourceTable,
    memory: MemoryLimiter,
    meter: Arc<Meter>,
    book: Arc<Mutex<LogBook>>,
}

impl Guest {
    /// Prepares everything for one run.
    pub(crate) fn new(limits: &Limits, now: Timestamp, seed: [u8; 32], capabilities: Box<dyn Capabilities>) -> Self {
        let meter = Arc::new(Meter::new(limits.fuel_max));
        let book = Arc::new(Mutex::new(LogBook::new(limits.log_lines_max, limits.log_bytes_max)));
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles_max as usize);
        Guest {
            log: log::Log::new(book.clone(), meter.clone()),
            lookup: Lookup::new(capabilities, meter.clone()),
            clock: clock::Clock::new(now, meter.clone()),
            random: Random::new(seed, meter.clone()),
            stdio: stdio::Streams::new(book.clone(), meter.clone()),
            files: WasiFilesystemCtx::default(),
            table,
            memory: MemoryLimiter::new(limits),
            meter,
            book,
        }
    }

    /// The limiter of the store.
    pub(crate) fn limiter(&mut self) -> &mut dyn ResourceLimiter {
        &mut self.memory
    }

    /// Peak of linear memory, bytes.
    pub(crate) fn memory_peak(&self) -> u64 {
        self.memory.peak
    }

    /// Bytes that a refused growth would have led to, when one was refused.
    pub(crate) fn memory_refused(&self) -> Option<u64> {
        self.memory.refused
    }

    /// Elements that a table was refused, when one was.
    pub(crate) fn table_refused(&self) -> Option<u64> {
        self.memory.table_refused
    }

    /// Fuel charged for host calls.
    pub(crate) fn host_fuel(&self) -> u64 {
        self.meter.used()
    }

    /// Time spent waiting behind the seam.
    pub(crate) fn waited(&self) -> Duration {
        self.lookup.waited()
    }

    /// Writes output lines that were begun and not ended.
    pub(crate) fn finish_output(&self) {
        self.stdio.finish();
    }

    /// The log book.
    pub(crate) fn book(&self) -> &Mutex<LogBook> {
        &self.book
    }
}

/// A linker that knows everything a guest may import.
///
/// # Errors
/// Only when two capabilities define one name, which a test would show.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    let l = &mut linker;
    plugin::log::add_to_linker::<Guest, HasSelf<log::Log>>(l, |guest| &mut guest.log)?;
    plugin::config::add_to_linker::<Guest, HasSelf<Lookup>>(l, |guest| &mut guest.lookup)?;
    plugin::state::add_to_linker::<Guest, HasSelf<Lookup>>(l, |guest| &mut guest.lookup)?;
    plugin::fetch::add_to_linker::<Guest, HasSelf<Lookup>>(l, |guest| &mut guest.lookup)?;

    wasi::clocks::wall_clock::add_to_linker::<Guest, HasClocks>(l, clocks)?;
    wasi::clocks::monotonic_clock::add_to_linker::<Guest, HasClocks>(l, clocks)?;
    wasi::random::random::add_to_linker::<Guest, HasSelf<Random>>(l, |guest| &mut guest.random)?;
    wasi::random::insecure::add_to_linker::<Guest, HasSelf<Random>>(l, |guest| &mut guest.random)?;
    wasi::random::insecure_seed::add_to_linker::<Guest, HasSelf<Random>>(l, |guest| &mut guest.random)?;

    wasi::cli::environment::add_to_linker::<Guest, HasStdio>(l, stdio)?;
    wasi::cli::exit::add_to_linker::<Guest, HasStdio>(l, stdio)?;
    wasi::cli::stdin::add_to_linker::<Guest, HasStdio>(l, stdio)?;
    wasi::cli::stdout::add_to_linker::<Guest, HasStdio>(l, stdio)?;
    wasi::cli::stderr::add_to_linker::<Guest, HasStdio>(l, stdio)?;
    wasi::cli::terminal_input::add_to_linker::<Guest, HasStdio>(l, stdio)?;
    wasi::cli::terminal_output::add_to_linker::<Guest, HasStdio>(l, stdio)?;
    wasi::cli::terminal_stdin::add_to_linker::<Guest, HasStdio>(l, stdio)?;
    wasi::cli::terminal_stdout::add_to_linker::<Guest, HasStdio>(l, stdio)?;
    wasi::cli::terminal_stderr::add_to_linker::<Guest, HasStdio>(l, stdio)?;

    wasi_io::error::add_to_linker::<Guest, HasIo>(l, io)?;
    wasi_io::poll::add_to_linker::<Guest, HasIo>(l, io)?;
    wasi_io::streams::add_to_linker::<Guest, HasIo>(l, io)?;

    wasi::filesystem::preopens::add_to_linker::<Guest, HasNoDirectories>(l, files)?;
    wasi::filesystem::types::add_to_linker::<Guest, WasiFilesystem>(l, |guest| WasiFilesystemCtxView {
        ctx: &mut guest.files,
        table: &mut guest.table,
    })?;
    Ok(linker)
}

fn clocks(guest: &mut Guest) -> Clocks<'_> {
    Clocks { clock: &mut guest.clock, table: &mut guest.table }
}

fn io(guest: &mut Guest) -> Io<'_> {
    Io { table: &mut guest.table, meter: &guest.meter }
}

fn files(guest: &mut Guest) -> NoDirectories<'_> {
    NoDirectories { meter: &guest.meter }
}

fn stdio(guest: &mut Guest) -> Stdio<'_> {
    Stdio { streams: &mut guest.stdio, table: &mut guest.table }
}

/// Bounds memory and tables, and remembers what was asked for in vain.
struct MemoryLimiter {
    max: u64,
    table_elements_max: usize,
    /// Bytes of all linear memories together.
    total: u64,
    peak: u64,
    refused: Option<u64>,
    table_refused: Option<u64>,
}

impl MemoryLimiter {
    fn new(limits: &Limits) -> Self {
        MemoryLimiter {
            max: limits.memory_bytes_max,
            table_elements_max: limits.table_elements_max as usize,
            total: 0,
            peak: 0,
            refused: None,
            table_refused: None,
        }
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.total.saturating_add(desired.saturating_sub(current) as u64);
        if total > self.max {
            self.refused = Some(total);
            return Ok(false);
        }
        self.total = total;
        self.peak = self.peak.max(total);
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let fits = desired <= self.table_elements_max;
        if !fits {
            self.table_refused = Some(desired as u64);
        }
        Ok(fits)
    }

    fn instances(&self) -> usize {
        INSTANCES_PER_RUN_MAX as usize
    }

    fn tables(&self) -> usize {
        TABLES_PER_RUN_MAX as usize
    }

    fn memories(&self) -> usize {
        MEMORIES_PER_RUN_MAX as usize
    }
}

//! The engines: one configuration, two ways to begin a memory, two allocators, a ticker and an admission.
//!
//! The **sandbox** runs guests out of pools of memories, tables and stacks that are reserved at start, so that a fresh
//! instance costs microseconds. What **compiles** allocates on demand and runs nothing: the pools' reservations would
//! break a child process's memory limit. Both answer the same to everything that shapes code, which their common
//! fingerprint shows, so that what one compiles the other loads.
//!
//! A component's data comes into a fresh memory in one of two ways (`Data`), and wasmtime has one for a whole engine;
//! so there are two of each. Much data, as Python brings, is mapped: nothing is copied, but a slot of the pool belongs to
//! the component that it was mapped for, and to map another's costs more than a small plugin's whole run. Little data is
//! copied: any slot serves any component, the one that was used a moment ago first, so that a thousand components in turn
//! run nearly as fast as one.
//!
//! What repeats must repeat exactly: NaNs are canonical, relaxed SIMD is deterministic, threads and shared memory do
//! not exist. What the host does not need is off: 64-bit memories, garbage collection, exceptions.
//!
//! Fuel decides verdicts and epochs decide time slices: a thread of its own ends an epoch each millisecond, upon which
//! a running guest yields to its executor; while nothing runs it sleeps. The pool never fails for want of room: a run waits for its turn.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::thread::JoinHandle;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, OperatorCost, PoolingAllocationConfig};

use crate::limits::{EngineOptions, INSTANCES_PER_RUN_MAX, MEMORIES_PER_RUN_MAX, TABLES_PER_RUN_MAX};

/// Length of an epoch: a guest holds its thread no longer without yielding.
pub const EPOCH: Duration = Duration::from_millis(1);

/// How long the ticker goes on when nothing runs: to wake it costs a run microseconds, to tick a processor's percent.
const AWAKE: Duration = Duration::from_secs(1);

/// How often it ticks while nothing runs.
const ASLEEP: Duration = Duration::from_millis(100);

/// Most data that is copied, bytes: a Rust plugin has 10 to 50 KiB, JavaScript and Python megabytes. To copy it takes a
/// few microseconds and is charged as fuel like any other copy.
const COPIED_BYTES_MAX: u64 = 64 << 10;

/// Free slots that are kept for who used them last, where data is copied: every slot is as good as another, and what the
/// next run gets is to be the one whose memory is still in the processor's cache.
const WARM_SLOTS_COPIED: u32 = 1;

/// How a component's data comes into a fresh memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Data {
    /// Its pages are mapped and copied when they are written to.
    Mapped,
    /// It is copied before the component's own code runs.
    Copied,
}

impl Data {
    /// The way for so many bytes.
    pub(crate) fn of(bytes: u64) -> Data {
        if bytes > COPIED_BYTES_MAX { Data::Mapped } else { Data::Copied }
    }
}

/// One thing for each way.
#[derive(Debug, Clone)]
pub(crate) struct Both<T> {
    mapped: T,
    copied: T,
}

impl<T> Both<T> {
    /// Makes one for each.
    pub(crate) fn make<E>(make: impl Fn(Data) -> Result<T, E>) -> Result<Both<T>, E> {
        Ok(Both { mapped: make(Data::Mapped)?, copied: make(Data::Copied)? })
    }

    /// The one for this way.
    pub(crate) fn of(&self, data: Data) -> &T {
        match data {
            Data::Mapped => &self.mapped,
            Data::Copied => &self.copied,
        }
    }

    /// What comes of each.
    pub(crate) fn map<U>(&self, of: impl Fn(&T) -> U) -> Both<U> {
        Both { mapped: of(&self.mapped), copied: of(&self.copied) }
    }

    /// Each with its way.
    pub(crate) fn each(&self) -> [(Data, &T); 2] {
        [(Data::Mapped, &self.mapped), (Data::Copied, &self.copied)]
    }
}

/// Why an engine could not be made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Wasmtime refused the configuration, or the address space is too small for the pool.
    #[error(
        "the sandbox could not reserve its pool ({0}); lower `runs_max` or raise the address space limit (ulimit -v)"
    )]
    Reserve(String),
    /// The operating system gave no thread.
    #[error("the sandbox's ticker thread could not be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// The engines that run guests, with their ticker and their admission.
#[derive(Debug)]
pub struct Sandbox {
    engines: Both<Engine>,
    options: EngineOptions,
    admission: Arc<Semaphore>,
    ticker: Ticker,
}

impl Sandbox {
    /// Reserves the pools and starts the ticker.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn new(options: &EngineOptions) -> Result<Self, EngineError> {
        let engines = Both::make(|data| engine(data, InstanceAllocationStrategy::Pooling(pool(options, data))))?;
        let runs_max = options.runs_max as usize;
        let admission = Arc::new(Semaphore::new(runs_max));
        let room = admission.clone();
        let ticker = Ticker::start(engines.clone(), move || room.available_permits() < runs_max, AWAKE)?;
        Ok(Sandbox { engines, options: options.clone(), admission, ticker })
    }

    /// Wasmtime's engines.
    pub(crate) fn engines(&self) -> &Both<Engine> {
        &self.engines
    }

    /// What it was made with.
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// Waits for room in the pool; the room is given back when the permit is dropped.
    pub(crate) async fn admit(&self) -> OwnedSemaphorePermit {
        let room = self.admission.clone().acquire_owned().await.expect("the admission is never closed");
        self.ticker.wake();
        room
    }

    /// Room for so many more runs at this moment.
    pub fn runs_free(&self) -> usize {
        self.admission.available_permits()
    }
}

/// An engine that compiles and runs nothing.
///
/// # Errors
/// [`EngineError::Reserve`] when wasmtime does not support this machine.
pub(crate) fn for_compiling(data: Data) -> Result<Engine, EngineError> {
    engine(data, InstanceAllocationStrategy::OnDemand)
}

fn engine(data: Data, allocation: InstanceAllocationStrategy) -> Result<Engine, EngineError> {
    let mut config = config(data);
    config.allocation_strategy(allocation);
    Engine::new(&config).map_err(|error| EngineError::Reserve(format!("{error:#}")))
}

/// A hash of everything that shapes code: compiled code may be loaded by an engine of the same fingerprint only.
pub(crate) fn fingerprint(engine: &Engine) -> [u8; 32] {
    let mut hasher = Fingerprint(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.0.finalize().into()
}

struct Fingerprint(Sha256);

impl Hasher for Fingerprint {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        unreachable!("the fingerprint is read as a whole")
    }
}

fn config(data: Data) -> Config {
    let mut config = Config::new();
    config
        .memory_init_cow(data == Data::Mapped)
        .consume_fuel(true)
        .operator_cost(cost())
        .epoch_interruption(true)
        .wasm_component_model(true)
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .shared_memory(false)
        .wasm_memory64(false)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(16));
    // The features of threads, garbage collection and exceptions are not compiled into this build of wasmtime, so
    // there is nothing to turn off; `gate` refuses them by name while it validates.
    config
}

/// What instructions cost: one unit each, and one per byte or element that is moved. Those that leave the guest for the
/// runtime take a hundred times as long as an addition, even to be refused; at its price they would end by the clock.
fn cost() -> OperatorCost {
    let bulk = 50;
    OperatorCost {
        MemoryGrow: 250,
        TableGrow: 250,
        MemoryCopy: bulk,
        MemoryFill: bulk,
        MemoryInit: bulk,
        DataDrop: bulk,
        TableCopy: bulk,
        TableFill: bulk,
        TableInit: bulk,
        ElemDrop: bulk,
        ..OperatorCost::new()
    }
}

fn pool(options: &EngineOptions, data: Data) -> PoolingAllocationConfig {
    let runs = options.runs_max;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(runs)
        .total_core_instances(runs.saturating_mul(INSTANCES_PER_RUN_MAX))
        .total_memories(runs.saturating_mul(MEMORIES_PER_RUN_MAX))
        .total_tables(runs.saturating_mul(TABLES_PER_RUN_MAX))
        // A run has one stack at a time; the next one may be taken before the last is back in the pool.
        .total_stacks(runs.saturating_mul(2))
        .max_core_instances_per_component(INSTANCES_PER_RUN_MAX)
        .max_memories_per_component(MEMORIES_PER_RUN_MAX)
        .max_tables_per_component(TABLES_PER_RUN_MAX)
        .max_tables_per_module(TABLES_PER_RUN_MAX)
        .max_memory_size(usize::try_from(options.memory_bytes_ceiling).unwrap_or(usize::MAX))
        .table_elements(options.table_elements_ceiling as usize)
        .linear_memory_keep_resident(options.memory_keep_resident_bytes)
        .table_keep_resident(options.table_keep_resident_bytes)
        .async_stack_keep_resident(options.stack_keep_resident_bytes)
        // Where the system can tell which pages a run has written, only those are cleared.
        .pagemap_scan(Enabled::Auto);
    if data == Data::Copied {
        pool.max_unused_warm_slots(WARM_SLOTS_COPIED);
    }
    pool
}

/// Ends an epoch each millisecond until it is dropped, and sleeps while nothing runs.
#[derive(Debug)]
struct Ticker {
    state: Arc<TickerState>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct TickerState {
    stopped: AtomicBool,
    asleep: AtomicBool,
}

impl Ticker {
    /// Begins; `busy` says whether anything runs, `awake` how long it goes on when nothing does.
    fn start(
        engines: Both<Engine>,
        busy: impl Fn() -> bool + Send + 'static,
        awake: Duration,
    ) -> std::io::Result<Self> {
        let state = Arc::new(TickerState::default());
        let own = state.clone();
        let thread = std::thread::Builder::new().name("creel-epoch".into()).spawn(move || {
            let mut idle = Duration::ZERO;
            while !own.stopped.load(Ordering::SeqCst) {
                idle = if busy() { Duration::ZERO } else { idle + EPOCH };
                if idle < awake {
                    std::thread::park_timeout(EPOCH);
                } else {
                    own.asleep.store(true, Ordering::SeqCst);
                    // Either a run that begins now sees that the ticker sleeps, or the ticker sees the run.
                    fence(Ordering::SeqCst);
                    if !busy() {
                        std::thread::park_timeout(ASLEEP);
                    }
                    own.asleep.store(false, Ordering::SeqCst);
                }
                engines.each().iter().for_each(|(_, engine)| engine.increment_epoch());
            }
        })?;
        Ok(Ticker { state, thread: Some(thread) })
    }

    /// Something runs from now on.
    fn wake(&self) {
        fence(Ordering::SeqCst);
        if self.state.asleep.load(Ordering::SeqCst) {
            self.unpark();
        }
    }

    fn unpark(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::SeqCst);
        self.unpark();
        if let Some(thread) = self.thread.take() {
            // A panicked ticker has nothing to tell that its message did not.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ticker_sleeps_while_nothing_runs_and_wakes_for_a_run() {
        let busy = Arc::new(AtomicBool::new(true));
        let own = busy.clone();
        let engines = Both::make(for_compiling).unwrap();
        let ticker = Ticker::start(engines, move || own.load(Ordering::SeqCst), Duration::ZERO).unwrap();
        let bound = std::time::Instant::now() + Duration::from_secs(10);
        let until = |asleep: bool| {
            while ticker.state.asleep.load(Ordering::SeqCst) != asleep {
                assert!(std::time::Instant::now() < bound, "asleep: {}", !asleep);
                std::thread::yield_now();
            }
        };
        let mut slept = Duration::ZERO;
        for _ in 0..20 {
            busy.store(false, Ordering::SeqCst);
            until(true);
            busy.store(true, Ordering::SeqCst);
            let began = std::time::Instant::now();
            ticker.wake();
            until(false);
            slept += began.elapsed();
        }
        // Without the calls it would sleep on for nearly all of each time.
        assert!(slept < 10 * ASLEEP, "{slept:?}");
    }

    #[test]
    fn what_compiles_and_what_runs_have_one_fingerprint_and_the_ways_have_two() {
        let options = EngineOptions { runs_max: 2, ..EngineOptions::default() };
        let sandbox = Sandbox::new(&options).unwrap();
        for (data, engine) in sandbox.engines().each() {
            assert_eq!(fingerprint(engine), fingerprint(&for_compiling(data).unwrap()));
        }
        assert_ne!(fingerprint(sandbox.engines().of(Data::Mapped)), fingerprint(sandbox.engines().of(Data::Copied)));
    }
}

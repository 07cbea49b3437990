//! One run: a fresh store, one call, a report.
//!
//! ```text
//! admit -> store with limits -> instantiate, call handle -> ended how? -> verdict, reason, outcome, usage, log
//! ```
//!
//! Guarantees:
//! - A store serves one run and is dropped after it, whatever happened.
//! - Same event, deployment, seed and limits give the same verdict, outcome, log and fuel, however busy the machine is;
//!   only the verdicts `timeout` and `host` depend on anything else. Between two builds of the host one thing may differ: how
//!   deep a guest gets before its stack overflows, and so the fuel of a run that ends by that.
//! - The future yields at least each millisecond while the guest computes, and can be dropped at any point.
//! - A failing plugin is data: [`Runtime::run`] has no error. Each reason names the limit, what was used, and what to
//!   raise.
//!
//! It does not know where guest code should run: whoever polls the future lends the thread. [`threads::GuestThreads`]
//! is a place of its own for it.

pub mod threads;

mod ended;
mod output;
mod turns;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use creel_webhook::breach::Breach;
use creel_webhook::outcome::{GuestEvent, Outcome};
use creel_webhook::run::{LogLine, Usage, Verdict};
use wasmtime::{Engine, Store, UpdateDeadline};

use crate::bindings;
use crate::capability::Guest;
use crate::capability::seam::Capabilities;
use crate::engine::{EngineError, Sandbox};
use crate::gate::{Answer, Prepared};
use crate::limits::{EngineOptions, HOST_CALL_BYTES_MAX, Limits};

use self::ended::{DeadlinePassed, End};

/// What a run is given.
pub struct RunInput {
    /// The event.
    pub event: GuestEvent,
    /// What it may use. Memory and tables beyond the engine's ceilings are cut to them.
    pub limits: Limits,
    /// What it may reach.
    pub capabilities: Box<dyn Capabilities>,
    /// What determines its randomness: derived from tenant, event and route only.
    pub seed: [u8; 32],
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunReport {
    /// How.
    pub verdict: Verdict,
    /// Why, when there is no outcome.
    pub reason: Option<String>,
    /// The limit behind the reason, when it is one.
    pub breach: Option<Breach>,
    /// What the handler decided; only with [`Verdict::Done`].
    pub outcome: Option<Outcome>,
    /// The delay that the handler asked for; only with [`Verdict::Retry`].
    pub retry_after_ms: Option<u64>,
    /// What it used.
    pub usage: Usage,
    /// What it logged.
    pub log: Vec<LogLine>,
}

/// Runs prepared components.
#[derive(Debug)]
pub struct Runtime {
    sandbox: Sandbox,
}

impl Runtime {
    /// Reserves the pool and starts the ticker.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn new(options: &EngineOptions) -> Result<Self, EngineError> {
        Ok(Runtime { sandbox: Sandbox::new(options)? })
    }

    /// The sandbox that components are prepared for.
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// Runs a component on an event. Waits first when all room is taken; that wait is not part of the run's time.
    ///
    /// Needs a tokio runtime with time enabled. Dropping the future ends the run.
    pub async fn run(&self, prepared: Arc<Prepared>, input: RunInput) -> RunReport {
        let _room = self.sandbox.admit().await;
        let limits = self.effective(&input.limits);
        let (event, mut capabilities) = (input.event, input.capabilities);
        capabilities.begin(limits.timeout_ms);
        let guest = Guest::new(&limits, event.received_at, input.seed, capabilities);
        let clock = Arc::new(RunClock::start(limits.timeout_ms));
        let mut store = match store(prepared.engine(), guest, &limits, &clock) {
            Ok(store) => store,
            Err(error) => return report_without_store(&error),
        };
        let event = bindings::event(event);
        let mut cpu = Duration::ZERO;
        let call = Metered::new(Box::pin(prepared.call(&mut store, &event)), clock.clone(), &mut cpu);
        let result = call.await;
        report(store, result, &limits, (cpu, clock.ran_ms()))
    }

    /// What the pool has room for.
    fn effective(&self, limits: &Limits) -> Limits {
        let options = self.sandbox.options();
        Limits {
            memory_bytes_max: limits.memory_bytes_max.min(options.memory_bytes_ceiling),
            table_elements_max: limits.table_elements_max.min(options.table_elements_ceiling),
            ..limits.clone()
        }
    }
}

fn store(engine: &Engine, guest: Guest, limits: &Limits, clock: &Arc<RunClock>) -> wasmtime::Result<Store<Guest>> {
    let mut store = Store::try_new(engine, guest)?;
    store.limiter(|guest| guest.limiter());
    store.set_fuel(limits.fuel_max)?;
    store.set_hostcall_fuel(HOST_CALL_BYTES_MAX);
    store.set_max_component_handles(limits.handles_max as usize);
    store.set_epoch_deadline(1);
    let clock = clock.clone();
    store.epoch_deadline_callback(move |_| {
        if Instant::now() >= clock.deadline() {
            return Err(DeadlinePassed.into());
        }
        clock.yields();
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
    });
    Ok(store)
}

/// A run's time: all of it but what it stands in line for a thread, which others make long.
struct RunClock {
    began: Instant,
    timeout: Duration,
    in_line_ns: AtomicU64,
    yielded: AtomicBool,
}

impl RunClock {
    fn start(timeout_ms: u64) -> Self {
        let (in_line_ns, yielded) = (AtomicU64::new(0), AtomicBool::new(false));
        RunClock { began: Instant::now(), timeout: Duration::from_millis(timeout_ms), in_line_ns, yielded }
    }

    fn deadline(&self) -> Instant {
        self.began + self.timeout + Duration::from_nanos(self.in_line_ns.load(Ordering::Relaxed))
    }

    /// How much of its time it has used.
    fn ran_ms(&self) -> u64 {
        let in_line = Duration::from_nanos(self.in_line_ns.load(Ordering::Relaxed));
        u64::try_from(self.began.elapsed().saturating_sub(in_line).as_millis()).unwrap_or(u64::MAX)
    }

    /// The guest could go on and lets others.
    fn yields(&self) {
        self.yielded.store(true, Ordering::Relaxed);
    }
}

/// Polls a run, adds up how long, and ends it when its time is over: the epoch callback sees to that while the guest
/// computes, a timer while it waits in a host call.
struct Metered<'a, F> {
    work: Pin<Box<F>>,
    clock: Arc<RunClock>,
    timer: Pin<Box<tokio::time::Sleep>>,
    left_at: Instant,
    cpu: &'a mut Duration,
}

impl<'a, F> Metered<'a, F> {
    fn new(work: Pin<Box<F>>, clock: Arc<RunClock>, cpu: &'a mut Duration) -> Self {
        let timer = Box::pin(tokio::time::sleep_until(clock.deadline().into()));
        Metered { work, timer, left_at: clock.began, clock, cpu }
    }
}

impl<T, F: Future<Output = wasmtime::Result<T>>> Future for Metered<'_, F> {
    type Output = wasmtime::Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let start = Instant::now();
        if self.clock.yielded.swap(false, Ordering::Relaxed) {
            let in_line = u64::try_from((start - self.left_at).as_nanos()).unwrap_or(u64::MAX);
            self.clock.in_line_ns.fetch_add(in_line, Ordering::Relaxed);
        }
        let polled = self.work.as_mut().poll(context);
        self.left_at = Instant::now();
        let took = self.left_at - start;
        *self.cpu += took;
        if polled.is_ready() || self.clock.yielded.load(Ordering::Relaxed) {
            return polled;
        }
        let deadline = self.clock.deadline().into();
        if self.timer.deadline() != deadline {
            self.timer.as_mut().reset(deadline);
        }
        self.timer.as_mut().poll(context).map(|()| Err(DeadlinePassed.into()))
    }
}

/// Says how it ended and drops the store.
fn report(
    store: Store<Guest>,
    result: wasmtime::Result<Answer>,
    limits: &Limits,
    (cpu, ran_ms): (Duration, u64),
) -> RunReport {
    let guest = store.data();
    let burnt = limits.fuel_max.saturating_sub(store.get_fuel().unwrap_or(0));
    let used = burnt.saturating_add(guest.host_fuel());
    let usage = Usage {
        // What it asked for beyond that was not done: it is refused before, and nobody pays for it.
        fuel: used.min(limits.fuel_max),
        memory_bytes: guest.memory_peak(),
        cpu_us: micros(cpu),
        wait_us: micros(guest.waited()),
    };
    guest.finish_output();
    let mut book = guest.book().lock().unwrap_or_else(PoisonError::into_inner);
    let end = match result {
        Ok(_) if used > limits.fuel_max => ended::out_of_fuel(limits),
        Ok(Ok(outcome)) => output::check(bindings::outcome(outcome), limits),
        Ok(Err(failure)) => ended::failed(bindings::failure(failure)),
        Err(error) => {
            let seen = ended::Seen {
                memory_refused: guest.memory_refused(),
                table_refused: guest.table_refused(),
                ran_ms,
                last_error: book.last_error(),
            };
            ended::broken(&error, &seen, limits)
        }
    };
    let log = book.take();
    let End { verdict, reason, breach, outcome, retry_after_ms } = end;
    RunReport { verdict, reason, breach, outcome, retry_after_ms, usage, log }
}

fn report_without_store(error: &wasmtime::Error) -> RunReport {
    let reason = format!("the host has no memory for a run: {error:#}");
    RunReport {
        verdict: Verdict::Host,
        reason: Some(reason),
        breach: None,
        outcome: None,
        retry_after_ms: None,
        usage: Usage::default(),
        log: Vec::new(),
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;

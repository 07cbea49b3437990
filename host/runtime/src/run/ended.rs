//! From an error of the engine to a verdict and words.
//!
//! The order of questions matters: a guest that was refused memory traps with something else, so memory is asked
//! before the trap; and fuel and deadline are errors of their own kind, asked first.

use creel_webhook::breach::{Breach, RunLimit};
use creel_webhook::outcome::{Failure, Outcome};
use creel_webhook::run::Verdict;
use wasmtime::Trap;
use wasmtime::component::ResourceTableError;

use crate::capability::log::head;
use crate::capability::lookup::HostFailed;
use crate::capability::meter::FuelUsedUp;
use crate::capability::stdio::Exited;
use crate::limits::{HOST_CALL_BYTES_MAX, Limits, REASON_BYTES_MAX};

/// How wasmtime says that a guest handed over more than [`HOST_CALL_BYTES_MAX`]; the error has no public type.
const HOST_CALL_TOO_BIG: &str = "fuel allocated for hostcalls";

/// How wasmtime says that its own table of handles is full; the error has no public type.
const HANDLES_FULL: &str = "store handle limit exceeded";

/// The wall clock of a run is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the deadline has passed")]
pub(super) struct DeadlinePassed;

/// How a run ended.
#[derive(Debug)]
pub(super) struct End {
    pub(super) verdict: Verdict,
    pub(super) reason: Option<String>,
    /// The limit behind the reason.
    pub(super) breach: Option<Breach>,
    pub(super) outcome: Option<Outcome>,
    pub(super) retry_after_ms: Option<u64>,
}

impl End {
    /// An end without an outcome.
    pub(super) fn because(verdict: Verdict, reason: impl AsRef<str>) -> End {
        let reason = head(reason.as_ref(), REASON_BYTES_MAX).to_owned();
        End { verdict, reason: Some(reason), breach: None, outcome: None, retry_after_ms: None }
    }

    /// An end by a limit, with a reason that is told from the breach.
    pub(super) fn beyond(verdict: Verdict, breach: Breach, reason: impl FnOnce(&Breach) -> String) -> End {
        End { breach: Some(breach), ..End::because(verdict, reason(&breach)) }
    }
}

/// What the host saw of a run that did not return.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    /// Bytes that a refused growth would have led to.
    pub(super) memory_refused: Option<u64>,
    /// Elements that a refused table would have had.
    pub(super) table_refused: Option<u64>,
    /// How long it ran, lines before threads not counted.
    pub(super) ran_ms: u64,
    /// The last log line of level `error`.
    pub(super) last_error: Option<&'a str>,
}

/// The handler said that there is no outcome.
pub(super) fn failed(failure: Failure) -> End {
    match failure {
        Failure::Reject(reason) => End::because(Verdict::Rejected, reason),
        Failure::Retry { reason, after_ms } => {
            End { retry_after_ms: Some(after_ms), ..End::because(Verdict::Retry, reason) }
        }
    }
}

/// The fuel is used up.
pub(super) fn out_of_fuel(limits: &Limits) -> End {
    // What it asked for beyond that was refused before it was done.
    let breach = Breach::new(RunLimit::FuelMax, limits.fuel_max, limits.fuel_max);
    End::beyond(Verdict::Fuel, breach, |breach| {
        let ask = breach.limit.ask().unwrap_or_default();
        format!(
            "the plugin used up its fuel: {breach}; if the work is meant to take that much, {ask}, otherwise look for a \
             loop that does not end"
        )
    })
}

/// The call did not return.
pub(super) fn broken(error: &wasmtime::Error, seen: &Seen<'_>, limits: &Limits) -> End {
    if error.is::<DeadlinePassed>() {
        return timed_out(seen.ran_ms, limits);
    }
    if error.is::<FuelUsedUp>() || error.downcast_ref::<Trap>() == Some(&Trap::OutOfFuel) {
        return out_of_fuel(limits);
    }
    if let Some(HostFailed(reason)) = error.downcast_ref() {
        return End::because(Verdict::Host, format!("the host could not serve the plugin: {reason}"));
    }
    if let Some(asked) = seen.memory_refused {
        return out_of_memory(error, seen, asked, limits);
    }
    if let Some(asked) = seen.table_refused {
        return out_of_table(asked, limits);
    }
    if is_out_of_handles(error) {
        return out_of_handles(limits);
    }
    if error.is::<wasmtime::PoolConcurrencyLimitError>() {
        return End::because(Verdict::Host, format!("the sandbox has no room: {error:#}; raise runs_max"));
    }
    if error.root_cause().to_string().contains(HOST_CALL_TOO_BIG) {
        return handed_too_much();
    }
    End::because(Verdict::Trap, words(error, seen))
}

fn out_of_memory(error: &wasmtime::Error, seen: &Seen<'_>, asked: u64, limits: &Limits) -> End {
    // An abort is what an allocator does that got no memory: it needs no words.
    let aborted = error.downcast_ref::<Trap>() == Some(&Trap::UnreachableCodeReached) && seen.last_error.is_none();
    let then = if aborted { String::new() } else { format!("; then {}", words(error, seen)) };
    let breach = Breach::new(RunLimit::MemoryBytesMax, asked, limits.memory_bytes_max);
    End::beyond(Verdict::Memory, breach, |breach| {
        let advice = breach.advice("handle less at once");
        format!("the plugin needed more memory than it may have: it asked for {asked} bytes, {breach}{then}; {advice}")
    })
}

fn out_of_table(asked: u64, limits: &Limits) -> End {
    let breach = Breach::new(RunLimit::TableElementsMax, asked, limits.table_elements_max.into());
    End::beyond(Verdict::Memory, breach, |breach| {
        format!(
            "the plugin needed a larger table than it may have: it asked for {asked} elements, {breach}; use fewer \
             function pointers"
        )
    })
}

/// Handles live in a table of the host and in one of the engine's; the engine's error has no public type.
fn is_out_of_handles(error: &wasmtime::Error) -> bool {
    matches!(error.downcast_ref(), Some(ResourceTableError::Full))
        || error.root_cause().to_string().contains(HANDLES_FULL)
}

fn out_of_handles(limits: &Limits) -> End {
    let allowed = u64::from(limits.handles_max);
    End::beyond(Verdict::Memory, Breach::new(RunLimit::HandlesMax, allowed + 1, allowed), |breach| {
        format!(
            "the plugin held more handles than it may have at the same time: {breach}; drop streams, pollables and \
             resources when they are done"
        )
    })
}

fn handed_too_much() -> End {
    let breach = Breach { limit: RunLimit::HostCallBytesMax, used: None, allowed: HOST_CALL_BYTES_MAX as u64 };
    End::beyond(Verdict::Output, breach, |breach| {
        format!(
            "the plugin handed the host more than {} bytes at once; no outcome, log line or look-up may be as big as that",
            breach.allowed
        )
    })
}

fn timed_out(ran_ms: u64, limits: &Limits) -> End {
    let breach = Breach::new(RunLimit::RunTimeoutMs, ran_ms.max(limits.timeout_ms), limits.timeout_ms);
    End::beyond(Verdict::Timeout, breach, |breach| {
        format!(
            "the plugin took longer than run_timeout_ms = {}, waiting for look-ups included; {}",
            breach.allowed,
            breach.advice("look less up")
        )
    })
}

/// What happened, as a sentence about the plugin.
fn words(error: &wasmtime::Error, seen: &Seen<'_>) -> String {
    if let Some(Exited(status)) = error.downcast_ref() {
        return format!("the plugin called exit({status}); a handler returns its outcome instead");
    }
    let Some(trap) = error.downcast_ref::<Trap>() else {
        return format!("the plugin broke the contract: {}", error.root_cause());
    };
    match (trap, seen.last_error) {
        (Trap::UnreachableCodeReached, Some(line)) => match line.strip_prefix("panicked") {
            Some(rest) => format!("the plugin panicked{rest}"),
            None => format!("the plugin panicked: {line}"),
        },
        _ => format!("the plugin {}", trapped(*trap)),
    }
}

fn trapped(trap: Trap) -> String {
    match trap {
        Trap::UnreachableCodeReached => {
            "panicked or aborted without saying why (an `unreachable` instruction); log before you panic, or use the \
             SDK, which does"
                .into()
        }
        Trap::StackOverflow => "overflowed its stack; look for a recursion that does not end".into(),
        Trap::MemoryOutOfBounds => "accessed memory out of bounds".into(),
        Trap::TableOutOfBounds | Trap::IndirectCallToNull | Trap::BadSignature => {
            "called a function pointer that is no function".into()
        }
        Trap::IntegerOverflow => "overflowed an integer in a conversion or division".into(),
        Trap::IntegerDivisionByZero => "divided by zero".into(),
        Trap::BadConversionToInteger => "converted a number that is no integer".into(),
        Trap::CannotEnterComponent => "was entered again while it was running".into(),
        other => format!("trapped: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_line_becomes_the_reason() {
        let error = wasmtime::Error::from(Trap::UnreachableCodeReached);
        let mut seen = Seen {
            memory_refused: None,
            table_refused: None,
            ran_ms: 1,
            last_error: Some("panicked at src/lib.rs:3:1: no order id"),
        };
        let end = broken(&error, &seen, &Limits::default());
        assert_eq!(end.verdict, Verdict::Trap);
        assert_eq!(end.reason.unwrap(), "the plugin panicked at src/lib.rs:3:1: no order id");

        seen.memory_refused = Some(1 << 30);
        let end = broken(&error, &seen, &Limits::default());
        assert_eq!(end.verdict, Verdict::Memory);
        assert!(end.reason.unwrap().contains("memory_bytes_max is 67108864"));
        assert_eq!(end.breach, Some(Breach::new(RunLimit::MemoryBytesMax, 1 << 30, 64 << 20)));
    }
}

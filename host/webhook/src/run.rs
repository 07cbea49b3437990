//! A run: one execution of one deployment on one event, and how it ended.
//!
//! Wasm traps, fuel, memory and output breaches are deterministic: run again, they end the same way, so they are
//! final at once. A wall-clock timeout and a failure of the host are not, and are tried at most twice more. The guest
//! sees no difference between tries.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// An outcome was stored.
    Done,
    /// The plugin refused the event.
    Rejected,
    /// The plugin asked to be run again later.
    Retry,
    /// The code trapped: a panic, an unreachable, an out-of-bounds access.
    Trap,
    /// The instruction budget was used up.
    Fuel,
    /// The memory limit was reached.
    Memory,
    /// The outcome broke a limit or a rule; none of it was stored.
    Output,
    /// The wall-clock limit was reached.
    Timeout,
    /// An outcome came after the sender had been answered with the fallback.
    Late,
    /// A reply run that never ran before its deadline.
    Unanswered,
    /// The host could not run it: no such plugin, a component that no longer loads, five lost claims.
    Host,
}

impl Verdict {
    /// All of them, in documentation order.
    pub const ALL: [Verdict; 11] = [
        Verdict::Done,
        Verdict::Rejected,
        Verdict::Retry,
        Verdict::Trap,
        Verdict::Fuel,
        Verdict::Memory,
        Verdict::Output,
        Verdict::Timeout,
        Verdict::Late,
        Verdict::Unanswered,
        Verdict::Host,
    ];

    /// The word in columns, API and CLI.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Done => "done",
            Verdict::Rejected => "rejected",
            Verdict::Retry => "retry",
            Verdict::Trap => "trap",
            Verdict::Fuel => "fuel",
            Verdict::Memory => "memory",
            Verdict::Output => "output",
            Verdict::Timeout => "timeout",
            Verdict::Late => "late",
            Verdict::Unanswered => "unanswered",
            Verdict::Host => "host",
        }
    }

    /// Reads the word back.
    pub fn from_word(word: &str) -> Option<Verdict> {
        Self::ALL.into_iter().find(|verdict| verdict.as_str() == word)
    }
}

/// How often a run that ended `timeout` or `host` is tried again: neither is the plugin's doing alone, and a third
/// failure in a row is no accident.
pub const HOST_RETRIES_MAX: u32 = 2;

/// How often a plugin's own `retry` is honoured; with the longest delay that is more than a month.
pub const PLUGIN_RETRIES_MAX: u32 = 32;

/// Longest delay that a plugin may ask for: a day. Longer waits belong into a call with a delay.
pub const PLUGIN_RETRY_AFTER_MS_MAX: u64 = 24 * 60 * 60 * 1_000;

/// Claims lost without a commit after which a run is dead: work that kills the process five times will do it again.
pub const CLAIMS_MAX: u32 = 5;

/// What follows from a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunNext {
    /// It is over.
    End,
    /// Due again at that time.
    Again(Timestamp),
}

/// What follows when a run ends with `verdict` after `attempts` earlier committed tries.
///
/// `asked_ms` is the delay that the plugin asked for with `retry`.
pub fn run_next(verdict: Verdict, attempts: u32, asked_ms: u64, now: Timestamp) -> RunNext {
    match verdict {
        Verdict::Retry if attempts < PLUGIN_RETRIES_MAX => {
            RunNext::Again(now.plus_ms(asked_ms.min(PLUGIN_RETRY_AFTER_MS_MAX)))
        }
        Verdict::Timeout | Verdict::Host if attempts < HOST_RETRIES_MAX => {
            RunNext::Again(now.plus_ms(1_000 << (2 * attempts)))
        }
        _ => RunNext::End,
    }
}

/// How much a log line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Finest.
    Trace,
    /// For the author.
    Debug,
    /// What happened.
    Info,
    /// Something is odd.
    Warn,
    /// Something failed.
    Error,
}

/// A line that a guest wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// How much it matters.
    pub level: LogLevel,
    /// What it says.
    pub message: String,
}

/// What a run used, measured by the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Fuel burnt: about one unit per Wasm instruction, plus what host calls are charged. Deterministic.
    pub fuel: u64,
    /// Peak of linear memory, bytes.
    pub memory_bytes: u64,
    /// Time on a guest thread, microseconds, instantiation included.
    pub cpu_us: u64,
    /// Time waiting in host calls, microseconds.
    pub wait_us: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip() {
        for verdict in Verdict::ALL {
            assert_eq!(Verdict::from_word(verdict.as_str()), Some(verdict));
        }
        assert_eq!(Verdict::from_word("fine"), None);
    }

    #[test]
    fn deterministic_ends_are_final_and_others_are_tried_twice_more() {
        let now = Timestamp::from_millis(0);
        for verdict in
            [Verdict::Done, Verdict::Rejected, Verdict::Trap, Verdict::Fuel, Verdict::Memory, Verdict::Output]
        {
            assert_eq!(run_next(verdict, 0, 0, now), RunNext::End, "{verdict:?}");
        }
        for verdict in [Verdict::Timeout, Verdict::Host] {
            assert_eq!(run_next(verdict, 0, 0, now), RunNext::Again(now.plus_ms(1_000)));
            assert_eq!(run_next(verdict, 1, 0, now), RunNext::Again(now.plus_ms(4_000)));
            assert_eq!(run_next(verdict, 2, 0, now), RunNext::End);
        }
    }

    #[test]
    fn a_plugins_delay_is_bounded() {
        let now = Timestamp::from_millis(0);
        assert_eq!(run_next(Verdict::Retry, 0, u64::MAX, now), RunNext::Again(now.plus_ms(PLUGIN_RETRY_AFTER_MS_MAX)));
        assert_eq!(run_next(Verdict::Retry, PLUGIN_RETRIES_MAX, 5, now), RunNext::End);
    }
}

//! A run: one execution of one deployment on one event, and how it ended.
//!
//! Wasm traps, fuel, memory and output breaches are deterministic: run again, they end the same way, so they are
//! final at once. A wall-clock timeout and a failure of the host are not, and are tried at most twice more. The guest
//! sees no difference between tries.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
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

    /// Whether a run that ended so decided nothing: it is a dead letter until it is replayed.
    pub fn is_dead(self) -> bool {
        !matches!(self, Verdict::Done | Verdict::Rejected)
    }

    /// Reads the word back.
    pub fn from_word(word: &str) -> Option<Verdict> {
        Self::ALL.into_iter().find(|verdict| verdict.as_str() == word)
    }
}

/// How often a run that ended `timeout` or `host` is tried again: neither is the plugin's doing alone, and a third
/// failure is no accident.
pub const HOST_RETRIES_MAX: u32 = 2;

/// Delays before the tries that follow a `timeout`: the load that cut it may be over in a moment.
const TIMEOUT_DELAYS_MS: [u64; HOST_RETRIES_MAX as usize] = [1_000, 4_000];

/// Delays before the tries that follow a failure of the host: what it lacks (a disk, memory, a component under way)
/// seldom comes back within seconds.
const HOST_DELAYS_MS: [u64; HOST_RETRIES_MAX as usize] = [5_000, 60_000];

/// How often a plugin's own `retry` is honoured; with the longest delay that is more than a month.
pub const PLUGIN_RETRIES_MAX: u32 = 32;

/// Longest delay that a plugin may ask for: a day. Longer waits belong into a call with a delay.
pub const PLUGIN_RETRY_AFTER_MS_MAX: u64 = 24 * 60 * 60 * 1_000;

/// Claims lost without a commit after which a run is dead: work that kills the process five times will do it again. A
/// claim is lost when its lease ends, or the process while the work is under way.
pub const CLAIMS_MAX: u32 = 5;

/// What follows from a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunNext {
    /// It is over.
    End,
    /// Due again at that time.
    Again(Timestamp),
}

impl Verdict {
    /// Whether it counts towards [`HOST_RETRIES_MAX`] instead of towards the plugin's own retries.
    pub fn is_host_failure(self) -> bool {
        matches!(self, Verdict::Timeout | Verdict::Host)
    }
}

/// What follows when a run ends with `verdict` after `attempts` earlier committed tries, `failures` of which ended
/// `timeout` or `host`; the two kinds of retries have bounds of their own.
///
/// `asked_ms` is the delay that the plugin asked for with `retry`.
pub fn run_next(verdict: Verdict, attempts: u32, failures: u32, asked_ms: u64, now: Timestamp) -> RunNext {
    let delay = |delays: [u64; HOST_RETRIES_MAX as usize]| delays.get(failures as usize).copied();
    let delay_ms = match verdict {
        Verdict::Retry if attempts.saturating_sub(failures) < PLUGIN_RETRIES_MAX => {
            Some(asked_ms.min(PLUGIN_RETRY_AFTER_MS_MAX))
        }
        Verdict::Timeout => delay(TIMEOUT_DELAYS_MS),
        Verdict::Host => delay(HOST_DELAYS_MS),
        _ => None,
    };
    delay_ms.map_or(RunNext::End, |delay_ms| RunNext::Again(now.plus_ms(delay_ms)))
}

/// How much a log line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LogLine {
    /// How much it matters.
    pub level: LogLevel,
    /// What it says.
    pub message: String,
}

/// What a run used, measured by the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Usage {
    /// Fuel burnt: about one unit per Wasm instruction, plus what host calls are charged. Deterministic. Without the loop
    /// that a run was in when its clock or a trap ended it; [`Usage::charged`] is what it is charged all the same.
    pub fuel: u64,
    /// Peak of linear memory, bytes.
    pub memory_bytes: u64,
    /// Time on a guest thread, microseconds, instantiation included.
    pub cpu_us: u64,
    /// Time waiting in host calls, microseconds.
    pub wait_us: u64,
}

/// Fuel that a microsecond on a guest thread is charged, where fuel was not counted: half of what ordinary work burns in it.
pub const FUEL_PER_CPU_US: u64 = 1_000;

impl Usage {
    /// What a tenant's budgets are charged for a run: its fuel, or [`FUEL_PER_CPU_US`] for its time when that is more and the
    /// clock or a trap ended it (of which [`Verdict::Memory`] is one). The engine counts the fuel of a loop in a register, and
    /// with such an end it is lost.
    ///
    /// ```
    /// use creel_webhook::run::{Usage, Verdict};
    ///
    /// let usage = Usage { fuel: 192, cpu_us: 10_000_000, ..Usage::default() };
    /// assert_eq!(usage.charged(Verdict::Done), 192);
    /// assert_eq!(usage.charged(Verdict::Timeout), 10_000_000_000);
    /// ```
    pub fn charged(&self, verdict: Verdict) -> u64 {
        match verdict {
            Verdict::Timeout | Verdict::Trap | Verdict::Memory => {
                self.fuel.max(self.cpu_us.saturating_mul(FUEL_PER_CPU_US))
            }
            _ => self.fuel,
        }
    }
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
            assert_eq!(run_next(verdict, 0, 0, 0, now), RunNext::End, "{verdict:?}");
        }
        for (verdict, delays) in [(Verdict::Timeout, [1_000, 4_000]), (Verdict::Host, [5_000, 60_000])] {
            for (failures, delay) in (0..).zip(delays) {
                assert_eq!(run_next(verdict, failures, failures, 0, now), RunNext::Again(now.plus_ms(delay)));
            }
            assert_eq!(run_next(verdict, 2, 2, 0, now), RunNext::End);
        }
    }

    #[test]
    fn a_plugins_retries_and_the_hosts_failures_are_counted_apart() {
        let now = Timestamp::from_millis(0);
        assert_eq!(run_next(Verdict::Host, 20, 0, 0, now), RunNext::Again(now.plus_ms(5_000)));
        assert_eq!(run_next(Verdict::Retry, PLUGIN_RETRIES_MAX + 1, 2, 5, now), RunNext::Again(now.plus_ms(5)));
        assert_eq!(run_next(Verdict::Retry, PLUGIN_RETRIES_MAX + 2, 2, 5, now), RunNext::End);
    }

    #[test]
    fn a_plugins_delay_is_bounded() {
        let now = Timestamp::from_millis(0);
        assert_eq!(
            run_next(Verdict::Retry, 0, 0, u64::MAX, now),
            RunNext::Again(now.plus_ms(PLUGIN_RETRY_AFTER_MS_MAX))
        );
        assert_eq!(run_next(Verdict::Retry, PLUGIN_RETRIES_MAX, 0, 5, now), RunNext::End);
    }
}

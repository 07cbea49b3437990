//! A limit that a run would have gone beyond: which, how much of it was used, how much was allowed, and how to have more.
//!
//! What people read of it (a run's reason) is told from this, so that both say the same.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::tenant::TENANT_LIMITS;

/// What of a run is limited. Its word is the limit's name, where a tenant may have more of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunLimit {
    /// Fuel.
    FuelMax,
    /// Linear memory, bytes.
    MemoryBytesMax,
    /// Time, look-ups included, milliseconds.
    RunTimeoutMs,
    /// Elements of one table.
    TableElementsMax,
    /// Handles at the same time.
    HandlesMax,
    /// What is handed to the host in one call, bytes.
    HostCallBytesMax,
    /// Calls of the outcome.
    CallsMax,
    /// One call of it, bytes.
    CallBytesMax,
    /// The reply, bytes.
    ReplyBytesMax,
    /// The whole outcome, bytes.
    OutcomeBytesMax,
}

impl RunLimit {
    /// All of them, in documentation order.
    pub const ALL: [RunLimit; 10] = [
        RunLimit::FuelMax,
        RunLimit::MemoryBytesMax,
        RunLimit::RunTimeoutMs,
        RunLimit::TableElementsMax,
        RunLimit::HandlesMax,
        RunLimit::HostCallBytesMax,
        RunLimit::CallsMax,
        RunLimit::CallBytesMax,
        RunLimit::ReplyBytesMax,
        RunLimit::OutcomeBytesMax,
    ];

    /// The word in columns, API and CLI.
    pub fn as_str(self) -> &'static str {
        match self {
            RunLimit::FuelMax => "fuel_max",
            RunLimit::MemoryBytesMax => "memory_bytes_max",
            RunLimit::RunTimeoutMs => "run_timeout_ms",
            RunLimit::TableElementsMax => "table_elements_max",
            RunLimit::HandlesMax => "handles_max",
            RunLimit::HostCallBytesMax => "host_call_bytes_max",
            RunLimit::CallsMax => "calls_max",
            RunLimit::CallBytesMax => "call_bytes_max",
            RunLimit::ReplyBytesMax => "reply_bytes_max",
            RunLimit::OutcomeBytesMax => "outcome_bytes_max",
        }
    }

    /// How a tenant gets more of it: whom to ask, and what he does. `None` where nobody has more.
    pub fn ask(self) -> Option<String> {
        let limit = TENANT_LIMITS.iter().find(|limit| limit.name == self.as_str())?;
        let (name, flag) = (limit.name, limit.flag);
        Some(format!("ask the operator to raise {name} for this tenant (`creel tenant NAME --{flag} N`)"))
    }
}

/// A limit that a run would have gone beyond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breach {
    /// Which.
    pub limit: RunLimit,
    /// How much it used, or would have used of what it was refused; `None` when it is only known to be more.
    pub used: Option<u64>,
    /// How much was allowed.
    pub allowed: u64,
}

impl Breach {
    /// A run that used this much where less was allowed.
    pub fn new(limit: RunLimit, used: u64, allowed: u64) -> Self {
        Breach { limit, used: Some(used), allowed }
    }

    /// What to do about it: this, or to have more where that is possible.
    pub fn advice(&self, instead: &str) -> String {
        match self.limit.ask() {
            Some(ask) => format!("{instead}, or {ask}"),
            None => instead.to_owned(),
        }
    }
}

/// The limit and how much was allowed.
impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}", self.limit.as_str(), self.allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_document_and_of_tenants_limits() {
        for limit in RunLimit::ALL {
            assert_eq!(serde_json::to_value(limit).unwrap(), limit.as_str());
        }
        let fixed: Vec<_> = RunLimit::ALL.into_iter().filter(|limit| limit.ask().is_none()).collect();
        assert_eq!(fixed, [RunLimit::TableElementsMax, RunLimit::HandlesMax, RunLimit::HostCallBytesMax]);
    }

    #[test]
    fn a_breach_says_what_was_allowed_and_whom_to_ask() {
        let breach = Breach::new(RunLimit::CallsMax, 65, 64);
        assert_eq!(breach.to_string(), "calls_max is 64");
        assert!(breach.advice("send less").contains("send less, or ask the operator to raise calls_max"));
        assert_eq!(Breach::new(RunLimit::HandlesMax, 9, 8).advice("drop some"), "drop some");
    }
}

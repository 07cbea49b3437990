//! Every limit of the sandbox: its name, its default and why it is that.
//!
//! [`Limits`] bounds one run and one upload and may differ per tenant; [`EngineOptions`] sizes what all runs share and
//! is fixed at start, by the operator's ceilings. What a tenant may have otherwise is in the rules' own table
//! ([`creel_webhook::tenant::TENANT_LIMITS`]); [`LIMITS`] is that of all limits of a run.
//!
//! Fuel, memory, log, output and component limits are deterministic: the same event breaks them again. Only
//! `timeout_ms` depends on the machine.

use creel_webhook::tenant::Allowance;
use serde::{Deserialize, Serialize};

/// What one run may use, and what an upload may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Fuel for one run: about one unit per Wasm instruction, 500 per host call.
    ///
    /// Default a thousand million. A Rust handler burns 10 to 200 thousand, a JavaScript one 4 million on a 2 KB body;
    /// to burn all of it takes 0.05 s in an empty loop and 0.6 s of ordinary work (1.5 to 20 units per nanosecond,
    /// measured).
    pub fuel_max: u64,
    /// Linear memory of one run, bytes. Default 64 MiB: a Python guest starts with about 40.
    pub memory_bytes_max: u64,
    /// Wall clock of one run, milliseconds, waiting in host calls included. Default 10 s: several slow look-ups.
    pub timeout_ms: u64,
    /// All log lines of one run together, bytes. Default 64 KiB: it is stored beside every event.
    pub log_bytes_max: u64,
    /// Log lines of one run. Default 256: more is read by nobody.
    pub log_lines_max: u32,
    /// Calls in one outcome. Default 64: a fan-out beyond that belongs behind one destination.
    pub calls_max: u32,
    /// One call with method, path, headers, attributes and body, bytes. Default 1 MiB, what most APIs accept.
    pub call_bytes_max: u64,
    /// A whole outcome, bytes. Default 8 MiB: it is stored in one transaction.
    pub outcome_bytes_max: u64,
    /// A reply with headers and body, bytes. Default 1 MiB: a caller waits for it.
    pub reply_bytes_max: u64,
    /// An uploaded component, bytes. Default 32 MiB: a Python component has 18, a JavaScript one 2 to 12.
    pub component_bytes_max: u64,
    /// Elements of one table of a component. Default 65 536: a Python guest has about 20 thousand functions.
    pub table_elements_max: u32,
    /// Handles (streams, pollables, a guest's own resources) that live at the same time. Default 1 024.
    pub handles_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            fuel_max: 1_000_000_000,
            memory_bytes_max: 64 << 20,
            timeout_ms: 10_000,
            log_bytes_max: 64 << 10,
            log_lines_max: 256,
            calls_max: 64,
            call_bytes_max: 1 << 20,
            outcome_bytes_max: 8 << 20,
            reply_bytes_max: 1 << 20,
            component_bytes_max: 32 << 20,
            table_elements_max: 65_536,
            handles_max: 1_024,
        }
    }
}

impl From<&Allowance> for Limits {
    /// What holds for a tenant; what no tenant has otherwise is the default.
    fn from(holds: &Allowance) -> Self {
        let small = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        Limits {
            fuel_max: holds.fuel_max,
            memory_bytes_max: holds.memory_bytes_max,
            timeout_ms: holds.run_timeout_ms,
            log_bytes_max: holds.log_bytes_max,
            log_lines_max: small(holds.log_lines_max),
            calls_max: small(holds.calls_max),
            call_bytes_max: holds.call_bytes_max,
            outcome_bytes_max: holds.outcome_bytes_max,
            reply_bytes_max: holds.reply_bytes_max,
            ..Limits::default()
        }
    }
}

/// One row of the table of limits.
#[derive(Debug, Clone, Copy)]
pub struct LimitInfo {
    /// The field's name, which is also the setting's.
    pub name: &'static str,
    /// What it bounds, for help and documentation.
    pub about: &'static str,
    /// Reads its value.
    pub get: fn(&Limits) -> u64,
}

/// All limits of [`Limits`] in documentation order.
pub static LIMITS: [LimitInfo; 12] = [
    LimitInfo { name: "fuel_max", about: "instructions of one run", get: |l| l.fuel_max },
    LimitInfo { name: "memory_bytes_max", about: "linear memory of one run", get: |l| l.memory_bytes_max },
    LimitInfo { name: "timeout_ms", about: "wall clock of one run", get: |l| l.timeout_ms },
    LimitInfo { name: "log_bytes_max", about: "log of one run, in bytes", get: |l| l.log_bytes_max },
    LimitInfo { name: "log_lines_max", about: "log of one run, in lines", get: |l| l.log_lines_max.into() },
    LimitInfo { name: "calls_max", about: "calls in one outcome", get: |l| l.calls_max.into() },
    LimitInfo { name: "call_bytes_max", about: "one call with headers and body", get: |l| l.call_bytes_max },
    LimitInfo { name: "outcome_bytes_max", about: "a whole outcome", get: |l| l.outcome_bytes_max },
    LimitInfo { name: "reply_bytes_max", about: "a reply with headers and body", get: |l| l.reply_bytes_max },
    LimitInfo { name: "component_bytes_max", about: "an uploaded component", get: |l| l.component_bytes_max },
    LimitInfo { name: "table_elements_max", about: "one function table", get: |l| l.table_elements_max.into() },
    LimitInfo { name: "handles_max", about: "live handles of one run", get: |l| l.handles_max.into() },
];

/// What all runs of a process share; fixed at start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineOptions {
    /// Runs at the same time; more wait for their turn. Default 64: their memories are reserved, not used.
    pub runs_max: u32,
    /// The largest `memory_bytes_max` that any tenant may have. Default 256 MiB.
    pub memory_bytes_ceiling: u64,
    /// The largest `table_elements_max` that any tenant may have. Default 65 536.
    pub table_elements_ceiling: u32,
    /// Bytes at the bottom of a linear memory that are cleared in place between runs instead of being given back.
    /// Default 512 KiB: a Rust guest's stack, data and heap fit, and a run gets twice as fast.
    pub memory_keep_resident_bytes: usize,
    /// The same for each table. Default 64 KiB.
    pub table_keep_resident_bytes: usize,
    /// The same for the stack of each run. Default 64 KiB.
    pub stack_keep_resident_bytes: usize,
}

impl Default for EngineOptions {
    fn default() -> Self {
        EngineOptions {
            runs_max: 64,
            memory_bytes_ceiling: 256 << 20,
            table_elements_ceiling: 65_536,
            memory_keep_resident_bytes: 512 << 10,
            table_keep_resident_bytes: 64 << 10,
            stack_keep_resident_bytes: 64 << 10,
        }
    }
}

/// Core instances of one component. A Python component is linked from about 30 modules.
pub const INSTANCES_PER_RUN_MAX: u32 = 64;

/// Linear memories of one component. One is usual; a JavaScript component with stubs for WASI has three.
pub const MEMORIES_PER_RUN_MAX: u32 = 4;

/// Tables of one component. wit-component adds one of its own.
pub const TABLES_PER_RUN_MAX: u32 = 16;

/// Longest reason that is kept with a run, bytes: it is shown in one place on a page.
pub const REASON_BYTES_MAX: usize = 4 << 10;

/// Bytes that a guest may hand to the host in one call. An outcome is the largest thing it hands over, and lists of
/// empty strings weigh more than their bytes.
pub const HOST_CALL_BYTES_MAX: usize = 32 << 20;

/// Bytes of randomness in one call.
pub const RANDOM_BYTES_MAX: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_every_field() {
        let fields = serde_json::to_value(Limits::default()).unwrap();
        let fields = fields.as_object().unwrap();
        assert_eq!(fields.len(), LIMITS.len());
        for limit in &LIMITS {
            assert_eq!(fields[limit.name], (limit.get)(&Limits::default()), "{}", limit.name);
        }
    }
}

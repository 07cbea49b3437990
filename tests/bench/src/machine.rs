//! Facts of the machine, printed beside every figure.

use std::fs;

/// One line about processor, cores, kernel and load.
pub(crate) fn facts() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown processor", |(_, model)| model.trim());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let load = load.split_whitespace().next().unwrap_or("?");
    let profile = if cfg!(debug_assertions) { "a debug build: figures mean nothing" } else { "release build" };
    format!("{model}, {cores} cores, Linux {}, load {load} before, {profile}", kernel.trim())
}

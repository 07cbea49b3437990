//! Log lines: kept with the run and shown beside the event. Length and number are capped by the host.
//!
//! The macros take what `format!` takes. Never log a body or a person's data without need: a log line is read by more
//! people than an event is.
//!
//! ```
//! use creel_guest::prelude::*;
//! let attempts = 3;
//! log::info!("the caller tried {attempts} times");
//! log::warn!("no {} in the report", "summary");
//! ```

use std::fmt;

#[doc(inline)]
pub use crate::{
    __log_debug as debug, __log_error as error, __log_info as info, __log_trace as trace, __log_warn as warn,
};

/// How much a line matters.
///
/// ```
/// use creel_guest::log::Level;
/// assert!(Level::Error > Level::Info);
/// assert_eq!(Level::Warn.to_string(), "warn");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every step, for the author.
    Trace,
    /// What helps to find a mistake.
    Debug,
    /// What happened.
    Info,
    /// What is odd, but handled.
    Warn,
    /// What went wrong.
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Trace => "trace",
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        })
    }
}

/// Writes one line. The macros call it.
///
/// ```
/// use creel_guest::log::{Level, write};
/// write(Level::Info, "done");
/// ```
pub fn write(level: Level, message: &str) {
    crate::host::log_write(level, message);
}

/// Logs at level `trace`: `log::trace!("…")`.
///
/// ```
/// creel_guest::log::trace!("step {}", 1);
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __log_trace {
    ($($part:tt)+) => { $crate::log::write($crate::log::Level::Trace, &::std::format!($($part)+)) };
}

/// Logs at level `debug`: `log::debug!("…")`.
///
/// ```
/// creel_guest::log::debug!("step {}", 1);
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __log_debug {
    ($($part:tt)+) => { $crate::log::write($crate::log::Level::Debug, &::std::format!($($part)+)) };
}

/// Logs at level `info`: `log::info!("…")`.
///
/// ```
/// creel_guest::log::info!("step {}", 1);
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __log_info {
    ($($part:tt)+) => { $crate::log::write($crate::log::Level::Info, &::std::format!($($part)+)) };
}

/// Logs at level `warn`: `log::warn!("…")`.
///
/// ```
/// creel_guest::log::warn!("step {}", 1);
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __log_warn {
    ($($part:tt)+) => { $crate::log::write($crate::log::Level::Warn, &::std::format!($($part)+)) };
}

/// Logs at level `error`: `log::error!("…")`.
///
/// ```
/// creel_guest::log::error!("step {}", 1);
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __log_error {
    ($($part:tt)+) => { $crate::log::write($crate::log::Level::Error, &::std::format!($($part)+)) };
}

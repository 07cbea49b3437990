//! `creel:plugin/log`, and the book that keeps the lines.
//!
//! The book holds at most so many lines and so many bytes. What does not fit is counted, and one last line says how
//! much that was and which limit to raise. The last line of level `error` is remembered even when it was cut: when the
//! guest traps, that is where its panic message is. A guest without the SDK prints it on standard error instead; that
//! is remembered too.

use std::sync::{Arc, Mutex, PoisonError};

use creel_webhook::run::{LogLevel, LogLine};

use super::meter::Meter;
use crate::bindings::creel::plugin::log;

/// Longest panic message that is remembered beside the log, bytes.
const LAST_ERROR_BYTES_MAX: usize = 2 << 10;

/// Lines after the place of a panic that belong to its message.
const PANIC_LINES_MAX: u32 = 3;

/// The log of one run.
#[derive(Debug)]
pub(crate) struct LogBook {
    lines_max: u32,
    bytes_max: u64,
    lines: Vec<LogLine>,
    bytes: u64,
    cut_lines: u64,
    cut_bytes: u64,
    last_error: Option<String>,
    /// Lines of a printed panic message that are still to come.
    panic_lines: u32,
}

impl LogBook {
    /// An empty book.
    pub(crate) fn new(lines_max: u32, bytes_max: u64) -> Self {
        LogBook {
            lines_max,
            bytes_max,
            lines: Vec::new(),
            bytes: 0,
            cut_lines: 0,
            cut_bytes: 0,
            last_error: None,
            panic_lines: 0,
        }
    }

    /// Writes a line, or as much of it as fits.
    pub(crate) fn write(&mut self, level: LogLevel, mut message: String) {
        if level == LogLevel::Error {
            self.last_error = Some(head(&message, LAST_ERROR_BYTES_MAX).to_owned());
        }
        let room = self.bytes_max.saturating_sub(self.bytes);
        if self.cut_lines > 0 || self.lines.len() >= self.lines_max as usize || (room == 0 && !message.is_empty()) {
            self.cut_lines += 1;
            self.cut_bytes += message.len() as u64;
            return;
        }
        let kept = head(&message, usize::try_from(room).unwrap_or(usize::MAX)).len();
        if kept < message.len() {
            self.cut_lines += 1;
            self.cut_bytes += (message.len() - kept) as u64;
            message.truncate(kept);
        }
        self.bytes += kept as u64;
        self.lines.push(LogLine { level, message });
    }

    /// Writes a line of standard error; remembers it when it belongs to a panic message of Rust's standard library.
    pub(crate) fn write_stderr(&mut self, message: String) {
        if let Some(at) = message.find("panicked at ") {
            self.last_error = Some(head(&message[at..], LAST_ERROR_BYTES_MAX).to_owned());
            self.panic_lines = PANIC_LINES_MAX;
        } else if self.panic_lines > 0
            && let Some(text) = &mut self.last_error
        {
            self.panic_lines -= 1;
            let room = LAST_ERROR_BYTES_MAX.saturating_sub(text.len() + 1);
            text.push('\n');
            text.push_str(head(&message, room));
        }
        self.write(LogLevel::Warn, message);
    }

    /// The last line of level `error`, or the last panic message.
    pub(crate) fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    /// Closes the book: the lines, and one that says what was cut.
    pub(crate) fn take(&mut self) -> Vec<LogLine> {
        let mut lines = std::mem::take(&mut self.lines);
        if self.cut_lines > 0 {
            let (count, bytes) = (self.cut_lines, self.cut_bytes);
            let message = format!(
                "[creel] the log was cut: {bytes} bytes in {count} lines are missing (log_lines_max = {}, \
                 log_bytes_max = {})",
                self.lines_max, self.bytes_max
            );
            lines.push(LogLine { level: LogLevel::Warn, message });
        }
        lines
    }
}

/// The longest beginning of `text` with at most `bytes_max` bytes that ends between two characters.
pub(crate) fn head(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

/// The capability.
pub(crate) struct Log {
    book: Arc<Mutex<LogBook>>,
    meter: Arc<Meter>,
}

impl Log {
    /// A capability that writes into `book`.
    pub(crate) fn new(book: Arc<Mutex<LogBook>>, meter: Arc<Meter>) -> Self {
        Log { book, meter }
    }
}

impl log::Host for Log {
    fn write(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        self.meter.charge(message.len())?;
        let level = match level {
            log::Level::Trace => LogLevel::Trace,
            log::Level::Debug => LogLevel::Debug,
            log::Level::Info => LogLevel::Info,
            log::Level::Warn => LogLevel::Warn,
            log::Level::Error => LogLevel::Error,
        };
        self.book.lock().unwrap_or_else(PoisonError::into_inner).write(level, message);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_counted_and_said_once() {
        let mut book = LogBook::new(2, 1_000);
        for line in ["one", "two", "three", "four"] {
            book.write(LogLevel::Info, line.into());
        }
        let lines = book.take();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[1].message, "two");
        assert!(lines[2].message.contains("9 bytes in 2 lines") && lines[2].message.contains("log_lines_max = 2"));
    }

    #[test]
    fn a_panic_on_standard_error_is_remembered() {
        let mut book = LogBook::new(9, 1_000);
        for line in ["thread '<unnamed>' panicked at src/lib.rs:3:1:", "no order id", "note: run with …", "", "more"]
        {
            book.write_stderr(line.into());
        }
        assert_eq!(book.last_error(), Some("panicked at src/lib.rs:3:1:\nno order id\nnote: run with …\n"));
        assert_eq!(book.take().len(), 5);
    }

    #[test]
    fn a_long_line_is_cut_between_characters_and_its_error_is_remembered() {
        let mut book = LogBook::new(9, 4);
        book.write(LogLevel::Error, "abcé!".into());
        book.write(LogLevel::Error, "panicked".into());
        assert_eq!(book.last_error(), Some("panicked"));
        let lines = book.take();
        assert_eq!(lines[0].message, "abc");
        assert!(lines[1].message.contains("11 bytes in 2 lines"), "{}", lines[1].message);
    }
}

//! `wasi:cli`: no input, no environment, no arguments; output becomes log lines, and exit is an end.
//!
//! Standard output is logged as `info`, standard error as `warn`, line by line. A line without an end is written when
//! it gets long or when the run is over.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use creel_webhook::run::LogLevel;
use wasmtime::component::{HasData, Resource, ResourceTable};
use wasmtime_wasi::p2::bindings::cli::{
    environment, exit, stderr, stdin, stdout, terminal_input, terminal_output, terminal_stderr, terminal_stdin,
    terminal_stdout,
};
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, InputStream, OutputStream, Pollable, StreamError, StreamResult,
};

use super::log::LogBook;
use super::meter::Meter;

/// Longest line that is held back until its end, bytes.
const LINE_BYTES_MAX: usize = 4 << 10;

/// What a stream takes in one write, bytes.
const WRITE_BYTES_MAX: usize = 64 << 10;

/// The guest called `exit`; carries the status. A handler has no business with it, whatever the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("exit({0})")]
pub(crate) struct Exited(pub(crate) u8);

/// The two output streams of one run.
pub(crate) struct Streams {
    out: Arc<Mutex<Lines>>,
    err: Arc<Mutex<Lines>>,
    meter: Arc<Meter>,
}

impl Streams {
    /// Streams that write into `book`.
    pub(crate) fn new(book: Arc<Mutex<LogBook>>, meter: Arc<Meter>) -> Self {
        let lines = |error, book| Arc::new(Mutex::new(Lines { error, book, begun: Vec::new() }));
        Streams { out: lines(false, book.clone()), err: lines(true, book), meter }
    }

    /// Writes lines that were begun and not ended.
    pub(crate) fn finish(&self) {
        for lines in [&self.out, &self.err] {
            lines.lock().unwrap_or_else(PoisonError::into_inner).flush();
        }
    }
}

/// Cuts bytes into lines.
struct Lines {
    /// Whether this is standard error.
    error: bool,
    book: Arc<Mutex<LogBook>>,
    begun: Vec<u8>,
}

impl Lines {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ended) = part.strip_suffix(b"\n").map_or((part, false), |text| (text, true));
            self.begun.extend_from_slice(text);
            if ended {
                self.line();
            } else if self.begun.len() >= LINE_BYTES_MAX {
                self.flush();
            }
        }
    }

    fn flush(&mut self) {
        if !self.begun.is_empty() {
            self.line();
        }
    }

    fn line(&mut self) {
        let message = String::from_utf8_lossy(&self.begun).into_owned();
        self.begun.clear();
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        if self.error { book.write_stderr(message) } else { book.write(LogLevel::Info, message) }
    }
}

/// Streams and the table that they live in.
pub(crate) struct Stdio<'a> {
    /// The streams of this run.
    pub(crate) streams: &'a mut Streams,
    /// The run's resources.
    pub(crate) table: &'a mut ResourceTable,
}

/// Tells the linker about [`Stdio`].
pub(crate) struct HasStdio;

impl HasData for HasStdio {
    type Data<'a> = Stdio<'a>;
}

impl Stdio<'_> {
    fn output(&mut self, lines: Arc<Mutex<Lines>>) -> wasmtime::Result<Resource<DynOutputStream>> {
        self.streams.meter.charge(0)?;
        let stream: DynOutputStream = Box::new(Output { lines });
        Ok(self.table.push(stream)?)
    }
}

/// The writing end of one stream.
struct Output {
    lines: Arc<Mutex<Lines>>,
}

#[async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).write(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}

/// Standard input: at its end.
struct NoInput;

#[async_trait]
impl Pollable for NoInput {
    async fn ready(&mut self) {}
}

impl InputStream for NoInput {
    fn read(&mut self, _: usize) -> StreamResult<Bytes> {
        Err(StreamError::Closed)
    }
}

impl environment::Host for Stdio<'_> {
    fn get_environment(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        self.streams.meter.charge(0)?;
        Ok(Vec::new())
    }

    fn get_arguments(&mut self) -> wasmtime::Result<Vec<String>> {
        self.streams.meter.charge(0)?;
        Ok(Vec::new())
    }

    fn initial_cwd(&mut self) -> wasmtime::Result<Option<String>> {
        self.streams.meter.charge(0)?;
        Ok(None)
    }
}

impl exit::Host for Stdio<'_> {
    fn exit(&mut self, status: Result<(), ()>) -> wasmtime::Result<()> {
        Err(Exited(status.is_err().into()).into())
    }

    fn exit_with_code(&mut self, status: u8) -> wasmtime::Result<()> {
        Err(Exited(status).into())
    }
}

impl stdin::Host for Stdio<'_> {
    fn get_stdin(&mut self) -> wasmtime::Result<Resource<DynInputStream>> {
        self.streams.meter.charge(0)?;
        let stream: DynInputStream = Box::new(NoInput);
        Ok(self.table.push(stream)?)
    }
}

impl stdout::Host for Stdio<'_> {
    fn get_stdout(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        self.output(self.streams.out.clone())
    }
}

impl stderr::Host for Stdio<'_> {
    fn get_stderr(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        self.output(self.streams.err.clone())
    }
}

impl terminal_input::Host for Stdio<'_> {}

impl terminal_input::HostTerminalInput for Stdio<'_> {
    fn drop(&mut self, terminal: Resource<terminal_input::TerminalInput>) -> wasmtime::Result<()> {
        self.table.delete(terminal)?;
        Ok(())
    }
}

impl terminal_output::Host for Stdio<'_> {}

impl terminal_output::HostTerminalOutput for Stdio<'_> {
    fn drop(&mut self, terminal: Resource<terminal_output::TerminalOutput>) -> wasmtime::Result<()> {
        self.table.delete(terminal)?;
        Ok(())
    }
}

impl terminal_stdin::Host for Stdio<'_> {
    fn get_terminal_stdin(&mut self) -> wasmtime::Result<Option<Resource<terminal_input::TerminalInput>>> {
        self.streams.meter.charge(0)?;
        Ok(None)
    }
}

impl terminal_stdout::Host for Stdio<'_> {
    fn get_terminal_stdout(&mut self) -> wasmtime::Result<Option<Resource<terminal_output::TerminalOutput>>> {
        self.streams.meter.charge(0)?;
        Ok(None)
    }
}

impl terminal_stderr::Host for Stdio<'_> {
    fn get_terminal_stderr(&mut self) -> wasmtime::Result<Option<Resource<terminal_output::TerminalOutput>>> {
        self.streams.meter.charge(0)?;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_cut_into_lines() {
        let book = Arc::new(Mutex::new(LogBook::new(10, 1_000_000)));
        let streams = Streams::new(book.clone(), Arc::new(Meter::new(u64::MAX)));
        for part in ["a", "b\nc\n", "\nd"] {
            streams.out.lock().unwrap().write(part.as_bytes());
        }
        streams.err.lock().unwrap().write(&[b'x'; LINE_BYTES_MAX]);
        streams.finish();
        let lines = book.lock().unwrap().take();
        let shown: Vec<_> = lines.iter().map(|line| (line.level, line.message.as_str())).collect();
        let long = "x".repeat(LINE_BYTES_MAX);
        let info = LogLevel::Info;
        assert_eq!(shown, [(info, "ab"), (info, "c"), (info, ""), (LogLevel::Warn, &long), (info, "d")]);
    }
}

//! What the program says and asks: values as text or JSON, progress on the other stream, a question on a terminal.

use std::future::Future;
use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Serialize;

use super::args::Globals;
use super::plain;

/// Something about the command line that clap can't see.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(String);

impl Usage {
    /// In words: what is wrong and what to type instead.
    pub fn new(words: impl Into<String>) -> Usage {
        Usage(words.into())
    }

    /// What an error says, when the command line is what was wrong.
    pub fn of(error: &anyhow::Error) -> Usage {
        Usage(format!("{error:#}"))
    }
}

/// A value: a line of JSON where that is asked for, or else its text.
///
/// # Errors
/// When it can't be written as JSON.
pub fn say<T: Serialize>(globals: &Globals, value: &T, text: impl FnOnce() -> String) -> anyhow::Result<()> {
    if globals.json {
        let json = serde_json::to_string(value).context("writing JSON")?;
        anstream::println!("{}", plain::json(&json));
    } else {
        anstream::println!("{}", text());
    }
    Ok(())
}

/// A value as a line of JSON, whatever was asked for.
///
/// # Errors
/// When it can't be written as JSON.
pub fn line<T: Serialize>(value: &T) -> anyhow::Result<()> {
    anstream::println!("{}", serde_json::to_string(value).context("writing JSON")?);
    Ok(())
}

/// Bytes that strangers wrote: a pipe gets them as they are; a terminal would obey some of them.
///
/// # Errors
/// When they can't be written.
pub fn strangers(bytes: &[u8]) -> anyhow::Result<()> {
    if std::io::stdout().is_terminal() {
        return raw(plain::lines(&String::from_utf8_lossy(bytes)).as_bytes());
    }
    raw(bytes)
}

/// Bytes as they are. Whoever stops reading has read enough.
///
/// # Errors
/// When they can't be written.
pub fn raw(bytes: &[u8]) -> anyhow::Result<()> {
    match std::io::stdout().write_all(bytes) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.context("writing to standard output"),
    }
}

/// What goes on meanwhile, beside the result.
pub fn progress(line: &str) {
    anstream::eprintln!("{line}");
}

/// Between two pictures of what moves.
const TICK: Duration = Duration::from_millis(100);

/// Awaits what may take long. On a terminal a line says meanwhile what it is and for how many seconds it has been going on;
/// at its end the line is gone.
pub async fn patiently<T>(what: &str, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    let mut ticks = tokio::time::interval(TICK);
    let shows = std::io::stderr().is_terminal();
    let mut tick = 0;
    loop {
        tokio::select! {
            biased;
            _ = ticks.tick(), if shows => draw(&moving(what, tick)),
            done = &mut work => {
                if shows {
                    draw("");
                }
                return done;
            }
        }
        tick += 1;
    }
}

/// Writes over the last line of the terminal.
fn draw(line: &str) {
    let mut out = std::io::stderr();
    // Who can't see it misses nothing.
    _ = write!(out, "\r{line}\u{1b}[K").and_then(|()| out.flush());
}

fn moving(what: &str, tick: u64) -> String {
    let sign = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'][(tick % 10) as usize];
    let seconds = tick / 10;
    if seconds == 0 { format!("{sign} {what}") } else { format!("{sign} {what}, {seconds} s") }
}

/// Asks a person; `unasked` is what to say instead where nobody is there.
///
/// # Errors
/// [`Usage`] where nobody is there to be asked, and when the answer can't be read.
pub fn confirmed(question: &str, unasked: &str) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!(Usage::new(format!("nobody is there to be asked; say {unasked}")));
    }
    anstream::eprint!("{question} [y/N] ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).context("reading the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// So many of a thing.
pub fn counted(number: u64, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_are_counted() {
        assert_eq!(
            (counted(0, "key"), counted(1, "key"), counted(2, "key")),
            ("0 keys".into(), "1 key".into(), "2 keys".into())
        );
    }

    #[test]
    fn what_takes_long_says_for_how_long() {
        assert_eq!(moving("compiling", 0), "⠋ compiling");
        assert_eq!(moving("compiling", 41), "⠙ compiling, 4 s");
    }
}

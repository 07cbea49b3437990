//! How the demo speaks: a timeline for people, one object for machines.

use std::path::Path;
use std::time::Instant;

use anstyle::{AnsiColor, Style};

use super::told::{Told, ToldScene};

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// Prints what happens. Colour is left out where the output is no terminal.
pub(super) struct Voice {
    began: Instant,
}

impl Voice {
    #[allow(clippy::disallowed_methods, reason = "the timeline shows the time that a person waited")]
    pub(super) fn new() -> Self {
        Voice { began: Instant::now() }
    }

    /// The first line.
    pub(super) fn title(&self) {
        anstream::println!("{BOLD}Creel demo{BOLD:#}  signed webhooks in, sandboxed plugins decide, calls go out\n");
    }

    /// A step of the preparation.
    pub(super) fn step(&self, what: &str, line: &str) {
        anstream::println!("  {DIM}{what:<9}{DIM:#} {line}");
    }

    /// Where the host is, and how the table is read.
    #[allow(clippy::disallowed_methods, reason = "the timeline begins here")]
    pub(super) fn host(&mut self, ingress: &str, admin: &str, file: &Path, changes: usize) {
        self.began = Instant::now();
        self.step("host", &format!("webhooks at {ingress}, API at {admin}"));
        self.step("applied", &format!("{} ({changes} objects, through the API)", file.display()));
        anstream::println!("\n  {BOLD}{:>6}  {:<31} {:<13} what came of it{BOLD:#}", "s", "sent", "answer");
    }

    /// One scene.
    pub(super) fn scene(&self, told: &ToldScene) {
        let at = self.began.elapsed().as_secs_f64();
        let (mark, style) = if told.problems.is_empty() { ("✓", GOOD) } else { ("✗", BAD) };
        let answer = format!("{} in {} ms", told.status, told.answered_ms);
        anstream::println!(
            "  {DIM}{at:>6.2}{DIM:#}  {:<31} {answer:<13} {style}{mark}{style:#} {}",
            told.title,
            told.shows
        );
        for run in &told.runs {
            let (fuel, ms) = (thousands(run.fuel), run.cpu_us as f64 / 1_000.0);
            anstream::println!(
                "{:>56} {}: {BOLD}{}{BOLD:#} {DIM}· {fuel} fuel · {ms:.1} ms{DIM:#}",
                "",
                run.plugin,
                run.verdict.as_str()
            );
        }
        for call in &told.calls {
            let tries = if call.attempts == 1 { String::new() } else { format!(", {} attempts", call.attempts) };
            anstream::println!("{:>56} {DIM}→{DIM:#} {} {DIM}{}{tries}{DIM:#}", "", call.destination, call.state);
        }
        for problem in &told.problems {
            anstream::println!("{:>56} {BAD}{problem}{BAD:#}", "");
        }
    }

    /// The end of the story.
    pub(super) fn summary(&self, told: &Told, json: bool) -> anyhow::Result<()> {
        let (style, words) = if told.ok {
            (GOOD, "everything that should have arrived did, and nothing else")
        } else {
            (BAD, "something is not as it should be")
        };
        anstream::println!(
            "\n  {style}{words}{style:#}: {} requests, {} runs, {} calls received",
            told.scenes.len(),
            told.scenes.iter().map(|scene| scene.runs.len()).sum::<usize>(),
            told.received.values().sum::<usize>()
        );
        for problem in &told.problems {
            anstream::println!("  {BAD}{problem}{BAD:#}");
        }
        if json {
            println!("{}", serde_json::to_string(told)?);
        }
        Ok(())
    }

    /// What to try while the host serves on.
    pub(super) fn what_next(&self, admin: &str, key: &str, tenant: &str, told: &Told) {
        let event = told.scenes.iter().find_map(|scene| scene.event.clone()).unwrap_or_default();
        anstream::println!("\n  {BOLD}The host keeps serving; Ctrl-C ends it.{BOLD:#} In another terminal:\n");
        anstream::println!("    export CREEL_URL={admin} CREEL_KEY={key} CREEL_TENANT={tenant}");
        for (command, why) in [
            ("events".to_owned(), "what came in"),
            (format!("event {event}"), "the whole story of one event"),
            ("runs".to_owned(), "what plugins decided, at what cost"),
            ("deliveries".to_owned(), "what went out"),
        ] {
            anstream::println!("    cargo run --release -- {command:<45} {DIM}# {why}{DIM:#}");
        }
    }
}

/// A number with its thousands apart.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(thousands(7), "7");
        assert_eq!(thousands(1_000), "1 000");
        assert_eq!(thousands(12_345_678), "12 345 678");
    }
}

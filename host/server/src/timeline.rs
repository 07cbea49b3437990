//! The lines of a timeline: what came in, what was decided at what cost, what was asked and what went out.
//!
//! The demo and `creel dev` tell the same things and so in the same lines. Texts of strangers are escaped by who passes
//! them on; colours are left out by who prints, where the output is no terminal.

use anstyle::{AnsiColor, Style};
use creel_webhook::run::Verdict;

/// What people look for.
pub const BOLD: Style = Style::new().bold();
/// What stands by.
pub const DIM: Style = Style::new().dimmed();
/// As it should be.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// Not as it should be.
pub const BAD: Style = AnsiColor::Red.on_default().bold();

/// Where the lines below a row begin.
const BELOW: &str = "                                                        ";

/// The names of the columns.
pub fn columns(first: &str) -> String {
    format!("  {BOLD}{:>6}  {first:<31} {:<13} what came of it{BOLD:#}", "s", "answer")
}

/// A step before there is anything in the table.
pub fn step(what: &str, line: &str) -> String {
    format!("  {DIM}{what:<9}{DIM:#} {line}")
}

/// A row: when, seconds; what came in; what its sender was told; whether all is well, and in words.
pub fn row(at_s: f64, title: &str, answer: &str, is_well: bool, says: &str) -> String {
    let (mark, style) = if is_well { ("✓", GOOD) } else { ("✗", BAD) };
    format!("  {DIM}{at_s:>6.2}{DIM:#}  {title:<31} {answer:<13} {style}{mark}{style:#} {says}")
}

/// A run: what it came to, fuel, and processor time in microseconds.
pub fn run(plugin: &str, verdict: Verdict, fuel: u64, cpu_us: u64) -> String {
    let (fuel, ms) = (thousands(fuel), cpu_us as f64 / 1_000.0);
    below(&format!("{plugin}: {BOLD}{}{BOLD:#} {DIM}· {fuel} fuel · {ms:.1} ms{DIM:#}", verdict.as_str()))
}

/// A look-up and the status of its answer.
pub fn asked(destination: &str, status: Option<u16>) -> String {
    let status = status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
    below(&format!("{DIM}←{DIM:#} {destination} {DIM}{status}{DIM:#}"))
}

/// A call and where it stands.
pub fn call(destination: &str, state: &str, attempts: u32) -> String {
    let tries = if attempts == 1 { String::new() } else { format!(", {attempts} attempts") };
    below(&format!("{DIM}→{DIM:#} {destination} {DIM}{state}{tries}{DIM:#}"))
}

/// Any further line of a row.
pub fn below(line: &str) -> String {
    format!("{BELOW} {line}")
}

/// A number with its thousands apart.
pub fn thousands(number: u64) -> String {
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

//! How lines of text are laid out and coloured; colours are dropped by `anstream` where no terminal is.

use anstyle::{AnsiColor, Style};
use creel_store::contract::DeliveryState;
use creel_webhook::run::{LogLevel, LogLine};

use super::plain::{self, plain};

/// Names and titles.
pub const BOLD: Style = Style::new().bold();
/// What is beside the point.
pub const DIM: Style = Style::new().dimmed();
/// What went well.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// What did not.
pub const BAD: Style = AnsiColor::Red.on_default();
/// What is to be minded.
pub const ODD: Style = AnsiColor::Yellow.on_default();

/// What a plugin logged, so far to the right.
pub fn log_line(line: &LogLine, indent: usize) -> String {
    let style = if line.level >= LogLevel::Warn { ODD } else { DIM };
    let level = format!("{:?}", line.level).to_lowercase();
    format!("{:indent$}{style}{level:<5} {}{style:#}", "", hanging(&line.message, indent + 6))
}

/// A text whose further lines stand below its first, so far to the right.
pub fn hanging(text: &str, indent: usize) -> String {
    plain::lines(text.trim_end()).replace('\n', &format!("\n{:indent$}", ""))
}

/// A delivery's state in a word.
pub fn state(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Pending => "pending",
        DeliveryState::Delivered => "delivered",
        DeliveryState::Dead => "dead",
    }
}

/// A text, or a dash where there is none.
pub fn dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}

/// Rows below their heads, each column as wide as its widest cell; what strangers wrote is made plain.
pub fn table(heads: &[&str], rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return "nothing".to_owned();
    }
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| plain(cell)).collect()).collect();
    let heads: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
    let width =
        |column: usize| rows.iter().chain([&heads]).map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    let head = format!("{DIM}{}{DIM:#}", line(&heads));
    [head].into_iter().chain(rows.iter().map(line)).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let text = table(&["A", "B"], vec![vec!["long".to_owned(), "x".to_owned()]]);
        assert_eq!(anstream::adapter::strip_str(&text).to_string(), "A     B\nlong  x");
    }
}

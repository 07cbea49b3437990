//! What differs from one telling to the next, made the same: ids, moments, digests, tokens, ports, what a run used.
//!
//! Where it can be, what stands instead is as long, so that the columns of a table stay where they are. Where it can't, as
//! with what was measured, the line's blanks say nothing any more: one stands for several.

use std::collections::HashMap;

use serde_json::Value;

/// Fields of JSON whose number is measured.
const MEASURED: &[&str] = &[
    "fuel",
    "memory_bytes",
    "cpu_us",
    "wait_us",
    "duration_ms",
    "compile_ms",
    "compiled_bytes",
    "bytes",
    "took_ms",
    "used",
];

/// What numbers of these units are is measured.
const UNITS: &[&str] = &["ms", "us", "µs", "KiB", "MiB", "s", "min", "fuel"];

/// Widest line of JSON that is not broken.
const JSON_WIDTH: usize = 118;

/// Ids that were seen, in the order in which they were.
#[derive(Default)]
pub(super) struct Mask {
    ids: HashMap<String, usize>,
}

impl Mask {
    /// A text for people.
    pub(super) fn text(&mut self, text: &str) -> String {
        let metered = text.lines().next().is_some_and(|head| head.contains("FUEL") || head.contains("PLACE"));
        let lines = text.lines().map(|line| {
            let words = self.words(line);
            if metered || measured(&words) { numbers(&words, metered) } else { words.trim_end().to_owned() }
        });
        let mut lines: Vec<String> = lines.collect();
        // Rows of two days are one where a test goes on over midnight.
        lines.dedup_by(|line, before| metered && line == before);
        lines.join("\n")
    }

    /// One document, over several lines.
    pub(super) fn json(&mut self, text: &str) -> String {
        let documents = text.lines().map(|line| match serde_json::from_str::<Value>(line) {
            Ok(mut document) => {
                self.value(&mut document);
                layout(&document, 0)
            }
            Err(_) => self.text(line),
        });
        documents.collect::<Vec<_>>().join("\n")
    }

    fn value(&mut self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            Value::Object(fields) => {
                for (name, value) in fields {
                    if MEASURED.contains(&name.as_str()) && value.is_number() {
                        *value = 0.into();
                    }
                    self.value(value);
                }
            }
            _ => {}
        }
    }

    /// A line with each word made the same.
    fn words(&mut self, line: &str) -> String {
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '.' | '-' | '+');
        let mut told = String::new();
        let mut rest = line;
        while let Some(first) = rest.chars().next() {
            let end = rest.find(|c| is_word(c) != is_word(first)).unwrap_or(rest.len());
            let (part, after) = rest.split_at(end);
            if is_word(first) {
                told += &self.word(part, told.ends_with("/in/"))
            } else {
                told += part
            }
            rest = after;
        }
        told
    }

    fn word(&mut self, word: &str, is_token: bool) -> String {
        let hex = |text: &str| text.len() >= 24 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let (prefix, body) =
            word.split_once(['_', ':']).map_or(("", word), |(prefix, body)| (&word[..=prefix.len()], body));
        if hex(body) {
            let next = self.ids.len() + 1;
            let number = *self.ids.entry(body.to_owned()).or_insert(next);
            return format!("{prefix}{number:0>width$}", width = body.len());
        }
        if let Some(port) = word.strip_prefix("127.0.0.1:") {
            return format!("127.0.0.1:{}{}", "0".repeat(5), port.trim_start_matches(|c: char| c.is_ascii_digit()));
        }
        // Seconds since 1970, as some signatures hold them.
        if word.len() == 10 && word.bytes().all(|byte| byte.is_ascii_digit()) {
            return "0".repeat(10);
        }
        let is_moment = word.len() == 24 && word.parse::<jiff::Timestamp>().is_ok();
        let is_day = word.len() == 10 && word.parse::<jiff::civil::Date>().is_ok();
        if is_moment || is_day {
            return "2026-01-01T00:00:00.000Z".chars().take(word.len()).collect();
        }
        if is_token || word.starts_with("creel_") || word.starts_with(".tmp") || is_uuid(word) {
            let kept = word.find('_').map_or(0, |at| at + 1);
            return word.char_indices().map(|(at, c)| if at < kept || c == '-' { c } else { '0' }).collect();
        }
        word.to_owned()
    }
}

fn is_uuid(word: &str) -> bool {
    word.len() == 36 && word.split('-').map(str::len).eq([8, 4, 4, 4, 12])
}

/// A document with as few line breaks as can be read.
fn layout(value: &Value, indent: usize) -> String {
    let whole = value.to_string();
    let is_short = indent + whole.chars().count() <= JSON_WIDTH;
    let (open, close, items): (char, char, Vec<String>) = match value {
        Value::Array(items) if !is_short => ('[', ']', items.iter().map(|item| layout(item, indent + 2)).collect()),
        Value::Object(fields) if !is_short => {
            let field = |(name, value): (&String, &Value)| format!("{name:?}: {}", layout(value, indent + 2));
            ('{', '}', fields.iter().map(field).collect())
        }
        _ => return whole,
    };
    let blanks = " ".repeat(indent);
    let lines = items.iter().map(|item| format!("{blanks}  {item}")).collect::<Vec<_>>();
    format!("{open}\n{}\n{blanks}{close}", lines.join(",\n"))
}

/// Whether a line says what something used or took.
fn measured(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_row = words.first().is_some_and(|first| is_seconds(first));
    is_row || words.windows(2).any(|pair| is_number(pair[0]) && is_unit(pair[1]))
}

fn is_unit(word: &str) -> bool {
    UNITS.contains(&word.trim_end_matches([',', ':', ')', ';']))
}

fn is_number(word: &str) -> bool {
    let digits = word.trim_matches(['+', '(', ',', ';']);
    !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit() || c == '.')
}

/// Where a timeline says when: with two digits behind the point.
fn is_seconds(word: &str) -> bool {
    is_number(word) && word.split_once('.').is_some_and(|(_, digits)| digits.len() == 2)
}

/// A line without its measured numbers; how wide they are is not the same each time, so how many blanks there are is not
/// either.
fn numbers(line: &str, all: bool) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut told: Vec<&str> = Vec::new();
    for (at, word) in words.iter().enumerate() {
        // Thousands stand apart: what has a unit is all numbers before it.
        let behind = words[at..].iter().find(|word| !is_number(word));
        let has_unit = behind.is_some_and(|unit| is_unit(unit));
        let is_fuel = at > 0 && words[at - 1] == "(fuel";
        let is_masked = is_number(word) && (all || has_unit || is_fuel || at == 0 && is_seconds(word));
        let goes_on = at > 0 && is_number(words[at - 1]) && words[at - 1].ends_with(|c: char| c.is_ascii_digit());
        match told.last() {
            Some(&"N") if is_masked && goes_on && !all => {}
            _ if is_masked => told.push("N"),
            // Long things are told in other units, and not measured the more exactly.
            _ if is_number(words[at.saturating_sub(1)]) && ["s", "min"].contains(word) => told.push("ms"),
            _ => told.push(word),
        }
    }
    let indent = if told.first() == Some(&"N") { 2 } else { line.len() - line.trim_start().len() };
    format!("{}{}", " ".repeat(indent), told.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_leaves_no_trace_of_how_wide_it_was() {
        let mask = |line: &str| Mask::default().text(line);
        for line in
            ["     +9 ms  done   echo (fuel 7, 12 µs, 1 KiB)", "   +1009 ms  done echo (fuel 25220, 1 µs, 18 KiB)"]
        {
            assert_eq!(mask(line), "  N ms done echo (fuel N N µs, N KiB)");
        }
        assert_eq!(mask("      +12 s  dead"), mask("    +9999 ms  dead"));
        assert_eq!(mask("    0.42  ping   200   ok"), mask("  120.07  ping  200  ok"));
        assert_eq!(mask("            attempt 1 at +5 ms, 12 ms: gone"), "            attempt 1 at N ms, N ms: gone");
        assert_eq!(mask("     echo: done · 1 025 220 fuel · 0.4 ms"), mask("     echo: done · 220 fuel · 12.4 ms"));
        assert_eq!(mask("  evt_1  2 of 3"), "  evt_1  2 of 3", "a number without a unit was not measured");
    }

    #[test]
    fn json_is_broken_only_where_it_is_long() {
        let long = "x".repeat(120);
        let text = layout(&serde_json::json!({ "a": [1, 2], "b": long }), 0);
        assert_eq!(text, format!("{{\n  \"a\": [1,2],\n  \"b\": \"{long}\"\n}}"));
    }
}

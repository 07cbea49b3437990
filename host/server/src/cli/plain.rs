//! Text that strangers wrote, as it may stand in a terminal.
//!
//! Senders, receivers and plugins choose what a host keeps of them, and a terminal obeys control characters. Everything
//! that the command line prints of it passes here; what belongs to a text of ours (colours, line ends) is added after.

use std::fmt::Write as _;

/// A stranger's text as it may stand in a line of a terminal: what would move the cursor, change colours, begin a new
/// line or turn the direction of writing is escaped; all other Unicode stays.
pub fn plain(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut plain, char| {
        if is_obeyed(char) {
            plain.extend(char.escape_default())
        } else {
            plain.push(char)
        }
        plain
    })
}

/// The same of a text that may have several lines.
pub fn lines(text: &str) -> String {
    text.split('\n').map(plain).collect::<Vec<_>>().join("\n")
}

/// The same of JSON on one line: what its writer left is escaped as JSON does, so that it says the same.
pub fn json(json: &str) -> String {
    json.chars().fold(String::with_capacity(json.len()), |mut plain, char| {
        if is_obeyed(char) {
            _ = write!(plain, "\\u{:04x}", u32::from(char))
        } else {
            plain.push(char)
        }
        plain
    })
}

/// What a terminal obeys instead of showing it: control characters (C1 too, which begin sequences as ESC does), and
/// what ends lines or turns the direction of writing.
fn is_obeyed(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{061c}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped_and_the_rest_stays() {
        assert_eq!(
            plain("\u{1b}]0;x\u{7}\r\nno\u{9b}2J\u{202e}\u{7f}"),
            r"\u{1b}]0;x\u{7}\r\nno\u{9b}2J\u{202e}\u{7f}"
        );
        assert_eq!(plain("Zoë → 東京 🎣 \u{301}"), "Zoë → 東京 🎣 \u{301}");
        assert_eq!(lines("a\n\u{1b}b"), "a\n\\u{1b}b");
        let text = serde_json::to_string("a\u{9b}\u{1b}é").unwrap();
        assert_eq!(json(&text), "\"a\\u009b\\u001bé\"");
        assert_eq!(serde_json::from_str::<String>(&json(&text)).unwrap(), "a\u{9b}\u{1b}é");
    }
}

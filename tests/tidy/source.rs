//! A Rust file as the rules see it: its text, its syntax tree, and the same text with comments, strings and test
//! modules blanked, in which a word that occurs is really used.

use std::fmt;

use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

/// A rule that does not hold somewhere.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Breach {
    /// The rule's short name.
    pub(crate) rule: &'static str,
    /// File, from the repository's root.
    pub(crate) path: String,
    /// Line from 1; 0 for the whole file.
    pub(crate) line: usize,
    /// What is wrong, and how to mend it.
    pub(crate) what: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Breach { rule, path, line, what } = self;
        if *line == 0 { write!(f, "[{rule}] {path}: {what}") } else { write!(f, "[{rule}] {path}:{line}: {what}") }
    }
}

/// A parsed file.
pub(crate) struct SourceFile {
    /// From the repository's root.
    pub(crate) path: String,
    /// As it is.
    pub(crate) text: String,
    /// Its syntax.
    pub(crate) tree: syn::File,
    /// Lines without comments and the insides of strings.
    pub(crate) code: Vec<String>,
    /// Lines that belong to tests, from 1, first and last.
    tests: Vec<(usize, usize)>,
}

impl SourceFile {
    /// Parses a file.
    pub(crate) fn parse(path: &str, text: &str) -> Result<SourceFile, Breach> {
        let tree = syn::parse_file(text).map_err(|error| Breach {
            rule: "syntax",
            path: path.to_owned(),
            line: error.span().start().line,
            what: format!("does not parse ({error}); the rules can only be checked on Rust"),
        })?;
        let mut spans = TestSpans(Vec::new());
        spans.visit_file(&tree);
        let code = blank(text).lines().map(str::to_owned).collect();
        Ok(SourceFile { path: path.to_owned(), text: text.to_owned(), tree, code, tests: spans.0 })
    }

    /// Whether the whole file is test code: below `tests/`, or a `tests` module of its own.
    pub(crate) fn is_test(&self) -> bool {
        let outer = self.path.starts_with("tests/") && !self.path.starts_with("tests/bench/");
        outer || self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    /// Whether a line belongs to a test.
    pub(crate) fn is_test_line(&self, line: usize) -> bool {
        self.is_test() || self.tests.iter().any(|(first, last)| (*first..=*last).contains(&line))
    }

    /// Lines of code, tests left out: number and blanked text.
    pub(crate) fn product_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let numbered = self.code.iter().enumerate().map(|(index, line)| (index + 1, line.as_str()));
        numbered.filter(|(line, _)| !self.is_test_line(*line))
    }

    /// A breach in this file.
    pub(crate) fn breach(&self, rule: &'static str, line: usize, what: impl Into<String>) -> Breach {
        Breach { rule, path: self.path.clone(), line, what: what.into() }
    }
}

/// Finds items under `#[cfg(test)]`.
struct TestSpans(Vec<(usize, usize)>);

impl<'ast> Visit<'ast> for TestSpans {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if is_for_tests(&item.attrs) {
            self.0.push((item.span().start().line, item.span().end().line));
        } else {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if is_for_tests(&item.attrs) {
            self.0.push((item.span().start().line, item.span().end().line));
        }
    }
}

/// Whether attributes say `#[cfg(test)]` or `#[test]`.
pub(crate) fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let cfg_test = attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|argument| argument.is_ident("test"));
        cfg_test || attribute.path().is_ident("test")
    })
}

/// Whether `word` occurs as a whole word.
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    let part = |char: char| char.is_alphanumeric() || char == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back().is_some_and(part);
        let after = line[at + word.len()..].chars().next().is_some_and(part);
        !before && !after
    })
}

/// The text with comments and the insides of strings and characters replaced by blanks, line by line the same.
pub(crate) fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match &bytes[at..] {
            [b'/', b'/', ..] => line_end(bytes, at),
            [b'/', b'*', ..] => comment_end(bytes, at),
            [b'r' | b'b' | b'c', ..] if starts_raw(bytes, at).is_some() => starts_raw(bytes, at).unwrap_or(at + 1),
            [b'"', ..] => string_end(bytes, at),
            [b'\'', ..] => char_end(bytes, at),
            _ => {
                at += 1;
                continue;
            }
        };
        for byte in &mut out[at..end.min(bytes.len())] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end;
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    at + bytes[at..].iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len() - at)
}

fn comment_end(bytes: &[u8], at: usize) -> usize {
    let (mut depth, mut here) = (1, at + 2);
    while here < bytes.len() && depth > 0 {
        match &bytes[here..] {
            [b'/', b'*', ..] => (depth, here) = (depth + 1, here + 2),
            [b'*', b'/', ..] => (depth, here) = (depth - 1, here + 2),
            _ => here += 1,
        }
    }
    here
}

/// The end of a raw string that begins here, if one does.
fn starts_raw(bytes: &[u8], at: usize) -> Option<usize> {
    if at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_') {
        return None;
    }
    let prefix = bytes[at..].iter().take_while(|byte| matches!(byte, b'r' | b'b' | b'c')).count();
    if prefix > 2 || !bytes[at..at + prefix].contains(&b'r') {
        return None;
    }
    let hashes = bytes[at + prefix..].iter().take_while(|byte| **byte == b'#').count();
    let open = at + prefix + hashes;
    (bytes.get(open) == Some(&b'"')).then_some(())?;
    let close: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    let inside = bytes[open + 1..].windows(close.len()).position(|window| window == close);
    Some(inside.map_or(bytes.len(), |position| open + 1 + position + close.len()))
}

fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut here = at + 1;
    while here < bytes.len() {
        match bytes[here] {
            b'\\' => here += 2,
            b'"' => return here + 1,
            _ => here += 1,
        }
    }
    here
}

/// The end of a character, or just behind the quote of a lifetime.
fn char_end(bytes: &[u8], at: usize) -> usize {
    if bytes.get(at + 1) == Some(&b'\\') {
        let close = bytes.iter().skip(at + 3).position(|byte| *byte == b'\'');
        return close.map_or(at + 1, |position| at + 4 + position);
    }
    let width = match bytes.get(at + 1) {
        Some(byte) if *byte >= 0xf0 => 4,
        Some(byte) if *byte >= 0xe0 => 3,
        Some(byte) if *byte >= 0xc0 => 2,
        _ => 1,
    };
    if bytes.get(at + 1 + width) == Some(&b'\'') { at + 2 + width } else { at + 1 }
}

#[test]
fn comments_and_strings_are_blanked_and_code_is_not() {
    let text = "a // x\nb /* x /* x */ x */ c \"x\\\"x\" d r#\"x\"x\"# 'x' '\\'' e<'life> 'ä' f b\"x\" // \"\ng";
    let code = blank(text);
    assert!(!code.contains('x'), "{code}");
    assert_eq!(code.split_whitespace().collect::<String>(), "abcde<life>fbg");
    assert_eq!(code.lines().count(), text.lines().count());
}

#[test]
fn test_modules_are_known() {
    let text = "//! x\nfn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n";
    let file = SourceFile::parse("host/x/src/y.rs", text).unwrap_or_else(|breach| panic!("{breach}"));
    let product: Vec<usize> = file.product_lines().map(|(line, _)| line).collect();
    assert_eq!(product, [1, 2, 7]);
}

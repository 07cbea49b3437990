//! One thing that happened: an item of a request, with what is known of it.

use std::fmt;
use std::str::FromStr;

use crate::clock::Timestamp;

/// What identity extraction found in a request, once per item; ids are given to it when it is accepted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventDraft {
    /// Type in the provider's own words; empty when it has none.
    pub kind: String,
    /// The provider's id; several parts are joined by U+001F.
    pub provider_id: Option<String>,
    /// When it happened, by the provider's account.
    pub occurred_at: Option<Timestamp>,
    /// What people search by.
    pub subject: Option<String>,
    /// JSON pointer of the item in the body; `None` for the whole body.
    pub pointer: Option<String>,
    /// SHA-256 hashes by which a repetition is known; empty means: never deduplicated.
    pub dedup_keys: Vec<[u8; 32]>,
    /// What keeps events of one thing in line, when the source orders.
    pub order_key: Option<String>,
}

/// Which event types a route takes: alternatives separated by commas, `*` for any run of characters.
///
/// ```
/// use creel_webhook::event::TypePattern;
/// let pattern: TypePattern = "call_*,chat_ended".parse().unwrap();
/// assert!(pattern.matches("call_started") && pattern.matches("chat_ended"));
/// assert!(!pattern.matches("chat_started"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TypePattern {
    text: String,
}

impl schemars::JsonSchema for TypePattern {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TypePattern".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "minLength": 1, "maxLength": PATTERN_BYTES_MAX })
    }
}

/// Longest pattern in bytes: long enough for every type of a provider by name, short enough to match at ingress.
pub const PATTERN_BYTES_MAX: usize = 1_024;

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Nothing, or an empty alternative.
    #[error("a type pattern has an empty alternative; write `*` to take every type")]
    Empty,
    /// Too long.
    #[error("a type pattern has {0} bytes; {PATTERN_BYTES_MAX} are allowed")]
    TooLong(usize),
}

impl TypePattern {
    /// Takes every type.
    pub fn any() -> Self {
        TypePattern { text: "*".to_owned() }
    }

    /// Whether an event of this type is taken.
    pub fn matches(&self, kind: &str) -> bool {
        self.text.split(',').any(|alternative| glob_matches(alternative.trim().as_bytes(), kind.as_bytes()))
    }

    /// Whether some type is taken by both patterns.
    pub fn overlaps(&self, other: &TypePattern) -> bool {
        let alternatives = |pattern: &'_ TypePattern| -> Vec<Vec<u8>> {
            pattern.text.split(',').map(|alternative| alternative.trim().as_bytes().to_vec()).collect()
        };
        let others = alternatives(other);
        alternatives(self).iter().any(|a| others.iter().any(|b| globs_meet(a, b)))
    }
}

/// Whether some text matches both globs: from the ends backwards, whether what is left of one meets what is left of
/// the other. At most [`PATTERN_BYTES_MAX`] squared steps for all alternatives of two patterns.
fn globs_meet(a: &[u8], b: &[u8]) -> bool {
    let empty = |rest: &[u8]| rest.iter().all(|byte| *byte == b'*');
    // `below[j]`: whether `a[i + 1..]` meets `b[j..]`.
    let mut below: Vec<bool> = (0..=b.len()).map(|j| empty(&b[j..])).collect();
    for i in (0..a.len()).rev() {
        let mut here = vec![false; b.len() + 1];
        here[b.len()] = empty(&a[i..]);
        for j in (0..b.len()).rev() {
            here[j] = match (a[i], b[j]) {
                // A star ends here or takes one more of the other's; either way one side is a step further.
                (b'*', _) | (_, b'*') => below[j] || here[j + 1],
                (x, y) => x == y && below[j + 1],
            };
        }
        below = here;
    }
    below[0]
}

fn glob_matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && pattern[p] == b'*' {
            star = Some((p, t));
            p += 1;
        } else if p < pattern.len() && pattern[p] == text[t] {
            p += 1;
            t += 1;
        } else if let Some((star_p, star_t)) = star {
            p = star_p + 1;
            t = star_t + 1;
            star = Some((star_p, star_t + 1));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

impl FromStr for TypePattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        if text.len() > PATTERN_BYTES_MAX {
            return Err(PatternError::TooLong(text.len()));
        }
        if text.split(',').any(|alternative| alternative.trim().is_empty()) {
            return Err(PatternError::Empty);
        }
        Ok(TypePattern { text: text.to_owned() })
    }
}

impl TryFrom<String> for TypePattern {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Self, PatternError> {
        text.parse()
    }
}

impl From<TypePattern> for String {
    fn from(pattern: TypePattern) -> String {
        pattern.text
    }
}

impl fmt::Display for TypePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_match_runs_of_characters() {
        let cases = [
            ("*", "", true),
            ("*", "anything", true),
            ("call.*", "call.ended", true),
            ("call.*", "call", false),
            ("*.ended", "call.ended", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("push", "pushed", false),
            ("push, pull_request", "pull_request", true),
        ];
        for (pattern, kind, expected) in cases {
            assert_eq!(pattern.parse::<TypePattern>().unwrap().matches(kind), expected, "{pattern} on {kind}");
        }
    }

    #[test]
    fn overlap_is_seen() {
        let overlaps = |a: &str, b: &str| a.parse::<TypePattern>().unwrap().overlaps(&b.parse().unwrap());
        assert!(overlaps("*", "call_ended"));
        assert!(overlaps("call_*", "call_ended,x"));
        assert!(overlaps("call_*", "call_e*"));
        assert!(!overlaps("call_*", "chat_*"));
        assert!(overlaps("a*c", "ab*"));
        assert!(!overlaps("a*c", "ab*d"));
    }

    #[test]
    fn empty_alternatives_are_refused() {
        assert_eq!("".parse::<TypePattern>(), Err(PatternError::Empty));
        assert_eq!("a,,b".parse::<TypePattern>(), Err(PatternError::Empty));
    }
}

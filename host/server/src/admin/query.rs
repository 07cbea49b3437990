//! Query parameters, read like documents: all mistakes at once, unknown parameters refused.

use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use creel_webhook::clock::Timestamp;
use jiff::{SignedDuration, Span, SpanRelativeTo};

use super::problem::Refusal;
use crate::spec::fields::Mistake;

/// A page without a wish.
const LIMIT_DEFAULT: u32 = 50;

/// The store's own bound.
const LIMIT_MAX: u32 = 500;

/// What a PUT takes for given when it only asks what would be.
#[derive(Debug)]
pub struct Planned {
    /// Whether it only asks.
    pub is_dry: bool,
    /// Secrets that the same plan puts first, to be sent wherever it says: they count as there.
    pub secrets: Vec<String>,
}

impl Planned {
    /// Whether a secret counts as there.
    pub fn assumes(&self, secret: &str) -> bool {
        self.secrets.iter().any(|one| one == secret)
    }
}

/// The query of a request, being read.
#[derive(Debug)]
pub struct Query {
    given: Vec<(String, String)>,
    known: Vec<&'static str>,
    mistakes: Vec<Mistake>,
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        let text = parts.uri.query().unwrap_or_default();
        let given = form_urlencoded::parse(text.as_bytes()).into_owned().collect();
        Ok(Query { given, known: Vec::new(), mistakes: Vec::new() })
    }
}

impl Query {
    /// A parameter as text.
    pub fn text(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        let at = self.given.iter().position(|(given, _)| given == name)?;
        Some(self.given.remove(at).1)
    }

    /// A parameter in its type.
    pub fn parsed<T: FromStr<Err: std::fmt::Display>>(&mut self, name: &'static str) -> Option<T> {
        self.read(name, |text| text.parse().map_err(|error: T::Err| error.to_string()))
    }

    /// A parameter, as `read` understands it.
    pub fn read<T>(&mut self, name: &'static str, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(name)?;
        match read(&text) {
            Ok(value) => Some(value),
            Err(detail) => {
                self.mistakes.push(Mistake::new(format!("?{name}"), detail));
                None
            }
        }
    }

    /// A parameter that is a moment, or how long ago it was.
    pub fn moment(&mut self, name: &'static str, now: Timestamp) -> Option<Timestamp> {
        self.read(name, |text| moment(text, now))
    }

    /// A parameter that is `true` or `false`; `false` when missing.
    pub fn flag(&mut self, name: &'static str) -> bool {
        let read = |text: &str| text.parse().map_err(|_| format!("`{text}` is neither `true` nor `false`"));
        self.read(name, read).unwrap_or(false)
    }

    /// The parameters of a PUT that may only ask.
    pub fn plan(&mut self) -> Planned {
        let is_dry = self.flag("dry_run");
        let secrets = self.text("assume_secrets").unwrap_or_default();
        if !is_dry && !secrets.is_empty() {
            let detail = "names are assumed for a dry run only (`dry_run=true`)";
            self.mistakes.push(Mistake::new("?assume_secrets", detail));
        }
        Planned { is_dry, secrets: secrets.split(',').map(str::to_owned).collect() }
    }

    /// The parameter `limit`.
    pub fn limit(&mut self) -> u32 {
        let read = |text: &str| match text.parse() {
            Ok(limit) if (1..=LIMIT_MAX).contains(&limit) => Ok(limit),
            _ => Err(format!("`{text}` is not a number from 1 to {LIMIT_MAX}")),
        };
        self.read("limit", read).unwrap_or(LIMIT_DEFAULT)
    }

    /// Ends: refuses what was wrong, given twice or not asked for.
    ///
    /// # Errors
    /// All mistakes.
    pub fn done(mut self) -> Result<(), Refusal> {
        let known = self.known.join(", ");
        for (name, _) in &self.given {
            let detail = if self.known.contains(&name.as_str()) {
                "given twice".to_owned()
            } else if known.is_empty() {
                "no parameters are known here".to_owned()
            } else {
                format!("unknown parameter; known are {known}")
            };
            let shown: String = name.chars().take(64).collect();
            self.mistakes.push(Mistake::new(format!("?{shown}"), detail));
        }
        if self.mistakes.is_empty() { Ok(()) } else { Err(Refusal::Query(self.mistakes)) }
    }
}

/// A moment as RFC 3339 says it, or how long before `now` it was: `2h`, `90m`, `3 days ago`.
fn moment(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(moment) = text.parse::<jiff::Timestamp>() {
        return Ok(Timestamp::from_millis(moment.as_millisecond()));
    }
    let ago = text.parse::<Span>().and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()));
    let ago = ago.map(SignedDuration::abs).ok().and_then(|ago| i64::try_from(ago.as_millis()).ok());
    ago.map(|ago| Timestamp::from_millis(now.as_millis().saturating_sub(ago))).ok_or_else(|| {
        format!("`{text}` is neither a moment such as 2026-01-31T08:00:00Z nor how long ago it was, such as 2h or 3d")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_one_or_how_long_ago_it_was() {
        let now = Timestamp::from_secs(1_800_000_000);
        let at = |text| moment(text, now).map(|moment| moment.as_millis() / 1_000 - 1_800_000_000);
        assert_eq!(at("2027-01-15T08:00:01Z"), Ok(1));
        for text in ["2h", "2 h", "120m", "2h ago", "PT2H", "2 hours ago", "1h 60m"] {
            assert_eq!(at(text), Ok(-7_200), "{text}");
        }
        assert_eq!((at("3d"), at("1w")), (Ok(-259_200), Ok(-604_800)));
        for text in ["", "yesterday", "2", "2026-01-31", "1mo", "99999999999999999999h"] {
            let told = at(text).expect_err(text);
            assert!(told.contains("3d"), "{told}");
        }
    }
}

//! One line of what the doctor says.

use serde::Serialize;

/// How it is with a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// As it should be.
    Ok,
    /// A host works with it, and somebody should know.
    Warn,
    /// A host does not work with it, or not as it is meant to.
    No,
}

/// What was found about one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The thing, in a word.
    pub check: &'static str,
    /// How it is.
    pub state: State,
    /// What was seen.
    pub says: String,
    /// What to do; nothing when it is as it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub todo: Option<String>,
}

impl Finding {
    /// It is as it should be.
    pub(super) fn ok(check: &'static str, says: impl Into<String>) -> Self {
        Finding { check, state: State::Ok, says: says.into(), todo: None }
    }

    /// Somebody should know.
    pub(super) fn warn(check: &'static str, says: impl Into<String>, todo: impl Into<String>) -> Self {
        Finding { check, state: State::Warn, says: says.into(), todo: Some(todo.into()) }
    }

    /// It does not work.
    pub(super) fn no(check: &'static str, says: impl Into<String>, todo: impl Into<String>) -> Self {
        Finding { check, state: State::No, says: says.into(), todo: Some(todo.into()) }
    }

    /// It does not work, in the words of an error that says what to do behind a semicolon.
    pub(super) fn of_error(check: &'static str, error: &dyn std::error::Error, otherwise: &str) -> Self {
        let text = error.to_string();
        match text.split_once("; ") {
            Some((says, todo)) => Finding::no(check, says, todo),
            None => Finding::no(check, text, otherwise),
        }
    }
}

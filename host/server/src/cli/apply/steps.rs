//! A plan and its steps.

use serde::Serialize;
use serde_json::Value;

use crate::api::Change;
use crate::cli::manifest::PluginWanted;

/// What is to happen to a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Planned {
    /// It is made.
    Create,
    /// It is changed.
    Change,
    /// It stays.
    Same,
    /// It is removed.
    Remove,
}

impl Planned {
    /// The sign in front of a line of the plan.
    pub fn sign(self) -> char {
        match self {
            Planned::Create => '+',
            Planned::Change => '~',
            Planned::Same => '=',
            Planned::Remove => '-',
        }
    }
}

impl From<Change> for Planned {
    fn from(change: Change) -> Self {
        match change {
            Change::Created => Planned::Create,
            Change::Changed => Planned::Change,
            Change::Unchanged => Planned::Same,
        }
    }
}

/// A line of the plan.
#[derive(Serialize)]
pub struct Step {
    /// What happens.
    pub change: Planned,
    /// What kind of thing it is.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Which fields change.
    pub fields: Vec<String>,
    /// What to mind: before it is done, that a plugin goes back to what it was; once it is done, what it reaches for and is not
    /// granted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What is sent.
    #[serde(skip)]
    pub(super) action: Action,
}

impl Step {
    /// A step without a warning.
    pub(super) fn new(change: Planned, kind: &'static str, name: &str, fields: Vec<String>, action: Action) -> Step {
        Step { change, kind, name: name.to_owned(), fields, warnings: Vec::new(), action }
    }
}

/// What a step sends.
pub(super) enum Action {
    Tenant(Value),
    Secret(Value),
    Source(Value),
    Destination(Value),
    Plugin(PluginWanted),
    Route(Value),
    Notices(Value),
    Remove,
}

/// What applying a file means.
#[derive(Serialize)]
pub struct Plan {
    /// The tenant.
    pub tenant: String,
    /// Its steps, in order.
    pub steps: Vec<Step>,
}

impl Plan {
    /// How many things are not as the file says.
    pub fn changes(&self) -> usize {
        self.to_do().len()
    }

    /// The places of the steps that change something, in order.
    pub fn to_do(&self) -> Vec<usize> {
        self.steps.iter().enumerate().filter(|(_, step)| step.change != Planned::Same).map(|(at, _)| at).collect()
    }
}

/// What looks as if somebody was to put a value of their own there: a text of one word with an ellipsis, as templates and
/// documents have them.
pub(super) fn placeholders(at: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) if text.contains('…') && !text.contains(char::is_whitespace) => {
            found.push(format!("{at} is `{text}`, which looks like a placeholder"));
        }
        Value::Array(items) => items.iter().for_each(|item| placeholders(at, item, found)),
        Value::Object(fields) => {
            for (name, value) in fields {
                let below = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                placeholders(&below, value, found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_to_be_replaced_is_told_and_prose_is_not() {
        let document =
            json!({ "auth": { "username": "AC…" }, "config": { "text": "Please wait …" }, "list": ["x…"], "n": 1 });
        let mut found = Vec::new();
        placeholders("", &document, &mut found);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("auth.username is `AC…`") && found[1].starts_with("list is"), "{found:?}");
    }
}

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

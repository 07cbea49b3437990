//! The end of a scenario: goals, each met or not.

use serde::Serialize;

/// One goal.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Goal {
    /// What is wanted, as a sentence.
    pub(crate) what: String,
    /// Whether it was met.
    pub(crate) met: bool,
}

impl Goal {
    /// A goal with its outcome.
    pub(crate) fn new(what: impl Into<String>, met: bool) -> Goal {
        Goal { what: what.into(), met }
    }
}

/// Prints the goals and, if asked, one object with everything as the last line. Says whether all were met.
pub(crate) fn end(goals: &[Goal], json: bool, mut summary: serde_json::Value) -> bool {
    for goal in goals {
        println!("{}  {}", if goal.met { "PASS" } else { "FAIL" }, goal.what);
    }
    let all = goals.iter().all(|goal| goal.met);
    if json {
        summary["goals"] = serde_json::json!(goals);
        summary["pass"] = all.into();
        println!("{summary}");
    }
    all
}

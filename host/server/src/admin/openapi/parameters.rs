//! Parameters in paths and queries: what each means, wherever it stands.

use creel_store::contract::EventState;
use creel_webhook::run::Verdict;
use serde_json::{Value, json};

/// Names in paths, with what they stand for.
const IN_PATHS: &[(&str, &str)] = &[
    ("tenant", "A tenant, by name or id."),
    ("key", "A key's id."),
    ("secret", "A secret's name."),
    ("source", "A source's name."),
    ("destination", "A destination's name."),
    ("plugin", "A plugin's name."),
    ("digest", "An upload's digest, `sha256:…`."),
    ("number", "A deployment's number."),
    ("route", "A route's name."),
    ("event", "An event's id."),
    ("run", "A run's id."),
    ("delivery", "A delivery's id."),
];

/// The parameters of a row: those in its path, and these of its query.
pub(super) fn of(path: &str, query: &[&str]) -> Vec<Value> {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path = names.map(|name| {
        let about = IN_PATHS.iter().find(|(known, _)| *known == name).map_or("", |(_, about)| about);
        json!({ "name": name, "in": "path", "required": true, "description": about, "schema": { "type": "string" } })
    });
    in_path.chain(query.iter().map(|name| in_query(name))).collect()
}

/// A parameter of a query. One that must be there ends with `!`, one that is a day with `@day`, a state of events with `@event`.
fn in_query(said: &str) -> Value {
    let (name, must) = said.strip_suffix('!').map_or((said, false), |name| (name, true));
    let (name, is_day) = name.strip_suffix("@day").map_or((name, false), |name| (name, true));
    let (name, is_of_events) = name.strip_suffix("@event").map_or((name, false), |name| (name, true));
    let (about, schema) = match (is_day, is_of_events) {
        (true, _) => ("A day, UTC.", json!({ "type": "string", "format": "date" })),
        (_, true) => ("What became of an event.", json!({ "enum": EventState::ALL.map(EventState::as_str) })),
        _ => meaning(name),
    };
    json!({ "name": name, "in": "query", "required": must, "description": about, "schema": schema })
}

fn meaning(name: &str) -> (&'static str, Value) {
    let text = || json!({ "type": "string" });
    let flag = || json!({ "type": "boolean", "default": false });
    match name {
        "limit" => ("How many at most.", json!({ "type": "integer", "minimum": 1, "maximum": 500, "default": 50 })),
        "before" => ("Where the next page begins: `next` of the page before.", text()),
        "after" => ("Behind what to go on.", text()),
        "source" => ("Name of a source.", text()),
        "destination" => ("Name of a destination.", text()),
        "plugin" => ("Name of a plugin.", text()),
        "kind" => ("A type of events.", text()),
        "subject" => ("What people search by.", text()),
        "unrouted" => ("Only events that no route took.", flag()),
        "verdict" => ("How a run ended.", json!({ "enum": Verdict::ALL.map(Verdict::as_str) })),
        "dead" => ("Only dead letters.", flag()),
        "state" => ("Where a delivery stands.", json!({ "enum": ["pending", "delivered", "dead"] })),
        "since" => ("Not before: a moment (RFC 3339), or how long ago it was, such as 2h.", text()),
        "until" => ("Before: a moment (RFC 3339), or how long ago it was, such as 2h.", text()),
        "reason" => ("A part of the reason.", text()),
        "dry_run" => ("Only look: say what would be, and change nothing.", flag()),
        "assume_secrets" => {
            ("Names of secrets, with commas, that count as there in a dry run: they are put before.", text())
        }
        "deployment" => {
            ("A deployment other than the active one, for a dry run.", json!({ "type": "integer", "minimum": 0 }))
        }
        "new_keys" => ("Make new keys outward, so that receivers take it for another call.", flag()),
        "prefix" => ("What keys begin with.", text()),
        "key" => ("Which key.", text()),
        "all" => ("All keys.", flag()),
        "confirm" => ("The tenant's name once more.", text()),
        _ => ("", json!({})),
    }
}

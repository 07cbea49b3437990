//! What a plugin's cases say about it: what they are, a development host is like.
//!
//! Cases name the source and its scheme, settings, the destinations of calls, and the answers to look-ups. Where cases
//! differ, what most of them say is taken: a case or two are about missing or odd settings. A file that is no case says
//! nothing here; `creel test` says what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use creel_guest::testing::cases::{Case, case_files};
use creel_webhook::preset::preset;
use serde_json::Value;

use super::feeding::Feed;

/// A look-up's answer that a case holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prepared {
    /// Whom it asks.
    pub(super) destination: String,
    /// Path and query.
    pub(super) path: String,
    /// The status.
    pub(super) status: u16,
    /// Headers.
    pub(super) headers: Vec<(String, String)>,
    /// The body.
    pub(super) body: String,
}

/// What is known of a plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// The source that its events come from.
    pub(super) source: Option<String>,
    /// A preset that they are proved by.
    pub(super) preset: Option<String>,
    /// Settings.
    pub(super) config: BTreeMap<String, String>,
    /// Whom it calls.
    pub(super) calls: BTreeSet<String>,
    /// Whom it asks, and with which methods other than GET and HEAD.
    pub(super) fetches: BTreeMap<String, BTreeSet<String>>,
    /// What it is answered.
    pub(super) answers: Vec<Prepared>,
    /// Whether it answers waiting senders.
    pub(super) replies: bool,
}

impl Facts {
    /// What the cases in a directory say; nothing when there is none.
    pub(super) fn of(directory: &Path) -> Facts {
        let files = case_files(directory).unwrap_or_default();
        let texts = files.iter().filter_map(|file| std::fs::read_to_string(file).ok());
        Facts::said_by(&texts.collect::<Vec<_>>())
    }

    /// The same, with the source and the preset of captured events.
    pub(super) fn of_feed(mut self, feed: Option<&Feed>) -> Facts {
        let (source, scheme) = match feed {
            Some(Feed::Host { source, .. }) => (&source.name, &source.spec.preset),
            Some(Feed::File(events)) => match events.first() {
                Some(first) => (&first.event.source, &first.event.scheme),
                None => return self,
            },
            None => return self,
        };
        self.source = Some(source.clone());
        self.preset = Some(scheme.clone()).filter(|name| preset(name).is_some()).or(self.preset);
        self
    }

    fn said_by(texts: &[String]) -> Facts {
        let cases = texts.iter().filter(|text| Case::parse(text).is_ok());
        let cases: Vec<Value> = cases.filter_map(|text| serde_json::from_str(text).ok()).collect();
        let mut facts = Facts {
            source: most(cases.iter().map(|case| case["event"]["source"].as_str())),
            preset: most(cases.iter().map(|case| case["event"]["scheme"].as_str()))
                .filter(|name| preset(name).is_some()),
            config: config(&cases),
            replies: cases.iter().any(|case| case["expect"]["reply"].is_object()),
            ..Facts::default()
        };
        cases.iter().for_each(|case| facts.add_places(case));
        facts
    }

    fn add_places(&mut self, case: &Value) {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let place = |value: &Value| value["destination"].as_str().map(str::to_owned);
        self.calls.extend(list(&case["expect"]["calls"]).iter().filter_map(place));
        for asked in list(&case["expect"]["fetch"]) {
            let Some(name) = place(&asked) else { continue };
            let method = asked["method"].as_str().unwrap_or("GET").to_owned();
            let more = (method != "GET" && method != "HEAD").then_some(method);
            self.fetches.entry(name).or_default().extend(more);
        }
        for answer in list(&case["fetch"]) {
            let Some(name) = place(&answer) else { continue };
            self.fetches.entry(name.clone()).or_default();
            let path = answer["path"].as_str().unwrap_or_default();
            let is_new = self.answers.iter().all(|known| known.destination != name || known.path != path);
            if let Some(status) = answer["status"].as_u64().filter(|_| is_new) {
                let text = || answer["text"].as_str().unwrap_or_default().to_owned();
                let headers = answer["headers"].as_object().cloned().unwrap_or_default();
                self.answers.push(Prepared {
                    destination: name,
                    path: path.to_owned(),
                    status: u16::try_from(status).unwrap_or(200),
                    headers: headers
                        .iter()
                        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
                        .collect(),
                    body: answer.get("json").map_or_else(text, Value::to_string),
                });
            }
        }
    }
}

/// What most of them say of those that say something; the first of several.
fn most<'a>(said: impl Iterator<Item = Option<&'a str>>) -> Option<String> {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for text in said.flatten() {
        match counts.iter_mut().find(|(known, _)| *known == text) {
            Some((_, count)) => *count += 1,
            None => counts.push((text, 1)),
        }
    }
    counts.iter().rev().max_by_key(|(_, count)| *count).map(|(text, _)| (*text).to_owned())
}

/// The settings that at least half of the cases have.
fn config(cases: &[Value]) -> BTreeMap<String, String> {
    let keys = cases.iter().filter_map(|case| case["config"].as_object()).flat_map(|config| config.keys());
    let keys: BTreeSet<&String> = keys.collect();
    let half = cases.len().div_ceil(2);
    keys.into_iter()
        .filter_map(|key| {
            let values: Vec<_> = cases.iter().filter_map(|case| case["config"][key].as_str()).collect();
            let value = most(values.iter().map(|value| Some(*value)));
            value.filter(|_| values.len() >= half).map(|value| (key.clone(), value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_most_cases_say_is_taken() {
        let event = json!({ "source": "calls", "scheme": "vapi-hmac", "json": {} });
        let cases = [
            json!({ "config": { "from": "+1", "odd": "x" }, "event": event, "expect": { "calls": [{ "destination": "crm" }] } }),
            json!({ "config": { "from": "+2" }, "event": event, "expect": { "reply": {} } }),
            json!({ "config": { "from": "+2" }, "event": { "scheme": "none" }, "expect": {
                "fetch": [{ "destination": "crm", "method": "POST", "path": "/find" }] },
                "fetch": [{ "destination": "book", "path": "/1", "status": 200, "json": { "a": 1 } },
                          { "destination": "book", "path": "/2" }] }),
        ];
        let mut texts = cases.map(|case| case.to_string()).to_vec();
        texts.push("no case".to_owned());
        let facts = Facts::said_by(&texts);
        assert_eq!((facts.source.as_deref(), facts.preset.as_deref()), (Some("calls"), Some("vapi-hmac")));
        assert_eq!(facts.config, BTreeMap::from([("from".to_owned(), "+2".to_owned())]));
        assert_eq!(Vec::from_iter(&facts.calls), ["crm"]);
        assert_eq!(Vec::from_iter(facts.fetches.keys()), ["book", "crm"]);
        assert_eq!(Vec::from_iter(&facts.fetches["crm"]), ["POST"]);
        assert!(facts.replies);
        let [answer] = &facts.answers[..] else { panic!("{:?}", facts.answers) };
        assert_eq!((answer.path.as_str(), answer.body.as_str()), ("/1", r#"{"a":1}"#));
    }

    #[test]
    fn without_cases_nothing_is_known() {
        assert_eq!(Facts::of(Path::new("/nowhere")), Facts::default());
    }
}

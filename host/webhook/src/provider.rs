//! What a provider sends and expects besides proof: its events, greetings, answers and retries. Data and its words;
//! `identity`, `handshake` and `reply` give it meaning.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::answer::AnswerTemplate;
use crate::event::TypePattern;
use crate::pointer::{Pointer, View, scalar};
use crate::signature::decode::Encoding;

/// A provider. Several presets (ways to prove) may share one.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Its name, which scopes dedup keys; the key of its entry.
    #[serde(skip)]
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// Where it documents its webhooks.
    #[serde(default)]
    pub docs: Option<String>,
    /// The methods by which events come.
    #[serde(default = "post")]
    pub methods: Vec<String>,
    /// How events are read.
    #[serde(default)]
    pub event: EventRules,
    /// Greetings to answer.
    #[serde(default)]
    pub handshakes: Vec<Handshake>,
    /// What senders are told.
    #[serde(default)]
    pub reply: ReplyTable,
    /// How it tries again, in words, for people.
    #[serde(default)]
    pub retries: Option<String>,
}

fn post() -> Vec<String> {
    vec!["POST".to_owned()]
}

/// How ids, types, times and subjects are read. Of each list the first that is present counts.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventRules {
    /// Ids.
    #[serde(default)]
    pub id: Vec<Parts>,
    /// Types; parts are joined by a dot.
    #[serde(default, rename = "type")]
    pub kind: Vec<Parts>,
    /// When it happened.
    #[serde(default)]
    pub time: Option<TimeRule>,
    /// What people search by.
    #[serde(default)]
    pub subject: Vec<Pointer>,
    /// The list of items, when one request carries several.
    #[serde(default)]
    pub batch: Option<Pointer>,
    /// When repetitions are legitimate.
    #[serde(default)]
    pub no_dedupe_when: Vec<Condition>,
    /// Whether the id is covered by the proof. When not, body and signature make a second key.
    #[serde(default = "yes")]
    pub id_signed: bool,
    /// Whether two identical bodies may both be meant: live calls, and notices that only say where to look. Then nothing is
    /// ever deduplicated by body.
    #[serde(default)]
    pub bodies_repeat: bool,
}

fn yes() -> bool {
    true
}

/// One pointer, or several that make one value together.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(untagged)]
pub enum Parts {
    /// A single place.
    One(Pointer),
    /// Several; those marked `?` may be missing.
    Many(Vec<Pointer>),
}

impl Provider {
    /// Whether it gives each source its secret by a greeting, so that a source begins without one.
    pub fn gives_secret(&self) -> bool {
        self.handshakes.iter().any(|greeting| greeting.secret.is_some())
    }
}

impl Parts {
    /// The pointers.
    pub fn pointers(&self) -> &[Pointer] {
        match self {
            Parts::One(pointer) => std::slice::from_ref(pointer),
            Parts::Many(pointers) => pointers,
        }
    }

    /// The value of all parts, joined; `None` when a required part is missing or empty.
    pub fn read(&self, view: &View<'_>, item: Option<&Value>, separator: &str) -> Option<String> {
        let part = |pointer: &Pointer| match view.text(pointer, item).filter(|text| !text.is_empty()) {
            None if pointer.optional => Some(String::new()),
            found => found,
        };
        let parts: Option<Vec<String>> = self.pointers().iter().map(part).collect();
        parts.filter(|parts| !parts.is_empty()).map(|parts| parts.join(separator))
    }
}

/// Where a time stands and how it is written.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeRule {
    /// The place.
    pub from: Pointer,
    /// The notation.
    pub unit: TimeUnit,
}

/// How a time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimeUnit {
    /// Seconds since the epoch, perhaps with a fraction.
    S,
    /// Milliseconds since the epoch.
    Ms,
    /// RFC 3339.
    Iso,
    /// RFC 2822.
    Rfc2822,
}

/// Facts that must all hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(try_from = "BTreeMap<String, Value>")]
pub struct Condition {
    facts: Vec<(Pointer, Wanted)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Wanted {
    Present,
    Absent,
    Equals(String),
}

impl TryFrom<BTreeMap<String, Value>> for Condition {
    type Error = String;

    fn try_from(map: BTreeMap<String, Value>) -> Result<Self, String> {
        let fact = |(place, value): (String, Value)| {
            let pointer = place.parse::<Pointer>().map_err(|error| error.to_string())?;
            let wanted = match &value {
                Value::Null => Wanted::Absent,
                Value::String(text) if text == "*" => Wanted::Present,
                other => Wanted::Equals(scalar(other).ok_or_else(|| format!("`{place}` must be a scalar"))?),
            };
            Ok::<_, String>((pointer, wanted))
        };
        Ok(Condition { facts: map.into_iter().map(fact).collect::<Result<_, _>>()? })
    }
}

impl Condition {
    /// Whether all facts hold of a request, or of an item.
    pub fn holds(&self, view: &View<'_>, item: Option<&Value>) -> bool {
        self.facts.iter().all(|(pointer, wanted)| {
            let text = view.text(pointer, item);
            match wanted {
                Wanted::Present => text.is_some(),
                Wanted::Absent => text.is_none(),
                Wanted::Equals(value) => text.as_ref() == Some(value),
            }
        })
    }
}

impl fmt::Display for Condition {
    /// Facts as `place = value`; `place` alone must be there, `no place` must not.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (pointer, wanted)) in self.facts.iter().enumerate() {
            let before = if index == 0 { "" } else { " and " };
            match wanted {
                Wanted::Present => write!(f, "{before}{pointer}")?,
                Wanted::Absent => write!(f, "{before}no {pointer}")?,
                Wanted::Equals(value) => write!(f, "{before}{pointer} = {value}")?,
            }
        }
        Ok(())
    }
}

/// A greeting and its answer.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handshake {
    /// Whether it is answered only after the request has proved genuine.
    pub after_auth: bool,
    /// The method.
    #[serde(default = "post_method")]
    pub method: String,
    /// By what it is known.
    #[serde(default)]
    pub when: Condition,
    /// A value of the request that must equal a parameter of the source; 403 otherwise.
    #[serde(default)]
    pub check: Option<Check>,
    /// A challenge to sign with the source's secret: `{challenge}` and `{mac}` in the answer.
    #[serde(default)]
    pub challenge: Option<Challenge>,
    /// The answer.
    #[serde(default)]
    pub respond: AnswerTemplate,
    /// A URL that the host must fetch to confirm.
    #[serde(default)]
    pub fetch: Option<Pointer>,
    /// A secret that the provider gives and signs with from then on: kept when the source has none, refused otherwise.
    #[serde(default)]
    pub secret: Option<Pointer>,
}

fn post_method() -> String {
    "POST".to_owned()
}

/// Two values that must be the same.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// What came.
    pub given: Pointer,
    /// What the source has.
    pub expected: Pointer,
}

/// A challenge to sign with HMAC-SHA256.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Challenge {
    /// The challenge.
    pub from: Pointer,
    /// How the signature is written.
    pub enc: Encoding,
    /// What stands before it.
    #[serde(default)]
    pub prefix: String,
}

/// What senders are told, by event type.
#[derive(Debug, Clone, PartialEq, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplyTable {
    /// The acknowledgement of a stored event.
    #[serde(default)]
    pub ack: AnswerTemplate,
    /// How long the provider waits for it, in milliseconds.
    #[serde(default)]
    pub deadline_ms: Option<u64>,
    /// Types whose sender uses the answer; the first that matches counts.
    #[serde(default)]
    pub rules: Vec<ReplyRule>,
}

/// What holds for some types.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplyRule {
    /// The types.
    pub types: TypePattern,
    /// Whether the sender uses the answer.
    #[serde(default = "yes")]
    pub sync: bool,
    /// How long a handler may take, in milliseconds: the provider's deadline less a margin for the network.
    #[serde(default)]
    pub budget_ms: Option<u64>,
    /// The acknowledgement, when it is not the table's.
    #[serde(default)]
    pub ack: Option<AnswerTemplate>,
    /// What is answered when the handler has not answered in time.
    #[serde(default)]
    pub fallback: Option<AnswerTemplate>,
}

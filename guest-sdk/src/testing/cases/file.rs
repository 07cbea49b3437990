//! What a case file may say, and how its first half becomes an event and a played host.

use crate::testing::{EventBuilder, Host, Run};
use crate::{Event, Failure, Outcome, fetch};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// One case.
///
/// ```
/// use creel_guest::{Failure, testing::cases::Case};
/// let case = Case::parse(r#"{"event": {"kind": "ping"}, "expect": {"reject": "not handled"}}"#).unwrap();
/// assert!(case.differences(|_| Err(Failure::reject("a ping is not handled here"))).is_empty());
/// assert_eq!(case.differences(|_| Err(Failure::reject("no"))).len(), 1);
/// ```
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What the case shows, in a sentence.
    #[serde(default)]
    about: String,
    /// The deployment's settings.
    #[serde(default)]
    config: BTreeMap<String, String>,
    /// The plugin's stored values before the run.
    #[serde(default)]
    state: BTreeMap<String, String>,
    /// Answers to look-ups.
    #[serde(default)]
    fetch: Vec<FetchAnswer>,
    event: EventFile,
    pub(super) expect: Expected,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct FetchAnswer {
    destination: String,
    path: String,
    /// Without a status the look-up fails.
    status: Option<u16>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    json: Option<Value>,
    text: Option<String>,
    /// How it fails, with `text` as the reason; it times out unless this says otherwise.
    error: Option<FetchError>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum FetchError {
    Denied,
    Invalid,
    Timeout,
    Unreachable,
    TooLarge,
}

impl FetchAnswer {
    fn answer(&self) -> Result<fetch::Response, fetch::Error> {
        let text = self.text.clone().unwrap_or_default();
        match (self.status, self.error) {
            (Some(status), _) => {
                let body = self.json.as_ref().map_or(text, Value::to_string);
                let headers = self.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
                Ok(fetch::Response { headers: headers.collect(), ..fetch::Response::new(status, body) })
            }
            (None, Some(FetchError::Denied)) => Err(fetch::Error::Denied(text)),
            (None, Some(FetchError::Invalid)) => Err(fetch::Error::Invalid(text)),
            (None, Some(FetchError::Unreachable)) => Err(fetch::Error::Unreachable(text)),
            (None, Some(FetchError::TooLarge)) => Err(fetch::Error::TooLarge(text)),
            (None, Some(FetchError::Timeout) | None) => Err(fetch::Error::Timeout),
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct EventFile {
    id: String,
    source: String,
    scheme: String,
    kind: String,
    provider_id: Option<String>,
    subject: Option<String>,
    received_at_ms: u64,
    method: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    attributes: Vec<(String, String)>,
    json: Option<Value>,
    form: Option<Vec<(String, String)>>,
    text: Option<String>,
}

impl Default for EventFile {
    fn default() -> EventFile {
        EventFile {
            id: "evt_test".to_owned(),
            source: "test".to_owned(),
            scheme: "test".to_owned(),
            kind: String::new(),
            provider_id: None,
            subject: None,
            received_at_ms: 1_767_225_600_000,
            method: "POST".to_owned(),
            query: Vec::new(),
            headers: Vec::new(),
            attributes: Vec::new(),
            json: None,
            form: None,
            text: None,
        }
    }
}

/// The second half: what must come out.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Expected {
    pub(super) calls: Vec<ExpectedCall>,
    pub(super) reply: Option<ExpectedReply>,
    /// A part of the reason.
    pub(super) reject: Option<String>,
    pub(super) retry: Option<ExpectedRetry>,
    /// Parts of log lines, in order; other lines may stand between.
    pub(super) log: Vec<String>,
    /// Stored values after the run; null for a key that must be gone.
    pub(super) state: BTreeMap<String, Option<String>>,
    /// The look-ups that are asked for, all of them, in order.
    pub(super) fetch: Option<Vec<ExpectedFetch>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectedFetch {
    pub(super) destination: String,
    #[serde(default = "get")]
    pub(super) method: String,
    #[serde(default)]
    pub(super) path: String,
    #[serde(flatten)]
    pub(super) content: ExpectedContent,
}

fn get() -> String {
    "GET".to_owned()
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectedCall {
    pub(super) destination: String,
    #[serde(default = "post")]
    pub(super) method: String,
    #[serde(default)]
    pub(super) path: String,
    #[serde(flatten)]
    pub(super) content: ExpectedContent,
    pub(super) order_key: Option<String>,
    pub(super) idempotency_key: Option<String>,
    pub(super) delay_ms: Option<u64>,
    pub(super) expires_ms: Option<u64>,
    /// The tag of `on-result`.
    pub(super) on_result: Option<String>,
}

fn post() -> String {
    "POST".to_owned()
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectedReply {
    #[serde(default = "ok")]
    pub(super) status: u16,
    #[serde(flatten)]
    pub(super) content: ExpectedContent,
}

fn ok() -> u16 {
    200
}

/// Headers and body of a call or a reply; at most one of `json`, `form` and `text`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct ExpectedContent {
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    pub(super) json: Option<Value>,
    pub(super) form: Option<Vec<(String, String)>>,
    pub(super) text: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectedRetry {
    /// A part of the reason.
    pub(super) reason: String,
    pub(super) after_ms: Option<u64>,
}

impl Case {
    /// Reads a case file.
    ///
    /// ```
    /// use creel_guest::testing::cases::Case;
    /// assert!(Case::parse(r#"{"evnet": {}}"#).unwrap_err().contains("evnet"));
    /// ```
    pub fn parse(text: &str) -> Result<Case, String> {
        serde_json::from_str(text).map_err(|error| format!("the case file is not valid: {error}"))
    }

    /// Runs the handler on the case's event and says what differs from what is expected.
    ///
    /// ```
    /// use creel_guest::{Outcome, testing::cases::Case};
    /// let case = Case::parse(r#"{"event": {}, "expect": {"calls": []}}"#).unwrap();
    /// assert!(case.differences(|_| Ok(Outcome::new())).is_empty());
    /// ```
    pub fn differences(&self, handle: impl Fn(Event) -> Result<Outcome, Failure>) -> Vec<String> {
        let event = self.event();
        self.compare(&self.host().run(|| handle(event)))
    }

    /// Says what differs between a run and what is expected.
    ///
    /// ```
    /// use creel_guest::{Failure, Outcome, testing::cases::Case};
    /// let case = Case::parse(r#"{"event": {}, "expect": {"reject": "closed"}}"#).unwrap();
    /// let run = case.host().run(|| Err(Failure::reject("the shop is closed")));
    /// assert!(case.compare(&run).is_empty());
    /// ```
    pub fn compare(&self, run: &Run<Result<Outcome, Failure>>) -> Vec<String> {
        super::compare::differences(&self.expect, run)
    }

    /// What the case shows, in a sentence; may be empty.
    ///
    /// ```
    /// use creel_guest::testing::cases::Case;
    /// assert_eq!(Case::parse(r#"{"about": "A ping.", "event": {}, "expect": {}}"#).unwrap().about(), "A ping.");
    /// ```
    pub fn about(&self) -> &str {
        &self.about
    }

    /// The event that it gives to the plugin.
    ///
    /// ```
    /// use creel_guest::testing::cases::Case;
    /// assert_eq!(Case::parse(r#"{"event": {"kind": "ping"}, "expect": {}}"#).unwrap().event().kind(), "ping");
    /// ```
    pub fn event(&self) -> Event {
        let from = self.event.clone();
        let mut event = EventBuilder::new(from.kind)
            .id(from.id)
            .source(from.source)
            .scheme(from.scheme)
            .received_at_ms(from.received_at_ms)
            .method(&from.method);
        event = from.provider_id.into_iter().fold(event, EventBuilder::provider_id);
        event = from.subject.into_iter().fold(event, EventBuilder::subject);
        event = from.query.into_iter().fold(event, |event, (name, value)| event.query(name, value));
        event = from.headers.into_iter().fold(event, |event, (name, value)| event.header(&name, value));
        event = from.attributes.into_iter().fold(event, |event, (name, value)| event.attribute(name, value));
        event = from.json.iter().fold(event, EventBuilder::json);
        event = from.form.into_iter().fold(event, EventBuilder::form);
        from.text.into_iter().fold(event, EventBuilder::text).build()
    }

    /// The host that it plays: settings, stored values, answers to look-ups.
    ///
    /// ```
    /// use creel_guest::testing::cases::Case;
    /// let case = Case::parse(r#"{"config": {"a": "1"}, "event": {}, "expect": {}}"#).unwrap();
    /// assert_eq!(case.host().settings()["a"], "1");
    /// ```
    pub fn host(&self) -> Host {
        let mut host = self.config.iter().fold(Host::new(), |host, (key, value)| host.config(key, value));
        host = self.state.iter().fold(host, |host, (key, value)| host.state(key, value));
        for prepared in &self.fetch {
            let (to, path) = (&prepared.destination, &prepared.path);
            host = match prepared.answer() {
                Ok(response) => host.answer(to, path, response),
                Err(error) => host.fail(to, path, error),
            };
        }
        host
    }
}

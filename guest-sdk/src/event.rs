//! The event as an author reads it. Nothing is parsed before it is asked for, and nothing is copied on the way in.

use crate::{Body, CallResult, Form, Malformed};
use serde::de::DeserializeOwned;

/// One thing that happened, taken from a verified request.
///
/// ```
/// use creel_guest::prelude::*;
/// fn handle(event: Event) -> Result<Outcome, Failure> {
///     match event.kind() {
///         "call_ended" => Ok(Outcome::new().call(Call::to("crm").path("/calls").text(event.text()?))),
///         other => Err(Failure::reject(format!("`{other}` is not handled here"))),
///     }
/// }
/// # let event = creel_guest::testing::EventBuilder::new("call_ended").text("{}").build();
/// # assert_eq!(handle(event).unwrap().calls.len(), 1);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub(crate) id: String,
    pub(crate) request_id: String,
    pub(crate) index: u32,
    pub(crate) count: u32,
    pub(crate) source: String,
    pub(crate) scheme: String,
    pub(crate) kind: String,
    pub(crate) provider_id: Option<String>,
    pub(crate) subject: Option<String>,
    pub(crate) received_at_ms: u64,
    pub(crate) method: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) body: Body,
}

impl Event {
    /// Creel's id of this event, `evt_…`; the same in every run of it.
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// assert_eq!(EventBuilder::new("ping").id("evt_1").build().id(), "evt_1");
    /// ```
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The verified request that carried the event, `req_…`; the events of one batch share it.
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// assert!(EventBuilder::new("ping").build().request_id().starts_with("req_"));
    /// ```
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// Position in its request, from 0; see [`count`](Event::count).
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// assert_eq!(EventBuilder::new("ping").build().index(), 0);
    /// ```
    pub fn index(&self) -> u32 {
        self.index
    }

    /// How many events the request carried.
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// assert_eq!(EventBuilder::new("ping").build().count(), 1);
    /// ```
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Name of the source that received it.
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// assert_eq!(EventBuilder::new("ping").source("github").build().source(), "github");
    /// ```
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Name of the scheme that proved it genuine, for example `vapi-hmac`; `internal` for a call's result.
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// assert_eq!(EventBuilder::new("ping").scheme("internal").build().scheme(), "internal");
    /// ```
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The event's type in the provider's own words; empty when it has none.
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// assert_eq!(EventBuilder::new("end-of-call-report").build().kind(), "end-of-call-report");
    /// ```
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The provider's id of this event, when it sends one.
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// assert_eq!(EventBuilder::new("ping").build().provider_id(), None);
    /// ```
    pub fn provider_id(&self) -> Option<&str> {
        self.provider_id.as_deref()
    }

    /// What people search by: a call SID, a conversation id, an order number.
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// assert_eq!(EventBuilder::new("ping").subject("CA1").build().subject(), Some("CA1"));
    /// ```
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// When the host received it: milliseconds since 1970 UTC. Every clock in the sandbox shows this time.
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// assert_eq!(EventBuilder::new("ping").received_at_ms(1_700_000_000_000).build().received_at_ms(), 1_700_000_000_000);
    /// ```
    pub fn received_at_ms(&self) -> u64 {
        self.received_at_ms
    }

    /// The HTTP method, upper case.
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// assert_eq!(EventBuilder::new("ping").build().method(), "POST");
    /// ```
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The first value of a request header; upper and lower case do not matter.
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// let event = EventBuilder::new("push").header("X-GitHub-Event", "push").build();
    /// assert_eq!(event.header("x-github-event"), Some("push"));
    /// assert_eq!(event.header("X-GITHUB-EVENT"), Some("push"));
    /// ```
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// All request headers in order, names in lower case. Credentials read `[verified]`.
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// let event = EventBuilder::new("push").header("X-A", "1").header("X-B", "2").build();
    /// assert_eq!(event.headers().map(|(name, _)| name).collect::<Vec<_>>(), ["x-a", "x-b"]);
    /// ```
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        borrowed(&self.headers)
    }

    /// The first value of a query parameter.
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// assert_eq!(EventBuilder::new("").query("step", "2").build().query("step"), Some("2"));
    /// ```
    pub fn query(&self, name: &str) -> Option<&str> {
        value_of(&self.query, name)
    }

    /// All query parameters in order, decoded.
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// assert_eq!(EventBuilder::new("").query("step", "2").build().queries().count(), 1);
    /// ```
    pub fn queries(&self) -> impl Iterator<Item = (&str, &str)> {
        borrowed(&self.query)
    }

    /// A fact that the host adds: `body-covered`, or `tag` and `status` of a call's result.
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// let event = EventBuilder::new("call.delivered").attribute("tag", "booking").build();
    /// assert_eq!(event.attribute("tag"), Some("booking"));
    /// ```
    pub fn attribute(&self, name: &str) -> Option<&str> {
        value_of(&self.attributes, name)
    }

    /// All facts that the host adds.
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// assert_eq!(EventBuilder::new("ping").build().attributes().count(), 0);
    /// ```
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        borrowed(&self.attributes)
    }

    /// How an earlier call ended, when this event reports that; see [`Call::on_result`](crate::Call::on_result).
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// assert!(EventBuilder::new("ping").build().result().is_none());
    /// assert_eq!(EventBuilder::result("book", 201).build().result().unwrap().tag(), "book");
    /// ```
    pub fn result(&self) -> Option<CallResult<'_>> {
        CallResult::of(self)
    }

    /// The event's own bytes: the request's body, or one item of a batch.
    ///
    /// ```
    /// # use creel_guest::{Body, testing::EventBuilder};
    /// assert_eq!(EventBuilder::new("ping").text("x").build().body(), &Body::from("x"));
    /// ```
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// The body as text. Fails when it is not UTF-8.
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// assert_eq!(EventBuilder::new("ping").text("x").build().text(), Ok("x"));
    /// let error = EventBuilder::new("ping").bytes(vec![0xff]).build().text().unwrap_err().to_string();
    /// assert_eq!(error, "the event's body is not the text expected: its 1 bytes are not UTF-8");
    /// ```
    pub fn text(&self) -> Result<&str, Malformed> {
        match &self.body {
            Body::Text(text) => Ok(text),
            Body::Bytes(bytes) => Err(Malformed::new(format!(
                "the event's body is not the text expected: its {} bytes are not UTF-8",
                bytes.len()
            ))),
        }
    }

    /// The body as JSON of type `T`. The error says what was expected and where.
    ///
    /// ```
    /// use creel_guest::prelude::*;
    /// # use creel_guest::testing::EventBuilder;
    /// #[derive(serde::Deserialize)]
    /// struct Report {
    ///     call: String,
    /// }
    ///
    /// let error = EventBuilder::new("ping").text("{}").build().json::<Report>().map(|report| report.call).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "the event's body is not the JSON expected: missing field `call` at line 1 column 2"
    /// );
    /// ```
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Malformed> {
        serde_json::from_slice(self.body.as_bytes())
            .map_err(|error| Malformed::new(format!("the event's body is not the JSON expected: {error}")))
    }

    /// The body as form fields. A body that is no form has no field that [`Form::require`] would find.
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// let form = EventBuilder::new("").text("CallSid=CA1&CallStatus=no-answer").build().form();
    /// assert_eq!(form.get("CallStatus"), Some("no-answer"));
    /// ```
    pub fn form(&self) -> Form {
        Form::parse(self.body.as_bytes())
    }
}

fn borrowed(pairs: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}

fn value_of<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    borrowed(pairs).find(|(key, _)| *key == name).map(|(_, value)| value)
}

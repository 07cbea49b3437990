//! Makes events for tests: everything has a plausible default, a test says what matters to it.

use crate::{Body, Event};
use serde::Serialize;

/// Builds an [`Event`].
///
/// ```
/// use creel_guest::testing::EventBuilder;
/// let event = EventBuilder::new("push").header("X-GitHub-Event", "push").text("{}").build();
/// assert_eq!((event.kind(), event.source()), ("push", "test"));
/// ```
#[derive(Debug, Clone)]
pub struct EventBuilder {
    event: Event,
}

impl EventBuilder {
    /// A `POST` of the given event type with an empty body.
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// assert_eq!(EventBuilder::new("push").build().text(), Ok(""));
    /// ```
    pub fn new(kind: impl Into<String>) -> EventBuilder {
        EventBuilder {
            event: Event {
                id: "evt_test".to_owned(),
                request_id: "req_test".to_owned(),
                index: 0,
                count: 1,
                source: "test".to_owned(),
                scheme: "test".to_owned(),
                kind: kind.into(),
                provider_id: None,
                subject: None,
                received_at_ms: 1_767_225_600_000,
                method: "POST".to_owned(),
                query: Vec::new(),
                headers: Vec::new(),
                attributes: Vec::new(),
                body: Body::Text(String::new()),
            },
        }
    }

    /// The report of a call that ended with this status: delivered when it is a 2xx, else dead. The body is what the
    /// receiver answered.
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// let event = EventBuilder::result("book", 409).text("taken").build();
    /// assert_eq!((event.kind(), event.scheme()), ("call.dead", "internal"));
    /// ```
    pub fn result(tag: impl Into<String>, status: u16) -> EventBuilder {
        let delivered = (200..300).contains(&status);
        let (kind, result) = if delivered { ("call.delivered", "delivered") } else { ("call.dead", "dead") };
        EventBuilder::new(kind)
            .scheme("internal")
            .attribute("tag", tag)
            .attribute("result", result)
            .attribute("status", status.to_string())
            .attribute("depth", "1")
    }

    /// Sets [`Event::id`].
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// assert_eq!(EventBuilder::new("").id("evt_2").build().id(), "evt_2");
    /// ```
    pub fn id(mut self, id: impl Into<String>) -> EventBuilder {
        self.event.id = id.into();
        self
    }

    /// Sets [`Event::source`].
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// assert_eq!(EventBuilder::new("").source("vapi").build().source(), "vapi");
    /// ```
    pub fn source(mut self, name: impl Into<String>) -> EventBuilder {
        self.event.source = name.into();
        self
    }

    /// Sets [`Event::scheme`].
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// assert_eq!(EventBuilder::new("").scheme("twilio").build().scheme(), "twilio");
    /// ```
    pub fn scheme(mut self, name: impl Into<String>) -> EventBuilder {
        self.event.scheme = name.into();
        self
    }

    /// Sets [`Event::provider_id`].
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// assert_eq!(EventBuilder::new("").provider_id("d-1").build().provider_id(), Some("d-1"));
    /// ```
    pub fn provider_id(mut self, id: impl Into<String>) -> EventBuilder {
        self.event.provider_id = Some(id.into());
        self
    }

    /// Sets [`Event::subject`].
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// assert_eq!(EventBuilder::new("").subject("CA1").build().subject(), Some("CA1"));
    /// ```
    pub fn subject(mut self, subject: impl Into<String>) -> EventBuilder {
        self.event.subject = Some(subject.into());
        self
    }

    /// Sets [`Event::received_at_ms`].
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// assert_eq!(EventBuilder::new("").received_at_ms(5).build().received_at_ms(), 5);
    /// ```
    pub fn received_at_ms(mut self, at: u64) -> EventBuilder {
        self.event.received_at_ms = at;
        self
    }

    /// Sets [`Event::method`].
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// assert_eq!(EventBuilder::new("").method("GET").build().method(), "GET");
    /// ```
    pub fn method(mut self, method: &str) -> EventBuilder {
        self.event.method = method.to_ascii_uppercase();
        self
    }

    /// Adds a query parameter.
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// assert_eq!(EventBuilder::new("").query("a", "1").build().query("a"), Some("1"));
    /// ```
    pub fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> EventBuilder {
        self.event.query.push((name.into(), value.into()));
        self
    }

    /// Adds a request header.
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// assert_eq!(EventBuilder::new("").header("X-A", "1").build().header("x-a"), Some("1"));
    /// ```
    pub fn header(mut self, name: &str, value: impl Into<String>) -> EventBuilder {
        self.event.headers.push((name.to_ascii_lowercase(), value.into()));
        self
    }

    /// Adds an attribute.
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// assert_eq!(EventBuilder::new("").attribute("tag", "t").build().attribute("tag"), Some("t"));
    /// ```
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> EventBuilder {
        self.event.attributes.push((name.into(), value.into()));
        self
    }

    /// Sets a JSON body and its content type.
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// assert_eq!(EventBuilder::new("").json(&[1, 2]).build().text(), Ok("[1,2]"));
    /// ```
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> EventBuilder {
        let body = serde_json::to_string(value).expect("the body of a test's event is JSON");
        self.header("content-type", "application/json").body(body)
    }

    /// Sets a form body and its content type.
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// assert_eq!(EventBuilder::new("").form([("a", "1 2")]).build().text(), Ok("a=1+2"));
    /// ```
    pub fn form<K: AsRef<str>, V: AsRef<str>>(self, fields: impl IntoIterator<Item = (K, V)>) -> EventBuilder {
        let mut encoder = form_urlencoded::Serializer::new(String::new());
        encoder.extend_pairs(fields);
        self.header("content-type", "application/x-www-form-urlencoded").body(encoder.finish())
    }

    /// Sets a text body.
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// assert_eq!(EventBuilder::new("").text("x").build().text(), Ok("x"));
    /// ```
    pub fn text(self, text: impl Into<String>) -> EventBuilder {
        self.body(text.into())
    }

    /// Sets a body of any bytes.
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// assert!(EventBuilder::new("").bytes(vec![0xff]).build().text().is_err());
    /// ```
    pub fn bytes(self, bytes: Vec<u8>) -> EventBuilder {
        self.body(bytes)
    }

    fn body(mut self, body: impl Into<Body>) -> EventBuilder {
        self.event.body = body.into();
        self
    }

    /// The event.
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// assert_eq!(EventBuilder::new("push").build().kind(), "push");
    /// ```
    pub fn build(self) -> Event {
        self.event
    }
}

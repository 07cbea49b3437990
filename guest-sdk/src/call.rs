//! An outgoing HTTP call as data. The plugin says what and where to; the host adds the address, the credentials and the
//! signature, and does the retrying, the waiting and the giving up.

use crate::Body;
use serde::Serialize;
use std::time::Duration;

/// One outgoing call, performed by the host after the outcome is stored.
///
/// ```
/// use creel_guest::prelude::*;
/// # fn build() -> Result<Call, Failure> {
/// let call = Call::to("twilio")
///     .path("/2010-04-01/Accounts/AC1/Messages.json")
///     .form([("To", "+15550100"), ("Body", "See you at ten")])
///     .expires(Duration::from_secs(3600)) // better none than a late one
///     .on_result("confirmation");
/// # Ok(call) }
/// # assert_eq!(build().unwrap().method, "POST");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Name of a destination that the deployment is granted.
    pub destination: String,
    /// HTTP method; `POST` unless said otherwise.
    pub method: String,
    /// Path, with optional query, under the destination's base path; empty for the base itself.
    pub path: String,
    /// Headers; names in lower case.
    pub headers: Vec<(String, String)>,
    /// What to send.
    pub body: Option<Body>,
    /// Replaces the key that the host derives.
    pub idempotency_key: Option<String>,
    /// Calls of one destination and key are delivered one after the other.
    pub order_key: Option<String>,
    /// Not before this time after the decision.
    pub delay: Option<Duration>,
    /// Given up when not delivered this long after the decision.
    pub expiry: Option<Duration>,
    /// Report how the call ended as an event of its own.
    pub report: Option<Report>,
    /// Hints to the host.
    pub attributes: Vec<(String, String)>,
}

/// When the host reports the end of a call back to the plugin.
///
/// ```
/// use creel_guest::Call;
/// let report = Call::to("calendar").on_dead("booking").report.unwrap();
/// assert_eq!((report.delivered, report.dead), (false, true));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Comes back as the event's attribute `tag`.
    pub tag: String,
    /// Report a delivered call.
    pub delivered: bool,
    /// Report a call that was given up.
    pub dead: bool,
}

impl Call {
    /// A `POST` without body to the base of a destination.
    ///
    /// ```
    /// assert_eq!(creel_guest::Call::to("crm").destination, "crm");
    /// ```
    pub fn to(destination: impl Into<String>) -> Call {
        Call {
            destination: destination.into(),
            method: "POST".to_owned(),
            path: String::new(),
            headers: Vec::new(),
            body: None,
            idempotency_key: None,
            order_key: None,
            delay: None,
            expiry: None,
            report: None,
            attributes: Vec::new(),
        }
    }

    /// Sets the path under the destination's base; begins with `/`, may carry a query.
    ///
    /// ```
    /// assert_eq!(creel_guest::Call::to("crm").path("/contacts?dry=1").path, "/contacts?dry=1");
    /// ```
    pub fn path(mut self, path: impl Into<String>) -> Call {
        self.path = path.into();
        self
    }

    /// Sets the HTTP method.
    ///
    /// ```
    /// assert_eq!(creel_guest::Call::to("crm").method("put").method, "PUT");
    /// ```
    pub fn method(mut self, method: &str) -> Call {
        self.method = method.to_ascii_uppercase();
        self
    }

    /// Sends `value` as JSON. Fails only when it cannot be written as JSON.
    ///
    /// ```
    /// use creel_guest::prelude::*;
    /// let call = Call::to("crm").json(&json!({ "a": 1 })).unwrap();
    /// assert_eq!(call.headers[0], ("content-type".to_owned(), "application/json".to_owned()));
    /// ```
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Result<Call, serde_json::Error> {
        Ok(self.body("application/json", serde_json::to_string(value)?))
    }

    /// Sends form fields.
    ///
    /// ```
    /// use creel_guest::{Body, Call};
    /// let call = Call::to("twilio").form([("To", "+15550100"), ("Body", "a & b")]);
    /// assert_eq!(call.body, Some(Body::from("To=%2B15550100&Body=a+%26+b")));
    /// ```
    pub fn form<K: AsRef<str>, V: AsRef<str>>(self, fields: impl IntoIterator<Item = (K, V)>) -> Call {
        let mut encoder = form_urlencoded::Serializer::new(String::new());
        encoder.extend_pairs(fields);
        self.body("application/x-www-form-urlencoded", encoder.finish())
    }

    /// Sends plain text.
    ///
    /// ```
    /// assert_eq!(creel_guest::Call::to("pager").text("up").headers[0].1, "text/plain; charset=utf-8");
    /// ```
    pub fn text(self, text: impl Into<String>) -> Call {
        self.body("text/plain; charset=utf-8", text.into())
    }

    /// Sends a body of any content type.
    ///
    /// ```
    /// let call = creel_guest::Call::to("archive").body("audio/wav", vec![0xff]);
    /// assert_eq!(call.headers[0].1, "audio/wav");
    /// ```
    pub fn body(mut self, content_type: &str, body: impl Into<Body>) -> Call {
        self.headers.retain(|(name, _)| name != "content-type");
        self.headers.push(("content-type".to_owned(), content_type.to_owned()));
        self.body = Some(body.into());
        self
    }

    /// Adds a header. Those that the host owns (authorization, webhook-*, …) make the outcome invalid.
    ///
    /// ```
    /// assert_eq!(creel_guest::Call::to("crm").header("X-Trace", "1").headers[0].0, "x-trace");
    /// ```
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Call {
        self.headers.push((name.to_ascii_lowercase(), value.into()));
        self
    }

    /// Waits at least this long after the decision.
    ///
    /// ```
    /// use creel_guest::prelude::*;
    /// assert_eq!(Call::to("crm").after(Duration::from_secs(60)).delay, Some(Duration::from_secs(60)));
    /// ```
    pub fn after(mut self, delay: Duration) -> Call {
        self.delay = Some(delay);
        self
    }

    /// Gives up when the call is not delivered this long after the decision.
    ///
    /// ```
    /// use creel_guest::prelude::*;
    /// assert!(Call::to("twilio").expires(Duration::from_secs(600)).expiry.is_some());
    /// ```
    pub fn expires(mut self, after: Duration) -> Call {
        self.expiry = Some(after);
        self
    }

    /// Keeps calls of the same destination and key in order.
    ///
    /// ```
    /// assert_eq!(creel_guest::Call::to("crm").order_key("contact-7").order_key.as_deref(), Some("contact-7"));
    /// ```
    pub fn order_key(mut self, key: impl Into<String>) -> Call {
        self.order_key = Some(key.into());
        self
    }

    /// Replaces the idempotency key that the host derives from event, route and position.
    ///
    /// ```
    /// assert!(creel_guest::Call::to("crm").idempotency_key("order-9").idempotency_key.is_some());
    /// ```
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Call {
        self.idempotency_key = Some(key.into());
        self
    }

    /// Reports the call's end, delivered or given up, as an event that carries `tag`.
    ///
    /// ```
    /// assert!(creel_guest::Call::to("calendar").on_result("booking").report.unwrap().delivered);
    /// ```
    pub fn on_result(self, tag: impl Into<String>) -> Call {
        self.reporting(tag, true, true)
    }

    /// Reports the call only when it was delivered.
    ///
    /// ```
    /// assert!(!creel_guest::Call::to("calendar").on_delivered("booking").report.unwrap().dead);
    /// ```
    pub fn on_delivered(self, tag: impl Into<String>) -> Call {
        self.reporting(tag, true, false)
    }

    /// Reports the call only when it was given up.
    ///
    /// ```
    /// assert!(creel_guest::Call::to("calendar").on_dead("booking").report.unwrap().dead);
    /// ```
    pub fn on_dead(self, tag: impl Into<String>) -> Call {
        self.reporting(tag, false, true)
    }

    fn reporting(mut self, tag: impl Into<String>, delivered: bool, dead: bool) -> Call {
        self.report = Some(Report { tag: tag.into(), delivered, dead });
        self
    }

    /// Adds a hint to the host, kept with the delivery and shown to people.
    ///
    /// ```
    /// assert_eq!(creel_guest::Call::to("crm").attribute("label", "timeline").attributes.len(), 1);
    /// ```
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Call {
        self.attributes.push((name.into(), value.into()));
        self
    }
}

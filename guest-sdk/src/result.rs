//! How a call ended, when the plugin asked to be told: the event that reports it, read by name.

use crate::{Event, Malformed};
use serde::de::DeserializeOwned;

/// The end of an earlier call of this plugin.
///
/// ```
/// use creel_guest::prelude::*;
/// # use creel_guest::testing::EventBuilder;
/// fn handle(event: Event) -> Result<Outcome, Failure> {
///     let Some(result) = event.result() else {
///         return Ok(Outcome::new().call(Call::to("calendar").path("/slots").on_result("book")));
///     };
///     match result.tag() {
///         "book" if result.is_delivered() => Ok(Outcome::new().call(Call::to("twilio").text("See you then."))),
///         "book" => Ok(Outcome::new().call(Call::to("tickets").text(result.reason().unwrap_or("no reason")))),
///         other => Err(Failure::reject(format!("no call of mine has the tag `{other}`"))),
///     }
/// }
/// # let event = EventBuilder::result("book", 201).text("{}").build();
/// # assert_eq!(handle(event).unwrap().calls[0].destination, "twilio");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallResult<'a> {
    event: &'a Event,
}

impl<'a> CallResult<'a> {
    pub(crate) fn of(event: &'a Event) -> Option<CallResult<'a>> {
        let is_one = event.scheme() == "internal" && matches!(event.kind(), "call.delivered" | "call.dead");
        is_one.then_some(CallResult { event })
    }

    /// What the call was marked with.
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// assert_eq!(EventBuilder::result("book", 201).build().result().unwrap().tag(), "book");
    /// ```
    pub fn tag(&self) -> &'a str {
        self.event.attribute("tag").unwrap_or_default()
    }

    /// Whether the call arrived; else it was given up.
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// assert!(EventBuilder::result("book", 201).build().result().unwrap().is_delivered());
    /// assert!(!EventBuilder::result("book", 409).build().result().unwrap().is_delivered());
    /// ```
    pub fn is_delivered(&self) -> bool {
        self.event.kind() == "call.delivered"
    }

    /// Status of the last answer; `None` when the receiver never answered.
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// assert_eq!(EventBuilder::result("book", 409).build().result().unwrap().status(), Some(409));
    /// ```
    pub fn status(&self) -> Option<u16> {
        self.event.attribute("status")?.parse().ok()
    }

    /// Why the call was given up, for people.
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// let event = EventBuilder::result("book", 409).attribute("reason", "the slot is taken").build();
    /// assert_eq!(event.result().unwrap().reason(), Some("the slot is taken"));
    /// ```
    pub fn reason(&self) -> Option<&'a str> {
        self.event.attribute("reason")
    }

    /// Name of the destination; `None` when it has been removed since.
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// let event = EventBuilder::result("book", 201).attribute("destination", "calendar").build();
    /// assert_eq!(event.result().unwrap().destination(), Some("calendar"));
    /// ```
    pub fn destination(&self) -> Option<&'a str> {
        self.event.attribute("destination")
    }

    /// Results in a row, this one included. At 4 no call of the outcome may ask for its result.
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// assert_eq!(EventBuilder::result("book", 201).build().result().unwrap().depth(), 1);
    /// ```
    pub fn depth(&self) -> u32 {
        self.event.attribute("depth").and_then(|depth| depth.parse().ok()).unwrap_or(1)
    }

    /// Whether the answer was longer than what the event's body holds.
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// assert!(!EventBuilder::result("book", 201).build().result().unwrap().is_truncated());
    /// ```
    pub fn is_truncated(&self) -> bool {
        self.event.attribute("body-truncated") == Some("true")
    }

    /// What the receiver answered, as text. Fails when it is not UTF-8.
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// let event = EventBuilder::result("book", 201).text("done").build();
    /// assert_eq!(event.result().unwrap().text(), Ok("done"));
    /// ```
    pub fn text(&self) -> Result<&'a str, Malformed> {
        self.event.text()
    }

    /// What the receiver answered, as JSON of type `T`.
    ///
    /// ```
    /// # use creel_guest::{prelude::Value, testing::EventBuilder};
    /// let event = EventBuilder::result("book", 201).text(r#"{"id":7}"#).build();
    /// assert_eq!(event.result().unwrap().json::<Value>().unwrap()["id"], 7);
    /// ```
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Malformed> {
        self.event.json()
    }
}

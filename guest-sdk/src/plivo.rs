//! The XML that Plivo wants as the answer to a call.
//!
//! It resembles Twilio's and is not the same: `Speak`, `GetInput` and `Wait` are Plivo's own words, and a call is
//! rejected by hanging up. Text and attribute values are escaped.
//!
//! ```
//! use creel_guest::Reply;
//! use creel_guest::plivo::{GetInput, Input, Response};
//! let menu = GetInput::new(Input::Digits, "https://e.test/menu").digits(1).speak("Press one");
//! let answer = Response::new().get_input(menu).speak("Goodbye").hangup();
//! assert!(answer.to_string().ends_with(
//!     "<Response><GetInput action=\"https://e.test/menu\" inputType=\"dtmf\" numDigits=\"1\"><Speak>Press one</Speak>\
//!      </GetInput><Speak>Goodbye</Speak><Hangup/></Response>"
//! ));
//! assert_eq!(Reply::from(answer).headers[0].1, "text/xml; charset=utf-8");
//! ```

mod dial;
mod input;
mod record;
mod speak;

use crate::Reply;
use crate::xml::{self, Element};
use std::fmt;

pub use dial::Dial;
pub use input::{GetInput, Input};
pub use record::Record;
pub use speak::Speak;

/// A whole answer. An empty one hangs up.
///
/// ```
/// use creel_guest::plivo::Response;
/// let answer = Response::new().speak("One moment").wait(2).redirect("https://e.test/again").to_string();
/// assert!(answer.contains(r#"<Speak>One moment</Speak><Wait length="2"/><Redirect>https://e.test/again</Redirect>"#));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Response {
    elements: Vec<Element>,
}

/// Why a call is rejected.
///
/// ```
/// use creel_guest::plivo::{Rejection, Response};
/// assert!(Response::new().reject(Rejection::Busy).to_string().contains(r#"<Hangup reason="busy"/>"#));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// The call is refused.
    Rejected,
    /// The caller hears a busy signal.
    Busy,
}

impl Response {
    /// An empty answer.
    ///
    /// ```
    /// let xml = creel_guest::plivo::Response::new().to_string();
    /// assert_eq!(xml, r#"<?xml version="1.0" encoding="UTF-8"?><Response></Response>"#);
    /// ```
    pub fn new() -> Response {
        Response::default()
    }

    /// Adds any element.
    ///
    /// ```
    /// use creel_guest::{plivo::Response, xml::Element};
    /// assert!(Response::new().element(Element::new("DTMF").text("12")).to_string().contains("<DTMF>12</DTMF>"));
    /// ```
    pub fn element(mut self, element: impl Into<Element>) -> Response {
        self.elements.push(element.into());
        self
    }

    /// Speaks a text.
    ///
    /// ```
    /// assert!(creel_guest::plivo::Response::new().speak("Hi").to_string().contains("<Speak>Hi</Speak>"));
    /// ```
    pub fn speak(self, speak: impl Into<Speak>) -> Response {
        self.element(speak.into())
    }

    /// Plays a recording.
    ///
    /// ```
    /// assert!(creel_guest::plivo::Response::new().play("https://e.test/a.mp3").to_string().contains("<Play>"));
    /// ```
    pub fn play(self, url: impl Into<String>) -> Response {
        self.element(Element::new("Play").text(url))
    }

    /// Waits in silence, at least a second.
    ///
    /// ```
    /// assert!(creel_guest::plivo::Response::new().wait(3).to_string().contains(r#"<Wait length="3"/>"#));
    /// ```
    pub fn wait(self, seconds: u32) -> Response {
        self.element(wait(seconds))
    }

    /// Asks for digits or speech. What follows is done when nothing was given.
    ///
    /// ```
    /// use creel_guest::plivo::{GetInput, Input, Response};
    /// let ask = GetInput::new(Input::Speech, "https://e.test/said");
    /// assert!(Response::new().get_input(ask).to_string().contains("<GetInput"));
    /// ```
    pub fn get_input(self, input: GetInput) -> Response {
        self.element(input)
    }

    /// Connects the caller to a number, or to whatever a [`Dial`] names.
    ///
    /// ```
    /// let xml = creel_guest::plivo::Response::new().dial("15550100").to_string();
    /// assert!(xml.contains("<Dial><Number>15550100</Number></Dial>"));
    /// ```
    pub fn dial(self, dial: impl Into<Dial>) -> Response {
        self.element(dial.into())
    }

    /// Takes a recording.
    ///
    /// ```
    /// use creel_guest::plivo::{Record, Response};
    /// assert!(Response::new().record(Record::new("https://e.test/r")).to_string().contains("<Record"));
    /// ```
    pub fn record(self, record: Record) -> Response {
        self.element(record)
    }

    /// Joins a conference, which is made by the first who joins.
    ///
    /// ```
    /// assert!(creel_guest::plivo::Response::new().conference("standup").to_string().contains("<Conference>standup<"));
    /// ```
    pub fn conference(self, name: impl Into<String>) -> Response {
        self.element(Element::new("Conference").text(name))
    }

    /// Streams the call's audio both ways over a WebSocket until the other side ends it.
    ///
    /// ```
    /// let xml = creel_guest::plivo::Response::new().stream("wss://e.test/audio").to_string();
    /// assert!(xml.contains(r#"<Stream bidirectional="true" keepCallAlive="true">wss://e.test/audio</Stream>"#));
    /// ```
    pub fn stream(self, url: impl Into<String>) -> Response {
        let stream = Element::new("Stream").attribute("bidirectional", "true").attribute("keepCallAlive", "true");
        self.element(stream.text(url))
    }

    /// Sends a text message while the call goes on.
    ///
    /// ```
    /// let xml = creel_guest::plivo::Response::new().message("15550199", "15550100", "Thanks").to_string();
    /// assert!(xml.contains(r#"<Message src="15550199" dst="15550100">Thanks</Message>"#));
    /// ```
    pub fn message(self, from: impl Into<String>, to: impl Into<String>, text: impl Into<String>) -> Response {
        self.element(Element::new("Message").attribute("src", from).attribute("dst", to).text(text))
    }

    /// Goes on with the answer of another URL; nothing after it is done.
    ///
    /// ```
    /// assert!(creel_guest::plivo::Response::new().redirect("https://e.test/next").to_string().contains("/next"));
    /// ```
    pub fn redirect(self, url: impl Into<String>) -> Response {
        self.element(Element::new("Redirect").text(url))
    }

    /// Ends the call; nothing after it is done.
    ///
    /// ```
    /// assert!(creel_guest::plivo::Response::new().hangup().to_string().contains("<Hangup/>"));
    /// ```
    pub fn hangup(self) -> Response {
        self.element(Element::new("Hangup"))
    }

    /// Refuses the call; nothing after it is done.
    ///
    /// ```
    /// use creel_guest::plivo::{Rejection, Response};
    /// assert!(Response::new().reject(Rejection::Rejected).to_string().contains(r#"reason="rejected""#));
    /// ```
    pub fn reject(self, why: Rejection) -> Response {
        let reason = match why {
            Rejection::Rejected => "rejected",
            Rejection::Busy => "busy",
        };
        self.element(Element::new("Hangup").attribute("reason", reason))
    }
}

fn wait(seconds: u32) -> Element {
    Element::new("Wait").attribute("length", seconds.max(1).to_string())
}

impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        xml::document(&self.elements, f)
    }
}

impl From<Response> for Reply {
    fn from(response: Response) -> Reply {
        xml::reply(&response)
    }
}

//! The XML that Twilio wants as the answer to a call or a message.
//!
//! [`Response`] lists verbs. The verbs with many settings have a type each, in which everything has its right name, its
//! unit and its place; [`Response::verb`] takes any other as an [`Element`]. Text and attribute values are escaped, so
//! nothing that a caller said can become a verb.
//!
//! ```
//! use creel_guest::Reply;
//! use creel_guest::twiml::{Gather, Input, Response, Say};
//! let menu = Gather::new(Input::Digits).digits(1).action("/menu").say(Say::new("Press one").language("en-GB"));
//! let answer = Response::new().gather(menu).say("Bread & butter").hangup();
//! assert!(answer.to_string().ends_with(
//!     "<Response><Gather input=\"dtmf\" numDigits=\"1\" action=\"/menu\"><Say language=\"en-GB\">Press one</Say>\
//!      </Gather><Say>Bread &amp; butter</Say><Hangup/></Response>"
//! ));
//! assert_eq!(Reply::from(answer).headers[0].1, "text/xml; charset=utf-8");
//! ```

mod dial;
mod gather;
mod record;
mod say;
mod stream;

use crate::Reply;
use crate::xml::{self, Element};
use std::fmt;

pub use dial::Dial;
pub use gather::{Gather, Input};
pub use record::Record;
pub use say::Say;
pub use stream::Stream;

/// A whole answer. An empty one hangs up a call and leaves a message unanswered.
///
/// ```
/// use creel_guest::twiml::Response;
/// let answer = Response::new().say("One moment").pause(2).redirect("/again").to_string();
/// assert!(answer.contains(r#"<Say>One moment</Say><Pause length="2"/><Redirect>/again</Redirect>"#));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Response {
    verbs: Vec<Element>,
}

/// Why a call is rejected.
///
/// ```
/// use creel_guest::twiml::{Rejection, Response};
/// assert!(Response::new().reject(Rejection::Busy).to_string().contains(r#"reason="busy""#));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// The caller hears that the number is not in service.
    NotInService,
    /// The caller hears a busy signal.
    Busy,
}

impl Response {
    /// An empty answer.
    ///
    /// ```
    /// let xml = creel_guest::twiml::Response::new().to_string();
    /// assert_eq!(xml, r#"<?xml version="1.0" encoding="UTF-8"?><Response></Response>"#);
    /// ```
    pub fn new() -> Response {
        Response::default()
    }

    /// Adds any verb.
    ///
    /// ```
    /// use creel_guest::{twiml::Response, xml::Element};
    /// assert!(Response::new().verb(Element::new("Enqueue").text("support")).to_string().contains("<Enqueue>support<"));
    /// ```
    pub fn verb(mut self, verb: impl Into<Element>) -> Response {
        self.verbs.push(verb.into());
        self
    }

    /// Speaks a text.
    ///
    /// ```
    /// assert!(creel_guest::twiml::Response::new().say("Hi").to_string().contains("<Say>Hi</Say>"));
    /// ```
    pub fn say(self, say: impl Into<Say>) -> Response {
        self.verb(say.into())
    }

    /// Plays a recording.
    ///
    /// ```
    /// assert!(creel_guest::twiml::Response::new().play("https://e.test/a.mp3").to_string().contains("<Play>"));
    /// ```
    pub fn play(self, url: impl Into<String>) -> Response {
        self.verb(Element::new("Play").text(url))
    }

    /// Waits in silence, at least a second.
    ///
    /// ```
    /// assert!(creel_guest::twiml::Response::new().pause(3).to_string().contains(r#"<Pause length="3"/>"#));
    /// ```
    pub fn pause(self, seconds: u32) -> Response {
        self.verb(pause(seconds))
    }

    /// Asks for digits or speech. What follows is done when nothing was given.
    ///
    /// ```
    /// use creel_guest::twiml::{Gather, Input, Response};
    /// assert!(Response::new().gather(Gather::new(Input::Speech)).to_string().contains(r#"<Gather input="speech"/>"#));
    /// ```
    pub fn gather(self, gather: Gather) -> Response {
        self.verb(gather)
    }

    /// Connects the caller to a number, or to whatever a [`Dial`] names.
    ///
    /// ```
    /// let xml = creel_guest::twiml::Response::new().dial("+15550100").to_string();
    /// assert!(xml.contains("<Dial><Number>+15550100</Number></Dial>"));
    /// ```
    pub fn dial(self, dial: impl Into<Dial>) -> Response {
        self.verb(dial.into())
    }

    /// Takes a recording.
    ///
    /// ```
    /// use creel_guest::twiml::{Record, Response};
    /// assert!(Response::new().record(Record::new()).to_string().contains("<Record/>"));
    /// ```
    pub fn record(self, record: Record) -> Response {
        self.verb(record)
    }

    /// Streams the call's audio both ways until the other side ends it; what follows is done then.
    ///
    /// ```
    /// use creel_guest::twiml::{Response, Stream};
    /// let xml = Response::new().connect(Stream::new("wss://e.test/audio")).to_string();
    /// assert!(xml.contains(r#"<Connect><Stream url="wss://e.test/audio"/></Connect>"#));
    /// ```
    pub fn connect(self, stream: Stream) -> Response {
        self.verb(Element::new("Connect").child(stream))
    }

    /// Streams a copy of the call's audio and goes on at once.
    ///
    /// ```
    /// use creel_guest::twiml::{Response, Stream};
    /// let xml = Response::new().start(Stream::new("wss://e.test/audio")).say("Hello").to_string();
    /// assert!(xml.contains(r#"<Start><Stream url="wss://e.test/audio"/></Start><Say>"#));
    /// ```
    pub fn start(self, stream: Stream) -> Response {
        self.verb(Element::new("Start").child(stream))
    }

    /// Goes on with the answer of another URL; nothing after it is done.
    ///
    /// ```
    /// assert!(creel_guest::twiml::Response::new().redirect("/next").to_string().contains("/next"));
    /// ```
    pub fn redirect(self, url: impl Into<String>) -> Response {
        self.verb(Element::new("Redirect").text(url))
    }

    /// Answers a message with a message.
    ///
    /// ```
    /// assert!(creel_guest::twiml::Response::new().message("Thanks").to_string().contains("<Message>Thanks"));
    /// ```
    pub fn message(self, text: impl Into<String>) -> Response {
        self.verb(Element::new("Message").text(text))
    }

    /// Answers a message with a message and a picture or another medium.
    ///
    /// ```
    /// let xml = creel_guest::twiml::Response::new().media_message("A map", "https://e.test/map.png").to_string();
    /// assert!(xml.contains("<Message><Body>A map</Body><Media>https://e.test/map.png</Media></Message>"));
    /// ```
    pub fn media_message(self, text: impl Into<String>, url: impl Into<String>) -> Response {
        let (body, media) = (Element::new("Body").text(text), Element::new("Media").text(url));
        self.verb(Element::new("Message").child(body).child(media))
    }

    /// Ends the call; nothing after it is done.
    ///
    /// ```
    /// assert!(creel_guest::twiml::Response::new().hangup().to_string().contains("<Hangup/>"));
    /// ```
    pub fn hangup(self) -> Response {
        self.verb(Element::new("Hangup"))
    }

    /// Refuses the call without a charge, if it is the first verb; nothing after it is done.
    ///
    /// ```
    /// use creel_guest::twiml::{Rejection, Response};
    /// let xml = Response::new().reject(Rejection::NotInService).to_string();
    /// assert!(xml.contains(r#"<Reject reason="rejected"/>"#));
    /// ```
    pub fn reject(self, why: Rejection) -> Response {
        let reason = match why {
            Rejection::NotInService => "rejected",
            Rejection::Busy => "busy",
        };
        self.verb(Element::new("Reject").attribute("reason", reason))
    }
}

fn pause(seconds: u32) -> Element {
    Element::new("Pause").attribute("length", seconds.max(1).to_string())
}

impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        xml::document(&self.verbs, f)
    }
}

impl From<Response> for Reply {
    fn from(response: Response) -> Reply {
        xml::reply(&response)
    }
}

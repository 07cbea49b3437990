//! The XML that Twilio wants as the answer to a call or a message.
//!
//! [`Response`] has the verbs that most answers need; [`Element`] writes any other. Text and attribute values are
//! escaped, so nothing that a caller said can become a verb.
//!
//! ```
//! use creel_guest::{Reply, twiml};
//! let answer = twiml::Response::new().say("Bread & butter").hangup();
//! assert!(answer.to_string().ends_with("<Response><Say>Bread &amp; butter</Say><Hangup/></Response>"));
//! let reply = Reply::from(answer);
//! assert_eq!(reply.headers[0].1, "text/xml; charset=utf-8");
//! ```

use crate::Reply;
use std::fmt;

/// A whole answer. An empty one hangs up a call and leaves a message unanswered.
///
/// ```
/// use creel_guest::twiml::{Element, Response};
/// let gather = Element::new("Gather").attribute("input", "dtmf").child(Element::new("Say").text("Press one"));
/// let answer = Response::new().verb(gather).redirect("/again").to_string();
/// assert!(answer.contains(r#"<Gather input="dtmf"><Say>Press one</Say></Gather><Redirect>/again</Redirect>"#));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Response {
    verbs: Vec<Element>,
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
    /// use creel_guest::twiml::{Element, Response};
    /// let say = Element::new("Say").attribute("language", "de-DE").text("Guten Tag");
    /// assert!(Response::new().verb(say).to_string().contains("de-DE"));
    /// ```
    pub fn verb(mut self, verb: Element) -> Response {
        self.verbs.push(verb);
        self
    }

    /// Speaks a text.
    ///
    /// ```
    /// assert!(creel_guest::twiml::Response::new().say("Hi").to_string().contains("<Say>Hi</Say>"));
    /// ```
    pub fn say(self, text: impl Into<String>) -> Response {
        self.verb(Element::new("Say").text(text))
    }

    /// Plays a recording.
    ///
    /// ```
    /// assert!(creel_guest::twiml::Response::new().play("https://e.test/a.mp3").to_string().contains("<Play>"));
    /// ```
    pub fn play(self, url: impl Into<String>) -> Response {
        self.verb(Element::new("Play").text(url))
    }

    /// Connects the caller to a number.
    ///
    /// ```
    /// assert!(creel_guest::twiml::Response::new().dial("+15550100").to_string().contains("<Dial>+15550100</Dial>"));
    /// ```
    pub fn dial(self, number: impl Into<String>) -> Response {
        self.verb(Element::new("Dial").text(number))
    }

    /// Goes on with the answer of another URL.
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

    /// Ends the call.
    ///
    /// ```
    /// assert!(creel_guest::twiml::Response::new().hangup().to_string().contains("<Hangup/>"));
    /// ```
    pub fn hangup(self) -> Response {
        self.verb(Element::new("Hangup"))
    }
}

impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r#"<?xml version="1.0" encoding="UTF-8"?><Response>"#)?;
        self.verbs.iter().try_for_each(|verb| verb.fmt(f))?;
        f.write_str("</Response>")
    }
}

impl From<Response> for Reply {
    fn from(response: Response) -> Reply {
        Reply::xml(response.to_string())
    }
}

/// One XML element: a verb or a noun inside of one. Its name is the author's, never data.
///
/// ```
/// use creel_guest::twiml::Element;
/// let stream = Element::new("Connect").child(Element::new("Stream").attribute("url", "wss://e.test/?a=1&b=2"));
/// assert_eq!(stream.to_string(), r#"<Connect><Stream url="wss://e.test/?a=1&amp;b=2"/></Connect>"#);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    name: &'static str,
    attributes: Vec<(&'static str, String)>,
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// An empty element.
    ///
    /// ```
    /// assert_eq!(creel_guest::twiml::Element::new("Leave").to_string(), "<Leave/>");
    /// ```
    pub fn new(name: &'static str) -> Element {
        Element { name, attributes: Vec::new(), text: String::new(), children: Vec::new() }
    }

    /// Adds an attribute.
    ///
    /// ```
    /// assert_eq!(creel_guest::twiml::Element::new("Pause").attribute("length", "2").to_string(), r#"<Pause length="2"/>"#);
    /// ```
    pub fn attribute(mut self, name: &'static str, value: impl Into<String>) -> Element {
        self.attributes.push((name, value.into()));
        self
    }

    /// Sets the text, which stands before the children.
    ///
    /// ```
    /// assert_eq!(creel_guest::twiml::Element::new("Say").text("a < b").to_string(), "<Say>a &lt; b</Say>");
    /// ```
    pub fn text(mut self, text: impl Into<String>) -> Element {
        self.text = text.into();
        self
    }

    /// Adds a child.
    ///
    /// ```
    /// use creel_guest::twiml::Element;
    /// let dial = Element::new("Dial").child(Element::new("Queue").text("support"));
    /// assert_eq!(dial.to_string(), "<Dial><Queue>support</Queue></Dial>");
    /// ```
    pub fn child(mut self, child: Element) -> Element {
        self.children.push(child);
        self
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}", self.name)?;
        for (name, value) in &self.attributes {
            write!(f, " {name}=\"{}\"", Escaped(value))?;
        }
        if self.text.is_empty() && self.children.is_empty() {
            return f.write_str("/>");
        }
        write!(f, ">{}", Escaped(&self.text))?;
        self.children.iter().try_for_each(|child| child.fmt(f))?;
        write!(f, "</{}>", self.name)
    }
}

/// Text as XML wants it: the five special characters written as entities, control characters (which XML 1.0 cannot
/// hold at all) left out.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&apos;")?,
                '\t' | '\n' | '\r' => f.write_char(character)?,
                '\u{fffe}' | '\u{ffff}' => {}
                _ if character.is_control() => {}
                _ => f.write_char(character)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_caller_said_never_becomes_a_verb() {
        let said = "</Say><Dial>+1900</Dial>\u{0}\u{7}";
        let xml = Response::new().say(said).to_string();
        assert!(xml.contains("<Say>&lt;/Say&gt;&lt;Dial&gt;+1900&lt;/Dial&gt;</Say>"), "{xml}");
    }

    #[test]
    fn an_attribute_cannot_be_left() {
        let xml = Element::new("Stream").attribute("url", "\"><Hangup/>").to_string();
        assert_eq!(xml, "<Stream url=\"&quot;&gt;&lt;Hangup/&gt;\"/>");
    }
}

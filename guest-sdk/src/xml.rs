//! XML as Twilio and Plivo want it, written and never read. Text and attribute values are escaped.
//!
//! ```
//! use creel_guest::xml::Element;
//! let answer = Element::new("Response").child(Element::new("Say").text("5 < 7"));
//! assert_eq!(answer.to_string(), "<Response><Say>5 &lt; 7</Say></Response>");
//! ```

use crate::Reply;
use std::fmt;

/// One XML element: a verb or a noun inside of one. Its name is the author's, never data.
///
/// ```
/// use creel_guest::xml::Element;
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
    /// assert_eq!(creel_guest::xml::Element::new("Leave").to_string(), "<Leave/>");
    /// ```
    pub fn new(name: &'static str) -> Element {
        Element { name, attributes: Vec::new(), text: String::new(), children: Vec::new() }
    }

    /// Sets an attribute; a second value of one name takes the first one's place.
    ///
    /// ```
    /// let pause = creel_guest::xml::Element::new("Pause").attribute("length", "1").attribute("length", "2");
    /// assert_eq!(pause.to_string(), r#"<Pause length="2"/>"#);
    /// ```
    pub fn attribute(mut self, name: &'static str, value: impl Into<String>) -> Element {
        match self.attributes.iter_mut().find(|(have, _)| *have == name) {
            Some((_, old)) => *old = value.into(),
            None => self.attributes.push((name, value.into())),
        }
        self
    }

    /// Sets the text, which stands before the children.
    ///
    /// ```
    /// assert_eq!(creel_guest::xml::Element::new("Say").text("a < b").to_string(), "<Say>a &lt; b</Say>");
    /// ```
    pub fn text(mut self, text: impl Into<String>) -> Element {
        self.text = text.into();
        self
    }

    /// Adds a child.
    ///
    /// ```
    /// use creel_guest::xml::Element;
    /// let dial = Element::new("Dial").child(Element::new("Queue").text("support"));
    /// assert_eq!(dial.to_string(), "<Dial><Queue>support</Queue></Dial>");
    /// ```
    pub fn child(mut self, child: impl Into<Element>) -> Element {
        self.children.push(child.into());
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

/// The element `Response` with its verbs, as a whole document.
pub(crate) fn document(verbs: &[Element], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(r#"<?xml version="1.0" encoding="UTF-8"?><Response>"#)?;
    verbs.iter().try_for_each(|verb| write!(f, "{verb}"))?;
    f.write_str("</Response>")
}

/// The answer that a document is.
pub(crate) fn reply(document: &impl fmt::Display) -> Reply {
    Reply::xml(document.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_caller_said_never_becomes_a_verb() {
        let said = "</Say><Dial>+1900</Dial>\u{0}\u{7}";
        let xml = Element::new("Say").text(said).to_string();
        assert_eq!(xml, "<Say>&lt;/Say&gt;&lt;Dial&gt;+1900&lt;/Dial&gt;</Say>");
    }

    #[test]
    fn an_attribute_cannot_be_left() {
        let xml = Element::new("Stream").attribute("url", "\"><Hangup/>").to_string();
        assert_eq!(xml, "<Stream url=\"&quot;&gt;&lt;Hangup/&gt;\"/>");
    }
}

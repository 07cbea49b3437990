//! `<Say>`: a text that is spoken.

use crate::xml::Element;

/// A text that is spoken.
///
/// ```
/// use creel_guest::{twiml::Say, xml::Element};
/// let say = Say::new("Guten Tag").language("de-DE").voice("Polly.Vicki").times(2);
/// let xml = Element::from(say).to_string();
/// assert_eq!(xml, r#"<Say language="de-DE" voice="Polly.Vicki" loop="2">Guten Tag</Say>"#);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Say(Element);

impl Say {
    /// With the account's usual voice; a text alone, `"Hello".into()`, is the same.
    ///
    /// ```
    /// use creel_guest::twiml::Say;
    /// assert_eq!(Say::new("Hello"), "Hello".into());
    /// ```
    pub fn new(text: impl Into<String>) -> Say {
        Say(Element::new("Say").text(text))
    }

    /// The language, such as `en-GB`.
    ///
    /// ```
    /// # use creel_guest::{twiml::Say, xml::Element};
    /// assert!(Element::from(Say::new("Hi").language("en-GB")).to_string().contains(r#"language="en-GB""#));
    /// ```
    pub fn language(self, language: impl Into<String>) -> Say {
        Say(self.0.attribute("language", language))
    }

    /// The voice, such as `Polly.Amy`.
    ///
    /// ```
    /// # use creel_guest::{twiml::Say, xml::Element};
    /// assert!(Element::from(Say::new("Hi").voice("Polly.Amy")).to_string().contains(r#"voice="Polly.Amy""#));
    /// ```
    pub fn voice(self, voice: impl Into<String>) -> Say {
        Say(self.0.attribute("voice", voice))
    }

    /// How often it is spoken, at least once.
    ///
    /// ```
    /// # use creel_guest::{twiml::Say, xml::Element};
    /// assert!(Element::from(Say::new("Hi").times(0)).to_string().contains(r#"loop="1""#), "0 would be without end");
    /// ```
    pub fn times(self, times: u32) -> Say {
        Say(self.0.attribute("loop", times.max(1).to_string()))
    }
}

impl From<Say> for Element {
    fn from(say: Say) -> Element {
        say.0
    }
}

impl From<&str> for Say {
    fn from(text: &str) -> Say {
        Say::new(text)
    }
}

impl From<String> for Say {
    fn from(text: String) -> Say {
        Say::new(text)
    }
}

//! `<Speak>`: a text that is spoken.

use crate::xml::Element;

/// A text that is spoken.
///
/// ```
/// use creel_guest::{plivo::Speak, xml::Element};
/// let speak = Speak::new("Guten Tag").language("de-DE").voice("WOMAN").times(2);
/// let xml = Element::from(speak).to_string();
/// assert_eq!(xml, r#"<Speak language="de-DE" voice="WOMAN" loop="2">Guten Tag</Speak>"#);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Speak(Element);

impl Speak {
    /// With the usual voice; a text alone, `"Hello".into()`, is the same.
    ///
    /// ```
    /// use creel_guest::plivo::Speak;
    /// assert_eq!(Speak::new("Hello"), "Hello".into());
    /// ```
    pub fn new(text: impl Into<String>) -> Speak {
        Speak(Element::new("Speak").text(text))
    }

    /// The language, such as `en-GB`.
    ///
    /// ```
    /// # use creel_guest::{plivo::Speak, xml::Element};
    /// assert!(Element::from(Speak::new("Hi").language("en-GB")).to_string().contains("en-GB"));
    /// ```
    pub fn language(self, language: impl Into<String>) -> Speak {
        Speak(self.0.attribute("language", language))
    }

    /// The voice: `WOMAN`, `MAN`, or one of Polly's.
    ///
    /// ```
    /// # use creel_guest::{plivo::Speak, xml::Element};
    /// assert!(Element::from(Speak::new("Hi").voice("MAN")).to_string().contains(r#"voice="MAN""#));
    /// ```
    pub fn voice(self, voice: impl Into<String>) -> Speak {
        Speak(self.0.attribute("voice", voice))
    }

    /// How often it is spoken, at least once.
    ///
    /// ```
    /// # use creel_guest::{plivo::Speak, xml::Element};
    /// assert!(Element::from(Speak::new("Hi").times(0)).to_string().contains(r#"loop="1""#), "0 would be without end");
    /// ```
    pub fn times(self, times: u32) -> Speak {
        Speak(self.0.attribute("loop", times.max(1).to_string()))
    }
}

impl From<Speak> for Element {
    fn from(speak: Speak) -> Element {
        speak.0
    }
}

impl From<&str> for Speak {
    fn from(text: &str) -> Speak {
        Speak::new(text)
    }
}

impl From<String> for Speak {
    fn from(text: String) -> Speak {
        Speak::new(text)
    }
}

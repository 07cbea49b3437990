//! `<Dial>`: whom the caller is connected to.

use crate::xml::Element;

/// Whom the caller is connected to. Several ring at once; the first to answer gets the call.
///
/// ```
/// use creel_guest::{plivo::Dial, xml::Element};
/// let dial = Dial::number("15550100").and_user("sip:ada@e.test").caller_id("15550199").timeout(20);
/// assert_eq!(
///     Element::from(dial).to_string(),
///     r#"<Dial callerId="15550199" timeout="20"><Number>15550100</Number><User>sip:ada@e.test</User></Dial>"#
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dial(Element);

impl Dial {
    /// A phone number; a text alone, `"15550100".into()`, is the same.
    ///
    /// ```
    /// use creel_guest::plivo::Dial;
    /// assert_eq!(Dial::number("15550100"), "15550100".into());
    /// ```
    pub fn number(number: impl Into<String>) -> Dial {
        Dial(Element::new("Dial")).and_number(number)
    }

    /// A SIP address.
    ///
    /// ```
    /// # use creel_guest::{plivo::Dial, xml::Element};
    /// assert!(Element::from(Dial::user("sip:ada@e.test")).to_string().contains("<User>sip:ada@e.test</User>"));
    /// ```
    pub fn user(uri: impl Into<String>) -> Dial {
        Dial(Element::new("Dial")).and_user(uri)
    }

    /// One more number that rings.
    ///
    /// ```
    /// # use creel_guest::{plivo::Dial, xml::Element};
    /// assert!(Element::from(Dial::number("1").and_number("2")).to_string().contains("<Number>2</Number>"));
    /// ```
    pub fn and_number(self, number: impl Into<String>) -> Dial {
        Dial(self.0.child(Element::new("Number").text(number)))
    }

    /// One more SIP address that rings.
    ///
    /// ```
    /// # use creel_guest::{plivo::Dial, xml::Element};
    /// assert!(Element::from(Dial::number("1").and_user("sip:a@e.test")).to_string().contains("<User>"));
    /// ```
    pub fn and_user(self, uri: impl Into<String>) -> Dial {
        Dial(self.0.child(Element::new("User").text(uri)))
    }

    /// The number that the called one sees.
    ///
    /// ```
    /// # use creel_guest::{plivo::Dial, xml::Element};
    /// assert!(Element::from(Dial::number("1").caller_id("2")).to_string().contains(r#"callerId="2""#));
    /// ```
    pub fn caller_id(self, number: impl Into<String>) -> Dial {
        Dial(self.0.attribute("callerId", number))
    }

    /// Seconds that it rings.
    ///
    /// ```
    /// # use creel_guest::{plivo::Dial, xml::Element};
    /// assert!(Element::from(Dial::number("1").timeout(15)).to_string().contains(r#"timeout="15""#));
    /// ```
    pub fn timeout(self, seconds: u32) -> Dial {
        Dial(self.0.attribute("timeout", seconds.to_string()))
    }

    /// The longest call, seconds.
    ///
    /// ```
    /// # use creel_guest::{plivo::Dial, xml::Element};
    /// assert!(Element::from(Dial::number("1").time_limit(600)).to_string().contains(r#"timeLimit="600""#));
    /// ```
    pub fn time_limit(self, seconds: u32) -> Dial {
        Dial(self.0.attribute("timeLimit", seconds.to_string()))
    }

    /// The absolute URL that says how the call goes on afterwards.
    ///
    /// ```
    /// # use creel_guest::{plivo::Dial, xml::Element};
    /// assert!(Element::from(Dial::number("1").action("https://e.test/after")).to_string().contains("/after"));
    /// ```
    pub fn action(self, url: impl Into<String>) -> Dial {
        Dial(self.0.attribute("action", url))
    }
}

impl From<Dial> for Element {
    fn from(dial: Dial) -> Element {
        dial.0
    }
}

impl From<&str> for Dial {
    fn from(number: &str) -> Dial {
        Dial::number(number)
    }
}

impl From<String> for Dial {
    fn from(number: String) -> Dial {
        Dial::number(number)
    }
}

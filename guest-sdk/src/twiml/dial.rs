//! `<Dial>`: whom the caller is connected to.

use crate::xml::Element;

/// Whom the caller is connected to. Several numbers, clients and SIP addresses ring at once; the first to answer gets
/// the call.
///
/// ```
/// use creel_guest::{twiml::Dial, xml::Element};
/// let dial = Dial::number("+15550100").and_client("ada").caller_id("+15550199").timeout(20).action("/after");
/// assert_eq!(
///     Element::from(dial).to_string(),
///     r#"<Dial callerId="+15550199" timeout="20" action="/after"><Number>+15550100</Number><Client>ada</Client></Dial>"#
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dial(Element);

impl Dial {
    /// A phone number; a text alone, `"+15550100".into()`, is the same.
    ///
    /// ```
    /// use creel_guest::twiml::Dial;
    /// assert_eq!(Dial::number("+15550100"), "+15550100".into());
    /// ```
    pub fn number(number: impl Into<String>) -> Dial {
        Dial::to("Number", number)
    }

    /// A client of the account's own.
    ///
    /// ```
    /// # use creel_guest::{twiml::Dial, xml::Element};
    /// assert!(Element::from(Dial::client("ada")).to_string().contains("<Client>ada</Client>"));
    /// ```
    pub fn client(name: impl Into<String>) -> Dial {
        Dial::to("Client", name)
    }

    /// A SIP address.
    ///
    /// ```
    /// # use creel_guest::{twiml::Dial, xml::Element};
    /// assert!(Element::from(Dial::sip("sip:desk@e.test")).to_string().contains("<Sip>sip:desk@e.test</Sip>"));
    /// ```
    pub fn sip(uri: impl Into<String>) -> Dial {
        Dial::to("Sip", uri)
    }

    /// A conference, which is made by the first who joins.
    ///
    /// ```
    /// # use creel_guest::{twiml::Dial, xml::Element};
    /// assert!(Element::from(Dial::conference("standup")).to_string().contains("<Conference>standup<"));
    /// ```
    pub fn conference(name: impl Into<String>) -> Dial {
        Dial::to("Conference", name)
    }

    /// The next who waits in a queue.
    ///
    /// ```
    /// # use creel_guest::{twiml::Dial, xml::Element};
    /// assert!(Element::from(Dial::queue("support")).to_string().contains("<Queue>support</Queue>"));
    /// ```
    pub fn queue(name: impl Into<String>) -> Dial {
        Dial::to("Queue", name)
    }

    /// One more number that rings.
    ///
    /// ```
    /// # use creel_guest::{twiml::Dial, xml::Element};
    /// let xml = Element::from(Dial::number("+1").and_number("+2")).to_string();
    /// assert_eq!(xml, "<Dial><Number>+1</Number><Number>+2</Number></Dial>");
    /// ```
    pub fn and_number(self, number: impl Into<String>) -> Dial {
        Dial(self.0.child(Element::new("Number").text(number)))
    }

    /// One more client that rings.
    ///
    /// ```
    /// # use creel_guest::{twiml::Dial, xml::Element};
    /// assert!(Element::from(Dial::number("+1").and_client("ada")).to_string().contains("<Client>"));
    /// ```
    pub fn and_client(self, name: impl Into<String>) -> Dial {
        Dial(self.0.child(Element::new("Client").text(name)))
    }

    /// The number that the called one sees: one of the account, or the caller's.
    ///
    /// ```
    /// # use creel_guest::{twiml::Dial, xml::Element};
    /// assert!(Element::from(Dial::number("+1").caller_id("+2")).to_string().contains(r#"callerId="+2""#));
    /// ```
    pub fn caller_id(self, number: impl Into<String>) -> Dial {
        self.attribute("callerId", number)
    }

    /// Seconds that it rings.
    ///
    /// ```
    /// # use creel_guest::{twiml::Dial, xml::Element};
    /// assert!(Element::from(Dial::number("+1").timeout(15)).to_string().contains(r#"timeout="15""#));
    /// ```
    pub fn timeout(self, seconds: u32) -> Dial {
        self.attribute("timeout", seconds.to_string())
    }

    /// The longest call, seconds.
    ///
    /// ```
    /// # use creel_guest::{twiml::Dial, xml::Element};
    /// assert!(Element::from(Dial::number("+1").time_limit(600)).to_string().contains(r#"timeLimit="600""#));
    /// ```
    pub fn time_limit(self, seconds: u32) -> Dial {
        self.attribute("timeLimit", seconds.to_string())
    }

    /// Records both sides from the moment of the answer.
    ///
    /// ```
    /// # use creel_guest::{twiml::Dial, xml::Element};
    /// assert!(Element::from(Dial::number("+1").recorded()).to_string().contains("record-from-answer-dual"));
    /// ```
    pub fn recorded(self) -> Dial {
        self.attribute("record", "record-from-answer-dual")
    }

    /// The URL that says how the call goes on afterwards.
    ///
    /// ```
    /// # use creel_guest::{twiml::Dial, xml::Element};
    /// assert!(Element::from(Dial::number("+1").action("/after")).to_string().contains(r#"action="/after""#));
    /// ```
    pub fn action(self, url: impl Into<String>) -> Dial {
        self.attribute("action", url)
    }

    fn to(noun: &'static str, whom: impl Into<String>) -> Dial {
        Dial(Element::new("Dial").child(Element::new(noun).text(whom)))
    }

    fn attribute(self, name: &'static str, value: impl Into<String>) -> Dial {
        Dial(self.0.attribute(name, value))
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

//! `<Record>`: what the caller says, kept.

use crate::xml::Element;

/// A recording of what the caller says.
///
/// ```
/// use creel_guest::{twiml::Record, xml::Element};
/// let record = Record::new().max_length(120).silence(5).beep(true).action("/recorded").transcribe_to("/text");
/// assert_eq!(
///     Element::from(record).to_string(),
///     r#"<Record maxLength="120" timeout="5" playBeep="true" action="/recorded" transcribe="true" transcribeCallback="/text"/>"#
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record(Element);

impl Default for Record {
    fn default() -> Record {
        Record::new()
    }
}

impl Record {
    /// With Twilio's own settings.
    ///
    /// ```
    /// # use creel_guest::{twiml::Record, xml::Element};
    /// assert_eq!(Element::from(Record::new()).to_string(), "<Record/>");
    /// ```
    pub fn new() -> Record {
        Record(Element::new("Record"))
    }

    /// The longest recording, seconds, at least one.
    ///
    /// ```
    /// # use creel_guest::{twiml::Record, xml::Element};
    /// assert_eq!(Element::from(Record::new().max_length(60)).to_string(), r#"<Record maxLength="60"/>"#);
    /// ```
    pub fn max_length(self, seconds: u32) -> Record {
        Record(self.0.attribute("maxLength", seconds.max(1).to_string()))
    }

    /// Seconds of silence that end it.
    ///
    /// ```
    /// # use creel_guest::{twiml::Record, xml::Element};
    /// assert_eq!(Element::from(Record::new().silence(4)).to_string(), r#"<Record timeout="4"/>"#);
    /// ```
    pub fn silence(self, seconds: u32) -> Record {
        Record(self.0.attribute("timeout", seconds.to_string()))
    }

    /// Whether a beep is heard first.
    ///
    /// ```
    /// # use creel_guest::{twiml::Record, xml::Element};
    /// assert_eq!(Element::from(Record::new().beep(false)).to_string(), r#"<Record playBeep="false"/>"#);
    /// ```
    pub fn beep(self, beep: bool) -> Record {
        Record(self.0.attribute("playBeep", beep.to_string()))
    }

    /// The URL that says how the call goes on; without one, the URL that is being answered is asked again.
    ///
    /// ```
    /// # use creel_guest::{twiml::Record, xml::Element};
    /// assert_eq!(Element::from(Record::new().action("/a")).to_string(), r#"<Record action="/a"/>"#);
    /// ```
    pub fn action(self, url: impl Into<String>) -> Record {
        Record(self.0.attribute("action", url))
    }

    /// Has it written down; the text goes to a URL.
    ///
    /// ```
    /// # use creel_guest::{twiml::Record, xml::Element};
    /// assert!(Element::from(Record::new().transcribe_to("/t")).to_string().contains(r#"transcribeCallback="/t""#));
    /// ```
    pub fn transcribe_to(self, url: impl Into<String>) -> Record {
        Record(self.0.attribute("transcribe", "true").attribute("transcribeCallback", url))
    }
}

impl From<Record> for Element {
    fn from(record: Record) -> Element {
        record.0
    }
}

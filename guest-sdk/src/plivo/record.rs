//! `<Record>`: what the caller says, kept.

use crate::xml::Element;

/// A recording of what the caller says.
///
/// ```
/// use creel_guest::{plivo::Record, xml::Element};
/// let record = Record::new("https://e.test/r").max_length(120).silence(5).beep(true);
/// assert_eq!(
///     Element::from(record).to_string(),
///     r#"<Record action="https://e.test/r" maxLength="120" timeout="5" playBeep="true"/>"#
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record(Element);

impl Record {
    /// What is recorded goes to an absolute URL, which also says how the call goes on.
    ///
    /// ```
    /// # use creel_guest::{plivo::Record, xml::Element};
    /// assert_eq!(Element::from(Record::new("https://e.test/r")).to_string(), r#"<Record action="https://e.test/r"/>"#);
    /// ```
    pub fn new(action: impl Into<String>) -> Record {
        Record(Element::new("Record").attribute("action", action))
    }

    /// The longest recording, seconds, at least one.
    ///
    /// ```
    /// # use creel_guest::{plivo::Record, xml::Element};
    /// assert!(Element::from(Record::new("/r").max_length(60)).to_string().contains(r#"maxLength="60""#));
    /// ```
    pub fn max_length(self, seconds: u32) -> Record {
        Record(self.0.attribute("maxLength", seconds.max(1).to_string()))
    }

    /// Seconds of silence that end it.
    ///
    /// ```
    /// # use creel_guest::{plivo::Record, xml::Element};
    /// assert!(Element::from(Record::new("/r").silence(4)).to_string().contains(r#"timeout="4""#));
    /// ```
    pub fn silence(self, seconds: u32) -> Record {
        Record(self.0.attribute("timeout", seconds.to_string()))
    }

    /// Whether a beep is heard first.
    ///
    /// ```
    /// # use creel_guest::{plivo::Record, xml::Element};
    /// assert!(Element::from(Record::new("/r").beep(false)).to_string().contains(r#"playBeep="false""#));
    /// ```
    pub fn beep(self, beep: bool) -> Record {
        Record(self.0.attribute("playBeep", beep.to_string()))
    }

    /// Records the whole call in the background instead, both sides, and goes on at once.
    ///
    /// ```
    /// # use creel_guest::{plivo::Record, xml::Element};
    /// let xml = Element::from(Record::new("/r").whole_call()).to_string();
    /// assert!(xml.contains(r#"recordSession="true" redirect="false""#));
    /// ```
    pub fn whole_call(self) -> Record {
        Record(self.0.attribute("recordSession", "true").attribute("redirect", "false"))
    }
}

impl From<Record> for Element {
    fn from(record: Record) -> Element {
        record.0
    }
}

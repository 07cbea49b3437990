//! The action `record`: the call, kept.

use crate::object::Object;
use serde_json::Value;

/// The format of a recording.
///
/// ```
/// use creel_guest::{prelude::*, vonage::{Format, Record}};
/// assert_eq!(Value::from(Record::new("https://e.test/r").format(Format::Wav))["format"], "wav");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// MP3.
    Mp3,
    /// WAV.
    Wav,
    /// Ogg.
    Ogg,
}

/// A recording of the call.
///
/// ```
/// use creel_guest::{prelude::*, vonage::Record};
/// let record = Record::new("https://e.test/r").end_on_silence(3).end_on_key('#').beep();
/// assert_eq!(
///     Value::from(record),
///     json!({
///         "action": "record", "eventUrl": ["https://e.test/r"], "endOnSilence": 3, "endOnKey": "#", "beepStart": true,
///     })
/// );
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Record(Object);

impl Record {
    /// What is recorded goes to a URL.
    ///
    /// ```
    /// # use creel_guest::{prelude::*, vonage::Record};
    /// assert_eq!(Value::from(Record::new("https://e.test/r"))["eventUrl"][0], "https://e.test/r");
    /// ```
    pub fn new(url: impl Into<String>) -> Record {
        Record(Object::of("action", "record").with("eventUrl", vec![url.into()]))
    }

    /// Its format.
    ///
    /// ```
    /// # use creel_guest::{prelude::*, vonage::{Format, Record}};
    /// assert_eq!(Value::from(Record::new("https://e.test/r").format(Format::Ogg))["format"], "ogg");
    /// ```
    pub fn format(self, format: Format) -> Record {
        let name = match format {
            Format::Mp3 => "mp3",
            Format::Wav => "wav",
            Format::Ogg => "ogg",
        };
        Record(self.0.with("format", name))
    }

    /// Each side on a channel of its own.
    ///
    /// ```
    /// # use creel_guest::{prelude::*, vonage::Record};
    /// assert_eq!(Value::from(Record::new("https://e.test/r").split())["split"], "conversation");
    /// ```
    pub fn split(self) -> Record {
        Record(self.0.with("split", "conversation"))
    }

    /// Seconds of silence that end it, 3 to 10.
    ///
    /// ```
    /// # use creel_guest::{prelude::*, vonage::Record};
    /// assert_eq!(Value::from(Record::new("https://e.test/r").end_on_silence(1))["endOnSilence"], 3);
    /// ```
    pub fn end_on_silence(self, seconds: u32) -> Record {
        Record(self.0.with("endOnSilence", seconds.clamp(3, 10)))
    }

    /// The key that ends it.
    ///
    /// ```
    /// # use creel_guest::{prelude::*, vonage::Record};
    /// assert_eq!(Value::from(Record::new("https://e.test/r").end_on_key('*'))["endOnKey"], "*");
    /// ```
    pub fn end_on_key(self, key: char) -> Record {
        Record(self.0.with("endOnKey", key.to_string()))
    }

    /// The longest recording, seconds, 3 to 7200.
    ///
    /// ```
    /// # use creel_guest::{prelude::*, vonage::Record};
    /// assert_eq!(Value::from(Record::new("https://e.test/r").max_length(60))["timeOut"], 60);
    /// ```
    pub fn max_length(self, seconds: u32) -> Record {
        Record(self.0.with("timeOut", seconds.clamp(3, 7_200)))
    }

    /// A beep is heard first.
    ///
    /// ```
    /// # use creel_guest::{prelude::*, vonage::Record};
    /// assert_eq!(Value::from(Record::new("https://e.test/r").beep())["beepStart"], true);
    /// ```
    pub fn beep(self) -> Record {
        Record(self.0.with("beepStart", true))
    }
}

impl From<Record> for Value {
    fn from(record: Record) -> Value {
        record.0.into()
    }
}

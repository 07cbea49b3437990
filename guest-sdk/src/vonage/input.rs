//! The action `input`: digits or speech of the caller.

use crate::object::Object;
use serde_json::{Value, json};

/// Digits or speech of the caller, and where they go.
///
/// ```
/// use creel_guest::{prelude::*, vonage::Input};
/// let input = Input::digits("https://e.test/menu").max_digits(4).or_speech().language("en-GB");
/// assert_eq!(
///     Value::from(input),
///     json!({
///         "action": "input",
///         "type": ["dtmf", "speech"],
///         "dtmf": { "maxDigits": 4 },
///         "speech": { "language": "en-GB" },
///         "eventUrl": ["https://e.test/menu"],
///     })
/// );
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Input(Object);

impl Input {
    /// Keys that are pressed.
    ///
    /// ```
    /// # use creel_guest::{prelude::*, vonage::Input};
    /// assert_eq!(Value::from(Input::digits("https://e.test/a"))["type"], json!(["dtmf"]));
    /// ```
    pub fn digits(url: impl Into<String>) -> Input {
        Input::of("dtmf", url)
    }

    /// Spoken words.
    ///
    /// ```
    /// # use creel_guest::{prelude::*, vonage::Input};
    /// assert_eq!(Value::from(Input::speech("https://e.test/a"))["type"], json!(["speech"]));
    /// ```
    pub fn speech(url: impl Into<String>) -> Input {
        Input::of("speech", url)
    }

    /// Speech as well, whichever comes first.
    ///
    /// ```
    /// # use creel_guest::{prelude::*, vonage::Input};
    /// assert_eq!(Value::from(Input::digits("https://e.test/a").or_speech())["speech"], json!({}));
    /// ```
    pub fn or_speech(mut self) -> Input {
        if !self.0.has("speech") {
            self.0.push("type", "speech");
            self.0.set("speech", json!({}));
        }
        self
    }

    /// How many digits end it, 1 to 20.
    ///
    /// ```
    /// # use creel_guest::{prelude::*, vonage::Input};
    /// assert_eq!(Value::from(Input::digits("https://e.test/a").max_digits(99))["dtmf"]["maxDigits"], 20);
    /// ```
    pub fn max_digits(self, count: u32) -> Input {
        self.digit_setting("maxDigits", count.clamp(1, 20))
    }

    /// Seconds after the last digit that end it, at most 10.
    ///
    /// ```
    /// # use creel_guest::{prelude::*, vonage::Input};
    /// assert_eq!(Value::from(Input::digits("https://e.test/a").digit_timeout(5))["dtmf"]["timeOut"], 5);
    /// ```
    pub fn digit_timeout(self, seconds: u32) -> Input {
        self.digit_setting("timeOut", seconds.min(10))
    }

    /// The key `#` ends it.
    ///
    /// ```
    /// # use creel_guest::{prelude::*, vonage::Input};
    /// assert_eq!(Value::from(Input::digits("https://e.test/a").submit_on_hash())["dtmf"]["submitOnHash"], true);
    /// ```
    pub fn submit_on_hash(self) -> Input {
        self.digit_setting("submitOnHash", true)
    }

    /// The language of the speech, such as `en-GB`. Nothing changes when speech is not wanted.
    ///
    /// ```
    /// # use creel_guest::{prelude::*, vonage::Input};
    /// assert_eq!(Value::from(Input::speech("https://e.test/a").language("fr-FR"))["speech"]["language"], "fr-FR");
    /// ```
    pub fn language(self, language: impl Into<String>) -> Input {
        self.speech_setting("language", language.into())
    }

    /// Seconds of silence that end speech. Nothing changes when speech is not wanted.
    ///
    /// ```
    /// # use creel_guest::{prelude::*, vonage::Input};
    /// assert_eq!(Value::from(Input::speech("https://e.test/a").end_on_silence(2))["speech"]["endOnSilence"], 2);
    /// ```
    pub fn end_on_silence(self, seconds: u32) -> Input {
        self.speech_setting("endOnSilence", seconds)
    }

    /// Words that the caller is likely to say. Nothing changes when speech is not wanted.
    ///
    /// ```
    /// # use creel_guest::{prelude::*, vonage::Input};
    /// assert_eq!(Value::from(Input::speech("https://e.test/a").context(["yes"]))["speech"]["context"], json!(["yes"]));
    /// ```
    pub fn context<T: Into<String>>(self, words: impl IntoIterator<Item = T>) -> Input {
        let words: Vec<String> = words.into_iter().map(Into::into).collect();
        self.speech_setting("context", words)
    }

    fn of(kind: &str, url: impl Into<String>) -> Input {
        let input = Object::of("action", "input").with("type", vec![kind]).with("eventUrl", vec![url.into()]);
        Input(input.with(kind, json!({})))
    }

    fn digit_setting(self, name: &str, value: impl Into<Value>) -> Input {
        self.setting("dtmf", name, value)
    }

    fn speech_setting(self, name: &str, value: impl Into<Value>) -> Input {
        self.setting("speech", name, value)
    }

    /// Vonage refuses settings of what the list of types does not name.
    fn setting(mut self, kind: &str, name: &str, value: impl Into<Value>) -> Input {
        if self.0.has(kind) {
            self.0.set_in(&[kind], name, value);
        }
        self
    }
}

impl From<Input> for Value {
    fn from(input: Input) -> Value {
        input.0.into()
    }
}

//! `<GetInput>`: digits or speech of the caller.

use super::{Speak, wait};
use crate::xml::Element;

/// What a caller may give.
///
/// ```
/// use creel_guest::{plivo::{GetInput, Input}, xml::Element};
/// let xml = Element::from(GetInput::new(Input::Either, "https://e.test/a")).to_string();
/// assert_eq!(xml, r#"<GetInput action="https://e.test/a" inputType="dtmf speech"/>"#);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// Keys that are pressed.
    Digits,
    /// Spoken words.
    Speech,
    /// Whichever comes first.
    Either,
}

/// A question and where its answer goes. Only prompts can stand inside of it.
///
/// ```
/// use creel_guest::{plivo::{GetInput, Input}, xml::Element};
/// let ask = GetInput::new(Input::Speech, "https://e.test/said").hints(["refund", "order"]).speak("How can I help?");
/// assert!(Element::from(ask).to_string().contains(r#"hints="refund,order"><Speak>How can I help?</Speak></GetInput>"#));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetInput(Element);

impl GetInput {
    /// Without a prompt. Plivo wants an absolute URL for the answer.
    ///
    /// ```
    /// # use creel_guest::{plivo::{GetInput, Input}, xml::Element};
    /// let xml = Element::from(GetInput::new(Input::Digits, "https://e.test/a")).to_string();
    /// assert_eq!(xml, r#"<GetInput action="https://e.test/a" inputType="dtmf"/>"#);
    /// ```
    pub fn new(input: Input, action: impl Into<String>) -> GetInput {
        let input = match input {
            Input::Digits => "dtmf",
            Input::Speech => "speech",
            Input::Either => "dtmf speech",
        };
        GetInput(Element::new("GetInput").attribute("action", action).attribute("inputType", input))
    }

    /// How many digits end it, at least one.
    ///
    /// ```
    /// # use creel_guest::{plivo::{GetInput, Input}, xml::Element};
    /// let xml = Element::from(GetInput::new(Input::Digits, "https://e.test/a").digits(4)).to_string();
    /// assert!(xml.contains(r#"numDigits="4""#));
    /// ```
    pub fn digits(self, count: u32) -> GetInput {
        self.attribute("numDigits", count.max(1).to_string())
    }

    /// The key that ends it; `#` unless said. `None`: no key does.
    ///
    /// ```
    /// # use creel_guest::{plivo::{GetInput, Input}, xml::Element};
    /// let xml = Element::from(GetInput::new(Input::Digits, "https://e.test/a").finish_on_key(None)).to_string();
    /// assert!(xml.contains(r#"finishOnKey="none""#));
    /// ```
    pub fn finish_on_key(self, key: Option<char>) -> GetInput {
        self.attribute("finishOnKey", key.map_or_else(|| "none".to_owned(), String::from))
    }

    /// Seconds to wait for all of it.
    ///
    /// ```
    /// # use creel_guest::{plivo::{GetInput, Input}, xml::Element};
    /// let xml = Element::from(GetInput::new(Input::Digits, "https://e.test/a").timeout(20)).to_string();
    /// assert!(xml.contains(r#"executionTimeout="20""#));
    /// ```
    pub fn timeout(self, seconds: u32) -> GetInput {
        self.attribute("executionTimeout", seconds.to_string())
    }

    /// Seconds of silence that end speech; `None`: Plivo tells by itself.
    ///
    /// ```
    /// # use creel_guest::{plivo::{GetInput, Input}, xml::Element};
    /// let xml = Element::from(GetInput::new(Input::Speech, "https://e.test/a").speech_timeout(Some(2))).to_string();
    /// assert!(xml.contains(r#"speechEndTimeout="2""#));
    /// ```
    pub fn speech_timeout(self, seconds: Option<u32>) -> GetInput {
        self.attribute("speechEndTimeout", seconds.map_or_else(|| "auto".to_owned(), |seconds| seconds.to_string()))
    }

    /// The language of the speech, such as `en-GB`.
    ///
    /// ```
    /// # use creel_guest::{plivo::{GetInput, Input}, xml::Element};
    /// let xml = Element::from(GetInput::new(Input::Speech, "https://e.test/a").language("fr-FR")).to_string();
    /// assert!(xml.contains(r#"language="fr-FR""#));
    /// ```
    pub fn language(self, language: impl Into<String>) -> GetInput {
        self.attribute("language", language)
    }

    /// Words that the caller is likely to say.
    ///
    /// ```
    /// # use creel_guest::{plivo::{GetInput, Input}, xml::Element};
    /// let xml = Element::from(GetInput::new(Input::Speech, "https://e.test/a").hints(["yes", "no"])).to_string();
    /// assert!(xml.contains(r#"hints="yes,no""#));
    /// ```
    pub fn hints<T: AsRef<str>>(self, words: impl IntoIterator<Item = T>) -> GetInput {
        let words: Vec<String> = words.into_iter().map(|word| word.as_ref().replace(',', " ")).collect();
        self.attribute("hints", words.join(","))
    }

    /// Speaks while it listens.
    ///
    /// ```
    /// # use creel_guest::{plivo::{GetInput, Input}, xml::Element};
    /// let xml = Element::from(GetInput::new(Input::Digits, "https://e.test/a").speak("Your PIN")).to_string();
    /// assert!(xml.contains("<Speak>Your PIN</Speak>"));
    /// ```
    pub fn speak(self, speak: impl Into<Speak>) -> GetInput {
        GetInput(self.0.child(speak.into()))
    }

    /// Plays a recording while it listens.
    ///
    /// ```
    /// # use creel_guest::{plivo::{GetInput, Input}, xml::Element};
    /// let xml = Element::from(GetInput::new(Input::Digits, "https://e.test/a").play("https://e.test/a.mp3")).to_string();
    /// assert!(xml.contains("<Play>https://e.test/a.mp3</Play>"));
    /// ```
    pub fn play(self, url: impl Into<String>) -> GetInput {
        GetInput(self.0.child(Element::new("Play").text(url)))
    }

    /// Says nothing for some seconds, at least one, and listens.
    ///
    /// ```
    /// # use creel_guest::{plivo::{GetInput, Input}, xml::Element};
    /// let xml = Element::from(GetInput::new(Input::Digits, "https://e.test/a").wait(2)).to_string();
    /// assert!(xml.contains(r#"<Wait length="2"/>"#));
    /// ```
    pub fn wait(self, seconds: u32) -> GetInput {
        GetInput(self.0.child(wait(seconds)))
    }

    fn attribute(self, name: &'static str, value: impl Into<String>) -> GetInput {
        GetInput(self.0.attribute(name, value))
    }
}

impl From<GetInput> for Element {
    fn from(input: GetInput) -> Element {
        input.0
    }
}

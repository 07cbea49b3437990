//! `<Gather>`: digits or speech of the caller.

use super::{Say, pause};
use crate::xml::Element;

/// What a caller may give.
///
/// ```
/// use creel_guest::{twiml::{Gather, Input}, xml::Element};
/// assert_eq!(Element::from(Gather::new(Input::Either)).to_string(), r#"<Gather input="dtmf speech"/>"#);
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

/// A question and what is done with its answer. Only prompts can stand inside of it.
///
/// ```
/// use creel_guest::{twiml::{Gather, Input}, xml::Element};
/// let gather = Gather::new(Input::Speech).action("/said").hints(["refund", "order"]).say("How can I help?");
/// assert_eq!(
///     Element::from(gather).to_string(),
///     r#"<Gather input="speech" action="/said" hints="refund,order"><Say>How can I help?</Say></Gather>"#
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gather(Element);

impl Gather {
    /// Without a prompt; the answer goes to the URL that is being answered.
    ///
    /// ```
    /// # use creel_guest::{twiml::{Gather, Input}, xml::Element};
    /// assert_eq!(Element::from(Gather::new(Input::Digits)).to_string(), r#"<Gather input="dtmf"/>"#);
    /// ```
    pub fn new(input: Input) -> Gather {
        let input = match input {
            Input::Digits => "dtmf",
            Input::Speech => "speech",
            Input::Either => "dtmf speech",
        };
        Gather(Element::new("Gather").attribute("input", input))
    }

    /// The URL that the answer goes to.
    ///
    /// ```
    /// # use creel_guest::{twiml::{Gather, Input}, xml::Element};
    /// assert!(Element::from(Gather::new(Input::Digits).action("/menu")).to_string().contains(r#"action="/menu""#));
    /// ```
    pub fn action(self, url: impl Into<String>) -> Gather {
        self.attribute("action", url)
    }

    /// The URL hears of it, too, when the caller gave nothing.
    ///
    /// ```
    /// # use creel_guest::{twiml::{Gather, Input}, xml::Element};
    /// assert!(Element::from(Gather::new(Input::Digits).even_if_empty()).to_string().contains("actionOnEmptyResult"));
    /// ```
    pub fn even_if_empty(self) -> Gather {
        self.attribute("actionOnEmptyResult", "true")
    }

    /// How many digits end it, at least one.
    ///
    /// ```
    /// # use creel_guest::{twiml::{Gather, Input}, xml::Element};
    /// assert!(Element::from(Gather::new(Input::Digits).digits(4)).to_string().contains(r#"numDigits="4""#));
    /// ```
    pub fn digits(self, count: u32) -> Gather {
        self.attribute("numDigits", count.max(1).to_string())
    }

    /// The key that ends it; `#` unless said. `None`: no key does.
    ///
    /// ```
    /// # use creel_guest::{twiml::{Gather, Input}, xml::Element};
    /// assert!(Element::from(Gather::new(Input::Digits).finish_on_key(Some('*'))).to_string().contains("\"*\""));
    /// ```
    pub fn finish_on_key(self, key: Option<char>) -> Gather {
        self.attribute("finishOnKey", key.map(String::from).unwrap_or_default())
    }

    /// Seconds to wait for a key, or for the first word.
    ///
    /// ```
    /// # use creel_guest::{twiml::{Gather, Input}, xml::Element};
    /// assert!(Element::from(Gather::new(Input::Digits).timeout(8)).to_string().contains(r#"timeout="8""#));
    /// ```
    pub fn timeout(self, seconds: u32) -> Gather {
        self.attribute("timeout", seconds.to_string())
    }

    /// Seconds of silence that end speech; `None`: Twilio tells by itself.
    ///
    /// ```
    /// # use creel_guest::{twiml::{Gather, Input}, xml::Element};
    /// assert!(Element::from(Gather::new(Input::Speech).speech_timeout(None)).to_string().contains(r#""auto""#));
    /// ```
    pub fn speech_timeout(self, seconds: Option<u32>) -> Gather {
        self.attribute("speechTimeout", seconds.map_or_else(|| "auto".to_owned(), |seconds| seconds.to_string()))
    }

    /// The language of the speech, such as `en-GB`.
    ///
    /// ```
    /// # use creel_guest::{twiml::{Gather, Input}, xml::Element};
    /// assert!(Element::from(Gather::new(Input::Speech).language("fr-FR")).to_string().contains("fr-FR"));
    /// ```
    pub fn language(self, language: impl Into<String>) -> Gather {
        self.attribute("language", language)
    }

    /// Words that the caller is likely to say.
    ///
    /// ```
    /// # use creel_guest::{twiml::{Gather, Input}, xml::Element};
    /// assert!(Element::from(Gather::new(Input::Speech).hints(["yes", "no"])).to_string().contains(r#"hints="yes,no""#));
    /// ```
    pub fn hints<T: AsRef<str>>(self, words: impl IntoIterator<Item = T>) -> Gather {
        let words: Vec<String> = words.into_iter().map(|word| word.as_ref().replace(',', " ")).collect();
        self.attribute("hints", words.join(","))
    }

    /// Speaks while it listens.
    ///
    /// ```
    /// # use creel_guest::{twiml::{Gather, Input}, xml::Element};
    /// assert!(Element::from(Gather::new(Input::Digits).say("Your PIN")).to_string().contains("<Say>Your PIN</Say>"));
    /// ```
    pub fn say(self, say: impl Into<Say>) -> Gather {
        Gather(self.0.child(say.into()))
    }

    /// Plays a recording while it listens.
    ///
    /// ```
    /// # use creel_guest::{twiml::{Gather, Input}, xml::Element};
    /// assert!(Element::from(Gather::new(Input::Digits).play("https://e.test/a.mp3")).to_string().contains("<Play>"));
    /// ```
    pub fn play(self, url: impl Into<String>) -> Gather {
        Gather(self.0.child(Element::new("Play").text(url)))
    }

    /// Says nothing for some seconds, at least one, and listens.
    ///
    /// ```
    /// # use creel_guest::{twiml::{Gather, Input}, xml::Element};
    /// assert!(Element::from(Gather::new(Input::Digits).pause(2)).to_string().contains("<Pause"));
    /// ```
    pub fn pause(self, seconds: u32) -> Gather {
        Gather(self.0.child(pause(seconds)))
    }

    fn attribute(self, name: &'static str, value: impl Into<String>) -> Gather {
        Gather(self.0.attribute(name, value))
    }
}

impl From<Gather> for Element {
    fn from(gather: Gather) -> Element {
        gather.0
    }
}

//! The action `talk`: a text that is spoken.

use crate::object::Object;
use serde_json::Value;

/// A text that is spoken.
///
/// ```
/// use creel_guest::{prelude::*, vonage::Talk};
/// let talk = Talk::new("Guten Tag").language("de-DE").style(1).interruptible().times(2);
/// assert_eq!(
///     Value::from(talk),
///     json!({ "action": "talk", "text": "Guten Tag", "language": "de-DE", "style": 1, "bargeIn": true, "loop": 2 })
/// );
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Talk(Object);

impl Talk {
    /// With the usual voice; a text alone, `"Hello".into()`, is the same.
    ///
    /// ```
    /// use creel_guest::vonage::Talk;
    /// assert_eq!(Talk::new("Hello"), "Hello".into());
    /// ```
    pub fn new(text: impl Into<String>) -> Talk {
        Talk(Object::of("action", "talk").with("text", text.into()))
    }

    /// The language, such as `en-GB`.
    ///
    /// ```
    /// # use creel_guest::{prelude::*, vonage::Talk};
    /// assert_eq!(Value::from(Talk::new("Hi").language("en-GB"))["language"], "en-GB");
    /// ```
    pub fn language(self, language: impl Into<String>) -> Talk {
        Talk(self.0.with("language", language.into()))
    }

    /// The voice, as a number of the language's list.
    ///
    /// ```
    /// # use creel_guest::{prelude::*, vonage::Talk};
    /// assert_eq!(Value::from(Talk::new("Hi").style(3))["style"], 3);
    /// ```
    pub fn style(self, style: u32) -> Talk {
        Talk(self.0.with("style", style))
    }

    /// Digits or speech of an [`Input`](super::Input) that follows end it.
    ///
    /// ```
    /// # use creel_guest::{prelude::*, vonage::Talk};
    /// assert_eq!(Value::from(Talk::new("Hi").interruptible())["bargeIn"], true);
    /// ```
    pub fn interruptible(self) -> Talk {
        Talk(self.0.with("bargeIn", true))
    }

    /// How often it is spoken, at least once.
    ///
    /// ```
    /// # use creel_guest::{prelude::*, vonage::Talk};
    /// assert_eq!(Value::from(Talk::new("Hi").times(0))["loop"], 1, "0 would be without end");
    /// ```
    pub fn times(self, times: u32) -> Talk {
        Talk(self.0.with("loop", times.max(1)))
    }
}

impl From<Talk> for Value {
    fn from(talk: Talk) -> Value {
        talk.0.into()
    }
}

impl From<&str> for Talk {
    fn from(text: &str) -> Talk {
        Talk::new(text)
    }
}

impl From<String> for Talk {
    fn from(text: String) -> Talk {
        Talk::new(text)
    }
}

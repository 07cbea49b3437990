//! The answer to `block_suggestion`: what a menu offers.

use crate::Reply;
use crate::object::{Object, cut};
use serde_json::Value;

/// Options that Slack takes; further ones are left out.
const OPTIONS_MAX: usize = 100;
/// Characters of an option's text.
const TEXT_CHARACTERS_MAX: usize = 75;

/// The answer to `block_suggestion`: what a menu offers, at most 100 options.
///
/// ```
/// use creel_guest::{Reply, slack::Options};
/// let reply = Reply::from(Options::new().option("Ada Lovelace", "ada"));
/// assert_eq!(
///     reply.body.unwrap().as_bytes(),
///     br#"{"options":[{"text":{"text":"Ada Lovelace","type":"plain_text"},"value":"ada"}]}"#
/// );
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options {
    options: Vec<Value>,
}

impl Options {
    /// Nothing is offered.
    ///
    /// ```
    /// # use creel_guest::{Reply, slack::Options};
    /// assert_eq!(Reply::from(Options::new()).body.unwrap().as_bytes(), br#"{"options":[]}"#);
    /// ```
    pub fn new() -> Options {
        Options::default()
    }

    /// Adds what is shown, cut to 75 characters, and what it stands for.
    ///
    /// ```
    /// # use creel_guest::slack::Options;
    /// assert_ne!(Options::new().option("Ada", "ada"), Options::new());
    /// ```
    pub fn option(mut self, text: impl Into<String>, value: impl Into<String>) -> Options {
        if self.options.len() < OPTIONS_MAX {
            let text = Object::of("type", "plain_text").with("text", cut(text.into(), TEXT_CHARACTERS_MAX));
            self.options.push(Object::of("text", text).with("value", value.into()).into());
        }
        self
    }
}

impl From<Options> for Reply {
    fn from(options: Options) -> Reply {
        Object::of("options", options.options).into()
    }
}

//! The answer to an autocomplete: what may be meant.

use crate::Reply;
use crate::object::{Object, cut};
use serde_json::{Value, json};

/// Choices that Discord takes; further ones are left out.
const CHOICES_MAX: usize = 25;
/// Characters of a choice's name.
const NAME_CHARACTERS_MAX: usize = 100;

/// The answer to an autocomplete: what may be meant, at most 25.
///
/// ```
/// use creel_guest::{Reply, discord::Choices};
/// assert_eq!(
///     Reply::from(Choices::new().choice("Tuesday", "tue")).body.unwrap().as_bytes(),
///     br#"{"data":{"choices":[{"name":"Tuesday","value":"tue"}]},"type":8}"#
/// );
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Choices {
    choices: Vec<Value>,
}

impl Choices {
    /// Nothing is offered.
    ///
    /// ```
    /// # use creel_guest::{Reply, discord::Choices};
    /// assert_eq!(Reply::from(Choices::new()).body.unwrap().as_bytes(), br#"{"data":{"choices":[]},"type":8}"#);
    /// ```
    pub fn new() -> Choices {
        Choices::default()
    }

    /// Adds what is shown, cut to 100 characters, and what it stands for: a text or a number.
    ///
    /// ```
    /// # use creel_guest::discord::Choices;
    /// let many = (0..30).fold(Choices::new(), |choices, day| choices.choice(format!("Day {day}"), day));
    /// let all = (0..25).fold(Choices::new(), |choices, day| choices.choice(format!("Day {day}"), day));
    /// assert_eq!(many, all);
    /// ```
    pub fn choice(mut self, name: impl Into<String>, value: impl Into<Value>) -> Choices {
        if self.choices.len() < CHOICES_MAX {
            let name = cut(name.into(), NAME_CHARACTERS_MAX);
            self.choices.push(Object::of("name", name).with("value", value).into());
        }
        self
    }
}

impl From<Choices> for Reply {
    fn from(choices: Choices) -> Reply {
        Object::of("type", 8).with("data", json!({ "choices": choices.choices })).into()
    }
}

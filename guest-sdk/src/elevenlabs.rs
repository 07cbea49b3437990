//! The answer that ElevenLabs waits for when a call comes in: how the conversation begins.
//!
//! Server tools of an agent take any JSON; [`Reply::json`] is their answer.
//!
//! ```
//! use creel_guest::{Reply, elevenlabs::Initiation};
//! let reply = Reply::from(Initiation::new().variable("name", "Ada").first_message("Hello {{name}}"));
//! assert_eq!(
//!     reply.body.unwrap().as_bytes(),
//!     br#"{"conversation_config_override":{"agent":{"first_message":"Hello {{name}}"}},"dynamic_variables":{"name":"Ada"},"type":"conversation_initiation_client_data"}"#
//! );
//! ```

use crate::Reply;
use crate::object::Object;
use serde_json::{Value, json};

const OVERRIDE: &str = "conversation_config_override";

/// How a conversation begins. All variables of the agent must be set, or the call does not begin; what is overridden
/// must be allowed in the agent's settings.
///
/// ```
/// use creel_guest::{Reply, elevenlabs::Initiation};
/// assert_eq!(
///     Reply::from(Initiation::new()).body.unwrap().as_bytes(),
///     br#"{"dynamic_variables":{},"type":"conversation_initiation_client_data"}"#
/// );
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Initiation(Object);

/// What a variable can be: ElevenLabs takes no lists and no objects.
///
/// ```
/// use creel_guest::elevenlabs::Variable;
/// assert_eq!(Variable::from("Ada"), Variable::Text("Ada".to_owned()));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Variable {
    /// A text.
    Text(String),
    /// A whole number.
    Number(i64),
    /// Yes or no.
    Flag(bool),
}

impl From<&str> for Variable {
    fn from(text: &str) -> Variable {
        Variable::Text(text.to_owned())
    }
}

impl From<String> for Variable {
    fn from(text: String) -> Variable {
        Variable::Text(text)
    }
}

impl From<i64> for Variable {
    fn from(number: i64) -> Variable {
        Variable::Number(number)
    }
}

impl From<bool> for Variable {
    fn from(flag: bool) -> Variable {
        Variable::Flag(flag)
    }
}

impl From<Variable> for Value {
    fn from(variable: Variable) -> Value {
        match variable {
            Variable::Text(text) => text.into(),
            Variable::Number(number) => number.into(),
            Variable::Flag(flag) => flag.into(),
        }
    }
}

impl Default for Initiation {
    fn default() -> Initiation {
        Initiation::new()
    }
}

impl Initiation {
    /// As the agent's settings say.
    ///
    /// ```
    /// # use creel_guest::elevenlabs::Initiation;
    /// assert_eq!(Initiation::new(), Initiation::default());
    /// ```
    pub fn new() -> Initiation {
        let kind = Object::of("type", "conversation_initiation_client_data");
        Initiation(kind.with("dynamic_variables", json!({})))
    }

    /// Sets a variable of the agent.
    ///
    /// ```
    /// # use creel_guest::elevenlabs::Initiation;
    /// let _ = Initiation::new().variable("name", "Ada").variable("orders", 3).variable("vip", true);
    /// ```
    pub fn variable(mut self, name: &str, value: impl Into<Variable>) -> Initiation {
        self.0.set_in(&["dynamic_variables"], name, value.into());
        self
    }

    /// What the agent says first.
    ///
    /// ```
    /// # use creel_guest::elevenlabs::Initiation;
    /// assert_ne!(Initiation::new().first_message("Hello"), Initiation::new());
    /// ```
    pub fn first_message(self, text: impl Into<String>) -> Initiation {
        self.changed(&["agent"], "first_message", text.into())
    }

    /// The agent's prompt.
    ///
    /// ```
    /// # use creel_guest::elevenlabs::Initiation;
    /// assert_ne!(Initiation::new().prompt("You are a dentist's assistant."), Initiation::new());
    /// ```
    pub fn prompt(self, text: impl Into<String>) -> Initiation {
        self.changed(&["agent", "prompt"], "prompt", text.into())
    }

    /// The language, such as `de`.
    ///
    /// ```
    /// # use creel_guest::elevenlabs::Initiation;
    /// assert_ne!(Initiation::new().language("de"), Initiation::new());
    /// ```
    pub fn language(self, language: impl Into<String>) -> Initiation {
        self.changed(&["agent"], "language", language.into())
    }

    /// The voice, by its id.
    ///
    /// ```
    /// # use creel_guest::elevenlabs::Initiation;
    /// assert_ne!(Initiation::new().voice("v-1"), Initiation::new());
    /// ```
    pub fn voice(self, id: impl Into<String>) -> Initiation {
        self.changed(&["tts"], "voice_id", id.into())
    }

    /// The longest conversation, seconds.
    ///
    /// ```
    /// # use creel_guest::elevenlabs::Initiation;
    /// assert_ne!(Initiation::new().max_duration(600), Initiation::new());
    /// ```
    pub fn max_duration(self, seconds: u32) -> Initiation {
        self.changed(&["conversation"], "max_duration_seconds", seconds)
    }

    /// Who the caller is in the tenant's own words; shown with the conversation.
    ///
    /// ```
    /// # use creel_guest::elevenlabs::Initiation;
    /// assert_ne!(Initiation::new().user("customer-7"), Initiation::new());
    /// ```
    pub fn user(self, id: impl Into<String>) -> Initiation {
        Initiation(self.0.with("user_id", id.into()))
    }

    fn changed(mut self, within: &[&str], key: &str, value: impl Into<Value>) -> Initiation {
        let path: Vec<&str> = [OVERRIDE].iter().chain(within).copied().collect();
        self.0.set_in(&path, key, value);
        self
    }
}

impl From<Initiation> for Reply {
    fn from(initiation: Initiation) -> Reply {
        initiation.0.into()
    }
}

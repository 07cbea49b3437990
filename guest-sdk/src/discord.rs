//! The answers that Discord waits for after an interaction: a command, a button, a form.
//!
//! Discord waits three seconds; the host answers its pings. An answer that takes longer is a [`Deferred`] one, followed
//! by a call to the interaction's webhook within 15 minutes.
//!
//! ```
//! use creel_guest::{Reply, discord};
//! let reply = Reply::from(discord::Message::new("Booked, @everyone").ephemeral());
//! assert_eq!(
//!     reply.body.unwrap().as_bytes(),
//!     br#"{"data":{"allowed_mentions":{"parse":[]},"content":"Booked, @everyone","flags":64},"type":4}"#
//! );
//! ```

mod choices;
mod modal;

use crate::Reply;
use crate::object::{Object, cut};
use serde_json::{Value, json};

pub use choices::Choices;
pub use modal::Modal;

/// Characters of a message.
const CONTENT_CHARACTERS_MAX: usize = 2_000;
/// The flag of a message that only one person sees.
const EPHEMERAL: u32 = 64;

/// A message. Nobody is notified by what stands in it unless [`allow`](Message::allow) says so, whatever a person wrote.
///
/// ```
/// use creel_guest::{prelude::*, discord::{Mention, Message}};
/// let message = Message::new("<@7> booked").allow(Mention::Users).embed(json!({ "title": "Tuesday" }));
/// let body = serde_json::from_slice::<Value>(Reply::from(message).body.unwrap().as_bytes()).unwrap();
/// assert_eq!((&body["type"], &body["data"]["allowed_mentions"]["parse"]), (&json!(4), &json!(["users"])));
/// # use creel_guest::serde_json;
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    data: Object,
    allowed: Vec<&'static str>,
    kind: u8,
}

/// Who may be notified by a message.
///
/// ```
/// use creel_guest::discord::{Mention, Message};
/// assert_ne!(Message::new("@here").allow(Mention::Everyone), Message::new("@here"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mention {
    /// People who are named.
    Users,
    /// Roles that are named.
    Roles,
    /// All, by `@everyone` and `@here`.
    Everyone,
}

impl Message {
    /// A new message, cut to 2000 characters.
    ///
    /// ```
    /// # use creel_guest::discord::Message;
    /// assert_eq!(Message::new("x".repeat(3_000)), Message::new(format!("{}…", "x".repeat(1_999))));
    /// ```
    pub fn new(content: impl Into<String>) -> Message {
        let data = Object::of("content", cut(content.into(), CONTENT_CHARACTERS_MAX));
        Message { data, allowed: Vec::new(), kind: 4 }
    }

    /// In place of the message whose button was pressed.
    ///
    /// ```
    /// # use creel_guest::{Reply, discord::Message};
    /// let reply = Reply::from(Message::update("Done"));
    /// assert!(reply.body.unwrap().as_bytes().ends_with(br#""type":7}"#));
    /// ```
    pub fn update(content: impl Into<String>) -> Message {
        Message { kind: 7, ..Message::new(content) }
    }

    /// Seen only by the one who asked.
    ///
    /// ```
    /// # use creel_guest::discord::Message;
    /// assert_ne!(Message::new("Done").ephemeral(), Message::new("Done"));
    /// ```
    pub fn ephemeral(self) -> Message {
        Message { data: self.data.with("flags", EPHEMERAL), ..self }
    }

    /// Adds an embed, as Discord's API describes it.
    ///
    /// ```
    /// # use creel_guest::{prelude::*, discord::Message};
    /// assert_ne!(Message::new("Done").embed(json!({ "title": "a" })), Message::new("Done"));
    /// ```
    pub fn embed(mut self, embed: Value) -> Message {
        self.data.push("embeds", embed);
        self
    }

    /// Adds a component, as Discord's API describes it.
    ///
    /// ```
    /// # use creel_guest::{prelude::*, discord::Message};
    /// assert_ne!(Message::new("Done").component(json!({ "type": 1, "components": [] })), Message::new("Done"));
    /// ```
    pub fn component(mut self, component: Value) -> Message {
        self.data.push("components", component);
        self
    }

    /// Lets the message notify.
    ///
    /// ```
    /// # use creel_guest::discord::{Mention, Message};
    /// assert_ne!(Message::new("<@7>").allow(Mention::Users), Message::new("<@7>"));
    /// ```
    pub fn allow(mut self, whom: Mention) -> Message {
        let name = match whom {
            Mention::Users => "users",
            Mention::Roles => "roles",
            Mention::Everyone => "everyone",
        };
        if !self.allowed.contains(&name) {
            self.allowed.push(name);
        }
        self
    }
}

impl From<Message> for Reply {
    fn from(message: Message) -> Reply {
        let data = message.data.with("allowed_mentions", json!({ "parse": message.allowed }));
        Object::of("type", message.kind).with("data", data).into()
    }
}

/// The real answer comes later, as a call to the interaction's webhook.
///
/// ```
/// use creel_guest::{Reply, discord::Deferred};
/// assert_eq!(Reply::from(Deferred::Message).body.unwrap().as_bytes(), br#"{"type":5}"#);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deferred {
    /// A message that all see; until then Discord shows that somebody is thinking.
    Message,
    /// A message that only the one who asked sees.
    Ephemeral,
    /// A change of the message whose button was pressed; nothing is shown until then.
    Update,
}

impl From<Deferred> for Reply {
    fn from(deferred: Deferred) -> Reply {
        match deferred {
            Deferred::Message => Object::of("type", 5),
            Deferred::Ephemeral => Object::of("type", 5).with("data", json!({ "flags": EPHEMERAL })),
            Deferred::Update => Object::of("type", 6),
        }
        .into()
    }
}

//! What Slack takes as the answer to slash commands and dialogs.
//!
//! Slack waits three seconds. Events need no answer at all, and `url_verification` is answered by the host; what is to
//! be said after a button was pressed is a call to the payload's `response_url`, not an answer.
//!
//! ```
//! use creel_guest::{Reply, slack};
//! let who = slack::escape("<ada> & co");
//! let reply = Reply::from(slack::Message::ephemeral(format!("*{who}* was told.")));
//! assert_eq!(
//!     reply.body.unwrap().as_bytes(),
//!     br#"{"response_type":"ephemeral","text":"*&lt;ada&gt; &amp; co* was told."}"#
//! );
//! ```

mod options;
mod view;

use crate::Reply;
use crate::object::Object;
use serde_json::Value;

pub use options::Options;
pub use view::ViewAnswer;

/// A text that somebody else wrote, made safe for Slack's markup: it becomes no link and no mention of everybody.
///
/// ```
/// assert_eq!(creel_guest::slack::escape("<!channel> & co"), "&lt;!channel&gt; &amp; co");
/// ```
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A message as the answer to a slash command.
///
/// ```
/// use creel_guest::{prelude::*, slack::Message};
/// let message = Message::in_channel("Deployed").block(json!({ "type": "divider" }));
/// assert_eq!(
///     Reply::from(message).body.unwrap().as_bytes(),
///     br#"{"blocks":[{"type":"divider"}],"response_type":"in_channel","text":"Deployed"}"#
/// );
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Message(Object);

impl Message {
    /// Seen by the one who gave the command. The text is Slack's markup; see [`escape`].
    ///
    /// ```
    /// # use creel_guest::{Reply, slack::Message};
    /// assert!(Reply::from(Message::ephemeral("Done")).body.is_some());
    /// ```
    pub fn ephemeral(text: impl Into<String>) -> Message {
        Message(Object::of("response_type", "ephemeral").with("text", text.into()))
    }

    /// Seen by the whole channel. The text is Slack's markup; see [`escape`].
    ///
    /// ```
    /// # use creel_guest::slack::Message;
    /// assert_ne!(Message::in_channel("Done"), Message::ephemeral("Done"));
    /// ```
    pub fn in_channel(text: impl Into<String>) -> Message {
        Message(Object::of("response_type", "in_channel").with("text", text.into()))
    }

    /// Adds a block; the text is then what notifications show.
    ///
    /// ```
    /// # use creel_guest::{prelude::*, slack::Message};
    /// assert_ne!(Message::ephemeral("Done").block(json!({ "type": "divider" })), Message::ephemeral("Done"));
    /// ```
    pub fn block(mut self, block: Value) -> Message {
        self.0.push("blocks", block);
        self
    }
}

impl From<Message> for Value {
    fn from(message: Message) -> Value {
        message.0.into()
    }
}

impl From<Message> for Reply {
    fn from(message: Message) -> Reply {
        message.0.into()
    }
}

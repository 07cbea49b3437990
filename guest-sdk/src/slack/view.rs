//! The answer to `view_submission`: what becomes of the dialog.

use crate::Reply;
use crate::object::Object;
use serde_json::{Value, json};

/// The answer to `view_submission`: what becomes of the dialog. Without one (an empty 200) the view is closed.
///
/// ```
/// use creel_guest::{Reply, slack::ViewAnswer};
/// let reply = Reply::from(ViewAnswer::errors().error("date", "This day is in the past."));
/// assert_eq!(
///     reply.body.unwrap().as_bytes(),
///     br#"{"errors":{"date":"This day is in the past."},"response_action":"errors"}"#
/// );
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ViewAnswer(Object);

impl ViewAnswer {
    /// The view stays; [`error`](ViewAnswer::error) says what is wrong.
    ///
    /// ```
    /// # use creel_guest::{Reply, slack::ViewAnswer};
    /// assert!(Reply::from(ViewAnswer::errors().error("date", "no")).body.is_some());
    /// ```
    pub fn errors() -> ViewAnswer {
        ViewAnswer(Object::of("response_action", "errors").with("errors", json!({})))
    }

    /// What is wrong with the input of one block. It turns the answer into one of errors.
    ///
    /// ```
    /// # use creel_guest::slack::ViewAnswer;
    /// assert_eq!(ViewAnswer::close_all().error("a", "no"), ViewAnswer::errors().error("a", "no"));
    /// ```
    pub fn error(self, block_id: &str, text: impl Into<String>) -> ViewAnswer {
        let mut answer = if self.0.has("errors") { self } else { ViewAnswer::errors() };
        answer.0.set_in(&["errors"], block_id, text.into());
        answer
    }

    /// All views of the dialog are closed.
    ///
    /// ```
    /// # use creel_guest::{Reply, slack::ViewAnswer};
    /// assert_eq!(Reply::from(ViewAnswer::close_all()).body.unwrap().as_bytes(), br#"{"response_action":"clear"}"#);
    /// ```
    pub fn close_all() -> ViewAnswer {
        ViewAnswer(Object::of("response_action", "clear"))
    }

    /// Another view takes this one's place.
    ///
    /// ```
    /// # use creel_guest::{prelude::*, slack::ViewAnswer};
    /// let reply = Reply::from(ViewAnswer::update(json!({ "type": "modal" })));
    /// assert_eq!(reply.body.unwrap().as_bytes(), br#"{"response_action":"update","view":{"type":"modal"}}"#);
    /// ```
    pub fn update(view: Value) -> ViewAnswer {
        ViewAnswer(Object::of("response_action", "update").with("view", view))
    }

    /// Another view is laid over this one.
    ///
    /// ```
    /// # use creel_guest::{prelude::*, slack::ViewAnswer};
    /// assert_ne!(ViewAnswer::push(json!({ "type": "modal" })), ViewAnswer::update(json!({ "type": "modal" })));
    /// ```
    pub fn push(view: Value) -> ViewAnswer {
        ViewAnswer(Object::of("response_action", "push").with("view", view))
    }
}

impl From<ViewAnswer> for Reply {
    fn from(answer: ViewAnswer) -> Reply {
        answer.0.into()
    }
}

//! The answer to `knowledge-base-request`: what the model is to know.

use crate::Reply;
use crate::object::Object;
use serde_json::Value;

/// The answer to `knowledge-base-request`: what the model is to know, or what is said without asking it.
///
/// ```
/// use creel_guest::{Reply, vapi::Documents};
/// let reply = Reply::from(Documents::new().document("We open at nine.", 0.5));
/// assert_eq!(
///     reply.body.unwrap().as_bytes(),
///     br#"{"documents":[{"content":"We open at nine.","similarity":0.5}]}"#
/// );
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Documents(Object);

impl Default for Documents {
    fn default() -> Documents {
        Documents::new()
    }
}

impl Documents {
    /// Nothing was found.
    ///
    /// ```
    /// # use creel_guest::{Reply, vapi::Documents};
    /// assert_eq!(Reply::from(Documents::new()).body.unwrap().as_bytes(), br#"{"documents":[]}"#);
    /// ```
    pub fn new() -> Documents {
        Documents(Object::of("documents", Vec::<Value>::new()))
    }

    /// Adds a document and how well it fits, 0 to 1.
    ///
    /// ```
    /// # use creel_guest::vapi::Documents;
    /// assert_eq!(Documents::new().document("a", 7.0), Documents::new().document("a", 1.0));
    /// ```
    pub fn document(mut self, content: impl Into<String>, similarity: f64) -> Documents {
        let fit = if similarity.is_finite() { similarity.clamp(0.0, 1.0) } else { 0.0 };
        self.0.push("documents", Object::of("content", content.into()).with("similarity", fit));
        self
    }

    /// What the assistant says, without asking its model.
    ///
    /// ```
    /// # use creel_guest::{Reply, vapi::Documents};
    /// assert_eq!(
    ///     Reply::from(Documents::spoken("We open at nine.")).body.unwrap().as_bytes(),
    ///     br#"{"message":{"content":"We open at nine.","type":"custom-message"}}"#
    /// );
    /// ```
    pub fn spoken(text: impl Into<String>) -> Documents {
        Documents(Object::of("message", Object::of("type", "custom-message").with("content", text.into())))
    }
}

impl From<Documents> for Reply {
    fn from(documents: Documents) -> Reply {
        documents.0.into()
    }
}

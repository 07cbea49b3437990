//! A form that pops up.

use crate::Reply;
use crate::object::{Object, cut};
use serde_json::json;

/// Fields of a form; further ones are left out.
const FIELDS_MAX: usize = 5;
/// Characters of a title or a label.
const LABEL_CHARACTERS_MAX: usize = 45;

/// A form that pops up, with at most five fields.
///
/// ```
/// use creel_guest::{prelude::*, discord::Modal};
/// let modal = Modal::new("book", "Book a slot").line("day", "Which day?").paragraph("why", "What is it about?");
/// let body = serde_json::from_slice::<Value>(Reply::from(modal).body.unwrap().as_bytes()).unwrap();
/// assert_eq!((&body["type"], &body["data"]["title"]), (&json!(9), &json!("Book a slot")));
/// assert_eq!(
///     body["data"]["components"][0],
///     json!({ "type": 1, "components": [{ "type": 4, "custom_id": "day", "label": "Which day?", "style": 1 }] })
/// );
/// # use creel_guest::serde_json;
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Modal {
    data: Object,
    fields: usize,
}

impl Modal {
    /// The id comes back with what was filled in; the title is cut to 45 characters.
    ///
    /// ```
    /// # use creel_guest::discord::Modal;
    /// let _ = Modal::new("book", "Book a slot").line("day", "Which day?");
    /// ```
    pub fn new(custom_id: impl Into<String>, title: impl Into<String>) -> Modal {
        let data = Object::of("custom_id", custom_id.into());
        Modal { data: data.with("title", cut(title.into(), LABEL_CHARACTERS_MAX)), fields: 0 }
    }

    /// Asks for one line.
    ///
    /// ```
    /// # use creel_guest::discord::Modal;
    /// assert_ne!(Modal::new("a", "A").line("day", "Day"), Modal::new("a", "A"));
    /// ```
    pub fn line(self, custom_id: impl Into<String>, label: impl Into<String>) -> Modal {
        self.field(1, custom_id.into(), label.into())
    }

    /// Asks for several lines.
    ///
    /// ```
    /// # use creel_guest::discord::Modal;
    /// assert_ne!(Modal::new("a", "A").paragraph("why", "Why"), Modal::new("a", "A").line("why", "Why"));
    /// ```
    pub fn paragraph(self, custom_id: impl Into<String>, label: impl Into<String>) -> Modal {
        self.field(2, custom_id.into(), label.into())
    }

    fn field(mut self, style: u8, custom_id: String, label: String) -> Modal {
        if self.fields < FIELDS_MAX {
            let label = cut(label, LABEL_CHARACTERS_MAX);
            let field = json!({ "type": 4, "custom_id": custom_id, "label": label, "style": style });
            self.data.push("components", json!({ "type": 1, "components": [field] }));
            self.fields += 1;
        }
        self
    }
}

impl From<Modal> for Reply {
    fn from(modal: Modal) -> Reply {
        Object::of("type", 9).with("data", modal.data).into()
    }
}

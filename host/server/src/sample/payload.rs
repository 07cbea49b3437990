//! The body of a sample, before it is bytes.

use bytes::Bytes;
use serde_json::Value;

/// The body of a sample.
#[derive(Debug, Clone, PartialEq)]
pub enum Payload {
    /// A JSON value.
    Json(Value),
    /// The fields of a form.
    Form(Vec<(String, String)>),
}

impl Payload {
    /// Reads a sample's file. A list of pairs is a form; any other value, a batch's list of objects too, is JSON.
    ///
    /// # Errors
    /// When it is not JSON, or a form's pairs are not pairs of texts.
    pub fn parse(text: &str) -> Result<Payload, serde_json::Error> {
        let value: Value = serde_json::from_str(text)?;
        let is_form = value.get(0).is_some_and(Value::is_array);
        Ok(if is_form { Payload::Form(serde_json::from_value(value)?) } else { Payload::Json(value) })
    }

    /// The body that is sent.
    pub fn bytes(&self) -> Bytes {
        match self {
            Payload::Json(value) => value.to_string().into(),
            Payload::Form(pairs) => form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish().into(),
        }
    }
}

//! A JSON object that is filled field by field; what most providers' answers are.
//!
//! Its fields are written in alphabetical order. A plain map's order depends on features of `serde_json` that any crate
//! in the build can turn on, and the same answer is to be the same bytes in every build.

use crate::Reply;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Object(Map<String, Value>);

impl Object {
    pub(crate) fn of(key: &str, value: impl Into<Value>) -> Object {
        Object::default().with(key, value)
    }

    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Object {
        self.set(key, value);
        self
    }

    pub(crate) fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.to_owned(), value.into());
    }

    /// Sets a field further in; objects on the way are made.
    pub(crate) fn set_in(&mut self, path: &[&str], key: &str, value: impl Into<Value>) {
        let mut map = &mut self.0;
        for step in path {
            let slot = map.entry(*step).or_insert_with(|| Value::Object(Map::new()));
            if !slot.is_object() {
                *slot = Value::Object(Map::new());
            }
            map = slot.as_object_mut().expect("it was made an object");
        }
        map.insert(key.to_owned(), value.into());
    }

    /// Appends to a list, which is made when there is none.
    pub(crate) fn push(&mut self, key: &str, value: impl Into<Value>) {
        let slot = self.0.entry(key).or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(items) = slot {
            items.push(value.into());
        }
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Value {
        sorted(Value::Object(object.0))
    }
}

impl From<Object> for Reply {
    fn from(object: Object) -> Reply {
        Reply::of_json(&object.into())
    }
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let fields: BTreeMap<String, Value> = map.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            Value::Object(fields.into_iter().collect())
        }
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        other => other,
    }
}

/// At most so many characters; what is cut off is shown as `…`.
pub(crate) fn cut(text: String, characters_max: usize) -> String {
    if text.chars().count() <= characters_max {
        return text;
    }
    text.chars().take(characters_max.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("grüße".to_owned(), 5), "grüße");
        assert_eq!(cut("grüße!".to_owned(), 5), "grüß…");
    }

    #[test]
    fn fields_stand_in_alphabetical_order_at_every_depth() {
        let object = Object::of("b", serde_json::json!([{ "y": 1, "x": 2 }])).with("a", 0);
        assert_eq!(Value::from(object).to_string(), r#"{"a":0,"b":[{"x":2,"y":1}]}"#);
    }

    #[test]
    fn objects_on_the_way_are_made() {
        let mut object = Object::of("a", 1);
        object.set_in(&["b", "c"], "d", true);
        object.push("list", "x");
        assert_eq!(Value::from(object), serde_json::json!({ "a": 1, "b": { "c": { "d": true } }, "list": ["x"] }));
    }
}

//! A JSON object, taken apart field by field with every mistake collected.
//!
//! serde stops at the first mistake; people want all of them. [`Fields`] takes one field after the other, notes what
//! does not fit with its JSON pointer (RFC 6901), and in the end refuses what nobody asked for.
//!
//! Texts that nobody took, or that were not what was wanted, are wiped: a secret may stand in the wrong field.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::Zeroize as _;

/// One thing that is wrong in a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Mistake {
    /// Where: a JSON pointer, empty for the document itself.
    pub pointer: String,
    /// What is wrong and how to mend it.
    pub detail: String,
}

impl Mistake {
    /// A mistake at `pointer`.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Mistake { pointer: pointer.into(), detail: detail.into() }
    }
}

/// An object being read.
#[derive(Debug)]
pub struct Fields {
    map: Map<String, Value>,
    known: Vec<&'static str>,
    mistakes: Vec<Mistake>,
}

impl Fields {
    /// Begins to read; anything but an object is a mistake of its own.
    pub fn of(document: Value) -> Self {
        let (map, mistakes) = match document {
            Value::Object(map) => (map, Vec::new()),
            mut other => {
                let mistake = Mistake::new("", format!("an object is wanted here, not {}", name_of(&other)));
                wipe(&mut other);
                (Map::new(), vec![mistake])
            }
        };
        Fields { map, known: Vec::new(), mistakes }
    }

    /// A field that must be there.
    pub fn required<T: DeserializeOwned>(&mut self, name: &'static str) -> Option<T> {
        match self.take(name) {
            Some(value) => self.read(name, value),
            None => {
                self.mistake(name, "this field is required");
                None
            }
        }
    }

    /// A field that may be missing or null.
    pub fn optional<T: DeserializeOwned>(&mut self, name: &'static str) -> Option<T> {
        let value = self.take(name)?;
        self.read(name, value)
    }

    /// A field with a default.
    pub fn or<T: DeserializeOwned>(&mut self, name: &'static str, default: T) -> T {
        self.optional(name).unwrap_or(default)
    }

    /// A table that may be missing or null. serde would take a list for one, its values in the order of the fields.
    pub fn table<T: DeserializeOwned>(&mut self, name: &'static str) -> Option<T> {
        match self.take(name)? {
            value @ Value::Object(_) => self.read(name, value),
            mut other => {
                self.mistake(name, format!("a table is wanted here, not {}", name_of(&other)));
                wipe(&mut other);
                None
            }
        }
    }

    /// A whole number within bounds; `None` when missing or wrong.
    pub fn number(&mut self, name: &'static str, bounds: std::ops::RangeInclusive<u64>) -> Option<u64> {
        let number: u64 = self.optional(name)?;
        if bounds.contains(&number) {
            return Some(number);
        }
        self.mistake(name, format!("{number} is outside of {} to {}", bounds.start(), bounds.end()));
        None
    }

    /// The name of the thing: from the path, and the same in the document if it stands there.
    pub fn name(&mut self, name: &str) -> String {
        if let Err(error) = creel_webhook::tenant::check_name(name) {
            self.mistake("name", error.to_string());
        }
        if let Some(written) = self.optional::<String>("name").filter(|written| written != name) {
            self.mistake("name", format!("the document names `{written}`, the address `{name}`; leave it out here"));
        }
        name.to_owned()
    }

    /// Notes that something is wrong at `path` (a field, or field and more, separated by `/`).
    pub fn mistake(&mut self, path: &str, detail: impl Into<String>) {
        self.mistakes.push(Mistake::new(format!("/{path}"), detail));
    }

    /// Ends: the value, unless there were mistakes or fields that nobody asked for.
    ///
    /// # Errors
    /// All mistakes.
    pub fn done<T>(mut self, value: Option<T>) -> Result<T, Vec<Mistake>> {
        let known = self.known.join(", ");
        for name in self.map.keys() {
            self.mistakes.push(Mistake::new(format!("/{}", escape(name)), format!("unknown field; known are {known}")));
        }
        self.map.values_mut().for_each(wipe);
        match value {
            Some(value) if self.mistakes.is_empty() => Ok(value),
            _ => Err(self.mistakes),
        }
    }

    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.map.shift_remove(name).filter(|value| !value.is_null())
    }

    fn read<T: DeserializeOwned>(&mut self, name: &'static str, mut value: Value) -> Option<T> {
        let read = T::deserialize(&value);
        wipe(&mut value);
        match read {
            Ok(value) => Some(value),
            Err(error) => {
                self.mistake(name, in_words(&error.to_string()));
                None
            }
        }
    }
}

/// What serde says of a value of another type, in words for people who write TOML or JSON; all else as it is. The text that
/// was found is left out: it may be a secret in the wrong place.
fn in_words(error: &str) -> String {
    let parts = error.strip_prefix("invalid type: ").and_then(|rest| rest.rsplit_once(", expected "));
    let Some((found, wanted)) = parts else { return error.to_owned() };
    let wanted = match wanted {
        "a map" => "a table",
        "a sequence" => "a list",
        "a boolean" => "true or false",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number",
        "f32" | "f64" => "a number",
        wanted if wanted.starts_with("struct ") => "a table",
        wanted => wanted,
    };
    let found = match found.split(' ').next().unwrap_or_default() {
        "string" => "a text",
        "map" => "a table",
        "sequence" => "a list",
        _ => found,
    };
    format!("{wanted} is wanted here, not {found}")
}

/// Wipes all texts in a value.
fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(map) => map.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A token of a JSON pointer.
pub fn escape(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}

fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_mistakes_come_at_once() {
        let mut fields = Fields::of(json!({ "a": "x", "n": 99, "strange/one": 1 }));
        let a = fields.required::<u32>("a");
        fields.number("n", 1..=10);
        fields.required::<String>("missing");
        let pointers: Vec<_> = fields.done(a).unwrap_err().into_iter().map(|mistake| mistake.pointer).collect();
        assert_eq!(pointers, ["/a", "/n", "/missing", "/strange~1one"]);
    }

    #[test]
    fn a_value_of_another_type_is_told_in_words_and_without_its_text() {
        let mut fields = Fields::of(json!({ "a": "hush", "b": 5, "c": [], "d": {}, "e": 1, "f": ["crm"] }));
        fields.required::<u32>("a");
        fields.required::<String>("b");
        fields.required::<Map<String, Value>>("c");
        fields.required::<Vec<String>>("d");
        fields.required::<bool>("e");
        fields.table::<creel_webhook::plugin::Grants>("f");
        let told: Vec<_> = fields.done(Some(())).unwrap_err().into_iter().map(|mistake| mistake.detail).collect();
        let wanted = [
            "a whole number is wanted here, not a text",
            "a string is wanted here, not integer `5`",
            "a table is wanted here, not a list",
            "a list is wanted here, not a table",
            "true or false is wanted here, not integer `1`",
            "a table is wanted here, not an array",
        ];
        assert_eq!(told, wanted);
    }

    #[test]
    fn what_is_wiped_holds_no_text() {
        let mut value = json!({ "a": ["secret", { "b": "secret" }], "c": 1, "d": "secret" });
        wipe(&mut value);
        assert_eq!(value, json!({ "a": ["", { "b": "" }], "c": 1, "d": "" }));
    }

    #[test]
    fn only_objects_are_documents() {
        let mistakes = Fields::of(json!([])).done(Some(())).unwrap_err();
        assert_eq!(mistakes, [Mistake::new("", "an object is wanted here, not an array")]);
    }
}

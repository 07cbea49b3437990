//! The API's description of itself, held against what the API does: every row is in it, with the parameters and fields that the
//! row knows and no others; and what is answered, here and to nonsense, is of the shape that it tells.

use std::collections::BTreeSet;

use axum::http::Method;
use creel_server::admin::routes::{Row, TABLE};
use serde_json::{Value, json};

use super::name;
use super::world::World;
use crate::desk::{Answer, Desk};

/// The description.
pub(super) struct Described(Value);

impl Described {
    pub(super) async fn by(desk: &Desk) -> Described {
        Described(desk.call(Method::GET, "/v1/openapi.json", Value::Null).await.json())
    }

    fn operation(&self, row: &Row) -> &Value {
        &self.0["paths"][row.path][row.method.as_str().to_ascii_lowercase()]
    }

    /// Why an answer is not what is told of the row.
    pub(super) fn objection(&self, row: &Row, answer: &Answer) -> Option<String> {
        let told = &self.operation(row)["responses"];
        let status = answer.status.as_u16().to_string();
        let told = if told[&status].is_object() { &told[&status] } else { &told["default"] };
        if !told.is_object() {
            return Some(format!("{status} is not told of"));
        }
        let Some(contents) = told["content"].as_object() else {
            return (!answer.bytes.is_empty()).then(|| "nothing should be said".to_owned());
        };
        let media_type = answer.media_type.split(';').next().unwrap_or_default();
        let Some(content) = contents.get(media_type) else { return Some(format!("`{media_type}` is not told of")) };
        match content.get("schema") {
            Some(schema) => self.fits(schema, &answer.json(), "").err(),
            None => None,
        }
    }

    /// Whether a value is of a shape; every word of a schema is known here or is a mistake.
    fn fits(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        let Some(words) = schema.as_object() else {
            return if schema == true { Ok(()) } else { Err(format!("{at}: nothing fits {schema}")) };
        };
        for (word, says) in words {
            self.obeys(words, word, says, value, at).map_err(|why| format!("{why} ({word} of {at}: {value})"))?;
        }
        Ok(())
    }

    fn obeys(
        &self,
        words: &serde_json::Map<String, Value>,
        word: &str,
        says: &Value,
        value: &Value,
        at: &str,
    ) -> Result<(), String> {
        let is = |holds: bool| if holds { Ok(()) } else { Err(format!("not {says}")) };
        let all = || says.as_array().into_iter().flatten();
        let inner = |schema: &Value| self.fits(schema, value, at).is_ok();
        match word {
            "title" | "description" | "default" | "format" | "examples" => Ok(()),
            "$ref" => {
                let place = says.as_str().and_then(|text| text.strip_prefix('#')).ok_or("no reference")?;
                self.fits(self.0.pointer(place).ok_or("it leads nowhere")?, value, at)
            }
            "type" => is(types(says).any(|name| is_of(name, value))),
            "enum" => is(all().any(|one| one == value)),
            "const" => is(says == value),
            "pattern" => is(value.as_str().is_none_or(|text| matches(says.as_str().unwrap_or_default(), text))),
            "minimum" => is(value.as_f64().is_none_or(|number| says.as_f64().is_some_and(|least| number >= least))),
            "maximum" => is(value.as_f64().is_none_or(|number| says.as_f64().is_some_and(|most| number <= most))),
            "minLength" | "minItems" => is(length(value).is_none_or(|length| says.as_u64() <= Some(length))),
            "maxLength" | "maxItems" => is(length(value).is_none_or(|length| Some(length) <= says.as_u64())),
            "anyOf" => is(all().any(inner)),
            "oneOf" => is(all().filter(|one| inner(one)).count() == 1),
            "allOf" => all().try_for_each(|one| self.fits(one, value, at)),
            "required" => {
                is(value.as_object().is_none_or(|map| all().all(|name| map.contains_key(name.as_str().unwrap()))))
            }
            "properties" => each(value, |name, value| match says.get(name) {
                Some(schema) => self.fits(schema, value, &format!("{at}/{name}")),
                None => Ok(()),
            }),
            "additionalProperties" => {
                each(value, |name, value| match words.get("properties").and_then(|known| known.get(name)) {
                    Some(_) => Ok(()),
                    None => self.fits(says, value, &format!("{at}/{name}")),
                })
            }
            "prefixItems" => {
                let items = value.as_array().into_iter().flatten();
                all().zip(items).try_for_each(|(schema, value)| self.fits(schema, value, at))
            }
            "items" => {
                let before = words.get("prefixItems").and_then(Value::as_array).map_or(0, Vec::len);
                let items = value.as_array().into_iter().flatten().skip(before);
                items.enumerate().try_for_each(|(place, value)| self.fits(says, value, &format!("{at}/{place}")))
            }
            other => Err(format!("this test does not know `{other}`")),
        }
    }
}

fn types(says: &Value) -> impl Iterator<Item = &str> {
    let many = says.as_array().into_iter().flatten();
    std::iter::once(says).chain(many).filter_map(Value::as_str)
}

fn is_of(name: &str, value: &Value) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

fn length(value: &Value) -> Option<u64> {
    let text = value.as_str().map(|text| text.chars().count());
    text.or_else(|| value.as_array().map(Vec::len)).map(|length| length as u64)
}

fn each(value: &Value, fits: impl Fn(&str, &Value) -> Result<(), String>) -> Result<(), String> {
    value.as_object().into_iter().flatten().try_for_each(|(name, value)| fits(name, value))
}

/// Patterns of ids and digests: a beginning and so many hexadecimal digits.
fn matches(pattern: &str, text: &str) -> bool {
    let parts = pattern.strip_prefix('^').and_then(|rest| rest.strip_suffix("}$")?.split_once("[0-9a-f]{"));
    let (prefix, digits) = parts.unwrap_or_else(|| panic!("this test does not know the pattern `{pattern}`"));
    let rest = text.strip_prefix(prefix).unwrap_or_default();
    rest.len().to_string() == digits && rest.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// What a row says that it knows, when it is given what it does not know.
fn known(answer: &Answer, pointer: &str) -> BTreeSet<String> {
    if answer.status != 422 {
        return BTreeSet::new();
    }
    let errors = answer.json()["errors"].as_array().cloned().unwrap_or_default();
    let Some(found) = errors.iter().find(|error| error["pointer"] == pointer) else { return BTreeSet::new() };
    let detail = found["detail"].as_str().unwrap_or_default();
    let Some((_, names)) = detail.split_once("known are ") else { return BTreeSet::new() };
    names.split(", ").map(str::to_owned).collect()
}

#[tokio::test]
async fn every_row_is_described_with_what_it_knows_and_nothing_else() {
    let described = Described::by(&Desk::new().await).await;
    let told: usize =
        described.0["paths"].as_object().unwrap().values().map(|one| one.as_object().unwrap().len()).sum();
    assert_eq!(told, TABLE.len());
    for row in TABLE {
        let world = World::new().await;
        let operation = described.operation(row);
        let names = |place: &str| -> BTreeSet<String> {
            let all = operation["parameters"].as_array().unwrap().iter().filter(|one| one["in"] == place);
            all.map(|one| one["name"].as_str().unwrap().to_owned()).collect()
        };
        assert!(
            operation["parameters"].as_array().unwrap().iter().all(|one| one["description"] != ""),
            "{}",
            name(row)
        );
        let in_path = row.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        assert_eq!(names("path"), in_path.map(str::to_owned).collect(), "{}", name(row));
        let key = Some(world.desk.operator.as_str());
        let path = world.own.path(row.path);
        let asked = world.call(key, row, &format!("{path}?nonsense=1"), Value::Null).await;
        assert_eq!(names("query"), known(&asked, "?nonsense"), "{}: {}", name(row), asked.text());
        let asked = world.call(key, row, &path, json!({ "nonsense": 1 })).await;
        let document = &operation["requestBody"]["content"]["application/json"]["schema"]["properties"];
        let fields: BTreeSet<String> =
            document.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
        assert_eq!(fields, known(&asked, "/nonsense"), "{}: {}", name(row), asked.text());
    }
}

#[tokio::test]
async fn what_is_answered_is_what_is_told() {
    let world = World::new().await;
    let described = Described::by(&world.desk).await;
    for row in TABLE.iter().filter(|row| row.method == Method::GET) {
        for path in [world.own.path(row.path), world.theirs.path(row.path).replacen("/theirs", "/own", 1)] {
            let answer = world.call(Some(&world.desk.operator), row, &path, Value::Null).await;
            assert_eq!(described.objection(row, &answer), None, "{}: {}", name(row), answer.text());
        }
    }
}

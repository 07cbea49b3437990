//! The API described by itself: an OpenAPI 3.1 document, made when it is asked for.
//!
//! Addresses, methods, least roles and payloads are those of the route table; what a document may say and what is answered
//! derives from the types that are read and written ([`crate::api`]), so none of it can be behind. Only a sentence for each row,
//! and which parameters and types are its own, are written down ([`said`]); a test calls every row and holds what it says of
//! itself against that: the fields and parameters that it knows, and the shape of its answers.
//!
//! What a schema can't say (a secret has to exist, a number has a ceiling of the operator's) is told by the refusal.

mod asked;
mod parameters;
pub mod said;

use axum::Json;
use axum::extract::State;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use self::said::{Content, Document, SAID, Said};
use super::access::{Access, Payload};
use super::state::Desk;
use crate::api::Problem;

/// What the route table knows of a row.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The method, in capitals.
    pub method: &'a str,
    /// The path; names in braces stand for any one part.
    pub path: &'a str,
    /// Who may.
    pub access: Access,
    /// Whether its answer has payloads.
    pub payload: Payload,
}

/// `GET /v1/openapi.json`: the description of all of this.
pub async fn document(State(desk): State<Desk>) -> Json<Value> {
    Json((desk.described)())
}

/// The description of these rows.
pub fn describe<'a>(rows: impl IntoIterator<Item = Known<'a>>) -> Value {
    let mut shapes = Shapes::new();
    let mut paths: Map<String, Value> = Map::new();
    for row in rows {
        let name = format!("{} {}", row.method, row.path);
        let Some(said) = SAID.iter().find(|said| said.row == name) else { continue };
        let path = paths.entry(row.path).or_insert_with(|| json!({}));
        path[row.method.to_ascii_lowercase()] = operation(&row, said, &mut shapes);
    }
    let schemas = shapes.answers.take_definitions(true);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Creel",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The admin API of a webhook host. Documents are JSON of at most 1 MiB; a wrong one is told all its \
                mistakes at once. PUT by name makes or replaces, and saying the same thing twice changes nothing. What another \
                tenant has is not found.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "key": { "type": "http", "scheme": "bearer", "bearerFormat": "creel_key_…" } },
        },
    })
}

/// What makes schemas of types.
struct Shapes {
    /// Of what is answered, each type once and by reference.
    answers: SchemaGenerator,
    /// Of what is asked, in place: what may be left out of a document is always there in an answer.
    documents: SchemaGenerator,
}

impl Shapes {
    fn new() -> Shapes {
        let mut answers = SchemaSettings::draft2020_12().for_serialize();
        answers.definitions_path = "/components/schemas".into();
        answers.meta_schema = None;
        let mut documents = SchemaSettings::draft2020_12().for_deserialize();
        documents.inline_subschemas = true;
        documents.meta_schema = None;
        Shapes { answers: answers.into_generator(), documents: documents.into_generator() }
    }
}

fn operation(row: &Known<'_>, said: &Said, shapes: &mut Shapes) -> Value {
    let mut operation = json!({
        "operationId": said.row.replace(['/', '{', '}', '.', ' ', '-'], "_"),
        "summary": said.summary,
        "description": rights(row),
        "parameters": parameters::of(row.path, said.query),
        "responses": answers(row, said, shapes),
        "security": if row.access == Access::Open { json!([]) } else { json!([{ "key": [] }]) },
    });
    if let Some(body) = body(row, said.document, shapes) {
        operation["requestBody"] = body;
    }
    operation
}

/// Who may, and what of it needs the right to payloads.
fn rights(row: &Known<'_>) -> String {
    let who = match row.access {
        Access::Open => "Needs no key.".to_owned(),
        Access::AnyKey => "Needs a key.".to_owned(),
        other => format!("Needs a key with the role `{}` or more.", other.role().map_or("", |role| role.as_str())),
    };
    let payloads = match row.payload {
        Payload::Never => "",
        Payload::Partly => " Payloads are left out for keys without `payload_read`.",
        Payload::Only => " Refused to keys without `payload_read`.",
    };
    who + payloads
}

fn body(row: &Known<'_>, document: Document, shapes: &mut Shapes) -> Option<Value> {
    match document {
        Document::None => None,
        Document::Component => {
            let content = json!({ "application/wasm": {}, "application/octet-stream": {} });
            Some(json!({ "required": true, "content": content }))
        }
        Document::Of(shape) => {
            let mut schema = shape(&mut shapes.documents).to_value();
            // What an address names, a document need not name again.
            if let Some(required) =
                schema.get_mut("required").and_then(Value::as_array_mut).filter(|_| row.method == "PUT")
            {
                required.retain(|field| field != "name");
            }
            Some(json!({ "content": { "application/json": { "schema": schema } } }))
        }
    }
}

fn answers(row: &Known<'_>, said: &Said, shapes: &mut Shapes) -> Value {
    let mut answers = Map::new();
    for (status, content) in said.answers {
        let content = match content {
            Content::Nothing => None,
            Content::Text => Some(json!({ "text/plain": {}, "application/openmetrics-text": {} })),
            Content::Bytes => Some(json!({ "application/octet-stream": {} })),
            Content::Json(shape) => Some(json!({ "application/json": { "schema": shape(&mut shapes.answers) } })),
        };
        let mut answer = json!({ "description": if *status < 400 { "All is well." } else { "Not now." } });
        if let Some(content) = content {
            answer["content"] = content;
        }
        answers.insert(status.to_string(), answer);
    }
    if row.access != Access::Open {
        let problem = shapes.answers.subschema_for::<Problem>();
        let content = json!({ "application/problem+json": { "schema": problem } });
        answers.insert("default".to_owned(), json!({ "description": "Why not (RFC 9457).", "content": content }));
    }
    Value::Object(answers)
}

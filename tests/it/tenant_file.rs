//! `docs/tenant-file.md` is what the API's own description says, and what the reader of the file knows. `CREEL_BLESS=1` writes
//! its tables anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use creel_server::cli::manifest::{self, ManifestError};
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::desk::Desk;
use crate::harness::guests::checkout;

/// A section of the file, and the row of the API that its things are put by.
struct Section {
    title: &'static str,
    path: &'static str,
    method: &'static str,
    /// Fields of the API that the file says otherwise.
    others: &'static [&'static str],
    /// What the file has in their place.
    own: &'static [(&'static str, &'static str)],
}

const SECTIONS: &[Section] = &[
    Section {
        title: "[secrets.NAME]",
        path: "/v1/tenants/{tenant}/secrets/{secret}",
        method: "put",
        others: &["name", "value", "value_base64"],
        own: &[
            (
                "value_env",
                "The variable of the environment that holds the value. A host that has the secret keeps its value while the variable is not set.",
            ),
            ("value_file", "The file that holds it, beside this one; a line end behind it does not count."),
            ("value", "The value itself, where nobody else reads the file. Exactly one of the three is given."),
        ],
    },
    Section {
        title: "[sources.NAME]",
        path: "/v1/tenants/{tenant}/sources/{source}",
        method: "put",
        others: &["name"],
        own: &[],
    },
    Section {
        title: "[destinations.NAME]",
        path: "/v1/tenants/{tenant}/destinations/{destination}",
        method: "put",
        others: &["name"],
        own: &[],
    },
    Section {
        title: "[plugins.NAME]",
        path: "/v1/tenants/{tenant}/plugins/{plugin}/deployments",
        method: "post",
        others: &["digest", "activate"],
        own: &[("component", "The component, beside this file; `creel build` makes it.")],
    },
    Section {
        title: "[routes.NAME]",
        path: "/v1/tenants/{tenant}/routes/{route}",
        method: "put",
        others: &["name"],
        own: &[],
    },
    Section { title: "[notices]", path: "/v1/tenants/{tenant}/notices", method: "put", others: &[], own: &[] },
];

/// What of a schema is left when nothing may be missing.
fn solid(schema: &Value) -> &Value {
    let not_null = |one: &&Value| one["type"] != "null";
    schema["anyOf"].as_array().and_then(|any| any.iter().find(not_null)).unwrap_or(schema)
}

fn kind_of(schema: &Value) -> String {
    let schema = solid(schema);
    if let Some(all) = schema["oneOf"].as_array() {
        let words: Vec<String> = all.iter().filter_map(|one| Some(format!("`{}`", one["const"].as_str()?))).collect();
        return if words.is_empty() { "table".to_owned() } else { words.join(" or ") };
    }
    let name = match &schema["type"] {
        Value::Array(names) => names.iter().find(|name| *name != "null").and_then(Value::as_str),
        name => name.as_str(),
    };
    match name {
        Some("integer") => "whole number".to_owned(),
        Some("boolean") => "true or false".to_owned(),
        Some("array") => format!("list: {}", kind_of(&schema["items"])),
        Some("string") => "text".to_owned(),
        _ => "table".to_owned(),
    }
}

/// A value as TOML has it.
fn toml(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(toml).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) if fields.is_empty() => "{}".to_owned(),
        Value::Object(fields) => {
            let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name} = {}", toml(value))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        other => other.to_string(),
    }
}

fn said(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or_default().replace('\n', " ")
}

/// What each of its words means, where there are only some.
fn meanings(schema: &Value) -> String {
    let words = solid(schema)["oneOf"].as_array().into_iter().flatten();
    words.filter_map(|one| Some(format!(" `{}`: {}", one["const"].as_str()?, said(one)))).collect()
}

fn row(table: &mut String, name: &str, schema: &Value, must: bool) {
    let default = match &schema["default"] {
        _ if must => "must be there".to_owned(),
        Value::Null => String::new(),
        value => format!("`{}`", toml(value)),
    };
    let about = (said(schema) + &meanings(schema)).replace('|', "\\|");
    let _ = writeln!(table, "| `{name}` | {} | {default} | {about} |", kind_of(schema));
}

/// The rows of an object's fields; what has fields of its own is followed by them.
fn rows(table: &mut String, prefix: &str, schema: &Value, others: &[&str]) {
    let none = Map::new();
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, field) in schema["properties"].as_object().unwrap_or(&none) {
        if others.contains(&name.as_str()) {
            continue;
        }
        let path = format!("{prefix}{name}");
        row(table, &path, field, required.contains(&name.as_str()));
        let inner = solid(field);
        rows(table, &format!("{path}."), inner, &[]);
        for variant in inner["oneOf"].as_array().into_iter().flatten().filter(|one| one["properties"].is_object()) {
            let word = variant["properties"]["type"]["const"].as_str().unwrap_or_default();
            let _ = writeln!(table, "| `{path}.type = \"{word}\"` | | | {} |", said(variant));
            rows(table, &format!("{path}."), variant, &["type"]);
        }
    }
}

/// All tables, from the API's description.
fn tables(document: &Value) -> String {
    let mut text = String::new();
    let head = "| field | type | default | |\n|---|---|---|---|\n";
    for section in SECTIONS {
        let schema = body_of(document, section);
        let _ = writeln!(text, "\n## `{}`\n\n{head}", section.title);
        text.pop();
        for (name, about) in section.own {
            let _ = writeln!(text, "| `{name}` | text | | {about} |");
        }
        rows(&mut text, "", schema, section.others);
    }
    let limits = &document["paths"]["/v1/tenants/{tenant}"]["put"]["requestBody"]["content"]["application/json"]["schema"]
        ["properties"]["limits"];
    let _ = writeln!(text, "\n## `[limits]`\n\n| limit | of what |\n|---|---|");
    for (name, limit) in solid(limits)["properties"].as_object().expect("limits") {
        let _ = writeln!(text, "| `{name}` | {} |", said(limit));
    }
    text
}

fn body_of<'a>(document: &'a Value, section: &Section) -> &'a Value {
    let schema =
        &document["paths"][section.path][section.method]["requestBody"]["content"]["application/json"]["schema"];
    assert!(schema["properties"].is_object(), "{}", section.title);
    schema
}

async fn described() -> Value {
    Desk::new().await.call(Method::GET, "/v1/openapi.json", json!(null)).await.json()
}

#[tokio::test]
async fn the_page_is_what_the_api_says_of_itself() {
    let path = checkout().join("docs/tenant-file.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, behind) = page.split_once("<!-- fields -->\n").expect("a mark");
    let (shown, after) = behind.split_once("<!-- /fields -->").expect("a mark");
    let told = tables(&described().await);
    if std::env::var_os("CREEL_BLESS").is_some() {
        std::fs::write(&path, format!("{before}<!-- fields -->\n{told}\n<!-- /fields -->{after}")).unwrap();
        return;
    }
    assert!(
        shown.trim() == told.trim(),
        "docs/tenant-file.md is not what the API says; run this test with CREEL_BLESS=1"
    );
}

#[tokio::test]
async fn the_page_has_the_fields_that_the_reader_knows_and_no_others() {
    let document = described().await;
    for section in SECTIONS {
        let documented = body_of(&document, section)["properties"].as_object().unwrap().keys().map(String::as_str);
        let documented = documented.filter(|name| !section.others.contains(name));
        let documented: BTreeSet<&str> = documented.chain(section.own.iter().map(|(name, _)| *name)).collect();
        let text = format!("{}\nnot_a_field = 1\n", section.title.replace("NAME", "one"));
        let Err(ManifestError::Wrong { mistakes, .. }) = manifest::read(Path::new("creel.toml"), text, &|_| None)
        else {
            panic!("{} takes any field", section.title)
        };
        let told = mistakes.iter().find_map(|one| one.detail.strip_prefix("unknown field; known are ")).unwrap();
        // The name stands in the section's head.
        let known: BTreeSet<&str> = told.split(", ").filter(|name| *name != "name").collect();
        assert_eq!(documented, known, "{}", section.title);
    }
}

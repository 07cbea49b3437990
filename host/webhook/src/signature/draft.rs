//! Schemes that can't be read: every field that is wrong, for the person who wrote them.
//!
//! A parser stops at the first thing that it can't read. So each field is tried by itself, in a scheme of the same kind
//! that is known to be right: what can't be read then is that field's own mistake.

use serde_json::{Map, Value, json};

use crate::signature::model::Method;

/// The kinds, each with a scheme of that kind that holds nothing but what must be there.
fn known_good(kind: &str) -> Option<Value> {
    let sig = json!({"from": "header:x-signature", "enc": "hex"});
    Some(match kind {
        "mac" => json!({"kind": kind, "alg": "hmac-sha256", "sig": sig, "content": "{body}"}),
        "sig" => json!({"kind": kind, "alg": "ed25519", "sig": sig, "content": "{body}"}),
        "digest" => json!({"kind": kind, "alg": "sha256", "sig": sig, "content": "{secret}{body}"}),
        "token" => json!({"kind": kind, "from": "header:x-token"}),
        "jwt" => json!({"kind": kind, "from": "header:authorization", "algs": ["HS256"]}),
        "basic" | "url" => json!({"kind": kind}),
        "code" => json!({"kind": kind, "name": "aws-sns"}),
        _ => return None,
    })
}

/// Fields that are objects, each with one that holds nothing but what must be there.
fn known_part(field: &str) -> Option<Value> {
    Some(match field {
        "sig" => json!({"from": "header:x-signature", "enc": "hex"}),
        "ts" => json!({"from": "header:x-timestamp", "unit": "s"}),
        "key" => json!({}),
        _ => return None,
    })
}

/// The fields of a scheme that can't be read or are missing, with what is wrong with each, in the order of the text.
pub fn unreadable(scheme: &Value) -> Vec<(String, String)> {
    let one = |field: &str, problem: &str| vec![(field.to_owned(), problem.to_owned())];
    let Some(fields) = scheme.as_object() else { return one("kind", "a scheme is an object with a `kind`") };
    let Some(kind) = fields.get("kind").and_then(Value::as_str) else {
        return one("kind", "is missing; it is one of mac, sig, digest, token, basic, jwt, url, code");
    };
    let Some(good) = known_good(kind) else {
        return one("kind", "is none of mac, sig, digest, token, basic, jwt, url, code");
    };
    let reads = |scheme: Value| serde_json::from_value::<Method>(scheme).map(drop).map_err(|error| error.to_string());
    let mut found = Vec::new();
    for (field, value) in fields.iter().filter(|(field, _)| *field != "kind") {
        let Err(problem) = reads(with(&good, field, value.clone())) else { continue };
        let inside = known_part(field).zip(value.as_object()).map(|(part, inner)| {
            let reads_part = |part: Value| reads(with(&good, field, part));
            parts(field, &part, inner, reads_part)
        });
        match inside {
            Some(inside) if !inside.is_empty() => found.extend(inside),
            _ => found.push((field.clone(), problem)),
        }
    }
    found.extend(missing("", &good, fields));
    found
}

fn parts(
    field: &str,
    good: &Value,
    inner: &Map<String, Value>,
    reads: impl Fn(Value) -> Result<(), String>,
) -> Vec<(String, String)> {
    let wrong = |(name, value): (&String, &Value)| {
        let problem = reads(with(good, name, value.clone())).err()?;
        Some((format!("{field}/{name}"), problem))
    };
    inner.iter().filter_map(wrong).chain(missing(&format!("{field}/"), good, inner)).collect()
}

fn missing(before: &str, good: &Value, fields: &Map<String, Value>) -> Vec<(String, String)> {
    let wanted = good.as_object().into_iter().flat_map(Map::keys);
    let absent = wanted.filter(|name| !fields.contains_key(*name));
    absent.map(|name| (format!("{before}{name}"), "is missing".to_owned())).collect()
}

fn with(good: &Value, field: &str, value: Value) -> Value {
    let mut changed = good.clone();
    changed[field] = value;
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_to_be_good_is() {
        for kind in ["mac", "sig", "digest", "token", "basic", "jwt", "url", "code"] {
            let good = known_good(kind).unwrap();
            assert_eq!(unreadable(&good), [], "{kind}");
            assert!(serde_json::from_value::<Method>(good).is_ok(), "{kind}");
        }
        for field in ["sig", "ts", "key"] {
            let good = with(&known_good("mac").unwrap(), field, known_part(field).unwrap());
            assert!(serde_json::from_value::<Method>(good).is_ok(), "{field}");
        }
    }
}

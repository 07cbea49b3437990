//! What is read of a JSON body without keeping it is what a reader of the whole body finds.

use std::borrow::Cow;

use creel_webhook::excerpt::{Field, Found, every_value, fields, value_at};
use creel_webhook::tree;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use serde_json::{Value, json};

/// A name by which `serde_json` marks JSON within a text.
const OWN_NAME: &str = "$serde_json::private::RawValue";

/// All values that a path with `*` finds in a body that was read whole.
fn all_values<'v>(root: &'v Value, path: &str) -> Option<Vec<&'v Value>> {
    let mut found = vec![root];
    for segment in path.split('/').skip(1) {
        let mut next = Vec::new();
        for value in found {
            match segment {
                "*" => next.extend(value.as_array().filter(|items| !items.is_empty())?),
                _ => next.push(value.pointer(&format!("/{segment}"))?),
            }
        }
        found = next;
    }
    Some(found)
}

fn found(value: &Value) -> Found<'_> {
    match value {
        Value::String(text) => Found::Text(Cow::Borrowed(text)),
        Value::Number(number) => Found::Number(number.clone()),
        _ => Found::Other,
    }
}

/// What several values have in common.
fn common<'v>(values: &[&'v Value]) -> Found<'v> {
    match values {
        [one] => found(one),
        _ if !values.iter().all(|value| value.is_string()) => Found::Other,
        _ if values.iter().all(|value| *value == values[0]) => found(values[0]),
        _ => Found::Mixed,
    }
}

fn check(body: &[u8], path: &str) -> TestCaseResult {
    let tree = tree::read(body);
    // Save for the readers' own name, the library's tree is the same, down to the order of names.
    let has_own_name = body.windows(OWN_NAME.len()).any(|window| window == OWN_NAME.as_bytes());
    if !has_own_name {
        let by_library = serde_json::from_slice::<Value>(body).ok();
        prop_assert_eq!(&tree, &by_library);
        prop_assert_eq!(tree.as_ref().map(Value::to_string), by_library.as_ref().map(Value::to_string));
    }
    let whole = tree.as_ref();
    prop_assert_eq!(value_at(body, path), whole.and_then(|value| value.pointer(path)).map(found));
    let all = whole.and_then(|value| all_values(value, path));
    prop_assert_eq!(every_value(body, path), all.map(|values| common(&values)));
    let names = ["a", "b", "*", ""];
    let members = whole.and_then(Value::as_object);
    let read = fields(body, &names);
    prop_assert_eq!(read.is_some(), members.is_some());
    for (name, members) in names.iter().flat_map(|name| members.map(|members| (*name, members))) {
        let field = read.as_ref().and_then(|read| read.get(name));
        match members.get(name) {
            None => prop_assert_eq!(field, None),
            Some(Value::Null) => prop_assert_eq!(field, Some(&Field::Null)),
            Some(Value::String(text)) => {
                let Some(Field::Text(written)) = field else { return Err(TestCaseError::fail(format!("{field:?}"))) };
                let mut pieces = String::new();
                prop_assert_eq!(written.each_piece(|piece| pieces.push_str(piece)), Some(()));
                prop_assert_eq!(&pieces, text);
                prop_assert_eq!(written.text(), text.as_str());
            }
            Some(_) => prop_assert_eq!(field, Some(&Field::Other)),
        }
    }
    Ok(())
}

/// Values as they are written, some of which no reader takes.
fn written() -> impl Strategy<Value = Vec<u8>> {
    let scalars: Vec<&[u8]> = vec![
        b"1",
        b"-1",
        b"-0",
        b"0.10",
        b"1e2",
        b"1e400",
        b"01",
        b"18446744073709551616",
        b"true",
        b"null",
        b"nul",
        b"\"x\"",
        b"\"x\"",
        b"\"\\u0078\"",
        b"\"\"",
        b"\"\\ud83d\\ude00\"",
        b"\"\\ud83d\"",
        b"\"\\ude00\\ud83d\"",
        b"\"\\ud83dx\"",
        b"\"\\u00\"",
        b"\"\\x\"",
        b"\"a\\n\\t\\\"\\\\\\/\\b\\f\\r\xc3\xa9\"",
        b"\"\n\"",
        b"\"\xff\"",
        b"{}",
        b"[]",
    ];
    let good = prop::sample::select(vec!["1", "\"x\"", "\"x\"", "\"\\u0078\"", "\"\\\"y\"", "null", "[]", "0.5"]);
    let scalar = prop_oneof![
        6 => good.prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::sample::select(scalars).prop_map(<[u8]>::to_vec),
        1 => "\\PC{0,6}".prop_map(|text| Value::String(text).to_string().into_bytes()),
    ];
    scalar.prop_recursive(5, 40, 4, |value| {
        let name = prop::sample::select(vec!["a", "a", "b", "\\u0061", "*", "0", "a/b", "a~b", "", OWN_NAME]);
        let member =
            (name, value.clone()).prop_map(|(name, value)| [format!("\"{name}\" :").as_bytes(), &value].concat());
        prop_oneof![
            prop::collection::vec(value, 0..4).prop_map(|items| [b"[ ", &items.join(&b","[..])[..], b"]"].concat()),
            prop::collection::vec(member, 0..4).prop_map(|items| [b"{", &items.join(&b",\n"[..])[..], b" }"].concat()),
        ]
    })
}

fn path() -> impl Strategy<Value = String> {
    let segment =
        prop::sample::select(vec!["a", "a", "b", "*", "0", "0", "1", "01", "+1", "-1", "a~1b", "a~0b", "", "~"]);
    prop_oneof![
        8 => prop::collection::vec(segment, 0..4).prop_map(|names| names.iter().map(|name| format!("/{name}")).collect()),
        1 => Just("a/b".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_is_what_a_reader_of_the_whole_finds(
        body in written(),
        path in path(),
        after in prop::sample::select(vec!["", "", "", "", " \n", "x", "}", "1", ","]),
        cut in prop::option::weighted(0.1, 0_usize..60),
    ) {
        let mut body = [&body[..], after.as_bytes()].concat();
        body.truncate(cut.unwrap_or(body.len()));
        check(&body, &path)?;
    }
}

#[test]
fn nesting_ends_where_a_reader_of_the_whole_ends() {
    for depth in 120..135 {
        let lists = |levels: usize, inside: &str| format!("{}{inside}{}", "[".repeat(levels), "]".repeat(levels));
        let objects = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        let member = format!("{{\"a\":{},\"b\":\"x\"}}", lists(depth, "{}"));
        let twice = format!("{{\"a\":{},\"a\":\"x\"}}", lists(depth, ""));
        for body in [&lists(depth, "\"x\""), &objects, &member, &twice] {
            for path in ["/b", "/a", "/c", "", &"/0".repeat(depth), &"/*".repeat(depth), &"/a".repeat(depth)] {
                check(body.as_bytes(), path).unwrap_or_else(|error| panic!("{depth} {path}: {error}"));
            }
        }
    }
}

#[test]
fn numbers_end_where_a_reader_of_the_whole_ends() {
    for digits in 290..330 {
        for number in [format!("1{}", "0".repeat(digits)), format!("-1e{digits}"), format!("0.{}1", "0".repeat(digits))]
        {
            for path in ["/a", "/b", "/a/0"] {
                let body = format!("{{\"b\":[{number}],\"a\":[{number},1],\"a\":{number}}}");
                check(body.as_bytes(), path).unwrap_or_else(|error| panic!("{number}: {error}"));
            }
        }
    }
}

#[test]
fn every_one_of_nothing_is_not_true() {
    let body = br#"{"value": [{"s": "a"}, {"s": "\u0061"}], "mixed": [{"s": "a"}, {"s": "b"}], "none": []}"#;
    assert_eq!(every_value(body, "/value/*/s"), Some(Found::Text("a".into())));
    assert_eq!(every_value(body, "/mixed/*/s"), Some(Found::Mixed));
    assert_eq!(every_value(body, "/none/*/s"), None);
    assert_eq!(every_value(body, "/value/*/missing"), None);
}

/// `serde_json` reads the text behind a name of its own as JSON when it keeps a value; here it is a name like others.
#[test]
fn a_text_is_never_read_as_json() {
    let body = format!("{{\"{OWN_NAME}\": \"{{\\\"a\\\":1}}\"}}").into_bytes();
    let text = r#"{"a":1}"#;
    assert_eq!(tree::read(&body), Some(json!({OWN_NAME: text})));
    assert_eq!(value_at(&body, "/a"), None);
    assert_eq!(fields(&body, &["a"]).map(|fields| fields.len()), Some(0));
    assert_eq!(value_at(&body, &format!("/{OWN_NAME}")), Some(Found::Text(text.into())));
    assert_ne!(serde_json::from_slice::<Value>(&body).ok(), tree::read(&body), "the library has mended it");
}

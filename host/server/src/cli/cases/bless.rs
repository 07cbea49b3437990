//! `creel test --bless`: a case expects from now on what came of it.
//!
//! Only `expect` is written anew; everything else of the file stays in its order. A call says what is not the default, as
//! a person would have written it. Log lines and stored values are expected only where the case expected some before:
//! most of them are no promise.

use std::path::Path;

use anyhow::Context as _;
use creel_guest::testing::Run;
use creel_guest::{Body, Call, Failure, Outcome, Reply};
use serde_json::{Map, Value, json};
use similar::TextDiff;

/// A file as it would be.
#[derive(Debug)]
pub struct Blessing {
    /// Its text.
    pub text: String,
    /// What changes, line by line.
    pub diff: String,
}

/// What a case's file would be after this run; none when nothing changes.
///
/// # Errors
/// When the file can't be read, or is no JSON object.
pub fn blessing(file: &Path, run: &Run<Result<Outcome, Failure>>) -> anyhow::Result<Option<Blessing>> {
    let shown = file.display().to_string();
    let before = std::fs::read_to_string(file).with_context(|| format!("reading {shown}"))?;
    let mut document: Map<String, Value> = serde_json::from_str(&before).with_context(|| format!("reading {shown}"))?;
    let expected = expectation(run, document.get("expect"));
    document.insert("expect".to_owned(), expected);
    let text = serde_json::to_string_pretty(&document).context("writing JSON")? + "\n";
    let diff = TextDiff::from_lines(&before, &text).unified_diff().context_radius(2).header(&shown, &shown).to_string();
    Ok((!diff.is_empty()).then_some(Blessing { text, diff }))
}

/// Writes it.
///
/// # Errors
/// When the file can't be written.
pub fn write(file: &Path, blessing: &Blessing) -> anyhow::Result<()> {
    std::fs::write(file, &blessing.text).with_context(|| format!("writing {}", file.display()))
}

fn expectation(run: &Run<Result<Outcome, Failure>>, before: Option<&Value>) -> Value {
    let mut expected = Map::new();
    match &run.result {
        Ok(outcome) => {
            expected.insert("calls".to_owned(), outcome.calls.iter().map(call).collect());
            if let Some(reply) = &outcome.reply {
                expected.insert("reply".to_owned(), answer(reply));
            }
        }
        Err(Failure::Reject { reason }) => {
            expected.insert("reject".to_owned(), json!(reason));
        }
        Err(Failure::Retry { reason, after }) => {
            expected.insert("retry".to_owned(), json!({ "reason": reason, "after_ms": millis(*after) }));
        }
    }
    let expected_before = |key: &str| before.is_some_and(|before| before.get(key).is_some());
    if expected_before("log") {
        expected.insert("log".to_owned(), run.log.iter().map(|(_, line)| json!(line)).collect());
    }
    if let Some(Value::Object(keys)) = before.and_then(|before| before.get("state")) {
        let stored = |key: &String| run.state.get(key).map(|bytes| String::from_utf8_lossy(bytes));
        expected.insert("state".to_owned(), keys.keys().map(|key| (key.clone(), json!(stored(key)))).collect());
    }
    Value::Object(expected)
}

fn call(call: &Call) -> Value {
    let mut expected = Map::new();
    expected.insert("destination".to_owned(), json!(call.destination));
    if call.method != "POST" {
        expected.insert("method".to_owned(), json!(call.method));
    }
    if !call.path.is_empty() {
        expected.insert("path".to_owned(), json!(call.path));
    }
    content(&mut expected, &call.headers, call.body.as_ref());
    let numbers = [("delay_ms", call.delay.map(millis)), ("expires_ms", call.expiry.map(millis))];
    let texts = [
        ("order_key", call.order_key.as_ref()),
        ("idempotency_key", call.idempotency_key.as_ref()),
        ("on_result", call.report.as_ref().map(|report| &report.tag)),
    ];
    expected.extend(numbers.into_iter().filter_map(|(key, value)| Some((key.to_owned(), json!(value?)))));
    expected.extend(texts.into_iter().filter_map(|(key, value)| Some((key.to_owned(), json!(value?)))));
    Value::Object(expected)
}

fn answer(reply: &Reply) -> Value {
    let mut expected = Map::new();
    if reply.status != 200 {
        expected.insert("status".to_owned(), json!(reply.status));
    }
    content(&mut expected, &reply.headers, reply.body.as_ref());
    Value::Object(expected)
}

/// Headers, and the body as what its type says it is.
fn content(expected: &mut Map<String, Value>, headers: &[(String, String)], body: Option<&Body>) {
    if !headers.is_empty() {
        expected
            .insert("headers".to_owned(), headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect());
    }
    let Some(body) = body else { return };
    let kind = headers.iter().find(|(name, _)| name == "content-type").map_or("", |(_, value)| value.as_str());
    let (key, value) = match serde_json::from_slice::<Value>(body.as_bytes()) {
        Ok(json) if kind.starts_with("application/json") => ("json", json),
        _ if kind.starts_with("application/x-www-form-urlencoded") => {
            ("form", form_urlencoded::parse(body.as_bytes()).map(|pair| json!(pair)).collect())
        }
        _ => ("text", json!(String::from_utf8_lossy(body.as_bytes()))),
    };
    expected.insert(key.to_owned(), value);
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

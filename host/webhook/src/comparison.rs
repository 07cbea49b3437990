//! What would be decided now beside what was decided then, so that people see what a change would change.
//!
//! Calls are paired before they are compared: those that say the same stay in their order, and between them the next to
//! the same destination are taken for the same call. So a call that comes in front of others is one call that was added,
//! and not a change of all that follow. A call's key counts: a call that says the same under another key is a new one to
//! its receiver.
//!
//! Differences are for people: field by field, JSON bodies by pointer, long texts cut around the place where they part.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::outcome::{OnResult, Pair};

/// Characters of a value that are shown: a line or two.
pub const VALUE_CHARS_MAX: usize = 160;

/// Differences of one body that are shown: beyond that it is another body.
pub const BODY_DIFFERENCES_MAX: usize = 16;

/// Two ends of a call's life are taken for the same within this many milliseconds: they are stored as moments, and the
/// moment of the decision is only known to that.
const TIME_SLACK_MS: u64 = 1_000;

/// Characters shown before the place where two texts part.
const LEAD_CHARS: usize = 24;

/// A call as far as it is compared.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sketch {
    /// Name of its destination.
    pub destination: String,
    /// HTTP method.
    pub method: String,
    /// Path and query under the destination's base path.
    pub path: String,
    /// Headers, names in lower case.
    pub headers: Vec<Pair>,
    /// What is sent.
    pub body: Option<Bytes>,
    /// What its receiver knows it by; `None` when nobody knows yet, then it is not compared.
    pub key: Option<String>,
    /// What keeps it in line.
    pub order_key: Option<String>,
    /// Not before, in ms after the decision; `None` when nobody knows any more, then it is not compared.
    pub delay_ms: Option<u64>,
    /// Not after, in ms after the decision.
    pub expires_ms: Option<u64>,
    /// Which of its ends are reported.
    pub on_result: Option<OnResult>,
    /// Hints and notes.
    pub attributes: Vec<Pair>,
}

/// A field that is different.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Difference {
    /// Which; of headers and attributes with the name, of JSON bodies with the pointer.
    pub field: String,
    /// What it was; `None` when it was not there.
    pub then: Option<String>,
    /// What it would be; `None` when it would not be there.
    pub now: Option<String>,
}

impl Difference {
    /// Of a field with these values, if they are different.
    pub fn of(field: &str, then: Option<&str>, now: Option<&str>) -> Option<Difference> {
        if then == now {
            return None;
        }
        let (then, now) = match (then, now) {
            (Some(then), Some(now)) => {
                let (then, now) = parted(then, now);
                (Some(then), Some(now))
            }
            (then, now) => (then.map(head), now.map(head)),
        };
        Some(Difference { field: field.to_owned(), then, now })
    }
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "CallFate")]
pub enum Change {
    /// It would be made as it was.
    Same,
    /// It would be made and was not.
    Added,
    /// It was made and would not be.
    Removed,
    /// It would be made otherwise.
    Changed,
}

/// A call then, a call now, or both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CallChange {
    /// What became of it.
    pub change: Change,
    /// Its position then.
    pub then: Option<u32>,
    /// Its position now.
    pub now: Option<u32>,
    /// What is different, when both are there.
    pub differences: Vec<Difference>,
}

/// Pairs the calls of two decisions and says what is different, in the order of now.
pub fn compare_calls(then: &[Sketch], now: &[Sketch]) -> Vec<CallChange> {
    let mut changes = Vec::with_capacity(then.len().max(now.len()));
    let (mut from_then, mut from_now) = (0, 0);
    let kept = alike(then, now);
    for (at_then, at_now) in kept.into_iter().chain([(then.len(), now.len())]) {
        between(then, now, from_then..at_then, from_now..at_now, &mut changes);
        if at_then < then.len() {
            changes.push(both(then, now, at_then, at_now));
        }
        (from_then, from_now) = (at_then + 1, at_now + 1);
    }
    changes
}

/// The longest row of calls that say the same in both, whatever their keys.
fn alike(then: &[Sketch], now: &[Sketch]) -> Vec<(usize, usize)> {
    let same: Vec<Vec<bool>> =
        then.iter().map(|one| now.iter().map(|other| says_the_same(one, other)).collect()).collect();
    let mut longest = vec![vec![0_usize; now.len() + 1]; then.len() + 1];
    for at_then in (0..then.len()).rev() {
        for at_now in (0..now.len()).rev() {
            longest[at_then][at_now] = if same[at_then][at_now] {
                longest[at_then + 1][at_now + 1] + 1
            } else {
                longest[at_then + 1][at_now].max(longest[at_then][at_now + 1])
            };
        }
    }
    let (mut at_then, mut at_now, mut row) = (0, 0, Vec::new());
    while at_then < then.len() && at_now < now.len() {
        if same[at_then][at_now] {
            row.push((at_then, at_now));
            (at_then, at_now) = (at_then + 1, at_now + 1);
        } else if longest[at_then + 1][at_now] >= longest[at_then][at_now + 1] {
            at_then += 1;
        } else {
            at_now += 1;
        }
    }
    row
}

/// Everything of a call that is compared as it is.
type Plain<'a> =
    (&'a str, &'a str, &'a str, &'a Option<String>, &'a Option<OnResult>, [&'a [Pair]; 2], &'a Option<Bytes>);

fn plain(call: &Sketch) -> Plain<'_> {
    let Sketch { destination, method, path, headers, body, order_key, on_result, attributes, .. } = call;
    (destination, method, path, order_key, on_result, [headers, attributes], body)
}

/// Whether nothing but the keys differs; asked of every pair, so nothing is read or cut for it.
fn says_the_same(then: &Sketch, now: &Sketch) -> bool {
    let at_the_same_time = then.delay_ms.is_none() || now.delay_ms.is_none() || is_near(then.delay_ms, now.delay_ms);
    at_the_same_time && is_near(then.expires_ms, now.expires_ms) && plain(then) == plain(now)
}

/// Calls between two that stayed: the next to the same destination is the same call.
fn between(
    then: &[Sketch],
    now: &[Sketch],
    old: std::ops::Range<usize>,
    new: std::ops::Range<usize>,
    changes: &mut Vec<CallChange>,
) {
    let mut left: Vec<usize> = old.collect();
    for at_now in new {
        match left.iter().position(|at| then[*at].destination == now[at_now].destination) {
            Some(found) => changes.push(both(then, now, left.remove(found), at_now)),
            None => changes.push(one(Change::Added, None, Some(at_now))),
        }
    }
    changes.extend(left.into_iter().map(|at| one(Change::Removed, Some(at), None)));
}

fn both(then: &[Sketch], now: &[Sketch], at_then: usize, at_now: usize) -> CallChange {
    let differences = differences(&then[at_then], &now[at_now]);
    let change = if differences.is_empty() { Change::Same } else { Change::Changed };
    CallChange { differences, ..one(change, Some(at_then), Some(at_now)) }
}

fn one(change: Change, then: Option<usize>, now: Option<usize>) -> CallChange {
    let position = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    CallChange { change, then: then.map(position), now: now.map(position), differences: Vec::new() }
}

fn differences(then: &Sketch, now: &Sketch) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut note = |field: &str, then: Option<&str>, now: Option<&str>| found.extend(Difference::of(field, then, now));
    note("destination", Some(&then.destination), Some(&now.destination));
    note("method", Some(&then.method), Some(&now.method));
    note("path", Some(&then.path), Some(&now.path));
    note("order_key", then.order_key.as_deref(), now.order_key.as_deref());
    if then.key.is_some() && now.key.is_some() {
        note("key", then.key.as_deref(), now.key.as_deref());
    }
    let wish = |one: &Option<OnResult>| one.as_ref().map(wish);
    note("on_result", wish(&then.on_result).as_deref(), wish(&now.on_result).as_deref());
    let ms = |time: Option<u64>| time.map(|ms| format!("{ms} ms"));
    if then.delay_ms.is_some() && now.delay_ms.is_some() && !is_near(then.delay_ms, now.delay_ms) {
        note("delay", ms(then.delay_ms).as_deref(), ms(now.delay_ms).as_deref());
    }
    if !is_near(then.expires_ms, now.expires_ms) {
        note("expires", ms(then.expires_ms).as_deref(), ms(now.expires_ms).as_deref());
    }
    found.extend(compare_pairs("headers", &then.headers, &now.headers));
    found.extend(compare_pairs("attributes", &then.attributes, &now.attributes));
    found.extend(compare_bodies("body", then.body.as_deref(), now.body.as_deref()));
    found
}

fn wish(on_result: &OnResult) -> String {
    let ends = match (on_result.on_delivered, on_result.on_dead) {
        (true, true) => "any end",
        (true, false) => "delivered",
        (false, true) => "dead",
        (false, false) => "no end",
    };
    format!("{} ({ends})", on_result.tag)
}

fn is_near(then: Option<u64>, now: Option<u64>) -> bool {
    match (then, now) {
        (Some(then), Some(now)) => then.abs_diff(now) < TIME_SLACK_MS,
        (then, now) => then == now,
    }
}

/// Compares pairs by name, values of one name in their order.
pub fn compare_pairs(what: &str, then: &[Pair], now: &[Pair]) -> Vec<Difference> {
    if then == now {
        return Vec::new();
    }
    let values = |pairs: &[Pair], name: &str| {
        let values: Vec<&str> = pairs.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    };
    let mut names: Vec<&str> = then.iter().chain(now).map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let difference = |name: &&str| {
        Difference::of(&format!("{what}.{name}"), values(then, name).as_deref(), values(now, name).as_deref())
    };
    names.iter().filter_map(difference).collect()
}

/// Compares bodies: JSON by pointer, others as text.
pub fn compare_bodies(what: &str, then: Option<&[u8]>, now: Option<&[u8]>) -> Vec<Difference> {
    if then == now {
        return Vec::new();
    }
    if let (Some(then), Some(now)) = (then, now) {
        let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).ok().filter(|value| !value.is_number());
        if let (Some(then), Some(now)) = (read(then), read(now))
            && then != now
        {
            let mut found = Vec::new();
            compare_values(what.to_owned(), Some(&then), Some(&now), &mut found);
            let more = found.len().saturating_sub(BODY_DIFFERENCES_MAX);
            found.truncate(BODY_DIFFERENCES_MAX);
            if more > 0 {
                found.push(Difference { field: format!("{what} (and {more} more)"), then: None, now: None });
            }
            return found;
        }
    }
    let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let (then_text, now_text) = (text(then), text(now));
    match Difference::of(what, then_text.as_deref(), now_text.as_deref()) {
        Some(difference) => vec![difference],
        // Different bytes that are no text and look the same when they are replaced.
        None => {
            let size = |bytes: Option<&[u8]>| bytes.map(|bytes| format!("{} bytes that are no text", bytes.len()));
            vec![Difference { field: what.to_owned(), then: size(then), now: size(now) }]
        }
    }
}

fn compare_values(at: String, then: Option<&Value>, now: Option<&Value>, found: &mut Vec<Difference>) {
    match (then, now) {
        (Some(Value::Object(then)), Some(Value::Object(now))) => {
            let mut names: Vec<&String> = then.keys().chain(now.keys()).collect();
            names.sort_unstable();
            names.dedup();
            for name in names {
                let step = name.replace('~', "~0").replace('/', "~1");
                compare_values(format!("{at}/{step}"), then.get(name), now.get(name), found);
            }
        }
        (Some(Value::Array(then)), Some(Value::Array(now))) => {
            for index in 0..then.len().max(now.len()) {
                compare_values(format!("{at}/{index}"), then.get(index), now.get(index), found);
            }
        }
        (then, now) => {
            let text = |value: Option<&Value>| value.map(Value::to_string);
            found.extend(Difference::of(&at, text(then).as_deref(), text(now).as_deref()));
        }
    }
}

/// Two texts around the place where they part.
fn parted(then: &str, now: &str) -> (String, String) {
    let common = then.chars().zip(now.chars()).take_while(|(one, other)| one == other).count();
    let from = common.saturating_sub(LEAD_CHARS);
    let fits = |text: &str| text.chars().nth(VALUE_CHARS_MAX).is_none();
    if (fits(then) && fits(now)) || from == 0 {
        return (head(then), head(now));
    }
    let cut = |text: &str| format!("…{}", head(&text.chars().skip(from).collect::<String>()));
    (cut(then), cut(now))
}

fn head(text: &str) -> String {
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(destination: &str, body: &str, key: &str) -> Sketch {
        Sketch {
            destination: destination.to_owned(),
            method: "POST".to_owned(),
            body: Some(Bytes::copy_from_slice(body.as_bytes())),
            key: Some(key.to_owned()),
            delay_ms: Some(0),
            ..Sketch::default()
        }
    }

    fn told(changes: &[CallChange]) -> Vec<(Change, Option<u32>, Option<u32>)> {
        changes.iter().map(|one| (one.change, one.then, one.now)).collect()
    }

    #[test]
    fn the_same_is_the_same() {
        let calls = [call("crm", "{}", "a"), call("crm", "{}", "b")];
        let changes = compare_calls(&calls, &calls);
        assert_eq!(told(&changes), [(Change::Same, Some(0), Some(0)), (Change::Same, Some(1), Some(1))]);
        assert!(compare_calls(&[], &[]).is_empty());
    }

    #[test]
    fn a_call_in_front_is_one_that_was_added_and_the_others_have_new_keys() {
        let then = [call("crm", "1", "a"), call("slack", "2", "b")];
        let now = [call("sms", "0", "a"), call("crm", "1", "b"), call("slack", "2", "c")];
        let changes = compare_calls(&then, &now);
        assert_eq!(
            told(&changes),
            [(Change::Added, None, Some(0)), (Change::Changed, Some(0), Some(1)), (Change::Changed, Some(1), Some(2))]
        );
        assert_eq!(changes[1].differences, [Difference::of("key", Some("a"), Some("b")).unwrap()]);
        let unknown = [Sketch { key: None, ..call("crm", "1", "") }];
        assert_eq!(compare_calls(&then[..1], &unknown)[0].change, Change::Same);
    }

    #[test]
    fn another_body_to_the_same_place_is_a_change_and_to_another_place_is_not() {
        let then = [call("crm", r#"{"a":1,"b":[1,2],"c/d":"x"}"#, "a"), call("sms", "bye", "b")];
        let now = [call("crm", r#"{"a":1,"b":[1,3,4],"c/d":"y"}"#, "a"), call("slack", "bye", "b")];
        let changes = compare_calls(&then, &now);
        assert_eq!(
            told(&changes),
            [(Change::Changed, Some(0), Some(0)), (Change::Added, None, Some(1)), (Change::Removed, Some(1), None)]
        );
        let fields: Vec<_> = changes[0].differences.iter().map(|one| one.field.as_str()).collect();
        assert_eq!(fields, ["body/b/1", "body/b/2", "body/c~1d"]);
        assert_eq!(
            changes[0].differences[1],
            Difference { field: "body/b/2".into(), then: None, now: Some("4".into()) }
        );
    }

    #[test]
    fn each_field_is_seen() {
        let plain = call("crm", "x", "a");
        let wish = OnResult { tag: "book".into(), on_delivered: true, on_dead: false };
        let changed = [
            ("method", Sketch { method: "PUT".into(), ..plain.clone() }),
            ("path", Sketch { path: "/x".into(), ..plain.clone() }),
            ("headers.x-a", Sketch { headers: vec![("x-a".into(), "1".into())], ..plain.clone() }),
            ("attributes.note", Sketch { attributes: vec![("note".into(), "1".into())], ..plain.clone() }),
            ("body", Sketch { body: None, ..plain.clone() }),
            ("order_key", Sketch { order_key: Some("k".into()), ..plain.clone() }),
            ("delay", Sketch { delay_ms: Some(5_000), ..plain.clone() }),
            ("expires", Sketch { expires_ms: Some(5_000), ..plain.clone() }),
            ("on_result", Sketch { on_result: Some(wish), ..plain.clone() }),
            ("key", Sketch { key: Some("b".into()), ..plain.clone() }),
        ];
        for (field, now) in changed {
            let changes = compare_calls(std::slice::from_ref(&plain), &[now]);
            let fields: Vec<_> = changes[0].differences.iter().map(|one| one.field.as_str()).collect();
            assert_eq!((changes[0].change, fields), (Change::Changed, vec![field]));
        }
        let late = Sketch { delay_ms: Some(3), expires_ms: None, ..plain.clone() };
        assert_eq!(compare_calls(&[plain], &[late])[0].change, Change::Same, "moments are only known so well");
    }

    #[test]
    fn long_texts_are_cut_where_they_part_and_long_lists_are_counted() {
        let (then, now) = (format!("{}a", "ä".repeat(1_000)), format!("{}b", "ä".repeat(1_000)));
        let found = compare_bodies("body", Some(then.as_bytes()), Some(now.as_bytes()));
        assert_eq!(found[0].now.as_deref(), Some(format!("…{}b", "ä".repeat(LEAD_CHARS)).as_str()));
        let list = |value: u8| serde_json::to_vec(&vec![value; 40]).unwrap();
        let found = compare_bodies("body", Some(&list(1)), Some(&list(2)));
        assert_eq!((found.len(), found[16].field.as_str()), (17, "body (and 24 more)"));
        let found = compare_bodies("body", Some(&[0xff, 0xfe]), Some(&[0xfe, 0xff]));
        assert_eq!(found[0].then.as_deref(), Some("2 bytes that are no text"));
    }
}

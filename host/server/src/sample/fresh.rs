//! Changes to a sample's body: new ids, the present time, what a person sets, a token in every item.
//!
//! New ids look like the old ones: the last twelve letters and digits are replaced, each by one of its own kind, so that
//! a UUID stays one and a prefix such as `evt_` stays where it is. An id that occurs several times stays the same one, as a
//! number, a text or the end of a path.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use creel_webhook::clock::Timestamp;
use creel_webhook::pointer::{Place, Pointer, scalar};
use creel_webhook::provider::{EventRules, Parts, TimeUnit};
use creel_webhook::signature::model::Method;
use creel_webhook::signature::scheme::Scheme;
use creel_webhook::signature::window::Unit;
use serde_json::{Number, Value};

use crate::sample::payload::Payload;
use crate::system::Entropy;

/// Letters and digits of an id that are replaced.
const REPLACED_MAX: usize = 12;

/// A new message id, in the form of a UUID of version 4.
pub(super) fn id(entropy: &Entropy) -> String {
    let text = hex::encode(entropy.bytes::<16>());
    format!("{}-{}-4{}-a{}-{}", &text[..8], &text[8..12], &text[13..16], &text[17..20], &text[20..])
}

/// New ids and times wherever the provider's rules read them, and new values where else a body is `telling`.
pub(super) fn renew(payload: &mut Payload, rules: &EventRules, telling: &[&str], now: Timestamp, entropy: &Entropy) {
    match payload {
        Payload::Form(pairs) => renew_form(pairs, rules, now, entropy),
        Payload::Json(body) => {
            telling.iter().for_each(|path| renew_at(body, path, entropy));
            match batch(body, rules) {
                Some(items) => items.iter_mut().for_each(|item| renew_json(item, rules, now, entropy)),
                None => renew_json(body, rules, now, entropy),
            }
        }
    }
}

fn batch<'b>(body: &'b mut Value, rules: &EventRules) -> Option<&'b mut Vec<Value>> {
    match &rules.batch.as_ref()?.place {
        Place::Json(path) => body.pointer_mut(path)?.as_array_mut(),
        _ => None,
    }
}

/// The parts of the first id that is there, without those that say what happened or when.
fn id_places(rules: &EventRules, holds: impl Fn(&Pointer) -> bool) -> Vec<&Place> {
    let first = rules.id.iter().find(|parts| {
        let pointers = parts.pointers();
        let read = |pointer: &Pointer| match &pointer.place {
            // A single header is set by whoever sends; of several, none is.
            Place::Header(_) => pointers.len() == 1,
            Place::Json(_) | Place::Form(_) => pointer.optional || holds(pointer),
            _ => true,
        };
        pointers.iter().all(read)
    });
    let told = |pointer: &&Pointer| {
        let of_kind = rules.kind.iter().flat_map(Parts::pointers).any(|kind| kind.place == pointer.place);
        !of_kind && rules.time.as_ref().is_none_or(|rule| rule.from.place != pointer.place)
    };
    first.into_iter().flat_map(Parts::pointers).filter(told).map(|pointer| &pointer.place).collect()
}

/// A pointer's name or path, when it leads into the body.
fn in_body(pointer: &Pointer) -> Option<&String> {
    match &pointer.place {
        Place::Json(path) => Some(path),
        Place::Form(name) => Some(name),
        _ => None,
    }
}

fn renew_form(pairs: &mut [(String, String)], rules: &EventRules, now: Timestamp, entropy: &Entropy) {
    let has = |pointer: &Pointer| in_body(pointer).is_some_and(|name| pairs.iter().any(|(have, _)| have == name));
    let names: Vec<String> = id_places(rules, has)
        .into_iter()
        .filter_map(|place| match place {
            Place::Form(name) => Some(name.clone()),
            _ => None,
        })
        .collect();
    let mut replaced = BTreeMap::new();
    for (_, value) in pairs.iter().filter(|(name, _)| names.contains(name)) {
        replaced.insert(value.clone(), similar(value, entropy));
    }
    for (name, value) in pairs.iter_mut() {
        if let Some(new) = replaced.get(value) {
            value.clone_from(new);
        }
        let is_time = |rule: &&creel_webhook::provider::TimeRule| rule.from.place == Place::Form(name.clone());
        if let Some(rule) = rules.time.as_ref().filter(is_time) {
            *value = time(rule.unit, now);
        }
    }
}

fn renew_json(body: &mut Value, rules: &EventRules, now: Timestamp, entropy: &Entropy) {
    let has = |pointer: &Pointer| in_body(pointer).is_some_and(|path| body.pointer(path).is_some());
    let paths: Vec<String> = id_places(rules, has)
        .into_iter()
        .filter_map(|place| match place {
            Place::Json(path) => Some(path.clone()),
            _ => None,
        })
        .collect();
    paths.iter().for_each(|path| renew_at(body, path, entropy));
    if let Some(rule) = &rules.time
        && let Place::Json(path) = &rule.from.place
    {
        put(body, path, &time(rule.unit, now));
    }
}

/// Makes the id at a place another, wherever it stands.
fn renew_at(body: &mut Value, path: &str, entropy: &Entropy) {
    if let Some(old @ (Value::String(_) | Value::Number(_))) = body.pointer(path)
        && let Some(old) = scalar(old)
    {
        replace(body, &old, &similar(&old, entropy));
    }
}

/// Another id of the same look.
fn similar(text: &str, entropy: &Entropy) -> String {
    let total = text.chars().filter(char::is_ascii_alphanumeric).count();
    let keep = total.saturating_sub(REPLACED_MAX);
    let mut seen = 0;
    let other = |old: char| {
        seen += usize::from(old.is_ascii_alphanumeric());
        // A number keeps its first digit, which may not be zero.
        if seen <= keep.max(1) { old } else { one_like(old, entropy.bytes::<1>()[0]) }
    };
    text.chars().map(other).collect()
}

fn one_like(old: char, random: u8) -> char {
    let kinds: [&[u8]; 5] = [b"0123456789", b"abcdef", b"ABCDEF", b"ghijkmnpqrstuvwxyz", b"GHJKLMNPQRSTUVWXYZ"];
    let kind = kinds.into_iter().find(|kind| kind.contains(&(old as u8)) && old.is_ascii());
    kind.map_or(old, |kind| kind[usize::from(random) % kind.len()] as char)
}

/// Replaces an id wherever it is a whole value or the last part of a path.
fn replace(value: &mut Value, old: &str, new: &str) {
    match value {
        Value::String(text) => {
            if let Some(before) = text.strip_suffix(old).filter(|before| before.is_empty() || before.ends_with('/')) {
                *text = format!("{before}{new}");
            }
        }
        Value::Number(number) if number.to_string() == old => put(value, "", new),
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, old, new)),
        Value::Object(map) => map.values_mut().for_each(|item| replace(item, old, new)),
        _ => {}
    }
}

/// Sets a value that is there, keeping whether it is a number.
fn put(body: &mut Value, path: &str, text: &str) {
    match body.pointer_mut(path) {
        Some(Value::String(old)) => *old = text.to_owned(),
        Some(slot @ Value::Number(_)) => {
            if let Ok(number) = text.parse::<Number>() {
                *slot = Value::Number(number);
            }
        }
        _ => {}
    }
}

/// Sets the timestamp in the body by which the scheme tells a request's age: without it, no request would be genuine.
pub(super) fn stamp(payload: &mut Payload, scheme: &Scheme, now: Timestamp) {
    let Payload::Json(body) = payload else { return };
    for method in scheme.methods() {
        let (Method::Mac(signed) | Method::Sig(signed)) = method else { continue };
        let Some(rule) = &signed.ts else { continue };
        if let Place::Json(path) = &rule.from.place {
            let unit = if rule.unit == Unit::Ms { TimeUnit::Ms } else { TimeUnit::S };
            put(body, path, &time(unit, now));
        }
    }
}

/// A time in a provider's notation.
pub(super) fn time(unit: TimeUnit, now: Timestamp) -> String {
    let moment = jiff::Timestamp::from_millisecond(now.as_millis()).unwrap_or_default();
    match unit {
        TimeUnit::S => now.as_secs().to_string(),
        TimeUnit::Ms => now.as_millis().to_string(),
        TimeUnit::Iso => now.to_string(),
        TimeUnit::Rfc2822 => moment.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string(),
    }
}

/// Sets what a person asked for: a value of JSON (or else a text) at a pointer, or a form's field. The last part of the
/// pointer may be new.
pub(super) fn set(payload: &mut Payload, pointer: &str, value: &str) -> anyhow::Result<()> {
    let path = pointer.strip_prefix('/').with_context(|| format!("`{pointer}` must begin with `/`"))?;
    match payload {
        Payload::Form(pairs) => match pairs.iter_mut().find(|(name, _)| name == path) {
            Some((_, old)) => *old = value.to_owned(),
            None => pairs.push((path.to_owned(), value.to_owned())),
        },
        Payload::Json(body) => {
            let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
            if let Some(slot) = body.pointer_mut(pointer) {
                *slot = value;
                return Ok(());
            }
            let (parent, name) = pointer.rsplit_once('/').unwrap_or_default();
            let map = body.pointer_mut(parent).and_then(Value::as_object_mut);
            ensure!(map.is_some(), "the sample has no object at `{parent}`, so `{pointer}` can't be set");
            let name = name.replace("~1", "/").replace("~0", "~");
            map.into_iter().for_each(|map| drop(map.insert(name.clone(), value.clone())));
        }
    }
    Ok(())
}

/// Sets every value that a path with `*` segments leads to.
pub(super) fn fill(payload: &mut Payload, path: &str, text: &str) {
    let Payload::Json(body) = payload else { return };
    let mut found = vec![body];
    for segment in path.split('/').skip(1) {
        found = found.into_iter().flat_map(|value| below(value, segment)).collect();
    }
    found.into_iter().for_each(|slot| *slot = Value::String(text.to_owned()));
}

fn below<'v>(value: &'v mut Value, segment: &str) -> Vec<&'v mut Value> {
    match value {
        Value::Array(items) if segment == "*" => items.iter_mut().collect(),
        Value::Object(map) => map.get_mut(segment).into_iter().collect(),
        _ => Vec::new(),
    }
}

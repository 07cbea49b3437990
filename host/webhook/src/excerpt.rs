//! Single values of a JSON body, read without a copy of the rest.
//!
//! What proves a request may stand in its body: a token in each item, the time of sending, the fields that a
//! signature covers. A tree of the whole body would be several times its size, for a stranger who has proven nothing
//! yet. Here the parser walks past what is not wanted.
//!
//! - What is found is what stands in the [`crate::tree`] of the whole body: the last of a name that occurs twice;
//!   nothing when any of the body is not JSON, is nested too deep, or follows the JSON.
//! - Text is borrowed from the body unless it has escapes. [`fields`] leaves even those where they are.
//! - What is not wanted is left as written. The parser checks the grammar of that, and `is_sound` the rest of what it
//!   checks in a value that it keeps. So nothing is allocated for it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Number;
use serde_json::value::RawValue;

/// Levels of lists and objects that the parser takes.
const LEVELS_MAX: usize = 127;

/// Shorter numbers without an exponent fit: the largest that does has 309 digits.
const FITTING_DIGITS: usize = 300;

/// A value, as far as a proof needs it.
#[derive(Debug, Clone, PartialEq)]
pub enum Found<'b> {
    /// A text.
    Text(Cow<'b, str>),
    /// A number.
    Number(Number),
    /// `true`, `false`, `null`, a list or an object; of several values, one that is no text.
    Other,
    /// Texts that are not all the same; only [`every_value`] finds them.
    Mixed,
}

/// The value at a JSON pointer (RFC 6901).
pub fn value_at<'b>(body: &'b [u8], path: &str) -> Option<Found<'b>> {
    if !path.is_empty() && !path.starts_with('/') {
        return None;
    }
    walk(body, &steps(path, false))
}

/// What all values have in common at a path with `*` for every item; `None` when the shape is another anywhere or a
/// list is empty, so that "every one of them" is never true of nothing.
pub fn every_value<'b>(body: &'b [u8], path: &str) -> Option<Found<'b>> {
    walk(body, &steps(path, true))
}

/// A step of a path.
enum Step {
    /// Into every item of a list.
    Every,
    /// To the member of an object, or the item of a list, of this name.
    To(String),
}

fn steps(path: &str, has_every: bool) -> Vec<Step> {
    let step = |segment: &str| match segment {
        "*" if has_every => Step::Every,
        _ => Step::To(segment.replace("~1", "/").replace("~0", "~")),
    };
    path.split('/').skip(1).map(step).collect()
}

fn walk<'b>(body: &'b [u8], steps: &[Step]) -> Option<Found<'b>> {
    read(body, Walk { steps, room: LEVELS_MAX }).flatten()
}

/// What a seed makes of the body, if all of the body is one JSON value.
fn read<'b, S: DeserializeSeed<'b>>(body: &'b [u8], seed: S) -> Option<S::Value> {
    let mut parser = serde_json::Deserializer::from_slice(body);
    let value = seed.deserialize(&mut parser).ok()?;
    parser.end().ok()?;
    Some(value)
}

/// Follows the steps from here on.
#[derive(Clone, Copy)]
struct Walk<'p> {
    steps: &'p [Step],
    /// How many levels may still be opened.
    room: usize,
}

impl<'p> Walk<'p> {
    /// One level further in.
    fn below<E: Error>(self, steps: &'p [Step]) -> Result<Self, E> {
        let room = self.room.checked_sub(1).ok_or_else(unsound)?;
        Ok(Walk { steps, room })
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = Option<Found<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        if !self.steps.is_empty() {
            return deserializer.deserialize_any(self);
        }
        let raw = Past { room: self.room }.deserialize(deserializer)?;
        found(raw).map(Some).ok_or_else(unsound)
    }
}

/// No step leads into a scalar.
impl<'de> Visitor<'de> for Walk<'_> {
    type Value = Option<Found<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let Some((step, rest)) = self.steps.split_first() else { return Err(unsound()) };
        let below = self.below(rest)?;
        let past = Past { room: below.room };
        let wanted = match step {
            Step::Every => return every(items, below),
            Step::To(name) => index(name),
        };
        let (mut at, mut found) = (0, None);
        loop {
            if Some(at) == wanted {
                let Some(item) = items.next_element_seed(below)? else { return Ok(None) };
                found = item;
            } else if items.next_element_seed(past)?.is_none() {
                return Ok(found);
            }
            at += 1;
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let Some((step, rest)) = self.steps.split_first() else { return Err(unsound()) };
        let below = self.below(rest)?;
        let past = Past { room: below.room };
        let wanted = match step {
            Step::Every => &[][..],
            Step::To(name) => &[name.as_str()],
        };
        let mut found = None;
        while let Some(member) = members.next_key_seed(OneOf(wanted))? {
            match member {
                Some(_) => found = members.next_value_seed(below)?,
                None => drop(members.next_value_seed(past)?),
            }
        }
        Ok(found)
    }
}

/// What all items have in common.
fn every<'de, A: SeqAccess<'de>>(mut items: A, each: Walk<'_>) -> Result<Option<Found<'de>>, A::Error> {
    let mut all: Option<Option<Found<'de>>> = None;
    while let Some(found) = items.next_element_seed(each)? {
        all = Some(match all {
            None => found,
            Some(before) => before.zip(found).map(|(before, found)| common(before, found)),
        });
    }
    Ok(all.flatten())
}

fn common<'b>(before: Found<'b>, found: Found<'b>) -> Found<'b> {
    match (before, found) {
        (Found::Text(before), Found::Text(text)) if before == text => Found::Text(before),
        (Found::Text(_) | Found::Mixed, Found::Text(_) | Found::Mixed) => Found::Mixed,
        _ => Found::Other,
    }
}

/// The index that a step into a list means: digits without a sign or leading zeros (RFC 6901 section 4).
fn index(name: &str) -> Option<usize> {
    let has_more = name.starts_with('+') || (name.starts_with('0') && name.len() > 1);
    name.parse().ok().filter(|_| !has_more)
}

/// The place of an object's name among these names.
struct OneOf<'n>(&'n [&'n str]);

impl<'de> DeserializeSeed<'de> for OneOf<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for OneOf<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|wanted| *wanted == name))
    }
}

/// Goes past a value, which is left as written, and refuses what the parser refuses in one that it keeps.
#[derive(Clone, Copy)]
struct Past {
    /// How many levels may still be opened.
    room: usize,
}

impl<'de> DeserializeSeed<'de> for Past {
    type Value = &'de str;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<&'de str, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        if is_sound(raw, self.room) { Ok(raw) } else { Err(unsound()) }
    }
}

fn unsound<E: Error>() -> E {
    E::custom("a value that cannot be kept")
}

/// Whether the parser would keep a value, given one whose grammar is right. It skips the rest: that lists and objects are
/// not nested too deep, that no half of a surrogate pair stands alone, that every number is less than infinite.
fn is_sound(raw: &str, room: usize) -> bool {
    let (mut rest, mut levels) = (raw, 0_usize);
    let begins = |byte: &u8| matches!(byte, b'"' | b'[' | b'{' | b']' | b'}' | b'-' | b'0'..=b'9');
    while let Some(at) = rest.as_bytes().iter().position(begins) {
        let (token, after) = rest[at..].split_at(1);
        rest = after;
        match token {
            "[" | "{" => levels += 1,
            "]" | "}" => levels = levels.saturating_sub(1),
            "\"" => {
                let Some((text, after)) = text_and_rest(after) else { return false };
                rest = after;
                if text.each_piece(|_| {}).is_none() {
                    return false;
                }
            }
            _ => {
                let end = after.find(|c| !matches!(c, '0'..='9' | '.' | 'e' | 'E' | '+' | '-')).unwrap_or(after.len());
                rest = &after[end..];
                let number = &raw[raw.len() - after.len() - 1..raw.len() - rest.len()];
                let may_be_infinite = number.len() > FITTING_DIGITS || number.contains(['e', 'E']);
                if may_be_infinite && serde_json::from_str::<Number>(number).is_err() {
                    return false;
                }
            }
        }
        if levels > room {
            return false;
        }
    }
    true
}

/// The text that has just been opened, and what follows its closing quote: the first without a backslash of its own.
fn text_and_rest(opened: &str) -> Option<(Written<'_>, &str)> {
    let mut from = 0;
    loop {
        let quote = from + opened[from..].find('"')?;
        let backslashes = opened.as_bytes()[from..quote].iter().rev().take_while(|byte| **byte == b'\\').count();
        if backslashes % 2 == 0 {
            return Some((Written(&opened[..quote]), &opened[quote + 1..]));
        }
        from = quote + 1;
    }
}

/// What a value is that is left as written.
fn found(raw: &str) -> Option<Found<'_>> {
    Some(match raw.as_bytes().first()? {
        b'"' => Found::Text(text_and_rest(&raw[1..])?.0.text()),
        b'-' | b'0'..=b'9' => Found::Number(serde_json::from_str(raw).ok()?),
        _ => Found::Other,
    })
}

/// A member of the body's object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field<'b> {
    /// A text.
    Text(Written<'b>),
    /// `null`.
    Null,
    /// Anything else.
    Other,
}

/// The members of these names of a body that is an object; `None` when it is none.
pub fn fields<'n, 'b>(body: &'b [u8], names: &'n [&'n str]) -> Option<BTreeMap<&'n str, Field<'b>>> {
    read(body, Fields(names))
}

struct Fields<'n>(&'n [&'n str]);

impl<'n, 'de> DeserializeSeed<'de> for Fields<'n> {
    type Value = BTreeMap<&'n str, Field<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'n, 'de> Visitor<'de> for Fields<'n> {
    type Value = BTreeMap<&'n str, Field<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let past = Past { room: LEVELS_MAX - 1 };
        let mut found = BTreeMap::new();
        while let Some(member) = members.next_key_seed(OneOf(self.0))? {
            match member.and_then(|at| self.0.get(at)) {
                Some(name) => {
                    let raw = members.next_value_seed(past)?;
                    found.insert(*name, field(raw).ok_or_else(unsound)?);
                }
                None => drop(members.next_value_seed(past)?),
            }
        }
        Ok(found)
    }
}

fn field(raw: &str) -> Option<Field<'_>> {
    Some(match raw.as_bytes().first()? {
        b'"' => Field::Text(text_and_rest(&raw[1..])?.0),
        b'n' => Field::Null,
        _ => Field::Other,
    })
}

/// A text of the body with its escapes still in it (RFC 8259 section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written<'b>(&'b str);

impl<'b> Written<'b> {
    /// What is written, borrowed when there are no escapes.
    pub fn text(self) -> Cow<'b, str> {
        if !self.0.contains('\\') {
            return Cow::Borrowed(self.0);
        }
        let mut text = String::new();
        // Only what has been read to its end once is given out.
        let _ = self.each_piece(|piece| text.push_str(piece));
        Cow::Owned(text)
    }

    /// Calls with the text, piece by piece; `None` at what is no escape or half of a surrogate pair.
    pub fn each_piece(self, mut take: impl FnMut(&str)) -> Option<()> {
        let mut rest = self.0;
        while let Some((before, escape)) = rest.split_once('\\') {
            take(before);
            let (character, after) = unescaped(escape)?;
            take(character.encode_utf8(&mut [0; 4]));
            rest = after;
        }
        take(rest);
        Some(())
    }
}

/// The character of an escape, given what follows its backslash, and the rest.
fn unescaped(escape: &str) -> Option<(char, &str)> {
    let (kind, rest) = escape.split_at_checked(1)?;
    let character = match kind {
        "\"" | "\\" | "/" => kind.chars().next()?,
        "b" => '\u{8}',
        "f" => '\u{c}',
        "n" => '\n',
        "r" => '\r',
        "t" => '\t',
        "u" => return unicode(rest),
        _ => return None,
    };
    Some((character, rest))
}

fn unicode(digits: &str) -> Option<(char, &str)> {
    let (first, rest) = code_unit(digits)?;
    if let Some(character) = char::from_u32(first.into()) {
        return Some((character, rest));
    }
    let (second, rest) = code_unit(rest.strip_prefix("\\u")?)?;
    let character = char::decode_utf16([first, second]).next()?.ok()?;
    Some((character, rest))
}

fn code_unit(text: &str) -> Option<(u16, &str)> {
    let (digits, rest) = text.split_at_checked(4)?;
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    u16::from_str_radix(digits, 16).ok().filter(|_| is_hex).map(|unit| (unit, rest))
}

//! How requests, calls and answers are packed into one column each.
//!
//! Lists of pairs are written as a count and then, per text, its length and its bytes; numbers are LEB128, seven
//! bits a byte, low bits first. A packed value begins with its version, so that a later form can be told from this
//! one. Reading checks every length: a damaged row is an error, never a panic and never a huge allocation.

use bytes::Bytes;
use creel_webhook::outcome::Pair;

use crate::contract::StoredAnswer;

const VERSION: u8 = 1;

/// Bytes that are not what this module wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a packed column is damaged or was written by a newer version")]
pub(crate) struct Damaged;

/// What is kept of a request besides its body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct RequestHead {
    /// The method.
    pub(crate) method: String,
    /// The scheme that proved it genuine.
    pub(crate) scheme: String,
    /// Decoded query parameters.
    pub(crate) query: Vec<Pair>,
    /// Headers in lower case.
    pub(crate) headers: Vec<Pair>,
    /// Facts for the guest.
    pub(crate) attributes: Vec<Pair>,
}

/// Packs a request's head.
pub(crate) fn request_head(
    method: &str,
    scheme: &str,
    query: &[Pair],
    headers: &[Pair],
    attributes: &[Pair],
) -> Vec<u8> {
    let mut out = Vec::with_capacity(1_024);
    out.push(VERSION);
    text(&mut out, method.as_bytes());
    text(&mut out, scheme.as_bytes());
    pairs(&mut out, query);
    pairs(&mut out, headers);
    pairs(&mut out, attributes);
    out
}

/// Unpacks a request's head.
pub(crate) fn read_request_head(bytes: &[u8]) -> Result<RequestHead, Damaged> {
    let mut reader = Reader::open(bytes)?;
    Ok(RequestHead {
        method: reader.text()?,
        scheme: reader.text()?,
        query: reader.pairs()?,
        headers: reader.pairs()?,
        attributes: reader.pairs()?,
    })
}

/// Packs a call's headers and attributes.
pub(crate) fn call_head(headers: &[Pair], attributes: &[Pair]) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.push(VERSION);
    pairs(&mut out, headers);
    pairs(&mut out, attributes);
    out
}

/// Unpacks a call's headers; its attributes follow.
pub(crate) fn read_call_head(bytes: &[u8]) -> Result<(Vec<Pair>, Vec<Pair>), Damaged> {
    let mut reader = Reader::open(bytes)?;
    Ok((reader.pairs()?, reader.pairs()?))
}

/// Packs an answer.
pub(crate) fn answer(answer: &StoredAnswer) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + answer.body.len());
    out.push(VERSION);
    number(&mut out, u64::from(answer.status));
    pairs(&mut out, &answer.headers);
    text(&mut out, &answer.body);
    out
}

/// Unpacks an answer.
pub(crate) fn read_answer(bytes: &[u8]) -> Result<StoredAnswer, Damaged> {
    let mut reader = Reader::open(bytes)?;
    Ok(StoredAnswer {
        status: u16::try_from(reader.number()?).map_err(|_| Damaged)?,
        headers: reader.pairs()?,
        body: Bytes::copy_from_slice(reader.bytes()?),
    })
}

/// A dedup key's hash, its event, and until when it counts in milliseconds since 1970.
pub(crate) type PackedKey = ([u8; 16], [u8; 16], i64);

/// Packs dedup keys, forty bytes each.
pub(crate) fn keys(keys: &[PackedKey]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + 40 * keys.len());
    out.push(VERSION);
    for (hash, event, until) in keys {
        out.extend_from_slice(hash);
        out.extend_from_slice(event);
        out.extend_from_slice(&until.to_be_bytes());
    }
    out
}

/// Unpacks dedup keys.
pub(crate) fn read_keys(bytes: &[u8]) -> Result<Vec<PackedKey>, Damaged> {
    let (keys, rest) = Reader::open(bytes)?.rest.as_chunks::<40>();
    let part = |key: &[u8; 40], from: usize| *key[from..].first_chunk::<16>().unwrap_or(&[0; 16]);
    let until = |key: &[u8; 40]| i64::from_be_bytes(*key.last_chunk::<8>().unwrap_or(&[0; 8]));
    if rest.is_empty() {
        Ok(keys.iter().map(|key| (part(key, 0), part(key, 16), until(key))).collect())
    } else {
        Err(Damaged)
    }
}

fn number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn pairs(out: &mut Vec<u8>, list: &[Pair]) {
    number(out, list.len() as u64);
    for (name, value) in list {
        text(out, name.as_bytes());
        text(out, value.as_bytes());
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn open(bytes: &'a [u8]) -> Result<Self, Damaged> {
        match bytes.split_first() {
            Some((&VERSION, rest)) => Ok(Reader { rest }),
            _ => Err(Damaged),
        }
    }

    fn number(&mut self) -> Result<u64, Damaged> {
        let mut value = 0_u64;
        for shift in (0..63).step_by(7) {
            let (&byte, rest) = self.rest.split_first().ok_or(Damaged)?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Damaged)
    }

    fn bytes(&mut self) -> Result<&'a [u8], Damaged> {
        let length = usize::try_from(self.number()?).map_err(|_| Damaged)?;
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Damaged)?;
        self.rest = rest;
        Ok(taken)
    }

    fn text(&mut self) -> Result<String, Damaged> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| Damaged)
    }

    fn pairs(&mut self) -> Result<Vec<Pair>, Damaged> {
        let count = self.number()?;
        // Each pair takes two bytes at least, so a damaged count can't ask for more memory than the column has.
        if count > self.rest.len() as u64 / 2 {
            return Err(Damaged);
        }
        (0..count).map(|_| Ok((self.text()?, self.text()?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> Vec<Pair> {
        names.iter().map(|name| ((*name).to_owned(), name.repeat(100))).collect()
    }

    #[test]
    fn what_was_packed_is_unpacked() {
        let head = RequestHead {
            method: "POST".into(),
            scheme: "hmac".into(),
            query: vec![],
            headers: list(&["host", "ü"]),
            attributes: list(&["a"]),
        };
        let packed = request_head(&head.method, &head.scheme, &head.query, &head.headers, &head.attributes);
        assert_eq!(read_request_head(&packed), Ok(head));
        let told = StoredAnswer { status: 503, headers: list(&["x"]), body: Bytes::from_static(&[0, 255]) };
        assert_eq!(read_answer(&answer(&told)), Ok(told));
        assert_eq!(read_call_head(&call_head(&list(&["h"]), &[])), Ok((list(&["h"]), vec![])));
        let some = [([1; 16], [2; 16], -3), ([4; 16], [5; 16], i64::MAX)];
        assert_eq!(read_keys(&keys(&some)), Ok(some.to_vec()));
        assert_eq!(read_keys(&keys(&some)[..80]), Err(Damaged));
    }

    #[test]
    fn every_truncation_is_an_error() {
        let packed = request_head("POST", "hmac", &list(&["q"]), &list(&["host"]), &[]);
        for length in 0..packed.len() {
            assert_eq!(read_request_head(&packed[..length]), Err(Damaged), "{length}");
        }
        assert_eq!(read_request_head(&[2]), Err(Damaged));
        assert_eq!(read_call_head(&[1, 0xff, 0xff, 0xff, 0xff, 0x0f]), Err(Damaged));
    }
}

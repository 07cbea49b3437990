//! How requests, calls, answers and records are packed into one column each.
//!
//! The words of the packing are in `packing`; what a run read is in `record`. A packed value begins with its version, so
//! that a later form can be told from this one.

pub(crate) mod packing;
pub(crate) mod record;

use bytes::Bytes;
use creel_webhook::outcome::Pair;

use crate::codec::packing::{Damaged, Reader, number, pairs, text};
use crate::contract::StoredAnswer;

const VERSION: u8 = 1;

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

/// How long pairs are when they are packed: nearly every length takes one byte or two.
fn pairs_len<T: AsRef<str>>(list: &[(T, T)]) -> usize {
    list.iter().map(|(name, value)| name.as_ref().len() + value.as_ref().len() + 4).sum()
}

/// Packs a request's head.
pub(crate) fn request_head<T: AsRef<str>>(
    method: &str,
    scheme: &str,
    query: &[Pair],
    headers: &[(T, T)],
    attributes: &[Pair],
) -> Vec<u8> {
    let lists = pairs_len(query) + pairs_len(headers) + pairs_len(attributes);
    let mut out = Vec::with_capacity(16 + method.len() + scheme.len() + lists);
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
    let mut reader = Reader::open(bytes, VERSION)?;
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
    let mut reader = Reader::open(bytes, VERSION)?;
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
    let mut reader = Reader::open(bytes, VERSION)?;
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
    let (keys, rest) = Reader::open(bytes, VERSION)?.rest().as_chunks::<40>();
    let part = |key: &[u8; 40], from: usize| *key[from..].first_chunk::<16>().unwrap_or(&[0; 16]);
    let until = |key: &[u8; 40]| i64::from_be_bytes(*key.last_chunk::<8>().unwrap_or(&[0; 8]));
    if rest.is_empty() {
        Ok(keys.iter().map(|key| (part(key, 0), part(key, 16), until(key))).collect())
    } else {
        Err(Damaged)
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

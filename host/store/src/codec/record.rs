//! What a run read, packed: its reads of state, the writes that were refused, then its fetches.

use bytes::Bytes;
use creel_webhook::record::{
    FetchFailure, FetchRequest, FetchResponse, Fetched, Record, StateRead, StateRefusal, StateValue,
};

use crate::codec::packing::{Damaged, Reader, number, pairs, text};

const VERSION: u8 = 1;

/// What begins an answer: a response, or which failure.
mod mark {
    pub(super) const RESPONSE: u64 = 0;
    pub(super) const DENIED: u64 = 1;
    pub(super) const INVALID: u64 = 2;
    pub(super) const TIMEOUT: u64 = 3;
    pub(super) const UNREACHABLE: u64 = 4;
    pub(super) const TOO_LARGE: u64 = 5;
}

/// Packs a record; an empty one is nothing at all.
pub(crate) fn pack(record: &Record) -> Option<Vec<u8>> {
    if record.is_empty() {
        return None;
    }
    let mut out = Vec::with_capacity(record.bytes() + 16);
    out.push(VERSION);
    number(&mut out, record.state().len() as u64);
    for read in record.state() {
        pack_read(&mut out, read);
    }
    number(&mut out, record.refused().len() as u64);
    for refusal in record.refused() {
        text(&mut out, refusal.key.as_bytes());
        number(&mut out, refusal.value_bytes);
        text(&mut out, refusal.reason.as_bytes());
    }
    number(&mut out, record.fetches().len() as u64);
    for fetched in record.fetches() {
        pack_request(&mut out, &fetched.request);
        pack_answer(&mut out, &fetched.answer);
        number(&mut out, fetched.duration_ms);
    }
    Some(out)
}

/// Unpacks a record.
pub(crate) fn unpack(bytes: &[u8]) -> Result<Record, Damaged> {
    let mut reader = Reader::open(bytes, VERSION)?;
    let state = reader.list(read_read)?;
    let refused = reader.list(read_refusal)?;
    let fetches = reader.list(read_fetched)?;
    if reader.rest().is_empty() { Ok(Record::as_stored(state, refused, fetches)) } else { Err(Damaged) }
}

fn pack_read(out: &mut Vec<u8>, read: &StateRead) {
    text(out, read.key.as_bytes());
    number(out, u64::from(read.found.is_some()));
    if let Some(found) = &read.found {
        number(out, found.version);
        text(out, &found.value);
    }
}

fn read_read(reader: &mut Reader<'_>) -> Result<StateRead, Damaged> {
    let key = reader.text()?;
    let found = optional(reader, |reader| Ok(StateValue { version: reader.number()?, value: blob(reader)? }))?;
    Ok(StateRead { key, found })
}

fn read_refusal(reader: &mut Reader<'_>) -> Result<StateRefusal, Damaged> {
    Ok(StateRefusal { key: reader.text()?, value_bytes: reader.number()?, reason: reader.text()? })
}

fn read_fetched(reader: &mut Reader<'_>) -> Result<Fetched, Damaged> {
    Ok(Fetched { request: read_request(reader)?, answer: read_answer(reader)?, duration_ms: reader.number()? })
}

fn pack_request(out: &mut Vec<u8>, request: &FetchRequest) {
    for part in [&request.destination, &request.method, &request.path] {
        text(out, part.as_bytes());
    }
    pairs(out, &request.headers);
    number(out, u64::from(request.body.is_some()));
    if let Some(body) = &request.body {
        text(out, body);
    }
    number(out, u64::from(request.timeout_ms.is_some()));
    if let Some(timeout_ms) = request.timeout_ms {
        number(out, timeout_ms);
    }
}

fn read_request(reader: &mut Reader<'_>) -> Result<FetchRequest, Damaged> {
    Ok(FetchRequest {
        destination: reader.text()?,
        method: reader.text()?,
        path: reader.text()?,
        headers: reader.pairs()?,
        body: optional(reader, blob)?,
        timeout_ms: optional(reader, |reader| reader.number())?,
    })
}

fn pack_answer(out: &mut Vec<u8>, answer: &Result<FetchResponse, FetchFailure>) {
    let (mark, why) = match answer {
        Ok(response) => {
            number(out, mark::RESPONSE);
            number(out, u64::from(response.status));
            pairs(out, &response.headers);
            return text(out, &response.body);
        }
        Err(FetchFailure::Denied(why)) => (mark::DENIED, why.as_str()),
        Err(FetchFailure::Invalid(why)) => (mark::INVALID, why.as_str()),
        Err(FetchFailure::Timeout) => (mark::TIMEOUT, ""),
        Err(FetchFailure::Unreachable(why)) => (mark::UNREACHABLE, why.as_str()),
        Err(FetchFailure::TooLarge(why)) => (mark::TOO_LARGE, why.as_str()),
    };
    number(out, mark);
    text(out, why.as_bytes());
}

fn read_answer(reader: &mut Reader<'_>) -> Result<Result<FetchResponse, FetchFailure>, Damaged> {
    let mark = reader.number()?;
    if mark == mark::RESPONSE {
        let status = u16::try_from(reader.number()?).map_err(|_| Damaged)?;
        return Ok(Ok(FetchResponse { status, headers: reader.pairs()?, body: blob(reader)? }));
    }
    let why = reader.text()?;
    Ok(Err(match mark {
        mark::DENIED => FetchFailure::Denied(why),
        mark::INVALID => FetchFailure::Invalid(why),
        mark::TIMEOUT => FetchFailure::Timeout,
        mark::UNREACHABLE => FetchFailure::Unreachable(why),
        mark::TOO_LARGE => FetchFailure::TooLarge(why),
        _ => return Err(Damaged),
    }))
}

fn optional<T>(
    reader: &mut Reader<'_>,
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, Damaged>,
) -> Result<Option<T>, Damaged> {
    match reader.number()? {
        0 => Ok(None),
        1 => read(reader).map(Some),
        _ => Err(Damaged),
    }
}

fn blob(reader: &mut Reader<'_>) -> Result<Bytes, Damaged> {
    Ok(Bytes::copy_from_slice(reader.bytes()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetched(body: Option<&'static [u8]>, answer: Result<FetchResponse, FetchFailure>) -> Fetched {
        let request = FetchRequest {
            destination: "crm".into(),
            method: "GET".into(),
            path: "/contacts/7".into(),
            headers: vec![("accept".into(), "application/json".into())],
            body: body.map(Bytes::from_static),
            timeout_ms: body.map(|_| u64::MAX),
        };
        Fetched { request, answer, duration_ms: 70_000 }
    }

    fn full() -> Record {
        let mut record = Record::default();
        let value = StateValue { version: 7, value: Bytes::from_static(&[0, 255]) };
        record.add_state(StateRead { key: "calls/7".into(), found: Some(value) }).unwrap();
        record.add_state(StateRead { key: String::new(), found: None }).unwrap();
        let reason = "the state is full".to_owned();
        record.add_refusal(StateRefusal { key: "calls/8".into(), value_bytes: 1 << 20, reason }).unwrap();
        let response = FetchResponse { status: 404, headers: vec![("x".into(), "y".into())], body: Bytes::new() };
        let why = || "why".to_owned();
        for answer in [
            Ok(response),
            Err(FetchFailure::Denied(why())),
            Err(FetchFailure::Invalid(why())),
            Err(FetchFailure::Timeout),
            Err(FetchFailure::Unreachable(why())),
            Err(FetchFailure::TooLarge(why())),
        ] {
            record.add_fetch(fetched(None, answer.clone())).unwrap();
            record.add_fetch(fetched(Some(b"{}"), answer)).unwrap();
        }
        record
    }

    #[test]
    fn a_record_is_read_back_as_it_was() {
        assert_eq!(pack(&Record::default()), None);
        let packed = pack(&full()).unwrap();
        assert_eq!(unpack(&packed), Ok(full()));
        assert!(packed.len() < full().bytes(), "what counts is more than what is written");
    }

    #[test]
    fn a_damaged_record_is_an_error() {
        let packed = pack(&full()).unwrap();
        for length in 0..packed.len() {
            assert_eq!(unpack(&packed[..length]), Err(Damaged), "{length}");
        }
        assert_eq!(unpack(&[&packed[..], &[0]].concat()), Err(Damaged), "something behind it");
        assert_eq!(unpack(&[2, 0, 0, 0]), Err(Damaged), "a newer version");
        assert_eq!(unpack(&[1, 0xff, 0xff, 0xff, 0xff, 0x0f]), Err(Damaged), "a count that cannot be");
    }
}

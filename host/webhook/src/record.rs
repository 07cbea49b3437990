//! What a run read from outside of itself: the record.
//!
//! A handler sees its event, its settings, its state and what it looks up; the first two can be had again at any time,
//! the others cannot. So each run keeps what it was answered. Whoever runs the same event again can answer the same, and
//! whoever commits the run can tell whether what it read is still so.
//!
//! # What is in it
//!
//! - Reads of state, one per key: within a run a key reads the same every time, so the first read stands for all.
//! - Writes that were refused because the plugin's state was full: how full it was is read from outside, too.
//! - Fetches in the order in which they were made, each with its answer or error: the like asked twice may be answered
//!   differently.
//!
//! A refusal that follows from the deployment alone (a grant that is missing, a key that is too long) need not be
//! recorded: whoever asks again is refused again.
//!
//! # How large it may be
//!
//! A record is whole or there is none: a guest that reads beyond [`RECORD_BYTES_MAX`] is refused that read and told
//! so, instead of being answered something that nobody could answer again. It may hold personal data, so it is kept as
//! long as the event's body is, and nothing of it is written to a log.

use bytes::Bytes;

use crate::outcome::Pair;

/// The texts and bodies of a record together, bytes, with [`ENTRY_BYTES`] for each entry. Half of what an outcome may be
/// unless the operator said otherwise: both are stored in one transaction, and a decision that needs more than this to be
/// taken is a job for the service that was asked.
pub const RECORD_BYTES_MAX: usize = 4 << 20;

/// What an entry counts for beside its texts and bodies: its lengths, numbers and marks, rounded up.
pub const ENTRY_BYTES: usize = 64;

/// There is no room for an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "one run may read {RECORD_BYTES_MAX} bytes altogether, state and fetches, with {ENTRY_BYTES} for each; {needed} more \
     would make it {would_be}"
)]
pub struct RecordFull {
    /// Bytes that the entry counts for.
    pub needed: usize,
    /// What the record would come to with it.
    pub would_be: usize,
}

/// What one run read. Empty for most.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    state: Vec<StateRead>,
    refused: Vec<StateRefusal>,
    fetches: Vec<Fetched>,
    bytes: usize,
}

/// A key of state that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateRead {
    /// The key.
    pub key: String,
    /// What was there; `None` when nothing was.
    pub found: Option<StateValue>,
}

/// A value of state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateValue {
    /// Which write it is from. Counts the commits that wrote to the plugin's state, so it never returns.
    pub version: u64,
    /// The value.
    pub value: Bytes,
}

/// A write that was refused for want of room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateRefusal {
    /// The key.
    pub key: String,
    /// How long the value was, bytes.
    pub value_bytes: u64,
    /// What the guest was told.
    pub reason: String,
}

/// A fetch that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// What was asked, as the guest asked it: no credential is in it.
    pub request: FetchRequest,
    /// What the guest was answered.
    pub answer: Result<FetchResponse, FetchFailure>,
    /// How long that took, milliseconds.
    pub duration_ms: u64,
}

/// What a guest wants to look up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchRequest {
    /// Name of a destination.
    pub destination: String,
    /// HTTP method.
    pub method: String,
    /// Path and query under the destination's base path.
    pub path: String,
    /// Headers to add.
    pub headers: Vec<Pair>,
    /// What to send.
    pub body: Option<Bytes>,
    /// Give up after this many milliseconds.
    pub timeout_ms: Option<u64>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchResponse {
    /// HTTP status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<Pair>,
    /// The body, within the host's limit.
    pub body: Bytes,
}

/// Why a guest got no response; what it is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchFailure {
    /// The deployment is not granted it; the text says what to grant.
    #[error("denied: {0}")]
    Denied(String),
    /// The request is not valid.
    #[error("invalid: {0}")]
    Invalid(String),
    /// No answer in time.
    #[error("timed out")]
    Timeout,
    /// The destination could not be reached.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// The response is over its limit.
    #[error("too large: {0}")]
    TooLarge(String),
}

impl Record {
    /// A record as it was stored, whatever the limit is now.
    pub fn as_stored(state: Vec<StateRead>, refused: Vec<StateRefusal>, fetches: Vec<Fetched>) -> Self {
        let of_state = state.iter().map(StateRead::bytes).chain(refused.iter().map(StateRefusal::bytes));
        let bytes = of_state.chain(fetches.iter().map(Fetched::bytes)).sum();
        Record { state, refused, fetches, bytes }
    }

    /// Whether the run read nothing.
    pub fn is_empty(&self) -> bool {
        self.state.is_empty() && self.refused.is_empty() && self.fetches.is_empty()
    }

    /// The keys that were read, in the order of their first reads.
    pub fn state(&self) -> &[StateRead] {
        &self.state
    }

    /// The writes that were refused for want of room, in order.
    pub fn refused(&self) -> &[StateRefusal] {
        &self.refused
    }

    /// The fetches in order.
    pub fn fetches(&self) -> &[Fetched] {
        &self.fetches
    }

    /// The read of this key, if there was one.
    pub fn state_of(&self, key: &str) -> Option<&StateRead> {
        self.state.iter().find(|read| read.key == key)
    }

    /// What it counts for, of at most [`RECORD_BYTES_MAX`].
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What may still be added.
    pub fn room(&self) -> usize {
        RECORD_BYTES_MAX.saturating_sub(self.bytes)
    }

    /// Adds the first read of a key.
    ///
    /// # Errors
    /// [`RecordFull`]; nothing was added.
    pub fn add_state(&mut self, read: StateRead) -> Result<(), RecordFull> {
        self.take(read.bytes())?;
        self.state.push(read);
        Ok(())
    }

    /// Adds a write that was refused for want of room.
    ///
    /// # Errors
    /// [`RecordFull`]; nothing was added.
    pub fn add_refusal(&mut self, refusal: StateRefusal) -> Result<(), RecordFull> {
        self.take(refusal.bytes())?;
        self.refused.push(refusal);
        Ok(())
    }

    /// Adds a fetch.
    ///
    /// # Errors
    /// [`RecordFull`]; nothing was added.
    pub fn add_fetch(&mut self, fetched: Fetched) -> Result<(), RecordFull> {
        self.take(fetched.bytes())?;
        self.fetches.push(fetched);
        Ok(())
    }

    fn take(&mut self, needed: usize) -> Result<(), RecordFull> {
        let would_be = self.bytes.saturating_add(needed);
        if would_be > RECORD_BYTES_MAX {
            return Err(RecordFull { needed, would_be });
        }
        self.bytes = would_be;
        Ok(())
    }
}

impl StateRead {
    /// What it counts for in a record.
    pub fn bytes(&self) -> usize {
        ENTRY_BYTES + self.key.len() + self.found.as_ref().map_or(0, |found| found.value.len())
    }
}

impl StateRefusal {
    /// What it counts for in a record.
    pub fn bytes(&self) -> usize {
        ENTRY_BYTES + self.key.len() + self.reason.len()
    }
}

impl Fetched {
    /// What it counts for in a record.
    pub fn bytes(&self) -> usize {
        self.request.bytes().saturating_add(match &self.answer {
            Ok(response) => response.bytes(),
            Err(failure) => failure.bytes(),
        })
    }
}

impl FetchRequest {
    /// What it counts for in a record, its entry included.
    pub fn bytes(&self) -> usize {
        let FetchRequest { destination, method, path, headers, body, timeout_ms: _ } = self;
        let texts = destination.len() + method.len() + path.len();
        ENTRY_BYTES + texts + pairs(headers) + body.as_ref().map_or(0, Bytes::len)
    }
}

impl FetchResponse {
    /// What it counts for in a record.
    pub fn bytes(&self) -> usize {
        pairs(&self.headers) + self.body.len()
    }
}

impl FetchFailure {
    /// What it counts for in a record.
    pub fn bytes(&self) -> usize {
        match self {
            FetchFailure::Denied(text)
            | FetchFailure::Invalid(text)
            | FetchFailure::Unreachable(text)
            | FetchFailure::TooLarge(text) => text.len(),
            FetchFailure::Timeout => 0,
        }
    }
}

/// Each pair has two lengths, and none of its texts may be free.
fn pairs(pairs: &[Pair]) -> usize {
    pairs.iter().map(|(name, value)| name.len() + value.len() + 8).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(key: &str, bytes: usize) -> StateRead {
        let value = Bytes::from(vec![b'x'; bytes]);
        StateRead { key: key.to_owned(), found: Some(StateValue { version: 3, value }) }
    }

    #[test]
    fn a_record_takes_what_has_room_and_no_more() {
        let mut record = Record::default();
        assert!(record.is_empty());
        let most = RECORD_BYTES_MAX - 2 * ENTRY_BYTES - 2;
        assert_eq!(record.add_state(read("a", most)), Ok(()));
        assert_eq!(record.room(), ENTRY_BYTES + 1);
        let refused = record.add_state(read("b", 1)).unwrap_err();
        assert_eq!(refused, RecordFull { needed: ENTRY_BYTES + 2, would_be: RECORD_BYTES_MAX + 1 });
        assert!(refused.to_string().contains("4194304"), "{refused}");
        assert_eq!(record.state().len(), 1, "what had no room was not added");
        assert_eq!(record.add_state(StateRead { key: "b".into(), found: None }), Ok(()));
        assert_eq!((record.room(), record.state_of("b").unwrap().found.is_none()), (0, true));
        assert_eq!(record.state_of("c"), None);
    }

    #[test]
    fn a_fetch_counts_for_all_that_is_kept_of_it() {
        let request = FetchRequest {
            destination: "crm".into(),
            method: "GET".into(),
            path: "/1".into(),
            headers: vec![("a".into(), "b".into())],
            body: Some(Bytes::from_static(b"12345")),
            timeout_ms: None,
        };
        let response = FetchResponse { status: 200, headers: vec![], body: Bytes::from_static(b"123") };
        let counted = ENTRY_BYTES + 8 + 10 + 5;
        assert_eq!(Fetched { request: request.clone(), answer: Ok(response), duration_ms: 1 }.bytes(), counted + 3);
        let failure = FetchFailure::Unreachable("no".into());
        assert_eq!(Fetched { request: request.clone(), answer: Err(failure), duration_ms: 1 }.bytes(), counted + 2);
        let mut record = Record::default();
        let refusal = StateRefusal { key: "ab".into(), value_bytes: 9_000, reason: "full".into() };
        record.add_refusal(refusal).unwrap();
        assert_eq!((record.bytes(), record.is_empty()), (ENTRY_BYTES + 6, false), "the value is not kept");
        record.add_fetch(Fetched { request, answer: Err(FetchFailure::Timeout), duration_ms: 1 }).unwrap();
        assert_eq!((record.bytes(), record.fetches().len(), record.refused().len()), (ENTRY_BYTES + 6 + counted, 1, 1));
    }
}

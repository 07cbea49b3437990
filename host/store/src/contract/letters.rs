//! Dead letters: what narrows them, how they are walked through, and what becomes of one that is replayed.

use creel_webhook::clock::Timestamp;
use creel_webhook::id::{DeliveryId, DestinationId, SourceId};
use creel_webhook::outcome::Pair;
use serde::{Deserialize, Serialize};

use bytes::Bytes;

/// What runs and deliveries can be narrowed by besides their own columns.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct About {
    /// Whose event came in here.
    pub source: Option<SourceId>,
    /// Whose event is of exactly this type.
    pub kind: Option<String>,
    /// Queued or decided not before.
    pub since: Option<Timestamp>,
    /// Queued or decided before.
    pub until: Option<Timestamp>,
    /// Whose reason contains this, whatever the case of its ASCII letters.
    pub reason: Option<String>,
}

/// One small step through dead letters, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window<I> {
    /// Those of it that the filter wants.
    pub ids: Vec<I>,
    /// Dead letters that were looked at.
    pub looked_at: u32,
    /// Where the next step begins; `None` at the end.
    pub next: Option<I>,
}

/// Which keys outward the calls of a replay carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keys {
    /// Those of before, so that a receiver drops what it has.
    #[default]
    Same,
    /// Others, so that a receiver takes it for new. Keys that a plugin chose for its calls stay when it runs again.
    New,
}

/// What a replay of runs keeps to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Keys outward of the calls that it leads to.
    pub keys: Keys,
    /// Runs that the tenant may have pending: a replay never goes beyond it.
    pub pending_runs_max: u64,
}

impl Default for Terms {
    /// The keys of before, and no limit.
    fn default() -> Self {
        Terms { keys: Keys::Same, pending_runs_max: u64::MAX }
    }
}

/// What became of a letter that was to be replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replay {
    /// It is in the queue again.
    Queued,
    /// There is none of this id.
    Missing,
    /// It is no dead letter (any more); nothing changed.
    Refused(String),
    /// As much waits as may; nothing changed, and later there is room.
    NoRoom(String),
}

/// A death from which a delivery was brought back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Death {
    /// When it died.
    pub ended_at: Timestamp,
    /// Of what.
    pub reason: Option<String>,
    /// The key that it carried until then.
    pub key: String,
    /// When it was put into the queue again.
    pub replayed_at: Timestamp,
}

/// What a delivery sends, besides its row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Headers that the call adds.
    pub headers: Vec<Pair>,
    /// Hints and notes.
    pub attributes: Vec<Pair>,
    /// What it sends; `None` without a body.
    pub body: Option<Bytes>,
    /// What keeps it in line.
    pub order_key: Option<String>,
    /// Not before; since it was brought back, if it was.
    pub start_at: Timestamp,
    /// Not after.
    pub expires_at: Option<Timestamp>,
    /// Deaths from which it was brought back, oldest first.
    pub past: Vec<Death>,
}

/// Which deliveries are to go now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hasten {
    /// This one.
    One(DeliveryId),
    /// Those to a destination, due at this time or later.
    All {
        /// The destination.
        destination: DestinationId,
        /// Where to begin.
        from: Timestamp,
    },
}

/// How many deliveries go now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hastened {
    /// So many.
    pub hastened: u32,
    /// Where to go on; `None` when all were looked at.
    pub next: Option<Timestamp>,
}

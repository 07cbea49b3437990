//! Follow-ups: how the end of a call comes back to the plugin that decided it.
//!
//! A call that asks for it (`on-result`) is reported when its delivery ends, delivered or dead: as an event of scheme
//! [`SCHEME`] whose body is what the receiver answered, for the same plugin on the same route, in the same queue. So
//! "book the slot, then confirm what was booked" is two decisions, each durable.
//!
//! # Identity
//!
//! The event's own id derives from the delivery and the time of its end: a delivery ends once, so there is one such
//! event. The keys of calls that it leads to derive from its [`Origin::identity`], which is made of the parent's
//! identity, the route, the call's index and how it ended. When somebody runs the parent once more and its call ends
//! the same way, the calls that follow carry the same keys, and receivers drop them as doubles.
//!
//! # Depth
//!
//! A result may lead to calls that ask for their results. [`DEPTH_MAX`] ends a plugin that answers every result with
//! another call.

use sha2::{Digest as _, Sha256};

use crate::clock::Timestamp;
use crate::id::{DeliveryId, EventId, RequestId, RouteId, RunId};
use crate::outcome::{OnResult, Pair};

/// The scheme of events that the host makes itself.
pub const SCHEME: &str = "internal";

/// The type of the event that reports a delivered call.
pub const DELIVERED: &str = "call.delivered";

/// The type of the event that reports a call that was given up.
pub const DEAD: &str = "call.dead";

/// Results in a row, counted from a request from outside: reserve, book, confirm and clean up, and nothing that runs
/// for ever.
pub const DEPTH_MAX: u32 = 4;

/// Where an event that reports a call's end comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The event whose run decided the call.
    pub event: EventId,
    /// The call's delivery.
    pub delivery: DeliveryId,
    /// Results between a request from outside and this event, this one included; 1 to [`DEPTH_MAX`].
    pub depth: u32,
    /// What stands for the event in the keys of its calls.
    pub identity: EventId,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End<'a> {
    /// The delivery.
    pub delivery: DeliveryId,
    /// The event whose run decided it.
    pub event: EventId,
    /// Position in its outcome.
    pub index: u32,
    /// Name of its destination; `None` when that was removed.
    pub destination: Option<&'a str>,
    /// Delivered or dead.
    pub delivered: bool,
    /// Why it is dead.
    pub reason: Option<&'a str>,
    /// Status of the last answer; `None` when there was none.
    pub status: Option<u16>,
    /// Attempts that were made.
    pub attempts: u32,
    /// The answer's body was longer than is kept.
    pub truncated: bool,
}

/// Whether this end is to be reported.
pub fn is_wanted(on_result: &OnResult, delivered: bool) -> bool {
    if delivered { on_result.on_delivered } else { on_result.on_dead }
}

/// Ids of the rows of a follow-up, all made from the delivery and the time of its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ids {
    /// Of the event.
    pub event: EventId,
    /// Of the request that stands for the answer.
    pub request: RequestId,
    /// Of the run.
    pub run: RunId,
}

/// The ids of the follow-up of a delivery that ended at `ended_at`.
///
/// ```
/// use creel_webhook::{clock::Timestamp, followup::ids, id::DeliveryId};
/// let (now, delivery) = (Timestamp::from_secs(9), DeliveryId::new(Timestamp::from_secs(1), [7; 10]));
/// assert_eq!(ids(delivery, now), ids(delivery, now));
/// ```
pub fn ids(delivery: DeliveryId, ended_at: Timestamp) -> Ids {
    let entropy = |what: &str| {
        let mut hash = Sha256::new();
        hash.update(b"creel follow-up 1");
        hash.update(what);
        hash.update(delivery.as_bytes());
        let digest = hash.finalize();
        let mut entropy = [0; 10];
        entropy.copy_from_slice(&digest[..10]);
        entropy
    };
    Ids {
        event: EventId::new(ended_at, entropy("event")),
        request: RequestId::new(ended_at, entropy("request")),
        run: RunId::new(ended_at, entropy("run")),
    }
}

/// What stands for the report in the keys of its calls; `parent` is what stood for the event that decided the call.
pub fn identity(parent: EventId, route: RouteId, index: u32, delivered: bool) -> EventId {
    let mut hash = Sha256::new();
    hash.update(b"creel follow-up identity 1");
    hash.update(parent.as_bytes());
    hash.update(route.as_bytes());
    hash.update(index.to_be_bytes());
    hash.update([u8::from(delivered)]);
    let digest = hash.finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    EventId::from_bytes(bytes)
}

/// What stands for an event in the keys of a run that is to have new ones: the run.
pub fn stands_for(run: RunId) -> EventId {
    EventId::from_bytes(*run.as_bytes())
}

/// The type of the event that reports it.
pub fn kind(delivered: bool) -> &'static str {
    if delivered { DELIVERED } else { DEAD }
}

/// What the plugin is told besides the answer's body; `wit/plugin.wit` documents the names.
pub fn attributes(tag: &str, end: &End<'_>, depth: u32) -> Vec<Pair> {
    let result = if end.delivered { "delivered" } else { "dead" };
    let mut pairs = vec![
        ("tag", tag.to_owned()),
        ("result", result.to_owned()),
        ("of-event", end.event.to_string()),
        ("of-call", end.delivery.to_string()),
        ("call-index", end.index.to_string()),
        ("attempts", end.attempts.to_string()),
        ("depth", depth.to_string()),
    ];
    pairs.extend(end.destination.map(|name| ("destination", name.to_owned())));
    pairs.extend(end.status.map(|status| ("status", status.to_string())));
    pairs.extend(end.reason.filter(|_| !end.delivered).map(|reason| ("reason", reason.to_owned())));
    pairs.extend(end.truncated.then(|| ("body-truncated", "true".to_owned())));
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    #[test]
    fn keys_follow_the_decision_and_not_the_delivery() {
        let (parent, route) = (EventId::new(NOW, [1; 10]), RouteId::new(NOW, [2; 10]));
        let one = identity(parent, route, 0, true);
        assert_eq!(one, identity(parent, route, 0, true));
        let others = [
            identity(parent, route, 0, false),
            identity(parent, route, 1, true),
            identity(one, route, 0, true),
            identity(parent, RouteId::new(NOW, [3; 10]), 0, true),
        ];
        assert!(others.iter().all(|other| *other != one));
    }

    #[test]
    fn a_result_says_how_it_ended() {
        let delivery = DeliveryId::new(NOW, [3; 10]);
        let event = EventId::new(NOW, [1; 10]);
        let end = End {
            delivery,
            event,
            index: 2,
            destination: Some("calendar"),
            delivered: false,
            reason: Some("the receiver answered 409"),
            status: Some(409),
            attempts: 1,
            truncated: false,
        };
        let told = attributes("book", &end, 1);
        let value = |name: &str| told.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str());
        assert_eq!((value("tag"), value("result"), value("status")), (Some("book"), Some("dead"), Some("409")));
        assert_eq!((value("reason"), value("depth")), (Some("the receiver answered 409"), Some("1")));
        assert_eq!(value("body-truncated"), None);
        let delivered = attributes("book", &End { delivered: true, ..end }, 1);
        assert!(delivered.iter().all(|(name, _)| name != "reason"));
    }

    #[test]
    fn a_plugin_chooses_which_end_it_hears_of() {
        let only_dead = OnResult { tag: "t".into(), on_delivered: false, on_dead: true };
        assert!(is_wanted(&only_dead, false) && !is_wanted(&only_dead, true));
        let (one, other) = (DeliveryId::new(NOW, [1; 10]), DeliveryId::new(NOW, [2; 10]));
        assert_ne!(ids(one, NOW).event, ids(other, NOW).event);
        assert_ne!(ids(one, NOW).event.as_bytes(), ids(one, NOW).run.as_bytes());
    }
}

//! Deliveries: how the answer to an outgoing call is read, and what follows.
//!
//! | answer | kind `webhook` | kind `api` |
//! |---|---|---|
//! | 2xx | delivered | delivered |
//! | 401, 403 | dead | the destination pauses, the call waits |
//! | 410 | the destination is disabled, the call is dead | dead |
//! | 429 | again, and the lane waits | again, and the lane waits |
//! | 408, 425, 5xx | again | again |
//! | 3xx, any other 4xx | dead | dead |
//! | no connection, no answer in time | again | again |
//! | an address that the guard denies | the destination pauses, the call waits | the same |
//! | a secret is missing, bound elsewhere or of no use | the destination pauses until it is saved, the call waits | the same |
//! | what the host can't send | dead | dead |
//! | none, because the host was stopped meanwhile | again, uncounted | the same |
//!
//! A redirect is never followed: the credentials belong to the address that was configured.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::destination::Kind;
use crate::retry::Schedule;

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schemars(rename = "AttemptAnswer")]
pub enum Answer {
    /// The receiver answered.
    Status {
        /// HTTP status.
        status: u16,
        /// What its `Retry-After` asks for, milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// No answer in time.
    Timeout,
    /// No connection, or it broke.
    Transport,
    /// The guard lets nothing go to the destination's address. Its permission can be mended, so no call is lost by it.
    Denied {
        /// What to mend.
        reason: String,
    },
    /// A secret of the destination is missing, bound elsewhere or of no use. It can be saved, so no call is lost by it.
    Lacks {
        /// Its name.
        secret: String,
        /// What to mend.
        reason: String,
    },
    /// The host refused to send: a header that HTTP does not carry, a path that leaves the destination.
    Refused {
        /// What to mend.
        reason: String,
    },
    /// The host was stopped before an answer came. The call may have arrived.
    Cut,
}

/// What an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// It arrived.
    Delivered,
    /// Worth another try.
    Again,
    /// Final.
    Dead,
    /// The credential is refused or missing, or the address denied: everything to this destination waits for a person.
    Pause,
    /// The receiver does not want any more.
    Disable,
    /// Nothing was learnt: the next host tries it again, under the same key.
    Cut,
}

/// Reads an answer by the table above.
pub fn classify(kind: Kind, answer: &Answer) -> Class {
    let status = match answer {
        Answer::Timeout | Answer::Transport => return Class::Again,
        Answer::Denied { .. } | Answer::Lacks { .. } => return Class::Pause,
        Answer::Refused { .. } => return Class::Dead,
        Answer::Cut => return Class::Cut,
        Answer::Status { status, .. } => *status,
    };
    match (kind, status) {
        (_, 200..=299) => Class::Delivered,
        (_, 408 | 425 | 429 | 500..=599) => Class::Again,
        (Kind::Api, 401 | 403) => Class::Pause,
        (Kind::Webhook, 410) => Class::Disable,
        _ => Class::Dead,
    }
}

/// How long a lane is held by a 429 without `Retry-After`, milliseconds: the first step of the default schedule.
pub const LANE_HOLD_MS_DEFAULT: u64 = 5_000;

/// Longest time that one answer can hold a lane, milliseconds: the windows of rates are seconds to an hour, and a single
/// `Retry-After` must not stop everything to a destination for longer. The call itself waits as long as it was asked to.
pub const LANE_HOLD_MS_MAX: u64 = 60 * 60 * 1_000;

/// For how long an answer holds everything to the destination, milliseconds: a 429 is meant for all who call.
pub fn lane_hold_ms(answer: &Answer) -> Option<u64> {
    match answer {
        Answer::Status { status: 429, retry_after_ms } => {
            Some(retry_after_ms.unwrap_or(LANE_HOLD_MS_DEFAULT).min(LANE_HOLD_MS_MAX))
        }
        _ => None,
    }
}

/// What becomes of a delivery after an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Next {
    /// Over, and well.
    Delivered,
    /// Over; kept as a dead letter with its reason.
    Dead {
        /// For people.
        reason: String,
    },
    /// Due again then.
    Again {
        /// When.
        at: Timestamp,
    },
    /// Back to its place, as if never claimed: due as soon as its lane is. Neither the attempt nor the claim counts.
    Held,
}

/// What becomes of the destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum DestinationChange {
    /// Its deliveries wait for a person.
    Pause {
        /// Why.
        reason: String,
    },
    /// Its deliveries wait until a secret is saved, or for a person.
    Lacks {
        /// The secret's name.
        secret: String,
        /// Why.
        reason: String,
    },
    /// New calls to it end dead.
    Disable {
        /// Why.
        reason: String,
    },
}

/// Where a delivery stands when an attempt ends.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// The destination's kind.
    pub kind: Kind,
    /// The destination's schedule.
    pub schedule: &'a Schedule,
    /// Attempts committed before this one.
    pub attempts: u32,
    /// When the call expires.
    pub expires_at: Option<Timestamp>,
}

/// Decides what follows from an attempt that ended `now`; `jitter` is entropy.
pub fn after_attempt(
    progress: Progress<'_>,
    answer: &Answer,
    now: Timestamp,
    jitter: u16,
) -> (Next, Option<DestinationChange>) {
    match classify(progress.kind, answer) {
        Class::Delivered => (Next::Delivered, None),
        Class::Dead => (Next::Dead { reason: describe(answer) }, None),
        Class::Pause => (Next::Held, Some(pause(answer))),
        Class::Disable => {
            let reason = describe(answer);
            (Next::Dead { reason: reason.clone() }, Some(DestinationChange::Disable { reason }))
        }
        Class::Again => (again(progress, answer, now, jitter), None),
        Class::Cut => (Next::Held, None),
    }
}

fn pause(answer: &Answer) -> DestinationChange {
    match answer {
        Answer::Lacks { secret, reason } => DestinationChange::Lacks { secret: secret.clone(), reason: reason.clone() },
        _ => DestinationChange::Pause { reason: describe(answer) },
    }
}

fn again(progress: Progress<'_>, answer: &Answer, now: Timestamp, jitter: u16) -> Next {
    let asked = match answer {
        Answer::Status { retry_after_ms, .. } => *retry_after_ms,
        _ => None,
    };
    let Some(at) = progress.schedule.due(progress.attempts + 1, now, jitter, asked) else {
        let after = match progress.attempts + 1 {
            1 => "at the only attempt allowed".to_owned(),
            attempts => format!("after {attempts} attempts, the last allowed"),
        };
        return Next::Dead { reason: format!("{} {after}", describe(answer)) };
    };
    match progress.expires_at {
        Some(expires_at) if at >= expires_at => {
            Next::Dead { reason: format!("{}; it expires before the next attempt", describe(answer)) }
        }
        _ => Next::Again { at },
    }
}

/// An answer in words.
pub fn describe(answer: &Answer) -> String {
    match answer {
        Answer::Status { status, .. } => match status {
            300..=399 => format!("the receiver answered {status}; redirects are not followed"),
            401 | 403 => format!("the receiver refused the credential with {status}"),
            _ => format!("the receiver answered {status}"),
        },
        Answer::Timeout => "the receiver did not answer in time".to_owned(),
        Answer::Transport => "the receiver could not be reached".to_owned(),
        Answer::Denied { reason } | Answer::Refused { reason } | Answer::Lacks { reason, .. } => reason.clone(),
        Answer::Cut => "the host was stopped before the receiver answered".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16) -> Answer {
        Answer::Status { status, retry_after_ms: None }
    }

    #[test]
    fn the_table_holds() {
        use Class::{Again, Dead, Delivered, Disable, Pause};
        let cases = [
            (200, Delivered, Delivered),
            (204, Delivered, Delivered),
            (301, Dead, Dead),
            (400, Dead, Dead),
            (401, Dead, Pause),
            (403, Dead, Pause),
            (404, Dead, Dead),
            (408, Again, Again),
            (409, Dead, Dead),
            (410, Disable, Dead),
            (422, Dead, Dead),
            (425, Again, Again),
            (429, Again, Again),
            (500, Again, Again),
            (503, Again, Again),
        ];
        for (code, webhook, api) in cases {
            assert_eq!(classify(Kind::Webhook, &status(code)), webhook, "webhook {code}");
            assert_eq!(classify(Kind::Api, &status(code)), api, "api {code}");
        }
    }

    #[test]
    fn only_a_429_holds_the_lane_and_within_bounds() {
        let busy = |retry_after_ms| lane_hold_ms(&Answer::Status { status: 429, retry_after_ms });
        assert_eq!(busy(Some(30_000)), Some(30_000));
        assert_eq!(busy(None), Some(LANE_HOLD_MS_DEFAULT));
        assert_eq!(busy(Some(u64::MAX)), Some(LANE_HOLD_MS_MAX));
        assert_eq!(lane_hold_ms(&Answer::Status { status: 503, retry_after_ms: Some(30_000) }), None);
        assert_eq!(lane_hold_ms(&Answer::Timeout), None);
    }

    #[test]
    fn the_last_attempt_ends_dead_with_its_reason() {
        let schedule = Schedule::new(vec![0, 1_000]).unwrap();
        let progress = |attempts| Progress { kind: Kind::Api, schedule: &schedule, attempts, expires_at: None };
        let now = Timestamp::from_millis(0);
        assert!(matches!(after_attempt(progress(0), &Answer::Timeout, now, 0).0, Next::Again { .. }));
        let (next, _) = after_attempt(progress(1), &status(503), now, 0);
        assert_eq!(
            next,
            Next::Dead { reason: "the receiver answered 503 after 2 attempts, the last allowed".to_owned() }
        );
    }

    #[test]
    fn nothing_is_tried_after_it_expired() {
        let schedule = Schedule::default();
        let now = Timestamp::from_millis(0);
        let progress =
            Progress { kind: Kind::Api, schedule: &schedule, attempts: 0, expires_at: Some(now.plus_ms(1_000)) };
        assert!(matches!(after_attempt(progress, &Answer::Transport, now, 0).0, Next::Dead { .. }));
    }

    #[test]
    fn a_denied_address_holds_the_call() {
        let schedule = Schedule::new(vec![0]).unwrap();
        let denied = Answer::Denied { reason: "a loopback address".to_owned() };
        for kind in [Kind::Webhook, Kind::Api] {
            let progress = Progress { kind, schedule: &schedule, attempts: 0, expires_at: None };
            let (next, change) = after_attempt(progress, &denied, Timestamp::from_millis(0), 0);
            assert_eq!(next, Next::Held);
            assert_eq!(change, Some(DestinationChange::Pause { reason: "a loopback address".to_owned() }));
        }
    }

    #[test]
    fn a_missing_secret_holds_the_call_until_it_is_saved() {
        let schedule = Schedule::new(vec![0]).unwrap();
        let lacks = Answer::Lacks { secret: "crm".to_owned(), reason: "there is none".to_owned() };
        for kind in [Kind::Webhook, Kind::Api] {
            let progress = Progress { kind, schedule: &schedule, attempts: 0, expires_at: None };
            let (next, change) = after_attempt(progress, &lacks, Timestamp::from_millis(0), 0);
            assert_eq!(next, Next::Held);
            let wanted = DestinationChange::Lacks { secret: "crm".to_owned(), reason: "there is none".to_owned() };
            assert_eq!(change, Some(wanted));
        }
    }

    #[test]
    fn a_call_that_was_cut_off_is_made_again_even_if_it_was_the_last_allowed() {
        let schedule = Schedule::new(vec![0]).unwrap();
        let progress = Progress { kind: Kind::Api, schedule: &schedule, attempts: 0, expires_at: None };
        assert_eq!(after_attempt(progress, &Answer::Cut, Timestamp::from_millis(0), 0), (Next::Held, None));
    }

    #[test]
    fn a_refused_credential_holds_the_call() {
        let schedule = Schedule::default();
        let progress = Progress { kind: Kind::Api, schedule: &schedule, attempts: 3, expires_at: None };
        let (next, change) = after_attempt(progress, &status(401), Timestamp::from_millis(0), 0);
        assert_eq!(next, Next::Held);
        assert!(matches!(change, Some(DestinationChange::Pause { .. })));
    }
}

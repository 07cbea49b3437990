//! Requests that are not taken: what the sender is told, and what the operator can read.
//!
//! A sender learns as little as its protocol needs: every refused proof is the same empty 401. The reason goes into
//! the operator's records, counted always and kept in samples, so that a flood of forgeries fills neither disk nor
//! screen.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use creel_store::contract::{RefusalRow, Store, StoreError};
use creel_webhook::clock::Timestamp;
use creel_webhook::id::SourceId;
use creel_webhook::signature::verdict::{Reason, Refusal};

use crate::directory::SourceEntry;

/// Refusals of one source for one reason that are kept per minute; the rest are counted only.
const REFUSALS_PER_MINUTE_MAX: u32 = 30;

/// Seconds after which a sender may try again when the host has no room.
const RETRY_AFTER_S: u64 = 5;

/// What the sender of a compressed body is told.
const COMPRESSED: &str = "send the body as it is, without `content-encoding`: no compression is undone here\n";

/// Why a request was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TurnedAway {
    /// No such source.
    NotFound,
    /// The proof failed.
    Refused,
    /// The body is too large.
    TooLarge,
    /// The body is compressed.
    Compressed,
    /// The body came too slowly.
    Slow,
    /// The body broke off or is no HTTP.
    Broken,
    /// Too many bytes are under way.
    Busy,
    /// Too many requests of this sender were refused; another may be looked at after this time.
    Flooding {
        /// Milliseconds.
        wait_ms: u64,
    },
    /// The tenant has too many runs pending.
    OverQuota,
    /// A daily quota of the tenant is used up; it begins anew after this time.
    OverDailyQuota {
        /// Milliseconds.
        wait_ms: u64,
    },
    /// The store may hold no more.
    Full,
    /// The store can't answer.
    Unavailable,
}

impl TurnedAway {
    /// The word under which it is counted.
    pub(super) fn outcome(self) -> &'static str {
        match self {
            TurnedAway::NotFound => "not_found",
            TurnedAway::Refused => "refused",
            TurnedAway::TooLarge => "too_large",
            TurnedAway::Compressed => "compressed",
            TurnedAway::Slow => "slow",
            TurnedAway::Broken => "broken",
            TurnedAway::Flooding { .. } => "rate_limited",
            TurnedAway::OverQuota => "over_quota",
            TurnedAway::OverDailyQuota { .. } => "over_daily_quota",
            TurnedAway::Busy | TurnedAway::Full | TurnedAway::Unavailable => "unavailable",
        }
    }

    /// Whether the sender may still be sending what nobody reads: not when its body was too slow or broke off.
    pub(super) fn leaves_a_sender(self) -> bool {
        !matches!(self, TurnedAway::Slow | TurnedAway::Broken)
    }

    fn retry_after_s(self) -> u64 {
        match self {
            TurnedAway::Flooding { wait_ms } | TurnedAway::OverDailyQuota { wait_ms } => wait_ms.div_ceil(1_000).max(1),
            _ => RETRY_AFTER_S,
        }
    }

    fn status(self) -> StatusCode {
        match self {
            TurnedAway::NotFound => StatusCode::NOT_FOUND,
            TurnedAway::Refused => StatusCode::UNAUTHORIZED,
            TurnedAway::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            TurnedAway::Compressed => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            TurnedAway::Slow => StatusCode::REQUEST_TIMEOUT,
            TurnedAway::Broken => StatusCode::BAD_REQUEST,
            TurnedAway::OverQuota | TurnedAway::OverDailyQuota { .. } | TurnedAway::Flooding { .. } => {
                StatusCode::TOO_MANY_REQUESTS
            }
            TurnedAway::Busy | TurnedAway::Full | TurnedAway::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// A request that came to be judged and was not taken: for a reason that operators read, or without one.
pub(super) enum Refused {
    /// Its proof, or what it asks for, is not what the source takes.
    For(Refusal),
    /// It is nobody's mistake.
    Otherwise(TurnedAway),
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Refused::For(refusal)
    }
}

impl From<TurnedAway> for Refused {
    fn from(turned_away: TurnedAway) -> Self {
        Refused::Otherwise(turned_away)
    }
}

/// What its sender is told: to try again only where that could help.
impl From<&Refusal> for TurnedAway {
    fn from(refusal: &Refusal) -> Self {
        match refusal.reason {
            Reason::KeyUnavailable | Reason::ConfirmationFailed => TurnedAway::Unavailable,
            _ => TurnedAway::Refused,
        }
    }
}

impl From<StoreError> for TurnedAway {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full { .. } => TurnedAway::Full,
            // Its tenant was removed a moment ago.
            StoreError::NotFound(_) => TurnedAway::NotFound,
            other => {
                tracing::error!(error = %other, "the store could not answer ingress");
                TurnedAway::Unavailable
            }
        }
    }
}

impl IntoResponse for TurnedAway {
    fn into_response(self) -> Response {
        let status = self.status();
        match status {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                (status, [("retry-after", self.retry_after_s().to_string())]).into_response()
            }
            // The one mistake that a sender can mend by itself and would not guess.
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                (status, [("accept-encoding", "identity")], COMPRESSED).into_response()
            }
            // What is left of the body is not worth reading.
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT | StatusCode::BAD_REQUEST => {
                (status, [("connection", "close")]).into_response()
            }
            _ => status.into_response(),
        }
    }
}

/// Keeps a sample of refused requests.
#[derive(Debug, Default)]
pub struct Refusals {
    minutes: Mutex<HashMap<(SourceId, Reason), (i64, u32)>>,
}

impl Refusals {
    /// Records a refusal unless its source has had enough of them this minute.
    pub(super) async fn record(
        &self,
        store: &dyn Store,
        entry: &SourceEntry,
        refusal: &Refusal,
        peer: String,
        at: Timestamp,
    ) {
        if !self.is_wanted(entry.source.id, refusal.reason, at) {
            return;
        }
        tracing::info!(source = %entry.source.id, name = entry.source.spec.name, reason = refusal.reason.as_str(), "a request was refused");
        let row = RefusalRow {
            at,
            source: entry.source.id,
            reason: refusal.reason.as_str().to_owned(),
            detail: refusal.detail.clone(),
            peer,
        };
        if let Err(error) = store.refusal_record(entry.source.tenant, row).await {
            tracing::warn!(%error, "a refused request could not be recorded");
        }
    }

    fn is_wanted(&self, source: SourceId, reason: Reason, at: Timestamp) -> bool {
        let minute = at.as_secs() / 60;
        let mut minutes = self.minutes.lock().unwrap_or_else(PoisonError::into_inner);
        let (of, count) = minutes.entry((source, reason)).or_insert((minute, 0));
        if *of != minute {
            (*of, *count) = (minute, 0);
        }
        *count += 1;
        *count <= REFUSALS_PER_MINUTE_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_sampled_minute_by_minute() {
        let refusals = Refusals::default();
        let source = SourceId::new(Timestamp::from_millis(0), [1; 10]);
        let kept = |at| (0..1_000).filter(|_| refusals.is_wanted(source, Reason::NoMatch, at)).count();
        assert_eq!(kept(Timestamp::from_secs(60)), REFUSALS_PER_MINUTE_MAX as usize);
        assert_eq!(kept(Timestamp::from_secs(61)), 0);
        assert!(
            refusals.is_wanted(source, Reason::RateLimited, Timestamp::from_secs(61)),
            "what is told seldom is not lost"
        );
        assert_eq!(kept(Timestamp::from_secs(120)), REFUSALS_PER_MINUTE_MAX as usize);
    }
}

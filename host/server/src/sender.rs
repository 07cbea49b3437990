//! The sender: due deliveries go out, and what came of them is stored.
//!
//! What a delivery is as a request is [`crate::outgoing`]'s to say. What was answered is kept without the destination's
//! secrets.

use std::sync::Arc;

use async_trait::async_trait;
use creel_store::contract::{Attempt, DeliveryClaim, DeliveryCommit, DeliveryCommitted, Response, Store, StoreResult};
use creel_webhook::clock::{Clock, Timestamp};
use creel_webhook::delivery::{Answer, Next, Progress, after_attempt, classify};
use creel_webhook::retry::retry_after_ms;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::directory::{DestinationEntry, Directory};
use crate::echo::Mask;
use crate::egress::{EgressError, HttpClient, IncomingResponse};
use crate::insist::Insist;
use crate::outgoing::{Bounds, Parcel, Unsendable, request_to};
use crate::pump::Work;
use crate::reach::Reach;
use crate::runner::{log_store_failure, seconds};
use crate::shutdown::Cut;
use crate::system::Entropy;
use crate::telemetry::Metrics;
use crate::under_way::UnderWay;

/// How much longer than its total timeout a delivery's claim lasts, milliseconds.
pub const LEASE_MARGIN_MS: u64 = 30_000;

/// Longest total timeout of a destination, milliseconds; leases are sized by it.
pub const TIMEOUT_MS_MAX: u64 = 120_000;

/// How much of a response's body is kept with the attempt, bytes: enough for an error message.
pub const RESPONSE_HEAD_BYTES_MAX: usize = 4_096;

/// What a sender works with.
pub struct Sender {
    /// Where deliveries come from and go to.
    pub store: Arc<dyn Store>,
    /// What is configured.
    pub directory: Arc<Directory>,
    /// The way out.
    pub client: Arc<dyn HttpClient>,
    /// Bytes of a response that are read.
    pub response_bytes_max: u64,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Entropy for jitter.
    pub entropy: Arc<Entropy>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Whether destinations answer, for who looks things up.
    pub reach: Arc<Reach>,
    /// When it comes, calls under way end and are given back.
    pub cut: Cut,
    /// Where it is written down what has begun.
    pub under_way: UnderWay,
}

/// Claims deliveries and has them sent.
pub struct Sending(pub Arc<Sender>);

#[async_trait]
impl Work for Sending {
    async fn claim(&self, now: Timestamp, max: u32, _: u32) -> StoreResult<Vec<BoxFuture<'static, ()>>> {
        let lease_ms = TIMEOUT_MS_MAX + LEASE_MARGIN_MS;
        let claims = self.0.store.delivery_claim_next(now, lease_ms, max).await?;
        let work = claims.into_iter().map(|claim| {
            let sender = self.0.clone();
            async move {
                if let Err(error) = sender.deliver(claim).await {
                    log_store_failure("storing an attempt", &error);
                }
            }
            .boxed()
        });
        Ok(work.collect())
    }

    async fn due(&self, after: Timestamp) -> StoreResult<Option<Timestamp>> {
        self.0.store.delivery_due(after).await
    }

    async fn recall(&self, now: Timestamp) -> StoreResult<()> {
        self.0.store.claims_recall(now).await
    }
}

/// What one attempt brought.
struct Tried {
    answer: Answer,
    detail: Option<String>,
    response: Option<Response>,
}

impl Tried {
    fn refused(reason: impl Into<String>) -> Self {
        Tried { answer: Answer::Refused { reason: reason.into() }, detail: None, response: None }
    }

    /// The head of what was answered, as text.
    fn head(&self) -> String {
        let body = self.response.as_ref().map(|response| response.body.as_ref()).unwrap_or_default();
        String::from_utf8_lossy(&body[..body.len().min(RESPONSE_HEAD_BYTES_MAX)]).into_owned()
    }
}

impl Sender {
    /// Tries a delivery once and stores what came of it. One that a stopping host could not wait for is given back: as if
    /// never claimed, or, when it may have arrived, with the attempt in its history.
    ///
    /// # Errors
    /// When the store fails for as long as the claim holds; the delivery is due again then.
    pub async fn deliver(&self, claim: DeliveryClaim) -> StoreResult<()> {
        if self.cut.has_come() {
            if self.store.delivery_release(claim.tenant, claim.id, claim.claim).await? {
                self.cut.gave_back();
            }
            return Ok(());
        }
        let picture = self.directory.picture().await?;
        let entry = picture.destination(claim.destination).cloned();
        let started_at = self.clock.now();
        let tried = match &entry {
            Some(entry) => self.attempt(&claim, entry, started_at).await,
            None => Tried::refused("the destination was removed"),
        };
        let now = self.clock.now();
        self.reach.note(claim.destination, &tried.answer, now);
        let (next, destination) = match &entry {
            Some(entry) => {
                let spec = &entry.destination.spec;
                let progress = Progress {
                    kind: spec.kind,
                    schedule: &spec.retry_ms,
                    attempts: claim.attempts,
                    expires_at: claim.expires_at,
                };
                after_attempt(progress, &tried.answer, now, self.entropy.jitter())
            }
            None => (Next::Dead { reason: "the destination was removed".to_owned() }, None),
        };
        if matches!(next, Next::Dead { .. }) {
            tracing::warn!(delivery = %claim.id, event = %claim.event, "a call is dead; `creel event` tells why");
        }
        let kind = entry.as_ref().map(|entry| entry.destination.spec.kind).unwrap_or_default();
        self.metrics.delivery(classify(kind, &tried.answer), seconds(now.since_ms(started_at)));
        let attempt = Attempt {
            started_at,
            duration_ms: now.since_ms(started_at),
            response_head: tried.head(),
            answer: tried.answer,
            detail: tried.detail,
        };
        let response = tried.response.filter(|_| claim.on_result.is_some());
        let (tenant, id, lease_until, seen) = (claim.tenant, claim.id, claim.lease_until, picture.version());
        let commit = DeliveryCommit { tenant, id, claim: claim.claim, now, attempt, response, next, destination, seen };
        self.commit(commit, lease_until).await
    }

    async fn commit(&self, commit: DeliveryCommit, lease_until: Timestamp) -> StoreResult<()> {
        let (clock, cut, metrics) = (self.clock.as_ref(), &self.cut, &*self.metrics);
        let insist = Insist { clock, lease_until, cut, metrics, what: "delivery" };
        let was_cut = commit.attempt.answer == Answer::Cut;
        let committed = insist.commit(|| self.store.delivery_commit(commit.clone())).await?;
        if was_cut && committed == DeliveryCommitted::Stored {
            self.cut.gave_back();
        }
        Ok(())
    }

    async fn attempt(&self, claim: &DeliveryClaim, entry: &DestinationEntry, now: Timestamp) -> Tried {
        if claim.expires_at.is_some_and(|expires_at| expires_at <= now) {
            return Tried::refused("it expired before it could be sent");
        }
        let parcel = Parcel {
            method: &claim.method,
            path: &claim.path,
            headers: &claim.headers,
            body: claim.body.as_ref(),
            key: &claim.key,
        };
        let timeout_ms = entry.destination.spec.timeout_ms.min(TIMEOUT_MS_MAX);
        let bounds = Bounds { timeout_ms, response_bytes_max: self.response_bytes_max };
        let request = match request_to(entry, parcel, bounds, now) {
            Ok(request) => request,
            Err(unsendable) => return unsendable.into(),
        };
        let _mark = self.under_way.begin(claim.id.as_bytes());
        tokio::select! {
            biased;
            answered = self.client.send(request) => match answered {
                Ok(response) => tried(response, entry, now),
                Err(error) => failed(error),
            },
            () = self.cut.come() => Tried { answer: Answer::Cut, detail: None, response: None },
        }
    }
}

impl From<Unsendable> for Tried {
    fn from(unsendable: Unsendable) -> Self {
        match unsendable {
            Unsendable::Lacks { secret, reason } => {
                Tried { answer: Answer::Lacks { secret, reason }, detail: None, response: None }
            }
            Unsendable::Refused(reason) => Tried::refused(reason),
        }
    }
}

fn tried(response: IncomingResponse, entry: &DestinationEntry, now: Timestamp) -> Tried {
    let asked = response.headers.get("retry-after").and_then(|value| value.to_str().ok());
    let retry_after_ms = asked.and_then(|value| retry_after_ms(value, now));
    Tried {
        answer: Answer::Status { status: response.status.as_u16(), retry_after_ms },
        detail: response.truncated.map(|why| why.as_str().to_owned()),
        response: Some(Response {
            content_type: response.headers.get("content-type").and_then(|value| value.to_str().ok()).map(str::to_owned),
            body: Mask::of(entry).apply(&response.body),
            truncated: response.truncated.is_some(),
        }),
    }
}

fn failed(error: EgressError) -> Tried {
    let detail = Some(error.to_string());
    let answer = match error {
        EgressError::Denied(reason) => Answer::Denied { reason },
        EgressError::NoToken { secret, reason } => Answer::Lacks { secret, reason },
        EgressError::Unsendable(reason) => Answer::Refused { reason },
        EgressError::Timeout { .. } => Answer::Timeout,
        EgressError::Connect(_) | EgressError::Transport(_) => Answer::Transport,
    };
    Tried { answer, detail, response: None }
}

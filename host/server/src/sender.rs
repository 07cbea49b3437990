//! The sender: due deliveries go out, and what came of them is stored.
//!
//! A delivery is made into a request here and nowhere else: the destination's URL, the call's path under it, the
//! call's own headers, then those that the host owns (credentials, signature, `webhook-id`, `idempotency-key`), which
//! no call can overrule. A secret leaves only for an origin that it is bound to; that is checked at every send, so
//! that whoever edits a destination's URL cannot collect it.

mod echo;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use creel_store::contract::{Attempt, DeliveryClaim, DeliveryCommit, DeliveryCommitted, Response, Store, StoreResult};
use creel_webhook::clock::{Clock, Timestamp};
use creel_webhook::delivery::{Answer, Next, Progress, after_attempt, classify};
use creel_webhook::destination::{Auth, DestinationSpec};
use creel_webhook::outcome::Pair;
use creel_webhook::retry::retry_after_ms;
use creel_webhook::secret::SecretBytes;
use creel_webhook::signature::sign::Outgoing;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::Notify;
use url::Url;

use crate::directory::{DestinationEntry, Directory};
use crate::egress::{EgressError, HttpClient, IncomingResponse, OutgoingRequest};
use crate::insist::Insist;
use crate::pump::Work;
use crate::runner::{log_store_failure, seconds};
use crate::shutdown::Cut;
use crate::system::Entropy;
use crate::telemetry::Metrics;

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
    /// When it comes, calls under way end and are given back.
    pub cut: Cut,
}

/// Claims deliveries and has them sent.
pub struct Sending(pub Arc<Sender>);

#[async_trait]
impl Work for Sending {
    async fn claim(&self, now: Timestamp, max: u32) -> StoreResult<Vec<BoxFuture<'static, ()>>> {
        let lease_ms = TIMEOUT_MS_MAX + LEASE_MARGIN_MS;
        let (claims, lease_until) = (self.0.store.delivery_claim(now, lease_ms, max).await?, now.plus_ms(lease_ms));
        let work = claims.into_iter().map(|claim| {
            let sender = self.0.clone();
            async move {
                if let Err(error) = sender.deliver(claim, lease_until).await {
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

    fn wakeup(&self) -> Arc<Notify> {
        self.0.store.wakeups().deliveries
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
    pub async fn deliver(&self, claim: DeliveryClaim, lease_until: Timestamp) -> StoreResult<()> {
        if self.cut.has_come() {
            if self.store.delivery_release(claim.id, claim.claim).await? {
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
        let (id, seen) = (claim.id, picture.version());
        let commit = DeliveryCommit { id, claim: claim.claim, now, attempt, response, next, destination, seen };
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
        let request = match request_of(claim, entry, self.response_bytes_max, now) {
            Ok(request) => request,
            Err(unsendable) => return unsendable.into(),
        };
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

/// Why a delivery can't be made into a request.
#[derive(Debug)]
enum Unsendable {
    /// A secret of the destination does not do.
    Lacks { secret: String, reason: String },
    /// Something that no secret mends.
    Refused(String),
}

impl Unsendable {
    fn lacks(secret: &str, reason: impl Into<String>) -> Self {
        Unsendable::Lacks { secret: secret.to_owned(), reason: reason.into() }
    }
}

impl From<String> for Unsendable {
    fn from(reason: String) -> Self {
        Unsendable::Refused(reason)
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
        detail: response.truncated.then(|| "the response was longer than is read".to_owned()),
        response: Some(Response {
            content_type: response.headers.get("content-type").and_then(|value| value.to_str().ok()).map(str::to_owned),
            body: echo::masked(&response.body, entry).into(),
            truncated: response.truncated,
        }),
    }
}

fn failed(error: EgressError) -> Tried {
    let detail = Some(error.to_string());
    let answer = match error {
        EgressError::Denied(reason) => Answer::Denied { reason },
        EgressError::Unsendable(reason) => Answer::Refused { reason },
        EgressError::Timeout { .. } => Answer::Timeout,
        EgressError::Connect(_) | EgressError::Transport(_) => Answer::Transport,
    };
    Tried { answer, detail, response: None }
}

/// The request that a delivery is, or why it can't be one.
fn request_of(
    claim: &DeliveryClaim,
    entry: &DestinationEntry,
    response_bytes_max: u64,
    now: Timestamp,
) -> Result<OutgoingRequest, Unsendable> {
    let spec = &entry.destination.spec;
    let url = target(&spec.url, &claim.path)?;
    let body = claim.body.clone().unwrap_or_default();
    let mut own = vec![("idempotency-key".to_owned(), claim.key.clone())];
    own.extend(credentials(entry, spec, &url)?);
    for (header, name) in &spec.secret_headers {
        own.push((header.to_lowercase(), header_text(entry, name, &url)?));
    }
    own.extend(signature(claim, entry, &url, &body, now)?);
    let headers = layered(&spec.headers, &claim.headers, own);
    Ok(OutgoingRequest {
        pool: claim.destination,
        method: claim.method.parse().map_err(|_| format!("`{}` is no HTTP method", claim.method))?,
        url,
        headers: header_map(headers)?,
        body: claim.body.clone(),
        connect_timeout_ms: spec.connect_timeout_ms,
        timeout_ms: spec.timeout_ms.min(TIMEOUT_MS_MAX),
        response_bytes_max,
    })
}

/// The destination's plain headers, the call's over them, the host's own over both: one value a name, except that a
/// call may repeat its own.
fn layered(plain: &BTreeMap<String, String>, call: &[Pair], own: Vec<Pair>) -> Vec<Pair> {
    let is_in = |headers: &[Pair], name: &str| headers.iter().any(|(have, _)| have.eq_ignore_ascii_case(name));
    let plain = plain.iter().filter(|(name, _)| !is_in(call, name) && !is_in(&own, name));
    let mut all: Vec<Pair> = plain.map(|(name, value)| (name.to_lowercase(), value.clone())).collect();
    all.extend(call.iter().filter(|(name, _)| !is_in(&own, name)).cloned());
    all.extend(own);
    all
}

fn header_map(headers: Vec<Pair>) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let value =
            HeaderValue::from_str(&value).map_err(|_| format!("the value of header `{name}` is not sendable"))?;
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("`{name}` is no header name"))?;
        map.append(name, value);
    }
    Ok(map)
}

/// The call's path under the destination's base path.
fn target(base: &str, path: &str) -> Result<Url, String> {
    let joined = if path.is_empty() { base.to_owned() } else { format!("{}{path}", base.trim_end_matches('/')) };
    let url = Url::parse(&joined)
        .map_err(|error| format!("the destination's URL with the call's path is no URL: {error}"))?;
    let base = Url::parse(base).map_err(|error| format!("the destination's URL is no URL: {error}"))?;
    if url.origin() != base.origin() || !url.path().starts_with(base.path().trim_end_matches('/')) {
        return Err("the call's path leaves the destination's base path".to_owned());
    }
    Ok(url)
}

fn credentials(entry: &DestinationEntry, spec: &DestinationSpec, url: &Url) -> Result<Option<Pair>, Unsendable> {
    let text = |name: &str| header_text(entry, name, url);
    Ok(match &spec.auth {
        Auth::None => None,
        Auth::Bearer { secret } => Some(("authorization".to_owned(), format!("Bearer {}", text(secret)?))),
        Auth::Basic { username, secret } => {
            let pair = STANDARD.encode(format!("{username}:{}", secret_text(entry, secret, url)?));
            Some(("authorization".to_owned(), format!("Basic {pair}")))
        }
        Auth::Header { header, secret } => Some((header.to_lowercase(), text(secret)?)),
    })
}

/// What signs the call, its `webhook-id` included: the same on every attempt, signed or not.
fn signature(
    claim: &DeliveryClaim,
    entry: &DestinationEntry,
    url: &Url,
    body: &Bytes,
    now: Timestamp,
) -> Result<Vec<Pair>, Unsendable> {
    let mut headers = Vec::new();
    if let (Some(signing), Some(signer)) = (&entry.destination.spec.signing, &entry.signer) {
        let name = signing.secret();
        let values: Vec<&[u8]> = secret(entry, name, url)?.iter().map(SecretBytes::expose).collect();
        let content_type = claim.headers.iter().find(|(name, _)| name == "content-type");
        let content_type = content_type.map_or("", |(_, value)| value.as_str());
        let out = Outgoing { method: &claim.method, url: url.as_str(), content_type, body, id: &claim.key };
        let signer = signer.as_ref().map_err(|why| format!("the destination's signing does not hold: {why}"))?;
        // A value that is replaced because it can't sign must not keep its successor from signing.
        let signed = signer.sign(&out, &values, now).or_else(|_| signer.sign(&out, &values[..1], now));
        headers = signed.map_err(|error| {
            Unsendable::lacks(name, format!("the secret `{name}` cannot sign: {error}; save one that can"))
        })?;
    }
    if headers.iter().all(|(name, _)| name != "webhook-id") {
        headers.push(("webhook-id".to_owned(), claim.key.clone()));
    }
    Ok(headers)
}

/// A secret's current value as a header carries it.
fn header_text(entry: &DestinationEntry, name: &str, url: &Url) -> Result<String, Unsendable> {
    let text = secret_text(entry, name, url)?;
    match HeaderValue::from_str(&text) {
        Ok(_) => Ok(text),
        Err(_) => {
            Err(Unsendable::lacks(name, format!("the secret `{name}` holds what no header carries; save it anew")))
        }
    }
}

/// A secret's current value as text.
fn secret_text(entry: &DestinationEntry, name: &str, url: &Url) -> Result<String, Unsendable> {
    let values = secret(entry, name, url)?;
    let current = values.first().map(SecretBytes::expose).unwrap_or_default();
    let text = std::str::from_utf8(current).map(str::to_owned);
    text.map_err(|_| Unsendable::lacks(name, format!("the secret `{name}` is no text; save it anew")))
}

/// A secret's values for this URL, the current one first and at least that: it must be there and be bound to the URL's
/// origin.
fn secret<'a>(entry: &'a DestinationEntry, name: &str, url: &Url) -> Result<&'a [SecretBytes], Unsendable> {
    let lacks = |reason: String| Unsendable::lacks(name, reason);
    let open = entry.secrets.get(name).ok_or_else(|| lacks(format!("there is no secret `{name}`; save it")))?;
    let origin = url.origin().ascii_serialization();
    if !open.origins.contains(&origin) {
        let reason = "add the origin to the secret if it may go there";
        return Err(lacks(format!("the secret `{name}` is not bound to {origin}; {reason}")));
    }
    if open.values.is_empty() {
        return Err(lacks(format!("the secret `{name}` does not open with this master key; save it anew")));
    }
    Ok(&open.values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_call_and_no_plain_header_overrules_the_host() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let plain = BTreeMap::from([pair("X-Api-Key", "plain"), pair("Accept", "plain"), pair("x-b", "plain")]);
        let call = [pair("x-api-key", "call"), pair("accept", "call")];
        let sent = layered(&plain, &call, vec![pair("x-api-key", "secret")]);
        assert_eq!(sent, [pair("x-b", "plain"), pair("accept", "call"), pair("x-api-key", "secret")]);
    }

    #[test]
    fn a_call_stays_under_its_base() {
        assert_eq!(
            target("https://crm.test/api/", "/contacts?x=1").unwrap().as_str(),
            "https://crm.test/api/contacts?x=1"
        );
        assert_eq!(target("https://crm.test/api", "").unwrap().as_str(), "https://crm.test/api");
        assert!(target("https://crm.test/api", "/../admin").is_err());
        assert!(target("https://crm.test", "@evil.test/x").is_err());
        assert!(target("https://crm.test", ".evil.test/x").is_err());
    }
}

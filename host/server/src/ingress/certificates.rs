//! What must be fetched before a request can be believed: signing certificates, and the URLs that confirm subscriptions.
//!
//! Who may be asked is decided before by the rules (`signature::sns`: https, at the provider's own hosts, nothing else);
//! here is how: through the egress guard, once for all requests that wait for the same certificate, bounded in size, time
//! and number, kept for a day. What can't be fetched is remembered for a moment, so that a flood of messages doesn't
//! become a flood of fetches. Without the certificate nothing is believed: the sender is told to try again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use creel_webhook::clock::Timestamp;
use creel_webhook::id::DestinationId;
use creel_webhook::signature::decode::pem_bytes;
use creel_webhook::signature::rsa::certificate_key;
use creel_webhook::signature::verdict::{Reason, Refusal};
use http::{HeaderMap, Method};
use tokio::sync::Semaphore;
use url::Url;

use crate::egress::{HttpClient, IncomingResponse, OutgoingRequest};

/// Longest certificate, bytes: Amazon's have two thousand.
const CERTIFICATE_BYTES_MAX: u64 = 16 * 1_024;

/// A fetch may take this long, milliseconds: the provider waits fifteen seconds for its answer.
const FETCH_TIMEOUT_MS: u64 = 5_000;

/// For how long a certificate is kept, milliseconds: providers put a new one at a new URL.
const KEPT_MS: u64 = 24 * 60 * 60 * 1_000;

/// For how long a failure is remembered, milliseconds: shorter than the first pause of any provider.
const FAILURE_KEPT_MS: u64 = 10_000;

/// Certificates that are kept: one for each region of the provider.
const CERTIFICATES_MAX: usize = 64;

/// Fetches at a time: there is one certificate for thousands of messages.
const FETCHES_MAX: usize = 4;

/// Fetches what proofs need, and keeps it.
pub struct Certificates {
    client: Arc<dyn HttpClient>,
    slots: Mutex<HashMap<String, Arc<Slot>>>,
    fetches: Semaphore,
}

/// The place of one certificate; whoever holds the lock fetches, the others wait for it.
#[derive(Default)]
struct Slot {
    kept: tokio::sync::Mutex<Option<Kept>>,
    used_at_ms: AtomicI64,
}

struct Kept {
    found: Result<Arc<str>, String>,
    until: Timestamp,
}

impl Certificates {
    /// With a way out.
    pub fn new(client: Arc<dyn HttpClient>) -> Self {
        Certificates { client, slots: Mutex::default(), fetches: Semaphore::new(FETCHES_MAX) }
    }

    /// The certificate at a URL that the rules allow, in PEM.
    ///
    /// # Errors
    /// [`Reason::KeyUnavailable`] with what went wrong.
    pub(super) async fn at(&self, url: &str, now: Timestamp) -> Result<Arc<str>, Refusal> {
        let slot = self.slot(url, now);
        let mut kept = slot.kept.lock().await;
        if kept.as_ref().is_none_or(|kept| kept.until <= now) {
            let found = self.fetch_certificate(url).await;
            let until = now.plus_ms(if found.is_ok() { KEPT_MS } else { FAILURE_KEPT_MS });
            *kept = Some(Kept { found, until });
        }
        let found = kept.as_ref().map_or_else(|| Err("it was not fetched".to_owned()), |kept| kept.found.clone());
        found.map_err(|problem| {
            let host = host_of(url);
            Refusal::new(
                Reason::KeyUnavailable,
                format!("the signing certificate at {host} is not to be had: {problem}"),
            )
        })
    }

    /// Confirms a subscription by fetching its URL.
    ///
    /// # Errors
    /// [`Reason::ConfirmationFailed`] with what went wrong.
    pub(super) async fn confirm(&self, url: &str) -> Result<(), Refusal> {
        self.fetch(url).await.map(drop).map_err(|problem| {
            let host = host_of(url);
            Refusal::new(
                Reason::ConfirmationFailed,
                format!("the subscription could not be confirmed at {host}: {problem}"),
            )
        })
    }

    fn slot(&self, url: &str, now: Timestamp) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= CERTIFICATES_MAX && !slots.contains_key(url) {
            // Failures go first, so that URLs which lead nowhere don't drive out certificates.
            let is_failure = |slot: &Slot| {
                slot.kept.try_lock().is_ok_and(|kept| kept.as_ref().is_none_or(|kept| kept.found.is_err()))
            };
            let worth = |slot: &Slot| (!is_failure(slot), slot.used_at_ms.load(Ordering::Relaxed));
            let least = slots.iter().min_by_key(|(_, slot)| worth(slot)).map(|(url, _)| url.clone());
            least.map(|url| slots.remove(&url));
        }
        let slot = slots.entry(url.to_owned()).or_default();
        slot.used_at_ms.store(now.as_millis(), Ordering::Relaxed);
        Arc::clone(slot)
    }

    async fn fetch_certificate(&self, url: &str) -> Result<Arc<str>, String> {
        let answer = self.fetch(url).await?;
        let text = std::str::from_utf8(&answer.body).map_err(|_| "what came is no text".to_owned())?;
        let is_certificate = pem_bytes(text).is_some_and(|der| certificate_key(&der).is_some());
        if is_certificate { Ok(Arc::from(text)) } else { Err("what came is no certificate".to_owned()) }
    }

    async fn fetch(&self, url: &str) -> Result<IncomingResponse, String> {
        let _one_of_few = self.fetches.try_acquire().map_err(|_| format!("{FETCHES_MAX} fetches are under way"))?;
        let url = Url::parse(url).map_err(|error| error.to_string())?;
        let request = OutgoingRequest {
            // Connections of the host's own, which no destination shares.
            pool: DestinationId::new(Timestamp::from_millis(0), [0; 10]),
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: None,
            connect_timeout_ms: FETCH_TIMEOUT_MS,
            timeout_ms: FETCH_TIMEOUT_MS,
            response_bytes_max: CERTIFICATE_BYTES_MAX,
            tls: None,
            grant: None,
        };
        let answer = self.client.send(request).await.map_err(|error| error.to_string())?;
        if !answer.status.is_success() {
            return Err(format!("it answered {}", answer.status.as_u16()));
        }
        if answer.truncated.is_some() {
            return Err(format!("what came is longer than {CERTIFICATE_BYTES_MAX} bytes or broke off"));
        }
        Ok(answer)
    }
}

fn host_of(url: &str) -> String {
    Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use async_trait::async_trait;
    use bytes::Bytes;
    use http::StatusCode;

    use super::*;
    use crate::egress::{EgressError, Truncation};

    const PEM: &str = include_str!("../../../../tests/cases/sns/certificate.pem");
    const URL: &str = "https://sns.eu-west-1.amazonaws.com/a.pem";

    #[derive(Default)]
    struct Script {
        sent: AtomicUsize,
    }

    #[async_trait]
    impl HttpClient for Script {
        async fn send(&self, request: OutgoingRequest) -> Result<IncomingResponse, EgressError> {
            self.sent.fetch_add(1, Ordering::Relaxed);
            assert!(request.response_bytes_max <= CERTIFICATE_BYTES_MAX && request.timeout_ms <= FETCH_TIMEOUT_MS);
            tokio::task::yield_now().await;
            let (status, body, truncated) = match request.url.path() {
                "/a.pem" => (200, PEM.to_owned(), None),
                "/long.pem" => (200, PEM.to_owned(), Some(Truncation::Long)),
                "/html.pem" => (200, "<html>".to_owned(), None),
                "/down.pem" => return Err(EgressError::Denied("the guard says no".to_owned())),
                _ => (404, String::new(), None),
            };
            let status = StatusCode::from_u16(status).unwrap();
            Ok(IncomingResponse { status, headers: HeaderMap::new(), body: Bytes::from(body), truncated })
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    #[tokio::test]
    async fn a_certificate_is_fetched_once_for_all_who_wait_and_kept_for_a_day() {
        let script = Arc::new(Script::default());
        let certificates = Certificates::new(script.clone());
        let all = futures_util::future::join_all((0..50).map(|_| certificates.at(URL, at(0)))).await;
        assert!(all.iter().all(|found| found.as_deref() == Ok(PEM)), "{:?}", all[0]);
        certificates.at(URL, at(86_399)).await.unwrap();
        assert_eq!(script.sent.load(Ordering::Relaxed), 1);
        certificates.at(URL, at(86_400)).await.unwrap();
        assert_eq!(script.sent.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn what_is_not_to_be_had_is_told_and_not_asked_for_again_at_once() {
        let script = Arc::new(Script::default());
        let certificates = Certificates::new(script.clone());
        for (path, why) in
            [("long", "longer than 16384 bytes"), ("html", "no certificate"), ("down", "guard"), ("x", "404")]
        {
            let url = format!("https://sns.eu-west-1.amazonaws.com/{path}.pem");
            let sent = script.sent.load(Ordering::Relaxed);
            for now in [at(0), at(9)] {
                let refusal = certificates.at(&url, now).await.unwrap_err();
                assert_eq!(refusal.reason, Reason::KeyUnavailable);
                assert!(refusal.detail.contains(why) && refusal.detail.contains("sns.eu-west-1"), "{refusal}");
            }
            assert_eq!(script.sent.load(Ordering::Relaxed), sent + 1);
            certificates.at(&url, at(10)).await.unwrap_err();
            assert_eq!(script.sent.load(Ordering::Relaxed), sent + 2);
        }
    }

    #[tokio::test]
    async fn urls_that_lead_nowhere_do_not_drive_out_a_certificate() {
        let script = Arc::new(Script::default());
        let certificates = Certificates::new(script.clone());
        certificates.at(URL, at(0)).await.unwrap();
        for number in 0..3 * CERTIFICATES_MAX {
            let url = format!("https://sns.eu-west-1.amazonaws.com/{number}.pem");
            certificates.at(&url, at(1)).await.unwrap_err();
        }
        assert_eq!(certificates.slots.lock().unwrap().len(), CERTIFICATES_MAX);
        let sent = script.sent.load(Ordering::Relaxed);
        certificates.at(URL, at(2)).await.unwrap();
        assert_eq!(script.sent.load(Ordering::Relaxed), sent);
    }
}

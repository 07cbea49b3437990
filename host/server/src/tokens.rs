//! Access tokens by client credentials (RFC 6749 section 4.4): fetched before a request that wants one, kept, renewed.
//!
//! [`Tokens`] stands before the live client, so that whatever goes to a destination is authorised the same way:
//!
//! * The token is asked for through the same guard, with the client's secret as basic authentication or in the form.
//! * It is kept in memory only, per destination, until shortly before it ends, and only for the very grant that it was
//!   given for: another secret, scope or endpoint asks anew.
//! * Whoever needs it while it is fetched waits for that one fetch.
//! * A receiver that answers 401 may know better than we do: the token is renewed once, and the request made once more.
//!   What it answers then is the answer.
//! * It is nowhere shown: not in errors, which repeat of an endpoint's words only its error code, and not in answers, where
//!   the receiver's echo of it is masked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use creel_webhook::clock::{Clock, Timestamp};
use creel_webhook::id::DestinationId;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::Deserialize;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::egress::{EgressError, Grant, HttpClient, IncomingResponse, OutgoingRequest};

/// Longest answer of a token endpoint, bytes: tokens with many claims have a few thousand.
const ANSWER_BYTES_MAX: u64 = 64 * 1_024;

/// A token endpoint may take this long, milliseconds, and never longer than the request that waits for it.
const FETCH_TIMEOUT_MS: u64 = 10_000;

/// How long a token is good whose endpoint does not say, seconds: shorter than any known.
const LIFE_DEFAULT_S: u64 = 300;

/// The longest that a token is kept, seconds.
const LIFE_MAX_S: u64 = 24 * 60 * 60;

/// How long before its end a token is not used any more, milliseconds: it has to arrive while it is good. A short-lived one
/// is used for three quarters of its life.
const MARGIN_MS_MAX: u64 = 60_000;

/// Destinations whose tokens are kept.
const TOKENS_MAX: usize = 1_024;

/// A client that authorises what wants to be.
pub struct Tokens {
    inner: Arc<dyn HttpClient>,
    clock: Arc<dyn Clock>,
    slots: Mutex<HashMap<DestinationId, Arc<Slot>>>,
}

/// A destination's token; whoever holds the lock fetches, the others wait for it.
#[derive(Default)]
struct Slot {
    kept: tokio::sync::Mutex<Option<Kept>>,
}

struct Kept {
    grant: Grant,
    token: Token,
    until: Timestamp,
}

/// Wiped when the last one lets go.
type Token = Arc<Zeroizing<String>>;

impl Tokens {
    /// Stands before `inner`.
    pub fn new(inner: Arc<dyn HttpClient>, clock: Arc<dyn Clock>) -> Self {
        Tokens { inner, clock, slots: Mutex::default() }
    }

    /// A token for the grant; another one than `spent`.
    async fn token(
        &self,
        grant: &Grant,
        spent: Option<&Token>,
        wanted: &OutgoingRequest,
    ) -> Result<Token, EgressError> {
        let slot = self.slot(wanted.pool);
        let mut kept = slot.kept.lock().await;
        let good = kept.as_ref().filter(|kept| {
            let is_spent = spent.is_some_and(|spent| Arc::ptr_eq(spent, &kept.token));
            kept.grant == *grant && kept.until > self.clock.now() && !is_spent
        });
        if let Some(kept) = good {
            return Ok(kept.token.clone());
        }
        *kept = None;
        let asked_at = self.clock.now();
        let answer = self.inner.send(request_for(grant, wanted)?).await?;
        let (token, life_s) = read(grant, &answer)?;
        let life_ms = life_s.min(LIFE_MAX_S) * 1_000;
        let until = asked_at.plus_ms(life_ms - MARGIN_MS_MAX.min(life_ms / 4));
        *kept = Some(Kept { grant: grant.clone(), token: token.clone(), until });
        Ok(token)
    }

    fn slot(&self, destination: DestinationId) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= TOKENS_MAX && !slots.contains_key(&destination) {
            let now = self.clock.now();
            let is_used = |slot: &Slot| {
                slot.kept.try_lock().map_or(true, |kept| kept.as_ref().is_some_and(|kept| kept.until > now))
            };
            slots.retain(|_, slot| is_used(slot));
            if slots.len() >= TOKENS_MAX {
                slots.clear();
            }
        }
        slots.entry(destination).or_default().clone()
    }
}

#[async_trait]
impl HttpClient for Tokens {
    async fn send(&self, mut request: OutgoingRequest) -> Result<IncomingResponse, EgressError> {
        let Some(grant) = request.grant.take() else { return self.inner.send(request).await };
        let deadline = Instant::now() + Duration::from_millis(request.timeout_ms);
        let token = self.token(&grant, None, &within(&request, deadline)?).await?;
        let answer = self.inner.send(with(&within(&request, deadline)?, &token)?).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(masked(answer, &token));
        }
        let renewed = self.token(&grant, Some(&token), &within(&request, deadline)?).await?;
        let answer = self.inner.send(with(&within(&request, deadline)?, &renewed)?).await?;
        Ok(masked(masked(answer, &token), &renewed))
    }
}

/// The same request with what is left of its time.
fn within(request: &OutgoingRequest, deadline: Instant) -> Result<OutgoingRequest, EgressError> {
    let left = deadline.saturating_duration_since(Instant::now());
    let timeout_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
    if timeout_ms == 0 {
        return Err(EgressError::Timeout { timeout_ms: request.timeout_ms });
    }
    Ok(OutgoingRequest { timeout_ms, ..request.clone() })
}

fn with(request: &OutgoingRequest, token: &Token) -> Result<OutgoingRequest, EgressError> {
    let mut request = request.clone();
    let text = Zeroizing::new(format!("Bearer {}", token.as_str()));
    let unsendable = |_| EgressError::Unsendable("the access token holds what no header carries".to_owned());
    let mut value = HeaderValue::from_str(&text).map_err(unsendable)?;
    value.set_sensitive(true);
    request.headers.insert(AUTHORIZATION, value);
    Ok(request)
}

/// The answer without the token, which error pages like to show as they got it.
fn masked(mut answer: IncomingResponse, token: &Token) -> IncomingResponse {
    let shows = |text: &[u8]| text.windows(token.len()).any(|part| part == token.as_bytes());
    for value in answer.headers.values_mut().filter(|value| shows(value.as_bytes())) {
        *value = HeaderValue::from_static("[secret]");
    }
    if shows(&answer.body) {
        answer.body = String::from_utf8_lossy(&answer.body).replace(token.as_str(), "[secret]").into();
    }
    answer
}

/// The request for a token, within the time of the one that wants it.
fn request_for(grant: &Grant, wanted: &OutgoingRequest) -> Result<OutgoingRequest, EgressError> {
    let secret = std::str::from_utf8(grant.client_secret.expose())
        .map_err(|_| no_token(grant, "the client's secret is no text"))?;
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials");
    for (name, value) in [("scope", &grant.scope), ("audience", &grant.audience)] {
        if let Some(value) = value {
            form.append_pair(name, value);
        }
    }
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    if grant.in_body {
        form.append_pair("client_id", &grant.client_id).append_pair("client_secret", secret);
    } else {
        headers.insert(AUTHORIZATION, basic(&grant.client_id, secret)?);
    }
    Ok(OutgoingRequest {
        pool: wanted.pool,
        method: Method::POST,
        url: grant.token_url.clone(),
        headers,
        body: Some(Bytes::from(form.finish())),
        connect_timeout_ms: wanted.connect_timeout_ms,
        timeout_ms: wanted.timeout_ms.min(FETCH_TIMEOUT_MS),
        response_bytes_max: ANSWER_BYTES_MAX,
        tls: grant.tls.clone(),
        grant: None,
    })
}

/// Both parts are escaped like the fields of a form first (RFC 6749 section 2.3.1).
fn basic(client_id: &str, secret: &str) -> Result<HeaderValue, EgressError> {
    let escaped = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = Zeroizing::new(format!("{}:{}", escaped(client_id), escaped(secret)));
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair.as_bytes())))
        .map_err(|_| EgressError::Unsendable("the client's credentials hold what no header carries".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// What an endpoint says of itself.
#[derive(Deserialize)]
struct Answer {
    access_token: Option<String>,
    token_type: Option<String>,
    expires_in: Option<serde_json::Value>,
    error: Option<String>,
}

/// The token in an answer, and for how many seconds it is good.
fn read(grant: &Grant, answer: &IncomingResponse) -> Result<(Token, u64), EgressError> {
    let status = answer.status.as_u16();
    if status >= 500 || matches!(status, 408 | 425 | 429) {
        return Err(EgressError::Transport(format!("the token endpoint answered {status}")));
    }
    let said: Option<Answer> = serde_json::from_slice(&answer.body).ok();
    if status != 200 {
        let code = said.and_then(|said| said.error).map(|code| plain_code(&code)).unwrap_or_default();
        return Err(no_token(grant, &format!("it answered {status}{code}")));
    }
    let said = said.ok_or_else(|| no_token(grant, "its answer is no JSON of a token"))?;
    if said.token_type.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err(no_token(grant, "its token is no bearer token"));
    }
    let token = said.access_token.filter(|token| !token.is_empty());
    let token = token.ok_or_else(|| no_token(grant, "its answer holds no access token"))?;
    let life_s = match &said.expires_in {
        Some(serde_json::Value::String(text)) => text.parse().ok(),
        Some(number) => number.as_u64().or_else(|| number.as_f64().map(|seconds| seconds.max(0.0) as u64)),
        None => None,
    };
    Ok((Arc::new(Zeroizing::new(token)), life_s.unwrap_or(LIFE_DEFAULT_S)))
}

/// An error's code, if it looks like one: `invalid_client`.
fn plain_code(code: &str) -> String {
    let is_plain = code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    if is_plain && !code.is_empty() { format!(" `{code}`") } else { String::new() }
}

fn no_token(grant: &Grant, why: &str) -> EgressError {
    let place = grant.token_url.host_str().unwrap_or_default();
    EgressError::NoToken {
        secret: grant.secret.clone(),
        reason: format!(
            "the token endpoint at {place} gives no access token: {why}; save the secret `{}` anew, or mend the client's id \
             or scope in the destination's `auth`",
            grant.secret
        ),
    }
}

#[cfg(test)]
mod tests;

//! What goes to a destination, made into a request: here and nowhere else, for deliveries and look-ups alike.
//!
//! The destination's URL, the path under it, the plugin's own headers, then those that the host owns (credentials,
//! signature, `webhook-id`, `idempotency-key`), which no plugin can overrule. A secret leaves only for an origin that it
//! is bound to; that is checked at every send, so that whoever edits a destination's URL cannot collect it.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use creel_webhook::clock::Timestamp;
use creel_webhook::destination::{Auth, CredentialsIn, DestinationSpec};
use creel_webhook::outcome::Pair;
use creel_webhook::secret::SecretBytes;
use creel_webhook::signature::sign::Outgoing;
use http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::directory::DestinationEntry;
use crate::egress::{Grant, OutgoingRequest};
use crate::tls::ClientTls;

/// What a plugin wants to be sent, checked by the rules.
#[derive(Debug, Clone, Copy)]
pub struct Parcel<'a> {
    /// HTTP method.
    pub method: &'a str,
    /// Path and query under the destination's base path.
    pub path: &'a str,
    /// Headers, names in lower case.
    pub headers: &'a [Pair],
    /// What to send.
    pub body: Option<&'a Bytes>,
    /// What the receiver knows it by.
    pub key: &'a str,
}

/// How long and how large an answer may be.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The whole exchange, milliseconds.
    pub timeout_ms: u64,
    /// Bytes of the answer's body that are read.
    pub response_bytes_max: u64,
}

/// Why nothing can be sent.
#[derive(Debug)]
pub enum Unsendable {
    /// A secret of the destination does not do.
    Lacks {
        /// Its name.
        secret: String,
        /// What is wrong with it, and what to do.
        reason: String,
    },
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

/// The request that a parcel is to this destination.
///
/// # Errors
/// [`Unsendable`]; nothing is to be sent then.
pub fn request_to(
    entry: &DestinationEntry,
    parcel: Parcel<'_>,
    bounds: Bounds,
    now: Timestamp,
) -> Result<OutgoingRequest, Unsendable> {
    let spec = &entry.destination.spec;
    let url = target(&spec.url, parcel.path)?;
    let mut own = vec![("idempotency-key".to_owned(), parcel.key.to_owned())];
    own.extend(credentials(entry, spec, &url)?);
    for (header, name) in &spec.secret_headers {
        own.push((header.to_lowercase(), header_text(entry, name, &url)?));
    }
    own.extend(signature(parcel, entry, &url, now)?);
    let headers = layered(&spec.headers, parcel.headers, own);
    let (tls, grant) = (client_tls(entry, &url)?, grant(entry, &url)?);
    Ok(OutgoingRequest {
        pool: entry.destination.id,
        method: parcel.method.parse().map_err(|_| format!("`{}` is no HTTP method", parcel.method))?,
        url,
        headers: header_map(headers)?,
        body: parcel.body.cloned(),
        connect_timeout_ms: spec.connect_timeout_ms,
        timeout_ms: bounds.timeout_ms,
        response_bytes_max: bounds.response_bytes_max,
        tls,
        grant,
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
        Auth::None | Auth::OAuth2(_) => None,
        Auth::Bearer { secret } => Some(("authorization".to_owned(), format!("Bearer {}", text(secret)?))),
        Auth::Basic { username, secret } => {
            let pair = STANDARD.encode(format!("{username}:{}", secret_text(entry, secret, url)?));
            Some(("authorization".to_owned(), format!("Basic {pair}")))
        }
        Auth::Header { header, secret } => Some((header.to_lowercase(), text(secret)?)),
    })
}

/// What signs the parcel, its `webhook-id` included: the same on every attempt, signed or not.
fn signature(parcel: Parcel<'_>, entry: &DestinationEntry, url: &Url, now: Timestamp) -> Result<Vec<Pair>, Unsendable> {
    let mut headers = Vec::new();
    if let (Some(signing), Some(signer)) = (&entry.destination.spec.signing, &entry.signer) {
        let name = signing.secret();
        let values: Vec<&[u8]> = secret(entry, name, url)?.iter().map(SecretBytes::expose).collect();
        let content_type = parcel.headers.iter().find(|(name, _)| name == "content-type");
        let content_type = content_type.map_or("", |(_, value)| value.as_str());
        let body = &parcel.body.cloned().unwrap_or_default();
        let out = Outgoing { method: parcel.method, url: url.as_str(), content_type, body, id: parcel.key };
        let signer = signer.as_ref().map_err(|why| format!("the destination's signing does not hold: {why}"))?;
        // A value that is replaced because it can't sign must not keep its successor from signing.
        let signed = signer.sign(&out, &values, now).or_else(|_| signer.sign(&out, &values[..1], now));
        headers = signed.map_err(|error| {
            Unsendable::lacks(name, format!("the secret `{name}` cannot sign: {error}; save one that can"))
        })?;
    }
    if headers.iter().all(|(name, _)| name != "webhook-id") {
        headers.push(("webhook-id".to_owned(), parcel.key.to_owned()));
    }
    Ok(headers)
}

/// What the connection trusts and shows; a certificate is shown only where its secret may go.
fn client_tls(entry: &DestinationEntry, url: &Url) -> Result<Option<Arc<ClientTls>>, Unsendable> {
    let identity = entry.destination.spec.tls.as_ref().and_then(|tls| tls.identity.as_deref());
    if let Some(name) = identity {
        secret(entry, name, url)?;
    }
    let tls = entry.tls.clone().transpose();
    tls.map_err(|why| match identity {
        Some(name) => Unsendable::lacks(name, format!("the secret `{name}` shows nothing: {why}; save it anew")),
        None => Unsendable::Refused(format!("the destination's `tls` does not hold: {why}")),
    })
}

/// What an access token is to be had for; both the client's secret and its tokens go only where the secret may go.
fn grant(entry: &DestinationEntry, url: &Url) -> Result<Option<Grant>, Unsendable> {
    let Auth::OAuth2(own) = &entry.destination.spec.auth else { return Ok(None) };
    let token_url = Url::parse(&own.token_url);
    let token_url = token_url.map_err(|error| format!("the destination's token endpoint is no URL: {error}"))?;
    secret(entry, &own.secret, url)?;
    let values = secret(entry, &own.secret, &token_url)?;
    let ca = entry.destination.spec.tls.as_ref().and_then(|tls| tls.ca.as_deref());
    let tls = ca.map(|ca| ClientTls::new(Some(ca), None).map(Arc::new)).transpose();
    Ok(Some(Grant {
        client_id: own.client_id.clone(),
        secret: own.secret.clone(),
        client_secret: values[0].clone(),
        scope: own.scope.clone(),
        audience: own.audience.clone(),
        in_body: own.credentials_in == CredentialsIn::Body,
        tls: tls.map_err(|why| format!("the destination's `tls` does not hold: {why}"))?,
        token_url,
    }))
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

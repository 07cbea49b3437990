//! Destinations: a URL that can be called, and headers that do not pretend to be ours.

use std::collections::BTreeMap;

use creel_webhook::destination::{Auth, DestinationSpec, Kind, OAuth2, Signing, TlsSpec};
use creel_webhook::retry::{SKIP_AFTER_MS_MAX, Schedule};
use creel_webhook::signing::Signer;
use serde_json::Value;
use url::Url;

use super::fields::{Fields, Mistake, escape};
use crate::sender::TIMEOUT_MS_MAX;
use crate::tls::ClientTls;

/// Headers that the host sets itself or that belong to the connection; nobody configures them.
pub const RESERVED_HEADERS: &[&str] = &[
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "expect",
    "host",
    "idempotency-key",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// More calls side by side than this is an attack on the receiver.
const CONCURRENCY_MAX: u64 = 256;

/// One lane row is written per call; more than this per second is beyond one writer.
const RATE_PER_S_MAX: u64 = 10_000;

/// More than an operator can let wait (`destination.waiting_max`); the host's own limit is checked when it is saved.
const WAITING_MAX_MAX: u64 = 10_000_000;

/// A minute: who can't connect in that time is down.
const CONNECT_TIMEOUT_MS_MAX: u64 = 60_000;

/// Reads a destination.
///
/// # Errors
/// All mistakes with their pointers.
pub fn read(name: &str, document: Value) -> Result<DestinationSpec, Vec<Mistake>> {
    let mut fields = Fields::of(document);
    let name = fields.name(name);
    let url = fields.required::<String>("url");
    if let Some(Err(detail)) = url.as_deref().map(base_url) {
        fields.mistake("url", detail);
    }
    let kind = fields.or("kind", Kind::default());
    let auth = fields.or("auth", Auth::None);
    check_auth(&mut fields, &auth);
    let tls = fields.optional::<TlsSpec>("tls");
    check_tls(&mut fields, tls.as_ref(), url.as_deref());
    let signing = fields.optional::<Signing>("signing");
    check_signing(&mut fields, signing.as_ref(), &auth);
    let headers: BTreeMap<String, String> = fields.or("headers", BTreeMap::new());
    check_headers(&mut fields, &headers);
    let secret_headers: BTreeMap<String, String> = fields.or("secret_headers", BTreeMap::new());
    check_secret_headers(&mut fields, &secret_headers, &headers, &auth);
    let retry_ms = schedule(&mut fields);
    let skip_after_ms = fields.number("skip_after_ms", 0..=SKIP_AFTER_MS_MAX);
    let concurrency_max = fields.number("concurrency_max", 1..=CONCURRENCY_MAX);
    let rate_per_s = fields.number("rate_per_s", 1..=RATE_PER_S_MAX);
    let waiting_max = fields.number("waiting_max", 1..=WAITING_MAX_MAX);
    let connect_timeout_ms = fields.number("connect_timeout_ms", 1..=CONNECT_TIMEOUT_MS_MAX);
    let timeout_ms = fields.number("timeout_ms", 1..=TIMEOUT_MS_MAX);
    let defaults = defaults(&name);
    let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let spec = url.zip(defaults).map(|(url, defaults)| DestinationSpec {
        name,
        kind,
        url,
        auth,
        tls,
        signing,
        headers,
        secret_headers,
        retry_ms,
        skip_after_ms: skip_after_ms.unwrap_or(defaults.skip_after_ms),
        concurrency_max: concurrency_max.map_or(defaults.concurrency_max, narrow),
        rate_per_s: rate_per_s.map(narrow),
        waiting_max: waiting_max.map(narrow),
        connect_timeout_ms: connect_timeout_ms.unwrap_or(defaults.connect_timeout_ms),
        timeout_ms: timeout_ms.unwrap_or(defaults.timeout_ms),
    });
    fields.done(spec)
}

/// Checks a base URL: absolute, http or https, no user and password, no query, no fragment.
///
/// # Errors
/// What is wrong, for people.
pub fn base_url(text: &str) -> Result<Url, String> {
    if text.contains('…') {
        return Err(format!("`{text}` is an example; write your own in the place of `…`"));
    }
    let url = Url::parse(text).map_err(|error| format!("`{text}` is no absolute URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("the scheme `{}` cannot be called; write https:// or http://", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a user or password in a URL is shown to everybody; use `auth` with a secret".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("a base URL has no query and no fragment; a call's path brings its own query".to_owned());
    }
    Ok(url)
}

/// A secret that a destination names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use<'a> {
    /// Where in its document.
    pub pointer: String,
    /// The secret's name.
    pub secret: &'a str,
    /// A URL that it, or what is had for it, goes to.
    pub url: &'a str,
}

/// Every use that a destination makes of secrets; the same secret may go to several places.
pub fn secret_uses(spec: &DestinationSpec) -> Vec<Use<'_>> {
    let to = |pointer: &str, secret, url| Use { pointer: pointer.to_owned(), secret, url };
    let here = |pointer: &str, secret| to(pointer, secret, spec.url.as_str());
    let auth = match &spec.auth {
        Auth::None => Vec::new(),
        Auth::Bearer { secret } | Auth::Basic { secret, .. } | Auth::Header { secret, .. } => {
            vec![here("/auth/secret", secret.as_str())]
        }
        Auth::OAuth2(own) => vec![to("/auth/secret", &own.secret, &own.token_url), here("/auth/secret", &own.secret)],
    };
    let identity = spec.tls.as_ref().and_then(|tls| tls.identity.as_deref());
    let identity = identity.map(|secret| here("/tls/identity", secret));
    let signing = spec.signing.as_ref().map(|signing| here("/signing/secret", signing.secret()));
    let headers = spec.secret_headers.iter();
    let headers = headers.map(|(name, secret)| here(&format!("/secret_headers/{}", escape(name)), secret));
    auth.into_iter().chain(identity).chain(signing).chain(headers).collect()
}

/// A signature may stand wherever the connection and the other credentials leave room.
fn check_signing(fields: &mut Fields, signing: Option<&Signing>, auth: &Auth) {
    let Some(signing) = signing else { return };
    let signer = match Signer::of(signing) {
        Ok(signer) => signer,
        Err(mistakes) => {
            for mistake in mistakes {
                let field = if mistake.field.is_empty() { String::new() } else { format!("/{}", mistake.field) };
                fields.mistake(&format!("signing/scheme{field}"), mistake.problem);
            }
            return;
        }
    };
    for name in signer.headers() {
        let taken_by_auth = match auth {
            Auth::None => false,
            Auth::Bearer { .. } | Auth::Basic { .. } | Auth::OAuth2(_) => name == "authorization",
            Auth::Header { header, .. } => header.eq_ignore_ascii_case(name),
        };
        if taken_by_auth {
            fields.mistake("signing/scheme", format!("the header `{name}` holds what `auth` sets"));
        } else if name != "authorization" && RESERVED_HEADERS.contains(&name) {
            fields.mistake("signing/scheme", format!("the header `{name}` is the host's own; sign into another"));
        }
    }
}

/// Headers with secrets are the host's like those of `auth`; each name has one value.
fn check_secret_headers(
    fields: &mut Fields,
    secret_headers: &BTreeMap<String, String>,
    headers: &BTreeMap<String, String>,
    auth: &Auth,
) {
    let is_same = |name: &str, other: &str| name.eq_ignore_ascii_case(other);
    for name in secret_headers.keys() {
        let path = format!("secret_headers/{}", escape(name));
        if let Err(detail) = header_name(name) {
            fields.mistake(&path, detail);
        }
        let twice = secret_headers.keys().any(|other| other != name && is_same(other, name));
        let in_auth = matches!(auth, Auth::Header { header, .. } if is_same(header, name));
        if twice || in_auth || headers.keys().any(|other| is_same(other, name)) {
            fields.mistake(&path, "the header has a value already; name it once");
        }
    }
}

fn check_auth(fields: &mut Fields, auth: &Auth) {
    match auth {
        Auth::Basic { username, .. } if username.contains(':') => {
            fields.mistake("auth/username", "a user name of basic authentication has no `:`");
        }
        Auth::Basic { username, .. } if username.chars().any(char::is_control) => {
            fields.mistake("auth/username", "a user name of basic authentication has no control characters");
        }
        Auth::Header { header, .. } => {
            if let Err(detail) = header_name(header) {
                fields.mistake("auth/header", detail);
            }
        }
        Auth::OAuth2(own) => check_oauth2(fields, own),
        _ => {}
    }
}

fn check_oauth2(fields: &mut Fields, own: &OAuth2) {
    if let Err(detail) = base_url(&own.token_url) {
        fields.mistake("auth/token_url", detail);
    }
    let plain = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
    if !plain(&own.client_id) {
        fields.mistake("auth/client_id", "a client's id has at least one character and no control characters");
    }
    for (name, text) in [("auth/scope", &own.scope), ("auth/audience", &own.audience)] {
        if text.as_deref().is_some_and(|text| !plain(text)) {
            fields.mistake(name, "is empty or has control characters; leave it out or name something");
        }
    }
}

fn check_tls(fields: &mut Fields, tls: Option<&TlsSpec>, url: Option<&str>) {
    let Some(tls) = tls else { return };
    if url.is_some_and(|url| url.starts_with("http:")) {
        fields.mistake("tls", "an http:// URL has no TLS; write https://");
    }
    if let Some(Err(reason)) = tls.ca.as_deref().map(|ca| ClientTls::new(Some(ca), None)) {
        fields.mistake("tls/ca", reason);
    }
}

fn check_headers(fields: &mut Fields, headers: &BTreeMap<String, String>) {
    for (name, value) in headers {
        let path = format!("headers/{}", escape(name));
        if let Err(detail) = header_name(name) {
            fields.mistake(&path, detail);
        }
        if http::HeaderValue::from_str(value).is_err() {
            fields.mistake(&path, "the value holds characters that a header can't");
        }
    }
}

fn header_name(name: &str) -> Result<(), String> {
    let lower = name.to_ascii_lowercase();
    if http::HeaderName::from_bytes(lower.as_bytes()).is_err() {
        return Err(format!("`{name}` is not the name of a header"));
    }
    let ours = lower.starts_with("webhook-") || lower.starts_with("x-forwarded-");
    if ours || RESERVED_HEADERS.contains(&lower.as_str()) {
        return Err(format!("the header `{lower}` is the host's own; credentials go into `auth`"));
    }
    Ok(())
}

fn schedule(fields: &mut Fields) -> Schedule {
    let Some(delays) = fields.optional::<Vec<u64>>("retry_ms") else {
        return Schedule::default();
    };
    Schedule::new(delays).unwrap_or_else(|error| {
        fields.mistake("retry_ms", error.to_string());
        Schedule::default()
    })
}

/// The defaults of a destination, in the one place that states them: the type's own reader.
fn defaults(name: &str) -> Option<DestinationSpec> {
    serde_json::from_value(serde_json::json!({ "name": name, "url": "" })).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pointers(document: Value) -> Vec<String> {
        read("crm", document).unwrap_err().into_iter().map(|mistake| mistake.pointer).collect()
    }

    #[test]
    fn a_url_alone_is_enough() {
        let spec = read("crm", json!({ "url": "https://crm.example/v1" })).unwrap();
        assert_eq!((spec.concurrency_max, spec.timeout_ms), (8, 15_000));
    }

    #[test]
    fn no_timeout_is_taken_that_the_sender_would_cut() {
        let timeout = |ms: u64| json!({ "url": "https://crm.example", "timeout_ms": ms });
        assert_eq!(read("crm", timeout(120_000)).unwrap().timeout_ms, TIMEOUT_MS_MAX);
        assert_eq!(pointers(timeout(120_001)), ["/timeout_ms"]);
    }

    #[test]
    fn an_example_is_no_url() {
        let mistakes = read("slack", json!({ "url": "https://hooks.slack.com/services/…" })).unwrap_err();
        assert!(mistakes[0].pointer == "/url" && mistakes[0].detail.contains("write your own"), "{mistakes:?}");
    }

    #[test]
    fn every_mistake_has_its_pointer() {
        let document = json!({
            "url": "https://user:pw@crm.example/",
            "auth": { "type": "header", "header": "Authorization", "secret": "s" },
            "headers": { "x/y": "a", "good": "a\nb" },
            "retry_ms": [], "timeout_ms": 0, "colour": "red",
        });
        let expected =
            ["/url", "/auth/header", "/headers/good", "/headers/x~1y", "/retry_ms", "/timeout_ms", "/colour"];
        assert_eq!(pointers(document), expected);
    }

    #[test]
    fn what_signs_and_what_is_secret_stands_where_there_is_room() {
        let with = |more: Value| {
            let mut document = json!({ "url": "https://crm.example" });
            document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            document
        };
        let scheme = |header: &str| {
            let sig = json!({ "from": format!("header:{header}"), "enc": "hex" });
            let scheme = json!({ "kind": "mac", "alg": "hmac-sha256", "content": "{body}", "sig": sig });
            json!({ "type": "scheme", "secret": "s", "scheme": scheme })
        };
        assert!(read("crm", with(json!({ "signing": scheme("x-signature") }))).is_ok());
        assert!(read("crm", with(json!({ "signing": scheme("authorization") }))).is_ok());
        let bearer = json!({ "type": "bearer", "secret": "s" });
        assert_eq!(pointers(with(json!({ "signing": scheme("authorization"), "auth": bearer }))), ["/signing/scheme"]);
        assert_eq!(pointers(with(json!({ "signing": scheme("content-length") }))), ["/signing/scheme"]);
        let unsound = json!({ "type": "scheme", "secret": "s", "scheme": { "kind": "basic" } });
        assert_eq!(pointers(with(json!({ "signing": unsound }))), ["/signing/scheme/kind"]);
        let secret_headers = json!({ "X-Key": "s", "x-key": "t", "cookie": "s" });
        let expected = ["/secret_headers/X-Key", "/secret_headers/cookie", "/secret_headers/x-key"];
        assert_eq!(pointers(with(json!({ "secret_headers": secret_headers }))), expected);
        let plain = json!({ "headers": { "x-key": "plain" }, "secret_headers": { "X-Key": "s" } });
        assert_eq!(pointers(with(plain)), ["/secret_headers/X-Key"]);
    }

    #[test]
    fn what_an_access_token_and_tls_need_is_checked() {
        let with = |auth: Value| json!({ "url": "https://crm.example/v1", "auth": auth });
        let auth = |token_url: &str, client_id: &str, scope: &str| json!({ "type": "oauth2", "token_url": token_url, "client_id": client_id, "secret": "s", "scope": scope });
        let spec = read("crm", with(auth("https://login.example/token", "creel", "a b"))).unwrap();
        let uses: Vec<_> = secret_uses(&spec).into_iter().map(|one| (one.pointer, one.url)).collect();
        let pointer = || "/auth/secret".to_owned();
        assert_eq!(uses, [(pointer(), "https://login.example/token"), (pointer(), "https://crm.example/v1")]);
        assert_eq!(pointers(with(auth("login", "", ""))), ["/auth/token_url", "/auth/client_id", "/auth/scope"]);
        let mut unknown = auth("https://login.example/token", "creel", "a");
        unknown["scpoe"] = json!("b");
        assert_eq!(pointers(with(unknown)), ["/auth"]);
        let tls = |url: &str, tls: Value| json!({ "url": url, "tls": tls });
        assert_eq!(pointers(tls("http://crm.example", json!({ "identity": "s" }))), ["/tls"]);
        assert_eq!(pointers(tls("https://crm.example", json!({ "ca": "nonsense" }))), ["/tls/ca"]);
    }

    #[test]
    fn nested_unknown_fields_are_refused() {
        let auth = json!({ "type": "bearer", "secret": "s", "scret": "t" });
        assert_eq!(pointers(json!({ "url": "https://crm.example", "auth": auth })), ["/auth"]);
        assert_eq!(pointers(json!({ "url": "ftp://crm.example" })), ["/url"]);
    }
}

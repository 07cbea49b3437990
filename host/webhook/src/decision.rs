//! From an outcome to a decision: every call checked, named and timed, or none of them.
//!
//! An outcome is valid as a whole or not at all. One unknown or ungranted destination, one path that leaves its base,
//! one header that the host owns, one breached limit, and no call is stored; the reason names the call's index, what
//! is wrong and what to grant or change. What comes out is data: where each call goes, under which key, when.
//!
//! # Identity outward
//!
//! A call's key, which is sent as `webhook-id` and `idempotency-key`, is a hash of event, route and the call's index.
//! So it is the same on every attempt and on every re-run of the same event, and a receiver can drop doubles. For a
//! follow-up its identity stands for the event ([`crate::followup`]), so that a re-run of what it follows keeps the keys.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::breach::{Breach, RunLimit};
use crate::clock::Timestamp;
use crate::followup::DEPTH_MAX;
use crate::id::{DestinationId, EventId, RouteId};
use crate::outcome::{Call, OnResult, Outcome, Pair, Reply};

/// Bounds on an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutcomeLimits {
    /// Calls in one outcome. 64: a handler that fans out wider belongs behind a receiver that does.
    pub calls_max: usize,
    /// Bytes of one call's body. 1 MiB: calls are rows, and rows are copied.
    pub call_body_bytes_max: usize,
    /// Bytes of the reply's body. 1 MiB: somebody is waiting for it.
    pub reply_body_bytes_max: usize,
}

impl Default for OutcomeLimits {
    fn default() -> Self {
        OutcomeLimits { calls_max: 64, call_body_bytes_max: 1 << 20, reply_body_bytes_max: 1 << 20 }
    }
}

/// Longest path with query, bytes.
pub const PATH_BYTES_MAX: usize = 4_096;
/// Most headers on a call or a reply.
pub const HEADERS_MAX: usize = 32;
/// Longest header value, bytes.
pub const HEADER_VALUE_BYTES_MAX: usize = 4_096;
/// Longest order key, bytes.
pub const ORDER_KEY_BYTES_MAX: usize = 255;
/// Longest idempotency key, bytes: the bound that payment APIs set.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
/// Longest tag of a call's result, bytes.
pub const TAG_BYTES_MAX: usize = 256;
/// Most attributes on a call.
pub const ATTRIBUTES_MAX: usize = 32;
/// Longest delay of a call: 30 days, after which its event may be gone.
pub const DELAY_MS_MAX: u64 = 30 * 24 * 60 * 60 * 1_000;

/// What a decision stands on.
pub struct Ground<'a> {
    /// The event, or what stands for it in keys ([`crate::followup::Origin::identity`]).
    pub event: EventId,
    /// Results in a row that led here; 0 for an event from outside.
    pub depth: u32,
    /// The route.
    pub route: RouteId,
    /// When the run ended.
    pub now: Timestamp,
    /// Names that the deployment is granted.
    pub granted: &'a [String],
    /// The tenant's destinations by name.
    pub destination: &'a dyn Fn(&str) -> Option<DestinationId>,
    /// Bounds.
    pub limits: OutcomeLimits,
}

/// A call that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecidedCall {
    /// Position in the outcome.
    pub index: u32,
    /// Where it goes.
    pub destination: DestinationId,
    /// Its key outward.
    pub key: String,
    /// HTTP method.
    pub method: String,
    /// Path and query under the base path; empty or beginning with `/`.
    pub path: String,
    /// Headers, names in lower case.
    pub headers: Vec<Pair>,
    /// What to send.
    pub body: Option<Bytes>,
    /// What keeps it in line.
    pub order_key: Option<String>,
    /// Not before.
    pub due_at: Timestamp,
    /// Not after.
    pub expires_at: Option<Timestamp>,
    /// Report the end as an event.
    pub on_result: Option<OnResult>,
    /// Hints and notes.
    pub attributes: Vec<Pair>,
}

/// What is to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Calls in the handler's order.
    pub calls: Vec<DecidedCall>,
    /// The answer to the sender.
    pub reply: Option<Reply>,
}

/// Why nothing of an outcome is stored; its text is the run's reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutcomeError {
    /// Too many calls.
    #[error("the outcome has {used} calls, {max} are allowed (`calls_max`)")]
    TooManyCalls {
        /// How many it has.
        used: usize,
        /// The limit.
        max: usize,
    },
    /// One call is not valid.
    #[error("call {index} to `{destination}`: {problem}")]
    Call {
        /// Its position, from 0.
        index: usize,
        /// Where it was to go.
        destination: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The reply is not valid.
    #[error("reply: {0}")]
    Reply(String),
}

impl OutcomeError {
    /// The limit that it is beyond, if that is what is wrong.
    pub fn breach(&self) -> Option<Breach> {
        match self {
            OutcomeError::TooManyCalls { used, max } => {
                Some(Breach::new(RunLimit::CallsMax, *used as u64, *max as u64))
            }
            OutcomeError::Call { .. } | OutcomeError::Reply(_) => None,
        }
    }
}

/// Checks an outcome and gives what is to be stored.
///
/// # Errors
/// [`OutcomeError`] for the first thing that is wrong; nothing of the outcome is to be stored then.
pub fn decide(outcome: Outcome, ground: &Ground<'_>) -> Result<Decision, OutcomeError> {
    if outcome.calls.len() > ground.limits.calls_max {
        return Err(OutcomeError::TooManyCalls { used: outcome.calls.len(), max: ground.limits.calls_max });
    }
    if let Some(reply) = &outcome.reply {
        check_reply(reply, ground.limits).map_err(OutcomeError::Reply)?;
    }
    let mut calls = Vec::with_capacity(outcome.calls.len());
    for (index, call) in outcome.calls.into_iter().enumerate() {
        let destination = call.destination.clone();
        let decided = decide_call(index, call, ground).map_err(|problem| OutcomeError::Call {
            index,
            destination: head(&destination),
            problem,
        })?;
        calls.push(decided);
    }
    Ok(Decision { calls, reply: outcome.reply })
}

fn decide_call(index: usize, call: Call, ground: &Ground<'_>) -> Result<DecidedCall, String> {
    if !ground.granted.contains(&call.destination) {
        let granted = if ground.granted.is_empty() { "nothing".to_owned() } else { ground.granted.join("`, `") };
        return Err(format!(
            "the deployment is not granted this destination (it is granted `{granted}`); add it to `grants.destinations`"
        ));
    }
    let destination = (ground.destination)(&call.destination)
        .ok_or("there is no such destination in this tenant; make one of this name, or correct the plugin")?;
    check_call(&call, ground.limits)?;
    if call.on_result.is_some() && ground.depth >= DEPTH_MAX {
        return Err(format!(
            "it asks for its result (`on-result`), but this event is already result number {} in a row and {DEPTH_MAX} are \
             allowed; let the last call of the chain end without one",
            ground.depth
        ));
    }
    let index = u32::try_from(index).map_err(|_| "too many calls")?;
    Ok(DecidedCall {
        index,
        destination,
        key: call.idempotency_key.unwrap_or_else(|| outward_key(ground.event, ground.route, index)),
        method: call.method,
        path: call.path,
        headers: lower_names(call.headers),
        body: call.body,
        order_key: call.order_key,
        due_at: ground.now.plus_ms(call.delay_ms.unwrap_or(0)),
        expires_at: call.expires_ms.map(|ms| ground.now.plus_ms(ms)),
        on_result: call.on_result,
        attributes: call.attributes,
    })
}

fn check_call(call: &Call, limits: OutcomeLimits) -> Result<(), String> {
    if !matches!(call.method.as_str(), "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE") {
        return Err(format!("`{}` is not one of GET, HEAD, POST, PUT, PATCH, DELETE", head(&call.method)));
    }
    check_path(&call.path)?;
    check_headers(&call.headers)?;
    check_bytes(
        "the body",
        call.body.as_ref().map_or(0, Bytes::len),
        limits.call_body_bytes_max,
        "call_body_bytes_max",
    )?;
    if let Some(key) = &call.idempotency_key {
        let fits =
            !key.is_empty() && key.len() <= IDEMPOTENCY_KEY_BYTES_MAX && key.bytes().all(|b| b.is_ascii_graphic());
        if !fits {
            return Err(format!("an idempotency key is 1 to {IDEMPOTENCY_KEY_BYTES_MAX} visible ASCII characters"));
        }
    }
    check_bytes("the order key", call.order_key.as_ref().map_or(0, String::len), ORDER_KEY_BYTES_MAX, "order_key")?;
    if let Some(on_result) = &call.on_result {
        check_bytes("the result's tag", on_result.tag.len(), TAG_BYTES_MAX, "tag")?;
    }
    check_bytes("the number of attributes", call.attributes.len(), ATTRIBUTES_MAX, "attributes")?;
    let attribute_bytes: usize = call.attributes.iter().map(|(name, value)| name.len() + value.len()).sum();
    check_bytes("all attributes together", attribute_bytes, HEADER_VALUE_BYTES_MAX, "attributes")?;
    if call.delay_ms.unwrap_or(0) > DELAY_MS_MAX {
        return Err("a call can be delayed by at most 30 days".to_owned());
    }
    if call.expires_ms.is_some_and(|expires| expires <= call.delay_ms.unwrap_or(0)) {
        return Err("it expires before it is due; make `expires` longer than `after`".to_owned());
    }
    Ok(())
}

pub(crate) fn check_bytes(what: &str, used: usize, max: usize, limit: &str) -> Result<(), String> {
    if used <= max { Ok(()) } else { Err(format!("{what} has {used}, {max} are allowed (`{limit}`)")) }
}

/// A path stays under its base: it is relative to it, has no way up, names no host and splits no header.
pub(crate) fn check_path(path: &str) -> Result<(), String> {
    check_bytes("the path", path.len(), PATH_BYTES_MAX, "path")?;
    if path.is_empty() {
        return Ok(());
    }
    if !path.starts_with('/') || path.starts_with("//") {
        return Err(format!("the path `{}` must begin with exactly one `/`", head(path)));
    }
    if let Some(bad) = path.chars().find(|c| !c.is_ascii_graphic() || matches!(c, '\\' | '#' | '"' | '<' | '>')) {
        return Err(format!("the path has `{}`; escape it as %xx", bad.escape_default()));
    }
    let plain = path.split('?').next().unwrap_or_default();
    let decoded: Vec<u8> = percent_encoding::percent_decode_str(plain).collect();
    let climbs = decoded.split(|byte| matches!(byte, b'/' | b'\\')).any(|part| part == b".." || part == b".");
    if climbs {
        return Err(format!("the path `{}` climbs with `.` or `..`; write the path that is meant", head(path)));
    }
    if decoded.iter().any(|byte| byte.is_ascii_control()) {
        return Err("the path has an escaped control character".to_owned());
    }
    Ok(())
}

/// Header names that the host owns, whole or by prefix (those ending in `*`).
pub const OWNED_HEADERS: &[&str] = &[
    "host",
    "authorization",
    "proxy-*",
    "cookie",
    "set-cookie",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "via",
    "forwarded",
    "x-forwarded-*",
    "webhook-*",
    "idempotency-key",
    "traceparent",
    "tracestate",
    "user-agent",
];

pub(crate) fn check_headers(headers: &[Pair]) -> Result<(), String> {
    check_bytes("the number of headers", headers.len(), HEADERS_MAX, "headers")?;
    for (name, value) in headers {
        let is_token = !name.is_empty() && name.len() <= 128 && name.bytes().all(is_token_byte);
        if !is_token {
            return Err(format!("`{}` is no header name", head(name)));
        }
        if is_owned(name) {
            return Err(format!("the header `{}` is the host's; configure it at the destination", head(name)));
        }
        check_bytes("a header's value", value.len(), HEADER_VALUE_BYTES_MAX, "headers")?;
        if value.bytes().any(|byte| byte != b'\t' && (byte < b' ' || byte == 0x7f)) {
            return Err(format!("the value of header `{}` has a control character", head(name)));
        }
    }
    Ok(())
}

fn is_owned(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    OWNED_HEADERS.iter().any(|owned| match owned.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == *owned,
    })
}

/// `tchar` of RFC 9110 section 5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn check_reply(reply: &Reply, limits: OutcomeLimits) -> Result<(), String> {
    if !(200..=599).contains(&reply.status) || (300..=399).contains(&reply.status) {
        return Err(format!("status {} is not 200 to 299 or 400 to 599", reply.status));
    }
    check_headers(&reply.headers)?;
    check_bytes(
        "the body",
        reply.body.as_ref().map_or(0, Bytes::len),
        limits.reply_body_bytes_max,
        "reply_body_bytes_max",
    )
}

/// What a receiver knows a call by.
///
/// ```
/// use creel_webhook::{clock::Timestamp, decision::outward_key, id::{EventId, RouteId}};
/// let now = Timestamp::from_millis(0);
/// let (event, route) = (EventId::new(now, [1; 10]), RouteId::new(now, [2; 10]));
/// assert_eq!(outward_key(event, route, 0), outward_key(event, route, 0));
/// assert_ne!(outward_key(event, route, 0), outward_key(event, route, 1));
/// ```
pub fn outward_key(event: EventId, route: RouteId, index: u32) -> String {
    let mut hash = Sha256::new();
    hash.update(b"creel outward key 1");
    hash.update(event.as_bytes());
    hash.update(route.as_bytes());
    hash.update(index.to_be_bytes());
    format!("msg_{}", hex::encode(&hash.finalize()[..16]))
}

/// Another key for a call that a receiver is to take for new, though it had it under `key`.
pub fn renewed_key(key: &str, now: Timestamp) -> String {
    let mut hash = Sha256::new();
    hash.update(b"creel renewed key 1");
    hash.update(key);
    hash.update(now.as_millis().to_be_bytes());
    format!("msg_{}", hex::encode(&hash.finalize()[..16]))
}

fn lower_names(headers: Vec<Pair>) -> Vec<Pair> {
    headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect()
}

/// The beginning of what a handler gave, without control characters: reasons are shown and logged.
pub(crate) fn head(text: &str) -> String {
    text.chars().take(80).flat_map(printable).collect()
}

fn printable(c: char) -> Vec<char> {
    if c.is_control() { c.escape_default().collect() } else { vec![c] }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    fn call(destination: &str) -> Call {
        Call {
            destination: destination.to_owned(),
            method: "POST".to_owned(),
            path: "/contacts".to_owned(),
            headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
            body: Some(Bytes::from_static(b"{}")),
            idempotency_key: None,
            order_key: None,
            delay_ms: None,
            expires_ms: None,
            on_result: None,
            attributes: vec![],
        }
    }

    fn decide_calls(calls: Vec<Call>) -> Result<Decision, OutcomeError> {
        decide_at(0, calls)
    }

    fn decide_at(depth: u32, calls: Vec<Call>) -> Result<Decision, OutcomeError> {
        let granted = ["crm".to_owned(), "gone".to_owned()];
        let ground = Ground {
            event: EventId::new(NOW, [1; 10]),
            depth,
            route: RouteId::new(NOW, [2; 10]),
            now: NOW,
            granted: &granted,
            destination: &|name| (name == "crm").then(|| DestinationId::new(NOW, [3; 10])),
            limits: OutcomeLimits::default(),
        };
        decide(Outcome { calls, reply: None }, &ground)
    }

    fn problem_of(change: impl FnOnce(&mut Call)) -> String {
        let mut changed = call("crm");
        change(&mut changed);
        decide_calls(vec![call("crm"), changed]).unwrap_err().to_string()
    }

    #[test]
    fn a_good_outcome_is_named_and_timed() {
        let mut later = call("crm");
        later.delay_ms = Some(500);
        later.expires_ms = Some(900);
        let decision = decide_calls(vec![call("crm"), later]).unwrap();
        assert_eq!(decision.calls[0].due_at, NOW);
        assert_eq!(decision.calls[0].headers[0].0, "content-type");
        assert_eq!(decision.calls[1].due_at, NOW.plus_ms(500));
        assert_eq!(decision.calls[1].expires_at, Some(NOW.plus_ms(900)));
        assert_ne!(decision.calls[0].key, decision.calls[1].key);
    }

    #[test]
    fn one_bad_call_spoils_the_outcome_and_is_named() {
        assert!(problem_of(|call| call.destination = "slack".into()).contains("call 1 to `slack`"));
        assert!(problem_of(|call| call.destination = "slack".into()).contains("grants.destinations"));
        assert!(problem_of(|call| call.destination = "gone".into()).contains("no such destination"));
        assert!(problem_of(|call| call.method = "TRACE".into()).contains("TRACE"));
        assert!(problem_of(|call| call.expires_ms = Some(0)).contains("expires before"));
    }

    #[test]
    fn results_of_results_come_to_an_end() {
        let mut asking = call("crm");
        asking.on_result = Some(OnResult { tag: "t".into(), on_delivered: true, on_dead: false });
        assert!(decide_at(DEPTH_MAX - 1, vec![asking.clone()]).is_ok());
        assert!(decide_at(DEPTH_MAX, vec![call("crm")]).is_ok(), "the last one may call, and ask no more");
        let refusal = decide_at(DEPTH_MAX, vec![call("crm"), asking]).unwrap_err().to_string();
        assert!(refusal.contains("call 1 to `crm`") && refusal.contains("`on-result`"), "{refusal}");
    }

    #[test]
    fn paths_stay_under_their_base() {
        for bad in [
            "x",
            "//evil.test/",
            "/../x",
            "/a/%2e%2e/b",
            "/a/..%2fb",
            "/a\r\nHost: x",
            "/a#b",
            "/a\\b",
            "/%0d%0a",
            "/ä",
            "/a/./b",
        ] {
            assert!(!problem_of(|call| call.path = bad.into()).is_empty(), "{bad}");
        }
        for good in ["", "/", "/a/b?x=..&y=//z", "/a..b/c"] {
            let mut fine = call("crm");
            fine.path = good.to_owned();
            assert!(decide_calls(vec![fine]).is_ok(), "{good}");
        }
    }

    #[test]
    fn the_hosts_headers_are_the_hosts() {
        for bad in ["Host", "authorization", "Webhook-Id", "X-Forwarded-For", "Transfer-Encoding", "a b", "", "x\r\ny"]
        {
            problem_of(|call| call.headers = vec![(bad.into(), "x".into())]);
        }
        assert!(problem_of(|call| call.headers = vec![("x-a".into(), "b\r\nc: d".into())]).contains("control"));
        assert!(problem_of(|call| call.method = "GET /\r\n".into()).contains(r"`GET /\r\n`"), "a reason is one line");
    }

    #[test]
    fn limits_are_named_with_what_was_used() {
        let many = decide_calls(vec![call("crm"); 65]).unwrap_err().to_string();
        assert_eq!(many, "the outcome has 65 calls, 64 are allowed (`calls_max`)");
        let big = problem_of(|call| call.body = Some(Bytes::from(vec![0; (1 << 20) + 1])));
        assert!(big.contains("call_body_bytes_max"), "{big}");
    }

    #[test]
    fn replies_are_answers() {
        let reply = |status| check_reply(&Reply { status, headers: vec![], body: None }, OutcomeLimits::default());
        assert!(reply(200).is_ok() && reply(503).is_ok());
        assert!(reply(302).is_err() && reply(100).is_err() && reply(999).is_err());
    }
}

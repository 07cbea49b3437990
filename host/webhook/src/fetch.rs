//! Look-ups: what a run may ask of a destination while it decides.
//!
//! A look-up is an HTTP request that the handler waits for, so it is judged like a call and bounded more tightly: named
//! destinations and methods only, each granted by the deployment; path and headers by the rules of a call
//! ([`crate::decision`]); so many in a run, each of bounded size and time. Whether it is allowed depends on the
//! deployment, the limits and what the run asked before, never on the clock: a replay judges it again and comes to the same.
//!
//! # Time
//!
//! A look-up ends before its run must: [`rest_ms`] is kept back, so that a handler whose CRM hangs still decides without it
//! instead of being cut off. A handler that is late for its own reasons gains nothing by that.

use std::collections::BTreeMap;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::decision::{check_bytes, check_headers, check_path, head};
use crate::id::{EventId, RouteId};
use crate::record::{FetchFailure, FetchRequest};

/// Bounds on the look-ups of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchLimits {
    /// Look-ups of one run. 16: a caller's record, their last orders, a calendar; what needs more is a report, not a
    /// decision.
    pub fetches_max: u32,
    /// Path, headers and body of one request, bytes. 64 KiB: a question, not an upload.
    pub request_bytes_max: u64,
    /// Headers and body of one response, bytes. 256 KiB: it is kept with the run, and somebody may wait for it.
    pub response_bytes_max: u64,
    /// One look-up, milliseconds. 3 s: half of what the most impatient providers of calls give the whole answer.
    pub timeout_ms: u64,
}

impl Default for FetchLimits {
    fn default() -> Self {
        FetchLimits { fetches_max: 16, request_bytes_max: 64 << 10, response_bytes_max: 256 << 10, timeout_ms: 3_000 }
    }
}

impl FetchLimits {
    /// The same limits, lowered to the operator's where they exceed them.
    #[must_use]
    pub fn within(self, ceiling: FetchLimits) -> FetchLimits {
        FetchLimits {
            fetches_max: self.fetches_max.min(ceiling.fetches_max),
            request_bytes_max: self.request_bytes_max.min(ceiling.request_bytes_max),
            response_bytes_max: self.response_bytes_max.min(ceiling.response_bytes_max),
            timeout_ms: self.timeout_ms.min(ceiling.timeout_ms),
        }
    }
}

/// The longest that is kept back of a run's time for what comes after its last look-up, milliseconds: to decide takes a
/// few, to commit tens on a slow disk.
pub const REST_MS_MAX: u64 = 250;

/// What is kept back of a run of so many milliseconds: a quarter, [`REST_MS_MAX`] at most.
pub fn rest_ms(run_ms: u64) -> u64 {
    (run_ms / 4).min(REST_MS_MAX)
}

/// Whether a run may look this up: what follows from the deployment's grants, the limits, the request itself, and how many
/// look-ups the run asked for before.
///
/// # Errors
/// [`FetchFailure::Denied`] with what to grant and where, [`FetchFailure::Invalid`] with what is wrong; it is not sent.
pub fn check(
    request: &FetchRequest,
    granted: &BTreeMap<String, Vec<String>>,
    asked: u32,
    limits: FetchLimits,
) -> Result<(), FetchFailure> {
    if asked >= limits.fetches_max {
        return Err(FetchFailure::Denied(format!(
            "this run has asked for {asked} look-ups and may ask for no more (`fetches_max`); ask for several things at \
             once, or ask the operator for more"
        )));
    }
    let methods = granted.get(&request.destination).ok_or_else(|| not_granted(&request.destination, granted))?;
    check_method(request, methods)?;
    check_request(request, limits).map_err(FetchFailure::Invalid)
}

/// What is told of a granted destination that is not there any more.
pub fn no_destination(name: &str) -> FetchFailure {
    FetchFailure::Denied(format!(
        "there is no destination `{}` in this tenant; make one of this name, or correct the plugin",
        head(name)
    ))
}

fn not_granted(name: &str, granted: &BTreeMap<String, Vec<String>>) -> FetchFailure {
    let name = head(name);
    let places: Vec<&str> = granted.keys().map(String::as_str).collect();
    let places = if places.is_empty() { "nowhere".to_owned() } else { format!("at `{}`", places.join("`, `")) };
    FetchFailure::Denied(format!(
        "the deployment is not granted look-ups at `{name}` (it may look things up {places}); deploy it with \
         `{name} = []` in `grants.fetch`"
    ))
}

/// Methods that are granted where none is named.
const METHODS_DEFAULT: [&str; 2] = ["GET", "HEAD"];

fn check_method(request: &FetchRequest, granted: &[String]) -> Result<(), FetchFailure> {
    let mut may: Vec<&str> = granted.iter().map(String::as_str).collect();
    if may.is_empty() {
        may.extend(METHODS_DEFAULT);
    }
    if may.contains(&request.method.as_str()) {
        return Ok(());
    }
    let (name, method) = (&request.destination, head(&request.method));
    Err(FetchFailure::Denied(format!(
        "look-ups at `{name}` may be {}, and this is `{method}`; deploy it with this method too in `grants.fetch.{name}`",
        may.join(", ")
    )))
}

fn check_request(request: &FetchRequest, limits: FetchLimits) -> Result<(), String> {
    check_path(&request.path)?;
    check_headers(&request.headers)?;
    let headers: usize = request.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    let bytes = request.path.len() + headers + request.body.as_ref().map_or(0, Bytes::len);
    let max = usize::try_from(limits.request_bytes_max).unwrap_or(usize::MAX);
    check_bytes("the request", bytes, max, "fetch_request_bytes_max")
}

/// How long a look-up may take, milliseconds: what the handler asked for, within the destination's own limit, the host's
/// and what is left of the run.
pub fn timeout_ms(asked_ms: Option<u64>, destination_ms: u64, limits: FetchLimits, left_ms: u64) -> u64 {
    asked_ms.unwrap_or(u64::MAX).min(destination_ms).min(limits.timeout_ms).min(left_ms)
}

/// What a receiver knows a look-up by: the same when the event is run again and asks the same in the same place.
pub fn lookup_key(event: EventId, route: RouteId, index: u32, request: &FetchRequest) -> String {
    let mut hash = Sha256::new();
    hash.update(b"creel look-up key 1");
    hash.update(event.as_bytes());
    hash.update(route.as_bytes());
    hash.update(index.to_be_bytes());
    for part in [&request.destination, &request.method, &request.path] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.update(request.body.as_deref().unwrap_or_default());
    format!("msg_{}", hex::encode(&hash.finalize()[..16]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    fn get(path: &str) -> FetchRequest {
        FetchRequest {
            destination: "crm".to_owned(),
            method: "GET".to_owned(),
            path: path.to_owned(),
            headers: vec![],
            body: None,
            timeout_ms: None,
        }
    }

    fn judged(request: &FetchRequest, asked: u32) -> Result<(), FetchFailure> {
        let granted = BTreeMap::from([("crm".to_owned(), vec![]), ("search".to_owned(), vec!["POST".to_owned()])]);
        let limits = FetchLimits { fetches_max: 2, request_bytes_max: 50, ..FetchLimits::default() };
        check(request, &granted, asked, limits)
    }

    fn denial(request: &FetchRequest) -> String {
        match judged(request, 0) {
            Err(FetchFailure::Denied(reason)) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_granted_goes_and_what_is_not_is_told_what_to_grant() {
        let (at, by) = (|to: &str| to.to_owned(), |method: &str| method.to_owned());
        assert_eq!(judged(&get("/contacts?phone=%2B1"), 0), Ok(()));
        assert_eq!(judged(&FetchRequest { method: by("HEAD"), ..get("/") }, 1), Ok(()));
        let reason = denial(&FetchRequest { destination: at("slack"), ..get("/") });
        assert!(reason.contains("`slack = []` in `grants.fetch`") && reason.contains("`crm`, `search`"), "{reason}");
        let reason = denial(&FetchRequest { method: by("POST"), ..get("/") });
        assert!(reason.contains("GET, HEAD") && reason.contains("`grants.fetch.crm`"), "{reason}");
        let search = FetchRequest { destination: at("search"), method: by("POST"), ..get("/") };
        assert_eq!(judged(&search, 0), Ok(()));
        assert!(denial(&FetchRequest { method: by("GET"), ..search }).contains("may be POST"));
        let nowhere = check(&get("/"), &BTreeMap::new(), 0, FetchLimits::default());
        assert!(nowhere.unwrap_err().to_string().contains("nowhere"));
    }

    #[test]
    fn a_run_asks_so_often_and_no_more() {
        assert_eq!(judged(&get("/"), 1), Ok(()));
        assert!(matches!(judged(&get("/"), 2), Err(FetchFailure::Denied(reason)) if reason.contains("`fetches_max`")));
    }

    #[test]
    fn paths_headers_and_sizes_are_those_of_a_call() {
        let invalid = |request: FetchRequest| match judged(&request, 0) {
            Err(FetchFailure::Invalid(reason)) => reason,
            other => panic!("{other:?}"),
        };
        assert!(invalid(get("/../admin")).contains("climbs"));
        assert!(invalid(get("//evil.test/")).contains("exactly one `/`"));
        assert!(invalid(get("/a\r\nhost: evil")).contains("escape it"));
        let header = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        assert!(invalid(FetchRequest { headers: header("Authorization", "x"), ..get("/") }).contains("the host's"));
        assert!(invalid(FetchRequest { headers: header("x", "a\r\nb"), ..get("/") }).contains("control character"));
        let large = FetchRequest { body: Some(Bytes::from_static(&[b'x'; 51])), ..get("/") };
        assert!(invalid(large).contains("`fetch_request_bytes_max`"));
    }

    #[test]
    fn the_shortest_time_counts() {
        let limits = FetchLimits { timeout_ms: 3_000, ..FetchLimits::default() };
        assert_eq!(timeout_ms(None, 15_000, limits, 9_000), 3_000);
        assert_eq!(timeout_ms(Some(1_000), 15_000, limits, 9_000), 1_000);
        assert_eq!(timeout_ms(Some(90_000), 2_000, limits, 9_000), 2_000);
        assert_eq!(timeout_ms(None, 2_000, limits, 0), 0);
        assert_eq!((rest_ms(10_000), rest_ms(100)), (250, 25));
    }

    #[test]
    fn a_key_says_which_look_up_of_which_event() {
        let (event, route) = (EventId::new(NOW, [1; 10]), RouteId::new(NOW, [2; 10]));
        let key = |index, path| lookup_key(event, route, index, &get(path));
        assert_eq!(key(0, "/a"), key(0, "/a"));
        assert_ne!(key(0, "/a"), key(1, "/a"));
        assert_ne!(key(0, "/a"), key(0, "/b"));
    }
}

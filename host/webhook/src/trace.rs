//! The sender's trace, carried through to the calls that its event leads to.
//!
//! [W3C Trace Context](https://www.w3.org/TR/trace-context/) as it came: the host adds no span of its own, so a changed
//! parent would point at nothing. What is not well formed is dropped, because a receiver would begin a trace of its own
//! anyway; a `tracestate` says nothing without its `traceparent`. A handler has no say: both names are the host's.

use crate::outcome::Pair;

/// Where a request stands in its trace.
pub const TRACEPARENT: &str = "traceparent";

/// What tracing systems add to it.
pub const TRACESTATE: &str = "tracestate";

/// Longest `tracestate` that is carried, bytes: what the specification asks everybody to carry at least.
pub const TRACESTATE_BYTES_MAX: usize = 512;

/// Most members of a `tracestate` (section 3.3.1.1).
const MEMBERS_MAX: usize = 32;

/// The headers to carry on; nothing unless there is exactly one `traceparent` and it is well formed.
///
/// ```
/// use creel_webhook::trace::carried;
/// let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let came = [("traceparent".to_owned(), parent.to_owned()), ("accept".to_owned(), "*/*".to_owned())];
/// assert_eq!(carried(&came), came[..1]);
/// ```
pub fn carried(headers: &[Pair]) -> Vec<Pair> {
    let values = |wanted: &'static str| {
        headers.iter().filter(move |(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
    };
    let mut parents = values(TRACEPARENT);
    let (Some(parent), None) = (parents.next(), parents.next()) else { return Vec::new() };
    if !is_parent(parent) {
        return Vec::new();
    }
    let mut carried = vec![(TRACEPARENT.to_owned(), parent.to_owned())];
    let state = values(TRACESTATE).filter(|value| !value.is_empty()).collect::<Vec<_>>().join(",");
    if is_state(&state) {
        carried.push((TRACESTATE.to_owned(), state));
    }
    carried
}

/// `version-trace-parent-flags`; a later version may have more behind it (section 3.2.4).
fn is_parent(text: &str) -> bool {
    let mut parts = text.split('-');
    let mut part = |length: usize| parts.next().filter(|part| part.len() == length && part.bytes().all(is_lower_hex));
    let (version, trace, parent, flags) = (part(2), part(32), part(16), part(2));
    let is_some_id = |part: Option<&str>| part.is_some_and(|part| part.bytes().any(|byte| byte != b'0'));
    let Some(version) = version.filter(|version| *version != "ff") else { return false };
    let has_more = parts.next().is_some();
    let fits = if version == "00" { !has_more } else { text.len() <= TRACESTATE_BYTES_MAX };
    is_some_id(trace)
        && is_some_id(parent)
        && flags.is_some()
        && fits
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// A list of `key=value`, printable, each key once.
fn is_state(text: &str) -> bool {
    if text.is_empty() || text.len() > TRACESTATE_BYTES_MAX || !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return false;
    }
    let members: Vec<&str> = text.split(',').map(str::trim).filter(|member| !member.is_empty()).collect();
    let mut keys: Vec<&str> = members.iter().filter_map(|member| member.split_once('=')).map(|(key, _)| key).collect();
    let all_pairs = keys.len() == members.len();
    keys.sort_unstable();
    all_pairs && members.len() <= MEMBERS_MAX && keys.windows(2).all(|two| two[0] != two[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(pairs: &[(&str, &str)]) -> Vec<Pair> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_is_not_well_formed_is_dropped() {
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(carried(&headers(&[(TRACEPARENT, bad), (TRACESTATE, "a=1")])), [], "{bad}");
        }
        assert_eq!(carried(&headers(&[(TRACEPARENT, PARENT), (TRACEPARENT, PARENT)])), []);
        assert_eq!(carried(&headers(&[(TRACESTATE, "a=1")])), []);
        let later = PARENT.replacen("00", "01", 1) + "-more";
        assert_eq!(carried(&headers(&[(TRACEPARENT, &later)])).len(), 1);
    }

    #[test]
    fn a_state_is_carried_whole_or_not_at_all() {
        let state = |text: &str| {
            let carried = carried(&headers(&[(TRACEPARENT, PARENT), (TRACESTATE, text)]));
            carried.get(1).map(|(_, value)| value.clone())
        };
        assert_eq!(
            state("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE").as_deref(),
            Some("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")
        );
        for bad in ["", "nothing", "a=1,a=2", "a=\u{e4}", &"a=1234567,".repeat(52)] {
            assert_eq!(state(bad), None, "{bad}");
        }
        let two = headers(&[(TRACEPARENT, PARENT), (TRACESTATE, "a=1"), ("TraceState", "b=2")]);
        assert_eq!(carried(&two)[1].1, "a=1,b=2");
    }
}

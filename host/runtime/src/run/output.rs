//! The size of an outcome. Whether its calls are allowed is decided elsewhere, by rules that know the grants.

use bytes::Bytes;
use creel_webhook::outcome::{Call, Outcome, Pair, Reply};
use creel_webhook::run::Verdict;

use super::ended::{End, ask_for};
use crate::limits::Limits;

/// Takes an outcome that is within its limits.
pub(super) fn check(outcome: Outcome, limits: &Limits) -> End {
    match excess(&outcome, limits) {
        Some(reason) => End::because(Verdict::Output, reason),
        None => End { verdict: Verdict::Done, reason: None, outcome: Some(outcome), retry_after_ms: None },
    }
}

fn excess(outcome: &Outcome, limits: &Limits) -> Option<String> {
    let count = outcome.calls.len();
    if count > limits.calls_max as usize {
        return Some(format!(
            "the outcome has {count} calls, calls_max is {}; nothing of it was stored: send several items in one call, or {}",
            limits.calls_max,
            ask_for("calls_max")
        ));
    }
    let calls: Vec<u64> = outcome.calls.iter().map(call_bytes).collect();
    if let Some(index) = calls.iter().position(|bytes| *bytes > limits.call_bytes_max) {
        return Some(format!(
            "call {index} to {:?} has {} bytes, call_bytes_max is {}; nothing of the outcome was stored: send less, \
             or {}",
            outcome.calls[index].destination,
            calls[index],
            limits.call_bytes_max,
            ask_for("call_bytes_max")
        ));
    }
    let reply = outcome.reply.as_ref().map_or(0, reply_bytes);
    if reply > limits.reply_bytes_max {
        return Some(format!(
            "the reply has {reply} bytes, reply_bytes_max is {}; nothing of the outcome was stored: answer less, or {}",
            limits.reply_bytes_max,
            ask_for("reply_bytes_max")
        ));
    }
    let total = calls.iter().sum::<u64>() + reply;
    (total > limits.outcome_bytes_max).then(|| {
        format!(
            "the outcome has {total} bytes, outcome_bytes_max is {}; nothing of it was stored: send less, or {}",
            limits.outcome_bytes_max,
            ask_for("outcome_bytes_max")
        )
    })
}

fn call_bytes(call: &Call) -> u64 {
    let texts = [&call.destination, &call.method, &call.path].map(String::len).iter().sum::<usize>();
    let options = call.idempotency_key.as_ref().map_or(0, String::len)
        + call.order_key.as_ref().map_or(0, String::len)
        + call.on_result.as_ref().map_or(0, |wish| wish.tag.len());
    (texts + options + pairs(&call.headers) + pairs(&call.attributes) + body(call.body.as_ref())) as u64
}

fn reply_bytes(reply: &Reply) -> u64 {
    (pairs(&reply.headers) + body(reply.body.as_ref())) as u64
}

fn body(body: Option<&Bytes>) -> usize {
    body.map_or(0, Bytes::len)
}

/// A pair weighs something even when it is empty.
fn pairs(pairs: &[Pair]) -> usize {
    pairs.iter().map(|(name, value)| name.len() + value.len() + 4).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(bytes: usize) -> Option<Reply> {
        Some(Reply { status: 200, headers: vec![], body: Some(Bytes::from(vec![b'x'; bytes])) })
    }

    #[test]
    fn each_breach_names_its_limit() {
        let limits = Limits { reply_bytes_max: 10, outcome_bytes_max: 5, ..Limits::default() };
        let reason = |bytes| excess(&Outcome { calls: vec![], reply: reply(bytes) }, &limits);
        assert_eq!(reason(5), None);
        assert!(reason(6).unwrap().contains("outcome_bytes_max is 5"));
        assert!(reason(11).unwrap().contains("reply_bytes_max is 10"));
    }
}

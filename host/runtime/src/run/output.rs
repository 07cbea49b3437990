//! The size of an outcome. Whether its calls are allowed is decided elsewhere, by rules that know the grants.

use bytes::Bytes;
use creel_webhook::breach::{Breach, RunLimit};
use creel_webhook::outcome::{Call, Outcome, Pair, Reply};
use creel_webhook::run::Verdict;

use super::ended::End;
use crate::limits::Limits;

/// Takes an outcome that is within its limits.
pub(super) fn check(outcome: Outcome, limits: &Limits) -> End {
    excess(&outcome, limits).unwrap_or(End {
        verdict: Verdict::Done,
        reason: None,
        breach: None,
        outcome: Some(outcome),
        retry_after_ms: None,
    })
}

fn excess(outcome: &Outcome, limits: &Limits) -> Option<End> {
    let count = outcome.calls.len();
    if count > limits.calls_max as usize {
        let breach = Breach::new(RunLimit::CallsMax, count as u64, limits.calls_max.into());
        return Some(beyond(breach, |breach| {
            let advice = breach.advice("send several items in one call");
            format!("the outcome has {count} calls, {breach}; nothing of it was stored: {advice}")
        }));
    }
    let calls: Vec<u64> = outcome.calls.iter().map(call_bytes).collect();
    if let Some(index) = calls.iter().position(|bytes| *bytes > limits.call_bytes_max) {
        let (destination, bytes) = (&outcome.calls[index].destination, calls[index]);
        return Some(beyond(Breach::new(RunLimit::CallBytesMax, bytes, limits.call_bytes_max), |breach| {
            let advice = breach.advice("send less");
            format!(
                "call {index} to {destination:?} has {bytes} bytes, {breach}; nothing of the outcome was stored: {advice}"
            )
        }));
    }
    let reply = outcome.reply.as_ref().map_or(0, reply_bytes);
    if reply > limits.reply_bytes_max {
        return Some(beyond(Breach::new(RunLimit::ReplyBytesMax, reply, limits.reply_bytes_max), |breach| {
            let advice = breach.advice("answer less");
            format!("the reply has {reply} bytes, {breach}; nothing of the outcome was stored: {advice}")
        }));
    }
    let total = calls.iter().sum::<u64>() + reply;
    (total > limits.outcome_bytes_max).then(|| {
        beyond(Breach::new(RunLimit::OutcomeBytesMax, total, limits.outcome_bytes_max), |breach| {
            let advice = breach.advice("send less");
            format!("the outcome has {total} bytes, {breach}; nothing of it was stored: {advice}")
        })
    })
}

fn beyond(breach: Breach, reason: impl FnOnce(&Breach) -> String) -> End {
    End::beyond(Verdict::Output, breach, reason)
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
        let ended = |bytes| excess(&Outcome { calls: vec![], reply: reply(bytes) }, &limits);
        assert!(ended(5).is_none());
        for (bytes, limit, allowed) in [(6, RunLimit::OutcomeBytesMax, 5), (11, RunLimit::ReplyBytesMax, 10)] {
            let end = ended(bytes).unwrap();
            assert_eq!(end.breach, Some(Breach::new(limit, bytes as u64, allowed)));
            assert!(end.reason.unwrap().contains(&format!("{} is {allowed}", limit.as_str())));
        }
    }
}

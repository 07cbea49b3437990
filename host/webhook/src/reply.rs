//! What a sender is told about an event: how soon, and what when the handler has nothing to say.
//!
//! Most senders only want to know that the event is stored. Some use the answer: a phone call waits for it. For those
//! the provider's table has the types, a budget, which is the provider's deadline less a margin for the network, and a
//! fallback in the provider's own words, so that a handler that is late never becomes a dead call.

use bytes::Bytes;

use crate::answer::{Answer, AnswerTemplate};
use crate::clock::Timestamp;
use crate::pointer::View;
use crate::provider::{Provider, ReplyRule};
use crate::request::RawRequest;

fn rule<'p>(provider: &'p Provider, kind: &str) -> Option<&'p ReplyRule> {
    provider.reply.rules.iter().find(|rule| rule.types.matches(kind))
}

/// Whether the sender of events of this type uses the answer.
pub fn is_sync(provider: &Provider, kind: &str) -> bool {
    rule(provider, kind).is_some_and(|rule| rule.sync)
}

/// How long a handler may take to answer, in milliseconds after the request's first byte; `None` when the provider
/// says nothing of it. A route that replies to a sender who needs no answer keeps to it too.
pub fn reply_deadline_ms(provider: &Provider, kind: &str) -> Option<u64> {
    rule(provider, kind)?.budget_ms
}

/// What is told when an event is stored and nobody replies to it.
pub fn acknowledgement(provider: &Provider, kind: &str) -> Answer {
    let own = rule(provider, kind).and_then(|rule| rule.ack.as_ref());
    fill(own.unwrap_or(&provider.reply.ack), &Bytes::new())
}

/// What is told when a reply was due and none came in time: valid for the provider, with ids from the event's body.
pub fn fallback(provider: &Provider, kind: &str, body: &Bytes) -> Answer {
    match rule(provider, kind).and_then(|rule| rule.fallback.as_ref()) {
        Some(template) => fill(template, body),
        None => acknowledgement(provider, kind),
    }
}

fn fill(template: &AnswerTemplate, body: &Bytes) -> Answer {
    let request = RawRequest {
        method: "POST".to_owned(),
        path: "/".to_owned(),
        query: None,
        headers: Vec::new(),
        body: body.clone(),
        received_at: Timestamp::default(),
    };
    template.fill(&View::new(&request), &[]).unwrap_or_else(|| Answer::empty(template.status))
}

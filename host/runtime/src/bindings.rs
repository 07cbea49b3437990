//! The generated side of `wit/plugin.wit`, and the translation to the host's own types.
//!
//! Nobody outside this crate sees a generated type: what goes in is [`creel_webhook::outcome::GuestEvent`], what comes
//! out is [`creel_webhook::outcome::Outcome`] or a [`creel_webhook::outcome::Failure`]. The translation moves strings
//! and copies nothing but an event's body, which may be shared with the request it came from.

use bytes::Bytes;
use creel_webhook::outcome::{Call, Failure, GuestEvent, OnResult, Outcome, Reply};

use self::creel::plugin::types;

#[allow(missing_docs, unreachable_pub, clippy::all)]
mod generated {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "plugin",
        imports: {
            "creel:plugin/state.get": async | trappable,
            "creel:plugin/state.set": async | trappable,
            "creel:plugin/state.delete": async | trappable,
            "creel:plugin/fetch.send": async | trappable,
            default: trappable,
        },
        exports: { default: async },
    });
}

pub(crate) use self::generated::creel;

/// An event as the guest receives it.
pub(crate) fn event(event: GuestEvent) -> types::Event {
    types::Event {
        id: event.id,
        request_id: event.request_id,
        index: event.index,
        count: event.count,
        source: event.source,
        scheme: event.scheme,
        kind: event.kind,
        provider_id: event.provider_id,
        subject: event.subject,
        received_at_ms: u64::try_from(event.received_at.as_millis()).unwrap_or(0),
        method: event.method,
        query: event.query,
        headers: event.headers,
        attributes: event.attributes,
        body: body_in(event.body),
    }
}

/// Bytes as the guest receives them: text when they are UTF-8.
pub(crate) fn body_in(bytes: Bytes) -> types::Body {
    match String::from_utf8(Vec::from(bytes)) {
        Ok(text) => types::Body::Text(text),
        Err(error) => types::Body::Bytes(error.into_bytes()),
    }
}

/// Bytes as the guest gave them.
pub(crate) fn body_out(body: types::Body) -> Bytes {
    match body {
        types::Body::Text(text) => Bytes::from(text),
        types::Body::Bytes(bytes) => Bytes::from(bytes),
    }
}

/// What the guest decided, in the host's types.
pub(crate) fn outcome(outcome: types::Outcome) -> Outcome {
    Outcome { calls: outcome.calls.into_iter().map(call).collect(), reply: outcome.reply.map(reply) }
}

/// Why the guest decided nothing, in the host's types.
pub(crate) fn failure(failure: types::Failure) -> Failure {
    match failure {
        types::Failure::Reject(reason) => Failure::Reject(reason),
        types::Failure::Retry(retry) => Failure::Retry { reason: retry.reason, after_ms: retry.after_ms },
    }
}

fn call(call: types::Call) -> Call {
    Call {
        destination: call.destination,
        method: call.method,
        path: call.path,
        headers: call.headers,
        body: call.body.map(body_out),
        idempotency_key: call.idempotency_key,
        order_key: call.order_key,
        delay_ms: call.delay_ms,
        expires_ms: call.expires_ms,
        on_result: call.on_result.map(|wish| OnResult {
            tag: wish.tag,
            on_delivered: wish.on_delivered,
            on_dead: wish.on_dead,
        }),
        attributes: call.attributes,
    }
}

fn reply(reply: types::Reply) -> Reply {
    Reply { status: reply.status, headers: reply.headers, body: reply.body.map(body_out) }
}

//! The way in: what the code written by `#[plugin]` calls inside the sandbox. Not for authors.
//!
//! A run is one fresh instance, so the panic hook is installed by the call itself: a panic is logged with its place
//! before the trap ends the run.

use crate::bindings::creel::plugin::types as wire;
use crate::host::{body, millis, wire_body};
use crate::{Call, Event, Failure, Handler, Outcome, Reply, log};

pub use crate::bindings::exports::creel::plugin::handler::Guest;
pub use wire::{Event as WireEvent, Failure as WireFailure, Outcome as WireOutcome};

/// Runs the author's function on one event.
pub fn run(event: WireEvent, handler: Handler) -> Result<WireOutcome, WireFailure> {
    std::panic::set_hook(Box::new(|panic| log::write(log::Level::Error, &panic.to_string())));
    match handler(read(event)) {
        Ok(outcome) => Ok(write(outcome)),
        Err(Failure::Reject { reason }) => Err(WireFailure::Reject(reason)),
        Err(Failure::Retry { reason, after }) => {
            Err(WireFailure::Retry(wire::RetryRequest { reason, after_ms: millis(after) }))
        }
    }
}

fn read(event: WireEvent) -> Event {
    Event {
        id: event.id,
        request_id: event.request_id,
        index: event.index,
        count: event.count,
        source: event.source,
        scheme: event.scheme,
        kind: event.kind,
        provider_id: event.provider_id,
        subject: event.subject,
        received_at_ms: event.received_at_ms,
        method: event.method,
        query: event.query,
        headers: event.headers,
        attributes: event.attributes,
        body: body(event.body),
    }
}

fn write(outcome: Outcome) -> WireOutcome {
    WireOutcome { calls: outcome.calls.into_iter().map(write_call).collect(), reply: outcome.reply.map(write_reply) }
}

fn write_call(call: Call) -> wire::Call {
    wire::Call {
        destination: call.destination,
        method: call.method,
        path: call.path,
        headers: call.headers,
        body: call.body.map(wire_body),
        idempotency_key: call.idempotency_key,
        order_key: call.order_key,
        delay_ms: call.delay.map(millis),
        expires_ms: call.expiry.map(millis),
        on_result: call.report.map(|report| wire::OnResult {
            tag: report.tag,
            on_delivered: report.delivered,
            on_dead: report.dead,
        }),
        attributes: call.attributes,
    }
}

fn write_reply(reply: Reply) -> wire::Reply {
    wire::Reply { status: reply.status, headers: reply.headers, body: reply.body.map(wire_body) }
}

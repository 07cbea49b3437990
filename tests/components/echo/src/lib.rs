//! Calls the destination `receiver` with the event's body and, when config `reply` is `true`, answers with what it saw.
//!
//! Config: `destination`, `method`, `path`, `calls` (how many; default 1), `order-key`, `idempotency-key`, `delay-ms`,
//! `expires-ms`, `on-result` (a tag), `reply`. Results that come back are logged; with `confirm`, a path, they are
//! called about as well, and with `chain` = `true` that call asks for its own result too.

use creel_guest::prelude::*;

#[creel_guest::plugin]
fn handle(event: Event) -> Result<Outcome, Failure> {
    if let Some(result) = event.result() {
        log::info!("result of {:?}: {:?}", result.tag(), result.status());
        let Some(path) = config::get("confirm") else { return Ok(Outcome::new()) };
        let seen = json!({
            "tag": result.tag(), "delivered": result.is_delivered(), "status": result.status(), "depth": result.depth(),
            "reason": result.reason(), "destination": result.destination(), "text": result.text()?,
        });
        let mut call = Call::to("receiver").path(path).json(&seen)?;
        if config::get("chain").as_deref() == Some("true") {
            call = call.on_result("chained");
        }
        return Ok(Outcome::new().call(call));
    }
    let mut outcome = Outcome::new();
    for index in 0..config::parse::<u32>("calls")?.unwrap_or(1) {
        outcome = outcome.call(call(&event, index)?);
    }
    if config::get("reply").as_deref() == Some("true") {
        outcome = outcome.reply(Reply::json(&seen(&event))?);
    }
    Ok(outcome)
}

fn call(event: &Event, index: u32) -> Result<Call, Failure> {
    let mut call = Call::to(config::get("destination").unwrap_or_else(|| "receiver".to_owned()))
        .method(&config::get("method").unwrap_or_else(|| "POST".to_owned()))
        .path(config::get("path").unwrap_or_default())
        .body(event.header("content-type").unwrap_or("text/plain"), event.body().clone())
        .header("x-event-id", event.id())
        .header("x-call-index", index.to_string());
    call.order_key = config::get("order-key");
    call.idempotency_key = config::get("idempotency-key");
    call.delay = config::parse("delay-ms")?.map(Duration::from_millis);
    call.expiry = config::parse("expires-ms")?.map(Duration::from_millis);
    if let Some(tag) = config::get("on-result") {
        call = call.on_result(tag);
    }
    Ok(call)
}

fn seen(event: &Event) -> Value {
    json!({
        "id": event.id(),
        "request_id": event.request_id(),
        "index": event.index(),
        "count": event.count(),
        "source": event.source(),
        "scheme": event.scheme(),
        "kind": event.kind(),
        "provider_id": event.provider_id(),
        "subject": event.subject(),
        "received_at_ms": event.received_at_ms(),
        "method": event.method(),
        "query": event.queries().collect::<Vec<_>>(),
        "headers": event.headers().collect::<Vec<_>>(),
        "attributes": event.attributes().collect::<Vec<_>>(),
        "body_bytes": event.body().as_bytes().len(),
        "text": event.text().ok(),
        "config": config::all(),
    })
}

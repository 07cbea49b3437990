//! Decides on one good call and then one that config makes bad, so that the host must refuse both.
//!
//! Config: `destination`, `method`, `path`, `header` (as `name: value`), `body-bytes`, `idempotency-key`, `tag`, and
//! for the reply `status` and `reply-header`.

use creel_guest::prelude::*;

#[creel_guest::plugin]
fn handle(_: Event) -> Result<Outcome, Failure> {
    let mut bad = Call::to(config::get("destination").unwrap_or_else(|| "receiver".to_owned()));
    // Set directly: the builders would tidy up what is to be refused.
    bad.method = config::get("method").unwrap_or(bad.method);
    bad.path = config::get("path").unwrap_or_default();
    bad.headers.extend(header("header"));
    bad.body = config::parse::<usize>("body-bytes")?.map(|length| "x".repeat(length).into());
    bad.idempotency_key = config::get("idempotency-key");
    if let Some(tag) = config::get("tag") {
        bad = bad.on_result(tag);
    }
    let mut outcome = Outcome::new().call(Call::to("receiver").path("/good")).call(bad);
    if let Some(status) = config::parse("status")? {
        let mut reply = Reply::status(status);
        reply.headers.extend(header("reply-header"));
        outcome = outcome.reply(reply);
    }
    Ok(outcome)
}

fn header(key: &str) -> Option<(String, String)> {
    let line = config::get(key)?;
    let (name, value) = line.split_once(": ").unwrap_or((&line, ""));
    Some((name.to_owned(), value.to_owned()))
}

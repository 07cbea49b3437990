//! Burns processor time for config `iterations` turns (bounded, so the end always comes), then replies and calls.
//! Each turn costs about five instructions.

use creel_guest::prelude::*;

#[creel_guest::plugin]
fn handle(event: Event) -> Result<Outcome, Failure> {
    let iterations: u64 = config::parse("iterations")?.unwrap_or(100_000_000);
    let mut value = event.received_at_ms();
    for turn in 0..iterations {
        value = std::hint::black_box(value.rotate_left(7) ^ turn);
    }
    let reply = Reply::json(&json!({ "iterations": iterations, "value": value.to_string() }))?;
    Ok(Outcome::new().call(Call::to("receiver").path("/late").text(event.id())).reply(reply))
}

//! Asks for another run of every event, after config `after-ms`.

use creel_guest::prelude::*;

#[creel_guest::plugin]
fn handle(_: Event) -> Result<Outcome, Failure> {
    let after = config::parse("after-ms")?.unwrap_or(1_000);
    Err(Failure::retry("the recording is not there yet", Duration::from_millis(after)))
}

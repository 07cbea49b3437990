//! Rejects every event. Config `reason` is what it says; `parse` = `true` rejects by failing to parse the body.

use creel_guest::prelude::*;

#[creel_guest::plugin]
fn handle(event: Event) -> Result<Outcome, Failure> {
    if config::get("parse").as_deref() == Some("true") {
        event.json::<Vec<u32>>()?;
    }
    Err(Failure::reject(config::get("reason").unwrap_or_else(|| "not for me".to_owned())))
}

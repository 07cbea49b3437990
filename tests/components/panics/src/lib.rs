//! Panics; the message and the place must be in the run's log. Config `message` is what it says.

use creel_guest::prelude::*;

#[creel_guest::plugin]
fn handle(_: Event) -> Result<Outcome, Failure> {
    log::info!("about to panic");
    panic!("{}", config::get("message").unwrap_or_else(|| "the fixture panics".to_owned()));
}

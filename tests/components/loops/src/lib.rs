//! Never ends: the host's fuel, or its wall clock, does.

use creel_guest::prelude::*;

#[creel_guest::plugin]
fn handle(event: Event) -> Result<Outcome, Failure> {
    let mut turns = event.received_at_ms();
    log::info!("going round in circles");
    loop {
        turns = std::hint::black_box(turns.wrapping_add(1));
    }
}

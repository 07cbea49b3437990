//! Takes memory until the host says no. Config `bytes` ends it earlier, with an outcome.

use creel_guest::prelude::*;

const STEP_BYTES: usize = 1 << 20;

#[creel_guest::plugin]
fn handle(_: Event) -> Result<Outcome, Failure> {
    let enough: usize = config::parse("bytes")?.unwrap_or(usize::MAX);
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    while hoard.len() * STEP_BYTES < enough {
        hoard.push(std::hint::black_box(vec![1; STEP_BYTES]));
    }
    Ok(Outcome::new().reply(Reply::text(format!("{} bytes", hoard.len() * STEP_BYTES))))
}

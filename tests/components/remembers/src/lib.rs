//! Counts its runs in `state` and replies with the count before this run. Config `value-bytes` writes a value of that
//! size beside it; `reject` = `true` ends in a rejection after the write, which must then not be kept.

use creel_guest::prelude::*;

#[creel_guest::plugin]
fn handle(_: Event) -> Result<Outcome, Failure> {
    let before: u64 = state::get_json("runs")?.unwrap_or(0);
    state::set_json("runs", &(before + 1))?;
    let again: u64 = state::get_json("runs")?.unwrap_or(0);
    if let Some(length) = config::parse::<usize>("value-bytes")? {
        state::set("large", vec![b'x'; length])?;
    }
    if config::get("reject").as_deref() == Some("true") {
        return Err(Failure::reject("nothing of this run is to be kept"));
    }
    Ok(Outcome::new().reply(Reply::json(&json!({ "before": before, "seen_after_write": again }))?))
}

//! Counts its runs in `state` and replies with the count before this run.
//!
//! Config: `key` is where it counts (`runs` when missing); `reads` = N reads further keys; `value-bytes` writes a value of
//! that size beside it; `reject` = `true` ends in a rejection after the write, which must then not be kept.

use creel_guest::prelude::*;

#[creel_guest::plugin]
fn handle(_: Event) -> Result<Outcome, Failure> {
    let key = config::get("key").unwrap_or_else(|| "runs".to_owned());
    let before: u64 = state::get_json(&key)?.unwrap_or(0);
    for other in 0..config::parse::<u32>("reads")?.unwrap_or(0) {
        state::get(&format!("other/{other}"))?;
    }
    state::set_json(&key, &(before + 1))?;
    let again: u64 = state::get_json(&key)?.unwrap_or(0);
    if let Some(length) = config::parse::<usize>("value-bytes")? {
        state::set("large", vec![b'x'; length])?;
    }
    if config::get("reject").as_deref() == Some("true") {
        return Err(Failure::reject("nothing of this run is to be kept"));
    }
    Ok(Outcome::new().reply(Reply::json(&json!({ "before": before, "seen_after_write": again }))?))
}

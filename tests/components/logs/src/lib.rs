//! Floods the log: config `lines` lines of config `bytes` bytes each, of every level in turn.

use creel_guest::log::Level;
use creel_guest::prelude::*;

#[creel_guest::plugin]
fn handle(_: Event) -> Result<Outcome, Failure> {
    let lines: u32 = config::parse("lines")?.unwrap_or(10_000);
    let line = "x".repeat(config::parse("bytes")?.unwrap_or(100));
    let levels = [Level::Trace, Level::Debug, Level::Info, Level::Warn, Level::Error];
    for (index, level) in (0..lines).zip(levels.into_iter().cycle()) {
        log::write(level, &format!("{index} {line}"));
    }
    Ok(Outcome::new())
}

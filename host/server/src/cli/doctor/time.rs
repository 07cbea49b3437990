//! The clock: providers sign the time, and a host whose clock is minutes off believes nobody.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use creel_webhook::clock::{Clock as _, Timestamp};
use url::Url;

use super::finding::Finding;
use crate::cli::client::http_client;
use crate::system::SystemClock;

/// A step of the clock within the time that it is watched, milliseconds.
const STEP_MS_MAX: i64 = 50;

/// Looks at both clocks, of which the one counts that took least time.
const LOOKS_MAX: u32 = 10;

/// How far ahead a file or an event may be: a network file system has a clock of its own, milliseconds.
const AHEAD_MS_MAX: u64 = 5_000;

/// A difference that somebody should know of, milliseconds.
const OFF_MS_WARN: u64 = 10_000;

/// A difference that eats most of the five minutes that signatures are good for, milliseconds.
const OFF_MS_MAX: u64 = 60_000;

const SET_IT: &str = "let the machine's clock be kept by NTP (`timedatectl set-ntp true`, or chrony)";

/// What the clock shows.
pub(super) fn now() -> Timestamp {
    SystemClock::new().now()
}

/// A moment of the operating system.
pub(super) fn stamp(at: SystemTime) -> Timestamp {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Watches both clocks of the machine for a while: one that is being set runs away from the other.
pub(super) async fn steps(watched: Duration, found: &mut Vec<Finding>) {
    let (wall, steady) = both();
    tokio::time::sleep(watched).await;
    let (wall_after, steady_after) = both();
    let by_steady = i64::try_from((steady_after - steady).as_millis()).unwrap_or(i64::MAX);
    found.push(step(wall_after.as_millis() - wall.as_millis() - by_steady));
}

/// What both clocks show at one moment. On a busy machine something may come between the two looks; then they are taken
/// again.
fn both() -> (Timestamp, Instant) {
    let looks = (0..LOOKS_MAX).map(|_| {
        let (before, wall) = (Instant::now(), now());
        (before.elapsed(), (wall, before))
    });
    let best = looks.min_by_key(|(between, _)| *between);
    best.map_or_else(|| (now(), Instant::now()), |(_, look)| look)
}

fn step(by_ms: i64) -> Finding {
    if by_ms.abs() <= STEP_MS_MAX {
        return Finding::ok("clock", "it runs as steadily as the machine does");
    }
    let says = format!("it was set by {by_ms} ms while it was looked at");
    Finding::warn("clock", says, "see what sets it; a clock that is slewed does not jump")
}

/// What is kept was written in the past.
pub(super) fn against_what_is_kept(kept: &[(String, Timestamp)], now: Timestamp, found: &mut Vec<Finding>) {
    for (what, at) in kept {
        let ahead_ms = at.since_ms(now);
        if ahead_ms > AHEAD_MS_MAX {
            let says = format!("it shows {now}, and {what} was at {at}, {} s later", ahead_ms / 1_000);
            found.push(Finding::no("clock", says, format!("{SET_IT}; until then signatures look too new")));
        }
    }
}

/// Compares the clock with that of a web server.
pub(super) async fn against(server: &str, ca_file: Option<&Path>, found: &mut Vec<Finding>) {
    found.push(match date_of(server, ca_file).await {
        Ok((theirs, ours)) => difference(server, theirs, ours),
        Err(why) => Finding::warn(
            "clock",
            format!("{server} tells no time: {why}"),
            "name another web server with --against, such as https://www.example.com",
        ),
    });
}

/// What a server shows, and what we showed in the middle of asking.
async fn date_of(server: &str, ca_file: Option<&Path>) -> Result<(Timestamp, Timestamp), String> {
    let url = Url::parse(server).map_err(|_| "it is no URL")?;
    let http = http_client(&url, ca_file).map_err(|error| error.to_string())?;
    let before = now();
    let answer = http.head(url).send().await.map_err(|error| error.without_url().to_string())?;
    let took_ms = now().since_ms(before);
    let date = answer.headers().get("date").and_then(|date| date.to_str().ok()).ok_or("its answer has no date")?;
    let date = httpdate::parse_http_date(date).map_err(|_| format!("`{date}` is no date"))?;
    // A date has whole seconds; on average it is half a second old.
    Ok((stamp(date).plus_ms(500), before.plus_ms(took_ms / 2)))
}

fn difference(server: &str, theirs: Timestamp, ours: Timestamp) -> Finding {
    let off_ms = theirs.since_ms(ours).max(ours.since_ms(theirs));
    let says = format!("it differs from that of {server} by {} s", off_ms / 1_000);
    if off_ms > OFF_MS_MAX {
        return Finding::no("clock", format!("{says}: genuine requests look too old or too new"), SET_IT);
    }
    if off_ms > OFF_MS_WARN { Finding::warn("clock", says, SET_IT) } else { Finding::ok("clock", says) }
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    #[test]
    fn a_clock_that_jumps_is_told() {
        assert_eq!((step(3).state, step(-40).state, step(900).state), (State::Ok, State::Ok, State::Warn));
    }

    #[test]
    fn a_clock_that_is_off_is_told_by_how_much() {
        let at = Timestamp::from_secs;
        let of = |theirs, ours| difference("https://x", at(theirs), at(ours));
        assert_eq!((of(100, 105).state, of(130, 100).state), (State::Ok, State::Warn));
        let far = of(100, 500);
        assert!(far.state == State::No && far.says.contains("400 s") && far.todo.unwrap().contains("NTP"));
        let mut found = Vec::new();
        against_what_is_kept(&[("the newest event".to_owned(), at(1_000))], at(100), &mut found);
        assert!(found[0].state == State::No && found[0].says.contains("900 s later"), "{found:?}");
        against_what_is_kept(&[("the newest event".to_owned(), at(102))], at(100), &mut found);
        assert_eq!(found.len(), 1);
    }
}

//! What a replay would do, for people: the outcome as `creel event` tells one, and what is different.

use std::fmt::Write as _;

use creel_webhook::comparison::{Change, Difference};
use creel_webhook::run::{LogLevel, Verdict};

use super::layout::{BAD, BOLD, DIM, GOOD, ODD};
use super::plain::{self, plain};
use crate::api::rehearsed::{RehearsalView, Rehearsed, RehearsedCall, RehearsedChange};

/// Lines of a body that are shown; the rest is counted.
const BODY_LINES_MAX: usize = 12;

/// All runs that were rehearsed.
pub fn rehearsed(one: &Rehearsed) -> String {
    let mut text = format!("{BOLD}{}{BOLD:#}  rehearsed: nothing was sent, nothing was stored\n", one.event);
    for run in &one.runs {
        tell_run(&mut text, run);
    }
    text.pop();
    text
}

fn tell_run(text: &mut String, run: &RehearsalView) {
    let style = match run.verdict {
        Verdict::Done => GOOD,
        Verdict::Rejected | Verdict::Retry => ODD,
        _ => BAD,
    };
    let number = |number: Option<u32>| number.map_or_else(String::new, |number| format!(" #{number}"));
    let _ = writeln!(
        text,
        "  {style}{:<10}{style:#} {BOLD}{}{BOLD:#}{} on route {} (fuel {}, {} µs, {} KiB)",
        run.verdict.as_str(),
        plain(&run.plugin),
        number(run.deployment),
        plain(&run.route),
        run.usage.fuel,
        run.usage.cpu_us,
        run.usage.memory_bytes / 1_024
    );
    if let Some(reason) = &run.reason {
        let _ = writeln!(text, "             {}", plain(reason));
    }
    if let Some(ms) = run.retry_after_ms {
        let _ = writeln!(text, "             would be run again after {ms} ms");
    }
    for line in &run.log {
        let style = if line.level >= LogLevel::Warn { ODD } else { DIM };
        let level = format!("{:?}", line.level).to_lowercase();
        let _ = writeln!(text, "             {style}{level:<5} {}{style:#}", plain(&line.message));
    }
    for write in &run.writes {
        let what = write.value_bytes.map_or_else(|| "nothing".to_owned(), |bytes| format!("{bytes} bytes"));
        let _ = writeln!(text, "             would remember {what} under {}", plain(&write.key));
    }
    for missing in &run.missing {
        let _ = writeln!(text, "             {ODD}not in the record of the run of then: {}{ODD:#}", plain(missing));
    }
    if let Some(reply) = &run.reply {
        let _ = writeln!(text, "  reply      {}", reply.status);
        tell_body(text, &reply.body, reply.body.len() as u64);
    }
    for call in &run.calls {
        tell_call(text, call);
    }
    if run.verdict == Verdict::Done && run.calls.is_empty() {
        let _ = writeln!(text, "             no calls");
    }
    let then =
        run.then.as_ref().map(|then| format!("{}{} ({})", then.verdict.as_str(), number(then.deployment), then.run));
    match (&then, run.same) {
        (Some(then), Some(true)) => _ = writeln!(text, "  {GOOD}same{GOOD:#}       as what was decided then: {then}"),
        (Some(then), _) => _ = writeln!(text, "  {ODD}changed{ODD:#}    from what was decided then: {then}"),
        (None, _) => _ = writeln!(text, "  {ODD}new{ODD:#}        nothing was decided here then"),
    }
    run.differences.iter().for_each(|one| tell_difference(text, one));
    run.changes.iter().filter(|one| one.call.change != Change::Same).for_each(|one| tell_change(text, one));
}

fn tell_call(text: &mut String, call: &RehearsedCall) {
    let _ = writeln!(
        text,
        "  call       {} {} -> {BOLD}{}{BOLD:#}  {DIM}{}{DIM:#}",
        plain(&call.method),
        plain(&call.url),
        plain(&call.destination),
        plain(call.key.as_deref().unwrap_or("a new key"))
    );
    if let Some(held) = &call.held {
        let _ = writeln!(text, "             {ODD}would wait:{ODD:#} {}", plain(held));
    }
    if call.delay_ms > 0 {
        let _ = writeln!(text, "             not before {} ms from then", call.delay_ms);
    }
    if let Some(ms) = call.expires_ms {
        let _ = writeln!(text, "             not after {ms} ms from then");
    }
    for (name, value) in &call.headers {
        let _ = writeln!(text, "             {DIM}{}:{DIM:#} {}", plain(name), plain(value));
    }
    if let Some(body) = &call.body {
        tell_body(text, body, call.body_bytes);
    }
}

fn tell_body(text: &mut String, body: &str, bytes: u64) {
    for line in body.lines().take(BODY_LINES_MAX) {
        let _ = writeln!(text, "             {}", plain::plain(line));
    }
    if body.lines().nth(BODY_LINES_MAX).is_some() || (body.len() as u64) < bytes {
        let _ = writeln!(text, "             {DIM}… {bytes} bytes in all{DIM:#}");
    }
}

fn tell_change(text: &mut String, change: &RehearsedChange) {
    let (style, sign) = match change.call.change {
        Change::Added => (GOOD, '+'),
        Change::Removed => (BAD, '-'),
        Change::Changed | Change::Same => (ODD, '~'),
    };
    let _ = writeln!(text, "    {style}{sign} {}{style:#}", plain(&change.what));
    change.call.differences.iter().for_each(|one| tell_difference(text, one));
}

fn tell_difference(text: &mut String, one: &Difference) {
    let _ = writeln!(text, "      {}", plain(&one.field));
    for (style, sign, value) in [(BAD, '-', &one.then), (GOOD, '+', &one.now)] {
        if let Some(value) = value {
            let _ = writeln!(text, "        {style}{sign} {}{style:#}", plain(value));
        }
    }
}

//! The story of one event, one run and one call, as people read it: what came when, counted from the request on.

use std::fmt::Write as _;

use creel_store::contract::DeliveryState;
use creel_webhook::clock::Timestamp;
use creel_webhook::delivery;
use creel_webhook::run::{Usage, Verdict};

use super::layout::{BAD, BOLD, DIM, GOOD, ODD, dash, hanging, log_line, state};
use super::plain::{self, plain};
use crate::api::{DeliveryView, EventView, LetterView, RunView, StoryView, WaitView};

/// The whole story of one event, from the request to the last attempt.
pub fn story(story: &StoryView) -> String {
    let event = &story.event;
    let mut text = String::new();
    let from = event.received_at.0;
    let _ = writeln!(text, "{BOLD}{}{BOLD:#}  {} from {}", event.id, plain(&dash(&event.kind)), plain(&event.source));
    let facts = [
        ("received", event.received_at.to_string()),
        ("request", format!("{} {} ({})", event.method, event.request, payload(event))),
        ("verified by", event.scheme.clone()),
        ("provider id", dash(&event.provider_id.as_deref().unwrap_or_default().replace('\u{1f}', " · "))),
        ("subject", dash(event.subject.as_deref().unwrap_or_default())),
    ];
    for (name, value) in facts {
        let _ = writeln!(text, "  {DIM}{name:<12}{DIM:#}{}", plain(&value));
    }
    if let Some(left_out) = &story.left_out {
        let _ = writeln!(text, "  {DIM}{:<12}{DIM:#}{}", "left out", plain(left_out));
    }
    if event.count > 1 {
        let _ = writeln!(text, "  {DIM}{:<12}{DIM:#}{} of {} in its request", "item", event.index + 1, event.count);
    }
    if story.duplicates > 0 {
        let _ =
            writeln!(text, "  {DIM}{:<12}{DIM:#}{} came later and were recognised", "repetitions", story.duplicates);
    }
    if let Some(origin) = &event.origin {
        let _ = writeln!(text, "  {DIM}{:<12}{DIM:#}{} of {}", "result of", origin.delivery, origin.event);
    } else {
        let _ = writeln!(text, "  {DIM}{:<12}{DIM:#}{}", "answered", plain(&told(story)));
    }
    if story.runs.is_empty() {
        let _ = writeln!(text, "  no route of this source takes its type; `creel apply` adds one");
    }
    for run in &story.runs {
        tell_run(&mut text, run, from);
        for call in story.deliveries.iter().filter(|call| call.run == Some(run.id)) {
            tell_delivery(&mut text, call, from);
        }
    }
    text.pop();
    text
}

/// What there is of an event's payload.
fn payload(event: &EventView) -> String {
    if event.erased { "payload erased".to_owned() } else { format!("{} bytes", event.body_bytes) }
}

/// What the sender was told, on one line.
fn told(story: &StoryView) -> String {
    story.answer.as_ref().map_or("undecided".to_owned(), |answer| {
        let body: String = answer.body.chars().take(120).collect();
        if body.is_empty() { answer.status.to_string() } else { format!("{} {}", answer.status, body.trim()) }
    })
}

/// A run in a log: when, how it ended, why, and what it logged.
pub fn logged(run: &RunView) -> String {
    let (style, verdict) = verdict_of(run);
    let at = run.ended_at.as_ref().unwrap_or(&run.created_at);
    let reason = run.reason.as_deref().map(|reason| format!(": {}", plain(reason))).unwrap_or_default();
    let mut text = format!(
        "{DIM}{at}{DIM:#}  {BOLD}{}{BOLD:#} {style}{verdict}{style:#}{reason}  {DIM}{}{DIM:#}",
        plain(&run.plugin),
        run.event
    );
    for line in &run.log {
        let _ = write!(text, "\n{}", log_line(line, 4));
    }
    text
}

fn verdict_of(run: &RunView) -> (anstyle::Style, &'static str) {
    match run.verdict {
        None => (ODD, "pending"),
        Some(verdict @ Verdict::Done) => (GOOD, verdict.as_str()),
        Some(verdict @ (Verdict::Rejected | Verdict::Retry | Verdict::Late)) => (ODD, verdict.as_str()),
        Some(verdict) => (BAD, verdict.as_str()),
    }
}

fn tell_run(text: &mut String, run: &RunView, from: Timestamp) {
    let (style, verdict) = verdict_of(run);
    let at = run.ended_at.map_or_else(|| "…".to_owned(), |at| after(at.0, from));
    let deployment = run.deployment.map_or_else(String::new, |number| format!(" #{number}"));
    let Usage { fuel, memory_bytes, cpu_us, wait_us } = run.usage;
    let waited = if wait_us > 0 { format!(" and {wait_us} µs waiting") } else { String::new() };
    let used = format!("fuel {fuel}, {cpu_us} µs{waited}, {} KiB", memory_bytes / 1_024);
    let _ = writeln!(
        text,
        "{at:>10}  {style}{verdict:<10}{style:#} {BOLD}{}{BOLD:#}{deployment} on route {} ({used})  {DIM}{}{DIM:#}",
        plain(&run.plugin),
        plain(&run.route),
        run.id
    );
    if let Some(reason) = &run.reason {
        let _ = writeln!(text, "{:>12}{}", "", hanging(reason, 12));
    }
    tell_waits(text, &run.waiting);
    for read in &run.state {
        let value = match (&read.value, read.value_bytes) {
            (Some(value), Some(bytes)) => format!("{} {DIM}({bytes} bytes){DIM:#}", plain(value)),
            _ => format!("{DIM}nothing{DIM:#}"),
        };
        let _ = writeln!(text, "{:>12}{DIM}remembered{DIM:#} {BOLD}{}{BOLD:#}: {value}", "", plain(&read.key));
    }
    for fetched in &run.fetches {
        let answer =
            fetched.status.map_or_else(|| fetched.error.clone().unwrap_or_default(), |status| status.to_string());
        let _ = writeln!(
            text,
            "{:>12}{DIM}asked{DIM:#} {} {} at {BOLD}{}{BOLD:#}: {} {DIM}({} ms){DIM:#}",
            "",
            plain(&fetched.method),
            plain(&fetched.path),
            plain(&fetched.destination),
            plain(&answer),
            fetched.duration_ms
        );
    }
    for line in &run.log {
        let _ = writeln!(text, "{}", log_line(line, 12));
    }
}

fn tell_delivery(text: &mut String, call: &DeliveryView, from: Timestamp) {
    let style = match call.state {
        DeliveryState::Delivered => GOOD,
        DeliveryState::Pending => ODD,
        DeliveryState::Dead => BAD,
    };
    let at = call.ended_at.map_or_else(|| "…".to_owned(), |at| after(at.0, from));
    let word = state(call.state);
    let _ = writeln!(
        text,
        "{at:>10}  {style}{word:<10}{style:#} {} -> {BOLD}{}{BOLD:#}  {DIM}{}{DIM:#}",
        plain(format!("{} {}", call.method, call.path).trim_end()),
        plain(&call.destination),
        call.id
    );
    if let Some(reason) = &call.reason {
        let _ = writeln!(text, "{:>12}{}", "", plain(reason));
    }
    for (index, attempt) in call.history.iter().enumerate() {
        let _ = writeln!(
            text,
            "{:>12}{DIM}attempt {} at {}, {} ms:{DIM:#} {}",
            "",
            index + 1,
            after(attempt.started_at.0, from),
            attempt.duration_ms,
            plain(&delivery::describe(&attempt.answer))
        );
        if let Some(detail) = &attempt.detail {
            let _ = writeln!(text, "{:>14}{}", "", plain(detail));
        }
    }
    if let (Some(result), Some(wanted)) = (&call.result, &call.on_result) {
        let _ = writeln!(text, "{:>12}reported as {result} ({})", "", plain(&wanted.tag));
    }
    tell_waits(text, &call.waiting);
}

/// Why something is not over, a line each.
fn tell_waits(text: &mut String, waits: &[WaitView]) {
    for wait in waits {
        let _ = writeln!(text, "{:>12}{ODD}waits{ODD:#} {}", "", plain(&wait.detail));
    }
}

/// One delivery and what it sends.
pub fn letter(letter: &LetterView) -> String {
    let mut text = String::new();
    let call = &letter.delivery;
    let of = match (call.event, call.run) {
        (Some(event), Some(run)) => format!("of {event} and {run}"),
        _ => "a notice of the host".to_owned(),
    };
    let _ = writeln!(text, "{BOLD}{}{BOLD:#}  {of}, key {}", call.id, plain(&call.key));
    tell_delivery(&mut text, call, call.created_at.0);
    for death in &letter.past {
        let reason = plain(death.reason.as_deref().unwrap_or_default());
        let _ = writeln!(text, "{:>12}died at {}, replayed at {}: {reason}", "", death.ended_at, death.replayed_at);
    }
    for (name, value) in &letter.headers {
        let _ = writeln!(text, "{:>12}{DIM}{}:{DIM:#} {}", "", plain(name), plain(value));
    }
    if let Some(body) = &letter.body {
        let _ = writeln!(text, "{}", plain::lines(body));
    }
    if let Some(left_out) = &letter.left_out {
        let _ = writeln!(text, "{:>12}{}", "", plain(left_out));
    }
    text.pop();
    text
}

fn after(moment: Timestamp, from: Timestamp) -> String {
    match moment.since_ms(from) {
        ms @ 0..=9_999 => format!("+{ms} ms"),
        ms @ 10_000..=599_999 => format!("+{} s", ms / 1_000),
        ms => format!("+{} min", ms / 60_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_from_the_request_on() {
        let at = Timestamp::from_millis;
        assert_eq!(after(at(1_500), at(1_000)), "+500 ms");
        assert_eq!(after(at(61_000), at(1_000)), "+60 s");
        assert_eq!(after(at(7_200_000), at(0)), "+120 min");
    }
}

//! What people read: plans, lists and stories as text. Colours are written here and dropped by `anstream` where no
//! terminal is.
//!
//! Most of it was written by strangers: senders, receivers, plugins. A terminal obeys control characters, so all text
//! that comes from a host passes [`plain`]: a cell in `table`, everything else where it is put into a line.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use creel_store::contract::DeliveryState;
use creel_webhook::catalogue::Facts;
use creel_webhook::clock::Timestamp;
use creel_webhook::delivery;
use creel_webhook::run::{LogLevel, Verdict};
use creel_webhook::signature::explain::Mark;

use super::apply::{Plan, Planned, Step};
use super::plain::plain;
use super::trigger::{Answered, Listed};
use super::verify::Explained;
use crate::api::{
    DeliveryView, DeploymentView, DestinationView, EventLine, EventView, LetterView, RefusalView, ReplayStep, RunView,
    SourceView, StoryView, TenantView,
};
use crate::spec::notices::NoticesSpec;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const ODD: Style = AnsiColor::Yellow.on_default();

/// A plan, a line per step, and its sum.
pub fn plan(plan: &Plan) -> String {
    let mut text: String = plan.steps.iter().map(|one| format!("{}\n", step(one))).collect();
    let count = |wanted| plan.steps.iter().filter(|step| step.change == wanted).count();
    let _ = write!(
        text,
        "{} to create, {} to change, {} to remove, {} as they should be",
        count(Planned::Create),
        count(Planned::Change),
        count(Planned::Remove),
        count(Planned::Same)
    );
    text
}

/// A step of a plan.
pub fn step(step: &Step) -> String {
    let style = match step.change {
        Planned::Create => GOOD,
        Planned::Change => ODD,
        Planned::Same => DIM,
        Planned::Remove => BAD,
    };
    let fields = if step.fields.is_empty() { String::new() } else { format!(" ({})", step.fields.join(", ")) };
    format!("{style}{} {} {}{fields}{style:#}", step.change.sign(), step.kind, plain(&step.name))
}

/// Events, a line each.
pub fn events(events: &[EventLine]) -> String {
    let row = |event: &EventLine| {
        let runs = if event.pending > 0 {
            format!("{} of {} pending", event.pending, event.runs)
        } else {
            format!("{} decided", event.runs)
        };
        vec![
            event.id.to_string(),
            event.received_at.to_string(),
            event.source.clone(),
            dash(&event.kind),
            dash(event.subject.as_deref().unwrap_or_default()),
            runs,
        ]
    };
    table(&["EVENT", "RECEIVED", "SOURCE", "TYPE", "SUBJECT", "RUNS"], events.iter().map(row).collect())
}

/// Runs, a line each.
pub fn runs(runs: &[RunView]) -> String {
    let row = |run: &RunView| {
        vec![
            run.id.to_string(),
            run.created_at.to_string(),
            run.plugin.clone(),
            run.verdict.map_or("pending", Verdict::as_str).to_owned(),
            run.usage.fuel.to_string(),
            run.usage.cpu_us.to_string(),
            dash(run.reason.as_deref().unwrap_or_default()),
        ]
    };
    table(&["RUN", "QUEUED", "PLUGIN", "VERDICT", "FUEL", "µS", "REASON"], runs.iter().map(row).collect())
}

/// Deliveries, a line each.
pub fn deliveries(deliveries: &[DeliveryView]) -> String {
    let row = |call: &DeliveryView| {
        vec![
            call.id.to_string(),
            call.created_at.to_string(),
            call.destination.clone(),
            format!("{} {}", call.method, call.path),
            state(call.state).to_owned(),
            call.attempts.to_string(),
            dash(call.reason.as_deref().unwrap_or_default()),
        ]
    };
    let heads = ["DELIVERY", "DECIDED", "DESTINATION", "CALL", "STATE", "ATTEMPTS", "REASON"];
    table(&heads, deliveries.iter().map(row).collect())
}

/// Refused requests, a line each.
pub fn refusals(refusals: &[RefusalView]) -> String {
    let row = |one: &RefusalView| {
        vec![one.at.to_string(), one.source.clone(), one.reason.clone(), one.peer.clone(), one.detail.clone()]
    };
    table(&["AT", "SOURCE", "REASON", "PEER", "DETAIL"], refusals.iter().map(row).collect())
}

/// Sources, a line each.
pub fn sources(sources: &[SourceView]) -> String {
    let row = |one: &SourceView| {
        let state = if one.paused { "paused" } else { "" };
        vec![one.name.clone(), one.spec.preset.clone(), one.url.clone(), state.to_owned()]
    };
    table(&["SOURCE", "PRESET", "URL", ""], sources.iter().map(row).collect())
}

/// Destinations, a line each.
pub fn destinations(destinations: &[DestinationView]) -> String {
    let row = |one: &DestinationView| {
        let (state, why) = match (&one.disabled, &one.paused) {
            (Some(why), _) => ("disabled", why.as_str()),
            (None, Some(why)) => ("paused", why.as_str()),
            (None, None) => ("", ""),
        };
        vec![one.name.clone(), one.spec.url.clone(), one.waiting.to_string(), state.to_owned(), why.to_owned()]
    };
    table(&["DESTINATION", "URL", "WAITING", "", "WHY"], destinations.iter().map(row).collect())
}

/// A tenant and its own limits.
pub fn tenant(tenant: &TenantView) -> String {
    let limits = &tenant.limits;
    let row = |(name, limit): (&str, Option<u64>)| {
        vec![name.to_owned(), limit.map_or_else(|| "the host's".to_owned(), |limit| limit.to_string())]
    };
    let rows = [
        ("pending_runs_max", limits.pending_runs_max),
        ("body_days", limits.body_days),
        ("record_days", limits.record_days),
        ("fuel_max", limits.fuel_max),
        ("memory_bytes_max", limits.memory_bytes_max),
        ("run_timeout_ms", limits.run_timeout_ms),
    ];
    format!("{BOLD}{}{BOLD:#} {}\n{}", plain(&tenant.name), tenant.id, table(&["LIMIT", "OWN"], rows.map(row).into()))
}

/// Where notices go.
pub fn notices(spec: &NoticesSpec) -> String {
    let NoticesSpec { destination, refusals_percent, refusals_min } = spec;
    format!(
        "notices go to {}\na source is told of when it refuses {refusals_percent} % of its requests in five minutes, \
         and at least {refusals_min}",
        plain(destination)
    )
}

/// Deployments, a line each.
pub fn deployments(deployments: &[DeploymentView]) -> String {
    let row = |one: &DeploymentView| {
        let active = if one.active { "active" } else { "" };
        let number = one.number.to_string();
        vec![number, active.to_owned(), one.created_at.to_string(), one.digest.to_string()]
    };
    table(&["NUMBER", "", "DEPLOYED", "DIGEST"], deployments.iter().map(row).collect())
}

/// Presets, a line each.
pub fn presets(all: &[Facts]) -> String {
    let row = |one: &Facts| {
        let replay = one.replay.split([',', ' ']).next().unwrap_or_default().to_owned();
        vec![one.preset.clone(), one.provider.clone(), dash(&one.covers.join(", ")), replay, one.summary.clone()]
    };
    let list = table(&["PRESET", "PROVIDER", "COVERS", "REPLAY", "PROOF"], all.iter().map(row).collect());
    format!("{list}\n{DIM}more of one: creel presets NAME{DIM:#}")
}

/// Everything about one preset.
pub fn preset(facts: &Facts) -> String {
    let mut text = format!("{BOLD}{}{BOLD:#}  {}: {}\n", facts.preset, facts.provider, facts.summary);
    let rows = [
        ("auth", facts.auth.clone()),
        ("covers", facts.covers.join(", ")),
        ("not covered", facts.not_covered.join(", ")),
        ("handshakes", facts.handshakes.join("; ")),
        ("id", facts.id.join(", or ")),
        ("type", facts.kind.join(", or ")),
        ("subject", facts.subject.join(", or ")),
        ("reply", facts.reply.clone()),
        ("replay", facts.replay.clone()),
        ("parameters", facts.params.join(", ")),
        ("docs", facts.docs.clone().unwrap_or_default()),
    ];
    for (name, value) in rows {
        let _ = writeln!(text, "  {DIM}{name:<12}{DIM:#}{}", dash(&value));
    }
    text.pop();
    text
}

/// A judged request, step by step.
pub fn explained(one: &Explained) -> String {
    let mut text = format!("{BOLD}{}{BOLD:#}\n", one.scheme);
    for line in &one.request {
        let _ = writeln!(text, "  {DIM}·{DIM:#} {line}");
    }
    for (index, steps) in one.alternatives.iter().enumerate() {
        if one.alternatives.len() > 1 {
            let _ = writeln!(text, "alternative {}", index + 1);
        }
        for step in steps {
            let (style, sign) = match step.mark {
                Mark::Good => (GOOD, "+"),
                Mark::Bad => (BAD, "x"),
                Mark::Fact => (DIM, "·"),
            };
            let _ = writeln!(text, "  {style}{sign}{style:#} {}", step.text);
        }
    }
    let style = if one.verdict == "accept" { GOOD } else { BAD };
    let why = match (&one.reason, &one.detail) {
        (Some(reason), Some(detail)) => format!(" {reason}: {detail}"),
        _ => String::new(),
    };
    let _ = writeln!(text, "{style}{}{style:#}{why}", one.verdict);
    for event in &one.events {
        let show = |value: &Option<String>| dash(&value.as_deref().unwrap_or_default().replace('\u{1f}', " + "));
        let _ = writeln!(text, "  event {} of type {} at {}", show(&event.id), show(&event.kind), show(&event.time));
    }
    for hint in &one.hints {
        let _ = writeln!(text, "{ODD}hint{ODD:#} {hint}");
    }
    text.pop();
    text
}

/// Samples, a line each.
pub fn samples(list: &[Listed]) -> String {
    let row = |one: &Listed| vec![one.provider.clone(), one.event.clone(), one.presets.join(", ")];
    table(&["PROVIDER", "EVENT", "PRESETS"], list.iter().map(row).collect())
}

/// What a receiver said to a sample.
pub fn answered(one: &Answered) -> String {
    let style = if (200..300).contains(&one.status) { GOOD } else { BAD };
    let media_type = one.content_type.as_deref().map_or_else(String::new, |media_type| format!(" {media_type}"));
    let body = if one.body.is_empty() { String::new() } else { format!("\n{}", one.body) };
    format!("{style}{}{style:#}{media_type}  {DIM}{} signed as {}{DIM:#}{body}", one.status, one.event, one.preset)
}

/// The whole story of one event, from the request to the last attempt.
pub fn story(story: &StoryView) -> String {
    let event = &story.event;
    let mut text = String::new();
    let from = event.received_at.0;
    let _ = writeln!(text, "{BOLD}{}{BOLD:#}  {} from {}", event.id, plain(&dash(&event.kind)), plain(&event.source));
    let facts = [
        ("received", event.received_at.to_string()),
        ("request", format!("{} {} ({})", event.method, event.request, payload(event))),
        ("proved by", event.scheme.clone()),
        ("provider id", dash(&event.provider_id.as_deref().unwrap_or_default().replace('\u{1f}', " · "))),
        ("subject", dash(event.subject.as_deref().unwrap_or_default())),
    ];
    for (name, value) in facts {
        let _ = writeln!(text, "  {DIM}{name:<12}{DIM:#}{}", plain(&value));
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

fn tell_run(text: &mut String, run: &RunView, from: Timestamp) {
    let (style, verdict) = match run.verdict {
        None => (ODD, "pending"),
        Some(verdict @ Verdict::Done) => (GOOD, verdict.as_str()),
        Some(verdict @ (Verdict::Rejected | Verdict::Retry | Verdict::Late)) => (ODD, verdict.as_str()),
        Some(verdict) => (BAD, verdict.as_str()),
    };
    let at = run.ended_at.map_or_else(|| "…".to_owned(), |at| after(at.0, from));
    let deployment = run.deployment.map_or_else(String::new, |number| format!(" #{number}"));
    let used = format!("fuel {}, {} µs, {} KiB", run.usage.fuel, run.usage.cpu_us, run.usage.memory_bytes / 1_024);
    let _ = writeln!(
        text,
        "{at:>10}  {style}{verdict:<10}{style:#} {BOLD}{}{BOLD:#}{deployment} on route {} ({used})  {DIM}{}{DIM:#}",
        plain(&run.plugin),
        plain(&run.route),
        run.id
    );
    if let Some(reason) = &run.reason {
        let _ = writeln!(text, "{:>12}{}", "", plain(reason));
    }
    for line in &run.log {
        let style = if line.level >= LogLevel::Warn { ODD } else { DIM };
        let level = format!("{:?}", line.level).to_lowercase();
        let _ = writeln!(text, "{:>12}{style}{level:<5} {}{style:#}", "", plain(&line.message));
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
        "{at:>10}  {style}{word:<10}{style:#} {} {} -> {BOLD}{}{BOLD:#}  {DIM}{}{DIM:#}",
        plain(&call.method),
        plain(&call.path),
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
    if let (DeliveryState::Pending, Some(due)) = (call.state, call.due_at) {
        let _ = writeln!(text, "{:>12}next attempt at {due}", "");
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
        let _ = writeln!(text, "{}", super::plain::lines(body));
    }
    text.pop();
    text
}

/// What was put into the queue.
pub fn replayed(answer: &serde_json::Value) -> String {
    let named = answer.as_object().into_iter().flat_map(|object| object.values());
    let ids = named.flat_map(|value| value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]));
    let ids: Vec<String> = ids.filter_map(|id| id.as_str().map(|id| plain(id).to_string())).collect();
    if ids.is_empty() {
        "queued nothing: a run waits on each route".to_owned()
    } else {
        format!("queued {}", ids.join(", "))
    }
}

/// How far a replay is.
pub fn replay_step(step: &ReplayStep) -> String {
    let mut text = format!("looked at {}, replayed {}", step.looked_at, step.replayed);
    if step.skipped > 0 {
        let why = step.refused.as_deref().map(plain).unwrap_or_default();
        let _ = write!(text, ", left {} ({why})", step.skipped);
    }
    let after = step.next.as_deref().map_or_else(String::new, |next| format!(" --after {}", plain(next)));
    match (&step.held, &step.next) {
        (Some(why), _) => text + &format!("; waiting: {}; go on with{after} --until {}", plain(why), step.until),
        (None, Some(_)) => text + &format!("; go on with{after} --until {}", step.until),
        (None, None) => text + "; that is all",
    }
}

fn after(moment: Timestamp, from: Timestamp) -> String {
    match moment.since_ms(from) {
        ms @ 0..=9_999 => format!("+{ms} ms"),
        ms @ 10_000..=599_999 => format!("+{} s", ms / 1_000),
        ms => format!("+{} min", ms / 60_000),
    }
}

fn state(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Pending => "pending",
        DeliveryState::Delivered => "delivered",
        DeliveryState::Dead => "dead",
    }
}

fn dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}

fn table(heads: &[&str], rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return "nothing".to_owned();
    }
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| plain(cell)).collect()).collect();
    let heads: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
    let width =
        |column: usize| rows.iter().chain([&heads]).map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    let head = format!("{DIM}{}{DIM:#}", line(&heads));
    [head].into_iter().chain(rows.iter().map(line)).collect::<Vec<_>>().join("\n")
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

    #[test]
    fn no_column_of_a_stranger_reaches_the_terminal_raw() {
        let evil = "\u{1b}[2J\nforged";
        let refusal = RefusalView {
            source: evil.to_owned(),
            at: crate::api::Moment(Timestamp::from_millis(0)),
            reason: evil.to_owned(),
            detail: evil.to_owned(),
            peer: evil.to_owned(),
        };
        let shown = refusals(&[refusal]);
        assert_eq!((shown.lines().count(), shown.contains("\u{1b}[2J")), (2, false), "{shown:?}");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let text = table(&["A", "B"], vec![vec!["long".to_owned(), "x".to_owned()]]);
        assert_eq!(anstream::adapter::strip_str(&text).to_string(), "A     B\nlong  x");
    }
}

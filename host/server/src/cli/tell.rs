//! What people read: plans, lists and results as text; [`mod@super::story`] tells what became of one event. Colours are
//! written here and dropped by `anstream` where no terminal is.
//!
//! Most of it was written by strangers: senders, receivers, plugins. A terminal obeys control characters, so all text
//! that comes from a host passes [`plain()`]: a cell in `table`, everything else where it is put into a line.

use std::fmt::Write as _;

use creel_store::contract::DeliveryState;
use creel_webhook::catalogue::Facts;
use creel_webhook::run::Verdict;
use creel_webhook::signature::explain::Mark;
use creel_webhook::tenant::TENANT_LIMITS;

use super::apply::{Plan, Planned, Step};
use super::build::Built;
use super::cases::{Judged, Tested};
use super::check::Checked;
use super::doctor::{Finding, State};
use super::layout::{BAD, BOLD, DIM, GOOD, ODD, dash, hanging, log_line, state, table};
use super::new::Made;
use super::plain::{self, plain};
use super::templates::Template;
use super::trigger::{Answered, Listed};
use super::verify::Explained;
use crate::api::remembered::{StateKeyView, StateView};
use crate::api::{
    AuditView, DeliveryView, DeploymentView, DestinationView, EventLine, KeyView, NewKeyView, PluginView, QuotaView,
    RefusalView, ReplayStep, RouteView, RunView, SecretView, SourceView, TenantView, UsageView,
};
use crate::spec::notices::NoticesSpec;
use crate::spec::route::RouteSpec;

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
    let line = format!("{style}{} {} {}{fields}{style:#}", step.change.sign(), step.kind, plain(&step.name));
    step.warnings.iter().fold(line, |said, warning| format!("{said}\n{}", note(warning)))
}

/// What a host warns of.
pub fn note(warning: &str) -> String {
    format!("{ODD}note{ODD:#} {}", plain(warning))
}

/// What a host would say to a component.
pub fn checked(checked: &Checked) -> String {
    format!(
        "{GOOD}a host takes it{GOOD:#}: {}, {} compiled in {} ms\n  {}\n  imports {}",
        size(checked.bytes),
        size(checked.compiled_bytes),
        checked.compile_ms,
        checked.digest,
        imported(&checked.imports)
    )
}

/// What was built, before its path.
pub fn built(built: &Built) -> String {
    format!("{}\n  {}\n  imports {}", size(built.bytes), built.digest, imported(&built.imports))
}

fn imported(imports: &[String]) -> String {
    match imports {
        [] => "nothing".to_owned(),
        imports => imports.iter().map(|import| plain(import)).collect::<Vec<_>>().join(", "),
    }
}

/// Templates, a line each.
pub fn templates(all: &[Template]) -> String {
    let rows =
        all.iter().map(|one| vec![one.name.to_owned(), format!("{:?}", one.language), one.about.clone()]).collect();
    table(&["TEMPLATE", "LANGUAGE", "WHAT IT DOES"], rows)
}

/// What was made, and what to type next.
pub fn made(made: &Made) -> String {
    let directory = made.directory.strip_prefix(".").unwrap_or(&made.directory).display();
    let install = made.install.as_ref().map(|install| format!("{install} && ")).unwrap_or_default();
    format!(
        "made {directory}/\nnext: cd {directory} && {install}creel test\nthen: README.md there says how it is put to work"
    )
}

/// Cases, a line each, and what is not as expected.
pub fn tested(tested: &Tested) -> String {
    let width = tested.cases.iter().map(|case| case.name.chars().count()).max().unwrap_or(0);
    let mut text: String = tested.cases.iter().map(|case| judged(case, width)).collect();
    let failed = tested.failed();
    let _ = write!(text, "{} passed, {failed} failed", tested.cases.len() - failed);
    text
}

fn judged(case: &Judged, width: usize) -> String {
    let passed = case.differences.is_empty();
    let mark = if passed { format!("{GOOD}ok  {GOOD:#}") } else { format!("{BAD}FAIL{BAD:#}") };
    let usage = &case.usage;
    let mut text = format!(
        "{mark} {:width$}  {DIM}{:>11} fuel {:>9} {:>7} us{DIM:#}  {}\n",
        plain(&case.name),
        usage.fuel,
        size(usage.memory_bytes),
        usage.cpu_us,
        plain(&case.about)
    );
    for difference in &case.differences {
        let _ = writeln!(text, "     {}", hanging(difference, 5));
    }
    for line in case.log.iter().filter(|_| !passed) {
        let _ = writeln!(text, "{}", log_line(line, 5));
    }
    text
}

/// Bytes as people say them.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{} KiB", bytes / 1_024),
        _ => format!("{}.{} MiB", bytes >> 20, ((bytes & 0xf_ffff) * 10) >> 20),
    }
}

/// What the doctor found, a line each, and what to do below it.
pub fn findings(found: &[Finding]) -> String {
    let line = |one: &Finding| {
        let (word, style) = match one.state {
            State::Ok => ("ok  ", GOOD),
            State::Warn => ("warn", ODD),
            State::No => ("no  ", BAD),
        };
        let todo = one.todo.as_ref().map(|todo| format!("\n       {}", plain::lines(todo))).unwrap_or_default();
        format!("{style}{word}{style:#} {BOLD}{}{BOLD:#}: {}{todo}", one.check, plain::lines(&one.says))
    };
    found.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Events, a line each.
pub fn events(events: &[EventLine]) -> String {
    let row = |event: &EventLine| {
        let runs = match event.pending {
            0 => event.runs.to_string(),
            pending => format!("{} ({pending} pending)", event.runs),
        };
        vec![
            event.id.to_string(),
            event.received_at.to_string(),
            event.source.clone(),
            dash(&event.kind),
            dash(event.subject.as_deref().unwrap_or_default()),
            event.state.as_str().to_owned(),
            runs,
        ]
    };
    table(&["EVENT", "RECEIVED", "SOURCE", "TYPE", "SUBJECT", "STATE", "RUNS"], events.iter().map(row).collect())
}

/// Runs, a line each.
pub fn runs(runs: &[RunView]) -> String {
    let row = |run: &RunView| {
        vec![
            run.id.to_string(),
            run.event.to_string(),
            run.created_at.to_string(),
            run.plugin.clone(),
            run.verdict.map_or("pending", Verdict::as_str).to_owned(),
            run.usage.fuel.to_string(),
            run.usage.cpu_us.to_string(),
            dash(run.reason.as_deref().unwrap_or_default()),
        ]
    };
    table(&["RUN", "EVENT", "QUEUED", "PLUGIN", "VERDICT", "FUEL", "µS", "REASON"], runs.iter().map(row).collect())
}

/// Deliveries, a line each; those that wait for one of these destinations say so.
pub fn deliveries(deliveries: &[DeliveryView], destinations: &[DestinationView]) -> String {
    let row = |call: &DeliveryView| {
        vec![
            call.id.to_string(),
            call.created_at.to_string(),
            call.destination.clone(),
            format!("{} {}", call.method, call.path),
            state(call.state).to_owned(),
            call.attempts.to_string(),
            dash(&reason(call, destinations)),
        ]
    };
    let heads = ["DELIVERY", "DECIDED", "DESTINATION", "CALL", "STATE", "ATTEMPTS", "REASON"];
    let list = table(&heads, deliveries.iter().map(row).collect());
    let waits = deliveries.iter().any(|call| call.state == DeliveryState::Pending);
    if waits { format!("{list}\n{DIM}why one waits: creel delivery ID{DIM:#}") } else { list }
}

/// Why a call is dead, what its destination waits for, or when it is due.
fn reason(call: &DeliveryView, destinations: &[DestinationView]) -> String {
    let place = destinations.iter().find(|one| one.name == call.destination).map(standing);
    match (&call.reason, call.state, place, call.due_at) {
        (Some(reason), ..) => reason.clone(),
        (None, DeliveryState::Pending, Some((state, why)), _) if !state.is_empty() => {
            format!("its destination is {state}: {why}")
        }
        (None, _, _, Some(due)) => format!("due {due}"),
        _ => String::new(),
    }
}

/// Whether calls to a destination wait, and why; nothing when they go.
fn standing(one: &DestinationView) -> (&'static str, String) {
    match (one.stopped(), one.failing_until) {
        (Some((state, why)), _) => (state, why.to_owned()),
        (None, Some(until)) => ("failing", format!("calls failed in a row; none goes before {until}")),
        (None, None) => ("", String::new()),
    }
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
    table(&["SOURCE", "PRESET", "URL", "STATE"], sources.iter().map(row).collect())
}

/// A source whose URL was just rotated.
pub fn rotated(source: &SourceView) -> String {
    let before = match (&source.previous_path, &source.previous_until) {
        (Some(path), Some(until)) => format!("{} leads to it until {until}", plain(path)),
        _ => "the URL before leads nowhere any more".to_owned(),
    };
    format!("{}\n{before}", sources(std::slice::from_ref(source)))
}

/// What was used, a day a line, and what is used of the quotas that there are.
pub fn usage(days: &[UsageView], quotas: &[QuotaView]) -> String {
    let row = |one: &UsageView| {
        let numbers = [one.events, one.runs, one.fuel, one.bytes_in, one.bytes_out, one.deliveries];
        std::iter::once(one.day.clone()).chain(numbers.iter().map(u64::to_string)).collect()
    };
    let heads = ["DAY", "EVENTS", "RUNS", "FUEL", "BYTES IN", "BYTES OUT", "DELIVERIES"];
    let days = table(&heads, days.iter().map(row).collect());
    let quota = |one: &QuotaView| {
        let max = one.max.filter(|max| *max > 0)?;
        let percent = u128::from(one.used) * 100 / u128::from(max);
        let told = [one.quota.as_str().to_owned(), one.used.to_string(), max.to_string(), format!("{percent} %")];
        Some(told.into_iter().chain([one.beyond.clone()]).collect())
    };
    let quotas: Vec<Vec<String>> = quotas.iter().filter_map(quota).collect();
    if quotas.is_empty() {
        return days;
    }
    format!("{days}\n\n{}", table(&["QUOTA", "USED TODAY", "OF", "THAT IS", "BEYOND IT"], quotas))
}

/// Keys, a line each.
pub fn keys(keys: &[KeyView]) -> String {
    let row = |one: &KeyView| {
        let moment = |at: Option<crate::api::Moment>| at.map_or_else(|| "never".to_owned(), |at| at.to_string());
        vec![
            one.id.to_string(),
            one.name.clone(),
            one.role.as_str().to_owned(),
            if one.payload_read { "read" } else { "-" }.to_owned(),
            one.created_at.to_string(),
            moment(one.expires_at),
            moment(one.last_used_at),
        ]
    };
    let heads = ["KEY", "NAME", "ROLE", "PAYLOADS", "MADE", "EXPIRES", "LAST USED (HOUR)"];
    table(&heads, keys.iter().map(row).collect())
}

/// A key that was just made.
pub fn new_key(made: &NewKeyView) -> String {
    format!("{}\nshown only now:\n\n  {}", keys(std::slice::from_ref(&made.about)), plain(&made.key))
}

/// The audit trail, a line each.
pub fn audit(trail: &[AuditView]) -> String {
    let row = |one: &AuditView| {
        vec![
            one.seq.to_string(),
            one.at.to_string(),
            one.tenant.clone().unwrap_or_else(|| "-".to_owned()),
            format!("{} ({}, {})", one.key_name, one.role.as_str(), one.key),
            one.peer.clone(),
            one.status.map_or_else(|| "unknown".to_owned(), |status| status.to_string()),
            format!("{} {}", one.what.split(' ').next().unwrap_or_default(), one.object),
        ]
    };
    table(&["PLACE", "AT", "TENANT", "WHO", "FROM", "OUTCOME", "WHAT"], trail.iter().map(row).collect())
}

/// Destinations, a line each.
pub fn destinations(destinations: &[DestinationView]) -> String {
    let row = |one: &DestinationView| {
        let (state, why) = standing(one);
        vec![one.name.clone(), one.spec.url.clone(), one.waiting.to_string(), state.to_owned(), why]
    };
    let list = table(&["DESTINATION", "URL", "WAITING", "STATE", "WHY"], destinations.iter().map(row).collect());
    let waits = destinations.iter().any(|one| one.waiting > 0);
    if waits { format!("{list}\n{DIM}what waits: creel deliveries --state pending{DIM:#}") } else { list }
}

/// Routes, a line each.
pub fn routes(routes: &[RouteView]) -> String {
    let row = |one: &RouteView| {
        let RouteSpec { source, pattern, plugin, mode, .. } = &one.spec;
        let state = if one.paused { "paused" } else { "" };
        let (types, mode) = (pattern.to_string(), mode.as_str().to_owned());
        vec![one.name.clone(), source.clone(), types, plugin.clone(), mode, state.to_owned()]
    };
    table(&["ROUTE", "SOURCE", "TYPES", "PLUGIN", "MODE", "STATE"], routes.iter().map(row).collect())
}

/// Plugins, a line each, with what runs.
pub fn plugins(plugins: &[PluginView]) -> String {
    let row = |one: &PluginView| match &one.active {
        Some(active) => {
            vec![one.name.clone(), active.number.to_string(), active.digest.to_string(), active.created_at.to_string()]
        }
        None => vec![one.name.clone(), dash(""), dash(""), dash("")],
    };
    table(&["PLUGIN", "ACTIVE", "COMPONENT", "DEPLOYED"], plugins.iter().map(row).collect())
}

/// Secrets, a line each: what is known about them, never what they are.
pub fn secrets(secrets: &[SecretView]) -> String {
    let row = |one: &SecretView| {
        let before = one.previous_until.map_or_else(String::new, |until| format!("counts until {until}"));
        vec![one.name.clone(), dash(&one.origins.join(", ")), one.updated_at.to_string(), before]
    };
    table(&["SECRET", "MAY BE SENT TO", "CHANGED", "VALUE BEFORE IT"], secrets.iter().map(row).collect())
}

/// Tenants, a line each.
pub fn tenants(tenants: &[TenantView]) -> String {
    let row = |one: &TenantView| {
        let state = one.removed_at.map_or("", |_| "is being removed");
        vec![one.name.clone(), one.id.to_string(), one.created_at.to_string(), state.to_owned()]
    };
    table(&["TENANT", "ID", "MADE", "STATE"], tenants.iter().map(row).collect())
}

/// A tenant and its own limits.
pub fn tenant(tenant: &TenantView) -> String {
    let limits = &tenant.limits;
    let row = |(name, limit): (&str, Option<u64>)| {
        vec![name.to_owned(), limit.map_or_else(|| "the host's".to_owned(), |limit| limit.to_string())]
    };
    let rows = TENANT_LIMITS.iter().map(|limit| row((limit.name, (limit.own)(limits)))).collect();
    format!("{BOLD}{}{BOLD:#} {}\n{}", plain(&tenant.name), tenant.id, table(&["LIMIT", "OWN"], rows))
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
    table(&["NUMBER", "STATE", "DEPLOYED", "DIGEST"], deployments.iter().map(row).collect())
}

/// What a plugin remembers.
pub fn remembered(state: &StateView) -> String {
    let row = |one: &StateKeyView| vec![one.key.clone(), one.value_bytes.to_string(), one.version.to_string()];
    let list = table(&["KEY", "BYTES", "VERSION"], state.items.iter().map(row).collect());
    let more =
        state.next.as_ref().map_or_else(String::new, |next| format!("\n{DIM}more: --after {}{DIM:#}", plain(next)));
    format!("{list}\n{DIM}{} keys, {} bytes altogether{DIM:#}{more}", state.keys, state.bytes)
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

#[cfg(test)]
mod tests {
    use creel_webhook::clock::Timestamp;

    use super::*;

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
    fn a_list_says_when_a_call_is_due_and_how_to_learn_why_it_waits() {
        let at = |ms| crate::api::Moment(Timestamp::from_millis(ms));
        let call = DeliveryView {
            id: creel_webhook::id::DeliveryId::from_bytes([1; 16]),
            event: None,
            run: None,
            index: 0,
            destination: "crm".to_owned(),
            key: String::new(),
            method: "POST".to_owned(),
            path: String::new(),
            state: DeliveryState::Pending,
            reason: None,
            attempts: 1,
            due_at: Some(at(60_000)),
            created_at: at(0),
            ended_at: None,
            waiting: Vec::new(),
            on_result: None,
            result: None,
            history: Vec::new(),
        };
        let shown = deliveries(std::slice::from_ref(&call), &[]);
        assert!(shown.contains("due 1970-01-01T00:01:00") && shown.contains("creel delivery ID"), "{shown}");
        let over = DeliveryView { state: DeliveryState::Delivered, due_at: None, ..call };
        assert!(!deliveries(&[over], &[]).contains("creel delivery ID"));
    }
}

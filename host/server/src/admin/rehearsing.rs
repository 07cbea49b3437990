//! What a replay would do: each run of an event once more with nothing sent or stored, beside what was decided then.
//!
//! What is compared is the decision: verdict, reason, reply, calls. Log, fuel and memory are told when they differ and make
//! no decision another one: a new version that decides the same is `same`. A call is shown as it would go out, without
//! what only the sender adds: credentials, signatures, the host's own headers.

use std::sync::Arc;

use creel_store::contract::{Control, DeliveryRow, Letter, RunRow, StoreError, StoredAnswer, Story, erased};
use creel_webhook::clock::Timestamp;
use creel_webhook::comparison::{CallChange, Change, Difference, Sketch, compare_bodies, compare_calls, compare_pairs};
use creel_webhook::decision::{DecidedCall, outward_key};
use creel_webhook::destination::Destination;
use creel_webhook::id::{EventId, PluginId, RouteId, TenantId};
use creel_webhook::plugin::Deployment;
use creel_webhook::route::Mode;
use creel_webhook::run::{LogLine, Verdict};
use creel_webhook::state::StateWrite;

use super::problem::Refusal;
use super::query::Query;
use super::state::Desk;
use super::views::{self, Names};
use crate::api::answered::AnswerView;
use crate::api::rehearsed::{DecidedThen, RehearsalView, Rehearsed, RehearsedCall, RehearsedChange};
use crate::api::remembered::StateWriteView;
use crate::api::stopped;
use crate::rehearsal::{Rehearsal, Wish};

/// Bytes of a call's body that are shown: enough to recognise it. `creel delivery` shows the whole of one that was made.
const PREVIEW_BYTES_MAX: usize = 4 << 10;

/// What a query says about a rehearsal.
pub struct Asked {
    /// A deployment other than the active one.
    deployment: Option<u32>,
    /// The replay would have keys of its own.
    new_keys: bool,
}

/// Reads `dry_run` and `deployment`; `None` when it is no dry run.
///
/// # Errors
/// When a deployment is named and it is none: what runs for good is what is active.
pub fn asked(query: &mut Query, new_keys: bool) -> Option<Asked> {
    let is_dry = query.flag("dry_run");
    let deployment = query.read("deployment", |text| match text.parse::<u32>() {
        Ok(_) if !is_dry => {
            Err("a deployment is chosen for a dry run only (`dry_run=true`); a replay runs on what is \
             active, which `creel rollback` changes"
                .to_owned())
        }
        Ok(number) => Ok(number),
        Err(_) => Err(format!("`{text}` is no number of a deployment")),
    });
    is_dry.then_some(Asked { deployment, new_keys })
}

/// A run that is to be rehearsed.
pub struct Part<'a> {
    /// Its route.
    pub route: RouteId,
    /// Its plugin.
    pub plugin: PluginId,
    /// Whether a sender waits there.
    pub mode: Mode,
    /// What was decided then.
    pub then: Option<&'a RunRow>,
}

impl<'a> Part<'a> {
    /// Of a run that there was.
    pub fn of(run: &'a RunRow) -> Self {
        Part { route: run.route, plugin: run.plugin, mode: run.mode, then: Some(run) }
    }
}

/// Rehearses these runs of an event one after the other. The caller holds the tenant's turn.
///
/// # Errors
/// When the payload is gone, the deployment is not there or not of one plugin, the host is stopping or the store fails.
pub async fn rehearse(
    desk: &Desk,
    turn: &crate::rehearsal::Turn,
    story: &Story,
    parts: &[Part<'_>],
    asked: &Asked,
) -> Result<Rehearsed, Refusal> {
    if story.event.erased {
        return Err(erased(story.event.id).into());
    }
    let control = desk.control().await?;
    let names = Names::new(&control, story.event.tenant);
    let deployment = chosen(desk, story.event.tenant, parts, asked, names).await?;
    let mut runs = Vec::with_capacity(parts.len());
    for part in parts {
        let record = match part.then {
            Some(run) => desk.store().run_record_read(story.event.tenant, run.id).await?,
            None => None,
        };
        let wish = Wish {
            event: story.event.clone(),
            route: part.route,
            plugin: part.plugin,
            mode: part.mode,
            deployment: deployment.clone(),
            record: record.unwrap_or_default(),
        };
        let stopping = || Refusal::Conflict("the host is stopping; ask again when it is back".to_owned());
        let rehearsal = turn.rehearse(wish).await?.ok_or_else(stopping)?;
        let then = then(desk, story, part.then, names).await?;
        let scene = Scene { names, control: &control, asked, identity: story.event.identity() };
        runs.push(scene.view(part, rehearsal, then).await?);
    }
    Ok(Rehearsed { event: story.event.id, runs })
}

async fn chosen(
    desk: &Desk,
    tenant: TenantId,
    parts: &[Part<'_>],
    asked: &Asked,
    names: Names<'_>,
) -> Result<Option<Arc<Deployment>>, Refusal> {
    let Some(number) = asked.deployment else { return Ok(None) };
    let Some(first) = parts.first() else { return Ok(None) };
    if let Some(other) = parts.iter().find(|part| part.plugin != first.plugin) {
        let (one, other) = (names.plugin(first.plugin), names.plugin(other.plugin));
        return Err(Refusal::Conflict(format!(
            "the event goes to several plugins (`{one}`, `{other}`), and deployment {number} is one of each; rehearse one \
             of its runs instead"
        )));
    }
    let all = desk.store().deployment_list(tenant, first.plugin).await?;
    let plugin = names.plugin(first.plugin);
    let missing = || {
        Refusal::NotFound(format!(
            "the plugin `{plugin}` has no deployment `{number}`; `creel versions {plugin}` lists them"
        ))
    };
    all.into_iter().find(|one| one.number == number).map(Arc::new).map(Some).ok_or_else(missing)
}

/// What was decided, as far as it is compared.
struct Then<'a> {
    run: &'a RunRow,
    verdict: Verdict,
    calls: Vec<Sketch>,
    reply: Option<&'a StoredAnswer>,
}

/// `None` when there was no run, or nothing has come of it yet.
async fn then<'a>(
    desk: &Desk,
    story: &'a Story,
    run: Option<&'a RunRow>,
    names: Names<'_>,
) -> Result<Option<Then<'a>>, Refusal> {
    let Some((run, verdict)) = run.and_then(|run| Some((run, run.verdict?))) else { return Ok(None) };
    let mut calls = Vec::new();
    for row in story.deliveries.iter().filter(|row| row.run == run.id) {
        if let Some((row, letter)) = desk.store().delivery_read(story.event.tenant, row.id).await? {
            calls.push(sketch_then(row, letter, names));
        }
    }
    let answers = run.mode == Mode::Reply && verdict == Verdict::Done;
    Ok(Some(Then { run, verdict, calls, reply: story.answer.as_ref().filter(|_| answers) }))
}

fn sketch_then(row: DeliveryRow, letter: Letter, names: Names<'_>) -> Sketch {
    // Of one that was brought back only the later moment is known.
    let delay_ms = letter.past.is_empty().then(|| letter.start_at.since_ms(row.created_at));
    Sketch {
        destination: names.destination(row.destination),
        method: row.method,
        path: row.path,
        headers: letter.headers,
        body: letter.body,
        key: Some(row.key),
        order_key: letter.order_key,
        delay_ms,
        expires_ms: letter.expires_at.map(|at| at.since_ms(row.created_at)),
        on_result: row.on_result,
        attributes: letter.attributes,
    }
}

fn sketch_now(call: DecidedCall, decided_at: Timestamp, names: Names<'_>) -> Sketch {
    Sketch {
        destination: names.destination(call.destination),
        method: call.method,
        path: call.path,
        headers: call.headers,
        body: call.body,
        key: Some(call.key),
        order_key: call.order_key,
        delay_ms: Some(call.due_at.since_ms(decided_at)),
        expires_ms: call.expires_at.map(|at| at.since_ms(decided_at)),
        on_result: call.on_result,
        attributes: call.attributes,
    }
}

/// What a run is shown by.
struct Scene<'a> {
    names: Names<'a>,
    control: &'a Control,
    asked: &'a Asked,
    /// What keys outward are made from.
    identity: EventId,
}

impl Scene<'_> {
    async fn view(
        &self,
        part: &Part<'_>,
        rehearsal: Rehearsal,
        then: Option<Then<'_>>,
    ) -> Result<RehearsalView, Refusal> {
        let mut differences = then.as_ref().map(|then| decided_otherwise(then, &rehearsal)).unwrap_or_default();
        let Rehearsal { deployment, verdict, reason, decided_at, calls, reply, retry_after_ms, .. } = rehearsal;
        let Rehearsal { breach, usage, log, writes, missing, .. } = rehearsal;
        let places: Vec<_> = calls.iter().map(|call| (self.url(call), self.held(call))).collect();
        let calls: Vec<Sketch> = calls.into_iter().map(|call| self.now(part.route, call, decided_at)).collect();
        let changes = match &then {
            Some(then) => changes(then.calls.clone(), calls.clone()).await?,
            None => Vec::new(),
        };
        let is_same = |change: &RehearsedChange| change.call.change == Change::Same;
        let same = then.is_some().then(|| differences.is_empty() && changes.iter().all(is_same));
        let then = then.map(|then| {
            differences.extend(told_otherwise(then.run, &log, usage.fuel, usage.memory_bytes));
            let RunRow { id, deployment, usage, .. } = then.run;
            DecidedThen { run: *id, deployment: *deployment, verdict: then.verdict, usage: *usage }
        });
        Ok(RehearsalView {
            route: self.names.route(part.route),
            plugin: self.names.plugin(part.plugin),
            deployment,
            verdict,
            reason,
            breach: breach.map(views::breach),
            retry_after_ms,
            reply: reply.map(|reply| AnswerView {
                status: reply.status,
                headers: reply.headers,
                body: String::from_utf8_lossy(&reply.body).into_owned(),
            }),
            calls: calls.into_iter().zip(places).map(|(call, (url, held))| shown(call, url, held)).collect(),
            log,
            writes: writes.into_iter().map(written).collect(),
            missing,
            usage,
            then,
            same,
            differences,
            changes,
        })
    }

    /// With new keys nobody knows yet those that the host makes.
    fn now(&self, route: RouteId, call: DecidedCall, decided_at: Timestamp) -> Sketch {
        let made = outward_key(self.identity, route, call.index);
        let sketch = sketch_now(call, decided_at, self.names);
        Sketch { key: sketch.key.filter(|key| !self.asked.new_keys || *key != made), ..sketch }
    }

    fn place(&self, call: &DecidedCall) -> Option<&Destination> {
        self.control.destinations.iter().find(|place| place.id == call.destination)
    }

    /// Why the call would wait.
    fn held(&self, call: &DecidedCall) -> Option<String> {
        let place = self.place(call)?;
        let (state, why) = stopped(place.disabled.as_deref(), place.paused.as_deref())?;
        let name = &place.spec.name;
        Some(format!("its destination `{name}` is {state} ({why}); `creel resume destination {name}` lets it go on"))
    }

    fn url(&self, call: &DecidedCall) -> String {
        let base = self.place(call).map_or("", |place| place.spec.url.as_str());
        if call.path.is_empty() { base.to_owned() } else { format!("{}{}", base.trim_end_matches('/'), call.path) }
    }
}

fn written(write: StateWrite) -> StateWriteView {
    StateWriteView { key: write.key, value_bytes: write.value.map(|value| value.len() as u64) }
}

fn decided_otherwise(then: &Then<'_>, now: &Rehearsal) -> Vec<Difference> {
    let mut found = Vec::new();
    found.extend(Difference::of("verdict", Some(then.verdict.as_str()), Some(now.verdict.as_str())));
    found.extend(Difference::of("reason", then.run.reason.as_deref(), now.reason.as_deref()));
    if let Some(answer) = then.reply {
        let status = |answer: &StoredAnswer| answer.status.to_string();
        let now_status = now.reply.as_ref().map(status);
        found.extend(Difference::of("reply.status", Some(&status(answer)), now_status.as_deref()));
        if let Some(now) = &now.reply {
            found.extend(compare_pairs("reply.headers", &answer.headers, &now.headers));
            found.extend(compare_bodies("reply.body", Some(&answer.body), Some(&now.body)));
        }
    }
    found
}

/// What is not part of the decision.
fn told_otherwise(run: &RunRow, log: &[LogLine], fuel: u64, memory_bytes: u64) -> Vec<Difference> {
    let text = |lines: &[LogLine]| {
        let line = |line: &LogLine| format!("{:?}: {}", line.level, line.message).to_lowercase();
        lines.iter().map(line).collect::<Vec<_>>().join("\n")
    };
    let (then_log, now_log) = (text(&run.log), text(log));
    let (then_fuel, now_fuel) = (run.usage.fuel.to_string(), fuel.to_string());
    let (then_memory, now_memory) = (run.usage.memory_bytes.to_string(), memory_bytes.to_string());
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    [
        Difference::of("log", some(&then_log).as_deref(), some(&now_log).as_deref()),
        Difference::of("fuel", Some(&then_fuel), Some(&now_fuel)),
        Difference::of("memory_bytes", Some(&then_memory), Some(&now_memory)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Pairs calls, beside the threads that serve: bodies of many megabytes may be read for it.
async fn changes(then: Vec<Sketch>, now: Vec<Sketch>) -> Result<Vec<RehearsedChange>, Refusal> {
    let compared = tokio::task::spawn_blocking(move || {
        let words = |call: &Sketch| format!("{} {} -> {}", call.method, call.path, call.destination);
        let at = |calls: &[Sketch], index: Option<u32>| index.and_then(|index| calls.get(index as usize)).map(words);
        let told = |call: CallChange| RehearsedChange {
            what: at(&now, call.now).or_else(|| at(&then, call.then)).unwrap_or_default(),
            call,
        };
        compare_calls(&then, &now).into_iter().map(told).collect()
    });
    compared.await.map_err(|panic| StoreError::Failed(format!("comparing calls: {panic}")).into())
}

fn shown(call: Sketch, url: String, held: Option<String>) -> RehearsedCall {
    let preview = |body: &bytes::Bytes| {
        let head = &body[..body.len().min(PREVIEW_BYTES_MAX)];
        // A character that the cut went through is left out.
        let end = std::str::from_utf8(head).map_or_else(
            |error| match error.error_len() {
                None => error.valid_up_to(),
                Some(_) => head.len(),
            },
            str::len,
        );
        String::from_utf8_lossy(&head[..end]).into_owned()
    };
    RehearsedCall {
        destination: call.destination,
        method: call.method,
        url,
        headers: call.headers,
        body: call.body.as_ref().map(preview),
        body_bytes: call.body.as_ref().map_or(0, |body| body.len() as u64),
        key: call.key,
        order_key: call.order_key,
        delay_ms: call.delay_ms.unwrap_or_default(),
        expires_ms: call.expires_ms,
        on_result: call.on_result,
        held,
    }
}

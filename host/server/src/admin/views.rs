//! From stored rows to what the API shows: ids become names where people use names.

use creel_store::contract::{
    Attempt, Control, Death, DeliveryRow, EventSummary, Leaving, Letter, Queue, RefusalRow, RunRow, SecretRow,
    StoredAnswer, StoredEvent, Story,
};
use creel_webhook::breach::Breach;
use creel_webhook::destination::Destination;
use creel_webhook::id::{DestinationId, PluginId, RouteId, SourceId, TenantId};
use creel_webhook::notice::{NO_EVENT, NO_RUN};
use creel_webhook::plugin::{Deployment, Plugin};
use creel_webhook::record::{Fetched, Record, StateRead};
use creel_webhook::route::Route;
use creel_webhook::source::Source;
use creel_webhook::tenant::{ApiKey, Tenant};

use super::payloads::Payloads;
use crate::api::answered::AnswerView;
use crate::api::breached::BreachView;
use crate::api::remembered::StateReadView;
use crate::api::{
    AttemptView, DeathView, DeliveryView, DeploymentView, DestinationView, EventLine, EventView, FetchView, KeyView,
    LetterView, Moment, OriginView, PluginView, RefusalView, RouteView, RunView, SecretView, SourceView, StoryView,
    TenantView,
};
use crate::spec::route::RouteSpec;

/// The names of one tenant's things; what has been removed is called by its id.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    control: &'a Control,
    tenant: TenantId,
}

impl<'a> Names<'a> {
    /// The names of `tenant` in `control`.
    pub fn new(control: &'a Control, tenant: TenantId) -> Self {
        Names { control, tenant }
    }

    /// Of a source.
    pub fn source(&self, id: SourceId) -> String {
        let found = self.control.sources.iter().find(|source| source.tenant == self.tenant && source.id == id);
        found.map_or_else(|| id.to_string(), |source| source.spec.name.clone())
    }

    /// Of a route.
    pub fn route(&self, id: RouteId) -> String {
        let found = self.control.routes.iter().find(|route| route.tenant == self.tenant && route.id == id);
        found.map_or_else(|| id.to_string(), |route| route.name.clone())
    }

    /// Of a plugin.
    pub fn plugin(&self, id: PluginId) -> String {
        let found = self.control.plugins.iter().find(|plugin| plugin.tenant == self.tenant && plugin.id == id);
        found.map_or_else(|| id.to_string(), |plugin| plugin.name.clone())
    }

    /// Of a destination.
    pub fn destination(&self, id: DestinationId) -> String {
        let found = self.control.destinations.iter().find(|place| place.tenant == self.tenant && place.id == id);
        found.map_or_else(|| id.to_string(), |place| place.spec.name.clone())
    }
}

/// A tenant.
pub fn tenant(tenant: &Tenant) -> TenantView {
    let Tenant { id, name, created_at, limits } = tenant;
    TenantView { id: *id, name: name.clone(), created_at: Moment(*created_at), limits: *limits, removed_at: None }
}

/// A tenant that is being removed.
pub fn leaving(leaving: &Leaving) -> TenantView {
    TenantView { removed_at: Some(Moment(leaving.since)), ..tenant(&leaving.tenant) }
}

/// A key, without its hash.
pub fn key(key: &ApiKey) -> KeyView {
    KeyView {
        id: key.id,
        name: key.name.clone(),
        role: key.role,
        payload_read: key.payload_read,
        created_at: Moment(key.created_at),
        expires_at: key.expires_at.map(Moment),
        last_used_at: key.last_used_at.map(Moment),
    }
}

/// A secret, without its value.
pub fn secret(row: &SecretRow) -> SecretView {
    SecretView {
        id: row.id,
        name: row.name.clone(),
        origins: row.origins.clone(),
        updated_at: Moment(row.updated_at),
        previous_until: row.previous.as_ref().and(row.previous_until).map(Moment),
    }
}

/// A source with the path of its URL.
pub fn source(source: &Source, public_url: &str) -> SourceView {
    let own = format!("{public_url}/in/{}", source.token);
    SourceView {
        url: source.spec.public_urls.first().cloned().unwrap_or(own),
        id: source.id,
        name: source.spec.name.clone(),
        path: format!("/in/{}", source.token),
        previous_path: source.previous.as_ref().map(|previous| format!("/in/{}", previous.token)),
        previous_until: source.previous.as_ref().map(|previous| Moment(previous.until)),
        paused: source.paused,
        spec: source.spec.clone(),
    }
}

/// A destination with what waits for it.
pub fn destination(destination: &Destination, queue: Queue) -> DestinationView {
    DestinationView {
        id: destination.id,
        name: destination.spec.name.clone(),
        paused: destination.paused.clone(),
        disabled: destination.disabled.clone(),
        waiting: queue.waiting,
        waiting_max: queue.waiting_max,
        failing_until: queue.failing_until.map(Moment),
        spec: destination.spec.clone(),
    }
}

/// A route by names.
pub fn route(route: &Route, names: Names<'_>) -> RouteView {
    let spec = RouteSpec {
        name: route.name.clone(),
        source: names.source(route.source),
        pattern: route.pattern.clone(),
        plugin: names.plugin(route.plugin),
        mode: route.mode,
        late: route.late,
    };
    RouteView { id: route.id, name: route.name.clone(), paused: route.paused, spec }
}

/// A plugin with its active deployment.
pub fn plugin(plugin: &Plugin, control: &Control) -> PluginView {
    let active = control
        .deployments
        .iter()
        .find(|one| one.plugin == plugin.id && Some(one.number) == plugin.active)
        .map(|one| deployment(one, plugin.active));
    PluginView { id: plugin.id, name: plugin.name.clone(), active }
}

/// A deployment.
pub fn deployment(deployment: &Deployment, active: Option<u32>) -> DeploymentView {
    DeploymentView {
        number: deployment.number,
        digest: deployment.digest,
        config: deployment.config.clone(),
        grants: deployment.grants.clone(),
        created_at: Moment(deployment.created_at),
        active: active == Some(deployment.number),
        warnings: Vec::new(),
    }
}

/// A line in a list of events.
pub fn event_line(line: EventSummary, names: Names<'_>) -> EventLine {
    EventLine {
        id: line.id,
        request: line.request,
        source: names.source(line.source),
        kind: line.kind,
        provider_id: line.provider_id,
        subject: line.subject,
        received_at: Moment(line.received_at),
        runs: line.runs,
        pending: line.pending,
        state: line.state,
    }
}

/// The whole story of an event.
pub fn story(story: Story, names: Names<'_>, payloads: Payloads) -> StoryView {
    StoryView {
        event: event(story.event, names, payloads),
        answer: story.answer.map(|one| answer(one, payloads)),
        duplicates: story.duplicates,
        runs: story.runs.into_iter().map(|row| run(row, names)).collect(),
        deliveries: story.deliveries.into_iter().map(|row| delivery(row, names, payloads)).collect(),
        left_out: payloads.left_out(),
    }
}

/// An event with its request.
pub fn event(event: StoredEvent, names: Names<'_>, payloads: Payloads) -> EventView {
    EventView {
        id: event.id,
        request: event.request,
        source: names.source(event.source),
        index: event.index,
        count: event.count,
        kind: event.kind,
        provider_id: event.provider_id,
        subject: event.subject,
        occurred_at: event.occurred_at.map(Moment),
        received_at: Moment(event.received_at),
        scheme: event.scheme,
        method: event.method,
        query: payloads.show(event.query),
        headers: payloads.show(event.headers),
        attributes: event.attributes,
        body_bytes: event.body.len() as u64,
        erased: event.erased,
        origin: event.origin.map(|origin| OriginView {
            event: origin.event,
            delivery: origin.delivery,
            depth: origin.depth,
        }),
    }
}

fn answer(answer: StoredAnswer, payloads: Payloads) -> AnswerView {
    let body = payloads.show(String::from_utf8_lossy(&answer.body).into_owned());
    AnswerView { status: answer.status, headers: payloads.show(answer.headers), body }
}

/// A limit that a run would have gone beyond, and how to have more.
pub fn breach(breach: Breach) -> BreachView {
    let Breach { limit, used, allowed } = breach;
    BreachView { limit, used, allowed, ask: limit.ask() }
}

/// A run.
pub fn run(row: RunRow, names: Names<'_>) -> RunView {
    RunView {
        id: row.id,
        event: row.event,
        route: names.route(row.route),
        plugin: names.plugin(row.plugin),
        mode: row.mode,
        verdict: row.verdict,
        reason: row.reason,
        breach: row.breach.map(breach),
        deployment: row.deployment,
        usage: row.usage,
        log: row.log,
        state: Vec::new(),
        fetches: Vec::new(),
        attempts: row.attempts,
        claims: row.claims,
        created_at: Moment(row.created_at),
        ended_at: row.ended_at.map(Moment),
        waiting: Vec::new(),
        replayed: row.replayed,
    }
}

/// What a run read of its plugin's state.
pub fn state_reads(record: &Record, payloads: Payloads) -> Vec<StateReadView> {
    let view = |read: &StateRead| StateReadView {
        key: read.key.clone(),
        version: read.found.as_ref().map(|found| found.version),
        value: payloads.show(read.found.as_ref().map(|found| head(&found.value))),
        value_bytes: read.found.as_ref().map(|found| found.value.len() as u64),
    };
    record.state().iter().map(view).collect()
}

/// Bytes of a value that are shown in a story.
const VALUE_BYTES_SHOWN: usize = 256;

fn head(value: &[u8]) -> String {
    String::from_utf8_lossy(&value[..value.len().min(VALUE_BYTES_SHOWN)]).into_owned()
}

/// What a run looked up.
pub fn fetches(record: &Record) -> Vec<FetchView> {
    let view = |fetched: &Fetched| FetchView {
        destination: fetched.request.destination.clone(),
        method: fetched.request.method.clone(),
        path: fetched.request.path.clone(),
        status: fetched.answer.as_ref().ok().map(|response| response.status),
        error: fetched.answer.as_ref().err().map(ToString::to_string),
        response_bytes: fetched.answer.as_ref().map_or(0, |response| response.body.len() as u64),
        duration_ms: fetched.duration_ms,
    };
    record.fetches().iter().map(view).collect()
}

/// A delivery.
pub fn delivery(row: DeliveryRow, names: Names<'_>, payloads: Payloads) -> DeliveryView {
    DeliveryView {
        id: row.id,
        event: (row.event != NO_EVENT).then_some(row.event),
        run: (row.run != NO_RUN).then_some(row.run),
        index: row.index,
        destination: names.destination(row.destination),
        key: row.key,
        method: row.method,
        path: row.path,
        state: row.state,
        reason: row.reason,
        attempts: row.attempts,
        due_at: row.due_at.map(Moment),
        created_at: Moment(row.created_at),
        ended_at: row.ended_at.map(Moment),
        waiting: Vec::new(),
        on_result: row.on_result,
        result: row.result,
        history: row.history.into_iter().map(|one| attempt(one, payloads)).collect(),
    }
}

/// A delivery and what it sends.
pub fn letter(row: DeliveryRow, letter: Letter, names: Names<'_>, payloads: Payloads) -> LetterView {
    let death = |death: Death| DeathView {
        ended_at: Moment(death.ended_at),
        reason: death.reason,
        key: death.key,
        replayed_at: Moment(death.replayed_at),
    };
    LetterView {
        delivery: delivery(row, names, payloads),
        headers: payloads.show(letter.headers),
        body: payloads.show(letter.body.map(|body| String::from_utf8_lossy(&body).into_owned())),
        order_key: letter.order_key,
        expires_at: letter.expires_at.map(Moment),
        past: letter.past.into_iter().map(death).collect(),
        left_out: payloads.left_out(),
    }
}

fn attempt(attempt: Attempt, payloads: Payloads) -> AttemptView {
    AttemptView {
        started_at: Moment(attempt.started_at),
        duration_ms: attempt.duration_ms,
        answer: attempt.answer,
        detail: attempt.detail,
        response_head: payloads.show(attempt.response_head),
    }
}

/// A request that was not believed.
pub fn refusal(row: RefusalRow, names: Names<'_>) -> RefusalView {
    RefusalView {
        at: Moment(row.at),
        source: names.source(row.source),
        reason: row.reason,
        detail: row.detail,
        peer: row.peer,
    }
}

//! From stored rows to what the API shows: ids become names where people use names.

use creel_store::contract::{
    Attempt, Control, Death, DeliveryRow, EventSummary, Letter, Queue, RefusalRow, RunRow, SecretRow, StoredAnswer,
    StoredEvent, Story,
};
use creel_webhook::destination::Destination;
use creel_webhook::id::{DestinationId, PluginId, RouteId, SourceId, TenantId};
use creel_webhook::notice::{NO_EVENT, NO_RUN};
use creel_webhook::plugin::{Deployment, Plugin};
use creel_webhook::route::Route;
use creel_webhook::source::Source;
use creel_webhook::tenant::{ApiKey, Tenant};

use crate::api::{
    AnswerView, AttemptView, DeathView, DeliveryView, DeploymentView, DestinationView, EventLine, EventView, KeyView,
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
    TenantView { id: *id, name: name.clone(), created_at: Moment(*created_at), limits: *limits }
}

/// A key, without its hash.
pub fn key(key: &ApiKey) -> KeyView {
    KeyView {
        id: key.id,
        name: key.name.clone(),
        role: key.role,
        created_at: Moment(key.created_at),
        expires_at: key.expires_at.map(Moment),
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
    }
}

/// The whole story of an event.
pub fn story(story: Story, names: Names<'_>) -> StoryView {
    StoryView {
        event: event(story.event, names),
        answer: story.answer.map(answer),
        duplicates: story.duplicates,
        runs: story.runs.into_iter().map(|row| run(row, names)).collect(),
        deliveries: story.deliveries.into_iter().map(|row| delivery(row, names)).collect(),
    }
}

fn event(event: StoredEvent, names: Names<'_>) -> EventView {
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
        query: event.query,
        headers: event.headers,
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

fn answer(answer: StoredAnswer) -> AnswerView {
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    AnswerView { status: answer.status, headers: answer.headers, body }
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
        deployment: row.deployment,
        usage: row.usage,
        log: row.log,
        attempts: row.attempts,
        claims: row.claims,
        created_at: Moment(row.created_at),
        ended_at: row.ended_at.map(Moment),
        replayed: row.replayed,
    }
}

/// A delivery.
pub fn delivery(row: DeliveryRow, names: Names<'_>) -> DeliveryView {
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
        on_result: row.on_result,
        result: row.result,
        history: row.history.into_iter().map(attempt).collect(),
    }
}

/// A delivery and what it sends.
pub fn letter(row: DeliveryRow, letter: Letter, names: Names<'_>) -> LetterView {
    let death = |death: Death| DeathView {
        ended_at: Moment(death.ended_at),
        reason: death.reason,
        key: death.key,
        replayed_at: Moment(death.replayed_at),
    };
    LetterView {
        delivery: delivery(row, names),
        headers: letter.headers,
        body: letter.body.map(|body| String::from_utf8_lossy(&body).into_owned()),
        order_key: letter.order_key,
        expires_at: letter.expires_at.map(Moment),
        past: letter.past.into_iter().map(death).collect(),
    }
}

fn attempt(attempt: Attempt) -> AttemptView {
    AttemptView {
        started_at: Moment(attempt.started_at),
        duration_ms: attempt.duration_ms,
        answer: attempt.answer,
        detail: attempt.detail,
        response_head: attempt.response_head,
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

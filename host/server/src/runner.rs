//! One run, from a claim to its commit.
//!
//! The runner is what worker and ingress share: it looks up the deployment, has the component ready, runs it on the
//! guest threads, lets the rules decide, and commits. It holds no queue and no state of its own; whether a run came
//! from a claim or together with an accept makes no difference.
//!
//! Nothing here fails upwards except the store: a plugin that is missing, a component that no longer loads and an
//! outcome that breaks a rule are verdicts, stored with the run like any other.

use std::sync::{Arc, Mutex, PoisonError};

use creel_runtime::capability::granted::Granted;
use creel_runtime::capability::seam::Capabilities;
use creel_runtime::gate::Prepared;
use creel_runtime::limits::Limits;
use creel_runtime::registry::Registry;
use creel_runtime::run::threads::GuestThreads;
use creel_runtime::run::{RunInput, RunReport, Runtime};
use creel_store::contract::{
    ClaimToken, NewDelivery, RunCommit, RunCommitted, RunTicket, StateWrites, Store, StoreError, StoreResult,
    StoredAnswer, StoredEvent,
};
use creel_webhook::breach::Breach;
use creel_webhook::clock::{Clock, Timestamp};
use creel_webhook::decision::{DecidedCall, Ground, OutcomeLimits, decide};
use creel_webhook::fetch::FetchLimits;
use creel_webhook::followup::stands_for;
use creel_webhook::id::{DeliveryId, EventId, RunId, TenantId};
use creel_webhook::outcome::{GuestEvent, Outcome, Pair};
use creel_webhook::plugin::{Deployment, Digest};
use creel_webhook::record::Record;
use creel_webhook::route::{Late, Mode};
use creel_webhook::run::{RunNext, Usage, Verdict, run_next};
use creel_webhook::state::StateLimits;
use creel_webhook::trace;
use sha2::{Digest as _, Sha256};

use crate::capability::Live;
use crate::capability::asking::Asking;
use crate::capability::fetch::{Asker, LookUps};
use crate::capability::recorded::{Missing, Recorded};
use crate::capability::state::{SharedDraft, State};
use crate::directory::{Directory, Picture};
use crate::insist::Insist;
use crate::rehearsal::{Rehearsal, Wish};
use crate::shutdown::Cut;
use crate::spec::tenant::Ceilings;
use crate::system::Entropy;
use crate::telemetry::Metrics;
use crate::turnstile::{TRIES_MAX, Turnstiles};
use crate::under_way::UnderWay;

/// What a runner works with.
pub struct Runner {
    /// Where runs come from and go to.
    pub store: Arc<dyn Store>,
    /// What is configured.
    pub directory: Arc<Directory>,
    /// The sandbox.
    pub runtime: Arc<Runtime>,
    /// Prepared components.
    pub registry: Arc<Registry>,
    /// Where guest code runs.
    pub threads: Arc<GuestThreads>,
    /// The operator's limits.
    pub ceilings: Ceilings,
    /// The operator's limits for what a plugin remembers.
    pub state_limits: StateLimits,
    /// Where runs of plugins that remember pass.
    pub turnstiles: Turnstiles,
    /// The operator's limits for the look-ups of one run.
    pub fetch_limits: FetchLimits,
    /// What sends look-ups.
    pub look_ups: Arc<LookUps>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Entropy for ids.
    pub entropy: Arc<Entropy>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// When it comes, runs under way end and are given back.
    pub cut: Cut,
    /// Where it is written down what has begun.
    pub under_way: UnderWay,
}

/// How much longer than the longest run a claim lasts, milliseconds: 30 s to commit, and 270 s to prepare components,
/// which are compiled one after the other when the cache is cold, and to wait for a thread. A long lease delays nobody: a
/// restart releases all.
const LEASE_MARGIN_MS: u64 = 300_000;

/// How a run ended, before it is stored.
struct Ending {
    verdict: Verdict,
    reason: Option<String>,
    breach: Option<Breach>,
    usage: Usage,
    log: Vec<creel_webhook::run::LogLine>,
    /// What it was answered, of a run for good.
    record: Record,
    /// What it wrote to its plugin's state; nothing unless it is done.
    state: StateWrites,
    asked_ms: u64,
    calls: Vec<DecidedCall>,
    reply: Option<StoredAnswer>,
    /// What the calls' times count from; of no use without calls.
    decided_at: Timestamp,
}

/// Why a plugin without an active deployment runs nothing.
const NO_DEPLOYMENT: &str = "the plugin has no active deployment; deploy it, then replay this run";

/// What a run's outcome is judged by.
struct Scene<'a> {
    ticket: &'a RunTicket,
    /// What keys outward are made from.
    identity: EventId,
    /// Results in a row that led to the event.
    depth: u32,
    /// Headers that carry the sender's trace on.
    trace: Vec<Pair>,
    deployment: &'a Arc<Deployment>,
    picture: &'a Arc<Picture>,
    limits: Limits,
}

impl Ending {
    fn without_outcome(verdict: Verdict, reason: impl Into<String>) -> Self {
        Ending {
            verdict,
            reason: Some(reason.into()),
            breach: None,
            usage: Usage::default(),
            log: Vec::new(),
            record: Record::default(),
            state: StateWrites::default(),
            asked_ms: 0,
            calls: Vec::new(),
            reply: None,
            decided_at: Timestamp::default(),
        }
    }

    /// With what it wrote. A run that decides nothing writes nothing.
    fn with_state(self, draft: &SharedDraft) -> Self {
        if self.verdict != Verdict::Done {
            return self;
        }
        let draft = draft.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (keys_max, bytes_max) = (draft.limits().keys_max, draft.limits().bytes_max);
        Ending { state: StateWrites { writes: draft.into_writes(), keys_max, bytes_max }, ..self }
    }
}

impl Runner {
    /// Runs what the ticket says and stores how it ended; a run that was overtaken by another of its plugin runs again
    /// ([`crate::turnstile`]). `None`: the run was given back, because the host is stopping and could not wait for the end,
    /// or because it was overtaken too often.
    ///
    /// # Errors
    /// When the store fails for as long as the claim holds; the run is due again then.
    pub async fn execute(&self, ticket: RunTicket, event: StoredEvent) -> StoreResult<Option<RunCommitted>> {
        let mut overtaken = 0;
        let mut once_more = Some(event);
        while let Some(event) = once_more.take() {
            let picture = self.directory.picture().await?;
            let active = picture.plugin(ticket.plugin).and_then(|(_, active)| active.cloned());
            let remembers = active.as_ref().is_some_and(|deployment| deployment.grants.state);
            once_more = remembers.then(|| event.clone());
            let pass =
                async { if remembers { Some(self.turnstiles.pass(ticket.plugin, overtaken).await) } else { None } };
            let _pass = tokio::select! {
                biased;
                pass = pass => pass,
                () = self.cut.come() => return self.give_back(&ticket).await.map(|()| None),
            };
            match self.attempt(&ticket, event, active, &picture).await? {
                Some(RunCommitted::Conflict) => {}
                ended => return Ok(ended),
            }
            overtaken += 1;
            self.metrics.overtaken();
            let in_lease = self.clock.now().plus_ms(self.ceilings.most.run_timeout_ms) < ticket.lease_until;
            if overtaken >= TRIES_MAX || !in_lease {
                once_more = None;
            }
        }
        self.store.run_release(ticket.tenant, ticket.run, ticket.claim).await?;
        Ok(None)
    }

    /// One try. `None`: the host is stopping; the run was given back.
    async fn attempt(
        &self,
        ticket: &RunTicket,
        event: StoredEvent,
        active: Option<Arc<Deployment>>,
        picture: &Arc<Picture>,
    ) -> StoreResult<Option<RunCommitted>> {
        let started = self.clock.now();
        let ending = match &active {
            Some(deployment) => tokio::select! {
                biased;
                ending = self.run_live(ticket, event, deployment, picture) => ending,
                () = self.cut.come() => return self.give_back(ticket).await.map(|()| None),
            },
            None => Ending::without_outcome(Verdict::Host, NO_DEPLOYMENT),
        };
        let now = self.clock.now();
        let (verdict, fuel) = (ending.verdict, ending.usage.fuel);
        let committed = self.commit(ticket, self.commit_of(ticket, ending, active.as_deref(), picture, now)).await?;
        // What is stale was decided by another, or never stored.
        if let RunCommitted::Stored { .. } = committed {
            if !matches!(verdict, Verdict::Done | Verdict::Rejected | Verdict::Retry) {
                tracing::warn!(run = %ticket.run, event = %ticket.event, verdict = verdict.as_str(), "a run ended without an outcome; `creel event` tells why");
            }
            self.metrics.run(verdict, fuel, seconds(now.since_ms(started)));
        }
        Ok(Some(committed))
    }

    /// Runs what somebody wants to see, and shows how it ended instead of storing it. `None`: the host is stopping.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn rehearse(&self, wish: Wish) -> StoreResult<Option<Rehearsal>> {
        let picture = self.directory.picture().await?;
        let active = || picture.plugin(wish.plugin).and_then(|(_, active)| active.cloned());
        let deployment = wish.deployment.clone().or_else(active);
        let missing = Missing::default();
        let ending = match &deployment {
            Some(deployment) => {
                let (ticket, noted) = (rehearsed(&wish), missing.clone());
                let state = self.state_of(&ticket, deployment, &picture);
                let draft = state.draft();
                let recorded =
                    |settings, asking| Box::new(Recorded::new(settings, state, asking, wish.record, noted)) as _;
                tokio::select! {
                    biased;
                    ending = self.run(&ticket, wish.event, deployment, &picture, recorded) => ending.with_state(&draft),
                    () = self.cut.come() => return Ok(None),
                }
            }
            None => Ending::without_outcome(Verdict::Host, NO_DEPLOYMENT),
        };
        Ok(Some(Rehearsal {
            deployment: deployment.map(|deployment| deployment.number),
            verdict: ending.verdict,
            reason: ending.reason,
            breach: ending.breach,
            decided_at: ending.decided_at,
            calls: ending.calls,
            reply: ending.reply,
            retry_after_ms: (ending.verdict == Verdict::Retry).then_some(ending.asked_ms),
            usage: ending.usage,
            log: ending.log,
            writes: ending.state.writes,
            missing: std::mem::take(&mut missing.lock().unwrap_or_else(PoisonError::into_inner)),
        }))
    }

    /// How long a claim of a run lasts, milliseconds.
    pub fn lease_ms(&self) -> u64 {
        self.ceilings.most.run_timeout_ms + LEASE_MARGIN_MS
    }

    async fn give_back(&self, ticket: &RunTicket) -> StoreResult<()> {
        if self.store.run_release(ticket.tenant, ticket.run, ticket.claim).await? {
            self.cut.gave_back();
        }
        Ok(())
    }

    async fn commit(&self, ticket: &RunTicket, commit: RunCommit) -> StoreResult<RunCommitted> {
        let insist = Insist {
            clock: self.clock.as_ref(),
            lease_until: ticket.lease_until,
            cut: &self.cut,
            metrics: &self.metrics,
            what: "run",
        };
        insist.commit(|| self.store.run_commit(commit.clone())).await
    }

    /// Ends a run that a sender waited for and that never ran, with the fallback as its answer.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn give_up(&self, ticket: RunTicket, reason: &str) -> StoreResult<RunCommitted> {
        let picture = self.directory.picture().await?;
        let ending = Ending::without_outcome(Verdict::Unanswered, reason);
        let commit = self.commit_of(&ticket, ending, None, &picture, self.clock.now());
        self.commit(&ticket, commit).await
    }

    /// A run for good, with what it was answered.
    async fn run_live(
        &self,
        ticket: &RunTicket,
        event: StoredEvent,
        deployment: &Arc<Deployment>,
        picture: &Arc<Picture>,
    ) -> Ending {
        let record: Arc<Mutex<Record>> = Arc::default();
        let asker = Asker {
            tenant: ticket.tenant,
            identity: identity_of(ticket, &event),
            route: ticket.route,
            picture: picture.clone(),
            trace: trace::carried(&event.headers),
            reply_by: ticket.deadline,
        };
        let state = self.state_of(ticket, deployment, picture);
        let draft = state.draft();
        let live = |settings, asking| {
            let fetch = self.look_ups.of_run(asker, asking);
            Box::new(Live { settings, state, fetch, record: record.clone() }) as _
        };
        let ending = self.run(ticket, event, deployment, picture, live).await;
        let record = std::mem::take(&mut *record.lock().unwrap_or_else(PoisonError::into_inner));
        Ending { record, ..ending.with_state(&draft) }
    }

    fn state_of(&self, ticket: &RunTicket, deployment: &Deployment, picture: &Picture) -> State {
        let own = picture.tenant(ticket.tenant).map(|entry| entry.tenant.limits).unwrap_or_default();
        let plugin = (ticket.tenant, ticket.plugin);
        State::of_run(self.store.clone(), plugin, deployment.grants.state, self.state_limits.of(&own))
    }

    async fn run(
        &self,
        ticket: &RunTicket,
        event: StoredEvent,
        deployment: &Arc<Deployment>,
        picture: &Arc<Picture>,
        reach: impl FnOnce(Granted, Asking) -> Box<dyn Capabilities>,
    ) -> Ending {
        let prepared = match self.prepared(deployment).await {
            Ok(prepared) => prepared,
            Err(reason) => return Ending::without_outcome(Verdict::Host, reason),
        };
        let limits = self.limits_of(ticket, picture);
        let identity = identity_of(ticket, &event);
        let (depth, trace) = (event.depth(), trace::carried(&event.headers));
        let scene = Scene { ticket, identity, depth, trace, deployment, picture, limits };
        let input = RunInput {
            seed: seed_of(ticket),
            event: guest_event(event, picture),
            limits: scene.limits.clone(),
            capabilities: reach(Granted { config: deployment.config.clone() }, self.asking(&scene)),
        };
        let (runtime, under_way, run) = (self.runtime.clone(), self.under_way.clone(), ticket.run);
        // It begins when it has a thread: until then it only waits.
        let running = async move {
            let mark = under_way.begin(run.as_bytes());
            (runtime.run(prepared, input).await, mark)
        };
        let report = self.threads.spawn(ticket.tenant, running).await;
        match report {
            Ok((report, _mark)) => self.ending_of(&scene, report),
            Err(_) => Ending::without_outcome(Verdict::Host, "the run's thread ended; this is a fault of the host"),
        }
    }

    fn asking(&self, scene: &Scene<'_>) -> Asking {
        let mut limits = self.fetch_limits;
        if let Some(own) = scene.picture.tenant(scene.ticket.tenant).map(|entry| entry.tenant.limits) {
            limits.fetches_max =
                own.fetches_max.map_or(limits.fetches_max, |own| u32::try_from(own).unwrap_or(u32::MAX));
            limits.response_bytes_max = own.fetch_response_bytes_max.unwrap_or(limits.response_bytes_max);
            limits.timeout_ms = own.fetch_timeout_ms.unwrap_or(limits.timeout_ms);
        }
        Asking { deployment: scene.deployment.clone(), limits: limits.within(self.fetch_limits), asked: 0 }
    }

    /// What a tenant's component imports, when it can be had.
    pub async fn imports(&self, tenant: TenantId, digest: Digest) -> Vec<String> {
        let prepared = self.registry.get(digest, || self.component(tenant, digest)).await;
        prepared.map(|prepared| prepared.imports.clone()).unwrap_or_default()
    }

    async fn prepared(&self, deployment: &Deployment) -> Result<Arc<Prepared>, String> {
        let (tenant, digest) = (deployment.tenant, deployment.digest);
        let prepared = self.registry.get(digest, || self.component(tenant, digest)).await;
        prepared.map_err(|error| format!("the component no longer loads: {error}"))
    }

    async fn component(&self, tenant: TenantId, digest: Digest) -> Result<bytes::Bytes, String> {
        match self.store.component_read(tenant, digest).await {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(format!("the component {digest} is not stored; upload it again")),
            Err(error) => Err(format!("the component {digest} could not be read: {error}")),
        }
    }

    fn limits_of(&self, ticket: &RunTicket, picture: &Picture) -> Limits {
        match picture.tenant(ticket.tenant) {
            Some(entry) => Limits::from(entry.holds(&self.ceilings)),
            None => Limits::from(&self.ceilings.defaults),
        }
    }

    fn ending_of(&self, scene: &Scene<'_>, report: RunReport) -> Ending {
        let mut ending = Ending {
            verdict: report.verdict,
            reason: report.reason,
            breach: report.breach,
            usage: report.usage,
            log: report.log,
            record: Record::default(),
            state: StateWrites::default(),
            asked_ms: report.retry_after_ms.unwrap_or(0),
            calls: Vec::new(),
            reply: None,
            decided_at: self.clock.now(),
        };
        if let Some(outcome) = report.outcome.filter(|_| report.verdict == Verdict::Done) {
            self.decide(scene, outcome, &mut ending);
        }
        ending
    }

    fn decide(&self, scene: &Scene<'_>, outcome: Outcome, ending: &mut Ending) {
        let Scene { ticket, limits, .. } = scene;
        let tenant = scene.picture.tenant(ticket.tenant);
        let ground = Ground {
            event: scene.identity,
            depth: scene.depth,
            route: ticket.route,
            now: ending.decided_at,
            granted: &scene.deployment.grants.destinations,
            destination: &|name| tenant.and_then(|entry| entry.destination_named(name)),
            limits: OutcomeLimits {
                calls_max: limits.calls_max as usize,
                call_body_bytes_max: usize::try_from(limits.call_bytes_max).unwrap_or(usize::MAX),
                reply_body_bytes_max: usize::try_from(limits.reply_bytes_max).unwrap_or(usize::MAX),
            },
        };
        match decide(outcome, &ground) {
            Ok(decision) => {
                ending.calls = decision.calls;
                // After the rules: a handler has no say in these.
                for call in &mut ending.calls {
                    call.headers.extend_from_slice(&scene.trace);
                }
                ending.reply = decision.reply.filter(|_| ticket.mode == Mode::Reply).map(|reply| StoredAnswer {
                    status: reply.status,
                    headers: reply.headers,
                    body: reply.body.unwrap_or_default(),
                });
            }
            Err(error) => {
                ending.verdict = Verdict::Output;
                ending.breach = error.breach();
                ending.reason = Some(error.to_string());
            }
        }
    }

    fn commit_of(
        &self,
        ticket: &RunTicket,
        ending: Ending,
        active: Option<&Deployment>,
        picture: &Picture,
        now: Timestamp,
    ) -> RunCommit {
        // A sender that waits is answered once: what would be tried again later is over for it.
        let next = match ticket.mode {
            Mode::Ack => run_next(ending.verdict, ticket.attempts, ticket.failures, ending.asked_ms, now),
            Mode::Reply => RunNext::End,
        };
        RunCommit {
            tenant: ticket.tenant,
            run: ticket.run,
            claim: ticket.claim,
            now,
            verdict: ending.verdict,
            reason: ending.reason,
            breach: ending.breach,
            deployment: active.map(|deployment| deployment.number),
            usage: ending.usage,
            log: ending.log,
            record: ending.record,
            next,
            calls: ending
                .calls
                .into_iter()
                .map(|call| NewDelivery { id: DeliveryId::new(now, self.entropy.id_bytes()), call })
                .collect(),
            reply: ending.reply,
            state: ending.state,
            keep_late: picture.route(ticket.route).is_some_and(|route| route.late == Late::Keep),
        }
    }
}

/// What keys outward are made from.
fn identity_of(ticket: &RunTicket, event: &StoredEvent) -> EventId {
    if ticket.new_keys { stands_for(ticket.run) } else { event.identity() }
}

/// A ticket for what no claim is behind: nothing can be committed with it.
fn rehearsed(wish: &Wish) -> RunTicket {
    RunTicket {
        run: RunId::from_bytes([0; 16]),
        claim: ClaimToken(0),
        tenant: wish.event.tenant,
        event: wish.event.id,
        route: wish.route,
        plugin: wish.plugin,
        mode: wish.mode,
        attempts: 0,
        failures: 0,
        claims: 0,
        lease_until: Timestamp::default(),
        deadline: None,
        new_keys: false,
    }
}

/// What random numbers in the sandbox derive from: tenant, event and route, so that a re-run draws the same.
fn seed_of(ticket: &RunTicket) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"creel seed 1");
    hash.update(ticket.tenant.as_bytes());
    hash.update(ticket.event.as_bytes());
    hash.update(ticket.route.as_bytes());
    hash.finalize().into()
}

/// A stored event as the guest sees it.
pub fn guest_event(event: StoredEvent, picture: &Picture) -> GuestEvent {
    let source = picture.source(event.source).map(|entry| entry.source.spec.name.clone()).unwrap_or_default();
    GuestEvent {
        id: event.id.to_string(),
        request_id: event.request.to_string(),
        index: event.index,
        count: event.count,
        source,
        scheme: event.scheme,
        kind: event.kind,
        provider_id: event.provider_id,
        subject: event.subject,
        received_at: event.received_at,
        method: event.method,
        query: event.query,
        headers: event.headers,
        attributes: event.attributes,
        body: event.body,
    }
}

/// Milliseconds as metrics want them.
pub fn seconds(millis: u64) -> f64 {
    millis as f64 / 1_000.0
}

/// A store's failure in a log line, once, at the edge.
pub fn log_store_failure(what: &str, error: &StoreError) {
    tracing::error!(%error, "{what} failed; it is due again when its lease is over");
}

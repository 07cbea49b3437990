//! One run, from a claim to its commit.
//!
//! The runner is what worker and ingress share: it looks up the deployment, has the component ready, runs it on the
//! guest threads, lets the rules decide, and commits. It holds no queue and no state of its own; whether a run came
//! from a claim or together with an accept makes no difference.
//!
//! Nothing here fails upwards except the store: a plugin that is missing, a component that no longer loads and an
//! outcome that breaks a rule are verdicts, stored with the run like any other.

use std::sync::Arc;

use creel_runtime::capability::granted::Granted;
use creel_runtime::gate::Prepared;
use creel_runtime::limits::Limits;
use creel_runtime::registry::Registry;
use creel_runtime::run::threads::GuestThreads;
use creel_runtime::run::{RunInput, RunReport, Runtime};
use creel_store::contract::{
    ClaimToken, NewDelivery, RunCommit, RunCommitted, RunTicket, Store, StoreError, StoreResult, StoredAnswer,
    StoredEvent,
};
use creel_webhook::clock::{Clock, Timestamp};
use creel_webhook::decision::{DecidedCall, Ground, OutcomeLimits, decide};
use creel_webhook::followup::stands_for;
use creel_webhook::id::{DeliveryId, EventId, RunId};
use creel_webhook::outcome::{GuestEvent, Outcome, Pair};
use creel_webhook::plugin::{Deployment, Digest};
use creel_webhook::route::{Late, Mode};
use creel_webhook::run::{RunNext, Usage, Verdict, run_next};
use creel_webhook::trace;
use sha2::{Digest as _, Sha256};

use crate::directory::{Directory, Picture};
use crate::insist::Insist;
use crate::rehearsal::{Rehearsal, Wish};
use crate::shutdown::Cut;
use crate::system::Entropy;
use crate::telemetry::Metrics;

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
    /// The operator's limits for one run.
    pub limits: Limits,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Entropy for ids.
    pub entropy: Arc<Entropy>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// When it comes, runs under way end and are given back.
    pub cut: Cut,
}

/// How a run ended, before it is stored.
struct Ending {
    verdict: Verdict,
    reason: Option<String>,
    usage: Usage,
    log: Vec<creel_webhook::run::LogLine>,
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
    deployment: &'a Deployment,
    picture: &'a Picture,
    limits: Limits,
}

impl Ending {
    fn without_outcome(verdict: Verdict, reason: impl Into<String>) -> Self {
        Ending {
            verdict,
            reason: Some(reason.into()),
            usage: Usage::default(),
            log: Vec::new(),
            asked_ms: 0,
            calls: Vec::new(),
            reply: None,
            decided_at: Timestamp::default(),
        }
    }
}

impl Runner {
    /// Runs what the ticket says and stores how it ended. `None`: the host is stopping and could not wait for the end; the
    /// run was given back.
    ///
    /// # Errors
    /// When the store fails for as long as the claim holds; the run is due again then.
    pub async fn execute(&self, ticket: RunTicket, event: StoredEvent) -> StoreResult<Option<RunCommitted>> {
        let picture = self.directory.picture().await?;
        let active = picture.plugin(ticket.plugin).and_then(|(_, active)| active.cloned());
        let started = self.clock.now();
        let ending = match &active {
            Some(deployment) => tokio::select! {
                biased;
                ending = self.run(&ticket, event, deployment, &picture) => ending,
                () = self.cut.come() => return self.give_back(&ticket).await.map(|()| None),
            },
            None => Ending::without_outcome(Verdict::Host, NO_DEPLOYMENT),
        };
        let now = self.clock.now();
        if !matches!(ending.verdict, Verdict::Done | Verdict::Rejected | Verdict::Retry) {
            tracing::warn!(run = %ticket.run, event = %ticket.event, verdict = ending.verdict.as_str(), "a run ended without an outcome; `creel event` tells why");
        }
        self.metrics.run(ending.verdict, ending.usage.fuel, seconds(now.since_ms(started)));
        self.commit(&ticket, self.commit_of(&ticket, ending, active.as_deref(), &picture, now)).await.map(Some)
    }

    /// Runs what somebody wants to see, and shows how it ended instead of storing it. `None`: the host is stopping.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn rehearse(&self, wish: Wish) -> StoreResult<Option<Rehearsal>> {
        let picture = self.directory.picture().await?;
        let active = || picture.plugin(wish.plugin).and_then(|(_, active)| active.cloned());
        let deployment = wish.deployment.clone().or_else(active);
        let ending = match &deployment {
            Some(deployment) => {
                let ticket = rehearsed(&wish);
                tokio::select! {
                    biased;
                    ending = self.run(&ticket, wish.event, deployment, &picture) => ending,
                    () = self.cut.come() => return Ok(None),
                }
            }
            None => Ending::without_outcome(Verdict::Host, NO_DEPLOYMENT),
        };
        Ok(Some(Rehearsal {
            deployment: deployment.map(|deployment| deployment.number),
            verdict: ending.verdict,
            reason: ending.reason,
            decided_at: ending.decided_at,
            calls: ending.calls,
            reply: ending.reply,
            retry_after_ms: (ending.verdict == Verdict::Retry).then_some(ending.asked_ms),
            usage: ending.usage,
            log: ending.log,
        }))
    }

    async fn give_back(&self, ticket: &RunTicket) -> StoreResult<()> {
        if self.store.run_release(ticket.run, ticket.claim).await? {
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

    async fn run(
        &self,
        ticket: &RunTicket,
        event: StoredEvent,
        deployment: &Arc<Deployment>,
        picture: &Picture,
    ) -> Ending {
        let prepared = match self.prepared(deployment).await {
            Ok(prepared) => prepared,
            Err(reason) => return Ending::without_outcome(Verdict::Host, reason),
        };
        let limits = self.limits_of(ticket, picture);
        let identity = if ticket.new_keys { stands_for(ticket.run) } else { event.identity() };
        let (depth, trace) = (event.depth(), trace::carried(&event.headers));
        let scene = Scene { ticket, identity, depth, trace, deployment, picture, limits };
        let input = RunInput {
            seed: seed_of(ticket),
            event: guest_event(event, picture),
            limits: scene.limits.clone(),
            capabilities: Box::new(Granted { config: deployment.config.clone() }),
        };
        let runtime = self.runtime.clone();
        let report = self.threads.spawn(async move { runtime.run(prepared, input).await }).await;
        match report {
            Ok(report) => self.ending_of(&scene, report),
            Err(_) => Ending::without_outcome(Verdict::Host, "the run's thread ended; this is a fault of the host"),
        }
    }

    async fn prepared(&self, deployment: &Deployment) -> Result<Arc<Prepared>, String> {
        let (tenant, digest) = (deployment.tenant, deployment.digest);
        let prepared = self.registry.get(digest, || self.component(tenant, digest)).await;
        prepared.map_err(|error| format!("the component no longer loads: {error}"))
    }

    async fn component(&self, tenant: creel_webhook::id::TenantId, digest: Digest) -> Result<bytes::Bytes, String> {
        match self.store.component_read(tenant, digest).await {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(format!("the component {digest} is not stored; upload it again")),
            Err(error) => Err(format!("the component {digest} could not be read: {error}")),
        }
    }

    fn limits_of(&self, ticket: &RunTicket, picture: &Picture) -> Limits {
        let mut limits = self.limits.clone();
        if let Some(own) = picture.tenant(ticket.tenant).map(|entry| entry.tenant.limits) {
            limits.fuel_max = own.fuel_max.unwrap_or(limits.fuel_max);
            limits.memory_bytes_max = own.memory_bytes_max.unwrap_or(limits.memory_bytes_max);
            limits.timeout_ms = own.run_timeout_ms.unwrap_or(limits.timeout_ms);
        }
        limits.within(&self.limits)
    }

    fn ending_of(&self, scene: &Scene<'_>, report: RunReport) -> Ending {
        let mut ending = Ending {
            verdict: report.verdict,
            reason: report.reason,
            usage: report.usage,
            log: report.log,
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
            run: ticket.run,
            claim: ticket.claim,
            now,
            verdict: ending.verdict,
            reason: ending.reason,
            deployment: active.map(|deployment| deployment.number),
            usage: ending.usage,
            log: ending.log,
            next,
            calls: ending
                .calls
                .into_iter()
                .map(|call| NewDelivery { id: DeliveryId::new(now, self.entropy.id_bytes()), call })
                .collect(),
            reply: ending.reply,
            keep_late: picture.route(ticket.route).is_some_and(|route| route.late == Late::Keep),
        }
    }
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

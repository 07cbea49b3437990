//! A sender that waits: the run's reply in time, or the fallback.
//!
//! The reply of an event is decided once, by whichever comes first: the run's commit or the fallback at the deadline.
//! Both go through the store, and what is sent is what the store says was decided.
//!
//! Accept and run are one errand that does not end with the connection: a sender that hangs up changes nothing, and a
//! run goes on behind its fallback to end `late`. Where it may ([`super::early`]), the run begins while the request is being stored.
//! The event is stored whether or not there is a slot for its run, so that a host whose slots are all taken loses nothing: a run
//! that gets none before its deadline ends `unanswered`.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use creel_store::contract::{
    Accept, Accepted, NewClaim, NewReply, RunCommitted, RunTicket, Store, StoreResult, StoredAnswer, StoredEvent,
};
use creel_webhook::clock::{Clock, Timestamp};
use creel_webhook::event::EventDraft;
use creel_webhook::id::{EventId, TenantId};
use creel_webhook::reply;
use creel_webhook::route::Mode;
use futures_util::FutureExt as _;
use futures_util::future::{Either, MaybeDone, maybe_done, select};
use tokio::sync::oneshot;

use crate::directory::{Proof, SourceEntry};
use crate::errands::Errands;
use crate::runner::{Runner, log_store_failure};
use crate::slots::{Slot, Slots};

use super::early::{Early, Unpaid};
use super::turning_away::TurnedAway;

/// How long a handler may take to answer when neither provider nor source says, milliseconds: most providers wait ten
/// seconds, and the network needs some.
const REPLY_DEADLINE_MS_DEFAULT: u64 = 8_000;

/// What a waiting sender can expect.
pub(super) struct Waiting {
    /// When it is told something at the latest.
    pub(super) deadline: Timestamp,
    /// What it is told then.
    pub(super) fallback: StoredAnswer,
}

impl Waiting {
    /// `None` when no reply route takes the first event of a request that came at `began`.
    pub(super) fn of(
        entry: &SourceEntry,
        proof: &Proof,
        drafts: &[EventDraft],
        body: &Bytes,
        began: Timestamp,
    ) -> Option<Self> {
        let kind = drafts.first()?.kind.as_str();
        let spec = &entry.source.spec;
        entry.routes.iter().find(|route| route.mode == Mode::Reply && route.pattern.matches(kind))?;
        let budget_ms = spec
            .reply_deadline_ms
            .or_else(|| reply::reply_deadline_ms(&proof.provider, kind))
            .unwrap_or(REPLY_DEADLINE_MS_DEFAULT);
        let fallback = match &spec.fallback {
            Some(own) => StoredAnswer {
                status: own.status,
                headers: own.content_type.iter().map(|value| ("content-type".to_owned(), value.clone())).collect(),
                body: own.body.clone().into(),
            },
            None => reply::fallback(&proof.provider, kind, body).into(),
        };
        Some(Waiting { deadline: began.plus_ms(budget_ms), fallback })
    }

    /// The run is claimed with the accept: nobody but this sender's errand is to run it.
    pub(super) fn new_reply(&self, runner: &Runner, now: Timestamp) -> NewReply {
        NewReply {
            deadline: self.deadline,
            claim: Some(NewClaim {
                token: runner.store.claim_token(),
                lease_ms: self.deadline.since_ms(now) + runner.lease_ms(),
            }),
            fallback: self.fallback.clone(),
        }
    }
}

/// What runs what senders wait for.
#[derive(Clone)]
pub struct Replier {
    /// Runs.
    pub runner: Arc<Runner>,
    /// Slots for runs that a sender waits for; nobody else uses them.
    pub slots: Slots,
    /// Carries on when the sender hangs up.
    pub errands: Errands,
    /// Says which runs begin beside their accept.
    pub early: Arc<Early>,
}

/// What became of an accept whose sender waits.
pub(super) enum Answered {
    /// It was stored, and this was decided.
    Replied(StoredAnswer),
    /// Something else came of it.
    Otherwise(Accepted),
}

impl Replier {
    /// Stores a request, runs what its sender waits for, and gives what was decided by the deadline.
    pub(super) async fn accept(&self, accept: Accept, event: StoredEvent) -> Result<Answered, TurnedAway> {
        let (tell, told) = oneshot::channel();
        let behind = self.clone();
        self.errands.send(async move { behind.carry_out(accept, event, tell).await });
        told.await.unwrap_or(Err(TurnedAway::Unavailable))
    }

    async fn carry_out(&self, accept: Accept, event: StoredEvent, tell: oneshot::Sender<Result<Answered, TurnedAway>>) {
        let (tenant, event_id) = (accept.tenant, event.id);
        let early = self.begins_early(&accept);
        let accepting = self.runner.store.accept(accept);
        let (accepted, begun) = match early {
            Some((ticket, slot, unpaid)) => {
                let mut running = Box::pin(maybe_done(self.run(ticket, event, Some(slot))));
                // The accept is asked for first: the decision has to stand behind it.
                let accepted = match select(accepting, running.as_mut()).await {
                    Either::Left((accepted, _)) => accepted,
                    Either::Right(((), accepting)) => accepting.await,
                };
                (accepted, Begun::Already(running, unpaid))
            }
            None => (accepting.await, Begun::NotYet(Box::new(event))),
        };
        let ticket = match accepted {
            Ok(Accepted::Stored { reply: Some(ticket), .. }) => ticket,
            other => {
                if let Begun::Already(_, unpaid) = begun {
                    unpaid.thrown_away(self.runner.clock.now());
                    self.runner.metrics.thrown_away();
                }
                tell.send(other.map(Answered::Otherwise).map_err(TurnedAway::from)).ok();
                return;
            }
        };
        let deadline = deadline_of(&ticket);
        let mut running = match begun {
            Begun::Already(running, _paid) => running,
            Begun::NotYet(event) => Box::pin(maybe_done(self.run(ticket, *event, None))),
        };
        let left = Duration::from_millis(deadline.since_ms(self.runner.clock.now()));
        if tokio::time::timeout(left, running.as_mut()).await.is_ok() {
            let committed = running.as_mut().take_output().unwrap_or(Ok(None));
            tell.send(self.decided(committed, tenant, event_id).await).ok();
            return;
        }
        let fallback = self.runner.store.reply_fallback(tenant, event_id, self.runner.clock.now()).await;
        tell.send(fallback.map(Answered::Replied).map_err(TurnedAway::from)).ok();
        running.as_mut().await;
        if let Some(Err(error)) = running.as_mut().take_output() {
            log_store_failure("storing a late run", &error);
        }
    }

    /// The run, if it may begin beside the accept, and a slot for it. Nothing is waited for: what the run is judged by is what it
    /// is run by, and the accept is not held up.
    fn begins_early(&self, accept: &Accept) -> Option<(RunTicket, Slot, Unpaid)> {
        let picture = self.runner.directory.picture().now_or_never()?.ok()?;
        let (ticket, unpaid) = self.early.begin(accept, &picture, self.runner.clock.now())?;
        let slot = self.slots.take(ticket.tenant).now_or_never()?;
        Some((ticket, slot, unpaid))
    }

    /// Runs in a slot, or gives up when none comes free before the deadline.
    /// `None`: the host is stopping, and the run was given back.
    async fn run(
        &self,
        ticket: RunTicket,
        event: StoredEvent,
        slot: Option<Slot>,
    ) -> StoreResult<Option<RunCommitted>> {
        let left = Duration::from_millis(deadline_of(&ticket).since_ms(self.runner.clock.now()));
        let slot = match slot {
            Some(slot) => Some(slot),
            None => tokio::time::timeout(left, self.slots.take(ticket.tenant)).await.ok(),
        };
        match slot {
            Some(_slot) => self.runner.execute(ticket, event).await,
            None => {
                let reason = "no slot for replies came free before its deadline (`runtime.reply_slots`); replay it";
                self.runner.give_up(ticket, reason).await.map(Some)
            }
        }
    }

    async fn decided(
        &self,
        committed: StoreResult<Option<RunCommitted>>,
        tenant: TenantId,
        event: EventId,
    ) -> Result<Answered, TurnedAway> {
        match committed {
            Ok(Some(RunCommitted::Stored { answer: Some(answer), .. })) => return Ok(Answered::Replied(answer)),
            // Nothing is decided yet: a sender that comes again in time is told what the next host's run says.
            Ok(None) => return Err(TurnedAway::Unavailable),
            Err(error) => log_store_failure("storing a reply", &error),
            _ => {}
        }
        let decided = self.runner.store.reply_fallback(tenant, event, self.runner.clock.now()).await;
        decided.map(Answered::Replied).map_err(TurnedAway::from)
    }
}

/// A run that a sender waits for, by the time its request is stored.
enum Begun<F: Future> {
    /// It began beside the accept.
    Already(Pin<Box<MaybeDone<F>>>, Unpaid),
    /// Its event.
    NotYet(Box<StoredEvent>),
}

fn deadline_of(ticket: &RunTicket) -> Timestamp {
    ticket.deadline.unwrap_or(ticket.lease_until)
}

/// The accept's first event, as its run needs it, without reading it back.
pub(super) fn first_event(accept: &Accept) -> Option<StoredEvent> {
    let request = &accept.request;
    let event = accept.events.first()?;
    let item = event.item.and_then(|(start, end)| Some(usize::try_from(start).ok()?..usize::try_from(end).ok()?));
    let body = match item {
        Some(range) if range.start <= range.end && range.end <= request.body.len() => request.body.slice(range),
        _ => request.body.clone(),
    };
    Some(StoredEvent {
        id: event.id,
        request: request.id,
        tenant: accept.tenant,
        source: accept.source,
        index: 0,
        count: u32::try_from(accept.events.len()).unwrap_or(u32::MAX),
        kind: event.kind.clone(),
        provider_id: event.provider_id.clone(),
        subject: event.subject.clone(),
        occurred_at: event.occurred_at,
        received_at: request.received_at,
        scheme: request.scheme.clone(),
        method: request.method.clone(),
        query: request.query.clone(),
        headers: request.headers.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        attributes: request.attributes.clone(),
        body,
        erased: false,
        origin: None,
    })
}

/// What was or will be decided about an event whose sender asks again.
pub(super) async fn decided(
    store: &dyn Store,
    clock: &dyn Clock,
    tenant: TenantId,
    event: EventId,
    deadline: Timestamp,
) -> Result<StoredAnswer, TurnedAway> {
    let wakeup = store.wakeups().replies;
    loop {
        let mut woken = std::pin::pin!(wakeup.notified());
        woken.as_mut().enable();
        if let Some(answer) = store.reply_read(tenant, event).await? {
            return Ok(answer);
        }
        let left = Duration::from_millis(deadline.since_ms(clock.now()));
        if left.is_zero() {
            return Ok(store.reply_fallback(tenant, event, clock.now()).await?);
        }
        let _woken_or_due = tokio::time::timeout(left, woken).await;
    }
}

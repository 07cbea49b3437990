//! A sender that waits: the run's reply in time, or the fallback.
//!
//! The reply of an event is decided once, by whichever comes first: the run's commit or the fallback at the deadline.
//! Both go through the store, and what is sent is what the store says was decided. The run goes on behind a fallback;
//! it ends `late`. A sender that hangs up changes nothing: the run is not the connection's.

use std::sync::Arc;
use std::time::Duration;

use creel_store::contract::{Accept, NewReply, RunCommitted, RunTicket, Store, StoredAnswer, StoredEvent};
use creel_webhook::clock::{Clock, Timestamp};
use creel_webhook::event::EventDraft;
use creel_webhook::id::{EventId, TenantId};
use creel_webhook::reply;
use creel_webhook::request::RawRequest;
use creel_webhook::route::Mode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::directory::{Proof, SourceEntry};
use crate::runner::{Runner, log_store_failure};
use crate::worker::LEASE_MARGIN_MS;

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
    /// `None` when no reply route takes the request's first event.
    pub(super) fn of(entry: &SourceEntry, proof: &Proof, drafts: &[EventDraft], request: &RawRequest) -> Option<Self> {
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
            None => reply::fallback(&proof.provider, kind, &request.body).into(),
        };
        Some(Waiting { deadline: request.received_at.plus_ms(budget_ms), fallback })
    }

    /// A slot to run in, if one comes free before the deadline.
    pub(super) async fn slot(&self, slots: &Arc<Semaphore>, clock: &dyn Clock) -> Option<OwnedSemaphorePermit> {
        let left = Duration::from_millis(self.deadline.since_ms(clock.now()));
        tokio::time::timeout(left, slots.clone().acquire_owned()).await.ok()?.ok()
    }

    pub(super) fn new_reply(&self, has_slot: bool, runner: &Runner) -> NewReply {
        NewReply {
            deadline: self.deadline,
            lease_ms: has_slot.then_some(runner.limits.timeout_ms + LEASE_MARGIN_MS),
            fallback: self.fallback.clone(),
        }
    }
}

/// The accept's first event, as its run needs it, without reading it back.
pub(super) fn first_event(accept: &Accept, entry: &SourceEntry) -> StoredEvent {
    let request = &accept.request;
    let event = &accept.events[0];
    let body = match event.item {
        Some((start, end)) => request.body.slice(start as usize..end as usize),
        None => request.body.clone(),
    };
    StoredEvent {
        id: event.id,
        request: request.id,
        tenant: accept.tenant,
        source: entry.source.id,
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
        headers: request.headers.clone(),
        attributes: request.attributes.clone(),
        body,
        erased: false,
    }
}

/// Runs what the sender waits for; gives what was decided by its deadline.
pub(super) async fn run_in_time(
    runner: &Arc<Runner>,
    ticket: RunTicket,
    event: StoredEvent,
    slot: Option<OwnedSemaphorePermit>,
) -> Result<StoredAnswer, TurnedAway> {
    let (tenant, event_id) = (ticket.tenant, ticket.event);
    let deadline = ticket.deadline.unwrap_or(ticket.lease_until);
    let behind = runner.clone();
    let running = runner.threads.spawn(async move {
        let committed = behind.execute(ticket, event).await;
        drop(slot);
        committed
    });
    let left = Duration::from_millis(deadline.since_ms(runner.clock.now()));
    match tokio::time::timeout(left, running).await {
        Ok(Ok(Ok(RunCommitted::Stored { answer: Some(answer), .. }))) => return Ok(answer),
        Ok(Ok(Err(error))) => log_store_failure("storing a reply", &error),
        _ => {}
    }
    runner.store.reply_fallback(tenant, event_id, runner.clock.now()).await.map_err(TurnedAway::from)
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

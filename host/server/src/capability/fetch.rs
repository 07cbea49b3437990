//! `fetch`: the one way to look something up during a run.
//!
//! Its three moments:
//!
//! | moment | where | what |
//! |---|---|---|
//! | link | [`creel_runtime::capability`] | once for all: every component finds it |
//! | check | `admin/plugin.rs` | per deployment: a grant names a destination that is there; who imports it and is granted nothing is told |
//! | prepare | [`LookUps::of_run`] | per run: its grants, its limits, the time it has |
//!
//! A look-up goes the way of a delivery: judged by the rules ([`creel_webhook::fetch`]), made into a request with the
//! destination's credentials ([`crate::outgoing`]), sent through the guard ([`crate::egress`]), kept without our own
//! secrets ([`crate::echo`]). What is different is that somebody waits: it is never tried again, and whatever says that
//! there will be no answer (a pause, an open breaker, no place, no time) is said at once.
//!
//! It is sent by the server's own threads ([`crate::errands`]); the guest is parked meanwhile. A run that is given up
//! drops its look-up, and with it the connection.

mod answer;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use creel_runtime::capability::seam::FetchError;
use creel_webhook::clock::{Clock, Timestamp};
use creel_webhook::delivery::Answer;
use creel_webhook::fetch::{lookup_key, no_destination, rest_ms, timeout_ms};
use creel_webhook::id::{EventId, RouteId, TenantId};
use creel_webhook::outcome::Pair;
use creel_webhook::record::{FetchFailure, FetchRequest, FetchResponse, Fetched, Record};
use tokio::time::{Instant, timeout_at};

use super::asking::Asking;
use crate::directory::{DestinationEntry, Picture};
use crate::egress::{EgressError, HttpClient, IncomingResponse, OutgoingRequest};
use crate::errands::Errands;
use crate::outgoing::{Bounds, Parcel, Unsendable, request_to};
use crate::reach::Reach;
use crate::telemetry::Metrics;

/// A look-up that had less time than this says nothing about the destination when no answer comes, milliseconds: a plugin
/// that waits for a moment only must not open the breaker for others.
const PATIENCE_MS_MIN: u64 = 1_000;

/// What sends look-ups, for all runs.
pub struct LookUps {
    /// The way out.
    pub client: Arc<dyn HttpClient>,
    /// Threads with sockets.
    pub errands: Errands,
    /// Who answers, and how many ask.
    pub reach: Arc<Reach>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// What one run's look-ups stand on.
#[derive(Clone)]
pub struct Asker {
    /// Its tenant.
    pub tenant: TenantId,
    /// What keys outward are made from.
    pub identity: EventId,
    /// Its route.
    pub route: RouteId,
    /// What is configured.
    pub picture: Arc<Picture>,
    /// Headers that carry the sender's trace on.
    pub trace: Vec<Pair>,
    /// When a sender that waits is answered without it.
    pub reply_by: Option<Timestamp>,
}

/// The look-ups of one run.
pub struct Fetch {
    shared: Arc<LookUps>,
    asker: Asker,
    asking: Asking,
    /// When look-ups end, so that the run can still decide.
    until: Option<Instant>,
}

impl LookUps {
    /// Prepares the look-ups of one run.
    pub fn of_run(self: &Arc<Self>, asker: Asker, asking: Asking) -> Fetch {
        Fetch { shared: self.clone(), asker, asking, until: None }
    }
}

impl Fetch {
    /// The run begins and may take so many milliseconds.
    pub fn begin(&mut self, run_ms: u64) {
        let now = self.shared.clock.now();
        // Past its sender's deadline nobody waits any more, and the run has its own time.
        let reply_ms = self.asker.reply_by.map(|by| by.since_ms(now)).filter(|left_ms| *left_ms > 0);
        let ms = reply_ms.map_or(run_ms, |reply_ms| reply_ms.min(run_ms));
        self.until = Some(Instant::now() + Duration::from_millis(ms - rest_ms(ms)));
    }

    /// Looks something up, and keeps what came of it.
    ///
    /// # Errors
    /// What the guest is told; [`FetchError::Broken`] when the host is stopping.
    pub async fn send(&mut self, request: FetchRequest, record: &Mutex<Record>) -> Result<FetchResponse, FetchError> {
        let metrics = self.shared.metrics.clone();
        let index = self.asking.admit(&request).inspect_err(|failure| metrics.look_up(Some(failure), None))?;
        let began = Instant::now();
        let answer = match self.exchange(index, &request).await {
            Err(FetchError::Broken(why)) => return Err(FetchError::Broken(why)),
            Err(FetchError::Failed(failure)) => Err(failure),
            Ok(response) => Ok(response),
        };
        let took = began.elapsed();
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let mut record = record.lock().unwrap_or_else(PoisonError::into_inner);
        let told = keep(&mut record, Fetched { request, answer, duration_ms });
        metrics.look_up(told.as_ref().err(), Some(took.as_secs_f64()));
        Ok(told?)
    }

    async fn exchange(&self, index: u32, request: &FetchRequest) -> Result<FetchResponse, FetchError> {
        let entry = self.place_of(request)?;
        let (spec, limits) = (&entry.destination.spec, self.asking.limits);
        let timeout_ms = timeout_ms(request.timeout_ms, spec.timeout_ms, limits, self.left_ms());
        if timeout_ms == 0 {
            return Err(FetchFailure::Timeout.into());
        }
        let until = Instant::now() + Duration::from_millis(timeout_ms);
        let (id, places) = (entry.destination.id, spec.concurrency_max);
        let place = timeout_at(until, self.shared.reach.place(id, places)).await.map_err(|_| {
            unreachable(format!(
                "as many look-ups as its `concurrency_max` ({places}) were under way all the time that this one had"
            ))
        })?;
        let left_ms = until.saturating_duration_since(Instant::now()).as_millis();
        let left_ms = u64::try_from(left_ms).unwrap_or(timeout_ms).max(1);
        let outgoing = self.outgoing(index, request, &entry, left_ms)?;
        let shared = self.shared.clone();
        let sent = self.shared.errands.ask(async move {
            let sent = shared.client.send(outgoing).await;
            drop(place);
            if let Some(answer) = what_it_says(&sent, left_ms) {
                shared.reach.note(id, &answer, shared.clock.now());
            }
            sent
        });
        match sent.await {
            Some(Ok(response)) => Ok(answer::of(response, &entry, limits.response_bytes_max)?),
            Some(Err(error)) => Err(failed(error).into()),
            None => Err(FetchError::Broken("the host is stopping".to_owned())),
        }
    }

    /// Where it goes, if anything may go there now.
    fn place_of(&self, request: &FetchRequest) -> Result<Arc<DestinationEntry>, FetchFailure> {
        let Asker { tenant, picture, .. } = &self.asker;
        let name = request.destination.as_str();
        let id = picture.tenant(*tenant).and_then(|entry| entry.destination_named(name));
        let entry = id.and_then(|id| picture.destination(id)).ok_or_else(|| no_destination(name))?;
        let destination = &entry.destination;
        if let Some(why) = &destination.disabled {
            return Err(unreachable(format!("it is disabled: {why}")));
        }
        if let Some(why) = &destination.paused {
            return Err(unreachable(format!("it is paused: {why}")));
        }
        self.shared.reach.may_ask(destination.id, self.shared.clock.now()).map_err(unreachable)?;
        Ok(entry.clone())
    }

    fn outgoing(
        &self,
        index: u32,
        request: &FetchRequest,
        entry: &DestinationEntry,
        timeout_ms: u64,
    ) -> Result<OutgoingRequest, FetchFailure> {
        let own = request.headers.iter().map(|(name, value)| (name.to_lowercase(), value.clone()));
        let headers: Vec<Pair> = own.chain(self.asker.trace.iter().cloned()).collect();
        let parcel = Parcel {
            method: &request.method,
            path: &request.path,
            headers: &headers,
            body: request.body.as_ref(),
            key: &lookup_key(self.asker.identity, self.asker.route, index, request),
        };
        let bounds = Bounds { timeout_ms, response_bytes_max: self.asking.limits.response_bytes_max };
        request_to(entry, parcel, bounds, self.shared.clock.now()).map_err(|why| match why {
            Unsendable::Lacks { reason, .. } => FetchFailure::Unreachable(reason),
            Unsendable::Refused(reason) => FetchFailure::Invalid(reason),
        })
    }

    fn left_ms(&self) -> u64 {
        let left = self.until.map(|until| until.saturating_duration_since(Instant::now()));
        left.map_or(u64::MAX, |left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX))
    }
}

/// Keeps a look-up and gives its answer; one that there is no room for is not given.
fn keep(record: &mut Record, fetched: Fetched) -> Result<FetchResponse, FetchFailure> {
    let answer = fetched.answer.clone();
    let Fetched { request, duration_ms, .. } = fetched.clone();
    let Err(full) = record.add_fetch(fetched) else { return answer };
    let failure = FetchFailure::TooLarge(full.to_string());
    // What there is no room for either is answered the same again when it is asked for again: there is no room then.
    record.add_fetch(Fetched { request, answer: Err(failure.clone()), duration_ms }).ok();
    Err(failure)
}

fn unreachable(why: impl Into<String>) -> FetchFailure {
    FetchFailure::Unreachable(why.into())
}

fn failed(error: EgressError) -> FetchFailure {
    match error {
        EgressError::Timeout { .. } => FetchFailure::Timeout,
        EgressError::Unsendable(_) => FetchFailure::Invalid(error.to_string()),
        EgressError::Denied(_) | EgressError::NoToken { .. } | EgressError::Connect(_) | EgressError::Transport(_) => {
            unreachable(error.to_string())
        }
    }
}

/// What an exchange says about the destination, if anything.
fn what_it_says(sent: &Result<IncomingResponse, EgressError>, timeout_ms: u64) -> Option<Answer> {
    match sent {
        Ok(response) => Some(Answer::Status { status: response.status.as_u16(), retry_after_ms: None }),
        Err(EgressError::Timeout { .. }) => (timeout_ms >= PATIENCE_MS_MIN).then_some(Answer::Timeout),
        Err(EgressError::Connect(_) | EgressError::Transport(_)) => Some(Answer::Transport),
        Err(EgressError::Denied(_) | EgressError::NoToken { .. } | EgressError::Unsendable(_)) => None,
    }
}

//! Ingress: a request comes in, and is answered once what follows from it is on disk.
//!
//! ```text
//! path token -> source        404 when there is none
//! flood?                      429: too many requests of this sender were refused
//! compressed?                 415: what a few bytes unpack to is anybody's guess, and no provider asks for it
//! method, size, body          405, 413, 408, 503: before anything is believed
//! greeting without proof      answered here, never stored
//! verify                      401 with an empty body; the reason is the operator's
//! greeting with proof         answered here, never stored; some are confirmed first
//! identify                    ids, types, subjects, dedup and order keys
//! accept                      one transaction; a repetition is told what the first was told
//! answer                      the provider's acknowledgement, or the reply that a run decides in time
//! ```
//!
//! Nothing is parsed before it is proven, except what the provider's greeting asks for. Credentials are replaced
//! before anything is stored. What the sender is told is stored too, so that a repetition is told the same.
//!
//! The children do one step each and know nothing of each other but for what is said: `believe` proves, `items` finds a batch's items,
//! `replying` waits for a run and asks `early` which may begin beside its accept, `turning_away` answers and records what was
//! refused, `lingering` lets a sender finish,
//! `flood` says who may still try, `certificates` fetches what a proof needs, `keeping` keeps a secret that was given.

mod believe;
pub mod certificates;
pub mod early;
pub mod flood;
mod items;
pub mod keeping;
mod lingering;
pub mod replying;
mod turning_away;

use std::borrow::Cow;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse as _, Response};
use creel_store::contract::{
    Accept, Accepted, FirstAnswer, NewEvent, NewReply, NewRequest, NewRun, Store, StoredAnswer,
};
use creel_webhook::answer::Answer;
use creel_webhook::clock::{Clock, Timestamp};
use creel_webhook::event::EventDraft;
use creel_webhook::id::{EventId, RequestId, RunId};
use creel_webhook::request::RawRequest;
use creel_webhook::route::{Mode, Route, matching};
use creel_webhook::signature::verdict::{Reason, Refusal, Verified};
use creel_webhook::{identity, reply};
use hyper::body::Incoming;

use crate::body::{BodyBudget, BodyLimits, HeldBody};
use crate::directory::{Directory, Proof, SourceEntry};
use crate::listener::{Answers, Origin};
use crate::probe::{self, Probes};
use crate::runner::seconds;
use crate::settled::Settled;
use crate::spec::tenant::Ceilings;
use crate::system::Entropy;
use crate::telemetry::Metrics;

use self::believe::{Believed, beside};
use self::certificates::Certificates;
use self::flood::{Flood, Standing};
use self::keeping::Keeper;
use self::replying::{Answered, Replier, Waiting};
use self::turning_away::{Refusals, Refused, TurnedAway};

/// What ingress works with.
pub struct Ingress {
    /// Where events go.
    pub store: Arc<dyn Store>,
    /// What is configured.
    pub directory: Arc<Directory>,
    /// Runs what senders wait for.
    pub replier: Replier,
    /// Size and time of bodies.
    pub body_limits: BodyLimits,
    /// Bytes of bodies that may be under way.
    pub body_budget: BodyBudget,
    /// The operator's limits.
    pub ceilings: Ceilings,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Entropy for ids.
    pub entropy: Arc<Entropy>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Samples refused requests.
    pub refusals: Refusals,
    /// Says who may still try.
    pub flood: Flood,
    /// Fetches what proofs need.
    pub certificates: Certificates,
    /// Keeps secrets that providers give.
    pub keeper: Keeper,
    /// Up to where what came is stored.
    pub settled: Arc<Settled>,
    /// Addresses at which `creel doctor` sees what arrives.
    pub probes: Arc<Probes>,
}

/// The public listener's only address, `/in/` and a source's token: too little for a router.
#[derive(Clone)]
pub struct Entrance(Arc<Ingress>);

impl Entrance {
    /// Lets requests in.
    pub fn to(ingress: Ingress) -> Entrance {
        Entrance(Arc::new(ingress))
    }
}

impl Answers for Entrance {
    const ARE_SHORT: bool = true;

    async fn answer(&self, request: Request<Incoming>, origin: Origin) -> Response {
        let (parts, body) = request.into_parts();
        self.0.receive(parts, origin, body).await
    }
}

/// The token in a path, unescaped.
fn token(path: &str) -> Option<Cow<'_, str>> {
    let token = path.strip_prefix("/in/").filter(|rest| !rest.is_empty() && !rest.contains('/'))?;
    percent_encoding::percent_decode_str(token).decode_utf8().ok()
}

/// What a sender is told, and the word under which it is counted.
struct Told {
    outcome: &'static str,
    answer: StoredAnswer,
}

/// A whole request that came to a source.
struct Read {
    entry: Arc<SourceEntry>,
    standing: Standing,
    request: RawRequest,
    held: HeldBody,
}

/// A request that is believed.
enum Judged<'e> {
    /// A greeting with its answer.
    Greeting(Answer),
    /// It carries events.
    Genuine(&'e Proof, Verified),
}

impl Ingress {
    async fn receive(&self, mut parts: Parts, origin: Origin, mut body: Incoming) -> Response {
        let Some(token) = token(parts.uri.path()) else {
            return response_to(TurnedAway::NotFound, &parts.headers, body);
        };
        let began = self.clock.now();
        let entry = match self.entry(&token).await {
            Ok(entry) => entry,
            Err(turned_away) => return rarely(self.nowhere(turned_away, parts, origin, body, began)).await,
        };
        let coming = self.settled.comes(entry.source.tenant);
        let told = match self.read(entry, &parts, origin.sender, &mut body, coming.came_at).await {
            Ok(read) => {
                // Address and headers are parts of what the connection has read. It looks ahead while the request is stored,
                // and would take a buffer of its own for that.
                parts.uri = Uri::default();
                parts.headers.clear();
                self.take(read, origin.sender, began).await
            }
            Err(turned_away) => Err(turned_away),
        };
        let (outcome, response) = match told {
            Ok(Told { outcome, answer }) => (outcome, response_of(answer)),
            Err(turned_away) => (turned_away.outcome(), response_to(turned_away, &parts.headers, body)),
        };
        coming.over();
        self.metrics.request(outcome, seconds(self.clock.now().since_ms(began)));
        response
    }

    /// The source that a token leads to.
    async fn entry(&self, token: &str) -> Result<Arc<SourceEntry>, TurnedAway> {
        let picture = self.directory.picture().await.map_err(TurnedAway::from)?;
        picture.source_by_token(token).cloned().ok_or(TurnedAway::NotFound)
    }

    /// A request whose source is not there or cannot be looked up: `creel doctor` may have sent it to see what arrives.
    async fn nowhere(
        &self,
        turned_away: TurnedAway,
        parts: Parts,
        origin: Origin,
        body: Incoming,
        began: Timestamp,
    ) -> Response {
        if token(parts.uri.path()).is_some_and(|token| self.probes.take(&token, began)) {
            return probe::answer(&parts, origin, body).await;
        }
        let response = response_to(turned_away, &parts.headers, body);
        self.metrics.request(turned_away.outcome(), seconds(self.clock.now().since_ms(began)));
        response
    }

    /// Reads what comes to a source, if it may come at all.
    async fn read(
        &self,
        entry: Arc<SourceEntry>,
        parts: &Parts,
        peer: IpAddr,
        body: &mut Incoming,
        received_at: Timestamp,
    ) -> Result<Read, TurnedAway> {
        let standing = match self.flood.admit(entry.source.id, peer, received_at) {
            Ok(standing) => standing,
            Err(wait_ms) => {
                let detail = "too many requests of this sender were refused; this one was not looked at";
                rarely(self.note(&entry, &Refusal::new(Reason::RateLimited, detail), peer, received_at)).await;
                return Err(TurnedAway::Flooding { wait_ms });
            }
        };
        if let Some(encoding) = compression(&parts.headers) {
            let detail = format!("the body's content-encoding is `{encoding}`; have the provider send it as it is");
            rarely(self.note(&entry, &Refusal::new(Reason::Compressed, detail), peer, received_at)).await;
            return Err(TurnedAway::Compressed);
        }
        let (request, held) =
            believe::read(parts, body, &entry, self.body_limits, &self.body_budget, received_at).await?;
        Ok(Read { entry, standing, request, held })
    }

    async fn take(&self, read: Read, peer: IpAddr, began: Timestamp) -> Result<Told, TurnedAway> {
        let Read { entry, standing, request, held } = read;
        let received_at = request.received_at;
        match self.judge(&entry, &request).await {
            Ok(Judged::Greeting(answer)) => Ok(Told { outcome: "handshake", answer: answer.into() }),
            Ok(Judged::Genuine(proof, verified)) => {
                self.flood.genuine(entry.source.id, peer, standing, received_at);
                if let Some(activity) = &entry.activity {
                    activity.genuine(received_at);
                }
                self.accept(&entry, proof, &verified, request, held, began).await
            }
            Err(Refused::For(refusal)) => {
                self.flood.refused(entry.source.id, peer, received_at);
                rarely(self.note(&entry, &refusal, peer, received_at)).await;
                Err(TurnedAway::from(&refusal))
            }
            Err(Refused::Otherwise(turned_away)) => Err(turned_away),
        }
    }

    /// Counts a refusal, and records it as far as it is wanted.
    async fn note(&self, entry: &SourceEntry, refusal: &Refusal, peer: IpAddr, at: Timestamp) {
        self.metrics.refusal(refusal.reason.as_str());
        if let Some(activity) = &entry.activity {
            activity.refused();
        }
        self.refusals.record(self.store.as_ref(), entry, refusal, peer.to_string(), at).await;
    }

    /// Whether a request is believed, with everything done that its greeting asks for.
    async fn judge<'e>(&self, entry: &'e SourceEntry, request: &RawRequest) -> Result<Judged<'e>, Refused> {
        let (proof, now) = (believe::proof(entry)?, request.received_at);
        let prove =
            |certificate: Option<&str>| beside(request.body.len(), || believe::prove(proof, request, certificate));
        let believed = match prove(None) {
            Err(Refusal { key_url: Some(url), .. }) => prove(Some(&rarely(self.certificates.at(&url, now)).await?)),
            other => other,
        };
        Ok(match believed? {
            Believed::Greeting(answer) => Judged::Greeting(answer),
            Believed::Genuine(verified) => Judged::Genuine(proof, verified),
            Believed::Subscription { url, answer } => {
                rarely(self.certificates.confirm(&url)).await?;
                Judged::Greeting(answer)
            }
            Believed::Given(given) => {
                rarely(self.keeper.keep(entry, &given.secret, now)).await?;
                Judged::Greeting(given.answer)
            }
        })
    }

    async fn accept(
        &self,
        entry: &SourceEntry,
        proof: &Proof,
        verified: &Verified,
        request: RawRequest,
        held: HeldBody,
        began: Timestamp,
    ) -> Result<Told, TurnedAway> {
        let (accept, waits) = beside(request.body.len(), move || {
            let drafts = identity::identify(&proof.provider, &request, verified, &proof.rules);
            let waits = Waiting::of(entry, proof, &drafts, &request.body, began);
            let reply = waits.as_ref().map(|waiting| waiting.new_reply(&self.replier.runner, self.clock.now()));
            (self.accept_of(entry, proof, verified, request, drafts, reply), waits)
        });
        let answer = waits.as_ref().map_or(&accept.answer, |waiting| &waiting.fallback).clone();
        let event = waits.as_ref().and_then(|_| replying::first_event(&accept));
        let accepted = match event {
            Some(event) => match rarely(self.replier.accept(accept, event)).await? {
                Answered::Replied(answer) => return Ok(Told { outcome: "replied", answer }),
                Answered::Otherwise(accepted) => accepted,
            },
            None => self.store.accept(accept).await?,
        };
        drop(held);
        match accepted {
            // A batch that begins with a repetition is told what its first item was told.
            Accepted::Stored { first: Some(first), .. } => {
                Ok(Told { outcome: "accepted", answer: rarely(self.first_answer(entry, first)).await? })
            }
            Accepted::Stored { .. } => Ok(Told { outcome: "accepted", answer }),
            Accepted::Duplicate(first) => {
                Ok(Told { outcome: "duplicate", answer: rarely(self.first_answer(entry, first)).await? })
            }
            Accepted::OverQuota { pending } => {
                tracing::warn!(tenant = %entry.tenant.tenant.id, pending, "the tenant's pending runs are at their limit");
                Err(TurnedAway::OverQuota)
            }
            Accepted::OverDailyQuota { quota, until } => {
                tracing::debug!(tenant = %entry.tenant.tenant.id, quota = quota.as_str(), "a daily quota is used up");
                Err(TurnedAway::OverDailyQuota { wait_ms: until.since_ms(self.clock.now()) })
            }
        }
    }

    async fn first_answer(&self, entry: &SourceEntry, first: FirstAnswer) -> Result<StoredAnswer, TurnedAway> {
        match first {
            FirstAnswer::Told(answer) => Ok(answer),
            FirstAnswer::Pending { event, deadline } => {
                let store = self.store.as_ref();
                replying::decided(store, self.clock.as_ref(), entry.source.tenant, event, deadline).await
            }
        }
    }

    fn accept_of(
        &self,
        entry: &SourceEntry,
        proof: &Proof,
        verified: &Verified,
        request: RawRequest,
        drafts: Vec<EventDraft>,
        mut reply: Option<NewReply>,
    ) -> Accept {
        let now = request.received_at;
        let kind = drafts.first().map(|draft| draft.kind.as_str()).unwrap_or_default();
        let answer = reply::acknowledgement(&proof.provider, kind).into();
        let body = proof.scheme.redact_body(&request.body);
        let method = request.method.clone();
        let redacted = proof.scheme.redact(request);
        let query = form_urlencoded::parse(redacted.query.unwrap_or_default().as_bytes()).into_owned().collect();
        let ranges = items::ranges(&body, drafts.iter().map(|draft| draft.pointer.as_deref()));
        let events = drafts
            .into_iter()
            .zip(ranges)
            .map(|(draft, item)| event_of(entry, draft, item, now, &self.entropy, &mut reply))
            .collect();
        Accept {
            tenant: entry.source.tenant,
            source: entry.source.id,
            request: NewRequest {
                id: RequestId::new(now, self.entropy.id_bytes()),
                received_at: now,
                method,
                query,
                headers: redacted.headers,
                scheme: entry.source.spec.preset.clone(),
                attributes: attributes(verified),
                body,
            },
            events,
            answer,
            pending_runs_max: entry.tenant.holds(&self.ceilings).pending_runs_max,
        }
    }
}

fn event_of(
    entry: &SourceEntry,
    draft: EventDraft,
    item: Option<(u64, u64)>,
    now: Timestamp,
    entropy: &Entropy,
    reply: &mut Option<NewReply>,
) -> NewEvent {
    let routes = matching(&entry.routes, &draft.kind);
    let mut ids = entropy.ids();
    let id = EventId::new(now, ids.next_bytes());
    let runs = routes
        .into_iter()
        .map(|route| run_of(route, RunId::new(now, ids.next_bytes()), draft.order_key.clone(), reply))
        .collect();
    drop(ids);
    NewEvent {
        id,
        kind: draft.kind,
        provider_id: draft.provider_id,
        subject: draft.subject,
        occurred_at: draft.occurred_at,
        item,
        dedup_keys: draft.dedup_keys,
        dedup_until: now.plus_ms(entry.source.spec.dedup_ttl_ms),
        runs,
    }
}

/// A run of a route. Only the first event of a request can be replied to: an HTTP request has one answer.
fn run_of(route: &Route, id: RunId, order_key: Option<String>, reply: &mut Option<NewReply>) -> NewRun {
    let reply = if route.mode == Mode::Reply { reply.take() } else { None };
    let order_key = if reply.is_some() { None } else { order_key };
    NewRun { id, route: route.id, plugin: route.plugin, order_key, reply }
}

/// Work that few requests do, apart: the future of a request is copied whole and kept by its connection, so that each would
/// have room for all that might happen.
fn rarely<F: Future>(work: F) -> Pin<Box<F>> {
    Box::pin(work)
}

/// How a body is compressed, shortened for people; `None` when it comes as it is.
fn compression(headers: &HeaderMap) -> Option<String> {
    let encodings = headers.get_all(header::CONTENT_ENCODING).iter().filter(|value| !value.is_empty());
    let encoding = encodings.into_iter().find(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))?;
    Some(String::from_utf8_lossy(encoding.as_bytes()).chars().filter(|char| !char.is_control()).take(40).collect())
}

/// Facts that a handler should know about the proof.
fn attributes(verified: &Verified) -> Vec<(String, String)> {
    if verified.body_covered { Vec::new() } else { vec![("body-covered".to_owned(), "false".to_owned())] }
}

/// What somebody who is turned away hears; who does so before the body has come lingers.
fn response_to(turned_away: TurnedAway, headers: &HeaderMap, body: Incoming) -> Response {
    let response = turned_away.into_response();
    if turned_away.leaves_a_sender() { lingering::behind(response, headers, body) } else { response }
}

fn response_of(answer: StoredAnswer) -> Response {
    let mut response = Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        response = response.header(name, value);
    }
    // Every part was checked when it was decided; what is no response all the same is the host's fault.
    response.body(Body::from(answer.body)).unwrap_or_else(|_| TurnedAway::Unavailable.into_response())
}

//! A past for a host: events that are stored, decided, or wait, made through the store's own verbs before it serves.
//!
//! Many verbs are under way at once, so that the writer commits full batches. Bodies are short pushes of 256 bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use clap::{Args, ValueEnum};
use creel_server::system::{Entropy, SystemClock};
use creel_store::contract::{
    Accept, NewDelivery, NewEvent, NewRequest, NewRun, RunClaim, RunCommit, StateWrites, Store, StoredAnswer,
};
use creel_webhook::clock::{Clock as _, Timestamp};
use creel_webhook::decision::DecidedCall;
use creel_webhook::id::{DeliveryId, DestinationId, EventId, PluginId, RequestId, RouteId, RunId, SourceId, TenantId};
use creel_webhook::plugin::Digest;
use creel_webhook::record::Record;
use creel_webhook::run::{RunNext, Usage, Verdict};
use tokio::task::JoinSet;

/// Accepts under way: as many as one batch of the writer takes.
const ACCEPTS: usize = 512;

/// Claims under way, and runs of each.
const CLAIMS: usize = 3;
const CLAIM_RUNS: u32 = 256;

/// Bytes of a body.
const BODY_BYTES: usize = 256;

/// Events at most.
pub(crate) const EVENTS_MAX: u64 = 5_000_000;

/// What holds the blocked deliveries back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Behind {
    /// One order key, whose first fails and waits for its retry.
    Key,
    /// The destination's open breaker.
    Breaker,
}

/// What a host remembers.
#[derive(Debug, Clone, Args)]
pub(crate) struct Past {
    /// Events that are stored before it serves.
    #[arg(long, default_value_t = 0)]
    pub(crate) events: u64,
    /// So many of them have decided a call to a destination that nothing reaches.
    #[arg(long, default_value_t = 0)]
    pub(crate) blocked: u64,
    /// What holds those calls back.
    #[arg(long, value_enum, default_value = "key")]
    pub(crate) behind: Behind,
    /// Leave all runs pending; otherwise all are decided.
    #[arg(long)]
    pub(crate) pending: bool,
}

impl Past {
    /// Nothing.
    pub(crate) const NONE: Past = Past { events: 0, blocked: 0, behind: Behind::Key, pending: false };

    /// The arguments that ask for it.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let behind = if self.behind == Behind::Key { "key" } else { "breaker" };
        let mut arguments: Vec<String> =
            [("--events", self.events.to_string()), ("--blocked", self.blocked.to_string())]
                .into_iter()
                .flat_map(|(name, value)| [name.to_owned(), value])
                .collect();
        arguments.extend(["--behind".to_owned(), behind.to_owned()]);
        arguments.extend(self.pending.then(|| "--pending".to_owned()));
        arguments
    }
}

/// The ids that a past refers to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places {
    /// Whose events they are.
    pub(crate) tenant: TenantId,
    /// Where they came in.
    pub(crate) source: SourceId,
    /// The route that matched.
    pub(crate) route: RouteId,
    /// The plugin that decided.
    pub(crate) plugin: PluginId,
    /// The destination that nothing reaches.
    pub(crate) unreachable: DestinationId,
}

/// What all fillers share.
struct Filling {
    store: Arc<dyn Store>,
    places: Places,
    past: Past,
    clock: SystemClock,
    entropy: Entropy,
    decided: AtomicU64,
}

/// Makes the past; gives the seconds that it took.
pub(crate) async fn fill(store: &Arc<dyn Store>, places: &Places, past: &Past) -> anyhow::Result<f64> {
    let start = Instant::now();
    let filling = Arc::new(Filling {
        store: store.clone(),
        places: *places,
        past: past.clone(),
        clock: SystemClock::default(),
        entropy: Entropy::system()?,
        decided: AtomicU64::new(0),
    });
    let own = filling.clone();
    accept_all(store, past.events, ACCEPTS, move |number| own.request(number)).await?;
    let mut fillers = JoinSet::new();
    for _ in 0..if past.pending { 0 } else { CLAIMS } {
        fillers.spawn(filling.clone().decide());
    }
    while let Some(ended) = fillers.join_next().await {
        ended??;
    }
    Ok(start.elapsed().as_secs_f64())
}

impl Filling {
    async fn decide(self: Arc<Self>) -> anyhow::Result<()> {
        loop {
            let claims = self.store.run_claim(self.clock.now(), 600_000, CLAIM_RUNS, u32::MAX).await?;
            if claims.is_empty() {
                return Ok(());
            }
            let mut commits = JoinSet::new();
            for claim in claims {
                let (filling, commit) = (self.clone(), self.decision(&claim));
                commits.spawn(async move { filling.store.run_commit(commit).await });
            }
            while let Some(ended) = commits.join_next().await {
                ended??;
            }
        }
    }

    fn request(&self, number: u64) -> Accept {
        accept(&self.places, &format!("past-{number:012x}"), self.clock.now(), &self.entropy)
    }

    fn decision(&self, claim: &RunClaim) -> RunCommit {
        let now = self.clock.now();
        let blocked = self.decided.fetch_add(1, Ordering::Relaxed) < self.past.blocked;
        let calls = blocked.then(|| NewDelivery {
            id: DeliveryId::new(now, self.entropy.id_bytes()),
            call: self.call(claim.ticket.event, now),
        });
        RunCommit {
            tenant: claim.ticket.tenant,
            run: claim.ticket.run,
            claim: claim.ticket.claim,
            now,
            verdict: Verdict::Done,
            reason: None,
            breach: None,
            deployment: Some(1),
            usage: Usage::default(),
            log: Vec::new(),
            record: Record::default(),
            next: RunNext::End,
            calls: calls.into_iter().collect(),
            reply: None,
            state: StateWrites::default(),
            keep_late: false,
        }
    }

    fn call(&self, event: EventId, now: Timestamp) -> DecidedCall {
        DecidedCall {
            index: 0,
            destination: self.places.unreachable,
            key: format!("msg_{event}"),
            method: "POST".to_owned(),
            path: String::new(),
            headers: Vec::new(),
            body: Some(Bytes::from_static(b"{\"text\":\"stuck\"}")),
            order_key: (self.past.behind == Behind::Key).then(|| "stuck".to_owned()),
            due_at: now,
            expires_at: None,
            on_result: None,
            attributes: Vec::new(),
        }
    }
}

/// Accepts so many requests, so many of them at a time; `request` gives each by its number.
pub(crate) async fn accept_all(
    store: &Arc<dyn Store>,
    requests: u64,
    at_a_time: usize,
    request: impl Fn(u64) -> Accept + Send + Sync + 'static,
) -> anyhow::Result<()> {
    let shared = Arc::new((AtomicU64::new(0), request));
    let mut accepting = JoinSet::new();
    for _ in 0..at_a_time.min(requests as usize) {
        let (store, shared) = (store.clone(), shared.clone());
        accepting.spawn(async move {
            let (next, request) = &*shared;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= requests {
                    return anyhow::Ok(());
                }
                store.accept(request(number)).await?;
            }
        });
    }
    while let Some(ended) = accepting.join_next().await {
        ended??;
    }
    Ok(())
}

/// A request with one event and its run.
pub(crate) fn accept(places: &Places, id: &str, now: Timestamp, entropy: &Entropy) -> Accept {
    let event = NewEvent {
        id: EventId::new(now, entropy.id_bytes()),
        kind: String::new(),
        provider_id: Some(id.to_owned()),
        subject: None,
        occurred_at: None,
        item: None,
        dedup_keys: vec![*Digest::of(id.as_bytes()).as_bytes()],
        dedup_until: now.plus_ms(creel_webhook::source::DEDUP_TTL_MS_DEFAULT),
        runs: vec![NewRun {
            id: RunId::new(now, entropy.id_bytes()),
            route: places.route,
            plugin: places.plugin,
            order_key: None,
            reply: None,
        }],
    };
    Accept {
        tenant: places.tenant,
        source: places.source,
        request: NewRequest {
            id: RequestId::new(now, entropy.id_bytes()),
            received_at: now,
            method: "POST".to_owned(),
            query: Vec::new(),
            headers: vec![("content-type".into(), "application/json".into())],
            scheme: "generic-hmac".to_owned(),
            attributes: Vec::new(),
            body: body(),
        },
        events: vec![event],
        answer: StoredAnswer { status: 202, headers: Vec::new(), body: Bytes::new() },
        pending_runs_max: u64::MAX >> 1,
    }
}

/// A push that the plugin understands, of the length that is wanted.
fn body() -> Bytes {
    let head = r#"{"compare":"past","pusher":{"name":"m"},"repository":{"full_name":"e/s"},"commits":[{"message":"a"},{"message":""#;
    let tail = "\"}]}";
    let words = "x".repeat(BODY_BYTES.saturating_sub(head.len() + tail.len()));
    Bytes::from(format!("{head}{words}{tail}"))
}

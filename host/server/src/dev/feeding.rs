//! Events that were captured elsewhere, handled here: from a file, or followed from another host as they come.
//!
//! What a host shows of an event has no proof any more (credentials are replaced), so it can't come in through the ingress.
//! It is put into the store as the ingress puts events there, with the id, the times, the headers and the body that it had,
//! so that the plugin sees what it would have seen; a sender that waited is not there, and an item of a batch stands alone. An
//! event that is here already is not put a second time: its id is the same.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use creel_store::contract::{Accept, Accepted, NewEvent, NewRequest, NewRun, Store, StoredAnswer};
use creel_webhook::clock::Clock as _;
use creel_webhook::id::{PluginId, RouteId, RunId, SourceId, TenantId};

use crate::api::{PluginView, RouteView, SourceView};
use crate::cli::client::TenantClient;
use crate::cli::following::Follower;
use crate::fed::FedEvent;
use crate::system::{Entropy, SystemClock};

use super::telling::{Said, Teller};

/// Runs that may wait: what comes faster than the plugin decides stays where it is until then.
const PENDING_MAX: u64 = 200;

/// Between two looks at how many wait.
const PAUSE: Duration = Duration::from_millis(10);

/// Where captured events come from.
pub enum Feed {
    /// From a file: a line of JSON for each, as `creel events --payloads` writes them.
    File(Vec<FedEvent>),
    /// From another host, as they come.
    Host {
        /// The other host's source.
        source: Box<SourceView>,
        /// Who follows it.
        follower: Box<Follower>,
    },
}

/// Reads a file of captured events.
///
/// # Errors
/// When it can't be read, with the line that is wrong.
pub fn read(file: &Path) -> anyhow::Result<Vec<FedEvent>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let events = lines.map(|(index, line)| {
        serde_json::from_str(line).with_context(|| {
            let place = format!("{}, line {}", file.display(), index + 1);
            format!("{place} is no event as `creel events --payloads` writes them")
        })
    });
    let events: Vec<FedEvent> = events.collect::<anyhow::Result<_>>()?;
    ensure!(!events.is_empty(), "{} holds no event; `creel events --payloads` writes some", file.display());
    Ok(events)
}

/// Whom events are for.
pub(super) struct Target {
    /// The host's store.
    pub(super) store: Arc<dyn Store>,
    /// Its tenant.
    pub(super) tenant: TenantId,
    /// The source that they seem to come in at.
    pub(super) source: SourceId,
    /// The route to the plugin.
    pub(super) route: RouteId,
    /// The plugin.
    pub(super) plugin: PluginId,
    /// For ids of runs.
    pub(super) entropy: Entropy,
}

impl Target {
    /// What a route leads to, and where it begins.
    ///
    /// # Errors
    /// When the host can't be asked.
    pub(super) async fn of(
        store: Arc<dyn Store>,
        tenant: &TenantClient,
        source: &SourceView,
        route: &RouteView,
    ) -> anyhow::Result<Target> {
        let plugin = tenant.get::<PluginView>(&route.spec.plugin).await?.id;
        let (tenant, entropy) = (tenant.about().await?.id, Entropy::system()?);
        Ok(Target { store, tenant, source: source.id, route: route.id, plugin, entropy })
    }

    /// Puts everything that the feed has and will have; ends with a file, and never with a host.
    ///
    /// # Errors
    /// When the other host says no, or the store does.
    pub(super) async fn take(&self, feed: &mut Feed, teller: &Teller) -> anyhow::Result<()> {
        match feed {
            Feed::File(events) => self.put_all(std::mem::take(events), teller).await,
            Feed::Host { follower, .. } => loop {
                let events = follower.next(&mut |text| teller.say(&Said::Note { text })).await?;
                self.put_all(events, teller).await?;
            },
        }
    }

    async fn put_all(&self, events: Vec<FedEvent>, teller: &Teller) -> anyhow::Result<()> {
        for event in events {
            while self.store.runs_pending(self.tenant).await? >= PENDING_MAX {
                tokio::time::sleep(PAUSE).await;
            }
            let id = event.event.id;
            let why = match event.bytes() {
                None => "its body has been erased",
                Some(_) if self.store.event_story(self.tenant, id).await?.is_some() => "it was handled here before",
                Some(body) => {
                    self.put(event, body).await.with_context(|| format!("putting {id}"))?;
                    continue;
                }
            };
            teller.say(&Said::Note { text: &format!("{id} is left out: {why}") });
        }
        Ok(())
    }

    async fn put(&self, fed: FedEvent, body: Bytes) -> anyhow::Result<()> {
        let event = fed.event;
        let now = SystemClock::default().now();
        let id = RunId::new(now, self.entropy.id_bytes());
        let run = NewRun { id, route: self.route, plugin: self.plugin, order_key: None, reply: None };
        let accept = Accept {
            tenant: self.tenant,
            source: self.source,
            request: NewRequest {
                id: event.request,
                received_at: event.received_at.0,
                method: event.method,
                query: event.query,
                headers: event.headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
                scheme: event.scheme,
                attributes: event.attributes,
                body,
            },
            events: vec![NewEvent {
                id: event.id,
                kind: event.kind,
                provider_id: event.provider_id,
                subject: event.subject,
                occurred_at: event.occurred_at.map(|moment| moment.0),
                item: None,
                dedup_keys: Vec::new(),
                dedup_until: now,
                runs: vec![run],
            }],
            answer: StoredAnswer { status: 200, headers: Vec::new(), body: Bytes::new() },
            pending_runs_max: u64::MAX,
        };
        let accepted = self.store.accept(accept).await?;
        ensure!(matches!(accepted, Accepted::Stored { .. }), "the store took it for {accepted:?}");
        Ok(())
    }
}

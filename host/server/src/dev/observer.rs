//! What happens on the host, seen through its API: runs as they end, with their calls, and requests that were not
//! believed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use creel_webhook::id::EventId;
use futures_util::stream::{self, StreamExt as _};

use crate::api::{RefusalView, RunView, StoryView};
use crate::cli::client::TenantClient;
use crate::cli::logs::Watcher;

use super::receiver::Receiver;
use super::telling::{Called, Ran, Said, Teller};

/// Between two looks: an author does not notice it, and the host hardly.
const PAUSE: Duration = Duration::from_millis(40);

/// Looks at runs between two looks at refusals.
const LOOKS_PER_REFUSALS: u32 = 10;

/// How long a run is not told because its calls are under way; one that waits for its time is told as pending.
const CALLS_MAX: Duration = Duration::from_millis(1_500);

/// Between two looks at calls.
const CALLS_PAUSE: Duration = Duration::from_millis(5);

/// Stories that are asked for at the same time.
const SIDE_BY_SIDE: usize = 8;

/// The event that was told last; clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Latest(Arc<Mutex<Option<EventId>>>);

impl Latest {
    pub(super) fn get(&self) -> Option<EventId> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, event: EventId) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(event);
    }
}

/// Watches a host.
pub(super) struct Observer {
    tenant: TenantClient,
    receiver: Receiver,
    watcher: Watcher,
    refused: Vec<RefusalView>,
    /// The event that was told last.
    pub(super) latest: Latest,
}

impl Observer {
    /// An observer of what happens from now on.
    ///
    /// # Errors
    /// When the host can't be asked.
    pub(super) async fn begin(tenant: TenantClient, receiver: Receiver) -> anyhow::Result<Observer> {
        let (watcher, _before) = Watcher::begin(&tenant, None, usize::MAX).await?;
        let refused = refusals(&tenant).await?;
        Ok(Observer { tenant, receiver, watcher, refused, latest: Latest::default() })
    }

    /// Tells what happens, until it is dropped.
    ///
    /// # Errors
    /// When the host can't be asked.
    pub(super) async fn watch(&mut self, teller: &Teller) -> anyhow::Result<()> {
        for look in 1_u32.. {
            let news = self.watcher.look(&self.tenant).await?;
            for told in self.stories(news).await {
                let (run, story) = told?;
                self.tell(&run, &story, teller);
            }
            if look.is_multiple_of(LOOKS_PER_REFUSALS) {
                let now = refusals(&self.tenant).await?;
                let news = now.iter().rev().filter(|one| !self.refused.contains(one));
                news.for_each(|one| teller.say(&Said::Refused(one)));
                self.refused = now;
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    async fn stories(&self, runs: Vec<RunView>) -> Vec<anyhow::Result<(RunView, StoryView)>> {
        stream::iter(runs).map(|run| self.settled(run)).buffered(SIDE_BY_SIDE).collect().await
    }

    /// The run's story once its calls have ended, or have had time to.
    async fn settled(&self, run: RunView) -> anyhow::Result<(RunView, StoryView)> {
        let looks = CALLS_MAX.as_millis() / CALLS_PAUSE.as_millis();
        let mut story = self.tenant.story(&run.event.to_string()).await?;
        for _ in 0..looks {
            let mut own = story.deliveries.iter().filter(|call| call.run == Some(run.id));
            if own.all(|call| call.ended_at.is_some()) {
                break;
            }
            tokio::time::sleep(CALLS_PAUSE).await;
            story = self.tenant.story(&run.event.to_string()).await?;
        }
        // The story's own run has its look-ups; it may have been tried again since.
        let fresh = story.runs.iter().find(|one| one.id == run.id && one.attempts == run.attempts).cloned();
        Ok((fresh.unwrap_or(run), story))
    }

    fn tell(&self, run: &RunView, story: &StoryView, teller: &Teller) {
        let own = story.deliveries.iter().filter(|call| call.run == Some(run.id));
        let calls = own.map(|call| Called {
            destination: call.destination.clone(),
            method: call.method.clone(),
            path: call.path.clone(),
            state: call.state,
            reason: call.reason.clone(),
            attempts: call.attempts,
            body: self.receiver.body(&call.key),
        });
        if story.event.origin.is_none() {
            self.latest.set(story.event.id);
        }
        let answer = story.answer.as_ref();
        teller.say(&Said::Run(Ran { event: &story.event, run, answer, calls: calls.collect() }));
    }
}

async fn refusals(tenant: &TenantClient) -> anyhow::Result<Vec<RefusalView>> {
    Ok(tenant.refusals(&[("limit", "50".to_owned())]).await?.items)
}

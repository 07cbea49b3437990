//! Events of a host, each once and in order, for as long as somebody wants them.
//!
//! A follower knows how far it has read (its cursor) and asks for what is behind that. The host has no stream: a follower
//! looks, without payloads, whether there is something newer, and reads payloads only then, because every reading of
//! payloads stands in the host's audit trail. A host that does not answer is asked again, ever more rarely; nothing is
//! missed by that, and nothing comes twice.

use std::time::Duration;

use creel_webhook::id::EventId;

use super::client::{ClientError, ClientResult, TenantClient};
use crate::fed::FedEvent;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);

/// Longest pause after failures in a row.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Events of one page.
const PAGE: u32 = 200;

/// How a host that is away is waited for: it is told of once, and the host is asked ever more rarely.
#[derive(Debug)]
pub struct Patience {
    pause: Duration,
}

impl Patience {
    /// With a host that has answered.
    pub fn new() -> Patience {
        Patience { pause: PAUSE }
    }

    /// Waits until it is time to ask again, whatever the host said to the last question.
    ///
    /// # Errors
    /// When asking again is no use.
    pub async fn after<T>(
        &mut self,
        said: ClientResult<T>,
        tell: &mut (dyn FnMut(&str) + Send),
    ) -> ClientResult<Option<T>> {
        let is_first = self.pause == PAUSE;
        let said = match said {
            Ok(said) => {
                if !is_first {
                    tell("the host answers again");
                }
                self.pause = PAUSE;
                return Ok(Some(said));
            }
            Err(error) if !passes(&error) => return Err(error),
            Err(ClientError::Unreachable { url, reason }) => format!("no host answers at {url}: {reason}"),
            Err(error) => error.to_string(),
        };
        if is_first {
            tell(&format!("{said}; trying again"));
        }
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        tokio::time::sleep(self.pause).await;
        Ok(None)
    }
}

impl Default for Patience {
    fn default() -> Patience {
        Patience::new()
    }
}

/// Somebody who follows events.
pub struct Follower {
    tenant: TenantClient,
    source: Option<String>,
    cursor: Option<EventId>,
    more: bool,
    patience: Patience,
}

impl Follower {
    /// Follows the events of a source, or of all, beginning with the newest `last` that are there.
    ///
    /// # Errors
    /// When the host can't be asked, knows no such source, or the key may not read payloads.
    pub async fn begin(tenant: TenantClient, source: Option<String>, last: u32) -> ClientResult<Follower> {
        let mut follower = Follower { tenant, source, cursor: None, more: true, patience: Patience::new() };
        // The one before them is where to begin behind.
        let newest = follower.newest(last.saturating_add(1).min(500)).await?;
        follower.cursor = newest.get(last as usize).copied();
        // Who may not read payloads is told now, and not when the first event comes.
        let nothing = [("limit", Some("1".to_owned())), ("after", newest.first().map(ToString::to_string))];
        follower.tenant.feed(&follower.filter(&nothing)).await?;
        Ok(follower)
    }

    /// How far it has read.
    pub fn cursor(&self) -> Option<EventId> {
        self.cursor
    }

    /// What is there already, a page of it; nothing at the end.
    ///
    /// # Errors
    /// When the host can't be asked, or the key may not read payloads.
    pub async fn look(&mut self) -> ClientResult<Vec<FedEvent>> {
        while self.more || self.newest(1).await?.first().copied() > self.cursor {
            let page = self
                .tenant
                .feed(
                    &self.filter(&[("after", self.cursor.map(|id| id.to_string())), ("limit", Some(PAGE.to_string()))]),
                )
                .await?;
            let went_on = page.cursor > self.cursor;
            (self.cursor, self.more) = (page.cursor, page.more);
            if !page.items.is_empty() {
                return Ok(page.items);
            }
            if !went_on {
                break;
            }
        }
        Ok(Vec::new())
    }

    /// The next events, once there are some; a host that is away is waited for, and `tell` hears of it.
    ///
    /// # Errors
    /// When the host says no.
    pub async fn next(&mut self, tell: &mut (dyn FnMut(&str) + Send)) -> ClientResult<Vec<FedEvent>> {
        loop {
            let said = self.look().await;
            match self.patience.after(said, tell).await? {
                Some(events) if !events.is_empty() => return Ok(events),
                Some(_) => tokio::time::sleep(PAUSE).await,
                None => {}
            }
        }
    }

    async fn newest(&self, limit: u32) -> ClientResult<Vec<EventId>> {
        let list = self.tenant.events(&self.filter(&[("limit", Some(limit.to_string()))])).await?;
        Ok(list.items.into_iter().map(|line| line.id).collect())
    }

    fn filter(&self, more: &[(&'static str, Option<String>)]) -> Vec<(&'static str, String)> {
        let source = self.source.clone().map(|source| ("source", source));
        source.into_iter().chain(more.iter().filter_map(|(name, value)| Some((*name, value.clone()?)))).collect()
    }
}

/// Whether it may be better in a while.
fn passes(error: &ClientError) -> bool {
    match error {
        ClientError::Unreachable { .. } => true,
        ClientError::Refused(problem) => problem.status == 429 || problem.status >= 500,
        ClientError::Strange { status, .. } => *status >= 500,
        ClientError::Setup(_) => false,
    }
}

//! `creel logs`: what plugins logged and how their runs ended, as it happens when asked for.
//!
//! The host has no stream of runs: it is asked for the newest again and again. Runs end in another order than they begin
//! in, so what was told is remembered by run and try, and each look goes back to the oldest run that was not over at the
//! look before.

use std::collections::HashMap;
use std::time::Duration;

use creel_webhook::id::RunId;

use super::client::{ClientResult, TenantClient};
use crate::api::RunView;

/// Between two looks: quick enough to watch, and two requests a second for the host.
pub const PAUSE: Duration = Duration::from_millis(500);

/// Runs of one page.
const PAGE: usize = 200;

/// Pages of one look at most: a host that decides more runs than this between two looks is told of in part.
const PAGES_MAX: usize = 10;

/// Somebody who watches runs end.
#[derive(Debug, Default)]
pub struct Watcher {
    /// Only runs of this plugin.
    plugin: Option<String>,
    /// Where the next look may end: everything before it is over, or was older than what was asked for at first.
    floor: Option<RunId>,
    /// Tries that were told, by run; none before the floor.
    told: HashMap<RunId, u32>,
}

impl Watcher {
    /// Looks for the first time: of the newest runs, at most so many, those that were tried, oldest first.
    ///
    /// # Errors
    /// When the host can't be asked.
    pub async fn begin(
        tenant: &TenantClient,
        plugin: Option<String>,
        limit: usize,
    ) -> ClientResult<(Self, Vec<RunView>)> {
        let mut watcher = Watcher { plugin, ..Watcher::default() };
        let newest = watcher.page(tenant, None, limit.clamp(1, PAGE)).await?;
        let news = watcher.news(newest);
        Ok((watcher, news))
    }

    /// Looks again: what was tried since, oldest first.
    ///
    /// # Errors
    /// When the host can't be asked.
    pub async fn look(&mut self, tenant: &TenantClient) -> ClientResult<Vec<RunView>> {
        let mut seen = Vec::new();
        for _ in 0..PAGES_MAX {
            let page = self.page(tenant, seen.last().map(|run: &RunView| run.id), PAGE).await?;
            let is_last = page.len() < PAGE;
            seen.extend(page);
            if is_last || seen.last().is_some_and(|oldest| Some(oldest.id) <= self.floor) {
                break;
            }
        }
        Ok(self.news(seen))
    }

    async fn page(&self, tenant: &TenantClient, before: Option<RunId>, limit: usize) -> ClientResult<Vec<RunView>> {
        let mut filter = vec![("limit", limit.to_string())];
        filter.extend(self.plugin.clone().map(|plugin| ("plugin", plugin)));
        filter.extend(before.map(|before| ("before", before.to_string())));
        Ok(tenant.runs(&filter).await?.items)
    }

    /// Of runs, newest first, the tries that were not told yet, oldest first. The floor rises to the oldest that is not over.
    fn news(&mut self, mut seen: Vec<RunView>) -> Vec<RunView> {
        seen.retain(|run| Some(run.id) >= self.floor);
        let open = seen.iter().rev().find(|run| run.ended_at.is_none());
        self.floor = open.or(seen.first()).map(|run| run.id).max(self.floor);
        seen.retain(|run| run.verdict.is_some() && self.told.insert(run.id, run.attempts) != Some(run.attempts));
        self.told.retain(|run, _| Some(*run) >= self.floor);
        seen.reverse();
        seen
    }
}

#[cfg(test)]
mod tests {
    use creel_webhook::clock::Timestamp;
    use serde_json::json;

    use super::*;

    fn id(number: i64) -> RunId {
        RunId::new(Timestamp::from_millis(number), [0; 10])
    }

    fn run(number: i64, verdict: Option<&str>, over: bool, attempts: u32) -> RunView {
        let view = json!({
            "id": id(number), "event": creel_webhook::id::EventId::from_bytes([0; 16]), "route": "r", "plugin": "p",
            "mode": "ack", "verdict": verdict, "reason": null, "deployment": 1,
            "usage": creel_webhook::run::Usage::default(), "log": [], "attempts": attempts, "claims": 1,
            "created_at": "2026-01-01T00:00:00.000Z",
            "ended_at": over.then_some("2026-01-01T00:00:01.000Z"),
        });
        serde_json::from_value(view).unwrap()
    }

    fn told(runs: &[RunView]) -> Vec<RunId> {
        runs.iter().map(|run| run.id).collect()
    }

    #[test]
    fn each_try_is_told_once_in_whatever_order_runs_end() {
        let mut watcher = Watcher::default();
        let first =
            watcher.news(vec![run(3, Some("done"), true, 1), run(2, None, false, 0), run(1, Some("done"), true, 1)]);
        assert_eq!(told(&first), [id(1), id(3)]);
        assert_eq!(watcher.floor, Some(id(2)), "what is not over is looked at again");
        let retried =
            vec![run(4, Some("done"), true, 1), run(3, Some("done"), true, 1), run(2, Some("retry"), false, 1)];
        assert_eq!(told(&watcher.news(retried)), [id(2), id(4)]);
        let ended = vec![run(4, Some("done"), true, 1), run(3, Some("done"), true, 1), run(2, Some("done"), true, 2)];
        assert_eq!(told(&watcher.news(ended.clone())), [id(2)]);
        assert_eq!(told(&watcher.news(ended)), []);
        assert_eq!(watcher.floor, Some(id(4)));
        assert_eq!(watcher.told.len(), 1, "what is over is forgotten");
    }
}

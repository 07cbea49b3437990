//! Memory: what plugins remember. The plugin of each tenant keeps a list of the runs that it decided, and every run that is
//! done adds itself to what it read. So the list shows what may not be: a run that is lost overtook nobody, one that is
//! there twice or is not decided was written without its decision.

use std::collections::{BTreeMap, BTreeSet};

use creel_store::contract::{RunCommit, RunCommitted, RunTicket, StateWrites, Store};
use creel_webhook::id::RunId;
use creel_webhook::record::{Record, StateRead, StateValue};
use creel_webhook::run::{RunNext, Verdict};
use creel_webhook::state::StateWrite;

use crate::model::{Check, Model, Moment, Run, hold};
use crate::sim::Sim;

/// Where the list is kept.
const KEY: &str = "decided";

/// What workers have read, and what they were told is kept.
#[derive(Default)]
pub(crate) struct Memory {
    /// By claim: whose it is, and the list as it was.
    seen: BTreeMap<u64, (RunTicket, Option<StateValue>)>,
    /// Runs whose writes were acknowledged, by tenant.
    kept: BTreeSet<(usize, RunId)>,
}

impl Memory {
    /// What a run has read, and what it writes if it is done. Whoever read nothing writes nothing.
    pub(crate) fn of(&self, ticket: &RunTicket, verdict: Verdict) -> (Record, StateWrites) {
        let (mut record, mut state) = (Record::default(), StateWrites::default());
        let Some((_, found)) = self.seen.get(&ticket.claim.0) else { return (record, state) };
        record.add_state(StateRead { key: KEY.to_owned(), found: found.clone() }).expect("a list has room");
        if verdict == Verdict::Done {
            let mut list = found.as_ref().map(|found| found.value.to_vec()).unwrap_or_default();
            list.extend_from_slice(ticket.run.as_bytes());
            let write = StateWrite { key: KEY.to_owned(), value: Some(list.into()) };
            state = StateWrites { writes: vec![write], keys_max: 10, bytes_max: 1 << 20 };
        }
        (record, state)
    }
}

impl Model {
    /// A run's commit was told that it had been overtaken: nothing of it is there, and its claim holds.
    fn run_overtaken(&mut self, commit: &RunCommit, before: Run, at: Moment) -> Check {
        let (run, reads) = (commit.run, commit.record.state().len());
        hold!(before.state.must_take(commit.claim.0, at), "run {run} is not held and was called overtaken");
        hold!(reads > 0, "run {run} read nothing and was called overtaken");
        self.runs.insert(run, before);
        for call in &commit.calls {
            self.calls.remove(&call.id);
        }
        Ok(())
    }
}

impl Sim {
    /// A worker reads what its plugin remembers.
    pub(crate) async fn remember(&mut self, ticket: &RunTicket, shop: usize) {
        let own = self.model.shops[shop];
        // Without power nothing is read, and the worker is gone.
        if let Ok(found) = self.store.state_read(own.tenant, own.plugin, KEY).await {
            self.memory.seen.insert(ticket.claim.0, (ticket.clone(), found));
        }
    }

    /// What a commit was told, as far as memory goes; one that was overtaken is to be run again.
    pub(crate) async fn heard_memory(
        &mut self,
        commit: &RunCommit,
        told: &RunCommitted,
        before: &Run,
        at: Moment,
    ) -> Check<bool> {
        match told {
            RunCommitted::Conflict => {
                self.model.run_overtaken(commit, before.clone(), at)?;
                if let Some((ticket, _)) = self.memory.seen.remove(&commit.claim.0) {
                    self.remember(&ticket, before.shop).await;
                    self.jobs.retain(|other| other.claim != ticket.claim);
                    self.jobs.push(ticket);
                }
                Ok(true)
            }
            RunCommitted::Stored { verdict, .. } => {
                let keeps = commit.next == RunNext::End && (*verdict != Verdict::Late || commit.keep_late);
                if keeps && !commit.state.writes.is_empty() {
                    self.memory.kept.insert((before.shop, commit.run));
                }
                Ok(false)
            }
            RunCommitted::Stale => Ok(false),
        }
    }

    /// At the end: the list has each run that was acknowledged, once, and none that decided nothing.
    pub(crate) async fn judge_memory(&mut self, shop: usize) -> Check {
        let own = self.model.shops[shop];
        let found = self.store.state_read(own.tenant, own.plugin, KEY).await.map_err(|error| error.to_string())?;
        let list = found.map(|found| found.value.to_vec()).unwrap_or_default();
        let mut seen = BTreeSet::new();
        for bytes in list.as_chunks::<16>().0 {
            let run = RunId::from_bytes(*bytes);
            hold!(seen.insert(run), "{run} is remembered twice");
            let row = self.store.run_read(own.tenant, run).await.map_err(|error| error.to_string())?;
            let verdict = row.and_then(|row| row.verdict);
            let decided = matches!(verdict, None | Some(Verdict::Done | Verdict::Late));
            hold!(decided, "{run} ended {verdict:?} and is remembered");
        }
        let lost = self.memory.kept.iter().find(|(of, run)| *of == shop && !seen.contains(run));
        hold!(lost.is_none(), "{lost:?} was committed and is not remembered");
        Ok(())
    }
}

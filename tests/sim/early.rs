//! Runs that begin beside their accept: their decision is asked for before anybody knows whether they are stored.
//!
//! A decision that stands right behind its accept finds the claim if the accept made it, and is stale if not.

use creel_store::contract::{RunCommit, RunCommitted, RunTicket};

use crate::model::{About, Check, Model, Moment, Over, Run, hold};
use crate::script::Item;

impl Model {
    /// A run begins that perhaps will have been stored.
    pub(crate) fn begun_early(&mut self, ticket: &RunTicket, item: Item, at: Moment) {
        self.queued(item, ticket.run, ticket.route, About::new(ticket.event, None), at);
        self.runs.get_mut(&ticket.run).expect("it was queued").state.over = Over::Perhaps;
    }

    /// What it was told. Gives the run as it is if that is known by now, and forgets what never was.
    pub(crate) fn claimed_early(&mut self, commit: &RunCommit, told: &RunCommitted) -> Check<Option<Run>> {
        let run = self.runs.get(&commit.run).filter(|run| run.state.token == Some(commit.claim.0)).cloned();
        let is_stale = *told == RunCommitted::Stale;
        hold!(
            run.is_some() != is_stale,
            "the decision on {} right behind its accept was {told:?}, and the run is {run:?}",
            commit.run
        );
        if is_stale {
            self.runs.retain(|id, run| *id != commit.run || run.state.over == Over::Yes || run.state.was_claimed());
            self.calls.retain(|_, call| call.run != commit.run);
        }
        Ok(run)
    }
}

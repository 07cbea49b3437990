//! What workers do: claim runs, run the plugin's script, commit; or forget, or commit again, or too late.

use creel_store::contract::{NewDelivery, RunCommit, RunTicket, Store};
use creel_webhook::decision::{DecidedCall, Decision, Ground, OutcomeLimits, decide};
use creel_webhook::route::Mode;
use creel_webhook::run::{RunNext, Usage, Verdict, run_next};

use super::verbs::Asked;
use super::{RUN_LEASE_MS, Sim};
use crate::model::{About, Check, hold};
use crate::script::{Matter, answer};

impl Sim {
    pub(super) async fn claim_runs(&mut self) -> Check {
        let max = self.dice.of(&[1, 2, 8]);
        self.claim_runs_upto(max).await.map(|_| ())
    }

    /// Claims; says how many were given, `None` when the power went.
    pub(crate) async fn claim_runs_upto(&mut self, max: u32) -> Check<Option<usize>> {
        let (at, told) = (self.at(), self.told_time());
        let due = self.model.claimable(at);
        let claimed = self.store.run_claim(told, RUN_LEASE_MS, max, u32::MAX).await;
        let Some(claims) = self.known("claim of runs", claimed)? else { return Ok(None) };
        self.looked[0] = told;
        let mut served = Vec::new();
        for claim in &claims {
            self.model.serves(&format!("run {}", claim.ticket.run), claim.ticket.tenant)?;
            let item = match &claim.event.origin {
                Some(origin) => self.model.heard(claim, origin, at)?,
                None => self.model.item(&claim.event.provider_id),
            };
            hold!(!claim.event.erased, "{} is to be run and has lost its event's body", claim.ticket.run);
            served.push(item.shop);
            let about = About::new(claim.event.id, claim.event.origin.as_ref());
            self.model.run_claimed(&claim.ticket, item, about, at)?;
            let depth = claim.event.depth();
            let alone = if self.model.is_one_alone(at) { " alone" } else { "" };
            self.note(format_args!("claimed {} of tenant {} at depth {depth}{alone}", claim.ticket.run, item.shop));
            self.remember(&claim.ticket, item.shop).await;
            self.jobs.push(claim.ticket.clone());
        }
        if claims.len() as u32 == max && !self.model.may_one_be_alone(at) {
            self.model.turns(&due, &served, at)?;
        }
        Ok(Some(claims.len()))
    }

    pub(super) async fn finish_run(&mut self) -> Check {
        if self.jobs.is_empty() {
            return Ok(());
        }
        let place = self.dice.below(self.jobs.len() as u64) as usize;
        let ticket = self.jobs[place].clone();
        // Some commit again what they have committed, some are never heard of again.
        if !self.dice.one_in(6) {
            self.jobs.remove(place);
            if self.dice.one_in(12) {
                return Ok(());
            }
        }
        self.finish(&ticket).await
    }

    /// Runs the plugin and commits.
    pub(crate) async fn finish(&mut self, ticket: &RunTicket) -> Check {
        match self.run_commit(ticket) {
            Some(asked) => self.ask(asked).await,
            None => Ok(()),
        }
    }

    /// What is in hand, to be worked off.
    pub(crate) fn take_jobs(&mut self) -> Vec<RunTicket> {
        std::mem::take(&mut self.jobs)
    }

    /// The commit of a claim, with what is known of its run before.
    pub(super) fn run_commit(&mut self, ticket: &RunTicket) -> Option<Asked> {
        let before = self.model.runs.get(&ticket.run)?.clone();
        let matter = self.model.matter_of(ticket.event)?;
        let shop = self.world.shops[matter.item.shop];
        let route = shop.routes.iter().position(|route| *route == ticket.route)?;
        let verdict = matter.verdict(route, ticket.attempts);
        let next = match ticket.mode {
            Mode::Ack => run_next(verdict, ticket.attempts, ticket.failures, 700, self.now),
            Mode::Reply => RunNext::End,
        };
        let decision = match verdict {
            Verdict::Done | Verdict::Output => self.decide(ticket, matter, before.about, route),
            _ => None,
        };
        let verdict = if verdict == Verdict::Output && decision.is_some() { Verdict::Done } else { verdict };
        let reply = decision.as_ref().and_then(|decision| decision.reply.clone());
        let calls = decision.into_iter().flat_map(|decision| decision.calls);
        let calls = calls.map(|call| self.delivery_of(call)).collect();
        let (record, state) = self.memory.of(ticket, verdict);
        let commit = RunCommit {
            tenant: ticket.tenant,
            run: ticket.run,
            claim: ticket.claim,
            now: self.told_time(),
            verdict,
            reason: None,
            breach: None,
            deployment: Some(1),
            usage: Usage::default(),
            log: vec![],
            record,
            next,
            calls,
            reply: reply
                .map(|reply| answer(reply.status, String::from_utf8_lossy(&reply.body.unwrap_or_default()).into())),
            state,
            keep_late: matter.item.keeps_late(),
        };
        Some(Asked::Run(Box::new(commit), before, ticket.event))
    }

    /// The plugin's outcome by the real rules.
    pub(super) fn decide(&self, ticket: &RunTicket, matter: Matter, about: About, route: usize) -> Option<Decision> {
        let shop = self.world.shops[matter.item.shop];
        let ground = Ground {
            event: about.identity,
            depth: about.depth,
            route: ticket.route,
            now: self.now,
            granted: &["d0".to_owned(), "d1".to_owned()],
            destination: &|name| name.strip_prefix('d')?.parse::<usize>().ok().map(|place| shop.destinations[place]),
            limits: OutcomeLimits::default(),
        };
        decide(matter.outcome(route), &ground).ok()
    }

    pub(super) fn delivery_of(&mut self, call: DecidedCall) -> NewDelivery {
        NewDelivery { id: self.id(), call }
    }
}

//! What senders do: claim calls, make them, commit what came of them; the power may go in between.

use creel_store::contract::{Attempt, DeliveryClaim, DeliveryCommit, Store};
use creel_webhook::delivery::{Answer, Progress, after_attempt};
use creel_webhook::notice::NO_RUN;
use creel_webhook::retry::Schedule;

use super::Sim;
use super::verbs::Asked;
use crate::model::{Check, hold};
use crate::world::{KINDS, RETRY_MS};

/// How long a sender may hold a call, milliseconds.
const CALL_LEASE_MS: u64 = 8_000;

impl Sim {
    pub(super) async fn claim_calls(&mut self) -> Check {
        let max = self.dice.of(&[1, 4, 16]);
        self.claim_calls_upto(max).await.map(|_| ())
    }

    /// Claims; says how many were given, `None` when the power went.
    pub(crate) async fn claim_calls_upto(&mut self, max: u32) -> Check<Option<usize>> {
        let (at, told) = (self.at(), self.told_time());
        let claimed = self.store.delivery_claim(told, CALL_LEASE_MS, max).await;
        let Some(claims) = self.known("claim of calls", claimed)? else { return Ok(None) };
        self.looked[1] = told;
        self.note(format_args!("claimed {:?}", claims.iter().map(|claim| claim.id).collect::<Vec<_>>()));
        let count = claims.len();
        for claim in claims {
            self.model.serves(&format!("call {}", claim.id), claim.tenant)?;
            hold!(claim.body.is_some(), "{} is to be made and has lost its body", claim.id);
            if claim.run == NO_RUN {
                let refuses = self.dice.one_in(4);
                self.take_notice(&claim, told, refuses).await?;
                continue;
            }
            self.model.call_claimed(&claim, CALL_LEASE_MS, at)?;
            self.held.push(claim);
        }
        Ok(Some(count))
    }

    /// Makes one of the calls in hand; what comes of it is stored later, if the power stays.
    pub(crate) fn call(&mut self) -> Check {
        if self.held.is_empty() {
            return Ok(());
        }
        let claim = self.held.remove(0);
        let (shop, destination) = self.place_of(&claim);
        let (taken, answer) = self.moods[shop][destination].meet();
        if taken {
            self.model.took(&claim)?;
        }
        self.note(format_args!("called {}: {answer:?}", claim.id));
        self.sent.push((claim, answer));
        Ok(())
    }

    pub(super) fn place_of(&self, claim: &DeliveryClaim) -> (usize, usize) {
        let shops = self.world.shops.iter().position(|shop| shop.tenant == claim.tenant);
        let shop = shops.expect("a tenant of the world");
        let destination = self.world.shops[shop].destinations.iter().position(|id| *id == claim.destination);
        (shop, destination.expect("a destination of the tenant"))
    }

    pub(super) fn call_commit(&mut self, claim: &DeliveryClaim, answer: Answer) -> Asked {
        let before = self.model.calls[&claim.id].clone();
        let schedule = Schedule::new(RETRY_MS.to_vec()).expect("a schedule");
        let kind = KINDS[self.place_of(claim).1];
        let progress = Progress { kind, schedule: &schedule, attempts: claim.attempts, expires_at: claim.expires_at };
        let (next, destination) = after_attempt(progress, &answer, self.now, self.dice.below(65_536) as u16);
        let attempt =
            Attempt { started_at: self.now, duration_ms: 1, answer, detail: None, response_head: String::new() };
        let now = self.told_time();
        let (tenant, id, claim, response) = (claim.tenant, claim.id, claim.claim, None);
        let commit = DeliveryCommit { tenant, id, claim, now, attempt, response, next, destination, seen: 0 };
        Asked::Call(Box::new(commit), before)
    }

    /// Stores what came of a call.
    pub(crate) async fn finish_call(&mut self) -> Check {
        if self.sent.is_empty() {
            return Ok(());
        }
        let (claim, answer) = self.sent.remove(0);
        let asked = self.call_commit(&claim, answer);
        self.ask(asked).await
    }

    /// The same; some store again what they have stored.
    pub(super) async fn finish_call_or_repeat(&mut self) -> Check {
        let again = self.sent.first().cloned().filter(|_| self.dice.one_in(6));
        self.finish_call().await?;
        self.sent.extend(again.filter(|_| !self.mounted.disk.has_refused()));
        Ok(())
    }

    /// Calls and commits everything in hand.
    pub(crate) async fn finish_calls(&mut self) -> Check {
        while !self.held.is_empty() {
            self.call()?;
        }
        while !self.sent.is_empty() {
            self.finish_call().await?;
        }
        Ok(())
    }

    /// A host that has no time for what it claimed gives it back.
    pub(super) async fn give_back(&mut self) -> Check {
        let at = self.at();
        if let Some(ticket) = self.jobs.pop() {
            let released = self.store.run_release(ticket.tenant, ticket.run, ticket.claim).await;
            let known = self.known("release of a run", released)?;
            self.model.run_released(&ticket, known.is_some(), at);
        } else if let Some(claim) = self.held.pop() {
            let released = self.store.delivery_release(claim.tenant, claim.id, claim.claim).await;
            let known = self.known("release of a call", released)?;
            self.model.call_released(&claim, known.is_some(), at);
        }
        Ok(())
    }
}

//! Verbs, asked one at a time or so that they become one batch, and what follows from what they are told.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use creel_store::contract::{
    Accept, Accepted, DeliveryCommit, DeliveryCommitted, FirstAnswer, RunCommit, RunCommitted, Store, StoreResult,
};
use creel_store::sqlite::SqliteStore;
use creel_webhook::delivery::Next;
use creel_webhook::id::EventId;
use creel_webhook::quota::Quota;
use creel_webhook::run::RunNext;

use super::{Message, Sim, Waiting};
use crate::model::{About, Call, Check, Run, hold};

/// A verb that may be one of a batch.
pub(super) enum Asked {
    Accept(usize, Box<Accept>),
    /// An accept that cannot be stored: its last event has the id of another.
    Bad(Box<Accept>),
    Run(Box<RunCommit>, Run, EventId),
    /// The commit of a run that began beside its accept, asked for right behind it.
    Early(Box<RunCommit>, EventId),
    Call(Box<DeliveryCommit>, Call),
}

/// What it was told.
pub(super) enum Told {
    Accept(Accepted),
    Run(RunCommitted),
    Call(DeliveryCommitted),
}

impl Sim {
    fn noting(&mut self, asked: &Asked) {
        let at = self.at();
        match asked {
            Asked::Accept(_, accept) => {
                self.model.sending(accept);
                let shop = self.model.item(&accept.events[0].provider_id).shop;
                self.model.rations.perhaps(shop, Quota::Events, accept.events.len() as u64, at.now);
            }
            Asked::Bad(_) => {}
            Asked::Run(commit, before, _) => {
                self.model.run_committing(commit, at);
                self.model.rations.perhaps(before.shop, Quota::Runs, 1, at.now);
            }
            // It was noted when it began.
            Asked::Early(..) => {}
            Asked::Call(commit, before) => {
                self.model.call_committing(commit, at);
                let arrives = u64::from(commit.next == Next::Delivered);
                self.model.rations.perhaps(before.place().0, Quota::Deliveries, arrives, at.now);
            }
        }
    }

    pub(super) async fn ask(&mut self, asked: Asked) -> Check {
        self.noting(&asked);
        let told = put(self.store.clone(), &asked).await;
        self.heard(asked, told).await
    }

    /// Several verbs at once: queued while a commit is held, so that the writer takes all of them together.
    pub(super) async fn burst(&mut self) -> Check {
        let mut all = Vec::new();
        let message = self.message();
        for _ in 0..self.dice.below(3) {
            self.accept_in_burst(message, &mut all);
        }
        if let Some(bad) = self.bad_accept().filter(|_| self.dice.one_in(2)) {
            all.push(bad);
        }
        if !self.jobs.is_empty() {
            let ticket = self.jobs.remove(0);
            all.extend(self.run_commit(&ticket));
        }
        if !self.sent.is_empty() {
            let (claim, answer) = self.sent.remove(0);
            all.push(self.call_commit(&claim, answer));
        }
        let other = self.message();
        self.accept_in_burst(other, &mut all);
        all.iter().for_each(|asked| self.noting(asked));
        let (store, disk) = (self.store.clone(), self.mounted.disk.clone());
        disk.hold();
        let first = Begun::new(async { store.ping().await });
        disk.wait_held();
        let verbs: Vec<_> = all.iter().map(|asked| Begun::new(put(self.store.clone(), asked))).collect();
        disk.let_go();
        let pinged = first.end().await;
        let mut told = Vec::new();
        for verb in verbs {
            told.push(verb.end().await);
        }
        self.known("ping", pinged)?;
        let mut all = all.into_iter().zip(told).peekable();
        while let Some((asked, told)) = all.next() {
            self.model.early = match all.peek() {
                Some((Asked::Early(commit, _), _)) => Some(commit.run),
                _ => None,
            };
            self.heard(asked, told).await?;
        }
        Ok(())
    }

    /// A message, with the decision right behind it of the run that began beside it.
    fn accept_in_burst(&mut self, message: usize, all: &mut Vec<Asked>) {
        let accept = Box::new(self.accept_of(message));
        let early = self.early_commit(&accept);
        all.push(Asked::Accept(message, accept));
        all.extend(early);
    }

    /// What a run decides that began beside its accept, if the sender of that waits.
    fn early_commit(&mut self, accept: &Accept) -> Option<Asked> {
        let event = accept.events.first()?;
        let (run, item) = (event.awaited()?, self.model.item(&event.provider_id));
        let claim = run.reply.as_ref()?.claim.filter(|_| !self.dice.one_in(3))?;
        let ticket = run.ticket(accept.tenant, event.id, self.now.plus_ms(claim.lease_ms))?;
        let at = self.at();
        self.model.sending(accept);
        self.model.begun_early(&ticket, item, at);
        let Some(Asked::Run(commit, ..)) = self.run_commit(&ticket) else { return None };
        self.model.may_decide(&commit, at);
        self.model.rations.perhaps(item.shop, Quota::Runs, 1, at.now);
        Some(Asked::Early(commit, event.id))
    }

    /// A message of two new items whose second event has an id that is taken: nothing of it may be stored.
    fn bad_accept(&mut self) -> Option<Asked> {
        let number = self.model.events.iter().find(|(number, _)| self.model.items[**number as usize].shop == 0)?;
        let taken = *number.1;
        let (first, second) = (self.item(0, false), self.item(0, false));
        self.messages.push(Message {
            number: self.messages.len() as u32,
            items: vec![first, second],
            acknowledged: false,
        });
        let mut accept = self.accept_of(self.messages.len() - 1);
        accept.pending_runs_max = 100_000;
        accept.events[1].id = taken;
        Some(Asked::Bad(Box::new(accept)))
    }

    async fn heard(&mut self, asked: Asked, told: StoreResult<Told>) -> Check {
        let at = self.at();
        if let Asked::Bad(_) = &asked {
            self.listen();
            let refused = matches!(told, Err(_) | Ok(Told::Accept(Accepted::OverDailyQuota { .. })));
            hold!(refused, "a second event of one id was stored");
            return Ok(());
        }
        if self.is_for_removed(&asked) {
            return self.heard_for_removed(asked, told);
        }
        let what = match &asked {
            Asked::Accept(message, _) => format!("accept of message {message}"),
            Asked::Bad(_) => String::new(),
            Asked::Run(commit, ..) => format!("commit of {} as {:?}", commit.run, commit.verdict),
            Asked::Early(commit, _) => format!("early commit of {} as {:?}", commit.run, commit.verdict),
            Asked::Call(commit, _) => format!("commit of {} as {:?}", commit.id, commit.next),
        };
        let Some(told) = self.known(&what, told)? else {
            if let Asked::Run(commit, ..) = &asked {
                // Who does not know whether it committed lets its claim go.
                self.jobs.retain(|ticket| ticket.claim != commit.claim);
            }
            return Ok(());
        };
        match (asked, told) {
            (Asked::Accept(message, accept), Told::Accept(accepted)) => {
                self.note(format_args!("{what}: {accepted:?}"));
                self.model.accepted(&accept, &accepted, at)?;
                self.model.rationed(&accept, &accepted, at)?;
                self.answered(message, &accept, accepted)
            }
            (Asked::Early(commit, event), Told::Run(committed)) => {
                self.note(format_args!("{what}: {committed:?}"));
                let Some(before) = self.model.claimed_early(&commit, &committed)? else {
                    if let Some(item) = self.model.item_of(event) {
                        self.model.rations.certainly(item.shop, Quota::Runs, 1, 0, at.now);
                    }
                    return Ok(());
                };
                Box::pin(self.heard(Asked::Run(commit, before, event), Ok(Told::Run(committed)))).await
            }
            (Asked::Run(commit, before, event), Told::Run(committed)) => {
                self.note(format_args!("{what}: {committed:?}"));
                let ended = commit.next == RunNext::End;
                let counts = u64::from(matches!(committed, RunCommitted::Stored { .. }));
                self.model.rations.certainly(before.shop, Quota::Runs, 1, counts, at.now);
                if self.heard_memory(&commit, &committed, &before, at).await? {
                    return Ok(());
                }
                self.model.run_committed(&commit, &committed, before, at)?;
                self.look_who_made_room(&commit).await?;
                match committed {
                    RunCommitted::Stored { answer: Some(answer), .. } if ended => self.model.replied(event, &answer),
                    _ => Ok(()),
                }
            }
            (Asked::Call(commit, before), Told::Call(committed)) => {
                self.note(format_args!("{what}: {committed:?}"));
                let is_stored = committed == DeliveryCommitted::Stored;
                let arrives = u64::from(commit.next == Next::Delivered);
                let arrived = if is_stored { arrives } else { 0 };
                self.model.rations.certainly(before.place().0, Quota::Deliveries, arrives, arrived, at.now);
                self.model.call_committed(&commit, is_stored, before, at)
            }
            _ => Err("a verb was told what another asked".to_owned()),
        }
    }

    /// What follows from an accept's answer.
    fn answered(&mut self, message: usize, accept: &Accept, accepted: Accepted) -> Check {
        let at = self.at();
        let tenant = accept.tenant;
        let waits = self.messages[message].items[0].waits;
        let first = match accepted {
            Accepted::OverQuota { .. } => return Ok(()),
            Accepted::OverDailyQuota { until, .. } => {
                self.comes_back = Some(until);
                return Ok(());
            }
            Accepted::Stored { reply: Some(ticket), .. } => {
                let item = self.model.item(&accept.events[0].provider_id);
                let given = accept.events[0].awaited().and_then(|run| run.reply.as_ref()?.claim);
                let is_given = given.is_some_and(|given| given.token == ticket.claim);
                hold!(is_given, "{} was accepted with the claim {given:?} and has {:?}", ticket.run, ticket.claim);
                self.model.run_claimed(&ticket, item, About::new(ticket.event, None), at)?;
                let deadline = ticket.deadline.unwrap_or(self.now);
                self.waiting.push(Waiting { tenant, event: ticket.event, deadline });
                self.jobs.push(ticket);
                None
            }
            Accepted::Stored { first, .. } => first,
            Accepted::Duplicate(first) => Some(first),
        };
        self.messages[message].acknowledged = true;
        match first {
            Some(FirstAnswer::Pending { event, deadline }) => self.waiting.push(Waiting { tenant, event, deadline }),
            Some(FirstAnswer::Told(answer)) if waits => {
                let number = self.messages[message].items[0].number;
                if let Some(event) = self.model.events.get(&number) {
                    return self.model.replied(*event, &answer);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// A verb that was asked and not waited for.
struct Begun<'a, T> {
    verb: Pin<Box<dyn Future<Output = T> + 'a>>,
    told: Option<T>,
}

impl<'a, T> Begun<'a, T> {
    /// Asks: the first poll queues a verb.
    fn new(verb: impl Future<Output = T> + 'a) -> Self {
        let mut verb: Pin<Box<dyn Future<Output = T> + 'a>> = Box::pin(verb);
        let told = match verb.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(told) => Some(told),
            Poll::Pending => None,
        };
        Begun { verb, told }
    }

    /// Waits for what it is told.
    async fn end(self) -> T {
        match self.told {
            Some(told) => told,
            None => self.verb.await,
        }
    }
}

/// Asks a verb.
async fn put(store: Arc<SqliteStore>, asked: &Asked) -> StoreResult<Told> {
    match asked {
        Asked::Accept(_, accept) | Asked::Bad(accept) => store.accept(accept.as_ref().clone()).await.map(Told::Accept),
        Asked::Run(commit, ..) | Asked::Early(commit, _) => {
            store.run_commit(commit.as_ref().clone()).await.map(Told::Run)
        }
        Asked::Call(commit, _) => store.delivery_commit(commit.as_ref().clone()).await.map(Told::Call),
    }
}

//! What must be true, from what the store was asked and what it said.
//!
//! The model is not a second store: it keeps what an outside observer knows. After a power cut some of it is unknown
//! (a commit may or may not have happened), and is learned from what the store says next. Every promise that the store
//! can break in front of an observer is a sentence here.

use std::collections::{BTreeMap, BTreeSet};

use creel_store::contract::{
    Accept, Accepted, DeliveryClaim, DeliveryCommit, FirstAnswer, NewDelivery, RunCommit, RunCommitted, RunTicket,
    StoredAnswer,
};
use creel_webhook::clock::Timestamp;
use creel_webhook::delivery::{DestinationChange, Next};
use creel_webhook::followup::Origin;
use creel_webhook::id::{DeliveryId, EventId, RouteId, RunId};
use creel_webhook::outcome::OnResult;
use creel_webhook::route::Mode;
use creel_webhook::run::{CLAIMS_MAX, RunNext, Verdict};

use crate::rations::Rations;
use crate::script::{Item, Matter};
use crate::world::{CONCURRENCY_MAX, SKIP_AFTER_MS, Shop};

/// A promise that was broken, as a sentence.
pub(crate) type Check<T = ()> = Result<T, String>;

/// Fails with a sentence unless something holds.
macro_rules! hold {
    ($holds:expr, $($sentence:tt)+) => {
        if !$holds {
            return Err(format!($($sentence)+));
        }
    };
}
pub(crate) use hold;

/// How long a call may have to wait for its lane, milliseconds: breakers hold it, and receivers that ask for it.
const PATIENCE_MS: u64 = 600_000;

/// Whether something is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// It is not.
    No,
    /// A commit said so, and then the power went.
    Perhaps,
    /// It is.
    Yes,
}

/// What is common to what is claimed and committed.
#[derive(Debug, Clone)]
pub(crate) struct Claimable {
    /// The claim that counts, unless it was committed or given back.
    pub(crate) token: Option<u64>,
    lease_until: Timestamp,
    /// The boot that claimed.
    boot: u32,
    /// Syncs before the claim; one more makes it safe.
    syncs: u64,
    /// Claims so far, at most.
    claims: u32,
    /// Committed tries: at least and at most.
    attempts: (u32, u32),
    /// Not before.
    pub(crate) due_at: Timestamp,
    /// When a commit said for the first time that it is to be tried again, or may have said so.
    failed_at: Option<Timestamp>,
    /// Whether it is over.
    pub(crate) over: Over,
}

impl Claimable {
    fn new(due_at: Timestamp) -> Claimable {
        let (lease_until, failed_at) = (Timestamp::default(), None);
        let (boot, syncs, claims, attempts) = (0, 0, 0, (0, 0));
        Claimable { token: None, lease_until, boot, syncs, claims, attempts, due_at, failed_at, over: Over::No }
    }

    /// What was given up may be back: it is as new then, and its tries are counted anew.
    pub(crate) fn perhaps_back(&self, due_at: Timestamp) -> Claimable {
        let (boot, over) = (self.boot, Over::Perhaps);
        Claimable { attempts: (0, self.attempts.1), boot, over, ..Claimable::new(due_at) }
    }

    pub(crate) fn was_claimed(&self) -> bool {
        self.boot > 0
    }

    /// Whether so many claims were lost that the store gives it up.
    pub(crate) fn is_given_up(&self) -> bool {
        self.claims.saturating_sub(self.attempts.0) >= CLAIMS_MAX
    }

    /// Whether somebody holds it.
    pub(crate) fn is_held(&self, boot: u32, now: Timestamp) -> bool {
        self.token.is_some() && self.boot == boot && now < self.lease_until
    }

    /// Until when somebody holds it, if somebody does.
    pub(crate) fn held_until(&self, at: Moment) -> Option<Timestamp> {
        self.is_held(at.boot, at.now).then_some(self.lease_until)
    }

    /// The same where no commit that nobody heard of may have ended that.
    pub(crate) fn is_certainly_held(&self, at: Moment) -> bool {
        self.is_held(at.boot, at.now) && self.over == Over::No && self.attempts.0 == self.attempts.1
    }

    /// Whether certainly nobody has claimed it since this boot.
    pub(crate) fn is_free(&self, boot: u32) -> bool {
        self.token.is_none() || self.boot != boot
    }

    fn claimed(&mut self, what: &str, token: u64, lease_until: Timestamp, counts: (u32, u32), at: Moment) -> Check {
        hold!(self.over != Over::Yes, "{what} is over and was claimed");
        hold!(!self.is_held(at.boot, at.now), "{what} was claimed while another claim holds");
        hold!(self.token != Some(token), "{what} was claimed twice with one token");
        hold!(self.due_at <= at.now, "{what} was claimed at {} and is due at {}", at.now, self.due_at);
        let (claims, attempts) = counts;
        hold!(claims <= self.claims + 1, "{what} has {claims} claims by its claim, and {} count", self.claims + 1);
        hold!(
            (self.attempts.0..=self.attempts.1).contains(&attempts),
            "{what} has {attempts} attempts by its claim and {:?} commits",
            self.attempts
        );
        (self.token, self.lease_until, self.boot, self.syncs) = (Some(token), lease_until, at.boot, at.syncs);
        (self.claims, self.attempts, self.over) = (claims, (attempts, attempts), Over::No);
        Ok(())
    }

    fn released(&mut self, token: u64, at: Moment) {
        if self.must_take(token, at) {
            (self.token, self.due_at) = (None, self.due_at.min(at.now));
            self.claims -= 1;
        }
    }

    /// The process died, and work on it may have been under way: if not, its claim was never made.
    fn crashed(&mut self, boot: u32, is_under_way: bool) {
        let is_certain = self.over == Over::No && self.attempts.0 == self.attempts.1;
        if self.token.is_some() && self.boot == boot && is_certain && !is_under_way {
            self.claims -= 1;
        }
    }

    /// Whether it certainly lost two claims, this one included. The power takes one with it that was not safe yet.
    fn is_suspect(&self, at: Moment) -> bool {
        let is_certain = self.over == Over::No && self.attempts.0 == self.attempts.1 && self.syncs < at.syncs;
        self.token.is_some() && self.boot == at.boot && is_certain && self.claims - self.attempts.0 >= 2
    }

    /// Whether a commit with this token had to be taken.
    pub(crate) fn must_take(&self, token: u64, at: Moment) -> bool {
        self.token == Some(token) && self.boot == at.boot && self.over == Over::No
    }
}

/// When something was asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// The time.
    pub(crate) now: Timestamp,
    /// The boot.
    pub(crate) boot: u32,
    /// Syncs of its disk.
    pub(crate) syncs: u64,
}

/// A run that is known.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// Its claims and its end.
    pub(crate) state: Claimable,
    /// Whose it is, by place.
    pub(crate) shop: usize,
    /// Whether a sender waits for it.
    pub(crate) waits: bool,
    /// What keeps it in line: the route and the key.
    pub(crate) line: Option<(RouteId, u8)>,
    pub(crate) route: RouteId,
    /// What it is about.
    pub(crate) about: About,
}

/// The event of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About {
    /// The event.
    pub(crate) event: EventId,
    /// What keys outward are made from.
    pub(crate) identity: EventId,
    /// Results in a row that led to it.
    pub(crate) depth: u32,
}

impl About {
    /// An event from outside, or a report.
    pub(crate) fn new(event: EventId, origin: Option<&Origin>) -> About {
        let (identity, depth) = origin.map_or((event, 0), |origin| (origin.identity, origin.depth));
        About { event, identity, depth }
    }
}

/// A call that is known.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// Its claims and its end.
    pub(crate) state: Claimable,
    /// Whose it is, by place.
    shop: usize,
    /// Its destination's place.
    destination: usize,
    /// What keeps it in line.
    line: Option<String>,
    key: String,
    pub(crate) run: RunId,
    expires_at: Option<Timestamp>,
    /// Which of its ends its plugin wants to hear of.
    pub(crate) on_result: Option<OnResult>,
    /// Position in its outcome.
    pub(crate) index: u32,
    /// How often a person wanted it back.
    pub(crate) back: u32,
}

/// What an observer knows.
#[derive(Default)]
pub(crate) struct Model {
    /// The tenants.
    pub(crate) shops: Vec<Shop>,
    /// What happened at providers, by number.
    pub(crate) items: Vec<Item>,
    /// Events that may be or are an item's, each with what its sender is told.
    pub(crate) candidates: BTreeMap<u32, Vec<(EventId, StoredAnswer)>>,
    /// The run whose accept is being heard, if its decision was asked for too and is heard next.
    pub(crate) early: Option<RunId>,
    /// The event that an item certainly is.
    pub(crate) events: BTreeMap<u32, EventId>,
    /// Items whose sender was told that they are stored.
    pub(crate) acknowledged: BTreeMap<u32, ()>,
    /// What senders who wait were told.
    pub(crate) replies: BTreeMap<EventId, StoredAnswer>,
    /// Runs.
    pub(crate) runs: BTreeMap<RunId, Run>,
    /// Calls.
    pub(crate) calls: BTreeMap<DeliveryId, Call>,
    /// Keys that receivers took, with the destination's place.
    pub(crate) taken: BTreeMap<String, (usize, usize)>,
    /// Runs that people asked for once more.
    pub(crate) replays: BTreeSet<RunId>,
    /// Runs that certainly have a successor.
    pub(crate) succeeded: BTreeSet<RunId>,
    /// Reports of calls' ends, with the call.
    pub(crate) reports: BTreeMap<EventId, (DeliveryId, Matter)>,
    /// What tenants may use and have used.
    pub(crate) rations: Rations,
    /// The tenant that was certainly removed.
    pub(crate) removed: Option<usize>,
    /// Events that a person certainly erased.
    pub(crate) erased: BTreeSet<EventId>,
    /// Runs that have to be the first to be claimed, each alone.
    pub(crate) suspects: BTreeSet<RunId>,
    /// Runs of which that may be so.
    pub(crate) perhaps_suspects: BTreeSet<RunId>,
    alone: Option<(RunId, u64)>,
    paused: BTreeMap<(usize, usize), bool>,
    /// Routes that are paused, or perhaps are.
    paused_routes: BTreeMap<RouteId, Option<bool>>,
    /// Destinations that are disabled, or perhaps are: calls to them may end at once.
    disabled: BTreeSet<(usize, usize)>,
    /// Full claims in a row that left out a tenant that had something due.
    passed: BTreeMap<usize, u32>,
    turned_at: Timestamp,
}

impl Model {
    /// The process died while work on these was under way.
    pub(crate) fn crashed(&mut self, at: Moment, under_way: &[[u8; 16]]) {
        self.alone = None;
        let begun = self.runs.iter().filter(|(id, run)| under_way.contains(id.as_bytes()) && run.state.claims >= 2);
        self.perhaps_suspects = begun.clone().map(|(id, _)| *id).collect();
        let suspects = begun.filter(|(_, run)| run.state.is_suspect(at) && !run.waits && self.goes(run));
        self.suspects = suspects.map(|(id, _)| *id).collect();
        let runs = self.runs.iter_mut().map(|(id, run)| (id.as_bytes(), &mut run.state));
        let calls = self.calls.iter_mut().map(|(id, call)| (id.as_bytes(), &mut call.state));
        runs.chain(calls).for_each(|(id, state)| state.crashed(at.boot, under_way.contains(id)));
        self.passed.clear();
    }

    /// Whether a run has the host to itself.
    pub(crate) fn is_one_alone(&self, at: Moment) -> bool {
        self.alone.is_some_and(|(run, token)| {
            let Run { state, shop, .. } = &self.runs[&run];
            state.token == Some(token) && state.is_held(at.boot, at.now) && !self.is_removed(*shop)
        })
    }

    /// Whether one may have it.
    pub(crate) fn may_one_be_alone(&self, at: Moment) -> bool {
        let is_held = |run: &RunId| self.runs[run].state.is_held(at.boot, at.now);
        self.perhaps_suspects.iter().any(is_held)
    }

    /// Whoever may be what kills the process is claimed alone.
    fn suspected(&mut self, what: &str, ticket: &RunTicket, at: Moment) -> Check {
        hold!(!self.is_one_alone(at), "{what} was claimed while {:?} has the host to itself", self.alone);
        if self.suspects.remove(&ticket.run) {
            let held = |(_, run): &(&RunId, &Run)| !run.waits && run.state.is_held(at.boot, at.now);
            let other = self.runs.iter().find(held).map(|(id, _)| *id);
            hold!(other.is_none(), "{what} was there when the host died twice, and is claimed beside {other:?}");
            self.alone = Some((ticket.run, ticket.claim.0));
        }
        Ok(())
    }

    /// The item of an event, by its provider's id.
    pub(crate) fn item(&self, provider_id: &Option<String>) -> Item {
        let number =
            provider_id.as_deref().and_then(|id| id.strip_prefix("item-")).and_then(|n| n.parse::<usize>().ok());
        self.items[number.expect("events carry an item's name")]
    }

    /// What an event is about, if it is known.
    pub(crate) fn matter_of(&self, event: EventId) -> Option<Matter> {
        let item = |item| Matter { item, heard: None };
        self.reports.get(&event).map(|(_, matter)| *matter).or_else(|| self.item_of(event).map(item))
    }

    /// The item that an event is, or may be.
    pub(crate) fn item_of(&self, event: EventId) -> Option<Item> {
        let is_it = |all: &Vec<(EventId, StoredAnswer)>| all.iter().any(|(id, _)| *id == event);
        self.candidates.iter().find(|(_, all)| is_it(all)).map(|(number, _)| self.items[*number as usize])
    }

    /// Notes what is about to be sent: after a cut any of it may be stored.
    pub(crate) fn sending(&mut self, accept: &Accept) {
        for event in &accept.events {
            let item = self.item(&event.provider_id);
            self.candidates.entry(item.number).or_default().push((event.id, accept.answer.clone()));
        }
    }

    /// An accept was answered.
    pub(crate) fn accepted(&mut self, accept: &Accept, accepted: &Accepted, at: Moment) -> Check {
        let (stored, first, claimed) = match accepted {
            Accepted::Stored { events, first, reply, .. } => (events.clone(), first.clone(), reply.is_some()),
            Accepted::Duplicate(first) => (vec![], Some(first.clone()), false),
            Accepted::OverQuota { .. } | Accepted::OverDailyQuota { .. } => return Ok(()),
        };
        for event in &accept.events {
            let item = self.item(&event.provider_id);
            if stored.contains(&event.id) {
                let before = self.events.insert(item.number, event.id);
                hold!(before.is_none(), "{} was stored as {before:?} and again as {}", item.name(), event.id);
                for run in &event.runs {
                    self.queued(item, run.id, run.route, About::new(event.id, None), at);
                    // Nobody runs it; and in a full tenant its neighbour may have ended with it.
                    if item.waits && !claimed {
                        let over = if run.reply.is_some() { Over::Yes } else { Over::Perhaps };
                        self.runs.get_mut(&run.id).expect("it was queued").state.over = over;
                    }
                }
            } else {
                let others = self.candidates[&item.number].iter().any(|(id, _)| *id != event.id);
                let within = accept.events.iter().filter(|other| other.provider_id == event.provider_id).count() > 1;
                hold!(others || within, "{} was told to be a repetition and is none", item.name());
            }
            self.acknowledged.insert(item.number, ());
        }
        first.map_or(Ok(()), |first| self.told_first(accept, &first))
    }

    /// A repetition was told what its first was told.
    fn told_first(&mut self, accept: &Accept, first: &FirstAnswer) -> Check {
        let items: Vec<Item> = accept.events.iter().map(|event| self.item(&event.provider_id)).collect();
        let FirstAnswer::Told(answer) = first else { return Ok(()) };
        let known = |item: &Item| {
            let own = self.candidates[&item.number].iter().any(|(_, told)| told == answer);
            let reply = self.candidates[&item.number].iter().find_map(|(event, _)| self.replies.get(event));
            if item.waits { reply.is_none_or(|told| told == answer) } else { own }
        };
        hold!(
            items.iter().any(known),
            "a repetition of {items:?} was told {answer:?}, its first was told another thing"
        );
        Ok(())
    }

    pub(crate) fn queued(&mut self, item: Item, run: RunId, route: RouteId, about: About, at: Moment) {
        // A report stands in the line of its call's run; where, nobody can tell from outside.
        let is_first = about.depth == 0 && !self.replays.contains(&run);
        let waits = is_first && route == self.shops[item.shop].routes[2];
        let line = item.order.filter(|_| is_first && !waits).map(|key| (route, key));
        let state = Claimable::new(at.now);
        self.runs.entry(run).or_insert(Run { state, shop: item.shop, waits, line, route, about });
    }

    /// A sender who waits was told something.
    pub(crate) fn replied(&mut self, event: EventId, answer: &StoredAnswer) -> Check {
        let first = self.replies.entry(event).or_insert_with(|| answer.clone());
        hold!(first == answer, "the reply to {event} was {first:?} and then {answer:?}");
        Ok(())
    }

    /// A run was claimed, by a worker or with its accept.
    pub(crate) fn run_claimed(&mut self, ticket: &RunTicket, item: Item, about: About, at: Moment) -> Check {
        let what = format!("run {} of {}", ticket.run, item.name());
        hold!(
            self.paused_routes.get(&ticket.route) != Some(&Some(true)),
            "{what} was claimed though its route is paused"
        );
        self.queued(item, ticket.run, ticket.route, about, at);
        if ticket.mode == Mode::Ack {
            // Who may be what kills the process is run first, whatever else there is.
            if !self.perhaps_suspects.contains(&ticket.run) {
                self.run_fits(&what, item.shop, at)?;
            }
            self.suspected(&what, ticket, at)?;
        }
        let run = &self.runs[&ticket.run];
        hold!(run.waits == (ticket.mode == Mode::Reply), "{what} changed its mode");
        if let Some(line) = run.line {
            for (other, before) in self.runs.range(..ticket.run).filter(|(_, before)| before.line == Some(line)) {
                hold!(before.state.lets_pass(at), "{what} was claimed before {other} of its key had ended");
            }
        }
        let begun_early = self.early == Some(ticket.run);
        for (id, call) in self.calls.iter_mut().filter(|(_, call)| call.run == ticket.run && !begun_early) {
            let is_made = call.state.over == Over::No || call.state.was_claimed();
            hold!(!is_made, "{what} is run though its {id} is made");
            // Its decision was not committed, so its calls are nowhere.
            call.state.over = Over::Yes;
        }
        let run = self.runs.get_mut(&ticket.run).expect("it was queued");
        let counts = (ticket.claims, ticket.attempts);
        run.state.claimed(&what, ticket.claim.0, ticket.lease_until, counts, at)
    }

    /// A run's commit is about to be asked for: from here on it may have happened.
    pub(crate) fn run_committing(&mut self, commit: &RunCommit, at: Moment) {
        if self.runs.get(&commit.run).is_some_and(|run| run.state.must_take(commit.claim.0, at)) {
            self.may_decide(commit, at);
        }
    }

    /// A run may have been decided from here on.
    pub(crate) fn may_decide(&mut self, commit: &RunCommit, at: Moment) {
        let Some(run) = self.runs.get_mut(&commit.run) else { return };
        run.state.attempts.1 += 1;
        match commit.next {
            RunNext::End => run.state.over = Over::Perhaps,
            RunNext::Again(_) => run.state.failed(at),
        }
        let shop = run.shop;
        for call in &commit.calls {
            self.decided(commit.run, shop, call, Over::Perhaps);
        }
        self.crowding(commit, at);
    }

    fn decided(&mut self, run: RunId, shop: usize, new: &NewDelivery, over: Over) {
        let call = &new.call;
        let destinations = self.shops[shop].destinations;
        let destination =
            destinations.iter().position(|id| *id == call.destination).expect("a destination of the shop");
        let mut state = Claimable::new(call.due_at);
        state.over = over;
        let call = Call {
            state,
            shop,
            destination,
            line: call.order_key.clone(),
            key: call.key.clone(),
            run,
            expires_at: call.expires_at,
            on_result: call.on_result.clone(),
            index: call.index,
            back: 0,
        };
        self.calls.insert(new.id, call);
    }

    /// A run's commit was answered. `before` is the run as it was when that was asked for.
    pub(crate) fn run_committed(&mut self, commit: &RunCommit, told: &RunCommitted, before: Run, at: Moment) -> Check {
        let what = format!("run {}", commit.run);
        let must = before.state.must_take(commit.claim.0, at);
        let RunCommitted::Stored { verdict, .. } = told else {
            let given_up = before.waits || before.state.is_given_up();
            hold!(!must || given_up, "{what} is held, and its commit was called stale");
            if let Some(run) = self.runs.get_mut(&commit.run).filter(|_| must) {
                run.state.over = Over::Yes;
            }
            return Ok(());
        };
        hold!(must, "{what} took a commit with a claim that is not its own: {:?}", before.state);
        let kept = commit.next == RunNext::End && (*verdict != Verdict::Late || commit.keep_late);
        for call in &commit.calls {
            let call = self.calls.get_mut(&call.id).expect("it was noted");
            call.state.over = match kept {
                true if self.disabled.contains(&call.place()) => Over::Perhaps,
                true => Over::No,
                false => Over::Yes,
            };
        }
        let run = self.runs.get_mut(&commit.run).expect("it was noted");
        run.state.token = None;
        run.state.attempts = (before.state.attempts.0 + 1, before.state.attempts.0 + 1);
        match commit.next {
            RunNext::End => run.state.over = Over::Yes,
            RunNext::Again(due_at) => (run.state.over, run.state.due_at) = (Over::No, due_at),
        }
        Ok(())
    }

    /// A call was claimed.
    pub(crate) fn call_claimed(&mut self, claim: &DeliveryClaim, lease_ms: u64, at: Moment) -> Check {
        let what = format!("call {}", claim.id);
        let call = self.calls.get(&claim.id).ok_or_else(|| format!("{what} is made and nobody decided it"))?.clone();
        hold!(call.key == claim.key, "{what} changed its key");
        hold!(call.expires_at.is_none_or(|expires_at| at.now < expires_at), "{what} had expired when it was claimed");
        let place = (call.shop, call.destination);
        hold!(self.paused.get(&place) != Some(&true), "{what} was claimed though its destination is paused");
        if let Some(line) = &call.line {
            let ahead = self.calls.range(..claim.id).filter(|(_, other)| other.place() == place);
            for (other, before) in ahead.filter(|(_, before)| before.line.as_ref() == Some(line)) {
                let passes = before.state.lets_pass(at) || before.has_expired(at);
                hold!(passes, "{what} was claimed before {other} of its key had ended");
            }
        }
        let held =
            self.calls.values().filter(|call| call.place() == place && call.state.is_held(at.boot, at.now)).count();
        hold!(held < CONCURRENCY_MAX[call.destination] as usize, "{what} is one too many on its way to {place:?}");
        self.call_fits(&what, call.shop, at)?;
        // What was decided by a commit that nobody heard of is decided.
        let run = self.runs.get_mut(&call.run).ok_or_else(|| format!("{what} belongs to no run"))?;
        hold!(run.state.over != Over::No, "{what} is made though its run is not over");
        run.state.over = Over::Yes;
        run.state.attempts.0 = run.state.attempts.1;
        let call = self.calls.get_mut(&claim.id).expect("it was there");
        if call.state.over == Over::Perhaps && !call.state.was_claimed() {
            call.state.over = Over::No;
        }
        let counts = (claim.claims, claim.attempts);
        call.state.claimed(&what, claim.claim.0, at.now.plus_ms(lease_ms), counts, at)
    }

    /// A call's commit is about to be asked for.
    pub(crate) fn call_committing(&mut self, commit: &DeliveryCommit, at: Moment) {
        let Some(call) = self.calls.get_mut(&commit.id).filter(|call| call.state.must_take(commit.claim.0, at)) else {
            return;
        };
        if commit.next != Next::Held {
            call.state.attempts.1 += 1;
        }
        match commit.next {
            Next::Delivered | Next::Dead { .. } => call.state.over = Over::Perhaps,
            Next::Again { .. } => call.state.failed(at),
            Next::Held => {}
        }
        let place = call.place();
        match &commit.destination {
            Some(DestinationChange::Disable { .. }) => {
                self.disabled.insert(place);
                self.paused.remove(&place);
            }
            Some(_) => drop(self.paused.remove(&place)),
            None => {}
        }
    }

    /// A call's commit was answered; `before` as in [`Model::run_committed`].
    pub(crate) fn call_committed(
        &mut self,
        commit: &DeliveryCommit,
        is_stored: bool,
        before: Call,
        at: Moment,
    ) -> Check {
        let what = format!("call {}", commit.id);
        let must = before.state.must_take(commit.claim.0, at);
        hold!(must || !is_stored, "{what} took a commit with a claim that is not its own");
        let ended = before.state.is_given_up() || before.has_expired(at);
        hold!(is_stored || !must || ended, "{what} is held, and its commit was called stale");
        if !is_stored {
            if let Some(call) = self.calls.get_mut(&commit.id).filter(|_| must) {
                call.state.over = Over::Yes;
            }
            return Ok(());
        }
        let place = before.place();
        let call = self.calls.get_mut(&commit.id).expect("it was noted");
        call.state.token = None;
        let attempts = before.state.attempts.0 + u32::from(commit.next != Next::Held);
        call.state.attempts = (attempts, attempts);
        match &commit.next {
            Next::Delivered | Next::Dead { .. } => call.state.over = Over::Yes,
            Next::Again { at } => call.state.due_at = *at,
            Next::Held => call.state.claims -= 1,
        }
        if matches!(commit.destination, Some(DestinationChange::Pause { .. })) {
            self.paused.insert(place, true);
        }
        Ok(())
    }

    /// A run's claim was given back, if that was heard of; then it was never made.
    pub(crate) fn run_released(&mut self, ticket: &RunTicket, is_known: bool, at: Moment) {
        if let Some(run) = self.runs.get_mut(&ticket.run).filter(|_| is_known) {
            run.state.released(ticket.claim.0, at);
        }
    }

    /// The same of a call's.
    pub(crate) fn call_released(&mut self, claim: &DeliveryClaim, is_known: bool, at: Moment) {
        if let Some(call) = self.calls.get_mut(&claim.id).filter(|_| is_known) {
            call.state.released(claim.claim.0, at);
        }
    }

    /// A person paused or resumed a destination; `None` is "perhaps".
    pub(crate) fn paused(&mut self, place: (usize, usize), paused: Option<bool>) {
        match paused {
            Some(paused) => self.paused.insert(place, paused),
            None => self.paused.remove(&place),
        };
    }

    /// Whoever resumes a destination enables it too.
    pub(crate) fn enabled(&mut self, place: (usize, usize)) {
        self.disabled.remove(&place);
    }

    /// A person paused or resumed a route; `None` is "perhaps".
    pub(crate) fn route_paused(&mut self, route: RouteId, paused: Option<bool>) {
        self.paused_routes.insert(route, paused);
        let others = |run: &RunId| self.runs[run].route != route;
        self.suspects.retain(others);
    }

    /// Whether a route certainly is not paused.
    fn goes(&self, run: &Run) -> bool {
        matches!(self.paused_routes.get(&run.route), None | Some(Some(false)))
    }

    /// A person asks for a run once more: from here on there may be another.
    pub(crate) fn replaying(&mut self, new: RunId) {
        self.replays.insert(new);
    }

    /// And there is.
    pub(crate) fn replayed(&mut self, run: RunId, new: RunId, at: Moment) {
        let Run { shop, route, about, .. } = self.runs[&run];
        let state = Claimable::new(at.now);
        self.runs.entry(new).or_insert(Run { state, shop, waits: false, line: None, route, about });
        self.succeeded.insert(run);
    }

    /// Runs that are over.
    pub(crate) fn over(&self) -> Vec<RunId> {
        let is_over = |run: &Run| run.state.over == Over::Yes && !self.is_removed(run.shop);
        self.runs.iter().filter(|(_, run)| is_over(run)).map(|(id, _)| *id).collect()
    }

    /// A receiver took a call.
    pub(crate) fn took(&mut self, claim: &DeliveryClaim) -> Check {
        let place = self.calls[&claim.id].place();
        let before = self.taken.insert(claim.key.clone(), place);
        hold!(before.is_none_or(|before| before == place), "two calls go out under one key {}", claim.key);
        Ok(())
    }

    /// Runs that a killed host held and that nobody can have ended: the next boot has to give them out at once.
    pub(crate) fn lost(&self, boot: u32, now: Timestamp) -> Vec<RunId> {
        let is_lost = |run: &Run| run.state.is_held(boot, now) && run.is_undecided() && self.goes(run);
        let lost = self.runs.iter().filter(|(_, run)| is_lost(run) && !self.rations.hold_runs(run.shop));
        lost.map(|(id, _)| *id).collect()
    }

    /// Tenants with a run that could be claimed now, whatever else there is.
    pub(crate) fn claimable(&self, at: Moment) -> Vec<usize> {
        let is_due = |run: &Run| run.state.due_at <= at.now && !run.state.is_held(at.boot, at.now);
        let due = |run: &&Run| run.is_plain() && is_due(run) && self.goes(run) && !self.rations.hold_runs(run.shop);
        let mut shops: Vec<usize> = self.runs.values().filter(due).map(|run| run.shop).collect();
        shops.sort_unstable();
        shops.dedup();
        shops
    }

    /// A claim gave as much as was asked for. `due` had something, `served` got something. Within one millisecond there
    /// is no order of waiting.
    pub(crate) fn turns(&mut self, due: &[usize], served: &[usize], at: Moment) -> Check {
        self.passed.retain(|shop, _| due.contains(shop) && !served.contains(shop));
        let moved = std::mem::replace(&mut self.turned_at, at.now) < at.now;
        for shop in due.iter().filter(|shop| moved && !served.contains(shop)) {
            let passed = self.passed.entry(*shop).or_default();
            *passed += 1;
            // A claim of one visits the lane that waits longest, and may spend its turn on what is given up: each lane
            // of each tenant may come first, and that twice.
            let lanes = 2 * (self.shops.len() * 3) as u32;
            hold!(*passed <= lanes, "tenant {shop} starves: {passed} claims passed it over");
        }
        Ok(())
    }

    /// When the first run or call that waits for nothing but its time is due, with some patience for calls: breakers
    /// hold them.
    pub(crate) fn earliest(&self, at: Moment) -> Option<(Timestamp, String)> {
        let when = |state: &Claimable| {
            if state.is_held(at.boot, at.now) { state.due_at.max(state.lease_until) } else { state.due_at }
        };
        let runs = self.runs.iter().filter(|(_, run)| run.is_plain() && !self.may_one_be_alone(at));
        let runs =
            runs.map(|(id, run)| (when(&run.state).max(self.runs_wait_until(run.shop, at)), format!("run {id}")));
        // What has expired or is given up ends as soon as somebody looks, and nobody is told.
        let lives = |call: &Call| call.state.over == Over::No && !call.has_expired(at) && !call.state.is_given_up();
        let calls = self.calls.iter().filter(|(_, call)| call.line.is_none() && lives(call));
        let calls = calls.map(|(id, call)| {
            let due = when(&call.state).max(self.calls_wait_until(call.shop, at));
            (due.plus_ms(PATIENCE_MS), format!("call {id}"))
        });
        runs.chain(calls).min()
    }
}

impl Claimable {
    fn failed(&mut self, at: Moment) {
        self.failed_at.get_or_insert(at.now);
    }

    /// Whether those behind it may go.
    fn lets_pass(&self, at: Moment) -> bool {
        let had_its_time = |failed_at: Timestamp| at.now.since_ms(failed_at) >= SKIP_AFTER_MS;
        self.over != Over::No || self.is_given_up() || self.failed_at.is_some_and(had_its_time)
    }
}

impl Run {
    /// Whether it certainly waits, and for nothing but its time.
    pub(crate) fn is_plain(&self) -> bool {
        self.line.is_none() && self.is_undecided()
    }

    /// Whether it certainly is not over.
    pub(crate) fn is_certain_to_wait(&self) -> bool {
        self.state.over == Over::No && !self.waits && !self.state.is_given_up()
    }

    /// Whether it is to be decided by a worker, and certainly is not yet; and no commit that nobody heard of may have
    /// put it off.
    fn is_undecided(&self) -> bool {
        let is_known = self.state.attempts.0 == self.state.attempts.1;
        !self.waits && self.state.over == Over::No && is_known && !self.state.is_given_up()
    }
}

impl Call {
    pub(crate) fn has_expired(&self, at: Moment) -> bool {
        self.expires_at.is_some_and(|expires_at| expires_at <= at.now)
    }

    /// Whether nothing keeps it in line.
    pub(crate) fn is_alone(&self) -> bool {
        self.line.is_none()
    }

    /// What its receiver knows it by.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Where it goes: its tenant and its destination.
    pub(crate) fn place(&self) -> (usize, usize) {
        (self.shop, self.destination)
    }
}

//! What the others do: what a provider sends, what a plugin decides, what a receiver answers.
//!
//! All of it follows from an item's number, as a real plugin's outcome follows from its event, so that a second run of
//! an event decides what the first did.

use bytes::Bytes;
use creel_store::contract::StoredAnswer;
use creel_webhook::delivery::Answer;
use creel_webhook::followup::DEPTH_MAX;
use creel_webhook::outcome::{Call, OnResult, Outcome, Reply};
use creel_webhook::run::Verdict;

use crate::dice::Dice;

/// What happened at a provider.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item {
    /// Its number.
    pub(crate) number: u32,
    /// Whose it is.
    pub(crate) shop: usize,
    /// Whether its sender waits for a reply.
    pub(crate) waits: bool,
    /// What keeps it in line.
    pub(crate) order: Option<u8>,
}

impl Item {
    /// Its name: the provider's id and the subject of its event.
    pub(crate) fn name(self) -> String {
        format!("item-{}", self.number)
    }

    /// The hash that a repetition has too.
    pub(crate) fn hash(self) -> [u8; 32] {
        let mut hash = [7; 32];
        hash[..4].copy_from_slice(&self.number.to_be_bytes());
        hash
    }

    /// Whether its plugin answers every result with another call.
    fn talks(self) -> bool {
        self.number.is_multiple_of(6)
    }

    /// The routes that it takes, by place.
    pub(crate) fn routes(self) -> [usize; 2] {
        if self.waits { [2, 1] } else { [0, 1] }
    }

    /// Whether the calls of a late outcome are wanted.
    pub(crate) fn keeps_late(self) -> bool {
        self.number % 2 == 1
    }

    fn dice(self, route: usize) -> Dice {
        let mut dice = Dice::new(u64::from(self.number) << 8 | route as u64);
        dice.next();
        dice
    }

    /// How its run on a route ends after so many tries.
    pub(crate) fn verdict(self, route: usize, attempts: u32) -> Verdict {
        let last = self.last_verdict(route);
        match self.dice(route).below(20) {
            0..=2 if attempts < 2 => Verdict::Retry,
            3 | 4 if attempts < 1 => Verdict::Timeout,
            _ => last,
        }
    }

    /// How its run on a route ends in the end.
    pub(crate) fn last_verdict(self, route: usize) -> Verdict {
        match self.dice(route).below(20) {
            18 => Verdict::Trap,
            19 => Verdict::Rejected,
            _ => Verdict::Done,
        }
    }

    /// What its run on a route decides.
    pub(crate) fn outcome(self, route: usize) -> Outcome {
        let mut dice = self.dice(route).fork();
        let calls = (0..dice.below(4)).map(|_| self.call(&mut dice)).collect();
        let body = Some(Bytes::from(format!("reply to {}", self.name())));
        let reply = (route == 2).then_some(Reply { status: 200, headers: vec![], body });
        Outcome { calls, reply }
    }

    fn call(self, dice: &mut Dice) -> Call {
        Call {
            destination: format!("d{}", dice.below(2)),
            method: "POST".to_owned(),
            path: format!("/{}", self.number),
            headers: vec![],
            body: Some(Bytes::from(self.name())),
            idempotency_key: None,
            order_key: dice.one_in(2).then(|| format!("k{}", dice.below(2))),
            delay_ms: dice.one_in(4).then_some(500),
            expires_ms: dice.one_in(8).then_some(20_000),
            on_result: dice.one_in(3).then(|| {
                let (on_delivered, on_dead) = dice.of(&[(true, true), (true, false), (false, true)]);
                OnResult { tag: self.name(), on_delivered, on_dead }
            }),
            attributes: vec![],
        }
    }
}

/// What a run is about: what happened at a provider, or how a call about it ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matter {
    /// What happened.
    pub(crate) item: Item,
    /// The end that is reported, if one is.
    pub(crate) heard: Option<Heard>,
}

/// How a call ended, as its plugin hears.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heard {
    /// Results in a row that led here.
    pub(crate) depth: u32,
    /// Position of the call in its outcome.
    pub(crate) index: u32,
    /// Whether it arrived.
    pub(crate) delivered: bool,
}

impl Heard {
    fn dice(self, item: Item, route: usize) -> Dice {
        let end = u64::from(self.depth) << 8 | u64::from(self.index) << 4 | u64::from(self.delivered);
        let mut dice = Dice::new(u64::from(item.number) << 24 | end << 8 | route as u64);
        dice.next();
        dice
    }
}

impl Matter {
    /// How a run on a route ends after so many tries.
    pub(crate) fn verdict(self, route: usize, attempts: u32) -> Verdict {
        let Some(heard) = self.heard else { return self.item.verdict(route, attempts) };
        if heard.dice(self.item, route).one_in(6) && attempts < 1 { Verdict::Retry } else { self.last_verdict(route) }
    }

    /// How a run on a route ends in the end.
    pub(crate) fn last_verdict(self, route: usize) -> Verdict {
        match self.heard {
            None => self.item.last_verdict(route),
            // It asks for one result too many.
            Some(heard) if heard.depth == DEPTH_MAX && self.item.talks() => Verdict::Output,
            Some(_) => Verdict::Done,
        }
    }

    /// What a run on a route decides.
    pub(crate) fn outcome(self, route: usize) -> Outcome {
        let Some(heard) = self.heard else { return self.item.outcome(route) };
        let mut dice = heard.dice(self.item, route).fork();
        let count = if self.item.talks() { 1 } else { dice.below(2) };
        let mut calls: Vec<Call> = (0..count).map(|_| self.item.call(&mut dice)).collect();
        for call in &mut calls {
            let asks = OnResult { tag: "talk".to_owned(), on_delivered: true, on_dead: true };
            call.on_result = if self.item.talks() { Some(asks) } else { call.on_result.take() };
            call.on_result.take_if(|_| heard.depth == DEPTH_MAX && !self.item.talks());
        }
        Outcome { calls, reply: None }
    }
}

/// An answer for a sender.
pub(crate) fn answer(status: u16, body: String) -> StoredAnswer {
    StoredAnswer { status, headers: vec![("content-type".to_owned(), "text/plain".to_owned())], body: body.into() }
}

/// How a receiver does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// It takes what comes.
    Well,
    /// It answers 503.
    Failing,
    /// It takes the call and then says nothing.
    AcceptsAndHangs,
    /// Nothing arrives.
    Unreachable,
    /// It answers 429 and when to come back.
    Busy,
    /// It answers 400.
    Refusing,
    /// It answers 401.
    Forbidding,
    /// It answers 410.
    Gone,
}

impl Mood {
    /// All of them; most receivers are well.
    pub(crate) const ALL: [Mood; 11] = [
        Mood::Well,
        Mood::Well,
        Mood::Well,
        Mood::Well,
        Mood::Failing,
        Mood::AcceptsAndHangs,
        Mood::Unreachable,
        Mood::Busy,
        Mood::Refusing,
        Mood::Forbidding,
        Mood::Gone,
    ];

    /// What a call meets: whether it was taken, and what the sender hears.
    pub(crate) fn meet(self) -> (bool, Answer) {
        let status = |status, retry_after_ms| Answer::Status { status, retry_after_ms };
        match self {
            Mood::Well => (true, status(200, None)),
            Mood::Failing => (false, status(503, None)),
            Mood::AcceptsAndHangs => (true, Answer::Timeout),
            Mood::Unreachable => (false, Answer::Transport),
            Mood::Busy => (false, status(429, Some(3_000))),
            Mood::Refusing => (false, status(400, None)),
            Mood::Forbidding => (false, status(401, None)),
            Mood::Gone => (false, status(410, None)),
        }
    }
}

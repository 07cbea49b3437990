//! One simulation: a host's life, step by step, as the seed says.
//!
//! Providers send and send again, alone or several at once; workers claim, run and commit, or forget that they claimed,
//! or commit twice, or too late; senders claim, call and commit, and the power goes in between; people pause and
//! resume. Verbs are asked one at a time, or queued behind a commit that is held so that they become one batch, so a
//! seed plays the same on every machine. What is asked and what is said goes to the [`Model`], which knows what may not
//! be.

mod providers;
mod senders;
mod verbs;
mod workers;

use std::fmt::Write as _;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use creel_store::contract::{DeliveryClaim, RunTicket, Store, StoreResult, Terms};
use creel_store::sqlite::SqliteStore;
use creel_webhook::clock::Timestamp;
use creel_webhook::delivery::Answer;
use creel_webhook::id::{EventId, Id, Kind, RunId, TenantId};

use crate::dice::Dice;
use crate::disk::{Disk, Image};
use crate::model::{Check, Model, Moment, hold};
use crate::script::{Item, Mood};
use crate::vfs::Mounted;
use crate::world::{BODY_DAYS, START, TENANTS, World, id, options};

/// How long a worker may hold a run, milliseconds.
const RUN_LEASE_MS: u64 = 10_000;

/// Steps before the end.
const STEPS: u64 = 80;

/// What a provider has to tell: sent until it is acknowledged, and sometimes again.
#[derive(Debug, Clone)]
struct Message {
    number: u32,
    items: Vec<Item>,
    acknowledged: bool,
}

/// A sender who waits for a reply.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    tenant: TenantId,
    event: EventId,
    deadline: Timestamp,
}

/// A simulation.
pub(crate) struct Sim {
    world: &'static World,
    dice: Dice,
    mounted: Mounted,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) now: Timestamp,
    /// The latest time that the store was told since it was opened.
    latest: Timestamp,
    pub(crate) model: Model,
    boot: u32,
    numbers: u64,
    messages: Vec<Message>,
    waiting: Vec<Waiting>,
    jobs: Vec<RunTicket>,
    held: Vec<DeliveryClaim>,
    sent: Vec<(DeliveryClaim, Answer)>,
    moods: [[Mood; 2]; TENANTS],
    /// Whether workers and senders were told to look.
    pub(crate) woken: [bool; 2],
    /// When they last looked.
    pub(crate) looked: [Timestamp; 2],
    /// What happened, for whoever reads a failure.
    pub(crate) story: String,
}

impl Sim {
    /// Begins a life on a fresh copy of the world's disk.
    pub(crate) async fn begin(world: &'static World, seed: u64) -> Check<Sim> {
        let mut dice = Dice::new(seed);
        let (mounted, store) = boot(&world.image, &mut dice)?;
        let (mut model, mut moods) = (Model::default(), dice.fork());
        model.shops.clone_from(&world.shops);
        let sim = Sim {
            world,
            dice,
            mounted,
            store: Arc::new(store),
            now: START.plus_ms(1_000),
            latest: Timestamp::default(),
            model,
            boot: 1,
            numbers: 1_000,
            messages: Vec::new(),
            waiting: Vec::new(),
            jobs: Vec::new(),
            held: Vec::new(),
            sent: Vec::new(),
            moods: std::array::from_fn(|_| std::array::from_fn(|_| moods.of(&Mood::ALL))),
            woken: [true; 2],
            looked: [Timestamp::default(); 2],
            story: String::new(),
        };
        Ok(sim)
    }

    /// How many of something to claim at once.
    pub(crate) fn of(&mut self, choices: &[u32]) -> u32 {
        self.dice.of(choices)
    }

    /// Lives through all steps; at the end everything is well and nobody was told wrong.
    pub(crate) async fn live(&mut self) -> Check {
        for _ in 0..STEPS {
            self.step().await?;
            if self.is_over() {
                self.reboot().await?;
            }
        }
        loop {
            self.mounted.disk.mend();
            if !self.is_over() {
                break;
            }
            self.reboot().await?;
        }
        if self.dice.one_in(2) {
            // A host that hangs for ever.
            self.forget();
        }
        // What was answered before everything was well may still pause something.
        self.finish_calls().await?;
        if self.dice.one_in(3) {
            self.age().await?;
        }
        self.recover().await?;
        crate::drain::drain(self).await?;
        crate::verdict::judge(self).await
    }

    /// Whether this host is no more: the power is off, or it ends because it does not know what its disk holds.
    fn is_over(&self) -> bool {
        let broken = pin!(self.store.broken());
        if broken.poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            self.mounted.disk.cut();
        }
        self.mounted.disk.is_dead()
    }

    pub(crate) fn note(&mut self, what: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.story, "  {:>7} {what}", self.now.since_ms(START));
    }

    /// Whoever had something in hand is gone.
    fn forget(&mut self) {
        self.jobs.clear();
        self.held.clear();
        self.sent.clear();
    }

    /// This moment.
    pub(crate) fn at(&self) -> Moment {
        Moment { now: self.now, boot: self.boot }
    }

    /// A time to tell: now, or a clock that went back.
    fn told_time(&mut self) -> Timestamp {
        // The store has to be told the time once before it can know that a clock went back.
        let is_known = std::mem::replace(&mut self.latest, self.now) == self.now;
        if is_known && self.dice.one_in(8) { self.now.minus_ms(5_000) } else { self.now }
    }

    pub(crate) fn id<K: Kind>(&mut self) -> Id<K> {
        self.numbers += 1;
        id(self.numbers)
    }

    /// What a verb gave; `None` when the power went meanwhile or the disk refused, so that nobody knows.
    pub(crate) fn known<T>(&mut self, what: &str, result: StoreResult<T>) -> Check<Option<T>> {
        self.listen();
        match result {
            Ok(value) => Ok(Some(value)),
            Err(_) if self.mounted.disk.is_dead() => {
                self.note(format_args!("{what}: the power went"));
                Ok(None)
            }
            Err(_) if self.mounted.disk.has_refused() => {
                self.note(format_args!("{what}: the disk refused"));
                self.model.refused();
                Ok(None)
            }
            Err(error) => Err(format!("{what} failed: {error}")),
        }
    }

    /// Takes the wake-ups that were raised, as the pumps of a host would.
    fn listen(&mut self) {
        let wakeups = self.store.wakeups();
        for (woken, notify) in self.woken.iter_mut().zip([wakeups.runs, wakeups.deliveries]) {
            let notified = pin!(notify.notified());
            *woken |= notified.poll(&mut Context::from_waker(Waker::noop())).is_ready();
        }
    }

    async fn step(&mut self) -> Check {
        self.mounted.disk.forgive();
        match self.dice.below(45) {
            0..=3 => self.send_new().await,
            4..=7 => self.send_again().await,
            8..=11 => self.burst().await,
            12..=15 => self.claim_runs().await,
            16..=21 => self.finish_run().await,
            22..=25 => self.claim_calls().await,
            26..=29 => self.call(),
            30..=32 => self.finish_call_or_repeat().await,
            33 => self.give_back().await,
            34..=36 => self.person().await,
            37 => match self.dice.below(TENANTS as u64) as usize {
                shop if self.dice.one_in(3) => self.replay_dead_runs(shop).await,
                shop if self.dice.one_in(2) => self.replay_calls(shop).await,
                _ => self.replay().await,
            },
            38 => self.maintain().await,
            39 | 40 => self.advance().await,
            41 | 42 => self.fail(),
            43 => self.refuse(),
            _ => self.restart().await,
        }
    }

    // ---- people, time, upkeep, power -----------------------------------------------------------------------------

    async fn person(&mut self) -> Check {
        let place = (self.dice.below(TENANTS as u64) as usize, self.dice.below(2) as usize);
        if self.dice.one_in(2) {
            self.moods[place.0][place.1] = self.dice.of(&Mood::ALL);
            return Ok(());
        }
        let paused = self.dice.one_in(2);
        if self.dice.one_in(3) {
            let route = self.dice.below(3) as usize;
            return self.pause_route(place.0, route, paused).await;
        }
        self.pause(place, paused).await
    }

    async fn pause_route(&mut self, shop: usize, number: usize, paused: bool) -> Check {
        let mut route = self.world.shops[shop].route(number);
        route.paused = paused;
        let id = route.id;
        self.model.route_paused(id, None);
        let done = self.store.route_put(route).await;
        let known = self.known("pause of a route", done)?;
        self.model.route_paused(id, known.map(|()| paused));
        Ok(())
    }

    /// A person wants a run once more.
    async fn replay(&mut self) -> Check {
        let over = self.model.over();
        if over.is_empty() {
            return Ok(());
        }
        let place = self.dice.below(over.len() as u64) as usize;
        let (run, new, at) = (over[place], self.id(), self.at());
        let tenant = self.world.shops[self.model.runs[&run].shop].tenant;
        self.model.replaying(new);
        let replayed = self.store.run_replay(tenant, run, new, Terms::default(), self.now).await;
        if self.known("replay", replayed)?.is_some() {
            self.note(format_args!("replayed {run} as {new}"));
            self.model.replayed(run, new, at);
        }
        Ok(())
    }

    async fn pause(&mut self, (shop, destination): (usize, usize), paused: bool) -> Check {
        let own = self.world.shops[shop];
        let reason = paused.then(|| "tea".to_owned());
        self.model.paused((shop, destination), None);
        let done = self.store.destination_pause(own.tenant, own.destinations[destination], reason, self.now).await;
        let known = self.known("pause", done)?;
        self.model.paused((shop, destination), known.map(|()| paused));
        if known.is_some() && !paused {
            self.model.enabled((shop, destination));
        }
        Ok(())
    }

    /// Everything outside is well again.
    async fn recover(&mut self) -> Check {
        self.moods = [[Mood::Well; 2]; TENANTS];
        for shop in 0..TENANTS {
            for destination in 0..2 {
                self.pause((shop, destination), false).await?;
            }
            for route in 0..3 {
                self.pause_route(shop, route, false).await?;
            }
        }
        Ok(())
    }

    async fn maintain(&mut self) -> Check {
        let pruned = self.store.prune(self.now).await;
        self.known("upkeep", pruned).map(|_| ())
    }

    /// Days pass in which nobody did anything, and what is too old goes; what is pending never is.
    async fn age(&mut self) -> Check {
        self.now = self.now.plus_ms((BODY_DAYS + 1) * 86_400_000);
        self.note(format_args!("days pass"));
        self.tell_waiting().await?;
        while self.store.prune(self.now).await.map_err(|error| error.to_string())? {}
        Ok(())
    }

    async fn advance(&mut self) -> Check {
        let millis = self.dice.of(&[1, 10, 200, 700, 1_500, 6_000, 12_000]);
        self.now = self.now.plus_ms(millis);
        self.tell_waiting().await
    }

    /// Senders whose time is over are told something.
    pub(crate) async fn tell_waiting(&mut self) -> Check {
        let over: Vec<Waiting> = self.waiting.iter().copied().filter(|sender| sender.deadline <= self.now).collect();
        self.waiting.retain(|sender| sender.deadline > self.now);
        for sender in over {
            let told = self.store.reply_fallback(sender.tenant, sender.event, self.now).await;
            if let Some(answer) = self.known("fallback", told)? {
                self.model.replied(sender.event, &answer)?;
            }
        }
        Ok(())
    }

    /// Lights a fuse: the power goes within one of the next verbs, or at once.
    fn fail(&mut self) -> Check {
        match self.dice.below(24) {
            0..=3 => self.mounted.disk.cut(),
            operations => self.mounted.disk.cut_after(operations - 3),
        }
        Ok(())
    }

    /// The disk is to refuse an operation of one of the next verbs.
    fn refuse(&mut self) -> Check {
        self.mounted.disk.refuse_after(self.dice.below(12));
        Ok(())
    }

    /// Ends well and begins again.
    async fn restart(&mut self) -> Check {
        if !self.dice.one_in(3) {
            return Ok(());
        }
        let closed = self.store.close().await;
        self.known("close", closed)?;
        if !self.mounted.disk.is_dead() {
            self.mounted.disk.cut();
        }
        Ok(())
    }

    /// The power is back: what the disk kept is opened.
    async fn reboot(&mut self) -> Check {
        let lost = self.model.lost(self.boot, self.now);
        self.model.crashed();
        self.boot += 1;
        self.forget();
        // Whoever waited heard nothing and asks again.
        for sender in std::mem::take(&mut self.waiting) {
            let item = self.model.item_of(sender.event).map(|item| item.number);
            let asks = self.messages.iter_mut().find(|message| Some(message.items[0].number) == item);
            asks.into_iter().for_each(|message| message.acknowledged = false);
        }
        let (mounted, store) = boot(&self.mounted.disk.survivor(), &mut self.dice)?;
        (self.mounted, self.store) = (mounted, Arc::new(store));
        (self.woken, self.looked, self.latest) = ([true; 2], [Timestamp::default(); 2], Timestamp::default());
        let boot = self.boot;
        self.note(format_args!("boot {boot}"));
        // The first verb of a boot tells the true time.
        self.maintain().await?;
        if self.dice.one_in(2) { self.claim_at_once(&lost).await } else { Ok(()) }
    }

    /// What the host before held is given out at once.
    async fn claim_at_once(&mut self, lost: &[RunId]) -> Check {
        loop {
            match self.claim_runs_upto(64).await? {
                None => return Ok(()),
                Some(0) => break,
                Some(_) => {}
            }
        }
        for run in lost {
            let state = &self.model.runs[run].state;
            hold!(
                state.is_held(self.boot, self.now),
                "run {run} was held by a killed host and is not due after its restart"
            );
        }
        Ok(())
    }
}

/// Opens the store on what a disk kept, and again while the power goes meanwhile.
fn boot(image: &Image, dice: &mut Dice) -> Check<(Mounted, SqliteStore)> {
    let mut image = image.clone();
    loop {
        let mounted = Mounted::new(Disk::new(&image, dice.fork()));
        if dice.one_in(8) {
            mounted.disk.cut_after(dice.below(12));
        }
        match SqliteStore::open(mounted.database(), options(mounted.disk.clone())) {
            Ok(store) => return Ok((mounted, store)),
            Err(_) if mounted.disk.is_dead() => image = mounted.disk.survivor(),
            Err(error) => return Err(format!("the store does not open: {error}")),
        }
    }
}

//! One simulation: a host's life, step by step, as the seed says.
//!
//! Providers send and send again, alone or several at once; workers claim, run and commit, or forget that they claimed,
//! or commit twice, or too late; senders claim, call and commit, and the power goes in between; people pause and
//! resume. Verbs are asked one at a time, or queued behind a commit that is held so that they become one batch, so a
//! seed plays the same on every machine. What is asked and what is said goes to the [`Model`], which knows what may not
//! be.

mod providers;
mod removal;
mod senders;
mod verbs;
mod workers;

use std::fmt::Write as _;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use creel_store::contract::{DeliveryClaim, RunTicket, Store, StoreError, StoreResult, Terms};
use creel_store::sqlite::{Options, SqliteStore};
use creel_webhook::clock::Timestamp;
use creel_webhook::delivery::Answer;
use creel_webhook::id::{EventId, Id, Kind, RunId, TenantId};
use creel_webhook::quota::renewed_at;

use self::removal::Removal;
use crate::dice::Dice;
use crate::disk::{Disk, Image};
use crate::memory::Memory;
use crate::model::{Check, Model, Moment, hold};
use crate::results::Stories;
use crate::script::{Item, Mood};
use crate::vfs::Mounted;
use crate::world::{START, TENANTS, World, id, options};

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
    /// When a sender was told to come back whose tenant had nothing left of its day.
    pub(crate) comes_back: Option<Timestamp>,
    removal: Removal,
    pub(crate) jobs: Vec<RunTicket>,
    /// What workers have read of what plugins remember.
    pub(crate) memory: Memory,
    held: Vec<DeliveryClaim>,
    sent: Vec<(DeliveryClaim, Answer)>,
    moods: [[Mood; 2]; TENANTS],
    /// Whether workers and senders were told to look.
    pub(crate) woken: [bool; 2],
    /// When they last looked.
    pub(crate) looked: [Timestamp; 2],
    /// Notices of before that may have gone by age.
    pub(crate) forgotten_until: Timestamp,
    /// What went by age, as it was.
    pub(crate) gone: Stories,
    /// What happened, for whoever reads a failure.
    pub(crate) story: String,
}

impl Sim {
    /// Begins a life on a fresh copy of the world's disk.
    pub(crate) async fn begin(world: &'static World, seed: u64) -> Check<Sim> {
        let mut dice = Dice::new(seed);
        let (mounted, store, _) = boot(&world.image, &mut dice, &[], START)?;
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
            comes_back: None,
            removal: Removal::Never,
            jobs: Vec::new(),
            memory: Memory::default(),
            held: Vec::new(),
            sent: Vec::new(),
            moods: std::array::from_fn(|_| std::array::from_fn(|_| moods.of(&Mood::ALL))),
            woken: [true; 2],
            looked: [Timestamp::default(); 2],
            forgotten_until: Timestamp::default(),
            gone: Stories::new(),
            story: String::new(),
        };
        Ok(sim)
    }

    /// One of these, if there is one.
    pub(crate) fn one_of<T: Copy>(&mut self, choices: &[T]) -> Option<T> {
        (!choices.is_empty()).then(|| self.dice.of(choices))
    }

    /// Messages whose senders were told that they are stored and did not wait for more.
    pub(crate) fn acknowledged_messages(&self) -> Vec<usize> {
        let is_known = |message: &Message| message.acknowledged && message.items.iter().all(|item| !item.waits);
        (0..self.messages.len()).filter(|number| is_known(&self.messages[*number])).collect()
    }

    /// Whether records went by age.
    pub(crate) fn has_forgotten(&self) -> bool {
        self.forgotten_until > Timestamp::default()
    }

    /// Nobody waits for a reply for weeks: such senders have given up.
    pub(crate) fn give_up_waiting(&mut self) {
        let waiting = self.messages.iter_mut().filter(|message| message.items[0].waits);
        waiting.for_each(|message| message.acknowledged = true);
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
        self.look_who_left().await?;
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
        Moment { now: self.now, boot: self.boot, syncs: self.mounted.disk.syncs() }
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
        self.look_who_left().await?;
        match self.dice.below(48) {
            0..=3 => self.send_new().await,
            4..=7 => self.send_again().await,
            8..=11 => self.burst().await,
            12..=15 => self.claim_runs().await,
            16..=21 => self.finish_run().await,
            22..=25 => self.claim_calls().await,
            26..=29 => self.call(),
            30..=32 => self.finish_call_or_repeat().await,
            33 if self.dice.one_in(2) => self.erase().await,
            33 => self.give_back().await,
            34..=36 => self.person().await,
            37 => match self.dice.below(TENANTS as u64) as usize {
                shop if self.dice.one_in(3) => self.replay_dead_runs(shop).await,
                shop if self.dice.one_in(2) => self.replay_calls(shop).await,
                _ => self.replay().await,
            },
            38 => self.maintain().await,
            39 | 40 => self.advance().await,
            41 | 42 => self.fail().await,
            43 => self.refuse(),
            44 | 45 => self.limit().await,
            46 => self.leave().await,
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
        if self.model.is_removed(shop) {
            return Ok(());
        }
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
        let event = self.model.runs[&run].about.event;
        if let Err(StoreError::Conflict(why)) = &replayed {
            // What follows from it may have been erased with what it follows from.
            hold!(why.contains("erased"), "{run} is over and was not replayed: {why}");
            return Ok(());
        }
        if self.known("replay", replayed)?.is_some() {
            hold!(!self.model.erased.contains(&event), "{event} has lost its payload and was replayed");
            self.note(format_args!("replayed {run} as {new}"));
            self.model.replayed(run, new, at);
        }
        Ok(())
    }

    async fn pause(&mut self, (shop, destination): (usize, usize), paused: bool) -> Check {
        if self.model.is_removed(shop) {
            return Ok(());
        }
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

    async fn advance(&mut self) -> Check {
        let millis = self.dice.of(&[1, 10, 200, 700, 1_500, 6_000, 12_000]);
        self.now = self.now.plus_ms(millis);
        if self.dice.one_in(6) {
            self.now = renewed_at(self.now);
            self.note(format_args!("midnight"));
        }
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

    /// Lights a fuse: the power goes within one of the next verbs, or at once; often while something is decided.
    async fn fail(&mut self) -> Check {
        match self.dice.below(24) {
            0..=3 => self.mounted.disk.cut(),
            operations => self.mounted.disk.cut_after(operations - 3),
        }
        match self.dice.below(4) {
            0 | 1 if !self.mounted.disk.is_dead() => self.finish_run().await,
            2 if !self.mounted.disk.is_dead() => self.finish_call().await,
            _ => Ok(()),
        }
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

    /// The power goes and is back.
    pub(crate) async fn power_cut(&mut self) -> Check {
        self.mounted.disk.cut();
        while self.is_over() {
            self.reboot().await?;
        }
        Ok(())
    }

    /// The power is back: what the disk kept is opened.
    async fn reboot(&mut self) -> Check {
        let lost = self.model.lost(self.boot, self.now);
        let under_way = self.under_way();
        self.model.crashed(self.at(), &under_way);
        self.boot += 1;
        self.forget();
        // Whoever waited heard nothing and asks again.
        for sender in std::mem::take(&mut self.waiting) {
            let item = self.model.item_of(sender.event).map(|item| item.number);
            let asks = self.messages.iter_mut().find(|message| Some(message.items[0].number) == item);
            asks.into_iter().for_each(|message| message.acknowledged = false);
        }
        let (mounted, store, at_once) = boot(&self.mounted.disk.survivor(), &mut self.dice, &under_way, self.now)?;
        if !at_once {
            // What it knew of suspects died with the power.
            self.model.suspects.clear();
        }
        (self.mounted, self.store) = (mounted, Arc::new(store));
        (self.woken, self.looked, self.latest) = ([true; 2], [Timestamp::default(); 2], Timestamp::default());
        let boot = self.boot;
        self.note(format_args!("boot {boot}"));
        // The first verb of a boot tells the true time.
        self.maintain().await?;
        self.look_who_left().await?;
        if self.dice.one_in(2) && self.model.perhaps_suspects.is_empty() {
            self.claim_at_once(&lost).await
        } else {
            Ok(())
        }
    }

    /// What a host that died had begun: a plugin runs or does not yet, a call is on its way or not yet.
    fn under_way(&mut self) -> Vec<[u8; 16]> {
        let runs: Vec<_> = self.jobs.iter().map(|ticket| *ticket.run.as_bytes()).collect();
        let mut begun: Vec<_> = runs.into_iter().filter(|_| self.dice.one_in(2)).collect();
        begun.extend(self.sent.iter().map(|(claim, _)| *claim.id.as_bytes()));
        begun
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
        for run in lost.iter().filter(|run| !self.model.is_removed(self.model.runs[run].shop)) {
            let state = &self.model.runs[run].state;
            hold!(
                state.is_held(self.boot, self.now),
                "run {run} was held by a killed host and is not due after its restart"
            );
        }
        Ok(())
    }
}

/// Opens the store on what a disk kept, and again while the power goes meanwhile; says whether it opened at once.
fn boot(image: &Image, dice: &mut Dice, under_way: &[[u8; 16]], now: Timestamp) -> Check<(Mounted, SqliteStore, bool)> {
    let (mut image, mut at_once) = (image.clone(), true);
    loop {
        let mounted = Mounted::new(Disk::new(&image, dice.fork()));
        if dice.one_in(8) {
            mounted.disk.cut_after(dice.below(12));
        }
        let options = Options { under_way: under_way.to_vec(), opened_at: now, ..options(mounted.disk.clone()) };
        match SqliteStore::open(mounted.database(), options) {
            Ok(store) => return Ok((mounted, store, at_once)),
            Err(_) if mounted.disk.is_dead() => (image, at_once) = (mounted.disk.survivor(), false),
            Err(error) => return Err(format!("the store does not open: {error}")),
        }
    }
}

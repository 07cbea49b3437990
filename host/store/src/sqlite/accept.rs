//! A verified request becomes events and runs, or is recognised.
//!
//! First every event is looked up in the dedup table, repetitions within the request included. If none is new, the
//! first answer is given and only a counter moves. Otherwise quota and space are checked, and what is new is inserted:
//! its keys are remembered last, when nothing can fail any more. All of it is one item of the writer's batch, so
//! parallel repetitions find each other's keys, committed or not yet. Its rows are written with those of other accepts
//! (`inserts`).

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use creel_webhook::clock::Timestamp;
use creel_webhook::id::{EventId, RouteId, TenantId};
use creel_webhook::notice::Fact;
use creel_webhook::run::Verdict;
use rusqlite::params;

use crate::contract::{Accept, Accepted, FirstAnswer, RefusalRow, RunTicket, StoreError, StoredAnswer, Used};
use crate::planted::{self, Bug};
use crate::sqlite::arrivals::Place;
use crate::sqlite::dedup::Key;
use crate::sqlite::inserts::{At, EventRow, Packed, RequestRow, RunRow, Start};
use crate::sqlite::lanes::{self, Work};
use crate::sqlite::notices;
use crate::sqlite::rations;
use crate::sqlite::reply;
use crate::sqlite::shares;
use crate::sqlite::statement::{Sql, exec, first};
use crate::sqlite::transaction::Tx;
use crate::sqlite::usage;

/// Refusals kept per tenant: enough to see what goes on, few enough that a flood of forgeries fills nothing.
const REFUSALS_PER_TENANT_MAX: i64 = 1_000;

/// Bits of a run's `seq` that number the runs of one request.
const SEQ_BITS: u32 = 20;

/// The verb.
pub(super) fn accept(tx: &mut Tx<'_>, packed: &Arc<Packed>) -> Sql<Accepted> {
    let accept = &packed.accept;
    let now = tx.now(accept.request.received_at);
    tx.tenant_is_there(accept.tenant, now)?;
    let firsts = recognise(tx, accept, now)?;
    let numbers: Vec<usize> = (0..firsts.len()).filter(|number| firsts[*number].is_none()).collect();
    let new = || numbers.iter().map(|number| &accept.events[*number]);
    if numbers.is_empty() {
        count_duplicates(tx, accept.tenant, &firsts)?;
        return Ok(Accepted::Duplicate(first_answer(tx, accept, firsts.iter().flatten())?));
    }
    let used = Used { events: numbers.len() as u64, bytes_in: accept.request.body.len() as u64, ..Used::default() };
    if let Some((quota, until)) = rations::refusal(tx, accept.tenant, used.events, used.bytes_in, now)? {
        return Ok(Accepted::OverDailyQuota { quota, until });
    }
    let runs: u64 = new().map(|event| event.runs.len() as u64).sum();
    let mut room = None;
    if runs > 0 {
        let conn = tx.conn;
        let stored = || lanes::pending_count(conn, accept.tenant, Work::Runs);
        let pending = tx.memory.arrivals.pending(accept.tenant, stored)?;
        if pending + runs > accept.pending_runs_max {
            // A sender that waits is told the fallback and does not come back: what it sent must be kept.
            if !new().any(|event| event.awaited().is_some()) {
                return Ok(Accepted::OverQuota { pending });
            }
            room = Some(accept.pending_runs_max.saturating_sub(pending));
        }
    }
    check_space(tx)?;
    let batch = store(tx, packed, &numbers, now, room)?;
    count_duplicates(tx, accept.tenant, &firsts)?;
    let first = match firsts.first() {
        Some(Some(event)) => Some(first_answer(tx, accept, std::iter::once(event))?),
        _ => None,
    };
    // From here on nothing fails: what is kept in memory is never ahead of the tables.
    batch.arrive(tx);
    usage::add(tx, accept.tenant, now, used);
    for event in new() {
        for hash in &event.dedup_keys {
            tx.memory.dedup.remember(Key::new(accept.tenant, accept.source, hash), event.id, event.dedup_until);
        }
    }
    Ok(Accepted::Stored {
        events: new().map(|event| event.id).collect(),
        duplicates: (firsts.len() - numbers.len()) as u32,
        first,
        reply: batch.reply,
    })
}

/// Stores an event that the store makes itself. It belongs to what has happened already, so neither quota nor space
/// refuse it.
pub(super) fn internal(tx: &mut Tx<'_>, accept: Accept, now: Timestamp) -> Sql<()> {
    let packed = Arc::new(Packed::new(accept));
    let events: Vec<usize> = (0..packed.accept.events.len()).collect();
    store(tx, &packed, &events, now, None)?.arrive(tx);
    // Its verb goes on with what is in the tables, lanes and turns.
    tx.write_inserts()?;
    lanes::write_arrivals(tx)
}

/// Stores a request with these of its events. Lanes and turns don't know of it before the batch arrives.
fn store<'a>(
    tx: &mut Tx<'_>,
    packed: &'a Arc<Packed>,
    events: &[usize],
    now: Timestamp,
    room: Option<u64>,
) -> Sql<Batch<'a>> {
    let seq = tx.next_request();
    let row = RequestRow { packed: packed.clone(), seq, events: events.to_vec() };
    tx.memory.inserts.request(tx.conn, row)?;
    if planted::is(Bug::DedupApart) {
        tx.write_inserts()?;
        tx.split(Bug::DedupApart)?;
    }
    let mut batch = Batch { packed, seq, now, room, next_run: 0, pending: 0, due: Vec::new(), reply: None };
    for event in events.iter().copied() {
        let row = EventRow { packed: packed.clone(), event, request: seq };
        tx.memory.inserts.event(tx.conn, row)?;
        (0..packed.accept.events[event].runs.len()).try_for_each(|run| batch.insert_run(tx, At { event, run }))?;
    }
    Ok(batch)
}

/// For each event the one that it repeats.
fn recognise(tx: &Tx<'_>, accept: &Accept, now: Timestamp) -> Sql<Vec<Option<EventId>>> {
    let mut here: HashMap<&[u8; 32], EventId> = HashMap::new();
    let mut firsts = Vec::with_capacity(accept.events.len());
    for event in &accept.events {
        let mut known = None;
        for hash in &event.dedup_keys {
            known = match here.get(hash) {
                Some(first) => Some(*first),
                None => tx.memory.dedup.find(tx.conn, &Key::new(accept.tenant, accept.source, hash), now)?,
            };
            if known.is_some() {
                break;
            }
        }
        // Behind the last of a request nothing can repeat it.
        if known.is_none() && firsts.len() + 1 < accept.events.len() {
            here.extend(event.dedup_keys.iter().map(|hash| (hash, event.id)));
        }
        firsts.push(known);
    }
    Ok(firsts)
}

fn count_duplicates(tx: &mut Tx<'_>, tenant: TenantId, firsts: &[Option<EventId>]) -> Sql<()> {
    if firsts.iter().any(Option::is_some) {
        // What they repeat may be of this batch, or of this request.
        tx.write_inserts()?;
    }
    for event in firsts.iter().flatten() {
        let sql = "UPDATE event SET duplicates = duplicates + 1 WHERE tenant = ?1 AND id = ?2";
        exec(tx.conn, sql, params![tenant.as_bytes(), event.as_bytes()])?;
    }
    Ok(())
}

/// What the first was told. An event that waits for a reply speaks for its request; a forgotten one gives the word to
/// the answer that would be given now.
fn first_answer<'e>(tx: &Tx<'_>, accept: &Accept, firsts: impl Iterator<Item = &'e EventId>) -> Sql<FirstAnswer> {
    let mut told: Option<StoredAnswer> = None;
    for event in firsts {
        if let Some(reply) = reply::load(tx.conn, accept.tenant, *event)? {
            return Ok(match reply.answer {
                Some(answer) => FirstAnswer::Told(answer),
                None => FirstAnswer::Pending { event: *event, deadline: reply.deadline },
            });
        }
        if told.is_none() {
            told = reply::told(tx.conn, accept.tenant, *event)?;
        }
    }
    Ok(FirstAnswer::Told(told.unwrap_or_else(|| accept.answer.clone())))
}

fn check_space(tx: &mut Tx<'_>) -> Sql<()> {
    let (used, max) = (tx.used()?, tx.memory.bytes_max);
    if used >= max { Err(StoreError::Full { used, max }.into()) } else { Ok(()) }
}

/// The inserts of one accept.
struct Batch<'a> {
    packed: &'a Arc<Packed>,
    seq: i64,
    now: Timestamp,
    /// Runs that may still become pending, once the tenant is over its limit.
    room: Option<u64>,
    next_run: i64,
    pending: u64,
    /// When something is due, and whether that is the end of its claim.
    due: Vec<(Place, Timestamp, bool)>,
    reply: Option<RunTicket>,
}

impl Batch<'_> {
    fn insert_run(&mut self, tx: &mut Tx<'_>, at: At) -> Sql<()> {
        let accept = &self.packed.accept;
        let (tenant, event) = (accept.tenant, &accept.events[at.event]);
        let run = &event.runs[at.run];
        let seq = (self.seq << SEQ_BITS) | self.next_run;
        self.next_run += 1;
        if let Some(reply) = &run.reply {
            reply::insert(tx, tenant, event.id, run.id, reply)?;
        }
        let (packed, now) = (self.packed, self.now);
        let row = |lane, start| RunRow { packed: packed.clone(), at, seq, lane, start, now };
        let Some(place) = lanes::place(tx, tenant, run.route)? else {
            return self.insert_row(tx, row(0, Start::Ended(Verdict::Host, "its route was removed".into())));
        };
        let lane = place.lane;
        let start = match &run.reply {
            reply if self.has_no_room(reply.is_some()) => {
                let max = self.packed.accept.pending_runs_max;
                Start::Ended(
                    Verdict::Unanswered,
                    format!("the tenant may have {max} runs pending (`pending_runs_max`) and has").into(),
                )
            }
            Some(reply) => match (refusal_of(tx, tenant, run.route, self.now)?, reply.claim) {
                (Some(why), _) => Start::Ended(Verdict::Unanswered, why),
                (None, Some(claim)) => {
                    let own = planted::is(Bug::ClaimOfItsOwn).then(|| tx.shared.claim_token());
                    Start::Claimed(own.unwrap_or(claim.token), lanes::lease_until(self.now, claim.lease_ms))
                }
                (None, None) => Start::Ended(Verdict::Unanswered, "no slot for a reply was free".into()),
            },
            None => {
                if run.order_key.is_some() {
                    // Whoever is before it may be in this batch.
                    tx.write_inserts()?;
                }
                lanes::due_behind(tx.conn, Work::Runs, lane, run.order_key.as_deref(), self.now)?
                    .map_or(Start::Blocked, Start::Due)
            }
        };
        let due_at = match &start {
            Start::Due(at) => Some((*at, false)),
            Start::Claimed(_, at) => Some((*at, true)),
            Start::Blocked | Start::Ended(..) => None,
        };
        self.insert_row(tx, row(lane, start))?;
        self.due.extend(due_at.map(|(at, is_claimed)| (place, at, is_claimed)));
        Ok(())
    }

    /// Hands over what lanes and turns have to know.
    fn arrive(&self, tx: &mut Tx<'_>) {
        let (tenant, arrivals) = (self.packed.accept.tenant, &mut tx.memory.arrivals);
        arrivals.add(tenant, self.pending);
        for (place, at, is_claimed) in &self.due {
            arrivals.due(tenant, *place, *at, *is_claimed);
        }
    }

    /// Whether a run cannot become pending. A reply run's place could only be that of another run of its request.
    fn has_no_room(&self, is_reply: bool) -> bool {
        self.room.is_some_and(|room| is_reply || self.pending >= room)
    }

    fn insert_row(&mut self, tx: &mut Tx<'_>, row: RunRow) -> Sql<()> {
        let accept = &self.packed.accept;
        let (tenant, event) = (accept.tenant, &accept.events[row.at.event]);
        let run = &event.runs[row.at.run];
        let ended = if let Start::Ended(verdict, _) = &row.start { Some(*verdict) } else { None };
        let (claim, due_at) = row.start.claim_and_due();
        tx.memory.inserts.run(tx.conn, row)?;
        if let Some(verdict) = ended {
            // What is told of its end may look for it.
            tx.write_inserts()?;
            let fact = Fact::RunDead { run: run.id, event: event.id, route: run.route, plugin: run.plugin, verdict };
            notices::tell(tx, tenant, &fact, self.now)?;
            // Only of the run that the sender waits for: another's end says nothing about the reply.
            if run.reply.is_some() {
                reply::decide(tx, tenant, event.id, None, self.now)?;
            }
            return Ok(());
        }
        self.pending += 1;
        if let (Some(claim), Some(lease_until)) = (claim, due_at) {
            let ticket = run.ticket(tenant, event.id, lease_until);
            self.reply = ticket.map(|ticket| RunTicket { claim, ..ticket });
        }
        Ok(())
    }
}

/// Why a reply run of this route must not begin, if it must not.
fn refusal_of(tx: &Tx<'_>, tenant: TenantId, route: RouteId, now: Timestamp) -> Sql<Option<Cow<'static, str>>> {
    Ok(match pause_of(tx, tenant, route)? {
        Some(pause) => Some(pause.into()),
        None => match rations::reply_refusal(tx, tenant, now)? {
            Some(used_up) => Some(used_up.into()),
            None => shares::reply_debt(tx, tenant, now)?.map(Cow::Owned),
        },
    })
}

/// Why a reply run of this route must not begin: whoever paused it wants nothing run, and a sender cannot wait for
/// the resume.
fn pause_of(tx: &Tx<'_>, tenant: TenantId, route: RouteId) -> Sql<Option<&'static str>> {
    let sql = "SELECT r.paused, s.paused FROM route r JOIN source s ON s.tenant = r.tenant AND s.id = r.source
        WHERE r.tenant = ?1 AND r.id = ?2";
    let paused = first(tx.conn, sql, params![tenant.as_bytes(), route.as_bytes()], |row| {
        Ok((row.get::<_, bool>(0)?, row.get::<_, bool>(1)?))
    })?;
    Ok(match paused {
        Some((true, _)) => Some("the route is paused"),
        Some((false, true)) => Some("the source is paused"),
        _ => None,
    })
}

/// Records a refusal; the oldest of the tenant give way.
pub(super) fn refusal_record(tx: &mut Tx<'_>, tenant: TenantId, refusal: &RefusalRow) -> Sql<()> {
    if !tx.standing(tenant, tx.now(refusal.at))?.is_there() {
        return Ok(());
    }
    let sql = "INSERT INTO refusal (tenant, at, source, reason, detail, peer) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let values = params![
        tenant.as_bytes(),
        refusal.at.as_millis(),
        refusal.source.as_bytes(),
        refusal.reason,
        refusal.detail,
        refusal.peer
    ];
    exec(tx.conn, sql, values)?;
    let sql = "DELETE FROM refusal WHERE seq IN
        (SELECT seq FROM refusal WHERE tenant = ?1 ORDER BY seq DESC LIMIT 8 OFFSET ?2)";
    exec(tx.conn, sql, params![tenant.as_bytes(), REFUSALS_PER_TENANT_MAX])?;
    Ok(())
}

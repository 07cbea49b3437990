//! The rows that a batch's accepts bring, written table by table.
//!
//! Each accept has a row for its request and rows for events and runs. A statement that is run for many rows in turn costs
//! less than three that take turns, whose pages and programs push each other out of the processor's cache; so accepts
//! leave their rows here. They are written before anybody looks for them: before any other verb, before an accept that
//! repeats another or stands in line behind one, and at the batch's end.
//!
//! A row that cannot be written is that of another item than the one that is being run. So nobody is told there: the rows
//! have failed, the writer rolls the batch back and runs its items apart, where each writes its own rows at once and
//! hears of its own failure.

use std::borrow::Cow;
use std::sync::Arc;

use creel_webhook::clock::Timestamp;
use creel_webhook::run::Verdict;
use rusqlite::{CachedStatement, Connection, Params, params};

use crate::codec;
use crate::contract::{Accept, ClaimToken};
use crate::sqlite::dedup;
use crate::sqlite::statement::{Sql, int};

const REQUEST: &str = "INSERT INTO request (seq, tenant, id, source, received_at, head, answer, dedup, body)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

const EVENT: &str = "INSERT INTO event (tenant, id, request, number, count, source, kind, provider_id, subject,
    occurred_at, item_from, item_to, runs) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";

const RUN: &str =
    "INSERT INTO run (tenant, id, seq, lane, event, route, plugin, mode, order_key, due_at, claimed, claim,
    claims, deadline, created_at, ended_at, verdict, reason)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?11, ?13, ?14, ?15, ?16, ?17)";

/// What is to be accepted, with its columns packed: the caller's thread does that, the writer's is the bottleneck.
#[derive(Debug)]
pub(super) struct Packed {
    /// What is not packed.
    pub(super) accept: Accept,
    /// The request's head.
    pub(super) head: Vec<u8>,
    /// What its sender is told.
    pub(super) answer: Vec<u8>,
}

impl Packed {
    /// Packs the columns, and frees what was packed where it was allocated.
    pub(super) fn new(mut accept: Accept) -> Packed {
        let request = &mut accept.request;
        let (query, headers) = (std::mem::take(&mut request.query), std::mem::take(&mut request.headers));
        let head = codec::request_head(&request.method, &request.scheme, &query, &headers, &request.attributes);
        let answer = codec::answer(&accept.answer);
        Packed { accept, head, answer }
    }

    /// Bytes of it, for the queue's bound.
    pub(super) fn bytes(&self) -> usize {
        self.accept.request.body.len() + self.head.len() + self.answer.len() + 256 * self.accept.events.len()
    }
}

/// Rows that are not in the tables yet.
#[derive(Debug, Default)]
pub(super) struct Inserts {
    requests: Vec<RequestRow>,
    events: Vec<EventRow>,
    runs: Vec<RunRow>,
    at_once: bool,
    failed: bool,
}

/// A request's row.
#[derive(Debug)]
pub(super) struct RequestRow {
    /// What was accepted.
    pub(super) packed: Arc<Packed>,
    /// Its number.
    pub(super) seq: i64,
    /// Its events that are new, by their place among all.
    pub(super) events: Vec<usize>,
}

/// An event's row.
#[derive(Debug)]
pub(super) struct EventRow {
    /// What was accepted.
    pub(super) packed: Arc<Packed>,
    /// Its place in there.
    pub(super) event: usize,
    /// Its request's number.
    pub(super) request: i64,
}

/// A run's row.
#[derive(Debug)]
pub(super) struct RunRow {
    /// What was accepted.
    pub(super) packed: Arc<Packed>,
    /// Where it is in there.
    pub(super) at: At,
    /// Its number.
    pub(super) seq: i64,
    /// Where it stands in line.
    pub(super) lane: i64,
    /// How it begins.
    pub(super) start: Start,
    /// When it is made.
    pub(super) now: Timestamp,
}

/// A run among those of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    /// The place of its event.
    pub(super) event: usize,
    /// Its own among its event's.
    pub(super) run: usize,
}

/// How a run begins.
#[derive(Debug, Clone)]
pub(super) enum Start {
    /// Claimed by the sender who waits.
    Claimed(ClaimToken, Timestamp),
    /// Head of its line.
    Due(Timestamp),
    /// Behind another of its order key.
    Blocked,
    /// Over before it began: verdict and reason.
    Ended(Verdict, Cow<'static, str>),
}

/// How many rows there were.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    requests: usize,
    events: usize,
    runs: usize,
}

impl Inserts {
    /// Leaves a request's row here.
    pub(super) fn request(&mut self, conn: &Connection, row: RequestRow) -> Sql<()> {
        put(conn, row, if self.at_once { None } else { Some(&mut self.requests) })
    }

    /// Leaves an event's row here.
    pub(super) fn event(&mut self, conn: &Connection, row: EventRow) -> Sql<()> {
        put(conn, row, if self.at_once { None } else { Some(&mut self.events) })
    }

    /// Leaves a run's row here.
    pub(super) fn run(&mut self, conn: &Connection, row: RunRow) -> Sql<()> {
        put(conn, row, if self.at_once { None } else { Some(&mut self.runs) })
    }

    /// Writes all of them.
    pub(super) fn write(&mut self, conn: &Connection) -> Sql<()> {
        let failed = std::mem::replace(&mut self.failed, true);
        write(conn, &mut self.requests)?;
        write(conn, &mut self.events)?;
        write(conn, &mut self.runs)?;
        // Not behind a panic either.
        self.failed = failed;
        Ok(())
    }

    /// From here on rows are written at once, or not any more; none must be left.
    pub(super) fn set_at_once(&mut self, at_once: bool) {
        debug_assert!(self.requests.is_empty() && self.events.is_empty() && self.runs.is_empty());
        self.at_once = at_once;
    }

    /// Whether a row could not be written: whose it was is not known.
    pub(super) fn have_failed(&self) -> bool {
        self.failed
    }

    /// Where the next item's rows begin.
    pub(super) fn mark(&self) -> Mark {
        Mark { requests: self.requests.len(), events: self.events.len(), runs: self.runs.len() }
    }

    /// Forgets what an item has left behind this mark.
    pub(super) fn undo_to(&mut self, mark: Mark) {
        self.requests.truncate(mark.requests);
        self.events.truncate(mark.events);
        self.runs.truncate(mark.runs);
    }
}

impl Row for RequestRow {
    const INSERT: &str = REQUEST;

    fn write(&self, insert: &mut CachedStatement<'_>) -> Sql<()> {
        let Packed { accept, head, answer } = &*self.packed;
        let request = &accept.request;
        let values = params![
            self.seq,
            accept.tenant.as_bytes(),
            request.id.as_bytes(),
            accept.source.as_bytes(),
            request.received_at.as_millis(),
            head,
            answer,
            self.keys(),
            request.body.as_ref()
        ];
        exec(insert, values)
    }
}

impl RequestRow {
    /// The keys of the events that are new.
    fn keys(&self) -> Option<Vec<u8>> {
        let new = self.events.iter().map(|event| &self.packed.accept.events[*event]);
        let keys: Vec<_> = new
            .flat_map(|event| event.dedup_keys.iter().map(move |hash| (event, hash)))
            .map(|(event, hash)| (dedup::half(hash), *event.id.as_bytes(), event.dedup_until.as_millis()))
            .collect();
        if keys.is_empty() { None } else { Some(codec::keys(&keys)) }
    }
}

impl Row for EventRow {
    const INSERT: &str = EVENT;

    fn write(&self, insert: &mut CachedStatement<'_>) -> Sql<()> {
        let accept = &self.packed.accept;
        let event = &accept.events[self.event];
        let many: Vec<u8>;
        let runs: &[u8] = match &event.runs[..] {
            [run] => run.id.as_bytes(),
            runs => {
                many = runs.iter().flat_map(|run| *run.id.as_bytes()).collect();
                &many
            }
        };
        let values = params![
            accept.tenant.as_bytes(),
            event.id.as_bytes(),
            self.request,
            self.event as i64,
            accept.events.len() as i64,
            accept.source.as_bytes(),
            event.kind,
            event.provider_id,
            event.subject,
            event.occurred_at.map(Timestamp::as_millis),
            event.item.map(|(from, _)| from as i64),
            event.item.map(|(_, to)| to as i64),
            runs
        ];
        exec(insert, values)
    }
}

impl Row for RunRow {
    const INSERT: &str = RUN;

    fn write(&self, insert: &mut CachedStatement<'_>) -> Sql<()> {
        let accept = &self.packed.accept;
        let event = &accept.events[self.at.event];
        let run = &event.runs[self.at.run];
        let (claim, due_at) = self.start.claim_and_due();
        let ended = match &self.start {
            Start::Ended(verdict, reason) => Some((verdict.as_str(), reason.as_ref())),
            _ => None,
        };
        // Replies never wait, so they keep no place in a line.
        let order_key = run.order_key.as_deref().filter(|_| run.reply.is_none());
        let values = params![
            accept.tenant.as_bytes(),
            run.id.as_bytes(),
            self.seq,
            self.lane,
            event.id.as_bytes(),
            run.route.as_bytes(),
            run.plugin.as_bytes(),
            run.reply.is_some(),
            order_key,
            due_at.map(Timestamp::as_millis),
            claim.is_some(),
            claim.map(|claim| int(claim.0)),
            run.reply.as_ref().map(|reply| reply.deadline.as_millis()),
            self.now.as_millis(),
            ended.map(|_| self.now.as_millis()),
            ended.map(|(verdict, _)| verdict),
            ended.map(|(_, reason)| reason)
        ];
        exec(insert, values)
    }
}

impl Start {
    /// Its claim and when it is due, the end of the claim included.
    pub(super) fn claim_and_due(&self) -> (Option<ClaimToken>, Option<Timestamp>) {
        match self {
            Start::Claimed(token, until) => (Some(*token), Some(*until)),
            Start::Due(at) => (None, Some(*at)),
            Start::Blocked | Start::Ended(..) => (None, None),
        }
    }
}

/// A row of one of the tables.
trait Row {
    /// What writes it.
    const INSERT: &str;

    fn write(&self, insert: &mut CachedStatement<'_>) -> Sql<()>;
}

/// Leaves a row with others, or writes it.
fn put<R: Row>(conn: &Connection, row: R, others: Option<&mut Vec<R>>) -> Sql<()> {
    match others {
        Some(others) => {
            others.push(row);
            Ok(())
        }
        None => row.write(&mut conn.prepare_cached(R::INSERT)?),
    }
}

fn write<R: Row>(conn: &Connection, rows: &mut Vec<R>) -> Sql<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut insert = conn.prepare_cached(R::INSERT)?;
    rows.drain(..).try_for_each(|row| row.write(&mut insert))
}

fn exec(insert: &mut CachedStatement<'_>, values: impl Params) -> Sql<()> {
    insert.execute(values)?;
    Ok(())
}

//! Retention: bodies go after some days, records later, in small steps and never while something of them is pending.
//!
//! Event ids begin with their time, so each tenant's events are walked in the order of their ids up to the id of the
//! day in question. Where a walk stands is kept in `retention`; what it passed by because it was pending is kept in
//! `retained` and looked at again in every pass, so that one stuck delivery holds nobody up and no pass begins at the
//! beginning. A step is bounded in events, rows and bytes; the caller asks again while there is more.
//!
//! Keys by which repetitions are known outlive their request: those that still count and are only in its row are put
//! into their table first.

use std::collections::{HashMap, VecDeque};

use creel_webhook::clock::Timestamp;
use creel_webhook::id::{EventId, TenantId};
use creel_webhook::tenant::TenantLimits;
use rusqlite::params;

use crate::codec;
use crate::planted::{self, Bug};
use crate::sqlite::dedup::Key;
use crate::sqlite::holdings::{self, Holdings};
use crate::sqlite::notices;
use crate::sqlite::passes::{Kind, Walk};
use crate::sqlite::records;
use crate::sqlite::request;
use crate::sqlite::statement::{Sql, all, exec, first, id, json};
use crate::sqlite::transaction::Tx;

/// Events that one step looks at.
const STEP_EVENTS: usize = 200;

/// Rows that one step removes or rewrites, roughly; one event may go beyond.
const STEP_ROWS: usize = 2_000;

/// Bytes of bodies that one step removes; one body may go beyond.
const STEP_BYTES: usize = 8 << 20;

const DAY_MS: u64 = 86_400_000;

/// One step, if it is time for one; says whether there is more.
pub(super) fn step(tx: &mut Tx<'_>, now: Timestamp) -> Sql<bool> {
    if tx.memory.retention.walks.is_empty() {
        if !tx.memory.retention.is_due(now) {
            return Ok(false);
        }
        let walks = begin(tx, now)?;
        tx.memory.retention.began_at = Some(now);
        tx.memory.retention.walks = walks;
    }
    if let Some(mut walk) = tx.memory.retention.walks.front().cloned() {
        let more = advance(tx, &mut walk, now)?;
        let walks = &mut tx.memory.retention.walks;
        walks.pop_front();
        // To the back, so that one tenant's backlog does not keep the others waiting.
        walks.extend(more.then_some(walk));
    }
    Ok(!tx.memory.retention.walks.is_empty())
}

fn begin(tx: &Tx<'_>, now: Timestamp) -> Sql<VecDeque<Walk>> {
    let own = tx.memory.retention.days;
    let limits = |row: &rusqlite::Row<'_>| Ok((id(row, 0)?, json::<TenantLimits>(row, 1)?));
    let tenants: Vec<(TenantId, _)> =
        all(tx.conn, "SELECT id, limits FROM tenant WHERE removed_at IS NULL", [], limits)?;
    let mut walks = VecDeque::with_capacity(2 * tenants.len());
    for (tenant, limits) in tenants {
        // The operator's days are a ceiling, also where they came down after a tenant was given more.
        let days = |asked: Option<u64>, most: u64| asked.unwrap_or(most).min(most);
        let records = days(limits.record_days, own.records);
        let bodies = days(limits.body_days, own.bodies);
        for (kind, days) in [(Kind::Bodies, bodies), (Kind::Records, records)] {
            let at = now.minus_ms(days.saturating_mul(DAY_MS));
            walks.push_back(Walk { tenant, kind, bound: bound(at), retained: Some([0; 16]) });
        }
        let at = now.minus_ms(records.saturating_mul(DAY_MS)).as_millis();
        notices::remove_old(tx, tenant, now.minus_ms(records.saturating_mul(DAY_MS)))?;
        exec(tx.conn, "DELETE FROM refusal WHERE tenant = ?1 AND at < ?2", params![tenant.as_bytes(), at])?;
    }
    Ok(walks)
}

/// The least id of an event of this time.
fn bound(at: Timestamp) -> [u8; 16] {
    let mut bound = [0; 16];
    let millis = u64::try_from(at.as_millis()).unwrap_or(0).to_be_bytes();
    bound[..6].copy_from_slice(&millis[2..]);
    bound
}

/// What one step may still do.
struct Share {
    rows: usize,
    bytes: usize,
    /// Whether a request's body may go, by its number.
    free: HashMap<i64, bool>,
}

impl Share {
    fn is_used_up(&self) -> bool {
        self.rows >= STEP_ROWS || self.bytes >= STEP_BYTES
    }
}

/// One step of a walk: first what was passed by earlier, then on from where it stands. Says whether there is more.
fn advance(tx: &mut Tx<'_>, walk: &mut Walk, now: Timestamp) -> Sql<bool> {
    let mut share = Share { rows: 0, bytes: 0, free: HashMap::new() };
    if let Some(behind) = walk.retained {
        let sql = "SELECT event FROM retained WHERE tenant = ?1 AND kind = ?2 AND event > ?3 ORDER BY event LIMIT ?4";
        let values = params![walk.tenant.as_bytes(), walk.kind.number(), behind, STEP_EVENTS as i64];
        let events: Vec<EventId> = all(tx.conn, sql, values, |row| id(row, 0))?;
        let looked = look(tx, walk, &events, &mut share, now)?;
        walk.retained = looked.filter(|looked| is_more(&events, looked));
        return Ok(true);
    }
    let sql = "SELECT behind FROM retention WHERE tenant = ?1 AND kind = ?2";
    let key = params![walk.tenant.as_bytes(), walk.kind.number()];
    let behind: [u8; 16] = first(tx.conn, sql, key, |row| row.get(0))?.unwrap_or([0; 16]);
    let sql = "SELECT id FROM event WHERE tenant = ?1 AND id > ?2 AND id < ?3 ORDER BY id LIMIT ?4";
    let values = params![walk.tenant.as_bytes(), behind, walk.bound, STEP_EVENTS as i64];
    let events: Vec<EventId> = all(tx.conn, sql, values, |row| id(row, 0))?;
    let Some(looked) = look(tx, walk, &events, &mut share, now)? else { return Ok(false) };
    let sql = "INSERT INTO retention (tenant, kind, behind) VALUES (?1, ?2, ?3)
        ON CONFLICT (tenant, kind) DO UPDATE SET behind = excluded.behind";
    exec(tx.conn, sql, params![walk.tenant.as_bytes(), walk.kind.number(), looked])?;
    Ok(is_more(&events, &looked))
}

/// Whether there may be events behind the last one that was looked at.
fn is_more(events: &[EventId], looked: &[u8; 16]) -> bool {
    events.len() == STEP_EVENTS || events.last().is_some_and(|last| last.as_bytes() != looked)
}

/// Removes of these events what may go, until the share is used up; gives the last one that it looked at.
fn look(tx: &mut Tx<'_>, walk: &Walk, events: &[EventId], share: &mut Share, now: Timestamp) -> Sql<Option<[u8; 16]>> {
    let mut looked = None;
    for event in events {
        if share.is_used_up() {
            break;
        }
        looked = Some(*event.as_bytes());
        let key = params![walk.tenant.as_bytes(), walk.kind.number(), event.as_bytes()];
        let holdings = holdings::load(tx.conn, walk.tenant, *event)?;
        let stays = match &holdings {
            Some(holdings) => !remove(tx, walk, holdings, share, now)?,
            None => false,
        };
        let sql = if stays {
            "INSERT INTO retained (tenant, kind, event) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING"
        } else {
            "DELETE FROM retained WHERE tenant = ?1 AND kind = ?2 AND event = ?3"
        };
        exec(tx.conn, sql, key)?;
        share.rows += 1;
    }
    Ok(looked)
}

/// Removes an event's bodies or all of its records; says whether it could.
fn remove(tx: &mut Tx<'_>, walk: &Walk, holdings: &Holdings, share: &mut Share, now: Timestamp) -> Sql<bool> {
    let bug = if walk.kind == Kind::Bodies { Bug::PendingPruned } else { Bug::RecordsPruned };
    if holdings.pending.is_some() && !planted::is(bug) {
        return Ok(false);
    }
    if walk.kind == Kind::Bodies && !is_free(tx, walk.tenant, holdings, share)? {
        return Ok(false);
    }
    share.rows += holdings.rows();
    match walk.kind {
        Kind::Bodies => remove_bodies(tx, walk.tenant, holdings, share)?,
        Kind::Records => remove_records(tx, walk.tenant, holdings, share, now)?,
    }
    Ok(true)
}

/// Whether no other event of the request needs its body.
fn is_free(tx: &Tx<'_>, tenant: TenantId, holdings: &Holdings, share: &mut Share) -> Sql<bool> {
    if let Some(free) = share.free.get(&holdings.request) {
        return Ok(*free);
    }
    let mut free = true;
    if request::body_len(tx.conn, holdings.request)?.is_none() {
        return Ok(true);
    }
    for other in holdings::siblings(tx.conn, holdings)? {
        share.rows += 1;
        free &= holdings::load(tx.conn, tenant, other)?.is_none_or(|other| other.pending.is_none());
        if !free {
            break;
        }
    }
    share.free.insert(holdings.request, free);
    Ok(free)
}

fn remove_bodies(tx: &Tx<'_>, tenant: TenantId, holdings: &Holdings, share: &mut Share) -> Sql<()> {
    remove_body(tx, holdings.request, share)?;
    for run in &holdings.runs {
        share.bytes += records::remove(tx.conn, tenant, *run)?;
    }
    for held in &holdings.deliveries {
        exec(tx.conn, "UPDATE call SET body = NULL WHERE seq = ?1 AND body IS NOT NULL", [held.seq])?;
        let sql = "UPDATE attempt SET attempt = json_set(attempt, '$.response_head', '')
            WHERE delivery = ?1 AND attempt ->> '$.response_head' <> ''";
        exec(tx.conn, sql, [held.seq])?;
    }
    Ok(())
}

fn remove_body(tx: &Tx<'_>, request: i64, share: &mut Share) -> Sql<()> {
    if let Some(bytes) = request::body_len(tx.conn, request)? {
        share.bytes += bytes;
        request::remove_body(tx.conn, request)?;
    }
    Ok(())
}

fn remove_records(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    holdings: &Holdings,
    share: &mut Share,
    now: Timestamp,
) -> Sql<()> {
    for held in &holdings.deliveries {
        for sql in [
            "DELETE FROM attempt WHERE delivery = ?1",
            "DELETE FROM call WHERE seq = ?1",
            "DELETE FROM delivery WHERE seq = ?1",
        ] {
            exec(tx.conn, sql, [held.seq])?;
        }
    }
    for run in &holdings.runs {
        let key = params![tenant.as_bytes(), run.as_bytes()];
        exec(tx.conn, "DELETE FROM run_log WHERE tenant = ?1 AND run = ?2", key)?;
        exec(tx.conn, "DELETE FROM run WHERE tenant = ?1 AND id = ?2", key)?;
        share.bytes += records::remove(tx.conn, tenant, *run)?;
    }
    let key = params![tenant.as_bytes(), holdings.event.as_bytes()];
    for sql in [
        "DELETE FROM reply WHERE tenant = ?1 AND event = ?2",
        "DELETE FROM followup WHERE tenant = ?1 AND event = ?2",
        "DELETE FROM retained WHERE tenant = ?1 AND event = ?2 AND kind IN (0, 1)",
        "DELETE FROM event WHERE tenant = ?1 AND id = ?2",
    ] {
        exec(tx.conn, sql, key)?;
    }
    if !holdings::has_sibling(tx.conn, holdings)? {
        keep_keys(tx, holdings.request, now)?;
        share.bytes += request::body_len(tx.conn, holdings.request)?.unwrap_or(0);
        exec(tx.conn, "DELETE FROM request WHERE seq = ?1", [holdings.request])?;
    }
    Ok(())
}

/// Puts the keys that still count and stand only in their request's row into their table.
fn keep_keys(tx: &mut Tx<'_>, request: i64, now: Timestamp) -> Sql<()> {
    let sql = "SELECT tenant, source, dedup FROM request
        WHERE seq = ?1 AND dedup IS NOT NULL AND seq > (SELECT dedup_seq FROM host)";
    let found = first(tx.conn, sql, [request], |row| {
        Ok((row.get::<_, [u8; 16]>(0)?, row.get::<_, [u8; 16]>(1)?, row.get::<_, Vec<u8>>(2)?))
    })?;
    let Some((tenant, source, packed)) = found else { return Ok(()) };
    for (hash, event, until) in codec::read_keys(&packed)? {
        if until > now.as_millis() {
            tx.memory.dedup.keep(tx.conn, &Key::of(tenant, source, hash), &event, until)?;
        }
    }
    Ok(())
}

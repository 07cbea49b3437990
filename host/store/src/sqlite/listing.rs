//! Events, listed newest first: a window of them at a time.
//!
//! A page is bounded by what is looked at, not by what is found, so that a filter which few events pass takes more pages
//! and no long read. Times are bounds of the key, because ids begin with their moment; a subject, and what no route took,
//! have an index.

use creel_webhook::clock::Timestamp;
use creel_webhook::id::{EventId, RequestId, TenantId};
use creel_webhook::run::Verdict;
use rusqlite::{Connection, Row, params};

use crate::contract::{DeliveryState, EventFilter, EventPage, EventState, EventSummary};
use crate::sqlite::reading::delivery_state;
use crate::sqlite::statement::{Sql, all, first, id, time, word};

/// Events that one page looks at.
const WINDOW: u32 = 500;

/// Behind every id.
const LAST: [u8; 16] = [0xff; 16];

const WINDOW_SQL: &str = "SELECT id, request, source, kind, provider_id, subject, runs FROM event
    WHERE tenant = ?1 AND id >= ?2 AND id < ?3 ORDER BY id DESC LIMIT ?4";

const SUBJECT_SQL: &str = "SELECT id, request, source, kind, provider_id, subject, runs FROM event
    WHERE tenant = ?1 AND id >= ?2 AND id < ?3 AND subject = ?5 ORDER BY id DESC LIMIT ?4";

/// In the words of the index `event_unrouted`, which SQLite uses only then.
const UNROUTED_SQL: &str = "SELECT id, request, source, kind, provider_id, subject, runs FROM event
    WHERE tenant = ?1 AND id >= ?2 AND id < ?3 AND runs = x'' ORDER BY id DESC LIMIT ?4";

const REQUEST: &str = "SELECT id, received_at FROM request WHERE seq = ?1 AND tenant = ?2";

const RUN: &str =
    "SELECT ended_at IS NULL, verdict, replayed IS NOT NULL, deliveries FROM run WHERE tenant = ?1 AND id = ?2";

const CALL: &str = "SELECT state FROM delivery WHERE seq = ?1 AND tenant = ?2";

/// What a page asks, for the test of its plans.
#[cfg(test)]
pub(super) const PLANS: &[&str] = &[WINDOW_SQL, SUBJECT_SQL, UNROUTED_SQL, REQUEST, RUN, CALL];

/// A page of a tenant's events.
pub(super) fn page(conn: &Connection, tenant: TenantId, filter: &EventFilter) -> Sql<EventPage> {
    let limit = filter.limit.clamp(1, WINDOW) as usize;
    let narrows = filter.source.is_some() || filter.kind.is_some() || filter.state.is_some();
    let looked_at_max = if narrows { WINDOW as usize } else { limit };
    let (mut page, mut reached) = (EventPage::default(), None);
    // One row more says whether there is anything behind the page.
    for (looked_at, seen) in window(conn, tenant, filter, looked_at_max + 1)?.into_iter().enumerate() {
        if looked_at == looked_at_max || page.events.len() == limit {
            page.next = reached;
            break;
        }
        reached = Some(seen.summary.id);
        page.events.extend(wanted(conn, tenant, filter, seen)?);
    }
    Ok(page)
}

/// An event of the window.
struct Seen {
    request: i64,
    runs: Vec<u8>,
    summary: EventSummary,
}

fn window(conn: &Connection, tenant: TenantId, filter: &EventFilter, size: usize) -> Sql<Vec<Seen>> {
    // The least id of its moment.
    let bound = |moment| EventId::new(moment, [0; 10]);
    let since = filter.since.map_or(EventId::NIL, bound);
    let before = filter.before.map_or(LAST, |id| *id.as_bytes());
    let until = filter.until.map_or(before, |until| before.min(*bound(until).as_bytes()));
    let sql = match (&filter.subject, filter.state) {
        (Some(_), _) => SUBJECT_SQL,
        (None, Some(EventState::Unrouted)) => UNROUTED_SQL,
        _ => WINDOW_SQL,
    };
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    match &filter.subject {
        Some(subject) => all(conn, sql, params![tenant.as_bytes(), since.as_bytes(), until, size, subject], seen),
        None => all(conn, sql, params![tenant.as_bytes(), since.as_bytes(), until, size], seen),
    }
}

fn seen(row: &Row<'_>) -> rusqlite::Result<Seen> {
    let summary = EventSummary {
        id: id(row, 0)?,
        request: RequestId::NIL,
        source: id(row, 2)?,
        kind: row.get(3)?,
        provider_id: row.get(4)?,
        subject: row.get(5)?,
        received_at: Timestamp::default(),
        runs: 0,
        pending: 0,
        state: EventState::Unrouted,
    };
    Ok(Seen { request: row.get(1)?, runs: row.get(6)?, summary })
}

/// The event with all that its line says, if the filter wants it.
fn wanted(conn: &Connection, tenant: TenantId, filter: &EventFilter, seen: Seen) -> Sql<Option<EventSummary>> {
    let Seen { request, runs, mut summary } = seen;
    let other = |wanted: Option<bool>| wanted == Some(false);
    if other(filter.source.map(|source| source == summary.source))
        || other(filter.kind.as_ref().map(|kind| *kind == summary.kind))
    {
        return Ok(None);
    }
    let standing = standing(conn, tenant, &runs)?;
    (summary.runs, summary.pending, summary.state) = (standing.runs, standing.pending, standing.state());
    if other(filter.state.map(|state| state == summary.state)) {
        return Ok(None);
    }
    let found = first(conn, REQUEST, params![request, tenant.as_bytes()], |row| Ok((id(row, 0)?, time(row, 1)?)))?;
    Ok(found.map(|(request, received_at)| EventSummary { request, received_at, ..summary }))
}

/// What became of an event so far.
#[derive(Default)]
struct Standing {
    runs: u32,
    pending: u32,
    dead: bool,
    sending: bool,
    rejected: bool,
}

impl Standing {
    fn state(&self) -> EventState {
        match self {
            Standing { runs: 0, .. } => EventState::Unrouted,
            Standing { dead: true, .. } => EventState::Dead,
            Standing { pending: 1.., .. } => EventState::Pending,
            Standing { sending: true, .. } => EventState::Sending,
            Standing { rejected: true, .. } => EventState::Rejected,
            _ => EventState::Done,
        }
    }
}

fn standing(conn: &Connection, tenant: TenantId, runs: &[u8]) -> Sql<Standing> {
    let mut standing = Standing::default();
    for run in runs.as_chunks::<16>().0 {
        standing.runs += 1;
        let found = first(conn, RUN, params![tenant.as_bytes(), run], |row| {
            let ended = if row.get(0)? { None } else { Some(word(row, 1, Verdict::from_word)?) };
            Ok((ended, row.get::<_, bool>(2)?, row.get::<_, Option<Vec<u8>>>(3)?.unwrap_or_default()))
        })?;
        let Some((ended, replayed, calls)) = found else { continue };
        standing.pending += u32::from(ended.is_none());
        standing.dead |= ended.is_some_and(Verdict::is_dead) && !replayed;
        standing.rejected |= ended == Some(Verdict::Rejected) && !replayed;
        for call in calls.as_chunks::<8>().0 {
            let values = params![i64::from_be_bytes(*call), tenant.as_bytes()];
            let state = first(conn, CALL, values, |row| row.get(0).map(delivery_state))?;
            standing.dead |= state == Some(DeliveryState::Dead);
            standing.sending |= state == Some(DeliveryState::Pending);
        }
    }
    Ok(standing)
}

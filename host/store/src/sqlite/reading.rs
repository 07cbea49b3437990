//! What people look at: lists, newest first, and the story of one event. ([`super::listing`] lists events.)
//!
//! Each list walks its tenant's key backwards from a place and stops at its limit. A filter that few rows pass may
//! walk far; the readers' budget of steps ends it then, with [`StoreError::TooWide`](crate::contract::StoreError::TooWide)
//! instead of a pinned log.

use creel_webhook::clock::Timestamp;
use creel_webhook::followup;
use creel_webhook::id::{DeliveryId, EventId, RunId, TenantId};
use creel_webhook::route::Mode;
use creel_webhook::run::{Usage, Verdict};
use rusqlite::{Connection, Row, ToSql, params};

use crate::contract::{
    Attempt, DeliveryFilter, DeliveryRow, DeliveryState, Letter, RefusalRow, RunFilter, RunRow, Stats, Story,
};
use crate::sqlite::letters::{self, DEAD_RUN, Values, about_sql};
use crate::sqlite::statement::{Sql, all, count, first, id, json, json_opt, time, time_opt, word};
use crate::sqlite::{events, reply, shares};

/// Rows that one page may have.
const ROWS_MAX: u32 = 500;

/// Behind every id.
const LAST: [u8; 16] = [0xff; 16];

fn limit(asked: u32) -> u32 {
    asked.clamp(1, ROWS_MAX)
}

fn ids(packed: &[u8]) -> Vec<RunId> {
    packed.as_chunks::<16>().0.iter().map(|bytes| RunId::from_bytes(*bytes)).collect()
}

/// The whole story of one event.
pub(super) fn story(conn: &Connection, tenant: TenantId, event: EventId) -> Sql<Option<Story>> {
    let Some(stored) = events::load(conn, tenant, event)? else { return Ok(None) };
    let sql = "SELECT duplicates, runs FROM event WHERE tenant = ?1 AND id = ?2";
    let found = first(conn, sql, params![tenant.as_bytes(), event.as_bytes()], |row| {
        Ok((count(row, 0)?, row.get::<_, Vec<u8>>(1)?))
    })?;
    let (duplicates, runs) = found.unwrap_or_default();
    // Nobody waits for the answer to a report.
    let answer = if stored.origin.is_some() { None } else { reply::told(conn, tenant, event)? };
    let mut story = Story { event: stored, answer, duplicates, runs: Vec::new(), deliveries: Vec::new() };
    for run in ids(&runs) {
        let sql = format!("{RUN} WHERE x.tenant = ?1 AND x.id = ?2");
        let Some((row, numbers)) = first(conn, &sql, params![tenant.as_bytes(), run.as_bytes()], run_row)? else {
            continue;
        };
        story.runs.push(row);
        for number in numbers.as_chunks::<8>().0 {
            story.deliveries.extend(delivery(conn, tenant, i64::from_be_bytes(*number))?);
        }
    }
    Ok(Some(story))
}

const RUN: &str = "SELECT x.id, x.event, x.route, x.plugin, x.mode, x.verdict, x.reason, x.deployment, x.fuel,
    x.memory_bytes, x.cpu_us, x.wait_us, x.attempts, x.claims, x.created_at, x.ended_at, x.deliveries, l.lines,
    x.replayed, x.breach FROM run x LEFT JOIN run_log l ON l.tenant = x.tenant AND l.run = x.id";

fn run_row(row: &Row<'_>) -> rusqlite::Result<(RunRow, Vec<u8>)> {
    let has = |column| Ok::<_, rusqlite::Error>(row.get_ref(column)?.data_type() != rusqlite::types::Type::Null);
    let run = RunRow {
        id: id(row, 0)?,
        event: id(row, 1)?,
        route: id(row, 2)?,
        plugin: id(row, 3)?,
        mode: if row.get(4)? { Mode::Reply } else { Mode::Ack },
        verdict: if has(5)? { Some(word(row, 5, Verdict::from_word)?) } else { None },
        reason: row.get(6)?,
        breach: if has(19)? { json(row, 19)? } else { None },
        deployment: row.get(7)?,
        usage: Usage {
            fuel: count(row, 8)?,
            memory_bytes: count(row, 9)?,
            cpu_us: count(row, 10)?,
            wait_us: count(row, 11)?,
        },
        attempts: row.get(12)?,
        claims: row.get(13)?,
        created_at: time(row, 14)?,
        ended_at: time_opt(row, 15)?,
        log: if has(17)? { json(row, 17)? } else { Vec::new() },
        replayed: if has(18)? { Some(id(row, 18)?) } else { None },
    };
    Ok((run, row.get::<_, Option<Vec<u8>>>(16)?.unwrap_or_default()))
}

/// One run of a tenant.
pub(super) fn run_read(conn: &Connection, tenant: TenantId, run: RunId) -> Sql<Option<RunRow>> {
    let sql = format!("{RUN} WHERE x.tenant = ?1 AND x.id = ?2");
    Ok(first(conn, &sql, params![tenant.as_bytes(), run.as_bytes()], run_row)?.map(|(run, _)| run))
}

/// Runs of a tenant; dead letters through an index of their own.
pub(super) fn run_list(conn: &Connection, tenant: TenantId, filter: &RunFilter) -> Sql<Vec<RunRow>> {
    let dead = if filter.dead { format!("AND {DEAD_RUN}") } else { String::new() };
    let sql = format!(
        "{RUN} WHERE x.tenant = ?1 AND x.id < ?2 AND (?3 IS NULL OR x.verdict = ?3) AND (?4 IS NULL OR x.plugin = ?4)
         {dead} AND {} ORDER BY x.id DESC LIMIT ?5",
        about_sql(6)
    );
    let before = filter.before.as_ref().map_or(LAST, |id| *id.as_bytes());
    let plugin = filter.plugin.as_ref().map(|id| id.as_bytes().as_slice());
    let (verdict, limit, about) = (filter.verdict.map(Verdict::as_str), limit(filter.limit), Values::of(&filter.about));
    let mut values: Vec<&dyn ToSql> = vec![tenant.as_bytes(), &before, &verdict, &plugin, &limit];
    values.extend(about.list());
    Ok(all(conn, &sql, values.as_slice(), run_row)?.into_iter().map(|(run, _)| run).collect())
}

const DELIVERY: &str = "SELECT id, event, run, number, destination, key, method, path, state, reason, attempts, due_at,
    created_at, ended_at, on_result FROM delivery";

/// Where a delivery stands, from its column.
pub(super) fn delivery_state(column: i64) -> DeliveryState {
    match column {
        0 => DeliveryState::Pending,
        1 => DeliveryState::Delivered,
        _ => DeliveryState::Dead,
    }
}

fn delivery_row(row: &Row<'_>) -> rusqlite::Result<DeliveryRow> {
    let state = delivery_state(row.get(8)?);
    Ok(DeliveryRow {
        id: id(row, 0)?,
        event: id(row, 1)?,
        run: id(row, 2)?,
        index: row.get(3)?,
        destination: id(row, 4)?,
        key: row.get(5)?,
        method: row.get(6)?,
        path: row.get(7)?,
        state,
        reason: row.get(9)?,
        attempts: row.get(10)?,
        due_at: time_opt(row, 11)?,
        created_at: time(row, 12)?,
        ended_at: time_opt(row, 13)?,
        on_result: json_opt(row, 14)?,
        result: None,
        history: Vec::new(),
    })
}

fn delivery(conn: &Connection, tenant: TenantId, seq: i64) -> Sql<Option<DeliveryRow>> {
    let sql = format!("{DELIVERY} WHERE seq = ?1 AND tenant = ?2");
    let Some(mut row) = first(conn, &sql, params![seq, tenant.as_bytes()], delivery_row)? else { return Ok(None) };
    let sql = "SELECT attempt FROM attempt WHERE delivery = ?1 ORDER BY claim";
    row.history = all(conn, sql, [seq], |row| json::<Attempt>(row, 0))?;
    if let (Some(_), Some(ended_at)) = (&row.on_result, row.ended_at) {
        let report = followup::ids(row.id, ended_at).event;
        row.result = events::exists(conn, tenant, report)?.then_some(report);
    }
    Ok(Some(row))
}

/// One delivery of a tenant with its history, and what it sends.
pub(super) fn delivery_read(
    conn: &Connection,
    tenant: TenantId,
    wanted: DeliveryId,
) -> Sql<Option<(DeliveryRow, Letter)>> {
    let Some((seq, letter)) = letters::letter(conn, tenant, wanted)? else { return Ok(None) };
    Ok(delivery(conn, tenant, seq)?.map(|row| (row, letter)))
}

/// Deliveries of a tenant; dead letters through an index of their own.
pub(super) fn delivery_list(conn: &Connection, tenant: TenantId, filter: &DeliveryFilter) -> Sql<Vec<DeliveryRow>> {
    let state = match filter.state {
        Some(DeliveryState::Dead) => "AND state = 2",
        Some(DeliveryState::Pending) => "AND state = 0",
        Some(DeliveryState::Delivered) => "AND state = 1",
        None => "",
    };
    let sql = format!(
        "{DELIVERY} x WHERE tenant = ?1 AND id < ?2 {state} AND (?3 IS NULL OR destination = ?3) AND {}
         ORDER BY id DESC LIMIT ?4",
        about_sql(5)
    );
    let before: [u8; 16] = filter.before.as_ref().map_or(LAST, |id: &DeliveryId| *id.as_bytes());
    let destination = filter.destination.as_ref().map(|id| id.as_bytes().as_slice());
    let (limit, about) = (limit(filter.limit), Values::of(&filter.about));
    let mut values: Vec<&dyn ToSql> = vec![tenant.as_bytes(), &before, &destination, &limit];
    values.extend(about.list());
    all(conn, &sql, values.as_slice(), delivery_row)
}

/// Refused requests of a tenant.
pub(super) fn refusal_list(conn: &Connection, tenant: TenantId, asked: u32) -> Sql<Vec<RefusalRow>> {
    let sql = "SELECT at, source, reason, detail, peer FROM refusal WHERE tenant = ?1 ORDER BY seq DESC LIMIT ?2";
    all(conn, sql, params![tenant.as_bytes(), limit(asked)], |row| {
        Ok(RefusalRow {
            at: time(row, 0)?,
            source: id(row, 1)?,
            reason: row.get(2)?,
            detail: row.get(3)?,
            peer: row.get(4)?,
        })
    })
}

/// One row per tenant, whatever waits.
pub(super) const PENDING: &str = "SELECT coalesce(sum(pending), 0) FROM ring WHERE kind = ?1";

/// Counts: one row per tenant and kind of work is read, never the work.
pub(super) fn stats(conn: &Connection, now: Timestamp) -> Sql<Stats> {
    let pending = |kind: i64| -> Sql<u64> { Ok(first(conn, PENDING, [kind], |row| count(row, 0))?.unwrap_or(0)) };
    let pragma = |sql: &str| -> Sql<u64> { Ok(first(conn, sql, [], |row| count(row, 0))?.unwrap_or(0)) };
    Ok(Stats {
        runs_pending: pending(0)?,
        deliveries_pending: pending(1)?,
        tenants_in_debt: first(conn, shares::IN_DEBT, [now.as_millis()], |row| count(row, 0))?.unwrap_or(0),
        bytes: pragma("PRAGMA page_count")? * pragma("PRAGMA page_size")?,
    })
}

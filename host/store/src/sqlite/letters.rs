//! Dead letters, read: a window of them at a time, and one of them with what it sends.
//!
//! A window is bounded by what is looked at, not by what is found, so that a filter which few letters pass moves on in
//! small steps instead of one long one.

use creel_webhook::clock::Timestamp;
use creel_webhook::id::{DeliveryId, Id, Kind, RunId, TenantId};
use creel_webhook::run::Verdict;
use rusqlite::{Connection, ToSql, params};

use crate::codec;
use crate::contract::{About, DeliveryFilter, Letter, RunFilter, Window};
use crate::sqlite::statement::{Sql, all, first, id, json_opt, packed, time, time_opt};

/// Letters that one window may have.
const WINDOW_MAX: u32 = 500;

/// Before every id.
const FIRST: [u8; 16] = [0; 16];

/// The values of an [`About`], for [`about_sql`].
pub(super) struct Values<'a> {
    source: Option<&'a [u8]>,
    kind: Option<&'a str>,
    since: Option<i64>,
    until: Option<i64>,
    reason: Option<&'a str>,
}

impl<'a> Values<'a> {
    pub(super) fn of(about: &'a About) -> Self {
        Values {
            source: about.source.as_ref().map(|id| id.as_bytes().as_slice()),
            kind: about.kind.as_deref(),
            since: about.since.map(Timestamp::as_millis),
            until: about.until.map(Timestamp::as_millis),
            reason: about.reason.as_deref(),
        }
    }

    /// In the order of the placeholders.
    pub(super) fn list(&self) -> [&dyn ToSql; 5] {
        [&self.source, &self.kind, &self.since, &self.until, &self.reason]
    }
}

/// The condition of an [`About`] on the table `x`; its five placeholders begin at `from`.
pub(super) fn about_sql(from: usize) -> String {
    let [source, kind, since, until, reason] = [from, from + 1, from + 2, from + 3, from + 4];
    format!(
        "(?{since} IS NULL OR x.created_at >= ?{since}) AND (?{until} IS NULL OR x.created_at < ?{until})
         AND (?{reason} IS NULL OR instr(lower(coalesce(x.reason, '')), lower(?{reason})) > 0)
         AND ((?{source} IS NULL AND ?{kind} IS NULL) OR EXISTS (SELECT 1 FROM event e
             WHERE e.tenant = x.tenant AND e.id = x.event AND (?{source} IS NULL OR e.source = ?{source})
                 AND (?{kind} IS NULL OR e.kind = ?{kind})))"
    )
}

fn window<K: Kind>(rows: Vec<(Id<K>, bool)>, size: u32) -> Window<Id<K>> {
    let looked_at = u32::try_from(rows.len()).unwrap_or(u32::MAX);
    let next = rows.last().filter(|_| looked_at >= size).map(|(id, _)| *id);
    Window { ids: rows.into_iter().filter(|(_, wanted)| *wanted).map(|(id, _)| id).collect(), looked_at, next }
}

/// A window of dead deliveries.
fn deliveries_sql() -> String {
    format!(
        "SELECT x.id, (?4 IS NULL OR x.destination = ?4) AND {} FROM
            (SELECT * FROM delivery WHERE tenant = ?1 AND state = 2 AND id > ?2 ORDER BY id LIMIT ?3) x ORDER BY x.id",
        about_sql(5)
    )
}

/// Dead deliveries behind `after`.
pub(super) fn dead_deliveries(
    conn: &Connection,
    tenant: TenantId,
    filter: &DeliveryFilter,
    after: Option<DeliveryId>,
) -> Sql<Window<DeliveryId>> {
    let sql = deliveries_sql();
    let size = filter.limit.clamp(1, WINDOW_MAX);
    let after = after.map_or(FIRST, |id| *id.as_bytes());
    let destination = filter.destination.as_ref().map(|id| id.as_bytes().as_slice());
    let about = Values::of(&filter.about);
    let mut values: Vec<&dyn ToSql> = vec![tenant.as_bytes(), &after, &size, &destination];
    values.extend(about.list());
    Ok(window(all(conn, &sql, values.as_slice(), |row| Ok((id(row, 0)?, row.get(1)?)))?, size))
}

/// A window of dead runs.
fn runs_sql() -> String {
    format!(
        "SELECT x.id, (?4 IS NULL OR x.plugin = ?4) AND (?5 IS NULL OR x.verdict = ?5) AND {} FROM
            (SELECT * FROM run WHERE tenant = ?1 AND id > ?2 AND {DEAD_RUN} ORDER BY id LIMIT ?3) x ORDER BY x.id",
        about_sql(6)
    )
}

/// Dead runs behind `after`.
pub(super) fn dead_runs(
    conn: &Connection,
    tenant: TenantId,
    filter: &RunFilter,
    after: Option<RunId>,
) -> Sql<Window<RunId>> {
    let sql = runs_sql();
    let size = filter.limit.clamp(1, WINDOW_MAX);
    let after = after.map_or(FIRST, |id| *id.as_bytes());
    let plugin = filter.plugin.as_ref().map(|id| id.as_bytes().as_slice());
    let verdict = filter.verdict.map(Verdict::as_str);
    let about = Values::of(&filter.about);
    let mut values: Vec<&dyn ToSql> = vec![tenant.as_bytes(), &after, &size, &plugin, &verdict];
    values.extend(about.list());
    Ok(window(all(conn, &sql, values.as_slice(), |row| Ok((id(row, 0)?, row.get(1)?)))?, size))
}

/// In the words of the index `run_dead`, which SQLite uses only then.
pub(super) const DEAD_RUN: &str = "ended_at IS NOT NULL AND verdict NOT IN ('done', 'rejected') AND replayed IS NULL";

const LETTER: &str = "SELECT d.seq, c.head, c.body, d.order_key, d.expires_at, d.past, d.start_at
    FROM delivery d JOIN call c ON c.seq = d.seq WHERE d.tenant = ?1 AND d.id = ?2";

/// What is asked about dead letters, for the test of their plans.
#[cfg(test)]
pub(super) fn plans() -> Vec<String> {
    vec![deliveries_sql(), runs_sql(), LETTER.to_owned()]
}

/// The number of a delivery and what it sends.
pub(super) fn letter(conn: &Connection, tenant: TenantId, delivery: DeliveryId) -> Sql<Option<(i64, Letter)>> {
    first(conn, LETTER, params![tenant.as_bytes(), delivery.as_bytes()], |row| {
        let (headers, attributes) = packed(row, 1, codec::read_call_head)?;
        let letter = Letter {
            headers,
            attributes,
            body: row.get::<_, Option<Vec<u8>>>(2)?.map(Into::into),
            order_key: row.get(3)?,
            start_at: time(row, 6)?,
            expires_at: time_opt(row, 4)?,
            past: json_opt(row, 5)?.unwrap_or_default(),
        };
        Ok((row.get(0)?, letter))
    })
}

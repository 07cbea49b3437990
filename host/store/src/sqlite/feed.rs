//! Events in the order of their ids, with their bodies: a page for whoever follows them.
//!
//! A page looks at a bounded number of rows, whatever the filter passes, and says how far it has looked; so following a
//! quiet source beside a busy one takes more pages and no scan.

use creel_webhook::followup;
use creel_webhook::id::{EventId, TenantId};
use rusqlite::{Connection, params};

use crate::contract::{FeedFilter, FeedPage};
use crate::sqlite::events;
use crate::sqlite::statement::{Sql, all, id};

/// Rows that one page looks at.
const ROWS_LOOKED_AT: u32 = 2_000;

/// Events that one page may have.
const EVENTS_MAX: usize = 500;

/// A page.
pub(super) fn page(conn: &Connection, tenant: TenantId, filter: &FeedFilter) -> Sql<FeedPage> {
    let after = filter.after.map_or([0; 16], |id| *id.as_bytes());
    // The least id of its moment: ids begin with it.
    let until = EventId::new(filter.until, [0; 10]);
    let sql = "SELECT id, source FROM event WHERE tenant = ?1 AND id > ?2 AND id < ?3 ORDER BY id LIMIT ?4";
    let values = params![tenant.as_bytes(), after, until.as_bytes(), ROWS_LOOKED_AT];
    let rows = all(conn, sql, values, |row| Ok((id(row, 0)?, id(row, 1)?)))?;
    let (mut page, mut bytes, total) = (FeedPage::default(), 0, rows.len());
    let limit = (filter.limit as usize).clamp(1, EVENTS_MAX);
    for (looked, (event, source)) in rows.into_iter().enumerate() {
        if page.events.len() >= limit || bytes >= filter.bytes_max {
            page.more = looked < total;
            return Ok(page);
        }
        page.reached = Some(event);
        if filter.source.is_some_and(|wanted| wanted != source) {
            continue;
        }
        if let Some(stored) = events::load(conn, tenant, event)?.filter(|one| one.scheme != followup::SCHEME) {
            bytes += stored.body.len();
            page.events.push(stored);
        }
    }
    page.more = total == ROWS_LOOKED_AT as usize;
    Ok(page)
}

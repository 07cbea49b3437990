//! An event's payload is removed on demand, with everything that repeats it.
//!
//! Removed: the body (of a batch only the event's own bytes, which are overwritten), the request's query, headers and
//! attributes, the subject, what its runs read and logged and why they ended, the calls' paths, headers, bodies and tags, what
//! receivers and the plugin's reply said; and the same of the events that report its calls' ends, which hold what was
//! answered. What stays says that and when something happened, and nothing of what was in it: ids, types, the
//! provider's id, times, verdicts, status codes, hashes, keys outward.
//!
//! What other events of a batch need stays until they are erased too: the query and headers that they share, and the
//! whole body where an item has no place of its own in it.
//!
//! Freed bytes are overwritten: within a page always, whole pages while an erasure lasts.

use creel_webhook::clock::Timestamp;
use creel_webhook::id::{EventId, TenantId};
use rusqlite::{Connection, params};

use crate::codec;
use crate::contract::{StoreError, StoredAnswer, erased};
use crate::planted::{self, Bug};
use crate::sqlite::holdings::{self, Holdings, Pending};
use crate::sqlite::records;
use crate::sqlite::request;
use crate::sqlite::statement::{Sql, exec, first, packed};
use crate::sqlite::transaction::Tx;

/// Refuses when an event's payload is gone: a handler must not take an empty body for what was sent.
pub(super) fn refuse_erased(conn: &Connection, tenant: TenantId, event: EventId) -> Sql<()> {
    let sql =
        "SELECT e.erased_at IS NOT NULL OR length(r.body) IS NULL FROM event e LEFT JOIN request r ON r.seq = e.request
        WHERE e.tenant = ?1 AND e.id = ?2";
    match first(conn, sql, params![tenant.as_bytes(), event.as_bytes()], |row| row.get(0))? {
        Some(true) => Err(erased(event).into()),
        _ => Ok(()),
    }
}

/// The verb: erases an event's payload and what follows from it; says how many events that were.
pub(super) fn erase(tx: &mut Tx<'_>, tenant: TenantId, event: EventId, now: Timestamp) -> Sql<u32> {
    let now = tx.now(now);
    let family = family(tx.conn, tenant, event)?;
    if family.is_empty() {
        return Err(StoreError::NotFound(format!("there is no event `{event}`")).into());
    }
    let pending = family.iter().find_map(|one| Some((one.event, one.pending?)));
    if let Some(pending) = pending.filter(|_| !planted::is(Bug::EraseAnyway)) {
        return Err(refusal(event, pending).into());
    }
    secure_delete(tx.conn, "ON")?;
    let erased = family.iter().try_for_each(|one| erase_one(tx.conn, tenant, one, now));
    secure_delete(tx.conn, "FAST")?;
    erased.map(|()| u32::try_from(family.len()).unwrap_or(u32::MAX))
}

fn refusal(event: EventId, (of, pending): (EventId, Pending)) -> StoreError {
    let what = match pending {
        Pending::Run(run) => format!("its run `{run}` is not decided"),
        Pending::Delivery(delivery) => format!("its call `{delivery}` is still on its way"),
        Pending::Reply => "a sender waits for its reply".to_owned(),
    };
    let whose = if of == event { String::new() } else { format!(" (of `{of}`, which reports the end of a call)") };
    StoreError::Conflict(format!(
        "`{event}` is in use: {what}{whose}; nothing was erased. Wait for its end, resume what is paused, or remove the \
         route to end its runs; then erase again"
    ))
}

/// An event and all that report the end of one of its calls, and so on.
fn family(conn: &Connection, tenant: TenantId, event: EventId) -> Sql<Vec<Holdings>> {
    let mut open = vec![event];
    let mut family = Vec::new();
    while let Some(event) = open.pop() {
        if let Some(holdings) = holdings::load(conn, tenant, event)? {
            open.extend(holdings.deliveries.iter().flat_map(|held| &held.reports));
            family.push(holdings);
        }
    }
    Ok(family)
}

/// How thoroughly freed bytes are overwritten from here on.
pub(super) fn secure_delete(conn: &Connection, how: &str) -> Sql<()> {
    Ok(conn.query_row(&format!("PRAGMA secure_delete = {how}"), [], |_| Ok(()))?)
}

fn erase_one(conn: &Connection, tenant: TenantId, holdings: &Holdings, now: Timestamp) -> Sql<()> {
    let key = params![tenant.as_bytes(), holdings.event.as_bytes()];
    erase_body(conn, tenant, holdings)?;
    let sql = "UPDATE event SET erased_at = coalesce(erased_at, ?3), subject = NULL WHERE tenant = ?1 AND id = ?2";
    exec(conn, sql, params![tenant.as_bytes(), holdings.event.as_bytes(), now.as_millis()])?;
    for run in &holdings.runs {
        let key = params![tenant.as_bytes(), run.as_bytes()];
        exec(conn, "DELETE FROM run_log WHERE tenant = ?1 AND run = ?2", key)?;
        records::remove(conn, tenant, *run)?;
        exec(conn, "UPDATE run SET reason = NULL, order_key = NULL WHERE tenant = ?1 AND id = ?2", key)?;
    }
    for held in &holdings.deliveries {
        erase_call(conn, held.seq)?;
    }
    let sql = "SELECT answer FROM reply WHERE tenant = ?1 AND event = ?2 AND answer IS NOT NULL";
    if let Some(answer) = first(conn, sql, key, |row| packed(row, 0, codec::read_answer))? {
        // Its status stays for repetitions; they are told nothing else.
        let bare = StoredAnswer { status: answer.status, headers: Vec::new(), body: Default::default() };
        let sql = "UPDATE reply SET answer = ?3 WHERE tenant = ?1 AND event = ?2";
        exec(conn, sql, params![tenant.as_bytes(), holdings.event.as_bytes(), codec::answer(&bare)])?;
    }
    Ok(())
}

fn erase_body(conn: &Connection, tenant: TenantId, holdings: &Holdings) -> Sql<()> {
    let sql = "SELECT erased_at IS NULL FROM event WHERE tenant = ?1 AND id = ?2";
    for other in holdings::siblings(conn, holdings)? {
        if first(conn, sql, params![tenant.as_bytes(), other.as_bytes()], |row| row.get(0))? == Some(true) {
            return overwrite_item(conn, holdings);
        }
    }
    request::remove_body(conn, holdings.request)?;
    let sql = "SELECT head FROM request WHERE seq = ?1";
    let Some(head) = first(conn, sql, [holdings.request], |row| packed(row, 0, codec::read_request_head))? else {
        return Ok(());
    };
    let bare = codec::request_head::<&str>(&head.method, &head.scheme, &[], &[], &[]);
    exec(conn, "UPDATE request SET head = ?2 WHERE seq = ?1", params![holdings.request, bare])?;
    Ok(())
}

/// Writes spaces over an item of a body that others still need.
fn overwrite_item(conn: &Connection, holdings: &Holdings) -> Sql<()> {
    let there = request::body_len(conn, holdings.request)?.is_some();
    let (Some((from, to)), true) = (holdings.item, there) else { return Ok(()) };
    let mut blob = conn.blob_open("main", "request", "body", holdings.request, false)?;
    let bytes = vec![b' '; to.min(blob.len()).saturating_sub(from)];
    if !bytes.is_empty() {
        blob.write_all_at(&bytes, from)?;
    }
    Ok(blob.close()?)
}

fn erase_call(conn: &Connection, seq: i64) -> Sql<()> {
    let sql = "UPDATE call SET head = ?2, body = NULL WHERE seq = ?1";
    exec(conn, sql, params![seq, codec::call_head(&[], &[])])?;
    let sql = "UPDATE delivery SET path = '', order_key = NULL, on_result = json_set(on_result, '$.tag', '')
        WHERE seq = ?1";
    exec(conn, sql, [seq])?;
    let sql = "UPDATE attempt SET attempt = json_set(attempt, '$.response_head', '', '$.detail', NULL)
        WHERE delivery = ?1";
    exec(conn, sql, [seq])?;
    Ok(())
}

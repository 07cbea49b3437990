//! The end of a call becomes an event, in the transaction of the end.
//!
//! What the event says is decided by [`creel_webhook::followup`]; here it is put together from what is stored and
//! queued like any other event: same tables, same lane as the run that decided the call.

use creel_webhook::clock::Timestamp;
use creel_webhook::delivery::Answer;
use creel_webhook::followup::{self, End, Ids, Origin, stands_for};
use creel_webhook::id::{DeliveryId, DestinationId, EventId, PluginId, RouteId, RunId, SourceId, TenantId};
use creel_webhook::outcome::{OnResult, Pair};
use creel_webhook::trace;
use rusqlite::{Connection, params};

use crate::codec;
use crate::contract::{Accept, Attempt, NewEvent, NewRequest, NewRun, Response, StoredAnswer};
use crate::planted::{self, Bug};
use crate::sqlite::accept;
use crate::sqlite::events;
use crate::sqlite::lanes::{self, Work};
use crate::sqlite::statement::{Sql, exec, first, id, json, packed};
use crate::sqlite::transaction::Tx;

/// A delivery whose end may be reported.
pub(super) struct Ended<'a> {
    /// Its number.
    pub(super) seq: i64,
    /// Whose it is.
    pub(super) tenant: TenantId,
    /// Its id.
    pub(super) delivery: DeliveryId,
    /// The run that decided it.
    pub(super) run: RunId,
    /// The event that it is about.
    pub(super) event: EventId,
    /// Position in its outcome.
    pub(super) index: u32,
    /// Where it went.
    pub(super) destination: DestinationId,
    /// What is to be reported.
    pub(super) on_result: &'a OnResult,
    /// Why it is dead; `None` when it was delivered.
    pub(super) dead: Option<&'a str>,
    /// What the last attempt was answered, if that is known better than from its record.
    pub(super) response: Option<&'a Response>,
}

/// The run that decided the call, and its event.
struct Parent {
    route: RouteId,
    plugin: PluginId,
    order_key: Option<String>,
    source: SourceId,
    subject: Option<String>,
    new_keys: bool,
    origin: Option<Origin>,
}

/// The attempts of a delivery, in sum.
#[derive(Default)]
struct Tries {
    count: u32,
    last: Option<Attempt>,
}

/// Queues the report of an end, if it is wanted.
pub(super) fn report(tx: &mut Tx<'_>, ended: &Ended<'_>, now: Timestamp) -> Sql<()> {
    let delivered = ended.dead.is_none();
    if !followup::is_wanted(ended.on_result, delivered) {
        return Ok(());
    }
    let full = planted::is(Bug::ReportWithinQuota) && lanes::pending_count(tx.conn, ended.tenant, Work::Runs)? > 4;
    let Some(parent) = parent(tx.conn, ended)?.filter(|_| !full) else { return Ok(()) };
    let before = parent.origin.as_ref();
    let origin = Origin {
        event: ended.event,
        delivery: ended.delivery,
        depth: before.filter(|_| !planted::is(Bug::DepthForgotten)).map_or(0, |origin| origin.depth) + 1,
        identity: followup::identity(
            if parent.new_keys { stands_for(ended.run) } else { before.map_or(ended.event, |origin| origin.identity) },
            parent.route,
            ended.index,
            delivered,
        ),
    };
    let ids = followup::ids(ended.delivery, now);
    if events::exists(tx.conn, ended.tenant, ids.event)? {
        // It was brought back and died again within the millisecond of its death: that has been said.
        return Ok(());
    }
    let accept = accept_of(tx.conn, ended, parent, &origin, ids, now)?;
    accept::internal(tx, accept, now)?;
    let sql = "INSERT INTO followup (tenant, event, parent, delivery, depth, identity) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let values = params![
        ended.tenant.as_bytes(),
        ids.event.as_bytes(),
        origin.event.as_bytes(),
        origin.delivery.as_bytes(),
        origin.depth,
        origin.identity.as_bytes()
    ];
    exec(tx.conn, sql, values)?;
    Ok(())
}

fn parent(conn: &Connection, ended: &Ended<'_>) -> Sql<Option<Parent>> {
    let sql = "SELECT r.route, r.plugin, r.order_key, e.source, e.subject, r.new_keys
        FROM run r JOIN event e ON e.tenant = r.tenant AND e.id = r.event WHERE r.tenant = ?1 AND r.id = ?2";
    let found = first(conn, sql, params![ended.tenant.as_bytes(), ended.run.as_bytes()], |row| {
        Ok(Parent {
            route: id(row, 0)?,
            plugin: id(row, 1)?,
            order_key: row.get(2)?,
            source: id(row, 3)?,
            subject: row.get(4)?,
            new_keys: row.get(5)?,
            origin: None,
        })
    })?;
    let Some(mut parent) = found else { return Ok(None) };
    parent.origin = events::origin(conn, ended.tenant, ended.event)?;
    Ok(Some(parent))
}

fn tries(conn: &Connection, delivery: i64) -> Sql<Tries> {
    let sql = "SELECT attempt, (SELECT count(*) FROM attempt WHERE delivery = ?1) FROM attempt
        WHERE delivery = ?1 ORDER BY claim DESC LIMIT 1";
    let found = first(conn, sql, [delivery], |row| Ok(Tries { last: Some(json(row, 0)?), count: row.get(1)? }))?;
    Ok(found.unwrap_or_default())
}

fn accept_of(
    conn: &Connection,
    ended: &Ended<'_>,
    parent: Parent,
    origin: &Origin,
    ids: Ids,
    now: Timestamp,
) -> Sql<Accept> {
    let tries = tries(conn, ended.seq)?;
    let sql = "SELECT name FROM destination WHERE tenant = ?1 AND id = ?2";
    let values = params![ended.tenant.as_bytes(), ended.destination.as_bytes()];
    let destination: Option<String> = first(conn, sql, values, |row| row.get(0))?;
    let end = End {
        delivery: ended.delivery,
        event: ended.event,
        index: ended.index,
        destination: destination.as_deref(),
        delivered: ended.dead.is_none(),
        reason: ended.dead,
        status: tries.last.as_ref().and_then(|attempt| status_of(&attempt.answer)),
        attempts: tries.count,
        truncated: ended.response.is_some_and(|response| response.truncated),
    };
    let content_type = ended.response.and_then(|response| response.content_type.clone());
    let mut headers = traced(conn, ended.seq)?;
    headers.extend(content_type.map(|value| ("content-type".to_owned(), value)));
    let run =
        NewRun { id: ids.run, route: parent.route, plugin: parent.plugin, order_key: parent.order_key, reply: None };
    Ok(Accept {
        tenant: ended.tenant,
        source: parent.source,
        request: NewRequest {
            id: ids.request,
            received_at: now,
            method: "POST".to_owned(),
            query: Vec::new(),
            headers: headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
            scheme: followup::SCHEME.to_owned(),
            attributes: followup::attributes(&ended.on_result.tag, &end, origin.depth),
            body: match (ended.response, tries.last) {
                (Some(response), _) => response.body.clone(),
                (None, Some(attempt)) => attempt.response_head.into(),
                (None, None) => Default::default(),
            },
        },
        events: vec![NewEvent {
            id: ids.event,
            kind: followup::kind(end.delivered).to_owned(),
            provider_id: None,
            subject: parent.subject,
            occurred_at: Some(now),
            item: None,
            dedup_keys: Vec::new(),
            dedup_until: now,
            runs: vec![run],
        }],
        // Nobody waits for one, and nobody repeats it.
        answer: StoredAnswer { status: 204, headers: Vec::new(), body: Default::default() },
        pending_runs_max: u64::MAX,
    })
}

/// The trace that the call carried: its report belongs to the same.
fn traced(conn: &Connection, delivery: i64) -> Sql<Vec<Pair>> {
    let sql = "SELECT head FROM call WHERE seq = ?1";
    let head = first(conn, sql, [delivery], |row| packed(row, 0, codec::read_call_head))?;
    Ok(trace::carried(&head.unwrap_or_default().0))
}

fn status_of(answer: &Answer) -> Option<u16> {
    match answer {
        Answer::Status { status, .. } => Some(*status),
        _ => None,
    }
}

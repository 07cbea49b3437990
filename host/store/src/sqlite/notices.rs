//! Notices: where they go, and how a fact becomes a call in the transaction of its cause.
//!
//! A notice is a delivery like any other: same row, same lane, signed, tried again and given up as its destination says.
//! So it is durable with what it tells, and nothing new has to send it. What is told, and how often, is decided by
//! [`creel_webhook::notice`]; here that is looked up and written. A tenant that named no destination costs one look-up
//! per death, pause or breaker, and all that goes well costs nothing.

use bytes::Bytes;
use creel_webhook::clock::Timestamp;
use creel_webhook::decision::DecidedCall;
use creel_webhook::id::{DestinationId, SourceId, TenantId};
use creel_webhook::notice::{Before, Fact, NO_EVENT, NO_RUN, Names, Notices, Thing, ids, is_silent, told_now};
use creel_webhook::run::Verdict;
use rusqlite::{Connection, params};

use crate::contract::NewDelivery;
use crate::planted::{self, Bug};
use crate::sqlite::calls::{self, Origin};
use crate::sqlite::lanes::{self, Work};
use crate::sqlite::statement::{Sql, all, conflict, count, exec, first, id, must_exist, time};
use crate::sqlite::transaction::Tx;

/// Not a kind of notice: when the last genuine request of a source came.
const HEARD: &str = "heard";

/// Notices of a tenant that one step of retention removes.
const STEP_NOTICES: i64 = 200;

const TARGET: &str = "SELECT n.destination, t.name FROM notices n JOIN tenant t ON t.id = n.tenant WHERE n.tenant = ?1";

/// In the words of the index `delivery_notice`, which SQLite uses only then.
const OLD: &str = "SELECT seq FROM delivery WHERE tenant = ?1 AND created_at < ?2
    AND run = x'00000000000000000000000000000000' AND ended_at IS NOT NULL ORDER BY created_at LIMIT ?3";

/// What is asked beside the work, for the test of its plans.
#[cfg(test)]
pub(super) const PLANS: &[&str] = &[TARGET, OLD];

/// Names a tenant's destination, or another.
pub(super) fn put(tx: &mut Tx<'_>, notices: &Notices) -> Sql<()> {
    let sql = "INSERT INTO notices (tenant, destination, refusals_percent, refusals_min) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (tenant) DO UPDATE SET destination = excluded.destination,
            refusals_percent = excluded.refusals_percent, refusals_min = excluded.refusals_min";
    let (tenant, destination) = (notices.tenant.as_bytes(), notices.destination.as_bytes());
    let values = params![tenant, destination, notices.refusals_percent, notices.refusals_min];
    conflict(exec(tx.conn, sql, values), || format!("there is no destination `{}`", notices.destination))?;
    tx.effects.control = true;
    Ok(())
}

/// Tells a tenant nothing any more.
pub(super) fn delete(tx: &mut Tx<'_>, tenant: TenantId) -> Sql<()> {
    let gone = exec(tx.conn, "DELETE FROM notices WHERE tenant = ?1", [tenant.as_bytes()])?;
    must_exist(gone, || "no destination is named for notices".to_owned())?;
    tx.effects.control = true;
    Ok(())
}

/// Where all tenants' notices go.
pub(super) fn read_all(conn: &Connection) -> Sql<Vec<Notices>> {
    let sql = "SELECT tenant, destination, refusals_percent, refusals_min FROM notices ORDER BY tenant";
    all(conn, sql, [], |row| {
        Ok(Notices {
            tenant: id(row, 0)?,
            destination: id(row, 1)?,
            refusals_percent: row.get(2)?,
            refusals_min: row.get(3)?,
        })
    })
}

/// Whether a tenant's notices go to this destination.
pub(super) fn go_to(conn: &Connection, tenant: TenantId, destination: DestinationId) -> Sql<bool> {
    let sql = "SELECT 1 FROM notices WHERE tenant = ?1 AND destination = ?2";
    Ok(first(conn, sql, params![tenant.as_bytes(), destination.as_bytes()], |_| Ok(()))?.is_some())
}

/// Forgets what was told about a thing that is gone.
pub(super) fn forget(tx: &Tx<'_>, tenant: TenantId, thing: &[u8; 16]) -> Sql<()> {
    let sql = "DELETE FROM noticed WHERE tenant = ?1 AND thing = ?2";
    exec(tx.conn, sql, params![tenant.as_bytes(), thing])?;
    Ok(())
}

/// Tells a tenant a fact, if it wants to be told, can be, and was not told the like just now.
pub(super) fn tell(tx: &mut Tx<'_>, tenant: TenantId, fact: &Fact, now: Timestamp) -> Sql<()> {
    let target = first(tx.conn, TARGET, [tenant.as_bytes()], |row| Ok((id(row, 0)?, row.get::<_, String>(1)?)))?;
    let Some((destination, tenant_name)) = target else { return Ok(()) };
    if !fact.can_go_to(destination) && !planted::is(Bug::NoticeOfNotice) {
        return Ok(());
    }
    if !matches!(fact, Fact::RunDead { verdict: Verdict::Unanswered, .. }) {
        tx.split(Bug::NoticeApart)?;
    }
    let thing = thing_bytes(tenant, fact);
    let sql = "SELECT at, suppressed FROM noticed WHERE tenant = ?1 AND kind = ?2 AND thing = ?3";
    let key = params![tenant.as_bytes(), fact.kind(), thing];
    let before = first(tx.conn, sql, key, |row| Ok(Before { at: time(row, 0)?, suppressed: count(row, 1)? }))?;
    let place = calls::place(tx, tenant, destination)?;
    // A full queue has no room for notices, and a disabled destination wants none: what they miss is counted.
    let room = place.room.filter(|room| room.waiting < room.waiting_max);
    let (Some(room), Some(suppressed)) = (room, told_now(before, now)) else {
        let sql = "INSERT INTO noticed (tenant, kind, thing, at, suppressed) VALUES (?1, ?2, ?3, 0, 1)
            ON CONFLICT (tenant, kind, thing) DO UPDATE SET suppressed = suppressed + 1";
        exec(tx.conn, sql, key)?;
        return Ok(());
    };
    let sql = "INSERT INTO noticed (tenant, kind, thing, at) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (tenant, kind, thing) DO UPDATE SET at = excluded.at, suppressed = 0";
    exec(tx.conn, sql, params![tenant.as_bytes(), fact.kind(), thing, now.as_millis()])?;
    let body = body(tx.conn, tenant, &tenant_name, fact, now, suppressed)?;
    let new = call(tenant, destination, fact, &thing, body, now);
    calls::insert(tx, Origin { tenant, run: NO_RUN, event: NO_EVENT }, &new, &place, now)?;
    lanes::waiting(tx, room.lane, 1)?;
    lanes::pending(tx, tenant, Work::Deliveries, 1, None)
}

fn thing_bytes(tenant: TenantId, fact: &Fact) -> [u8; 16] {
    match fact.thing() {
        _ if planted::is(Bug::NoticeOfOneThing) => [0; 16],
        Thing::Route(id) => *id.as_bytes(),
        Thing::Destination(id) => *id.as_bytes(),
        Thing::Source(id) => *id.as_bytes(),
        Thing::Tenant => *tenant.as_bytes(),
        Thing::Quota(quota, percent) => {
            // Of the tenant, and one for each quota and level.
            let mut thing = *tenant.as_bytes();
            thing[15] ^= quota as u8;
            thing[14] ^= percent as u8;
            thing
        }
    }
}

fn body(
    conn: &Connection,
    tenant: TenantId,
    tenant_name: &str,
    fact: &Fact,
    now: Timestamp,
    suppressed: u64,
) -> Sql<Vec<u8>> {
    let name = |sql: &str, id: &[u8; 16], text: String| -> Sql<String> {
        let found = first(conn, sql, params![tenant.as_bytes(), id], |row| row.get::<_, String>(0))?;
        Ok(found.unwrap_or(text))
    };
    let thing = match fact.thing() {
        Thing::Route(id) => {
            name("SELECT name FROM route WHERE tenant = ?1 AND id = ?2", id.as_bytes(), id.to_string())?
        }
        Thing::Destination(id) => {
            name("SELECT name FROM destination WHERE tenant = ?1 AND id = ?2", id.as_bytes(), id.to_string())?
        }
        Thing::Source(id) => {
            name("SELECT name FROM source WHERE tenant = ?1 AND id = ?2", id.as_bytes(), id.to_string())?
        }
        Thing::Tenant | Thing::Quota(..) => tenant_name.to_owned(),
    };
    let plugin = match fact {
        Fact::RunDead { plugin: id, .. } => {
            name("SELECT name FROM plugin WHERE tenant = ?1 AND id = ?2", id.as_bytes(), id.to_string())?
        }
        _ => String::new(),
    };
    Ok(fact.body(Names { tenant: tenant_name, thing: &thing, plugin: &plugin }, now, suppressed))
}

fn call(
    tenant: TenantId,
    destination: DestinationId,
    fact: &Fact,
    thing: &[u8; 16],
    body: Vec<u8>,
    now: Timestamp,
) -> NewDelivery {
    let (delivery, key) = ids(tenant, fact.kind(), thing, now);
    let call = DecidedCall {
        index: 0,
        destination,
        key,
        method: "POST".to_owned(),
        path: String::new(),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: Some(Bytes::from(body)),
        order_key: None,
        due_at: now,
        expires_at: None,
        on_result: None,
        attributes: Vec::new(),
    };
    NewDelivery { id: delivery, call }
}

/// Notes when a source was last heard, and tells its tenant once when it has been silent for longer than it may be. Whoever
/// was never heard is silent from the first look on.
pub(super) fn watch_silence(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    source: SourceId,
    heard_at: Option<Timestamp>,
    hours: u32,
    now: Timestamp,
) -> Sql<()> {
    let now = tx.now(now);
    if !tx.standing(tenant, now)?.is_there() {
        return Ok(());
    }
    let sql = "INSERT INTO noticed (tenant, kind, thing, at) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (tenant, kind, thing) DO UPDATE SET at = excluded.at WHERE at < excluded.at AND ?5";
    let at = heard_at.unwrap_or(now).as_millis();
    exec(tx.conn, sql, params![tenant.as_bytes(), HEARD, source.as_bytes(), at, heard_at.is_some()])?;
    let sql = "SELECT at FROM noticed WHERE tenant = ?1 AND kind = ?2 AND thing = ?3";
    let at = |kind: &str| first(tx.conn, sql, params![tenant.as_bytes(), kind, source.as_bytes()], |row| time(row, 0));
    let since = at(HEARD)?.unwrap_or(now);
    let fact = Fact::SourceSilent { source, since, hours };
    let was_told = at(fact.kind())?.is_some_and(|told| told > since);
    if was_told || !is_silent(since, hours, now) {
        return Ok(());
    }
    tell(tx, tenant, &fact, now)
}

/// Removes some of a tenant's notices that ended and were made before `at`, and what was told so long ago.
pub(super) fn remove_old(tx: &Tx<'_>, tenant: TenantId, at: Timestamp) -> Sql<()> {
    let values = params![tenant.as_bytes(), at.as_millis(), STEP_NOTICES];
    for seq in all(tx.conn, OLD, values, |row| row.get::<_, i64>(0))? {
        for sql in [
            "DELETE FROM attempt WHERE delivery = ?1",
            "DELETE FROM call WHERE seq = ?1",
            "DELETE FROM delivery WHERE seq = ?1",
        ] {
            exec(tx.conn, sql, [seq])?;
        }
    }
    let sql = "DELETE FROM noticed WHERE tenant = ?1 AND kind <> ?2 AND at < ?3";
    exec(tx.conn, sql, params![tenant.as_bytes(), HEARD, at.as_millis()])?;
    Ok(())
}

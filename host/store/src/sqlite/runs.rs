//! Runs: claimed, decided, given back.
//!
//! A commit asks for its run with the claim's token, so a token that is no longer the row's finds nothing and the commit
//! is stale. The commit that ends a run promotes the next of its order key, stores the decided calls and decides the
//! reply, all in one transaction.
//!
//! Two ends are decided here instead of by a worker, both while claiming: a run that lost [`CLAIMS_MAX`] claims, and
//! a reply run whose sender has been answered.
//!
//! Runs that may be what ended the process before are claimed first, and alone (`suspects`).

use creel_webhook::clock::Timestamp;
use creel_webhook::id::{EventId, PluginId, RouteId, RunId, TenantId};
use creel_webhook::notice::Fact;
use creel_webhook::route::Mode;
use creel_webhook::run::{CLAIMS_MAX, RunNext, Verdict};
use rusqlite::{Connection, Row, params};

use crate::contract::{ClaimToken, RunCommit, RunCommitted, RunTicket, StoreError, StoredAnswer, Used};
use crate::planted::{self, Bug};
use crate::sqlite::calls::Origin;
use crate::sqlite::lanes::{self, Lane, Wanted, Work};
use crate::sqlite::reply::Reply;
use crate::sqlite::statement::{Sql, all, exec, first, id, int, time_opt, to_json};
use crate::sqlite::transaction::Tx;
use crate::sqlite::usage;
use crate::sqlite::{deliveries, erasing, events, notices, records, reply, shares, state};

/// The columns that moving a run on needs.
struct Live {
    tenant: TenantId,
    id: RunId,
    seq: i64,
    lane: i64,
    event: EventId,
    route: RouteId,
    plugin: PluginId,
    mode: Mode,
    order_key: Option<String>,
    claims: u32,
    attempts: u32,
    failures: u32,
    deadline: Option<Timestamp>,
    skip_at: Option<Timestamp>,
    new_keys: bool,
}

pub(super) const DUE: &str =
    "SELECT tenant, id, lane, event, route, plugin, mode, order_key, claims, attempts, failures, deadline, seq,
        skip_at, new_keys FROM run WHERE lane = ?1 AND claimed = ?2 AND due_at <= ?3 ORDER BY due_at LIMIT ?4";

const BY_CLAIM: &str =
    "SELECT tenant, id, lane, event, route, plugin, mode, order_key, claims, attempts, failures, deadline, seq,
        skip_at, new_keys FROM run WHERE tenant = ?1 AND id = ?2 AND claim = ?3";

/// For a planted bug.
const BY_ANY_CLAIM: &str =
    "SELECT tenant, id, lane, event, route, plugin, mode, order_key, claims, attempts, failures, deadline, seq,
        skip_at, new_keys FROM run WHERE tenant = ?1 AND id = ?2 AND (claim = ?3 OR ended_at IS NULL)";

const BY_ID: &str =
    "SELECT tenant, id, lane, event, route, plugin, mode, order_key, claims, attempts, failures, deadline, seq,
        skip_at, new_keys FROM run WHERE tenant = ?1 AND id = ?2";

/// The same if it could be claimed now.
const BY_ID_DUE: &str =
    "SELECT r.tenant, r.id, r.lane, r.event, r.route, r.plugin, r.mode, r.order_key, r.claims, r.attempts, r.failures,
        r.deadline, r.seq, r.skip_at, r.new_keys FROM run r JOIN lane l ON l.id = r.lane
        WHERE r.tenant = ?1 AND r.id = ?2 AND r.claimed = 0 AND r.due_at <= ?3 AND l.paused = 0";

/// Lets the one behind go then, or sooner than it was let; one that was tried has a time of its own.
const PROMOTE: &str = "UPDATE run SET due_at = ?4
        WHERE attempts = 0 AND claimed = 0 AND (due_at IS NULL OR due_at > ?4) AND (tenant, id) =
            (SELECT tenant, id FROM run WHERE lane = ?1 AND order_key = ?2 AND ended_at IS NULL AND seq > ?3
                ORDER BY seq LIMIT 1)";

/// What claims and commits ask, for the test of their plans.
#[cfg(test)]
pub(super) const PLANS: &[&str] = &[DUE, BY_CLAIM, BY_ID, BY_ID_DUE, PROMOTE];

fn live(row: &Row<'_>) -> rusqlite::Result<Live> {
    Ok(Live {
        tenant: id(row, 0)?,
        id: id(row, 1)?,
        lane: row.get(2)?,
        event: id(row, 3)?,
        route: id(row, 4)?,
        plugin: id(row, 5)?,
        mode: if row.get(6)? { Mode::Reply } else { Mode::Ack },
        order_key: row.get(7)?,
        claims: row.get(8)?,
        attempts: row.get(9)?,
        failures: row.get(10)?,
        deadline: time_opt(row, 11)?,
        seq: row.get(12)?,
        skip_at: time_opt(row, 13)?,
        new_keys: row.get(14)?,
    })
}

/// Claims due runs. Unless they are few, their events are read elsewhere, after the commit: bodies are large and this
/// thread is the only one that writes.
pub(super) fn claim(tx: &mut Tx<'_>, now: Timestamp, lease_ms: u64, wanted: Wanted) -> Sql<Vec<RunTicket>> {
    let now = tx.now(now);
    let mut claims = Vec::new();
    if wanted.max == 0 || is_held_by_suspect(tx, now, lease_ms, &mut claims)? {
        return Ok(claims);
    }
    let (before, mut ended) = (tx.changes(), false);
    lanes::visit(tx, Work::Runs, now, wanted, |tx, lane, may| {
        let before = claims.len();
        for claimed in if planted::is(Bug::LeaseForever) { [0, 0] } else { [1, 0] } {
            let want = may - (claims.len() - before) as u32;
            if want > 0 {
                ended |= claim_lane(tx, lane, claimed, now, lease_ms, want, &mut claims)?;
            }
        }
        Ok((claims.len() - before) as u32)
    })?;
    if !ended {
        tx.is_fleeting(before);
    }
    Ok(claims)
}

/// Claims what is due in a lane; says whether some of it had to end instead.
fn claim_lane(
    tx: &mut Tx<'_>,
    lane: &Lane,
    claimed: i64,
    now: Timestamp,
    lease_ms: u64,
    want: u32,
    claims: &mut Vec<RunTicket>,
) -> Sql<bool> {
    let due = all(tx.conn, DUE, params![lane.id, claimed, now.as_millis(), want], live)?;
    let mut ended = false;
    for run in due {
        let ticket = claim_or_end(tx, &run, now, lease_ms)?;
        ended |= ticket.is_none();
        claims.extend(ticket);
    }
    Ok(ended)
}

/// Claims a run that is due, unless it has to end instead.
fn claim_or_end(tx: &mut Tx<'_>, run: &Live, now: Timestamp, lease_ms: u64) -> Sql<Option<RunTicket>> {
    if run.claims.saturating_sub(run.attempts) >= CLAIMS_MAX {
        let reason = format!("{CLAIMS_MAX} claims were lost without a decision");
        end_undecided(tx, run, Verdict::Host, &reason, now)?;
    } else if run.mode == Mode::Reply && is_answered(tx, run, now)? {
        end_undecided(tx, run, Verdict::Unanswered, "it was not run before its deadline", now)?;
    } else if events::exists(tx.conn, run.tenant, run.event)? {
        return claim_one(tx, run, now, lease_ms).map(Some);
    } else {
        end_undecided(tx, run, Verdict::Host, "its event is gone", now)?;
    }
    Ok(None)
}

/// Claims the next suspect, if it is due; says whether one has the host to itself, this one or one before.
fn is_held_by_suspect(tx: &mut Tx<'_>, now: Timestamp, lease_ms: u64, claims: &mut Vec<RunTicket>) -> Sql<bool> {
    let mut held_until = suspect_holds_until(tx, now)?;
    while let Some((tenant, run)) = tx.memory.suspects.next().filter(|_| held_until.is_none()) {
        let is_there = tx.standing(tenant, now)?.is_there();
        let due = first(tx.conn, BY_ID_DUE, params![tenant.as_bytes(), run.as_bytes(), now.as_millis()], live)?;
        // A tenant that is being removed has no turn that it could miss.
        let Some(run) = due.filter(|_| is_there) else {
            tx.memory.suspects.drop_next();
            continue;
        };
        if let Some(ticket) = claim_or_end(tx, &run, now, lease_ms)? {
            tx.memory.suspects.claimed(&ticket);
            held_until = Some(ticket.lease_until);
            claims.push(ticket);
        }
    }
    tx.shared.hold_runs(held_until);
    Ok(held_until.is_some())
}

/// Until when the one that was claimed alone may hold all others; `None` when it does not any more.
fn suspect_holds_until(tx: &mut Tx<'_>, now: Timestamp) -> Sql<Option<Timestamp>> {
    let Some((tenant, run, claim)) = tx.memory.suspects.alone() else { return Ok(None) };
    let sql = "SELECT due_at FROM run WHERE tenant = ?1 AND id = ?2 AND claim = ?3 AND due_at > ?4";
    let values = params![tenant.as_bytes(), run.as_bytes(), int(claim.0), now.as_millis()];
    let holds_until = first(tx.conn, sql, values, |row| time_opt(row, 0))?.flatten();
    if holds_until.is_none() {
        tx.memory.suspects.nobody_is_alone();
    }
    Ok(holds_until)
}

fn is_answered(tx: &Tx<'_>, run: &Live, now: Timestamp) -> Sql<bool> {
    let past = run.deadline.is_some_and(|deadline| deadline < now);
    Ok(past || reply::load(tx.conn, run.tenant, run.event)?.is_none_or(|reply| reply.answer.is_some()))
}

fn claim_one(tx: &mut Tx<'_>, run: &Live, now: Timestamp, lease_ms: u64) -> Sql<RunTicket> {
    let claim = tx.shared.claim_token();
    let lease_until = lanes::lease_until(now, lease_ms);
    let sql = "UPDATE run SET claimed = 1, claim = ?3, claims = claims + 1, due_at = ?4 WHERE tenant = ?1 AND id = ?2";
    let values = params![run.tenant.as_bytes(), run.id.as_bytes(), int(claim.0), lease_until.as_millis()];
    exec(tx.conn, sql, values)?;
    if planted::is(Bug::ReleaseEarly) {
        let sql =
            "UPDATE run SET due_at = ?3 WHERE lane = ?1 AND order_key = ?2 AND ended_at IS NULL AND due_at IS NULL";
        exec(tx.conn, sql, params![run.lane, run.order_key, now.as_millis()])?;
        lanes::touch(tx, run.lane, run.tenant, Work::Runs, now)?;
    }
    Ok(RunTicket {
        run: run.id,
        claim,
        tenant: run.tenant,
        event: run.event,
        route: run.route,
        plugin: run.plugin,
        mode: run.mode,
        attempts: run.attempts,
        failures: run.failures,
        claims: run.claims + 1,
        lease_until,
        deadline: run.deadline,
        new_keys: run.new_keys,
    })
}

/// Ends a run that no worker decided; whoever waits for it is told the fallback.
fn end_undecided(tx: &mut Tx<'_>, run: &Live, verdict: Verdict, reason: &str, now: Timestamp) -> Sql<()> {
    let sql = "UPDATE run SET claimed = 0, claim = NULL, due_at = NULL, ended_at = ?3, verdict = ?4, reason = ?5,
            breach = NULL WHERE tenant = ?1 AND id = ?2";
    let values = params![run.tenant.as_bytes(), run.id.as_bytes(), now.as_millis(), verdict.as_str(), reason];
    exec(tx.conn, sql, values)?;
    tell_dead(tx, run, verdict, now)?;
    if run.mode == Mode::Reply {
        reply::decide(tx, run.tenant, run.event, None, now)?;
    }
    // It took a claim's place without being one: whoever claimed has reason to look again.
    tx.effects.runs = true;
    left_line(tx, run, now)
}

/// A run that ends without a decision is worth a notice.
fn tell_dead(tx: &mut Tx<'_>, run: &Live, verdict: Verdict, now: Timestamp) -> Sql<()> {
    if !verdict.is_dead() {
        return Ok(());
    }
    let fact = Fact::RunDead { run: run.id, event: run.event, route: run.route, plugin: run.plugin, verdict };
    notices::tell(tx, run.tenant, &fact, now)
}

/// What follows when a run is over: one less is pending, and the next of its order key is due.
fn left_line(tx: &mut Tx<'_>, run: &Live, now: Timestamp) -> Sql<()> {
    lanes::pending(tx, run.tenant, Work::Runs, if planted::is(Bug::PendingLeaks) { 0 } else { -1 }, None)?;
    promote(tx, run, now)
}

fn promote(tx: &mut Tx<'_>, run: &Live, at: Timestamp) -> Sql<()> {
    let Some(key) = &run.order_key else { return Ok(()) };
    if exec(tx.conn, PROMOTE, params![run.lane, key, run.seq, at.as_millis()])? > 0 {
        lanes::touch(tx, run.lane, run.tenant, Work::Runs, at)?;
    }
    Ok(())
}

/// The first failure of one with an order key: from now on it holds the next for a limited time.
fn failed(tx: &mut Tx<'_>, run: &Live, now: Timestamp) -> Sql<()> {
    if run.order_key.is_none() || run.skip_at.is_some() {
        return Ok(());
    }
    let Some(lane) = lanes::load(tx.conn, run.lane)? else { return Ok(()) };
    let skip_at = lanes::skip_at(&lane, now);
    let sql = "UPDATE run SET skip_at = ?3 WHERE tenant = ?1 AND id = ?2";
    exec(tx.conn, sql, params![run.tenant.as_bytes(), run.id.as_bytes(), skip_at.as_millis()])?;
    promote(tx, run, skip_at)
}

/// Ends a reply run that nobody holds and whose sender has been answered.
pub(super) fn end_unanswered(tx: &mut Tx<'_>, tenant: TenantId, run: RunId, now: Timestamp) -> Sql<()> {
    let free = "SELECT 1 FROM run WHERE tenant = ?1 AND id = ?2 AND ended_at IS NULL AND (claimed = 0 OR due_at <= ?3)";
    let values = params![tenant.as_bytes(), run.as_bytes(), now.as_millis()];
    if first(tx.conn, free, values, |_| Ok(()))?.is_none() {
        return Ok(());
    }
    match first(tx.conn, BY_ID, params![tenant.as_bytes(), run.as_bytes()], live)? {
        Some(run) => end_undecided(tx, &run, Verdict::Unanswered, "it was not run before its deadline", now),
        None => Ok(()),
    }
}

/// Stores how a run ended and what follows; its record comes packed.
pub(super) fn commit(tx: &mut Tx<'_>, commit: &RunCommit, record: Option<&[u8]>) -> Sql<RunCommitted> {
    let now = tx.now(commit.now);
    let by_claim = if planted::is(Bug::TokenUnchecked) { BY_ANY_CLAIM } else { BY_CLAIM };
    let values = params![commit.tenant.as_bytes(), commit.run.as_bytes(), int(commit.claim.0)];
    let found = first(tx.conn, by_claim, values, live)?;
    let Some(run) = found else { return Ok(RunCommitted::Stale) };
    let standing = standing(tx, &run, commit)?;
    let in_time = standing.as_ref().is_none_or(|reply| reply.answer.is_none() && now <= reply.deadline);
    let keeps = commit.next == RunNext::End && (in_time || commit.keep_late || planted::is(Bug::LateKept));
    if is_overtaken(tx, &run, commit, keeps)? {
        return Ok(RunCommitted::Conflict);
    }
    let (verdict, answer) = match standing {
        Some(_) => decide_reply(tx, &run, commit, in_time, now)?,
        None => (commit.verdict, None),
    };
    let (calls, writes): (&[_], &[_]) = if keeps { (&commit.calls, &commit.state.writes) } else { (&[], &[]) };
    state::write(tx, run.tenant, run.plugin, writes)?;
    let origin = Origin { tenant: run.tenant, run: run.id, event: run.event };
    let numbers = deliveries::insert(tx, origin, calls, now)?;
    tx.split(Bug::HalfDecision)?;
    tx.effects.runs |= tx.memory.suspects.is_alone(run.id);
    let late = verdict != commit.verdict;
    let reason = if late { Some(LATE) } else { commit.reason.as_deref() };
    update(tx, &run, commit, Judged { verdict, reason }, &numbers, now)?;
    put_log(tx, &run, commit)?;
    records::put(tx.conn, run.tenant, run.id, record, run.attempts)?;
    let charged = commit.usage.charged(commit.verdict);
    let share = shares::charge(tx, run.tenant, run.mode, charged, now)?;
    match commit.next {
        RunNext::End => {
            tell_dead(tx, &run, verdict, now)?;
            left_line(tx, &run, now)?;
        }
        RunNext::Again(at) => {
            lanes::touch(tx, run.lane, run.tenant, Work::Runs, at.max(now))?;
            failed(tx, &run, now)?;
        }
    }
    lanes::settle_share(tx, run.tenant, &share, now)?;
    let bytes_out = calls.iter().map(|one| one.call.body.as_ref().map_or(0, |body| body.len() as u64)).sum();
    let used = Used { runs: 1, fuel: charged, bytes_out, ..Used::default() };
    usage::add(tx, run.tenant, now, used);
    Ok(RunCommitted::Stored { verdict, answer })
}

/// Why a run is late, for people.
const LATE: &str = "its outcome came after the sender had been answered with the fallback; make the plugin faster, or set \
                    `late = \"keep\"` on the route if its calls are wanted all the same";

/// How a run is recorded as having ended.
#[derive(Clone, Copy)]
struct Judged<'a> {
    verdict: Verdict,
    reason: Option<&'a str>,
}

/// How the reply stands that a run which is over may decide.
fn standing(tx: &Tx<'_>, run: &Live, commit: &RunCommit) -> Sql<Option<Reply>> {
    match (commit.next, run.mode) {
        (RunNext::End, Mode::Reply) => reply::load(tx.conn, run.tenant, run.event),
        _ => Ok(None),
    }
}

/// Whether what a run decides rests on what is no longer so. Who neither read nor wrote state pays nothing for it; what is
/// tried again anyway, and what is late and not kept, decides nothing.
fn is_overtaken(tx: &Tx<'_>, run: &Live, commit: &RunCommit, keeps: bool) -> Sql<bool> {
    let decides = keeps || matches!(commit.next, RunNext::Again(_));
    if commit.verdict.is_host_failure() || !decides {
        return Ok(false);
    }
    if state::is_overtaken(tx.conn, run.tenant, run.plugin, &commit.record)? {
        return Ok(true);
    }
    let writes = keeps && !commit.state.writes.is_empty();
    Ok(writes && !state::has_room(tx.conn, run.tenant, run.plugin, &commit.state)?)
}

/// Decides the reply of a run that is over. An outcome after the sender was answered is late.
fn decide_reply(
    tx: &mut Tx<'_>,
    run: &Live,
    commit: &RunCommit,
    in_time: bool,
    now: Timestamp,
) -> Sql<(Verdict, Option<StoredAnswer>)> {
    let reply = commit.reply.as_ref().filter(|_| in_time);
    let answer = reply::decide(tx, run.tenant, run.event, reply, now)?;
    let verdict = match commit.verdict {
        Verdict::Done if !in_time => Verdict::Late,
        verdict => verdict,
    };
    Ok((verdict, answer))
}

fn update(tx: &Tx<'_>, run: &Live, commit: &RunCommit, judged: Judged<'_>, numbers: &[u8], now: Timestamp) -> Sql<()> {
    let (ended_at, due_at) = match commit.next {
        RunNext::End => (Some(now.as_millis()), None),
        RunNext::Again(at) => (None, Some(at.max(now).as_millis())),
    };
    let sql = "UPDATE run SET claimed = 0, claim = NULL, attempts = attempts + 1, ended_at = ?3, due_at = ?4,
            verdict = ?5, reason = ?6, deployment = ?7, fuel = ?8, memory_bytes = ?9, cpu_us = ?10, wait_us = ?11,
            deliveries = ?12, failures = failures + ?13, breach = ?14
        WHERE tenant = ?1 AND id = ?2";
    let usage = &commit.usage;
    let values = params![
        run.tenant.as_bytes(),
        run.id.as_bytes(),
        ended_at,
        due_at,
        judged.verdict.as_str(),
        judged.reason,
        commit.deployment,
        int(usage.fuel),
        int(usage.memory_bytes),
        int(usage.cpu_us),
        int(usage.wait_us),
        (!numbers.is_empty()).then_some(numbers),
        judged.verdict.is_host_failure(),
        commit.breach.as_ref().map(to_json).transpose()?
    ];
    exec(tx.conn, sql, values)?;
    if planted::is(Bug::CommitTwice) && due_at.is_some() {
        let sql = "UPDATE run SET claimed = 1, claim = ?3 WHERE tenant = ?1 AND id = ?2";
        exec(tx.conn, sql, params![run.tenant.as_bytes(), run.id.as_bytes(), int(commit.claim.0)])?;
    }
    Ok(())
}

fn put_log(tx: &Tx<'_>, run: &Live, commit: &RunCommit) -> Sql<()> {
    if commit.log.is_empty() && run.attempts == 0 {
        return Ok(());
    }
    let sql = "INSERT INTO run_log (tenant, run, lines) VALUES (?1, ?2, ?3)
        ON CONFLICT (tenant, run) DO UPDATE SET lines = excluded.lines";
    exec(tx.conn, sql, params![run.tenant.as_bytes(), run.id.as_bytes(), to_json(&commit.log)?])?;
    Ok(())
}

/// Gives a claim back as if it had never been; a stale one changes nothing. Says which it was.
pub(super) fn release(tx: &mut Tx<'_>, tenant: TenantId, run: RunId, claim: ClaimToken) -> Sql<bool> {
    let now = tx.shared.latest();
    let values = params![tenant.as_bytes(), run.as_bytes(), int(claim.0)];
    let Some(run) = first(tx.conn, BY_CLAIM, values, live)? else { return Ok(false) };
    let sql = "UPDATE run SET claimed = 0, claim = NULL, claims = claims - 1, due_at = ?3
        WHERE tenant = ?1 AND id = ?2";
    exec(tx.conn, sql, params![run.tenant.as_bytes(), run.id.as_bytes(), now.as_millis()])?;
    lanes::touch(tx, run.lane, run.tenant, Work::Runs, now)?;
    lanes::settle_turn(tx, run.tenant, Work::Runs, now)?;
    Ok(true)
}

/// Queues a new run of an ended run's event, route and plugin; nobody waits for it and it waits for nobody.
pub(super) fn replay(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    run: RunId,
    new: RunId,
    pending_max: u64,
    now: Timestamp,
) -> Sql<()> {
    let now = tx.now(now);
    let sql = "SELECT ended_at IS NOT NULL FROM run WHERE tenant = ?1 AND id = ?2";
    match first(tx.conn, sql, params![tenant.as_bytes(), run.as_bytes()], |row| row.get::<_, bool>(0))? {
        None => return Err(StoreError::NotFound(format!("there is no run `{run}`")).into()),
        Some(false) => return Err(StoreError::Conflict(format!("`{run}` is not over yet")).into()),
        Some(true) => {}
    }
    let Some(old) = first(tx.conn, BY_ID, params![tenant.as_bytes(), run.as_bytes()], live)? else {
        return Err(StoreError::NotFound(format!("there is no run `{run}`")).into());
    };
    let Some(lane) = lanes::find(tx.conn, tenant, Work::Runs, old.route.as_bytes())? else {
        return Err(StoreError::Conflict(format!("the route of `{run}` was removed")).into());
    };
    erasing::refuse_erased(tx.conn, tenant, old.event)?;
    refuse_over_quota(tx.conn, tenant, pending_max)?;
    let again = Again { run: new, event: old.event, route: old.route, plugin: old.plugin };
    if again.queue(tx, tenant, lane, now)? {
        Ok(())
    } else {
        Err(StoreError::NotFound(format!("the event of `{run}` is gone")).into())
    }
}

/// Refuses one more run when the tenant has as many pending as it may.
pub(super) fn refuse_over_quota(conn: &Connection, tenant: TenantId, max: u64) -> Sql<()> {
    let pending = lanes::pending_count(conn, tenant, Work::Runs)?;
    if pending >= max && !planted::is(Bug::ReplayBeyondQuota) {
        Err(StoreError::OverQuota { pending, max }.into())
    } else {
        Ok(())
    }
}

/// A further run of a stored event: nobody waits for it and it waits for nobody.
pub(super) struct Again {
    /// Its id.
    pub(super) run: RunId,
    /// What it runs on.
    pub(super) event: EventId,
    /// Where it stands.
    pub(super) route: RouteId,
    /// What it runs.
    pub(super) plugin: PluginId,
}

impl Again {
    /// Queues it, unless its event is gone; says whether it is queued.
    pub(super) fn queue(&self, tx: &mut Tx<'_>, tenant: TenantId, lane: i64, now: Timestamp) -> Sql<bool> {
        let sql = "UPDATE event SET runs = CAST(runs || ?3 AS BLOB) WHERE tenant = ?1 AND id = ?2";
        if exec(tx.conn, sql, params![tenant.as_bytes(), self.event.as_bytes(), self.run.as_bytes()])? == 0 {
            return Ok(false);
        }
        let sql = "INSERT INTO run (tenant, id, seq, lane, event, route, plugin, mode, due_at, created_at)
            VALUES (?1, ?2, 0, ?3, ?4, ?5, ?6, 0, ?7, ?7)";
        let values = params![
            tenant.as_bytes(),
            self.run.as_bytes(),
            lane,
            self.event.as_bytes(),
            self.route.as_bytes(),
            self.plugin.as_bytes(),
            now.as_millis()
        ];
        exec(tx.conn, sql, values)?;
        lanes::pending(tx, tenant, Work::Runs, 1, None)?;
        lanes::touch(tx, lane, tenant, Work::Runs, now)?;
        Ok(true)
    }
}

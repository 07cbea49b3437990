//! Work that may be what kills the process.
//!
//! Opening releases every claim of the boot before. A claim counts as lost only if work on it had begun when that
//! process ended ([`Options::under_way`]); all others are given back as if they had never been, however often a host
//! dies before it comes to them. A run that lost five claims is over.
//!
//! Runs go many at a time, and when one of them kills the process the others lose a claim as well. So those that lost
//! [`SUSPECT_CLAIMS`] claims and were under way once more are *suspects*: they are claimed first after opening, one at
//! a time, and nothing else is claimed meanwhile. From then on only the culprit loses claims. It has the host to itself
//! three times and is over then; the others are decided.
//!
//! A call that was on its way that often waits some seconds of its own, and longer from time to time: so it is not on its
//! way again when something else kills a host at every start, and a call that does is soon alone with it.
//!
//! [`Options::under_way`]: crate::sqlite::Options::under_way

use std::collections::{HashSet, VecDeque};

use creel_webhook::clock::Timestamp;
use creel_webhook::id::{RunId, TenantId};
use creel_webhook::route::Mode;
use rusqlite::{Connection, Transaction, params};

use crate::contract::{ClaimToken, RunTicket};
use crate::planted::{self, Bug};
use crate::sqlite::statement::{Sql, all, id};

/// Lost claims from which on a run is run alone. Not the first: one power cut would make a host begin with all that it
/// had under way one after the other.
const SUSPECT_CLAIMS: u32 = 2;

/// How long a call that lost [`SUSPECT_CLAIMS`] waits at least, milliseconds; each further one waits four times as long.
const CALL_WAIT_MS: u64 = 1_000;

/// What a boot begins with.
pub(super) struct Boot {
    /// Its first claim token; the upper bits are the boot.
    pub(super) first_claim: i64,
    /// Runs that may be what ended the one before.
    pub(super) suspects: Suspects,
}

/// Runs that may be what ended the process before.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    waiting: VecDeque<(TenantId, RunId)>,
    /// The one that has the host to itself.
    alone: Option<(TenantId, RunId, ClaimToken)>,
}

impl Suspects {
    /// Who is to be claimed next.
    pub(super) fn next(&self) -> Option<(TenantId, RunId)> {
        self.waiting.front().copied()
    }

    /// The next is claimed. It stays the next until it is not due any more: its claim may be rolled back.
    pub(super) fn claimed(&mut self, ticket: &RunTicket) {
        self.alone = Some((ticket.tenant, ticket.run, ticket.claim));
    }

    /// The next is not due; when it is, it takes its turn like all others.
    pub(super) fn drop_next(&mut self) {
        self.waiting.pop_front();
    }

    /// Who has the host to itself, by the claim that it was given.
    pub(super) fn alone(&self) -> Option<(TenantId, RunId, ClaimToken)> {
        self.alone
    }

    /// Its claim does not hold any more.
    pub(super) fn nobody_is_alone(&mut self) {
        self.alone = None;
    }

    /// Whether this run has the host to itself.
    pub(super) fn is_alone(&self, run: RunId) -> bool {
        self.alone.is_some_and(|(_, alone, _)| alone == run)
    }
}

/// Begins a boot: releases every claim of the one before.
pub(super) fn boot(conn: &mut Connection, under_way: &[[u8; 16]], now: Timestamp) -> Sql<Boot> {
    let under_way: HashSet<[u8; 16]> = under_way.iter().copied().collect();
    let tx = conn.transaction()?;
    let boot: i64 = tx.query_row("UPDATE host SET boot = boot + 1 RETURNING boot", [], |row| row.get(0))?;
    let mut suspects = Suspects::default();
    if !planted::is(Bug::BootKeepsClaims) {
        suspects = release_runs(&tx, &under_way)?;
        release_deliveries(&tx, &under_way, now)?;
    }
    for sql in [
        "UPDATE lane SET ready_at = 0 WHERE paused = 0 AND ready_at IS NOT NULL",
        "UPDATE ring SET ready_at = 0 WHERE ready_at IS NOT NULL",
    ] {
        tx.execute(sql, [])?;
    }
    tx.commit()?;
    Ok(Boot { first_claim: (boot << 40) + 1, suspects })
}

fn is_lost(under_way: &HashSet<[u8; 16]>, id: &[u8; 16]) -> bool {
    under_way.contains(id) || planted::is(Bug::BootCountsAll)
}

/// Due since the epoch would be unfair to the rest of the lane; due since its creation is the place it had.
fn release_runs(tx: &Transaction<'_>, under_way: &HashSet<[u8; 16]>) -> Sql<Suspects> {
    let sql = "SELECT r.tenant, r.id, r.claims - r.attempts, r.mode FROM lane l CROSS JOIN run r INDEXED BY run_due
            ON r.lane = l.id AND r.claimed = 1 AND r.due_at IS NOT NULL
        ORDER BY r.claim";
    let claimed: Vec<(TenantId, RunId, u32, bool)> =
        all(tx, sql, [], |row| Ok((id(row, 0)?, id(row, 1)?, row.get(2)?, row.get(3)?)))?;
    let mut suspects = Suspects::default();
    for (tenant, run, claims, replies) in claimed {
        let lost = is_lost(under_way, run.as_bytes());
        let sql = "UPDATE run SET claimed = 0, claim = NULL, due_at = created_at, claims = claims - ?3
            WHERE tenant = ?1 AND id = ?2";
        tx.prepare_cached(sql)?.execute(params![tenant.as_bytes(), run.as_bytes(), !lost])?;
        let mode = if replies { Mode::Reply } else { Mode::Ack };
        if lost && claims >= SUSPECT_CLAIMS && mode == Mode::Ack && !planted::is(Bug::SuspectsTogether) {
            suspects.waiting.push_back((tenant, run));
        }
    }
    Ok(suspects)
}

fn release_deliveries(tx: &Transaction<'_>, under_way: &HashSet<[u8; 16]>, now: Timestamp) -> Sql<()> {
    let sql = "SELECT d.seq, d.id, d.claims - d.attempts FROM lane l CROSS JOIN delivery d INDEXED BY delivery_due
            ON d.lane = l.id AND d.claimed = 1 AND d.due_at IS NOT NULL";
    let claimed: Vec<(i64, [u8; 16], u32)> = all(tx, sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    for (seq, delivery, claims) in claimed {
        let lost = is_lost(under_way, &delivery);
        let wait_ms = if lost { call_wait_ms(claims, seq) } else { 0 };
        let not_before = if wait_ms > 0 { now.plus_ms(wait_ms) } else { Timestamp::default() };
        let sql = "UPDATE delivery SET claimed = 0, claim = NULL, claims = claims - ?2, due_at = max(start_at, ?3)
            WHERE seq = ?1";
        tx.prepare_cached(sql)?.execute(params![seq, !lost, not_before.as_millis()])?;
    }
    Ok(())
}

/// How long a call that lost so many claims waits; different ones differently, so that they part.
fn call_wait_ms(claims: u32, seq: i64) -> u64 {
    let Some(more) = claims.checked_sub(SUSPECT_CLAIMS) else { return 0 };
    let wait_ms = CALL_WAIT_MS << (2 * more.min(8));
    wait_ms + wait_ms / 8 * (seq.unsigned_abs() % 8)
}

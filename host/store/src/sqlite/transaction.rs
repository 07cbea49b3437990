//! What a verb is given while it runs on the writer's thread.
//!
//! A [`Tx`] is one item of a batch: the connection inside the batch's transaction, the memory of this process that is
//! no state (the clock that never goes back, what was counted), and the effects that are raised once the batch
//! has been committed. Effects of an item that failed are dropped with it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use creel_webhook::clock::Timestamp;
use creel_webhook::id::TenantId;
use rusqlite::Connection;

use crate::contract::{ClaimToken, Used, Wakeups};
use crate::planted::{self, Bug};
use crate::sqlite::arrivals::Arrivals;
use crate::sqlite::dedup::Dedup;
use crate::sqlite::inserts::Inserts;
use crate::sqlite::passes::{Days, Retention};
use crate::sqlite::quotas::{Standing, Standings};
use crate::sqlite::safety::Safety;
use crate::sqlite::statement::{Sql, first, must_exist};
use crate::sqlite::suspects::Suspects;
use crate::sqlite::work::Work;

/// What is to be raised after the commit.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Effects {
    /// Runs may be due.
    pub(super) runs: bool,
    /// Deliveries may be due.
    pub(super) deliveries: bool,
    /// A reply was decided.
    pub(super) replies: bool,
    /// What people configured has changed.
    pub(super) control: bool,
    /// Whoever waits for a claim is to be answered.
    pub(super) recalled: bool,
    /// Changes that nobody misses after a power cut.
    pub(super) fleeting: u64,
}

impl Effects {
    /// Both.
    pub(super) fn and(self, other: Effects) -> Effects {
        Effects {
            runs: self.runs || other.runs,
            deliveries: self.deliveries || other.deliveries,
            replies: self.replies || other.replies,
            control: self.control || other.control,
            recalled: self.recalled || other.recalled,
            fleeting: self.fleeting + other.fleeting,
        }
    }

    /// Whether this kind of work may be due.
    pub(super) fn of(self, work: Work) -> bool {
        match work {
            Work::Runs => self.runs,
            Work::Deliveries => self.deliveries,
        }
    }
}

/// What writer, readers and callers share.
#[derive(Debug)]
pub(super) struct Shared {
    /// The latest time that any verb was given.
    pub(super) clock: AtomicI64,
    /// Moves on with every committed change of control.
    pub(super) control: AtomicU64,
    /// Raised after commits.
    pub(super) wakeups: Wakeups,
    /// Which commits are safe.
    pub(super) safety: Safety,
    /// Until when one run holds all others; 0 when none does.
    runs_held_until: AtomicI64,
    /// The next claim's token; its upper bits are the boot.
    next_claim: AtomicU64,
}

impl Shared {
    /// Nothing has happened yet; claims get tokens from this one on.
    pub(super) fn new(first_claim: i64) -> Shared {
        Shared {
            clock: AtomicI64::new(0),
            control: AtomicU64::new(1),
            wakeups: Wakeups::default(),
            safety: Safety::new(),
            runs_held_until: AtomicI64::new(0),
            next_claim: AtomicU64::new(first_claim as u64),
        }
    }

    /// A token that was never given before.
    pub(super) fn claim_token(&self) -> ClaimToken {
        ClaimToken(self.next_claim.fetch_add(1, Ordering::Relaxed))
    }

    /// The time to work with: what the caller says, but never before what another said.
    pub(super) fn clamp(&self, now: Timestamp) -> Timestamp {
        let seen = self.clock.fetch_max(now.as_millis(), Ordering::SeqCst);
        Timestamp::from_millis(seen.max(now.as_millis()))
    }

    /// The latest time seen.
    pub(super) fn latest(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.load(Ordering::SeqCst))
    }

    /// Until when one run holds all others, if one does.
    pub(super) fn runs_held_until(&self) -> Option<Timestamp> {
        Some(self.runs_held_until.load(Ordering::SeqCst)).filter(|at| *at > 0).map(Timestamp::from_millis)
    }

    /// Notes until when one run holds all others.
    pub(super) fn hold_runs(&self, until: Option<Timestamp>) {
        self.runs_held_until.store(until.map_or(0, Timestamp::as_millis), Ordering::SeqCst);
    }

    /// The version of what people configured.
    pub(super) fn control_version(&self) -> u64 {
        self.control.load(Ordering::SeqCst)
    }

    /// Moves the version of control on, if a committed batch changed it.
    pub(super) fn advance(&self, effects: Effects) {
        if effects.control {
            self.control.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Wakes whom a committed batch made work for.
    pub(super) fn raise(&self, effects: Effects) {
        let wanted = [
            (effects.runs, &self.wakeups.runs),
            (effects.deliveries, &self.wakeups.deliveries),
            (effects.replies, &self.wakeups.replies),
        ];
        for (raise, notify) in wanted {
            if raise && !planted::is(Bug::WakeupLost) {
                // A permit for whoever looks next, and a shout for all who wait now.
                notify.notify_one();
                notify.notify_waiters();
            }
        }
    }
}

/// Free pages that one step gives back to the file system.
const STEP_PAGES: i64 = 256;

/// Batches after which the bytes in use are read again even if there is much room: to read them takes as long as an insert.
const FAR_BATCHES: u64 = 64;

/// What tenants may take that have no limits of their own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shares {
    /// Runs in the background at the same time.
    pub(super) concurrent_runs_max: u32,
    /// Fuel per second.
    pub(super) fuel_per_second: u64,
}

impl Default for Shares {
    /// No limit until one is set.
    fn default() -> Self {
        Shares { concurrent_runs_max: u32::MAX, fuel_per_second: u64::MAX }
    }
}

/// The writer's own memory; none of it needs to outlive the process.
#[derive(Debug)]
pub(super) struct Memory {
    /// Bytes in use, read once per batch, or less often while there is much room.
    pub(super) used: Option<u64>,
    /// Batches since they were read.
    since_used: u64,
    /// How many bytes the store may hold.
    pub(super) bytes_max: u64,
    /// How many calls may wait for one destination, unless that says less; no limit until one is set.
    pub(super) waiting_max: u64,
    /// What tenants may take that have no limits of their own.
    pub(super) shares: Shares,
    /// Days for which the audit trail is kept; all of it until they are set.
    pub(super) audit_days: u64,
    /// Set by the last item.
    pub(super) stopping: bool,
    /// Whether this batch has changed what people configure.
    pub(super) reconfigured: bool,
    /// Whether this batch has given pages back, which changes the file and no row.
    pub(super) shrunk: bool,
    /// The last request's number; it grows even if the newest requests are removed.
    pub(super) last_request: i64,
    /// What accepts added in this batch and what is not in the tables yet.
    pub(super) arrivals: Arrivals,
    /// Their rows that are not in the tables yet.
    pub(super) inserts: Inserts,
    /// What this batch has counted of tenants' use, by days since 1970.
    pub(super) used_by: BTreeMap<(TenantId, i64), Used>,
    /// What tenants have used of their daily quotas.
    pub(super) quotas: Standings,
    /// The youngest dedup keys.
    pub(super) dedup: Dedup,
    /// Where the removal of what is too old stands.
    pub(super) retention: Retention,
    /// Runs that may be what ended the process before.
    pub(super) suspects: Suspects,
}

impl Memory {
    /// What a process begins with.
    pub(super) fn load(conn: &Connection, bytes_max: u64, young_max: usize, days: Days) -> Sql<Memory> {
        let sql = "SELECT max(dedup_seq, coalesce((SELECT max(seq) FROM request), 0)) FROM host";
        Ok(Memory {
            used: None,
            since_used: 0,
            bytes_max,
            waiting_max: u64::MAX,
            shares: Shares::default(),
            audit_days: u64::MAX,
            stopping: false,
            reconfigured: false,
            shrunk: false,
            last_request: first(conn, sql, [], |row| row.get(0))?.unwrap_or(0),
            arrivals: Arrivals::default(),
            inserts: Inserts::default(),
            used_by: BTreeMap::new(),
            quotas: Standings::default(),
            dedup: Dedup::load(conn, young_max)?,
            retention: Retention::new(days),
            suspects: Suspects::default(),
        })
    }

    /// The batch is on disk.
    pub(super) fn committed(&mut self) {
        self.dedup.committed(self.last_request);
    }

    /// A batch begins, and what is in use may have changed. A batch brings so many bytes at most, and as much again follows
    /// from it.
    pub(super) fn batch_begins(&mut self, batch_bytes_max: u64) {
        self.since_used += 1;
        let growth = FAR_BATCHES * 2 * batch_bytes_max;
        let far = self.used.is_some_and(|used| used.saturating_add(growth) < self.bytes_max);
        if !far || self.since_used >= FAR_BATCHES {
            (self.used, self.since_used) = (None, 0);
        }
        self.reconfigured = false;
        self.shrunk = false;
    }

    /// What was counted of tenants' use has not happened.
    pub(super) fn forget_use(&mut self) {
        self.used_by.clear();
        self.quotas.forget_all();
    }

    /// The batch was rolled back.
    pub(super) fn rolled_back(&mut self) {
        self.arrivals = Arrivals::default();
        self.inserts = Inserts::default();
        self.forget_use();
        self.dedup.rolled_back();
    }
}

/// One item of a batch.
pub(super) struct Tx<'a> {
    /// The connection, inside the batch's transaction.
    pub(super) conn: &'a Connection,
    /// The writer's memory.
    pub(super) memory: &'a mut Memory,
    /// What writer and readers share.
    pub(super) shared: &'a Shared,
    /// What this item wants raised.
    pub(super) effects: Effects,
}

impl Tx<'_> {
    /// The time to work with.
    pub(super) fn now(&self, told: Timestamp) -> Timestamp {
        self.shared.clamp(told)
    }

    /// What a tenant has used today, and what it may.
    pub(super) fn standing(&self, tenant: TenantId, now: Timestamp) -> Sql<Standing> {
        let counted = |day| self.memory.used_by.get(&(tenant, day)).copied().unwrap_or_default();
        self.memory.quotas.of(self.conn, tenant, counted, now)
    }

    /// Refuses what concerns a tenant that is not there or is being removed.
    pub(super) fn tenant_is_there(&self, tenant: TenantId, now: Timestamp) -> Sql<()> {
        must_exist(self.standing(tenant, now)?.is_there().into(), || format!("there is no tenant `{tenant}`"))
    }

    /// What it has changed until now, since so many changes, are claims and the bounds that follow from them: opening gives
    /// every claim back and computes every bound anew.
    pub(super) fn is_fleeting(&mut self, since: u64) {
        self.effects.fleeting = self.changes() - since;
    }

    /// Rows that the connection has changed in all.
    pub(super) fn changes(&self) -> u64 {
        self.conn.total_changes()
    }

    /// For planted bugs: commits what the item has written so far, as two transactions would.
    pub(super) fn split(&self, bug: Bug) -> Sql<()> {
        if planted::is(bug) {
            self.conn.execute_batch("COMMIT; BEGIN IMMEDIATE; SAVEPOINT item")?;
        }
        Ok(())
    }

    /// Writes the rows that accepts have left.
    pub(super) fn write_inserts(&mut self) -> Sql<()> {
        self.memory.inserts.write(self.conn)
    }

    /// The next request's number.
    pub(super) fn next_request(&mut self) -> i64 {
        self.memory.last_request += 1;
        self.memory.last_request
    }

    /// Gives [`STEP_PAGES`] free pages back to the file system, or what there is.
    pub(super) fn give_back_pages(&mut self) -> rusqlite::Result<()> {
        let mut statement = self.conn.prepare(&format!("PRAGMA incremental_vacuum({STEP_PAGES})"))?;
        let mut rows = statement.query([])?;
        while rows.next()?.is_some() {}
        self.memory.shrunk = true;
        Ok(())
    }

    /// Bytes in use: pages of the file without the free ones.
    pub(super) fn used(&mut self) -> rusqlite::Result<u64> {
        if let Some(used) = self.memory.used {
            return Ok(used);
        }
        let pragma = |sql| self.conn.prepare_cached(sql)?.query_row([], |row| row.get::<_, i64>(0));
        let pages = pragma("PRAGMA page_count")? - pragma("PRAGMA freelist_count")?;
        let used = u64::try_from(pages * pragma("PRAGMA page_size")?).unwrap_or(0);
        self.memory.used = Some(used);
        Ok(used)
    }
}

//! Which events are known already: a table, and before it the young.
//!
//! A key is a hash, so its place in a sorted table is random: stored one by one, each accept would write a page of its
//! own for a row of a hundred bytes. Therefore a new key is kept in memory and, for a crash, in the row of its request.
//! Once there are as many of them as `Options::young_keys_max` says they are *frozen*: sorted, and written behind what
//! the table holds as a *generation* of their own, a slice per batch, so that pages fill one after the other however
//! large the table is. When the last slice is in, `host.dedup_generation` and `host.dedup_seq` move on in the same
//! transaction; opening removes an unfinished generation and reads back the keys of the requests behind. Generation 0
//! holds keys that were put in one by one.
//!
//! Nearly every look-up finds nothing, so a filter in memory ([`Filter`]) of all keys, the young and frozen ones too, answers
//! most of them without a search. The others ask each generation, the latest first: what comes twice mostly comes soon.
//!
//! What a batch adds here is undone when the batch is rolled back.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use creel_webhook::clock::Timestamp;
use creel_webhook::id::{EventId, SourceId, TenantId};
use rusqlite::{Connection, params};

use crate::codec;
use crate::planted::{self, Bug};
use crate::sqlite::filter::{self, Filter};
use crate::sqlite::statement::{Sql, all, exec, first, id};

/// Keys that a batch merges at least.
const SLICE_MIN: usize = 64;

/// Keys merged per key that a batch added: the frozen are gone long before the young are full again.
const SLICE_PER_KEY: usize = 4;

/// Rows that one step of the sweep looks at.
const SWEEP_ROWS: usize = 2_000;

/// Milliseconds between two sweeps (an hour). An expired key counts no more; the sweep only gives its space back.
const SWEEP_EVERY_MS: i64 = 3_600_000;

/// What an event is recognised by, within its source. Half of the hash is kept: 128 bits don't collide by accident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    hash: [u8; 16],
    tenant: [u8; 16],
    source: [u8; 16],
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(filter::short(&self.hash));
    }
}

/// Takes a key's part of a SHA-256 as it is: it is spread evenly, and nobody finds many that begin alike.
#[derive(Debug, Default, Clone, Copy)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, _: &[u8]) {
        unreachable!("a key is one number")
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Keys with who was first.
type Young = HashMap<Key, Known, BuildHasherDefault<AsItIs>>;

impl Key {
    /// The key of a row.
    pub(super) fn of(tenant: [u8; 16], source: [u8; 16], hash: [u8; 16]) -> Key {
        Key { hash, tenant, source }
    }

    /// The key of an event's hash.
    pub(super) fn new(tenant: TenantId, source: SourceId, hash: &[u8; 32]) -> Key {
        Key { tenant: *tenant.as_bytes(), source: *source.as_bytes(), hash: half(hash) }
    }
}

/// What is kept of a hash.
pub(super) fn half(hash: &[u8; 32]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&hash[..16]);
    half
}

/// Who was first, and until when that counts.
#[derive(Debug, Clone, Copy)]
struct Known {
    event: EventId,
    until: Timestamp,
}

/// The keys that are not in the table yet, and where merge and sweep stand.
#[derive(Debug)]
pub(super) struct Dedup {
    young_max: usize,
    young: Young,
    /// Sorted; the first `merged` are in the table.
    frozen: Vec<(Key, Known)>,
    merged: usize,
    /// The last request whose keys are frozen or merged.
    frozen_seq: i64,
    /// The generations that are whole, the earliest first.
    generations: Vec<i64>,
    /// The one that the frozen become.
    next: i64,
    /// What this batch added over what.
    added: Vec<(Key, Option<Known>)>,
    merged_before: usize,
    sweep: Sweep,
    /// Behind which row the passes stand that remove tenants' keys; `None` is through.
    leaving: HashMap<TenantId, Option<(i64, Key)>>,
    filter: Filter,
}

/// Where the search for expired rows stands.
#[derive(Debug, Default)]
struct Sweep {
    /// Behind this row it goes on; `None` between two sweeps.
    behind: Option<(i64, Key)>,
    began_at: Option<i64>,
}

/// Puts a key into a generation.
const PUT: &str =
    "INSERT INTO dedup (generation, tenant, source, hash, event, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (generation, hash, tenant, source) DO UPDATE
        SET event = excluded.event, expires_at = excluded.expires_at";

/// The generations of which there are rows, the earliest first.
fn generations(conn: &Connection) -> Sql<Vec<i64>> {
    let mut found = Vec::new();
    let sql = "SELECT min(generation) FROM dedup WHERE generation > ?1";
    while let Some(next) = first(conn, sql, [found.last().copied().unwrap_or(-1)], |row| row.get(0))?.flatten() {
        found.push(next);
    }
    Ok(found)
}

/// Before every row.
const FIRST: (i64, Key) = (-1, Key { tenant: [0; 16], source: [0; 16], hash: [0; 16] });

/// The next [`SWEEP_ROWS`] behind a row.
fn rows_behind(conn: &Connection, (generation, key): (i64, Key)) -> Sql<Vec<(i64, Key)>> {
    let sql = "SELECT generation, tenant, source, hash FROM dedup
        WHERE (generation, hash, tenant, source) > (?1, ?2, ?3, ?4)
        ORDER BY generation, hash, tenant, source LIMIT ?5";
    let values = params![generation, key.hash, key.tenant, key.source, SWEEP_ROWS as i64];
    all(conn, sql, values, |row| Ok((row.get(0)?, Key::of(row.get(1)?, row.get(2)?, row.get(3)?))))
}

impl Dedup {
    /// Reads back what was not merged.
    pub(super) fn load(conn: &Connection, young_max: usize) -> Sql<Dedup> {
        let mut young = Young::default();
        let sql = "SELECT tenant, source, dedup FROM request
            WHERE seq > (SELECT dedup_seq FROM host) AND dedup IS NOT NULL ORDER BY seq";
        let mut statement = conn.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (tenant, source) = (row.get(0)?, row.get(1)?);
            for (hash, event, until) in codec::read_keys(row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?)? {
                let known = Known { event: EventId::from_bytes(event), until: Timestamp::from_millis(until) };
                young.insert(Key { tenant, source, hash }, known);
            }
        }
        let (frozen_seq, last) = first(conn, "SELECT dedup_seq, dedup_generation FROM host", [], |row| {
            Ok((row.get(0)?, row.get::<_, i64>(1)?))
        })?
        .unwrap_or((0, 0));
        // One that a crash left unfinished; its keys were read back above.
        exec(conn, "DELETE FROM dedup WHERE generation > ?1", [last])?;
        Ok(Dedup {
            young_max,
            young,
            frozen: Vec::new(),
            merged: 0,
            frozen_seq,
            generations: generations(conn)?,
            next: last + 1,
            added: Vec::new(),
            merged_before: 0,
            sweep: Sweep::default(),
            leaving: HashMap::new(),
            filter: Filter::default(),
        })
    }

    /// The event that was first with this key, while that counts.
    pub(super) fn find(&self, conn: &Connection, key: &Key, now: Timestamp) -> Sql<Option<EventId>> {
        let frozen = || {
            let place = self.frozen.binary_search_by(|(other, _)| other.cmp(key)).ok()?;
            Some(&self.frozen[place].1)
        };
        let young = self.young.get(key);
        if young.is_none() && !self.filter.may_hold(&key.hash) {
            return Ok(None);
        }
        if let Some(known) = young.or_else(frozen) {
            // The table can only know older ones.
            return Ok((known.until > now).then_some(known.event));
        }
        let sql = "SELECT event FROM dedup
            WHERE generation = ?1 AND hash = ?2 AND tenant = ?3 AND source = ?4 AND expires_at > ?5";
        for generation in self.generations.iter().rev() {
            let values = params![generation, key.hash, key.tenant, key.source, now.as_millis()];
            if let Some(event) = first(conn, sql, values, |row| id(row, 0))? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// Notes a key whose request's row holds it too.
    pub(super) fn remember(&mut self, key: Key, event: EventId, until: Timestamp) {
        self.filter.add(&key.hash);
        let before = self.young.insert(key, Known { event, until });
        self.added.push((key, before));
    }

    /// Merges this batch's slice of the frozen keys.
    pub(super) fn merge(&mut self, conn: &Connection, now: Timestamp) -> Sql<()> {
        if self.frozen.is_empty() {
            return Ok(());
        }
        let slice = SLICE_MIN.max(SLICE_PER_KEY * self.added.len());
        let end = (self.merged + slice).min(self.frozen.len());
        let mut insert = conn.prepare_cached(PUT)?;
        for (key, known) in self.frozen[self.merged..end].iter().filter(|(_, known)| known.until > now) {
            let (event, until) = (known.event.as_bytes(), known.until.as_millis());
            insert.execute(params![self.next, key.tenant, key.source, key.hash, event, until])?;
        }
        self.merged = end;
        if end == self.frozen.len() {
            let sql = "UPDATE host SET dedup_seq = ?1, dedup_generation = ?2";
            exec(conn, sql, [self.frozen_seq, self.next])?;
        }
        Ok(())
    }

    /// One step of the sweep, if it is time for one; says whether there is more.
    pub(super) fn sweep(&mut self, conn: &Connection, now: Timestamp) -> Sql<bool> {
        let at = if planted::is(Bug::DedupForgotten) { i64::MAX } else { now.as_millis() };
        if planted::is(Bug::DedupForgotten) {
            self.young.clear();
        }
        let behind = match (self.sweep.behind, self.sweep.began_at) {
            (Some(behind), _) => behind,
            (None, Some(began_at)) if at < began_at.saturating_add(SWEEP_EVERY_MS) => return Ok(false),
            (None, _) => FIRST,
        };
        if self.sweep.behind.is_none() {
            self.sweep.began_at = Some(at);
            self.filter.begin();
            self.young.keys().chain(self.frozen.iter().map(|(key, _)| key)).for_each(|key| self.filter.add(&key.hash));
        }
        let (from, key) = behind;
        let rows = rows_behind(conn, behind)?;
        rows.iter().for_each(|(_, key)| self.filter.add(&key.hash));
        if let Some((to, last)) = rows.last() {
            let sql = "DELETE FROM dedup WHERE (generation, hash, tenant, source) > (?1, ?2, ?3, ?4)
                AND (generation, hash, tenant, source) <= (?5, ?6, ?7, ?8) AND expires_at <= ?9";
            let values = params![from, key.hash, key.tenant, key.source, to, last.hash, last.tenant, last.source, at];
            exec(conn, sql, values)?;
        }
        self.sweep.behind = rows.get(SWEEP_ROWS - 1).copied();
        if self.sweep.behind.is_none() {
            self.filter.end();
            let there = generations(conn)?;
            self.generations.retain(|generation| there.contains(generation));
        }
        Ok(self.sweep.behind.is_some())
    }

    /// One step of the pass that removes the keys of a tenant whose requests are gone; says whether there is more.
    pub(super) fn leave(&mut self, conn: &Connection, tenant: TenantId) -> Sql<bool> {
        let (from, key) = match self.leaving.get(&tenant) {
            Some(None) => return Ok(false),
            Some(Some(behind)) => *behind,
            None => {
                self.forget(tenant);
                FIRST
            }
        };
        let rows = rows_behind(conn, (from, key))?;
        if let Some((to, last)) = rows.last() {
            let sql = "DELETE FROM dedup WHERE (generation, hash, tenant, source) > (?1, ?2, ?3, ?4)
                AND (generation, hash, tenant, source) <= (?5, ?6, ?7, ?8) AND tenant = ?9";
            let values = params![
                from,
                key.hash,
                key.tenant,
                key.source,
                to,
                last.hash,
                last.tenant,
                last.source,
                tenant.as_bytes()
            ];
            exec(conn, sql, values)?;
        }
        let behind = rows.get(SWEEP_ROWS - 1).copied();
        self.leaving.insert(tenant, behind);
        Ok(behind.is_some())
    }

    /// A tenant is gone.
    pub(super) fn left(&mut self, tenant: TenantId) {
        self.leaving.remove(&tenant);
    }

    /// Forgets a tenant's keys that are not in the table. Undoing the batch does not bring them back: nobody asks for them.
    fn forget(&mut self, tenant: TenantId) {
        let stays = |key: &Key| key.tenant != *tenant.as_bytes();
        self.young.retain(|key, _| stays(key));
        let staying = |end: usize| self.frozen[..end].iter().filter(|(key, _)| stays(key)).count();
        (self.merged, self.merged_before) = (staying(self.merged), staying(self.merged_before));
        self.frozen.retain(|(key, _)| stays(key));
    }

    /// Puts a key into the table at once: its request is about to go.
    pub(super) fn keep(&mut self, conn: &Connection, key: &Key, event: &[u8; 16], until: i64) -> Sql<()> {
        exec(conn, PUT, params![0, key.tenant, key.source, key.hash, event, until])?;
        self.filter.add(&key.hash);
        if self.generations.first() != Some(&0) {
            self.generations.insert(0, 0);
        }
        Ok(())
    }

    /// Where this batch's additions stand, for [`Dedup::undo_to`].
    pub(super) fn mark(&self) -> usize {
        self.added.len()
    }

    /// Forgets what was added since the mark.
    pub(super) fn undo_to(&mut self, mark: usize) {
        // Rows that a pass removed may be there again.
        self.leaving.clear();
        for (key, before) in self.added.drain(mark..).rev() {
            match before {
                Some(known) => self.young.insert(key, known),
                None => self.young.remove(&key),
            };
        }
    }

    /// The batch is on disk; `last_seq` is the last request's number.
    pub(super) fn committed(&mut self, last_seq: i64) {
        self.added.clear();
        if self.merged == self.frozen.len() {
            if !self.frozen.is_empty() {
                self.generations.push(self.next);
                self.next += 1;
            }
            self.frozen = Vec::new();
            self.merged = 0;
            if self.young.len() >= self.young_max {
                self.frozen = self.young.drain().collect();
                self.frozen.sort_unstable_by_key(|(key, _)| *key);
                self.frozen_seq = last_seq;
            }
        }
        self.merged_before = self.merged;
    }

    /// The batch was rolled back.
    pub(super) fn rolled_back(&mut self) {
        self.undo_to(0);
        self.merged = self.merged_before;
    }
}

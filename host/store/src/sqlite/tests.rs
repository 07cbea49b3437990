//! What is SQLite's own: the file, its settings, its plans. What every store promises is in the conformance suite.

mod crowds;
mod flushing;
mod leaving;
mod removing;
mod steps;
mod suspecting;
mod young;

use std::sync::Arc;

use creel_webhook::delivery::Next;
use creel_webhook::plugin::Digest;
use creel_webhook::run::{CLAIMS_MAX, Verdict};
use rusqlite::{Connection, StatementStatus, params};

use crate::conformance::{self, World};
use crate::contract::{Accepted, NewComponent, RunFilter, Store, StoreError, Tenancy as _};
use crate::sqlite::statement::first;
use crate::sqlite::{
    Options, SqliteStore, deliveries, deploy, hastening, lanes, letters, listing, notices, rations, reading, replaying,
    runs, shares, state, waiting,
};

fn open(dir: &tempfile::TempDir) -> SqliteStore {
    SqliteStore::open(dir.path().join("creel.db"), Options::default()).expect("the store opens")
}

#[tokio::test(flavor = "multi_thread")]
async fn it_does_what_every_store_must() {
    let dirs = std::cell::RefCell::new(Vec::new());
    conformance::all(&|| {
        let dir = tempfile::tempdir().expect("a directory");
        let store: Arc<dyn Store> = Arc::new(open(&dir));
        dirs.borrow_mut().push(dir);
        Box::pin(std::future::ready(store))
    })
    .await;
}

#[tokio::test]
async fn reopening_releases_the_claims_of_the_boot_before() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(Arc::new(open(&dir))).await;
    let run = world.accept_keyed(None).await;
    let first = world.claim(conformance::START, 1).await.remove(0).ticket;
    world.store.close().await.unwrap();
    assert!(matches!(world.store.ping().await, Err(StoreError::Closed)));
    let again = open(&dir);
    let claims = again.run_claim(conformance::START, 1_000, 10, 10).await.unwrap();
    assert_eq!((claims.len(), claims[0].ticket.run, claims[0].ticket.claims), (1, run, 1));
    assert_ne!(claims[0].ticket.claim, first.claim);
    assert_eq!(again.stats().await.unwrap().runs_pending, 1);
}

#[tokio::test]
async fn a_store_that_was_closed_is_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(Arc::new(open(&dir))).await;
    let run = world.accept_keyed(None).await;
    // The reader has been at the file, and is no reason to leave the log.
    assert!(world.store.run_read(world.home.tenant, run).await.unwrap().is_some());
    world.store.close().await.unwrap();
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn a_foreign_or_newer_database_is_left_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("creel.db");
    let cases: [(&str, &str); 3] = [
        ("PRAGMA application_id = 7; CREATE TABLE t (x)", "another application"),
        ("PRAGMA application_id = 0x4352454c; PRAGMA user_version = 999; CREATE TABLE t (x)", "newer Creel"),
        ("", "no SQLite database"),
    ];
    for (sql, why) in cases {
        let _ = std::fs::remove_file(&path);
        if sql.is_empty() {
            std::fs::write(&path, "a shopping list").unwrap();
        } else {
            Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        }
        let before = std::fs::read(&path).unwrap();
        let error = SqliteStore::open(&path, Options::default()).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no journal, no log");
    }
}

#[test]
fn commits_are_durable_by_the_settings() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("creel.db");
    let conn = super::schema::writer(&path, true).unwrap();
    let pragma = |name: &str| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(pragma("synchronous"), 2, "FULL");
    assert_eq!(pragma("auto_vacuum"), 2, "INCREMENTAL");
    assert_eq!(pragma("foreign_keys"), 1);
    assert_eq!(pragma("wal_autocheckpoint"), 0);
    let mode: String = conn.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    let sql = "SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND strict = 0
        AND name NOT LIKE 'sqlite_%'";
    assert_eq!(conn.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap(), 0, "all tables are STRICT");
}

#[tokio::test]
async fn bodies_and_keys_of_an_older_file_are_where_they_are_looked_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("creel.db");
    let old = Connection::open(&path).unwrap();
    for sql in &super::schema::MIGRATIONS[..10] {
        old.execute_batch(sql).unwrap();
    }
    let rows = "PRAGMA application_id = 0x4352454c; PRAGMA user_version = 10;
        INSERT INTO request (seq, tenant, id, source, received_at, head, answer) VALUES (1, x'01', x'02', x'03', 4, x'', x''),
            (2, x'01', x'05', x'03', 4, x'', x'');
        INSERT INTO body (seq, tenant, bytes) VALUES (1, x'01', x'c0ffee');
        INSERT INTO dedup (tenant, source, hash, event, expires_at)
            VALUES (x'01', x'03', x'000102030405060708090a0b0c0d0e0f', x'06', 7)";
    old.execute_batch(rows).unwrap();
    drop(old);
    SqliteStore::open(&path, Options::default()).unwrap().close().await.unwrap();
    let conn = Connection::open(&path).unwrap();
    let bodies: Vec<Option<Vec<u8>>> =
        crate::sqlite::statement::all(&conn, "SELECT body FROM request ORDER BY seq", [], |row| row.get(0)).unwrap();
    assert_eq!(bodies, [Some(vec![0xc0, 0xff, 0xee]), None]);
    let key = "SELECT generation, event, expires_at FROM dedup";
    let key = conn.query_row(key, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    assert_eq!(key, (0_i64, vec![6_u8], 7_i64));
}

#[tokio::test]
async fn a_full_store_refuses_and_takes_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("creel.db");
    let store: Arc<dyn Store> =
        Arc::new(SqliteStore::open(&path, Options { bytes_max: 1 << 20, ..Options::default() }).unwrap());
    let world = World::new(store).await;
    let accept = || {
        let mut accept = world.accept(world.home, "x");
        accept.request.body = vec![7; 100_000].into();
        world.store.accept(accept)
    };
    let mut stored = 0;
    let error = loop {
        match accept().await {
            Ok(Accepted::Stored { .. }) => stored += 1,
            other => break other,
        }
    };
    assert!(matches!(error, Err(StoreError::Full { .. })), "{error:?} after {stored}");
    assert!((5..12).contains(&stored), "{stored}");
    let put = |bytes: &'static [u8]| {
        let digest = Digest::from_bytes([1; 32]);
        let (tenant, now) = (world.home.tenant, conformance::START);
        world.store.component_put(NewComponent { tenant, digest, bytes: bytes.into(), room_bytes: u64::MAX, now })
    };
    let refused = put(&[0; 100_000]).await;
    assert!(matches!(refused, Err(StoreError::Full { .. })), "a component is no exception: {refused:?}");
    Connection::open(&path).unwrap().execute("DELETE FROM request", []).unwrap();
    assert!(accept().await.is_ok());
    put(&[0; 100_000]).await.unwrap();
    put(&[0; 100_000]).await.unwrap();
}

#[test]
fn claims_do_not_scan() {
    let dir = tempfile::tempdir().unwrap();
    let conn = super::schema::writer(&dir.path().join("creel.db"), true).unwrap();
    let mut statements = lanes::PLANS.to_vec();
    statements.extend(runs::PLANS);
    statements.extend(deliveries::PLANS);
    statements.extend(notices::PLANS);
    statements.extend(state::PLANS);
    statements.extend(shares::PLANS);
    statements.extend(rations::PLANS);
    statements.push(shares::IN_DEBT);
    // Asked twice a second.
    statements.push(reading::PENDING);
    statements.extend(replaying::PLANS);
    statements.extend(hastening::PLANS);
    statements.extend(deploy::UNFINISHED);
    statements.extend(listing::PLANS);
    statements.extend(waiting::PLANS);
    let windows = letters::plans();
    statements.extend(windows.iter().map(String::as_str));
    for sql in statements {
        let mut plan = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps: Vec<String> = plan.raw_query().mapped(|row| row.get(3)).collect::<Result<_, _>>().unwrap();
        assert!(!steps.is_empty(), "{sql}");
        for step in &steps {
            // A window is read once more by its name; how long it is was limited before.
            let scans = step.contains("SCAN") && step != "SCAN x";
            assert!(!scans && !step.contains("TEMP B-TREE"), "{step}\n{sql}");
        }
    }
}

/// SQLite makes a table of its own for what a statement returns of what it changed, and for a list of more than two values (a
/// delivery's check has three, so what writes one makes a table).
#[tokio::test]
async fn what_is_written_for_each_event_makes_no_table_on_the_way() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(&dir));
    let conn = Connection::open(dir.path().join("creel.db")).unwrap();
    for sql in [
        "INSERT INTO request (seq) VALUES (1)",
        "INSERT INTO event (tenant) VALUES (?1)",
        "INSERT INTO run (tenant) VALUES (?1)",
        "UPDATE run SET claimed = 1, claim = 1, due_at = 1, ended_at = 1, verdict = 'done' WHERE tenant = ?1 AND id = ?2",
        "UPDATE delivery SET claimed = 1, claim = 1, due_at = 1 WHERE seq = 1",
        "INSERT INTO call (seq) VALUES (1)",
        "INSERT INTO attempt (delivery) VALUES (1)",
        "UPDATE reply SET answer = ?3, decided_at = 1 WHERE tenant = ?1 AND event = ?2",
    ] {
        let mut program = conn.prepare(&format!("EXPLAIN {sql}")).unwrap();
        let steps: Vec<String> = program.raw_query().mapped(|row| row.get(1)).collect::<Result<_, _>>().unwrap();
        assert!(!steps.iter().any(|step| step == "OpenEphemeral"), "{sql}: {steps:?}");
    }
}

#[tokio::test]
async fn a_ping_reaches_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let log = || std::fs::metadata(dir.path().join("creel.db-wal")).unwrap().len();
    let before = log();
    store.ping().await.unwrap();
    assert!(log() > before, "a disk that fails would not be noticed");
}

/// VM steps of every statement that finds something to claim, run once.
fn steps(conn: &Connection, lane: i64) -> Vec<i32> {
    let mut steps = Vec::new();
    for (sql, claimed) in [(runs::DUE, 0), (runs::DUE, 1), (deliveries::DUE, 0), (deliveries::DUE, 1)] {
        let mut statement = conn.prepare(sql).unwrap();
        let mut rows = statement.query(params![lane, claimed, i64::MAX / 2, 10]).unwrap();
        while rows.next().unwrap().is_some() {}
        drop(rows);
        steps.push(statement.get_status(StatementStatus::VmStep));
    }
    steps
}

#[tokio::test]
async fn ends_while_claiming_do_not_hide_what_is_behind_them() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(Arc::new(open(&dir))).await;
    let mut calls: Vec<_> = (0..6).map(|_| world.call(None)).collect();
    for call in &mut calls[..4] {
        call.call.expires_at = Some(conformance::START);
    }
    world.decide(calls).await;
    let deliveries = world.store.wakeups().deliveries;
    deliveries.notified().await;
    assert!(world.send(conformance::START, 2).await.is_empty(), "two places went to expired calls");
    deliveries.notified().await;
    assert!(world.send(conformance::START, 2).await.is_empty());
    deliveries.notified().await;
    assert_eq!(world.send(conformance::START, 2).await.len(), 2);
}

#[tokio::test]
async fn an_open_breaker_is_one_row_however_many_wait() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("creel.db");
    let world = World::new(Arc::new(open(&dir))).await;
    world.decide(vec![world.call(None)]).await;
    let conn = Connection::open(&path).unwrap();
    let until = conformance::START.plus_ms(5_000);
    conn.execute(
        "UPDATE lane SET opened = 1, open_until = ?1, not_before = ?1, ready_at = ?1 WHERE kind = 1 AND tenant = ?2",
        params![until.as_millis(), world.home.tenant.as_bytes()],
    )
    .unwrap();
    assert!(world.send(conformance::START, 10).await.is_empty());
    conn.execute_batch(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
         INSERT INTO delivery (tenant, id, lane, destination, run, event, number, key, method, path, state, due_at,
            start_at, created_at)
         SELECT tenant, randomblob(16), lane, destination, run, event, number, key, method, path, 0, start_at,
            start_at, created_at FROM n, (SELECT * FROM delivery LIMIT 1)",
    )
    .unwrap();
    assert!(world.send(conformance::START, 10).await.is_empty());
    assert_eq!(
        world.store.delivery_due(conformance::START).await.unwrap(),
        Some(until),
        "no claim looks before the breaker lets one try"
    );
    assert_eq!(world.send(until, 10).await.len(), 1, "and then one may");
}

#[tokio::test]
async fn what_waits_in_an_older_file_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("creel.db");
    let world = World::new(Arc::new(open(&dir))).await;
    world.decide((0..5).map(|_| world.call(Some("k"))).collect()).await;
    let claim = world.send(conformance::START, 1).await.remove(0);
    world.store.delivery_commit(world.sent(&claim, conformance::START, 200, Next::Delivered)).await.unwrap();
    let before = world.store.queue_list(world.home.tenant).await.unwrap();
    world.store.close().await.unwrap();
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch(
        "DROP INDEX delivery_waiting; ALTER TABLE lane DROP COLUMN waiting; ALTER TABLE lane DROP COLUMN waiting_max",
    )
    .unwrap();
    conn.execute_batch(include_str!("../migrations/0008_waiting.sql")).unwrap();
    drop(conn);
    let after = open(&dir).queue_list(world.home.tenant).await.unwrap();
    assert_eq!((before[0].waiting, after), (4, before));
}

#[tokio::test]
async fn blocked_rows_cost_a_claim_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("creel.db");
    let world = World::new(Arc::new(open(&dir))).await;
    let head = world.accept_keyed(Some("k")).await;
    world.accept_keyed(Some("l")).await;
    let conn = Connection::open(&path).unwrap();
    let lane: i64 = conn.query_row("SELECT lane FROM run LIMIT 1", [], |row| row.get(0)).unwrap();
    let before = steps(&conn, lane);
    conn.execute_batch(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
         INSERT INTO run (tenant, id, seq, lane, event, route, plugin, mode, order_key, created_at)
         SELECT tenant, randomblob(16), 100 << 20 | i, lane, event, route, plugin, mode, 'k', created_at
         FROM n, (SELECT * FROM run WHERE order_key = 'k');
         UPDATE ring SET pending = pending + 20000 WHERE kind = 0",
    )
    .unwrap();
    assert_eq!(steps(&conn, lane), before);
    let claims = world.claim(conformance::START, 10).await;
    assert_eq!(claims.len(), 2, "one head per key");
    let ticket = &claims.iter().find(|claim| claim.ticket.run == head).unwrap().ticket;
    world.done(ticket.run, ticket.claim, conformance::START, vec![]).await;
    assert_eq!(world.claim(conformance::START, 10).await.len(), 1, "and one is promoted");
}

/// More steps than a reader may take.
const ENDLESS: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";

#[tokio::test]
async fn a_list_that_looks_at_too_much_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let endless = store.readers.list(|conn| first(conn, ENDLESS, [], |row| row.get::<_, i64>(0))).await;
    assert!(matches!(endless, Err(StoreError::TooWide)), "{endless:?}");
    assert_eq!(store.stats().await.unwrap().runs_pending, 0, "and the connection is as good as before");
}

#[tokio::test]
async fn lists_leave_places_for_keys() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(&dir));
    let (go, gate) = std::sync::mpsc::channel::<()>();
    let gate = Arc::new(std::sync::Mutex::new(gate));
    let lists: Vec<_> = (0..8)
        .map(|_| {
            let (store, gate) = (store.clone(), gate.clone());
            tokio::spawn(async move {
                let wait = move |_: &Connection| {
                    gate.lock().unwrap().recv().unwrap();
                    Ok(())
                };
                store.readers.list(wait).await
            })
        })
        .collect();
    tokio::task::yield_now().await;
    let key = store.key_find([0; 32]);
    let found = tokio::time::timeout(std::time::Duration::from_secs(20), key).await;
    for _ in 0..8 {
        go.send(()).unwrap();
    }
    for list in lists {
        list.await.unwrap().unwrap();
    }
    assert!(found.expect("a key is found while lists wait").unwrap().is_none());
}

#[tokio::test]
async fn an_event_that_cannot_be_read_holds_nobody_up() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(Arc::new(open(&dir))).await;
    let bad = world.accept_keyed(None).await;
    let good = world.accept_keyed(None).await;
    let conn = Connection::open(dir.path().join("creel.db")).unwrap();
    conn.execute("UPDATE request SET head = x'ff' WHERE seq = (SELECT min(seq) FROM request)", []).unwrap();
    let claims = world.claim(conformance::START, 10).await;
    assert_eq!(claims.iter().map(|claim| claim.ticket.run).collect::<Vec<_>>(), [good]);
    let mut now = conformance::START;
    let dead = RunFilter { verdict: Some(Verdict::Host), limit: 10, ..RunFilter::default() };
    for _ in 0..CLAIMS_MAX {
        assert!(world.store.run_list(world.home.tenant, dead.clone()).await.unwrap().is_empty());
        now = now.plus_ms(60_000);
        world.claim(now, 10).await;
    }
    let runs = world.store.run_list(world.home.tenant, dead).await.unwrap();
    assert!(runs.iter().any(|run| run.id == bad), "five lost claims end it: {runs:?}");
}

//! What a claim costs, whatever waits behind it: the database's own steps, summed over every statement of the claim.
#![allow(unsafe_code, reason = "the statements that a connection has cached are reached through SQLite's own list")]

use std::sync::Arc;

use creel_webhook::clock::Timestamp;
use creel_webhook::run::{RunNext, Verdict};
use rusqlite::{Connection, ffi};

use super::open;
use crate::conformance::{START, World};
use crate::contract::RunCommit;
use crate::sqlite::lanes::Wanted;
use crate::sqlite::passes::Days;
use crate::sqlite::transaction::{Effects, Memory, Shared, Tx};
use crate::sqlite::{deliveries, runs, schema};

/// Rows that wait.
const BLOCKED: u32 = 100_000;

/// Steps of all statements that this connection keeps, since they were last asked.
fn taken(conn: &Connection) -> i64 {
    let mut steps = 0;
    // SAFETY: the connection is open, is used by this thread alone, and its statements are only counted.
    unsafe {
        let mut statement = ffi::sqlite3_next_stmt(conn.handle(), std::ptr::null_mut());
        while !statement.is_null() {
            steps += i64::from(ffi::sqlite3_stmt_status(statement, ffi::SQLITE_STMTSTATUS_VM_STEP, 1));
            statement = ffi::sqlite3_next_stmt(conn.handle(), statement);
        }
    }
    steps
}

/// Does something in a transaction that is undone.
fn in_transaction<T>(conn: &Connection, work: impl FnOnce(&mut Tx<'_>) -> T) -> T {
    let shared = Shared::new(1 << 50);
    let mut memory = Memory::load(conn, u64::MAX, 10, Days { bodies: 7, records: 30 }).unwrap();
    let mut tx = Tx { conn, memory: &mut memory, shared: &shared, effects: Effects::default() };
    conn.execute_batch("BEGIN IMMEDIATE").unwrap();
    taken(conn);
    let done = work(&mut tx);
    conn.execute_batch("ROLLBACK").unwrap();
    done
}

/// A claim of runs and one of deliveries, undone: how many they gave, and the steps that they took.
fn claim(conn: &Connection, now: Timestamp) -> [(usize, i64); 2] {
    in_transaction(conn, |tx| {
        let given = runs::claim(tx, now, 1_000, Wanted { max: 10, free: 20 }).unwrap().len();
        let of_runs = (given, taken(conn));
        let given = deliveries::claim(tx, now, 1_000, 10).unwrap().len();
        [of_runs, (given, taken(conn))]
    })
}

/// A store in which each tenant has one run and one delivery to claim; `prepare` then holds something of the first
/// tenant, and `block` puts [`BLOCKED`] rows behind it.
async fn cost_of(prepare: &str, block: &str) {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(Arc::new(open(&dir))).await;
    for key in ["held", "free"] {
        world.decide(vec![world.call(Some(key))]).await;
    }
    for key in ["held", "free"] {
        world.accept_keyed(Some(key)).await;
    }
    world.stored(world.accept(world.other, "x")).await;
    world.store.close().await.unwrap();
    let conn = schema::writer(&dir.path().join("creel.db"), false).unwrap_or_else(|_| panic!("it opens"));
    conn.execute_batch(prepare).unwrap();
    claim(&conn, START);
    let before = claim(&conn, START);
    let block = block.replace("ROWS", &BLOCKED.to_string());
    conn.execute_batch(&format!("BEGIN; {block}; COMMIT")).unwrap();
    let after = claim(&conn, START);
    let waiting: u32 = conn
        .query_row("SELECT max((SELECT count(*) FROM run), (SELECT count(*) FROM delivery))", [], |row| row.get(0))
        .unwrap();
    assert!(waiting > BLOCKED, "{waiting} rows wait");
    for ((given, steps), (given_after, steps_after)) in before.into_iter().zip(after) {
        assert_eq!(given, given_after, "the same is claimed");
        assert!(steps > 50, "a claim of {steps} steps is none");
        assert!(
            (steps - steps_after).abs() * 10 <= steps,
            "{steps} steps, and {steps_after} with {BLOCKED} rows behind"
        );
    }
}

const RUNS: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ROWS)
    INSERT INTO run (tenant, id, seq, lane, event, route, plugin, mode, order_key, due_at, created_at)
    SELECT tenant, CAST(printf('%016d', i) AS BLOB), 100 << 20 | i, lane, event, route, plugin, mode, KEY, DUE,
        created_at FROM n, (SELECT * FROM run WHERE order_key = 'held' AND ended_at IS NULL)";

const DELIVERIES: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ROWS)
    INSERT INTO delivery (tenant, id, lane, destination, run, event, number, key, method, path, order_key, state, due_at,
        start_at, created_at)
    SELECT tenant, CAST(printf('%016d', i) AS BLOB), lane, destination, run, event, number, key, method, path, KEY, 0,
        DUE, start_at, created_at FROM n, (SELECT * FROM delivery WHERE order_key = 'held')";

fn rows(sql: &str, key: &str, due: &str) -> String {
    sql.replace("KEY", key).replace("DUE", due)
}

#[tokio::test]
async fn a_claim_costs_the_same_whatever_waits_behind_an_order_key() {
    cost_of("", &rows(RUNS, "'held'", "NULL")).await;
    cost_of("", &rows(DELIVERIES, "'held'", "NULL")).await;
}

#[tokio::test]
async fn a_claim_costs_the_same_whatever_waits_behind_an_open_breaker() {
    let open = format!(
        "UPDATE lane SET opened = 1, open_until = {0}, not_before = {0}, ready_at = {0}
         WHERE id = (SELECT lane FROM delivery LIMIT 1)",
        START.plus_ms(5_000).as_millis()
    );
    cost_of(&open, &rows(DELIVERIES, "NULL", "start_at")).await;
}

#[tokio::test]
async fn a_claim_costs_the_same_whatever_waits_in_a_paused_lane() {
    let pause = |table: &str| {
        format!("UPDATE lane SET paused = 1, ready_at = NULL WHERE id = (SELECT lane FROM {table} LIMIT 1)")
    };
    cost_of(&pause("run"), &rows(RUNS, "NULL", "created_at")).await;
    cost_of(&pause("delivery"), &rows(DELIVERIES, "NULL", "start_at")).await;
}

#[tokio::test]
async fn a_claim_costs_the_same_whatever_waits_behind_a_tenants_limits() {
    let tenant = "(SELECT tenant FROM run WHERE order_key = 'held' LIMIT 1)";
    let due = rows(RUNS, "NULL", "created_at");
    let debt = (START.as_millis() + 5_000) * 1_000;
    cost_of(&format!("UPDATE ring SET paid_at_us = {debt} WHERE kind = 0 AND tenant = {tenant}"), &due).await;
    // It holds one, and that is all it may.
    let full = format!(
        "UPDATE ring SET concurrency_max = 1 WHERE kind = 0 AND tenant = {tenant};
         UPDATE run SET claimed = 1, claim = 1, due_at = {} WHERE order_key = 'free' AND ended_at IS NULL",
        START.plus_ms(60_000).as_millis()
    );
    cost_of(&full, &due).await;
}

/// Steps of a commit that makes room for one call behind `waiting` others of one key.
async fn cost_of_room(waiting: u32) -> i64 {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(Arc::new(open(&dir))).await;
    world.decide(vec![world.call(Some("held"))]).await;
    world.stored(world.accept(world.home, "x")).await;
    let ticket = world.claim(START, 1).await.remove(0).ticket;
    let commit = world.commit(ticket.run, ticket.claim, START, Verdict::Done, RunNext::End);
    let commit = RunCommit { calls: vec![world.call(Some("held"))], ..commit };
    world.store.close().await.unwrap();
    let conn = schema::writer(&dir.path().join("creel.db"), false).unwrap_or_else(|_| panic!("it opens"));
    let block = rows(DELIVERIES, "'held'", "NULL").replace("ROWS", &waiting.to_string());
    conn.execute_batch(&format!(
        "BEGIN; {block}; UPDATE lane SET waiting = {0}, waiting_max = {0} WHERE id = (SELECT lane FROM delivery LIMIT 1);
         UPDATE ring SET pending = {0} WHERE kind = 1; COMMIT",
        waiting + 1
    ))
    .unwrap();
    let mut steps = 0;
    // The first time prepares the statements.
    for _ in 0..2 {
        steps = in_transaction(&conn, |tx| {
            runs::commit(tx, &commit, None).unwrap();
            taken(tx.conn)
        });
    }
    steps
}

#[tokio::test]
async fn making_room_costs_the_same_however_many_wait() {
    let (few, many) = (cost_of_room(10).await, cost_of_room(BLOCKED).await);
    assert!(few > 50, "a commit of {few} steps is none");
    assert!((few - many).abs() * 10 <= few, "{few} steps behind 10 rows, and {many} behind {BLOCKED}");
}

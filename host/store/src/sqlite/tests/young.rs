//! Dedup keys on their way from memory into the table, through crashes.

use std::sync::Arc;

use rusqlite::Connection;

use crate::conformance::{START, World};
use crate::contract::{Accepted, Store};
use crate::sqlite::{Options, SqliteStore};

/// Keys in memory before a merge; more than a slice, so that a merge takes several batches.
const YOUNG: usize = 100;

fn key(number: u32) -> [u8; 32] {
    // Far apart, as hashes are.
    let mut key = [0; 32];
    key[..4].copy_from_slice(&number.wrapping_mul(0x9e37_79b9).to_be_bytes());
    key
}

/// So long a key counts.
const HOUR_MS: u64 = 3_600_000;

async fn accept(world: &World, number: u32) -> Accepted {
    accept_for(world, number, HOUR_MS).await
}

async fn accept_for(world: &World, number: u32, ms: u64) -> Accepted {
    let mut accept = world.accept(world.home, "x");
    accept.events[0].dedup_keys = vec![key(number)];
    accept.events[0].dedup_until = START.plus_ms(ms);
    world.store.accept(accept).await.unwrap()
}

fn open(path: &std::path::Path) -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(path, Options { young_keys_max: YOUNG, ..Options::default() }).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_known_young_frozen_and_merged_and_after_every_crash() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("creel.db");
    let mut world = World::new(open(&path)).await;
    let merged = || {
        let conn = Connection::open(&path).unwrap();
        let count = |sql| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        (count("SELECT count(*) FROM dedup"), count("SELECT dedup_seq FROM host"))
    };
    let mut between = 0;
    for number in 0..3 * YOUNG as u32 {
        assert!(matches!(accept(&world, number).await, Accepted::Stored { .. }), "{number}");
        // The newest, the oldest, and one from the middle.
        for known in [number, 0, number / 2] {
            assert!(matches!(accept(&world, known).await, Accepted::Duplicate(_)), "{known} after {number}");
        }
        between += u32::from(merged() == (i64::from(number), 0));
        if number % 37 == 0 {
            // As after a crash: the file as it is, nothing of the memory.
            world.store.close().await.unwrap();
            world.store = open(&path);
        }
    }
    let (rows, seq) = merged();
    assert!(rows >= YOUNG as i64 && seq >= YOUNG as i64, "{rows} keys merged up to request {seq}");
    assert!(between < 3, "keys were merged one by one");
    for known in 0..3 * YOUNG as u32 {
        assert!(matches!(accept(&world, known).await, Accepted::Duplicate(_)), "{known} at the end");
    }
}

#[tokio::test]
async fn an_expired_key_is_new_again_wherever_it_stands_and_a_sweep_removes_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("creel.db");
    let world = World::new(open(&path)).await;
    for number in 0..2 * YOUNG as u32 {
        accept(&world, number).await;
    }
    let rows = || {
        let conn = Connection::open(&path).unwrap();
        conn.query_row("SELECT count(*) FROM dedup", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!(rows(), YOUNG as i64);
    let late = START.plus_ms(3_600_001);
    for number in [0, 2 * YOUNG as u32 - 1] {
        let mut again = world.accept(world.home, "x");
        again.request.received_at = late;
        again.events[0].dedup_keys = vec![key(number)];
        again.events[0].dedup_until = late.plus_ms(1);
        assert!(matches!(world.store.accept(again).await.unwrap(), Accepted::Stored { .. }), "{number}");
    }
    while world.store.prune(late).await.unwrap() {}
    assert_eq!(rows(), 0, "all that was merged has expired");
}

#[tokio::test]
async fn a_key_is_known_whichever_sweep_it_came_before() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(open(&dir.path().join("creel.db"))).await;
    for number in 0..4 * YOUNG as u32 {
        assert!(matches!(accept_for(&world, number, 24 * HOUR_MS).await, Accepted::Stored { .. }), "{number}");
        if number % 41 == 0 {
            // Another sweep is due after an hour; what it did not see and nobody noted since would be new again.
            while world.store.prune(START.plus_ms(u64::from(number / 41) * HOUR_MS)).await.unwrap() {}
        }
        for known in [number, 0, number / 2, number - number % 41] {
            let again = accept_for(&world, known, 24 * HOUR_MS).await;
            assert!(matches!(again, Accepted::Duplicate(_)), "{known} after {number}");
        }
    }
}

//! Nobody hears of a commit that is not safe, and a log that cannot be made safe ends the store.

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use rusqlite::Connection;

use crate::conformance::{START, World};
use crate::contract::{Accepted, Store, StoreError};
use crate::sqlite::{LogSync, Options, SqliteStore};

/// What the disk does at the next sync.
#[derive(Clone, Copy, PartialEq)]
enum Disk {
    Well,
    Slow,
    Broken,
}

type Lever = Arc<(Mutex<Disk>, Condvar)>;

/// A store whose disk is moved by a lever.
fn open(path: &Path) -> (Arc<dyn Store>, Lever) {
    let lever: Lever = Arc::new((Mutex::new(Disk::Well), Condvar::new()));
    let own = lever.clone();
    let sync = move || {
        let (disk, moved) = &*own;
        let disk = moved.wait_while(disk.lock().unwrap(), |disk| *disk == Disk::Slow).unwrap();
        if *disk == Disk::Broken { Err(io::Error::other("a bad sector")) } else { Ok(()) }
    };
    let options = Options { log_sync: LogSync::Layer(Arc::new(sync)), ..Options::default() };
    (Arc::new(SqliteStore::open(path, options).unwrap()), lever)
}

fn pull(lever: &Lever, disk: Disk) {
    *lever.0.lock().unwrap() = disk;
    lever.1.notify_all();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_safe_is_told_to_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("creel.db");
    let (store, lever) = open(&path);
    let world = World::new(store.clone()).await;
    let accept = world.accept_reply(100, Some(1_000));
    let (tenant, event) = (world.home.tenant, accept.events[0].id);
    world.stored(accept).await;

    pull(&lever, Disk::Slow);
    let writer = store.clone();
    let mut decided = tokio::spawn(async move { writer.reply_fallback(tenant, event, START).await });
    // It is in the tables, for everyone to see.
    let conn = Connection::open(&path).unwrap();
    let sql = "SELECT count(*) FROM reply WHERE answer IS NOT NULL";
    while conn.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap() == 0 {
        tokio::task::yield_now().await;
    }
    let mut read = tokio::spawn(async move { store.reply_read(tenant, event).await });
    let soon = Duration::from_millis(50);
    assert!(tokio::time::timeout(soon, &mut decided).await.is_err(), "whoever decides hears of it later");
    assert!(tokio::time::timeout(soon, &mut read).await.is_err(), "and whoever looks");

    pull(&lever, Disk::Well);
    assert_eq!(decided.await.unwrap().unwrap().status, 503);
    assert_eq!(read.await.unwrap().unwrap().unwrap().status, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_writes_nothing_waits_for_no_disk_but_for_what_is_not_safe_yet() {
    let dir = tempfile::tempdir().unwrap();
    let (store, lever) = open(&dir.path().join("creel.db"));
    let world = Arc::new(World::new(store.clone()).await);

    pull(&lever, Disk::Slow);
    assert!(world.claim_ids(START, 10).await.is_empty(), "nothing is there, and nobody waits to hear so");

    let (writer, accept) = (store.clone(), world.accept(world.home, "x"));
    let mut stored = tokio::spawn(async move { writer.accept(accept).await });
    let soon = Duration::from_millis(50);
    assert!(tokio::time::timeout(soon, &mut stored).await.is_err(), "what is written is not safe");
    let behind = world.clone();
    let mut looked = tokio::spawn(async move { behind.claim_ids(START, 10).await });
    assert!(tokio::time::timeout(soon, &mut looked).await.is_err(), "so who might have seen it waits too");

    pull(&lever, Disk::Well);
    assert!(matches!(stored.await.unwrap(), Ok(Accepted::Stored { .. })));
    looked.await.unwrap();
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_waits_for_no_disk_unless_something_ends_by_it() {
    let dir = tempfile::tempdir().unwrap();
    let (store, lever) = open(&dir.path().join("creel.db"));
    let world = Arc::new(World::new(store.clone()).await);
    let mut expired = world.call(None);
    expired.call.expires_at = Some(START);
    world.decide(vec![expired]).await;
    let run = world.accept_keyed(None).await;

    pull(&lever, Disk::Slow);
    assert_eq!(world.claim_ids(START, 10).await, [run], "after a power cut nobody misses it");
    let behind = world.clone();
    let mut ended = tokio::spawn(async move { behind.send(START, 10).await.len() });
    let soon = Duration::from_millis(50);
    assert!(tokio::time::timeout(soon, &mut ended).await.is_err(), "an end would be missed");

    pull(&lever, Disk::Well);
    assert_eq!(ended.await.unwrap(), 0);
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_synced_ends_the_store_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("creel.db");
    let (store, lever) = open(&path);
    let world = World::new(store.clone()).await;
    let keyed = |number: u8| {
        let mut accept = world.accept(world.home, "x");
        accept.events[0].dedup_keys = vec![[number; 32]];
        accept.events[0].dedup_until = START.plus_ms(1_000_000);
        accept
    };
    world.stored(keyed(1)).await;

    pull(&lever, Disk::Broken);
    let refused = store.accept(keyed(2)).await;
    assert!(matches!(&refused, Err(StoreError::Failed(why)) if why.contains("a bad sector")), "{refused:?}");
    assert!(store.broken().await.contains("start the host again"));
    // A disk that is well again does not make up for it.
    pull(&lever, Disk::Well);
    for number in [1, 3] {
        let refused = store.accept(keyed(number)).await;
        assert!(matches!(&refused, Err(StoreError::Failed(_))), "{refused:?}");
    }
    store.close().await.unwrap();

    let again = SqliteStore::open(&path, Options::default()).unwrap();
    assert!(matches!(again.accept(keyed(1)).await, Ok(Accepted::Duplicate(_))), "what was acknowledged is there");
    // Of the other nobody knows, so its sender asks again.
    assert!(again.accept(keyed(2)).await.is_ok());
    assert!(matches!(again.accept(keyed(3)).await, Ok(Accepted::Stored { .. })), "what came later is not");
    again.close().await.unwrap();
}

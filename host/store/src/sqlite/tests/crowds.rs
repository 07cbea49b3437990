//! Many callers at once, who come and go while the store is closed: each is answered, and the close comes to its end.
//!
//! What could go wrong is a wake-up that nobody hears, or the writer, the thread that syncs and the one that checkpoints
//! waiting for each other. Nothing of that shows in one life, so there are many (`CREEL_LONG=1`: some thousand).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::conformance::{START, World};
use crate::contract::{Accept, Accepted, Store, StoreError};
use crate::sqlite::{Options, SqliteStore};

/// Callers of a life, and what each asks for.
const CALLERS: usize = 96;
const ACCEPTS: usize = 12;

/// Far longer than a life takes on a busy machine.
const BOUND: Duration = Duration::from_secs(120);

/// What a life has counted.
#[derive(Default)]
struct Counts {
    stored: AtomicUsize,
    closed: AtomicUsize,
}

/// What no quota refuses: in thousands of lives more stays undecided than a tenant may have pending.
fn accept(world: &World) -> Accept {
    Accept { pending_runs_max: u64::MAX, ..world.accept(world.home, "a body of some bytes") }
}

/// One caller: accepts in a row, until the store is closed; some go away before they are answered.
async fn accept_all(store: Arc<dyn Store>, accepts: Vec<Accept>, impatient: bool, counts: Arc<Counts>) {
    for (number, accept) in accepts.into_iter().enumerate() {
        let asked = store.accept(accept);
        let told = if impatient && number % 3 == 1 {
            tokio::select! {
                biased;
                told = asked => told,
                () = tokio::task::yield_now() => continue,
            }
        } else {
            asked.await
        };
        match told {
            Ok(Accepted::Stored { .. }) => counts.stored.fetch_add(1, Ordering::SeqCst),
            Ok(other) => panic!("{other:?}"),
            Err(StoreError::Closed) => {
                counts.closed.fetch_add(1, Ordering::SeqCst);
                return;
            }
            Err(error) => panic!("{error}"),
        };
    }
}

/// One worker: claims and decides until there is nothing, or the store is closed.
async fn work(store: Arc<dyn Store>, world: Arc<World>) {
    while let Ok(claims) = store.run_claim(START, 60_000, 64, 64).await {
        for claim in claims {
            let next = creel_webhook::run::RunNext::End;
            let verdict = creel_webhook::run::Verdict::Done;
            let commit = world.commit(claim.ticket.run, claim.ticket.claim, START, verdict, next);
            if store.run_commit(commit).await.is_err() {
                return;
            }
        }
        tokio::task::yield_now().await;
    }
}

async fn live(store: Arc<dyn Store>, world: &Arc<World>, round: usize) -> Arc<Counts> {
    let (mut callers, mut workers) = (JoinSet::new(), JoinSet::new());
    let counts = Arc::new(Counts::default());
    for caller in 0..CALLERS {
        let accepts = (0..ACCEPTS).map(|_| accept(world)).collect();
        callers.spawn(accept_all(store.clone(), accepts, caller % 4 == 0, counts.clone()));
    }
    for _ in 0..3 {
        workers.spawn(work(store.clone(), world.clone()));
    }
    // At another moment in each life; in some when all is done.
    while counts.stored.load(Ordering::SeqCst) < round * 97 % (CALLERS * ACCEPTS) {
        match callers.try_join_next() {
            Some(ended) => ended.expect("no caller panics"),
            None if callers.is_empty() => break,
            None => tokio::task::yield_now().await,
        }
    }
    store.close().await.expect("it closes");
    while let Some(ended) = callers.join_next().await {
        ended.expect("no caller panics");
    }
    while let Some(ended) = workers.join_next().await {
        ended.expect("no worker panics");
    }
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asks_is_answered_and_a_close_comes_to_its_end() {
    let lives = if std::env::var_os("CREEL_LONG").is_some() { 2_000 } else { 12 };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("creel.db");
    let open = || -> Arc<dyn Store> { Arc::new(SqliteStore::open(&path, Options::default()).unwrap()) };
    let world = World::new(open()).await;
    world.store.close().await.unwrap();
    let world = Arc::new(world);
    let mut told = 0;
    for round in 0..lives {
        let store = open();
        let counts = tokio::time::timeout(BOUND, live(store, &world, round)).await;
        let counts = counts.unwrap_or_else(|_| panic!("life {round} does not come to its end"));
        told += counts.stored.load(Ordering::SeqCst);
    }
    let conn = rusqlite::Connection::open(&path).unwrap();
    let stored: i64 = conn.query_row("SELECT count(*) FROM request", [], |row| row.get(0)).unwrap();
    assert!(stored >= told as i64, "{told} were acknowledged and {stored} are there");
}

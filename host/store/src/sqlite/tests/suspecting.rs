//! What a process that died had in hand: what counts as lost, and how the work that killed it is found.

use std::path::Path;
use std::sync::Arc;

use creel_webhook::clock::Timestamp;
use creel_webhook::id::RunId;
use creel_webhook::run::{CLAIMS_MAX, RunNext, Verdict};

use crate::conformance::{START, World};
use crate::contract::{DeliveryFilter, DeliveryState, RunClaim, RunFilter, RunRow, Store};
use crate::sqlite::{Options, SqliteStore};

fn open(path: &Path, under_way: Vec<[u8; 16]>) -> Arc<dyn Store> {
    open_at(path, under_way, START)
}

fn open_at(path: &Path, under_way: Vec<[u8; 16]>, opened_at: Timestamp) -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(path, Options { under_way, opened_at, ..Options::default() }).unwrap())
}

/// A process that ends while work on these runs or calls is under way.
async fn dies(world: &mut World, path: &Path, under_way: Vec<[u8; 16]>) {
    world.store.close().await.unwrap();
    world.store = open(path, under_way);
}

async fn rows(world: &World, verdict: Verdict) -> Vec<RunRow> {
    let filter = RunFilter { verdict: Some(verdict), limit: 100, ..RunFilter::default() };
    world.store.run_list(world.home.tenant, filter).await.unwrap()
}

fn ids(claims: &[RunClaim]) -> Vec<[u8; 16]> {
    claims.iter().map(|claim| *claim.ticket.run.as_bytes()).collect()
}

#[tokio::test]
async fn work_that_never_began_loses_no_claim() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("creel.db");
    let mut world = World::new(open(&path, vec![])).await;
    world.decide(vec![world.call(None)]).await;
    world.accept_keyed(None).await;
    for _ in 0..2 * CLAIMS_MAX {
        let (runs, calls) = (world.claim(START, 10).await, world.send(START, 10).await);
        assert_eq!((runs.len(), calls.len()), (1, 1), "due at once");
        assert_eq!((runs[0].ticket.claims, calls[0].claims), (1, 1));
        dies(&mut world, &path, vec![]).await;
    }
}

/// Plays a host that runs what it claims at the same time and dies with all of it once the culprit is among it. Gives how
/// often it died.
async fn live(world: &mut World, path: &Path, culprit: RunId) -> u32 {
    let mut deaths = 0;
    loop {
        let claims = world.claim(START, 64).await;
        if claims.iter().any(|claim| claim.ticket.run == culprit) {
            deaths += 1;
            dies(world, path, ids(&claims)).await;
        } else if claims.is_empty() {
            return deaths;
        }
        for claim in claims {
            world.done(claim.ticket.run, claim.ticket.claim, START, vec![]).await;
        }
    }
}

#[tokio::test]
async fn of_many_only_the_one_that_kills_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("creel.db");
    let mut world = World::new(open(&path, vec![])).await;
    let mut runs = Vec::new();
    for _ in 0..100 {
        runs.push(world.accept_keyed(None).await);
    }
    assert_eq!(live(&mut world, &path, runs[40]).await, CLAIMS_MAX, "and the host died no oftener than it had to");
    let dead = rows(&world, Verdict::Host).await;
    assert_eq!(dead.iter().map(|run| run.id).collect::<Vec<_>>(), [runs[40]]);
    assert_eq!(rows(&world, Verdict::Done).await.len(), 99);
}

#[tokio::test]
async fn a_suspect_has_the_host_to_itself() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("creel.db");
    let mut world = World::new(open(&path, vec![])).await;
    for _ in 0..3 {
        world.accept_keyed(None).await;
    }
    for _ in 0..2 {
        let claims = world.claim(START, 2).await;
        assert_eq!(claims.len(), 2, "one death may be anything");
        dies(&mut world, &path, ids(&claims)).await;
    }
    let first = world.claim(START, 10).await;
    assert_eq!((first.len(), first[0].ticket.claims), (1, 3));
    let now = START.plus_ms(10);
    assert!(world.claim(now, 10).await.is_empty());
    let lease_until = first[0].ticket.lease_until;
    assert_eq!(world.store.run_due(now).await.unwrap(), Some(lease_until), "who waits knows for how long at most");
    let wakeups = world.store.wakeups();
    let woken = wakeups.runs.notified();
    world.done(first[0].ticket.run, first[0].ticket.claim, now, vec![]).await;
    woken.await;
    // The second never ends, and does not hold the others for ever.
    let second = world.claim(now, 10).await;
    assert_eq!((second.len(), second[0].ticket.claims), (1, 3));
    assert!(world.claim(now, 10).await.is_empty());
    assert_eq!(world.claim(second[0].ticket.lease_until, 10).await.len(), 2, "it and the third");
}

#[tokio::test]
async fn a_suspect_that_is_not_due_holds_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("creel.db");
    let mut world = World::new(open(&path, vec![])).await;
    let (first, second) = (world.accept_keyed(None).await, world.accept_keyed(None).await);
    for _ in 0..2 {
        let claims = world.claim(START, 1).await;
        dies(&mut world, &path, ids(&claims)).await;
    }
    let suspect = world.claim(START, 10).await.remove(0).ticket;
    assert_eq!((suspect.run, suspect.claims), (first, 3));
    let again = RunNext::Again(START.plus_ms(1_000));
    let again = world.commit(suspect.run, suspect.claim, START, Verdict::Retry, again);
    world.store.run_commit(again).await.unwrap();
    assert_eq!(world.claim_ids(START, 10).await, [second]);
    assert_eq!(world.claim_ids(START.plus_ms(1_000), 10).await, [first], "and is one of all from then on");
}

#[tokio::test]
async fn a_suspect_of_a_tenant_that_goes_is_not_run_and_holds_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("creel.db");
    let mut world = World::new(open(&path, vec![])).await;
    world.accept_keyed(None).await;
    for _ in 0..2 {
        let claims = world.claim(START, 1).await;
        dies(&mut world, &path, ids(&claims)).await;
    }
    world.store.tenant_leave(world.home.tenant, START).await.unwrap();
    world.stored(world.accept(world.other, "x")).await;
    let claims = world.claim(START, 10).await;
    assert_eq!(claims.iter().map(|claim| claim.ticket.tenant).collect::<Vec<_>>(), [world.other.tenant]);
}

#[tokio::test]
async fn a_call_that_was_often_on_its_way_waits_longer_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("creel.db");
    let mut world = World::new(open(&path, vec![])).await;
    world.decide(vec![world.call(None)]).await;
    let mut now = START;
    for claims in 1..=CLAIMS_MAX {
        let claim = world.send(now, 10).await.remove(0);
        assert_eq!(claim.claims, claims);
        world.store.close().await.unwrap();
        world.store = open_at(&path, vec![*claim.id.as_bytes()], now);
        if claims >= 2 {
            let least_ms = 1_000 << (2 * (claims - 2));
            assert!(world.send(now.plus_ms(least_ms - 1), 10).await.is_empty(), "not at once");
            now = now.plus_ms(2 * least_ms);
        }
    }
    assert!(world.send(now, 10).await.is_empty());
    let filter = DeliveryFilter { state: Some(DeliveryState::Dead), limit: 10, ..DeliveryFilter::default() };
    assert_eq!(world.store.delivery_list(world.home.tenant, filter).await.unwrap().len(), 1);
}

//! What goes is gone from the file, in small steps, and takes nothing with it that counts.

use std::path::Path;
use std::sync::Arc;

use crate::conformance::{START, World};
use crate::contract::{Accepted, Store};
use crate::sqlite::{Options, SqliteStore};

const DAY_MS: u64 = 86_400_000;

/// Stands in a body often enough that it fills pages of its own.
const SECRET: &str = "a-patient's-own-words;";

fn open(path: &Path) -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(path, Options { record_days: 1, ..Options::default() }).unwrap())
}

/// Whether the secret stands in any file of the store.
fn is_found(dir: &Path) -> bool {
    std::fs::read_dir(dir).unwrap().any(|file| {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_payload_is_in_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("creel.db");
    let world = World::new(open(&path)).await;
    let mut events = Vec::new();
    // Small ones share a page with others, a large one has pages of its own, one is an item among others.
    for body in [SECRET.to_owned(), "x".to_owned(), SECRET.repeat(3_000), format!("[{SECRET},2]")] {
        let mut accept = world.accept(world.home, "x");
        if body.starts_with('[') {
            accept.events[0].item = Some((1, 1 + SECRET.len() as u64));
            accept.events.push(world.event(vec![]));
        }
        accept.request.body = body.into();
        accept.events[0].subject = Some(SECRET.to_owned());
        accept.events[0].runs[0].order_key = Some(SECRET.to_owned());
        events.push(accept.events[0].id);
        world.stored(accept).await;
        let claim = world.claim(START, 1).await.remove(0).ticket;
        world.done(claim.run, claim.claim, START, vec![]).await;
    }
    assert!(is_found(dir.path()), "it is there before");
    for event in events {
        world.store.event_erase(world.home.tenant, event, START).await.unwrap();
    }
    assert!(!is_found(dir.path()));
    world.store.close().await.unwrap();
    assert!(!is_found(dir.path()), "and does not come back");
}

#[tokio::test]
async fn keys_that_count_outlive_their_requests_and_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("creel.db");
    let mut world = World::new(open(&path)).await;
    let accept = |world: &World| {
        let mut accept = world.accept(world.home, "x");
        accept.events[0].runs.clear();
        accept.events[0].dedup_keys = vec![[7; 32]];
        accept.events[0].dedup_until = START.plus_ms(9 * DAY_MS);
        accept
    };
    let first = accept(&world);
    let event = first.events[0].id;
    world.stored(first).await;
    while world.store.prune(START.plus_ms(3 * DAY_MS)).await.unwrap() {}
    assert!(world.store.event_story(world.home.tenant, event).await.unwrap().is_none());
    world.store.close().await.unwrap();
    world.store = open(&path);
    let again = world.store.accept(accept(&world)).await.unwrap();
    assert!(matches!(again, Accepted::Duplicate(_)), "{again:?}");
    world.store.close().await.unwrap();
}

#[tokio::test]
async fn a_backlog_goes_in_steps_and_gives_its_space_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("creel.db");
    let world = World::new(open(&path)).await;
    for _ in 0..1_000 {
        let mut accept = world.accept(world.home, "x");
        accept.request.body = vec![7; 4_000].into();
        accept.events[0].runs.clear();
        world.stored(accept).await;
    }
    let before = world.store.stats().await.unwrap().bytes;
    let later = START.plus_ms(3 * DAY_MS);
    let mut steps = 0;
    while world.store.prune(later).await.unwrap() {
        steps += 1;
    }
    // The steps of a backlog take turns with what else there is to do; one of them removes a fifth of it at the most.
    assert!((5..40).contains(&steps), "{steps}");
    let after = world.store.stats().await.unwrap().bytes;
    assert!(after < before / 4, "{before} bytes came down to {after}");
    world.store.close().await.unwrap();
}

#[tokio::test]
async fn small_bodies_give_their_space_back_before_their_records_go() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("creel.db");
    let options = Options { body_days: 1, record_days: 30, ..Options::default() };
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&path, options).unwrap());
    let world = World::new(store).await;
    let mut events = Vec::new();
    for _ in 0..1_000 {
        // Three of them share a page.
        let mut accept = world.accept(world.home, "x");
        accept.request.body = vec![7; 2_000].into();
        accept.events[0].runs.clear();
        events.push(accept.events[0].id);
        world.stored(accept).await;
    }
    let before = world.store.stats().await.unwrap().bytes;
    while world.store.prune(START.plus_ms(3 * DAY_MS)).await.unwrap() {}
    let after = world.store.stats().await.unwrap().bytes;
    assert!(after < before / 3, "{before} bytes came down to {after}");
    for event in events {
        let story = world.store.event_story(world.home.tenant, event).await.unwrap().expect("its record stays");
        assert!(story.event.erased && story.event.body.is_empty());
    }
    world.store.close().await.unwrap();
}

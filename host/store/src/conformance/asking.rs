//! Stories of those who ask for work before there is any, and wait.
//!
//! Whoever is asked first in a `join!` is asked first of the store, too.

use creel_webhook::clock::Timestamp;
use creel_webhook::run::{RunNext, Verdict};

use crate::conformance::world::{LEASE_MS, START, World};
use crate::contract::{DeliveryClaim, RunClaim};

async fn run(world: &World, now: Timestamp) -> Vec<RunClaim> {
    world.store.run_claim_next(now, LEASE_MS, 4, u32::MAX).await.expect("a claim succeeds")
}

async fn call(world: &World) -> Vec<DeliveryClaim> {
    world.store.delivery_claim_next(START, LEASE_MS, 4).await.expect("a claim succeeds")
}

pub(super) async fn a_run_is_claimed_by_whoever_waits_when_it_is_accepted(world: &World) {
    let (claimed, accepted) = tokio::join!(biased; run(world, START), world.accept_keyed(None));
    assert_eq!(claimed.iter().map(|claim| claim.ticket.run).collect::<Vec<_>>(), [accepted]);
    assert_eq!(claimed[0].event.body.as_ref(), b"x");
    assert_eq!((claimed[0].ticket.claims, claimed[0].ticket.lease_until), (1, START.plus_ms(LEASE_MS)));
    assert!(world.claim(START, 10).await.is_empty(), "it is claimed once");
    // What is there already is given at once.
    let accepted = world.accept_keyed(None).await;
    assert_eq!(run(world, START).await[0].ticket.run, accepted);
}

pub(super) async fn a_call_is_claimed_by_whoever_waits_when_it_is_decided(world: &World) {
    let run = world.accept_keyed(None).await;
    let ticket = world.claim(START, 1).await.remove(0).ticket;
    let decided = world.done(run, ticket.claim, START, vec![world.call(None), world.call(None)]);
    let (claimed, _) = tokio::join!(biased; call(world), decided);
    assert_eq!(claimed.len(), 2);
    assert!(claimed.iter().all(|claim| claim.lease_until == START.plus_ms(LEASE_MS)));
    assert!(world.send(START, 10).await.is_empty(), "they are claimed once");
}

pub(super) async fn whoever_waits_is_recalled_with_what_time_has_made_due(world: &World) {
    let (claimed, recalled) = tokio::join!(biased; run(world, START), world.store.claims_recall(START));
    recalled.expect("a recall succeeds");
    assert!(claimed.is_empty(), "there is nothing");
    let (claimed, recalled) = tokio::join!(biased; call(world), world.store.claims_recall(START));
    recalled.expect("a recall succeeds");
    assert!(claimed.is_empty(), "nor is there here");

    let accepted = world.accept_keyed(None).await;
    world.claim(START, 1).await;
    let later = START.plus_ms(LEASE_MS);
    let (claimed, recalled) = tokio::join!(biased; run(world, START), world.store.claims_recall(later));
    recalled.expect("a recall succeeds");
    assert_eq!(claimed.iter().map(|claim| claim.ticket.run).collect::<Vec<_>>(), [accepted], "its lease has ended");
    assert_eq!(claimed[0].ticket.lease_until, later.plus_ms(LEASE_MS));
    world.store.claims_recall(later).await.expect("where nobody waits nobody is recalled");
}

pub(super) async fn whoever_waits_hears_of_what_is_due_later(world: &World) {
    let accepted = world.accept_keyed(None).await;
    let ticket = world.claim(START, 1).await.remove(0).ticket;
    let next = RunNext::Again(START.plus_ms(500));
    let again = world.commit(accepted, ticket.claim, START, Verdict::Retry, next);
    let (claimed, committed) = tokio::join!(biased; run(world, START), world.store.run_commit(again));
    committed.expect("a commit succeeds");
    assert!(claimed.is_empty(), "it is not due, and whoever waited asks when it is");
    assert_eq!(world.store.run_due(START).await.unwrap(), Some(START.plus_ms(500)));
}

pub(super) async fn whoever_asks_again_takes_the_place_of_the_first(world: &World) {
    let (first, second, accepted) =
        tokio::join!(biased; run(world, START), run(world, START), world.accept_keyed(None));
    assert!(first.is_empty());
    assert_eq!(second.iter().map(|claim| claim.ticket.run).collect::<Vec<_>>(), [accepted]);
}

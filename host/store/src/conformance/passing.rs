//! Stories of lines: how long one that fails holds those behind it in its order key.

use creel_webhook::clock::Timestamp;
use creel_webhook::delivery::Next;
use creel_webhook::id::DeliveryId;
use creel_webhook::retry::SKIP_AFTER_MS_DEFAULT;
use creel_webhook::run::{RunNext, Verdict};

use crate::conformance::world::{START, World};
use crate::contract::{DeliveryClaim, RunTicket};

/// A day: far behind every time that a line is held.
const LATE_MS: u64 = 24 * 60 * 60 * 1_000;

/// Decides so many calls of one key; gives their ids.
async fn line(world: &World, calls: usize) -> Vec<DeliveryId> {
    let calls: Vec<_> = (0..calls).map(|_| world.call(Some("k"))).collect();
    let ids = calls.iter().map(|call| call.id).collect();
    world.decide(calls).await;
    ids
}

async fn sent_ids(world: &World, now: Timestamp) -> Vec<DeliveryId> {
    world.send(now, 10).await.iter().map(|claim| claim.id).collect()
}

/// The one call that can be claimed now.
async fn only(world: &World, now: Timestamp) -> DeliveryClaim {
    let mut claims = world.send(now, 10).await;
    assert_eq!(claims.len(), 1, "{claims:?}");
    claims.remove(0)
}

/// A claimed call fails and is due again then.
async fn fail(world: &World, claim: &DeliveryClaim, now: Timestamp, at: Timestamp) {
    world.store.delivery_commit(world.sent(claim, now, 503, Next::Again { at })).await.unwrap();
}

async fn deliver(world: &World, claim: &DeliveryClaim, now: Timestamp) {
    world.store.delivery_commit(world.sent(claim, now, 200, Next::Delivered)).await.unwrap();
}

pub(super) async fn a_call_that_fails_holds_those_behind_it_only_so_long(world: &World) {
    let ids = line(world, 3).await;
    let failed_at = START.plus_ms(100);
    fail(world, &only(world, failed_at).await, failed_at, START.plus_ms(200)).await;
    // What counts is the first failure: the ones after it hold nobody any longer.
    let again = START.plus_ms(200);
    fail(world, &only(world, again).await, again, START.plus_ms(LATE_MS)).await;
    let passes = failed_at.plus_ms(SKIP_AFTER_MS_DEFAULT);
    assert_eq!(world.store.delivery_due(again).await.unwrap(), Some(passes));
    assert!(sent_ids(world, passes.minus_ms(1)).await.is_empty(), "until then it holds");
    let passing = only(world, passes).await;
    assert_eq!(passing.id, ids[1], "and then the next may pass, and nobody else");
    // One that comes now stands behind the last of the line, not behind its head.
    let late = line(world, 1).await;
    assert!(sent_ids(world, passes).await.is_empty());
    deliver(world, &passing, passes).await;
    let next = only(world, passes).await;
    assert_eq!(next.id, ids[2]);
    deliver(world, &next, passes).await;
    let last = only(world, passes).await;
    assert_eq!(last.id, late[0]);
    deliver(world, &last, passes).await;
    // With nobody between, one that comes passes a head that has had its time.
    let after = line(world, 1).await;
    let claim = only(world, passes).await;
    assert_eq!(claim.id, after[0]);
    deliver(world, &claim, passes).await;
    assert_eq!(sent_ids(world, START.plus_ms(LATE_MS)).await, ids[..1], "and the head has kept its own time");
}

pub(super) async fn a_call_that_ends_lets_the_next_go_at_once(world: &World) {
    let mut delayed = world.call(Some("k"));
    delayed.call.due_at = START.plus_ms(5_000);
    let (head, next) = (world.call(Some("k")), world.call(Some("k")));
    let ids = [head.id, next.id, delayed.id];
    world.decide(vec![head, next, delayed]).await;
    fail(world, &only(world, START).await, START, START.plus_ms(1_000)).await;
    let now = START.plus_ms(1_000);
    let claim = only(world, now).await;
    assert_eq!(claim.id, ids[0]);
    deliver(world, &claim, now).await;
    let claim = only(world, now).await;
    assert_eq!(claim.id, ids[1], "it does not wait for the time at which it might have passed");
    // The one behind has a time of its own, whatever the one before it does.
    fail(world, &claim, now, START.plus_ms(2_000)).await;
    let now = START.plus_ms(2_000);
    deliver(world, &only(world, now).await, now).await;
    assert!(sent_ids(world, START.plus_ms(4_999)).await.is_empty());
    assert_eq!(sent_ids(world, START.plus_ms(5_000)).await, ids[2..]);
}

pub(super) async fn who_has_passed_is_held_by_nobody_and_holds_the_next(world: &World) {
    let ids = line(world, 3).await;
    let late = START.plus_ms(LATE_MS);
    fail(world, &only(world, START).await, START, late).await;
    let passed = START.plus_ms(SKIP_AFTER_MS_DEFAULT);
    fail(world, &only(world, passed).await, passed, late.plus_ms(1)).await;
    let passes = passed.plus_ms(SKIP_AFTER_MS_DEFAULT);
    assert!(sent_ids(world, passes.minus_ms(1)).await.is_empty(), "the third waits for the second as long as for any");
    let third = only(world, passes).await;
    assert_eq!(third.id, ids[2]);
    deliver(world, &third, passes).await;
    // The head's end changes nothing for the second, which has been tried and has a time of its own.
    let head = only(world, late).await;
    assert_eq!(head.id, ids[0]);
    deliver(world, &head, late).await;
    assert!(sent_ids(world, late).await.is_empty());
    assert_eq!(sent_ids(world, late.plus_ms(1)).await, ids[1..2]);
}

/// The one run that can be claimed now.
async fn only_run(world: &World, now: Timestamp) -> RunTicket {
    let mut claims = world.claim(now, 10).await;
    assert_eq!(claims.len(), 1);
    claims.remove(0).ticket
}

async fn retry(world: &World, ticket: &RunTicket, now: Timestamp, at: Timestamp) {
    let again = world.commit(ticket.run, ticket.claim, now, Verdict::Retry, RunNext::Again(at));
    world.store.run_commit(again).await.unwrap();
}

pub(super) async fn a_run_that_fails_holds_those_behind_it_only_so_long(world: &World) {
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(world.accept_keyed(Some("k")).await);
    }
    let late = START.plus_ms(LATE_MS);
    retry(world, &only_run(world, START).await, START, late).await;
    let passes = START.plus_ms(SKIP_AFTER_MS_DEFAULT);
    let due = world.store.run_due(START).await.unwrap();
    assert!(due.is_some_and(|due| due <= passes), "somebody is to look in time, and not at {due:?}");
    assert!(world.claim(passes.minus_ms(1), 10).await.is_empty(), "until then it holds");
    let passing = only_run(world, passes).await;
    assert_eq!(passing.run, runs[1]);
    runs.push(world.accept_keyed(Some("k")).await);
    assert!(world.claim(passes, 10).await.is_empty(), "one passes at a time");
    world.done(passing.run, passing.claim, passes, vec![]).await;
    for next in &runs[2..] {
        let ticket = only_run(world, passes).await;
        assert_eq!(ticket.run, *next, "in the order of arrival");
        world.done(ticket.run, ticket.claim, passes, vec![]).await;
    }
    let after = world.accept_keyed(Some("k")).await;
    let ticket = only_run(world, passes).await;
    assert_eq!(ticket.run, after, "one that comes passes a head that has had its time");
    world.done(ticket.run, ticket.claim, passes, vec![]).await;
    assert_eq!(world.claim_ids(late, 10).await, runs[..1], "and the head has kept its own");
}

pub(super) async fn a_configured_time_holds_for_what_fails_from_then_on(world: &World) {
    let late = START.plus_ms(LATE_MS);
    world.destination(|row| row.spec.skip_after_ms = 2_000).await;
    let ids = line(world, 2).await;
    fail(world, &only(world, START).await, START, late).await;
    world.destination(|row| row.spec.skip_after_ms = 1).await;
    assert!(sent_ids(world, START.plus_ms(1_999)).await.is_empty());
    assert_eq!(sent_ids(world, START.plus_ms(2_000)).await, ids[1..]);

    let mut source = world.source();
    source.spec.skip_after_ms = 3_000;
    world.store.source_put(source).await.unwrap();
    // A route that is put again, or is put later, goes by its source too.
    world.store.route_put(world.route()).await.unwrap();
    let now = START.plus_ms(2_000);
    world.accept_keyed(Some("k")).await;
    let second = world.accept_keyed(Some("k")).await;
    retry(world, &only_run(world, now).await, now, late).await;
    assert!(world.claim(now.plus_ms(2_999), 10).await.is_empty());
    assert_eq!(world.claim_ids(now.plus_ms(3_000), 10).await, [second]);
}

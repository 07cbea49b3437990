//! Stories of what a tenant may use in a day.

use creel_webhook::clock::Timestamp;
use creel_webhook::delivery::Next;
use creel_webhook::quota::{Quota, renewed_at};
use creel_webhook::run::{RunNext, Usage, Verdict};
use creel_webhook::tenant::TenantLimits;

use crate::conformance::world::{LEASE_MS, START, World};
use crate::contract::{Accept, Accepted, RunCommit, RunFilter};

/// When the quotas of the stories' day begin anew.
fn midnight() -> Timestamp {
    renewed_at(START)
}

async fn refused(world: &World, accept: Accept, quota: Quota) {
    match world.store.accept(accept).await.unwrap() {
        Accepted::OverDailyQuota { quota: told, until } => assert_eq!((told, until), (quota, midnight())),
        other => panic!("{other:?}"),
    }
}

/// An accept of the next day.
fn tomorrow(world: &World) -> Accept {
    Accept { request: world.request(midnight(), "x"), ..world.accept(world.home, "x") }
}

pub(super) async fn events_beyond_a_days_quota_are_refused_until_midnight(world: &World) {
    world.limit(TenantLimits { events_per_day: Some(2), ..TenantLimits::default() }).await;
    let mut first = world.accept(world.home, "x");
    first.events[0].dedup_keys = vec![[7; 32]];
    world.stored(first.clone()).await;
    world.stored(world.accept(world.home, "x")).await;
    refused(world, world.accept(world.home, "x"), Quota::Events).await;
    refused(world, world.accept_reply(1_000, Some(LEASE_MS)), Quota::Events).await;
    world.stored(world.accept(world.other, "x")).await;
    first.events[0].id = world.id();
    let again = world.store.accept(first).await.unwrap();
    assert!(matches!(again, Accepted::Duplicate(_)), "a repetition is no event: {again:?}");
    assert_eq!(world.store.runs_pending(world.home.tenant).await.unwrap(), 2, "nothing was stored");

    world.limit(TenantLimits { events_per_day: Some(3), ..TenantLimits::default() }).await;
    world.stored(world.accept(world.home, "x")).await;
    refused(world, world.accept(world.home, "x"), Quota::Events).await;
    world.stored(tomorrow(world)).await;
}

pub(super) async fn bytes_beyond_a_days_quota_are_refused(world: &World) {
    world.limit(TenantLimits { bytes_per_day: Some(7), ..TenantLimits::default() }).await;
    // One byte of the body, two of the call.
    world.decide(vec![world.call(None)]).await;
    refused(world, world.accept(world.home, "12345"), Quota::Bytes).await;
    world.stored(world.accept(world.home, "1234")).await;
    refused(world, world.accept(world.home, "1"), Quota::Bytes).await;
}

pub(super) async fn runs_beyond_a_days_quota_wait_until_midnight(world: &World) {
    world.limit(TenantLimits { runs_per_day: Some(2), ..TenantLimits::default() }).await;
    for _ in 0..4 {
        world.stored(world.accept(world.home, "x")).await;
    }
    let claims = world.claim(START, 10).await;
    assert_eq!(claims.len(), 2, "what is under way counts as used");
    assert!(world.claim(START, 10).await.is_empty());
    for claim in claims {
        world.done(claim.ticket.run, claim.ticket.claim, START, vec![]).await;
    }
    assert!(world.claim(START, 10).await.is_empty());
    world.stored(world.accept(world.home, "x")).await;
    assert!(world.claim(START, 10).await.is_empty(), "an arrival changes nothing");
    assert_eq!(world.store.run_due(START).await.unwrap(), Some(midnight()));
    let reply = world.stored(world.accept_reply(1_000, Some(LEASE_MS))).await;
    assert!(matches!(reply, Accepted::Stored { reply: None, .. }), "who waits is told the fallback: {reply:?}");
    let newest = RunFilter { verdict: Some(Verdict::Unanswered), limit: 1, ..RunFilter::default() };
    let runs = world.store.run_list(world.home.tenant, newest).await.unwrap();
    assert!(runs[0].reason.as_deref().unwrap().contains("runs_per_day = 2"), "{runs:?}");

    world.limit(TenantLimits { runs_per_day: Some(3), ..TenantLimits::default() }).await;
    assert_eq!(world.claim(START, 10).await.len(), 1, "a raised quota counts at once");
    assert_eq!(world.claim(midnight(), 10).await.len(), 3, "the lost one, and of the new day's three what there is");
}

pub(super) async fn fuel_beyond_a_days_quota_holds_what_follows(world: &World) {
    world.limit(TenantLimits { fuel_per_day: Some(100), ..TenantLimits::default() }).await;
    for _ in 0..3 {
        world.stored(world.accept(world.home, "x")).await;
    }
    let claim = world.claim(START, 1).await.remove(0).ticket;
    let commit = world.commit(claim.run, claim.claim, START, Verdict::Done, RunNext::End);
    world.store.run_commit(RunCommit { usage: Usage { fuel: 100, ..Usage::default() }, ..commit }).await.unwrap();
    assert!(world.claim(START, 10).await.is_empty());
    assert_eq!(world.claim(midnight(), 10).await.len(), 2);
}

pub(super) async fn calls_beyond_a_days_quota_wait_until_midnight(world: &World) {
    world.limit(TenantLimits { deliveries_per_day: Some(2), ..TenantLimits::default() }).await;
    world.decide((0..4).map(|_| world.call(None)).collect()).await;
    let claims = world.send(START, 10).await;
    assert_eq!(claims.len(), 2, "what is on its way may arrive");
    assert!(world.send(START, 10).await.is_empty());
    let failed = world.sent(&claims[0], START, 500, Next::Again { at: START.plus_ms(1) });
    world.store.delivery_commit(failed).await.unwrap();
    world.store.delivery_commit(world.sent(&claims[1], START, 200, Next::Delivered)).await.unwrap();
    let later = START.plus_ms(1);
    let claims = world.send(later, 10).await;
    assert_eq!(claims.len(), 1, "what did not arrive used nothing");
    world.store.delivery_commit(world.sent(&claims[0], later, 200, Next::Delivered)).await.unwrap();
    assert!(world.send(later, 10).await.is_empty());
    assert_eq!(world.store.delivery_due(later).await.unwrap(), Some(midnight()));
    assert_eq!(world.send(midnight(), 10).await.len(), 2);
}

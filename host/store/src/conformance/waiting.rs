//! Stories of why something is not over: what is said is what claims go by.

use creel_webhook::breaker::{FAILURES_MAX, OPEN_MS_MIN};
use creel_webhook::clock::Timestamp;
use creel_webhook::delivery::{Answer, Next};
use creel_webhook::id::{DeliveryId, RunId};
use creel_webhook::quota::{Quota, renewed_at};
use creel_webhook::retry::SKIP_AFTER_MS_DEFAULT;
use creel_webhook::route::Route;
use creel_webhook::run::{RunNext, Verdict};
use creel_webhook::tenant::TenantLimits;

use crate::conformance::world::{LEASE_MS, START, World};
use crate::contract::{Hold, Holds};

/// What holds a run; `None` once it is over.
async fn run(world: &World, run: RunId, now: Timestamp) -> Option<Vec<Hold>> {
    let holds = world.store.hold_list(world.home.tenant, vec![run], vec![], now).await.expect("it is told");
    assert!(holds.deliveries.is_empty());
    holds.runs.into_iter().next().map(|(_, holds)| holds)
}

/// What holds a delivery.
async fn call(world: &World, call: DeliveryId, now: Timestamp) -> Option<Vec<Hold>> {
    let holds = world.store.hold_list(world.home.tenant, vec![], vec![call], now).await.expect("it is told");
    holds.deliveries.into_iter().next().map(|(_, holds)| holds)
}

pub(super) async fn a_run_says_what_it_waits_for(world: &World) {
    let first = world.accept_keyed(Some("k")).await;
    let second = world.accept_keyed(Some("k")).await;
    let free = world.accept_keyed(None).await;
    assert_eq!(run(world, first, START).await, Some(vec![]), "its turn");
    assert_eq!(run(world, second, START).await, Some(vec![Hold::BehindRun { run: first, until: None }]));
    world.store.route_put(Route { paused: true, ..world.route() }).await.unwrap();
    assert_eq!(run(world, free, START).await, Some(vec![Hold::Paused]));
    assert!(world.claim(START, 10).await.is_empty(), "and so it is");
    world.store.route_put(world.route()).await.unwrap();

    world.limit(TenantLimits { concurrent_runs_max: Some(1), ..TenantLimits::default() }).await;
    let claim = world.claim(START, 10).await.remove(0).ticket;
    let claimed = claim.run;
    assert_eq!(run(world, claimed, START).await, Some(vec![Hold::UnderWay { until: START.plus_ms(LEASE_MS) }]));
    let other = if claimed == first { free } else { first };
    assert_eq!(run(world, other, START).await, Some(vec![Hold::TenantFull { places: 1 }]));
    assert_eq!(run(world, other, START.plus_ms(LEASE_MS)).await, Some(vec![]), "a lost claim holds no place");
    world.done(claimed, claim.claim, START.plus_ms(LEASE_MS), vec![]).await;
    assert_eq!(run(world, claimed, START.plus_ms(LEASE_MS)).await, None, "it is over");
    let stranger = world.store.hold_list(world.other.tenant, vec![other], vec![], START).await.unwrap();
    assert_eq!(stranger, Holds::default(), "another tenant's thing is not found");
}

pub(super) async fn a_run_behind_one_that_failed_says_when_it_may_pass(world: &World) {
    let first = world.accept_keyed(Some("k")).await;
    let second = world.accept_keyed(Some("k")).await;
    let claim = world.claim(START, 1).await.remove(0).ticket;
    assert_eq!(claim.run, first);
    let again = START.plus_ms(5_000);
    world
        .store
        .run_commit(world.commit(first, claim.claim, START, Verdict::Retry, RunNext::Again(again)))
        .await
        .unwrap();
    assert_eq!(run(world, first, START).await, Some(vec![Hold::NotBefore { until: again }]));
    let passes = START.plus_ms(SKIP_AFTER_MS_DEFAULT);
    assert_eq!(run(world, second, START).await, Some(vec![Hold::BehindRun { run: first, until: Some(passes) }]));
    assert_eq!(run(world, second, passes).await, Some(vec![]));
}

pub(super) async fn a_tenant_that_used_up_what_it_has_is_what_its_work_waits_for(world: &World) {
    let midnight = renewed_at(START);
    world.limit(TenantLimits { runs_per_day: Some(1), deliveries_per_day: Some(1), ..TenantLimits::default() }).await;
    let calls = [world.call(None), world.call(None)];
    let ids = calls.each_ref().map(|call| call.id);
    world.decide(calls.to_vec()).await;
    let waiting = world.accept_keyed(None).await;
    let quota = |quota| Some(vec![Hold::Quota { quota, until: midnight }]);
    assert_eq!(run(world, waiting, START).await, quota(Quota::Runs));
    let sent = world.send(START, 10).await.remove(0);
    world.store.delivery_commit(world.sent(&sent, START, 200, Next::Delivered)).await.unwrap();
    let left = if sent.id == ids[0] { ids[1] } else { ids[0] };
    assert_eq!(call(world, left, START).await, quota(Quota::Deliveries));
    assert_eq!(call(world, left, midnight).await, Some(vec![]));

    world.limit(TenantLimits { fuel_per_second: Some(1), ..TenantLimits::default() }).await;
    let claim = world.claim(START, 1).await.remove(0).ticket;
    let mut commit = world.commit(claim.run, claim.claim, START, Verdict::Done, RunNext::End);
    commit.usage.fuel = 100;
    world.store.run_commit(commit).await.unwrap();
    let late = world.accept_keyed(None).await;
    let held = run(world, late, START).await.expect("it is not over");
    assert!(matches!(held[..], [Hold::Debt { until }] if until > START), "{held:?}");
}

pub(super) async fn a_call_says_what_its_lane_waits_for(world: &World) {
    world.destination(|row| row.spec.concurrency_max = 1).await;
    let calls = [world.call(None), world.call(None)];
    world.decide(calls.to_vec()).await;
    let sent = world.send(START, 10).await.remove(0);
    let left = calls.iter().map(|call| call.id).find(|id| *id != sent.id).expect("the other");
    assert_eq!(call(world, left, START).await, Some(vec![Hold::LaneFull { places: 1 }]));
    let mut busy = world.sent(&sent, START, 429, Next::Again { at: START });
    busy.attempt.answer = Answer::Status { status: 429, retry_after_ms: Some(30_000) };
    world.store.delivery_commit(busy).await.unwrap();
    assert_eq!(call(world, left, START).await, Some(vec![Hold::Asked { until: START.plus_ms(30_000) }]));
    world.destination(|row| row.paused = Some("by hand".into())).await;
    let now = START.plus_ms(30_000);
    assert_eq!(call(world, left, now).await, Some(vec![Hold::Paused]));

    world.destination(|row| (row.spec.concurrency_max, row.spec.rate_per_s) = (9, Some(1))).await;
    world.send(now, 1).await;
    let held = call(world, left, now).await.expect("it is not over");
    let under_way = matches!(held[..], [Hold::UnderWay { .. }]);
    let rated = matches!(held[..], [Hold::Rate { per_s: 1, until }] if until > now);
    assert!(under_way || rated, "{held:?}");
}

pub(super) async fn a_call_behind_an_open_breaker_or_another_call_says_so(world: &World) {
    world.destination(|row| row.spec.concurrency_max = 100).await;
    let mut calls: Vec<_> = (0..FAILURES_MAX).map(|_| world.call(None)).collect();
    calls.extend([world.call(Some("k")), world.call(Some("k"))]);
    let ids: Vec<DeliveryId> = calls.iter().rev().map(|call| call.id).collect();
    let mut delayed = world.call(None);
    delayed.call.due_at = START.plus_ms(7_000);
    let later = delayed.id;
    calls.push(delayed);
    world.decide(calls).await;
    assert_eq!(call(world, ids[0], START).await, Some(vec![Hold::BehindDelivery { delivery: ids[1], until: None }]));
    assert_eq!(call(world, later, START).await, Some(vec![Hold::NotBefore { until: START.plus_ms(7_000) }]));
    for claim in world.send(START, 100).await.iter().filter(|claim| claim.id != ids[1]) {
        world.store.delivery_commit(world.sent(claim, START, 500, Next::Again { at: START })).await.unwrap();
    }
    let open = Hold::BreakerOpen { until: START.plus_ms(OPEN_MS_MIN) };
    assert_eq!(
        call(world, ids[0], START).await,
        Some(vec![Hold::BehindDelivery { delivery: ids[1], until: None }, open]),
        "both hold it"
    );
}

//! Stories of lanes: how many may go, and when none may.

use creel_webhook::breaker::{FAILURES_MAX, OPEN_MS_MIN, SUCCESSES_MIN};
use creel_webhook::clock::Timestamp;
use creel_webhook::delivery::{Answer, LANE_HOLD_MS_DEFAULT, LANE_HOLD_MS_MAX, Next};

use crate::conformance::world::{LEASE_MS, START, World};
use crate::contract::{DeliveryClaim, Hasten, Hastened};

/// Commits attempts that got this status; what failed is due again at once.
async fn answer(world: &World, claims: &[DeliveryClaim], now: Timestamp, status: u16) {
    for claim in claims {
        let next = if status < 300 { Next::Delivered } else { Next::Again { at: now } };
        world.store.delivery_commit(world.sent(claim, now, status, next)).await.unwrap();
    }
}

/// Commits an attempt that got a 429 and is due again at once.
async fn answer_busy(world: &World, claim: &DeliveryClaim, now: Timestamp, retry_after_ms: Option<u64>) {
    let mut busy = world.sent(claim, now, 429, Next::Again { at: now });
    busy.attempt.answer = Answer::Status { status: 429, retry_after_ms };
    world.store.delivery_commit(busy).await.unwrap();
}

/// Calls to a lane with many places.
async fn many(world: &World, calls: usize) {
    world.destination(|row| row.spec.concurrency_max = 100).await;
    world.decide((0..calls).map(|_| world.call(None)).collect()).await;
}

pub(super) async fn an_open_breaker_holds_the_lane_and_half_open_lets_ever_more_try(world: &World) {
    many(world, 60).await;
    answer(world, &world.send(START, FAILURES_MAX).await, START, 500).await;
    let looked = START.plus_ms(OPEN_MS_MIN - 1);
    assert!(world.send(looked, 10).await.is_empty(), "the breaker is open");
    assert_eq!(world.store.delivery_due(looked).await.unwrap(), Some(START.plus_ms(OPEN_MS_MIN)));
    let now = START.plus_ms(OPEN_MS_MIN);
    let mut good = 0;
    for tries in [1, 2, 4, 8] {
        let claims = world.send(now, 100).await;
        assert_eq!(claims.len(), tries, "after {good} good ones");
        assert!(world.send(now, 100).await.is_empty());
        answer(world, &claims, now, 200).await;
        good += tries;
    }
    assert_eq!(good, SUCCESSES_MIN as usize);
    let rest = world.send(now, 100).await;
    assert_eq!(rest.len(), 60 - good, "it is closed, all may go");
    answer(world, &rest[..FAILURES_MAX as usize], now, 500).await;
    assert!(world.send(now, 100).await.is_empty(), "and opens as it did first");
    answer(world, &rest[FAILURES_MAX as usize..], now, 200).await;
    let later = now.plus_ms(OPEN_MS_MIN);
    let tries = world.send(later, 100).await;
    assert_eq!(tries.len(), 1);
    answer(world, &tries, later, 500).await;
    assert!(world.send(later.plus_ms(2 * OPEN_MS_MIN - 1), 100).await.is_empty(), "a failed try doubles the pause");
    assert_eq!(world.send(later.plus_ms(2 * OPEN_MS_MIN), 100).await.len(), 1);
}

pub(super) async fn what_left_before_a_breaker_opened_does_not_close_it(world: &World) {
    many(world, 20).await;
    let claims = world.send(START, FAILURES_MAX + 1).await;
    let (failing, straggler) = claims.split_at(FAILURES_MAX as usize);
    answer(world, failing, START, 503).await;
    answer(world, straggler, START.plus_ms(1), 200).await;
    assert!(world.send(START.plus_ms(OPEN_MS_MIN - 1), 100).await.is_empty(), "it is open as long as it was to be");
    assert_eq!(world.send(START.plus_ms(OPEN_MS_MIN), 100).await.len(), 1);
}

pub(super) async fn a_full_receiver_holds_the_lane_as_long_as_it_asks(world: &World) {
    many(world, 20).await;
    let claims = world.send(START, 4).await;
    answer_busy(world, &claims[0], START, Some(30_000)).await;
    // Neither a shorter wish nor good answers to what was under way shorten it.
    answer_busy(world, &claims[1], START.plus_ms(1), Some(1_000)).await;
    answer(world, &claims[2..], START.plus_ms(2), 200).await;
    assert!(world.send(START.plus_ms(29_999), 100).await.is_empty(), "the whole lane waits");
    let now = START.plus_ms(30_000);
    assert_eq!(world.store.delivery_due(START.plus_ms(29_999)).await.unwrap(), Some(now));
    let claims = world.send(now, 100).await;
    assert_eq!(claims.len(), 18, "and then all of it may go");
    answer_busy(world, &claims[0], now, None).await;
    answer(world, &claims[1..], now, 200).await;
    let later = now.plus_ms(LANE_HOLD_MS_DEFAULT);
    assert!(world.send(later.minus_ms(1), 100).await.is_empty(), "who names no time gets one");
    let claims = world.send(later, 100).await;
    answer_busy(world, &claims[0], later, Some(u64::MAX)).await;
    assert!(world.send(later.plus_ms(LANE_HOLD_MS_MAX - 1), 100).await.is_empty());
    assert!(!world.send(later.plus_ms(LANE_HOLD_MS_MAX), 100).await.is_empty(), "nobody parks a lane for a year");
}

pub(super) async fn a_full_receiver_says_nothing_about_the_breaker(world: &World) {
    many(world, 40).await;
    // Never against: no number of them opens it.
    let claims = world.send(START, 3 * FAILURES_MAX).await;
    for claim in &claims {
        answer_busy(world, claim, START, Some(0)).await;
    }
    let claims = world.send(START, 100).await;
    assert_eq!(claims.len(), 40);
    // Never for: the failures before it are not forgotten …
    let (failing, rest) = claims.split_at(FAILURES_MAX as usize - 1);
    answer(world, failing, START, 500).await;
    answer_busy(world, &rest[0], START, Some(0)).await;
    answer(world, &rest[1..2], START, 500).await;
    assert!(world.send(START.plus_ms(OPEN_MS_MIN - 1), 100).await.is_empty(), "one more opens it");
    for claim in &rest[2..] {
        world.store.delivery_release(world.home.tenant, claim.id, claim.claim).await.unwrap();
    }
    // … and a try that met a full receiver is as good as none.
    let mut now = START.plus_ms(OPEN_MS_MIN);
    for _ in 0..3 {
        let claims = world.send(now, 100).await;
        assert_eq!(claims.len(), 1, "half open as before");
        answer_busy(world, &claims[0], now, Some(1_000)).await;
        assert!(world.send(now.plus_ms(999), 100).await.is_empty());
        now = now.plus_ms(1_000);
    }
}

pub(super) async fn concurrency_and_rate_bound_a_lane(world: &World) {
    world.destination(|row| row.spec.concurrency_max = 3).await;
    world.decide((0..10).map(|_| world.call(None)).collect()).await;
    let claims = world.send(START, 10).await;
    assert_eq!(claims.len(), 3);
    assert!(world.send(START, 10).await.is_empty());
    world.store.delivery_commit(world.sent(&claims[0], START, 200, Next::Delivered)).await.unwrap();
    world.store.delivery_release(world.home.tenant, claims[1].id, claims[1].claim).await.unwrap();
    assert_eq!(world.send(START, 10).await.len(), 2, "an end and a release make room");
    let lost = START.plus_ms(LEASE_MS);
    assert_eq!(world.send(lost, 10).await.len(), 3, "lost claims make room");
    world
        .destination(|row| {
            row.spec.concurrency_max = 100;
            row.spec.rate_per_s = Some(2);
        })
        .await;
    let mut sent = 0;
    for second in 0..2 {
        sent += world.send(lost.plus_ms(second * 1_000), 10).await.len();
    }
    assert!((2..=4).contains(&sent), "{sent} in a bucket of one second and one second more");
}

pub(super) async fn resuming_a_destination_lets_go_what_its_answers_held(world: &World) {
    let (tenant, destination) = (world.home.tenant, world.home.destination);
    let failing_until = async || world.store.queue_list(tenant).await.unwrap()[0].failing_until;
    let resume = async |now| world.store.destination_pause(tenant, destination, None, now).await.unwrap();
    many(world, 60).await;
    assert_eq!(failing_until().await, None);
    answer(world, &world.send(START, FAILURES_MAX).await, START, 500).await;
    assert_eq!(failing_until().await, Some(START.plus_ms(OPEN_MS_MIN)));
    let now = START.plus_ms(1);
    assert!(world.send(now, 100).await.is_empty(), "the breaker is open");
    resume(now).await;
    assert_eq!(failing_until().await, None);
    let claims = world.send(now, 100).await;
    assert_eq!(claims.len(), 60, "all may go, and not one after the other");
    answer_busy(world, &claims[0], now, Some(30_000)).await;
    answer(world, &claims[1..10], now, 200).await;
    for claim in &claims[10..] {
        world.store.delivery_release(world.home.tenant, claim.id, claim.claim).await.unwrap();
    }
    assert!(world.send(now.plus_ms(1), 100).await.is_empty(), "it asked to be left alone");
    resume(now.plus_ms(1)).await;
    assert_eq!(world.send(now.plus_ms(1), 100).await.len(), 51);
}

pub(super) async fn what_waits_for_its_next_attempt_goes_when_a_person_says_so(world: &World) {
    let (tenant, destination) = (world.home.tenant, world.home.destination);
    let again = START.plus_ms(60_000);
    world.destination(|row| row.spec.concurrency_max = 2_000).await;
    let mut calls: Vec<_> = (0..1_200).map(|_| world.call(None)).collect();
    let mut delayed = world.call(None);
    delayed.call.due_at = again;
    let delayed_id = delayed.id;
    calls.push(delayed);
    world.decide(calls).await;
    // The wrong moment says nothing of the receiver, so no breaker comes in between.
    for (index, claim) in (0..).zip(world.send(START, 1_200).await) {
        let at = again.plus_ms(index / 700);
        world.store.delivery_commit(world.sent(&claim, START, 408, Next::Again { at })).await.unwrap();
    }
    let now = START.plus_ms(10_000);
    assert!(world.send(now, 10).await.is_empty(), "all wait");
    let hasten = async |which| world.store.delivery_hasten(tenant, which, now).await.unwrap();
    assert_eq!(hasten(Hasten::One(delayed_id)).await, Hastened::default(), "its plugin wanted that time");
    let mut steps = Vec::new();
    let mut from = Some(now);
    while let Some(begin) = from {
        let step = hasten(Hasten::All { destination, from: begin }).await;
        (from, _) = (step.next, steps.push(step.hastened));
        assert!(steps.len() < 10, "it ends: {steps:?}");
    }
    assert_eq!(steps.iter().sum::<u32>(), 1_200, "{steps:?}");
    assert!(steps.iter().all(|step| *step <= 500), "in small steps: {steps:?}");
    let claims = world.send(now, 2_000).await;
    assert_eq!(claims.len(), 1_200, "the delayed one keeps its time");
    assert_eq!(hasten(Hasten::One(claims[0].id)).await.hastened, 0, "it is on its way");
    world.store.delivery_commit(world.sent(&claims[0], now, 408, Next::Again { at: again })).await.unwrap();
    assert_eq!(hasten(Hasten::One(claims[0].id)).await.hastened, 1);
    assert_eq!(world.send(now, 10).await.len(), 1);
    world.store.destination_pause(tenant, destination, Some("by hand".to_owned()), now).await.unwrap();
    world.store.delivery_commit(world.sent(&claims[1], now, 408, Next::Again { at: again })).await.unwrap();
    assert_eq!(hasten(Hasten::One(claims[1].id)).await.hastened, 1);
    assert!(world.send(now, 10).await.is_empty(), "a pause holds what is due");
}

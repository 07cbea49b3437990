//! Stories of queues that are full: how many calls may wait for one destination, and who makes room.

use creel_webhook::clock::Timestamp;
use creel_webhook::delivery::Next;
use creel_webhook::destination::crowded_out;
use creel_webhook::id::DeliveryId;
use creel_webhook::outcome::OnResult;
use creel_webhook::retry::SKIP_AFTER_MS_DEFAULT;

use crate::conformance::world::{START, World};
use crate::contract::{DeliveryFilter, DeliveryState, Keys, Queue, Replay};

/// An hour: behind every time that a line is held.
const LATE_MS: u64 = 60 * 60 * 1_000;

/// Decides one call for each key; gives their ids.
async fn line(world: &World, keys: &[Option<&str>]) -> Vec<DeliveryId> {
    let calls: Vec<_> = keys.iter().map(|key| world.call(*key)).collect();
    let ids = calls.iter().map(|call| call.id).collect();
    world.decide(calls).await;
    ids
}

async fn queue(world: &World) -> Queue {
    let queues = world.store.queue_list(world.home.tenant).await.unwrap();
    queues.into_iter().find(|queue| queue.destination == world.home.destination).expect("it has a queue")
}

/// The calls in a state, oldest first, each with its reason.
async fn calls(world: &World, state: DeliveryState) -> Vec<(DeliveryId, Option<String>)> {
    let filter = DeliveryFilter { state: Some(state), limit: 100, ..DeliveryFilter::default() };
    let rows = world.store.delivery_list(world.home.tenant, filter).await.unwrap();
    rows.into_iter().rev().map(|row| (row.id, row.reason)).collect()
}

async fn dead(world: &World) -> Vec<DeliveryId> {
    calls(world, DeliveryState::Dead).await.into_iter().map(|(id, _)| id).collect()
}

async fn sent(world: &World, now: Timestamp) -> Vec<DeliveryId> {
    world.send(now, 10).await.iter().map(|claim| claim.id).collect()
}

pub(super) async fn a_full_queue_makes_room_for_the_newest(world: &World) {
    world.destination(|row| row.spec.waiting_max = Some(3)).await;
    let first = line(world, &[None, None, None]).await;
    assert_eq!((queue(world).await.waiting, queue(world).await.waiting_max), (3, 3));
    assert!(dead(world).await.is_empty(), "as many as may wait do");
    let newer = line(world, &[None, None]).await;
    let ended = calls(world, DeliveryState::Dead).await;
    assert_eq!(ended, [(first[0], Some(crowded_out(3))), (first[1], Some(crowded_out(3)))], "the oldest, and why");
    assert_eq!(queue(world).await.waiting, 3);
    assert_eq!(world.store.stats().await.unwrap().deliveries_pending, 3);
    // Nobody else's calls count.
    assert_eq!(sent(world, START).await, [first[2], newer[0], newer[1]]);
}

pub(super) async fn what_is_on_its_way_makes_no_room(world: &World) {
    world.destination(|row| row.spec.waiting_max = Some(3)).await;
    let ids = line(world, &[None, None, None]).await;
    let claims = world.send(START, 2).await;
    let newer = line(world, &[None]).await;
    assert_eq!(dead(world).await, ids[2..], "the oldest of those that are here");
    for claim in &claims {
        world.store.delivery_commit(world.sent(claim, START, 200, Next::Delivered)).await.unwrap();
    }
    assert_eq!(queue(world).await.waiting, 1, "an end leaves the queue, whatever it is");
    // One that failed is as old as it was, and here again.
    let claims = world.send(START, 10).await;
    assert_eq!(claims.iter().map(|claim| claim.id).collect::<Vec<_>>(), newer);
    let again = Next::Again { at: START.plus_ms(LATE_MS) };
    world.store.delivery_commit(world.sent(&claims[0], START, 503, again)).await.unwrap();
    line(world, &[None, None, None]).await;
    assert_eq!(dead(world).await, [ids[2], newer[0]]);
}

pub(super) async fn who_makes_room_in_a_line_lets_nobody_pass(world: &World) {
    world.destination(|row| row.spec.waiting_max = Some(3)).await;
    let ids = line(world, &[Some("k"), Some("k"), Some("k")]).await;
    let head = world.send(START, 10).await.remove(0);
    assert_eq!(head.id, ids[0]);
    let newer = line(world, &[Some("k")]).await;
    assert_eq!(dead(world).await, ids[1..2], "one that the head held");
    assert!(sent(world, START).await.is_empty(), "the head holds the next still");
    // The head fails: from now on it can be passed at a time, and the next is let go for then.
    let late = START.plus_ms(LATE_MS);
    world.store.delivery_commit(world.sent(&head, START, 503, Next::Again { at: START.plus_ms(1) })).await.unwrap();
    let head = world.send(START.plus_ms(1), 10).await.remove(0);
    assert_eq!(head.id, ids[0]);
    let last = line(world, &[Some("k")]).await;
    assert_eq!(dead(world).await, ids[1..3], "one that was let go for later");
    let again = Next::Again { at: late };
    world.store.delivery_commit(world.sent(&head, START.plus_ms(2), 503, again)).await.unwrap();
    let passes = START.plus_ms(SKIP_AFTER_MS_DEFAULT);
    assert!(sent(world, passes.minus_ms(1)).await.is_empty(), "the one behind it is let go for then, and no sooner");
    let due = world.store.delivery_due(START.plus_ms(2)).await.unwrap();
    assert!(due.is_some_and(|due| due <= passes), "somebody is to look in time, and not at {due:?}");
    let passing = world.send(passes, 10).await;
    assert_eq!(passing.iter().map(|claim| claim.id).collect::<Vec<_>>(), newer);
    world.store.delivery_commit(world.sent(&passing[0], passes, 200, Next::Delivered)).await.unwrap();
    assert_eq!(sent(world, passes).await, last);
}

pub(super) async fn a_head_that_makes_room_lets_the_next_go(world: &World) {
    world.destination(|row| row.spec.waiting_max = Some(2)).await;
    line(world, &[Some("k"), Some("k")]).await;
    let newest = line(world, &[Some("k"), Some("k")]).await;
    assert_eq!(dead(world).await.len(), 2);
    assert_eq!(sent(world, START).await, newest[..1]);
}

pub(super) async fn a_lowered_limit_is_reached_bit_by_bit(world: &World) {
    let many: Vec<_> = (0..100).map(|_| None).collect();
    line(world, &many).await;
    world.destination(|row| row.spec.waiting_max = Some(10)).await;
    assert_eq!(
        queue(world).await,
        Queue { destination: world.home.destination, waiting: 100, waiting_max: 10, failing_until: None }
    );
    let mut before = 100;
    for _ in 0..20 {
        line(world, &[None]).await;
        let waiting = queue(world).await.waiting;
        assert!(waiting < before || waiting == 10, "{waiting} after {before}");
        assert!(before - waiting <= 50, "no commit ends more than a few: {waiting} after {before}");
        before = waiting;
    }
    assert_eq!(before, 10);
}

pub(super) async fn what_made_room_is_reported_and_comes_back_when_there_is_some(world: &World) {
    world.destination(|row| row.spec.waiting_max = Some(1)).await;
    let mut call = world.call(None);
    call.call.on_result = Some(OnResult { tag: "t".into(), on_delivered: false, on_dead: true });
    let id = call.id;
    world.decide(vec![call]).await;
    line(world, &[None]).await;
    let reports = world.claim(START, 10).await;
    assert_eq!(reports.len(), 1, "whoever waits for its end is told of it");
    let replay = || world.store.delivery_replay(world.home.tenant, vec![id], Keys::Same, START);
    let refused = replay().await.unwrap();
    assert!(matches!(&refused[..], [Replay::NoRoom(why)] if why.contains("full")), "{refused:?}");
    let claim = world.send(START, 10).await.remove(0);
    world.store.delivery_commit(world.sent(&claim, START, 200, Next::Delivered)).await.unwrap();
    assert_eq!(queue(world).await.waiting, 0);
    assert_eq!(replay().await.unwrap(), [Replay::Queued]);
    assert_eq!(queue(world).await.waiting, 1);
    // Its next end must not be taken for the one that was reported.
    assert!(sent(world, START).await.is_empty());
    assert_eq!(sent(world, START.plus_ms(1)).await, [id]);
}

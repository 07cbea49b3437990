//! Stories of what happens at the same time: at most one of two wins, and the other is told so.

use std::collections::BTreeSet;

use creel_webhook::delivery::Next;
use creel_webhook::run::{RunNext, Verdict};

use crate::conformance::world::{LEASE_MS, START, World, told};
use crate::contract::{Accept, Accepted, DeliveryCommitted, FirstAnswer, RunCommit, RunCommitted};

pub(super) async fn delivery_claims_do_not_overlap(world: &World) {
    world.destination(|row| row.spec.concurrency_max = 30).await;
    world.decide((0..40).map(|_| world.call(None)).collect()).await;
    let claims = (0..8).map(|_| {
        let store = world.store.clone();
        tokio::spawn(async move { store.delivery_claim(START, LEASE_MS, 7).await.expect("a claim succeeds") })
    });
    let (mut deliveries, mut tokens) = (BTreeSet::new(), BTreeSet::new());
    for task in claims.collect::<Vec<_>>() {
        for claim in task.await.unwrap() {
            assert!(deliveries.insert(claim.id), "a delivery was claimed twice");
            assert!(tokens.insert(claim.claim.0), "a token was given twice");
        }
    }
    assert_eq!(deliveries.len(), 30, "all places of the lane, and no more");
}

pub(super) async fn a_lease_that_expires_during_a_commit_has_one_winner(world: &World) {
    let mut now = START;
    for _ in 0..10 {
        let run = world.accept_keyed(None).await;
        let first = world.claim(now, 1).await.remove(0).ticket;
        assert_eq!(first.run, run);
        now = now.plus_ms(LEASE_MS);
        // Both are queued before either is answered; which is first is the store's to say.
        let commit = RunCommit {
            calls: vec![world.call(None)],
            ..world.commit(run, first.claim, now, Verdict::Done, RunNext::End)
        };
        let (committing, claiming) = (world.store.clone(), world.store.clone());
        let commit = tokio::spawn(async move { committing.run_commit(commit).await.expect("it is answered") });
        let claim = tokio::spawn(async move { claiming.run_claim(now, LEASE_MS, 1, 1).await.expect("it is answered") });
        let (committed, claims) = (commit.await.unwrap(), claim.await.unwrap());
        match committed {
            RunCommitted::Stored { .. } => assert!(claims.is_empty(), "a decided run was claimed"),
            RunCommitted::Stale => {
                let second = &claims[0].ticket;
                assert_eq!((second.run, second.claims, second.attempts), (run, 2, 0));
                world.done(run, second.claim, now, vec![world.call(None)]).await;
            }
            RunCommitted::Conflict => panic!("a run that read nothing was overtaken"),
        }
        let calls = world.send(now, 10).await;
        assert_eq!(calls.len(), 1, "one decision, one call");
        world.store.delivery_commit(world.sent(&calls[0], now, 200, Next::Delivered)).await.unwrap();
    }
}

pub(super) async fn a_lease_that_expires_during_a_deliverys_commit_has_one_winner(world: &World) {
    let mut now = START;
    for _ in 0..10 {
        world.decide(vec![world.call(None)]).await;
        let first = world.send(now, 1).await.remove(0);
        now = now.plus_ms(LEASE_MS);
        let commit = world.sent(&first, now, 200, Next::Delivered);
        let (committing, claiming) = (world.store.clone(), world.store.clone());
        let commit = tokio::spawn(async move { committing.delivery_commit(commit).await.expect("it is answered") });
        let claim = tokio::spawn(async move { claiming.delivery_claim(now, LEASE_MS, 1).await.expect("answered") });
        let (committed, claims) = (commit.await.unwrap(), claim.await.unwrap());
        if committed == DeliveryCommitted::Stored {
            assert!(claims.is_empty(), "a delivered call was claimed");
        } else {
            assert_eq!((claims[0].id, claims[0].claims, claims[0].attempts), (first.id, 2, 0));
            world.store.delivery_commit(world.sent(&claims[0], now, 200, Next::Delivered)).await.unwrap();
        }
        let story = world.store.event_story(world.home.tenant, first.event).await.unwrap().unwrap();
        assert_eq!((story.deliveries[0].attempts, story.deliveries[0].history.len()), (1, 1), "one attempt is stored");
    }
}

pub(super) async fn a_stale_delivery_commit_changes_nothing(world: &World) {
    world.decide(vec![world.call(None)]).await;
    let first = world.send(START, 1).await.remove(0);
    let later = START.plus_ms(LEASE_MS);
    let second = world.send(later, 1).await.remove(0);
    assert_eq!(second.id, first.id);
    let stale = world.sent(&first, later, 400, Next::Dead { reason: "no".into() });
    assert_eq!(world.store.delivery_commit(stale).await.unwrap(), DeliveryCommitted::Stale);
    assert!(!world.store.delivery_release(world.home.tenant, first.id, first.claim).await.unwrap());
    assert!(world.send(later, 1).await.is_empty(), "a stale release frees nothing");
    let good = world.sent(&second, later, 200, Next::Delivered);
    assert_eq!(world.store.delivery_commit(good).await.unwrap(), DeliveryCommitted::Stored);
    let story = world.store.event_story(world.home.tenant, first.event).await.unwrap().unwrap();
    assert_eq!((story.deliveries[0].attempts, story.deliveries[0].history.len()), (1, 1));
}

pub(super) async fn a_clock_that_goes_back_neither_sends_early_nor_shortens_a_lease(world: &World) {
    world.decide(vec![world.call(None)]).await;
    let claim = world.send(START, 1).await.remove(0);
    let again = world.sent(&claim, START, 503, Next::Again { at: START.plus_ms(5_000) });
    world.store.delivery_commit(again).await.unwrap();
    let far = START.plus_ms(5_000);
    let claim = world.send(far, 1).await.remove(0);
    assert!(world.send(START, 1).await.is_empty());
    // A retry that is told in a time that is past is due by the latest time.
    let back = world.sent(&claim, START, 503, Next::Again { at: START.plus_ms(1) });
    world.store.delivery_commit(back).await.unwrap();
    assert_eq!(world.send(START, 1).await.len(), 1, "the latest time counts");
    assert!(world.send(far.plus_ms(LEASE_MS - 1), 1).await.is_empty(), "and its lease is as long as asked for");
    assert_eq!(world.send(far.plus_ms(LEASE_MS), 1).await.len(), 1);
}

pub(super) async fn a_decision_right_behind_its_accept_finds_the_claim_that_came_with_it(world: &World) {
    let mut accept = world.accept_reply(1_000, Some(LEASE_MS));
    accept.events[0].dedup_keys = vec![[7; 32]];
    let decided = |accept: &Accept| {
        let run = &accept.events[0].runs[0];
        let claim = run.reply.as_ref().and_then(|reply| reply.claim).expect("it has a slot").token;
        let commit = world.commit(run.id, claim, START, Verdict::Done, RunNext::End);
        RunCommit { reply: Some(told(200, "in time")), calls: vec![world.call(None)], ..commit }
    };
    let commit = decided(&accept);
    let (accepted, committed) = tokio::join!(biased; world.store.accept(accept), world.store.run_commit(commit));
    assert!(matches!(accepted, Ok(Accepted::Stored { reply: Some(_), .. })), "{accepted:?}");
    let answer = Some(told(200, "in time"));
    assert_eq!(committed.unwrap(), RunCommitted::Stored { verdict: Verdict::Done, answer: answer.clone() });
    // What was not stored was decided by nobody.
    let mut again = world.accept_reply(1_000, Some(LEASE_MS));
    again.events[0].dedup_keys = vec![[7; 32]];
    let commit = decided(&again);
    let (accepted, committed) = tokio::join!(biased; world.store.accept(again), world.store.run_commit(commit));
    assert!(matches!(accepted, Ok(Accepted::Duplicate(FirstAnswer::Told(first))) if Some(&first) == answer.as_ref()));
    assert_eq!(committed.unwrap(), RunCommitted::Stale);
    assert_eq!(world.send(START, 10).await.len(), 1, "one decision, one call");
}

//! Stories of requests: stored, recognised, refused, answered.

use crate::conformance::world::{START, World, told};
use crate::contract::{Accepted, EventFilter, FirstAnswer, StoreError, Terms};
use creel_webhook::run::{RunNext, Verdict};

const KEY: [u8; 32] = [7; 32];

pub(super) async fn an_accepted_request_is_there_with_all_that_follows(world: &World) {
    let mut accept = world.accept(world.home, "hello world");
    accept.events[0].item = Some((6, 11));
    let event = accept.events[0].id;
    world.stored(accept.clone()).await;
    let story = world.store.event_story(world.home.tenant, event).await.unwrap().expect("the event is there");
    assert_eq!(story.event.body.as_ref(), b"world", "the item's own bytes");
    assert_eq!(story.event.request, accept.request.id);
    let headers = accept.request.headers.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    assert!(headers.eq(story.event.headers));
    assert_eq!(story.event.query, accept.request.query);
    assert_eq!(story.event.attributes, accept.request.attributes);
    assert_eq!((story.event.method.as_str(), story.event.scheme.as_str()), ("POST", "hmac"));
    assert_eq!((story.event.index, story.event.count, story.event.erased), (0, 1, false));
    assert_eq!(story.answer, Some(told(200, "ok")));
    assert_eq!(story.runs.len(), 1);
    assert_eq!(story.runs[0].verdict, None);
    let filter = EventFilter { subject: Some("CA1".into()), limit: 10, ..EventFilter::default() };
    let list = world.store.event_list(world.home.tenant, filter).await.unwrap().events;
    assert_eq!((list.len(), list[0].id, list[0].runs, list[0].pending), (1, event, 1, 1));
    assert_eq!(world.store.stats().await.unwrap().runs_pending, 1);
}

pub(super) async fn a_repetition_is_told_what_the_first_was_told(world: &World) {
    let mut first = world.accept(world.home, "x");
    first.events[0].dedup_keys = vec![KEY];
    let event = first.events[0].id;
    world.stored(first.clone()).await;
    let mut again = world.accept(world.home, "x");
    again.events[0].dedup_keys = vec![[8; 32], KEY];
    again.answer = told(202, "another");
    match world.store.accept(again).await.unwrap() {
        Accepted::Duplicate(FirstAnswer::Told(answer)) => assert_eq!(answer, told(200, "ok")),
        other => panic!("a repetition by its second key was taken for {other:?}"),
    }
    let story = world.store.event_story(world.home.tenant, event).await.unwrap().unwrap();
    assert_eq!(story.duplicates, 1);
    // The same key of another tenant is another key.
    let mut other = world.accept(world.other, "x");
    other.events[0].dedup_keys = vec![KEY];
    world.stored(other).await;
}

pub(super) async fn parallel_repetitions_store_one_event(world: &World) {
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let mut accept = world.accept(world.home, "x");
            accept.events[0].dedup_keys = vec![KEY];
            let store = world.store.clone();
            tokio::spawn(async move { store.accept(accept).await.expect("an accept succeeds") })
        })
        .collect();
    let mut stored = 0;
    for task in tasks {
        match task.await.unwrap() {
            Accepted::Stored { .. } => stored += 1,
            Accepted::Duplicate(FirstAnswer::Told(answer)) => assert_eq!(answer, told(200, "ok")),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(stored, 1, "one of 50 is the first");
    assert_eq!(world.store.stats().await.unwrap().runs_pending, 1);
}

pub(super) async fn a_batch_stores_only_what_is_new(world: &World) {
    let mut first = world.accept(world.home, "x");
    first.events[0].dedup_keys = vec![KEY];
    world.stored(first).await;
    let mut batch = world.accept(world.home, "abc");
    batch.events = (0..4).map(|_| world.event(vec![])).collect();
    let ids: Vec<_> = batch.events.iter().map(|event| event.id).collect();
    batch.events[1].dedup_keys = vec![KEY];
    batch.events[2].dedup_keys = vec![[9; 32]];
    batch.events[3].dedup_keys = vec![[9; 32]];
    match world.store.accept(batch).await.unwrap() {
        Accepted::Stored { events, duplicates, first, reply } => {
            assert_eq!((events, duplicates), (vec![ids[0], ids[2]], 2));
            assert!(first.is_none() && reply.is_none());
        }
        other => panic!("{other:?}"),
    }
    let story = world.store.event_story(world.home.tenant, ids[2]).await.unwrap().unwrap();
    assert_eq!((story.event.index, story.event.count), (2, 4), "the place in the request stays");
    assert_eq!(story.duplicates, 1, "the repetition within the request");
}

pub(super) async fn a_batch_that_begins_with_a_repetition_is_told_what_its_first_was_told(world: &World) {
    let mut accept = world.accept_reply(1_000, Some(30_000));
    accept.events[0].dedup_keys = vec![KEY];
    let event = accept.events[0].id;
    world.stored(accept).await;
    for decided in [false, true] {
        let mut batch = world.accept_reply(2_000, Some(30_000));
        batch.events[0].dedup_keys = vec![KEY];
        batch.events.push(world.event(vec![]));
        let new = batch.events[1].id;
        let expected = if decided {
            FirstAnswer::Told(told(503, "fallback"))
        } else {
            FirstAnswer::Pending { event, deadline: START.plus_ms(1_000) }
        };
        match world.store.accept(batch).await.unwrap() {
            Accepted::Stored { events, duplicates: 1, first, reply: None } => {
                assert_eq!((events, first), (vec![new], Some(expected)));
            }
            other => panic!("{other:?}"),
        }
        world.store.reply_fallback(world.home.tenant, event, START).await.unwrap();
    }
}

pub(super) async fn an_expired_key_is_new_again(world: &World) {
    let mut first = world.accept(world.home, "x");
    first.events[0].dedup_keys = vec![KEY];
    first.events[0].dedup_until = START.plus_ms(1_000);
    world.stored(first).await;
    for (at, prune) in [(1_000, false), (5_000, true)] {
        if prune {
            world.store.prune(START.plus_ms(at)).await.unwrap();
        }
        let mut again = world.accept(world.home, "x");
        again.request.received_at = START.plus_ms(at);
        again.events[0].dedup_keys = vec![KEY];
        again.events[0].dedup_until = START.plus_ms(at + 1_000);
        world.stored(again).await;
    }
}

pub(super) async fn a_full_tenant_is_refused_and_others_are_not(world: &World) {
    world.stored(world.accept(world.home, "x")).await;
    let mut accept = world.accept(world.home, "x");
    accept.pending_runs_max = 1;
    let event = accept.events[0].id;
    let refused = world.store.accept(accept).await.unwrap();
    assert!(matches!(refused, Accepted::OverQuota { pending: 1 }), "{refused:?}");
    assert!(world.store.event_story(world.home.tenant, event).await.unwrap().is_none(), "nothing was stored");
    let mut other = world.accept(world.other, "x");
    other.pending_runs_max = 1;
    world.stored(other).await;
}

pub(super) async fn a_full_tenant_keeps_what_a_waiting_sender_sent(world: &World) {
    let (tenant, store) = (world.home.tenant, &world.store);
    // One is pending; room for one more, or for none.
    world.stored(world.accept(world.home, "x")).await;
    for (max, kept) in [(2, 1), (1, 0)] {
        let mut accept = world.accept_reply(1_000, Some(30_000));
        for _ in 0..2 {
            let beside = world.accept(world.home, "x").events[0].runs[0].clone();
            accept.events[0].runs.push(beside);
        }
        accept.pending_runs_max = max;
        let (event, run) = (accept.events[0].id, accept.events[0].runs[0].id);
        let accepted = world.stored(accept).await;
        assert!(matches!(accepted, Accepted::Stored { reply: None, first: None, .. }), "{accepted:?}");
        assert_eq!(store.reply_read(tenant, event).await.unwrap(), Some(told(503, "fallback")));
        let story = store.event_story(tenant, event).await.unwrap().unwrap();
        let ended: Vec<_> = story.runs.iter().map(|run| run.verdict).collect();
        let beside = if kept == 1 { None } else { Some(Verdict::Unanswered) };
        assert_eq!(ended, [Some(Verdict::Unanswered), beside, Some(Verdict::Unanswered)]);
        assert!(story.runs[0].reason.as_deref().unwrap().contains("pending_runs_max"), "{:?}", story.runs[0].reason);
        assert_eq!(store.stats().await.unwrap().runs_pending, 1 + kept);
        for claim in world.claim(START, 10).await {
            if story.runs.iter().any(|run| run.id == claim.ticket.run) {
                world.done(claim.ticket.run, claim.ticket.claim, START, vec![]).await;
            }
        }
        if kept == 0 {
            store.run_replay(tenant, run, world.id(), Terms::default(), START).await.unwrap();
            assert_eq!(world.claim(START, 10).await.len(), 1, "what was not run can be run later");
        }
    }
}

pub(super) async fn one_bad_item_does_not_spoil_the_others(world: &World) {
    let first = world.accept(world.home, "x");
    world.stored(first.clone()).await;
    // The same event id again cannot be stored; it is queued among good ones.
    let accepts = (0..20).map(|number| {
        let mut accept = world.accept(world.home, "x");
        if number == 10 {
            accept.events[0].id = first.events[0].id;
        }
        let store = world.store.clone();
        tokio::spawn(async move { store.accept(accept).await })
    });
    let mut failed = 0;
    for task in accepts.collect::<Vec<_>>() {
        match task.await.unwrap() {
            Ok(Accepted::Stored { .. }) => {}
            Err(StoreError::Failed(_) | StoreError::Conflict(_)) => failed += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(failed, 1);
    assert_eq!(world.store.stats().await.unwrap().runs_pending, 20, "and it left nothing behind");
}

pub(super) async fn nothing_of_a_bad_item_stays(world: &World) {
    let taken = world.accept(world.home, "x");
    world.stored(taken.clone()).await;
    // Its first event is good and new; its second has an id that is taken.
    let mut bad = world.accept(world.home, "bad");
    bad.events[0].dedup_keys = vec![KEY];
    bad.events.push(world.accept(world.home, "x").events.remove(0));
    bad.events[1].id = taken.events[0].id;
    let first = bad.events[0].clone();
    let (store, good) = (world.store.clone(), world.accept(world.home, "good"));
    let beside = tokio::spawn(async move { store.accept(good).await });
    assert!(world.store.accept(bad).await.is_err());
    assert!(matches!(beside.await.unwrap(), Ok(Accepted::Stored { .. })));
    assert!(world.store.event_story(world.home.tenant, first.id).await.unwrap().is_none());
    assert_eq!(world.store.stats().await.unwrap().runs_pending, 2);
    // Its key was not taken either: sent again, and well, it is new.
    let mut again = world.accept(world.home, "again");
    again.events = vec![first];
    world.stored(again).await;
    assert_eq!(world.store.stats().await.unwrap().runs_pending, 3);
}

pub(super) async fn tenants_do_not_see_each_other(world: &World) {
    let accept = world.accept(world.home, "x");
    let (event, run) = (accept.events[0].id, accept.events[0].runs[0].id);
    world.stored(accept).await;
    let claim = world.claim(START, 1).await.remove(0).ticket;
    world.done(run, claim.claim, START, vec![world.call(None)]).await;
    let (store, stranger) = (&world.store, world.other.tenant);
    assert!(store.event_story(stranger, event).await.unwrap().is_none());
    assert!(store.reply_read(stranger, event).await.unwrap().is_none());
    assert!(
        store.event_list(stranger, EventFilter { limit: 10, ..Default::default() }).await.unwrap().events.is_empty()
    );
    assert!(store.run_list(stranger, Default::default()).await.unwrap().is_empty());
    assert!(store.delivery_list(stranger, Default::default()).await.unwrap().is_empty());
    assert!(store.refusal_list(stranger, 10).await.unwrap().is_empty());
    assert!(matches!(
        store.run_replay(stranger, run, world.id(), Terms::default(), START).await,
        Err(StoreError::NotFound(_))
    ));
    assert!(matches!(store.source_delete(stranger, world.home.source).await, Err(StoreError::NotFound(_))));
    assert!(matches!(
        store.destination_pause(stranger, world.home.destination, None, START).await,
        Err(StoreError::NotFound(_))
    ));
}

pub(super) async fn a_reply_is_decided_once(world: &World) {
    for fallback_first in [false, true] {
        let accept = world.accept_reply(1_000, Some(30_000));
        let event = accept.events[0].id;
        let Accepted::Stored { reply: Some(ticket), .. } = world.stored(accept).await else {
            panic!("the accept claims the reply run")
        };
        assert_eq!(ticket.deadline, Some(START.plus_ms(1_000)));
        assert_eq!(world.store.reply_read(world.home.tenant, event).await.unwrap(), None);
        let mut commit = world.commit(ticket.run, ticket.claim, START, Verdict::Done, RunNext::End);
        commit.reply = Some(told(200, "hello"));
        let expected = if fallback_first { told(503, "fallback") } else { told(200, "hello") };
        if fallback_first {
            let answer = world.store.reply_fallback(world.home.tenant, event, START).await.unwrap();
            assert_eq!(answer, expected);
        }
        let committed = world.store.run_commit(commit).await.unwrap();
        let verdict = if fallback_first { Verdict::Late } else { Verdict::Done };
        let answer = Some(expected.clone());
        assert_eq!(committed, crate::contract::RunCommitted::Stored { verdict, answer });
        let second = world.store.reply_fallback(world.home.tenant, event, START).await.unwrap();
        assert_eq!(second, expected, "who comes second is given what was decided first");
        assert_eq!(world.store.reply_read(world.home.tenant, event).await.unwrap(), Some(expected));
    }
}

pub(super) async fn a_repetition_of_a_waiting_event_waits_too(world: &World) {
    let mut accept = world.accept_reply(1_000, Some(30_000));
    accept.events[0].dedup_keys = vec![KEY];
    let event = accept.events[0].id;
    let mut again = world.accept_reply(2_000, Some(30_000));
    again.events[0].dedup_keys = vec![KEY];
    world.stored(accept).await;
    match world.store.accept(again.clone()).await.unwrap() {
        Accepted::Duplicate(FirstAnswer::Pending { event: waits, deadline }) => {
            assert_eq!((waits, deadline), (event, START.plus_ms(1_000)));
        }
        other => panic!("{other:?}"),
    }
    world.store.reply_fallback(world.home.tenant, event, START).await.unwrap();
    match world.store.accept(again).await.unwrap() {
        Accepted::Duplicate(FirstAnswer::Told(answer)) => assert_eq!(answer, told(503, "fallback")),
        other => panic!("{other:?}"),
    }
}

pub(super) async fn without_a_slot_the_fallback_is_decided_at_once(world: &World) {
    let accept = world.accept_reply(1_000, None);
    let event = accept.events[0].id;
    let Accepted::Stored { reply: None, .. } = world.stored(accept).await else { panic!("nothing is claimed") };
    assert_eq!(world.store.reply_read(world.home.tenant, event).await.unwrap(), Some(told(503, "fallback")));
    let story = world.store.event_story(world.home.tenant, event).await.unwrap().unwrap();
    assert_eq!(story.runs[0].verdict, Some(Verdict::Unanswered));
    assert!(world.claim(START, 10).await.is_empty());
    assert_eq!(world.store.stats().await.unwrap().runs_pending, 0);
}

pub(super) async fn a_paused_route_answers_with_the_fallback_and_runs_nothing(world: &World) {
    let (tenant, store) = (world.home.tenant, &world.store);
    for (pause_route, reason) in [(true, "the route is paused"), (false, "the source is paused")] {
        let (mut route, mut source) = (world.route(), world.source());
        route.paused = pause_route;
        source.paused = !pause_route;
        store.route_put(route).await.unwrap();
        store.source_put(source).await.unwrap();
        let accept = world.accept_reply(1_000, Some(30_000));
        let (event, run) = (accept.events[0].id, accept.events[0].runs[0].id);
        let accepted = world.stored(accept).await;
        assert!(matches!(accepted, Accepted::Stored { reply: None, .. }), "a paused lane is not claimed: {accepted:?}");
        assert_eq!(store.reply_read(tenant, event).await.unwrap(), Some(told(503, "fallback")));
        let story = store.event_story(tenant, event).await.unwrap().unwrap();
        assert_eq!(story.runs[0].verdict, Some(Verdict::Unanswered));
        assert_eq!(story.runs[0].reason.as_deref(), Some(reason));
        assert_eq!(store.stats().await.unwrap().runs_pending, 0);
        // What was not run can be run once it is resumed.
        let again = world.id();
        store.run_replay(tenant, run, again, Terms::default(), START).await.unwrap();
        assert!(world.claim(START, 10).await.is_empty());
        store.route_put(world.route()).await.unwrap();
        store.source_put(world.source()).await.unwrap();
        let ticket = world.claim(START, 10).await.remove(0).ticket;
        assert_eq!(ticket.run, again);
        world.done(ticket.run, ticket.claim, START, vec![]).await;
    }
}

pub(super) async fn an_ended_run_decides_no_other_runs_reply(world: &World) {
    let mut accept = world.accept_reply(1_000, Some(30_000));
    let mut gone = accept.events[0].runs[0].clone();
    (gone.id, gone.route, gone.reply) = (world.id(), world.id(), None);
    accept.events[0].runs.push(gone);
    let event = accept.events[0].id;
    let accepted = world.stored(accept).await;
    assert!(matches!(accepted, Accepted::Stored { reply: Some(_), .. }), "{accepted:?}");
    assert_eq!(world.store.reply_read(world.home.tenant, event).await.unwrap(), None, "the sender still waits");
}

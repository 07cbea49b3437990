//! Stories of runs: claimed, decided, lost, held, promoted.

use std::collections::BTreeSet;

use creel_webhook::breach::{Breach, RunLimit};
use creel_webhook::plugin::Plugin;
use creel_webhook::route::Route;
use creel_webhook::run::{CLAIMS_MAX, RunNext, Verdict};

use crate::conformance::world::{LEASE_MS, START, World, told};
use crate::contract::{Accepted, DeliveryFilter, RunCommit, RunCommitted, RunFilter, StoreError, Terms};

pub(super) async fn claims_do_not_overlap(world: &World) {
    for _ in 0..40 {
        world.accept_keyed(None).await;
    }
    let claims = (0..8).map(|_| {
        let store = world.store.clone();
        tokio::spawn(async move { store.run_claim(START, LEASE_MS, 7, u32::MAX).await.expect("a claim succeeds") })
    });
    let (mut runs, mut tokens) = (BTreeSet::new(), BTreeSet::new());
    for task in claims.collect::<Vec<_>>() {
        for claim in task.await.unwrap() {
            assert_eq!((claim.ticket.claims, claim.ticket.attempts), (1, 0));
            assert!(runs.insert(claim.ticket.run), "a run was claimed twice");
            assert!(tokens.insert(claim.ticket.claim.0), "a token was given twice");
        }
    }
    assert_eq!(runs.len(), 40);
    assert!(world.claim(START, 10).await.is_empty());
}

pub(super) async fn items_of_a_batch_are_claimed_with_their_own_bytes(world: &World) {
    let mut batch = world.accept(world.home, "[one,two,]");
    let items = [Some((1, 4)), Some((5, 8)), Some((9, 9)), None, Some((8, 99))];
    batch.events = items
        .into_iter()
        .map(|item| {
            let mut event = world.accept(world.home, "x").events.remove(0);
            event.item = item;
            event
        })
        .collect();
    // Two runs of one event.
    let twice = world.accept(world.home, "x").events[0].runs[0].clone();
    batch.events[0].runs.push(twice);
    let ids: Vec<_> = batch.events.iter().map(|event| event.id).collect();
    world.stored(batch).await;
    let mut bodies: Vec<_> =
        world.claim(START, 10).await.into_iter().map(|claim| (claim.ticket.event, claim.event)).collect();
    bodies.sort_by_key(|(event, _)| *event);
    let bodies: Vec<_> = bodies.iter().map(|(event, stored)| (*event, stored.body.as_ref())).collect();
    let expected: [(_, &[u8]); 6] =
        [(ids[0], b"one"), (ids[0], b"one"), (ids[1], b"two"), (ids[2], b""), (ids[3], b"[one,two,]"), (ids[4], b",]")];
    assert_eq!(bodies, expected);
}

pub(super) async fn a_stale_commit_changes_nothing(world: &World) {
    let run = world.accept_keyed(None).await;
    let first = world.claim(START, 1).await.remove(0).ticket;
    let later = START.plus_ms(LEASE_MS);
    let second = world.claim(later, 1).await.remove(0).ticket;
    assert_eq!(second.run, run);
    let stale = world.done(run, first.claim, later, vec![world.call(None)]).await;
    assert_eq!(stale, RunCommitted::Stale);
    assert!(!world.store.run_release(world.home.tenant, run, first.claim).await.unwrap());
    assert!(world.claim(later, 1).await.is_empty(), "a stale release frees nothing");
    let good = world.done(run, second.claim, later, vec![]).await;
    assert_eq!(good, RunCommitted::Stored { verdict: Verdict::Done, answer: None });
    assert_eq!(world.done(run, second.claim, later, vec![]).await, RunCommitted::Stale, "a claim commits once");
    assert!(world.send(later, 10).await.is_empty(), "the stale commit's call was not stored");
}

pub(super) async fn an_expired_lease_is_due_again(world: &World) {
    let run = world.accept_keyed(None).await;
    world.claim(START, 1).await;
    assert!(world.claim(START.plus_ms(LEASE_MS - 1), 1).await.is_empty());
    assert_eq!(world.store.run_due(START).await.unwrap(), Some(START.plus_ms(LEASE_MS)));
    let again = world.claim(START.plus_ms(LEASE_MS), 1).await.remove(0).ticket;
    assert_eq!((again.run, again.claims, again.attempts), (run, 2, 0));
    // A lease may even have expired when its commit comes, as long as nobody else claimed.
    let late = START.plus_ms(10 * LEASE_MS);
    let committed = world.done(run, again.claim, late, vec![]).await;
    assert!(matches!(committed, RunCommitted::Stored { .. }));
}

pub(super) async fn what_the_latest_try_read_is_kept(world: &World) {
    let run = world.accept_keyed(None).await;
    let read = async |tenant| world.store.run_record_read(tenant, run).await.expect("a record is read");
    let mut now = START;
    for (value, verdict) in [(Some("first"), Verdict::Retry), (Some("second"), Verdict::Retry), (None, Verdict::Trap)] {
        let claim = world.claim(now, 1).await.remove(0).ticket;
        now = now.plus_ms(10);
        let next = if verdict == Verdict::Retry { RunNext::Again(now) } else { RunNext::End };
        let record = value.map(|value| world.record(value)).unwrap_or_default();
        let commit = RunCommit { record: record.clone(), ..world.commit(run, claim.claim, now, verdict, next) };
        world.store.run_commit(commit).await.expect("a commit succeeds");
        assert_eq!(read(world.home.tenant).await, value.map(|_| record));
        assert_eq!(read(world.other.tenant).await, None, "another tenant's run is not found");
    }
}

pub(super) async fn the_limit_that_the_latest_try_would_have_gone_beyond_is_kept(world: &World) {
    let run = world.accept_keyed(None).await;
    let row = async || world.store.run_read(world.home.tenant, run).await.unwrap().expect("a run");
    let mut now = START;
    let timeout = Breach::new(RunLimit::RunTimeoutMs, 10_003, 10_000);
    let handed = Breach { limit: RunLimit::HostCallBytesMax, used: None, allowed: 32 << 20 };
    let tries = [(Some(timeout), Verdict::Timeout), (None, Verdict::Retry), (Some(handed), Verdict::Output)];
    for (breach, verdict) in tries {
        let claim = world.claim(now, 1).await.remove(0).ticket;
        now = now.plus_ms(10);
        let next = if verdict == Verdict::Output { RunNext::End } else { RunNext::Again(now) };
        let commit = RunCommit { breach, ..world.commit(run, claim.claim, now, verdict, next) };
        world.store.run_commit(commit).await.expect("a commit succeeds");
        assert_eq!(row().await.breach, breach);
    }
}

pub(super) async fn five_lost_claims_end_a_run(world: &World) {
    let run = world.accept_keyed(Some("k")).await;
    let next = world.accept_keyed(Some("k")).await;
    let mut now = START;
    // Committed tries are no lost claims.
    for _ in 0..7 {
        let ticket = world.claim(now, 1).await.remove(0).ticket;
        let again = world.commit(run, ticket.claim, now, Verdict::Retry, RunNext::Again(now.plus_ms(10)));
        world.store.run_commit(again).await.unwrap();
        now = now.plus_ms(10);
    }
    for _ in 0..CLAIMS_MAX {
        assert_eq!(world.claim_ids(now, 10).await, [run]);
        now = now.plus_ms(LEASE_MS);
    }
    world.claim_ids(now, 10).await;
    let dead = RunFilter { verdict: Some(Verdict::Host), limit: 10, ..RunFilter::default() };
    let dead = world.store.run_list(world.home.tenant, dead).await.unwrap();
    assert_eq!((dead.len(), dead[0].id), (1, run));
    assert!(dead[0].ended_at.is_some() && dead[0].reason.is_some());
    now = now.plus_ms(LEASE_MS);
    assert_eq!(world.claim_ids(now, 10).await, [next], "a dead head releases the next");
}

pub(super) async fn failures_of_the_host_are_counted_apart(world: &World) {
    let run = world.accept_keyed(None).await;
    let verdicts = [Verdict::Retry, Verdict::Host, Verdict::Retry, Verdict::Timeout, Verdict::Retry];
    let mut seen = Vec::new();
    for verdict in verdicts {
        let ticket = world.claim(START, 1).await.remove(0).ticket;
        seen.push((ticket.attempts, ticket.failures));
        let again = world.commit(run, ticket.claim, START, verdict, RunNext::Again(START));
        world.store.run_commit(again).await.unwrap();
    }
    assert_eq!(seen, [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2)]);
}

pub(super) async fn a_released_claim_was_never_made(world: &World) {
    let run = world.accept_keyed(None).await;
    for _ in 0..2 * CLAIMS_MAX {
        let ticket = world.claim(START, 1).await.remove(0).ticket;
        assert_eq!((ticket.run, ticket.claims), (run, 1));
        world.store.run_release(world.home.tenant, run, ticket.claim).await.unwrap();
    }
    assert_eq!(world.claim_ids(START, 1).await, [run]);
}

pub(super) async fn runs_of_a_key_are_decided_one_after_the_other(world: &World) {
    let mut waiting = Vec::new();
    for _ in 0..4 {
        waiting.push(world.accept_keyed(Some("k")).await);
    }
    let free = world.accept_keyed(None).await;
    let other = world.accept_keyed(Some("l")).await;
    let mut first: Vec<_> = world.claim(START, 10).await.into_iter().map(|claim| claim.ticket).collect();
    let claimed: BTreeSet<_> = first.iter().map(|ticket| ticket.run).collect();
    assert_eq!(claimed, BTreeSet::from([waiting[0], free, other]), "one head per key");
    let mut head = first.remove(first.iter().position(|ticket| ticket.run == waiting[0]).unwrap());
    // A try that is due again keeps its place.
    let again = world.commit(head.run, head.claim, START, Verdict::Retry, RunNext::Again(START.plus_ms(50)));
    world.store.run_commit(again).await.unwrap();
    assert!(world.claim(START.plus_ms(49), 10).await.is_empty());
    let now = START.plus_ms(50);
    head = world.claim(now, 10).await.remove(0).ticket;
    for next in &waiting[1..] {
        world.done(head.run, head.claim, now, vec![]).await;
        let claims = world.claim(now, 10).await;
        assert_eq!(claims.len(), 1, "the commit promoted exactly one");
        head = claims[0].ticket.clone();
        assert_eq!(head.run, *next, "in the order of arrival");
    }
}

pub(super) async fn a_paused_route_or_source_holds_its_runs(world: &World) {
    let run = world.accept_keyed(None).await;
    let (mut route, mut source) = (world.route(), world.source());
    route.paused = true;
    world.store.route_put(route.clone()).await.unwrap();
    source.paused = true;
    world.store.source_put(source.clone()).await.unwrap();
    let second = world.accept_keyed(None).await;
    assert!(world.claim(START, 10).await.is_empty());
    route.paused = false;
    world.store.route_put(route).await.unwrap();
    assert!(world.claim(START, 10).await.is_empty(), "the source is still paused");
    source.paused = false;
    world.store.source_put(source).await.unwrap();
    assert_eq!(world.claim_ids(START, 10).await.len(), 2, "{run} and {second}");
}

pub(super) async fn tenants_take_turns(world: &World) {
    for _ in 0..50 {
        world.accept_keyed(None).await;
    }
    for _ in 0..3 {
        world.stored(world.accept(world.other, "x")).await;
    }
    let claims = world.claim(START, 6).await;
    let others = claims.iter().filter(|claim| claim.ticket.tenant == world.other.tenant).count();
    assert_eq!((claims.len(), others), (6, 3), "the one with little work is not behind the one with much");
    assert_eq!(world.claim(START, 100).await.len(), 47, "what one leaves the other gets");
}

pub(super) async fn a_clock_that_goes_back_does_not_matter(world: &World) {
    let run = world.accept_keyed(None).await;
    let far = START.plus_ms(10_000);
    let ticket = world.claim(far, 1).await.remove(0).ticket;
    assert_eq!(ticket.lease_until, far.plus_ms(LEASE_MS));
    let again = world.commit(run, ticket.claim, START, Verdict::Retry, RunNext::Again(START.plus_ms(5)));
    world.store.run_commit(again).await.unwrap();
    let ticket = world.claim(START, 1).await.remove(0).ticket;
    assert_eq!(ticket.lease_until, far.plus_ms(LEASE_MS), "the latest time counts");
    world.accept_keyed(None).await;
    assert_eq!(world.claim(START.minus_ms(99_999), 1).await.len(), 1);
}

pub(super) async fn a_late_outcome_loses_its_calls_unless_kept(world: &World) {
    for keep_late in [false, true] {
        let Accepted::Stored { reply: Some(ticket), .. } = world.stored(world.accept_reply(1_000, Some(30_000))).await
        else {
            panic!("the accept claims the reply run")
        };
        let now = START.plus_ms(1_001);
        let mut commit = world.commit(ticket.run, ticket.claim, now, Verdict::Done, RunNext::End);
        commit.reply = Some(told(200, "too late"));
        commit.calls = vec![world.call(None)];
        commit.keep_late = keep_late;
        let committed = world.store.run_commit(commit).await.unwrap();
        let answer = Some(told(503, "fallback"));
        assert_eq!(committed, RunCommitted::Stored { verdict: Verdict::Late, answer });
        let deliveries = world.store.delivery_list(world.home.tenant, DeliveryFilter::default()).await.unwrap();
        assert_eq!(deliveries.len(), usize::from(keep_late));
        // The clock has moved on; the next story's deadline must lie ahead of it.
        if !keep_late {
            assert!(world.store.prune(now).await.is_ok());
        }
    }
}

pub(super) async fn a_reply_run_past_its_deadline_is_not_run(world: &World) {
    let accept = world.accept_reply(1_000, Some(500));
    let (event, run) = (accept.events[0].id, accept.events[0].runs[0].id);
    world.stored(accept).await;
    // Lost, but in time: somebody else may still answer.
    let ticket = world.claim(START.plus_ms(500), 1).await.remove(0).ticket;
    assert_eq!((ticket.run, ticket.deadline), (run, Some(START.plus_ms(1_000))));
    let now = START.plus_ms(500 + LEASE_MS);
    assert!(world.claim(now, 1).await.is_empty());
    assert_eq!(world.store.reply_read(world.home.tenant, event).await.unwrap(), Some(told(503, "fallback")));
    let story = world.store.event_story(world.home.tenant, event).await.unwrap().unwrap();
    assert_eq!(story.runs[0].verdict, Some(Verdict::Unanswered));
    // The same by upkeep, without any claim.
    let mut accept = world.accept_reply(0, Some(5));
    accept.events[0].runs[0].reply.as_mut().unwrap().deadline = now.plus_ms(10);
    let event = accept.events[0].id;
    world.stored(accept).await;
    world.store.prune(now.plus_ms(20)).await.unwrap();
    let story = world.store.event_story(world.home.tenant, event).await.unwrap().unwrap();
    assert_eq!((story.runs[0].verdict, story.answer), (Some(Verdict::Unanswered), Some(told(503, "fallback"))));
    assert_eq!(world.store.stats().await.unwrap().runs_pending, 0);
}

pub(super) async fn a_replay_is_a_new_run(world: &World) {
    let run = world.accept_keyed(Some("k")).await;
    let new = world.id();
    assert!(
        world.store.run_replay(world.home.tenant, run, new, Terms::default(), START).await.is_err(),
        "it is not over yet"
    );
    let ticket = world.claim(START, 1).await.remove(0).ticket;
    world.done(run, ticket.claim, START, vec![]).await;
    world.store.run_replay(world.home.tenant, run, new, Terms::default(), START).await.unwrap();
    let claim = world.claim(START, 10).await.remove(0);
    assert_eq!((claim.ticket.run, claim.ticket.event, claim.event.body.as_ref()), (new, ticket.event, &b"x"[..]));
    let story = world.store.event_story(world.home.tenant, ticket.event).await.unwrap().unwrap();
    assert_eq!(story.runs.iter().map(|run| run.id).collect::<Vec<_>>(), [run, new]);
}

pub(super) async fn a_removed_route_ends_its_runs(world: &World) {
    for key in [None, Some("k"), Some("k"), Some("k")] {
        world.accept_keyed(key).await;
    }
    let ticket = world.claim(START, 1).await.remove(0).ticket;
    world.store.route_delete(world.home.tenant, world.home.route).await.unwrap();
    assert!(world.claim(START, 10).await.is_empty());
    assert_eq!(world.done(ticket.run, ticket.claim, START, vec![]).await, RunCommitted::Stale);
    let filter = RunFilter { verdict: Some(Verdict::Host), limit: 10, ..RunFilter::default() };
    assert_eq!(world.store.run_list(world.home.tenant, filter).await.unwrap().len(), 4);
    assert_eq!(world.store.stats().await.unwrap().runs_pending, 0);
    world.accept_keyed(None).await;
    assert_eq!(world.store.stats().await.unwrap().runs_pending, 0, "a run for a removed route is over at once");
}

pub(super) async fn a_plugin_that_nothing_can_run_is_removed_with_all_that_is_its_own(world: &World) {
    let (tenant, plugin) = (world.home.tenant, world.home.plugin);
    let conflict = async |why: &str| match world.store.plugin_delete(tenant, plugin).await {
        Err(StoreError::Conflict(told)) => assert!(told.contains(why), "{told}"),
        other => panic!("{other:?}"),
    };
    conflict("a route leads to it").await;
    world.accept_keyed(Some("k")).await;
    world.accept_keyed(Some("k")).await;
    // The route goes on with another plugin; what waits was queued for this one.
    let control = world.store.control_read().await.unwrap();
    let other = Plugin { id: world.id(), tenant, name: "other".to_owned(), active: None };
    world.store.plugin_put(other.clone()).await.unwrap();
    let others: Vec<Route> = control.routes.iter().filter(|one| one.plugin == plugin).cloned().collect();
    for one in others {
        world.store.route_put(Route { plugin: other.id, ..one }).await.unwrap();
    }
    for waiting in [2, 1] {
        conflict("runs of it wait").await;
        let claim = world.claim(START, 10).await.remove(0).ticket;
        world.done(claim.run, claim.claim, START, vec![]).await;
        assert_eq!(world.store.stats().await.unwrap().runs_pending, waiting - 1);
    }
    world.store.plugin_delete(tenant, plugin).await.unwrap();
    let control = world.store.control_read().await.unwrap();
    assert!(control.plugins.iter().all(|one| one.id != plugin));
    assert!(control.deployments.iter().all(|one| one.plugin != plugin));
    assert!(world.store.deployment_list(tenant, plugin).await.unwrap().is_empty());
    let filter = RunFilter { limit: 10, ..RunFilter::default() };
    assert_eq!(world.store.run_list(tenant, filter).await.unwrap().len(), 2, "what it decided stays");
    assert!(matches!(world.store.plugin_delete(tenant, plugin).await, Err(StoreError::NotFound(_))));
    assert!(matches!(
        world.store.plugin_delete(world.id(), other.id).await,
        Err(StoreError::Conflict(_) | StoreError::NotFound(_))
    ));
}

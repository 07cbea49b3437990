//! Stories of what goes: by age, in steps, and on demand.

use bytes::Bytes;
use creel_webhook::clock::Timestamp;
use creel_webhook::delivery::Next;
use creel_webhook::id::{EventId, RunId};
use creel_webhook::outcome::OnResult;
use creel_webhook::run::{LogLine, RunNext, Verdict};
use creel_webhook::tenant::{Tenant, TenantLimits};

use crate::conformance::world::{Home, START, World};
use crate::contract::{
    Accept, Accepted, DeliveryFilter, Keys, NewDelivery, Response, RunClaim, RunCommit, RunFilter, StoreError, Story,
    Terms,
};

const DAY_MS: u64 = 86_400_000;

/// Steps that no story needs.
const STEPS_MAX: usize = 1_000;

fn after(days: u64) -> Timestamp {
    // Ids of a story are some milliseconds younger than its start.
    START.plus_ms(days * DAY_MS + 3_600_000)
}

/// Everything that goes by this time.
async fn prune(world: &World, now: Timestamp) {
    for _ in 0..STEPS_MAX {
        if !world.store.prune(now).await.expect("a step of upkeep succeeds") {
            return;
        }
    }
    panic!("upkeep comes to no end");
}

async fn keep(world: &World, home: Home, body_days: u64, record_days: u64) {
    let limits = TenantLimits { body_days: Some(body_days), record_days: Some(record_days), ..TenantLimits::default() };
    let name = if home.tenant == world.home.tenant { "one" } else { "two" };
    let row = Tenant { id: home.tenant, name: name.to_owned(), created_at: START, limits };
    world.store.tenant_put(row).await.expect("a tenant's limits change");
}

async fn story(world: &World, home: Home, event: EventId) -> Option<Story> {
    world.store.event_story(home.tenant, event).await.expect("a story is read")
}

async fn has_record(world: &World, run: RunId) -> bool {
    world.store.run_record_read(world.home.tenant, run).await.expect("a record is read").is_some()
}

fn logged(world: &World, claim: &RunClaim, now: Timestamp, calls: Vec<NewDelivery>) -> RunCommit {
    let line = serde_json::json!({ "level": "info", "message": "saw a payload" });
    let line: LogLine = serde_json::from_value(line).expect("a line");
    let ticket = &claim.ticket;
    let commit = world.commit(ticket.run, ticket.claim, now, Verdict::Done, RunNext::End);
    let record = world.record("a payload");
    RunCommit { calls, log: vec![line], reason: Some("a payload".to_owned()), record, ..commit }
}

/// An event whose run is decided and whose call is delivered.
async fn delivered(world: &World, call: NewDelivery) -> EventId {
    let accept = world.accept(world.home, "a payload");
    let event = accept.events[0].id;
    world.stored(accept).await;
    let claim = world.claim(START, 1).await.remove(0);
    world.store.run_commit(logged(world, &claim, START, vec![call])).await.expect("a commit succeeds");
    let sent = world.send(START, 1).await.remove(0);
    let response = Response { content_type: None, body: Bytes::from_static(b"a payload"), truncated: false };
    let commit = world.sent(&sent, START, 200, Next::Delivered);
    let commit = crate::contract::DeliveryCommit { response: sent.on_result.is_some().then_some(response), ..commit };
    world.store.delivery_commit(commit).await.expect("a commit succeeds");
    event
}

pub(super) async fn bodies_go_before_records_and_what_is_pending_stays(world: &World) {
    keep(world, world.home, 2, 4).await;
    let old = delivered(world, world.call(None)).await;
    let (waits, others) = (world.accept(world.home, "waits"), world.accept(world.other, "another tenant's"));
    let (waiting, foreign) = (waits.events[0].id, others.events[0].id);
    world.stored(waits).await;
    prune(world, after(1)).await;
    let seen = story(world, world.home, old).await.expect("it is young");
    assert_eq!(seen.event.body.as_ref(), b"a payload");
    assert!(has_record(world, seen.runs[0].id).await, "what its run read stays as long as the body");

    prune(world, after(2)).await;
    let seen = story(world, world.home, old).await.expect("its records stay");
    assert!(seen.event.erased && seen.event.body.is_empty());
    assert_eq!((seen.runs.len(), seen.deliveries.len()), (1, 1));
    assert!(!has_record(world, seen.runs[0].id).await, "what its run read is a body too");
    assert_eq!(seen.deliveries[0].history[0].response_head, "", "what was answered is a body too");
    let refused =
        world.store.run_replay(world.home.tenant, seen.runs[0].id, world.id(), Terms::default(), after(2)).await;
    assert!(matches!(&refused, Err(StoreError::Conflict(why)) if why.contains("erased")), "{refused:?}");

    world.stored(others).await;
    prune(world, after(4)).await;
    assert!(story(world, world.home, old).await.is_none());
    let runs = world.store.run_list(world.home.tenant, RunFilter { limit: 10, ..RunFilter::default() }).await.unwrap();
    assert_eq!(runs.iter().map(|run| run.event).collect::<Vec<_>>(), [waiting]);
    let filter = DeliveryFilter { limit: 10, ..DeliveryFilter::default() };
    assert!(world.store.delivery_list(world.home.tenant, filter).await.unwrap().is_empty());
    let kept = story(world, world.home, waiting).await.expect("its run is pending");
    assert_eq!(kept.event.body.as_ref(), b"waits");
    let kept = story(world, world.other, foreign).await.expect("another tenant keeps its events longer");
    assert_eq!(kept.event.body.as_ref(), b"another tenant's");

    // What was passed by goes once it is over.
    for claim in world.claim(after(5), 10).await {
        assert!(!claim.event.body.is_empty(), "a claim has its body");
        world.done(claim.ticket.run, claim.ticket.claim, after(5), vec![]).await;
    }
    prune(world, after(6)).await;
    assert!(story(world, world.home, waiting).await.is_none());
    assert!(story(world, world.other, foreign).await.is_some());
}

fn batch(world: &World) -> Accept {
    let mut accept = world.accept(world.home, "[11,22]");
    let run = crate::contract::NewRun { id: world.id(), ..accept.events[0].runs[0].clone() };
    accept.events.push(world.event(vec![run]));
    accept.events[0].item = Some((1, 3));
    accept.events[1].item = Some((4, 6));
    accept
}

pub(super) async fn a_batch_keeps_its_body_while_one_of_its_events_is_pending(world: &World) {
    keep(world, world.home, 1, 3).await;
    let accept = batch(world);
    let (first, second) = (accept.events[0].id, accept.events[1].id);
    world.stored(accept).await;
    let claim = world.claim(START, 1).await.remove(0).ticket;
    assert_eq!(claim.event, first);
    world.done(claim.run, claim.claim, START, vec![]).await;
    prune(world, after(2)).await;
    assert_eq!(story(world, world.home, second).await.expect("it is pending").event.body.as_ref(), b"22");
    prune(world, after(3)).await;
    assert!(story(world, world.home, first).await.is_none(), "its records are its own");
    let claim = world.claim(after(3), 1).await.remove(0);
    assert_eq!(claim.event.body.as_ref(), b"22");
    world.done(claim.ticket.run, claim.ticket.claim, after(3), vec![]).await;
    prune(world, after(4)).await;
    assert!(story(world, world.home, second).await.is_none());
}

pub(super) async fn a_repetition_is_known_after_its_event_is_gone(world: &World) {
    keep(world, world.home, 1, 1).await;
    let accept = || {
        let mut accept = world.accept(world.home, "x");
        accept.events[0].runs.clear();
        accept.events[0].dedup_keys = vec![[7; 32]];
        accept.events[0].dedup_until = START.plus_ms(9 * DAY_MS);
        accept
    };
    let first = accept();
    let event = first.events[0].id;
    world.stored(first).await;
    prune(world, after(2)).await;
    assert!(story(world, world.home, event).await.is_none());
    let again = world.store.accept(accept()).await.expect("an accept succeeds");
    assert!(matches!(again, Accepted::Duplicate(_)), "{again:?}");
}

pub(super) async fn an_erased_event_keeps_its_story_without_its_payload(world: &World) {
    let mut call = world.call(None);
    call.call.on_result = Some(OnResult { tag: "a payload".to_owned(), on_delivered: true, on_dead: true });
    let event = delivered(world, call).await;
    let report = world.claim(START, 1).await.remove(0);
    world.store.run_commit(logged(world, &report, START, vec![])).await.expect("a commit succeeds");
    let refused = world.store.event_erase(world.other.tenant, event, START).await;
    assert!(matches!(refused, Err(StoreError::NotFound(_))), "{refused:?}");

    assert_eq!(world.store.event_erase(world.home.tenant, event, START).await.expect("it is over"), 2);
    for event in [event, report.ticket.event] {
        let seen = story(world, world.home, event).await.expect("its story stays");
        assert!(!format!("{seen:?}").contains("payload"), "{seen:?}");
        assert!(seen.event.erased && seen.event.subject.is_none() && seen.event.headers.is_empty());
        let run = &seen.runs[0];
        assert_eq!((run.verdict, run.log.len(), &run.reason), (Some(Verdict::Done), 0, &None));
        assert!(!has_record(world, run.id).await);
        let refused = world.store.run_replay(world.home.tenant, run.id, world.id(), Terms::default(), START).await;
        assert!(matches!(&refused, Err(StoreError::Conflict(why)) if why.contains("erased")), "{refused:?}");
    }
    let seen = story(world, world.home, event).await.expect("its story stays");
    assert_eq!(seen.deliveries[0].result, Some(report.ticket.event), "and still leads on");
    assert_eq!((seen.deliveries[0].history.len(), seen.deliveries[0].path.as_str()), (1, ""));
    assert!(world.claim(START, 9).await.is_empty(), "nothing was queued");
    assert_eq!(world.store.event_erase(world.home.tenant, event, START).await.expect("once more is no harm"), 2);
}

pub(super) async fn an_erasure_takes_the_reports_of_earlier_ends_too(world: &World) {
    let mut call = world.call(None);
    call.call.on_result = Some(OnResult { tag: "t".to_owned(), on_delivered: true, on_dead: true });
    let (delivery, accept) = (call.id, world.accept(world.home, "x"));
    let event = accept.events[0].id;
    world.stored(accept).await;
    let claim = world.claim(START, 1).await.remove(0).ticket;
    world.done(claim.run, claim.claim, START, vec![call]).await;
    let mut reports = Vec::new();
    for status in [400_u64, 500] {
        let now = START.plus_ms(status);
        let sent = world.send(now, 1).await.remove(0);
        let next = if status == 500 { Next::Delivered } else { Next::Dead { reason: "it answered 400".to_owned() } };
        let mut commit = world.sent(&sent, now, 0, next);
        commit.response =
            Some(Response { content_type: None, body: Bytes::from_static(b"a payload"), truncated: false });
        world.store.delivery_commit(commit).await.expect("a commit succeeds");
        let report = world.claim(now, 1).await.remove(0);
        assert_eq!(report.event.body.as_ref(), b"a payload");
        world.done(report.ticket.run, report.ticket.claim, now, vec![]).await;
        reports.push(report.ticket.event);
        world.store.delivery_replay(world.home.tenant, vec![delivery], Keys::Same, now).await.expect("a verb succeeds");
    }
    assert_eq!(world.store.event_erase(world.home.tenant, event, START).await.expect("all is over"), 3);
    for report in reports {
        let seen = story(world, world.home, report).await.expect("its story stays");
        assert!(seen.event.erased && seen.event.body.is_empty(), "{seen:?}");
    }
}

pub(super) async fn what_is_pending_is_not_erased(world: &World) {
    let accept = world.accept(world.home, "x");
    let (event, run) = (accept.events[0].id, accept.events[0].runs[0].id);
    world.stored(accept).await;
    let refusal = async |of: &str| {
        let refused = world.store.event_erase(world.home.tenant, event, START).await;
        assert!(matches!(&refused, Err(StoreError::Conflict(why)) if why.contains(of)), "{refused:?}");
        assert_eq!(story(world, world.home, event).await.expect("it is there").event.body.as_ref(), b"x");
    };
    refusal(&run.to_string()).await;
    let claim = world.claim(START, 1).await.remove(0).ticket;
    let call = world.call(None);
    let delivery = call.id;
    world.done(claim.run, claim.claim, START, vec![call]).await;
    refusal(&delivery.to_string()).await;
    let sent = world.send(START, 1).await.remove(0);
    world.store.delivery_commit(world.sent(&sent, START, 200, Next::Delivered)).await.expect("a commit succeeds");
    assert_eq!(world.store.event_erase(world.home.tenant, event, START).await.expect("all is over"), 1);
}

pub(super) async fn an_erased_event_of_a_batch_leaves_the_others(world: &World) {
    let accept = batch(world);
    let events = [accept.events[0].id, accept.events[1].id];
    world.stored(accept).await;
    for claim in world.claim(START, 2).await {
        world.done(claim.ticket.run, claim.ticket.claim, START, vec![]).await;
    }
    world.store.event_erase(world.home.tenant, events[0], START).await.expect("it is over");
    let seen = story(world, world.home, events[0]).await.expect("its story stays");
    assert!(seen.event.erased && seen.event.body.is_empty());
    let other = story(world, world.home, events[1]).await.expect("it was not erased");
    assert_eq!((other.event.erased, other.event.body.as_ref()), (false, b"22".as_slice()));
    assert!(!other.event.headers.is_empty(), "it needs the head that they share");
    world.store.event_erase(world.home.tenant, events[1], START).await.expect("it is over");
    let seen = story(world, world.home, events[1]).await.expect("its story stays");
    assert!(seen.event.erased && seen.event.headers.is_empty());
}

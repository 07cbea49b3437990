//! Stories of events that people look for: by type and state, by time, a page at a time.

use creel_webhook::delivery::Next;
use creel_webhook::id::EventId;
use creel_webhook::run::{RunNext, Verdict};

use crate::conformance::world::{START, World};
use crate::contract::{EventFilter, EventPage, EventState, EventSummary, Terms};

async fn page(world: &World, filter: EventFilter) -> EventPage {
    world.store.event_list(world.home.tenant, filter).await.expect("a list succeeds")
}

/// Stores so many events that no route takes.
async fn unrouted(world: &World, count: usize) {
    let mut accept = world.accept(world.home, "x");
    accept.events = (0..count).map(|_| world.event(vec![])).collect();
    world.stored(accept).await;
}

pub(super) async fn a_page_of_events_looks_at_so_many_and_says_where_the_next_begins(world: &World) {
    let mut rare = world.accept(world.home, "x");
    rare.events[0].kind = "rare".into();
    let wanted = rare.events[0].id;
    world.stored(rare).await;
    for _ in 0..7 {
        unrouted(world, 100).await;
    }
    let filter = EventFilter { kind: Some("rare".into()), limit: 10, ..EventFilter::default() };
    let first = page(world, filter.clone()).await;
    assert!(first.events.is_empty() && first.next.is_some(), "700 newer ones stand before it: {first:?}");
    let second = page(world, EventFilter { before: first.next, ..filter }).await;
    assert_eq!((second.events.len(), second.events[0].id, second.next), (1, wanted, None));

    // Without a filter all that is looked at is shown, and the last page says that it is the last.
    let (mut seen, mut before) = (0, None);
    loop {
        let all = page(world, EventFilter { before, limit: 300, ..EventFilter::default() }).await;
        assert_eq!(all.next.is_some(), seen + all.events.len() < 701);
        (seen, before) = (seen + all.events.len(), all.next);
        if before.is_none() {
            break;
        }
    }
    assert_eq!(seen, 701);
    let subject = |subject: &str| EventFilter { subject: Some(subject.into()), limit: 1, ..EventFilter::default() };
    let found = page(world, subject("CA1")).await;
    assert!(found.events.len() == 1 && found.next.is_some());
    assert_eq!(page(world, subject("CA2")).await, EventPage::default());
}

pub(super) async fn events_are_found_by_when_they_came(world: &World) {
    let at = |ms| EventId::new(START.plus_ms(ms), [9; 10]);
    for ms in [60_000, 61_000, 62_000] {
        let mut accept = world.accept(world.home, "x");
        accept.events[0].id = at(ms);
        world.stored(accept).await;
    }
    let found = |since: Option<u64>, until: Option<u64>, before: Option<EventId>| {
        let (since, until) = (since.map(|ms| START.plus_ms(ms)), until.map(|ms| START.plus_ms(ms)));
        let filter = EventFilter { since, until, before, limit: 10, ..EventFilter::default() };
        async { page(world, filter).await.events.iter().map(|event| event.id).collect::<Vec<_>>() }
    };
    assert_eq!(found(Some(61_000), None, None).await, [at(62_000), at(61_000)], "not before: it counts");
    assert_eq!(found(None, Some(61_000), None).await, [at(60_000)], "before: it does not");
    assert_eq!(found(Some(60_000), Some(62_000), Some(at(61_000))).await, [at(60_000)]);
    assert!(found(Some(62_001), None, None).await.is_empty());
}

pub(super) async fn an_event_says_what_became_of_it(world: &World) {
    let newest = || async {
        let all = page(world, EventFilter { limit: 1, ..EventFilter::default() }).await;
        all.events.into_iter().next().expect("an event was stored")
    };
    let mut known: Vec<EventSummary> = Vec::new();
    unrouted(world, 1).await;
    known.push(newest().await);
    world.decide(vec![]).await;
    known.push(newest().await);
    world.decide(vec![world.call(None)]).await;
    let call = world.send(START, 1).await.remove(0);
    world.store.delivery_commit(world.sent(&call, START, 500, Next::Dead { reason: "x".into() })).await.unwrap();
    known.push(newest().await);
    world.decide(vec![world.call(None)]).await;
    known.push(newest().await);
    world.stored(world.accept(world.home, "x")).await;
    let claim = world.claim(START, 1).await.remove(0).ticket;
    world.store.run_commit(world.commit(claim.run, claim.claim, START, Verdict::Trap, RunNext::End)).await.unwrap();
    known.push(newest().await);
    world.stored(world.accept(world.home, "x")).await;
    let other = world.claim(START, 1).await.remove(0).ticket;
    world.store.run_commit(world.commit(other.run, other.claim, START, Verdict::Rejected, RunNext::End)).await.unwrap();
    known.push(newest().await);
    world.stored(world.accept(world.home, "x")).await;
    known.push(newest().await);
    let states: Vec<EventState> = known.iter().map(|event| event.state).collect();
    use EventState::{Dead, Done, Pending, Rejected, Sending, Unrouted};
    assert_eq!(states, [Unrouted, Done, Dead, Sending, Dead, Rejected, Pending]);
    for state in EventState::ALL {
        let filter = EventFilter { state: Some(state), limit: 10, ..EventFilter::default() };
        let found: Vec<EventId> = page(world, filter).await.events.iter().map(|event| event.id).collect();
        let wanted = known.iter().rev().filter(|event| event.state == state);
        assert_eq!(found, wanted.map(|event| event.id).collect::<Vec<_>>(), "{state:?}");
    }
    // A dead run that was replayed is no dead letter any more.
    world.store.run_replay(world.home.tenant, claim.run, world.id(), Terms::default(), START).await.unwrap();
    let filter = EventFilter { state: Some(Pending), limit: 10, ..EventFilter::default() };
    assert_eq!(page(world, filter).await.events.len(), 2);
}

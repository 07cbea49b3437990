//! Stories of events that are followed: each once, in order, a page at a time.

use creel_webhook::clock::Timestamp;
use creel_webhook::id::EventId;

use crate::conformance::world::World;
use crate::contract::{FeedFilter, FeedPage};

async fn page(world: &World, after: Option<EventId>, limit: u32, until: Timestamp) -> FeedPage {
    let filter = FeedFilter { source: Some(world.home.source), after, until, limit, bytes_max: 1_000 };
    world.store.event_feed(world.home.tenant, filter).await.unwrap()
}

pub(super) async fn followed_events_come_once_and_in_order(world: &World) {
    let far = Timestamp::from_secs(4_000_000_000);
    let none = page(world, None, 10, far).await;
    assert_eq!((none.events.len(), none.reached, none.more), (0, None, false));
    let mut stored = Vec::new();
    for number in 0..5 {
        let mut accept = world.accept(world.home, "");
        accept.request.body = format!("body {number}").into();
        // A greater id each, but for the third, which is as old as the first.
        let moment = if number == 2 { 1_001 } else { 1_000 + number * 10 };
        accept.events[0].id = EventId::new(Timestamp::from_secs(moment), [1; 10]);
        stored.push(accept.events[0].id);
        world.stored(accept).await;
    }
    world.stored(world.accept(world.other, "another tenant's")).await;
    stored.sort();
    let mut seen = Vec::new();
    let mut cursor = None;
    loop {
        let page = page(world, cursor, 2, far).await;
        assert!(page.events.len() <= 2);
        seen.extend(page.events.iter().map(|event| event.id));
        assert!(page.events.iter().all(|event| event.body.starts_with(b"body ")));
        cursor = page.reached.or(cursor);
        if !page.more {
            break;
        }
    }
    assert_eq!(seen, stored);
    // Nothing of the moment itself: more of it may come.
    let before = page(world, None, 10, Timestamp::from_secs(1_001)).await;
    assert_eq!(before.events.iter().map(|event| event.id).collect::<Vec<_>>(), stored[..1]);
    let none = page(world, stored.last().copied(), 10, far).await;
    assert_eq!((none.events.len(), none.reached, none.more), (0, None, false));
}

pub(super) async fn a_page_of_large_bodies_is_short(world: &World) {
    let far = Timestamp::from_secs(4_000_000_000);
    for _ in 0..3 {
        let mut accept = world.accept(world.home, "");
        accept.request.body = "x".repeat(600).into();
        world.stored(accept).await;
    }
    let first = page(world, None, 10, far).await;
    assert_eq!((first.events.len(), first.more), (2, true));
    let second = page(world, first.reached, 10, far).await;
    assert_eq!((second.events.len(), second.more), (1, false));
}

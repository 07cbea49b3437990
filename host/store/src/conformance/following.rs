//! Stories of follow-ups: a call's end comes back as an event, once, with everything that belongs to it.

use bytes::Bytes;
use creel_webhook::delivery::{DestinationChange, Next};
use creel_webhook::followup::{DEAD, DELIVERED, SCHEME};
use creel_webhook::outcome::OnResult;
use creel_webhook::run::Verdict;

use crate::conformance::world::{LEASE_MS, START, World};
use crate::contract::{DeliveryClaim, DeliveryCommitted, NewDelivery, Response, RunClaim, StoredEvent, Story, Terms};

/// A call whose end is to be reported.
fn asking(world: &World, on_delivered: bool, on_dead: bool) -> NewDelivery {
    let mut call = world.call(None);
    call.call.on_result = Some(OnResult { tag: "book".into(), on_delivered, on_dead });
    call
}

async fn story(world: &World, event: &StoredEvent) -> Story {
    world.store.event_story(world.home.tenant, event.id).await.unwrap().expect("the event is there")
}

/// Ends a claimed delivery; the report's claim, when there is one.
async fn ended(world: &World, claim: &DeliveryClaim, status: u16, next: Next) -> Option<RunClaim> {
    let mut commit = world.sent(claim, START, status, next);
    commit.response = Some(Response {
        content_type: Some("application/json".into()),
        body: Bytes::from_static(b"{\"id\":7}"),
        truncated: true,
    });
    assert_eq!(world.store.delivery_commit(commit.clone()).await.unwrap(), DeliveryCommitted::Stored);
    let reports = world.claim(START, 10).await;
    assert_eq!(world.store.delivery_commit(commit).await.unwrap(), DeliveryCommitted::Stale);
    assert!(world.claim(START, 10).await.is_empty(), "a stale commit reports nothing");
    assert!(reports.len() <= 1, "{reports:?}");
    reports.into_iter().next()
}

fn attribute<'e>(event: &'e StoredEvent, name: &str) -> Option<&'e str> {
    event.attributes.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
}

pub(super) async fn the_end_of_a_call_is_an_event_for_its_plugin(world: &World) {
    world.decide(vec![asking(world, true, true)]).await;
    let claim = world.send(START, 1).await.remove(0);
    assert_eq!(claim.on_result.as_ref().map(|wanted| wanted.tag.as_str()), Some("book"));
    let again = world.sent(&claim, START, 503, Next::Again { at: START });
    world.store.delivery_commit(again).await.unwrap();
    assert!(world.claim(START, 10).await.is_empty(), "it has not ended yet");
    let claim = world.send(START, 1).await.remove(0);
    let RunClaim { ticket, event } = ended(world, &claim, 201, Next::Delivered).await.expect("a report");
    assert_eq!((ticket.route, ticket.plugin), (world.home.route, world.home.plugin));
    assert_eq!((event.kind.as_str(), event.scheme.as_str()), (DELIVERED, SCHEME));
    assert_eq!((event.source, event.subject.as_deref()), (world.home.source, Some("CA1")));
    assert_eq!((event.index, event.count, event.received_at), (0, 1, START));
    assert_eq!((event.body.as_ref(), event.headers[0].1.as_str()), (&b"{\"id\":7}"[..], "application/json"));
    let told = ["tag", "result", "status", "attempts", "destination", "body-truncated", "depth", "reason"];
    let told = told.map(|name| attribute(&event, name));
    let expected = ["book", "delivered", "201", "2", "crm", "true", "1"].map(Some);
    assert_eq!((&told[..7], told[7]), (&expected[..], None));

    // Linked both ways.
    let origin = event.origin.clone().expect("where it comes from");
    assert_eq!((origin.event, origin.delivery, origin.depth), (claim.event, claim.id, 1));
    let parent = world.store.event_story(world.home.tenant, claim.event).await.unwrap().unwrap();
    assert_eq!((parent.deliveries[0].result, parent.event.origin), (Some(event.id), None));
    let child = story(world, &event).await;
    assert_eq!((child.event.origin, child.answer, child.runs.len()), (Some(origin), None, 1));
    // Another tenant sees neither.
    assert!(world.store.event_story(world.other.tenant, event.id).await.unwrap().is_none());
}

pub(super) async fn only_the_wanted_end_is_reported(world: &World) {
    for (delivered, dead) in [(false, true), (true, false), (false, false)] {
        world.decide(vec![asking(world, delivered, dead)]).await;
        let claim = world.send(START, 1).await.remove(0);
        let report = ended(world, &claim, 200, Next::Delivered).await;
        assert_eq!(report.is_some(), delivered, "{report:?}");

        world.decide(vec![asking(world, delivered, dead)]).await;
        let claim = world.send(START, 1).await.remove(0);
        let report = ended(world, &claim, 409, Next::Dead { reason: "taken".into() }).await;
        let told = report.map(|report| {
            let told = ["result", "status", "reason"].map(|name| attribute(&report.event, name).map(str::to_owned));
            (report.event.kind.clone(), told)
        });
        let expected = (DEAD.to_owned(), ["dead", "409", "taken"].map(|word| Some(word.to_owned())));
        assert_eq!(told, dead.then_some(expected));
    }
}

pub(super) async fn a_call_that_dies_unsent_is_reported_too(world: &World) {
    let (tenant, destination, store) = (world.home.tenant, world.home.destination, &world.store);
    // Expired before it was sent.
    let mut call = asking(world, false, true);
    call.call.expires_at = Some(START.plus_ms(10));
    world.decide(vec![call]).await;
    let now = START.plus_ms(10);
    assert!(world.send(now, 10).await.is_empty());
    let event = world.claim(now, 10).await.remove(0).event;
    assert!(attribute(&event, "reason").unwrap().contains("expired"), "{event:?}");
    assert_eq!((attribute(&event, "status"), attribute(&event, "attempts")), (None, Some("0")));
    assert!(event.body.is_empty());
    // Dead from the start, because the destination is disabled.
    world.decide(vec![world.call(None)]).await;
    let claim = world.send(now, 1).await.remove(0);
    let mut gone = world.sent(&claim, now, 410, Next::Dead { reason: "410".into() });
    gone.destination = Some(DestinationChange::Disable { reason: "410".into() });
    store.delivery_commit(gone).await.unwrap();
    world.decide(vec![asking(world, false, true)]).await;
    let event = world.claim(now, 10).await.remove(0).event;
    assert!(attribute(&event, "reason").unwrap().contains("disabled"), "{event:?}");
    // Dead from the start, because the destination is gone; its name is unknown then.
    store.destination_delete(tenant, destination).await.unwrap();
    world.decide(vec![asking(world, false, true)]).await;
    let event = world.claim(now, 10).await.remove(0).event;
    assert_eq!((attribute(&event, "result"), attribute(&event, "destination")), (Some("dead"), None));
}

pub(super) async fn keys_of_a_follow_up_outlive_a_replay(world: &World) {
    let mut seen = Vec::new();
    world.stored(world.accept(world.home, "x")).await;
    let mut ticket = world.claim(START, 1).await.remove(0).ticket;
    for _ in 0..2 {
        world.done(ticket.run, ticket.claim, START, vec![asking(world, true, true)]).await;
        let claim = world.send(START, 1).await.remove(0);
        let report = ended(world, &claim, 200, Next::Delivered).await.expect("a report");
        seen.push((report.event.id, report.event.identity(), report.event.depth()));
        let new = world.id();
        world.store.run_replay(world.home.tenant, ticket.run, new, Terms::default(), START).await.unwrap();
        ticket = world.claim(START, 1).await.remove(0).ticket;
        assert_eq!(ticket.run, new);
    }
    assert_ne!(seen[0].0, seen[1].0, "two ends, two events");
    assert_eq!((seen[0].1, seen[0].2), (seen[1].1, 1), "but what follows carries the same keys");
    // A result of a result is one deeper, and another identity.
    world.done(ticket.run, ticket.claim, START, vec![asking(world, true, true)]).await;
    let claim = world.send(START, 1).await.remove(0);
    let first = ended(world, &claim, 200, Next::Delivered).await.expect("a report");
    world.done(first.ticket.run, first.ticket.claim, START, vec![asking(world, true, true)]).await;
    let claim = world.send(START, 1).await.remove(0);
    let second = ended(world, &claim, 200, Next::Delivered).await.expect("a report of the follow-up's call");
    assert_eq!(second.event.depth(), 2);
    assert_ne!(second.event.identity(), first.event.identity());
}

pub(super) async fn a_report_stands_in_the_line_of_its_run(world: &World) {
    let run = world.accept_keyed(Some("k")).await;
    let ticket = world.claim(START, 1).await.remove(0).ticket;
    assert_eq!(ticket.run, run);
    world.done(run, ticket.claim, START, vec![asking(world, true, true)]).await;
    let later = world.accept_keyed(Some("k")).await;
    let claim = world.send(START, 1).await.remove(0);
    world.store.delivery_commit(world.sent(&claim, START, 200, Next::Delivered)).await.unwrap();
    let ticket = world.claim(START, 10).await.remove(0).ticket;
    assert_eq!(ticket.run, later, "the report waits for the event of its key that came before it");
    assert!(world.claim(START, 10).await.is_empty());
    world.done(later, ticket.claim, START, vec![]).await;
    let report = world.claim(START, 10).await.remove(0);
    assert_eq!(report.event.body.as_ref(), b"head", "without the whole answer, the attempt's record of it");
    // With its route gone, it is stored and its run is over.
    world.done(report.ticket.run, report.ticket.claim, START, vec![asking(world, true, true)]).await;
    let claim = world.send(START.plus_ms(LEASE_MS), 1).await.remove(0);
    world.store.route_delete(world.home.tenant, world.home.route).await.unwrap();
    world.store.delivery_commit(world.sent(&claim, START, 200, Next::Delivered)).await.unwrap();
    assert!(world.claim(START, 10).await.is_empty());
    let parent = world.store.event_story(world.home.tenant, claim.event).await.unwrap().unwrap();
    let event = parent.deliveries[0].result.expect("the report is there");
    let child = world.store.event_story(world.home.tenant, event).await.unwrap().unwrap();
    assert_eq!(child.runs[0].verdict, Some(Verdict::Host));
}

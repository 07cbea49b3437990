//! Stories of deliveries: queued with the decision, ended once.

use creel_webhook::delivery::{DestinationChange, Next};
use creel_webhook::run::CLAIMS_MAX;

use crate::conformance::world::{LEASE_MS, START, World};
use crate::contract::{DeliveryCommitted, DeliveryFilter, DeliveryRow, DeliveryState, StoreError};

async fn listed(world: &World, state: DeliveryState) -> Vec<DeliveryRow> {
    let filter = DeliveryFilter { state: Some(state), limit: 100, ..DeliveryFilter::default() };
    world.store.delivery_list(world.home.tenant, filter).await.expect("a list")
}

pub(super) async fn calls_become_deliveries_with_the_decision(world: &World) {
    let call = world.call(None);
    world.decide(vec![call.clone(), world.call(None)]).await;
    assert!(world.store.destination_delete(world.home.tenant, world.home.destination).await.is_err());
    let claims = world.send(START, 10).await;
    assert_eq!(claims.len(), 2);
    let claim = &claims[0];
    assert_eq!((claim.id, &claim.body, &claim.headers), (call.id, &call.call.body, &call.call.headers));
    assert_eq!((claim.attempts, claim.claims), (0, 1));
    let again = world.sent(claim, START, 503, Next::Again { at: START.plus_ms(5_000) });
    assert_eq!(world.store.delivery_commit(again.clone()).await.unwrap(), DeliveryCommitted::Stored);
    assert_eq!(world.store.delivery_commit(again).await.unwrap(), DeliveryCommitted::Stale);
    assert_eq!(world.store.delivery_due(START).await.unwrap(), Some(START.plus_ms(5_000)));
    assert!(world.send(START.plus_ms(4_999), 10).await.is_empty());
    let now = START.plus_ms(5_000);
    let claim = world.send(now, 10).await.remove(0);
    assert_eq!((claim.attempts, claim.claims), (1, 2));
    world.store.delivery_commit(world.sent(&claim, now, 200, Next::Delivered)).await.unwrap();
    let done = listed(world, DeliveryState::Delivered).await;
    assert_eq!((done.len(), done[0].id, done[0].attempts), (1, call.id, 2));
    let story = world.store.event_story(world.home.tenant, claim.event).await.unwrap().unwrap();
    assert_eq!((story.deliveries.len(), story.deliveries[0].history.len()), (2, 2));
    assert_eq!(world.store.stats().await.unwrap().deliveries_pending, 1);
}

pub(super) async fn deliveries_of_a_key_go_one_after_the_other(world: &World) {
    let calls: Vec<_> = (0..3).map(|_| world.call(Some("k"))).collect();
    let ids: Vec<_> = calls.iter().map(|call| call.id).collect();
    world.decide(calls).await;
    for (index, id) in ids.iter().enumerate() {
        let claims = world.send(START, 10).await;
        assert_eq!(claims.iter().map(|claim| claim.id).collect::<Vec<_>>(), [*id]);
        assert!(world.send(START, 10).await.is_empty());
        // A dead head releases the next as well as a delivered one.
        let next = if index == 0 { Next::Dead { reason: "no".into() } } else { Next::Delivered };
        world.store.delivery_commit(world.sent(&claims[0], START, 200, next)).await.unwrap();
    }
    assert_eq!(world.store.stats().await.unwrap().deliveries_pending, 0);
}

pub(super) async fn a_held_delivery_waits_for_the_resume(world: &World) {
    world.decide(vec![world.call(None), world.call(None)]).await;
    let version = world.store.control_version();
    let claim = world.send(START, 1).await.remove(0);
    let mut held = world.sent(&claim, START, 401, Next::Held);
    held.destination = Some(DestinationChange::Pause { reason: "401".into() });
    world.store.delivery_commit(held).await.unwrap();
    assert!(world.send(START.plus_ms(10 * LEASE_MS), 10).await.is_empty());
    assert!(world.store.control_version() > version);
    let control = world.store.control_read().await.unwrap();
    let row = control.destinations.iter().find(|row| row.id == world.home.destination).unwrap();
    assert_eq!(row.paused.as_deref(), Some("401"));
    world.store.destination_pause(world.home.tenant, world.home.destination, None, START).await.unwrap();
    let claims = world.send(START, 10).await;
    assert_eq!(claims.len(), 2);
    let claim = claims.iter().find(|again| again.id == claim.id).unwrap();
    assert_eq!((claim.attempts, claim.claims), (0, 1), "neither counter kept the held attempt");
}

pub(super) async fn a_missing_secret_pauses_until_it_is_saved(world: &World) {
    world.decide(vec![world.call(None), world.call(None)]).await;
    let lacks = DestinationChange::Lacks { secret: "crm".into(), reason: "there is none".into() };
    let lacking = async |seen: u64| {
        let claim = world.send(START, 1).await.remove(0);
        let mut held = world.sent(&claim, START, 401, Next::Held);
        (held.destination, held.seen) = (Some(lacks.clone()), seen);
        world.store.delivery_commit(held).await.unwrap();
        let control = world.store.control_read().await.unwrap();
        control.destinations.into_iter().find(|row| row.id == world.home.destination).unwrap()
    };
    // Whoever went by an older configuration may not know that it is there by now.
    let row = lacking(world.store.control_version() - 1).await;
    assert_eq!((row.paused, row.lacks), (None, None));
    assert_eq!(world.send(START, 10).await.len(), 2, "due at once");
    world.decide(vec![world.call(None)]).await;
    let row = lacking(world.store.control_version()).await;
    assert_eq!((row.paused.as_deref(), row.lacks.as_deref()), (Some("there is none"), Some("crm")));
    assert!(world.send(START, 10).await.is_empty());
    world.secret("another").await;
    assert!(world.send(START, 10).await.is_empty(), "another secret is another matter");
    world.secret("crm").await;
    assert_eq!(world.send(START, 10).await.len(), 1);
    let control = world.store.control_read().await.unwrap();
    let row = control.destinations.iter().find(|row| row.id == world.home.destination).unwrap();
    assert_eq!((row.paused.as_deref(), row.lacks.as_deref()), (None, None));
}

pub(super) async fn a_disabled_destination_gets_dead_letters(world: &World) {
    world.decide(vec![world.call(None)]).await;
    let claim = world.send(START, 1).await.remove(0);
    let mut gone = world.sent(&claim, START, 410, Next::Dead { reason: "410".into() });
    gone.destination = Some(DestinationChange::Disable { reason: "410".into() });
    world.store.delivery_commit(gone).await.unwrap();
    world.decide(vec![world.call(None)]).await;
    assert!(world.send(START, 10).await.is_empty());
    let dead = listed(world, DeliveryState::Dead).await;
    assert_eq!(dead.len(), 2);
    assert!(dead[0].reason.as_deref().unwrap().contains("disabled"), "{:?}", dead[0].reason);
    world.store.destination_delete(world.home.tenant, world.home.destination).await.unwrap();
    world.decide(vec![world.call(None)]).await;
    assert_eq!(listed(world, DeliveryState::Dead).await.len(), 3);
    assert_eq!(world.store.stats().await.unwrap().deliveries_pending, 0);
}

pub(super) async fn an_expired_call_is_not_sent(world: &World) {
    let mut call = world.call(Some("k"));
    call.call.expires_at = Some(START.plus_ms(1_000));
    let mut next = world.call(Some("k"));
    next.call.due_at = START.plus_ms(9_000);
    world.decide(vec![call.clone(), next.clone()]).await;
    assert!(world.send(START.plus_ms(1_000), 10).await.is_empty());
    assert_eq!(listed(world, DeliveryState::Dead).await[0].id, call.id);
    assert!(world.send(START.plus_ms(8_999), 10).await.is_empty(), "a delay holds for a promoted call too");
    assert_eq!(world.send(START.plus_ms(9_000), 10).await[0].id, next.id);
}

pub(super) async fn a_lost_delivery_is_given_up_after_five_claims(world: &World) {
    world.decide(vec![world.call(None)]).await;
    let mut now = START;
    for claims in 1..=CLAIMS_MAX {
        assert_eq!(world.send(now, 10).await[0].claims, claims);
        now = now.plus_ms(LEASE_MS);
    }
    assert!(world.send(now, 10).await.is_empty());
    assert_eq!(listed(world, DeliveryState::Dead).await.len(), 1);
}

pub(super) async fn control_moves_on_with_every_change(world: &World) {
    let store = &world.store;
    let before = store.control_version();
    let mut twin = world.source();
    twin.id = world.id();
    twin.token = "another".into();
    assert!(matches!(store.source_put(twin.clone()).await, Err(StoreError::Conflict(_))), "the name is taken");
    assert_eq!(store.control_version(), before, "a failed verb changes nothing");
    twin.spec.name = "twin".into();
    store.source_put(twin.clone()).await.unwrap();
    assert!(store.control_version() > before);
    assert!(matches!(store.source_delete(world.home.tenant, world.home.source).await, Err(StoreError::Conflict(_))));
    store.source_delete(world.home.tenant, twin.id).await.unwrap();
    let control = store.control_read().await.unwrap();
    assert_eq!(control.version, store.control_version());
    assert_eq!((control.tenants.len(), control.sources.len(), control.routes.len()), (2, 2, 2));
    assert_eq!((control.plugins.len(), control.destinations.len()), (2, 2));
}

pub(super) async fn a_destination_that_is_stopped_already_is_no_change(world: &World) {
    let (tenant, destination, store) = (world.home.tenant, world.home.destination, &world.store);
    world.decide((0..3).map(|_| world.call(None)).collect()).await;
    let claims = world.send(START, 3).await;
    let mut versions = vec![store.control_version()];
    for claim in &claims {
        let mut commit = world.sent(claim, START, 401, Next::Held);
        commit.destination = Some(DestinationChange::Pause { reason: "401".into() });
        store.delivery_commit(commit).await.unwrap();
        versions.push(store.control_version());
    }
    assert!(versions[1] > versions[0]);
    assert_eq!(versions[2..], [versions[1]; 2], "three answers, one change");
    assert!(world.send(START, 3).await.is_empty(), "it is paused all the same");
    for (reason, moves) in [(Some("tea"), true), (Some("tea"), false), (None, true), (None, false)] {
        let before = store.control_version();
        store.destination_pause(tenant, destination, reason.map(str::to_owned), START).await.unwrap();
        assert_eq!(store.control_version() > before, moves, "{reason:?}");
    }
    assert_eq!(world.send(START, 3).await.len(), 3);
}

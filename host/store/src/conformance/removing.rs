//! Stories of tenants that are removed.

use creel_webhook::delivery::Next;
use creel_webhook::id::TenantId;
use creel_webhook::outcome::OnResult;
use creel_webhook::run::{RunNext, Verdict};
use creel_webhook::tenant::Tenant;

use crate::conformance::world::{START, World};
use crate::contract::{DeliveryCommitted, DeliveryFilter, EventFilter, RunCommit, RunCommitted, RunTicket, StoreError};

/// Removes the home tenant to its end.
async fn removed(world: &World) {
    while world.store.tenant_remove(world.home.tenant).await.unwrap() {}
    while world.store.scrub().await.unwrap() {}
}

fn again(world: &World, id: TenantId) -> Tenant {
    let before =
        Tenant { id: world.home.tenant, name: "one".to_owned(), created_at: START, limits: Default::default() };
    Tenant { id, ..before }
}

pub(super) async fn a_removed_tenant_is_seen_by_nobody_and_its_name_comes_free(world: &World) {
    world.stored(world.accept(world.home, "x")).await;
    world.stored(world.accept(world.other, "x")).await;
    let nobody = world.store.tenant_leave(world.id(), START).await;
    assert!(matches!(nobody, Err(StoreError::NotFound(_))), "{nobody:?}");
    assert!(!world.store.tenant_remove(world.home.tenant).await.unwrap(), "who was not told to go stays");

    let version = world.store.control_version();
    world.store.tenant_leave(world.home.tenant, START).await.unwrap();
    assert!(world.store.control_version() > version);
    let control = world.store.control_read().await.unwrap();
    assert_eq!(
        (control.tenants.len(), control.sources.len(), control.routes.len(), control.plugins.len()),
        (1, 1, 1, 1)
    );
    assert_eq!((control.destinations.len(), control.leaving.len()), (1, 1));
    assert_eq!((control.leaving[0].tenant.id, control.leaving[0].since), (world.home.tenant, START));
    world.store.tenant_leave(world.home.tenant, START.plus_ms(5)).await.unwrap();
    assert_eq!(world.store.tenants_leaving().await.unwrap(), control.leaving, "it leaves once");

    let refused = world.store.accept(world.accept(world.home, "x")).await;
    assert!(matches!(refused, Err(StoreError::NotFound(_))), "{refused:?}");
    let claims = world.claim(START, 10).await;
    assert_eq!(claims.iter().map(|claim| claim.ticket.tenant).collect::<Vec<_>>(), [world.other.tenant]);
    let taken = world.store.tenant_put(again(world, world.id())).await;
    assert!(matches!(&taken, Err(StoreError::Conflict(why)) if why.contains("being removed")), "{taken:?}");
    let same = world.store.tenant_put(again(world, world.home.tenant)).await;
    assert!(matches!(same, Err(StoreError::Conflict(_))), "{same:?}");

    removed(world).await;
    assert!(world.store.tenants_leaving().await.unwrap().is_empty());
    assert!(
        world
            .store
            .event_list(world.home.tenant, EventFilter { limit: 9, ..Default::default() })
            .await
            .unwrap()
            .events
            .is_empty()
    );
    world.store.tenant_put(again(world, world.id())).await.expect("its name is free");
    let RunTicket { tenant, run, claim, .. } = claims[0].ticket;
    let commit = world.commit(run, claim, START, Verdict::Done, RunNext::End);
    world.store.run_commit(RunCommit { tenant, ..commit }).await.unwrap();
    assert_eq!(world.store.stats().await.unwrap().runs_pending, 0, "the other's was decided");
}

pub(super) async fn what_is_under_way_when_its_tenant_goes_changes_nothing(world: &World) {
    let mut call = world.call(None);
    call.call.on_result = Some(OnResult { tag: "end".to_owned(), on_delivered: true, on_dead: true });
    world.decide(vec![call]).await;
    world.stored(world.accept(world.home, "x")).await;
    let (run, sent) = (world.claim(START, 1).await.remove(0).ticket, world.send(START, 1).await.remove(0));
    world.store.tenant_leave(world.home.tenant, START).await.unwrap();
    // What is committed before its rows are gone goes with them, the report of the call's end too.
    let committed = world.store.delivery_commit(world.sent(&sent, START, 200, Next::Delivered)).await.unwrap();
    assert_eq!(committed, DeliveryCommitted::Stored);
    removed(world).await;
    let stale = world.done(run.run, run.claim, START, vec![world.call(None)]).await;
    assert!(matches!(stale, RunCommitted::Stale), "{stale:?}");
    let left =
        world.store.delivery_list(world.home.tenant, DeliveryFilter { limit: 9, ..Default::default() }).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
    let stats = world.store.stats().await.unwrap();
    assert_eq!((stats.runs_pending, stats.deliveries_pending), (0, 0));
}

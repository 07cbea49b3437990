//! Stories of what tenants used.

use creel_webhook::clock::Timestamp;
use creel_webhook::delivery::Next;
use creel_webhook::run::{RunNext, Usage, Verdict};

use crate::conformance::world::{START, World};
use crate::contract::{RunCommit, RunTicket, Used, UsedDay};

const DAY_MS: u64 = 86_400_000;

async fn used(world: &World, days: u64) -> Vec<UsedDay> {
    world.store.usage_list(world.home.tenant, START, START.plus_ms(days * DAY_MS)).await.unwrap()
}

/// The home tenant's run.
async fn claimed(world: &World, now: Timestamp) -> RunTicket {
    let claims = world.claim(now, 10).await;
    claims.into_iter().map(|claim| claim.ticket).find(|ticket| ticket.tenant == world.home.tenant).expect("it is due")
}

pub(super) async fn what_is_used_is_counted_by_days(world: &World) {
    assert!(used(world, 1).await.is_empty());
    let mut accept = world.accept(world.home, "12345");
    accept.events[0].dedup_keys = vec![[7; 32]];
    accept.events[0].dedup_until = START.plus_ms(10 * DAY_MS);
    world.stored(accept.clone()).await;
    // A repetition is no use, and neither is what another tenant does.
    accept.request.id = world.id();
    accept.events[0].id = world.id();
    accept.events[0].runs[0].id = world.id();
    world.store.accept(accept).await.unwrap();
    world.stored(world.accept(world.other, "another tenant's")).await;

    let ticket = claimed(world, START).await;
    let usage = Usage { fuel: 70, ..Usage::default() };
    let again = world.commit(ticket.run, ticket.claim, START, Verdict::Retry, RunNext::Again(START));
    world.store.run_commit(RunCommit { usage, ..again }).await.unwrap();
    let tomorrow = START.plus_ms(DAY_MS);
    let ticket = claimed(world, tomorrow).await;
    let done = world.commit(ticket.run, ticket.claim, tomorrow, Verdict::Done, RunNext::End);
    world.store.run_commit(RunCommit { usage, calls: vec![world.call(None)], ..done.clone() }).await.unwrap();
    world.store.run_commit(RunCommit { usage, ..done }).await.unwrap();

    let claim = world.send(tomorrow, 1).await.remove(0);
    world.store.delivery_commit(world.sent(&claim, tomorrow, 500, Next::Again { at: tomorrow })).await.unwrap();
    let claim = world.send(tomorrow, 1).await.remove(0);
    world.store.delivery_commit(world.sent(&claim, tomorrow, 200, Next::Delivered)).await.unwrap();

    let first = Used { events: 1, runs: 1, fuel: 70, bytes_in: 5, ..Used::default() };
    let second = Used { runs: 1, fuel: 70, bytes_out: 2, deliveries: 1, ..Used::default() };
    let days = used(world, 1).await;
    assert_eq!(days.iter().map(|day| day.used).collect::<Vec<_>>(), [first, second]);
    assert_eq!(days[1].day.since_ms(days[0].day), DAY_MS);
    assert_eq!(used(world, 0).await.len(), 1);
}

//! Stories of what a tenant may take of the host: places for its runs, and fuel.

use creel_webhook::bucket::SAVED_MS;
use creel_webhook::run::{FUEL_PER_CPU_US, RunNext, Usage, Verdict};
use creel_webhook::tenant::TenantLimits;

use crate::conformance::world::{Home, LEASE_MS, START, World};
use crate::contract::{Accepted, RunCommit, RunFilter, RunTicket};

async fn queue(world: &World, home: Home, runs: usize) {
    for _ in 0..runs {
        world.stored(world.accept(home, "x")).await;
    }
}

/// Commits a run that used so much fuel.
async fn burn(world: &World, ticket: &RunTicket, fuel: u64) {
    let commit = world.commit(ticket.run, ticket.claim, START, Verdict::Done, RunNext::End);
    world.store.run_commit(RunCommit { usage: Usage { fuel, ..Usage::default() }, ..commit }).await.unwrap();
}

pub(super) async fn a_tenant_holds_as_many_claims_as_it_may(world: &World) {
    world.limit(TenantLimits { concurrent_runs_max: Some(2), ..TenantLimits::default() }).await;
    queue(world, world.home, 9).await;
    queue(world, world.other, 4).await;
    let claims = world.claim(START, 100).await;
    let (mut own, others): (Vec<_>, Vec<_>) =
        claims.into_iter().partition(|claim| claim.ticket.tenant == world.home.tenant);
    assert_eq!((own.len(), others.len()), (2, 4), "others are not held up");
    assert!(world.claim(START, 100).await.is_empty());
    queue(world, world.home, 1).await;
    assert!(world.claim(START, 100).await.is_empty(), "nor does an arrival make room");
    let (one, two) = (own.remove(0).ticket, own.remove(0).ticket);
    world.done(one.run, one.claim, START, vec![]).await;
    let third = world.claim(START, 100).await;
    assert_eq!(third.len(), 1, "an end makes room");
    world.store.run_release(two.tenant, two.run, two.claim).await.unwrap();
    assert_eq!(world.claim(START, 100).await.len(), 1, "and so does a release");
    assert_eq!(world.claim(START.plus_ms(LEASE_MS), 100).await.len(), 4 + 2, "and what was lost");
    world.limit(TenantLimits { concurrent_runs_max: Some(5), ..TenantLimits::default() }).await;
    assert_eq!(world.claim(START.plus_ms(LEASE_MS), 100).await.len(), 3, "and who raises the limit");
}

pub(super) async fn nobody_holds_more_than_is_left_free(world: &World) {
    queue(world, world.home, 50).await;
    let alone = world.claim_of(START, 16, 16).await;
    assert_eq!(alone.len(), 8, "half of them for one");
    assert!(world.claim_of(START, 8, 8).await.is_empty());
    queue(world, world.other, 50).await;
    let others = world.claim_of(START, 8, 8).await;
    assert!((3..=4).contains(&others.len()), "{}", others.len());
    assert!(others.iter().all(|claim| claim.ticket.tenant == world.other.tenant));
    for claim in alone {
        world.done(claim.ticket.run, claim.ticket.claim, START, vec![]).await;
    }
    assert!(!world.claim_of(START, 12, 12).await.is_empty(), "and when places come free there is more");
}

pub(super) async fn used_fuel_delays_what_follows_until_it_is_paid_for(world: &World) {
    world.limit(TenantLimits { fuel_per_second: Some(1_000), ..TenantLimits::default() }).await;
    queue(world, world.home, 10).await;
    let claims = world.claim(START, 3).await;
    burn(world, &claims[0].ticket, SAVED_MS).await;
    let more = world.claim(START, 1).await;
    assert_eq!(more.len(), 1, "so much is saved up");
    burn(world, &claims[1].ticket, 1_500).await;
    burn(world, &claims[2].ticket, 500).await;
    assert_eq!(world.store.stats().await.unwrap().tenants_in_debt, 1);
    queue(world, world.home, 1).await;
    queue(world, world.other, 1).await;
    let looked = START.plus_ms(1_999);
    let claims = world.claim(looked, 10).await;
    assert_eq!(claims.len(), 1, "only another's");
    assert_eq!(claims[0].ticket.tenant, world.other.tenant);
    assert_eq!(world.store.run_due(looked).await.unwrap(), Some(START.plus_ms(2_000)));
    assert_eq!(world.claim(START.plus_ms(2_000), 10).await.len(), 7, "and then all may go");
    assert_eq!(world.store.stats().await.unwrap().tenants_in_debt, 0);
}

pub(super) async fn what_ends_by_its_time_or_a_trap_is_charged_for_its_time(world: &World) {
    world.limit(TenantLimits { fuel_per_second: Some(FUEL_PER_CPU_US), ..TenantLimits::default() }).await;
    queue(world, world.home, 5).await;
    let mut at = START;
    for (verdict, debt_ms) in
        [(Verdict::Done, 0), (Verdict::Timeout, 2_000), (Verdict::Trap, 7_000), (Verdict::Memory, 7_000)]
    {
        let claim = world.claim(at, 1).await.remove(0).ticket;
        let usage = Usage { fuel: 0, cpu_us: SAVED_MS / 1_000 + 2, ..Usage::default() };
        let commit = world.commit(claim.run, claim.claim, at, verdict, RunNext::End);
        world.store.run_commit(RunCommit { usage, ..commit }).await.unwrap();
        assert_eq!(world.store.run_due(at).await.unwrap(), (debt_ms > 0).then(|| at.plus_ms(debt_ms)), "{verdict:?}");
        at = at.plus_ms(debt_ms);
    }
    let days = world.store.usage_list(world.home.tenant, START, at.plus_ms(1)).await.unwrap();
    assert_eq!(days[0].used.fuel, 3 * (SAVED_MS / 1_000 + 2) * FUEL_PER_CPU_US);
}

pub(super) async fn a_raised_budget_counts_from_then_on(world: &World) {
    world.limit(TenantLimits { fuel_per_second: Some(1), ..TenantLimits::default() }).await;
    queue(world, world.home, 4).await;
    let claims = world.claim(START, 1).await;
    burn(world, &claims[0].ticket, 1_000).await;
    assert!(world.claim(START, 1).await.is_empty(), "a quarter of an hour");
    world.limit(TenantLimits { fuel_per_second: Some(1_000_000), ..TenantLimits::default() }).await;
    assert_eq!(world.claim(START, 1).await.len(), 1, "who is given more does not serve an old sentence");
}

pub(super) async fn replies_have_an_account_of_their_own(world: &World) {
    world.limit(TenantLimits { fuel_per_second: Some(1_000), ..TenantLimits::default() }).await;
    queue(world, world.home, 3).await;
    let claims = world.claim(START, 1).await;
    burn(world, &claims[0].ticket, 60_000).await;
    assert!(world.claim(START, 1).await.is_empty(), "the background waits");
    let reply = |accepted| match accepted {
        Accepted::Stored { reply, .. } => reply,
        other => panic!("{other:?}"),
    };
    let ticket = reply(world.stored(world.accept_reply(1_000, Some(LEASE_MS))).await).expect("a caller does not");
    burn(world, &ticket, 60_000).await;
    assert!(reply(world.stored(world.accept_reply(1_000, Some(LEASE_MS))).await).is_none(), "until callers overdo it");
    let newest = RunFilter { verdict: Some(Verdict::Unanswered), limit: 1, ..RunFilter::default() };
    let runs = world.store.run_list(world.home.tenant, newest).await.unwrap();
    assert!(runs[0].reason.as_deref().unwrap().contains("fuel_per_second = 1000"), "{runs:?}");
}

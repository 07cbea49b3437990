//! Stories of what goes once more: dead letters are walked in windows, each is replayed once, and runs keep to the quota.

use creel_webhook::delivery::Next;
use creel_webhook::id::RunId;
use creel_webhook::run::{RunNext, Verdict};

use super::world::{START, World};
use crate::contract::{
    About, DeliveryFilter, DeliveryState, Keys, NewRun, Replay, RunFilter, StoreError, Terms, Window,
};

/// Runs that trapped, in the order in which they were queued.
async fn trapped(world: &World, count: u32) -> Vec<RunId> {
    for _ in 0..count {
        world.accept_keyed(None).await;
    }
    let mut runs = Vec::new();
    for claim in world.claim(START, count).await {
        let (run, token) = (claim.ticket.run, claim.ticket.claim);
        let commit = world.commit(run, token, START, Verdict::Trap, RunNext::End);
        world.store.run_commit(commit).await.unwrap();
        runs.push(run);
    }
    runs.sort();
    runs
}

/// Replays these, each with a new successor.
async fn replayed(world: &World, runs: &[RunId], pending_runs_max: u64) -> Vec<Replay> {
    let wanted = runs.iter().map(|run| (*run, world.id())).collect();
    let terms = Terms { pending_runs_max, ..Terms::default() };
    world.store.run_replay_dead(world.home.tenant, wanted, terms, START).await.unwrap()
}

pub(super) async fn dead_runs_are_walked_in_windows(world: &World) {
    let runs = trapped(world, 5).await;
    world.accept_keyed(None).await;
    let look = async |filter: RunFilter, after: Option<RunId>| {
        world.store.run_dead(world.home.tenant, filter, after).await.unwrap()
    };
    let of_two = RunFilter { limit: 2, ..RunFilter::default() };
    let first = look(of_two.clone(), None).await;
    assert_eq!(first, Window { ids: runs[..2].to_vec(), looked_at: 2, next: Some(runs[1]) });
    let last = look(of_two.clone(), Some(runs[3])).await;
    assert_eq!(last, Window { ids: runs[4..].to_vec(), looked_at: 1, next: None });
    // A window is bounded by what is looked at, so a filter that nothing passes moves on as well.
    let about = About { kind: Some("another".into()), ..About::default() };
    let none = look(RunFilter { about, ..of_two.clone() }, None).await;
    assert_eq!(none, Window { ids: vec![], looked_at: 2, next: Some(runs[1]) });
    let others = world.store.run_dead(world.other.tenant, of_two, None).await.unwrap();
    assert_eq!(others, Window { ids: vec![], looked_at: 0, next: None });
}

pub(super) async fn a_dead_run_is_replayed_once(world: &World) {
    let runs = trapped(world, 2).await;
    assert_eq!(replayed(world, &runs[..1], u64::MAX).await, [Replay::Queued]);
    let again = replayed(world, &[runs[0], runs[1], world.id()], u64::MAX).await;
    assert!(matches!(&again[..], [Replay::Refused(_), Replay::Queued, Replay::Missing]), "{again:?}");
    let stranger = world.other.tenant;
    let theirs =
        world.store.run_replay_dead(stranger, vec![(runs[0], world.id())], Terms::default(), START).await.unwrap();
    assert_eq!(theirs, [Replay::Missing]);
    let dead = world.store.run_dead(world.home.tenant, RunFilter::default(), None).await.unwrap();
    assert_eq!(dead.ids, [], "who has a successor is no dead letter");
    assert_eq!(world.claim(START, 10).await.len(), 2);
}

pub(super) async fn a_replay_of_runs_keeps_to_the_quota(world: &World) {
    let runs = trapped(world, 4).await;
    world.accept_keyed(None).await;
    let some = replayed(world, &runs, 3).await;
    assert!(
        matches!(&some[..], [Replay::Queued, Replay::Queued, Replay::NoRoom(why), Replay::NoRoom(_)]
            if why.contains("3 runs")),
        "{some:?}"
    );
    assert_eq!(world.store.stats().await.unwrap().runs_pending, 3);
    let terms = Terms { pending_runs_max: 3, ..Terms::default() };
    let one = world.store.run_replay(world.home.tenant, runs[2], world.id(), terms, START).await;
    assert!(matches!(one, Err(StoreError::OverQuota { pending: 3, max: 3 })), "{one:?}");
    let claim = world.claim(START, 1).await.remove(0).ticket;
    world.done(claim.run, claim.claim, START, vec![]).await;
    let more = replayed(world, &runs[2..], 3).await;
    assert!(matches!(&more[..], [Replay::Queued, Replay::NoRoom(_)]), "{more:?}");
}

pub(super) async fn an_event_is_replayed_on_all_its_routes_or_on_none(world: &World) {
    let (accept, mut second) = (world.accept(world.home, "x"), world.route());
    let event = accept.events[0].id;
    (second.id, second.name) = (world.id(), "second".into());
    world.store.route_put(second.clone()).await.unwrap();
    world.stored(accept).await;
    let claim = world.claim(START, 1).await.remove(0).ticket;
    world.done(claim.run, claim.claim, START, vec![]).await;
    let replay = async |pending_runs_max: u64| {
        let (route, plugin) = (world.home.route, world.home.plugin);
        let new = |route| NewRun { id: world.id(), route, plugin, order_key: None, reply: None };
        let terms = Terms { pending_runs_max, ..Terms::default() };
        let runs = vec![new(route), new(second.id)];
        world.store.event_replay(world.home.tenant, event, runs, terms, START).await
    };
    let refused = replay(1).await;
    assert!(matches!(refused, Err(StoreError::OverQuota { pending: 1, max: 1 })), "{refused:?}");
    assert_eq!(world.store.stats().await.unwrap().runs_pending, 0, "not even the one that had room");
    assert_eq!(world.store.event_story(world.home.tenant, event).await.unwrap().unwrap().runs.len(), 1);
    assert_eq!(replay(2).await.unwrap().len(), 2);
    assert_eq!(replay(u64::MAX).await.unwrap(), [], "where one waits there is no second");
    assert_eq!(world.claim(START, 10).await.len(), 2);
}

pub(super) async fn a_dead_call_comes_back_as_itself(world: &World) {
    world.decide(vec![world.call(None), world.call(None)]).await;
    let claim = world.send(START, 1).await.remove(0);
    let no = world.sent(&claim, START, 500, Next::Dead { reason: "no".into() });
    world.store.delivery_commit(no).await.unwrap();
    let replay = async |keys: Keys| {
        let mut replays = world.store.delivery_replay(world.home.tenant, vec![claim.id], keys, START).await.unwrap();
        replays.remove(0)
    };
    let filter = || DeliveryFilter { limit: 10, ..DeliveryFilter::default() };
    let dead = world.store.delivery_dead(world.home.tenant, filter(), None).await.unwrap();
    assert_eq!((dead.ids, dead.looked_at, dead.next), (vec![claim.id], 1, None));
    assert_eq!(replay(Keys::Same).await, Replay::Queued);
    assert!(matches!(replay(Keys::Same).await, Replay::Refused(_)), "it is in the queue already");
    let claims = world.send(START, 10).await;
    let again = claims.iter().find(|one| one.id == claim.id).expect("it is due");
    assert_eq!((again.attempts, again.claims, &again.key), (0, 1, &claim.key));
    let no = world.sent(again, START, 500, Next::Dead { reason: "no".into() });
    world.store.delivery_commit(no).await.unwrap();
    assert_eq!(replay(Keys::New).await, Replay::Queued);
    let again = world.send(START, 10).await.remove(0);
    assert!(again.id == claim.id && again.key != claim.key, "{again:?}");
    world.store.delivery_commit(world.sent(&again, START, 200, Next::Delivered)).await.unwrap();
    let (row, letter) = world.store.delivery_read(world.home.tenant, claim.id).await.unwrap().unwrap();
    assert_eq!((row.state, row.history.len(), letter.past.len()), (DeliveryState::Delivered, 3, 2));
    assert!(matches!(replay(Keys::Same).await, Replay::Refused(_)), "it was delivered");
    assert_eq!(world.store.stats().await.unwrap().deliveries_pending, 1);
}

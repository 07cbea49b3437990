//! Stories of what plugins remember: written with a decision, checked against what was read, bounded, removed.

use bytes::Bytes;
use creel_webhook::id::{PluginId, TenantId};
use creel_webhook::plugin::Plugin;
use creel_webhook::record::{Record, StateRead, StateValue};
use creel_webhook::run::{RunNext, Verdict};
use creel_webhook::state::{StateUse, StateWrite};

use crate::conformance::world::{START, World, told};
use crate::contract::{
    Accepted, DeliveryFilter, RunCommit, RunCommitted, RunTicket, StateFilter, StateKey, StateWrites, StoreError,
};

fn write(key: &str, value: &'static str) -> StateWrite {
    StateWrite { key: key.to_owned(), value: Some(Bytes::from_static(value.as_bytes())) }
}

fn removal(key: &str) -> StateWrite {
    StateWrite { key: key.to_owned(), value: None }
}

fn writes<const N: usize>(writes: [StateWrite; N]) -> StateWrites {
    StateWrites { writes: writes.to_vec(), keys_max: 100, bytes_max: 1_000 }
}

async fn read(world: &World, key: &str) -> Option<StateValue> {
    world.store.state_read(world.home.tenant, world.home.plugin, key).await.expect("state is read")
}

async fn value(world: &World, key: &str) -> Option<String> {
    read(world, key).await.map(|found| String::from_utf8(found.value.to_vec()).expect("a text"))
}

async fn total(world: &World, tenant: TenantId, plugin: PluginId) -> StateUse {
    world.store.state_room(tenant, plugin, Vec::new()).await.expect("room is read").total
}

/// The record of a run that reads these keys now.
async fn reads<const N: usize>(world: &World, keys: [&str; N]) -> Record {
    let mut record = Record::default();
    for key in keys {
        record.add_state(StateRead { key: key.to_owned(), found: read(world, key).await }).expect("there is room");
    }
    record
}

async fn run(world: &World) -> RunTicket {
    world.stored(world.accept(world.home, "x")).await;
    world.claim(START, 1).await.remove(0).ticket
}

async fn commit(world: &World, ticket: &RunTicket, record: Record, state: StateWrites) -> RunCommitted {
    let commit = world.commit(ticket.run, ticket.claim, START, Verdict::Done, RunNext::End);
    let commit = RunCommit { record, state, calls: vec![world.call(None)], ..commit };
    world.store.run_commit(commit).await.expect("a commit succeeds")
}

/// A run that only writes.
async fn wrote<const N: usize>(world: &World, list: [StateWrite; N]) {
    let committed = commit(world, &run(world).await, Record::default(), writes(list)).await;
    assert!(matches!(committed, RunCommitted::Stored { .. }), "{committed:?}");
}

pub(super) async fn what_a_run_writes_is_there_with_its_decision(world: &World) {
    assert_eq!(read(world, "a").await, None);
    wrote(world, [write("a", "1"), write("b", "2"), removal("c")]).await;
    assert_eq!(value(world, "a").await.as_deref(), Some("1"));
    assert_eq!(read(world, "a").await.map(|found| found.version), Some(1));
    wrote(world, [write("a", "10"), removal("b")]).await;
    assert_eq!((value(world, "a").await.as_deref(), read(world, "b").await), (Some("10"), None));
    assert_eq!(total(world, world.home.tenant, world.home.plugin).await, StateUse { keys: 1, bytes: 3 });
    let ticket = run(world).await;
    let again = world.commit(ticket.run, ticket.claim, START, Verdict::Retry, RunNext::Again(START.plus_ms(1)));
    let again = RunCommit { state: writes([write("a", "0")]), ..again };
    world.store.run_commit(again).await.expect("a commit succeeds");
    assert_eq!(value(world, "a").await.as_deref(), Some("10"), "a run that is not over writes nothing");
}

pub(super) async fn nobody_sees_the_state_of_another(world: &World) {
    wrote(world, [write("a", "mine")]).await;
    let sibling = Plugin { id: world.id(), tenant: world.home.tenant, name: "sibling".into(), active: None };
    world.store.plugin_put(sibling.clone()).await.expect("a plugin is put");
    let home = world.home;
    for (tenant, plugin) in
        [(home.tenant, sibling.id), (world.other.tenant, world.other.plugin), (world.other.tenant, home.plugin)]
    {
        assert_eq!(world.store.state_read(tenant, plugin, "a").await.expect("state is read"), None);
        let all = StateFilter { limit: 10, ..StateFilter::default() };
        assert!(world.store.state_list(tenant, plugin, all).await.expect("keys are listed").is_empty());
        assert_eq!(total(world, tenant, plugin).await, StateUse::default());
    }
    let foreign = world.store.state_delete(world.other.tenant, home.plugin, None).await;
    assert!(matches!(foreign, Err(StoreError::NotFound(_))), "{foreign:?}");
    assert_eq!(value(world, "a").await.as_deref(), Some("mine"));
}

pub(super) async fn a_run_that_was_overtaken_is_not_committed(world: &World) {
    wrote(world, [write("count", "1"), write("other", "x")]).await;
    let (first, second) = (run(world).await, run(world).await);
    let seen = reads(world, ["count"]).await;
    let committed = commit(world, &first, seen.clone(), writes([write("count", "2")])).await;
    assert!(matches!(committed, RunCommitted::Stored { .. }), "{committed:?}");
    let calls = async || world.store.delivery_list(world.home.tenant, DeliveryFilter::default()).await.unwrap().len();
    let before = calls().await;
    let overtaken = commit(world, &second, seen, writes([write("count", "2"), write("other", "y")])).await;
    assert_eq!(overtaken, RunCommitted::Conflict);
    assert_eq!(
        (value(world, "count").await.as_deref(), value(world, "other").await.as_deref()),
        (Some("2"), Some("x"))
    );
    assert_eq!(calls().await, before, "nothing of it is stored");
    let row = world.store.run_read(world.home.tenant, second.run).await.unwrap().expect("it is there");
    assert_eq!((row.attempts, row.claims, row.verdict), (0, 1, None), "no counter moves");
    let again = commit(world, &second, reads(world, ["count"]).await, writes([write("count", "3")])).await;
    assert_eq!(again, RunCommitted::Stored { verdict: Verdict::Done, answer: None }, "the claim holds");
    assert_eq!(value(world, "count").await.as_deref(), Some("3"));
}

pub(super) async fn what_came_or_went_was_overtaken_too(world: &World) {
    wrote(world, [write("a", "1")]).await;
    let (saw_one, saw_none) = (reads(world, ["a"]).await, reads(world, ["b"]).await);
    wrote(world, [removal("a"), write("b", "1")]).await;
    wrote(world, [write("a", "1"), removal("b")]).await;
    let ticket = run(world).await;
    assert_eq!(
        commit(world, &ticket, saw_one, StateWrites::default()).await,
        RunCommitted::Conflict,
        "the like again is another"
    );
    // Nothing is like nothing: what was decided on it holds.
    let committed = commit(world, &ticket, saw_none, StateWrites::default()).await;
    assert!(matches!(committed, RunCommitted::Stored { .. }), "{committed:?}");
}

pub(super) async fn who_only_writes_is_never_overtaken(world: &World) {
    let (first, second) = (run(world).await, run(world).await);
    for (ticket, value) in [(second, "second"), (first, "first")] {
        let committed = commit(world, &ticket, Record::default(), writes([write("last", value)])).await;
        assert!(matches!(committed, RunCommitted::Stored { .. }), "{committed:?}");
    }
    assert_eq!(value(world, "last").await.as_deref(), Some("first"));
}

pub(super) async fn what_is_tried_again_anyway_is_not_looked_at(world: &World) {
    wrote(world, [write("a", "1")]).await;
    let seen = reads(world, ["a"]).await;
    wrote(world, [write("a", "2")]).await;
    let ticket = run(world).await;
    for (verdict, overtaken) in [(Verdict::Trap, true), (Verdict::Rejected, true), (Verdict::Timeout, false)] {
        let commit = world.commit(ticket.run, ticket.claim, START, verdict, RunNext::End);
        let committed = world.store.run_commit(RunCommit { record: seen.clone(), ..commit }).await.unwrap();
        assert_eq!(committed == RunCommitted::Conflict, overtaken, "{verdict:?}");
    }
}

pub(super) async fn a_late_outcome_loses_its_writes_unless_kept(world: &World) {
    wrote(world, [write("a", "1")]).await;
    let seen = reads(world, ["a"]).await;
    wrote(world, [write("a", "2")]).await;
    let fresh = reads(world, ["a"]).await;
    let late = START.plus_ms(1_001);
    for (keep_late, record, stored) in [(false, seen.clone(), "2"), (true, fresh, "late")] {
        let Accepted::Stored { reply: Some(ticket), .. } = world.stored(world.accept_reply(1_000, Some(30_000))).await
        else {
            panic!("the accept claims the reply run")
        };
        let commit = world.commit(ticket.run, ticket.claim, late, Verdict::Done, RunNext::End);
        let state = writes([write("a", "late")]);
        let commit = RunCommit { reply: Some(told(200, "too late")), record, state, keep_late, ..commit };
        if keep_late {
            let overtaken = RunCommit { record: seen.clone(), ..commit.clone() };
            assert_eq!(world.store.run_commit(overtaken).await.unwrap(), RunCommitted::Conflict);
        }
        let committed = world.store.run_commit(commit).await.expect("a commit succeeds");
        assert!(matches!(committed, RunCommitted::Stored { verdict: Verdict::Late, .. }), "{committed:?}");
        assert_eq!(value(world, "a").await.as_deref(), Some(stored));
    }
}

pub(super) async fn a_plugin_holds_no_more_than_it_may(world: &World) {
    wrote(world, [write("a", "123"), write("b", "123")]).await;
    let of = |list: Vec<StateWrite>, keys_max, bytes_max| StateWrites { writes: list, keys_max, bytes_max };
    let ticket = run(world).await;
    for refused in [
        of(vec![write("c", "")], 2, 100),
        of(vec![write("a", "1234")], 9, 8),
        of(vec![write("c", "12"), write("a", "1")], 9, 8),
    ] {
        assert_eq!(
            commit(world, &ticket, Record::default(), refused.clone()).await,
            RunCommitted::Conflict,
            "{refused:?}"
        );
    }
    assert_eq!(total(world, world.home.tenant, world.home.plugin).await, StateUse { keys: 2, bytes: 8 });
    let less = of(vec![write("a", "12"), removal("none")], 0, 0);
    assert!(matches!(commit(world, &ticket, Record::default(), less).await, RunCommitted::Stored { .. }));
    let keys = ["a", "none"].map(str::to_owned).to_vec();
    let room = world.store.state_room(world.home.tenant, world.home.plugin, keys).await.expect("room is read");
    assert_eq!((room.total, room.held), (StateUse { keys: 2, bytes: 7 }, vec![Some(3), None]));
    assert!(room.host_bytes > 0);
}

pub(super) async fn people_see_and_remove_what_is_remembered(world: &World) {
    wrote(world, [write("", "0"), write("call/1", "11"), write("call/2", "222"), write("calls", "3"), write("x", "4")])
        .await;
    let list = async |prefix: &str, after: Option<&str>, limit| {
        let filter = StateFilter { prefix: prefix.to_owned(), after: after.map(str::to_owned), limit };
        world.store.state_list(world.home.tenant, world.home.plugin, filter).await.expect("keys are listed")
    };
    let keys = |rows: Vec<StateKey>| rows.into_iter().map(|row| row.key).collect::<Vec<_>>();
    assert_eq!(list("call/", None, 1).await, [StateKey { key: "call/1".into(), version: 1, value_bytes: 2 }]);
    assert_eq!(keys(list("call/", Some("call/1"), 9).await), ["call/2"]);
    assert_eq!(keys(list("call/", Some("a"), 9).await), ["call/1", "call/2"]);
    assert_eq!(keys(list("", None, 2).await), ["", "call/1"]);
    assert_eq!(keys(list("", Some(""), 9).await), ["call/1", "call/2", "calls", "x"]);

    let delete = async |key: Option<&str>| {
        let key = key.map(str::to_owned);
        let done = world.store.state_delete(world.home.tenant, world.home.plugin, key).await.expect("keys are removed");
        (done.removed, done.left)
    };
    let (ticket, seen) = (run(world).await, reads(world, ["x"]).await);
    assert_eq!((delete(Some("x")).await, delete(Some("x")).await), ((1, 4), (0, 4)));
    assert_eq!(commit(world, &ticket, seen, StateWrites::default()).await, RunCommitted::Conflict);
    assert_eq!((delete(None).await, delete(None).await), ((4, 0), (0, 0)));
    assert_eq!(total(world, world.home.tenant, world.home.plugin).await, StateUse::default());
    wrote(world, [write("x", "5")]).await;
    assert!(read(world, "x").await.is_some_and(|found| found.version > 2), "versions go on");
}

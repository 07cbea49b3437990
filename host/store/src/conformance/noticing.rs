//! Stories of notices: what a tenant is told about its own things, once, and never about a notice.

use creel_webhook::breaker::FAILURES_MAX;
use creel_webhook::clock::Timestamp;
use creel_webhook::delivery::{Answer, DestinationChange, Next};
use creel_webhook::destination::Destination;
use creel_webhook::id::DestinationId;
use creel_webhook::notice::{Fact, NO_EVENT, NO_RUN, Notices, WINDOW_MS};
use creel_webhook::run::{RunNext, Verdict};
use serde_json::Value;

use crate::conformance::world::{START, World};
use crate::contract::{DeliveryClaim, DeliveryCommit, StoreError};

const HOUR_MS: u64 = 60 * 60 * 1_000;

/// The tenant's notices go to a destination of their own.
async fn told(world: &World) -> DestinationId {
    let destination = world.id();
    let spec = serde_json::json!({"name": "ops", "url": "https://ops.example/"});
    let spec = serde_json::from_value(spec).expect("a spec");
    let row =
        Destination { id: destination, tenant: world.home.tenant, paused: None, lacks: None, disabled: None, spec };
    world.store.destination_put(row).await.unwrap();
    name(world, destination).await.unwrap();
    destination
}

async fn name(world: &World, destination: DestinationId) -> Result<(), StoreError> {
    let tenant = world.home.tenant;
    world.store.notices_put(Notices { tenant, destination, refusals_percent: 20, refusals_min: 20 }).await
}

/// What waits to be sent, notices and others.
async fn waiting(world: &World, now: Timestamp) -> (Vec<(DeliveryClaim, Value)>, Vec<DeliveryClaim>) {
    let (mut notices, mut others) = (Vec::new(), Vec::new());
    for claim in world.send(now, 100).await {
        if claim.run == NO_RUN {
            let body = serde_json::from_slice(claim.body.as_deref().unwrap()).unwrap();
            notices.push((claim, body));
        } else {
            others.push(claim);
        }
    }
    (notices, others)
}

fn kinds(notices: &[(DeliveryClaim, Value)]) -> Vec<&str> {
    notices.iter().map(|(_, body)| body["type"].as_str().unwrap()).collect()
}

/// A run of the home tenant ends without a decision.
async fn fail_run(world: &World, now: Timestamp) {
    world.stored(world.accept(world.home, "x")).await;
    let ticket = world.claim(now, 1).await.remove(0).ticket;
    let commit = world.commit(ticket.run, ticket.claim, now, Verdict::Trap, RunNext::End);
    world.store.run_commit(commit).await.unwrap();
}

async fn fail_call(world: &World, claim: &DeliveryClaim, now: Timestamp, change: Option<DestinationChange>) {
    let next = Next::Dead { reason: "the receiver answered 400".into() };
    let commit = DeliveryCommit { destination: change, ..world.sent(claim, now, 400, next) };
    world.store.delivery_commit(commit).await.unwrap();
}

pub(super) async fn who_names_no_destination_is_told_nothing(world: &World) {
    fail_run(world, START).await;
    world.decide(vec![world.call(None)]).await;
    let claim = world.send(START, 10).await.remove(0);
    fail_call(world, &claim, START, None).await;
    world.store.notice_make(world.home.tenant, Fact::QuotaNear { pending: 8, max: 10 }, START).await.unwrap();
    assert!(world.send(START, 10).await.is_empty());
    assert!(name(world, world.id()).await.is_err(), "of a destination that is not there");
    assert!(matches!(world.store.notices_delete(world.home.tenant).await, Err(StoreError::NotFound(_))));
}

pub(super) async fn what_goes_wrong_is_told_with_it(world: &World) {
    let ops = told(world).await;
    fail_run(world, START).await;
    let (notices, _) = waiting(world, START).await;
    assert_eq!(kinds(&notices), ["creel.run.dead"]);
    let (claim, body) = &notices[0];
    assert_eq!((claim.destination, claim.event, claim.method.as_str()), (ops, NO_EVENT, "POST"));
    assert_eq!((&body["data"]["route"], &body["data"]["plugin"]), (&"r".into(), &"p".into()), "{body}");
    assert_eq!(body["data"]["verdict"], "trap");

    world.decide(vec![world.call(None), world.call(None)]).await;
    let (_, calls) = waiting(world, START).await;
    let change = DestinationChange::Disable { reason: "the receiver answered 410".into() };
    fail_call(world, &calls[0], START, Some(change)).await;
    let (notices, _) = waiting(world, START).await;
    assert_eq!(kinds(&notices), ["creel.delivery.dead", "creel.destination.disabled"]);
    assert_eq!(notices[0].1["data"]["delivery"], calls[0].id.to_string());
    assert_eq!(notices[1].1["data"]["destination"], "crm");
    let pause = Some("tea".to_owned());
    world.store.destination_pause(world.home.tenant, world.home.destination, pause, START).await.unwrap();
    let (notices, _) = waiting(world, START).await;
    assert_eq!(kinds(&notices), ["creel.destination.paused"]);
    assert!(waiting(world, START).await.0.is_empty(), "and each of it once");
}

pub(super) async fn what_was_never_run_is_told_too(world: &World) {
    told(world).await;
    world.stored(world.accept_reply(1_000, None)).await;
    let (notices, _) = waiting(world, START).await;
    assert_eq!(kinds(&notices), ["creel.run.dead"]);
    assert_eq!(notices[0].1["data"]["verdict"], "unanswered");
    assert!(world.claim(START, 10).await.is_empty());
}

pub(super) async fn a_breaker_is_told_when_it_opens_and_when_it_closes(world: &World) {
    told(world).await;
    world.destination(|row| row.spec.concurrency_max = 100).await;
    world.decide((0..60).map(|_| world.call(None)).collect()).await;
    let (_, claims) = waiting(world, START).await;
    for claim in &claims {
        let next = Next::Again { at: START };
        world.store.delivery_commit(world.sent(claim, START, 503, next)).await.unwrap();
    }
    let (notices, _) = waiting(world, START).await;
    assert!(claims.len() > FAILURES_MAX as usize);
    assert_eq!(kinds(&notices), ["creel.destination.breaker_opened"]);
    assert!(notices[0].1["data"]["until"].is_string(), "{}", notices[0].1);
    world.store.delivery_commit(world.sent(&notices[0].0, START, 200, Next::Delivered)).await.unwrap();
    let mut told = Vec::new();
    for second in 0..60 {
        let now = START.plus_ms(20_000 + second * 1_000);
        let (notices, calls) = waiting(world, now).await;
        told.extend(kinds(&notices).into_iter().map(str::to_owned));
        for claim in &calls {
            world.store.delivery_commit(world.sent(claim, now, 200, Next::Delivered)).await.unwrap();
        }
    }
    assert_eq!(told, ["creel.destination.breaker_closed"]);
}

pub(super) async fn the_like_is_told_once_in_a_while_and_then_how_often(world: &World) {
    told(world).await;
    for _ in 0..4 {
        fail_run(world, START).await;
    }
    let (notices, _) = waiting(world, START).await;
    assert_eq!(kinds(&notices), ["creel.run.dead"]);
    assert_eq!(notices[0].1["data"]["suppressed"], 0);
    let later = START.plus_ms(WINDOW_MS - 1);
    fail_run(world, later).await;
    assert!(waiting(world, later).await.0.iter().all(|(claim, _)| claim.id == notices[0].0.id));
    let later = START.plus_ms(WINDOW_MS);
    fail_run(world, later).await;
    let (after, _) = waiting(world, later).await;
    let new: Vec<_> = after.iter().filter(|(claim, _)| claim.id != notices[0].0.id).collect();
    assert_eq!(new.len(), 1);
    assert_eq!(new[0].1["data"]["suppressed"], 4, "three at once and one within the window");
    assert_ne!(new[0].0.key, notices[0].0.key, "receivers take it for another");
}

pub(super) async fn no_notice_is_about_a_notice(world: &World) {
    let ops = told(world).await;
    fail_run(world, START).await;
    let (notices, _) = waiting(world, START).await;
    // It dies, its destination is paused, and its breaker would be news of any other.
    let change = DestinationChange::Pause { reason: "the receiver answered 401".into() };
    fail_call(world, &notices[0].0, START, Some(change)).await;
    world.store.destination_pause(world.home.tenant, ops, None, START).await.unwrap();
    assert!(waiting(world, START).await.0.is_empty());
    for minute in 1..=u64::from(FAILURES_MAX) + 2 {
        let now = START.plus_ms(minute * WINDOW_MS);
        fail_run(world, now).await;
        for (claim, body) in waiting(world, now).await.0 {
            assert_eq!(body["type"], "creel.run.dead");
            let attempt =
                crate::contract::Attempt { answer: Answer::Timeout, ..world.sent(&claim, now, 0, Next::Held).attempt };
            let next = Next::Dead { reason: "no answer".into() };
            let commit = DeliveryCommit { attempt, next, ..world.sent(&claim, now, 0, Next::Held) };
            world.store.delivery_commit(commit).await.unwrap();
        }
    }
    let end = START.plus_ms(HOUR_MS * 24);
    assert!(waiting(world, end).await.0.is_empty(), "nothing is left over and nothing came of it");
    // What dies on its way to the same place and is no notice is told.
    let mut call = world.call(None);
    call.call.destination = ops;
    call.call.due_at = end;
    world.decide(vec![call]).await;
    let (_, calls) = waiting(world, end).await;
    fail_call(world, &calls[0], end, None).await;
    assert_eq!(kinds(&waiting(world, end).await.0), ["creel.delivery.dead"]);
}

pub(super) async fn a_notice_that_has_no_room_is_counted(world: &World) {
    let ops = told(world).await;
    let put = |waiting_max: Option<u32>, disabled: Option<String>| {
        let spec = serde_json::json!({"name": "ops", "url": "https://ops.example/", "waiting_max": waiting_max});
        let spec = serde_json::from_value(spec).expect("a spec");
        let row = Destination { id: ops, tenant: world.home.tenant, paused: None, lacks: None, disabled, spec };
        world.store.destination_put(row)
    };
    put(Some(1), None).await.unwrap();
    let quota = || world.store.notice_make(world.home.tenant, Fact::QuotaNear { pending: 8, max: 10 }, START);
    fail_run(world, START).await;
    quota().await.unwrap();
    put(None, Some("gone".into())).await.unwrap();
    quota().await.unwrap();
    let stats = world.store.stats().await.unwrap();
    assert_eq!(stats.deliveries_pending, 1, "neither into a full queue nor to a disabled destination");
    put(None, None).await.unwrap();
    quota().await.unwrap();
    let (notices, _) = waiting(world, START).await;
    assert_eq!(kinds(&notices), ["creel.run.dead", "creel.tenant.quota_near"]);
    assert_eq!(notices[1].1["data"]["suppressed"], 2);
}

pub(super) async fn the_destination_of_notices_stays(world: &World) {
    let ops = told(world).await;
    let tenant = world.home.tenant;
    let delete = || world.store.destination_delete(tenant, ops);
    assert!(matches!(delete().await, Err(StoreError::Conflict(why)) if why.contains("notices")));
    let control = world.store.control_read().await.unwrap();
    assert_eq!(control.notices.iter().map(|one| (one.tenant, one.destination)).collect::<Vec<_>>(), [(tenant, ops)]);
    let before = world.store.control_version();
    world.store.notices_delete(tenant).await.unwrap();
    assert!(world.store.control_version() > before);
    delete().await.unwrap();
    fail_run(world, START).await;
    assert!(world.send(START, 10).await.is_empty());
}

pub(super) async fn a_silent_source_is_told_once_per_silence(world: &World) {
    told(world).await;
    let watch = |heard_at: Option<Timestamp>, now: Timestamp| {
        world.store.silence_watch(world.home.tenant, world.home.source, heard_at, 2, now)
    };
    let told_at = async |heard_at: Option<Timestamp>, now: Timestamp| {
        watch(heard_at, now).await.unwrap();
        let (notices, _) = waiting(world, now).await;
        for (claim, _) in &notices {
            world.store.delivery_commit(world.sent(claim, now, 200, Next::Delivered)).await.unwrap();
        }
        notices.into_iter().map(|(_, body)| body["data"]["since"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(told_at(None, START).await.is_empty(), "the watch begins");
    let after = |ms: u64| START.plus_ms(ms);
    assert!(told_at(None, after(2 * HOUR_MS - 1)).await.is_empty());
    assert_eq!(told_at(None, after(2 * HOUR_MS)).await, [START.to_string()]);
    assert!(told_at(None, after(9 * HOUR_MS)).await.is_empty(), "once per silence");
    assert!(told_at(Some(after(9 * HOUR_MS)), after(9 * HOUR_MS)).await.is_empty());
    // What was heard is remembered, and an older word of it changes nothing.
    assert!(told_at(Some(after(HOUR_MS)), after(10 * HOUR_MS)).await.is_empty());
    assert_eq!(told_at(None, after(11 * HOUR_MS)).await, [after(9 * HOUR_MS).to_string()]);
}

pub(super) async fn notices_go_with_the_records_of_their_time(world: &World) {
    told(world).await;
    fail_run(world, START).await;
    let (notices, _) = waiting(world, START).await;
    let late = START.plus_ms(40 * 24 * HOUR_MS);
    let read = || world.store.delivery_read(world.home.tenant, notices[0].0.id);
    let prune = async |now: Timestamp| while world.store.prune(now).await.unwrap() {};
    prune(late).await;
    assert!(read().await.unwrap().is_some(), "one that waits stays");
    let claim = world.send(late, 100).await.remove(0);
    world.store.delivery_commit(world.sent(&claim, late, 200, Next::Delivered)).await.unwrap();
    prune(late.plus_ms(HOUR_MS)).await;
    assert!(read().await.unwrap().is_none());
    assert_eq!(world.store.stats().await.unwrap().deliveries_pending, 0);
}

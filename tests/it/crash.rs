//! The program itself, under load, is killed with `kill -9` at any moment and started again on the same directory.
//!
//! Senders do as providers do: they send until they are told 2xx, whatever dies meanwhile. At the end three accounts
//! are held against each other: what senders were told, what the database holds, and what the receiver saw.
//! `CREEL_LONG=1` kills 25 times instead of 5.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use creel_server::api::{EventLine, List, RunView};
use creel_store::contract::{DeliveryState, EventFilter, Store, Story};
use creel_store::sqlite::{Options, SqliteStore};
use creel_webhook::id::TenantId;
use creel_webhook::run::Verdict;
use serde_json::json;
use tokio::sync::watch;

use crate::harness::guests::guest;
use crate::harness::host::client;
use crate::harness::process::{Place, Process};
use crate::harness::receiver::{Arrived, Receiver};
use crate::harness::sender::Webhook;
use crate::harness::tenant::Tenant;
use crate::harness::wait::until;

const SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS1vcmRlcnMtMDAwMDE=";

/// Senders at the same time.
const SENDERS: u64 = 8;

/// Most acknowledgements between two kills.
const ACKNOWLEDGED_MAX: u64 = 60;

/// What all senders share.
struct Load {
    /// Where the host is now.
    ingress: watch::Receiver<SocketAddr>,
    path: String,
    acknowledged: watch::Sender<u64>,
    over: AtomicBool,
}

/// One sender: one message after the other, each until it is acknowledged. Gives the ids.
async fn send(load: Arc<Load>, number: u64) -> Vec<String> {
    let (http, mut told) = (client(), Vec::new());
    let mut ingress = load.ingress.clone();
    while !load.over.load(Ordering::SeqCst) {
        let id = format!("msg_{number}_{}", told.len());
        let order = Webhook::json("standard-webhooks", SECRET, &id, r#"{"type":"order.paid"}"#);
        loop {
            let url = format!("http://{}{}", *ingress.borrow_and_update(), load.path);
            match order.request(&http, &url).send().await {
                Ok(answer) if answer.status().is_success() => break,
                Ok(answer) => panic!("{id} was told {}", answer.status()),
                // The host died: nobody knows what became of it, so it is sent again to the next.
                Err(_) => ingress.changed().await.expect("a host comes back"),
            }
        }
        told.push(id);
        load.acknowledged.send_modify(|count| *count += 1);
    }
    told
}

async fn shop(host: &Process, receiver: &Receiver) -> (Tenant, String) {
    let tenant = Tenant::make_over(&host.api, "shop").await;
    let source = tenant.source("orders", "standard-webhooks", SECRET).await;
    let waits: Vec<u64> = std::iter::once(0).chain([50; 9]).collect();
    let destination = json!({ "url": receiver.url(""), "kind": "webhook", "retry_ms": waits });
    tenant.destination("receiver", destination).await;
    (tenant, source)
}

/// A number from the system's entropy; printed, so that a failure tells it.
fn chance(below: u64) -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("the system has entropy");
    u64::from_le_bytes(bytes) % below
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_however_often_the_host_is_killed() {
    let kills = if std::env::var_os("CREEL_LONG").is_some() { 25 } else { 5 };
    let receiver = Receiver::start().await;
    let place = Place::new(&receiver).await;
    let host = place.start(&[], &[]).await;
    let (tenant, path) = shop(&host, &receiver).await;
    tenant.deploy("echo", "echo", json!({ "calls": "2" })).await;
    tenant.route("orders", "echo").await;

    let (host, told) = killed_under_load(&place, host, path, kills).await;
    let tenant = tenant.over(&host.api);
    settled(&tenant).await;
    host.kill().await;
    judge(&place, &told, &receiver.arrived()).await;
    println!("{} messages were acknowledged, {} calls arrived", told.len(), receiver.arrived().len());
}

/// Kills a host so often while senders send; gives the one that lives, and what the senders were told is stored.
async fn killed_under_load(place: &Place, mut host: Process, path: String, kills: u64) -> (Process, BTreeSet<String>) {
    let (moved, ingress) = watch::channel(host.ingress);
    let (acknowledged, mut count) = watch::channel(0);
    let load = Arc::new(Load { ingress, path, acknowledged, over: AtomicBool::new(false) });
    let senders: Vec<_> = (0..SENDERS).map(|number| tokio::spawn(send(load.clone(), number))).collect();
    for kill in 1..=kills {
        let more = 1 + chance(ACKNOWLEDGED_MAX);
        let at = *count.borrow_and_update() + more;
        count.wait_for(|count| *count >= at).await.expect("senders send");
        println!("kill {kill} after {more} more acknowledgements");
        host.kill().await;
        host = place.start(&[], &[]).await;
        moved.send_replace(host.ingress);
    }
    load.over.store(true, Ordering::SeqCst);
    let mut told = BTreeSet::new();
    for sender in senders {
        told.extend(sender.await.expect("no sender is told anything but 2xx"));
    }
    (host, told)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plugin_remembers_is_stored_with_its_decision_or_not_at_all() {
    // Runs of one plugin wait for each other while they are claimed, and what five kills in a row found claimed may end
    // dead, with that reason.
    let kills = 3;
    let receiver = Receiver::start().await;
    let place = Place::new(&receiver).await;
    let host = place.start(&[], &[]).await;
    let (tenant, path) = shop(&host, &receiver).await;
    tenant.deploy_with("counter", guest("remembers"), json!({}), json!({ "state": true })).await;
    tenant.route("orders", "counter").await;
    let (host, told) = killed_under_load(&place, host, path, kills).await;
    settled(&tenant.over(&host.api)).await;
    host.kill().await;

    let store = SqliteStore::open(place.database(), Options::default()).expect("the database opens");
    let control = store.control_read().await.unwrap();
    let (tenant, plugin) = (control.tenants[0].id, control.plugins[0].id);
    let mut seen = Vec::new();
    for story in stories(&store).await.into_values().flatten() {
        let [run] = &story.runs[..] else { panic!("one run each: {story:#?}") };
        assert_eq!(run.verdict, Some(Verdict::Done));
        let record = store.run_record_read(tenant, run.id).await.unwrap().expect("it read something");
        seen.push(record.state()[0].found.as_ref().map_or(0, |found| count_in(&found.value)));
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..told.len() as u64).collect::<Vec<_>>(), "each decision saw all before it, and no more");
    let kept = store.state_read(tenant, plugin, "runs").await.unwrap().expect("a count");
    assert_eq!(count_in(&kept.value), told.len() as u64, "as many decisions as were remembered");
    store.close().await.unwrap();
}

fn count_in(value: &[u8]) -> u64 {
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).expect("a count")
}

/// Waits until every run is decided and every call has ended.
async fn settled(tenant: &Tenant) {
    let pending = || async {
        let mut pending = tenant.api.list(&tenant.path("deliveries?state=pending&limit=200")).await.len();
        let mut before = String::new();
        loop {
            let page: List<EventLine> = tenant.api.get(&tenant.path(&format!("events?limit=200{before}"))).await;
            pending += page.items.iter().map(|event| event.pending as usize).sum::<usize>();
            match page.items.last() {
                Some(last) => before = format!("&before={}", last.id),
                None => return pending,
            }
        }
    };
    until("everything's end", pending, |pending| *pending == 0).await;
}

/// Every event of the only tenant, by the provider's id.
async fn stories(store: &dyn Store) -> BTreeMap<String, Vec<Story>> {
    let tenant: TenantId = store.control_read().await.unwrap().tenants[0].id;
    let mut stories = BTreeMap::<String, Vec<Story>>::new();
    let mut filter = EventFilter { limit: 500, ..EventFilter::default() };
    loop {
        let page = store.event_list(tenant, filter.clone()).await.unwrap();
        for event in &page.events {
            let story = store.event_story(tenant, event.id).await.unwrap().expect("a listed event has a story");
            stories.entry(event.provider_id.clone().expect("an id")).or_default().push(story);
        }
        filter.before = page.next;
        if filter.before.is_none() {
            return stories;
        }
    }
}

/// What senders were told, what the database holds, what the receiver saw.
async fn judge(place: &Place, told: &BTreeSet<String>, arrived: &[Arrived]) {
    let store = SqliteStore::open(place.database(), Options::default()).expect("the database opens");
    let stories = stories(&store).await;
    let stored: BTreeSet<String> = stories.keys().cloned().collect();
    assert_eq!(told - &stored, BTreeSet::new(), "acknowledged and not there");
    assert_eq!(&stored - told, BTreeSet::new(), "there, and nobody sent it");
    let mut keys = BTreeMap::new();
    for call in arrived {
        let event = call.header("x-event-id").to_owned();
        let index: u32 = call.header("x-call-index").parse().expect("a number");
        assert_eq!(call.header("webhook-id"), call.header("idempotency-key"));
        let key = call.header("webhook-id").to_owned();
        assert_eq!(keys.entry((event, index)).or_insert_with(|| key.clone()), &key, "one call under two keys");
    }
    let mut decided = 0;
    for (id, same) in &stories {
        assert_eq!(same.len(), 1, "{id} is stored more than once");
        let story = &same[0];
        let verdicts: Vec<_> = story.runs.iter().map(|run| (run.verdict, run.ended_at.is_some())).collect();
        assert_eq!(verdicts, [(Some(Verdict::Done), true)], "{id}: one decision");
        let calls: Vec<_> = story.deliveries.iter().map(|call| call.index).collect();
        assert_eq!(calls, [0, 1], "{id}: both its calls");
        for call in &story.deliveries {
            let seen = keys.get(&(story.event.id.to_string(), call.index));
            assert_eq!(call.state, DeliveryState::Delivered, "{id}");
            assert_eq!(seen, Some(&call.key), "{id}: delivered, and what arrived");
            decided += 1;
        }
    }
    assert_eq!(keys.len(), decided, "nothing arrived that was not decided");
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_host_held_is_claimed_at_once() {
    let receiver = Receiver::start().await;
    let place = Place::new(&receiver).await;
    let host = place.start(&[], &[("CREEL_RUNTIME_FUEL_MAX", "100000000000")]).await;
    let (tenant, path) = shop(&host, &receiver).await;
    tenant.deploy("echo", "echo", json!({})).await;
    tenant.route("orders", "echo").await;
    tenant.deploy("late", "late", json!({ "iterations": "600000000" })).await;
    tenant.route("orders", "late").await;

    // Calls whose receiver says nothing, and runs that take their time.
    receiver.silent(true);
    let (http, url) = (client(), format!("http://{}{path}", host.ingress));
    for number in 0..4 {
        let order = Webhook::json("standard-webhooks", SECRET, &format!("msg_{number}"), r#"{"type":"order.paid"}"#);
        assert_eq!(order.request(&http, &url).send().await.unwrap().status(), 200);
    }
    receiver.arrivals(4).await;
    let held = |runs: &[RunView]| runs.iter().any(|run| run.claims == 1 && run.ended_at.is_none());
    let runs = || async { tenant.api.get::<List<RunView>>(&tenant.path("runs?limit=200")).await.items };
    until("a run's claim", runs, |runs| held(runs)).await;
    host.kill().await;
    receiver.silent(false);

    // Leases last for minutes; `settled` does not wait for as long as one.
    let host = place.start(&[], &[("CREEL_RUNTIME_FUEL_MAX", "100000000000")]).await;
    let tenant = tenant.over(&host.api);
    settled(&tenant).await;
    let runs = tenant.api.get::<List<RunView>>(&tenant.path("runs?limit=200")).await.items;
    assert_eq!(runs.len(), 8);
    assert!(runs.iter().all(|run| run.verdict == Some(Verdict::Done)), "{runs:#?}");
    assert!(runs.iter().any(|run| run.claims == 2 && run.attempts == 1), "one was cut off: {runs:#?}");
    host.kill().await;
}

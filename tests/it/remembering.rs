//! What plugins remember: exact under two hundred runs at once, written with the outcome or not at all, nobody else's
//! to see, limited, denied with what to grant, read again in a rehearsal, looked at and removed by people.

use creel_server::api::RunView;
use creel_server::api::rehearsed::Rehearsed;
use creel_server::api::remembered::{StateRemovedView, StateView};
use creel_webhook::run::Verdict;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::command::creel;
use crate::harness::guests::guest;
use crate::harness::host::Host;
use crate::harness::sender::Webhook;
use crate::harness::tenant::Tenant;
use crate::harness::wait::until;

const SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS1vcmRlcnMtMDAwMDE=";

/// Events that come at once.
const CROWD: usize = 200;

/// The fixture with leave to remember, on a source of its tenant.
async fn counts(tenant: &Tenant, plugin: &str, config: Value) -> Value {
    tenant.deploy_with(plugin, guest("remembers"), config, json!({ "state": true })).await
}

async fn send(host: &Host, source: &str, id: usize) {
    let body = json!({ "type": "order.paid", "customer": format!("customer-{}", id % 3) }).to_string();
    let order = Webhook::json("standard-webhooks", SECRET, &format!("msg_{id}"), body);
    assert_eq!(host.send(source, &order).await.status, 200);
}

/// A tenant whose orders the plugin `counter` counts.
async fn shop(host: &Host, name: &str, config: Value) -> (Tenant, String) {
    let tenant = host.tenant(name).await;
    let source = tenant.source("orders", "standard-webhooks", SECRET).await;
    counts(&tenant, "counter", config).await;
    tenant.route("orders", "counter").await;
    (tenant, source)
}

async fn value(tenant: &Tenant, plugin: &str, key: &str) -> Option<String> {
    let path = tenant.path(&format!("plugins/{plugin}/state/value?key={key}"));
    let (status, text) = tenant.api.ask(Method::GET, &path, None).await;
    assert!(status == 200 || status == 404, "{status} {text}");
    (status == 200).then_some(text)
}

async fn state(tenant: &Tenant, plugin: &str) -> StateView {
    tenant.api.get(&tenant.path(&format!("plugins/{plugin}/state"))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_runs_at_once_count_exactly() {
    let host = Host::open().await;
    for (name, identity) in [("side-by-side", json!({})), ("in-line", json!({ "order": "json:/customer" }))] {
        let tenant = host.tenant(name).await;
        let source = tenant.source_with("orders", "standard-webhooks", SECRET, json!({ "identity": identity })).await;
        counts(&tenant, "counter", json!({})).await;
        tenant.route("orders", "counter").await;
        // They wait until all are there, so that they run as much at once as a host lets them.
        tenant.api.post(&tenant.path("routes/orders-counter/pause"), json!({})).await;
        join_all((0..CROWD).map(|id| send(&host, &source, id))).await;
        tenant.api.post(&tenant.path("routes/orders-counter/resume"), json!({})).await;
        let pending = || async { host.store().stats().await.unwrap().runs_pending };
        until("the end of all runs", pending, |pending| *pending == 0).await;
        let stories = tenant.stories(CROWD).await;
        for run in stories.iter().flat_map(|story| &story.runs) {
            assert_eq!((run.verdict, run.attempts), (Some(Verdict::Done), 1), "no counter of tries moves: {run:#?}");
        }
        assert_eq!(value(&tenant, "counter", "runs").await.as_deref(), Some("200"), "{name}");
        let mut seen: Vec<u64> = stories.iter().flat_map(|story| &story.runs).map(before).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..CROWD as u64).collect::<Vec<_>>(), "each saw another count: {name}");
    }
    host.finish().await;
}

/// What a run read, as its record says.
fn before(run: &RunView) -> u64 {
    let [read] = &run.state[..] else { panic!("one key was read: {run:#?}") };
    read.value.as_deref().map_or(0, |value| value.parse().expect("a count"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_stays_only_with_an_outcome_and_nobody_else_sees_it() {
    let host = Host::open().await;
    let (tenant, source) = shop(&host, "shop", json!({})).await;
    counts(&tenant, "sibling", json!({ "key": "own" })).await;
    tenant.route("orders", "sibling").await;
    let (other, _) = shop(&host, "other", json!({})).await;
    send(&host, &source, 1).await;
    tenant.settled().await;
    assert_eq!(value(&tenant, "counter", "runs").await.as_deref(), Some("1"));
    let keys = state(&tenant, "sibling").await.items;
    assert_eq!(keys.iter().map(|key| key.key.as_str()).collect::<Vec<_>>(), ["own"], "another plugin's");
    assert_eq!(state(&other, "counter").await.keys, 0, "another tenant's");
    let foreign = tenant.path("plugins/counter/state");
    assert_eq!(other.api.ask(Method::GET, &foreign, None).await.0, 404);
    assert_eq!(other.api.ask(Method::DELETE, &format!("{foreign}?all=true"), None).await.0, 404);

    counts(&tenant, "counter", json!({ "reject": "true" })).await;
    send(&host, &source, 2).await;
    tenant.settled().await;
    assert_eq!(value(&tenant, "counter", "runs").await.as_deref(), Some("1"), "a rejection writes nothing");
    counts(&tenant, "counter", json!({})).await;
    send(&host, &source, 3).await;
    tenant.settled().await;
    assert_eq!(value(&tenant, "counter", "runs").await.as_deref(), Some("2"));
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_not_granted_it_is_told_what_to_grant_and_where() {
    let host = Host::open().await;
    let (tenant, source) = shop(&host, "shop", json!({})).await;
    let denied = tenant.deploy_with("counter", guest("remembers"), json!({}), json!({})).await;
    let warnings = denied["resource"]["warnings"].to_string();
    assert!(warnings.contains("creel:plugin/state") && warnings.contains("`state = true`"), "{denied}");
    send(&host, &source, 1).await;
    let run = tenant.decided().await;
    let reason = run.reason.as_deref().unwrap_or_default();
    assert_eq!(run.verdict, Some(Verdict::Rejected));
    assert!(reason.contains("`grants = { state = true }`") && reason.contains("`creel apply`"), "{reason}");
    assert!(run.state.is_empty(), "a refusal is no read");
    let granted = counts(&tenant, "counter", json!({})).await;
    assert!(granted["resource"].get("warnings").is_none(), "{granted}");
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_named_by_what_it_refuses() {
    let host = Host::open().await;
    let limits = json!({ "state_bytes_max": 4_096, "state_keys_per_run_max": 4 });
    let tenant = Tenant::make_within(&host.api, "shop", limits).await;
    let source = tenant.source("orders", "standard-webhooks", SECRET).await;
    counts(&tenant, "counter", json!({})).await;
    tenant.route("orders", "counter").await;
    let mut id = 0;
    for (config, says) in [
        (json!({ "value-bytes": "65537" }), Some("`state.value_bytes_max`")),
        (json!({ "value-bytes": "4096" }), Some("`state.bytes_max`")),
        (json!({ "reads": "4" }), Some("`state.keys_per_run_max`")),
        (json!({ "key": "k".repeat(513) }), Some("`state.key_bytes_max`")),
        (json!({ "value-bytes": "4000", "reads": "3" }), None),
        // What takes the place of as much is no more.
        (json!({ "value-bytes": "4000" }), None),
        (json!({ "value-bytes": "4095" }), Some("`state.bytes_max`")),
    ] {
        counts(&tenant, "counter", config.clone()).await;
        id += 1;
        send(&host, &source, id).await;
        let run = tenant.decided().await;
        match says {
            Some(says) => {
                let reason = run.reason.as_deref().unwrap_or_default();
                assert!(reason.contains("over its limit") && reason.contains(says), "{config}: {reason}");
            }
            None => assert_eq!(run.verdict, Some(Verdict::Done), "{config}: {run:#?}"),
        }
    }
    assert_eq!(value(&tenant, "counter", "runs").await.as_deref(), Some("2"), "whoever was refused wrote nothing");
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_reads_what_the_run_read() {
    let host = Host::open().await;
    let (tenant, source) = shop(&host, "shop", json!({})).await;
    for id in 1..=3 {
        send(&host, &source, id).await;
        tenant.settled().await;
    }
    let stories = tenant.stories(3).await;
    let (event, run) = (stories[1].event.id.to_string(), &stories[1].runs[0]);
    assert_eq!(before(run), 1);
    let told = creel(&tenant, &["event", &event]).await;
    assert!(told.out.contains("remembered runs: 1"), "{told:?}");
    let said = creel(&tenant, &["--json", "event", &event]).await.json();
    assert_eq!(said["runs"][0]["state"][0]["key"], "runs");

    let rehearse = async |path: String| {
        let mut done: Rehearsed = tenant.api.done(Method::POST, &tenant.path(&path), None).await;
        done.runs.remove(0)
    };
    let again = rehearse(format!("runs/{}/replay?dry_run=true", run.id)).await;
    assert_eq!((again.same, again.missing.len()), (Some(true), 0), "{again:#?}");
    assert_eq!(again.usage.fuel, run.usage.fuel, "it ran as it did then");
    assert_eq!(again.writes[0].key, "runs");
    assert_eq!(value(&tenant, "counter", "runs").await.as_deref(), Some("3"), "and wrote nothing");

    // Another deployment asks for what nobody read then: it sees what is there now, and that is told.
    let other = counts(&tenant, "counter", json!({ "key": "other" })).await;
    let number = &other["resource"]["number"];
    let differs = rehearse(format!("events/{event}/replay?dry_run=true&deployment={number}")).await;
    assert_eq!(differs.missing, ["state \"other\", answered from what is committed now"]);
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_look_at_it_and_remove_it() {
    let host = Host::open().await;
    let (tenant, source) = shop(&host, "shop", json!({ "value-bytes": "10" })).await;
    send(&host, &source, 1).await;
    tenant.settled().await;
    let seen = state(&tenant, "counter").await;
    assert_eq!((seen.keys, seen.bytes, seen.items.len(), seen.next), (2, 20, 2, None));
    let page: StateView = tenant.api.get(&tenant.path("plugins/counter/state?limit=1")).await;
    assert_eq!(
        (page.items[0].key.as_str(), page.items[0].value_bytes, page.next.as_deref()),
        ("large", 10, Some("large"))
    );
    let page: StateView = tenant.api.get(&tenant.path("plugins/counter/state?prefix=r&after=large")).await;
    assert_eq!(page.items.iter().map(|key| key.key.as_str()).collect::<Vec<_>>(), ["runs"]);

    let told = creel(&tenant, &["state", "counter"]).await;
    assert!(told.out.contains("large") && told.out.contains("2 keys, 20 bytes"), "{told:?}");
    assert_eq!(creel(&tenant, &["state", "counter", "runs"]).await.out, "1");
    assert_eq!(value(&tenant, "counter", "nothing").await, None);
    let (status, problem) = tenant.api.ask(Method::DELETE, &tenant.path("plugins/counter/state"), None).await;
    assert!(status == 400 || status == 422, "{status} {problem}");

    let told = creel(&tenant, &["state", "counter", "large", "--delete"]).await;
    assert!(told.out.contains("removed 1 key of counter; it holds 1"), "{told:?}");
    let told = creel(&tenant, &["--json", "state", "counter", "--delete", "--yes"]).await.json();
    let removed: StateRemovedView = serde_json::from_value(told).unwrap();
    assert_eq!((removed.removed, removed.left), (1, 0));
    assert_eq!(state(&tenant, "counter").await.bytes, 0);
    host.finish().await;
}

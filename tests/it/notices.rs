//! What the host tells a tenant about its own things: signed, once in a while, never about itself, and nothing of what
//! anybody wrote.

use std::sync::Arc;

use creel_server::cli::apply::{Options, Planned, apply_file};
use creel_server::cli::client::Client;
use creel_server::system::SystemClock;
use creel_store::contract::DeliveryState;
use creel_webhook::breaker::{FAILURES_MAX, OPEN_MS_MIN};
use creel_webhook::clock::{Clock as _, ManualClock};
use creel_webhook::notice::WINDOW_MS;
use creel_webhook::quota::renewed_at;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::host::{Home, Host};
use crate::harness::receiver::{Arrived, Receiver};
use crate::harness::sender::Webhook;
use crate::harness::tenant::Tenant;
use crate::harness::wait::until;

const SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS1vcmRlcnMtMDAwMDE=";
const OPS_SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS1ub3RpY2VzLTAwMDE=";

/// What no notice may hold.
const PRIVATE: &str = "own words of a patient";

/// A shop whose orders go to `/crm` and whose notices go to `/ops`.
struct Shop {
    host: Host,
    clock: Arc<ManualClock>,
    tenant: Tenant,
    source: String,
}

impl Shop {
    async fn open(fixture: &str, config: Value) -> Shop {
        Shop::with(fixture, config, |_| {}).await
    }

    async fn with(fixture: &str, config: Value, change: fn(&mut creel_server::config::Config)) -> Shop {
        let clock = Arc::new(ManualClock::new(SystemClock::new().now()));
        let home = Home::new(change).with_clock(clock.clone());
        let host = home.serve(Arc::new(Receiver::start().await)).await;
        let tenant = host.tenant("shop").await;
        tenant.secret_for("ops", OPS_SECRET, &host.receiver.url("")).await;
        let source =
            tenant.source_with("orders", "standard-webhooks", SECRET, json!({ "silent_after_hours": 2 })).await;
        let shop = Shop { host, clock, tenant, source };
        shop.destination("receiver", "/crm", json!({ "kind": "webhook", "retry_ms": [0] })).await;
        shop.destination("ops", "/ops", ops()).await;
        shop.tenant.api.put(&shop.tenant.path("notices"), json!({ "destination": "ops" })).await;
        shop.tenant.deploy("orders", fixture, config).await;
        shop.tenant.route("orders", "orders").await;
        shop
    }

    async fn destination(&self, name: &str, path: &str, mut document: Value) {
        document["url"] = self.host.receiver.url(path).into();
        self.tenant.destination(name, document).await;
    }

    async fn order(&self, id: &str) {
        let body = json!({ "type": "order.paid", "said": PRIVATE }).to_string();
        let order = Webhook::json("standard-webhooks", SECRET, id, body);
        assert_eq!(self.host.send(&self.source, &order).await.status, 200);
    }

    /// More requests that are not genuine than somebody who tries something out.
    async fn forge(&self) {
        for number in 0..21 {
            let forged = Webhook::json("standard-webhooks", OPS_SECRET, &format!("forged_{number}"), "{}");
            assert_eq!(self.host.send(&self.source, &forged).await.status, 401);
        }
    }

    fn arrived(&self) -> Vec<Arrived> {
        let is_notice = |one: &Arrived| one.request.path == "/ops";
        self.host.receiver.arrived().into_iter().filter(is_notice).collect()
    }

    /// The notices so far, once there are so many; each is genuine and holds nothing that anybody wrote.
    async fn notices(&self, count: usize) -> Vec<Value> {
        let arrived = until("the notices", || async { self.arrived() }, |arrived| arrived.len() >= count).await;
        assert_eq!(arrived.len(), count, "{arrived:#?}");
        arrived.iter().map(read).collect()
    }

    async fn told(&self, types: &[&str]) -> Value {
        let notices = self.notices(types.len()).await;
        assert_eq!(notices.iter().map(|one| one["type"].as_str().unwrap()).collect::<Vec<_>>(), types);
        let last = notices.into_iter().last().unwrap_or_default();
        let link = last["data"]["link"].as_str().unwrap_or_default();
        let (status, text) = self.tenant.api.ask(Method::GET, link, None).await;
        assert_eq!(status, 200, "{link}: {text}");
        last
    }

    async fn state(&self, state: &str, count: usize) -> Vec<Value> {
        let path = self.tenant.path(&format!("deliveries?limit=200&state={state}"));
        until(state, || self.tenant.api.list(&path), |all| all.len() == count).await
    }
}

/// A destination for notices.
fn ops() -> Value {
    let signing = json!({ "type": "standard_webhooks", "secret": "ops" });
    json!({ "kind": "webhook", "retry_ms": [0], "signing": signing })
}

fn read(arrived: &Arrived) -> Value {
    arrived.verified(OPS_SECRET).expect("a notice is signed");
    assert!(arrived.verified(SECRET).is_err());
    assert_eq!(arrived.header("content-type"), "application/json");
    let text = std::str::from_utf8(&arrived.request.body).unwrap();
    for private in [PRIVATE, SECRET, OPS_SECRET, "the fixture", "order.paid"] {
        assert!(!text.contains(private), "{text}");
    }
    serde_json::from_str(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_run_is_told_signed_and_without_what_anybody_wrote() {
    let shop = Shop::open("panics", json!({ "message": PRIVATE })).await;
    shop.order("msg_1").await;
    let run = shop.tenant.decided().await;
    let notice = shop.told(&["creel.run.dead"]).await;
    let data = &notice["data"];
    assert_eq!((&data["run"], &data["event"]), (&json!(run.id.to_string()), &json!(run.event.to_string())));
    let named = ["tenant", "route", "plugin", "verdict"].map(|field| data[field].as_str().unwrap_or_default());
    assert_eq!(named, ["shop", "orders-orders", "orders", "trap"]);

    // It is a call like any other, of no event.
    let call = shop.state("delivered", 1).await.remove(0);
    assert_eq!((&call["event"], &call["run"]), (&Value::Null, &Value::Null));
    assert_eq!(call["key"], shop.arrived()[0].header("webhook-id"));

    // The like of it is not told again for a while, and then how often it was.
    let again = shop.tenant.path(&format!("runs/{}/replay", run.id));
    for _ in 0..3 {
        shop.tenant.api.post(&again, json!({})).await;
        shop.tenant.settled().await;
    }
    assert_eq!(shop.arrived().len(), 1);
    shop.clock.advance_ms(WINDOW_MS);
    shop.tenant.api.post(&again, json!({})).await;
    assert_eq!(shop.notices(2).await[1]["data"]["suppressed"], 3);
    shop.tenant.settled().await;
    shop.state("delivered", 2).await;
    shop.host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_becomes_of_a_destination_is_told() {
    let shop = Shop::open("echo", json!({})).await;
    shop.host.receiver.answer("/crm", 400, &[], PRIVATE);
    shop.order("msg_1").await;
    let notice = shop.told(&["creel.delivery.dead"]).await;
    let call = shop.tenant.delivered().await;
    assert_eq!((&notice["data"]["delivery"], &notice["data"]["destination"]), (&json!(call.id), &json!("receiver")));
    assert_eq!(notice["data"]["reason"], "the receiver answered 400");

    // One death and one end of a destination; the second death is counted.
    shop.host.receiver.answer("/crm", 410, &[], PRIVATE);
    shop.order("msg_2").await;
    let notice = shop.told(&["creel.delivery.dead", "creel.destination.disabled"]).await;
    assert_eq!(notice["data"]["reason"], "the receiver answered 410");
    shop.tenant.settled().await;

    let path = shop.tenant.path("destinations/receiver");
    shop.tenant.api.post(&format!("{path}/resume"), json!({})).await;
    shop.destination("receiver", "/crm", json!({ "kind": "api", "retry_ms": [0] })).await;
    shop.host.receiver.answer("/crm", 401, &[], PRIVATE);
    shop.order("msg_3").await;
    let types = ["creel.delivery.dead", "creel.destination.disabled", "creel.destination.paused"];
    assert_eq!(shop.told(&types).await["data"]["reason"], "the receiver refused the credential with 401");
    shop.tenant.api.post(&format!("{path}/resume"), json!({})).await;
    shop.tenant.settled().await;
    shop.state("pending", 0).await;
    shop.host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breaker_that_opens_and_closes_is_told() {
    let shop = Shop::open("echo", json!({ "calls": "24" })).await;
    shop.destination("receiver", "/crm", json!({ "kind": "api", "retry_ms": [0, 1_000], "concurrency_max": 1 })).await;
    shop.host.receiver.answers("/crm", &vec![503; FAILURES_MAX as usize]);
    shop.order("msg_1").await;
    let notice = shop.told(&["creel.destination.breaker_opened"]).await;
    assert!(notice["data"]["until"].is_string(), "{notice}");
    shop.clock.advance_ms(OPEN_MS_MIN);
    shop.told(&["creel.destination.breaker_opened", "creel.destination.breaker_closed"]).await;
    shop.state("delivered", 26).await;
    shop.host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_notice_is_about_a_notice() {
    let shop = Shop::open("panics", json!({})).await;
    shop.host.receiver.answers("/ops", &[400, 410]);
    shop.order("msg_1").await;
    let run = shop.tenant.decided().await;
    let dead = shop.state("dead", 1).await.remove(0);
    assert_eq!((&dead["event"], &dead["destination"]), (&Value::Null, &json!("ops")));
    assert_eq!(shop.arrived().len(), 1);

    // It disables its own destination: nobody can be told, and what is missed is counted.
    let again = shop.tenant.path(&format!("runs/{}/replay", run.id));
    shop.clock.advance_ms(WINDOW_MS);
    shop.tenant.api.post(&again, json!({})).await;
    shop.state("dead", 2).await;
    for _ in 0..2 {
        shop.clock.advance_ms(WINDOW_MS);
        shop.tenant.api.post(&again, json!({})).await;
        shop.tenant.settled().await;
    }
    assert_eq!(shop.arrived().len(), 2);
    let ops: Value = shop.tenant.api.get(&shop.tenant.path("destinations/ops")).await;
    assert!(ops["disabled"].is_string() && ops["waiting"] == 0, "{ops}");
    shop.tenant.api.post(&shop.tenant.path("destinations/ops/resume"), json!({})).await;
    shop.tenant.api.post(&again, json!({})).await;
    assert_eq!(shop.notices(3).await[2]["data"]["suppressed"], 2);
    let delivered = shop.state("delivered", 1).await;
    assert_eq!(delivered[0]["state"], json!(DeliveryState::Delivered));

    // A dead notice is a dead letter: it is sent again as it was.
    let replay = shop.tenant.path(&format!("deliveries/{}/replay", dead["id"].as_str().unwrap()));
    shop.tenant.api.post(&replay, json!({})).await;
    let arrived = until("the fourth", || async { shop.arrived() }, |arrived| arrived.len() == 4).await;
    assert_eq!(arrived[3].request.body, arrived[0].request.body);
    assert_eq!(arrived[3].header("webhook-id"), arrived[0].header("webhook-id"));
    shop.state("delivered", 2).await;
    shop.tenant.settled().await;
    shop.host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_runs_out_of_room_is_told_before() {
    let shop = Shop::with("echo", json!({}), |config| config.limits.pending_runs_max = 10).await;
    let route = shop.tenant.path("routes/orders-orders");
    shop.tenant.api.post(&format!("{route}/pause"), json!({})).await;
    for number in 0..8 {
        shop.order(&format!("msg_{number}")).await;
    }
    shop.clock.advance_ms(5_000);
    let notice = shop.told(&["creel.tenant.quota_near"]).await;
    assert_eq!((&notice["data"]["pending"], &notice["data"]["max"]), (&json!(8), &json!(10)));
    shop.tenant.api.post(&format!("{route}/resume"), json!({})).await;
    shop.state("delivered", 9).await;
    shop.host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daily_quota_is_told_at_eighty_percent_and_when_it_is_used_up() {
    let shop = Shop::with("echo", json!({}), |config| config.limits.events_per_day = 5).await;
    for number in 0..4 {
        shop.order(&format!("msg_{number}")).await;
    }
    let notice = shop.told(&["creel.tenant.daily_quota"]).await;
    let data = &notice["data"];
    assert_eq!((&data["quota"], &data["used"], &data["max"]), (&json!("events"), &json!(4), &json!(5)), "{notice}");
    shop.order("msg_4").await;
    let notice = shop.told(&["creel.tenant.daily_quota", "creel.tenant.daily_quota"]).await;
    assert_eq!((&notice["data"]["used"], &notice["data"]["percent"]), (&json!(5), &json!(100)), "{notice}");

    let order = |id: &str| Webhook::json("standard-webhooks", SECRET, id, "{}");
    let refused = shop.host.send(&shop.source, &order("msg_5")).await;
    let left_ms = renewed_at(shop.clock.now()).since_ms(shop.clock.now());
    assert_eq!((refused.status, refused.retry_after_s), (429, Some(left_ms.div_ceil(1_000))));
    assert_eq!(
        shop.host.send(&shop.source, &order("msg_1")).await.status,
        200,
        "a repetition is told what the first was"
    );
    let told = creel(&shop.tenant, &["usage"]).await;
    assert!(told.1.contains("100 %") && told.1.contains("429 until midnight"), "{told:?}");
    shop.state("delivered", 7).await;

    // The setting holds for who has no quota of its own; the operator gives this one more.
    let more = json!({ "limits": { "events_per_day": 100 } });
    shop.host.api.put("/v1/tenants/shop", more).await;
    shop.order("msg_5").await;
    let quotas = shop.tenant.api.list(&shop.tenant.path("quotas")).await;
    assert_eq!((&quotas[0]["used"], &quotas[0]["max"], &quotas[2]["max"]), (&json!(6), &json!(100), &Value::Null));
    shop.state("delivered", 8).await;
    shop.host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_falls_silent_is_told_once_and_after_a_restart() {
    let shop = Shop::open("echo", json!({})).await;
    shop.order("msg_1").await;
    let story = shop.tenant.settled().await;
    // The look that tells of the refusals also notes when it was heard, and that outlives the process.
    shop.forge().await;
    shop.clock.advance_ms(61_000);
    shop.told(&["creel.source.refusals"]).await;
    shop.state("delivered", 2).await;
    let Shop { host, clock, tenant, source } = shop;
    let (home, receiver) = host.stop().await;
    let host = home.serve(receiver).await;
    let shop = Shop { tenant: tenant.at(&host), host, clock, source };
    shop.clock.advance_ms(2 * 60 * 60 * 1_000);
    let notice = shop.told(&["creel.source.refusals", "creel.source.silent"]).await;
    assert_eq!((&notice["data"]["source"], &notice["data"]["hours"]), (&json!("orders"), &json!(2)));
    assert_eq!(notice["data"]["since"], json!(story.event.received_at));
    // Later looks tell other things; of a silence there is one notice.
    shop.clock.advance_ms(2 * WINDOW_MS);
    shop.forge().await;
    shop.clock.advance_ms(61_000);
    shop.told(&["creel.source.refusals", "creel.source.silent", "creel.source.refusals"]).await;
    shop.state("delivered", 4).await;
    shop.host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_refuses_much_is_told() {
    let shop = Shop::open("echo", json!({})).await;
    shop.forge().await;
    shop.clock.advance_ms(5_000);
    let notice = shop.told(&["creel.source.refusals"]).await;
    assert_eq!((&notice["data"]["source"], &notice["data"]["genuine"]), (&json!("orders"), &json!(0)));
    assert!(notice["data"]["refused"].as_u64().is_some_and(|refused| refused >= 20), "{notice}");
    shop.state("delivered", 1).await;
    shop.host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn notices_go_where_their_receiver_can_tell_them_from_others() {
    let shop = Shop::open("echo", json!({})).await;
    let (api, notices) = (&shop.tenant.api, shop.tenant.path("notices"));
    let named: Value = api.get(&notices).await;
    assert_eq!(named, json!({ "destination": "ops", "refusals_percent": 20, "refusals_min": 20 }));
    for (document, pointer) in [
        (json!({ "destination": "receiver" }), "/destination"),
        (json!({ "destination": "nowhere" }), "/destination"),
        (json!({}), "/destination"),
        (json!({ "destination": "ops", "refusals_percent": 0 }), "/refusals_percent"),
    ] {
        let problem = api.refused(Method::PUT, &notices, &document).await;
        assert_eq!((problem.status, problem.errors[0].pointer.as_str()), (422, pointer), "{problem:?}");
    }
    let ops_path = shop.tenant.path("destinations/ops");
    let unsigned = json!({ "url": shop.host.receiver.url("/ops") });
    let problem = api.refused(Method::PUT, &ops_path, &unsigned).await;
    assert_eq!((problem.status, problem.errors[0].pointer.as_str()), (422, "/signing"));
    let problem = api.refused(Method::DELETE, &ops_path, &json!(null)).await;
    assert!(problem.status == 409 && problem.detail.contains("notices"), "{problem:?}");
    assert_eq!(api.ask(Method::DELETE, &notices, None).await.0, 204);
    assert_eq!(api.ask(Method::DELETE, &notices, None).await.0, 404);
    assert_eq!(api.ask(Method::GET, &notices, None).await.0, 404);
    assert_eq!(api.ask(Method::DELETE, &ops_path, None).await.0, 204);
    shop.order("msg_1").await;
    shop.tenant.settled().await;
    shop.host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_says_where_notices_go() {
    let host = Host::open().await;
    let client = Client::new(&host.admin_url(), host.api.key()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("creel.toml");
    let origin = host.receiver.url("");
    let whole = format!(
        "tenant = \"shop\"\n[secrets.ops]\nvalue = \"{OPS_SECRET}\"\norigins = [\"{origin}\"]\n[destinations.ops]\n\
         url = \"{origin}\"\nsigning = {{ type = \"standard_webhooks\", secret = \"ops\" }}\n\
         [notices]\ndestination = \"ops\"\nrefusals_min = 7\n"
    );
    let apply = async |text: &str, prune: bool| {
        std::fs::write(&file, text).unwrap();
        let plan = apply_file(&client, &file, &Options { prune, ..Options::default() }).await;
        plan.map(|plan| plan.steps.iter().map(|one| (one.kind, one.change)).collect::<Vec<_>>())
    };
    let steps = apply(&whole, false).await.unwrap();
    assert_eq!(steps.last(), Some(&("notices", Planned::Create)));
    let spec: Value = host.api.get("/v1/tenants/shop/notices").await;
    assert_eq!(spec, json!({ "destination": "ops", "refusals_percent": 20, "refusals_min": 7 }));
    let steps = apply(&whole, true).await.unwrap();
    assert_eq!(steps.last(), Some(&("notices", Planned::Same)));
    let wrong = whole.replace("destination = \"ops\"", "destination = \"oops\"");
    let error = apply(&wrong, false).await.unwrap_err().to_string();
    assert!(error.contains("notices.destination: there is no destination `oops`"), "{error}");
    // What the file does not mention goes in an order in which nothing is used any more.
    let steps = apply("tenant = \"shop\"\n", true).await.unwrap();
    let removed = [("notices", Planned::Remove), ("destination", Planned::Remove), ("secret", Planned::Remove)];
    assert_eq!(steps[1..], removed);
    host.finish().await;
}

/// The program, as the tenant's own key sees the host: its exit code and what it said.
async fn creel(tenant: &Tenant, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_creel"));
    command.args(arguments).env_clear().env("CREEL_URL", tenant.api.base()).env("CREEL_KEY", tenant.api.key());
    let output = command.output().await.expect("the program runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).expect("it speaks UTF-8"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_names_where_notices_go() {
    let shop = Shop::open("panics", json!({})).await;
    shop.order("msg_1").await;
    shop.told(&["creel.run.dead"]).await;
    let call = shop.state("delivered", 1).await.remove(0);
    let told = creel(&shop.tenant, &["delivery", call["id"].as_str().unwrap()]).await;
    assert!(told.0 == Some(0) && told.1.contains("a notice of the host"), "{told:?}");

    let told = creel(&shop.tenant, &["notices"]).await;
    assert!(told.0 == Some(0) && told.1.contains("notices go to ops"), "{told:?}");
    let told = creel(&shop.tenant, &["--json", "notices", "--refusals-min", "50"]).await;
    assert_eq!((told.0, told.1.contains("\"refusals_min\":50")), (Some(0), true), "{told:?}");
    let told = creel(&shop.tenant, &["notices", "ops", "--refusals-percent", "5"]).await;
    assert!(told.1.contains("refuses 5 %") && told.1.contains("at least 50"), "what is not named stays: {told:?}");
    let refused = creel(&shop.tenant, &["notices", "receiver"]).await;
    assert!(refused.0 == Some(4) && refused.1.contains("Standard Webhooks"), "{refused:?}");
    let told = creel(&shop.tenant, &["notices", "--off"]).await;
    assert!(told.0 == Some(0) && told.1.contains("no notices"), "{told:?}");
    let told = creel(&shop.tenant, &["notices"]).await;
    assert!(told.0 == Some(0) && told.1.contains("no notices are sent"), "{told:?}");
    let told = creel(&shop.tenant, &["notices", "--off"]).await;
    assert!(told.0 == Some(0) && told.1.contains("none were sent"), "it is as it should be: {told:?}");
    let told = creel(&shop.tenant, &["notices", "--off", "--tenant", "nobody"]).await;
    assert_eq!(told.0, Some(3), "there is no such tenant: {told:?}");
    shop.host.finish().await;
}

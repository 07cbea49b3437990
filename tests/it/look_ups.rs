//! What a run looks up while it decides: granted, denied, refused, slow, too large, forbidden; what is kept of it, and
//! that a rehearsal is answered from that and sends nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use creel_server::api::rehearsed::Rehearsed;
use creel_webhook::run::Verdict;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::command::creel;
use crate::harness::guests::guest;
use crate::harness::host::{Home, Host};
use crate::harness::receiver::Receiver;
use crate::harness::sender::Webhook;
use crate::harness::tenant::Tenant;
use crate::harness::wait::until;

const TOKEN: &str = "crm-token-0123456789";

/// A tenant whose callers wait for a plugin that may look things up at `crm`.
struct Desk {
    tenant: Tenant,
    source: String,
    calls: u32,
}

impl Desk {
    async fn on(host: &Host, config: Value) -> Desk {
        let tenant = host.tenant("calls").await;
        let source = tenant.source("vapi", "vapi-hmac", "vapi-key").await;
        tenant.receiver(host).await;
        tenant.secret_for("crm-token", TOKEN, &host.receiver.url("")).await;
        let auth = json!({ "type": "bearer", "secret": "crm-token" });
        tenant.destination("crm", json!({ "url": host.receiver.url("/crm"), "auth": auth })).await;
        let desk = Desk { tenant, source, calls: 0 };
        desk.deploy(config, json!({ "fetch": { "crm": [] }, "destinations": ["receiver"] })).await;
        desk.tenant.reply_route("vapi", "desk").await;
        desk
    }

    /// Deploys the plugin anew; gives what was answered.
    async fn deploy(&self, config: Value, grants: Value) -> Value {
        let mut settings = json!({ "destination": "crm", "path": "/contacts/7" });
        settings.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
        self.tenant.deploy_with("desk", guest("looks-up"), settings, grants).await
    }

    fn call(id: u32) -> Webhook {
        let body = json!({ "message": { "type": "assistant-request", "call": { "id": format!("c{id}") } } });
        Webhook::json("vapi-hmac", "vapi-key", "", body.to_string())
    }

    /// A call comes in; what the plugin was answered.
    async fn asks(&mut self, host: &Host) -> Vec<Value> {
        self.calls += 1;
        let told = host.send(&self.source, &Desk::call(self.calls)).await;
        assert_eq!(told.status, 200, "{told:?}");
        serde_json::from_str(&told.body).unwrap_or_else(|_| panic!("a list of answers: {told:?}"))
    }

    /// The same, with an error for every look-up.
    async fn is_told(&mut self, host: &Host, config: Value) -> String {
        self.deploy(config, json!({ "fetch": { "crm": [] } })).await;
        let answers = self.asks(host).await;
        answers[0]["error"].as_str().unwrap_or_else(|| panic!("an error: {answers:?}")).to_owned()
    }
}

fn assert_says(told: &str, parts: &[&str]) {
    for part in parts {
        assert!(told.contains(part), "`{part}` in: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_granted_look_up_goes_as_a_call_does_and_what_came_of_it_is_kept() {
    let host = Host::open().await;
    let mut desk = Desk::on(&host, json!({ "path": "/contacts?phone=%2B1", "header": "X-Want: name" })).await;
    let echo = format!(r#"{{"name":"Ada","you_sent":"Bearer {TOKEN}"}}"#);
    let headers = [("x-echo", TOKEN), ("set-cookie", "session=1")];
    host.receiver.answer("/crm/contacts", 200, &headers, &echo);
    let answers = desk.asks(&host).await;
    assert_eq!(answers[0]["status"], 200);
    assert_eq!(answers[0]["text"], r#"{"name":"Ada","you_sent":"Bearer [secret]"}"#);
    let shown = answers[0]["headers"].to_string();
    assert!(shown.contains(r#"["x-echo","[secret]"]"#) && !shown.contains("cookie"), "{shown}");

    let asked = host.receiver.only();
    assert_eq!((asked.request.method.as_str(), asked.request.query.as_deref()), ("GET", Some("phone=%2B1")));
    assert_eq!(asked.header("authorization"), format!("Bearer {TOKEN}"));
    assert_eq!(asked.header("x-want"), "name");
    assert!(asked.header("idempotency-key").starts_with("msg_"));

    let metrics = host.api.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    for line in ["creel_look_ups_total{result=\"answered\"} 1", "creel_look_up_duration_seconds_count 1"] {
        assert!(metrics.lines().any(|found| found == line), "`{line}` in {metrics}");
    }

    let run = desk.tenant.decided().await;
    let [fetched] = &run.fetches[..] else { panic!("{run:#?}") };
    assert_eq!((fetched.method.as_str(), fetched.destination.as_str()), ("GET", "crm"));
    assert_eq!((fetched.path.as_str(), fetched.status), ("/contacts?phone=%2B1", Some(200)));
    let event = run.event.to_string();
    let told = creel(&desk.tenant, &["event", &event]).await;
    assert!(told.out.contains("asked GET /contacts?phone=%2B1 at crm: 200 ("), "{told:?}");
    let said = creel(&desk.tenant, &["--json", "event", &event]).await.json();
    assert_eq!(said["runs"][0]["fetches"][0]["status"], 200);
    let kept = said["runs"][0]["fetches"].to_string();
    assert!(!kept.contains("you_sent"), "bodies are not part of the story: {kept}");
    host.finish().await;
}

/// Other runs begin while their request is being stored; what these ask, others see.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_looked_up_for_a_request_that_is_not_stored() {
    let host = Host::open().await;
    let desk = Desk::on(&host, json!({})).await;
    let voice = desk.tenant.source("voice", "twilio", "auth-token").await;
    desk.tenant.reply_route("voice", "desk").await;
    let told = host.send(&voice, &Webhook::ringing("1")).await;
    let again = host.send(&voice, &Webhook::ringing("1")).await;
    assert_eq!((told.status, &told.body), (again.status, &again.body));
    assert_eq!(host.receiver.only().request.path, "/crm/contacts/7");
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_granted_or_not_valid_is_told_what_to_do_and_not_sent() {
    let host = Host::with(|config| config.fetch.request_bytes_max = 1_024).await;
    let mut desk = Desk::on(&host, json!({})).await;
    let told = desk.is_told(&host, json!({ "destination": "receiver" })).await;
    assert_says(&told, &["denied", "not granted look-ups at `receiver`", "`crm`", "`grants.fetch`"]);
    let told = desk.is_told(&host, json!({ "method": "POST" })).await;
    assert_says(&told, &["denied", "GET, HEAD", "`POST`", "`grants.fetch.crm`"]);
    for (config, says) in [
        (json!({ "path": "/../admin" }), "climbs"),
        (json!({ "path": "@evil.test/" }), "must begin with exactly one `/`"),
        (json!({ "path": "//evil.test/" }), "must begin with exactly one `/`"),
        (json!({ "path": "/%2e%2e/admin" }), "climbs"),
        (json!({ "header": "Authorization: Bearer mine" }), "is the host's"),
        (json!({ "header": "x-forwarded-for: 10.0.0.1" }), "is the host's"),
        (json!({ "header": "x-note: a\r\nhost: evil" }), "control character"),
        (json!({ "body": "x".repeat(2_000) }), "`fetch_request_bytes_max`"),
    ] {
        assert_says(&desk.is_told(&host, config).await, &["not valid", says]);
    }
    let answered = desk.deploy(json!({}), json!({})).await;
    let warnings = answered["resource"]["warnings"].to_string();
    assert_says(&warnings, &["creel:plugin/fetch", "grant"]);
    assert_says(&desk.asks(&host).await[0].to_string(), &["denied", "nowhere"]);
    for config in [json!({}), json!({ "path": "/contacts/8" })] {
        let again = desk.deploy(config, json!({})).await;
        assert!(again["resource"]["warnings"].is_null(), "what the deployment before has too was told then: {again}");
    }
    let granted = desk.deploy(json!({ "method": "POST" }), json!({ "fetch": { "crm": ["GET", "POST"] } })).await;
    assert!(granted["resource"]["warnings"].is_null(), "{granted}");
    assert!(host.receiver.arrived().is_empty());
    assert_eq!(desk.asks(&host).await[0]["status"], 200);
    assert_eq!(host.receiver.only().request.method, "POST");

    let unknown = json!({ "digest": answered["resource"]["digest"], "grants": { "fetch": { "nobody": ["SING"] } } });
    let problem = desk.tenant.api.refused(Method::POST, &desk.tenant.path("plugins/desk/deployments"), &unknown).await;
    let pointers: Vec<_> = problem.errors.iter().map(|error| error.pointer.as_str()).collect();
    assert!(problem.status == 422 && pointers == ["/grants/fetch/nobody/0"], "{problem:?}");
    let unknown = json!({ "digest": answered["resource"]["digest"], "grants": { "fetch": { "nobody": [] } } });
    let problem = desk.tenant.api.refused(Method::POST, &desk.tenant.path("plugins/desk/deployments"), &unknown).await;
    assert!(problem.status == 422 && problem.errors[0].detail.contains("no destination `nobody`"), "{problem:?}");
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_slow_large_or_broken_is_an_error_that_the_plugin_handles() {
    let host = Host::with(|config| config.fetch.response_bytes_max = 1_024).await;
    let mut desk = Desk::on(&host, json!({ "timeout-ms": "200" })).await;
    host.receiver.silent(true);
    let began = Instant::now();
    assert_says(&desk.asks(&host).await[0].to_string(), &["not answered in time"]);
    assert!(began.elapsed() >= Duration::from_millis(200));
    host.receiver.silent(false);
    host.receiver.answer("/crm/contacts/7", 200, &[], &"x".repeat(1_025));
    assert_says(&desk.asks(&host).await[0].to_string(), &["over its limit", "`fetch_response_bytes_max`"]);
    host.receiver.answer("/crm/contacts/7", 302, &[("location", "/elsewhere")], "");
    let answers = desk.asks(&host).await;
    assert_eq!(answers[0]["status"], 302, "a redirect is an answer and is not followed");
    let run = desk.tenant.decided().await;
    assert_eq!((run.verdict, run.fetches[0].status), (Some(Verdict::Done), Some(302)));
    let errors: Vec<_> =
        desk.tenant.stories(3).await.iter().map(|story| story.runs[0].fetches[0].error.clone()).collect();
    assert!(
        errors[0].as_deref() == Some("timed out") && errors[1].as_deref().unwrap().contains("too large"),
        "{errors:?}"
    );
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_has_time_left_when_its_look_ups_have_none() {
    let host = Host::with(|config| config.limits.run_timeout_ms = 1_000).await;
    let tenant = host.tenant("calls").await;
    let source = tenant.source("orders", "vapi-hmac", "vapi-key").await;
    tenant.destination("crm", json!({ "url": host.receiver.url("/crm") })).await;
    let config = json!({ "destination": "crm", "times": "3" });
    tenant.deploy_with("desk", guest("looks-up"), config, json!({ "fetch": { "crm": [] } })).await;
    tenant.route("orders", "desk").await;
    host.receiver.silent(true);
    assert_eq!(host.send(&source, &Desk::call(1)).await.status, 200);
    let run = tenant.decided().await;
    assert_eq!(run.verdict, Some(Verdict::Done), "{run:#?}");
    let waited: u64 = run.fetches.iter().map(|fetched| fetched.duration_ms).sum();
    assert!(run.fetches.len() == 3 && (700..1_000).contains(&waited), "{run:#?}");
    assert!(run.usage.wait_us >= 700_000 && run.usage.cpu_us < 700_000, "{:?}", run.usage);
    host.receiver.silent(false);
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_or_must_not_be_reached_is_unreachable_at_once() {
    let host = Host::with(|config| config.egress_allow.push("127.0.0.1:1".parse().unwrap())).await;
    let mut desk = Desk::on(&host, json!({})).await;
    let tenant = desk.tenant.clone();
    let at = |url: &str| json!({ "url": url });
    // Nobody listens there.
    tenant.destination("crm", at("http://127.0.0.1:1/")).await;
    assert_says(&desk.asks(&host).await[0].to_string(), &["not reached", "no connection"]);
    // Such addresses are refused when they are saved, and again when they are asked.
    let forbidden =
        ["http://169.254.169.254/latest/meta-data", "https://127.0.0.1/", "https://[::1]/", "https://10.0.0.1/"];
    for url in forbidden {
        let path = tenant.path("destinations/crm");
        assert_eq!(tenant.api.refused(Method::PUT, &path, &at(url)).await.status, 422, "{url}");
        host.mislead("crm", url).await;
        assert_says(&desk.asks(&host).await[0].to_string(), &["not reached", "where calls may not go"]);
    }
    tenant.destination("crm", at(&host.receiver.url("/crm"))).await;
    tenant.api.post(&tenant.path("destinations/crm/pause"), json!({ "reason": "they are moving" })).await;
    assert_says(&desk.asks(&host).await[0].to_string(), &["not reached", "paused", "they are moving"]);
    tenant.api.post(&tenant.path("destinations/crm/resume"), json!({})).await;
    assert!(host.receiver.arrived().is_empty());
    assert_eq!(desk.asks(&host).await[0]["status"], 200);
    // The deployment still names it, the tenant does not.
    assert_eq!(tenant.api.ask(Method::DELETE, &tenant.path("destinations/crm"), None).await.0, 204);
    assert_says(&desk.asks(&host).await[0].to_string(), &["denied", "no destination `crm`"]);
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_bound_elsewhere_stays_at_home() {
    let host = Host::open().await;
    let mut desk = Desk::on(&host, json!({})).await;
    desk.tenant.secret_for("crm-token", TOKEN, "https://crm.example").await;
    assert_says(&desk.asks(&host).await[0].to_string(), &["not reached", "`crm-token` is not bound to"]);
    assert!(host.receiver.arrived().is_empty());
    let story = desk.tenant.story().await;
    assert!(!serde_json::to_string(&story).unwrap().contains(TOKEN));
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_asks_so_often_and_what_keeps_failing_is_left_alone() {
    let host = Host::open().await;
    let mut desk = Desk::on(&host, json!({ "times": "20" })).await;
    let answers = desk.asks(&host).await;
    assert_eq!(answers.iter().filter(|answer| answer["status"] == 200).count(), 16);
    assert_says(&answers[16].to_string(), &["denied", "`fetches_max`"]);
    assert_eq!((host.receiver.arrived().len(), desk.tenant.decided().await.fetches.len()), (16, 16));

    host.receiver.answers("/crm/contacts/7", &[503; 9]);
    let answers = desk.asks(&host).await;
    assert_eq!(answers.iter().filter(|answer| answer["status"] == 503).count(), 8);
    assert_says(&answers[8].to_string(), &["not reached", "circuit breaker is open"]);
    assert_eq!(host.receiver.arrived().len(), 24);
    // A tenant may be allowed less.
    let limits = json!({ "limits": { "fetches_max": 1 } });
    host.api.put("/v1/tenants/calls", limits).await;
    assert_says(&desk.asks(&host).await[1].to_string(), &["asked for 1 look-ups"]);
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_killed_between_look_up_and_commit_is_run_again_under_the_same_key() {
    let host = Host::open().await;
    let desk = Desk::on(&host, json!({ "calls": "true" })).await;
    desk.tenant.route("vapi", "desk").await;
    host.receiver.silent(true);
    assert_eq!(host.send(&desk.source, &Desk::call(1)).await.status, 200);
    host.receiver.arrivals(1).await;
    let (home, receiver) = host.kill().await;
    receiver.silent(false);
    let host = home.serve(receiver).await;
    let run = desk.tenant.at(&host).decided().await;
    assert_eq!((run.verdict, run.attempts, run.fetches.len()), (Some(Verdict::Done), 1, 1), "{run:#?}");
    let arrived = host.receiver.arrivals(3).await;
    let asked: Vec<_> = arrived.iter().filter(|one| one.request.path == "/crm/contacts/7").collect();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].header("idempotency-key"), asked[1].header("idempotency-key"));
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_stops_does_not_wait_for_a_look_up() {
    let home = Home::new(|config| config.shutdown_timeout_ms = 100);
    let host = home.serve(Arc::new(Receiver::start().await)).await;
    let desk = Desk::on(&host, json!({})).await;
    desk.tenant.route("vapi", "desk").await;
    host.receiver.silent(true);
    assert_eq!(host.send(&desk.source, &Desk::call(1)).await.status, 200);
    host.receiver.arrivals(1).await;
    let began = Instant::now();
    let (home, receiver) = host.stop().await;
    assert!(began.elapsed() < Duration::from_millis(2_900), "less than the look-up had: {:?}", began.elapsed());
    receiver.silent(false);
    let host = home.serve(receiver).await;
    let run = desk.tenant.at(&host).decided().await;
    assert_eq!((run.verdict, run.fetches[0].status), (Some(Verdict::Done), Some(200)), "{run:#?}");
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_receiver_holds_nobody_but_those_who_ask_it() {
    let host = Host::open().await;
    let desk = Desk::on(&host, json!({ "timeout-ms": "3000" })).await;
    let auth = json!({ "type": "bearer", "secret": "crm-token" });
    let crm = json!({ "url": host.receiver.url("/crm"), "auth": auth, "concurrency_max": 1 });
    desk.tenant.destination("crm", crm).await;
    host.receiver.silent(true);
    let asked: Vec<_> = (1..=3)
        .map(|id| {
            let (http, url) = (host.http().clone(), host.url(&desk.source));
            tokio::spawn(async move { Desk::call(id).request(&http, &url).send().await.unwrap().text().await.unwrap() })
        })
        .collect();
    host.receiver.arrivals(1).await;
    until("three callers", || desk.tenant.events(), |events| events.len() == 3).await;
    assert_eq!(host.receiver.arrived().len(), 1, "one at a time");
    host.receiver.silent(false);
    for told in asked {
        assert!(told.await.unwrap().contains(r#""status":200"#));
    }
    host.finish().await;
}

/// Rehearses the newest event; the receiver must not hear of it.
async fn rehearsed(host: &Host, desk: &Desk, query: &str) -> Rehearsed {
    let before = host.receiver.arrived().len();
    let event = desk.tenant.events().await[0].id;
    let path = desk.tenant.path(&format!("events/{event}/replay?dry_run=true{query}"));
    let done = desk.tenant.api.done(Method::POST, &path, None).await;
    assert_eq!(host.receiver.arrived().len(), before, "a rehearsal sends nothing");
    done
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_is_answered_from_the_record_to_the_last_unit_of_fuel() {
    let host = Host::open().await;
    let mut desk = Desk::on(&host, json!({ "times": "3", "calls": "true" })).await;
    host.receiver.answer("/crm/contacts/7", 200, &[("x-serial", "1")], r#"{"name":"Ada"}"#);
    host.receiver.answer("/crm/contacts/7", 404, &[], "gone");
    host.receiver.answer("/crm/contacts/7", 503, &[], "later");
    let answers = desk.asks(&host).await;
    assert_eq!(answers.iter().map(|one| one["status"].as_u64().unwrap()).collect::<Vec<_>>(), [200, 404, 503]);
    let run = desk.tenant.decided().await;
    for query in ["", "&deployment=1"] {
        let one = rehearsed(&host, &desk, query).await.runs.remove(0);
        assert_eq!((one.same, one.differences.len(), one.missing.len()), (Some(true), 0, 0), "{one:#?}");
        assert_eq!((one.usage.fuel, one.usage.memory_bytes), (run.usage.fuel, run.usage.memory_bytes));
        assert_eq!(one.log, run.log);
        assert_eq!(serde_json::from_str::<Vec<Value>>(&one.reply.unwrap().body).unwrap(), answers);
    }
    // What would be answered now, and whether it is still there, makes no difference.
    desk.tenant.destination("crm", json!({ "url": host.receiver.url("/moved") })).await;
    assert_eq!(rehearsed(&host, &desk, "").await.runs[0].same, Some(true));

    // Another version asks for something else, or once more: it is told so, and so is whoever looks.
    desk.deploy(json!({ "path": "/contacts/8" }), json!({ "fetch": { "crm": [] } })).await;
    let one = rehearsed(&host, &desk, "").await.runs.remove(0);
    assert_eq!((one.verdict, one.same), (Verdict::Done, Some(false)));
    assert_eq!(one.missing, ["fetch GET /contacts/8 at crm"]);
    assert_says(&one.reply.unwrap().body, &["not in the record", "sends nothing"]);
    desk.deploy(json!({ "times": "4" }), json!({ "fetch": { "crm": [] } })).await;
    let event = desk.tenant.events().await[0].id.to_string();
    let told = creel(&desk.tenant, &["replay", &event, "--dry-run"]).await;
    assert!(told.out.contains("not in the record of the run of then: fetch GET /contacts/7 at crm"), "{told:?}");
    // What it is not granted it is denied, though the record has it.
    desk.deploy(json!({}), json!({})).await;
    let one = rehearsed(&host, &desk, "").await.runs.remove(0);
    assert!(one.missing.is_empty());
    assert_says(&one.reply.unwrap().body, &["denied"]);
    host.finish().await;
}

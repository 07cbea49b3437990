//! What is stored goes again: after its days, when somebody wants it gone, and so that there is room.

use std::sync::Arc;

use creel_server::api::StoryView;
use creel_server::system::SystemClock;
use creel_webhook::clock::{Clock as _, ManualClock};
use creel_webhook::run::Verdict;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::host::{Home, Host};
use crate::harness::receiver::Receiver;
use crate::harness::sender::Webhook;
use crate::harness::tenant::Tenant;
use crate::harness::wait::until;

const SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS1vcmRlcnMtMDAwMDE=";
const DAY_MS: u64 = 86_400_000;

async fn clinic(host: &Host, config: Value) -> (Tenant, String) {
    let tenant = host.tenant("clinic").await;
    let source = tenant.source("voice", "standard-webhooks", SECRET).await;
    tenant.receiver(host).await;
    tenant.deploy("booking", "echo", config).await;
    tenant.route("voice", "booking").await;
    (tenant, source)
}

fn call(id: &str) -> Webhook {
    Webhook::json("standard-webhooks", SECRET, id, r#"{"type":"call.ended","said":"own words"}"#)
}

async fn status(tenant: &Tenant, method: Method, path: &str) -> (u16, String) {
    tenant.api.ask(method, &tenant.path(path), None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_go_after_their_days_and_records_after_theirs() {
    let clock = Arc::new(ManualClock::new(SystemClock::new().now()));
    let home = Home::new(|_| {}).with_clock(clock.clone());
    let host = home.serve(Arc::new(Receiver::start().await)).await;
    let (tenant, source) = clinic(&host, json!({})).await;
    host.api.put("/v1/tenants/clinic", json!({ "limits": { "body_days": 2, "record_days": 4 } })).await;
    let beyond = json!({ "limits": { "body_days": 8, "record_days": 31 } });
    let refused = host.api.refused(Method::PUT, "/v1/tenants/clinic", &beyond).await;
    assert_eq!((refused.status, refused.errors.len()), (422, 2), "the operator's days are the ceiling: {refused:?}");

    assert_eq!(host.send(&source, &call("msg_1")).await.status, 200);
    let story = tenant.settled().await;
    let (event, run) = (story.event.id, story.runs[0].id);
    clock.advance_ms(2 * DAY_MS + 1);
    let told = || status(&tenant, Method::GET, "events");
    until("the body's end", || tenant.story(), |story| story.event.erased).await;
    assert_eq!(status(&tenant, Method::GET, &format!("events/{event}/body")).await.0, 410);
    let story: StoryView = tenant.api.get(&tenant.path(&format!("events/{event}"))).await;
    assert_eq!(
        (story.runs[0].verdict, story.deliveries[0].history[0].response_head.as_str()),
        (Some(Verdict::Done), "")
    );
    let (code, text) = status(&tenant, Method::POST, &format!("runs/{run}/replay")).await;
    assert!(code == 409 && text.contains("erased") && text.contains("body_days"), "{code} {text}");

    clock.advance_ms(2 * DAY_MS);
    until("the records' end", told, |(_, text)| !text.contains(&event.to_string())).await;
    assert_eq!(status(&tenant, Method::GET, &format!("events/{event}")).await.0, 404);
    for list in ["runs", "deliveries"] {
        assert!(tenant.api.list(&tenant.path(list)).await.is_empty(), "{list}");
    }
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_is_erased_with_all_that_repeats_it() {
    let host = Host::open().await;
    let (tenant, source) = clinic(&host, json!({ "on-result": "own words" })).await;
    host.receiver.answer("/", 200, &[], "you said: own words");
    assert_eq!(host.send(&source, &call("msg_1")).await.status, 200);
    let is_over =
        |events: &Vec<creel_server::api::EventLine>| events.len() == 2 && events.iter().all(|one| one.pending == 0);
    let events = until("the report of the call", || tenant.events(), is_over).await;
    tenant.settled().await;
    let (report, event) = (events[0].id, events[1].id);

    let stranger = host.tenant("stranger").await;
    assert_eq!(status(&stranger, Method::DELETE, &format!("events/{event}/payload")).await.0, 404);
    let (code, out, err) = creel(&tenant, &["erase", &event.to_string()]).await;
    assert!(code == Some(0) && out.contains(&event.to_string()) && out.contains("1 that report"), "{out} {err}");
    for event in [event, report] {
        let (code, text) = status(&tenant, Method::GET, &format!("events/{event}")).await;
        assert!(code == 200 && !text.contains("own words"), "{text}");
        assert_eq!(status(&tenant, Method::GET, &format!("events/{event}/body")).await.0, 410);
        let story: StoryView = serde_json::from_str(&text).unwrap();
        assert!(story.event.erased && story.runs[0].verdict == Some(Verdict::Done), "{text}");
        let (code, text) = status(&tenant, Method::POST, &format!("runs/{}/replay", story.runs[0].id)).await;
        assert!(code == 409 && text.contains("has been erased"), "{code} {text}");
    }
    assert_eq!(host.send(&source, &call("msg_1")).await.status, 200, "it is still known");
    assert_eq!(tenant.events().await.len(), 2);
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_not_erased_and_says_why() {
    let host = Host::open().await;
    let (tenant, source) = clinic(&host, json!({})).await;
    tenant.api.post(&tenant.path("routes/voice-booking/pause"), json!({})).await;
    assert_eq!(host.send(&source, &call("msg_1")).await.status, 200);
    let story = tenant.story().await;
    let path = format!("events/{}/payload", story.event.id);
    let (code, text) = status(&tenant, Method::DELETE, &path).await;
    assert!(code == 409 && text.contains(&story.runs[0].id.to_string()) && text.contains("resume"), "{code} {text}");
    tenant.api.post(&tenant.path("routes/voice-booking/resume"), json!({})).await;
    tenant.settled().await;
    assert_eq!(host.receiver.arrived().len(), 1, "it lost nothing meanwhile");
    assert_eq!(status(&tenant, Method::DELETE, &path).await.0, 200);
    assert_eq!(status(&tenant, Method::DELETE, "events/evt_0/payload").await.0, 404);
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_store_refuses_until_something_has_gone() {
    let clock = Arc::new(ManualClock::new(SystemClock::new().now()));
    let small = Home::new(|config| {
        config.store_bytes_max = 4 << 20;
        config.limits.body_days = 1;
    });
    let host = small.with_clock(clock.clone()).serve(Arc::new(Receiver::start().await)).await;
    let tenant = host.tenant("clinic").await;
    let source = tenant.source("pushes", "github", "the-secret").await;
    let push = |number: u32| {
        let body = format!(r#"{{"number":{number},"pad":"{}"}}"#, "x".repeat(200_000));
        Webhook::json("github", "the-secret", &format!("push-{number}"), body)
    };
    let mut stored = 0;
    loop {
        let told = host.send(&source, &push(stored)).await;
        if told.status == 503 {
            break;
        }
        assert!(told.status < 300 && stored < 100, "{told:?}");
        stored += 1;
    }
    assert_eq!(tenant.events().await.len(), stored as usize, "what was acknowledged is there");
    clock.advance_ms(DAY_MS + 1);
    let again = push(stored);
    until("room", || host.send(&source, &again), |told| told.status < 300).await;
    assert_eq!(tenant.events().await.len(), stored as usize + 1);
    host.finish().await;
}

/// The program itself, as this tenant.
async fn creel(tenant: &Tenant, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_creel"));
    command.args(arguments).env("CREEL_URL", tenant.api.base()).env("CREEL_KEY", tenant.api.key());
    let output = command.stdin(std::process::Stdio::null()).output().await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

//! Whoever waits for an answer hears it in the provider's own words: from the plugin, or instead of it.
//!
//! The requests are the samples of `creel trigger`, genuine and byte for byte the same when they are repeated; the
//! plugin is the fixture `answers`, which uses the builders of the SDK.

use std::collections::BTreeMap;
use std::sync::Arc;

use creel_server::sample::{Ready, Wanted, preset_meant, sample};
use creel_server::system::{Entropy, SystemClock};
use creel_webhook::clock::{Clock as _, ManualClock, Timestamp};
use creel_webhook::run::Verdict;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::host::{Home, Host};
use crate::harness::receiver::Receiver;
use crate::harness::sender::Answer;
use crate::harness::tenant::Tenant;
use crate::harness::wait::until;

const JSON: Option<&str> = Some("application/json");
const XML: Option<&str> = Some("text/xml; charset=utf-8");
const SORRY: &str = r#"{"error":"Sorry, something went wrong. Please try again later."}"#;
/// A deadline that burning [`LATE`] turns misses, milliseconds.
const SOON: u64 = 60;
/// Turns that take longer than [`SOON`], whatever the machine.
const LATE: &str = "400000000";
/// Turns that take longer than it takes to cut a host off.
const LONG: &str = "1600000000";

/// A provider that waits, as a source of a tenant.
struct Waiting {
    preset: &'static str,
    /// Signs; what verifies is the source's secret or, where there is one, the public key.
    secret: &'static str,
    public_key: Option<&'static str>,
    params: &'static [(&'static str, &'static str)],
}

/// A question of a provider and what it must hear.
struct Question {
    preset: &'static str,
    event: &'static str,
    /// The plugin's answer: media type and body.
    answer: (Option<&'static str>, String),
    /// The answer instead of it.
    fallback: (Option<&'static str>, String),
    /// Whether a repetition is known as one.
    known_again: bool,
}

const fn waiting(preset: &'static str, secret: &'static str) -> Waiting {
    Waiting { preset, secret, public_key: None, params: &[] }
}

/// RFC 8032 section 7.1, test 1, is Discord's key pair here.
const WAITING: &[Waiting] = &[
    waiting("twilio", "auth-token"),
    waiting("plivo", "auth-token"),
    waiting("vonage", "signature-secret"),
    waiting("vapi-hmac", "vapi-key"),
    waiting("retell", "retell-key"),
    Waiting { params: &[("header", "x-agent-secret")], ..waiting("elevenlabs-initiation", "agent-secret") },
    waiting("slack", "signing-secret"),
    Waiting {
        public_key: Some("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"),
        ..waiting("discord", "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    },
];

fn xml(verbs: &str) -> String {
    format!(r#"<?xml version="1.0" encoding="UTF-8"?><Response>{verbs}</Response>"#)
}

fn question(
    preset: &'static str,
    event: &'static str,
    answer: (Option<&'static str>, String),
    fallback: (Option<&'static str>, &str),
    known_again: bool,
) -> Question {
    Question { preset, event, answer, fallback: (fallback.0, fallback.1.to_owned()), known_again }
}

fn calls_and_messages() -> Vec<Question> {
    let twiml = (Some("text/xml"), r#"<?xml version="1.0" encoding="UTF-8"?><Response/>"#);
    let twilio_menu =
        xml("<Gather input=\"dtmf\" numDigits=\"1\" action=\"/menu\"><Say>Press one &amp; wait</Say></Gather>\
         <Dial callerId=\"+15125550143\"><Number>+15125550100</Number></Dial><Hangup/>");
    let twilio_text = xml("<Message>You said: Can I come on Tuesday? ñ 👍</Message>");
    let plivo_menu = xml("<GetInput action=\"https://creel.test/menu\" inputType=\"dtmf\" numDigits=\"1\">\
         <Speak>Press one &amp; wait</Speak></GetInput><Dial><Number>15125550143</Number></Dial><Hangup/>");
    let ncco = r#"[{"action":"talk","text":"Press one"},{"action":"input","dtmf":{"maxDigits":1},"eventUrl":["https://creel.test/menu"],"type":["dtmf"]},{"action":"connect","endpoint":[{"number":"15125550143","type":"phone"}]}]"#;
    vec![
        question("twilio", "ringing", (XML, twilio_menu), twiml, true),
        question("twilio", "received", (XML, twilio_text), twiml, true),
        question("plivo", "StartApp", (XML, plivo_menu), (Some("text/xml"), &xml("")), false),
        question("vonage", "+answer", (JSON, ncco.to_owned()), (JSON, "[]"), true),
    ]
}

fn vapi() -> Vec<Question> {
    let ask = |event, answer: &str, fallback: &str, known_again| {
        question("vapi-hmac", event, (JSON, answer.to_owned()), (JSON, fallback), known_again)
    };
    let assistant = r#"{"assistantId":"asst-1","assistantOverrides":{"variableValues":{"caller":"+15125550143"}}}"#;
    let tools = r#"{"results":[{"name":"escalate","result":"a colleague was told","toolCallId":"toolu_01DTPAzUm5Gk3zxrpJ969oMF"}]}"#;
    let no_tools =
        r#"{"results":[{"toolCallId":"toolu_01DTPAzUm5Gk3zxrpJ969oMF","error":"The tool did not answer in time."}]}"#;
    let transfer = r#"{"destination":{"number":"+15125550143","type":"number"},"message":{"content":"One moment.","type":"request-start"}}"#;
    let handoff = r#"{"destination":{"assistantName":"Billing","type":"assistant"},"result":"+15125550143"}"#;
    let no_handoff = r#"{"destination":{},"error":"Sorry, something went wrong. Please try again later."}"#;
    let documents = r#"{"documents":[{"content":"+15125550143","similarity":0.5}]}"#;
    let octets = Some("application/octet-stream");
    // The guest speaks the text's own bytes, an even number of them: samples have two each.
    let speech = "Tuesday at ten is free. Shall I book it?".to_owned();
    vec![
        ask("assistant-request", assistant, SORRY, false),
        ask("tool-calls", tools, no_tools, true),
        ask("transfer-destination-request", transfer, SORRY, false),
        ask("handoff-destination-request", handoff, no_handoff, false),
        ask("knowledge-base-request", documents, r#"{"documents":[]}"#, false),
        question("vapi-hmac", "voice-request", (octets, speech), (octets, ""), false),
        ask("call.endpointing.request", r#"{"timeoutSeconds":0.25}"#, r#"{"timeoutSeconds":0.5}"#, false),
        ask("campaign.predial", r#"{"eligible":true}"#, r#"{"eligible":false}"#, false),
    ]
}

fn agents_and_chats() -> Vec<Question> {
    let inbound = r#"{"call_inbound":{"dynamic_variables":{"caller":"+15125550143"},"override_agent_id":"agent_1"}}"#;
    let booked = r#"{"booked":true,"function":"book_appointment"}"#;
    let begin = r#"{"conversation_config_override":{"agent":{"first_message":"Hello"}},"dynamic_variables":{"caller":"+15125550143"},"type":"conversation_initiation_client_data"}"#;
    let begin_bare = r#"{"type":"conversation_initiation_client_data","dynamic_variables":{}}"#;
    let oncall = r#"{"response_type":"ephemeral","text":"/oncall: who is &lt;on&gt; call?"}"#;
    let team = r#"{"data":{"allowed_mentions":{"parse":[]},"content":"reception @everyone","flags":64},"type":4}"#;
    let json = |text: &str| (JSON, text.to_owned());
    vec![
        question("retell", "call_inbound", json(inbound), (JSON, r#"{"call_inbound":{}}"#), true),
        question(
            "retell",
            "book_appointment",
            json(booked),
            (JSON, r#"{"error":"The function did not answer in time."}"#),
            false,
        ),
        question("elevenlabs-initiation", "conversation_initiation", json(begin), (JSON, begin_bare), false),
        question("slack", "+command", json(oncall), (None, ""), false),
        question("discord", "2", json(team), (JSON, r#"{"type":5}"#), true),
        question("discord", "3", json(r#"{"type":6}"#), (JSON, r#"{"type":6}"#), true),
    ]
}

fn questions() -> Vec<Question> {
    [calls_and_messages(), vapi(), agents_and_chats()].into_iter().flatten().collect()
}

/// A tenant with a source for each provider, all of which wait for `answers`; gives the sources' paths by preset.
async fn tenant_with(host: &Host, more: Value, config: Value) -> (Tenant, BTreeMap<&'static str, String>) {
    let tenant = host.tenant("calls").await;
    tenant.receiver(host).await;
    tenant.deploy("desk", "answers", config).await;
    let mut paths = BTreeMap::new();
    for source in WAITING {
        let mut settings = more.clone();
        settings["params"] = source.params.iter().map(|(name, value)| (*name, *value)).collect();
        settings["public_keys"] = source.public_key.into_iter().collect();
        let secret = if source.public_key.is_some() { "" } else { source.secret };
        paths.insert(source.preset, tenant.source_with(source.preset, source.preset, secret, settings).await);
        tenant.reply_route(source.preset, "desk").await;
    }
    (tenant, paths)
}

fn signed(host: &Host, path: &str, question: &Question, now: Timestamp) -> Ready {
    let source = WAITING.iter().find(|source| source.preset == question.preset).unwrap();
    let preset = preset_meant(source.preset).unwrap();
    let wanted = Wanted {
        preset,
        params: source.params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        secret: source.secret,
        url: &host.url(path),
        signed_url: None,
        set: &[],
        // The answer to a tool call repeats its id, and is compared word for word.
        keep_ids: question.event == "tool-calls",
    };
    let found = sample(&preset.provider.name, question.event).unwrap();
    found.request(&wanted, now, &Entropy::system().unwrap()).unwrap()
}

async fn sent(host: &Host, ready: &Ready) -> Result<Answer, reqwest::Error> {
    let mut request = host.http().post(ready.url.clone()).body(ready.body.clone());
    for (name, value) in &ready.headers {
        request = request.header(name, value);
    }
    Ok(Answer::of(request.send().await?).await)
}

fn assert_told(told: &Answer, expected: &(Option<&str>, String), question: &Question) {
    let told = (told.status, told.content_type.as_deref(), told.body.as_str());
    assert_eq!(told, (200, expected.0, expected.1.as_str()), "{} {}", question.preset, question.event);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_provider_hears_the_plugin_in_its_own_words_and_the_same_words_again() {
    let host = Host::open().await;
    let (tenant, paths) = tenant_with(&host, json!({}), json!({})).await;
    let now = SystemClock::new().now();
    let mut events = 0;
    for question in &questions() {
        let ready = signed(&host, &paths[question.preset], question, now);
        for _ in 0..2 {
            assert_told(&sent(&host, &ready).await.unwrap(), &question.answer, question);
        }
        events += if question.known_again { 1 } else { 2 };
        let story = tenant.settled().await;
        let name = format!("{} {}", question.preset, question.event);
        assert_eq!(story.duplicates, u64::from(question.known_again), "{name}");
        assert_eq!(story.runs[0].verdict, Some(Verdict::Done), "{name}: {:?}", story.runs[0]);
        assert_eq!(tenant.events().await.len(), events, "{name}");
    }
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waited_too_long_hears_what_its_provider_understands() {
    let host =
        Host::with(|config| (config.limits.fuel_max, config.limits.fuel_per_second) = (100_000_000_000, u64::MAX))
            .await;
    let (tenant, paths) = tenant_with(&host, json!({ "reply_deadline_ms": SOON }), json!({ "iterations": LATE })).await;
    let now = SystemClock::new().now();
    for question in &questions() {
        let ready = signed(&host, &paths[question.preset], question, now);
        assert_told(&sent(&host, &ready).await.unwrap(), &question.fallback, question);
        let story = tenant.settled().await;
        assert_eq!(story.runs[0].verdict, Some(Verdict::Late), "{} {}", question.preset, question.event);
        if question.known_again {
            assert_told(&sent(&host, &ready).await.unwrap(), &question.fallback, question);
        }
    }
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_cut_off_before_it_answers_leaves_runs_unanswered_and_tells_the_fallback_to_who_asks_again() {
    let clock = Arc::new(ManualClock::new(SystemClock::new().now()));
    let home =
        Home::new(|config| (config.limits.fuel_max, config.limits.fuel_per_second) = (100_000_000_000, u64::MAX))
            .with_clock(clock.clone());
    let host = home.serve(Arc::new(Receiver::start().await)).await;
    let (tenant, paths) = tenant_with(&host, json!({}), json!({ "iterations": LONG })).await;
    let mut asked: Vec<Question> = questions();
    asked.dedup_by_key(|one| one.preset);
    assert_eq!(asked.len(), WAITING.len(), "one question of each provider");
    let readies: Vec<Ready> = asked.iter().map(|one| signed(&host, &paths[one.preset], one, clock.now())).collect();

    let sending = join_all(readies.iter().map(|ready| sent(&host, ready)));
    let all_run = until(
        "a run of each, under way",
        || tenant.api.list("/v1/tenants/calls/runs"),
        |runs| runs.len() == WAITING.len() && runs.iter().all(|run| run["claims"] == 1 && run["ended_at"].is_null()),
    );
    tokio::select! {
        told = sending => panic!("nobody was to be told anything yet: {told:?}"),
        _ = all_run => {}
    }
    let (home, receiver) = host.kill().await;
    // Beyond every provider's deadline, within every signature's window.
    clock.advance_ms(60_000);

    let host = home.serve(receiver).await;
    let tenant = tenant.at(&host);
    let ended = |runs: &Vec<Value>| runs.iter().all(|run| !run["ended_at"].is_null());
    let runs = until("the end of all", || tenant.api.list("/v1/tenants/calls/runs"), ended).await;
    assert!(runs.iter().all(|run| run["verdict"] == "unanswered"), "{runs:#?}");
    assert_eq!(runs.len(), WAITING.len());
    for (question, old) in asked.iter().zip(&readies).filter(|(question, _)| question.known_again) {
        let mut again = old.clone();
        again.url.set_port(Some(host.ingress.port())).unwrap();
        assert_told(&sent(&host, &again).await.unwrap(), &question.fallback, question);
    }
    assert_eq!(tenant.events().await.len(), WAITING.len(), "who asked again was known");
    host.finish().await;
}

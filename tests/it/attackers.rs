//! Attackers, one small guest each, through the public door: upload, deploy, send it an event.
//!
//! Each names the part of the gate that refuses it, or the verdict of its run (`tests/components/hostile/README.md`).
//! While it is at work an innocent tenant's event is decided; after it the host is up and nothing is left over.
//!
//! | module | what it holds |
//! |---|---|
//! | `case` | how an attacker is written down |
//! | `generated` | attackers that are too large to be written down |
//! | `random` | uploads that nobody wrote |

mod case;
mod generated;
mod random;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use creel_server::api::{RunView, StoryView};
use creel_webhook::run::Verdict;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use self::case::{Attacker, attackers};
use crate::harness::guests::guest;
use crate::harness::host::{Home, Host, real_compiler};
use crate::harness::receiver::Receiver;
use crate::harness::sender::Webhook;
use crate::harness::tenant::Tenant;
use crate::harness::wait::until;

const SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS1vcmRlcnMtMDAwMDE=";

/// Attackers at work at the same time.
const SIDE_BY_SIDE: usize = 4;

/// Bytes of log that a run may leave: `log_bytes_max` and the line that says what is missing.
const LOG_BYTES_MAX: usize = (64 << 10) + 200;

fn order(id: &str) -> Webhook {
    Webhook::json("standard-webhooks", SECRET, id, r#"{"type":"order.paid"}"#)
}

/// Somebody who has nothing to do with it.
struct Victim {
    tenant: Tenant,
    source: String,
}

impl Victim {
    async fn on(host: &Host) -> Victim {
        let tenant = host.tenant("victim").await;
        let source = tenant.source("orders", "standard-webhooks", SECRET).await;
        tenant.receiver(host).await;
        let crm = json!({ "url": host.receiver.url("/crm"), "kind": "webhook", "retry_ms": [0] });
        tenant.destination("victims-crm", crm).await;
        tenant.deploy("handler", "echo", json!({})).await;
        tenant.route("orders", "handler").await;
        let victim = Victim { tenant, source };
        victim.remembers(host).await;
        victim
    }

    /// Has something to lose.
    async fn remembers(&self, host: &Host) {
        let source = self.tenant.source("counted", "standard-webhooks", SECRET).await;
        let config = json!({ "key": "victims-count" });
        self.tenant.deploy_with("keeper", guest("remembers"), config, json!({ "state": true })).await;
        self.tenant.route("counted", "keeper").await;
        assert_eq!(host.send(&source, &order("counted")).await.status, 200);
        self.tenant.settled().await;
        self.assert_remembered().await;
    }

    async fn assert_remembered(&self) {
        let path = self.tenant.path("plugins/keeper/state/value?key=victims-count");
        assert_eq!(self.tenant.api.ask(Method::GET, &path, None).await, (200, "1".to_owned()));
    }

    /// The run of an event that is sent now.
    async fn decides(&self, host: &Host, id: &str) {
        assert_eq!(host.send(&self.source, &order(id)).await.status, 200);
        let look = || async {
            let event = self.tenant.events().await.into_iter().find(|event| event.provider_id.as_deref() == Some(id));
            let event = event.expect("it was accepted");
            self.tenant.api.get::<StoryView>(&self.tenant.path(&format!("events/{}", event.id))).await
        };
        let over = |story: &StoryView| story.deliveries.iter().any(|call| call.ended_at.is_some());
        let story = until("the innocent tenant's call", look, over).await;
        assert_eq!(story.runs[0].verdict, Some(Verdict::Done), "beside {id}");
    }
}

/// Uploads it and gives the answer.
async fn upload(host: &Host, attacker: &Attacker) -> (Tenant, u16, Value) {
    let name = format!("a-{}", attacker.name);
    let tenant = Tenant::make_within(&host.api, &name, attacker.limits.clone().into()).await;
    let (status, answer) = tenant.upload("handler", attacker.upload.clone()).await;
    (tenant, status, answer)
}

/// It is refused, by the part that it names and with a reason.
fn assert_refused(attacker: &Attacker, status: u16, problem: &Value) {
    let name = &attacker.name;
    assert!(status >= 400, "{name} was taken: {problem}");
    let (title, detail) = (problem["title"].as_str().unwrap(), problem["detail"].as_str().unwrap());
    let (wanted, titles) = match attacker.gate.as_str() {
        "door" => (413, vec!["The body is too large".to_owned()]),
        "compiling" => (422, vec!["the component was not compiled".to_owned()]),
        parts => (422, parts.split('|').map(|part| format!("the upload was refused: {part}")).collect()),
    };
    assert_eq!(status, wanted, "{name}: {problem}");
    assert!(titles.iter().any(|one| one == title), "{name}: {title} ({detail})");
    attacker.assert_told(detail);
}

/// It runs and ends as it says, and the same again.
async fn assert_falls(host: &Host, attacker: &Attacker, tenant: &Tenant, digest: &Value) {
    let name = &attacker.name;
    let source = tenant.source("orders", "standard-webhooks", SECRET).await;
    tenant.receiver(host).await;
    tenant.destination("inner", json!({ "url": "https://inner.example/" })).await;
    host.mislead("inner", "https://127.0.0.1/").await;
    let fetch = json!({ "receiver": [], "inner": [] });
    let grants = json!({ "destinations": ["receiver"], "fetch": fetch, "state": true });
    let document = json!({ "digest": digest, "grants": grants });
    tenant.api.post(&tenant.path("plugins/handler/deployments"), document).await;
    tenant.route("orders", "handler").await;
    assert_eq!(host.send(&source, &order("msg_1")).await.status, 200, "{name}");
    let run = tenant.decided().await;
    let reason = run.reason.clone().unwrap_or_default();
    assert_eq!(run.verdict, attacker.verdict, "{name}: {reason}");
    attacker.assert_told(&reason);
    let log: usize = run.log.iter().map(|line| line.message.len()).sum();
    assert!(log <= LOG_BYTES_MAX, "{name}: {log} bytes of log");
    assert!(run.usage.memory_bytes <= 64 << 20, "{name}: {:?}", run.usage);
    let again = tenant.replay(&run).await;
    let seen = |run: &RunView| (run.verdict, run.reason.clone(), run.log.clone(), run.usage.fuel);
    assert_eq!(seen(&again), seen(&run), "{name}: the same event ends the same");
}

async fn attack(host: Arc<Host>, victim: Arc<Victim>, attacker: Attacker) {
    let id = format!("beside-{}", attacker.name);
    let work = async {
        let (tenant, status, answer) = upload(&host, &attacker).await;
        if attacker.runs() {
            assert_eq!(status, 201, "{}: {answer}", attacker.name);
            assert_falls(&host, &attacker, &tenant, &answer["resource"]["digest"]).await;
        } else {
            assert_refused(&attacker, status, &answer);
        }
    };
    tokio::join!(work, victim.decides(&host, &id));
}

/// All of them, a few at a time.
async fn all_attack(host: Host, attackers: Vec<Attacker>) {
    let (host, turns) = (Arc::new(host), Arc::new(Semaphore::new(SIDE_BY_SIDE)));
    let victim = Arc::new(Victim::on(&host).await);
    let mut all = JoinSet::new();
    for attacker in attackers {
        let (host, victim, turns) = (host.clone(), victim.clone(), turns.clone());
        all.spawn(async move {
            let _turn = turns.acquire_owned().await.unwrap();
            attack(host, victim, attacker).await;
        });
    }
    let mut failures = Vec::new();
    while let Some(ended) = all.join_next().await {
        failures.extend(ended.err().map(|panic| *panic.into_panic().downcast::<String>().unwrap_or_default()));
    }
    victim.decides(&host, "after-all").await;
    victim.assert_remembered().await;
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    Arc::into_inner(host).expect("everybody has ended").finish().await;
}

/// Its compiler, built without optimisation and behind everything else that the machine does, has time.
async fn host() -> Host {
    let home = Home::new(|config| config.runtime.compile_deadline_ms = 600_000).with_compiler(real_compiler());
    home.serve(Arc::new(Receiver::start().await)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_falls_where_it_says_and_nobody_beside_it_notices() {
    let attackers = attackers();
    assert!(attackers.len() >= 40 && attackers.iter().filter(|attacker| attacker.runs()).count() >= 30);
    all_attack(host().await, attackers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_of_every_monstrous_shape_are_refused_or_run_like_others() {
    let refused = |name: &str, gate: &str, says: &str, upload: Bytes| Attacker {
        name: name.to_owned(),
        upload,
        gate: gate.to_owned(),
        verdict: None,
        says: vec![says.to_owned()],
        limits: Default::default(),
    };
    let runs = |name: &str, verdict, says: &[&str], upload| Attacker {
        verdict: Some(verdict),
        says: says.iter().map(ToString::to_string).collect(),
        ..refused(name, "run", "", upload)
    };
    let monsters = vec![
        refused("nested-types", "compiling", "nests too deeply", generated::nested_types()),
        refused("nested-components", "validation", "not valid here", generated::nested_components()),
        refused("fifty-megabytes", "door", "at most 33554432 bytes", generated::fifty_megabytes()),
        refused("half-a-plugin", "validation|wrapping", "unexpected end|could not be made", generated::half()),
        runs("thousands-of-exports", Verdict::Done, &[], generated::exports()),
        runs("thousands-of-functions", Verdict::Done, &[], generated::functions()),
        runs("too-much-data", Verdict::Trap, &["out of bounds"], generated::data()),
    ];
    all_attack(host().await, monsters).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_compiles_for_minutes_is_ended_at_the_deadline() {
    let home = Home::new(|config| config.runtime.compile_deadline_ms = 8_000).with_compiler(real_compiler());
    let host = home.serve(Arc::new(Receiver::start().await)).await;
    let slow = Attacker {
        name: "slow-to-compile".to_owned(),
        upload: generated::slow_to_compile(),
        gate: "compiling".to_owned(),
        verdict: None,
        says: vec!["longer than 8000 ms".to_owned()],
        limits: Default::default(),
    };
    all_attack(host, vec![slow]).await;
}

/// Whoever uploads what seeds say, one after the other, and sees how each ends.
struct Roller {
    tenant: Tenant,
    source: String,
}

impl Roller {
    async fn on(host: &Host, number: usize) -> Roller {
        let limits = json!({ "fuel_max": 1_000_000, "uploads_per_minute": 600 });
        let tenant = Tenant::make_within(&host.api, &format!("roller-{number}"), limits).await;
        let source = tenant.source("orders", "standard-webhooks", SECRET).await;
        tenant.receiver(host).await;
        tenant.api.put(&tenant.path("plugins/handler"), json!({})).await;
        tenant.route("orders", "handler").await;
        Roller { tenant, source }
    }

    /// What became of the upload of a seed: the gate's part that refused it, or the verdict of its run.
    async fn roll(&self, host: &Host, seed: u64) -> String {
        let (status, answer) = self.tenant.upload("handler", random::upload(seed)).await;
        if status == 422 {
            let (title, detail) = (answer["title"].as_str().unwrap(), answer["detail"].as_str().unwrap());
            return format!("{title}: {}", detail.chars().take(120).collect::<String>());
        }
        assert!(matches!(status, 200 | 201), "seed {seed}: {status} {answer}");
        let document = json!({ "digest": answer["resource"]["digest"], "grants": { "destinations": ["receiver"] } });
        self.tenant.api.post(&self.tenant.path("plugins/handler/deployments"), document).await;
        assert_eq!(host.send(&self.source, &order(&format!("seed-{seed}"))).await.status, 200, "seed {seed}");
        let run = self.tenant.decided().await;
        let verdict = run.verdict.expect("it is decided");
        // What follows from the component alone; a clock or a fault of the host has no part in it.
        let own = [Verdict::Done, Verdict::Rejected, Verdict::Retry, Verdict::Trap];
        let limits = [Verdict::Fuel, Verdict::Memory, Verdict::Output];
        assert!(own.contains(&verdict) || limits.contains(&verdict), "seed {seed}: {run:#?}");
        if seed.is_multiple_of(10) {
            let again = self.tenant.replay(&run).await;
            assert_eq!((again.verdict, again.usage.fuel), (run.verdict, run.usage.fuel), "seed {seed}");
        }
        verdict.as_str().to_owned()
    }
}

/// `CREEL_TEST_SEED=N` tries one seed, `CREEL_LONG=1` ten times as many.
#[allow(clippy::disallowed_methods, reason = "how many seeds and which is for whoever runs the test to say")]
fn seeds() -> std::ops::Range<u64> {
    let one = std::env::var("CREEL_TEST_SEED").ok().map(|seed| seed.parse().expect("CREEL_TEST_SEED is a number"));
    match (one, std::env::var_os("CREEL_LONG")) {
        (Some(seed), _) => seed..seed + 1,
        (None, Some(_)) => 0..3_000,
        (None, None) => 0..300,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_components_are_refused_or_run_and_nobody_beside_them_notices() {
    let (host, seeds) = (Arc::new(Host::open().await), seeds());
    println!("seeds {seeds:?}; `CREEL_TEST_SEED=N` tries one");
    let (victim, next) = (Arc::new(Victim::on(&host).await), Arc::new(AtomicU64::new(seeds.start)));
    let mut rollers = JoinSet::new();
    for number in 0..SIDE_BY_SIDE {
        let (host, victim, next, end) = (host.clone(), victim.clone(), next.clone(), seeds.end);
        rollers.spawn(async move {
            let (roller, mut ends) = (Roller::on(&host, number).await, BTreeMap::<String, u64>::new());
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= end {
                    return ends;
                }
                *ends.entry(roller.roll(&host, seed).await).or_default() += 1;
                if seed % 25 == 0 {
                    victim.decides(&host, &format!("beside-{seed}")).await;
                }
            }
        });
    }
    let mut ends = BTreeMap::<String, u64>::new();
    while let Some(ended) = rollers.join_next().await {
        for (end, times) in ended.unwrap() {
            *ends.entry(end).or_default() += times;
        }
    }
    println!("{ends:#?}");
    victim.decides(&host, "after-all").await;
    if seeds.end - seeds.start > 1 {
        let refused = ends.iter().filter(|(end, _)| end.contains("upload") || end.contains("compiled"));
        let (refused, all): (u64, u64) = (refused.map(|(_, times)| times).sum(), ends.values().sum());
        assert!(all == seeds.end && (1..all).contains(&refused) && ends.contains_key("trap"), "{ends:#?}");
    }
    Arc::into_inner(host).expect("everybody has ended").finish().await;
}

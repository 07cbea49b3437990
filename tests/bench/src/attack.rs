//! Those who attack: events at a steady rate, uploads that are always new, and a receiver that never answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use hmac::Mac as _;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::load::ID_HEADER;
use crate::quarter::Ready;
use crate::yardstick::{SIGNATURE_HEADER, mac};

/// Events per second of each attacker: ten times the runs of a thousand million fuel that the default budget pays for.
pub(crate) const EVENTS_PER_S: u32 = 20;

/// Uploads per second of the one who has components compiled: ten times the thirty a minute of the default.
const UPLOADS_PER_S: u32 = 5;

/// The attackers' end: one thread.
pub(crate) struct Attack {
    runtime: Runtime,
    client: reqwest::Client,
    numbers: Arc<AtomicU64>,
    silent: String,
}

/// An attack that goes on until it is dropped.
pub(crate) struct GoingOn {
    _tasks: JoinSet<()>,
}

impl Attack {
    /// Starts the receiver that never answers.
    pub(crate) fn start() -> anyhow::Result<Attack> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).context("binding the silent receiver")?;
        let silent = format!("http://{}/", listener.local_addr()?);
        runtime.spawn(async move {
            let mut kept = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                kept.push(stream);
            }
        });
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build()?;
        Ok(Attack { runtime, client, numbers: Arc::default(), silent })
    }

    /// URL that never answers.
    pub(crate) fn silent(&self) -> String {
        self.silent.clone()
    }

    /// Has all attackers at work; `component` is what is uploaded, with something new at its end each time.
    pub(crate) fn begin(&self, at: &Ready, secret: &str, component: Option<&[u8]>) -> GoingOn {
        let _context = self.runtime.enter();
        let mut tasks = JoinSet::new();
        for path in &at.attackers {
            let url = format!("http://{}{path}", at.address);
            let (client, secret, numbers) = (self.client.clone(), secret.to_owned(), self.numbers.clone());
            tasks.spawn(at_rate(EVENTS_PER_S, move || {
                let number = numbers.fetch_add(1, Ordering::Relaxed);
                let body = format!("{{\"number\":{number}}}");
                let signature = hex::encode(mac(secret.as_bytes(), body.as_bytes()).finalize().into_bytes());
                let request = client.post(&url).header(SIGNATURE_HEADER, signature);
                request
                    .header(ID_HEADER, format!("attack-{number}"))
                    .header("content-type", "application/json")
                    .body(body)
            }));
        }
        if let Some(component) = component {
            let url = format!("http://{}/v1/tenants/compiles/plugins/handler/versions", at.admin);
            let (client, key, numbers) = (self.client.clone(), at.key.clone(), self.numbers.clone());
            let component = component.to_owned();
            tasks.spawn(at_rate(UPLOADS_PER_S, move || {
                let number = numbers.fetch_add(1, Ordering::Relaxed);
                let request = client.put(&url).bearer_auth(&key).header("content-type", "application/wasm");
                request.body([component.as_slice(), &custom_section(number)].concat())
            }));
        }
        GoingOn { _tasks: tasks }
    }
}

/// Sends so many requests per second, whatever becomes of them.
async fn at_rate(per_second: u32, mut next: impl FnMut() -> reqwest::RequestBuilder) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut under_way = JoinSet::new();
    loop {
        ticks.tick().await;
        while under_way.try_join_next().is_some() {}
        let request = next();
        // What an attacker is told is of no interest.
        under_way.spawn(async move { drop(request.send().await) });
    }
}

/// A section that means nothing and makes a component another one.
fn custom_section(number: u64) -> Vec<u8> {
    let mut section = vec![0, 10, 1, b'n'];
    section.extend_from_slice(&number.to_le_bytes());
    section
}

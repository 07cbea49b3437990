//! However much waits, it waits on the disk: the memory of a host does not grow with it.

use serde_json::json;
use tokio::task::JoinSet;

use crate::harness::host::client;
use crate::harness::process::{Place, Process};
use crate::harness::receiver::Receiver;
use crate::harness::sender::Webhook;
use crate::harness::tenant::Tenant;

const SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS1vcmRlcnMtMDAwMDE=";

/// Bytes of a body, and bodies of each part: more in each part than the database's caches hold in all.
const BODY_BYTES: usize = 512 << 10;
const PART: usize = 240;

/// Bytes of memory that belong to the process alone.
fn memory(host: &Process) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.id())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("the kernel counts it");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") << 10
}

/// Sends so many, some at the same time.
async fn send(host: &Process, path: &str, part: usize) {
    let (http, url) = (client(), format!("http://{}{path}", host.ingress));
    let mut sending = JoinSet::new();
    for number in 0..PART {
        let (http, url) = (http.clone(), url.clone());
        if sending.len() >= 4 {
            sending.join_next().await.expect("some are sent").expect("no sender panics");
        }
        sending.spawn(async move {
            let words = "word ".repeat(BODY_BYTES / 5);
            let body = json!({ "type": "order.paid", "text": words }).to_string();
            let order = Webhook::json("standard-webhooks", SECRET, &format!("msg_{part}_{number}"), body);
            assert_eq!(order.request(&http, &url).send().await.expect("an answer").status(), 200);
        });
    }
    while let Some(sent) = sending.join_next().await {
        sent.expect("no sender panics");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_on_the_disk_and_not_in_memory() {
    let receiver = Receiver::start().await;
    let place = Place::new(&receiver).await;
    let host = place.start(&[], &[]).await;
    let tenant = Tenant::make_over(&host.api, "shop").await;
    let path = tenant.source("orders", "standard-webhooks", SECRET).await;
    tenant.destination("receiver", json!({ "url": receiver.url("") })).await;
    tenant.deploy("echo", "echo", json!({})).await;
    tenant.route("orders", "echo").await;
    tenant.api.post(&tenant.path("routes/orders-echo/pause"), json!({})).await;
    send(&host, &path, 1).await;
    let mut memories = vec![memory(&host)];
    for part in 2..=3 {
        send(&host, &path, part).await;
        memories.push(memory(&host));
    }
    // What an allocator keeps of what came and went comes once and is no backlog; that would grow with each part.
    let (came, grown) = (PART * BODY_BYTES, memories.windows(2).map(|two| two[1].saturating_sub(two[0])).min());
    assert!(
        grown.is_some_and(|grown| grown < came / 2),
        "{came} bytes more wait each time, and memory was {memories:?}"
    );
    host.kill().await;
}

//! A tenant is removed: at once it is served no more, and in the end none of its bytes is in any file, while another
//! tenant with the same plugin is served all the time.

use std::path::Path;

use bytes::Bytes;
use creel_server::api::StoryView;
use creel_webhook::plugin::Digest;
use creel_webhook::run::Verdict;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::command::creel;
use crate::harness::guests::guest;
use crate::harness::host::Host;
use crate::harness::sender::Webhook;
use crate::harness::tenant::Tenant;
use crate::harness::wait::until;

/// A name as well as a text.
const CANARY: &str = "canary-of-the-one-who-leaves";

const SECRET: &str = "s3cr3t-of-the-calls";

/// A plugin of its own: as a fixture is, with the canary in a section that nothing reads.
fn plugin_of_its_own() -> Bytes {
    plugin_with(CANARY)
}

fn plugin_with(words: &str) -> Bytes {
    let section = [&[7][..], b"private", words.as_bytes()].concat();
    let length = u8::try_from(section.len()).expect("it is short");
    assert!(length < 0x80, "one byte of LEB128");
    [&guest("echo")[..], &[0, length], &section].concat().into()
}

fn files(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = walkdir::WalkDir::new(directory).into_iter().map(|entry| entry.unwrap().into_path());
    entries.filter(|path| path.is_file()).collect()
}

/// The files in which the canary stands.
fn canaries(directory: &Path) -> Vec<String> {
    let holds = |path: &Path| {
        std::fs::read(path).is_ok_and(|bytes| bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()))
    };
    files(directory).iter().filter(|path| holds(path)).map(|path| path.display().to_string()).collect()
}

/// Whether there is compiled code of an upload.
fn is_compiled(directory: &Path, upload: &[u8]) -> bool {
    let name = format!("{}.aot", hex::encode(Digest::of(upload).as_bytes()));
    files(directory).iter().any(|path| path.ends_with(&name))
}

fn call(said: &str, id: &str) -> Webhook {
    let body = json!({ "message": { "type": "end-of-call-report", "said": said.repeat(400), "id": id } });
    Webhook::json("vapi-secret", SECRET, id, body.to_string()).header("x-said", said)
}

/// A tenant that remembers what it is told under a word of its own, by the plugin that both have.
async fn shop(host: &Host, name: &str, word: &str) -> (Tenant, String) {
    let tenant = host.tenant(name).await;
    let path = tenant.source("calls", "vapi-secret", SECRET).await;
    tenant.receiver(host).await;
    tenant.deploy_with("shared", guest("remembers"), json!({ "key": word }), json!({ "state": true })).await;
    tenant.route("calls", "shared").await;
    (tenant, path)
}

async fn served(host: &Host, tenant: &Tenant, path: &str, webhook: &Webhook) -> StoryView {
    let told = host.send(path, webhook).await;
    assert_eq!(told.status, 200, "{told:?}");
    let story = tenant.settled().await;
    assert!(story.runs.iter().all(|run| run.verdict == Some(Verdict::Done)), "{story:#?}");
    story
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_tenant_leaves_nothing_and_nobody_else_notices() {
    let host = Host::open().await;
    let (other, other_path) = shop(&host, "stays", "stays").await;
    let (leaver, path) = shop(&host, "leaves", CANARY).await;
    leaver.secret(CANARY, CANARY).await;
    leaver.deploy_component(CANARY, plugin_of_its_own(), json!({ "path": format!("/{CANARY}") }), &["receiver"]).await;
    leaver.route("calls", CANARY).await;
    let looked_at = plugin_with("only looked at");
    let (status, _) = leaver.upload_with(CANARY, "?dry_run=true", looked_at.clone()).await;
    assert!(status == 201 && is_compiled(host.path(), &looked_at), "{status}");
    for number in 0..20 {
        served(&host, &leaver, &path, &call(CANARY, &number.to_string())).await;
    }
    let forged = Webhook::json("vapi-secret", "wrong", "forged", "{}");
    assert_eq!(host.send(&path, &forged).await.status, 401);
    served(&host, &other, &other_path, &call("stays", "before")).await;
    assert!(!canaries(host.path()).is_empty() && is_compiled(host.path(), &plugin_of_its_own()));

    let shown = "/v1/tenants/leaves?confirm=leaves";
    assert_eq!(leaver.api.refused(Method::DELETE, shown, &Value::Null).await.status, 403, "it is the operator's");
    for unsaid in ["/v1/tenants/leaves", "/v1/tenants/leaves?confirm=stays"] {
        let problem = host.api.refused(Method::DELETE, unsaid, &Value::Null).await;
        assert!(problem.status == 422 && problem.errors[0].detail.contains("?confirm=leaves"), "{problem:?}");
    }
    let told: Value = host.api.done(Method::DELETE, shown, None).await;
    assert!(told["removed_at"].is_string(), "{told}");
    assert_eq!(host.send(&path, &call(CANARY, "late")).await.status, 404, "its URL leads nowhere at once");
    assert_eq!(leaver.api.ask(Method::GET, "/v1/whoami", None).await.0, 401, "and its keys open nothing");

    // The host is cut off in the middle of it, or has just begun; the next goes on.
    let (home, receiver) = host.kill().await;
    let host = home.serve(receiver).await;
    let other = other.at(&host);
    served(&host, &other, &other_path, &call("stays", "meanwhile")).await;
    until("it is gone", || host.api.list("/v1/tenants"), |tenants| tenants.len() == 1).await;
    assert_eq!(host.api.refused(Method::DELETE, shown, &Value::Null).await.status, 404);
    until("the files are scrubbed", || async { canaries(host.path()) }, Vec::is_empty).await;
    assert!(!is_compiled(host.path(), &plugin_of_its_own()) && is_compiled(host.path(), &guest("remembers")));
    assert!(!is_compiled(host.path(), &looked_at), "no row says whose it is");
    served(&host, &other, &other_path, &call("stays", "after")).await;
    assert_eq!(other.events().await.len(), 3);
    let trail = creel(&Tenant { api: host.api.clone(), name: String::new() }, &["audit"]).await;
    assert!(trail.out.contains("/v1/tenants/leaves") && trail.out.contains("202"), "{trail:?}");
    host.finish().await;
}

//! `creel dev`: from a save to a verdict, on a host of one's own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::command::{Follower, alone, creel, follow, said as said_with};
use crate::harness::dev::Dev;
use crate::harness::guests::build_dir;
use crate::harness::host::{Host, client};
use crate::harness::sender::Webhook;
use crate::harness::tenant::Tenant;
use crate::harness::way::Way;

/// What `creel new` writes, far from the checkout.
async fn new_plugin() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_creel"));
    let made = command.args(["new", "hello"]).current_dir(folder.path()).output().await.expect("the program runs");
    assert!(made.status.success(), "{made:?}");
    let plugin = folder.path().join("hello");
    (folder, plugin)
}

/// Changes the plugin's one source file.
fn edit(plugin: &Path, from: &str, to: &str) {
    let file = plugin.join("src/lib.rs");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "no `{from}` in {text}");
    std::fs::write(&file, text.replace(from, to)).unwrap();
}

/// A pull request, signed with the secret in the file that the host named.
async fn open_pull_request(host: &Value, id: &str) {
    let secret = std::fs::read_to_string(host["secret_file"].as_str().expect("a file")).unwrap();
    let url = format!("https://github.example/pull/{id}");
    let body = json!({ "action": "opened", "pull_request": { "html_url": url } });
    let mut webhook = Webhook::json("github", &secret, id, body.to_string());
    webhook.headers =
        vec![("x-github-delivery".to_owned(), id.to_owned()), ("x-github-event".to_owned(), "pull_request".to_owned())];
    let answer = webhook.request(&client(), host["url"].as_str().expect("a URL")).send().await.unwrap();
    assert!(answer.status().is_success(), "{answer:?}");
}

/// The text that the one call of a run brought.
fn text(run: &Value) -> String {
    assert_eq!(run["run"]["verdict"], "done", "{run:#}");
    let [call] = &run["calls"].as_array().expect("calls")[..] else { panic!("{run:#}") };
    assert_eq!((&call["destination"], &call["state"]), (&json!("slack"), &json!("delivered")));
    let body: Value = serde_json::from_str(call["body"].as_str().expect("it arrived")).unwrap();
    body["text"].as_str().expect("a text").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_save_is_deployed_and_the_latest_event_handled_again() {
    let (_folder, plugin) = new_plugin().await;
    let mut dev = Dev::start(&plugin, &[], &[]);
    let host = dev.said("host").await;
    assert_eq!((&host["source"], &host["preset"]), (&json!("github"), &json!("github")), "as its cases say");
    assert_eq!(dev.said("deployed").await["number"], 1);
    open_pull_request(&host, "1").await;
    assert_eq!(text(&dev.said("run").await), "A new pull request: https://github.example/pull/1");

    edit(&plugin, "A new pull request", "Look at this");
    let deployed = dev.said("deployed").await;
    assert_eq!(deployed["number"], 2);
    let again = dev.said("run").await;
    assert_eq!(again["run"]["deployment"], 2);
    assert_eq!(text(&again), "Look at this: https://github.example/pull/1");

    edit(&plugin, "let (Some(url)", "let url = nonsense;\n    let (Some(url)");
    let failed = dev.said("failed").await;
    assert_eq!((&failed["stage"], &failed["deployment"]), (&json!("build"), &json!(2)));
    let words = failed["text"].as_str().expect("why");
    assert!(words.starts_with("error") && words.contains("nonsense") && !words.contains("Compiling"), "{words}");
    open_pull_request(&host, "2").await;
    let kept = dev.said("run").await;
    assert_eq!(
        (&kept["run"]["deployment"], text(&kept).as_str()),
        (&json!(2), "Look at this: https://github.example/pull/2")
    );

    edit(&plugin, "let url = nonsense;\n    let (Some(url)", "let (Some(url)");
    let well = dev.said("step").await["text"].to_string();
    assert!(well.contains("builds again") && well.contains("deployment 2"), "{well}");
    assert!(dev.interrupt().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_is_sent_and_strangers_are_told() {
    let (_folder, plugin) = new_plugin().await;
    let data_dir = plugin.with_file_name("data");
    let kept = ["--data-dir", data_dir.to_str().unwrap()];
    let mut dev = Dev::start(&plugin, &[&kept[..], &["--send", "pull_request"]].concat(), &[]);
    let host = dev.said("host").await;
    assert_eq!(dev.said("sent").await["status"], 200);
    let run = dev.said("run").await;
    assert_eq!(run["event"]["kind"], "pull_request");
    let forged = client().post(host["url"].as_str().unwrap()).body("{}").send().await.unwrap();
    assert_eq!(forged.status().as_u16(), 401);
    assert!(dev.said("refused").await["reason"].is_string());
    assert!(dev.interrupt().await.success());

    // The same directory again: key, secret and the path of the URL are those of before.
    let mut dev = Dev::start(&plugin, &[&kept[..], &["--exit-after", "1", "--send", "pull_request"]].concat(), &[]);
    let again = dev.said("host").await;
    assert_eq!(again["key"], host["key"]);
    let path = |host: &Value| host["url"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    assert_eq!(path(&again), path(&host));
    dev.said("run").await;
    dev.said("ended").await;
    assert!(dev.ended().await.success());

    // Behind a tunnel the source's URL is the tunnel's.
    let mut dev = Dev::start(&plugin, &[&kept[..], &["--public-url", "https://words.example/"]].concat(), &[]);
    let url = dev.said("host").await["url"].as_str().unwrap().to_owned();
    assert_eq!(url, format!("https://words.example/in/{}", path(&host)));
    assert!(dev.interrupt().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_played_is_said_at_once() {
    let (_folder, plugin) = new_plugin().await;
    let directory = plugin.to_str().unwrap();
    let said = alone(&["dev", directory, "--port", "0", "--send", "nothing"]).await;
    assert!(said.code == Some(1) && said.err.contains("pull_request"), "it lists what there is: {said:?}");
    let said = alone(&["dev", directory, "--port", "0", "--preset", "aws-sns"]).await;
    assert!(said.code == Some(4) && said.err.contains("topic_arns"), "{said:?}");
    let said = alone(&["dev", directory, "--port", "0", "--data-dir", directory]).await;
    assert!(said.code == Some(1) && said.err.contains("--data-dir"), "{said:?}");
    let said = alone(&["dev", "/nowhere", "--port", "0"]).await;
    assert!(said.code == Some(2) && said.err.contains("/nowhere"), "{said:?}");
    let above = plugin.parent().unwrap().to_str().unwrap();
    let said = alone(&["dev", above, "--port", "0"]).await;
    assert!(said.code == Some(1) && said.err.contains("`creel new NAME` makes a plugin"), "{said:?}");
    let script = plugin.with_file_name("script");
    std::fs::create_dir(&script).unwrap();
    std::fs::write(script.join("plugin.py"), "").unwrap();
    let said = alone(&["dev", script.to_str().unwrap(), "--port", "0"]).await;
    assert!(said.code == Some(1) && said.err.contains("pip install componentize-py"), "{said:?}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let said = alone(&["dev", directory, "--port", &port]).await;
    assert!(said.code == Some(1) && said.err.contains(&format!("port {port} is taken")), "{said:?}");
    let said = said_with(&["dev", directory, "--port", "0"], &[("CREEL_RUNTIME_COMPILE_DEADLINE_MS", "soon")]).await;
    assert!(said.code == Some(2) && said.err.contains("compile_deadline_ms"), "{said:?}");
}

/// How the program ends in a terminal of an author, and what it says there.
async fn typed(arguments: &[&str], plugin: &Path) -> (bool, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_creel"));
    command.args(arguments).arg(plugin).arg("--build-dir").arg(build_dir());
    let ended = command.output().await.expect("the program runs");
    let said = [ended.stdout, ended.stderr].map(|bytes| String::from_utf8(bytes).expect("it speaks UTF-8"));
    (ended.status.success(), said.concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_went_wrong_is_shown_once_and_with_what_to_do() {
    let (_folder, plugin) = new_plugin().await;
    let once = ["dev", "--port", "0", "--send", "pull_request", "--exit-after", "1"];
    edit(&plugin, "Call::to(\"slack\")", "Call::to(\"slak\")");
    let (ended, ungranted) = typed(&once, &plugin).await;
    assert!(ended && ungranted.contains("call 0 to `slak`") && ungranted.contains("--destination NAME"), "{ungranted}");

    let panics = "use creel_guest::prelude::*;\n\n#[creel_guest::plugin]\n\
        fn handle(event: Event) -> Result<Outcome, Failure> {\n    panic!(\"one {}\\ntwo\", event.kind())\n}\n";
    std::fs::write(plugin.join("src/lib.rs"), panics).unwrap();
    let (ended, trapped) = typed(&once, &plugin).await;
    assert!(ended && trapped.contains("trap") && trapped.contains("one pull_request"), "{trapped}");
    assert!(!trapped.contains("\\n") && trapped.matches("panicked at").count() == 1, "{trapped}");

    edit(&plugin, "panic!", "panik!");
    let (ended, words) = typed(&["build"], &plugin).await;
    assert!(!ended && words.contains("what it said stands above"), "{words}");
    assert_eq!(words.matches("could not compile").count(), 1, "{words}");
}

/// A host with a source whose events nobody takes.
async fn other_host() -> (Host, Tenant, String) {
    let host = Host::open().await;
    let tenant = host.tenant("acme").await;
    let path = tenant.source("github", "github", "elsewhere").await;
    (host, tenant, path)
}

/// Pull requests of these numbers, each of which is stored when this returns.
async fn pull_requests(host: &Host, path: &str, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let url = format!("https://github.example/pull/{number}");
        let body = json!({ "action": "opened", "pull_request": { "html_url": url } });
        let id = format!("delivery-{number}");
        let mut webhook = Webhook::json("github", "elsewhere", &id, body.to_string());
        webhook.headers = vec![
            ("x-github-delivery".to_owned(), id.clone()),
            ("x-github-event".to_owned(), "pull_request".to_owned()),
        ];
        assert_eq!(host.send(path, &webhook).await.status, 200);
    }
}

/// The runs of so many events, each told once.
async fn told(dev: &mut Dev, count: usize) -> BTreeSet<String> {
    let mut texts = BTreeSet::new();
    while texts.len() < count {
        let run = dev.said("run").await;
        assert!(texts.insert(text(&run)), "told twice: {run:#}");
    }
    texts
}

/// What the plugin says of pull requests of these numbers.
fn expected(numbers: std::ops::Range<u32>) -> BTreeSet<String> {
    numbers.map(|number| format!("A new pull request: https://github.example/pull/{number}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_events_of_another_host_are_followed_without_loss() {
    const EVENTS: u32 = 1_000;
    let (_folder, plugin) = new_plugin().await;
    let (host, tenant, path) = other_host().await;
    pull_requests(&host, &path, 0..5).await;
    let from = ["--from", tenant.api.base(), "--source", "github", "--last", "3"];
    let mut dev = Dev::start(&plugin, &from, &[("CREEL_KEY", tenant.api.key())]);
    assert_eq!(dev.said("host").await["source"], "github");
    let mut seen = told(&mut dev, 3).await;
    assert_eq!(seen, expected(2..5), "the newest that were there");
    // Many at the same time, while they are followed.
    let senders = (0..4).map(|part| pull_requests(&host, &path, 5 + part * EVENTS / 4..5 + (part + 1) * EVENTS / 4));
    let (rest, _) = tokio::join!(told(&mut dev, EVENTS as usize), futures_util::future::join_all(senders));
    seen.extend(rest);
    assert_eq!(seen, expected(2..5 + EVENTS));
    assert!(dev.interrupt().await.success());
    let read = host.api.list("/v1/tenants/acme/audit?limit=200").await;
    assert!(read.iter().any(|deed| deed["what"] == "GET /v1/tenants/{tenant}/feed"), "reading payloads is a deed");
    host.stop().await;
}

/// Bytes after which an answer breaks off: in the middle of a page of events.
const HALF_A_PAGE: u64 = 8_000;

/// The other host ends and is opened again, with events that come before and after; gives the host.
async fn reopened(host: Host, path: &str, (before, after): (std::ops::Range<u32>, std::ops::Range<u32>)) -> Host {
    pull_requests(&host, path, before).await;
    let (home, receiver) = host.stop().await;
    let host = home.serve(receiver).await;
    pull_requests(&host, path, after).await;
    host
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_was_away_is_followed_on_without_loss() {
    let (_folder, plugin) = new_plugin().await;
    let (host, tenant, path) = other_host().await;
    let way = Way::to(tenant.api.base()).await;
    pull_requests(&host, &path, 0..3).await;
    let url = way.url();
    let mut dev = Dev::start(&plugin, &["--from", &url, "--source", "github"], &[("CREEL_KEY", tenant.api.key())]);
    assert_eq!(told(&mut dev, 3).await, expected(0..3));

    way.cut();
    let note = dev.said("note").await;
    assert!(note["text"].as_str().unwrap().ends_with("; trying again"), "{note}");
    let host = reopened(host, &path, (3..40, 40..50)).await;
    way.leads_to(&host.admin_url(), HALF_A_PAGE);
    assert_eq!(told(&mut dev, 47).await, expected(3..50));
    pull_requests(&host, &path, 50..51).await;
    assert_eq!(told(&mut dev, 1).await, expected(50..51));
    let doubled: Vec<_> = dev.heard().iter().filter(|said| said.to_string().contains("handled here before")).collect();
    assert!(doubled.is_empty(), "{doubled:#?}");

    // Ctrl-C ends it also while nobody answers.
    way.cut();
    let note = dev.said("note").await;
    assert!(note["text"].as_str().unwrap().ends_with("; trying again"), "{note}");
    assert!(dev.interrupt().await.success());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_captured_as_they_come_also_from_a_host_that_was_away() {
    let (host, tenant, path) = other_host().await;
    let way = Way::to(tenant.api.base()).await;
    pull_requests(&host, &path, 0..3).await;
    let url = way.url();
    let command = ["--url", &url, "events", "--source", "github", "--payloads", "--follow", "--limit", "2"];
    let (mut follower, mut idle) = (follow(&tenant, &command), follow(&tenant, &command));
    captured(&mut follower, 1..3).await;
    captured(&mut idle, 1..3).await;
    assert_eq!(idle.interrupt().await, (Some(0), Vec::new()));

    way.cut();
    follower.complaint_with("; trying again").await;
    let host = reopened(host, &path, (3..40, 40..50)).await;
    way.leads_to(&host.admin_url(), HALF_A_PAGE);
    captured(&mut follower, 3..50).await;
    follower.complaint_with("answers again").await;
    way.cut();
    follower.complaint_with("; trying again").await;
    assert_eq!(follower.interrupt().await, (Some(0), Vec::new()), "nothing twice, and a good end");
    host.stop().await;
}

/// The next lines are the pull requests of these numbers, in this order.
async fn captured(follower: &mut Follower, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let event: Value = serde_json::from_str(&follower.line_with("").await).unwrap();
        assert_eq!(event["provider_id"], format!("delivery-{number}"), "{event:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_captured_into_a_file_and_handled_from_it() {
    let (folder, plugin) = new_plugin().await;
    let (host, tenant, path) = other_host().await;
    pull_requests(&host, &path, 0..3).await;
    let captured = creel(&tenant, &["events", "--source", "github", "--payloads", "--limit", "2"]).await;
    assert_eq!((captured.code, captured.out.lines().count()), (Some(0), 2), "{captured:?}");
    assert!(!captured.out.contains("elsewhere") && captured.out.contains("[verified]"));
    let file = folder.path().join("captured.jsonl");
    std::fs::write(&file, &captured.out).unwrap();
    let mut dev = Dev::start(&plugin, &["--events", file.to_str().unwrap(), "--exit-after", "2"], &[]);
    // They may run side by side, so either may be told first.
    let mut runs = [dev.said("run").await, dev.said("run").await];
    runs.sort_by_key(text);
    for (number, run) in (1..).zip(&runs) {
        assert_eq!(text(run), format!("A new pull request: https://github.example/pull/{number}"));
        assert_eq!(run["event"]["provider_id"], format!("delivery-{number}"));
    }
    dev.said("ended").await;
    assert!(dev.ended().await.success());

    std::fs::write(&file, "{}\n").unwrap();
    let odd = alone(&["dev", plugin.to_str().unwrap(), "--port", "0", "--events", file.to_str().unwrap()]).await;
    assert!(
        odd.code == Some(1) && odd.err.contains("line 1") && odd.err.contains("creel events --payloads"),
        "{odd:?}"
    );
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_read_payloads_is_told_before_anything_is_built() {
    let (_folder, plugin) = new_plugin().await;
    let (host, tenant, path) = other_host().await;
    pull_requests(&host, &path, 0..1).await;
    let key = json!({ "name": "blind", "role": "reader", "payload_read": false });
    let key = host.api.post("/v1/tenants/acme/keys", key).await["key"].as_str().unwrap().to_owned();
    let (directory, base) = (plugin.to_str().unwrap(), tenant.api.base());
    let dev = ["dev", directory, "--port", "0", "--from", base, "--source"];
    let blind = alone(&[&dev[..], &["github", "--key", &key]].concat()).await;
    assert!(blind.code == Some(4) && blind.err.contains("payload_read"), "{blind:?}");
    let strange = alone(&[&dev[..], &["calls", "--key", tenant.api.key()]].concat()).await;
    assert!(strange.code == Some(3) && strange.err.contains("calls"), "{strange:?}");
    host.stop().await;
}

//! An author who has the program, a toolchain and the README: its plugin and its file, copied out, work as they stand.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::guests::{build_dir, checkout};
use crate::harness::host::client;
use crate::harness::process::Place;
use crate::harness::receiver::Receiver;
use crate::harness::sender::Webhook;

const SECRET: &str = "typed into the form of GitHub";

/// The README's first block in a language.
fn block(language: &str) -> String {
    let page = std::fs::read_to_string(checkout().join("README.md")).unwrap();
    let (_, rest) = page.split_once(&format!("```{language}\n")).expect("the README has such a block");
    rest.split_once("```").expect("it ends").0.to_owned()
}

/// The program in a directory: what it prints, without the last line's end.
async fn creel(directory: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_creel"));
    command.args(arguments).current_dir(directory).envs(environment.iter().copied()).stdin(Stdio::null());
    let output = command.output().await.expect("the program runs");
    assert!(output.status.success(), "creel {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readmes_plugin_works_as_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let build_dir = build_dir();
    assert!(!folder.path().starts_with(checkout()), "nothing of the checkout is in reach");
    creel(folder.path(), &["new", "hello"], &[]).await;
    let plugin = folder.path().join("hello");
    std::fs::write(plugin.join("src/lib.rs"), block("rust")).unwrap();
    let component = creel(&plugin, &["build", "--build-dir", build_dir.to_str().unwrap()], &[]).await;
    std::fs::copy(&component, plugin.join("hello.wasm")).unwrap();
    // It was kept for another build of this folder, which will be gone.
    std::fs::remove_dir_all(Path::new(&component).parent().unwrap()).unwrap();

    let receiver = Receiver::start().await;
    let host = Place::new(&receiver).await;
    let process = host.start(&[], &[]).await;
    let manifest = block("toml").replace("https://hooks.slack.com/services/…", &receiver.url("/services/T1"));
    std::fs::write(plugin.join("acme.toml"), manifest).unwrap();
    let environment = [("CREEL_URL", process.api.base()), ("CREEL_KEY", process.api.key()), ("GITHUB_SECRET", SECRET)];
    creel(&plugin, &["--json", "apply", "--yes", "acme.toml"], &environment).await;

    let source: Value = process.api.get("/v1/tenants/acme/sources/github").await;
    let url = format!("http://{}{}", process.ingress, source["path"].as_str().expect("a source has a path"));
    let pull_request = json!({ "action": "opened", "pull_request": { "html_url": "https://github.example/pull/7" } });
    let mut webhook = Webhook::json("github", SECRET, "d-1", pull_request.to_string());
    webhook.headers = vec![
        ("x-github-delivery".to_owned(), "d-1".to_owned()),
        ("x-github-event".to_owned(), "pull_request".to_owned()),
    ];
    assert!(webhook.request(&client(), &url).send().await.unwrap().status().is_success());
    let call = receiver.arrivals(1).await.remove(0);
    assert_eq!(call.request.path, "/services/T1");
    let told: Value = serde_json::from_slice(&call.request.body).unwrap();
    assert_eq!(told, json!({ "text": "A new pull request: https://github.example/pull/7" }));
    process.kill().await;
}

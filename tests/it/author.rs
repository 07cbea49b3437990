//! An author who has the program, a toolchain and the README: its plugin and its file, copied out, work as they stand, and
//! so does whatever `creel new` can make.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::command::{Said, shipped};
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

/// When it is set, tools that can't be installed fail the test.
const REQUIRED: &str = "CREEL_TEST_LANGUAGES";

/// The program in a directory: how it ends, and what it says.
async fn said(directory: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Said {
    let mut command = Command::new(shipped());
    command.args(arguments).current_dir(directory).envs(environment.iter().copied()).stdin(Stdio::null());
    let output = command.output().await.expect("the program runs");
    let text = |bytes| String::from_utf8(bytes).expect("it speaks UTF-8");
    Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// The same where it does what it should: what it prints, without the last line's end.
async fn creel(directory: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let said = said(directory, arguments, environment).await;
    assert_eq!(said.code, Some(0), "creel {arguments:?}: {said:?}");
    said.out.trim_end().to_owned()
}

/// A new plugin of a template in a folder, far from the checkout.
async fn new(folder: &Path, template: &str) -> PathBuf {
    assert!(!folder.starts_with(checkout()), "nothing of the checkout is in reach");
    creel(folder, &["new", &format!("my-{template}"), "--template", template], &[]).await;
    folder.join(format!("my-{template}"))
}

/// Its cases in the sandbox: each as expected. A program that was built for tests takes its time over an interpreter.
async fn tested(plugin: &Path, build_dir: &str) {
    let environment = [("CREEL_BUILD_DIR", build_dir), ("CREEL_RUNTIME_COMPILE_DEADLINE_MS", "600000")];
    let tested: Value = serde_json::from_str(&creel(plugin, &["--json", "test"], &environment).await).unwrap();
    let files = std::fs::read_dir(plugin.join("cases")).unwrap().count();
    assert_eq!(tested["cases"].as_array().map(Vec::len), Some(files), "{}", plugin.display());
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

#[tokio::test(flavor = "multi_thread")]
async fn every_template_in_rust_builds_alone_and_passes_its_cases() {
    let folder = tempfile::tempdir().unwrap();
    let all: Value = serde_json::from_str(&creel(folder.path(), &["--json", "new", "--list"], &[]).await).unwrap();
    let all = all.as_array().unwrap();
    assert!(all.len() >= 10, "the first-party plugins, and one in each language: {all:?}");
    let build_dir = build_dir().display().to_string();
    for template in all.iter().filter(|template| template["language"] == "Rust") {
        tested(&new(folder.path(), template["name"].as_str().unwrap()).await, &build_dir).await;
    }
}

/// A plugin of a template whose tool is fetched as its author is told to.
async fn in_script(template: &str, tool: &str) {
    let folder = tempfile::tempdir().unwrap();
    let plugin = new(folder.path(), template).await;
    let build_dir = folder.path().join("built").display().to_string();
    let environment = [("CREEL_BUILD_DIR", build_dir.as_str()), ("CREEL_RUNTIME_COMPILE_DEADLINE_MS", "600000")];

    let none = said(&plugin, &["build"], &[("CREEL_BUILD_DIR", &build_dir), ("PATH", ""), ("VIRTUAL_ENV", "")]).await;
    assert!(none.code == Some(1) && none.err.contains(&format!("{tool} is not installed here")), "{none:?}");
    let typed = none.err.lines().last().unwrap().trim();
    let installed = Command::new("sh").args(["-c", typed]).stdin(Stdio::null()).output().await.unwrap();
    if !installed.status.success() {
        let why = String::from_utf8_lossy(&installed.stderr);
        assert!(std::env::var_os(REQUIRED).is_none(), "`{typed}`: {why}");
        return println!("{template} is left out: `{typed}`: {why}");
    }

    let built = creel(&plugin, &["build", "-o", "plugin.wasm"], &environment).await;
    assert_eq!(built, "plugin.wasm");
    let seen = |text: String| serde_json::from_str::<Value>(&text).unwrap();
    let first = seen(creel(&plugin, &["--json", "build"], &environment).await);
    let size = std::fs::metadata(plugin.join("plugin.wasm")).unwrap().len();
    assert_eq!(first["bytes"], json!(size), "it was built once: {first}");
    assert!(first["imports"].as_array().unwrap().contains(&json!("creel:plugin/log@0.1.0")), "{first}");
    tested(&plugin, &build_dir).await;

    let main = plugin.join(if template == "python" { "plugin.py" } else { "plugin.js" });
    let text = std::fs::read_to_string(&main).unwrap().replace("A new pull request: ", "Look: ");
    std::fs::write(&main, text).unwrap();
    let failed = said(&plugin, &["test"], &environment).await;
    assert!(failed.code == Some(1) && failed.out.contains("Look: https://github.com"), "{failed:?}");
    let text = std::fs::read_to_string(&main).unwrap().replace("url = hook", "url = nonsense");
    std::fs::write(&main, text).unwrap();
    let thrown = said(&plugin, &["test"], &environment).await;
    assert!(thrown.code == Some(1) && thrown.out.contains("nonsense"), "what was thrown is told: {thrown:?}");
    std::fs::write(&main, "import nothing from {").unwrap();
    let broken = said(&plugin, &["build"], &environment).await;
    assert!(broken.code == Some(1) && broken.err.contains(&format!("{tool} ended with")), "{broken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_template_in_javascript_builds_with_what_its_author_is_told_to_type() {
    in_script("javascript", "componentize-qjs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_template_in_python_builds_with_what_its_author_is_told_to_type() {
    in_script("python", "componentize-py").await;
}

/// It told size and imports by compiling, under whatever limits the environment gave, and failed of what it did not need.
#[tokio::test(flavor = "multi_thread")]
async fn a_build_compiles_nothing_a_second_time_and_minds_no_settings() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = new(folder.path(), "hello").await;
    let build_dir = build_dir().display().to_string();
    let environment = [
        ("CREEL_BUILD_DIR", build_dir.as_str()),
        ("CREEL_RUNTIME_COMPILE_DEADLINE_MS", "1"),
        ("CREEL_INGRESS_LISTEN", "nowhere"),
    ];
    let built: Value = serde_json::from_str(&creel(&plugin, &["--json", "build"], &environment).await).unwrap();
    let file = std::fs::read(built["component"].as_str().unwrap()).unwrap();
    assert_eq!(built["bytes"], json!(file.len()));
    assert_eq!(built["digest"], json!(creel_webhook::plugin::Digest::of(&file).to_string()));
    let told = said(&plugin, &["build", "--output", "here.wasm"], &environment).await;
    assert_eq!((told.code, told.out.as_str()), (Some(0), "here.wasm\n"), "{told:?}");
    assert!(told.err.contains("imports creel:plugin/") && told.err.contains("sha256:"), "{told:?}");
    assert_eq!(std::fs::read(plugin.join("here.wasm")).unwrap(), file);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_made_or_built_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let listed = said(folder.path(), &["new", "--list"], &[]).await;
    assert!(listed.out.starts_with("TEMPLATE") && listed.out.contains("escalation"), "{listed:?}");
    let unknown = said(folder.path(), &["new", "mine", "--template", "cobol"], &[]).await;
    assert!(unknown.code == Some(2) && unknown.err.contains("caller-context"), "{unknown:?}");
    let neither = said(folder.path(), &["new"], &[]).await;
    assert_eq!(neither.code, Some(2), "{neither:?}");
    let odd = said(folder.path(), &["new", "My.Plugin"], &[]).await;
    assert!(odd.code == Some(2) && odd.err.contains("My.Plugin"), "{odd:?}");
    let nothing = said(folder.path(), &["build"], &[]).await;
    assert!(nothing.code == Some(1) && nothing.err.contains("`creel new NAME` makes a plugin"), "{nothing:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");
}

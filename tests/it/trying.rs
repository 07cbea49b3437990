//! A plugin is tried without a host: `creel check` says what the gate would say, `creel test` runs its cases in the
//! sandbox, and `--bless` writes down what came of them.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::command::{Said, alone};
use crate::harness::guests::{checkout, guest, plugin};
use crate::harness::host::Host;

/// A component in a file, and a directory for cases beside it.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn with(component: &[u8]) -> Desk {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("plugin.wasm"), component).unwrap();
        std::fs::create_dir(folder.path().join("cases")).unwrap();
        Desk { folder }
    }

    fn component(&self) -> String {
        self.folder.path().join("plugin.wasm").display().to_string()
    }

    fn case(&self, name: &str, case: &Value) -> PathBuf {
        let file = self.folder.path().join("cases").join(name);
        std::fs::write(&file, serde_json::to_string_pretty(case).unwrap()).unwrap();
        file
    }

    async fn test(&self, more: &[&str]) -> Said {
        let (component, directory) = (self.component(), self.folder.path().display().to_string());
        let arguments = [&["test", &directory, "--component", &component], more].concat();
        alone(&arguments).await
    }
}

fn cases_of(name: &str) -> String {
    checkout().join("plugins").join(name).join("cases").display().to_string()
}

/// `script` gives the program a terminal.
#[tokio::test(flavor = "multi_thread")]
async fn on_a_terminal_what_takes_long_is_told_and_leaves_no_trace() {
    let desk = Desk::with(&guest("echo"));
    let typed = format!("{} check {}", env!("CARGO_BIN_EXE_creel"), desk.component());
    let mut command = tokio::process::Command::new("script");
    let played = command.args(["-qec", &typed, "/dev/null"]).output().await.expect("it is part of every system");
    let said = String::from_utf8(played.stdout).unwrap();
    let (told, result) = said.rsplit_once("\r\u{1b}[K").expect("the line is written over");
    assert!(told.contains("compiling") && result.contains("a host takes it"), "{said:?}");
    let piped = alone(&["check", &desk.component()]).await;
    assert!(piped.err.is_empty() && piped.out.starts_with("a host takes it"), "elsewhere nothing moves: {piped:?}");
}

/// Plugins are compiled one after the other, so it is said which of how many.
#[tokio::test(flavor = "multi_thread")]
async fn on_a_terminal_each_step_of_an_application_is_told_while_it_is_made() {
    let host = Host::open().await;
    let tenant = host.tenant("shop").await;
    let desk = Desk::with(&guest("echo"));
    let file = desk.folder.path().join("tenant.toml");
    let sources = "[sources.orders]\npreset = \"url-token\"\n";
    std::fs::write(&file, format!("tenant = \"shop\"\n{sources}[plugins.echo]\ncomponent = \"plugin.wasm\"\n"))
        .unwrap();
    let typed = format!("{} apply --yes {}", env!("CARGO_BIN_EXE_creel"), file.display());
    let mut command = tokio::process::Command::new("script");
    command.args(["-qec", &typed, "/dev/null"]).env("CREEL_URL", tenant.api.base()).env("CREEL_KEY", tenant.api.key());
    let said = String::from_utf8(command.output().await.expect("it is part of every system").stdout).unwrap();
    for (doing, done) in [("1 of 2: source orders", "+ source orders"), ("2 of 2: plugin echo", "+ plugin echo")] {
        let (_, after) = said.split_once(doing).unwrap_or_else(|| panic!("no `{doing}` in {said:?}"));
        let (_, result) = after.split_once("\r\u{1b}[K").expect("the line is written over");
        assert!(result.contains("done") && result.contains(done), "{said:?}");
    }
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_plugins_cases_hold_in_the_sandbox_too() {
    for name in ["github-to-slack", "call-ended", "escalation", "appointment", "twiml-greeting", "assistant-request"] {
        let desk = Desk::with(&plugin(name));
        let cases = cases_of(name);
        let tested = alone(&["--json", "test", "--component", &desk.component(), "--cases", &cases]).await.json();
        let files = std::fs::read_dir(&cases).unwrap().count();
        assert_eq!(tested["cases"].as_array().map(Vec::len), Some(files), "{name}");
        for case in tested["cases"].as_array().unwrap() {
            assert_eq!(case["differences"], json!([]), "{name}: {case}");
            assert!(case["usage"]["fuel"].as_u64() > Some(1_000), "it is metered: {case}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_is_said_and_blessed() {
    let desk = Desk::with(&plugin("github-to-slack"));
    let original: Value = serde_json::from_slice(
        &std::fs::read(Path::new(&cases_of("github-to-slack")).join("one-commit.json")).unwrap(),
    )
    .unwrap();
    let mut wrong = original.clone();
    let text = wrong.pointer_mut("/expect/calls/0/json/text").expect("the case expects a text");
    *text = json!("something else");
    let file = desk.case("one-commit.json", &wrong);

    let failed = desk.test(&[]).await;
    assert_eq!(failed.code, Some(1), "{failed:?}");
    for part in ["FAIL one-commit", "call 0 to slack: json /text", "something else", "0 passed, 1 failed"] {
        assert!(failed.out.contains(part), "no `{part}` in {failed:?}");
    }
    assert!(failed.err.contains("not as expected: 1 of 1 case"), "{failed:?}");

    let unasked = desk.test(&["--bless"]).await;
    assert!(unasked.code == Some(2) && unasked.err.contains("--yes"), "{unasked:?}");
    assert!(unasked.err.contains("-          \"text\": \"something else\""), "the diff is shown first: {unasked:?}");
    assert_eq!(serde_json::from_slice::<Value>(&std::fs::read(&file).unwrap()).unwrap(), wrong);

    assert_eq!(desk.test(&["--bless", "--yes"]).await.code, Some(0));
    let passed = desk.test(&["--only", "one"]).await;
    assert!(passed.code == Some(0) && passed.out.contains("1 passed, 0 failed"), "{passed:?}");
    let blessed: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(blessed["event"], original["event"], "only what is expected is written anew");
    assert_eq!(blessed["expect"]["calls"][0]["json"]["text"], original["expect"]["calls"][0]["json"]["text"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn cases_are_run_under_the_limits_and_the_rules_of_a_host() {
    let nothing = json!({ "event": { "json": {} }, "expect": {} });
    let desk = Desk::with(&guest("loops"));
    desk.case("loop.json", &nothing);
    let said = desk.test(&[]).await;
    assert!(
        said.code == Some(1) && said.out.contains("the verdict `fuel`") && said.out.contains("fuel_max"),
        "{said:?}"
    );

    let desk = Desk::with(&guest("panics"));
    desk.case("panic.json", &nothing);
    let said = desk.test(&["--bless", "--yes"]).await;
    assert!(said.code == Some(1) && said.out.contains("the verdict `trap`"), "{said:?}");
    assert!(said.err.contains("can't expect what came of it"), "{said:?}");

    let desk = Desk::with(&guest("bad-call"));
    desk.case("call.json", &json!({ "config": { "path": "/../other" }, "event": { "json": {} }, "expect": {} }));
    let said = desk.test(&[]).await;
    assert!(said.code == Some(1) && said.out.contains("the verdict `output`"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plugin_said_on_several_lines_is_told_on_several_lines() {
    let desk = Desk::with(&guest("panics"));
    let config = json!({ "message": "lost the order:\n{ id: 7 }\n\u{1b}[2J" });
    desk.case("panic.json", &json!({ "config": config, "event": { "json": {} }, "expect": {} }));
    let said = desk.test(&[]).await.out;
    let verdict = said.split_once("the verdict `trap`").expect("it traps").1;
    for part in ["lost the order:\n     { id: 7 }\n     \\u{1b}[2J\n", "lost the order:\n           { id: 7 }\n"] {
        assert!(verdict.contains(part), "no `{part}` in {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_case_and_a_directory_without_any_are_told() {
    let desk = Desk::with(&plugin("github-to-slack"));
    let none = desk.test(&[]).await;
    assert!(none.code == Some(1) && none.err.contains("holds no case"), "{none:?}");
    desk.case("odd.json", &json!({ "evnet": {}, "expect": {} }));
    let odd = desk.test(&[]).await;
    assert!(odd.code == Some(1) && odd.out.contains("FAIL odd") && odd.out.contains("evnet"), "{odd:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_is_checked_as_a_host_would() {
    let desk = Desk::with(&plugin("github-to-slack"));
    let checked = alone(&["--json", "check", &desk.component()]).await.json();
    assert_eq!(checked["bytes"], json!(plugin("github-to-slack").len()));
    assert!(checked["digest"].as_str().unwrap().starts_with("sha256:"));
    assert!(checked["imports"].as_array().unwrap().contains(&json!("creel:plugin/log@0.1.0")), "{checked}");
    let told = alone(&["check", &desk.component()]).await;
    assert!(told.code == Some(0) && told.out.contains("a host takes it") && told.out.contains("sha256:"), "{told:?}");

    let desk = Desk::with(b"no component");
    let refused = alone(&["check", &desk.component()]).await;
    assert!(refused.code == Some(1) && refused.err.contains("plugin.wasm"), "{refused:?}");
    let missing = alone(&["check", "nowhere.wasm"]).await;
    assert!(missing.code == Some(2) && missing.err.contains("reading nowhere.wasm"), "{missing:?}");
}

//! `creel apply` against the admin API on a real socket.

use std::path::{Path, PathBuf};

use axum::http::Method;
use creel_server::api::{DestinationView, SecretView};
use creel_server::cli::apply::{Options, Plan, Planned, apply_file};
use creel_server::cli::client::{Client, ClientError};
use creel_server::cli::manifest::ManifestError;

use serde_json::{Value, json};

use crate::desk::{BAD_COMPONENT, Desk};

const FILE: &str = r#"
tenant = "acme"

[secrets.vapi]
value = "one"

[secrets.crm]
value_file = "crm.token"
origins = ["https://crm.example"]

[sources.calls]
preset = "vapi-hmac"
secrets = ["vapi"]

[destinations.crm]
url = "https://crm.example/v1"
auth = { type = "bearer", secret = "crm" }

[plugins.call-ended]
component = "call-ended.wasm"
config = { language = "en" }
grants = { destinations = ["crm"] }

[routes.ended]
source = "calls"
pattern = "end-of-call-report"
plugin = "call-ended"
"#;

/// A served host with a file to apply; the server ends with the test's runtime.
struct Stage {
    desk: Desk,
    client: Client,
    file: PathBuf,
}

impl Stage {
    async fn new() -> Stage {
        let desk = Desk::new().await;
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::new(&format!("http://{}", socket.local_addr().unwrap()), &desk.operator).unwrap();
        let router = desk.router.clone();
        tokio::spawn(async move { axum::serve(socket, router).await.unwrap() });
        let file = desk.directory.path().join("creel.toml");
        std::fs::write(&file, FILE).unwrap();
        std::fs::write(desk.directory.path().join("crm.token"), "token\n").unwrap();
        std::fs::write(desk.directory.path().join("call-ended.wasm"), "component").unwrap();
        Stage { desk, client, file }
    }

    async fn apply(&self, options: Options) -> Plan {
        apply_file(&self.client, &self.file, &options).await.unwrap()
    }

    fn edit(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(&self.file).unwrap();
        assert!(text.contains(from));
        std::fs::write(&self.file, text.replace(from, to)).unwrap();
    }
}

fn changed(plan: &Plan) -> Vec<String> {
    let steps = plan.steps.iter().filter(|step| step.change != Planned::Same);
    steps.map(|step| format!("{} {} {} {}", step.change.sign(), step.kind, step.name, step.fields.join(","))).collect()
}

#[tokio::test]
async fn a_component_that_ran_before_is_told() {
    let stage = Stage::new().await;
    let warned = async |component: &str, dry_run: bool| {
        std::fs::write(stage.desk.directory.path().join("call-ended.wasm"), component).unwrap();
        let plan = stage.apply(Options { dry_run, ..Options::default() }).await;
        plan.steps.into_iter().find(|step| step.kind == "plugin").expect("the file names one").warnings
    };
    assert!(warned("component", false).await.is_empty());
    assert!(warned("another", true).await.is_empty(), "what is new goes nowhere back");
    warned("another", false).await;
    let told = warned("component", true).await.join(" ");
    assert!(told.contains("deployment 1") && told.contains("2 runs"), "{told}");
    assert!(warned("another", true).await.is_empty(), "nothing changes");
}

#[tokio::test]
async fn applying_twice_changes_nothing_the_second_time() {
    let stage = Stage::new().await;
    let dry = stage.apply(Options { dry_run: true, ..Options::default() }).await;
    assert_eq!((dry.changes(), dry.steps.len()), (7, 7));
    assert_eq!(stage.apply(Options::default()).await.changes(), 7);
    let again = stage.apply(Options::default()).await;
    assert_eq!((changed(&again), again.steps.len()), (Vec::new(), 7));
}

#[tokio::test]
async fn a_plan_says_what_changes() {
    let stage = Stage::new().await;
    stage.apply(Options::default()).await;
    stage.edit("language = \"en\"", "language = \"de\"");
    stage.edit("\"https://crm.example/v1\"", "\"https://crm.example/v2\"");
    stage.edit("value = \"one\"", "value = \"two\"");
    let plan = stage.apply(Options::default()).await;
    let expected = ["~ secret vapi ", "~ destination crm url", "~ plugin call-ended config"];
    assert_eq!(changed(&plan), expected);
    assert_eq!(stage.apply(Options::default()).await.changes(), 0);
}

#[tokio::test]
async fn origins_that_the_file_no_longer_names_go() {
    let stage = Stage::new().await;
    let origins = "value = \"one\"\norigins = [\"https://old.example\"]";
    stage.edit("value = \"one\"", origins);
    stage.apply(Options::default()).await;
    stage.edit(origins, "value = \"one\"");
    assert_eq!(changed(&stage.apply(Options::default()).await), ["~ secret vapi "]);
    let kept = stage.client.tenant("acme").get::<SecretView>("vapi").await.unwrap();
    assert_eq!(kept.origins, [""; 0]);
}

#[tokio::test]
async fn only_pruning_removes() {
    let stage = Stage::new().await;
    stage.apply(Options::default()).await;
    std::fs::write(&stage.file, "tenant = \"acme\"\n").unwrap();
    assert_eq!(stage.apply(Options::default()).await.changes(), 0);
    let pruned = stage.apply(Options { prune: true, ..Options::default() }).await;
    let expected = ["- route ended ", "- source calls ", "- destination crm ", "- secret crm ", "- secret vapi "];
    assert_eq!(changed(&pruned), expected);
    assert_eq!(stage.apply(Options { prune: true, ..Options::default() }).await.changes(), 0);
}

const LIMITS: &str = "\n[limits]\nfuel_max = 2_000_000_000\nlog_lines_max = 300\n";

/// What the tenant's own limits are, those that it has.
async fn own_limits(stage: &Stage) -> Value {
    let tenant = stage.client.tenant("acme").about().await.unwrap();
    let mut limits = serde_json::to_value(tenant.limits).unwrap();
    limits.as_object_mut().unwrap().retain(|_, limit| !limit.is_null());
    limits
}

#[tokio::test]
async fn a_tenants_limits_are_those_of_the_file_that_names_any() {
    let stage = Stage::new().await;
    std::fs::write(&stage.file, format!("{FILE}{LIMITS}")).unwrap();
    assert_eq!(changed(&stage.apply(Options::default()).await)[0], "+ tenant acme ");
    assert_eq!(own_limits(&stage).await, json!({ "fuel_max": 2_000_000_000, "log_lines_max": 300 }));
    assert_eq!(stage.apply(Options::default()).await.changes(), 0);

    stage.edit("log_lines_max = 300", "calls_max = 100");
    let dry = stage.apply(Options { dry_run: true, ..Options::default() }).await;
    assert_eq!(changed(&dry), ["~ tenant acme limits.log_lines_max,limits.calls_max"]);
    assert_eq!(own_limits(&stage).await["log_lines_max"], 300);
    assert_eq!(stage.apply(Options::default()).await.changes(), 1);
    let own = json!({ "fuel_max": 2_000_000_000, "calls_max": 100 });
    assert_eq!(own_limits(&stage).await, own);

    std::fs::write(&stage.file, FILE).unwrap();
    assert_eq!(stage.apply(Options { prune: true, ..Options::default() }).await.changes(), 0);
    assert_eq!(own_limits(&stage).await, own, "a file that says nothing of limits leaves them, even when it prunes");
    std::fs::write(&stage.file, format!("{FILE}\n[limits]\n")).unwrap();
    let reset = ["~ tenant acme limits.fuel_max,limits.calls_max"];
    assert_eq!(changed(&stage.apply(Options::default()).await), reset);
    assert_eq!(own_limits(&stage).await, json!({}));
}

#[tokio::test]
async fn limits_that_no_host_can_give_are_mistakes_of_the_file() {
    let stage = Stage::new().await;
    std::fs::write(&stage.file, format!("{FILE}\n[limits]\nfule_max = 1\ncalls_max = 0\n")).unwrap();
    let error = apply_file(&stage.client, &stage.file, &Options::default()).await.err().unwrap();
    let told = error.to_string();
    assert!(told.contains("limits.fule_max: unknown field"), "{told}");
    assert!(told.contains("limits.calls_max: 0 is outside of 1 to 10000"), "{told}");
    assert_eq!(creel_server::cli::exit_code(&error), 2);
}

#[tokio::test]
async fn whoever_is_no_operator_applies_a_file_whose_limits_hold_already_and_no_other() {
    let stage = Stage::new().await;
    std::fs::write(&stage.file, format!("{FILE}{LIMITS}")).unwrap();
    stage.apply(Options::default()).await;
    let admin = json!({ "name": "admin", "role": "tenant_admin" });
    let admin: Value = stage.client.post("/v1/tenants/acme/keys", &admin).await.unwrap();
    let admin = Client::new(stage.client.url(), admin["key"].as_str().unwrap()).unwrap();
    assert_eq!(apply_file(&admin, &stage.file, &Options::default()).await.unwrap().changes(), 0);
    stage.edit("fuel_max = 2_000_000_000", "fuel_max = 3_000_000_000");
    stage.edit("language = \"en\"", "language = \"de\"");
    let error = apply_file(&admin, &stage.file, &Options::default()).await.err().unwrap();
    assert!(matches!(error.downcast_ref(), Some(ClientError::Refused(problem)) if problem.status == 403), "{error}");
    stage.edit("fuel_max = 3_000_000_000", "fuel_max = 2_000_000_000");
    let plan = apply_file(&admin, &stage.file, &Options::default()).await.unwrap();
    assert_eq!(changed(&plan), ["~ plugin call-ended config"], "nothing was changed before");
}

/// The program itself, without a terminal: exit code, standard output, standard error.
async fn creel(stage: &Stage, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_creel"));
    command.args(arguments).env("CREEL_URL", stage.client.url()).env("CREEL_KEY", &stage.desk.operator);
    let output = command.stdin(std::process::Stdio::null()).output().await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test]
async fn json_is_never_mixed_with_a_question() {
    let stage = Stage::new().await;
    let file = stage.file.to_str().unwrap();
    let (code, out, err) = creel(&stage, &["--json", "apply", file]).await;
    let error: Value = serde_json::from_str(&err).unwrap();
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(error["error"].as_str().unwrap().contains("--yes"), "{error}");
    let (code, out, _) = creel(&stage, &["--json", "apply", file, "--dry-run"]).await;
    let plan: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &plan["tenant"]), (Some(0), &Value::from("acme")));
}

#[tokio::test]
async fn an_operator_sets_a_tenants_limits() {
    let stage = Stage::new().await;
    let tenant = async |more: &[&str]| {
        let (code, out, err) = creel(&stage, &[&["--json", "tenant", "acme"], more].concat()).await;
        (code, serde_json::from_str::<Value>(if out.is_empty() { &err } else { &out }).unwrap())
    };
    assert_eq!(tenant(&[]).await.0, Some(3), "there is none yet");
    assert_eq!(tenant(&["--fuel-max", "500000"]).await.1["limits"]["fuel_max"], 500_000);
    let (code, both) = tenant(&["--run-timeout-ms", "100"]).await;
    assert_eq!(
        (code, &both["limits"]["fuel_max"], &both["limits"]["run_timeout_ms"]),
        (Some(0), &Value::from(500_000), &Value::from(100))
    );
    let (code, error) = tenant(&["--pending-runs-max", "0"]).await;
    assert_eq!((code, &error["problem"]["errors"][0]["pointer"]), (Some(4), &Value::from("/limits/pending_runs_max")));
    let (code, error) = tenant(&["--memory-bytes-max", "8589934592"]).await;
    let detail = error["problem"]["errors"][0]["detail"].as_str().unwrap();
    assert!(code == Some(4) && detail.contains("the operator's `ceiling.memory_bytes_max` is the ceiling"), "{error}");
    assert_eq!(tenant(&["--reset"]).await.1["limits"]["fuel_max"], Value::Null);
}

#[tokio::test]
async fn errors_are_json_where_json_was_asked_for() {
    let stage = Stage::new().await;
    let (code, out, err) = creel(&stage, &["--json", "--tenant", "nobody", "sources"]).await;
    let error: Value = serde_json::from_str(&err).unwrap();
    assert_eq!((code, out.as_str(), &error["problem"]["status"]), (Some(3), "", &Value::from(404)));
    let (code, _, err) = creel(&stage, &["--tenant", "nobody", "sources"]).await;
    assert!(code == Some(3) && err.starts_with("creel: "), "{err}");
}

#[tokio::test]
async fn refusals_and_mistakes_are_told_apart() {
    let stage = Stage::new().await;
    stage.edit("https://crm.example/v1", "https://elsewhere.example/v1");
    let error = apply_file(&stage.client, &stage.file, &Options::default()).await.err().unwrap();
    assert!(error.to_string().contains("creel.toml:17: destinations.crm.auth.secret: "), "{error}");
    assert_eq!(creel_server::cli::exit_code(&error), 2);
    stage.edit("preset", "prest");
    let error = apply_file(&stage.client, &stage.file, &Options::default()).await.err().unwrap();
    assert!(error.is::<ManifestError>() && error.to_string().contains("creel.toml:12"), "{error}");
    assert_eq!(creel_server::cli::exit_code(&error), 2);
    let nobody = Client::new("http://127.0.0.1:1", &stage.desk.operator).unwrap();
    std::fs::write(&stage.file, FILE).unwrap();
    let error = apply_file(&nobody, Path::new(&stage.file), &Options::default()).await.err().unwrap();
    assert_eq!(creel_server::cli::exit_code(&error), 5);
}

#[tokio::test]
async fn what_the_host_would_refuse_is_told_with_its_lines_and_nothing_is_made() {
    let stage = Stage::new().await;
    stage.edit("https://crm.example/v1", "https://169.254.169.254/v1");
    stage.edit("origins = [\"https://crm.example\"]", "origins = [\"https://169.254.169.254\"]");
    stage.edit("secrets = [\"vapi\"]", "identity = { kind = \"no pointer\" }");
    std::fs::write(stage.desk.directory.path().join("call-ended.wasm"), BAD_COMPONENT).unwrap();
    for dry_run in [true, false] {
        let options = Options { dry_run, ..Options::default() };
        let error = apply_file(&stage.client, &stage.file, &options).await.err().unwrap();
        let told = error.to_string();
        assert!(told.contains("4 mistakes; nothing was changed"), "{told}");
        for part in [
            "creel.toml:11: sources.calls.secrets: `vapi-hmac` proves requests with a secret",
            "creel.toml:13: sources.calls.identity.kind: ",
            "creel.toml:16: destinations.crm.url: the guard denies",
            "creel.toml:20: plugins.call-ended.component: ",
        ] {
            assert!(told.contains(part), "{part} in {told}");
        }
        assert_eq!(creel_server::cli::exit_code(&error), 2);
        assert_eq!(stage.client.tenants().await.unwrap().items.len(), 0, "no tenant was half made");
    }
}

#[tokio::test]
async fn who_changes_something_else_need_not_know_the_secrets() {
    let stage = Stage::new().await;
    stage.edit("value = \"one\"", "value_env = \"CREEL_TEST_IS_SET_NOWHERE\"");
    let options = Options { dry_run: true, ..Options::default() };
    let told = async || {
        let plan = stage.apply(options.clone()).await;
        let secret = plan.steps.into_iter().find(|step| step.name == "vapi").unwrap();
        (secret.change.sign(), secret.warnings.join(" "))
    };
    let (sign, warned) = told().await;
    assert!(sign == '+' && warned.contains("`CREEL_TEST_IS_SET_NOWHERE`, and applying needs it"), "{warned}");
    let error = apply_file(&stage.client, &stage.file, &Options::default()).await.err().unwrap();
    assert!(error.to_string().contains("creel.toml:5: secrets.vapi.value_env: the environment has no"), "{error}");
    std::fs::write(&stage.file, FILE).unwrap();
    stage.apply(Options::default()).await;
    stage.edit("value = \"one\"", "value_env = \"CREEL_TEST_IS_SET_NOWHERE\"");
    stage.edit("language = \"en\"", "language = \"de\"");
    let (sign, warned) = told().await;
    assert!(sign == '=' && warned.starts_with("the host keeps the value that it has"), "{warned}");
    // What only asks and what does the same agree.
    assert_eq!(changed(&stage.apply(Options::default()).await), ["~ plugin call-ended config"]);
    // Who adds a place where a secret may go has to know it.
    stage.edit("SET_NOWHERE\"", "SET_NOWHERE\"\norigins = [\"https://other.example\"]");
    let error = apply_file(&stage.client, &stage.file, &Options::default()).await.err().unwrap();
    assert!(error.to_string().contains("secrets.vapi.origins: `https://other.example` is added"), "{error}");
}

#[tokio::test]
async fn a_name_that_no_tenant_may_have_is_a_mistake() {
    let stage = Stage::new().await;
    stage.edit("tenant = \"acme\"", "tenant = \"Acme Corp\"");
    let error = apply_file(&stage.client, &stage.file, &Options::default()).await.err().unwrap();
    assert!(error.to_string().contains("creel.toml:2: tenant: `Acme Corp` is not a name"), "{error}");
    stage.edit("tenant = \"Acme Corp\"", "");
    let options = Options { tenant: "Foo Bar".to_owned(), ..Options::default() };
    let error = apply_file(&stage.client, &stage.file, &options).await.err().unwrap();
    assert!(error.to_string().contains("the tenant's name `Foo Bar` is not a name"), "{error}");
    assert_eq!(creel_server::cli::exit_code(&error), 2);
}

#[tokio::test]
async fn what_is_typed_and_wrong_is_of_the_command_line_although_the_host_says_it() {
    let stage = Stage::new().await;
    stage.apply(Options::default()).await;
    for wrong in ["runs --verdict foo", "events --limit 0", "events --since yesterday", "keys create x --role deploy"] {
        let arguments: Vec<&str> = ["--tenant", "acme"].into_iter().chain(wrong.split(' ')).collect();
        assert_eq!(creel(&stage, &arguments).await.0, Some(2), "{wrong}");
    }
    let (code, _, told) = creel(&stage, &["--tenant", "acme", "keys", "create", "boss", "--role", "operator"]).await;
    assert!(code == Some(4) && told.contains("leave --tenant and CREEL_TENANT out"), "{told}");
}

#[tokio::test]
async fn a_plan_says_which_destinations_wait() {
    let stage = Stage::new().await;
    stage.apply(Options::default()).await;
    let tenant = stage.client.tenant("acme");
    tenant.pause::<DestinationView>("crm").await.unwrap();
    for edited in [false, true] {
        if edited {
            stage.edit("\"https://crm.example/v1\"", "\"https://crm.example/v2\"");
        }
        let plan = stage.apply(Options { dry_run: true, ..Options::default() }).await;
        let told =
            plan.steps.into_iter().find(|step| step.name == "crm" && step.kind == "destination").unwrap().warnings;
        assert!(told.len() == 1 && told[0].contains("it is paused (paused by hand)"), "{told:?}");
    }
    tenant.resume::<DestinationView>("crm").await.unwrap();
    let plan = stage.apply(Options { dry_run: true, ..Options::default() }).await;
    assert!(plan.steps.iter().all(|step| step.warnings.is_empty()));
}

#[tokio::test]
async fn what_a_put_would_do_is_told_of_a_tenant_that_does_not_exist_yet_to_operators_only() {
    let (desk, admin) = Desk::with_tenants().await;
    let source = json!({ "preset": "vapi-hmac", "secrets": ["vapi"] });
    let operator = desk.operator.clone();
    let put = async |key: &str, path: &str| {
        let path = format!("/v1/tenants/later/{path}");
        desk.call_as(Some(key), Method::PUT, &path, source.clone()).await.status.as_u16()
    };
    assert_eq!(put(&operator, "sources/calls?dry_run=true&assume_secrets=x,vapi").await, 201);
    assert_eq!(put(&operator, "sources/calls?dry_run=true&assume_secrets=x").await, 422);
    assert_eq!(put(&operator, "sources/calls?dry_run=true").await, 422, "nothing is assumed");
    assert_eq!(put(&operator, "sources/calls?assume_secrets=vapi").await, 404, "a change needs the tenant");
    assert_eq!(put(&operator, "plugins/p?dry_run=true").await, 404, "a row that can't only ask");
    assert_eq!(put(&operator, "routes/r?dry_run=true").await, 404);
    assert_eq!(put(&admin, "sources/calls?dry_run=true&assume_secrets=vapi").await, 404);
    let get = desk.call_as(Some(&operator), Method::GET, "/v1/tenants/later/sources?dry_run=true", json!({})).await;
    assert_eq!(get.status.as_u16(), 404);
    let assumed = "/v1/tenants/other/sources/calls?assume_secrets=vapi";
    assert_eq!(desk.call_as(Some(&operator), Method::PUT, assumed, source.clone()).await.status.as_u16(), 422);
}

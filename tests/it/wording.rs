//! What the command line says, word for word: every command, for people and as JSON, on good and on bad input, and every page
//! of `--help`. Each command's words stand in a file of `snapshots/`, and all pages of help in one, to be read as a whole;
//! `INSTA_UPDATE=always` writes them anew, and the difference is what has to be looked at.
//!
//! One host is enough: a shop whose orders go to a receiver, one of which that receiver did not take. What differs each time
//! is made the same by [`mask`].

mod mask;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use clap::CommandFactory as _;
use creel_server::cli::args::Cli;
use serde_json::json;
use tempfile::TempDir;

use self::mask::Mask;
use crate::harness::command::{Said, within};
use crate::harness::guests::{build_dir, guest};
use crate::harness::host::Host;
use crate::harness::sender::Webhook;
use crate::harness::tenant::Tenant;
use crate::inspecting::shop;

const SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS1vcmRlcnMtMDAwMDE=";

/// Commands that are not played here, and why.
const ELSEWHERE: &[(&str, &str)] = &[
    ("demo", "a story of its own, which checks itself; how it is told is tested where it is (`demo/telling.rs`)"),
    ("dev", "it builds a plugin: below"),
    ("doctor", "it looks at a machine: below"),
    ("help", "it is what `--help` is"),
];

/// Everything that was said, by command.
struct Teller {
    folder: TempDir,
    mask: Mask,
    /// What is the machine's, and what stands instead.
    machine: Vec<(String, &'static str)>,
    told: BTreeMap<String, String>,
    environment: Vec<(&'static str, String)>,
    commands: BTreeSet<String>,
}

impl Teller {
    fn new() -> Teller {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap().display().to_string();
        Teller {
            folder,
            mask: Mask::default(),
            machine: vec![(path, "/folder")],
            told: BTreeMap::new(),
            environment: Vec::new(),
            commands: commands(),
        }
    }

    /// From now on the host is asked with this key.
    fn asks(&mut self, tenant: &Tenant) {
        self.environment =
            vec![("CREEL_URL", tenant.api.base().to_owned()), ("CREEL_KEY", tenant.api.key().to_owned())];
    }

    fn write(&self, file: &str, text: impl AsRef<[u8]>) {
        let path = self.folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Plays a command and writes down what it says. Words are split at blanks.
    async fn tell(&mut self, line: &str) -> Said {
        let arguments: Vec<&str> = line.split(' ').collect();
        let said = within(self.folder.path(), &arguments, &borrowed(&self.environment)).await;
        let command = arguments.iter().find(|word| self.commands.contains(**word)).expect("a command");
        let mut text = format!("$ creel {}\n", self.mask.text(line));
        for (about, part) in [("", &said.out), ("on standard error:\n", &said.err)] {
            let part = self.machine.iter().fold(part.clone(), |part, (own, instead)| part.replace(own, instead));
            if !part.is_empty() {
                let told = if arguments.contains(&"--json") { self.mask.json(&part) } else { self.mask.text(&part) };
                text += &format!("{about}{told}\n");
            }
        }
        text += &format!("[{}]\n\n", said.code.expect("it ends by itself"));
        *self.told.entry((*command).to_owned()).or_default() += &text;
        said
    }

    /// Plays a command whose words are a long list of one kind, of which the first lines stand for all.
    async fn glimpse(&mut self, line: &str, lines: usize) {
        self.tell(line).await;
        let told = self.told.get_mut(line.split(' ').next().expect("a word")).expect("it was told");
        let from = told.rfind("$ creel ").expect("it was played");
        let (before, last) = told.split_at(from);
        let (head, end) = last.trim_end().rsplit_once('\n').expect("how it ended");
        let head: Vec<&str> = head.lines().take(lines + 1).collect();
        *told = format!("{before}{}\n…\n{end}\n\n", head.join("\n"));
    }

    /// The same for people and as JSON.
    async fn twice(&mut self, line: &str) {
        self.tell(line).await;
        self.tell(&format!("--json {line}")).await;
    }

    async fn all(&mut self, lines: &[&str]) {
        for line in lines {
            self.tell(line).await;
        }
    }
}

/// A tenant with an order that was taken, one that was not, and one that no route takes.
async fn orders(host: &Host) -> (Tenant, String) {
    let (tenant, source) = shop(host).await;
    host.receiver.answers("/", &[200, 500]);
    for (id, kind) in [("msg_1", "order.paid"), ("msg_2", "order.lost"), ("msg_3", "order.paid")] {
        let order = Webhook::json("standard-webhooks", SECRET, id, json!({ "type": kind }).to_string());
        assert_eq!(host.send(&source, &order).await.status, 200);
        tenant.settled().await;
    }
    (tenant, source)
}

/// Lists and stories.
async fn looks(teller: &mut Teller, tenant: &Tenant) {
    let story = tenant.story().await;
    let (event, run, call) = (&story.event.id, &story.runs[0].id, &story.deliveries[0].id);
    for line in [
        "sources",
        "destinations",
        "routes",
        "plugins",
        "secrets",
        "events",
        "runs",
        "logs",
        "deliveries",
        "refusals",
        "versions echo",
        "notices",
    ] {
        teller.twice(line).await;
    }
    for line in ["dead deliveries", "dead runs", "state echo"] {
        teller.twice(line).await;
    }
    teller.twice(&format!("event {event}")).await;
    teller.twice(&format!("delivery {call}")).await;
    teller.twice(&format!("replay --dry-run {run}")).await;
    teller.tell(&format!("replay --dry-run {call}")).await;
    teller.tell(&format!("--json replay {run}")).await;
    teller.tell(&format!("event {event} --body")).await;
    let lines = [
        "events --type order.lost",
        "events --unrouted --limit 1",
        "events --state dead --since 1h",
        "events --until 1h",
        "events --state lost",
        "events --since yesterday",
        "events --subject nobody",
        "events --source nowhere",
        "events --limit many",
        "--json events --limit many",
        "event evt_nowhere",
        "--json event evt_nowhere",
        "runs --verdict trap",
        "runs --verdict odd",
        "runs --plugin nothing",
        "logs nothing",
        "deliveries --state dead --destination receiver",
        "deliveries --state lost",
        "delivery dlv_nowhere",
        "dead letters",
        "dead deliveries --reason never",
        "dead deliveries --since yesterday",
        "replay run_nowhere",
        "versions nothing",
        "state nothing",
        "refusals --limit few",
        "plugins --delete echo --yes",
        "plugins --delete nothing --yes",
        "plugins --delete echo",
        "--json plugins --delete echo",
    ];
    teller.all(&lines).await;
}

/// What changes things.
async fn acts(teller: &mut Teller, tenant: &Tenant) {
    let story = tenant.story().await;
    let lines = [
        "pause source orders",
        "sources",
        "--json resume source orders",
        "pause route nowhere",
        "pause plugin echo",
        "pause destination receiver",
        "destinations",
        "resume destination receiver",
        "rollback echo 1",
        "--json rollback echo 1",
        "rollback echo 9",
        "rollback nothing 1",
        "rotate-url orders",
        "--json rotate-url orders --overlap-hours 0",
        "rotate-url nowhere",
        "notices receiver --refusals-min 5",
        "notices nowhere",
        "notices --off",
        "--json notices --off",
        "state echo greeting --delete",
        "state echo greeting",
        "state echo --delete",
        "deploy echo plugin.wasm --no-activate",
        "deploy echo plugin.wasm --no-activate --config tone=cold",
        "deploy new plugin.wasm",
        "deploy asks looks-up.wasm",
        "--json deploy echo plugin.wasm --grant-destination receiver --config tone=kind",
        "deploy echo nowhere.wasm",
        "deploy echo odd.wasm",
        "apply --dry-run tenant.toml",
        "--json apply --dry-run tenant.toml",
        "apply tenant.toml",
        "apply --yes tenant.toml",
        "apply --yes tenant.toml",
        "apply --yes asks.toml",
        "--json apply tenant.toml",
        "apply wrong.toml",
        "--json apply --dry-run wrong.toml",
        "apply nowhere.toml",
        "apply --dry-run tenant.toml --tenant other",
    ];
    teller.all(&lines).await;
    teller.tell(&format!("erase {}", story.event.id)).await;
    teller.tell(&format!("--json erase {}", story.event.id)).await;
    teller.tell("erase evt_nowhere").await;
}

/// What is the operator's, and what is a key's.
async fn rules(teller: &mut Teller, host: &Host, tenant: &Tenant) {
    teller.all(&["rekey", "tenant shop --state-bytes-max 5", "keys create looks --role reader"]).await;
    teller.all(&["--json keys create ci --role deployer --expires-in-days 9", "keys create x --role king"]).await;
    teller
        .all(&[
            "keys revoke key_nowhere",
            "keys rename",
            "usage",
            "--json usage --since 2999-01-01",
            "usage --since lately",
            "usage --until 2026-02-30",
            "tenants",
            "notices --off --tenant nobody",
        ])
        .await;
    teller.asks(&Tenant { api: host.api.clone(), name: String::new() });
    teller
        .all(&["sources", "tenant shop", "--json tenant shop", "tenant nobody", "tenant shop --pending-runs-max 9"])
        .await;
    teller.all(&["tenants", "--json tenants", "notices --tenant nobody", "tenant nobody --delete --yes"]).await;
    teller.all(&["--json keys", "rekey", "audit --limit 1", "audit --limit few"]).await;
    teller.environment.pop();
    teller.all(&["events", "--json events", "--key nobody events"]).await;
    teller.asks(tenant);
    teller.all(&["--key= sources", "--tenant= sources"]).await;
    teller.environment.push(("CREEL_URL", format!("http://{}", host.ingress)));
    teller.tell("runs").await;
    teller.environment.pop();
    teller.all(&["--url http://127.0.0.1:1 runs", "--json --url http://127.0.0.1:1 runs", "--url nowhere runs"]).await;
}

/// What needs no host.
async fn alone(teller: &mut Teller, host: &Host, source: &str) {
    let to = host.url(source);
    teller.environment.clear();
    teller.twice("check plugin.wasm").await;
    teller.twice("test --component plugin.wasm --cases cases").await;
    let lines = [
        "check odd.wasm",
        "--json check nowhere.wasm",
        "test --component plugin.wasm --cases nowhere",
        "test --component plugin.wasm --cases cases --only nothing",
        "test --component plugin.wasm --cases empty",
        "build empty",
        "--json build empty",
        "new --list",
        "--json new --list",
        "new hello",
        "new hello",
        "--json new other --template python",
        "new other --template cobol",
        "new Odd",
        "new odd.name",
        "--json new odd.name",
        "presets github",
        "--json presets github",
        "presets nobody",
        "trigger --list github",
        "--json trigger --list github",
        "trigger --list nobody",
        "trigger github nothing --to http://127.0.0.1:1",
        "trigger github push --to http://127.0.0.1:1 --secret-file secret",
        "trigger github",
        "verify --scheme github --secret-file secret --request request.http",
        "--json verify --scheme github --secret-file secret --request request.http",
        "verify --scheme nobody --request request.http",
        "verify",
        "shell",
        "shell --completions cobol",
        "serve --config nowhere.toml",
        "serve --config wrong-settings.toml",
        "init",
        "init",
    ];
    teller.all(&lines).await;
    let nowhere = host.url("/in/nowhere");
    teller.tell(&format!("trigger github push --to {nowhere} --secret-file secret")).await;
    teller.glimpse("settings", 12).await;
    teller.glimpse("presets", 6).await;
    for (secret, more) in [("secret", ""), ("other", ""), ("secret", "--json ")] {
        teller.tell(&format!("{more}trigger standard-webhooks order.paid --to {to} --secret-file {secret}")).await;
    }
}

fn files(teller: &Teller) {
    teller.write("plugin.wasm", guest("echo"));
    teller.write("odd.wasm", "no component");
    teller.write("looks-up.wasm", guest("looks-up"));
    teller.write("empty/nothing", "");
    teller.write("secret", SECRET);
    teller.write("other", "whsec_b3RoZXIgc2VjcmV0IG9mIG90aGVyIG9yZGVycw==");
    teller.write("cases/good.json", json!({ "about": "An order is passed on.", "event": { "json": {} }, "expect": { "calls": [{ "destination": "receiver" }] } }).to_string());
    teller.write(
        "cases/wrong.json",
        json!({ "about": "Nothing is.", "event": { "json": {} }, "expect": {} }).to_string(),
    );
    teller.write(
        "request.http",
        "POST /hook HTTP/1.1\r\ncontent-type: application/json\r\nx-hub-signature-256: sha256=00\r\n\r\n{}",
    );
    teller.write("wrong-settings.toml", "[ingress]\nlisten = \"nowhere\"\nlissen = \"127.0.0.1:0\"\n");
    teller.write(
        "wrong.toml",
        "tenant = \"shop\"\n[sources.orders]\npreset = \"nobody\"\n[routes.one]\nsource = \"lost\"\n",
    );
    let manifest = "tenant = \"shop\"\n[destinations.crm]\nurl = \"https://crm.example\"\n[plugins.echo]\ncomponent = \"plugin.wasm\"\ngrants = { destinations = [\"crm\"] }\n";
    teller.write("tenant.toml", manifest);
    teller.write("asks.toml", "tenant = \"shop\"\n[plugins.asks-more]\ncomponent = \"looks-up.wasm\"\n");
}

fn commands() -> BTreeSet<String> {
    let whole = Cli::command();
    let shown = whole.get_subcommands().filter(|command| !command.is_hide_set());
    shown.map(|command| command.get_name().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_says_what_it_has_said() {
    let host = Host::open().await;
    let (tenant, source) = orders(&host).await;
    let forged = Webhook::json("standard-webhooks", "whsec_b3RoZXI=", "msg_9", "{}");
    assert_eq!(host.send(&source, &forged).await.status, 401);
    let mut teller = Teller::new();
    files(&teller);
    teller.asks(&tenant);
    looks(&mut teller, &tenant).await;
    alone(&mut teller, &host, &source).await;
    tenant.stories(5).await;
    teller.asks(&tenant);
    acts(&mut teller, &tenant).await;
    rules(&mut teller, &host, &tenant).await;
    host.finish().await;

    let silent: Vec<String> = commands().into_iter().filter(|command| !teller.told.contains_key(command)).collect();
    let elsewhere: Vec<&str> =
        ELSEWHERE.iter().map(|(command, _)| *command).filter(|one| commands().contains(*one)).collect();
    assert_eq!(silent, elsewhere, "a command is played here, or it is said why not");
    for (command, text) in &teller.told {
        insta::assert_snapshot!(command.as_str(), text);
    }
}

/// `creel doctor` apart: it looks at a machine. The toolchain is played; the rest is as on every machine that works.
#[tokio::test(flavor = "multi_thread")]
async fn a_doctor_says_what_it_has_said() {
    let mut teller = Teller::new();
    teller.write("bin/rustup", "#!/bin/sh\necho wasm32-wasip2\n");
    let (tools, executable) = (teller.folder.path().join("bin"), std::fs::Permissions::from_mode(0o755));
    std::fs::set_permissions(tools.join("rustup"), executable).unwrap();
    let port = || "127.0.0.1:0".to_owned();
    teller.environment = vec![
        ("PATH", tools.display().to_string()),
        ("CREEL_URL", "http://127.0.0.1:1".to_owned()),
        ("CREEL_INGRESS_LISTEN", port()),
        ("CREEL_ADMIN_LISTEN", port()),
    ];
    teller.twice("doctor").await;
    within(teller.folder.path(), &["init"], &borrowed(&teller.environment)).await;
    teller.twice("doctor").await;
    teller
        .all(&["doctor --against nowhere", "doctor --config nowhere.toml", "--json doctor --config nowhere.toml"])
        .await;

    let host = Host::open().await;
    let admin = host.api.base().trim_start_matches("http://").to_owned();
    let data_dir = host.path().display().to_string();
    teller.machine.extend([(data_dir.clone(), "/data"), (format!("process {}", std::process::id()), "process 1")]);
    teller.environment.extend([
        ("CREEL_DATA_DIR", data_dir),
        ("CREEL_URL", host.api.base().to_owned()),
        ("CREEL_KEY", host.api.key().to_owned()),
        ("CREEL_INGRESS_LISTEN", host.ingress.to_string()),
        ("CREEL_ADMIN_LISTEN", admin),
    ]);
    teller.twice("doctor").await;
    teller.environment.push(("CREEL_KEY", "creel_unknown".to_owned()));
    teller.tell("doctor").await;
    host.finish().await;
    insta::assert_snapshot!("doctor", teller.told["doctor"]);
}

/// `creel dev` apart, because it builds a plugin.
#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::disallowed_methods, reason = "a compiler needs the environment that it is installed for")]
async fn a_development_host_says_what_it_has_said() {
    let mut teller = Teller::new();
    teller.environment = ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME"]
        .into_iter()
        .filter_map(|name| Some((name, std::env::var(name).ok()?)))
        .chain([("CREEL_BUILD_DIR", build_dir().display().to_string())])
        .collect();
    within(teller.folder.path(), &["new", "hello"], &[]).await;
    // The first says what it builds, and how much of that is there already is not the same each time.
    let played = "dev hello --port 0 --exit-after 1 --send pull_request";
    within(teller.folder.path(), &["build", "hello"], &borrowed(&teller.environment)).await;
    teller.twice(played).await;
    teller
        .all(&[
            "dev nowhere --port 0",
            "--json dev nowhere --port 0",
            "dev hello --port 0 --send nothing",
            "dev --last 9",
        ])
        .await;
    // Whether the answer to the sample or the run's end is told first is not the same each time.
    let is_sent = |line: &&str| line.contains("the sample was sent") || line.starts_with(r#"{"what":"sent""#);
    let told: Vec<&str> = teller.told["dev"].lines().filter(|line| !is_sent(line)).collect();
    insta::assert_snapshot!("dev", told.join("\n"));
}

fn borrowed<'a>(environment: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    environment.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

/// A page for a command, and for each of its own below it. What may be typed everywhere is the same on all pages.
async fn help(folder: &Path, path: &[&str], command: &clap::Command, everywhere: &BTreeSet<&str>, pages: &mut String) {
    let said = within(folder, &[path, &["--help"]].concat(), &[]).await;
    assert_eq!(said.code, Some(0), "{path:?}: {said:?}");
    let (own, rest) = said.out.split_once("\nEverywhere:\n").expect("it says what may be typed everywhere");
    let is_below = |line: &&str| line.is_empty() || line.starts_with(' ');
    let options = rest.lines().take_while(is_below);
    let typed =
        options.filter(|line| line.trim_start().starts_with("--")).filter_map(|line| line.split_whitespace().next());
    assert_eq!(typed.collect::<BTreeSet<_>>(), *everywhere, "{path:?}");
    let after: Vec<&str> = rest.lines().skip_while(is_below).collect();
    *pages += &format!("$ creel {} --help\n{}\n", path.join(" "), own.trim_end());
    *pages += &if after.is_empty() { String::new() } else { format!("\n{}\n", after.join("\n")) };
    *pages += "\n";
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        Box::pin(help(folder, &[path, &[below.get_name()]].concat(), below, everywhere, pages)).await;
    }
}

#[tokio::test]
async fn every_page_of_help_says_what_it_has_said() {
    let folder = tempfile::tempdir().unwrap();
    let whole = Cli::command();
    let mut pages = within(folder.path(), &["--help"], &[]).await.out + "\n";
    let everywhere = ["--url", "--key", "--key-file", "--ca-file", "--tenant", "--json"].into();
    for command in whole.get_subcommands().filter(|command| !command.is_hide_set()) {
        help(folder.path(), &[command.get_name()], command, &everywhere, &mut pages).await;
    }
    insta::assert_snapshot!("help", pages);
}

//! Plugins in JavaScript and Python: built by their own tools, uploaded, run, metered.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use creel_server::api::RunView;
use creel_server::api::rehearsed::Rehearsed;
use creel_webhook::run::Verdict;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::guests::{build_dir, checkout};
use crate::harness::host::Host;
use crate::harness::sender::{Answer, Webhook};
use crate::harness::tenant::Tenant;

const SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS1vcmRlcnMtMDAwMDE=";

/// When it is set, tools that can't be installed fail the test.
const REQUIRED: &str = "CREEL_TEST_LANGUAGES";

/// One of the two: its tool is installed and builds.
#[derive(Clone, Copy)]
struct Language {
    name: &'static str,
    /// The files that pin the tool.
    pins: &'static [&'static str],
    install: fn(&Path) -> Command,
    build: fn(&Path, &Path) -> Command,
    /// What it imports of WASI.
    wasi: &'static [&'static str],
    /// How a handler ends that asks for clocks and random numbers.
    probed: Verdict,
}

const JAVASCRIPT: Language = Language {
    name: "javascript",
    pins: &["package.json", "package-lock.json"],
    install: |place| {
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(place);
        npm
    },
    build: |place, output| {
        let mut tool = Command::new(place.join("node_modules/.bin/componentize-qjs"));
        tool.args(["--sync", "-n", "plugin"]).arg("--wit").arg(checkout().join("wit"));
        tool.arg("--js").arg(sources().join("plugin.js")).arg("-o").arg(output);
        tool
    },
    wasi: &[
        "cli/environment",
        "cli/exit",
        "cli/stderr",
        "cli/stdin",
        "cli/stdout",
        "cli/terminal-input",
        "cli/terminal-output",
        "cli/terminal-stderr",
        "cli/terminal-stdin",
        "cli/terminal-stdout",
        "clocks/monotonic-clock",
        "clocks/wall-clock",
        "filesystem/preopens",
        "filesystem/types",
        "io/error",
        "io/poll",
        "io/streams",
        "random/insecure-seed",
    ],
    probed: Verdict::Done,
};

const PYTHON: Language = Language {
    name: "python",
    pins: &["requirements.txt"],
    install: |place| {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"]);
        pip.args(["--upgrade", "--target", "lib", "--requirement", "requirements.txt"]).current_dir(place);
        pip
    },
    build: |place, output| {
        let mut tool = Command::new(place.join("lib/bin/componentize-py"));
        tool.env("PYTHONPATH", place.join("lib")).arg("-d").arg(checkout().join("wit"));
        tool.args(["-w", "plugin", "componentize", "plugin", "--stub-wasi", "-p"]).arg(sources()).arg("-o").arg(output);
        tool
    },
    wasi: &[],
    probed: Verdict::Trap,
};

fn sources() -> PathBuf {
    checkout().join("tests/components/languages")
}

impl Language {
    /// Its component, or why there is none here.
    fn component(self) -> anyhow::Result<Bytes> {
        let place = build_dir().join("languages").join(self.name);
        fs::create_dir_all(&place)?;
        let lock = File::create(place.join("lock"))?;
        lock.lock()?;
        let pinned: Vec<u8> = self.pins.iter().flat_map(|pin| fs::read(sources().join(pin)).unwrap()).collect();
        if fs::read(place.join("installed")).ok() != Some(pinned.clone()) {
            for pin in self.pins {
                fs::copy(sources().join(pin), place.join(pin))?;
            }
            finished(&mut (self.install)(&place)).context("installing its tool")?;
            fs::write(place.join("installed"), pinned)?;
        }
        let output = place.join("plugin.wasm");
        finished(&mut (self.build)(&place, &output)).context("building with its tool")?;
        Ok(fs::read(output)?.into())
    }
}

fn finished(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("{} can't be started", command.get_program().display()))?;
    let said = [output.stdout, output.stderr].concat();
    ensure!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&said));
    Ok(())
}

/// Every case by name.
fn cases() -> Vec<(String, Value)> {
    let files = fs::read_dir(sources().join("cases")).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: PathBuf| {
        let case = serde_json::from_slice(&fs::read(&path).unwrap()).expect("a case is JSON");
        (path.file_stem().unwrap().to_string_lossy().into_owned(), case)
    };
    files.map(read).collect()
}

/// A tenant whose orders a component answers.
struct Shop {
    tenant: Tenant,
    source: String,
    digest: Value,
    sent: u32,
}

impl Shop {
    async fn of(host: &Host, language: Language, component: Bytes) -> Shop {
        let tenant = host.tenant(language.name).await;
        let source = tenant.source("orders", "standard-webhooks", SECRET).await;
        tenant.receiver(host).await;
        let (status, answer) = tenant.upload("handler", component).await;
        assert_eq!(status, 201, "{}: {answer}", language.name);
        let imports: Vec<String> = serde_json::from_value(answer["resource"]["imports"].clone()).unwrap();
        let wasi: std::collections::BTreeSet<_> =
            imports.iter().filter_map(|name| name.strip_prefix("wasi:")?.split('@').next()).collect();
        assert_eq!(wasi.into_iter().collect::<Vec<_>>(), language.wasi, "docs/languages.md says what is imported");
        tenant.reply_route("orders", "handler").await;
        Shop { tenant, source, digest: answer["resource"]["digest"].clone(), sent: 0 }
    }

    async fn ask(&mut self, host: &Host, config: &Value, order: &Value) -> (Answer, RunView) {
        let config = if config.is_null() { json!({}) } else { config.clone() };
        let document = json!({ "digest": self.digest, "config": config, "grants": { "destinations": ["receiver"] } });
        self.tenant.api.post(&self.tenant.path("plugins/handler/deployments"), document).await;
        self.sent += 1;
        let webhook = Webhook::json("standard-webhooks", SECRET, &format!("msg_{}", self.sent), order.to_string());
        let answer = host.send(&self.source, &webhook).await;
        (answer, self.tenant.decided().await)
    }

    async fn holds(&mut self, host: &Host, name: &str, case: &Value) {
        let (answer, run) = self.ask(host, &case["config"], &case["event"]["json"]).await;
        let (about, expect) = (format!("{} {name}", self.tenant.name), &case["expect"]);
        let reject = expect["reject"].as_str();
        let verdict = if reject.is_some() { Verdict::Rejected } else { Verdict::Done };
        assert_eq!(run.verdict, Some(verdict), "{about}: {run:#?}");
        assert!(run.reason.as_deref().unwrap_or_default().contains(reject.unwrap_or_default()), "{about}: {run:#?}");
        for text in expect["log"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            assert!(run.log.iter().any(|line| line.message.contains(text)), "{about}: `{text}` in {:#?}", run.log);
        }
        if let Some(reply) = expect["reply"].as_object() {
            let told: Value = serde_json::from_str(&answer.body).expect("an answer in JSON");
            assert_eq!((answer.status, &told), (200, &reply["json"]), "{about}");
        }
        let wanted = expect["calls"].as_array().cloned().unwrap_or_default();
        assert_eq!(self.tenant.settled().await.deliveries.len(), wanted.len(), "{about}");
        for call in wanted {
            let arrived = host.receiver.arrived().into_iter().rev().find(|one| call["path"] == one.request.path);
            let note: Value = serde_json::from_slice(&arrived.expect("it arrived").request.body).unwrap();
            assert_eq!(note["text"], call["json"]["text"], "{about}");
        }
        self.repeats(&about, &run).await;
    }

    /// A run is metered, and comes to the same again.
    async fn repeats(&self, about: &str, run: &RunView) {
        let (fuel, memory) = (run.usage.fuel, run.usage.memory_bytes);
        assert!(fuel > 10_000 && memory > 1 << 20, "{about} is metered: {:?}", run.usage);
        println!("{about}: fuel {fuel}, memory {} KiB, {:?}", memory >> 10, run.usage);
        let path = self.tenant.path(&format!("runs/{}/replay?dry_run=true", run.id));
        let again: Rehearsed = self.tenant.api.done(Method::POST, &path, None).await;
        let again = &again.runs[0];
        let seen = (Some(again.verdict), &again.reason, again.usage.fuel, &again.log);
        assert_eq!(seen, (run.verdict, &run.reason, fuel, &run.log), "{about} comes to the same again");
    }

    /// What would differ from run to run does not, or there is no such thing.
    async fn probes(&mut self, host: &Host, verdict: Verdict) {
        let (answer, run) = self.ask(host, &json!({}), &json!({ "type": "probe" })).await;
        assert_eq!(run.verdict, Some(verdict), "{}: {run:#?}", self.tenant.name);
        println!("{} probes: {} {:?}", self.tenant.name, answer.body, run.reason);
        self.repeats("probe", &run).await;
    }
}

async fn story(language: Language) {
    let component = match tokio::task::spawn_blocking(move || language.component()).await.unwrap() {
        Ok(component) => component,
        Err(error) if std::env::var_os(REQUIRED).is_none() => {
            return println!("{} is left out: {error:#}", language.name);
        }
        Err(error) => panic!("{}: {error:#}", language.name),
    };
    let host = Host::open().await;
    let mut shop = Shop::of(&host, language, component).await;
    for (name, case) in cases() {
        shop.holds(&host, &name, &case).await;
    }
    shop.probes(&host, language.probed).await;
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_in_javascript_loads_runs_and_is_metered() {
    story(JAVASCRIPT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_in_python_loads_runs_and_is_metered() {
    story(PYTHON).await;
}

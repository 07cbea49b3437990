//! A whole host in which a victim lives beside four who attack it, in a process of its own.
//!
//! Shipped defaults but for: ports chosen by the system and loopback allowed for calls. Components are compiled by a child,
//! as in production. With `--limits-off` the ordinary settings are raised as far as an operator could who wants no limits:
//! fuel, time, places, and guest threads beyond the number of processors; memory stays, for the machine's sake.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use creel_server::admin::key::{KeyFor, Minted, mint};
use creel_server::app::{App, Surroundings};
use creel_server::config::Config;
use creel_server::datadir::DataDir;
use creel_server::shutdown::Shutdown;
use creel_server::system::{Entropy, SystemClock};
use creel_server::telemetry;
use creel_store::contract::{RunFilter, Store};
use creel_store::sqlite::{Options as StoreOptions, SqliteStore};
use creel_webhook::clock::Clock as _;
use creel_webhook::clock::Timestamp;
use creel_webhook::id::TenantId;
use creel_webhook::route::Mode;
use creel_webhook::run::Verdict;
use creel_webhook::tenant::TenantLimits;
use serde::{Deserialize, Serialize};

use crate::works::Settler;
use crate::{child, host};

/// Settings of a deployment.
type Settings = &'static [(&'static str, &'static str)];

/// Those who attack: the fixture that each deploys, and its settings.
pub(crate) const ATTACKERS: [(&str, &str, Settings); 4] = [
    ("loops", "loops", &[]),
    ("memory", "grows", &[]),
    ("logs", "logs", &[("lines", "4000000000")]),
    ("compiles", "echo", &[("calls", "8")]),
];

/// How the host is started.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Its data directory, made if there is none.
    #[arg(long)]
    pub(crate) directory: PathBuf,
    /// What requests are signed with.
    #[arg(long)]
    pub(crate) secret: String,
    /// URL that the victim calls.
    #[arg(long)]
    pub(crate) receiver: String,
    /// URL that never answers.
    #[arg(long)]
    pub(crate) silent: String,
    /// The victim's component.
    #[arg(long)]
    pub(crate) component: PathBuf,
    /// The attackers' components, in their order.
    #[arg(long)]
    pub(crate) attacker: Vec<PathBuf>,
    /// Whether the operator wants no limits.
    #[arg(long)]
    pub(crate) limits_off: bool,
}

impl Options {
    /// The arguments that start a host with these options.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let mut arguments = child::arguments(
            "serve-quarter",
            [
                ("--directory", self.directory.display().to_string()),
                ("--secret", self.secret.clone()),
                ("--receiver", self.receiver.clone()),
                ("--silent", self.silent.clone()),
                ("--component", self.component.display().to_string()),
            ],
        );
        arguments.extend(self.attacker.iter().flat_map(|path| ["--attacker".to_owned(), path.display().to_string()]));
        arguments.extend(self.limits_off.then(|| "--limits-off".to_owned()));
        arguments
    }
}

/// What it says when it listens.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Ready {
    /// Where events arrive.
    pub(crate) address: String,
    /// Where the API is.
    pub(crate) admin: String,
    /// An operator's key.
    pub(crate) key: String,
    /// Path of the victim's source.
    pub(crate) victim: String,
    /// Paths of the attackers' sources, in their order.
    pub(crate) attackers: Vec<String>,
    /// The attackers' tenants, in their order.
    pub(crate) tenants: Vec<TenantId>,
}

/// Serves until standard input ends.
pub(crate) fn serve(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut config = host::config(&options.directory)?;
        config.egress_allow = vec!["127.0.0.1".parse()?];
        if options.limits_off {
            take_limits_off(&mut config);
        }
        telemetry::install(config.log_format, "off")?;
        let program = std::env::current_exe().context("finding this program")?;
        let around = Surroundings {
            compile_command: Some((program, vec!["compile-component".into()])),
            ..host::surroundings()?
        };
        let app = App::open(config, around).await?;
        let ready = settle(options, &app).await?;
        child::say(&ready)?;
        let shutdown = Shutdown::new();
        let serving = tokio::spawn(app.serve(shutdown.clone()));
        child::told_to_stop().await;
        shutdown.begin();
        serving.await.context("serving")??;
        Ok(())
    })
}

fn take_limits_off(config: &mut Config) {
    config.limits.fuel_max = 1_000_000_000_000;
    config.limits.fuel_per_second = u64::MAX;
    config.limits.run_timeout_ms = 600_000;
    config.limits.concurrent_runs_max = 1_024;
    config.limits.uploads_per_minute = 10_000;
    config.runtime.concurrent_runs = 1_024;
    config.runtime.guest_threads = 256;
}

async fn settle(options: &Options, app: &App) -> anyhow::Result<Ready> {
    let store = app.store();
    let secret = options.secret.as_str();
    let victim = Settler {
        name: "victim",
        secret,
        component: &options.component,
        config: &[],
        destinations: &[("slack", options.receiver.as_str())],
        concurrency: 8,
        mode: Mode::Ack,
        limits: TenantLimits::default(),
    };
    let (_, token) = victim.settle(store.as_ref()).await?;
    let (mut attackers, mut tenants) = (Vec::new(), Vec::new());
    for ((name, _, config), component) in ATTACKERS.iter().zip(&options.attacker) {
        let destinations = [("receiver", options.silent.as_str())];
        let attacker = Settler { name, component, config, destinations: &destinations, ..victim };
        let (places, token) = attacker.settle(store.as_ref()).await?;
        attackers.push(format!("/in/{token}"));
        tenants.push(places.tenant);
    }
    let Minted { text, key } =
        mint(KeyFor::operator("bench"), SystemClock::default().now(), Entropy::system()?.bytes());
    store.key_put(key).await?;
    Ok(Ready {
        address: app.ingress_addr()?.to_string(),
        admin: app.admin_addr()?.to_string(),
        key: text.to_string(),
        victim: format!("/in/{token}"),
        attackers,
        tenants,
    })
}

/// Fuel that each tenant's runs used that ended since then, read from what a host left.
pub(crate) fn fuel_used(
    directory: &std::path::Path,
    tenants: &[TenantId],
    since: Timestamp,
) -> anyhow::Result<Vec<u64>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let lock = DataDir::open(directory)?;
        let store = SqliteStore::open(lock.database(), StoreOptions::default())?;
        let mut used = Vec::new();
        // Of a loop every run ends so; what waits would fill the list.
        let filter = RunFilter { verdict: Some(Verdict::Fuel), limit: 500, ..RunFilter::default() };
        for tenant in tenants {
            let runs = store.run_list(*tenant, filter.clone()).await?;
            let ended = runs.iter().filter(|run| run.ended_at.is_some_and(|ended| ended >= since));
            used.push(ended.map(|run| run.usage.fuel).sum());
        }
        store.close().await?;
        Ok(used)
    })
}

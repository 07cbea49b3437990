//! A whole Creel host that does everything: a source, a plugin on its route, and a destination that calls go to.
//!
//! The product's composition with defaults, but for: ports chosen by the system, loopback allowed for calls, a quota of
//! pending runs that the benchmark doesn't reach, the destination's concurrency, and components compiled in the process. It
//! can be given a past before it serves ([`crate::filling`]), and it can be started again on what another one left.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bytes::Bytes;
use clap::Args;
use creel_server::app::App;
use creel_server::datadir::DataDir;
use creel_server::shutdown::Shutdown;
use creel_server::system::{Entropy, SystemClock};
use creel_server::telemetry;
use creel_store::contract::{DeliveryFilter, DeliveryState, NewComponent, NewDeployment, Store};
use creel_store::sqlite::{Options as StoreOptions, SqliteStore};
use creel_webhook::clock::{Clock as _, Timestamp};
use creel_webhook::destination::{Destination, DestinationSpec};
use creel_webhook::event::TypePattern;
use creel_webhook::id::{DeploymentId, DestinationId, PluginId, RouteId, SourceId, TenantId};
use creel_webhook::plugin::{Deployment, Digest, Grants, Plugin};
use creel_webhook::route::{Late, Mode, Route};
use creel_webhook::source::Source;
use creel_webhook::tenant::{Tenant, TenantLimits};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::filling::{self, Past, Places};
use crate::sandbox::REPLYING;
use crate::{child, host};

/// The destination that the plugin calls.
const DESTINATION: &str = "slack";

/// The destination that nothing reaches.
const UNREACHABLE: &str = "unreachable";

/// How the host is started.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Its data directory, made if there is none.
    #[arg(long)]
    pub(crate) directory: PathBuf,
    /// Worker threads.
    #[arg(long, default_value_t = 2)]
    pub(crate) threads: usize,
    /// What requests are signed with.
    #[arg(long)]
    pub(crate) secret: String,
    /// URL that calls go to.
    #[arg(long)]
    pub(crate) receiver: String,
    /// The plugin's component.
    #[arg(long)]
    pub(crate) component: PathBuf,
    /// Calls to the receiver side by side.
    #[arg(long, default_value_t = 64)]
    pub(crate) concurrency: u32,
    /// Senders wait for the plugin's reply.
    #[arg(long)]
    pub(crate) reply: bool,
    /// The path of its source, when another host on this directory made it: nothing is made then.
    #[arg(long)]
    pub(crate) again: Option<String>,
    /// What it is given to remember before it serves.
    #[command(flatten)]
    pub(crate) past: Past,
}

impl Options {
    /// The arguments that start a host with these options.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let mut arguments = child::arguments(
            "serve-works",
            [
                ("--directory", self.directory.display().to_string()),
                ("--threads", self.threads.to_string()),
                ("--secret", self.secret.clone()),
                ("--receiver", self.receiver.clone()),
                ("--component", self.component.display().to_string()),
                ("--concurrency", self.concurrency.to_string()),
            ],
        );
        arguments.extend(self.past.arguments());
        arguments.extend(self.reply.then(|| "--reply".to_owned()));
        arguments.extend(self.again.iter().flat_map(|path| ["--again".to_owned(), path.clone()]));
        arguments
    }
}

/// What it says when it listens.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ready {
    /// Where.
    pub(crate) address: String,
    /// Path of the source.
    pub(crate) path: String,
    /// Runs that wait.
    pub(crate) runs_pending: u64,
    /// Deliveries that wait.
    pub(crate) deliveries_pending: u64,
    /// Seconds that filling took.
    pub(crate) filled_s: f64,
    /// Bytes of the database.
    pub(crate) bytes: u64,
}

/// What it says at its end.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ended {
    /// Runs without a decision.
    pub(crate) runs_pending: u64,
    /// Deliveries that have not ended.
    pub(crate) deliveries_pending: u64,
    /// Deliveries given up; counted up to 500.
    pub(crate) deliveries_dead: u64,
}

/// Serves until standard input ends, then says what is left.
pub(crate) fn serve(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(options.threads).enable_all().build()?;
    runtime.block_on(async {
        let mut config = host::config(&options.directory)?;
        config.egress_allow = vec!["127.0.0.1".parse()?];
        config.ceilings.fuel_per_second = 1_000_000_000_000;
        config.ceilings.pending_runs_max = 10_000_000;
        telemetry::install(config.log_format, "error")?;
        let app = App::open(config, host::surroundings()?).await?;
        let store = app.store();
        let (mut made, mut filled_s) = (None, 0.0);
        let path = match &options.again {
            Some(path) => path.clone(),
            None => {
                let (places, token) = configure(store.as_ref(), options).await?;
                filled_s = filling::fill(&store, &places, &options.past).await?;
                made = Some(places.tenant);
                format!("/in/{token}")
            }
        };
        let stats = store.stats().await?;
        child::say(&Ready {
            address: app.ingress_addr()?.to_string(),
            path,
            runs_pending: stats.runs_pending,
            deliveries_pending: stats.deliveries_pending,
            filled_s,
            bytes: stats.bytes,
        })?;
        drop(store);
        let shutdown = Shutdown::new();
        let serving = tokio::spawn(app.serve(shutdown.clone()));
        child::told_to_stop().await;
        shutdown.begin();
        serving.await.context("serving")??;
        child::say(&left(&options.directory, made).await?)
    })
}

async fn left(directory: &Path, tenant: Option<TenantId>) -> anyhow::Result<Ended> {
    let lock = DataDir::open(directory)?;
    let store = SqliteStore::open(lock.database(), StoreOptions::default())?;
    let stats = store.stats().await?;
    let filter = DeliveryFilter { state: Some(DeliveryState::Dead), limit: 500, ..DeliveryFilter::default() };
    let dead = match tenant {
        Some(tenant) => store.delivery_list(tenant, filter).await?.len() as u64,
        None => 0,
    };
    store.close().await?;
    let (runs_pending, deliveries_pending) = (stats.runs_pending, stats.deliveries_pending);
    Ok(Ended { runs_pending, deliveries_pending, deliveries_dead: dead })
}

/// Makes everything from the tenant to the route; gives the ids and the source's token.
async fn configure(store: &dyn Store, options: &Options) -> anyhow::Result<(Places, String)> {
    // Port 9 is "discard"; nothing listens there, so connecting is refused at once.
    let destinations = [(DESTINATION, options.receiver.as_str()), (UNREACHABLE, "http://127.0.0.1:9/")];
    let settler = Settler {
        name: "bench",
        secret: &options.secret,
        component: &options.component,
        config: if options.reply { REPLYING } else { &[] },
        destinations: &destinations,
        concurrency: options.concurrency,
        mode: if options.reply { Mode::Reply } else { Mode::Ack },
        limits: TenantLimits {
            pending_runs_max: Some(10_000_000),
            fuel_per_second: Some(1_000_000_000_000),
            ..TenantLimits::default()
        },
    };
    settler.settle(store).await
}

/// A tenant with one source, one plugin and one route from one to the other.
pub(crate) struct Settler<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// What its requests are signed with.
    pub(crate) secret: &'a str,
    /// The plugin's component.
    pub(crate) component: &'a Path,
    /// The plugin's settings.
    pub(crate) config: &'a [(&'a str, &'a str)],
    /// Names and URLs of where it may call; the last one is said to be unreachable.
    pub(crate) destinations: &'a [(&'a str, &'a str)],
    /// Calls side by side to each.
    pub(crate) concurrency: u32,
    /// Whether its senders wait.
    pub(crate) mode: Mode,
    /// Its own limits.
    pub(crate) limits: TenantLimits,
}

impl Settler<'_> {
    /// Makes everything; gives the ids and the source's token.
    pub(crate) async fn settle(&self, store: &dyn Store) -> anyhow::Result<(Places, String)> {
        let entropy = Entropy::system()?;
        let now = SystemClock::default().now();
        let tenant = TenantId::new(now, entropy.id_bytes());
        let (name, limits) = (self.name.to_owned(), self.limits);
        store.tenant_put(Tenant { id: tenant, name, created_at: now, limits }).await?;
        store.secret_put(host::secret_row(tenant, self.secret, &entropy, now)).await?;
        let source = SourceId::new(now, entropy.id_bytes());
        let token = entropy.token();
        let spec = host::source_spec();
        store
            .source_put(Source { id: source, tenant, token: token.clone(), previous: None, paused: false, spec })
            .await?;
        let mut unreachable = DestinationId::new(now, entropy.id_bytes());
        for (name, url) in self.destinations {
            unreachable = DestinationId::new(now, entropy.id_bytes());
            let spec = destination_spec(name, url, self.concurrency)?;
            let row = Destination { id: unreachable, tenant, paused: None, lacks: None, disabled: None, spec };
            store.destination_put(row).await?;
        }
        let plugin = PluginId::new(now, entropy.id_bytes());
        store.plugin_put(Plugin { id: plugin, tenant, name: "handler".to_owned(), active: None }).await?;
        self.deploy(store, tenant, plugin, &entropy, now).await?;
        let route = RouteId::new(now, entropy.id_bytes());
        let (name, pattern) = ("all".to_owned(), TypePattern::any());
        let (mode, late, paused) = (self.mode, Late::Drop, false);
        store.route_put(Route { id: route, tenant, name, source, pattern, plugin, mode, late, paused }).await?;
        Ok((Places { tenant, source, route, plugin, unreachable }, token))
    }

    async fn deploy(
        &self,
        store: &dyn Store,
        tenant: TenantId,
        plugin: PluginId,
        entropy: &Entropy,
        now: Timestamp,
    ) -> anyhow::Result<()> {
        let bytes = std::fs::read(self.component).with_context(|| format!("reading {}", self.component.display()))?;
        let digest = Digest::of(&bytes);
        let bytes = Bytes::from(bytes);
        store.component_put(NewComponent { tenant, digest, bytes, room_bytes: u64::MAX, now }).await?;
        let names = self.destinations.iter().map(|(name, _)| (*name).to_owned()).collect();
        let deployment = Deployment {
            id: DeploymentId::new(now, entropy.id_bytes()),
            tenant,
            plugin,
            number: 0,
            digest,
            config: self.config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            grants: Grants { destinations: names, ..Grants::default() },
            created_at: now,
        };
        store.deployment_create(NewDeployment { deployment, activate: true }).await?;
        Ok(())
    }
}

/// A destination as people write it: everything that is not said is the default.
fn destination_spec(name: &str, url: &str, concurrency_max: u32) -> anyhow::Result<DestinationSpec> {
    let spec = json!({ "name": name, "url": url, "concurrency_max": concurrency_max });
    serde_json::from_value(spec).context("a destination of few words")
}

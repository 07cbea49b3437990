//! A whole Creel host in a process of its own: the product's composition, configured and not changed.
//!
//! It serves one source (HMAC-SHA256 over the body, ids in a header) whose one route is paused, so that every accept
//! stores request, event and run, and the runs wait. Only configuration differs from a fresh host: ports chosen by the
//! system, and a quota of pending runs that the benchmark doesn't reach.
//!
//! At its end the host is shut down, the store is opened again and every event in it is read back.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use creel_server::app::{App, Surroundings};
use creel_server::config::{Config, MasterKeySource};
use creel_server::datadir::DataDir;
use creel_server::shutdown::Shutdown;
use creel_server::system::{Entropy, SystemClock};
use creel_server::telemetry;
use creel_store::contract::{EventFilter, SecretRow, Store};
use creel_store::sqlite::{Options as StoreOptions, SqliteStore};
use creel_webhook::clock::{Clock as _, Timestamp};
use creel_webhook::event::TypePattern;
use creel_webhook::id::{PluginId, RouteId, SecretId, SourceId, TenantId};
use creel_webhook::plugin::Plugin;
use creel_webhook::route::{Late, Mode, Route};
use creel_webhook::secret::MasterKey;
use creel_webhook::source::{IdentitySpec, Source, SourceSpec};
use creel_webhook::tenant::{Tenant, TenantLimits};
use serde::{Deserialize, Serialize};

use crate::child;
use crate::load::ID_HEADER;

/// Name of the source's secret.
const SECRET: &str = "signing";

/// Events on one page while reading back.
const PAGE: u32 = 500;

/// Digits of an id before its number: round and connection.
const PREFIX_DIGITS: usize = 8;

/// How the host is started.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Its data directory, made if there is none.
    #[arg(long)]
    directory: PathBuf,
    /// Worker threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// What requests are signed with.
    #[arg(long)]
    secret: String,
}

/// What it says when it listens.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ready {
    /// Where.
    pub(crate) address: String,
    /// Path of the source.
    pub(crate) path: String,
}

/// What it says at its end: what it found stored.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Stored {
    /// Events.
    pub(crate) events: u64,
    /// Runs that wait.
    pub(crate) runs_pending: u64,
    /// Bytes of the database.
    pub(crate) bytes: u64,
    /// Events whose provider's id is stored more than once, or that have none.
    pub(crate) doubled: u64,
    /// Per round and connection the numbers that are stored: how many, and the highest.
    pub(crate) lines: BTreeMap<String, Numbers>,
}

/// Numbers of one connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Numbers {
    /// How many different ones.
    pub(crate) count: u64,
    /// The highest.
    pub(crate) highest: u64,
}

/// Serves until standard input ends, then says what is stored.
pub(crate) fn serve(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(options.threads).enable_all().build()?;
    runtime.block_on(async {
        let mut config = config(&options.directory)?;
        config.ceilings.pending_runs_max = 10_000_000;
        telemetry::install(config.log_format, &config.log_filter)?;
        let app = App::open(config, surroundings()?).await?;
        let (tenant, token) = configure(app.store().as_ref(), &options.secret).await?;
        child::say(&Ready { address: app.ingress_addr()?.to_string(), path: format!("/in/{token}") })?;
        let shutdown = Shutdown::new();
        let serving = tokio::spawn(app.serve(shutdown.clone()));
        child::told_to_stop().await;
        shutdown.begin();
        serving.await.context("serving")??;
        child::say(&read_back(&options.directory, tenant).await?)
    })
}

/// A fresh host's configuration; the system chooses its ports.
pub(crate) fn config(directory: &Path) -> anyhow::Result<Config> {
    drop(DataDir::create(directory)?);
    let mut config = Config::in_directory(directory);
    config.master_key = MasterKeySource::Environment(master_key());
    config.ingress.listen.set_port(0);
    config.admin.listen.set_port(0);
    Ok(config)
}

/// Seals one secret of one benchmark.
fn master_key() -> MasterKey {
    MasterKey::from_bytes([7; 32])
}

/// The process's own clock and entropy.
pub(crate) fn surroundings() -> anyhow::Result<Surroundings> {
    // What is compiled is compiled here: this program doesn't know the product's hidden subcommand.
    Ok(Surroundings {
        clock: Arc::new(SystemClock::default()),
        entropy: Arc::new(Entropy::system()?),
        client: None,
        compile_command: None,
    })
}

/// Makes the tenant, its secret, the source and its paused route; gives the tenant and the source's token.
async fn configure(store: &dyn Store, secret: &str) -> anyhow::Result<(TenantId, String)> {
    let entropy = Entropy::system()?;
    let now = SystemClock::default().now();
    let limits = TenantLimits { pending_runs_max: Some(10_000_000), ..TenantLimits::default() };
    let tenant = TenantId::new(now, entropy.id_bytes());
    store.tenant_put(Tenant { id: tenant, name: "bench".to_owned(), created_at: now, limits }).await?;
    store.secret_put(secret_row(tenant, secret, &entropy, now)).await?;
    let plugin = PluginId::new(now, entropy.id_bytes());
    store.plugin_put(Plugin { id: plugin, tenant, name: "handler".to_owned(), active: None }).await?;
    let source = SourceId::new(now, entropy.id_bytes());
    let token = entropy.token();
    store
        .source_put(Source {
            id: source,
            tenant,
            token: token.clone(),
            previous: None,
            paused: true,
            spec: source_spec(),
        })
        .await?;
    let route = Route {
        id: RouteId::new(now, entropy.id_bytes()),
        tenant,
        name: "all".to_owned(),
        source,
        pattern: TypePattern::any(),
        plugin,
        mode: Mode::Ack,
        late: Late::Drop,
        paused: true,
    };
    store.route_put(route).await?;
    Ok((tenant, token))
}

/// The sealed secret that requests are signed with.
pub(crate) fn secret_row(tenant: TenantId, secret: &str, entropy: &Entropy, now: Timestamp) -> SecretRow {
    let master = master_key();
    SecretRow {
        id: SecretId::new(now, entropy.id_bytes()),
        tenant,
        name: SECRET.to_owned(),
        sealed: master.seal(tenant, SECRET, secret.as_bytes(), entropy.nonce()),
        previous: None,
        previous_until: None,
        origins: Vec::new(),
        fingerprint: master.fingerprint(tenant, SECRET, secret.as_bytes()),
        updated_at: now,
    }
}

/// A source that believes HMAC-SHA256 over the body and takes ids from a header.
pub(crate) fn source_spec() -> SourceSpec {
    SourceSpec {
        name: "bench".to_owned(),
        preset: "generic-hmac".to_owned(),
        scheme: None,
        secrets: vec![SECRET.to_owned()],
        public_keys: Vec::new(),
        params: BTreeMap::new(),
        public_urls: Vec::new(),
        identity: IdentitySpec { id: vec![format!("header:{ID_HEADER}")], ..IdentitySpec::default() },
        dedup: true,
        dedup_ttl_ms: creel_webhook::source::DEDUP_TTL_MS_DEFAULT,
        skip_after_ms: creel_webhook::retry::SKIP_AFTER_MS_DEFAULT,
        fallback: None,
        reply_deadline_ms: None,
        silent_after_hours: None,
        body_bytes_max: None,
    }
}

/// Opens the store again and reads every event.
async fn read_back(directory: &Path, tenant: TenantId) -> anyhow::Result<Stored> {
    let lock = DataDir::open(directory)?;
    let store = SqliteStore::open(lock.database(), StoreOptions::default())?;
    let stats = store.stats().await?;
    let mut stored = Stored { runs_pending: stats.runs_pending, bytes: stats.bytes, ..Stored::default() };
    let mut seen = HashSet::new();
    let mut filter = EventFilter { limit: PAGE, ..EventFilter::default() };
    loop {
        let page = store.event_list(tenant, filter.clone()).await?;
        for event in page.events {
            stored.events += 1;
            match event.provider_id.filter(|id| seen.insert(id.clone())) {
                Some(id) => note(&mut stored.lines, &id),
                None => stored.doubled += 1,
            }
        }
        filter.before = page.next;
        if filter.before.is_none() {
            break;
        }
    }
    store.close().await?;
    Ok(stored)
}

fn note(lines: &mut BTreeMap<String, Numbers>, id: &str) {
    let (prefix, number) = id.split_at_checked(PREFIX_DIGITS).unwrap_or((id, ""));
    let numbers = lines.entry(prefix.to_owned()).or_default();
    numbers.count += 1;
    numbers.highest = numbers.highest.max(u64::from_str_radix(number, 16).unwrap_or(u64::MAX));
}

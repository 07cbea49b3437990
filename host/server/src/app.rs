//! The composition root: opens everything, connects it, and is the only place that spawns.
//!
//! [`App::open`] gives a host whose listeners are bound and whose store is open, and that does nothing yet;
//! [`App::serve`] runs it until a shutdown. Between the two a caller can ask for the addresses, which is how tests, the
//! demo and the benchmarks run whole hosts side by side in one process: nothing here is static.
//!
//! ```text
//! ingress listener --> Ingress --\                     /--> Worker pump --> Runner --> guest threads
//!                                 >-- Store (SQLite) <
//! admin listener ----> Admin ----/                     \--> Sender pump --> Egress (guard)
//! ```
//!
//! On shutdown the listeners stop taking connections and finish what they have, the pumps stop claiming and finish
//! what is under way. What has not ended after `shutdown_timeout_ms` is cut off and gives its claim back; then the store
//! commits what is queued and closes. The steps after the bound have bounds of their own.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use bytes::Bytes;
use creel_runtime::cache::Cache;
use creel_runtime::gate::compile::{Compiler, CompilerOptions};
use creel_runtime::limits::{EngineOptions, Limits};
use creel_runtime::registry::{PrepareError, Registry};
use creel_runtime::run::Runtime;
use creel_runtime::run::threads::GuestThreads;
use creel_store::contract::{SecretRow, Store};
use creel_store::sqlite::{Options as StoreOptions, SqliteStore};
use creel_webhook::bucket::Rate;
use creel_webhook::clock::Clock;
use creel_webhook::secret::{MasterKey, Purpose};
use futures_util::FutureExt as _;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;

use crate::admin;
use crate::admin::state::{Admin, UploadGate, UploadRefusal, Uploaded};
use crate::body::{BodyBudget, BodyLimits};
use crate::config::{Config, MasterKeySource};
use crate::datadir::{self, DataDir};
use crate::directory::Directory;
use crate::egress::{Egress, HttpClient};
use crate::errands::{Carrier, Errands, errands};
use crate::guard::Guard;
use crate::ingress::certificates::Certificates;
use crate::ingress::flood::Flood;
use crate::ingress::keeping::Keeper;
use crate::ingress::replying::Replier;
use crate::ingress::{self, Ingress};
use crate::listener::{self, ListenerLimits};
use crate::maintenance::Maintenance;
use crate::pump::Pump;
use crate::rehearsal::{REHEARSALS_MAX, Stage};
use crate::runner::Runner;
use crate::sender::{Sender, Sending};
use crate::shutdown::{Cut, Shutdown};
use crate::spec::tenant::Ceilings;
use crate::system::{Entropy, SystemClock};
use crate::telemetry::Metrics;
use crate::watch::Watch;
use crate::worker::Worker;

/// Compiled code that is kept in memory, bytes: some thousand Rust components.
const CODE_BYTES_MAX: u64 = 1 << 30;

/// How long work that is cut off may take to give its claims back, milliseconds: a few commits on a slow disk.
const GIVING_BACK_MS_MAX: u64 = 3_000;

/// How long the store may take to close, milliseconds: a checkpoint of a long log on a slow disk. With the default
/// `shutdown_timeout_ms` and [`GIVING_BACK_MS_MAX`] that is less than the 30 s of Kubernetes.
const CLOSING_MS_MAX: u64 = 10_000;

/// What a host is given besides its configuration: the parts that tests replace.
pub struct Surroundings {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Entropy.
    pub entropy: Arc<Entropy>,
    /// The way out; `None` for the live one.
    pub client: Option<Arc<dyn HttpClient>>,
    /// The command that compiles components in a process of its own, with its arguments; `None` compiles here.
    pub compile_command: Option<(PathBuf, Vec<OsString>)>,
}

impl Surroundings {
    /// Those of a real process: its clock, its entropy, itself as the compiler.
    ///
    /// # Errors
    /// When the system gives no entropy or the program can't be found.
    pub fn live() -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("finding this program, which also compiles components")?;
        Ok(Surroundings {
            clock: Arc::new(SystemClock::default()),
            entropy: Arc::new(Entropy::system()?),
            client: None,
            compile_command: Some((program, vec![crate::COMPILE_COMMAND.into()])),
        })
    }
}

/// A host, open and not yet serving.
pub struct App {
    config: Config,
    store: Arc<dyn Store>,
    ingress: (TcpListener, Router),
    admin: (TcpListener, Router),
    worker: Pump<Worker>,
    sender: Pump<Sending>,
    maintenance: Maintenance,
    carrier: Carrier,
    cut: Cut,
    // Held for as long as the host lives; given back last.
    data_dir: DataDir,
}

impl App {
    /// Opens the data directory and the store, prepares the sandbox and binds both listeners.
    ///
    /// # Errors
    /// With a sentence that says what could not be opened and what to do.
    pub async fn open(mut config: Config, around: Surroundings) -> anyhow::Result<App> {
        let data_dir = DataDir::open(&config.data_dir)?;
        let master = master_key(&config)?;
        let (ingress_listener, admin_listener) = bind(&mut config).await?;
        let store = open_store(&config, &data_dir)?;
        let directory = Directory::open(store.clone(), around.clock.clone(), master.clone(), config.base_url()).await?;
        check_master_key(store.as_ref(), &master).await?;
        let guard = Arc::new(Guard::new(config.egress_allow.clone(), config.egress_https_only));
        let client = match around.client {
            Some(client) => client,
            None => Arc::new(Egress::new(guard.clone())?),
        };
        let metrics = Arc::new(Metrics::new());
        let sandbox = Sandbox::open(&config, &data_dir, &master, around.compile_command)?;
        let (turns, cut) = (Arc::default(), Cut::default());
        let runner = Arc::new(Runner {
            store: store.clone(),
            directory: Arc::new(directory),
            runtime: sandbox.runtime,
            registry: sandbox.registry,
            threads: sandbox.threads,
            limits: limits(&config),
            clock: around.clock.clone(),
            entropy: around.entropy,
            metrics: metrics.clone(),
            cut: cut.clone(),
        });
        let watch = Watch::new(store.clone(), runner.directory.clone(), config.pending_runs_max);
        let (errands, carrier) = errands();
        let ingress = ingress_of(&config, runner.clone(), errands, client.clone(), master.clone(), &turns);
        let sending = Sending(Arc::new(sender(&config, client, &runner)));
        let (runs, calls) = (config.runtime.concurrent_runs as usize, config.sender_concurrency as usize);
        Ok(App {
            worker: Pump::new(Arc::new(Worker::new(runner.clone())), runs, around.clock.clone()),
            sender: Pump::new(Arc::new(sending), calls, around.clock.clone()),
            maintenance: Maintenance::new(store.clone(), watch, around.clock, metrics),
            admin: (
                admin_listener,
                admin::router_within(admin_of(&config, &runner, guard, master, turns), Ceilings::from(&config)),
            ),
            ingress: (ingress_listener, ingress::router(Arc::new(ingress))),
            carrier,
            cut,
            store,
            config,
            data_dir,
        })
    }

    /// Where webhooks arrive.
    ///
    /// # Errors
    /// When the listener is gone.
    pub fn ingress_addr(&self) -> std::io::Result<SocketAddr> {
        self.ingress.0.local_addr()
    }

    /// Where the admin API is.
    ///
    /// # Errors
    /// When the listener is gone.
    pub fn admin_addr(&self) -> std::io::Result<SocketAddr> {
        self.admin.0.local_addr()
    }

    /// The store, for the composition's own needs (the first key, tests).
    pub fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    /// Serves until the shutdown begins and everything under way has ended or was given back.
    ///
    /// # Errors
    /// When a part of the host panicked, the store could not be closed, or its disk does not tell what is safe.
    pub async fn serve(self, shutdown: Shutdown) -> anyhow::Result<()> {
        let bound = Duration::from_millis(self.config.shutdown_timeout_ms);
        let (store, cut) = (self.store.clone(), self.cut.clone());
        let (mut parts, _data_dir) = self.spawn(&shutdown);
        let deadline = async {
            shutdown.begun().await;
            tokio::time::sleep(bound).await;
        };
        let mut ended = tokio::select! {
            ended = end_of(&mut parts) => Some(ended),
            // Nothing can be given back to a store that takes nothing.
            why = store.broken() => Some(Err(anyhow::anyhow!(why))),
            () = deadline => None,
        };
        if ended.is_none() {
            cut.now();
            let giving_back = Duration::from_millis(GIVING_BACK_MS_MAX);
            ended = tokio::time::timeout(giving_back, end_of(&mut parts)).await.ok();
        }
        if ended.is_none() {
            tracing::warn!("some work did not even end when it was cut off; it is claimed again at the next start");
        }
        // What is still under way ends before the store does.
        shutdown.begin();
        parts.shutdown().await;
        let closed = tokio::time::timeout(Duration::from_millis(CLOSING_MS_MAX), store.close()).await;
        closed
            .context("the store did not close in time; nothing that it acknowledged is lost")?
            .context("closing the store")?;
        tracing::info!(given_back = cut.given_back(), "stopped; what was given back is claimed at the next start");
        ended.unwrap_or(Ok(()))
    }

    /// Spawns the parts. The directory is to be held until the store is closed.
    fn spawn(self, shutdown: &Shutdown) -> (JoinSet<()>, DataDir) {
        let limits = listener_limits(&self.config);
        let mut parts = JoinSet::new();
        let (served, all_served) = tokio::sync::oneshot::channel::<()>();
        let (admin, router) = self.admin;
        let stop = shutdown.begun();
        parts.spawn(async move {
            listener::serve(admin, router, limits, stop).await;
        });
        // Errands are carried until no request is left that could send one.
        let (ingress, router) = self.ingress;
        let stop = shutdown.begun();
        parts.spawn(async move {
            listener::serve(ingress, router, limits, stop).await;
            drop(served);
        });
        parts.spawn(self.worker.run(shutdown.begun()));
        parts.spawn(self.sender.run(shutdown.begun()));
        parts.spawn(self.maintenance.run(shutdown.begun()));
        parts.spawn(self.carrier.run(async move { drop(all_served.await) }));
        (parts, self.data_dir)
    }
}

/// Waits until all parts have ended, or one of them badly.
async fn end_of(parts: &mut JoinSet<()>) -> anyhow::Result<()> {
    while let Some(ended) = parts.join_next().await {
        ended.map_err(|error| anyhow::anyhow!("a part of the host ended: {error}"))?;
    }
    Ok(())
}

/// The parts that run plugins.
struct Sandbox {
    runtime: Arc<Runtime>,
    registry: Arc<Registry>,
    threads: Arc<GuestThreads>,
}

impl Sandbox {
    fn open(
        config: &Config,
        data_dir: &DataDir,
        master: &MasterKey,
        compile_command: Option<(PathBuf, Vec<OsString>)>,
    ) -> anyhow::Result<Self> {
        let own = &config.runtime;
        let options = EngineOptions {
            runs_max: own.concurrent_runs + own.reply_slots + REHEARSALS_MAX,
            memory_bytes_ceiling: own.memory_bytes_max,
            ..EngineOptions::default()
        };
        let runtime = Arc::new(Runtime::new(&options).context("preparing the sandbox")?);
        let cache = Cache::open(&data_dir.cache(), runtime.sandbox(), master.derive(Purpose::CompiledCache))?;
        let compiler = Compiler::new(CompilerOptions {
            command: compile_command,
            deadline_ms: own.compile_deadline_ms,
            memory_bytes_max: own.compile_memory_bytes_max,
            ..CompilerOptions::default()
        });
        let registry = Registry::new(runtime.sandbox(), cache, compiler, limits(config), CODE_BYTES_MAX);
        let threads = match own.guest_threads {
            0 => std::thread::available_parallelism().map_or(2, usize::from),
            threads => threads,
        };
        let threads = GuestThreads::start(threads).context("starting the threads that plugins run on")?;
        Ok(Sandbox { runtime, registry: Arc::new(registry), threads: Arc::new(threads) })
    }
}

fn master_key(config: &Config) -> anyhow::Result<MasterKey> {
    Ok(match &config.master_key {
        MasterKeySource::File(path) => datadir::read_master_key(path)?,
        MasterKeySource::Environment(key) => key.clone(),
    })
}

/// With another key than the one that secrets were sealed with, every genuine request would be refused.
async fn check_master_key(store: &dyn Store, master: &MasterKey) -> anyhow::Result<()> {
    let secrets = store.control_read().await?.secrets;
    let opens = |row: &SecretRow| master.open(row.tenant, &row.name, &row.sealed).is_ok();
    anyhow::ensure!(
        secrets.is_empty() || secrets.iter().any(opens),
        "this is not the master key that the data directory's secrets are sealed with; restore that key to \
         `master_key.file` or CREEL_MASTER_KEY"
    );
    Ok(())
}

/// Binds both listeners. With port 0 the system chooses, and a public URL that nobody set follows.
async fn bind(config: &mut Config) -> anyhow::Result<(TcpListener, TcpListener)> {
    let ingress = TcpListener::bind(config.ingress.listen).await.with_context(|| {
        format!("listening on `ingress.listen` = {}; is another process there?", config.ingress.listen)
    })?;
    let admin = TcpListener::bind(config.admin.listen)
        .await
        .with_context(|| format!("listening on `admin.listen` = {}; is another process there?", config.admin.listen))?;
    if config.public_url.is_none() {
        config.public_url = Some(format!("http://{}", ingress.local_addr()?));
    }
    Ok((ingress, admin))
}

fn open_store(config: &Config, data_dir: &DataDir) -> anyhow::Result<Arc<dyn Store>> {
    let options = StoreOptions {
        bytes_max: config.store_bytes_max,
        waiting_max: config.waiting_max,
        body_days: config.body_days,
        record_days: config.record_days,
        ..StoreOptions::default()
    };
    let path = data_dir.database();
    let store = SqliteStore::open(&path, options).with_context(|| format!("opening the store {}", path.display()))?;
    Ok(Arc::new(store))
}

fn limits(config: &Config) -> Limits {
    Limits {
        fuel_max: config.runtime.fuel_max,
        memory_bytes_max: config.runtime.memory_bytes_max,
        timeout_ms: config.runtime.run_timeout_ms,
        component_bytes_max: config.runtime.component_bytes_max,
        ..Limits::default()
    }
}

fn listener_limits(config: &Config) -> ListenerLimits {
    let own = &config.ingress;
    ListenerLimits {
        header_timeout_ms: own.header_timeout_ms,
        headers_bytes_max: own.headers_bytes_max,
        headers_max: own.headers_max,
        connections_max: own.connections_max,
        connections_per_address_max: own.connections_per_address_max,
        shutdown_timeout_ms: config.shutdown_timeout_ms,
    }
}

fn sender(config: &Config, client: Arc<dyn HttpClient>, runner: &Runner) -> Sender {
    Sender {
        store: runner.store.clone(),
        directory: runner.directory.clone(),
        client,
        response_bytes_max: config.response_bytes_max,
        clock: runner.clock.clone(),
        entropy: runner.entropy.clone(),
        metrics: runner.metrics.clone(),
        cut: runner.cut.clone(),
    }
}

fn ingress_of(
    config: &Config,
    runner: Arc<Runner>,
    errands: Errands,
    client: Arc<dyn HttpClient>,
    master: MasterKey,
    turns: &Arc<Mutex<()>>,
) -> Ingress {
    let own = &config.ingress;
    let (store, entropy, turns) = (runner.store.clone(), runner.entropy.clone(), turns.clone());
    Ingress {
        flood: Flood::new(Rate { burst: own.refusals_burst, per_second: own.refusals_per_second }),
        certificates: Certificates::new(client),
        keeper: Keeper { store, master, entropy, turns },
        store: runner.store.clone(),
        directory: runner.directory.clone(),
        body_limits: BodyLimits {
            bytes_max: config.ingress.body_bytes_max,
            timeout_ms: config.ingress.body_timeout_ms,
        },
        body_budget: BodyBudget::new(config.ingress.in_flight_body_bytes_max),
        pending_runs_max: config.pending_runs_max,
        clock: runner.clock.clone(),
        entropy: runner.entropy.clone(),
        metrics: runner.metrics.clone(),
        refusals: Default::default(),
        replier: Replier { runner, slots: Arc::new(Semaphore::new(config.runtime.reply_slots as usize)), errands },
    }
}

fn admin_of(
    config: &Config,
    runner: &Arc<Runner>,
    guard: Arc<Guard>,
    master: MasterKey,
    turns: Arc<Mutex<()>>,
) -> Admin {
    let (metrics, store) = (runner.metrics.clone(), runner.store.clone());
    let rehearser = runner.clone();
    Admin {
        store: runner.store.clone(),
        clock: runner.clock.clone(),
        entropy: runner.entropy.clone(),
        master,
        upload_gate: upload_gate(runner.registry.clone(), limits(config)),
        stage: Stage::new(Arc::new(move |wish| {
            let runner = rehearser.clone();
            async move { runner.rehearse(wish).await }.boxed()
        })),
        url_check: Arc::new(move |url| guard.check_literal(url).map(drop).map_err(|denied| denied.to_string())),
        metrics: Arc::new(move || metrics.render()),
        ready: Arc::new(move || {
            let store = store.clone();
            async move { store.ping().await.map_err(|error| error.to_string()) }.boxed()
        }),
        public_url: config.base_url(),
        component_bytes_max: usize::try_from(config.runtime.component_bytes_max).unwrap_or(usize::MAX),
        turns,
    }
}

/// Uploads pass the runtime's gate and are compiled before they are taken, so that the first event finds them ready.
fn upload_gate(registry: Arc<Registry>, limits: Limits) -> UploadGate {
    Arc::new(move |upload: Bytes| {
        let (registry, limits) = (registry.clone(), limits.clone());
        async move {
            let prepared = registry.admit(upload.clone(), &limits).await.map_err(upload_refusal)?;
            let (bytes, imports) = (upload.len() as u64, prepared.imports.clone());
            Ok(Uploaded { digest: prepared.digest, imports, bytes, upload })
        }
        .boxed()
    })
}

fn upload_refusal(error: PrepareError) -> UploadRefusal {
    let (status, title) = match &error {
        PrepareError::Refused(refusal) => (422, format!("the upload was refused: {}", refusal.part())),
        PrepareError::Compile(error) if error.is_hosts() => (503, "the component could not be compiled".to_owned()),
        PrepareError::Compile(_) => (422, "the component was not compiled".to_owned()),
        PrepareError::Missing { .. } | PrepareError::Damaged { .. } | PrepareError::Cache(_) => {
            (503, "the component could not be kept".to_owned())
        }
    };
    UploadRefusal { status, title, detail: error.to_string() }
}

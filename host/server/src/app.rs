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
use creel_runtime::descriptors;
use creel_runtime::gate::compile::{Compiler, CompilerOptions};
use creel_runtime::limits::{EngineOptions, Limits};
use creel_runtime::registry::{PrepareError, Registry};
use creel_runtime::run::Runtime;
use creel_runtime::run::threads::GuestThreads;
use creel_store::contract::{SecretRow, Store};
use creel_store::sqlite::{Options as StoreOptions, SqliteStore};
use creel_webhook::bucket::Rate;
use creel_webhook::clock::{Clock, Timestamp};
use creel_webhook::quota::Quotas;
use creel_webhook::secret::Purpose;
use futures_util::FutureExt as _;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::admin;
use crate::admin::state::{Admin, ForgetStray, UploadGate, UploadRefusal, Uploaded};
use crate::body::{BodyBudget, BodyLimits};
use crate::capability::fetch::LookUps;
use crate::config::{Config, MasterKeySource};
use crate::datadir::{self, DataDir};
use crate::directory::Directory;
use crate::egress::{Egress, HttpClient};
use crate::errands::{Carrier, Errands, errands};
use crate::guard::Guard;
use crate::ingress::certificates::Certificates;
use crate::ingress::early::Early;
use crate::ingress::flood::Flood;
use crate::ingress::keeping::Keeper;
use crate::ingress::replying::Replier;
use crate::ingress::{Entrance, Ingress};
use crate::keyring::Keyring;
use crate::listener::{self, Door, ListenerLimits};
use crate::maintenance::{Lines, Maintenance};
use crate::pump::Pump;
use crate::reach::Reach;
use crate::rehearsal::{REHEARSALS_MAX, Stage};
use crate::rekeying;
use crate::removal::{Removal, forget_strays};
use crate::runner::Runner;
use crate::sender::{Sender, Sending};
use crate::settled::Settled;
use crate::shutdown::{Cut, Shutdown};
use crate::slots::Slots;
use crate::spec::tenant::Ceilings;
use crate::system::{Entropy, SystemClock};
use crate::telemetry::Metrics;
use crate::tls::{LOOK_EVERY, Tls, TlsFiles};
use crate::tokens::Tokens;
use crate::turnstile::Turnstiles;
use crate::under_way::{self, UnderWay};
use crate::warming::Warming;
use crate::watch::Watch;
use crate::worker::Worker;

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
    ingress: (TcpListener, Entrance),
    admin: (TcpListener, Router),
    doors: Doors,
    worker: Pump<Worker>,
    sender: Pump<Sending>,
    maintenance: Maintenance,
    warming: Warming,
    carrier: Carrier,
    look_ups: Carrier,
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
        let (master, rotating) = master_key(&config)?;
        let doors = Doors::open(&config)?;
        let (ingress_listener, admin_listener) = bind(&mut config).await?;
        let (store, under_way) = open_store(&config, &data_dir, around.clock.now())?;
        let directory =
            Directory::open(store.clone(), around.clock.clone(), master.clone(), config.known_bases()).await?;
        check_master_key(store.as_ref(), &master).await?;
        go_on_rotating(store.as_ref(), &master, rotating, &around.entropy).await?;
        let guard = Arc::new(Guard::new(config.egress_allow.clone(), config.egress_https_only));
        let client = match around.client {
            Some(client) => client,
            None => Arc::new(Egress::new(guard.clone())?),
        };
        let client: Arc<dyn HttpClient> = Arc::new(Tokens::new(client, around.clock.clone()));
        let metrics = Arc::new(Metrics::new());
        let sandbox = Sandbox::open(&config, &data_dir, &master, around.compile_command)?;
        let (turns, cut, reach) = (Arc::default(), Cut::default(), Arc::default());
        let (asking, look_ups) = errands();
        let (way, others, clock) = (client.clone(), Arc::clone(&reach), around.clock.clone());
        let look_up = LookUps { client: way, errands: asking, reach: others, clock, metrics: metrics.clone() };
        let runner = Arc::new(Runner {
            store: store.clone(),
            directory: Arc::new(directory),
            runtime: sandbox.runtime,
            registry: sandbox.registry,
            threads: sandbox.threads,
            ceilings: Ceilings::from(&config),
            state_limits: config.state,
            turnstiles: Turnstiles::default(),
            fetch_limits: config.fetch,
            look_ups: Arc::new(look_up),
            clock: around.clock.clone(),
            entropy: around.entropy,
            metrics: metrics.clone(),
            cut: cut.clone(),
            under_way,
        });
        let (errands, carrier) = errands();
        let ingress = ingress_of(&config, runner.clone(), errands, client.clone(), master.clone(), &turns);
        let lines = lines(&runner, &ingress.replier.slots);
        let sending = Sending(Arc::new(sender(&config, client, reach, &runner)));
        let (runs, calls) = (config.runtime.concurrent_runs as usize, config.sender_concurrency as usize);
        Ok(App {
            worker: Pump::new(Arc::new(Worker::new(runner.clone())), runs, around.clock.clone()),
            sender: Pump::new(Arc::new(sending), calls, around.clock.clone()),
            warming: Warming::new(store.clone(), runner.directory.clone(), runner.registry.clone()),
            maintenance: maintenance(&store, &runner, around.clock, metrics, lines),
            admin: (
                admin_listener,
                admin::router_within(
                    admin_of(&config, &runner, &ingress, guard, master, turns),
                    Ceilings::from(&config),
                ),
            ),
            ingress: (ingress_listener, Entrance::to(ingress)),
            doors,
            carrier,
            look_ups,
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
        for tls in [&self.doors.ingress.tls, &self.doors.admin.tls].into_iter().flatten() {
            parts.spawn(tls.clone().keep_fresh(LOOK_EVERY, shutdown.begun()));
        }
        // Look-ups are sent until nobody is left who runs anything.
        let (running, mut none_runs) = tokio::sync::mpsc::channel::<()>(1);
        let ((admin, router), door) = (self.admin, self.doors.admin);
        let (stop, held) = (shutdown.begun(), running.clone());
        parts.spawn(async move {
            listener::serve(admin, router, limits, door, stop).await;
            drop(held);
        });
        // Errands are carried until no request is left that could send one.
        let ((ingress, entrance), door) = (self.ingress, self.doors.ingress);
        let stop = shutdown.begun();
        parts.spawn(async move {
            listener::serve(ingress, entrance, limits, door, stop).await;
            drop(served);
        });
        let (worker, held) = (self.worker.run(shutdown.begun()), running.clone());
        parts.spawn(worker.map(move |()| drop(held)));
        parts.spawn(self.sender.run(shutdown.begun()));
        parts.spawn(self.maintenance.run(shutdown.begun()));
        parts.spawn(self.warming.run(shutdown.begun()));
        let carrier = self.carrier.run(async move { drop(all_served.await) });
        parts.spawn(carrier.map(move |()| drop(running)));
        parts.spawn(self.look_ups.run(async move { _ = none_runs.recv().await }));
        (parts, self.data_dir)
    }
}

/// What stands before the listeners.
struct Doors {
    ingress: Door,
    admin: Door,
}

impl Doors {
    fn open(config: &Config) -> anyhow::Result<Doors> {
        let tls = |files: &Option<TlsFiles>, listener: &str| {
            let opened = files.clone().map(Tls::open).transpose();
            Ok::<_, anyhow::Error>(opened.with_context(|| format!("opening `{listener}.tls`"))?.map(Arc::new))
        };
        let proxies = config.ingress.proxies.clone();
        Ok(Doors {
            ingress: Door { tls: tls(&config.ingress.tls, "ingress")?, proxies: proxies.clone() },
            admin: Door { tls: tls(&config.admin.tls, "admin")?, proxies },
        })
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
        master: &Keyring,
        compile_command: Option<(PathBuf, Vec<OsString>)>,
    ) -> anyhow::Result<Self> {
        let own = &config.runtime;
        let options = EngineOptions {
            runs_max: own.concurrent_runs + own.reply_slots + REHEARSALS_MAX,
            memory_bytes_ceiling: config.ceilings().memory_bytes_max,
            ..EngineOptions::default()
        };
        let runtime = Arc::new(Runtime::new(&options).context("preparing the sandbox")?);
        let cache = Cache::open(
            &data_dir.cache(),
            runtime.sandbox(),
            master.derive(Purpose::CompiledCache),
            own.cache_bytes_max,
        )?;
        let compiler = Compiler::new(CompilerOptions {
            command: compile_command,
            deadline_ms: own.compile_deadline_ms,
            memory_bytes_max: own.compile_memory_bytes_max,
            ..CompilerOptions::default()
        });
        let registry = Registry::new(runtime.sandbox(), cache, compiler, limits(config), own.code_bytes_max)
            .holding_at_most(descriptors::components_max(descriptors::raise()));
        let threads = match own.guest_threads {
            0 => std::thread::available_parallelism().map_or(2, usize::from),
            threads => threads,
        };
        let threads = GuestThreads::start(threads).context("starting the threads that plugins run on")?;
        Ok(Sandbox { runtime, registry: Arc::new(registry), threads: Arc::new(threads) })
    }
}

/// The master keys; and the file, if a rotation of its key is not over.
fn master_key(config: &Config) -> anyhow::Result<(Keyring, Option<PathBuf>)> {
    let path = match &config.master_key {
        MasterKeySource::Environment(key) => return Ok((Keyring::of(key.clone()), None)),
        MasterKeySource::File(path) => path,
    };
    let keyring = Keyring::of(datadir::read_master_key(path)?);
    let Some(next) = rekeying::pending(path)? else { return Ok((keyring, None)) };
    keyring.turn_to(next);
    Ok((keyring, Some(path.clone())))
}

/// Brings a rotation of the master key to its end that an earlier process began.
async fn go_on_rotating(
    store: &dyn Store,
    master: &Keyring,
    file: Option<PathBuf>,
    entropy: &Entropy,
) -> anyhow::Result<()> {
    if let Some(file) = file {
        rekeying::finish(store, master, &file, entropy).await.context("rotating the master key")?;
    }
    Ok(())
}

/// With another key than the one that secrets were sealed with, every genuine request would be refused.
async fn check_master_key(store: &dyn Store, master: &Keyring) -> anyhow::Result<()> {
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
        config.public_url = Some(config.url_at(ingress.local_addr()?));
    }
    Ok((ingress, admin))
}

/// Opens the store, and begins anew to write down what is under way once the store knows what was.
fn open_store(config: &Config, data_dir: &DataDir, opened_at: Timestamp) -> anyhow::Result<(Arc<dyn Store>, UnderWay)> {
    let left = under_way::left(&data_dir.under_way())?;
    let options = StoreOptions {
        under_way: left,
        opened_at,
        bytes_max: config.store_bytes_max,
        waiting_max: config.waiting_max,
        body_days: config.limits.body_days,
        record_days: config.limits.record_days,
        concurrent_runs_max: u32::try_from(config.defaults().concurrent_runs_max).unwrap_or(u32::MAX),
        fuel_per_second: config.limits.fuel_per_second,
        audit_days: config.audit_days,
        quotas: Quotas::from(&config.defaults()),
        ..StoreOptions::default()
    };
    let path = data_dir.database();
    let store = SqliteStore::open(&path, options).with_context(|| format!("opening the store {}", path.display()))?;
    let runs = config.runtime.concurrent_runs + config.runtime.reply_slots + REHEARSALS_MAX;
    let under_way = UnderWay::open(&data_dir.under_way(), (runs + config.sender_concurrency) as usize)?;
    Ok((Arc::new(store), under_way))
}

/// Upkeep of the store, with the watch and the removals beside it.
fn maintenance(
    store: &Arc<dyn Store>,
    runner: &Runner,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    lines: Lines,
) -> Maintenance {
    let watch = Watch::new(store.clone(), runner.directory.clone(), runner.ceilings);
    let removal = Removal::new(store.clone(), runner.registry.clone());
    Maintenance::new(store.clone(), watch, removal, clock, metrics, lines)
}

/// What a run may use on a host of this configuration whose tenant has no limits of its own, and what an upload may be.
pub fn limits(config: &Config) -> Limits {
    Limits { component_bytes_max: config.runtime.component_bytes_max, ..Limits::from(&config.defaults()) }
}

/// How many wait where a thread or a slot is shared.
fn lines(runner: &Runner, slots: &Slots) -> Lines {
    let (threads, slots) = (runner.threads.clone(), slots.clone());
    Arc::new(move || (threads.waiting(), slots.waiting()))
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

fn sender(config: &Config, client: Arc<dyn HttpClient>, reach: Arc<Reach>, runner: &Runner) -> Sender {
    Sender {
        store: runner.store.clone(),
        directory: runner.directory.clone(),
        client,
        response_bytes_max: config.response_bytes_max,
        reach,
        clock: runner.clock.clone(),
        entropy: runner.entropy.clone(),
        metrics: runner.metrics.clone(),
        cut: runner.cut.clone(),
        under_way: runner.under_way.clone(),
    }
}

fn ingress_of(
    config: &Config,
    runner: Arc<Runner>,
    errands: Errands,
    client: Arc<dyn HttpClient>,
    master: Keyring,
    turns: &Arc<Mutex<()>>,
) -> Ingress {
    let own = &config.ingress;
    let early = Arc::new(Early::new(runner.under_way.nothing_was_left()));
    let (store, entropy, turns) = (runner.store.clone(), runner.entropy.clone(), turns.clone());
    Ingress {
        flood: Flood::new(Rate { burst: own.refusals_burst, per_second: own.refusals_per_second }),
        certificates: Certificates::new(client),
        keeper: Keeper { store, master, entropy, turns },
        probes: Arc::default(),
        settled: Settled::new(runner.clock.clone()),
        store: runner.store.clone(),
        directory: runner.directory.clone(),
        body_limits: BodyLimits {
            bytes_max: config.ingress.body_bytes_max,
            timeout_ms: config.ingress.body_timeout_ms,
        },
        body_budget: BodyBudget::new(config.ingress.in_flight_body_bytes_max),
        ceilings: runner.ceilings,
        clock: runner.clock.clone(),
        entropy: runner.entropy.clone(),
        metrics: runner.metrics.clone(),
        refusals: Default::default(),
        replier: Replier { runner, slots: Slots::new(config.runtime.reply_slots), errands, early },
    }
}

fn admin_of(
    config: &Config,
    runner: &Arc<Runner>,
    ingress: &Ingress,
    guard: Arc<Guard>,
    master: Keyring,
    turns: Arc<Mutex<()>>,
) -> Admin {
    let (metrics, counting, store) = (runner.metrics.clone(), runner.metrics.clone(), runner.store.clone());
    let (rehearser, looking) = (runner.clone(), runner.clone());
    Admin {
        store: runner.store.clone(),
        clock: runner.clock.clone(),
        settled: ingress.settled.clone(),
        entropy: runner.entropy.clone(),
        master,
        master_key_file: match &config.master_key {
            MasterKeySource::File(path) => Some(path.clone()),
            MasterKeySource::Environment(_) => None,
        },
        upload_gate: upload_gate(runner.registry.clone(), limits(config)),
        forget_stray: forget_stray(runner.store.clone(), runner.registry.clone()),
        imports_of: Arc::new(move |tenant, digest| {
            let runner = looking.clone();
            async move { runner.imports(tenant, digest).await }.boxed()
        }),
        stage: Stage::new(Arc::new(move |wish| {
            let runner = rehearser.clone();
            async move { runner.rehearse(wish).await }.boxed()
        })),
        url_check: Arc::new(move |url| guard.check_literal(url).map(drop).map_err(|denied| denied.to_string())),
        metrics: Arc::new(move || metrics.render()),
        refused: Arc::new(move |reason| counting.admin_refusal(reason)),
        ready: Arc::new(move || {
            let store = store.clone();
            async move { store.ping().await.map_err(|error| error.to_string()) }.boxed()
        }),
        public_url: config.base_url(),
        probes: ingress.probes.clone(),
        component_bytes_max: usize::try_from(config.runtime.component_bytes_max).unwrap_or(usize::MAX),
        in_flight_upload_bytes_max: config.runtime.in_flight_upload_bytes_max,
        components_bytes_max: config.components_bytes_max,
        turns,
    }
}

/// Uploads pass the runtime's gate and are compiled before they are taken, so that the first event finds them ready.
fn upload_gate(registry: Arc<Registry>, limits: Limits) -> UploadGate {
    Arc::new(move |upload: Bytes| {
        let (registry, limits) = (registry.clone(), limits.clone());
        async move {
            let prepared = registry.admit(upload.clone(), &limits).await.map_err(|error| upload_refusal(&error))?;
            let (bytes, imports) = (upload.len() as u64, prepared.imports.clone());
            Ok(Uploaded { digest: prepared.digest, imports, bytes, upload })
        }
        .boxed()
    })
}

/// What an upload was compiled to goes if nobody kept it; where the store fails, it goes later.
fn forget_stray(store: Arc<dyn Store>, registry: Arc<Registry>) -> ForgetStray {
    Arc::new(move |digest| {
        let (store, registry) = (store.clone(), registry.clone());
        async move {
            if let Err(error) = forget_strays(store.as_ref(), &registry, vec![digest]).await {
                tracing::warn!(%digest, %error, "compiled code that nobody has could not be removed");
            }
        }
        .boxed()
    })
}

fn upload_refusal(error: &PrepareError) -> UploadRefusal {
    let (status, title) = match error {
        PrepareError::Refused(refusal) => (422, format!("the upload was refused: {}", refusal.part())),
        PrepareError::Compile(error) if error.is_hosts() => (503, "the component could not be compiled".to_owned()),
        PrepareError::Compile(_) => (422, "the component was not compiled".to_owned()),
        PrepareError::Missing { .. } | PrepareError::Damaged { .. } | PrepareError::Cache(_) => {
            (503, "the component could not be kept".to_owned())
        }
    };
    UploadRefusal { status, title, detail: error.to_string() }
}

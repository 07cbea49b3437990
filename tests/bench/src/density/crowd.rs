//! A whole host with all components: every plugin of every tenant deployed, and events for them.
//!
//! A process of its own with the product's composition and defaults. Its data directory is kept beside the compiled code and
//! made when it is not there; what has no compiled code there is compiled by the first event. Events are accepted through the
//! store as ingress does it, many at once, and the clock stops when all of them are decided: each takes a request's and a
//! decision's commit, a claim, the look-up of its deployment and a run in the sandbox.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;
use creel_server::app::App;
use creel_server::shutdown::Shutdown;
use creel_server::system::{Entropy, SystemClock};
use creel_server::telemetry;
use creel_store::contract::{RunFilter, Store};
use creel_webhook::clock::Clock as _;
use creel_webhook::id::DestinationId;
use creel_webhook::run::Verdict;
use serde::{Deserialize, Serialize};

use super::guests::{Guests, shuffled};
use super::tenants::{self, Uploads};
use super::{Memory, memory};
use crate::filling::{self, Places};
use crate::{child, host};

/// Accepts under way.
const ACCEPTS: usize = 64;

/// Between two looks whether all is decided.
const LOOK: Duration = Duration::from_millis(1);

/// Events of a round and side, for each hot component.
const EVENTS: u32 = 10;

/// How it is started.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Its data directory.
    #[arg(long)]
    directory: PathBuf,
    /// Components.
    #[arg(long)]
    components: u32,
    /// How many of them get events in turn.
    #[arg(long)]
    hot: u32,
    /// Rounds of each side.
    #[arg(long)]
    rounds: u32,
    /// Worker threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

impl Options {
    /// The arguments that start it.
    pub(super) fn arguments(directory: PathBuf, of: &super::Options) -> Vec<String> {
        child::arguments(
            "serve-crowd",
            [
                ("--directory", directory.display().to_string()),
                ("--components", of.components.to_string()),
                ("--hot", of.hot.to_string()),
                ("--rounds", of.rounds.to_string()),
            ],
        )
    }
}

/// What it measured.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Memory of the process after the first event of each component.
    pub(super) memory: Memory,
    /// Events per second that were stored and decided by one component, round by round.
    pub(super) one: Vec<f64>,
    /// The same by the hot ones in turn.
    pub(super) many: Vec<f64>,
}

/// Measures and says what it found.
pub(crate) fn serve(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(options.threads).enable_all().build()?;
    runtime.block_on(async {
        let mut config = host::config(&options.directory)?;
        config.ceilings.pending_runs_max = 10_000_000;
        telemetry::install(config.log_format, "error")?;
        let app = App::open(config, host::surroundings()?).await?;
        let store = app.store();
        let guests = Arc::new(Guests::new(options.components)?);
        tenants::fill(&store, &guests, options.components, Uploads::Stored).await?;
        let shutdown = Shutdown::new();
        let serving = tokio::spawn(app.serve(shutdown.clone()));
        let measured = Crowd::of(store).await?.measure(options).await;
        shutdown.begin();
        serving.await.context("serving")??;
        child::say(&measured?)
    })
}

/// All plugins, by the number of their component.
struct Crowd {
    store: Arc<dyn Store>,
    places: Vec<Places>,
    clock: SystemClock,
    entropy: Entropy,
}

impl Crowd {
    async fn of(store: Arc<dyn Store>) -> anyhow::Result<Arc<Crowd>> {
        let (clock, entropy) = (SystemClock::default(), Entropy::system()?);
        let control = store.control_read().await?;
        let mut places = Vec::new();
        for route in &control.routes {
            let number = tenants::component(route)?;
            let unreachable = DestinationId::new(clock.now(), entropy.id_bytes());
            let (tenant, source, plugin) = (route.tenant, route.source, route.plugin);
            places.push((number, Places { tenant, source, route: route.id, plugin, unreachable }));
        }
        places.sort_unstable_by_key(|(number, _)| *number);
        let places = places.into_iter().map(|(_, places)| places).collect();
        Ok(Arc::new(Crowd { store, places, clock, entropy }))
    }

    async fn measure(self: Arc<Self>, options: &Options) -> anyhow::Result<Measured> {
        let components = options.components;
        self.decided(components, move |event| shuffled(event, components)).await?;
        let memory = memory()?;
        let (mut one, mut many) = (Vec::new(), Vec::new());
        // The hot ones are those of as many tenants as there are, before a tenant has two.
        let (hot, tenants) = (options.hot, components.div_ceil(tenants::PLUGINS));
        let place = move |event: u32| {
            let event = event % hot;
            (event % tenants * tenants::PLUGINS + event / tenants) % components
        };
        for round in 0..=options.rounds {
            let of_one = self.decided(EVENTS * hot, move |_| place(0)).await?;
            let of_many = self.decided(EVENTS * hot, place).await?;
            // The first round warms up.
            if round > 0 {
                one.push(of_one);
                many.push(of_many);
            }
        }
        for event in 0..hot {
            self.check(place(event)).await?;
        }
        Ok(Measured { memory, one, many })
    }

    /// So many events, each for the component that `which` says; gives how many were decided per second.
    async fn decided(
        self: &Arc<Self>,
        events: u32,
        which: impl Fn(u32) -> u32 + Send + Sync + 'static,
    ) -> anyhow::Result<f64> {
        let (start, crowd) = (Instant::now(), self.clone());
        let accepts = move |event: u64| {
            let (places, id) = (&crowd.places[which(event as u32) as usize], hex::encode(crowd.entropy.id_bytes()));
            filling::accept(places, &id, crowd.clock.now(), &crowd.entropy)
        };
        filling::accept_all(&self.store, events.into(), ACCEPTS, accepts).await?;
        while self.store.stats().await?.runs_pending > 0 {
            tokio::time::sleep(LOOK).await;
        }
        Ok(f64::from(events) / start.elapsed().as_secs_f64())
    }

    /// Its newest run was decided, and none of its tenant's was given up.
    async fn check(&self, component: u32) -> anyhow::Result<()> {
        let Places { tenant, plugin, .. } = self.places[component as usize];
        let dead = RunFilter { dead: true, limit: 1, ..RunFilter::default() };
        ensure!(self.store.run_list(tenant, dead).await?.is_empty(), "component {component}: a run is dead");
        let of_plugin = RunFilter { plugin: Some(plugin), limit: 1, ..RunFilter::default() };
        let newest = self.store.run_list(tenant, of_plugin).await?;
        let verdict = newest.first().and_then(|run| run.verdict);
        ensure!(verdict == Some(Verdict::Done), "component {component}: {newest:?}");
        Ok(())
    }
}

//! `creel dev`: a host around the plugin that somebody is writing.
//!
//! ```text
//! save -> build -> upload -> deploy -> the latest event once more -> verdict
//! events (a provider, `creel trigger`, --send, --events, --from) -> the host -> the plugin -> calls -> the receiver
//! ```
//!
//! The host is a whole one, with the limits of production, and everything is done to it through its API. What it is like
//! comes from the plugin's cases (`facts`): the preset that its events are proved by, settings, destinations. Every
//! destination leads to one `receiver` on this machine, which is the only place where calls can go; look-ups are answered
//! there as the cases say. After each deployment the event that was handled last is handled again, so that the verdict on
//! an edit comes by itself.
//!
//! A plugin that does not build or that the host refuses is told and changes nothing: the last good deployment goes on.
//! Without a data directory nothing is left behind.

mod facts;
pub mod feeding;
mod observer;
mod receiver;
mod saves;
mod source;
mod stage;
mod telling;
mod workshop;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use creel_store::contract::Store;
use creel_webhook::clock::Clock as _;
use creel_webhook::preset::Preset;
use creel_webhook::route::Mode;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::api::{RouteView, SourceView};
use crate::cli::build;
use crate::cli::client::{Client, TenantClient};
use crate::cli::trigger;
use crate::config::Config;
use crate::sample;
use crate::shutdown::{Shutdown, Signals};
use crate::system::{Entropy, SystemClock};

use self::facts::Facts;
use self::feeding::{Feed, Target};
use self::observer::{Latest, Observer};
use self::receiver::Receiver;
use self::saves::Saves;
use self::source::{SourceWanted, Typed, source_wanted};
use self::stage::Stage;
use self::telling::{Said, Teller};
use self::workshop::Workshop;

/// How long the host may take to end beyond its own bounds.
const ENDING_MAX: Duration = Duration::from_secs(20);

/// What the command line asks for.
#[derive(Default)]
pub struct Options {
    /// The settings of a host whose limits of plugins hold here; the defaults when not said.
    pub settings: Option<Config>,
    /// The plugin's directory.
    pub directory: PathBuf,
    /// Where the compiler's results are kept, as for `creel build`.
    pub build_dir: Option<PathBuf>,
    /// Where the host keeps its data; a temporary directory when not said.
    pub data_dir: Option<PathBuf>,
    /// The port of the ingress.
    pub port: Option<u16>,
    /// Where senders reach the ingress, when that is another address.
    pub public_url: Option<String>,
    /// The preset of the source.
    pub preset: Option<String>,
    /// Its parameters.
    pub params: Vec<(String, String)>,
    /// What its events are signed with; made when not said.
    pub secret: Option<String>,
    /// What they are verified with, where that is another key.
    pub public_key: Option<String>,
    /// Whether senders wait for the plugin; as the cases say when not said.
    pub mode: Option<Mode>,
    /// Settings of the plugin beside those of its cases.
    pub config: Vec<(String, String)>,
    /// Destinations beside those of its cases.
    pub destinations: Vec<String>,
    /// Captured events.
    pub feed: Option<Feed>,
    /// A sample that is sent once the plugin runs.
    pub send: Option<String>,
    /// Leave the latest event alone after a new deployment.
    pub no_replay: bool,
    /// End after so many runs.
    pub exit_after: Option<u64>,
    /// A line of JSON for each thing.
    pub json: bool,
}

/// Serves until a signal, or until as many runs were told as were asked for.
///
/// # Errors
/// When the host can't be opened or ends by itself, and when an option does not fit.
pub async fn run(mut options: Options) -> anyhow::Result<()> {
    let feed = options.feed.take();
    let directory = options.directory.canonicalize();
    let directory = directory.with_context(|| format!("finding {}", options.directory.display()))?;
    // Else it would watch whatever lies here, and wait for a plugin to turn up.
    build::check_place(&directory)?;
    let facts = Facts::of(&directory.join("cases")).of_feed(feed.as_ref());
    let temporary = TempDir::new().context("making a temporary directory")?;
    let data_dir = options.data_dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    let typed = Typed {
        preset: options.preset.as_deref(),
        params: &options.params,
        secret: options.secret.as_deref(),
        public_key: options.public_key.as_deref(),
        mode: options.mode,
    };
    let (wanted, preset) = source_wanted(&typed, &facts, feed.as_ref(), &data_dir)?;
    if let Some(event) = &options.send {
        sample::sample(&preset.provider.name, event)?;
    }
    let shutdown = Shutdown::new();
    let teller = Teller::new(options.json, options.exit_after, shutdown.clone());
    let mut signals = Signals::catch().context("catching signals")?;
    let receiver = Receiver::default();
    let socket = TcpListener::bind("127.0.0.1:0").await.context("binding the receiver")?;
    let address = socket.local_addr()?;
    let reached = (options.port, options.public_url.as_deref());
    let stage = Stage::open(&data_dir, options.settings.as_ref(), reached, address).await?;
    let client = Client::new(&stage.admin_url, &stage.key)?;
    let place = (receiver.clone(), format!("http://{address}"));
    let workshop = Workshop::new(directory, (wanted.name.clone(), wanted.mode), stage.tenant()?, place);
    let session = Session {
        workshop: workshop.with_typed(&options),
        data_dir: &data_dir,
        client,
        wanted,
        preset,
        options: &options,
        receiver: receiver.clone(),
        store: stage.app.store(),
        feed,
    };
    let places = Places { ingress: stage.ingress_url.clone(), admin: stage.admin_url.clone(), key: stage.key.clone() };
    let mut host = std::pin::pin!(stage.app.serve(shutdown.clone()));
    let answering = axum::serve(socket, receiver.router()).into_future();
    let working = async {
        tokio::select! {
            // First: whoever asks the host after that finds it gone.
            biased;
            () = shutdown.begun() => Ok(()),
            _ = signals.next() => Ok(()),
            ended = session.work(&teller, &places) => if shutdown.has_begun() { Ok(()) } else { ended },
            ended = answering => ended.context("the receiver ended"),
        }
    };
    let worked = tokio::select! {
        ended = &mut host => ended.and(Err(anyhow::anyhow!("the host ended by itself"))),
        worked = working => {
            shutdown.begin();
            // A second signal means it.
            let ended = tokio::select! {
                ended = tokio::time::timeout(ENDING_MAX, host) => ended.context("the host did not end in time")?,
                _ = signals.next() => Ok(()),
            };
            worked.and(ended)
        }
    };
    teller.say(&Said::Ended { runs: teller.runs() });
    worked
}

impl Workshop {
    /// With what was typed about the plugin.
    fn with_typed(mut self, options: &Options) -> Workshop {
        self.build_dir.clone_from(&options.build_dir);
        self.config.clone_from(&options.config);
        self.destinations.clone_from(&options.destinations);
        self
    }
}

/// Where things are.
struct Places {
    ingress: String,
    admin: String,
    key: String,
}

/// Everything that goes on while the host serves.
struct Session<'a> {
    workshop: Workshop,
    data_dir: &'a Path,
    client: Client,
    wanted: SourceWanted,
    preset: &'static Preset,
    options: &'a Options,
    receiver: Receiver,
    store: Arc<dyn Store>,
    feed: Option<Feed>,
}

impl Session<'_> {
    async fn work(mut self, teller: &Teller, places: &Places) -> anyhow::Result<()> {
        let furnished = stage::furnish(&self.client, self.data_dir, &self.workshop.plugin, &self.wanted).await?;
        let source = &furnished.source;
        teller.say(&Said::Host {
            ingress: &places.ingress,
            admin: &places.admin,
            key: &places.key,
            exports: stage::exports(&places.admin, &places.key),
            url: &source.url,
            source: &source.name,
            preset: &self.preset.name,
            secret_file: furnished.secret_file.as_deref(),
        });
        let mut observer = Observer::begin(self.workshop.tenant.clone(), self.receiver.clone()).await?;
        let latest = observer.latest.clone();
        let file = furnished.secret_file.as_deref();
        let (runs, running) = tokio::sync::oneshot::channel();
        let (feed, store, target_tenant) = (self.feed.take(), self.store.clone(), self.workshop.tenant.clone());
        let feeding = async {
            if let (Some(mut feed), Ok(route)) = (feed, running.await) {
                let target = Target::of(store, &target_tenant, source, &route).await?;
                target.take(&mut feed, teller).await?;
            }
            // A file has an end; the host goes on.
            std::future::pending::<anyhow::Result<()>>().await
        };
        let maker = Maker { workshop: &mut self.workshop, preset: self.preset, options: self.options };
        tokio::select! {
            ended = observer.watch(teller) => ended,
            ended = maker.keep_making(&latest, (source, file), runs, teller) => ended,
            ended = feeding => ended,
        }
    }
}

/// Whoever builds, deploys, and has the latest event handled again.
struct Maker<'a> {
    workshop: &'a mut Workshop,
    preset: &'static Preset,
    options: &'a Options,
}

impl Maker<'_> {
    /// Deploys what is saved; `runs` is told once there is a deployment, and a route to it.
    async fn keep_making(
        self,
        latest: &Latest,
        (source, secret_file): (&SourceView, Option<&Path>),
        runs: tokio::sync::oneshot::Sender<RouteView>,
        teller: &Teller,
    ) -> anyhow::Result<()> {
        // Watched before it is built: what is saved meanwhile is built next.
        let mut saves = Saves::of(&self.workshop.directory)?;
        let mut runs = Some(runs);
        loop {
            let is_new = self.workshop.make(teller).await?;
            let first = self.workshop.route.clone().and_then(|route| Some((route, runs.take()?)));
            if let Some((route, runs)) = first {
                runs.send(route).ok();
                if let Some(event) = &self.options.send {
                    self.send(event, source, secret_file, teller).await?;
                }
            } else if let Some(event) = latest.get().filter(|_| is_new && !self.options.no_replay) {
                replay(&self.workshop.tenant, &event.to_string(), teller).await;
            }
            saves.next().await;
        }
    }

    async fn send(
        &self,
        event: &str,
        source: &SourceView,
        secret_file: Option<&Path>,
        teller: &Teller,
    ) -> anyhow::Result<()> {
        let wanted = crate::cli::args::Trigger {
            provider: Some(self.preset.name.clone()),
            event: Some(event.to_owned()),
            to: Some(source.url.clone()),
            secret_file: secret_file.map(Path::to_owned),
            set: Vec::new(),
            param: source.spec.params.clone().into_iter().collect(),
            signed_url: None,
            keep_ids: false,
            list: false,
        };
        let now = SystemClock::default().now();
        let answered = trigger::send(&wanted, None, now, &Entropy::system()?).await?;
        teller.say(&Said::Sent { sample: event, status: answered.status });
        Ok(())
    }
}

/// The latest event once more; its payload may be gone by now.
async fn replay(tenant: &TenantClient, event: &str, teller: &Teller) {
    if let Err(error) = tenant.replay("events", event, false).await {
        teller.say(&Said::Note { text: &format!("{event} was not handled again: {error}") });
    }
}

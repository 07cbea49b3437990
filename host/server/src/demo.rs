//! `creel demo`: a whole host, told as a story that checks itself.
//!
//! It builds the plugins, starts a host on a data directory of its own, starts a `receiver` that plays everybody
//! whom calls go to, applies `demo.toml` through the admin API, and sends the requests of the `story` over HTTP, each
//! signed as its provider signs. After each request it reads the event's story back through the API and compares it
//! with what must have come of it; at the end it compares what the receiver counted. Nothing is taken from inside the
//! host: what the demo knows, a user can know.
//!
//! Everything stays on the loopback interface. Without `--once` the host keeps serving, so that one can look around.

mod guests;
mod performance;
mod receiver;
mod story;
mod telling;
mod told;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use creel_webhook::clock::Clock;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::app::{App, Surroundings};
use crate::cli::apply;
use crate::cli::client::Client;
use crate::cli::init;
use crate::config::Config;
use crate::datadir::{self, DataDir};
use crate::guard::AllowEntry;
use crate::shutdown::{Shutdown, Signals, watch_signals};
use crate::system::{Entropy, SystemClock};

use self::performance::{Performance, Secrets};
use self::receiver::{Expected, Receiver};
use self::telling::Voice;

/// The demo's tenant.
const TENANT: &str = "demo";

/// Fuel of one run in the demo: about half a second of a tight loop.
const DEMO_FUEL_MAX: u64 = 10_000_000_000;

/// What the command line asks for.
#[derive(Debug, Clone)]
pub struct Options {
    /// End after the story instead of serving on.
    pub once: bool,
    /// Print one summary object as the last line.
    pub json: bool,
    /// Where the demo's data directory goes.
    pub data_dir: PathBuf,
}

/// Plays the demo. Says whether everything that should have happened did, and nothing else.
///
/// # Errors
/// When the demo itself could not be played.
pub async fn run(options: Options) -> anyhow::Result<bool> {
    let mut voice = Voice::new();
    voice.title();
    let guests = guests::build(&mut voice).await?;
    let stage = Stage::build(&options, &mut voice).await?;
    let shutdown = Shutdown::new();
    let mut parts = JoinSet::new();
    let operator_key = stage.operator_key.clone();
    let (ingress_url, admin_url) = (stage.ingress_url()?, stage.admin_url()?);
    let (app, receiver, socket) = (stage.app, stage.receiver, stage.receiver_socket);
    let receiver_url = format!("http://{}", socket.local_addr()?);
    let router = receiver.router();
    parts.spawn(async move { axum::serve(socket, router).await.context("the demo's receiver") });
    parts.spawn(app.serve(shutdown.clone()));
    let client = Client::new(&admin_url, &operator_key)?;
    let file = stage.data_dir.join("demo.toml");
    // It holds the demo's secrets as they are.
    datadir::write_private(&file, &apply_file(&stage.secrets, &guests, &receiver_url)?)?;
    let plan = apply::apply_file(&client, &file, &apply::Options { tenant: TENANT.to_owned(), ..Default::default() })
        .await
        .context("applying the demo's configuration")?;
    voice.host(&ingress_url, &admin_url, &file, plan.changes());
    let performance = Performance {
        client: client.tenant(TENANT),
        ingress_url,
        secrets: stage.secrets,
        receiver,
        clock: stage.clock,
    };
    let told = performance.play(&mut voice).await?;
    let ok = told.ok;
    voice.summary(&told, options.json)?;
    if !options.once {
        voice.what_next(&admin_url, &operator_key, TENANT, &told);
        watch_signals_until(&shutdown).await?;
    }
    shutdown.begin();
    let stopped = tokio::time::timeout(std::time::Duration::from_secs(20), parts.join_next()).await;
    if options.once {
        std::fs::remove_dir_all(&stage.data_dir).ok();
    }
    if let Ok(Some(Ok(Err(error)))) = stopped {
        return Err(error);
    }
    Ok(ok)
}

async fn watch_signals_until(shutdown: &Shutdown) -> anyhow::Result<()> {
    let signals = Signals::catch().context("catching signals")?;
    tokio::spawn(watch_signals(signals, shutdown.clone()));
    shutdown.begun().await;
    Ok(())
}

/// Everything that the story needs, before it begins.
struct Stage {
    app: App,
    operator_key: String,
    receiver: Receiver,
    receiver_socket: TcpListener,
    secrets: Secrets,
    data_dir: PathBuf,
    clock: Arc<dyn Clock>,
}

impl Stage {
    async fn build(options: &Options, voice: &mut Voice) -> anyhow::Result<Stage> {
        let entropy = Entropy::system()?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let secrets = Secrets::new(&entropy);
        let receiver_socket = TcpListener::bind("127.0.0.1:0").await.context("binding the demo's receiver")?;
        let data_dir = fresh_directory(options)?;
        let mut config = Config::in_directory(&data_dir);
        config.egress_allow = vec![receiver_socket.local_addr()?.to_string().parse::<AllowEntry>()?];
        if options.once || is_taken(config.ingress.listen).await || is_taken(config.admin.listen).await {
            config.ingress.listen.set_port(0);
            config.admin.listen.set_port(0);
        }
        // More than a host allows by default, so that there is time to show a plugin that is late and one that loops.
        config.limits.fuel_max = DEMO_FUEL_MAX;
        let operator_key = init::initialise(&config, &entropy, clock.as_ref()).await?;
        voice.step("data", &format!("{}", data_dir.display()));
        let app = App::open(config, Surroundings::live()?).await?;
        let receiver = Receiver::new(
            Expected {
                crm_token: secrets.get("crm").to_owned(),
                twilio_basic: STANDARD.encode(format!("{}:{}", performance::ACCOUNT_SID, secrets.get("twilio-token"))),
                signing_secret: secrets.get("outgoing").to_owned(),
            },
            clock.clone(),
        );
        Ok(Stage { app, operator_key, receiver, receiver_socket, secrets, data_dir, clock })
    }

    fn ingress_url(&self) -> anyhow::Result<String> {
        Ok(format!("http://{}", self.app.ingress_addr()?))
    }

    fn admin_url(&self) -> anyhow::Result<String> {
        Ok(format!("http://{}", self.app.admin_addr()?))
    }
}

async fn is_taken(address: std::net::SocketAddr) -> bool {
    TcpListener::bind(address).await.is_err()
}

/// A directory of the demo's own; what an earlier demo left in it goes.
fn fresh_directory(options: &Options) -> anyhow::Result<PathBuf> {
    const MARK: &str = "creel-demo";
    let directory = if options.once {
        options.data_dir.with_extension(format!("once-{}", std::process::id()))
    } else {
        options.data_dir.clone()
    };
    if directory.join(MARK).exists() {
        // Held until it is gone: an earlier demo that still serves must not lose its data below its feet.
        let _held = DataDir::open(&directory).context(
            "an earlier demo's directory can't be replaced; end that demo, or name another directory with --data-dir",
        )?;
        std::fs::remove_dir_all(&directory).with_context(|| format!("removing {}", directory.display()))?;
    }
    if directory.exists() {
        anyhow::bail!("{} exists and is not an earlier demo's; name another with --data-dir", directory.display());
    }
    drop(DataDir::create(&directory)?);
    std::fs::write(directory.join(MARK), "This directory is the demo's; the next demo removes it.\n")?;
    Ok(directory)
}

/// The demo's configuration: a file as a user would write it, kept beside the data for reading and changing.
fn apply_file(secrets: &Secrets, guests: &guests::Guests, receiver_url: &str) -> anyhow::Result<String> {
    let mut text = include_str!("demo/demo.toml").replace("{receiver}", receiver_url);
    text = text.replace("{account_sid}", performance::ACCOUNT_SID);
    for (name, value) in secrets.iter() {
        text = text.replace(&format!("{{secret:{name}}}"), value);
    }
    for (name, path) in guests.iter() {
        text = text.replace(&format!("{{plugin:{name}}}"), &path.display().to_string());
    }
    match text.find("{plugin:").or_else(|| text.find("{secret:")) {
        Some(at) => anyhow::bail!("the demo's configuration has an unknown placeholder: {}", &text[at..][..30]),
        None => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn options(data_dir: PathBuf) -> Options {
        Options { once: false, json: false, data_dir }
    }

    #[test]
    fn the_demos_directory_is_private() {
        let temp = tempfile::tempdir().unwrap();
        let directory = fresh_directory(&options(temp.path().join("demo"))).unwrap();
        assert_eq!(std::fs::metadata(directory).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_demo_that_still_serves_keeps_its_directory() {
        let temp = tempfile::tempdir().unwrap();
        let options = options(temp.path().join("demo"));
        let directory = fresh_directory(&options).unwrap();
        std::fs::write(directory.join("creel.db"), "events").unwrap();
        let serving = DataDir::open(&directory).unwrap();
        let refusal = format!("{:#}", fresh_directory(&options).unwrap_err());
        assert!(refusal.contains("--data-dir") && refusal.contains("is in use by process"), "{refusal}");
        assert!(directory.join("creel.db").exists());
        drop(serving);
        fresh_directory(&options).unwrap();
        assert!(!directory.join("creel.db").exists());
    }
}

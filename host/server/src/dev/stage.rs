//! The host of `creel dev`: on the loopback interface, with one tenant, and with a way out to the receiver only.
//!
//! It is a whole host, furnished through its API, with the limits that the settings give to plugins and nothing else of
//! them: where it listens, what it keeps and where calls go is its own. A data directory that was made here before is used
//! again, keys and URLs included, so that a provider can keep sending to it; one that somebody else made is left alone.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use creel_webhook::route::Mode;
use serde_json::json;

use crate::api::{DestinationView, PluginView, RouteView, SourceView};
use crate::app::{App, Surroundings};
use crate::cli::client::{Client, ClientResult, TenantClient};
use crate::cli::init;
use crate::config::Config;
use crate::datadir;
use crate::guard::AllowEntry;
use crate::system::{Entropy, SystemClock};

use super::source::{SECRET_FILE, SourceWanted};

/// The tenant.
const TENANT: &str = "dev";

/// The secret's name, and the route's.
const NAME: &str = "dev";

/// Where the operator's key is kept in the data directory; its presence says who made the directory.
const KEY_FILE: &str = "dev.key";

/// A host that is open and does not serve yet.
pub(super) struct Stage {
    /// The host.
    pub(super) app: App,
    /// The operator's key.
    pub(super) key: String,
    /// Where webhooks arrive.
    pub(super) ingress_url: String,
    /// The admin API.
    pub(super) admin_url: String,
}

impl Stage {
    /// Opens a host on this directory: webhooks at this port (0 for any) and the API at any, or both at the usual ones or,
    /// where those are taken, any.
    ///
    /// # Errors
    /// When the directory is somebody else's, or the host can't be opened.
    pub(super) async fn open(
        data_dir: &Path,
        settings: Option<&Config>,
        (port, public_url): (Option<u16>, Option<&str>),
        receiver: SocketAddr,
    ) -> anyhow::Result<Stage> {
        let mut config = config(data_dir, settings);
        config.egress_allow = vec![receiver.to_string().parse::<AllowEntry>()?];
        config.public_url = public_url.map(|url| url.trim_end_matches('/').to_owned());
        if let Some(port) = port {
            config.ingress.listen.set_port(port);
            config.admin.listen.set_port(0);
        }
        let key = operator_key(&config).await?;
        let app = match App::open(config.clone(), Surroundings::live()?).await {
            Err(error) if port.is_none() && is_taken(&error) => {
                config.ingress.listen.set_port(0);
                config.admin.listen.set_port(0);
                App::open(config, Surroundings::live()?).await?
            }
            Err(error) if is_taken(&error) => {
                let port = port.unwrap_or_default();
                return Err(error.context(format!("port {port} is taken; name another with --port, or leave it out")));
            }
            opened => opened?,
        };
        let url = |address: std::io::Result<SocketAddr>| Ok::<_, std::io::Error>(format!("http://{}", address?));
        let (ingress_url, admin_url) = (url(app.ingress_addr())?, url(app.admin_addr())?);
        Ok(Stage { app, key, ingress_url, admin_url })
    }

    /// The tenant at the host's API.
    ///
    /// # Errors
    /// When there is no client.
    pub(super) fn tenant(&self) -> anyhow::Result<TenantClient> {
        Ok(Client::new(&self.admin_url, &self.key)?.tenant(TENANT))
    }
}

/// What to type in another terminal to speak to this host.
pub(super) fn exports(admin_url: &str, key: &str) -> String {
    format!("export CREEL_URL={admin_url} CREEL_KEY={key} CREEL_TENANT={TENANT}")
}

/// The configuration of a host here whose plugins may do what the settings say.
fn config(data_dir: &Path, settings: Option<&Config>) -> Config {
    let own = Config::in_directory(data_dir);
    let Some(settings) = settings else { return own };
    Config {
        runtime: settings.runtime.clone(),
        limits: settings.limits,
        ceilings: settings.ceilings,
        components_bytes_max: settings.components_bytes_max,
        fetch: settings.fetch,
        state: settings.state,
        ..own
    }
}

/// Whether a host could not be opened because somebody else listens at one of its addresses.
fn is_taken(error: &anyhow::Error) -> bool {
    let reasons = error.chain().filter_map(|reason| reason.downcast_ref::<std::io::Error>());
    reasons.into_iter().any(|reason| reason.kind() == std::io::ErrorKind::AddrInUse)
}

async fn operator_key(config: &Config) -> anyhow::Result<String> {
    let file = config.data_dir.join(KEY_FILE);
    if let Ok(key) = std::fs::read_to_string(&file) {
        return Ok(key);
    }
    let is_free = std::fs::read_dir(&config.data_dir).map_or(true, |mut entries| entries.next().is_none());
    ensure!(is_free, "{} is not one that `creel dev` made; name another with --data-dir", config.data_dir.display());
    let key = init::initialise(config, &Entropy::system()?, &SystemClock::default()).await?;
    datadir::write_private(&file, &key)?;
    Ok(key)
}

/// A source that is there, and the file with what it is signed with.
pub(super) struct Furnished {
    /// The source.
    pub(super) source: SourceView,
    /// The file.
    pub(super) secret_file: Option<PathBuf>,
}

/// Makes tenant, plugin, source and secret; not yet the route.
///
/// # Errors
/// When the host says no.
pub(super) async fn furnish(
    client: &Client,
    data_dir: &Path,
    plugin: &str,
    wanted: &SourceWanted,
) -> anyhow::Result<Furnished> {
    client.tenant_put(TENANT, &json!({})).await?;
    let tenant = client.tenant(TENANT);
    tenant.put::<PluginView>(plugin, &json!({})).await?;
    let mut document = wanted.document.clone();
    let file = data_dir.join(SECRET_FILE);
    let mut secret_file = None;
    if let Some(secret) = &wanted.secret {
        datadir::write_private(&file, secret)?;
        secret_file = Some(file);
        if wanted.verifies {
            tenant.put::<crate::api::SecretView>(NAME, &json!({ "value": secret })).await?;
            document["secrets"] = json!([NAME]);
        }
    }
    let source = tenant.put::<SourceView>(&wanted.name, &document).await.context("making the source")?.resource;
    Ok(Furnished { source, secret_file })
}

/// Sends everything that the source takes to the plugin.
///
/// # Errors
/// When the host says no.
pub(super) async fn route(tenant: &TenantClient, source: &str, plugin: &str, mode: Mode) -> ClientResult<RouteView> {
    let document = json!({ "source": source, "plugin": plugin, "mode": mode });
    Ok(tenant.put::<RouteView>(NAME, &document).await?.resource)
}

/// Lets a destination lead to the receiver.
///
/// # Errors
/// When the host says no, for example to the name.
pub(super) async fn destination(tenant: &TenantClient, name: &str, receiver_url: &str) -> ClientResult<()> {
    let document = json!({ "url": format!("{receiver_url}/{name}"), "retry_ms": [0, 1_000, 5_000] });
    tenant.put::<DestinationView>(name, &document).await.map(drop)
}

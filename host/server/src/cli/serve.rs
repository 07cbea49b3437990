//! `creel serve`: runs a host until a signal ends it.

use std::path::Path;

use anyhow::Context as _;

use crate::app::{App, Surroundings};
use crate::config::{Config, Sources};
use crate::shutdown::{Shutdown, Signals, watch_signals};
use crate::telemetry;

/// Reads the configuration, with all its mistakes at once.
///
/// # Errors
/// Those of the configuration.
pub fn configuration(file: Option<&Path>) -> anyhow::Result<Config> {
    Ok(Config::parse(&Sources::read(file, Vec::new())?)?)
}

/// Serves until SIGINT or SIGTERM.
///
/// # Errors
/// When the host can't be opened or did not end well.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    telemetry::install(config.log_format, &config.log_filter)?;
    let app = App::open(config, Surroundings::live()?).await?;
    tracing::info!(ingress = %app.ingress_addr()?, admin = %app.admin_addr()?, "serving");
    let shutdown = Shutdown::new();
    let signals = Signals::catch().context("catching signals")?;
    tokio::spawn(watch_signals(signals, shutdown.clone()));
    app.serve(shutdown).await
}

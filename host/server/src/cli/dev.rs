//! `creel dev`: from what was typed to what is done.

use anyhow::Context as _;
use creel_webhook::route::Mode;

use super::args::dev::{Dev, Wait};
use super::client::TenantClient;
use super::following::Follower;
use super::serve;
use super::verify::secret;
use crate::api::SourceView;
use crate::dev::Options;
use crate::dev::feeding::{self, Feed};

/// What was typed, with its files read and the other host asked.
///
/// # Errors
/// When a file can't be read or is empty, or the other host says no.
pub async fn options(wanted: Dev, other: Option<TenantClient>, json: bool) -> anyhow::Result<Options> {
    let feed = match (&wanted.events, other, wanted.source) {
        (Some(file), ..) => Some(Feed::File(feeding::read(file)?)),
        (None, Some(other), Some(name)) => {
            let source = other.get::<SourceView>(&name).await.context("asking the other host")?;
            let follower = Follower::begin(other, Some(name), wanted.last).await.context("asking the other host")?;
            Some(Feed::Host { source: Box::new(source), follower: Box::new(follower) })
        }
        _ => None,
    };
    Ok(Options {
        settings: Some(serve::configuration(wanted.settings.as_deref())?),
        feed,
        secret: wanted.secret_file.as_deref().map(secret).transpose()?,
        public_key: wanted.public_key_file.as_deref().map(secret).transpose()?,
        directory: wanted.dir,
        build_dir: wanted.build_dir,
        data_dir: wanted.data_dir,
        port: wanted.port,
        public_url: wanted.public_url,
        preset: wanted.preset,
        params: wanted.param,
        mode: wanted.mode.map(|wait| if wait == Wait::Reply { Mode::Reply } else { Mode::Ack }),
        config: wanted.config,
        destinations: wanted.destination,
        send: wanted.send,
        no_replay: wanted.no_replay,
        exit_after: wanted.exit_after,
        json,
    })
}

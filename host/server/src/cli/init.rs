//! `creel init`: makes a data directory with its master key and its database, and the first operator key.

use anyhow::Context as _;
use creel_store::contract::{Store as _, Tenancy as _};
use creel_store::sqlite::{Options, SqliteStore};
use creel_webhook::clock::Clock;

use crate::admin::key::{self, KeyFor};
use crate::config::{Config, MasterKeySource};
use crate::datadir::{self, DataDir};
use crate::system::Entropy;

/// Makes what a host needs and gives the first operator key, which is stored nowhere else.
///
/// # Errors
/// When the directory is in use or already has an operator's key.
pub async fn initialise(config: &Config, entropy: &Entropy, clock: &dyn Clock) -> anyhow::Result<String> {
    let data_dir = DataDir::create(&config.data_dir)?;
    if let MasterKeySource::File(path) = &config.master_key {
        if path.exists() {
            datadir::read_master_key(path)?;
        } else {
            datadir::make_master_key(path, entropy)?;
        }
    }
    let database = data_dir.database();
    let store = SqliteStore::open(&database, Options { bytes_max: config.store_bytes_max, ..Options::default() })
        .with_context(|| format!("making the database {}", database.display()))?;
    if !store.key_list(None).await?.is_empty() {
        anyhow::bail!(
            "{} already has operator keys; `creel serve` starts it, and `creel keys create NAME` makes more keys",
            config.data_dir.display()
        );
    }
    let minted = key::mint(KeyFor::operator("first"), clock.now(), entropy.bytes());
    store.key_put(minted.key).await?;
    store.close().await?;
    Ok(minted.text.to_string())
}

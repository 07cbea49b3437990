//! The source at which events come in here: as options, the other host or the cases say, with keys that sign.

use std::path::Path;

use anyhow::Context as _;
use creel_webhook::pointer::Params;
use creel_webhook::preset::{Preset, preset};
use creel_webhook::route::Mode;
use serde_json::{Value, json};

use crate::api::SourceView;
use crate::sample::{preset_meant, trial};
use crate::system::Entropy;

use super::facts::Facts;
use super::feeding::Feed;

/// What proves events where nothing says how.
const PRESET: &str = "standard-webhooks";

/// The file with what is signed with, in the data directory.
pub(super) const SECRET_FILE: &str = "dev.secret";

/// What was typed about the source.
pub(super) struct Typed<'a> {
    /// The preset.
    pub(super) preset: Option<&'a str>,
    /// Its parameters.
    pub(super) params: &'a [(String, String)],
    /// What is signed with.
    pub(super) secret: Option<&'a str>,
    /// What is verified with, where that is another key.
    pub(super) public_key: Option<&'a str>,
    /// Whether senders wait.
    pub(super) mode: Option<Mode>,
}

/// The source of the events.
#[derive(Debug, Clone)]
pub(super) struct SourceWanted {
    /// Its name.
    pub(super) name: String,
    /// Its document, without secrets.
    pub(super) document: Value,
    /// What its events are signed with, if they are: a secret or a private key.
    pub(super) secret: Option<String>,
    /// Whether that is what verifies.
    pub(super) verifies: bool,
    /// Whether senders wait for the plugin.
    pub(super) mode: Mode,
}

/// The source that is wanted, and its preset.
///
/// # Errors
/// When there is no such preset, or nothing to sign with.
pub(super) fn source_wanted(
    typed: &Typed<'_>,
    facts: &Facts,
    feed: Option<&Feed>,
    data_dir: &Path,
) -> anyhow::Result<(SourceWanted, &'static Preset)> {
    let mode = typed.mode.unwrap_or(if facts.replies { Mode::Reply } else { Mode::Ack });
    let meant = match (typed.preset, &facts.preset) {
        (Some(name), _) => preset_meant(name)?,
        (None, found) => preset(found.as_deref().unwrap_or(PRESET)).context("a preset of the catalogue")?,
    };
    if let (Some(Feed::Host { source, .. }), None) = (feed, typed.preset) {
        return Ok((copied(source, meant, typed, mode)?, meant));
    }
    let mut params: Params = trial::params(meant);
    params.extend(typed.params.iter().cloned());
    let scheme = meant.scheme(&params)?;
    let kept = || std::fs::read_to_string(data_dir.join(SECRET_FILE)).ok();
    let mut secret = typed.secret.map(str::to_owned).or_else(kept);
    let mut public_keys: Vec<String> = typed.public_key.map(str::to_owned).into_iter().collect();
    let lacks_key = scheme.needs_public_key() && public_keys.is_empty();
    if lacks_key || (scheme.needs_secret() && secret.is_none()) {
        let keys = trial::keys(&scheme, &Entropy::system()?).with_context(|| {
            format!("`{}` can't be played here; name another preset, or give --public-key-file", meant.name)
        })?;
        secret.get_or_insert(keys.secret);
        public_keys.extend(keys.public_keys);
    }
    let own = facts.source.clone().filter(|name| creel_webhook::tenant::check_name(name).is_ok());
    let name = own.filter(|_| typed.preset.is_none()).unwrap_or_else(|| meant.name.clone());
    // The same sample is sent again and again, and is to be handled each time.
    let document = json!({ "preset": meant.name, "params": params, "public_keys": public_keys, "dedup": false });
    Ok((SourceWanted { name, document, secret, verifies: scheme.needs_secret(), mode }, meant))
}

/// The other host's source, without what only that host has: its secrets, its URLs, and its memory of what came before.
fn copied(source: &SourceView, meant: &Preset, typed: &Typed<'_>, mode: Mode) -> anyhow::Result<SourceWanted> {
    let mut document = serde_json::to_value(&source.spec).context("copying the source")?;
    if let Some(fields) = document.as_object_mut() {
        fields.retain(|name, value| !value.is_null() && !["name", "secrets", "public_urls"].contains(&name.as_str()));
        fields.insert("dedup".to_owned(), Value::Bool(false));
    }
    let entropy = Entropy::system()?;
    let made = || {
        let keys = meant.scheme(&source.spec.params).ok().and_then(|scheme| trial::keys(&scheme, &entropy).ok());
        keys.map_or_else(|| entropy.token(), |keys| keys.secret)
    };
    let verifies = !source.spec.secrets.is_empty();
    let secret = verifies.then(|| typed.secret.map_or_else(made, str::to_owned));
    Ok(SourceWanted { name: source.name.clone(), document, secret, verifies, mode })
}

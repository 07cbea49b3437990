//! A secret that a provider gives with its greeting, kept as its source's secret.
//!
//! Asana makes up a secret when a webhook is made and sends it to the webhook's URL, unsigned; only what echoes it gets
//! events. So trust begins with that request, and is kept narrow:
//!
//! * A source takes a secret only while it has none: an operator made it so, and made its URL, which nobody guesses.
//! * It is taken once. Another one is refused and recorded; the same one again is echoed, because whoever repeats it
//!   knows it already. To let a provider give a new one, an operator empties the source's `secrets`.
//! * It is sealed and on disk, with the source that names it, before the provider is told. Before that nothing is
//!   believed, after that only what is signed with it.
//!
//! Operators see it in the lists of secrets and sources under the name of the source, `<source>-given`.

use std::sync::Arc;

use creel_store::contract::{Control, SecretRow, Store};
use creel_webhook::clock::Timestamp;
use creel_webhook::id::{SecretId, TenantId};
use creel_webhook::secret::SecretBytes;
use creel_webhook::signature::verdict::{Reason, Refusal};
use creel_webhook::source::Source;
use subtle::ConstantTimeEq as _;
use tokio::sync::Mutex;

use crate::directory::SourceEntry;
use crate::keyring::Keyring;
use crate::system::Entropy;

use super::turning_away::{Refused, TurnedAway};

/// Keeps secrets that are given.
pub struct Keeper {
    /// Where they are kept.
    pub store: Arc<dyn Store>,
    /// What they are sealed under.
    pub master: Keyring,
    /// For ids and nonces.
    pub entropy: Arc<Entropy>,
    /// Writers of what people configure take turns; the admin API is the other one.
    pub turns: Arc<Mutex<()>>,
}

impl Keeper {
    /// Keeps a secret as its source's only one.
    pub(super) async fn keep(&self, entry: &SourceEntry, secret: &SecretBytes, now: Timestamp) -> Result<(), Refused> {
        if entry.proof.as_ref().is_ok_and(|proof| proof.secrets.iter().any(|known| is_same(known, secret))) {
            return Ok(());
        }
        let _turn = self.turns.lock().await;
        let control = self.store.control_read().await.map_err(TurnedAway::from)?;
        // The entry is of before this turn: what counts is what is stored.
        let source = control.sources.iter().find(|source| source.id == entry.source.id);
        let source = source.ok_or(TurnedAway::NotFound)?;
        let row = self.row(&control, source, secret, now)?;
        let name = row.name.clone();
        self.store.secret_put(row).await.map_err(TurnedAway::from)?;
        let mut after = source.clone();
        after.spec.secrets = vec![name];
        self.store.source_put(after).await.map_err(TurnedAway::from)?;
        tracing::info!(source = %entry.source.id, name = entry.source.spec.name, "the source keeps the secret that its provider gave");
        Ok(())
    }

    fn row(
        &self,
        control: &Control,
        source: &Source,
        secret: &SecretBytes,
        now: Timestamp,
    ) -> Result<SecretRow, Refusal> {
        let not_allowed = |why: &str| Err(Refusal::new(Reason::NotAllowed, why));
        if !source.spec.secrets.is_empty() {
            return not_allowed(
                "a secret was given to a source that has one; empty its `secrets` to let it take another",
            );
        }
        let (tenant, name) = (source.tenant, format!("{}-given", source.spec.name));
        let before = control.secrets.iter().find(|row| row.tenant == tenant && row.name == name);
        if is_named(control, tenant, &name) {
            return not_allowed(&format!("a secret was given, and another source or destination names `{name}`"));
        }
        Ok(SecretRow {
            id: before.map_or_else(|| SecretId::new(now, self.entropy.id_bytes()), |before| before.id),
            tenant,
            sealed: self.master.seal(tenant, &name, secret.expose(), self.entropy.nonce()),
            previous: None,
            previous_until: None,
            origins: Vec::new(),
            fingerprint: self.master.fingerprint(tenant, &name, secret.expose()),
            updated_at: now,
            name,
        })
    }
}

fn is_same(known: &SecretBytes, given: &SecretBytes) -> bool {
    known.expose().ct_eq(given.expose()).into()
}

fn is_named(control: &Control, tenant: TenantId, name: &str) -> bool {
    let by_source = control
        .sources
        .iter()
        .filter(|one| one.tenant == tenant)
        .any(|one| one.spec.secrets.iter().any(|known| known == name));
    let by_destination =
        |one: &creel_webhook::destination::Destination| one.spec.secret_names().any(|known| known == name);
    by_source || control.destinations.iter().filter(|one| one.tenant == tenant).any(by_destination)
}

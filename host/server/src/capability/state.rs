//! `state`: what a plugin remembers from run to run.
//!
//! Its three moments:
//!
//! | moment | where | what |
//! |---|---|---|
//! | link | [`creel_runtime::capability`] | once for all: every component finds it |
//! | check | `admin/plugin.rs` | per deployment: who imports it and is not granted it is told |
//! | prepare | [`State::of_run`] | per run: its plugin, whether it is granted, its limits |
//!
//! A read gives what is committed at that moment and is kept in the run's record; the same key reads the same for the rest
//! of the run. A write is only noted ([`Draft`]): whoever commits the run stores it with the outcome. The rules are
//! [`creel_webhook::state`]'s; what this adds is that it asks the store.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use creel_runtime::capability::seam::StateError;
use creel_store::contract::{StateRoom, Store, StoreError};
use creel_webhook::id::{PluginId, TenantId};
use creel_webhook::record::{Record, StateRead, StateRefusal};
use creel_webhook::state::{Draft, StateLimits, StateWrite, denied};

/// What a run has written so far; whoever runs it takes it afterwards.
pub type SharedDraft = Arc<Mutex<Draft>>;

/// The state of one run's plugin.
pub struct State {
    store: Arc<dyn Store>,
    tenant: TenantId,
    plugin: PluginId,
    granted: bool,
    draft: SharedDraft,
    /// What the plugin held when the run first wrote.
    room: Option<StateRoom>,
}

impl State {
    /// For a run of this plugin, with the draft that its writes are to be noted in.
    pub fn of_run(
        store: Arc<dyn Store>,
        (tenant, plugin): (TenantId, PluginId),
        granted: bool,
        limits: StateLimits,
    ) -> Self {
        let draft = Arc::new(Mutex::new(Draft::new(limits)));
        State { store, tenant, plugin, granted, draft, room: None }
    }

    /// Where the writes are noted.
    pub fn draft(&self) -> SharedDraft {
        self.draft.clone()
    }

    /// Reads a key: as the run has read it before, as `past` has it, or as it is committed now.
    ///
    /// # Errors
    /// What the guest is told; [`StateError::Broken`] when the store fails.
    pub async fn get(
        &self,
        key: &str,
        record: &Mutex<Record>,
        past: Option<&Record>,
    ) -> Result<Option<Bytes>, StateError> {
        self.admit("get", key)?;
        let value = |read: &StateRead| read.found.as_ref().map(|found| found.value.clone());
        {
            let record = lock(record);
            if let Some(read) = record.state_of(key) {
                return Ok(value(read));
            }
            lock(&self.draft).check_read(key, record.state().len()).map_err(StateError::TooLarge)?;
        }
        let found = match past.and_then(|past| past.state_of(key)) {
            Some(read) => read.found.clone(),
            None => self.store.state_read(self.tenant, self.plugin, key).await.map_err(broken)?,
        };
        let read = StateRead { key: key.to_owned(), found };
        let answer = value(&read);
        lock(record).add_state(read).map_err(|full| StateError::TooLarge(full.to_string()))?;
        Ok(answer)
    }

    /// Notes a write, unless it breaks a limit or there is no room for it. A run that repeats another has room for what
    /// that one had room for.
    ///
    /// # Errors
    /// What the guest is told; [`StateError::Broken`] when the store fails.
    pub async fn write(
        &mut self,
        write: StateWrite,
        record: &Mutex<Record>,
        past: Option<&Record>,
    ) -> Result<(), StateError> {
        self.admit(if write.value.is_some() { "set" } else { "delete" }, &write.key)?;
        lock(&self.draft).check_write(&write).map_err(StateError::TooLarge)?;
        let lack = match past.filter(|past| !past.is_empty()) {
            Some(past) => refused_then(past, &write),
            None => self.lack_of_room(&write).await?,
        };
        if let Some(reason) = lack {
            let value_bytes = value_bytes(&write);
            let refusal = StateRefusal { key: write.key, value_bytes, reason: reason.clone() };
            lock(record).add_refusal(refusal).map_err(|full| StateError::TooLarge(full.to_string()))?;
            return Err(StateError::TooLarge(reason));
        }
        lock(&self.draft).note(write);
        Ok(())
    }

    /// Whether it is granted.
    pub fn is_granted(&self) -> bool {
        self.granted
    }

    fn admit(&self, operation: &str, key: &str) -> Result<(), StateError> {
        if self.granted { Ok(()) } else { Err(StateError::Denied(denied(operation, key))) }
    }

    /// Why there is no room for one more write, if there is none. How much is held of what is written is asked only when
    /// that could matter.
    async fn lack_of_room(&mut self, write: &StateWrite) -> Result<Option<String>, StateError> {
        if write.value.is_none() {
            return Ok(None);
        }
        let (limits, keys, bytes) = {
            let draft = lock(&self.draft);
            (*draft.limits(), draft.keys_with(write), draft.bytes_with(write))
        };
        if self.room.is_none() {
            self.room = Some(self.ask_room(Vec::new()).await?);
        }
        let fits = |room: &StateRoom| {
            room.total.keys + keys <= limits.keys_max
                && room.total.bytes + bytes <= limits.bytes_max
                && bytes <= room.host_bytes
        };
        if self.room.as_ref().is_some_and(fits) {
            return Ok(None);
        }
        let writes = lock(&self.draft).with(write);
        let room = self.ask_room(writes.iter().map(|write| write.key.clone()).collect()).await?;
        let after = room.total.after(writes.iter().zip(room.held));
        let refusal = room.total.refusal(after, limits.keys_max, limits.bytes_max);
        let grows = after.bytes.saturating_sub(room.total.bytes);
        Ok(refusal.or_else(|| {
            (grows > room.host_bytes)
                .then(|| "the host's store is full (`store.bytes_max`); ask its operator".to_owned())
        }))
    }

    async fn ask_room(&self, keys: Vec<String>) -> Result<StateRoom, StateError> {
        self.store.state_room(self.tenant, self.plugin, keys).await.map_err(broken)
    }
}

fn refused_then(past: &Record, write: &StateWrite) -> Option<String> {
    let is_like = |one: &&StateRefusal| one.key == write.key && one.value_bytes == value_bytes(write);
    past.refused().iter().find(is_like).map(|one| one.reason.clone())
}

fn value_bytes(write: &StateWrite) -> u64 {
    write.value.as_ref().map_or(0, |value| value.len() as u64)
}

fn broken(error: StoreError) -> StateError {
    StateError::Broken(format!("the plugin's state: {error}"))
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
